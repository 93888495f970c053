//! The plots of the lab: measurements of its chains, and of training.

use egui::{Color32, RichText, Ui};
use egui_plot::HLine;

use crate::{
    app::{
        chart::{chart, lane_color, line, line_style, line_width, pointer_x, readout, with_room},
        fit::fit,
        pixels::number,
        r_hat::{self, RHatCurves},
        size_class,
        state::{Agreement, Curve, Lab, LaneRecord, MAX_LAG},
        theme,
    },
    config::{LabReference, LabTarget},
    diagnostics::cells::EXTENT,
};

/// The height of each plot when all plots are in one column.
const HEIGHT: f32 = 130.0;
/// The number of chains whose traces are drawn.
const NUM_DRAWN: usize = 6;
/// The maximum number of points of a trace.
const MAX_DRAWN: usize = 600;

/// What the plot of x₀ shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Agrees {
    /// x₀ of some chains at every step.
    #[default]
    Traces,
    /// The correlation of x₀ with itself some steps later.
    Autocorrelation,
    /// Split R-hat along the run.
    RHat,
}

impl Agrees {
    /// Every choice, with its name and an explanation.
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Traces, "Traces", "x₀ of some chains at every step."),
        (
            Self::Autocorrelation,
            "Autocorrelation",
            "Correlation of x₀ with itself k steps later. The faster it falls to 0, the more new information each \
             step brings. It stays above 0 if the chains disagree.",
        ),
        (
            Self::RHat,
            "R-hat",
            "R-hat of x₀ along the run. Below the line at 1.01 the chains agree. Each point looks at the later half \
             of the steps since the sampler or the energy last changed.",
        ),
    ];
}

/// The choice between plots.
#[derive(Default)]
pub(super) struct MeasuresView {
    agrees: Agrees,
    /// Whether to show the distance between two lanes in place of their energies.
    shows_distance: bool,
}

/// The choice between the energy and the distance between two lanes.
const ENERGY_OR_DISTANCE: [(bool, &str, &str); 2] = [
    (false, "Energy", "The mean of E over the chains of each lane."),
    (
        true,
        "Distance",
        "How far the chains of lane 1 are from those of lane 2 with the same number.",
    ),
];

/// Draws small tabs above a plot.
fn tabs<T: PartialEq + Copy>(ui: &mut Ui, chosen: &mut T, all: &[(T, &str, &str)]) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        ui.spacing_mut().interact_size.y = 14.0;
        ui.spacing_mut().button_padding = egui::vec2(3.0, 0.0);
        for (choice, name, hover) in all {
            let name = RichText::new(*name).size(11.0);
            ui.selectable_value(chosen, *choice, name).on_hover_text(*hover);
        }
    });
}

/// Whether there is space for the plots side by side.
pub(super) fn is_wide(ui: &Ui) -> bool {
    ui.available_width() > 520.0
}

/// Draws the plots, side by side if there is space.
pub(super) fn ui(ui: &mut Ui, lab: &mut Lab, shown: &mut MeasuresView) {
    let is_learned = lab.settings.config.target == LabTarget::Learned;
    let room = ui.available_size();
    let is_wide = is_wide(ui);
    let height = match (is_wide, size_class::is_small(ui.ctx())) {
        (true, false) => room.y - 22.0,
        // A small window scrolls to the plots.
        (true, true) => HEIGHT,
        _ => fit(room.y / 3.0 - 30.0, HEIGHT, 240.0),
    };
    let mut plots = |uis: &mut [Ui]| {
        let last = uis.len() - 1;
        if is_learned {
            gap(&mut uis[0], lab, height);
            cross_entropy(&mut uis[1.min(last)], lab, height);
        } else {
            variation(&mut uis[0], lab, height);
            energy_or_distance(&mut uis[1.min(last)], lab, height, shown);
        }
        agreement(&mut uis[2.min(last)], lab, height, shown);
    };
    match is_wide {
        true => ui.columns(3, |columns| plots(columns)),
        false => ui.columns(1, |columns| plots(columns)),
    }
}

