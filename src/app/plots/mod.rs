//! Plots and diagnostics of the run.

mod apart;
mod convergence;
mod faint;
mod histogram;
mod legend;
mod lines;
mod missing;
mod probabilities;
mod ranges;
mod series;
mod small_plots;
mod table;
mod view;

use egui::{ComboBox, RichText, ScrollArea, Ui};

use self::{
    legend::{legend, selected_name},
    series::{Metric, XAxis},
    small_plots::SmallPlot,
    view::MetricPlot,
};
use super::{
    chart::{lane_color, legend_entry, legend_row, line_style},
    size_class,
    state::RunState,
};

pub(super) use view::PlotsView;

/// The height of the plot of energies in the tab.
const BIG_HEIGHT: f32 = 260.0;
/// Below this height, or below the width after it, the strip has no space for the names of the lanes.
const LOW: f32 = 130.0;
const NARROW: f32 = 520.0;
/// Half of the width of a number of four digits at an axis.
const HALF_NUMBER: f32 = 14.0;
/// From this width on, the plots stand in two columns.
const TWO_COLUMNS: f32 = 600.0;

/// Draws the choice of the horizontal axis.
fn choose_axis(ui: &mut Ui, title: &str, axis: &mut XAxis, id: (&str, bool)) {
    let label = ui.label(RichText::new(title).strong());
    let choice =
        ComboBox::from_id_salt(id).selected_text(axis.name()).width(104.0).show_ui(ui, |ui| {
            for (choice, name, help) in XAxis::ALL {
                ui.selectable_value(axis, choice, name).on_hover_text(help);
            }
        });
    choice.response.labelled_by(label.id).on_hover_text(
        "The horizontal axis: steps, full gradients (the cost of steps) or seconds. Seconds compare lanes of \
         different cost at equal time.",
    );
}

fn look_at(run: &mut RunState, step: Option<u64>) {
    if let Some(step) = step {
        run.pause();
        run.look_at(step);
    }
}

/// The place where the energies are drawn.
#[derive(Clone, Copy, PartialEq)]
enum EnergyPlace {
    /// In the tab of plots.
    Tab,
    /// Under the chains.
    Strip,
    /// Under the chains of a small window.
    LowStrip,
}

fn energy_header(
    ui: &mut Ui,
    run: &RunState,
    state: &mut PlotsView,
    names: &[String],
    place: EnergyPlace,
) {
    let row = |ui: &mut Ui, contents: &mut dyn FnMut(&mut Ui)| match place {
        // Touch control needs rows as high as buttons.
        EnergyPlace::LowStrip if !size_class::is_small(ui.ctx()) => legend_row(ui, contents),
        _ => ui.horizontal_wrapped(contents).inner,
    };
    row(ui, &mut |ui| {
        choose_axis(ui, "Energy over", &mut state.axis, ("axis", place == EnergyPlace::Tab));
        let selected = selected_name(run);
        legend(
            ui,
            names,
            match place {
                EnergyPlace::LowStrip => selected.map(|_| "selected".into()),
                _ => selected,
            },
        );
        if names.len() == 1 && place == EnergyPlace::Tab {
            let name = match ui.max_rect().width() > 310.0 {
                true => "median of the chains, and a band that holds 80 % of them",
                false => "median of the chains, band of 80 %",
            };
            legend_entry(ui, name, lane_color(0), line_style(0));
        }
        let (drawn, all) = (state.series.faint_chains().len(), state.series.num_chains());
        let mut hover = "Thin lines: single chains. Thick line: the median of each lane. Band: 8 of 10 chains. \
                         Low energy means likely. Click or drag to view a step."
            .to_string();
        if drawn < all {
            hover += &format!(" {drawn} of {all} chains are drawn; median and band include all.");
        }
        if state.series.stride() > 1 {
            hover += &format!(" Every {}th step is drawn.", state.series.stride());
        }
        ui.label(RichText::new("ℹ").weak()).on_hover_text(hover);
        state.warn(ui, names);
    });
}

