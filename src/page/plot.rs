//! Figures as SVG and as pictures: panels with axes, and the marks that are drawn in them.

use std::{ops::Range, sync::Once};

use image::RgbImage;
use maud::{Markup, PreEscaped, html};
use plotters::{
    coord::{
        Shift,
        ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter},
    },
    element::DashedPathElement,
    prelude::*,
    style::{
        register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::ink::{Dash, Ink, Look, Shape};

/// The font of figures. SVG names a font of the reader's system; this one measures texts, and draws them in a PNG.
const FONT: (&str, &[u8]) = ("sans-serif", include_bytes!("../../assets/fonts/Ubuntu-Light.ttf"));

/// Drawing units per pixel of the page: plotters rounds to whole units.
const FINE: i32 = 4;
/// The font size, in pixels.
const LETTERS: i32 = 12;
/// The factor by which plotters divides a font size.
const PLOTTERS_FONT: f64 = 1.24;
/// The width of a panel, in pixels.
const WIDTH: i32 = 380;

/// The height of a row of the legend, and the length of its line, in pixels.
const KEY: i32 = 18;
const KEY_LINE: i32 = 30;

/// A point in the coordinates of the axes.
pub(crate) type Point = (f64, f64);

type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Axis, Axis>>;
type Error<DB> = DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>;

/// An axis with its ticks.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    label: String,
    range: Range<f64>,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis with ticks at the given places; ticks outside the range are left out.
    pub(crate) fn with_ticks(
        label: impl Into<String>,
        low: f64,
        high: f64,
        ticks: impl IntoIterator<Item = (f64, String)>,
    ) -> Self {
        let is_range = low.is_finite() && high.is_finite() && low < high;
        let range = match is_range {
            true => low..high,
            false if low.is_finite() => low - 0.5..low + 0.5,
            false => 0.0..1.0,
        };
        let slack = (range.end - range.start) * 1e-9;
        let shown = range.start - slack..=range.end + slack;
        let ticks = ticks.into_iter().filter(|(at, _)| shown.contains(at)).collect();
        Self { label: label.into(), range, ticks }
    }

    /// An axis with ticks at round numbers.
    pub(crate) fn linear(label: impl Into<String>, low: f64, high: f64) -> Self {
        let mut axis = Self::with_ticks(label, low, high, []);
        let Range { start, end } = axis.range;
        let rough = (end - start) / 5.0;
        let decade = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * decade);
        let step = step.into_iter().find(|&step| step >= rough).unwrap_or(rough);
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        let (first, last) = ((start / step).ceil() as i64, (end / step).floor() as i64);
        let text = |at: f64| super::text::fixed(at, decimals);
        axis.ticks = (first..=last).map(|i| i as f64 * step).map(|at| (at, text(at))).collect();
        axis
    }

    /// The same axis with its ticks in percent.
    pub(crate) fn in_percent(mut self) -> Self {
        let step = match self.ticks.as_slice() {
            [(first, _), (second, _), ..] => 100.0 * (second - first),
            _ => 1.0,
        };
        let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
        for (at, text) in &mut self.ticks {
            *text = format!("{} %", super::text::fixed(100.0 * *at, decimals));
        }
        self
    }

    /// An axis of shares from 0 to 100 %.
    pub(crate) fn shares(label: impl Into<String>) -> Self {
        let ticks = (0..=5).map(|i| (f64::from(i) / 5.0, format!("{} %", i * 20)));
        Self::with_ticks(label, 0.0, 1.0, ticks)
    }

    /// The nearest value within the axis range.
    fn clamp(&self, at: f64) -> f64 {
        at.clamp(self.range.start, self.range.end)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, at: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (at - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|(at, _)| *at).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format(at: &f64) -> String {
        super::text::plain(*at)
    }

    fn format_ext(&self, at: &f64) -> String {
        let tick = self.ticks.iter().find(|(place, _)| place == at);
        tick.map(|(_, text)| text.clone()).unwrap_or_default()
    }
}

/// A mark in a panel. Values that are not finite are left out; values outside an axis are drawn at its end.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// A line through points.
    Line(Vec<Point>, Look),
    /// Dots at points.
    Dots(Vec<Point>, Look),
    /// A band between two curves at the same places: (x, low, high).
    Band(Vec<(f64, f64, f64)>, Ink),
    /// Bars from the lower end of the axis: (from, to, height).
    Bars(Vec<(f64, f64, f64)>, Ink),
}

