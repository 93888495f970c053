//! The tables of a report: the runs, what differs between their settings, and their figures, as HTML, CSV and LaTeX.

use std::time::Duration;

use indicatif::HumanDuration;
use maud::{Markup, html};

use super::{
    metrics::{METRICS, Metric, When},
    run::Run,
    setting::{Setting, Spread, differing},
};
use crate::counts::grouped;
use crate::page::{
    ink::{Look, Shape},
    parts::{key, table},
    text::{NOTHING, Unit},
};

/// The metrics that any of the runs has and that are not 0 in all of them.
fn metrics_of(settings: &[Setting]) -> Vec<&'static Metric> {
    let runs = || settings.iter().flat_map(|setting| &setting.runs);
    let is_there =
        |metric: &&Metric| runs().any(|run| run.last(metric).is_some_and(|value| value != 0.0));
    METRICS.iter().filter(is_there).collect()
}

/// Every run with its standing.
pub(super) fn runs(settings: &[Setting]) -> Markup {
    let head = html! {
        tr {
            td {} th scope="col" { "Setting" } th scope="col" { "Seed" } th scope="col" { "Steps" }
            th scope="col" { "Epochs" } th scope="col" { "Time" } th scope="col" { "Recoveries" }
        }
    };
    let row = |setting: &Setting, run: &Run| {
        html! {
            tr {
                th scope="row" title=(run.path.display()) { (run.name) }
                td { (setting.label) }
                td { (run.config.seed) }
                td { (grouped(run.step as usize)) }
                td {
                    (run.epoch) " of " (run.config.training.epochs)
                    @if !run.is_complete() { " (not at its end)" }
                }
                td { (HumanDuration(Duration::from_secs_f64(run.secs.clamp(0.0, 1e9)))) }
                td { (run.num_recoveries) }
            }
        }
    };
    let body = html! {
        @for setting in settings { @for run in &setting.runs { (row(setting, run)) } }
    };
    table("Runs", head, body)
}

/// A heading for each setting, beside its colour.
fn headings(settings: &[Setting]) -> Markup {
    let heading = |index: usize, setting: &Setting| {
        let look = Look { shape: Shape::Nothing, ..Look::of_model(index) };
        html! { th scope="col" { span.model { (key(&look)) (setting.label) } } }
    };
    html! {
        tr { td {} @for (index, setting) in settings.iter().enumerate() { (heading(index, setting)) } }
    }
}

/// What differs between the settings; nothing if there is only one.
pub(super) fn differences(settings: &[Setting]) -> Markup {
    let configs: Vec<_> = settings.iter().map(|setting| setting.runs[0].settings()).collect();
    let rows = differing(&configs.iter().collect::<Vec<_>>());
    let body = html! {
        @for (key, values) in &rows {
            tr { th scope="row" { code { (key) } } @for value in values { td { (value) } } }
        }
    };
    html! {
        @if rows.is_empty() {
            p.note { "All runs have the same settings." @if settings[0].runs.len() > 1 { " They differ in their seed." } }
        } @else {
            (table("Settings that differ", headings(settings), body))
        }
    }
}

/// The figures of each setting: the mean over seeds, the standard deviation, and the interval of the mean.
pub(super) fn figures(settings: &[Setting]) -> Markup {
    let has_spread = settings.iter().any(|setting| setting.runs.len() > 1);
    let cell = |metric: &Metric, setting: &Setting| match setting.last(metric) {
        None => html! { (NOTHING) },
        Some(spread) => estimate(metric.unit, &spread),
    };
    let body = html! {
        @if has_spread {
            tr { th scope="row" { "Seeds" } @for setting in settings { td { (setting.runs.len()) } } }
        }
        @for metric in metrics_of(settings) {
            tr {
                th scope="row" { (metric.title) }
                @for setting in settings { td { (cell(metric, setting)) } }
            }
        }
    };
    html! {
        (table("At the end of training", headings(settings), body))
        p.note {
            "Metrics of epochs are those of the last evaluation, others the mean of the last 100 steps."
            @if has_spread {
                " Mean ± standard deviation over seeds, and in brackets the 95 % interval of the mean by Student's distribution."
            }
        }
    }
}

/// A mean with its spread.
fn estimate(unit: Unit, spread: &Spread) -> Markup {
    html! {
        (unit.text(spread.mean))
        @if let Some(std) = spread.std { " ± " (unit.text(std)) }
        @if let Some([low, high]) = spread.interval {
            " " span.interval { "[" (unit.text(low)) ", " (unit.text(high)) "]" }
        }
    }
}