fn title(ui: &mut Ui, text: &str, hover: &str) {
    let label = egui::Label::new(RichText::new(text).size(11.5).strong()).truncate();
    ui.add(label).on_hover_text(hover);
}

/// The number of steps that an axis shows.
fn steps(curves: impl Iterator<Item = f64>) -> f64 {
    curves.fold(20.0, f64::max)
}

fn ends(curve: &Curve) -> f64 {
    curve.points().last().map_or(0.0, |point| point[0])
}

/// Draws the total variation distance to the exact density.
fn variation(ui: &mut Ui, lab: &mut Lab, height: f32) {
    let record = &lab.record;
    let values: Vec<String> = record
        .lanes
        .iter()
        .map(|lane| match lane.variation.last() {
            Some(value) => format!("{value:.3}"),
            None => "—".into(),
        })
        .collect();
    let to = match lab.settings.config.reference {
        LabReference::Model => "p(x)",
        LabReference::Tempered => "p(x)^β",
    };
    let text = format!("Total variation to {to}: {}", values.join(" | "));
    title(
        ui,
        &text,
        "½ Σ |share of chains − exact mass| over 36 × 36 cells and the part outside the plane. 0: perfect \
         match; 1: no overlap. The dotted line is what the same number of independent exact draws gives by \
         chance. A curve that settles above it is biased. Without noise there is no p(x)^β to compare with.",
    );
    let end = steps(record.lanes.iter().map(|lane| ends(&lane.variation)));
    chart("lab variation", height, "", "").show(ui, |plot| {
        plot.set_plot_bounds_x(-0.01 * end..=end * 1.01);
        plot.set_plot_bounds_y(-0.02..=1.02);
        for (index, lane) in record.lanes.iter().enumerate() {
            draw(plot, &lane.variation, index);
            if lane.exact().is_some() {
                let color = lane_color(index).gamma_multiply(0.8);
                let style = egui_plot::LineStyle::Dotted { spacing: 4.0 };
                plot.hline(HLine::new("", lane.floor).color(color).style(style).allow_hover(false));
            }
        }
    });
    let reason = record.lanes.iter().find_map(|lane| lane.exact.as_ref()?.as_ref().err());
    if let Some(reason) = reason {
        // The curve is missing for a reason, which is written in its place.
        let at = ui.min_rect().center_bottom() - egui::vec2(0.0, 0.5 * height);
        let font = egui::FontId::proportional(11.0);
        let color = ui.visuals().weak_text_color();
        ui.painter().text(at, egui::Align2::CENTER_CENTER, reason.to_string(), font, color);
    }
}

fn draw<'a>(plot: &mut egui_plot::PlotUi<'a>, curve: &'a Curve, index: usize) {
    let values = curve.points().iter().map(|point| (point[0], point[1]));
    let (color, style) = (lane_color(index), line_style(index));
    let width = line_width(index, 1.8);
    line(plot, values, |line| line.color(color).width(width).style(style));
}

/// Draws the mean energy of the chains or, for two lanes, the distance between them if it is chosen.
fn energy_or_distance(ui: &mut Ui, lab: &Lab, height: f32, shown: &mut MeasuresView) {
    if lab.record.lanes.len() != 2 {
        return energy(ui, lab, height);
    }
    tabs(ui, &mut shown.shows_distance, &ENERGY_OR_DISTANCE);
    let height = (height - 18.0).max(24.0);
    match shown.shows_distance {
        true => distance(ui, &lab.record.apart, height),
        false => energy(ui, lab, height),
    }
}

/// Draws the distance between two lanes.
fn distance(ui: &mut Ui, apart: &Curve, height: f32) {
    let now = apart.last().filter(|value| value.is_finite());
    title(
        ui,
        &format!("Distance between the lanes: {}", now.map_or("—".into(), |v| number(v as f32))),
        "The distance between each chain of lane 1 and the chain of lane 2 with the same number, in units of x, as the \
         mean over the chains. Both have the same noise, so samplers that do the same stay at 0.",
    );
    let values = apart.points().iter().map(|point| point[1]).filter(|value| value.is_finite());
    let top = values.fold(0.0, f64::max);
    let top = if top > 0.0 { 1.06 * top } else { 0.1 };
    let end = steps(std::iter::once(ends(apart)));
    let color = ui.visuals().strong_text_color();
    chart("lab distance", height, "", "").show(ui, |plot| {
        plot.set_plot_bounds_x(-0.01 * end..=end * 1.01);
        plot.set_plot_bounds_y(-0.02 * top..=top);
        let values = apart.points().iter().map(|point| (point[0], point[1]));
        line(plot, values, |line| line.color(color).width(1.8));
    });
}

