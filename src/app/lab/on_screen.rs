//! The position of the plane on the screen, and text on it.

use egui::{Align2, Color32, FontId, Painter, Pos2, Rect, pos2};

use crate::{app::pixels::SMALL, diagnostics::cells::EXTENT};

/// The rectangle of the plane on the screen, with conversions of coordinates.
#[derive(Clone, Copy)]
pub(super) struct PlaneOnScreen {
    pub rect: Rect,
}

impl PlaneOnScreen {
    pub(super) fn to_screen(self, point: [f32; 2]) -> Pos2 {
        let share = |value: f32| (value / EXTENT + 1.0) * 0.5;
        pos2(
            self.rect.left() + share(point[0]) * self.rect.width(),
            self.rect.bottom() - share(point[1]) * self.rect.height(),
        )
    }

    pub(super) fn of_screen(self, at: Pos2) -> [f32; 2] {
        let x = (at.x - self.rect.left()) / self.rect.width();
        let y = (self.rect.bottom() - at.y) / self.rect.height();
        [x, y].map(|share| (2.0 * share - 1.0) * EXTENT)
    }

    /// The number of screen points per unit of x.
    pub(super) fn unit(self) -> f32 {
        self.rect.width() / (2.0 * EXTENT)
    }
}

/// Draws a line of white text on a dark background.
pub(super) fn caption(painter: &Painter, at: Pos2, anchor: Align2, text: &str) {
    let font = FontId::proportional(SMALL);
    let galley = painter.layout_no_wrap(text.to_string(), font, Color32::WHITE);
    let rect = anchor.anchor_size(at, galley.size());
    painter.rect_filled(rect.expand(2.0), 2.0, Color32::from_black_alpha(150));
    painter.galley(rect.min, galley, Color32::WHITE);
}
