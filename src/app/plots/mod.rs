//! Plots and diagnostics of the run.

mod cells;
pub(super) mod chart;
mod convergence;
mod faint;
mod histogram;
mod lines;
mod probabilities;
mod ranges;
mod series;
mod table;

use egui::{ComboBox, RichText, ScrollArea, Ui};

use super::{compact, theme, viewer::Viewer};
use crate::config::LaneConfig;
use cells::Cell;
use chart::{NOTE_SIZE, lane_color, legend_entry, legend_row, line_style};
use convergence::Convergence;
use faint::FaintCache;
use histogram::Histogram;
use lines::{ChainLine, LinePlot};
use series::{Metric, Series, XAxis};

/// Seconds between two looks at the record while the run goes on.
const INTERVAL_SECS: f64 = 0.1;
/// Height of a plot in the tab.
const HEIGHT: f32 = 190.0;
/// Height of the plot of energies there.
const BIG_HEIGHT: f32 = 260.0;
/// Below this height or the width after it the strip has no room for names of lanes.
const LOW: f32 = 130.0;
const NARROW: f32 = 520.0;
/// From which width on plots stand in two columns.
const TWO_COLUMNS: f32 = 600.0;

/// Range of the vertical axis, and the lanes that it does not follow.
type YRange = (Option<(f32, f32)>, Vec<usize>);

/// What the plots keep between frames.
#[derive(Default)]
pub struct PlotsView {
    series: Series,
    axis: XAxis,
    updated_at: f64,
    y_ranges: [YRange; 4],
    strip: FaintCache,
    big: FaintCache,
    histogram: Histogram,
    convergence: Convergence,
    /// The rules that the diagnostics are of.
    rules: Vec<LaneConfig>,
}

impl PlotsView {
    fn update(&mut self, ctx: &egui::Context, viewer: &Viewer) {
        let now = ctx.input(|input| input.time);
        if viewer.is_running && (now - self.updated_at).abs() < INTERVAL_SECS {
            // Steps that came in between must not wait for the next one.
            ctx.request_repaint_after_secs(INTERVAL_SECS as f32);
            return;
        }
        if self.series.update(viewer.record.as_ref()) {
            self.updated_at = now;
            self.y_ranges = Metric::ALL.map(|metric| self.series.y_range(metric));
        }
    }

    fn names(&self, viewer: &Viewer) -> Vec<String> {
        let num_lanes = self.series.num_lanes();
        let name = |lane: usize| match num_lanes {
            1 => viewer.lane_name(lane),
            _ => format!("Lane {}: {}", lane + 1, viewer.lane_name(lane)),
        };
        (0..num_lanes).map(name).collect()
    }

    /// The selected chain's line of a metric.
    fn selected(&self, viewer: &Viewer, metric: Metric) -> Option<ChainLine> {
        let (record, selected) = (viewer.record.as_ref()?, viewer.selected?);
        let value = |step: u64| {
            let (at, lanes) = record.numbers.at(step)?;
            let value = *metric.of(lanes.get(selected.lane)?).get(selected.chain)?;
            (*at == step).then_some((step, f64::from(value)))
        };
        let points: Vec<_> =
            self.series.columns().iter().filter_map(|column| value(column.step)).collect();
        let name = selected_name(viewer)?;
        (!points.is_empty()).then_some(ChainLine { lane: selected.lane, points, name })
    }

    /// A plot of a metric; returns the step that was clicked.
    fn line_plot(
        &self,
        ui: &mut Ui,
        viewer: &Viewer,
        what: Drawn,
        names: &[String],
    ) -> Option<u64> {
        let Drawn { id, metric, y_label, height, faint } = what;
        let selected = self.selected(viewer, metric);
        let plot = LinePlot {
            id,
            metric,
            y_label,
            height,
            axis: self.axis,
            series: &self.series,
            y_range: match metric {
                Metric::ClampRate => Some((0.0, 1.0)),
                _ => self.y_ranges[metric as usize].0,
            },
            names,
            goal: viewer.view.view.num_steps as u64,
            shown_step: viewer.shown_step(),
            lane_of_clicks: viewer.selected.map_or(0, |selected| selected.lane),
            selected: selected.as_ref(),
            faint: faint.then_some(if id == "energies" { &self.strip } else { &self.big }),
        };
        plot.show(ui)
    }

