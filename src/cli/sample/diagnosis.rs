//! The tables that `jempp sample --diagnose` prints on the terminal.

use crate::{
    convergence::{
        Diagnosis, Distance, NoShortRun, Numbers, ShortRun, Spread, SummaryEnds, Superchains,
    },
    diagnostics::{Diagnostic, DoesNotApply},
    say::say,
};

/// The table entry for a missing number.
const NONE: &str = "-";

/// Prints the diagnosis as tables.
pub(super) fn print(found: &Diagnosis) {
    let Diagnosis { num_chains, warmup, num_draws, every, secs, inverse_temperature: beta, .. } =
        found;
    say!(
        "\nConvergence: {num_chains} chains, {num_draws} draws each after a warm-up of {warmup} steps, {secs:.1} s. {}.",
        match beta {
            Some(beta) if beta.is_finite() => format!("β = 2α/σ² = {}", number(*beta)),
            Some(_) => "β = 2α/σ² = ∞".to_string(),
            None => "Normalised gradients have no temperature".to_string(),
        }
    );
    if *every > 1 {
        say!(
            "There are more draws than are kept: one of every {every} steps is diagnosed and in draws.csv."
        );
    }
    found.caveats.iter().for_each(|caveat| say!("Note: {caveat}."));
    match common_reason(found) {
        Some(reason) => say!("R-hat and effective sample sizes do not apply: {reason}."),
        None => convergence(found),
    }
    say!("Switches of predicted class: {:.2} per chain.", found.switches);
    let acceptance = &found.acceptance;
    let name = acceptance.name();
    match acceptance.probability {
        Ok(value) => say!("{name}: {:.1} %. {}", 100.0 * value, acceptance.meaning()),
        Err(reason) => say!("{name} does not apply: {reason}."),
    }
    if acceptance.meets_border && acceptance.probability.is_ok() {
        say!(
            "Some pixels were held at -1 or 1, which this number does not take into account: use it only as a guide."
        );
    }
    match &found.short_run {
        Ok(short) => ends(found, short),
        Err(reason @ NoShortRun::NotShorter { .. }) => {
            say!("\nLong chains are not compared with short ones: {reason}. Set --steps higher.");
        }
        Err(reason) => say!("\nLong chains are not compared with short ones: {reason}."),
    }
}

fn convergence(found: &Diagnosis) {
    let first = found.summaries.first().map(|(_, values)| values.as_slice()).unwrap_or_default();
    let heads = first.iter().map(|(diagnostic, _)| head(*diagnostic).to_string());
    let mut rows = vec![row("", heads)];
    for (name, values) in &found.summaries {
        let cells = values.iter().map(|(diagnostic, value)| match value {
            Ok(value) => diagnostic.text(*value).0.trim_end_matches(" steps").to_string(),
            Err(_) => NONE.to_string(),
        });
        rows.push(row(name, cells));
    }
    print_table(&rows);
    for (reason, about) in reasons(&found.summaries) {
        say!("{NONE} {about}: {reason}");
    }
    say!(
        "R-hat should fall to 1.01, effective sample sizes (ESS) rise above 400; time is in steps."
    );
    say!("Superchains of nested R-hat: {}.", found.superchains);
    if found.superchains == Superchains::OfClass {
        say!("  --chains-per-start makes them of chains that leave one point.");
    }
    for (what, diagnostic, is_worse) in [
        ("Largest", Diagnostic::SplitRHat, (|a, b| a > b) as fn(f64, f64) -> bool),
        ("Smallest", Diagnostic::EssBulk, |a, b| a < b),
        ("Smallest", Diagnostic::EssTail, |a, b| a < b),
    ] {
        let values = found.summaries.iter().filter_map(|(name, values)| {
            let (_, value) = values.iter().find(|(other, _)| *other == diagnostic)?;
            Some((name, (*value).ok()?))
        });
        if let Some((name, value)) = values.reduce(|a, b| if is_worse(b.1, a.1) { b } else { a }) {
            let (text, verdict) = diagnostic.text(value);
            say!("{what} {}: {text} ({name})  {verdict}", head(diagnostic));
        }
    }
}

/// The reason why no summary has any diagnostic, if all have the same one. The diagnostic of the starts has its own
/// reason.
fn common_reason(found: &Diagnosis) -> Option<DoesNotApply> {
    let mut values = found.summaries.iter().flat_map(|(_, values)| values);
    let reason = values.next()?.1.err()?;
    values.all(|(_, value)| *value == Err(reason)).then_some(reason)
}

