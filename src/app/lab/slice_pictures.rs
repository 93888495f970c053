//! Pictures of a chain along its path: which steps have one, and where there is space for it beside the path.

use std::cell::Cell;

use egui::{
    Align2, Color32, FontId, Painter, Pos2, Rect, Stroke, StrokeKind, Vec2, emath::GuiRounding,
    vec2,
};

use crate::{
    app::{
        chart::round_step,
        fit::{fit, nearest_in},
        pixels::{Picture, SMALL, WHOLE, number},
        state::{RunState, Selection},
        theme,
    },
    worker::lab::Slice,
};

/// There is a picture at every tenth step, or at fewer if these are more than this many.
const MAX_BETWEEN: u64 = 12;
const EVERY: u64 = 10;
/// The side of a picture as a share of the square's.
const SHARE: f32 = 0.095;
/// The distance of pictures from the path and from each other, in points.
const GAP: f32 = 4.0;
/// The distance between two points at which a line is kept free of pictures.
const APART: f32 = 3.0;

/// A picture of the chain at one step.
struct Still {
    text: String,
    color: Color32,
    /// The coordinates in the plane.
    at: [f32; 2],
    /// Whether the picture is larger than the others: the start, and now.
    is_end: bool,
    image: Vec<f32>,
    picture: Picture,
}

/// The pictures of a chain along its path, and their places.
#[derive(Default)]
pub(super) struct SlicePictures {
    stills: Vec<Still>,
    /// The number of steps between two pictures.
    pub every: u64,
    /// Whether some picture is without the noise of the data.
    pub is_denoised: bool,
    /// The square that the places were found for, with the pixels per point.
    placed_in: Option<(Rect, f32)>,
    places: Vec<Option<Rect>>,
}

impl SlicePictures {
    /// Takes the pictures of a chain up to step `last`: at the start, now, and between them. They look as in the grid, and stand
    /// where the chain was.
    pub(super) fn new(run: &RunState, chain: Selection, last: u64, slice: &Slice) -> Self {
        let every = round_step(last as f64 / MAX_BETWEEN as f64).max(EVERY as f64) as u64;
        let is_denoised = Cell::new(false);
        let still = |step: u64, text: String, color: Color32, is_end: bool| {
            let (_, image) = run.image_of(chain, step)?;
            let at = slice.nearest_to(image);
            let denoised = run.denoised_image_of(chain, step);
            is_denoised.set(is_denoised.get() || denoised.is_some());
            let image = denoised.unwrap_or_else(|| image.to_vec());
            Some(Still { text, color, at, is_end, image, picture: Picture::default() })
        };
        let end = |step: u64, name: &str, color: Color32, energy: Option<&f32>| {
            let energy =
                energy.map_or(String::new(), |energy| format!(": E = {}", number(*energy)));
            still(step, format!("{name}{energy}"), color, true)
        };
        let mut stills = Vec::new();
        stills.extend(end(0, "start", theme::DRIFT, slice.path_energy.first()));
        stills.extend(end(last, "now", theme::NOISE, slice.path_energy.last()));
        let mut previous = 0;
        for step in (1..).map(|nth| nth * every).take_while(|step| step + every / 2 <= last) {
            // A long record has not every step.
            let recorded = run.image_of(chain, step).map_or(0, |found| found.0);
            if recorded > previous {
                previous = recorded;
                stills.extend(still(recorded, recorded.to_string(), Color32::WHITE, false));
            }
        }
        let is_denoised = is_denoised.get();
        Self { stills, every, is_denoised, placed_in: None, places: Vec::new() }
    }

