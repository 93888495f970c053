//! The smaller plots of the plots tab.

use egui::{Color32, RichText, Ui};
use egui_plot::{HLine, HoverPosition, LineStyle};

use super::{
    legend::{legend, selected_name},
    probabilities,
    series::Metric,
    view::{HEIGHT, MetricPlot, PlotsView},
};
use crate::{
    app::{
        chart::{chart, lane_color, legend_entry, legend_row, line, line_style, line_width, note},
        fit::fit,
        state::RunState,
    },
    config::{LaneConfig, SamplerKind},
};

/// A smaller plot of the tab.
#[derive(Clone, Copy)]
pub(super) enum SmallPlot {
    /// The norm of the energy gradient, ‖∂E/∂x‖.
    GradientNorm,
    /// The fraction of clamped gradient components.
    ClampRate,
    /// The class probabilities p(y|x) of the selected chain.
    Probabilities,
    /// The energies of chains and of test images.
    Histogram,
    /// The autocorrelation of the energy.
    Autocorrelation,
    /// Split R̂ of the energy along the run.
    RHat,
    /// The distance from the start, ‖x - x_0‖.
    Distance,
}

impl SmallPlot {
    /// All small plots, in the order in which they are shown.
    pub(super) const ALL: [Self; 7] = [
        Self::Probabilities,
        Self::Histogram,
        Self::GradientNorm,
        Self::ClampRate,
        Self::Distance,
        Self::RHat,
        Self::Autocorrelation,
    ];

    /// The title above the plot.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::GradientNorm => "Gradient norm",
            Self::ClampRate => "Clip rate",
            Self::Probabilities => "What the classifier sees",
            Self::Histogram => "Chains and real images",
            Self::Autocorrelation => "Autocorrelation of the energy",
            Self::Distance => "Distance from the start",
            Self::RHat => "R̂ along the run",
        }
    }

    /// A one-line explanation of the plot.
    fn explanation(self) -> &'static str {
        match self {
            Self::GradientNorm => {
                "How steep the energy is at the chains. Near 0 they rest in a valley."
            }
            Self::ClampRate => {
                "Share of gradient components clipped to the proximal radius (clamp_rate in files)."
            }
            Self::Probabilities => "p(y|x) of the selected chain: the five most likely classes.",
            Self::Histogram => {
                "Chains to the left of the data are more likely to the model than real images."
            }
            Self::Autocorrelation => {
                "Correlation of a chain with itself k steps later. The faster it falls to 0, the more new information each step brings."
            }
            Self::RHat => {
                "Do the chains agree? Below the line at 1.01 they do. Each point uses the second half of the \
                 steps so far."
            }
            Self::Distance => "|x - x₀|: how far the chains have moved from where they began.",
        }
    }
}

/// Draws a small plot. Returns the step that was clicked.
pub(super) fn show(
    ui: &mut Ui,
    run: &RunState,
    state: &mut PlotsView,
    names: &[String],
    plot: SmallPlot,
) -> Option<u64> {
    ui.label(RichText::new(plot.title()).strong());
    note(ui, plot.explanation());
    let lines = |ui: &mut Ui, metric: Metric, id: &'static str, y_label: &'static str| {
        legend_row(ui, |ui| legend(ui, names, selected_name(run)));
        let what = MetricPlot { id, metric, y_label, height: HEIGHT, faint: false };
        state.line_plot(ui, run, what, names)
    };
    match plot {
        SmallPlot::GradientNorm => {
            return lines(ui, Metric::GradientNorm, "gradient norm", "energy per unit of x");
        }
        SmallPlot::Distance => {
            return lines(ui, Metric::Distance, "distance", "distance in units of x");
        }
        SmallPlot::ClampRate => {
            let clamps = |lane: &LaneConfig| {
                matches!(lane.sampler.kind, SamplerKind::ProximalSgld | SamplerKind::Pyld)
            };
            if run.lanes.iter().any(clamps) {
                return lines(ui, Metric::ClampRate, "clip rate", "share clipped");
            }
            ui.weak("Only Proximal SGLD and PYLD clip the gradient, so there is no clip rate.");
        }
        SmallPlot::Probabilities => {
            return probabilities::ui(ui, run, &state.series, state.axis, HEIGHT);
        }
        SmallPlot::Histogram => {
            legend_row(ui, |ui| {
                let grey = Color32::from_gray(140);
                legend_entry(ui, "real test images (filled)", grey, LineStyle::Solid);
                for (lane, name) in names.iter().enumerate() {
                    legend_entry(ui, name, lane_color(lane), line_style(lane));
                }
            });
            state.histogram.ui(ui, run, names, HEIGHT, state.series.revision);
        }
        SmallPlot::Autocorrelation => {
            legend_row(ui, |ui| legend(ui, names, None));
            autocorrelation(ui, state);
        }
        SmallPlot::RHat => {
            legend_row(ui, |ui| legend(ui, names, None));
            r_hat(ui, state, run);
        }
    }
    None
}

