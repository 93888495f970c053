//! A plot of one metric of all lanes over the run: band, median, single chains, and a playhead that follows the
//! pointer.

use egui::{Color32, Ui};
use egui_plot::{HoverPosition, VLine};

use super::{
    faint::{FaintCache, FaintChains},
    ranges::calm_end,
    series::{Metric, Series, XAxis},
};
use crate::app::chart::{
    band, chart, lane_color, line, line_style, line_width, steps_sense, with_room,
};

/// The line of one chain.
pub(super) struct ChainLine {
    /// The lane of the chain.
    pub lane: usize,
    /// The points (step, value).
    pub points: Vec<(u64, f64)>,
    /// The name of the chain.
    pub name: String,
}

/// A plot of a metric over the run.
pub(super) struct LinePlot<'a> {
    /// The id of the plot, unique in the window.
    pub id: &'static str,
    /// The metric that is drawn.
    pub metric: Metric,
    /// The label of the vertical axis.
    pub y_label: &'static str,
    /// The height of the plot, in points.
    pub height: f32,
    /// The quantity on the horizontal axis.
    pub axis: XAxis,
    /// The numbers to draw.
    pub series: &'a Series,
    /// The range of the values, without a margin.
    pub y_range: Option<(f32, f32)>,
    /// The names of the lanes.
    pub names: &'a [String],
    /// The step at which the run will stop.
    pub goal: u64,
    /// The step that is shown.
    pub shown_step: u64,
    /// The lane whose steps a click chooses from. Lanes may have different positions on the axis.
    pub lane_of_clicks: usize,
    /// The line of the selected chain.
    pub selected: Option<&'a ChainLine>,
    /// The cache for the triangles of single chains. With `None`, single chains are not drawn.
    pub faint: Option<&'a FaintCache>,
}

impl LinePlot<'_> {
    /// Draws the plot. Returns the step that was clicked or dragged to.
    pub(super) fn show(self, ui: &mut Ui) -> Option<u64> {
        let (axis, series) = (self.axis, self.series);
        let num_lanes = series.num_lanes();
        // Too low for three rows of text, so the name of the axis stands above the plot.
        let x_label = if self.height < 110.0 { "" } else { axis.name() };
        let x_end = self.x_end();
        let (low, high) = self
            .y_range
            .map_or((0.0, 1.0), |(low, high)| with_room(f64::from(low), f64::from(high)));
        let playhead = ui.visuals().strong_text_color();
        let bold = ui.visuals().strong_text_color();
        let lane_of_clicks = self.lane_of_clicks.min(num_lanes.saturating_sub(1));
        let (names, metric) = (self.names, self.metric);
        let chain = self.selected;
        let plot = chart(self.id, self.height, x_label, self.y_label)
            .sense(steps_sense(ui))
            .label_formatter(move |position| {
                let (HoverPosition::Elsewhere { position }
                | HoverPosition::NearDataPoint { position, .. }) = position;
                hover_text(series, axis, metric, names, lane_of_clicks, chain, position.x)
            });
        let response = plot.show(ui, |plot| {
            plot.set_plot_bounds_x(-0.01 * x_end..=x_end * 1.01);
            plot.set_plot_bounds_y(low..=high);
            if let Some(cache) = self.faint {
                plot.add(FaintChains::new(series, axis, cache));
            }
            for lane in 0..num_lanes {
                let spread = series.columns().iter().map(|column| {
                    let spread = column.lanes[lane].spreads[metric as usize];
                    (column.x(axis, lane), f64::from(spread.low), f64::from(spread.high))
                });
                band(plot, "", &spread.collect::<Vec<_>>(), lane_color(lane));
            }
            for lane in 0..num_lanes {
                let median = series.columns().iter().map(|column| {
                    let spread = column.lanes[lane].spreads[metric as usize];
                    (column.x(axis, lane), f64::from(spread.median))
                });
                let (color, style) = (lane_color(lane), line_style(lane));
                let width = line_width(lane, 2.0);
                line(plot, median, |line| line.color(color).width(width).style(style));
            }
            if let Some(chain) = chain {
                let x = |step| series.x_of_step(axis, chain.lane, step);
                let values = chain.points.iter().map(|&(step, value)| (x(step), value));
                line(plot, values, |line| line.color(bold).width(2.2));
            }
            // If the axis counts cost, the same step has a different position in each lane.
            let num_playheads = if axis == XAxis::Steps { num_lanes.min(1) } else { num_lanes };
            for lane in 0..num_playheads {
                let x = match axis {
                    XAxis::Steps => self.shown_step as f64,
                    _ => series.x_of_step(axis, lane, self.shown_step),
                };
                let color = if num_playheads > 1 { lane_color(lane) } else { playhead };
                plot.vline(VLine::new("", x).color(fade(color)).width(1.5).allow_hover(false));
            }
        });
        let is_moved = response.response.clicked() || response.response.dragged();
        let pointer = response.response.interact_pointer_pos().filter(|_| is_moved)?;
        let x = response.transform.value_from_position(pointer).x;
        series.nearest(axis, lane_of_clicks, x).map(|column| column.step)
    }

    fn x_end(&self) -> f64 {
        let last = self.series.columns().last();
        let ends = (0..self.series.num_lanes())
            .filter_map(|lane| last.map(|column| column.x(self.axis, lane)));
        let end = ends.fold(0.0, f64::max);
        let goal = if self.axis == XAxis::Steps { self.goal.max(1) as f64 } else { f64::INFINITY };
        match (end > 0.0, self.axis) {
            (true, _) => calm_end(end, goal),
            (false, XAxis::Steps) => goal.min(10.0),
            (false, _) => 1.0,
        }
    }
}

fn fade(color: Color32) -> Color32 {
    color.gamma_multiply(0.75)
}

/// The text beside the pointer: the step, and the numbers of every lane at that step.
fn hover_text(
    series: &Series,
    axis: XAxis,
    metric: Metric,
    names: &[String],
    lane_of_clicks: usize,
    chain: Option<&ChainLine>,
    x: f64,
) -> Option<String> {
    let column = series.nearest(axis, lane_of_clicks, x)?;
    let mut text = match axis {
        XAxis::Steps => format!("step {}", column.step),
        XAxis::Gradients => format!("{x:.0} full gradients"),
        XAxis::Seconds => format!("{x:.2} seconds"),
    };
    for (lane, name) in names.iter().enumerate().take(series.num_lanes()) {
        let at = series.nearest(axis, lane, x)?;
        let spread = at.lanes.get(lane)?.spreads[metric as usize];
        let step = if axis == XAxis::Steps { String::new() } else { format!(", step {}", at.step) };
        text += &match spread.median.is_finite() {
            true => format!(
                "\n{name}{step}: median {:.2}, 80 % from {:.2} to {:.2}",
                spread.median, spread.low, spread.high
            ),
            false => format!("\n{name}{step}: no finite value"),
        };
    }
    if let Some(chain) = chain {
        let step = series.nearest(axis, chain.lane, x)?.step;
        let near = chain.points.iter().min_by_key(|point| point.0.abs_diff(step))?;
        text += &format!("\n{}: {:.2}", chain.name, near.1);
    }
    Some(text + "\nClick to view this step.")
}