/// Draws the strip under the chains: the energies of every chain.
pub(super) fn energies(ui: &mut Ui, run: &mut RunState, state: &mut PlotsView) {
    state.update(ui.ctx(), run);
    if state.series.columns().is_empty() {
        ui.weak("The energies appear after the first step.");
        return;
    }
    let names = state.names(run);
    if ui.available_height() < LOW || ui.available_width() < NARROW {
        // The full names of the lanes stand above their chains.
        let short: Vec<String> = (1..=names.len()).map(|lane| lane.to_string()).collect();
        let short = if names.len() > 1 { short } else { names.clone() };
        energy_header(ui, run, state, &short, EnergyPlace::LowStrip);
    } else {
        energy_header(ui, run, state, &names, EnergyPlace::Strip);
    }
    let height = ui.available_height() - 2.0;
    // Half of the last number at the axis lies right of the plot.
    ui.set_max_width(ui.available_width() - HALF_NUMBER);
    let what = MetricPlot {
        id: "energies",
        metric: Metric::Energy,
        y_label: "energy",
        height,
        faint: true,
    };
    let step = state.line_plot(ui, run, what, &names);
    look_at(run, step);
}

/// Draws small plots, in two columns if there is space. Returns the step that was clicked.
fn small(
    ui: &mut Ui,
    run: &RunState,
    state: &mut PlotsView,
    names: &[String],
    plots: &[SmallPlot],
) -> Option<u64> {
    let mut step = None;
    let num_columns = if ui.available_width() >= TWO_COLUMNS { 2 } else { 1 };
    for row in plots.chunks(num_columns) {
        ui.columns(num_columns, |columns| {
            for (ui, &plot) in columns.iter_mut().zip(row) {
                ui.push_id(plot.title(), |ui| {
                    // Text in a column of `columns` is justified, so this uses its own layout.
                    let inner = ui.vertical(|ui| small_plots::show(ui, run, state, names, plot));
                    step = step.or(inner.inner);
                });
            }
        });
        ui.add_space(6.0);
    }
    step
}

/// Draws all plots.
pub(super) fn ui(ui: &mut Ui, run: &mut RunState, state: &mut PlotsView) {
    let now = ui.input(|input| input.time);
    state.update(ui.ctx(), run);
    if state.series.columns().is_empty() {
        ui.weak("The plots appear after the first step.");
        return;
    }
    if state.rules != run.lanes {
        state.rules.clone_from(&run.lanes);
        state.convergence.forget();
    }
    if let Some(record) = &run.record {
        let lanes = run.lanes.get(..record.request.lanes.len()).unwrap_or(&run.lanes);
        if state.convergence.update(record, lanes, state.series.revision, now) {
            ui.ctx().request_repaint_after_secs(0.1);
        }
        if lanes.len() > 1 && state.apart_revision != state.series.revision {
            state.apart_revision = state.series.revision;
            state.apart.update(record);
        }
    }
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        // The scroll bar must not cover the right end of a plot.
        ui.set_max_width(ui.available_width() - 8.0);
        let names = state.names(run);
        energy_header(ui, run, state, &names, EnergyPlace::Tab);
        let what = MetricPlot {
            id: "energies large",
            metric: Metric::Energy,
            y_label: "energy",
            height: BIG_HEIGHT,
            faint: true,
        };
        let mut step = state.line_plot(ui, run, what, &names);
        ui.add_space(6.0);
        step = step.or(small(ui, run, state, &names, SmallPlot::of(names.len())));
        table::question(ui, std::mem::take(&mut state.show_convergence));
        ui.add_space(4.0);
        step = step.or(small(ui, run, state, &names, &SmallPlot::OF_CONVERGENCE));
        table::ui(ui, state.convergence.lanes(), &names);
        if std::mem::take(&mut state.wants_sampler) {
            run.open_sampler();
        }
        look_at(run, step);
        ui.add_space(12.0);
    });
}