/// Draws the mean energy of the chains.
fn energy(ui: &mut Ui, lab: &Lab, height: f32) {
    let lanes = &lab.record.lanes;
    let value = |lane: &LaneRecord| lane.energy.last().map_or("—".into(), |v| number(v as f32));
    let values: Vec<String> = lanes.iter().map(value).collect();
    let rates = lanes.iter().filter_map(|lane| lane.now.as_ref());
    let accepted: Vec<String> = rates
        .filter_map(|now| now.acceptance)
        .map(|rate| format!("{:.0} %", 100.0 * rate))
        .collect();
    let mut text = format!("Mean energy: {}", values.join(" | "));
    if !accepted.is_empty() {
        text += &format!(" · accepted {}", accepted.join(" | "));
    }
    let clamped: Vec<String> = lanes
        .iter()
        .filter_map(|lane| lane.now.as_ref().filter(|now| now.clamp_rate > 0.0))
        .map(|now| format!("{:.0} %", 100.0 * now.clamp_rate))
        .collect();
    if !clamped.is_empty() {
        text += &format!(" · clipped {}", clamped.join(" | "));
    }
    title(
        ui,
        &text,
        "Mean of E over the chains: how far down they are. Accepted: MALA's mean acceptance probability. \
         Clipped: the share of gradient components clipped in the last step.",
    );
    let finite = lanes.iter().flat_map(|lane| lane.energy.points());
    let values = finite.map(|point| point[1]).filter(|value: &f64| value.abs() < 1e4);
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) =
        values.fold(start, |(low, high), value: f64| (low.min(value), high.max(value)));
    let (low, high) = if low <= high { with_room(low, high) } else { (0.0, 1.0) };
    let end = steps(lanes.iter().map(|lane| ends(&lane.energy)));
    chart("lab energy", height, "", "").show(ui, |plot| {
        plot.set_plot_bounds_x(-0.01 * end..=end * 1.01);
        plot.set_plot_bounds_y(low..=high);
        for (index, lane) in lanes.iter().enumerate() {
            draw(plot, &lane.energy, index);
        }
    });
}

/// Draws how well the chains agree: traces, autocorrelation or R-hat of x0, with R-hat and ESS as numbers.
fn agreement(ui: &mut Ui, lab: &Lab, height: f32, shown: &mut MeasuresView) {
    let lanes = &lab.record.lanes;
    let withheld: Vec<Option<String>> = lanes.iter().map(LaneRecord::why_no_r_hat).collect();
    tabs(ui, &mut shown.agrees, &Agrees::ALL);
    let is_learning = lab.record.is_learning;
    let said = agreement_text(lanes, &withheld, is_learning);
    let top = ui.cursor().top();
    let hover = format!(
        "{said}\n\nSplit R-hat and bulk effective sample size of x₀ of 32 chains, from the later half of the steps since \
             the sampler or the energy last changed. Chains that agree have R-hat below 1.01. Neither number can see a \
             mode that no chain has found, or the bias of too large a step."
    );
    // A reason why there is no number is a sentence, which is not cut off. One row is as high as the tabs above it.
    let label = egui::Label::new(RichText::new(&said).size(11.5).strong()).wrap();
    // Text in a column of `columns` is justified, so this uses its own layout.
    ui.vertical(|ui| ui.add(label).on_hover_text(hover));
    let height = (height - (ui.cursor().top() - top)).max(24.0);
    match shown.agrees {
        Agrees::Traces => traces(ui, lanes, height),
        Agrees::Autocorrelation => autocorrelation(ui, lanes, height),
        Agrees::RHat => {
            // A reason stands above the plot.
            let is_said = is_learning || withheld.iter().any(Option::is_some);
            r_hat_curves(ui, lanes, &withheld, is_said, height);
        }
    }
}

