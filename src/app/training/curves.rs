//! The progress, curves and messages of a training run.

use egui::{Color32, ProgressBar, RichText, Ui};
use egui_plot::{HLine, HoverPosition, LineStyle, MarkerShape, Points};

use crate::{
    app::{
        chart::{chart, legend_entry, legend_row, line, line_style, note, points, with_room},
        fit::fit,
        state::{Phase, TrainingRecord, duration_text, smooth, usual_range},
        theme,
    },
    worker::TrainingPoint,
};

/// The height of a plot.
const HEIGHT: f32 = 150.0;
/// The approximate number of points that a trend averages over.
const NUM_SMOOTHED: usize = 25;

/// The colours of the curves. None of them is a lane's, and both are seen on a dark and on a light background.
const COLORS: [Color32; 2] = [theme::CLASSES[1], theme::CLASSES[6]];

/// A line of a curve plot.
struct Curve {
    name: &'static str,
    value: fn(&TrainingPoint) -> f64,
}

/// A plot of one or more curves.
struct CurvePlot {
    title: &'static str,
    explanation: &'static str,
    y_label: &'static str,
    curves: &'static [Curve],
    /// A range that the axis always includes.
    shown: Option<(f64, f64)>,
}

const PLOTS: [CurvePlot; 4] = [
    CurvePlot {
        title: "Loss and cross entropy",
        explanation: "Cross entropy: how well the classes are separated. It should fall.",
        y_label: "nats",
        curves: &[
            Curve { name: "loss", value: |point| point.loss },
            Curve { name: "cross entropy", value: |point| point.cross_entropy },
        ],
        shown: None,
    },
    CurvePlot {
        title: "Gap d",
        explanation: "Mean energy of data minus that of chains; should hover around 0. If it runs away, \
                      training diverges.",
        y_label: "energy",
        curves: &[Curve { name: "gap d", value: |point| point.gap }],
        shown: Some((0.0, 0.0)),
    },
    CurvePlot {
        title: "Gradient norm of the chains",
        explanation: "How steep the energy is along the chains. It should settle.",
        y_label: "energy per unit of x",
        curves: &[Curve { name: "gradient norm", value: |point| point.gradient_norm }],
        shown: None,
    },
    CurvePlot {
        title: "Clip rate",
        explanation: "Share of gradient components clipped to the proximal radius. Near 1, the chains see only \
                      the gradient's signs.",
        y_label: "share clipped",
        curves: &[Curve { name: "clip rate", value: |point| point.clamp_rate }],
        shown: Some((0.0, 1.0)),
    },
];

/// Draws the progress of the run and the remaining time.
pub(super) fn progress(ui: &mut Ui, run: &TrainingRecord) {
    if !run.has_begun() {
        ui.add_space(12.0);
        ui.heading("Train a model and watch it learn");
        ui.label(
            "Choose a preset on the left and press Start. Watch the loss, the energies and the images of the \
             chains here.",
        );
        return failure(ui, run);
    }
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(run.folder.display().to_string()).strong());
        let state = match &run.phase {
            Phase::None => String::new(),
            Phase::Running => "is training".into(),
            Phase::Paused(_) => "is paused; everything is saved".into(),
            Phase::Complete(path) => format!("is complete: {}", path.display()),
            Phase::Failed(_) => "has failed".into(),
        };
        ui.label(state);
    });
    failure(ui, run);
    if !run.memory.is_empty() {
        ui.weak(format!("Memory: {}", run.memory));
    }
    bar(ui, run);
    ui.add_space(6.0);
}

/// Draws why the run failed, if it did.
pub(super) fn failure(ui: &mut Ui, run: &TrainingRecord) {
    if let Phase::Failed(reason) = &run.phase {
        ui.label(RichText::new(format!("⚠ {reason}")).strong().color(theme::warning(ui)));
    }
}

/// Draws how many steps of the run are done, and the remaining time.
pub(super) fn bar(ui: &mut Ui, run: &TrainingRecord) {
    let mut text = format!("step {} of {}", run.step, run.num_steps);
    if run.phase == Phase::Running {
        if run.steps_per_sec > 0.0 {
            text += &format!(" · {:.1} steps/s", run.steps_per_sec);
        }
        if let Some(secs) = run.secs_left() {
            text += &format!(" · {} left", duration_text(secs));
        }
    }
    let done = run.step as f32 / run.num_steps.max(1) as f32;
    ui.add(
        ProgressBar::new(done)
            .fill(ui.visuals().selection.bg_fill)
            .corner_radius(3.0)
            .text(RichText::new(text).color(ui.visuals().strong_text_color())),
    );
}

/// Draws the curves of the run.
pub(super) fn ui(ui: &mut Ui, run: &TrainingRecord) {
    plots(ui, run, 0);
}

/// Draws the curve of the loss only.
pub(super) fn loss(ui: &mut Ui, run: &TrainingRecord) {
    curve_plot(ui, run, &PLOTS[0], steps(run));
}

/// Draws the curves other than that of the loss.
pub(super) fn others(ui: &mut Ui, run: &TrainingRecord) {
    plots(ui, run, 1);
}

/// The first and the last step on the axes.
fn steps(run: &TrainingRecord) -> (f64, f64) {
    let last = run.points.last_step().unwrap_or(run.step).max(1) as f64;
    let first = run.points.entries().first().map_or(0.0, |entry| entry.0 as f64 - 1.0);
    (first.min(last - 1.0), last)
}

