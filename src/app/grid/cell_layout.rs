//! The positions of the cells in a grid: the arrangement with the largest images.

use egui::{Pos2, Rect, Vec2, vec2};

/// Cells of at least this size have frames of double width.
const WIDE_PITCH: f32 = 48.0;
/// The space between lanes, in points.
const LANE_GAP: f32 = 12.0;
/// The height of the name of a lane.
pub(super) const HEADER: f32 = 18.0;
/// The space between two classes that take several lines each.
const CLASS_GAP: f32 = 5.0;
/// The images are enlarged by a whole factor if they then fill at least this fraction of the space.
const WHOLE_FACTOR_FILL: f32 = 0.66;
/// A less usual arrangement must enlarge the images, or the part of them that is seen, by at least this factor.
const WORTH_IT: f32 = 1.1;

/// What has to be arranged.
#[derive(Clone, Copy)]
pub(super) struct Contents {
    /// The height and width of an image, in its pixels.
    pub(super) image: [usize; 2],
    pub(super) classes: usize,
    /// The number of chains of a class in each lane.
    pub(super) per_class: usize,
    pub(super) lanes: usize,
}

/// The sizes of a cell, in points, each a whole number of physical pixels, and the arrangement of the cells.
#[derive(Clone, Copy)]
pub(super) struct CellLayout {
    /// The distance from one cell to the next.
    pub(super) pitch: f32,
    /// The width of a frame.
    pub(super) frame: f32,
    /// The size of the image.
    image: Vec2,
    /// The space between the square frame and an image that is not square.
    inset: Vec2,
    /// The number of cells of a lane side by side. Further chains of the class follow on the next line.
    pub(super) across: usize,
    /// The number of lines that a class takes.
    pub(super) lines: usize,
    /// Whether the lanes lie below each other.
    pub(super) is_stacked: bool,
    /// The space between two classes.
    class_gap: f32,
    contents: Contents,
}

impl CellLayout {
    /// The arrangement with the largest images that fits into `room`: lanes side by side or below each other, and
    /// each class on one line or on several. If none fits, the one of which the largest part is seen.
    pub(super) fn fit(contents: Contents, room: Vec2, min_pitch: f32, ppp: f32) -> Self {
        let mut best: Option<Self> = None;
        for is_stacked in [false, true] {
            if is_stacked && contents.lanes < 2 {
                continue;
            }
            let mut lines = 0;
            for across in (1..=contents.per_class.max(1)).rev() {
                // Fewer cells on the same number of lines would only be smaller.
                if contents.per_class.div_ceil(across) == lines {
                    continue;
                }
                lines = contents.per_class.div_ceil(across).max(1);
                let across = contents.per_class.div_ceil(lines).max(1);
                let other =
                    Self::arranged(contents, [across, lines], is_stacked, room, min_pitch, ppp);
                let is_better =
                    best.as_ref().is_none_or(|best| match [best, &other].map(|it| it.fits(room)) {
                        [true, true] => other.image.x > best.image.x * WORTH_IT,
                        [false, false] => other.seen(room) > best.seen(room) * WORTH_IT,
                        [_, fits] => fits,
                    });
                if is_better {
                    best = Some(other);
                }
            }
        }
        best.unwrap_or_else(|| Self::arranged(contents, [1, 1], false, room, min_pitch, ppp))
    }

