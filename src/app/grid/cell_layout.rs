//! The positions of the cells in a grid.

use egui::{Pos2, Rect, Vec2, vec2};

/// Cells of at least this size have frames of double width.
const WIDE_PITCH: f32 = 26.0;
/// The space between lanes, in points.
pub(super) const LANE_GAP: f32 = 12.0;
/// The images are enlarged by a whole factor if they then fill at least this fraction of the space.
const WHOLE_FACTOR_FILL: f32 = 0.85;

/// The sizes of a cell, in points, each a whole number of physical pixels.
pub(super) struct CellLayout {
    /// The distance from one cell to the next.
    pub(super) pitch: f32,
    /// The width of a frame.
    pub(super) frame: f32,
    /// The size of the image.
    image: Vec2,
    /// The space between the square frame and an image that is not square.
    inset: Vec2,
    pub(super) columns: usize,
    rows: usize,
}

impl CellLayout {
    /// The largest cells for images (h, w) with which the given number of columns and rows fits into `room`.
    pub(super) fn fit(
        [h, w]: [usize; 2],
        [rows, columns]: [usize; 2],
        lanes: usize,
        room: Vec2,
        min_pitch: f32,
        ppp: f32,
    ) -> Self {
        let wide = room.x - LANE_GAP * (lanes - 1) as f32;
        let pitch = (wide / (lanes * columns) as f32).min(room.y / rows as f32).max(min_pitch);
        let line = if pitch >= WIDE_PITCH { (2.0 * ppp).round() } else { ppp.round() }.max(1.0);
        let margin = 3.0 * line;
        let room = ((pitch * ppp).floor() - margin).max(1.0);
        let longer = h.max(w) as f32;
        let whole = (room / longer).floor() * longer;
        let side = if whole >= WHOLE_FACTOR_FILL * room { whole } else { room };
        let image = (vec2(w as f32, h as f32) * side / longer).round().max(Vec2::ONE);
        Self {
            pitch: (side + margin) / ppp,
            frame: line / ppp,
            image: image / ppp,
            inset: ((Vec2::splat(side) - image) / 2.0).floor() / ppp,
            columns,
            rows,
        }
    }

    pub(super) fn lane_width(&self) -> f32 {
        self.columns as f32 * self.pitch
    }

    pub(super) fn height(&self) -> f32 {
        self.rows as f32 * self.pitch
    }

    /// The rectangles of the frame and the image of a chain, in the lane at `corner`.
    pub(super) fn rects(&self, corner: Pos2, chain: usize) -> (Rect, Rect) {
        let place = vec2((chain % self.columns) as f32, (chain / self.columns) as f32);
        // The gap is to the right of the cell and below it.
        let min = corner + place * self.pitch + Vec2::splat(self.frame);
        let image = Rect::from_min_size(min + self.inset, self.image);
        (image.expand(self.frame), image)
    }
}

#[cfg(test)]
mod tests {
    use egui::pos2;

    use super::*;

    const MIN_PITCH: f32 = 14.0;

    #[test]
    fn cells_fit_and_lie_on_whole_pixels() {
        for ppp in [1.0, 1.25, 1.5, 2.0] {
            for (lanes, columns) in [(1, 1), (1, 10), (2, 8), (3, 10), (3, 32)] {
                let room = vec2(700.0, 400.0);
                let cells = CellLayout::fit([28, 28], [10, columns], lanes, room, MIN_PITCH, ppp);
                let pixels = cells.pitch * ppp;
                assert!((pixels - pixels.round()).abs() < 1e-3);
                let width = lanes as f32 * cells.lane_width() + LANE_GAP * (lanes - 1) as f32;
                assert!(width <= room.x + 0.01 || cells.pitch <= MIN_PITCH + 0.01);
                assert!(cells.height() <= room.y + 0.01 || cells.pitch <= MIN_PITCH + 0.01);
                let (frame, image) = cells.rects(pos2(0.0, 0.0), 0);
                assert!(frame.min.x >= -1e-3 && frame.max.x <= cells.pitch + 1e-3);
                let left = image.left() * ppp;
                assert!((left - left.round()).abs() < 1e-3);
            }
        }
    }
}