/// R-hat and ESS of every lane, or why there are none.
fn agreement_text(lanes: &[LaneRecord], withheld: &[Option<String>], is_learning: bool) -> String {
    if withheld.iter().all(Option::is_some) && !withheld.is_empty() {
        return r_hat::reasons(withheld).join(" ");
    }
    if is_learning {
        return "No R-hat while the network learns: its energy keeps changing.".into();
    }
    let of_lane = |(lane, reason): (&LaneRecord, &Option<String>)| match (&lane.agreement, reason) {
        (Some(Agreement { r_hat: Ok(r_hat), ess: Ok(ess), .. }), None) => {
            (format!("{r_hat:.3}"), format!("{ess:.0}"))
        }
        _ => ("—".into(), "—".into()),
    };
    let (r_hats, sizes): (Vec<_>, Vec<_>) = lanes.iter().zip(withheld).map(of_lane).unzip();
    let mut said = format!("R-hat {} · ESS {}", r_hats.join(" | "), sizes.join(" | "));
    let since = lanes.iter().map(|lane| lane.unchanged_since).max().filter(|&step| step > 0);
    if let Some(step) = since {
        said += &format!(" · since the change at step {step}");
    }
    for reason in r_hat::reasons(withheld) {
        said += &format!(" · {reason}");
    }
    said
}

/// Draws x0 of some chains at every step.
fn traces(ui: &mut Ui, lanes: &[LaneRecord], height: f32) {
    let first = lanes.iter().map(|lane| lane.first_traced as f64).fold(f64::INFINITY, f64::min);
    let first = if first.is_finite() { first } else { 0.0 };
    let lengths = lanes.iter().map(|lane| lane.traces.first().map_or(0, Vec::len));
    let end = first + steps(lengths.map(|length| length as f64));
    chart("lab traces of x0", height, "", "").show(ui, |plot| {
        plot.set_plot_bounds_x(first - 0.01 * (end - first)..=end);
        plot.set_plot_bounds_y(-1.2..=1.2);
        for (index, lane) in lanes.iter().enumerate() {
            for (nth, trace) in lane.traces.iter().take(NUM_DRAWN).enumerate() {
                let stride = (trace.len() / MAX_DRAWN).max(1);
                let start = lane.first_traced as f64;
                let values = trace.iter().enumerate().step_by(stride).map(|(step, v)| {
                    // A chain that has left the plane would draw lines across the plot.
                    let value = if v[0].abs() < EXTENT { f64::from(v[0]) } else { f64::NAN };
                    (start + step as f64, value)
                });
                let color = match lanes.len() {
                    1 => theme::CLASSES[nth % theme::CLASSES.len()],
                    _ => lane_color(index).gamma_multiply(0.7),
                };
                line(plot, values, |line| line.color(color).width(1.0));
            }
        }
    });
}

/// Draws the correlation of x0 with itself some steps later.
fn autocorrelation(ui: &mut Ui, lanes: &[LaneRecord], height: f32) {
    let end = MAX_LAG as f64;
    let curve = |lane: &LaneRecord| {
        let values = lane.agreement.iter().flat_map(|a| &a.autocorrelation).enumerate();
        values.map(|(lag, value)| (lag as f64, *value)).collect()
    };
    let curves: Vec<Vec<(f64, f64)>> = lanes.iter().map(curve).collect();
    let plot = chart("lab traces", height, "", "").label_formatter(|position| {
        let later = |lag: f64| format!("{lag:.0} steps later");
        readout(&curves, pointer_x(position), later, 2)
    });
    plot.show(ui, |plot| {
        plot.set_plot_bounds_x(-0.01 * end..=end);
        plot.set_plot_bounds_y(-0.2..=1.0);
        for (index, curve) in curves.iter().enumerate() {
            let (color, style) = (lane_color(index), line_style(index));
            line(plot, curve.iter().copied(), |line| line.color(color).width(1.8).style(style));
        }
    });
}

