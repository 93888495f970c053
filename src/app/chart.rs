//! The common style of all plots: axes with round numbers, line styles, legends.

use egui::{Color32, FontId, Painter, Rect, RichText, Role, Sense, Shape, Ui, WidgetInfo, vec2};
use egui_plot::{
    AxisHints, FilledArea, GridInput, GridMark, HoverPosition, Line, LineStyle, Plot, PlotPoint,
    PlotPoints, PlotUi, uniform_grid_spacer,
};

use super::{pixels::SMALL, size_class, theme};

/// The minimum distance between two marks of the horizontal axis, in points, including the number.
const X_MARK_POINTS: f64 = 85.0;
/// The minimum distance between two marks of the vertical axis, in points.
const Y_MARK_POINTS: f64 = 22.0;
/// The distance between grid lines, in points, from which egui_plot draws them.
const GRID_POINTS: f32 = 8.0;
/// The font size of explanations, and of the names of lines and axes.
pub(super) const NOTE_SIZE: f32 = SMALL;
/// The width of the picture beside a name.
const PICTURE_WIDTH: f32 = 24.0;
/// The colours of several lines that do not belong to lanes.
pub(super) const COLORS: [Color32; 5] =
    [theme::CLASSES[4], theme::CLASSES[5], theme::CLASSES[2], theme::CLASSES[6], theme::CLASSES[0]];

/// A plot without panning and zooming, so that a click chooses a step and the mouse wheel scrolls the page.
pub(super) fn chart<'a>(id: &str, height: f32, x_label: &str, y_label: &str) -> Plot<'a> {
    let hints = |hints: AxisHints<'a>, label: &str| {
        let hints = hints.label(RichText::new(label).size(NOTE_SIZE));
        hints.tick_label_font(FontId::proportional(NOTE_SIZE)).formatter(|mark, _| mark_text(mark))
    };
    let y_axis = hints(AxisHints::new_y(), y_label).min_thickness(46.0).label_spacing(8.0..=16.0);
    Plot::new(id)
        .height(height)
        .min_size(vec2(40.0, 24.0))
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .sense(Sense::click())
        .show_crosshair(false)
        // Fainter than anything that is drawn on it.
        .grid_color(Color32::from_gray(128).gamma_multiply(0.35))
        .grid_spacing(GRID_POINTS..=200.0)
        .x_grid_spacer(|input| spacer(input, X_MARK_POINTS))
        .y_grid_spacer(|input| spacer(input, Y_MARK_POINTS))
        .custom_x_axes(vec![hints(AxisHints::new_x(), x_label)])
        .custom_y_axes(vec![y_axis])
}

/// The input that a plot over steps reacts to: clicks and drags, but only clicks on a small screen, where a
/// drag scrolls the page.
pub(super) fn steps_sense(ui: &Ui) -> Sense {
    if size_class::is_small(ui.ctx()) { Sense::click() } else { Sense::click_and_drag() }
}

fn spacer(input: GridInput, points: f64) -> Vec<GridMark> {
    let step = round_step(input.base_step_size * points / f64::from(GRID_POINTS));
    uniform_grid_spacer(move |_| [step; 3])(input)
}

/// The smallest number of the form 1, 2 or 5 times a power of ten that is not below `least`.
pub(super) fn round_step(least: f64) -> f64 {
    if !least.is_finite() || least <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|&step| step >= least).unwrap_or(10.0 * power)
}

/// The number at an axis mark, with as many decimals as the distance between marks needs.
pub(super) fn mark_text(mark: GridMark) -> String {
    if mark.value.abs() >= 1e6 || (mark.step_size < 1e-4) && mark.value != 0.0 {
        return format!("{:.0e}", mark.value);
    }
    let num_decimals = (-mark.step_size.log10() - 1e-6).ceil().max(0.0) as usize;
    // Rounding may produce a negative zero.
    let value = if mark.value.abs() < mark.step_size / 2.0 { 0.0 } else { mark.value };
    format!("{value:.num_decimals$}")
}

/// The line style of a lane, so that lanes differ in more than colour.
pub(super) fn line_style(index: usize) -> LineStyle {
    match index % 3 {
        0 => LineStyle::Solid,
        1 => LineStyle::Dashed { length: 8.0 },
        _ => LineStyle::Dotted { spacing: 5.0 },
    }
}

/// The width at which this style looks as heavy as the others.
pub(super) fn line_width(index: usize, width: f32) -> f32 {
    // Dots use the width as their radius.
    if index % 3 == 2 { width * 0.7 } else { width }
}

/// The colour of a lane.
pub(super) fn lane_color(lane: usize) -> Color32 {
    theme::LANES[lane % theme::LANES.len()]
}

/// A small picture and the name beside it, which wrap to the next row together.
pub(super) fn entry(ui: &mut Ui, name: &str, paint: impl FnOnce(&Painter, Rect)) {
    let color = ui.visuals().text_color();
    let galley =
        ui.painter().layout_no_wrap(name.to_string(), FontId::proportional(NOTE_SIZE), color);
    let size = vec2(PICTURE_WIDTH + 4.0 + galley.size().x, galley.size().y);
    let (rect, response) = ui.allocate_exact_size(size, egui::Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, name));
    paint(ui.painter(), rect.with_max_x(rect.left() + PICTURE_WIDTH));
    ui.painter().galley(rect.left_top() + vec2(PICTURE_WIDTH + 4.0, 0.0), galley, color);
}

