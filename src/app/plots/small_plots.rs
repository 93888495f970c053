//! The smaller plots of the plots tab.

use egui::{Color32, RichText, Ui};
use egui_plot::{HLine, LineStyle};

use super::{
    convergence::LaneReport,
    legend::{legend, selected_name},
    probabilities,
    series::Metric,
    view::{HEIGHT, MetricPlot, PlotsView},
};
use crate::{
    app::{
        chart::{
            chart, lane_color, legend_entry, legend_row, line, line_style, line_width, note,
            pointer_x, readout,
        },
        r_hat::{self, RHatCurves},
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
    /// The distance between the first lane and the others.
    Apart,
}

impl SmallPlot {
    /// The plots of the chains, in the order in which they are shown.
    const OF_CHAINS: [Self; 6] = [
        Self::Probabilities,
        Self::Histogram,
        Self::GradientNorm,
        Self::ClampRate,
        Self::Distance,
        Self::Apart,
    ];
    /// The plots beside the table of convergence.
    pub(super) const OF_CONVERGENCE: [Self; 2] = [Self::RHat, Self::Autocorrelation];

    /// The plots of the chains of this number of lanes. A single lane has no distance from another.
    pub(super) fn of(num_lanes: usize) -> &'static [Self] {
        if num_lanes > 1 { &Self::OF_CHAINS } else { &Self::OF_CHAINS[..5] }
    }

    /// The title above the plot.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::GradientNorm => "Gradient norm",
            Self::ClampRate => "Clip rate",
            Self::Probabilities => "What the classifier sees",
            Self::Histogram => "Chains and real images",
            Self::Autocorrelation => "Autocorrelation of the energy",
            Self::Distance => "Distance from the start",
            Self::RHat => "R-hat along the run",
            Self::Apart => "Distance between lanes",
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
                "Correlation of the energy with itself k steps later. The faster it falls to 0, the more new information \
                 each step brings. Where R-hat applies, it stays above 0 if the chains disagree."
            }
            Self::RHat => {
                "Do the chains agree? Below the line at 1.01 they do. Each point uses the second half of the \
                 steps so far. R-hat cannot see what no chain has found."
            }
            Self::Distance => "|x - x₀|: how far the chains have moved from where they began.",
            Self::Apart => {
                "How far the chains of lane 1 are from those of another lane with the same number, as the mean over the \
                 chains. Lanes that do the same stay at 0."
            }
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
            state.wants_sampler |= descends(run) && offers_sampler(ui);
        }
        SmallPlot::Apart => apart(ui, state, run, names),
    }
    None
}

fn r_hat(ui: &mut Ui, state: &PlotsView, run: &RunState) {
    let lanes = state.convergence.lanes();
    let of_lanes: Vec<Option<String>> =
        lanes.iter().map(|lane| lane.why_no_r_hat().map(String::from)).collect();
    r_hat::reasons(&of_lanes).into_iter().for_each(|reason| note(ui, reason));
    for (lane, report) in lanes.iter().enumerate() {
        let Some(departure) = &report.departure else { continue };
        let who = if lanes.len() > 1 { format!("Lane {}: ", lane + 1) } else { String::new() };
        note(ui, who + &departure.text());
    }
    let curves = RHatCurves {
        id: "r hat",
        height: HEIGHT,
        last_step: run.last_step() as f64,
        lanes: lanes.iter().map(|lane| lane.r_hat.clone()).collect(),
    };
    if curves.has_values() {
        curves.show(ui);
    } else if of_lanes.iter().any(Option::is_none) {
        ui.weak("This needs some more steps.");
    }
}

/// Whether all chains are images without noise, which rest where they have descended to.
fn descends(run: &RunState) -> bool {
    let has_images = run.model.as_ref().is_some_and(|model| !model.is_planar());
    has_images && run.lanes.iter().all(|lane| lane.sampler.noise_std == 0.0)
}