/// Draws R-hat along the run. `is_said` is whether the reason why there is none already stands above.
fn r_hat_curves(
    ui: &mut Ui,
    lanes: &[LaneRecord],
    withheld: &[Option<String>],
    is_said: bool,
    height: f32,
) {
    let curve = |(lane, reason): (&LaneRecord, &Option<String>)| match reason {
        Some(_) => Vec::new(),
        None => lane.r_hat.points().iter().map(|point| (point[0], point[1])).collect(),
    };
    let curves = RHatCurves {
        id: "lab r hat",
        height,
        last_step: steps(lanes.iter().map(|lane| ends(&lane.r_hat))),
        lanes: lanes.iter().zip(withheld).map(curve).collect(),
    };
    if curves.has_values() {
        return curves.show(ui);
    }
    if is_said {
        return;
    }
    let text = RichText::new("It takes some more steps until there is something to compare.");
    let size = egui::vec2(ui.available_width(), height);
    let layout = egui::Layout::top_down(egui::Align::Min);
    ui.allocate_ui_with_layout(size, layout, |ui| {
        ui.add(egui::Label::new(text.size(11.0)).wrap());
    });
}

/// The colour for d < 0 (expansion); the next one is for d > 0 (contraction).
const EXPANDS: Color32 = theme::NOISE;
const CONTRACTS: Color32 = theme::DRIFT;

/// Draws d = E(data) − E(chains), coloured by its sign.
fn gap(ui: &mut Ui, lab: &Lab, height: f32) {
    let gaps = &lab.record.learning.gaps;
    let now = gaps.last();
    let phase = match now {
        Some(gap) if gap < 0.0 => "expands",
        Some(gap) if gap > 0.0 => "contracts",
        Some(_) => "no p(x) term",
        None => "not started",
    };
    let text = format!(
        "Gap d: {} · {phase} · step {}",
        now.map_or("—".into(), |gap| format!("{gap:.3}")),
        lab.record.learning.step
    );
    title(
        ui,
        &text,
        "d = mean E(data) − mean E(chains), the loss of p(x). Where d < 0 (pink), data have lower energy than \
         chains. A steeper energy would lower the loss further, so the energy expands. Where d > 0 (yellow), \
         chains have found lower energies than data, and the energy contracts. In healthy learning d hovers \
         around 0. If d keeps one sign, learning runs away.",
    );
    let largest = gaps.points().iter().map(|p| p[1].abs()).filter(|v| v.is_finite());
    let top = largest.fold(0.1, f64::max) * 1.05;
    let end = steps(std::iter::once(ends(gaps)));
    chart("lab gap", height, "", "").show(ui, |plot| {
        plot.set_plot_bounds_x(-0.01 * end..=end * 1.01);
        plot.set_plot_bounds_y(-top..=top);
        plot.hline(HLine::new("", 0.0).color(Color32::GRAY).width(1.0).allow_hover(false));
        for (color, is_shown) in [(EXPANDS, -1.0), (CONTRACTS, 1.0)] {
            let values = gaps.points().iter().map(|point| {
                let value = if point[1] * is_shown >= 0.0 { point[1] } else { 0.0 };
                (point[0], value)
            });
            line(plot, values, |line| line.color(color).width(1.4).fill(0.0));
        }
    });
}

fn cross_entropy(ui: &mut Ui, lab: &Lab, height: f32) {
    let curve = &lab.record.learning.cross_entropy;
    let value = curve.last().map_or("—".into(), |value| format!("{:.4}", value.max(0.0)));
    title(
        ui,
        &format!("Cross entropy: {value}"),
        "How well the classes of the data are separated, in nats. Lower is better.",
    );
    let top = curve.points().iter().map(|p| p[1]).filter(|v| v.is_finite()).fold(0.1, f64::max);
    let end = steps(std::iter::once(ends(curve)));
    chart("lab cross entropy", height, "", "").show(ui, |plot| {
        plot.set_plot_bounds_x(-0.01 * end..=end * 1.01);
        plot.set_plot_bounds_y(-0.02 * top..=1.05 * top);
        draw(plot, curve, 0);
    });
}