    /// The largest cells in one arrangement.
    fn arranged(
        contents: Contents,
        [across, lines]: [usize; 2],
        is_stacked: bool,
        room: Vec2,
        min_pitch: f32,
        ppp: f32,
    ) -> Self {
        let Contents { image: [h, w], classes, lanes, .. } = contents;
        let class_gap = if lines > 1 { CLASS_GAP } else { 0.0 };
        let empty = Self {
            pitch: 0.0,
            frame: 0.0,
            image: Vec2::ZERO,
            inset: Vec2::ZERO,
            across,
            lines,
            is_stacked,
            class_gap: (class_gap * ppp).round() / ppp,
            contents,
        };
        let wide = room - empty.total();
        let [lanes_across, lanes_down] = if is_stacked { [1, lanes] } else { [lanes, 1] };
        let cells = vec2((lanes_across * across) as f32, (lanes_down * classes * lines) as f32);
        let pitch = (wide / cells.max(Vec2::ONE)).min_elem().max(min_pitch);
        let line = if pitch >= WIDE_PITCH { (2.0 * ppp).round() } else { ppp.round() }.max(1.0);
        let margin = 3.0 * line;
        let room = ((pitch * ppp).floor() - margin).max(1.0);
        let longer = h.max(w) as f32;
        let whole = (room / longer).floor() * longer;
        let side = if whole >= WHOLE_FACTOR_FILL * room { whole } else { room };
        let image = (vec2(w as f32, h as f32) * side / longer).round().max(Vec2::ONE);
        // Space that a whole factor leaves over makes the gaps a little wider.
        let spare = (room - side).min(line);
        Self {
            pitch: (side + margin + spare) / ppp,
            frame: line / ppp,
            image: image / ppp,
            inset: ((Vec2::splat(side) - image) / 2.0).floor() / ppp,
            ..empty
        }
    }

    pub(super) fn fits(&self, room: Vec2) -> bool {
        let total = self.total();
        total.x <= room.x + 0.01 && total.y <= room.y + 0.01
    }

    /// The part of the whole that is seen at once in `room`, from 0 to 1.
    fn seen(&self, room: Vec2) -> f32 {
        let part = (room / self.total()).min(Vec2::ONE).max(Vec2::ZERO);
        part.x * part.y
    }

    fn header(&self) -> f32 {
        if self.contents.lanes > 1 { HEADER } else { 0.0 }
    }

    pub(super) fn lane_width(&self) -> f32 {
        self.across as f32 * self.pitch
    }

    /// The height of a lane, without its name.
    pub(super) fn lane_height(&self) -> f32 {
        let classes = self.contents.classes;
        (classes * self.lines) as f32 * self.pitch
            + classes.saturating_sub(1) as f32 * self.class_gap
    }

    /// The size of all lanes with their names.
    pub(super) fn total(&self) -> Vec2 {
        let lanes = self.contents.lanes.max(1);
        let gaps = (lanes - 1) as f32 * LANE_GAP;
        let height = self.header() + self.lane_height();
        match self.is_stacked {
            false => vec2(self.lane_width() * lanes as f32 + gaps, height),
            true => vec2(self.lane_width(), height * lanes as f32 + gaps),
        }
    }

    /// The corner of the first cell of a lane, from the corner of the whole.
    pub(super) fn lane_at(&self, lane: usize, ppp: f32) -> Vec2 {
        let (lane, snap) = (lane as f32, |value: f32| (value * ppp).round() / ppp);
        match self.is_stacked {
            false => vec2(lane * snap(self.lane_width() + LANE_GAP), snap(self.header())),
            true => {
                let height = snap(self.header() + self.lane_height() + LANE_GAP);
                vec2(0.0, lane * height + snap(self.header()))
            }
        }
    }

    /// The top of a class in its lane, and its height.
    pub(super) fn class_rows(&self, class: usize) -> [f32; 2] {
        let height = self.lines as f32 * self.pitch;
        [class as f32 * (height + self.class_gap), height]
    }

    /// The rectangles of the frame and the image of a chain, in the lane at `corner`.
    pub(super) fn rects(&self, corner: Pos2, chain: usize) -> (Rect, Rect) {
        let per_class = self.contents.per_class.max(1);
        let (class, nth) = (chain / per_class, chain % per_class);
        let x = (nth % self.across) as f32 * self.pitch;
        let y = self.class_rows(class)[0] + (nth / self.across) as f32 * self.pitch;
        // The gap is to the right of the cell and below it.
        let min = corner + vec2(x, y) + Vec2::splat(self.frame);
        let image = Rect::from_min_size(min + self.inset, self.image);
        (image.expand(self.frame), image)
    }