/// Axes with the marks that are drawn between them.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// The title above the panel.
    pub(crate) title: String,
    /// A text description of the panel, for screen readers.
    pub(crate) alt: String,
    /// The horizontal axis, from left to right.
    pub(crate) x: Axis,
    /// The vertical axis, from bottom to top.
    pub(crate) y: Axis,
    /// The height in pixels.
    pub(crate) height: i32,
    /// The marks, from back to front.
    pub(crate) marks: Vec<Mark>,
    /// What the looks of lines mean, below the panel; empty where the page around it says so.
    pub(crate) keys: Vec<(Look, String)>,
}

impl Panel {
    /// The panel as HTML.
    pub(crate) fn markup(&self) -> Markup {
        html! {
            div.panel {
                @if !self.title.is_empty() { p.title { (self.title) } }
                @match self.marks() {
                    Ok(marks) => svg role="img" aria-label=(self.alt) viewBox=(self.view_box()) {
                        title { (self.alt) }
                        (PreEscaped(marks))
                    },
                    Err(error) => p { "This figure cannot be drawn: " (error) },
                }
            }
        }
    }

    /// The panel as a file in SVG, on white.
    ///
    /// # Errors
    /// A message for the user if the panel cannot be drawn.
    pub(crate) fn svg(&self) -> Result<String, String> {
        let marks = self.marks()?;
        let (width, height) = self.size();
        let (width, height) = (width / FINE as u32, height / FINE as u32);
        let svg = html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox=(self.view_box()) {
                title { (self.alt) }
                rect width="100%" height="100%" fill="#FFFFFF" {}
                (PreEscaped(marks))
            }
        };
        Ok(svg.into_string())
    }

    /// The panel as a picture of four times its size, on white.
    ///
    /// # Errors
    /// A message for the user if the panel cannot be drawn.
    pub(crate) fn picture(&self) -> Result<RgbImage, String> {
        let (width, height) = self.size();
        let mut pixels = vec![255; (3 * width * height) as usize];
        let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        self.draw(&root).map_err(|error| error.to_string())?;
        drop(root);
        RgbImage::from_raw(width, height, pixels).ok_or_else(|| "it has no size".into())
    }

    /// The panel as a figure that stands alone: its title is at the axis, and it has a legend.
    pub(crate) fn alone(mut self, keys: Vec<(Look, String)>) -> Self {
        self.y.label.clone_from(&self.title);
        self.keys = keys;
        self
    }

    /// The size of the drawing, in drawing units.
    fn size(&self) -> (u32, u32) {
        let margin = if self.keys.is_empty() { 0 } else { KEY / 2 };
        let height = self.height + self.keys.len() as i32 * KEY + margin;
        ((WIDTH * FINE) as u32, (height * FINE) as u32)
    }

    fn view_box(&self) -> String {
        let (width, height) = self.size();
        format!("0 0 {width} {height}")
    }

    /// What is between the tags of the root element of plotters: that one has fixed sizes and no description.
    fn marks(&self) -> Result<String, String> {
        let mut drawing = String::new();
        let root = SVGBackend::with_string(&mut drawing, self.size()).into_drawing_area();
        self.draw(&root).map_err(|error| error.to_string())?;
        drop(root);
        let inside = drawing.split_once('>').map_or("", |(_, rest)| rest).trim_end();
        Ok(inside.strip_suffix("</svg>").unwrap_or(inside).to_string())
    }

    fn draw<DB: DrawingBackend>(&self, root: &DrawingArea<DB, Shift>) -> Result<(), Error<DB>> {
        static IS_KNOWN: Once = Once::new();
        IS_KNOWN.call_once(|| {
            // A broken font shows when it is used.
            let _ = register_font(FONT.0, FontStyle::Normal, FONT.1);
        });
        let (color, letter) = (Ink::Text.color(), f64::from(LETTERS * FINE) * PLOTTERS_FONT);
        let letters = TextStyle::from((FONT.0, letter).into_font()).color(&color);
        let widest = self.y.ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
        let beside = LETTERS * 6 / 10 * widest as i32 + 14 + line_of(&self.y.label);
        let below = LETTERS + 14 + line_of(&self.x.label);
        let (above, legend) = root.split_vertically(self.height * FINE);
        for (row, (look, name)) in self.keys.iter().enumerate() {
            let middle = (row as i32 * KEY + KEY / 2) * FINE;
            let line = vec![(beside * FINE, middle), ((beside + KEY_LINE) * FINE, middle)];
            let style = look.ink.color().stroke_width((2 * FINE) as u32);
            match look.dash {
                Dash::Nothing => {}
                Dash::Solid => legend.draw(&PathElement::new(line, style))?,
                Dash::Broken(stroke, gap) => {
                    let (stroke, gap) = (stroke * FINE, gap * FINE);
                    legend.draw(&DashedPathElement::new(line, stroke, gap, style))?;
                }
            }
            let at = ((beside + KEY_LINE + 8) * FINE, middle);
            let place = Pos::new(HPos::Left, VPos::Center);
            legend.draw(&Text::new(name.clone(), at, letters.clone().pos(place)))?;
        }
        let mut chart = ChartBuilder::on(&above)
            .margin_top(8 * FINE)
            // Letters of the label reach beyond their line.
            .margin_left(if self.y.label.is_empty() { 0 } else { 4 * FINE })
            // Half the width of the last tick label.
            .margin_right(20 * FINE)
            .x_label_area_size(below * FINE)
            .y_label_area_size(beside * FINE)
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(Ink::Grid.color().stroke_width(FINE as u32))
            .axis_style(Ink::Axis.color().stroke_width(FINE as u32))
            .set_all_tick_mark_size(4 * FINE)
            .label_style(letters.clone())
            .axis_desc_style(letters)
            .x_desc(&self.x.label)
            .y_desc(&self.y.label)
            .draw()?;
        self.marks.iter().try_for_each(|mark| self.put(&mut chart, mark))?;
        drop(chart);
        root.present()
    }

    fn put<DB: DrawingBackend>(
        &self,
        chart: &mut Chart<'_, DB>,
        mark: &Mark,
    ) -> Result<(), Error<DB>> {
        let place = |&(x, y): &Point| {
            (x.is_finite() && y.is_finite()).then(|| (self.x.clamp(x), self.y.clamp(y)))
        };
        let places = |points: &[Point]| points.iter().filter_map(place).collect::<Vec<Point>>();
        let paint = |ink: Ink| ink.color().stroke_width((2 * FINE) as u32);
        match mark {
            Mark::Line(points, look) => {
                let (points, style) = (places(points), paint(look.ink));
                if points.len() < 2 {
                    return Ok(());
                }
                match look.dash {
                    Dash::Nothing => return Ok(()),
                    Dash::Solid => chart.draw_series([PathElement::new(points, style)])?,
                    Dash::Broken(stroke, gap) => {
                        let (stroke, gap) = (stroke * FINE, gap * FINE);
                        chart.draw_series([DashedPathElement::new(points, stroke, gap, style)])?
                    }
                };
            }
            Mark::Dots(points, look) => {
                for point in places(points) {
                    dot(chart, point, look.shape, look.ink)?;
                }
            }
            Mark::Band(rows, ink) => {
                let low = rows.iter().map(|&(x, low, _)| (x, low));
                let high = rows.iter().rev().map(|&(x, _, high)| (x, high));
                let around: Vec<Point> = places(&low.chain(high).collect::<Vec<_>>());
                chart.draw_series([Polygon::new(around, ink.color().mix(0.14).filled())])?;
            }
            Mark::Bars(rows, ink) => {
                let bottom = self.y.range.start;
                for &(from, to, height) in rows {
                    if let (Some(low), Some(high)) = (place(&(from, bottom)), place(&(to, height)))
                        && high.1 > bottom
                    {
                        let style = ink.color().mix(0.55).filled();
                        chart.draw_series([Rectangle::new([low, high], style)])?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The height of a line of text; 0 if the text is empty.
fn line_of(label: &str) -> i32 {
    if label.is_empty() { 0 } else { LETTERS + 6 }
}

fn dot<DB: DrawingBackend>(
    chart: &mut Chart<'_, DB>,
    point: Point,
    shape: Shape,
    ink: Ink,
) -> Result<(), Error<DB>> {
    let full: ShapeStyle = ink.color().filled();
    // Half the width of a dot; all shapes have about the same area.
    let half = 4 * FINE;
    match shape {
        Shape::Nothing => return Ok(()),
        Shape::Disc => chart.draw_series([Circle::new(point, half, full)])?,
        Shape::Ring => {
            chart.draw_series([Circle::new(point, half, Ink::Paper.color().filled())])?;
            let rim = ink.color().stroke_width((2 * FINE) as u32);
            chart.draw_series([Circle::new(point, half, rim)])?
        }
        Shape::Square => {
            let half = half * 9 / 10;
            let corners = [(-half, -half), (half, half)];
            chart.draw_series([EmptyElement::at(point) + Rectangle::new(corners, full)])?
        }
        Shape::Triangle => chart.draw_series([TriangleMarker::new(point, half * 5 / 4, full)])?,
        Shape::Diamond => {
            let half = half * 5 / 4;
            let corners = vec![(0, -half), (half, 0), (0, half), (-half, 0)];
            chart.draw_series([EmptyElement::at(point) + Polygon::new(corners, full)])?
        }
    };
    Ok(())
}
