//! The legend below a plane: what the colours, the points and the bars at its edges mean.

use egui::{
    Align, Color32, Layout, Painter, Pos2, Rangef, Rect, Stroke, Ui, UiBuilder, pos2, vec2,
};

use super::heat;
use crate::{
    app::{
        chart::{entry, legend_row},
        points, theme,
    },
    config::LabReference,
};

/// The height of a legend of two rows, before one was drawn.
pub(super) const HEIGHT: f32 = 32.0;
const HOVER: &str =
    "The colours of the plane: bright where the energy is low, dark where it is high.";

/// What a plane shows that needs a word.
pub(super) struct Legend {
    pub lane: usize,
    /// Whether the chains have the colours of their classes.
    pub has_classes: bool,
    /// Whether the plane has the colours of the most probable classes, and not of the energy.
    pub shows_classes: bool,
    /// The density whose exact shares are drawn beside those of the chains, if there is one.
    pub exact: Option<LabReference>,
}

/// Draws the legend within this range and below this height. Returns its own height.
pub(super) fn ui(ui: &mut Ui, across: Rangef, top: f32, legend: &Legend) -> f32 {
    let room = Rect::from_x_y_ranges(across, Rangef::new(top, top + HEIGHT));
    let place = UiBuilder::new().max_rect(room).layout(Layout::top_down(Align::Min));
    let shown = ui.scope_builder(place, |ui| legend_row(ui, |ui| entries(ui, legend)));
    shown.response.rect.height()
}

fn entries(ui: &mut Ui, legend: &Legend) {
    match legend.shows_classes {
        true => entry(ui, "classes, bright where likely", |painter, rect| {
            let (left, right) = rect.shrink2(vec2(1.0, 2.0)).split_left_right_at_fraction(0.5);
            painter.rect_filled(left, 0.0, theme::CLASSES[0].gamma_multiply(0.7));
            painter.rect_filled(right, 0.0, theme::CLASSES[1].gamma_multiply(0.7));
        }),
        false => points::colour_bar(ui, heat::color, HOVER),
    }
    let name = if legend.has_classes { "chains, by class" } else { "chains" };
    let colors = match legend.has_classes {
        true => [theme::CLASSES[0], theme::CLASSES[1]],
        false => [Color32::WHITE; 2],
    };
    entry(ui, name, |painter, rect| {
        point(painter, pos2(rect.left() + 7.0, rect.center().y), colors[0]);
        point(painter, pos2(rect.left() + 17.0, rect.center().y), colors[1]);
    });
    let bars = theme::LANES[legend.lane % theme::LANES.len()].gamma_multiply(0.75);
    entry(ui, "at the edges: share of chains", |painter, rect| {
        painter.rect_filled(rect.shrink2(vec2(6.0, 2.0)), 0.0, bars);
    });
    let Some(reference) = legend.exact else { return };
    let name = match reference {
        LabReference::Model => "exact share, p(x)",
        LabReference::Tempered => "exact share, p(x)^β",
    };
    let strong = Stroke::new(1.5, ui.visuals().strong_text_color());
    entry(ui, name, |painter, rect| {
        painter.line_segment([rect.left_center(), rect.right_center()], strong);
    });
}

/// Draws a chain as it looks on the plane.
fn point(painter: &Painter, at: Pos2, color: Color32) {
    painter.circle(at, 3.5, color, Stroke::new(1.0, Color32::from_black_alpha(150)));
}