/// A legend entry: a piece of the line and its name.
pub(super) fn legend_entry(ui: &mut Ui, name: &str, color: Color32, style: LineStyle) {
    entry(ui, name, |painter, rect| {
        let ends = [rect.left_center(), rect.right_center()];
        match style {
            LineStyle::Solid => {
                painter.line_segment(ends, (2.0, color));
            }
            LineStyle::Dashed { .. } => {
                painter.extend(Shape::dashed_line(&ends, (2.0, color), 7.0, 4.0));
            }
            LineStyle::Dotted { .. } => {
                painter.extend(Shape::dotted_line(&ends, color, 5.0, 1.4));
            }
        }
    });
}

/// Lays out names side by side, in as many rows as they need.
pub(super) fn legend_row<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope(|ui| {
        // Rows as high as text, not as high as a button.
        ui.spacing_mut().interact_size.y = NOTE_SIZE + 4.0;
        ui.spacing_mut().item_spacing.y = 2.0;
        ui.horizontal_wrapped(contents).inner
    })
    .inner
}

/// Draws a short explanation in small text.
pub(super) fn note(ui: &mut Ui, text: impl Into<String>) {
    ui.label(RichText::new(text).size(NOTE_SIZE));
}

/// Draws a translucent band between two lines, with a gap where either value is NaN.
pub(super) fn band(plot: &mut PlotUi<'_>, name: &str, points: &[(f64, f64, f64)], color: Color32) {
    let is_finite =
        |point: &(f64, f64, f64)| point.0.is_finite() && point.1.is_finite() && point.2.is_finite();
    for run in points.split(|point| !is_finite(point)).filter(|run| run.len() > 1) {
        let xs: Vec<f64> = run.iter().map(|point| point.0).collect();
        let low: Vec<f64> = run.iter().map(|point| point.1).collect();
        let high: Vec<f64> = run.iter().map(|point| point.2).collect();
        let area = FilledArea::new(name, &xs, &low, &high);
        plot.add(area.fill_color(color.gamma_multiply(0.22)).allow_hover(false));
    }
}

/// Draws a line through the values, with a gap where a value is NaN.
pub(super) fn line<'a>(
    plot: &mut PlotUi<'a>,
    values: impl IntoIterator<Item = (f64, f64)>,
    styled: impl Fn(Line<'a>) -> Line<'a>,
) {
    let values: Vec<(f64, f64)> = values.into_iter().collect();
    for run in values.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
        if !run.is_empty() {
            // egui_plot's band for many points per pixel would round the corners of histograms.
            let line = Line::new("", points(run.iter().copied())).allow_band(false);
            plot.line(styled(line).allow_hover(false));
        }
    }
}

/// Converts values to the points of a plot.
pub(super) fn points(values: impl IntoIterator<Item = (f64, f64)>) -> PlotPoints<'static> {
    PlotPoints::Owned(values.into_iter().map(|(x, y)| PlotPoint::new(x, y)).collect())
}

/// What the curves of lanes show near `x`, whatever the height of the pointer. `place` says an x in
/// words, as in `step 30`.
pub(super) fn readout(
    curves: &[Vec<(f64, f64)>],
    x: f64,
    place: impl Fn(f64) -> String,
    decimals: usize,
) -> Option<String> {
    let nearest = |curve: &Vec<(f64, f64)>| {
        let finite = curve.iter().filter(|point| point.1.is_finite());
        finite.min_by(|a, b| (a.0 - x).abs().total_cmp(&(b.0 - x).abs())).copied()
    };
    let found: Vec<Option<(f64, f64)>> = curves.iter().map(nearest).collect();
    let at = found.iter().flatten().next()?.0;
    let mut text = place(at);
    for (lane, point) in found.iter().enumerate() {
        let Some((_, value)) = point else { continue };
        text += &match curves.len() {
            1 => format!(": {value:.decimals$}"),
            _ => format!("\nLane {}: {value:.decimals$}", lane + 1),
        };
    }
    Some(text)
}

/// Where the pointer is over a plot, horizontally.
pub(super) fn pointer_x(position: &HoverPosition) -> f64 {
    let (HoverPosition::Elsewhere { position } | HoverPosition::NearDataPoint { position, .. }) =
        position;
    position.x
}

/// Adds a margin to a range. The result has a positive width even if all values are equal.
pub(super) fn with_room(low: f64, high: f64) -> (f64, f64) {
    let room = 0.06 * (high - low);
    if room > 0.0 {
        (low - room, high + room)
    } else {
        let room = 0.5f64.max(0.1 * low.abs());
        (low - room, high + room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        assert_eq!([0.3, 0.5, 1.2, 7.0].map(round_step), [0.5, 0.5, 2.0, 10.0]);
        let text = |value, step_size| mark_text(GridMark { value, step_size });
        assert_eq!(text(0.5, 0.5), "0.5");
        assert_eq!(text(-1e-17, 0.05), "0.00");
        assert_eq!(text(200.0, 100.0), "200");
        assert_eq!(text(2e6, 1e6), "2e6");
        assert_eq!(with_room(0.0, 100.0), (-6.0, 106.0));
        assert_eq!(with_room(2.0, 2.0), (1.5, 2.5));
    }

    #[test]
    fn a_readout_is_the_value_of_the_curve_at_its_nearest_step() {
        let one = vec![(10.0, 1.5), (20.0, f64::NAN), (30.0, 1.02)];
        let step = |at: f64| format!("step {at:.0}");
        assert_eq!(readout(std::slice::from_ref(&one), 24.0, step, 3).unwrap(), "step 30: 1.020");
        assert_eq!(readout(std::slice::from_ref(&one), -9.0, step, 1).unwrap(), "step 10: 1.5");
        let two = [one, vec![], vec![(10.0, 7.0), (30.0, 6.0)]];
        assert_eq!(readout(&two, 29.0, step, 2).unwrap(), "step 30\nLane 1: 1.02\nLane 3: 6.00");
        assert_eq!(readout(&[vec![]], 3.0, step, 2), None);
    }
}
