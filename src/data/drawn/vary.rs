//! Pictures of a drawing: as it is, or turned, bent and moved a little.

use std::f32::consts::TAU;

use rand::{Rng, RngExt};

use super::{PEN, SIDE, Strokes};

/// The longer side of a drawing in its picture, from the middle of the pen, as a fraction of the picture's side.
const SPAN: f32 = 0.68;
/// The most that a small drawing is enlarged: a dot stays a dot.
const MAX_ENLARGED: f32 = 3.0;
/// The largest angle by which a drawing is turned, in radians.
const MAX_TURN: f32 = 0.16;
/// The largest factor on the size, and its inverse the smallest.
const MAX_SCALE: f32 = 1.12;
/// The largest factor of width to height.
const MAX_STRETCH: f32 = 1.1;
/// The largest shear, sideways move per height.
const MAX_SHEAR: f32 = 0.1;
/// The largest move in each direction, as a fraction of the picture's side.
const MAX_MOVE: f32 = 0.04;
/// The largest factor on the width of the pen, and its inverse the smallest.
const MAX_PEN: f32 = 1.2;
/// The number of waves that bend a drawing.
const NUM_WAVES: usize = 3;
/// The largest height of a wave, as a fraction of the picture's side.
const MAX_WAVE: f32 = 0.018;
/// The distance of points that bend on their own, as a fraction of the picture's side.
const SPACING: f32 = 0.04;
/// The width of the soft edge of a line, in pixels.
const EDGE: f32 = 1.2;

/// The picture of a drawing as it is, but in the middle and as large as those that a model is trained on: [`SIDE`]×[`SIDE`]
/// values from -1 (background) to 1, row by row.
pub fn picture(drawing: &Strokes) -> Vec<f32> {
    let pixels = render(&centered(drawing), PEN);
    pixels.into_iter().map(|byte| f32::from(byte) / 127.5 - 1.0).collect()
}

/// A picture of [`SIDE`]×[`SIDE`] grey pixels in which the drawing is turned, scaled, sheared, bent and moved a little.
pub(super) fn varied(drawing: &Strokes, rng: &mut impl Rng) -> Vec<u8> {
    let (strokes, pen) = vary(drawing, rng);
    render(&strokes, pen)
}

/// The lines of a varied drawing and the width of their pen. All of it is within the unit square.
fn vary(drawing: &Strokes, rng: &mut impl Rng) -> (Strokes, f32) {
    let pen = PEN * factor(rng, MAX_PEN);
    let mut strokes = dense(&centered(drawing));
    let (scale, stretch) = (factor(rng, MAX_SCALE), factor(rng, MAX_STRETCH.sqrt()));
    let (sin, cos) = symmetric(rng, MAX_TURN).sin_cos();
    let shear = symmetric(rng, MAX_SHEAR);
    let moved = [symmetric(rng, MAX_MOVE), symmetric(rng, MAX_MOVE)];
    let waves: Vec<Wave> = (0..NUM_WAVES).map(|_| Wave::draw(rng)).collect();
    for point in strokes.iter_mut().flatten() {
        let [x, y] = point.map(|value| value - 0.5);
        let [x, y] = [scale * stretch * (x + shear * y), scale / stretch * y];
        let [x, y] = [cos * x - sin * y, sin * x + cos * y];
        let bend = waves.iter().map(|wave| wave.at([x, y]));
        let [dx, dy] = bend.fold([0.0, 0.0], |sum, bend| [sum[0] + bend[0], sum[1] + bend[1]]);
        *point = [0.5 + x + dx + moved[0], 0.5 + y + dy + moved[1]];
    }
    keep_inside(&mut strokes, pen);
    (strokes, pen)
}

/// A wave that moves points: smooth, so that neighbours move alike.
struct Wave {
    frequency: [f32; 2],
    phase: f32,
    height: [f32; 2],
}

