//! The table of convergence diagnostics.

use std::collections::BTreeMap;

use egui::{Align, Grid, RichText, Ui};

use super::{
    convergence::{LaneReport, Row},
    missing::{Departure, Missing},
};
use crate::app::{
    chart::{lane_color, legend_entry, line_style, note},
    fit::fit,
};

/// Below this width, a name stands above its values, not beside them.
const NARROW: f32 = 520.0;

/// What the numbers cannot tell.
const LIMITS: &str = "Agreement is not correctness. These numbers see only the energy, and the predicted class. They cannot see a \
                      valley that no chain has found, or a bias from too large a step. To check the step, divide α by 4 and \
                      halve σ: the energies should stay.";

/// Draws the question that R-hat and the table answer, and scrolls to it if this is asked for.
pub(super) fn question(ui: &mut Ui, scrolls: bool) {
    ui.separator();
    let title = ui.label(RichText::new("Does it converge?").heading());
    if scrolls {
        title.scroll_to_me(Some(Align::Min));
    }
    ui.label(
        "Chains have converged when they no longer show where they began. These numbers use the energy of \
         every chain in the second half of the recorded steps. Do the chains agree, and how much new \
         information does each step bring?",
    );
}

/// Draws the table of diagnostics.
pub(super) fn ui(ui: &mut Ui, lanes: &[LaneReport], names: &[String]) {
    let num_lanes = lanes.len().min(names.len());
    let (lanes, names) = (&lanes[..num_lanes], &names[..num_lanes]);
    if num_lanes == 0 {
        return;
    }
    // A text that applies to several lanes appears once.
    let mut said = Vec::<(String, Vec<usize>)>::new();
    for (lane, report) in lanes.iter().enumerate() {
        let caveats = report.caveats.iter().map(|caveat| caveat.to_string());
        let departure = report.departure.as_ref().map(Departure::text);
        for text in caveats.chain(departure).chain([window_text(report)]) {
            add(&mut said, text, lane);
        }
    }
    for (text, of) in &said {
        note(
            ui,
            if of.len() == num_lanes {
                text.clone()
            } else {
                format!("{}: {text}", lanes_text(of))
            },
        );
    }
    ui.add_space(4.0);
    if ui.available_width() < NARROW {
        list_rows(ui, lanes, names);
    } else {
        grid(ui, lanes, names);
    }
    ui.add_space(4.0);
    for text in refusals(lanes) {
        note(ui, text);
    }
    note(ui, LIMITS);
}

/// A description of the steps that the numbers were computed from.
fn window_text(report: &LaneReport) -> String {
    let window = report.window;
    let every = match window.stride {
        0 | 1 => "every step".to_string(),
        2 => "every second step".to_string(),
        stride => format!("every {stride}th step"),
    };
    let draws = match window.num_draws {
        1 => "1 draw".to_string(),
        count => format!("{count} draws"),
    };
    format!("Steps {} to {}, {every}: {draws} of each chain.", window.first, window.last)
}

fn add(said: &mut Vec<(String, Vec<usize>)>, text: String, lane: usize) {
    match said.iter_mut().find(|(other, _)| *other == text) {
        Some((_, lanes)) => lanes.push(lane),
        None => said.push((text, vec![lane])),
    }
}

/// Names of lanes, such as `Lane 1` or `Lanes 1 and 3`.
fn lanes_text(lanes: &[usize]) -> String {
    let numbers: Vec<String> = lanes.iter().map(|lane| (lane + 1).to_string()).collect();
    let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
    format!("{} {}", if lanes.len() > 1 { "Lanes" } else { "Lane" }, list(&numbers))
}

/// Each reason once, with the rows and the lanes that it applies to.
fn refusals(lanes: &[LaneReport]) -> Vec<String> {
    let mut texts = Vec::<(String, Vec<usize>)>::new();
    for (lane, report) in lanes.iter().enumerate() {
        let mut rows_of = BTreeMap::<&Missing, Vec<&str>>::new();
        for (row, value) in Row::all().zip(&report.values) {
            if let Err(missing) = value {
                rows_of.entry(missing).or_default().push(row.name());
            }
        }
        for (missing, rows) in rows_of {
            let verb = match (missing.is_early, rows.len()) {
                (true, _) => ": not yet",
                (false, 1) => " does not apply",
                (false, _) => " do not apply",
            };
            let text = format!("{}{verb}, because {}.", capitalised(&list(&rows)), missing.reason);
            add(&mut texts, shown(&text), lane);
        }
    }
    let with_lanes = |(text, of): (String, Vec<usize>)| match of.len() == lanes.len() {
        true => text,
        false => format!("{}: {text}", lanes_text(&of)),
    };
    texts.into_iter().map(with_lanes).collect()
}