/// Offers the bundled model that is trained to sample. Returns whether it is wanted.
fn offers_sampler(ui: &mut Ui) -> bool {
    ui.add_space(4.0);
    note(
        ui,
        "A built-in model has chains with noise, for which it was trained: they go on changing.",
    );
    let hover = "Opens a built-in model whose chains sample, and plays. Undo brings this run back.";
    ui.button("Open chains that sample").on_hover_text(hover).clicked()
}

fn apart(ui: &mut Ui, state: &PlotsView, run: &RunState, names: &[String]) {
    let others = || (1..names.len()).map(|lane| (lane, state.apart.curve(lane - 1)));
    legend_row(ui, |ui| {
        for lane in 1..names.len() {
            let name = format!("lane 1 to lane {}", lane + 1);
            legend_entry(ui, &name, lane_color(lane), line_style(lane));
        }
    });
    let values = others().flat_map(|(_, curve)| curve).map(|point| point.1);
    let top = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    let top = if top > 0.0 { 1.06 * top } else { 1.0 };
    let end = run.last_step().max(1) as f64;
    chart("apart", HEIGHT, "steps", "distance in units of x").show(ui, |plot| {
        plot.set_plot_bounds_x(-0.01 * end..=end * 1.01);
        plot.set_plot_bounds_y(-0.02 * top..=top);
        for (lane, curve) in others() {
            let (color, style) = (lane_color(lane), line_style(lane));
            let width = line_width(lane, 2.0);
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
    let curves: Vec<Vec<(f64, f64)>> =
        lanes.iter().map(|lane| lane.autocorrelation.to_vec()).collect();
    let zero = ui.visuals().weak_text_color();
    chart("autocorrelation", HEIGHT, "steps later", "autocorrelation")
        .label_formatter(|position| {
            let later = |lag: f64| format!("{lag:.0} steps later");
            readout(&curves, pointer_x(position), later, 2)
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
    if let Some(text) = autocorrelation_text(lanes) {
        note(ui, text);
    }
}

/// What the curves of the autocorrelation are, and of which steps.
fn autocorrelation_text(lanes: &[LaneReport]) -> Option<String> {
    let window = lanes.first().filter(|lane| lane.window.num_draws > 0)?.window;
    let what = |is_joint: bool| match is_joint {
        true => "all chains taken together",
        false => "the mean over the chains",
    };
    let is_joint = lanes[0].is_joint;
    let drawn = if lanes.iter().all(|lane| lane.is_joint == is_joint) {
        let of_each = if lanes.len() > 1 { " of each lane" } else { "" };
        format!("{}{of_each}", what(is_joint))
    } else {
        let of_lane = |(nth, lane): (usize, &LaneReport)| {
            format!("lane {}: {}", nth + 1, what(lane.is_joint))
        };
        lanes.iter().enumerate().map(of_lane).collect::<Vec<_>>().join("; ")
    };
    Some(format!("Drawn from steps {} to {}: {drawn}.", window.first, window.last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::plots::convergence::Window;

    #[test]
    fn the_autocorrelation_says_whether_chains_are_taken_together() {
        let window = Window { first: 8, last: 16, stride: 1, num_draws: 9 };
        let said = |of_lanes: &[bool]| {
            let lanes: Vec<LaneReport> = of_lanes
                .iter()
                .map(|&is_joint| LaneReport { window, is_joint, ..LaneReport::default() })
                .collect();
            autocorrelation_text(&lanes).unwrap_or_default()
        };
        assert_eq!(said(&[true]), "Drawn from steps 8 to 16: all chains taken together.");
        assert_eq!(
            said(&[false, false]),
            "Drawn from steps 8 to 16: the mean over the chains of each lane."
        );
        let mixed = "lane 1: all chains taken together; lane 2: the mean over the chains.";
        assert_eq!(said(&[true, false]), format!("Drawn from steps 8 to 16: {mixed}"));
        assert_eq!(said(&[]), "");
    }
}