impl Wave {
    fn draw(rng: &mut impl Rng) -> Self {
        let frequency = [symmetric(rng, 1.6), symmetric(rng, 1.6)];
        let height = [symmetric(rng, MAX_WAVE), symmetric(rng, MAX_WAVE)];
        Self { frequency, phase: TAU * rng.random::<f32>(), height }
    }

    fn at(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let wave = (TAU * (self.frequency[0] * x + self.frequency[1] * y) + self.phase).sin();
        self.height.map(|height| height * wave)
    }
}

/// A random number from -most to most.
pub(super) fn symmetric(rng: &mut impl Rng, most: f32) -> f32 {
    most * (2.0 * rng.random::<f32>() - 1.0)
}

/// A random factor from 1 / most to most.
pub(super) fn factor(rng: &mut impl Rng, most: f32) -> f32 {
    symmetric(rng, most.ln()).exp()
}

/// The smallest and the largest x and y of all points; `None` if there is none.
fn bounds(strokes: &Strokes) -> Option<[[f32; 2]; 2]> {
    let mut points = strokes.iter().flatten();
    let first = *points.next()?;
    Some(points.fold([first, first], |[low, high], &[x, y]| {
        [[low[0].min(x), low[1].min(y)], [high[0].max(x), high[1].max(y)]]
    }))
}

/// The strokes in the middle of the picture, with a longer side of [`SPAN`].
fn centered(strokes: &Strokes) -> Strokes {
    let Some([low, high]) = bounds(strokes) else { return Vec::new() };
    let longer = (high[0] - low[0]).max(high[1] - low[1]);
    let scale = (SPAN / longer.max(1e-6)).min(MAX_ENLARGED);
    let middle = [0.5 * (low[0] + high[0]), 0.5 * (low[1] + high[1])];
    let at = |&[x, y]: &[f32; 2]| [0.5 + scale * (x - middle[0]), 0.5 + scale * (y - middle[1])];
    strokes.iter().map(|stroke| stroke.iter().map(at).collect()).collect()
}

/// The same lines with points at most [`SPACING`] apart, so that straight lines bend too. Points closer than a third of
/// that are left out.
fn dense(strokes: &Strokes) -> Strokes {
    let of_stroke = |stroke: &Vec<[f32; 2]>| {
        let mut points = Vec::new();
        let Some((&first, rest)) = stroke.split_first() else { return points };
        points.push(first);
        let mut last = first;
        for (index, &to) in rest.iter().enumerate() {
            let length = (to[0] - last[0]).hypot(to[1] - last[1]);
            if length < SPACING / 3.0 && index + 1 < rest.len() {
                continue;
            }
            let count = (length / SPACING).ceil().max(1.0) as usize;
            points.extend((1..=count).map(|nth| {
                let share = nth as f32 / count as f32;
                [last[0] + share * (to[0] - last[0]), last[1] + share * (to[1] - last[1])]
            }));
            last = to;
        }
        points
    };
    strokes.iter().map(of_stroke).collect()
}

/// Moves, and if need be shrinks, the strokes so that a line of this width stays in the picture.
fn keep_inside(strokes: &mut Strokes, pen: f32) {
    let Some([low, high]) = bounds(strokes) else { return };
    let (least, most) = (0.5 * pen, 1.0 - 0.5 * pen);
    let longer = (high[0] - low[0]).max(high[1] - low[1]);
    let scale = ((most - least) / longer.max(1e-6)).min(1.0);
    for axis in 0..2 {
        let half = 0.5 * scale * (high[axis] - low[axis]);
        let middle = 0.5 * (low[axis] + high[axis]);
        let to = middle.clamp((least + half).min(0.5), (most - half).max(0.5));
        for point in strokes.iter_mut().flatten() {
            point[axis] = to + scale * (point[axis] - middle);
        }
    }
}