/// The largest value on the axis of R̂. Larger ones lie at the edge.
const MAX_R_HAT: f64 = 3.0;

fn r_hat(ui: &mut Ui, state: &PlotsView, run: &RunState) {
    let lanes = state.convergence.lanes();
    let reasons = lanes.iter().enumerate().filter_map(|(lane, report)| {
        let reason = report.why_no_r_hat()?;
        Some(if lanes.len() > 1 {
            format!("Lane {}: {reason}.", lane + 1)
        } else {
            format!("No R̂: {reason}.")
        })
    });
    reasons.for_each(|reason| note(ui, reason));
    let values = lanes.iter().flat_map(|lane| &lane.r_hat).map(|point| point.1);
    let highest = values.filter(|value| value.is_finite()).fold(f64::NAN, f64::max);
    if highest.is_nan() {
        if lanes.iter().any(|lane| lane.why_no_r_hat().is_none()) {
            ui.weak("This needs some more steps.");
        }
        return;
    }
    let top = fit(highest, 1.05, MAX_R_HAT);
    let last = run.last_step().max(1) as f64;
    let limit = ui.visuals().strong_text_color();
    chart("r hat", HEIGHT, "steps", "R̂")
        .label_formatter(|position| {
            let (HoverPosition::Elsewhere { position }
            | HoverPosition::NearDataPoint { position, .. }) = position;
            Some(format!("step {:.0}: {:.3}\nline: 1.01", position.x, position.y))
        })
        .show(ui, |plot| {
            plot.set_plot_bounds_x(0.0..=last * 1.01);
            plot.set_plot_bounds_y(1.0 - 0.1 * (top - 1.0)..=top + 0.05 * (top - 1.0));
            let style = LineStyle::Dashed { length: 5.0 };
            plot.hline(HLine::new("", 1.01).color(limit).style(style).allow_hover(false));
            for (lane, report) in lanes.iter().enumerate() {
                let (color, style) = (lane_color(lane), line_style(lane));
                let width = line_width(lane, 2.0);
                let curve = report.r_hat.iter().map(|&(step, value)| (step, value.min(MAX_R_HAT)));
                line(plot, curve, |line| line.color(color).width(width).style(style));
            }
        });
}

fn autocorrelation(ui: &mut Ui, state: &PlotsView) {
    let lanes = state.convergence.lanes();
    let last = lanes.iter().filter_map(|lane| lane.autocorrelation.last()).map(|point| point.0);
    let last = last.fold(0.0, f64::max);
    if last == 0.0 {
        ui.weak("This needs some more steps.");
        return;
    }
    let zero = ui.visuals().weak_text_color();
    chart("autocorrelation", HEIGHT, "steps later", "autocorrelation")
        .label_formatter(|position| {
            let (HoverPosition::Elsewhere { position }
            | HoverPosition::NearDataPoint { position, .. }) = position;
            Some(format!("{:.0} steps later: {:.2}", position.x, position.y))
        })
        .show(ui, |plot| {
            plot.set_plot_bounds_x(0.0..=last);
            plot.set_plot_bounds_y(-0.55..=1.05);
            plot.hline(HLine::new("", 0.0).color(zero).allow_hover(false));
            for (lane, report) in lanes.iter().enumerate() {
                let (color, style) = (lane_color(lane), line_style(lane));
                let width = line_width(lane, 2.0);
                line(plot, report.autocorrelation.iter().copied(), |line| {
                    line.color(color).width(width).style(style)
                });
            }
        });
    if let Some(lane) = lanes.first().filter(|lane| lane.window.num_draws > 0) {
        note(
            ui,
            format!(
                "Mean over the chains of each lane, from steps {} to {}.",
                lane.window.first, lane.window.last
            ),
        );
    }
}