/// One row for each run: its name, its seed, the settings that differ, and its figures.
pub(super) fn runs_csv(settings: &[Setting]) -> String {
    let configs: Vec<_> = settings.iter().map(|setting| setting.runs[0].settings()).collect();
    let keys = differing(&configs.iter().collect::<Vec<_>>());
    let metrics = metrics_of(settings);
    let mut rows = vec![
        ["run", "setting", "seed"]
            .map(String::from)
            .into_iter()
            .chain(keys.iter().map(|(key, _)| key.clone()))
            .chain(["steps".into(), "secs".into(), "recoveries".into()])
            .chain(metrics.iter().map(|metric| metric.key.to_string()))
            .collect::<Vec<_>>(),
    ];
    for (index, setting) in settings.iter().enumerate() {
        for run in &setting.runs {
            let mut row =
                vec![run.name.clone(), setting.label.clone(), run.config.seed.to_string()];
            row.extend(keys.iter().map(|(_, values)| values[index].trim_matches('"').to_string()));
            row.extend([
                run.step.to_string(),
                run.secs.to_string(),
                run.num_recoveries.to_string(),
            ]);
            row.extend(metrics.iter().map(|metric| number(run.last(metric))));
            rows.push(row);
        }
    }
    csv(&rows)
}

/// One row for each setting: its label, its number of seeds, and of each metric the mean, the standard deviation and the
/// interval.
pub(super) fn settings_csv(settings: &[Setting]) -> String {
    let metrics = metrics_of(settings);
    let columns = |metric: &&Metric| {
        ["mean", "std", "low", "high"].map(|what| format!("{}_{what}", metric.key))
    };
    let head = ["setting".to_string(), "seeds".into()];
    let mut rows =
        vec![head.into_iter().chain(metrics.iter().flat_map(columns)).collect::<Vec<_>>()];
    for setting in settings {
        let mut row = vec![setting.label.clone(), setting.runs.len().to_string()];
        for metric in &metrics {
            let spread = setting.last(metric);
            let end = |which: usize| spread.and_then(|spread| Some(spread.interval?[which]));
            row.extend([
                number(spread.map(|spread| spread.mean)),
                number(spread.and_then(|spread| spread.std)),
                number(end(0)),
                number(end(1)),
            ]);
        }
        rows.push(row);
    }
    csv(&rows)
}

fn number(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Rows as comma-separated values, with quotes where a text needs them.
fn csv(rows: &[Vec<String>]) -> String {
    let cell = |text: &String| match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.clone(),
    };
    let row = |row: &Vec<String>| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
    rows.iter().map(row).collect()
}

/// The metrics of epochs as a table for a paper, in LaTeX with the package booktabs.
pub(super) fn latex(settings: &[Setting]) -> String {
    let metrics: Vec<&Metric> =
        metrics_of(settings).into_iter().filter(|metric| metric.when == When::Epoch).collect();
    let title = |metric: &&Metric| match metric.unit {
        Unit::Percent => format!("{} (\\%)", escaped(metric.title)),
        _ => escaped(metric.title),
    };
    let first = ["Setting", "Seeds"].map(String::from).into_iter();
    let head: Vec<String> = first.chain(metrics.iter().map(title)).collect();
    let mut text = format!(
        "% Mean and standard deviation over seeds; needs \\usepackage{{booktabs}}.\n\\begin{{tabular}}{{lr{}}}\n\\toprule\n\
         {} \\\\\n\\midrule\n",
        "r".repeat(metrics.len()),
        head.join(" & ")
    );
    for setting in settings {
        let mut cells = vec![escaped(&setting.label), setting.runs.len().to_string()];
        cells.extend(metrics.iter().map(|metric| in_latex(metric.unit, setting.last(metric))));
        text += &format!("{} \\\\\n", cells.join(" & "));
    }
    text + "\\bottomrule\n\\end{tabular}\n"
}

fn in_latex(unit: Unit, spread: Option<Spread>) -> String {
    let Some(Spread { mean, std, .. }) = spread else { return "--".into() };
    let (scale, decimals) = match unit {
        Unit::Percent => (100.0, 1),
        _ => (1.0, 3),
    };
    let mean = format!("{:.decimals$}", scale * mean);
    match std {
        Some(std) => format!("${mean} \\pm {:.decimals$}$", scale * std),
        None => format!("${mean}$"),
    }
}

/// A text with LaTeX's own characters as they are.
fn escaped(text: &str) -> String {
    let mut found = String::new();
    for letter in text.chars() {
        match letter {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                found.push('\\');
                found.push(letter);
            }
            '\\' => found += "\\textbackslash{}",
            '~' => found += "\\textasciitilde{}",
            '^' => found += "\\textasciicircum{}",
            '±' => found += "$\\pm$",
            _ => found.push(letter),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_in_csv_and_escaped_in_latex() {
        let rows = [vec!["a,b".to_string(), "say \"c\"".into(), "1".into()]];
        assert_eq!(csv(&rows), "\"a,b\",\"say \"\"c\"\"\",1\n");
        assert_eq!(escaped("p_x = 5 %"), "p\\_x = 5 \\%");
        let spread = Spread { count: 2, mean: 0.905, std: Some(0.007), interval: None };
        assert_eq!(in_latex(Unit::Percent, Some(spread)), "$90.5 \\pm 0.7$");
        assert_eq!(in_latex(Unit::Digits, None), "--");
    }
}
