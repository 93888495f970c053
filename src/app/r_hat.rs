//! The curve of R-hat along a run, with the line below which chains agree.

use egui::{Align2, RichText, Ui};
use egui_plot::{HLine, LineStyle, PlotPoint, Text};

use super::{
    chart::{NOTE_SIZE, chart, lane_color, line, line_style, line_width, pointer_x, readout},
    fit::fit,
};

/// Chains agree below this value.
const AGREE: f64 = 1.01;
/// The largest value on the axis. Larger ones lie at the edge.
const MAX_R_HAT: f64 = 5.0;

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
        let highest = values.filter(|value| value.is_finite()).fold(AGREE, f64::max);
        let top = fit(highest, 1.05, MAX_R_HAT);
        let end = self.last_step.max(1.0);
        // Too low for three rows of text.
        let [x_label, y_label] = if self.height < 150.0 { ["", ""] } else { ["steps", "R-hat"] };
        let limit = ui.visuals().strong_text_color();
        let lanes = self.lanes.clone();
        chart(self.id, self.height, x_label, y_label)
            .label_formatter(move |position| {
                let step = |at: f64| format!("step {at:.0}");
                let values = readout(&lanes, pointer_x(position), step, 3)?;
                Some(format!("{values}\ndashed line: {AGREE}"))
            })
            .show(ui, |plot| {
                plot.set_plot_bounds_x(0.0..=end * 1.01);
                plot.set_plot_bounds_y(1.0 - 0.1 * (top - 1.0)..=top + 0.05 * (top - 1.0));
                let style = LineStyle::Dashed { length: 5.0 };
                plot.hline(HLine::new("", AGREE).color(limit).style(style).allow_hover(false));
                if highest > MAX_R_HAT {
                    let place = PlotPoint::new(0.99 * end, top);
                    let text = RichText::new(format!("larger values lie at {MAX_R_HAT}"));
                    let text = Text::new("", place, text.size(NOTE_SIZE)).color(limit);
                    plot.text(text.anchor(Align2::RIGHT_TOP).allow_hover(false));
                }
                for (lane, curve) in self.lanes.into_iter().enumerate() {
                    let (color, style) = (lane_color(lane), line_style(lane));
                    let width = line_width(lane, 2.0);
                    let curve = curve.into_iter().map(|(step, value)| {
                        // `min` would turn a gap into a value.
                        (step, if value > MAX_R_HAT { MAX_R_HAT } else { value })
                    });
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
