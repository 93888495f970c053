//! The state of the plots, kept between frames, and a plot of one metric of all lanes.

use egui::{RichText, Ui};

use super::{
    apart::Apart,
    convergence::Convergence,
    faint::FaintCache,
    histogram::Histogram,
    legend::selected_name,
    lines::{ChainLine, LinePlot},
    series::{Metric, Series, XAxis},
};
use crate::{
    app::{chart::NOTE_SIZE, state::RunState, theme},
    config::LaneConfig,
};

/// The minimum time between two updates from the record while the run continues, in seconds.
const INTERVAL_SECS: f64 = 0.1;
/// The height of a plot in the tab.
pub(super) const HEIGHT: f32 = 190.0;

/// The range of the vertical axis, and the lanes that it leaves out.
type YRange = (Option<(f32, f32)>, Vec<usize>);

/// The state of the plots, kept between frames.
#[derive(Default)]
pub(crate) struct PlotsView {
    pub(super) series: Series,
    pub(super) axis: XAxis,
    updated_at: f64,
    y_ranges: [YRange; 4],
    strip: FaintCache,
    big: FaintCache,
    pub(super) histogram: Histogram,
    pub(super) convergence: Convergence,
    pub(super) apart: Apart,
    /// The revision of the series that the distances belong to.
    pub(super) apart_revision: u64,
    /// The rules that the diagnostics belong to.
    pub(super) rules: Vec<LaneConfig>,
    /// Whether the next frame scrolls to the question of convergence, because a person asked whether the chains converge.
    pub(in crate::app) show_convergence: bool,
    /// Whether a person asked for chains that sample.
    pub(super) wants_sampler: bool,
}

impl PlotsView {
    pub(super) fn update(&mut self, ctx: &egui::Context, run: &RunState) {
        let now = ctx.input(|input| input.time);
        if run.is_running && (now - self.updated_at).abs() < INTERVAL_SECS {
            // Another frame, so that the steps since the last update do not wait for the next step.
            ctx.request_repaint_after_secs(INTERVAL_SECS as f32);
            return;
        }
        if self.series.update(run.record.as_ref()) {
            self.updated_at = now;
            self.y_ranges = Metric::ALL.map(|metric| self.series.y_range(metric));
        }
    }

    pub(super) fn names(&self, run: &RunState) -> Vec<String> {
        let num_lanes = self.series.num_lanes();
        let name = |lane: usize| match num_lanes {
            1 => run.lane_name(lane),
            _ => format!("Lane {}: {}", lane + 1, run.lane_name(lane)),
        };
        (0..num_lanes).map(name).collect()
    }

    /// The line of the selected chain for a metric.
    fn selected(&self, run: &RunState, metric: Metric) -> Option<ChainLine> {
        let (record, selected) = (run.record.as_ref()?, run.selected?);
        let value = |step: u64| {
            let (at, lanes) = record.numbers.at(step)?;
            let value = *metric.of(lanes.get(selected.lane)?).get(selected.chain)?;
            (*at == step).then_some((step, f64::from(value)))
        };
        let points: Vec<_> =
            self.series.columns().iter().filter_map(|column| value(column.step)).collect();
        let name = selected_name(run)?;
        (!points.is_empty()).then_some(ChainLine { lane: selected.lane, points, name })
    }

    /// Draws a plot of a metric. Returns the step that was clicked.
    pub(super) fn line_plot(
        &self,
        ui: &mut Ui,
        run: &RunState,
        what: MetricPlot,
        names: &[String],
    ) -> Option<u64> {
        let MetricPlot { id, metric, y_label, height, faint } = what;
        let selected = self.selected(run, metric);
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
            goal: run.settings.num_steps as u64,
            shown_step: run.shown_step(),
            lane_of_clicks: run.selected.map_or(0, |selected| selected.lane),
            selected: selected.as_ref(),
            faint: faint.then_some(if id == "energies" { &self.strip } else { &self.big }),
        };
        plot.show(ui)
    }

    /// Draws warnings about chains that exploded or are outside the plot.
    pub(super) fn warn(&self, ui: &mut Ui, names: &[String]) {
        let (_, left_out) = &self.y_ranges[Metric::Energy as usize];
        for (lane, name) in names.iter().enumerate() {
            let (num_exploded, num_chains) =
                (self.series.num_exploded(lane), self.series.num_chains());
            let text = match (num_exploded, left_out.contains(&lane)) {
                (0, false) => continue,
                (0, true) => format!("⚠ {name}: outside the plot, whose axis fits the others"),
                _ => format!("⚠ {name}: {num_exploded} of {num_chains} chains exploded"),
            };
            ui.label(RichText::new(text).size(NOTE_SIZE).strong().color(theme::warning(ui))).on_hover_text(
                "A chain has exploded when its energy is not finite or beyond ±10,000: its steps are too \
                 large. The axis fits the other values. To keep chains in bounds, use a smaller step size, or \
                 a sampler that clips the gradient (Proximal SGLD, PYLD).",
            );
        }
    }
}

/// The content and size of one plot of a metric.
pub(super) struct MetricPlot {
    pub(super) id: &'static str,
    pub(super) metric: Metric,
    pub(super) y_label: &'static str,
    pub(super) height: f32,
    pub(super) faint: bool,
}