    /// What went wrong with the chains, in words.
    fn warn(&self, ui: &mut Ui, names: &[String]) {
        let (_, left_out) = &self.y_ranges[Metric::Energy as usize];
        for (lane, name) in names.iter().enumerate() {
            let (num_exploded, num_chains) =
                (self.series.num_exploded(lane), self.series.num_chains());
            let text = match (num_exploded, left_out.contains(&lane)) {
                (0, false) => continue,
                (0, true) => format!("⚠ {name}: leaves the plot, whose axis follows the others"),
                _ => format!("⚠ {name}: {num_exploded} of {num_chains} chains exploded"),
            };
            ui.label(RichText::new(text).size(NOTE_SIZE).strong().color(theme::BROKEN)).on_hover_text(
                "A chain has exploded once its energy is no number or beyond ±10,000: its steps are too large. \
                 The axis follows the values that make sense. A smaller step size, or a rule with a clamp \
                 (Proximal SGLD, PYLD), keeps chains in bounds.",
            );
        }
    }
}

/// What one plot shows.
struct Drawn {
    id: &'static str,
    metric: Metric,
    y_label: &'static str,
    height: f32,
    faint: bool,
}

/// What the selected chain is called: its class and its place in the row.
fn selected_name(viewer: &Viewer) -> Option<String> {
    let (record, selected) = (viewer.record.as_ref()?, viewer.selected?);
    let labels = &record.request.labels;
    let label = *labels.get(selected.chain)?;
    let nth = labels[..=selected.chain].iter().filter(|&&other| other == label).count();
    let model = viewer.model.as_ref()?;
    let class = model.class_names.get(label as usize)?;
    Some(format!("selected: {class}, chain {nth}"))
}

/// The names of lines: lanes, if there are several, and the selected chain.
fn legend(ui: &mut Ui, names: &[String], selected: Option<String>) {
    if names.len() > 1 {
        for (lane, name) in names.iter().enumerate() {
            legend_entry(ui, name, lane_color(lane), line_style(lane));
        }
    }
    if let Some(name) = selected {
        legend_entry(ui, &name, ui.visuals().strong_text_color(), egui_plot::LineStyle::Solid);
    }
}

/// Which axis the lines are drawn over.
fn choose_axis(ui: &mut Ui, title: &str, axis: &mut XAxis, id: (&str, bool)) {
    let label = ui.label(RichText::new(title).strong());
    let choice =
        ComboBox::from_id_salt(id).selected_text(axis.name()).width(104.0).show_ui(ui, |ui| {
            for (choice, name, help) in XAxis::ALL {
                ui.selectable_value(axis, choice, name).on_hover_text(help);
            }
        });
    choice.response.labelled_by(label.id).on_hover_text(
        "What the horizontal axis counts: steps, full gradients (what steps cost) or seconds. With lanes of \
         different cost, seconds compare them at equal time.",
    );
}

fn look_at(viewer: &mut Viewer, step: Option<u64>) {
    if let Some(step) = step {
        viewer.pause();
        viewer.look_at(step);
    }
}

/// Where the energies are drawn.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// In the tab of plots.
    Tab,
    /// Under the chains.
    Strip,
    /// Under the chains of a small window.
    LowStrip,
}