/// Draws strokes with a round pen: [`SIDE`]×[`SIDE`] grey pixels from 0 (background) to 255, row by row.
fn render(strokes: &Strokes, pen: f32) -> Vec<u8> {
    let mut ink = vec![0.0f32; SIDE * SIDE];
    let scale = SIDE as f32;
    let radius = 0.5 * pen * scale;
    for stroke in strokes {
        let at = |point: &[f32; 2]| point.map(|value| value * scale);
        let dot = stroke.iter().take(1).map(|point| [at(point), at(point)]);
        let lines = stroke.windows(2).map(|ends| [at(&ends[0]), at(&ends[1])]);
        for [a, b] in dot.chain(lines) {
            line(&mut ink, radius, a, b);
        }
    }
    ink.into_iter().map(|ink| (255.0 * ink).round() as u8).collect()
}

/// Draws a line with round ends between two points; all lengths are in pixels.
fn line(ink: &mut [f32], radius: f32, a: [f32; 2], b: [f32; 2]) {
    let reach = radius + EDGE;
    let span = |axis: usize| {
        let low = (a[axis].min(b[axis]) - reach).floor().max(0.0) as usize;
        let high = (a[axis].max(b[axis]) + reach).ceil().clamp(0.0, SIDE as f32) as usize;
        low..high.max(low)
    };
    let along = [b[0] - a[0], b[1] - a[1]];
    let length_squared = along[0] * along[0] + along[1] * along[1];
    for y in span(1) {
        for x in span(0) {
            let from = [x as f32 + 0.5 - a[0], y as f32 + 0.5 - a[1]];
            let share = match length_squared > 0.0 {
                true => {
                    ((from[0] * along[0] + from[1] * along[1]) / length_squared).clamp(0.0, 1.0)
                }
                false => 0.0,
            };
            let distance = (from[0] - share * along[0]).hypot(from[1] - share * along[1]);
            let value = ((radius - distance) / EDGE + 0.5).clamp(0.0, 1.0);
            let pixel = &mut ink[y * SIDE + x];
            *pixel = pixel.max(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams;

    #[test]
    fn varied_drawings_stay_in_the_picture_and_are_no_copies() {
        let drawings: [Strokes; 5] = [
            vec![vec![[0.0, 0.0], [1.0, 1.0]], vec![[1.0, 0.0], [0.0, 1.0]]],
            vec![vec![[0.98, 0.02]]],
            vec![vec![[0.5, 0.0], [0.5, 1.0]]],
            vec![vec![[0.4, 0.4], [0.42, 0.4], [0.41, 0.43]]],
            vec![vec![]],
        ];
        let mut rng = streams::DRAWN_PICTURES.rng(1, 0);
        for drawing in &drawings {
            let mut seen = Vec::new();
            for _ in 0..50 {
                let (strokes, pen) = vary(drawing, &mut rng);
                let (low, high) = (0.5 * pen - 1e-4, 1.0 - 0.5 * pen + 1e-4);
                assert!(strokes.iter().flatten().flatten().all(|at| (low..=high).contains(at)));
                seen.push(render(&strokes, pen));
            }
            seen.dedup();
            assert!(seen.len() == 50 || drawing[0].is_empty(), "{drawing:?}");
        }
    }

    #[test]
    fn lines_are_white_with_soft_edges() {
        let values = picture(&vec![vec![[0.2, 0.3], [0.8, 0.7]]]);
        assert_eq!(values.len(), SIDE * SIDE);
        let count = |is: fn(f32) -> bool| values.iter().filter(|&&value| is(value)).count();
        assert!(count(|value| value == 1.0) > 10, "ink");
        assert!(count(|value| value == -1.0) > SIDE * SIDE / 2, "background");
        assert!(count(|value| value > -1.0 && value < 1.0) > 20, "edges");
        // The drawing is brought to the middle.
        let middle = (SIDE / 2) * SIDE + SIDE / 2;
        assert!(values[middle] > 0.5);
        assert_eq!(
            picture(&vec![vec![[0.1, 0.1], [0.3, 0.3]]]),
            picture(&vec![vec![[0.6, 0.5], [0.8, 0.7]]])
        );
    }
}