/// Joins words to a list, such as `a, b and c`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_string(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
}

fn name_and_meaning(ui: &mut Ui, row: Row) {
    ui.label(RichText::new(shown(&capitalised(row.name()))).strong());
    note(ui, shown(row.meaning()));
}

fn lane_name(ui: &mut Ui, lane: usize, name: &str) {
    legend_entry(ui, &format!("Lane {}", lane + 1), lane_color(lane), line_style(lane));
    note(ui, name.split_once(": ").map_or(name, |(_, rule)| rule));
}

/// Draws the table with names at the left and a column per lane.
fn grid(ui: &mut Ui, lanes: &[LaneReport], names: &[String]) {
    let num_lanes = lanes.len();
    let spacing = 12.0;
    let width = ui.available_width() - spacing * num_lanes as f32 - 8.0;
    let lane_width = fit(width / (num_lanes as f32 + 1.6), 72.0, 190.0);
    let name_width = (width - lane_width * num_lanes as f32).max(90.0);
    Grid::new("converges")
        .striped(true)
        .spacing([spacing, 6.0])
        .min_col_width(lane_width)
        .num_columns(num_lanes + 1)
        .show(ui, |ui| {
            if num_lanes > 1 {
                ui.label("");
                for (lane, name) in names.iter().enumerate() {
                    ui.vertical(|ui| {
                        ui.set_width(lane_width);
                        lane_name(ui, lane, name);
                    });
                }
                ui.end_row();
            }
            for (index, row) in Row::all().enumerate() {
                ui.vertical(|ui| {
                    ui.set_width(name_width);
                    name_and_meaning(ui, row);
                });
                for report in lanes {
                    ui.vertical(|ui| {
                        ui.set_width(lane_width);
                        cell(ui, row, report.values.get(index));
                    });
                }
                ui.end_row();
            }
        });
}

/// Draws the table with each name above its values.
fn list_rows(ui: &mut Ui, lanes: &[LaneReport], names: &[String]) {
    let columns = |ui: &mut Ui, contents: &dyn Fn(&mut Ui, usize)| {
        ui.columns(lanes.len(), |columns| {
            for (lane, ui) in columns.iter_mut().enumerate() {
                ui.vertical(|ui| contents(ui, lane));
            }
        });
    };
    if lanes.len() > 1 {
        columns(ui, &|ui, lane| lane_name(ui, lane, &names[lane]));
    }
    for (index, row) in Row::all().enumerate() {
        ui.add_space(6.0);
        name_and_meaning(ui, row);
        columns(ui, &|ui, lane| cell(ui, row, lanes[lane].values.get(index)));
    }
}

fn cell(ui: &mut Ui, row: Row, value: Option<&Result<f64, Missing>>) {
    match value {
        None => {
            ui.weak("…");
        }
        Some(Ok(value)) => {
            let (number, verdict) = row.text(*value);
            ui.label(RichText::new(number).strong());
            if !verdict.is_empty() {
                note(ui, verdict);
            }
        }
        Some(Err(Missing { reason, is_early })) => {
            let said = if *is_early { "not yet" } else { "does not apply" };
            ui.label(RichText::new(said).weak()).on_hover_text(format!("{said}, because {reason}"));
        }
    }
}

/// The text without the combining hat, which the window's font cannot draw.
fn shown(text: &str) -> String {
    text.replace("R\u{302}", "R-hat")
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_listed() {
        assert_eq!(list(&["R̂", "bulk ESS", "tail ESS"]), "R̂, bulk ESS and tail ESS");
        assert_eq!(list(&["R̂"]), "R̂");
        assert_eq!(lanes_text(&[0, 2]), "Lanes 1 and 3");
        let report = LaneReport {
            values: Row::all().map(|_| Err(Missing::never("the chains exploded"))).collect(),
            ..LaneReport::default()
        };
        let texts = refusals(&[report.clone(), report, LaneReport::default()]);
        assert_eq!(texts.len(), 1);
        assert!(texts[0].starts_with("Lanes 1 and 2: R-hat, nested R-hat, "), "{texts:?}");
        assert_eq!(capitalised("bulk ESS"), "Bulk ESS");
        assert_eq!(shown("nested R̂"), "nested R-hat");
    }
}