    /// The pictures that have a place, as text.
    pub(super) fn seen(&self) -> String {
        let placed = self.stills.iter().zip(&self.places).filter(|(_, place)| place.is_some());
        placed.map(|(still, _)| still.text.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Draws the pictures into a square, each as near to its point of the path as it has space.
    pub(super) fn show(
        &mut self,
        painter: &Painter,
        square: Rect,
        shape: [usize; 3],
        path: &[Pos2],
        to_screen: impl Fn(&[f32]) -> Pos2,
    ) {
        let ppp = painter.pixels_per_point();
        let font = FontId::proportional(SMALL);
        let texts: Vec<_> = self
            .stills
            .iter()
            .map(|still| painter.layout_no_wrap(still.text.clone(), font.clone(), Color32::WHITE))
            .collect();
        let image_size = |still: &Still| {
            let wanted = SHARE * square.width();
            whole_pixels(shape, if still.is_end { 1.6 * wanted } else { wanted }, ppp)
        };
        let points: Vec<Pos2> = self.stills.iter().map(|still| to_screen(&still.at)).collect();
        if self.placed_in != Some((square, ppp)) {
            let sizes = self.stills.iter().zip(&texts).map(|(still, text)| {
                let (image, text) = (image_size(still), text.size());
                vec2(image.x.max(text.x), image.y + text.y) + Vec2::splat(4.0)
            });
            let blocks: Vec<(Pos2, Vec2)> = points.iter().copied().zip(sizes).collect();
            self.places = place(square.shrink(GAP), path, &blocks);
            self.placed_in = Some((square, ppp));
        }
        for ((place, point), still) in self.places.iter().zip(&points).zip(&self.stills) {
            if let Some(place) = place {
                let line = Stroke::new(1.0, still.color.gamma_multiply(0.8));
                painter.line_segment([*point, nearest_in(*place, *point)], line);
            }
            let radius = if still.is_end { 5.0 } else { 3.5 };
            painter.circle_filled(*point, radius, still.color);
        }
        let drawn = self.stills.iter_mut().zip(&self.places).zip(texts);
        for ((still, place), text) in drawn {
            let Some(place) = place else { continue };
            painter.rect_filled(*place, 3.0, Color32::from_black_alpha(190));
            let stroke = Stroke::new(1.0, still.color);
            painter.rect_stroke(*place, 3.0, stroke, StrokeKind::Inside);
            let size = image_size(still);
            let corner = place.center_top() + vec2(-0.5 * size.x, 2.0);
            let rect = Rect::from_min_size(corner.round_to_pixels(ppp), size);
            let texture = still.picture.texture(painter.ctx(), &still.image, shape);
            painter.image(texture, rect, WHOLE, Color32::WHITE);
            let below = place.center_bottom() - vec2(0.0, 2.0);
            let corner = Align2::CENTER_BOTTOM.anchor_size(below, text.size()).min;
            painter.galley(corner, text, Color32::WHITE);
        }
    }
}

/// An image under the pointer: its picture, kept between frames.
#[derive(Default)]
pub(super) struct UnderPointer {
    picture: Picture,
}

impl UnderPointer {
    /// Draws the image at the top of `room`, with a text below it.
    pub(super) fn show(
        &mut self,
        painter: &Painter,
        room: Rect,
        shape: [usize; 3],
        image: &[f32],
        text: &str,
    ) {
        let ppp = painter.pixels_per_point();
        let size = whole_pixels(shape, room.width().min(room.height() - 2.0 * SMALL), ppp);
        let rect = Rect::from_min_size(room.min.round_to_pixels(ppp), size);
        let texture = self.picture.texture(painter.ctx(), image, shape);
        painter.image(texture, rect, WHOLE, Color32::WHITE);
        let frame = Stroke::new(1.0, Color32::WHITE);
        painter.rect_stroke(rect, 0.0, frame, StrokeKind::Outside);
        let below = rect.left_bottom() + vec2(0.0, 4.0);
        super::on_screen::caption(painter, below, Align2::LEFT_TOP, text);
    }
}

/// The size of an image whose pixels are each a whole number of pixels of the screen, with a longer side of at most
/// `wanted` points if possible.
fn whole_pixels([_, h, w]: [usize; 3], wanted: f32, ppp: f32) -> Vec2 {
    let longer = h.max(w).max(1) as f32;
    let factor = (wanted * ppp / longer).floor().max(1.0) / ppp;
    vec2(w as f32, h as f32) * factor
}

/// Finds a place within `room` for each block, given as its point and its size: as near to its point as possible, apart
/// from the path and from the other blocks. `None` for one that finds no place; earlier blocks choose first.
fn place(room: Rect, path: &[Pos2], blocks: &[(Pos2, Vec2)]) -> Vec<Option<Rect>> {
    let mut lines: Vec<Pos2> = path.windows(2).flat_map(|ends| along(ends[0], ends[1])).collect();
    lines.retain(|point| point.is_finite());
    let centre = Rect::from_points(&lines).center();
    let mut places: Vec<Rect> = Vec::new();
    let found = blocks.iter().map(|&(point, size)| {
        if !point.is_finite() {
            return None;
        }
        let outward = if lines.is_empty() { Vec2::X } else { point - centre };
        let is_free = |place: &Rect| {
            let leader = along(point, nearest_in(*place, point));
            room.contains_rect(*place)
                && !places.iter().any(|other| other.expand(GAP).intersects(*place))
                && !lines.iter().any(|line| place.expand(GAP).contains(*line))
                && !leader.iter().any(|at| places.iter().any(|other| other.contains(*at)))
        };
        let place = candidates(point, size, outward, room.width()).find(is_free)?;
        lines.extend(along(point, nearest_in(place, point)));
        places.push(place);
        Some(place)
    });
    found.collect()
}

/// Places around a point, from the nearest to the farthest, first those that lie outward.
fn candidates(point: Pos2, size: Vec2, outward: Vec2, farthest: f32) -> impl Iterator<Item = Rect> {
    let first = outward.angle();
    let turns = (0..16).map(move |nth| {
        let turn = (nth + 1) / 2 * if nth % 2 == 0 { 1 } else { -1 };
        Vec2::angled(first + turn as f32 * std::f32::consts::TAU / 16.0)
    });
    let distances = (0..40).map(|nth| 10.0 + 8.0 * nth as f32);
    let distances = distances.take_while(move |distance| *distance < 0.6 * farthest);
    distances.flat_map(move |distance| {
        turns.clone().map(move |turn| {
            let reach = distance + 0.5 * (size.x * turn.x.abs() + size.y * turn.y.abs());
            Rect::from_center_size(point + turn * reach, size)
        })
    })
}

/// Points along a line, close to each other.
fn along(from: Pos2, to: Pos2) -> Vec<Pos2> {
    let count = fit(((to - from).length() / APART).ceil(), 1.0, 4000.0);
    (0..=count as usize).map(|nth| from.lerp(to, nth as f32 / count)).collect()
}

#[cfg(test)]
mod tests {
    use egui::pos2;

    use super::*;

    fn check(path: &[Pos2], num_blocks: usize) -> usize {
        let room = Rect::from_min_size(pos2(10.0, 10.0), Vec2::splat(330.0));
        let point = |nth: usize| path[nth * (path.len() - 1) / (num_blocks - 1)];
        let mut blocks: Vec<(Pos2, Vec2)> =
            (0..num_blocks).map(|nth| (point(nth), vec2(32.0, 46.0))).collect();
        blocks[0].1 = vec2(90.0, 62.0);
        let places = place(room, path, &blocks);
        let found: Vec<Rect> = places.iter().flatten().copied().collect();
        for (nth, rect) in found.iter().enumerate() {
            assert!(room.contains_rect(*rect), "{rect:?}");
            assert!(!found[..nth].iter().any(|other| other.intersects(*rect)), "{rect:?}");
            let is_on = path
                .windows(2)
                .any(|ends| along(ends[0], ends[1]).iter().any(|point| rect.contains(*point)));
            assert!(!is_on, "{rect:?} is on the path");
        }
        assert!(places[0].is_some(), "the first one has a place");
        found.len()
    }

    #[test]
    fn pictures_stand_beside_the_path_and_apart_from_each_other() {
        let straight: Vec<Pos2> = (0..=20).map(|n| pos2(70.0 + 10.0 * n as f32, 175.0)).collect();
        assert_eq!(check(&straight, 9), 9);
        let spiral: Vec<Pos2> = (0..=60)
            .map(|n| pos2(175.0, 175.0) + Vec2::angled(n as f32 * 0.15) * (30.0 + 1.5 * n as f32))
            .collect();
        assert!(check(&spiral, 9) >= 6);
        // A path that fills the square leaves no space, which is no reason to crash.
        let full: Vec<Pos2> = (0..=700)
            .map(|n| pos2(10.0 + (n % 2) as f32 * 330.0, 10.0 + n as f32 * 0.47))
            .collect();
        let room = Rect::from_min_size(pos2(10.0, 10.0), Vec2::splat(330.0));
        assert_eq!(place(room, &full, &[(full[5], vec2(40.0, 40.0))]), [None]);
        assert_eq!(place(room, &[], &[(pos2(f32::NAN, 0.0), vec2(4.0, 4.0))]), [None]);
    }

    #[test]
    fn every_pixel_of_an_image_is_a_whole_number_of_pixels() {
        assert_eq!(whole_pixels([1, 28, 28], 60.0, 1.0), vec2(56.0, 56.0));
        assert_eq!(whole_pixels([3, 32, 32], 20.0, 1.0), vec2(32.0, 32.0));
        assert_eq!(whole_pixels([1, 28, 14], 40.0, 2.0), vec2(14.0, 28.0));
    }
}