fn energy_header(
    ui: &mut Ui,
    viewer: &Viewer,
    state: &mut PlotsView,
    names: &[String],
    place: Place,
) {
    let row = |ui: &mut Ui, contents: &mut dyn FnMut(&mut Ui)| match place {
        // Fingers need rows as high as buttons.
        Place::LowStrip if !compact::is_small(ui.ctx()) => legend_row(ui, contents),
        _ => ui.horizontal_wrapped(contents).inner,
    };
    row(ui, &mut |ui| {
        choose_axis(ui, "Energy over", &mut state.axis, ("axis", place == Place::Tab));
        let selected = selected_name(viewer);
        legend(
            ui,
            names,
            match place {
                Place::LowStrip => selected.map(|_| "selected".into()),
                _ => selected,
            },
        );
        if names.len() == 1 && place == Place::Tab {
            let name = match ui.max_rect().width() > 310.0 {
                true => "middle of the chains, and a band that holds 80 % of them",
                false => "middle of the chains, band of 80 %",
            };
            legend_entry(ui, name, lane_color(0), line_style(0));
        }
        let (drawn, all) = (state.series.faint_chains().len(), state.series.num_chains());
        let mut hover = "Thin lines are single chains, the thick line is the middle one of each lane, and of \
                         ten chains eight lie in the band. Low energy means probable. Click or drag to look at \
                         a step."
            .to_string();
        if drawn < all {
            hover += &format!(
                " {drawn} of {all} chains are drawn one by one; median and band are of all."
            );
        }
        if state.series.stride() > 1 {
            hover += &format!(" Every {}th step is drawn.", state.series.stride());
        }
        ui.label(RichText::new("ℹ").weak()).on_hover_text(hover);
        state.warn(ui, names);
    });
}

/// The strip under the chains: energies of every chain.
pub fn energies(ui: &mut Ui, viewer: &mut Viewer, state: &mut PlotsView) {
    state.update(ui.ctx(), viewer);
    if state.series.columns().is_empty() {
        ui.weak("The energies of the chains come with the first step.");
        return;
    }
    let names = state.names(viewer);
    if ui.available_height() < LOW || ui.available_width() < NARROW {
        // The lanes' names stand above their chains.
        let short: Vec<String> = (1..=names.len()).map(|lane| lane.to_string()).collect();
        let short = if names.len() > 1 { short } else { names.clone() };
        energy_header(ui, viewer, state, &short, Place::LowStrip);
    } else {
        energy_header(ui, viewer, state, &names, Place::Strip);
    }
    let height = ui.available_height() - 2.0;
    let what =
        Drawn { id: "energies", metric: Metric::Energy, y_label: "energy", height, faint: true };
    let step = state.line_plot(ui, viewer, what, &names);
    look_at(viewer, step);
}

/// All plots.
pub fn ui(ui: &mut Ui, viewer: &mut Viewer, state: &mut PlotsView) {
    let now = ui.input(|input| input.time);
    state.update(ui.ctx(), viewer);
    if state.series.columns().is_empty() {
        ui.weak("The plots come with the first step.");
        return;
    }
    if state.rules != viewer.view.lanes {
        state.rules.clone_from(&viewer.view.lanes);
        state.convergence.forget();
    }
    if let Some(record) = &viewer.record {
        let lanes =
            viewer.view.lanes.get(..record.request.lanes.len()).unwrap_or(&viewer.view.lanes);
        if state.convergence.update(record, lanes, state.series.revision, now) {
            ui.ctx().request_repaint_after_secs(0.1);
        }
    }
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        // The bar must not lie over the right end of a plot.
        ui.set_max_width(ui.available_width() - 8.0);
        let names = state.names(viewer);
        energy_header(ui, viewer, state, &names, Place::Tab);
        let what = Drawn {
            id: "energies large",
            metric: Metric::Energy,
            y_label: "energy",
            height: BIG_HEIGHT,
            faint: true,
        };
        let mut step = state.line_plot(ui, viewer, what, &names);
        ui.add_space(6.0);
        let num_columns = if ui.available_width() >= TWO_COLUMNS { 2 } else { 1 };
        for row in Cell::ALL.chunks(num_columns) {
            ui.columns(num_columns, |columns| {
                for (ui, &cell) in columns.iter_mut().zip(row) {
                    ui.push_id(cell.title(), |ui| {
                        // A column of its own justifies every text.
                        let inner = ui.vertical(|ui| cells::show(ui, viewer, state, &names, cell));
                        step = step.or(inner.inner);
                    });
                }
            });
            ui.add_space(6.0);
        }
        table::ui(ui, state.convergence.lanes(), &names);
        look_at(viewer, step);
        ui.add_space(12.0);
    });
}