/// Draws the plots from the one with this index on.
fn plots(ui: &mut Ui, run: &TrainingRecord, from: usize) {
    let num_columns = if ui.available_width() >= 560.0 { 2 } else { 1 };
    let x = steps(run);
    let num_plots = PLOTS.len() + 1;
    for row in (from..num_plots).collect::<Vec<_>>().chunks(num_columns) {
        ui.columns(num_columns, |columns| {
            for (ui, &index) in columns.iter_mut().zip(row) {
                // The plot of accuracy stands second.
                ui.vertical(|ui| match index {
                    1 => accuracy(ui, run, x),
                    0 => curve_plot(ui, run, &PLOTS[0], x),
                    _ => curve_plot(ui, run, &PLOTS[index - 1], x),
                });
            }
            if row.len() < num_columns
                && let Some(ui) = columns.last_mut()
            {
                ui.vertical(how_to_read);
            }
        });
        ui.add_space(6.0);
    }
}

fn how_to_read(ui: &mut Ui) {
    ui.label(RichText::new("How to read this").strong());
    note(
        ui,
        "Training lowers the energy of data and raises the energy of the chains' samples. While the two \
         balance, d stays near 0 and r settles. If d is far below 0, the chains no longer reach what the model \
         finds likely. If r grows, they will soon explode. Then the run returns to its last good state, with a \
         lower learning rate, and says so below.",
    );
}

fn curve_plot(ui: &mut Ui, run: &TrainingRecord, what: &CurvePlot, (first, last): (f64, f64)) {
    ui.label(RichText::new(what.title).strong());
    note(ui, what.explanation);
    let curves: Vec<_> = what.curves.iter().map(|curve| run.curve(curve.value)).collect();
    legend_row(ui, |ui| {
        if curves.len() > 1 {
            for (nth, curve) in what.curves.iter().enumerate() {
                legend_entry(ui, curve.name, color(nth), line_style(nth));
            }
        }
        if let Some((_, point)) = run.points.entries().last() {
            let values = what.curves.iter().map(|curve| number((curve.value)(point)));
            note(ui, format!("now {}", values.collect::<Vec<_>>().join(" and ")));
        }
    });
    let (low, high) = usual_range(&curves).unwrap_or((0.0, 1.0));
    let (low, high) = match what.shown {
        Some((from, to)) => (low.min(from), high.max(to)),
        None => (low, high),
    };
    let (low, high) = with_room(low, high);
    let zero = ui.visuals().strong_text_color().gamma_multiply(0.7);
    chart(what.title, HEIGHT, "training step", what.y_label)
        .label_formatter(|position| {
            let (HoverPosition::Elsewhere { position }
            | HoverPosition::NearDataPoint { position, .. }) = position;
            let (step, point) = run.points.at(position.x.max(0.0) as u64)?;
            let lines =
                what.curves.iter().map(|c| format!("\n{}: {}", c.name, number((c.value)(point))));
            Some(format!("step {step}{}", lines.collect::<String>()))
        })
        .show(ui, |plot| {
            plot.set_plot_bounds_x(first..=last);
            plot.set_plot_bounds_y(low..=high);
            if what.shown == Some((0.0, 0.0)) {
                let line = HLine::new("", 0.0).color(zero).width(1.0);
                plot.hline(line.style(LineStyle::Dashed { length: 4.0 }).allow_hover(false));
            }
            for (nth, curve) in curves.iter().enumerate() {
                let faint = color(nth).gamma_multiply(0.3);
                line(plot, curve.iter().copied(), |line| line.color(faint).width(1.0));
            }
            for (nth, curve) in curves.iter().enumerate() {
                let style = line_style(nth);
                // A NaN value remains a gap.
                let usual = curve.iter().filter(|point| !point.1.is_nan());
                let usual = usual.map(|&(x, y)| (x, fit(y, low, high)));
                line(plot, smooth(usual, NUM_SMOOTHED), |line| {
                    line.color(color(nth)).width(2.0).style(style)
                });
            }
        });
}

fn color(nth: usize) -> Color32 {
    COLORS[nth % COLORS.len()]
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1e4 || size > 0.0 && size < 1e-3 => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.3}"),
    }
}

fn accuracy(ui: &mut Ui, run: &TrainingRecord, (first, last): (f64, f64)) {
    ui.label(RichText::new("Accuracy").strong());
    note(ui, "Test accuracy, measured every epoch (or as configured).");
    let text = match run.accuracy.last() {
        Some((step, accuracy)) => format!("{:.1} % at step {step}", 100.0 * accuracy),
        None => "not measured yet".into(),
    };
    note(ui, text);
    let curve = || run.accuracy.iter().map(|&(step, value)| (step as f64, 100.0 * value));
    chart("accuracy", HEIGHT, "training step", "test accuracy, %").show(ui, |plot| {
        plot.set_plot_bounds_x(first..=last * 1.01);
        plot.set_plot_bounds_y(-4.0..=104.0);
        line(plot, curve(), |line| line.color(color(0)).width(2.0));
        let marks =
            Points::new("", points(curve())).color(color(0)).radius(3.5).shape(MarkerShape::Circle);
        plot.points(marks.allow_hover(false));
    });
}

/// Draws the messages of the run.
pub(super) fn messages(ui: &mut Ui, run: &TrainingRecord) {
    if run.messages.is_empty() {
        return;
    }
    ui.add_space(8.0);
    ui.label(RichText::new("What happened").strong());
    for (step, message) in run.messages.iter().rev() {
        ui.label(format!("⚠ step {step}: {message}"));
    }
}
