//! Example drawings, made by a formula as an unsteady hand would draw them.

use std::{
    f32::consts::{PI, TAU},
    sync::Arc,
};

use rand_chacha::ChaCha8Rng;

use super::{
    DrawnClass, DrawnSet, GOOD_DRAWINGS, Strokes,
    vary::{factor, symmetric},
};
use crate::streams;

/// The classes of the example, with the shape of each.
const EXAMPLES: [(&str, Shape); 3] = [("face", face), ("house", house), ("star", star)];

/// A shape drawn by an unsteady hand.
type Shape = fn(&mut ChaCha8Rng) -> Strokes;

impl DrawnSet {
    /// Three classes of examples with [`GOOD_DRAWINGS`] drawings each, made by a formula.
    pub fn examples(seed: u64) -> Self {
        let class = |(class, &(name, shape)): (usize, &(&str, Shape))| {
            let drawing = |index| {
                let counter = ((class as u64) << 32) | index as u64;
                Arc::new(drawn(shape, &mut streams::DRAWN_EXAMPLES.rng(seed, counter)))
            };
            let drawings = (0..GOOD_DRAWINGS).map(drawing).collect();
            DrawnClass { name: name.to_string(), drawings }
        };
        Self { classes: EXAMPLES.iter().enumerate().map(class).collect() }
    }
}

/// A drawing of a shape: not quite straight, not quite in the middle.
fn drawn(shape: Shape, rng: &mut ChaCha8Rng) -> Strokes {
    let mut strokes = shape(rng);
    let (sin, cos) = symmetric(rng, 0.1).sin_cos();
    let (wide, high) = (factor(rng, 1.12), factor(rng, 1.12));
    let moved = [symmetric(rng, 0.05), symmetric(rng, 0.05)];
    let tremble = [symmetric(rng, 0.012), symmetric(rng, 0.012)];
    let phases = [TAU * symmetric(rng, 1.0), TAU * symmetric(rng, 1.0)];
    for point in strokes.iter_mut().flatten() {
        let [x, y] = [wide * (point[0] - 0.5), high * (point[1] - 0.5)];
        let bend =
            [tremble[0] * (9.0 * y + phases[0]).sin(), tremble[1] * (9.0 * x + phases[1]).sin()];
        let turned = [cos * x - sin * y, sin * x + cos * y];
        *point = [0, 1].map(|axis| {
            let value: f32 = 0.5 + turned[axis] + moved[axis] + bend[axis];
            value.clamp(0.0, 1.0)
        });
    }
    strokes
}

/// A part of an ellipse, from one angle to another in radians; 0 is at the right, and the angle grows downwards.
fn arc(center: [f32; 2], radius: [f32; 2], from: f32, to: f32) -> Vec<[f32; 2]> {
    let count = (10.0 * (to - from).abs()).ceil().max(2.0);
    (0..=count as usize)
        .map(|nth| {
            let (sin, cos) = (from + (to - from) * nth as f32 / count).sin_cos();
            [center[0] + radius[0] * cos, center[1] + radius[1] * sin]
        })
        .collect()
}

/// The point, moved a little.
fn near(rng: &mut ChaCha8Rng, [x, y]: [f32; 2], most: f32) -> [f32; 2] {
    [x + symmetric(rng, most), y + symmetric(rng, most)]
}

fn face(rng: &mut ChaCha8Rng) -> Strokes {
    let begin = symmetric(rng, PI);
    let head = arc([0.5, 0.5], [0.37, 0.37], begin, begin + TAU * 1.01);
    let eye = |at: [f32; 2]| vec![at, [at[0], at[1] + 0.07]];
    let left = near(rng, [0.37, 0.36], 0.02);
    let right = near(rng, [0.63, 0.36], 0.02);
    let smile = 0.13 + symmetric(rng, 0.03);
    let mouth = arc(near(rng, [0.5, 0.57], 0.015), [0.19, smile], 0.1, PI - 0.1);
    vec![head, eye(left), eye(right), mouth]
}

fn house(rng: &mut ChaCha8Rng) -> Strokes {
    let top = near(rng, [0.5, 0.12], 0.03);
    let [left, right] = [near(rng, [0.18, 0.44], 0.02), near(rng, [0.82, 0.44], 0.02)];
    let [a, b] = [near(rng, [0.2, 0.86], 0.02), near(rng, [0.8, 0.86], 0.02)];
    let door = near(rng, [0.5, 0.64], 0.03);
    vec![
        vec![left, a, b, right],
        vec![left, top, right, left],
        vec![
            [door[0] - 0.08, a[1]],
            [door[0] - 0.08, door[1]],
            [door[0] + 0.08, door[1]],
            [door[0] + 0.08, b[1]],
        ],
    ]
}

fn star(rng: &mut ChaCha8Rng) -> Strokes {
    let corner = |nth: usize| {
        let (sin, cos) = (0.1 * TAU * nth as f32 - 0.25 * TAU).sin_cos();
        let radius = if nth.is_multiple_of(2) { 0.42 } else { 0.17 };
        [0.5 + radius * cos, 0.52 + radius * sin]
    };
    let mut corners: Vec<[f32; 2]> = (0..10).map(|nth| near(rng, corner(nth), 0.025)).collect();
    corners.push(near(rng, corners[0], 0.015));
    vec![corners]
}