/// Each reason once, with the summaries or the single diagnostics that it applies to.
fn reasons(summaries: &[(String, Numbers)]) -> Vec<(DoesNotApply, String)> {
    let mut found = Vec::<(DoesNotApply, Vec<&str>, Vec<&str>)>::new();
    for (name, values) in summaries {
        for (diagnostic, value) in values {
            let Err(reason) = value else { continue };
            let at = found.iter().position(|line| line.0 == *reason).unwrap_or_else(|| {
                found.push((*reason, Vec::new(), Vec::new()));
                found.len() - 1
            });
            let (_, names, diagnostics) = &mut found[at];
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
            if !diagnostics.contains(&head(*diagnostic)) {
                diagnostics.push(head(*diagnostic));
            }
        }
    }
    let num_diagnostics = summaries.first().map_or(0, |(_, values)| values.len());
    let text = |(reason, names, diagnostics): (DoesNotApply, Vec<&str>, Vec<&str>)| {
        let about = match diagnostics.len() == num_diagnostics {
            true => names.join(", "),
            false => format!("{} of {}", diagnostics.join(", "), names.join(", ")),
        };
        (reason, about)
    };
    found.into_iter().map(text).collect()
}

fn ends(found: &Diagnosis, short: &ShortRun) {
    let level = |distance: fn(&SummaryEnds) -> Option<Distance>| {
        let mut known = short.summaries.iter().filter_map(|ends| distance(ends)?.ok());
        known.next().map_or(NONE.to_string(), |known| format!("{:.2}", known.critical))
    };
    say!(
        "\nShort run of {} steps against the long one of {}, mean ± standard deviation over {} chains from the same starts:",
        short.num_steps,
        found.num_steps,
        found.num_chains
    );
    let heads = ["short", "long", "D", "test data", "D short-test", "D long-test"];
    let mut rows = vec![row("", heads.map(String::from))];
    for ((name, _), end) in found.summaries.iter().zip(&short.summaries) {
        let optional = |d: Option<Distance>| d.map_or(format!("{NONE} "), distance);
        let cells = [
            spread(end.short),
            spread(end.long),
            distance(end.short_long),
            end.test.map_or(NONE.to_string(), spread),
            optional(end.short_test),
            optional(end.long_test),
        ];
        rows.push(row(name, cells));
    }
    let levels = [
        String::new(),
        String::new(),
        format!("{} ", level(|ends| Some(ends.short_long))),
        String::new(),
        format!("{} ", level(|ends| ends.short_test)),
        format!("{} ", level(|ends| ends.long_test)),
    ];
    rows.push(row("5 % level of D", levels));
    if short.num_test_images.is_err() {
        rows.iter_mut().for_each(|row| row.truncate(4));
    }
    print_table(&rows);
    match &short.num_test_images {
        Ok(count) => say!("{count} test data of the sampled classes."),
        Err(reason) => say!("No test data: {reason}"),
    }
    let moved = found.summaries.iter().zip(&short.summaries).filter_map(|((name, _), ends)| {
        ends.short_long.is_ok_and(|d| d.is_beyond_chance()).then_some(name.as_str())
    });
    let moved: Vec<&str> = moved.collect();
    let is_known = short.summaries.iter().any(|ends| ends.short_long.is_ok());
    let verdict = match moved.is_empty() {
        true if !is_known => {
            "no number here tells whether long chains stay where short ones end".to_string()
        }
        true => "long chains stay where short ones end, as far as so many chains tell".to_string(),
        false => format!("long chains left where short ones end in {}", moved.join(", ")),
    };
    say!(
        "D is Kolmogorov and Smirnov's distance, ! beyond the 5 % level, where chance alone seldom leads: {verdict}."
    );
}

fn head(diagnostic: Diagnostic) -> &'static str {
    match diagnostic {
        Diagnostic::SplitRHat => "R-hat",
        Diagnostic::NestedRHat => "nested",
        Diagnostic::EssBulk => "bulk ESS",
        Diagnostic::EssTail => "tail ESS",
        Diagnostic::EssPerSec => "ESS/s",
        Diagnostic::IntegratedTime => "time",
        Diagnostic::Switches => "switches",
    }
}

fn row(name: &str, cells: impl IntoIterator<Item = String>) -> Vec<String> {
    [name.to_string()].into_iter().chain(cells).collect()
}

/// Prints a table: the first column is left-aligned, the others are right-aligned.
fn print_table(rows: &[Vec<String>]) {
    let width = |text: &String| text.chars().count();
    let num_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..num_columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(width).max().unwrap_or(0))
        .collect();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (cell, &width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("   {cell:>width$}"),
        });
        say!("{}", cells.collect::<String>().trim_end());
    }
}

fn spread(spread: Spread) -> String {
    spread.map_or(NONE.to_string(), |(mean, std)| format!("{} ± {}", number(mean), number(std)))
}

fn distance(distance: Distance) -> String {
    distance.map_or(format!("{NONE} "), |found| {
        format!("{:.2}{}", found.distance, if found.is_beyond_chance() { '!' } else { ' ' })
    })
}

/// A number with about three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if !(1e-3..1e6).contains(&size) => format!("{value:.1e}"),
        size => {
            let decimals = (2 - size.log10().floor() as i32).clamp(0, 4) as usize;
            format!("{value:.decimals$}")
        }
    }
}
