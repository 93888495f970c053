//! The curve of R-hat along a run, with the line below which chains agree.

use egui::Ui;
use egui_plot::{GridMark, HLine, LineStyle};

use super::chart::{chart, lane_color, line, line_style, line_width, pointer_x, readout};

/// Chains agree below this value.
const AGREE: f64 = 1.01;
/// The smallest value on the axis. Smaller ones lie at the edge.
const LEAST: f64 = 1.001;
/// The largest value that the axis has room for at least.
const LEAST_TOP: f64 = 1.1;
/// The numbers at the axis.
const MARKS: [f64; 7] = [1.001, 1.01, 1.1, 2.0, 5.0, 20.0, 100.0];
/// The smallest distance between two of them, in powers of ten.
const MARK_STEP: f64 = 0.6;

/// Where a value lies on the axis, which shows the powers of ten of R-hat − 1. A value that is not a number stays one.
fn height_of(r_hat: f64) -> f64 {
    // `max` would turn a gap into a value.
    let above_one = if r_hat < LEAST { LEAST - 1.0 } else { r_hat - 1.0 };
    above_one.log10()
}

/// The number at a mark of the axis.
fn mark_text(mark: f64) -> String {
    let found = MARKS.into_iter().find(|&value| (height_of(value) - mark).abs() < 1e-6);
    found.map_or(String::new(), |value| value.to_string())
}

/// A curve of R-hat for every lane: points (step, R-hat), where a value that is not a number leaves a gap.
pub(super) struct RHatCurves {
    /// The id of the plot, unique in the window.
    pub id: &'static str,
    /// The height of the plot, in points.
    pub height: f32,
    /// The last step of the axis.
    pub last_step: f64,
    /// The curve of each lane; empty where R-hat does not apply.
    pub lanes: Vec<Vec<(f64, f64)>>,
}

impl RHatCurves {
    /// Whether there is a value to draw.
    pub(super) fn has_values(&self) -> bool {
        self.lanes.iter().flatten().any(|point| point.1.is_finite())
    }

    /// Draws the curves and the line at 1.01.
    pub(super) fn show(self, ui: &mut Ui) {
        let values = self.lanes.iter().flatten().map(|point| point.1);
        let highest = values.filter(|value| value.is_finite()).fold(LEAST_TOP, f64::max);
        let (low, top) = (height_of(LEAST), height_of(highest));
        let end = self.last_step.max(1.0);
        // Too low for three rows of text.
        let [x_label, y_label] = if self.height < 150.0 { ["", ""] } else { ["steps", "R-hat"] };
        let limit = ui.visuals().strong_text_color();
        let lanes = self.lanes.clone();
        chart(self.id, self.height, x_label, y_label)
            .y_grid_spacer(|input| {
                let (low, high) = input.bounds;
                let marks = MARKS.into_iter().map(height_of);
                let in_sight = marks.filter(|mark| (low..=high).contains(mark));
                in_sight.map(|value| GridMark { value, step_size: MARK_STEP }).collect()
            })
            .y_axis_formatter(|mark, _| mark_text(mark.value))
            .label_formatter(move |position| {
                let step = |at: f64| format!("step {at:.0}");
                let values = readout(&lanes, pointer_x(position), step, 3)?;
                Some(format!("{values}\ndashed line: {AGREE}"))
            })
            .show(ui, |plot| {
                plot.set_plot_bounds_x(0.0..=end * 1.01);
                let room = 0.05 * (top - low);
                plot.set_plot_bounds_y(low - room..=top + room);
                let style = LineStyle::Dashed { length: 5.0 };
                plot.hline(
                    HLine::new("", height_of(AGREE)).color(limit).style(style).allow_hover(false),
                );
                for (lane, curve) in self.lanes.into_iter().enumerate() {
                    let (color, style) = (lane_color(lane), line_style(lane));
                    let width = line_width(lane, 2.0);
                    let curve = curve.into_iter().map(|(step, value)| (step, height_of(value)));
                    line(plot, curve, |line| line.color(color).width(width).style(style));
                }
            });
    }
}

/// Why there is no R-hat: one text for each lane without one.
pub(super) fn reasons(of_lanes: &[Option<String>]) -> Vec<String> {
    let said = of_lanes.iter().enumerate().filter_map(|(lane, reason)| {
        let reason = reason.as_ref()?;
        Some(match of_lanes.len() {
            1 => format!("No R-hat: {reason}."),
            _ => format!("Lane {}: no R-hat, {reason}.", lane + 1),
        })
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_shows_how_far_r_hat_is_above_1() {
        let places = [1.001, 1.01, 1.1, 2.0].map(|value| height_of(value).round());
        assert_eq!(places, [-3.0, -2.0, -1.0, 0.0]);
        // 1.044 lies far above the line at 1.01.
        assert!(height_of(1.044) > height_of(1.01) + 0.6);
        assert_eq!([0.99, 1.0].map(height_of), [height_of(LEAST); 2]);
        assert!(height_of(f64::NAN).is_nan());
        assert_eq!([1.01, 5.0].map(|value| mark_text(height_of(value))), ["1.01", "5"]);
    }
}
