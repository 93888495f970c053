//! The curves of a report: one panel for each metric, with a band over the seeds of each setting.

use maud::{Markup, html};

use super::{
    metrics::{METRICS, Metric},
    setting::{Point, Setting},
};
use crate::{
    config::shortened,
    page::{
        ink::{Look, Shape},
        parts::{figure, legend},
        plot::{Axis, Mark, Panel},
        text::Unit,
    },
};

/// The height of a panel, in pixels.
const HEIGHT: i32 = 230;

/// The most characters of a setting in the legend of a file.
const KEY: usize = 44;

/// A metric with its panel.
pub(super) struct Curve {
    pub(super) metric: &'static Metric,
    pub(super) panel: Panel,
}

/// The panels of all metrics that the runs have. A term of the loss that is off is 0 in all of them and left out.
pub(super) fn curves(settings: &[Setting]) -> Vec<Curve> {
    let curve = |metric: &'static Metric| {
        let lines: Vec<Vec<Point>> = settings.iter().map(|setting| setting.curve(metric)).collect();
        let is_there = lines.iter().flatten().any(|(_, mean, _)| *mean != 0.0);
        is_there.then(|| Curve { metric, panel: panel(metric, settings, &lines) })
    };
    METRICS.iter().filter_map(curve).collect()
}

/// The style of a setting's curve: a line without dots.
fn look(index: usize) -> Look {
    Look { shape: Shape::Nothing, ..Look::of_model(index) }
}

fn panel(metric: &Metric, settings: &[Setting], lines: &[Vec<Point>]) -> Panel {
    let ends = |&(_, mean, std): &Point| {
        let std = std.unwrap_or(0.0);
        [mean - std, mean + std]
    };
    let finite = lines.iter().flatten().flat_map(ends).filter(|value| value.is_finite());
    let (low, high) = finite
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), value| (a.min(value), b.max(value)));
    let last = lines.iter().flatten().map(|point| point.0).fold(1.0, f64::max);
    let margin = 0.04 * (high - low);
    let mut marks = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let band: Vec<(f64, f64, f64)> = line
            .iter()
            .filter_map(|&(step, mean, std)| std.map(|std| (step, mean - std, mean + std)))
            .collect();
        if band.len() > 1 {
            marks.push(Mark::Band(band, look(index).ink));
        }
    }
    for (index, line) in lines.iter().enumerate() {
        let points: Vec<(f64, f64)> = line.iter().map(|&(step, mean, _)| (step, mean)).collect();
        // A single evaluation is a dot.
        marks.push(match points.len() {
            1 => Mark::Dots(points, Look::of_model(index)),
            _ => Mark::Line(points, look(index)),
        });
    }
    let scaled = Axis::linear("", low - margin, high + margin);
    let y = match metric.unit {
        Unit::Percent => scaled.in_percent(),
        _ => scaled,
    };
    let names: Vec<&str> = settings.iter().map(|setting| setting.label.as_str()).collect();
    let alt = format!("{} over the steps of training, of {}", metric.title, names.join("; "));
    let x = Axis::linear("step", 0.0, last);
    Panel { title: metric.title.into(), alt, x, y, height: HEIGHT, marks, keys: Vec::new() }
}

/// The panel of a curve for a file of its own, where no page names the settings.
pub(super) fn alone(curve: &Curve, settings: &[Setting]) -> Panel {
    let keys = settings.iter().enumerate();
    let keys = keys.map(|(index, setting)| (look(index), shortened(&setting.label, KEY)));
    curve.panel.clone().alone(keys.collect())
}

/// All curves as a figure.
pub(super) fn section(settings: &[Setting], curves: &[Curve]) -> Markup {
    let has_bands = settings.iter().any(|setting| setting.runs.len() > 1);
    let entries = settings.iter().enumerate();
    let entries = entries.map(|(index, setting)| (look(index), setting.label.clone()));
    let caption = html! {
        @if has_bands {
            "Lines are means over seeds, bands one standard deviation to each side. "
        }
        "Metrics of single steps are averaged over hundredths of the run."
    };
    let legend = if settings.len() > 1 {
        legend(entries)
    } else {
        html! {}
    };
    figure(curves.iter().map(|curve| curve.panel.markup()), legend, caption)
}