    /// The chain above or below a chain, if there is one.
    pub(super) fn above_or_below(&self, chain: usize, is_below: bool) -> Option<usize> {
        let per_class = self.contents.per_class.max(1);
        let (class, nth) = (chain / per_class, chain % per_class);
        let column = nth % self.across;
        let line = class * self.lines + nth / self.across;
        let next = if is_below { line + 1 } else { line.checked_sub(1)? };
        let class = next / self.lines;
        // The last line of a class may be shorter than the others.
        let nth = ((next % self.lines) * self.across + column).min(per_class - 1);
        (class < self.contents.classes).then_some(class * per_class + nth)
    }
}

#[cfg(test)]
mod tests {
    use egui::pos2;

    use super::*;

    const MIN_PITCH: f32 = 14.0;

    fn contents(classes: usize, per_class: usize, lanes: usize) -> Contents {
        Contents { image: [28, 28], classes, per_class, lanes }
    }

    #[test]
    fn cells_fit_and_lie_on_whole_pixels() {
        for ppp in [1.0, 1.25, 1.5, 2.0] {
            for (lanes, columns) in [(1, 1), (1, 10), (2, 8), (3, 10), (3, 32)] {
                let room = vec2(700.0, 400.0);
                let cells = CellLayout::fit(contents(10, columns, lanes), room, MIN_PITCH, ppp);
                let pixels = cells.pitch * ppp;
                assert!((pixels - pixels.round()).abs() < 1e-3);
                assert!(cells.fits(room) || cells.pitch <= MIN_PITCH + 0.01);
                let (frame, image) = cells.rects(pos2(0.0, 0.0), 0);
                assert!(frame.min.x >= -1e-3 && frame.max.x <= cells.pitch + 1e-3);
                let left = image.left() * ppp;
                assert!((left - left.round()).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn the_arrangement_makes_the_images_large() {
        // Ten by ten garments are enlarged twice, without a fraction.
        let cells = CellLayout::fit(contents(10, 10, 1), vec2(720.0, 640.0), MIN_PITCH, 1.0);
        assert_eq!((cells.pitch, cells.image), (64.0, Vec2::splat(56.0)));
        // One class wraps to fill the space.
        let cells = CellLayout::fit(contents(1, 10, 1), vec2(720.0, 640.0), MIN_PITCH, 1.0);
        assert_eq!((cells.across, cells.lines), (4, 3));
        assert_eq!(cells.image, Vec2::splat(168.0));
        // Two lanes lie below each other in a tall space, and beside each other in a wide one.
        let tall = CellLayout::fit(contents(1, 3, 2), vec2(200.0, 800.0), MIN_PITCH, 1.0);
        let wide = CellLayout::fit(contents(2, 8, 2), vec2(900.0, 200.0), MIN_PITCH, 1.0);
        assert!(tall.is_stacked && !wide.is_stacked);
    }

    #[test]
    fn of_cells_that_do_not_fit_most_are_seen() {
        let across = |per_class: usize, lanes: usize, room: Vec2| {
            let cells = CellLayout::fit(contents(10, per_class, lanes), room, 25.0, 1.0);
            assert!(!cells.fits(room) && cells.pitch == 25.0);
            cells.across
        };
        // A low window shows some rows, and a narrow one most columns.
        assert_eq!(across(10, 1, vec2(290.0, 100.0)), 10);
        assert_eq!(across(10, 1, vec2(225.0, 300.0)), 10);
        // Half of each row would be hidden here, so it takes two lines.
        assert_eq!(across(10, 1, vec2(130.0, 490.0)), 5);
    }

    #[test]
    fn arrows_move_between_the_lines_of_a_class() {
        let cells = CellLayout::fit(contents(2, 10, 1), vec2(300.0, 900.0), MIN_PITCH, 1.0);
        assert!(cells.lines > 1, "{}", cells.lines);
        let last = (cells.lines - 1) * cells.across;
        assert_eq!(cells.above_or_below(0, true), Some(cells.across));
        assert_eq!(cells.above_or_below(last, true), Some(10));
        assert_eq!(cells.above_or_below(0, false), None);
        assert_eq!(cells.above_or_below(19, true), None);
    }
}
