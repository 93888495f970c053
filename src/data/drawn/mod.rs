//! A data set that a person draws: a few drawings of each class, kept as strokes. Many pictures are made of each drawing,
//! turned, bent and moved a little, so that a few drawings are enough to train on.

mod examples;
mod vary;

use std::collections::BTreeSet;

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::streams;

pub use vary::picture;

/// The side of a picture, in pixels.
pub const SIDE: usize = 20;
/// The width of the pen, as a fraction of the side of a picture.
pub const PEN: f32 = 0.1;
/// The least number of drawings of each class to train on.
pub const MIN_DRAWINGS: usize = 3;
/// The number of drawings of each class that usually gives a good model.
pub const GOOD_DRAWINGS: usize = 10;
/// The largest number of drawings of a class.
pub const MAX_DRAWINGS: usize = 40;
/// The least number of classes to train on.
pub const MIN_CLASSES: usize = 2;
/// The largest number of classes.
pub const MAX_CLASSES: usize = 10;
/// The largest number of points of a drawing. Points beyond it are left out.
pub const MAX_POINTS: usize = 2000;
/// The number of training pictures that are made of all drawings together.
const NUM_TRAIN: usize = 480;
/// The number of test pictures that are made of each drawing that is held out.
const NUM_TEST_EACH: usize = 8;

/// One drawing: strokes in the order in which they were drawn. Each stroke is a line through points (x, y) of the unit
/// square, whose origin is at the top left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Drawing {
    /// The points of each stroke. A stroke with one point is a dot.
    pub strokes: Vec<Vec<[f32; 2]>>,
}

/// The drawings of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnClass {
    /// The name of the class.
    pub name: String,
    /// The drawings, oldest first.
    pub drawings: Vec<Drawing>,
}

/// A data set of drawings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnSet {
    /// The classes, in the order in which they were made.
    pub classes: Vec<DrawnClass>,
}

impl Drawing {
    /// Whether nothing is drawn.
    pub fn is_empty(&self) -> bool {
        self.strokes.iter().all(Vec::is_empty)
    }

    /// The number of points of all strokes together.
    pub fn num_points(&self) -> usize {
        self.strokes.iter().map(Vec::len).sum()
    }
}

/// A picture to train or to test on, before it is drawn.
struct Planned {
    name: String,
    drawing: Drawing,
    class: usize,
    index: usize,
    variant: usize,
}

impl DrawnSet {
    /// The files of the data set, as in a folder: PNG pictures with names such as `train/star/3-17.png`. One drawing of
    /// each class, or two if there are eight or more, are held out for the test part; no training picture is made of them.
    /// The pictures are made one by one, while the iterator is read.
    pub fn files(&self, seed: u64) -> impl ExactSizeIterator<Item = (String, Vec<u8>)> {
        let num_train: usize =
            self.classes.iter().map(|class| class.drawings.len() - num_held_out(class)).sum();
        let num_each = NUM_TRAIN.div_ceil(num_train.max(1));
        let mut planned = Vec::new();
        for (at, class) in self.classes.iter().enumerate() {
            let held_out = held_out(class, seed, at);
            for (index, drawing) in class.drawings.iter().enumerate() {
                let (part, count) = match held_out.contains(&index) {
                    true => ("test", NUM_TEST_EACH),
                    false => ("train", num_each),
                };
                planned.extend((0..count).map(|variant| Planned {
                    name: format!("{part}/{}/{:02}-{variant:02}.png", class.name, index + 1),
                    drawing: drawing.clone(),
                    class: at,
                    index,
                    variant,
                }));
            }
        }
        planned.into_iter().map(move |one| {
            let counter = ((one.class as u64) << 40) | ((one.index as u64) << 20) | one.variant as u64;
            let mut rng = streams::DRAWN_PICTURES.rng(seed, counter);
            (one.name, png(&vary::varied(&one.drawing, &mut rng)))
        })
    }
}

/// The number of drawings of a class that are held out for the test part.
fn num_held_out(class: &DrawnClass) -> usize {
    match class.drawings.len() {
        0..MIN_DRAWINGS => 0,
        MIN_DRAWINGS..8 => 1,
        _ => 2,
    }
}

/// The drawings of a class that are held out, chosen by the seed.
fn held_out(class: &DrawnClass, seed: u64, at: usize) -> BTreeSet<usize> {
    let mut order: Vec<usize> = (0..class.drawings.len()).collect();
    order.shuffle(&mut streams::DRAWN_TEST_PART.rng(seed, at as u64));
    order.into_iter().take(num_held_out(class)).collect()
}

/// A grey picture of [`SIDE`]×[`SIDE`] pixels as a PNG file.
fn png(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let side = SIDE as u32;
    // Writing to memory does not fail, and the size is that of the pixels.
    let written = PngEncoder::new(&mut bytes).write_image(pixels, side, side, ExtendedColorType::L8);
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dump() {
        let Ok(out) = std::env::var("DUMP") else { return };
        for (name, bytes) in DrawnSet::examples(0).files(0) {
            let path = std::path::Path::new(&out).join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}
