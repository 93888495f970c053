//! The table that says whether the chains converge.

use std::collections::BTreeMap;

use egui::{Grid, RichText, Ui};

use super::{
    chart::{lane_color, legend_entry, line_style},
    convergence::{LaneReport, Row},
};

/// Draws it.
pub fn ui(ui: &mut Ui, lanes: &[LaneReport], names: &[String]) {
    ui.separator();
    ui.label(RichText::new("Does it converge?").heading());
    ui.label(
        "A sampler is done when its chains no longer show where they began. These numbers look at the energy of \
         every chain in the second half of what is recorded and ask whether the chains tell the same story, and \
         how much of it is new.",
    );
    for (report, name) in lanes.iter().zip(names) {
        let window = report.window;
        let every = match window.stride {
            0 | 1 => "every step".to_string(),
            2 => "every second step".to_string(),
            stride => format!("every {stride}th step"),
        };
        let of_lane = if names.len() > 1 { format!("{name}: ") } else { String::new() };
        ui.small(format!(
            "{of_lane}steps {} to {}, {every}: {} draws of each chain.",
            window.first, window.last, window.num_draws
        ));
        for caveat in &report.caveats {
            ui.small(format!("{of_lane}{caveat}"));
        }
    }
    ui.add_space(4.0);
    for (report, name) in lanes.iter().zip(names) {
        refusals(ui, report, name, names.len() > 1);
    }
    grid(ui, lanes, names);
}

/// Each reason once, with the rows that it is for.
fn refusals(ui: &mut Ui, report: &LaneReport, name: &str, has_many: bool) {
    let mut rows_of = BTreeMap::<&str, Vec<&str>>::new();
    for (row, value) in Row::all().zip(&report.values) {
        if let Err(reason) = value {
            rows_of.entry(reason.as_str()).or_default().push(row.name());
        }
    }
    for (reason, rows) in rows_of {
        let of_lane = if has_many { format!("{name}: ") } else { String::new() };
        let verb = if rows.len() > 1 { "do not apply" } else { "does not apply" };
        ui.small(format!("{of_lane}{} {verb}, because {reason}.", list(&rows)));
    }
    ui.add_space(2.0);
}

/// `a, b and c`.
fn list(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_string(),
        [words @ .., last] => format!("{} and {last}", words.join(", ")),
    }
}

fn grid(ui: &mut Ui, lanes: &[LaneReport], names: &[String]) {
    let num_lanes = lanes.len().min(names.len());
    if num_lanes == 0 {
        return;
    }
    let spacing = 12.0;
    let width = ui.available_width() - spacing * num_lanes as f32 - 8.0;
    let lane_width = (width / (num_lanes as f32 + 1.6)).clamp(72.0, 190.0);
    let name_width = (width - lane_width * num_lanes as f32).max(90.0);
    Grid::new("converges")
        .striped(true)
        .spacing([spacing, 6.0])
        .min_col_width(lane_width)
        .num_columns(num_lanes + 1)
        .show(ui, |ui| {
            if num_lanes > 1 {
                ui.label("");
                for (lane, name) in names.iter().enumerate().take(num_lanes) {
                    ui.vertical(|ui| {
                        ui.set_width(lane_width);
                        legend_entry(
                            ui,
                            &format!("Lane {}", lane + 1),
                            lane_color(lane),
                            line_style(lane),
                        );
                        let rule = name.split_once(": ").map_or(name.as_str(), |(_, rule)| rule);
                        ui.small(rule);
                    });
                }
                ui.end_row();
            }
            for (index, row) in Row::all().enumerate() {
                ui.vertical(|ui| {
                    ui.set_width(name_width);
                    ui.label(RichText::new(capitalised(row.name())).strong());
                    ui.small(row.meaning());
                });
                for report in lanes.iter().take(num_lanes) {
                    ui.vertical(|ui| {
                        ui.set_width(lane_width);
                        cell(ui, row, report.values.get(index));
                    });
                }
                ui.end_row();
            }
        });
}

fn cell(ui: &mut Ui, row: Row, value: Option<&Result<f64, String>>) {
    match value {
        None => {
            ui.weak("…");
        }
        Some(Ok(value)) => {
            let (number, verdict) = row.text(*value);
            ui.label(RichText::new(number).strong());
            if !verdict.is_empty() {
                ui.small(verdict);
            }
        }
        Some(Err(reason)) => {
            ui.label(RichText::new("does not apply").weak())
                .on_hover_text(format!("does not apply, because {reason}"));
        }
    }
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
        assert_eq!(capitalised("bulk ESS"), "Bulk ESS");
    }
}
