//! A data set that a person draws: a few drawings of each class, kept as strokes. Many pictures are made of each drawing,
//! turned, bent and moved a little, so that a few drawings are enough to train on.

mod examples;
mod file;
#[cfg(test)]
mod tests;
mod vary;

use std::{collections::BTreeSet, sync::Arc};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{OwnContent, OwnFile};
use crate::streams;

pub use file::DrawnError;
pub use vary::picture;

/// The seed of the pictures that the window makes, and of the examples.
pub const SEED: u64 = 0;
/// The side of a picture, in pixels.
pub const SIDE: usize = 24;
/// The width of the pen, as a fraction of the side of a picture.
pub const PEN: f32 = 0.1;
/// The least number of drawings of each class to train on.
pub const MIN_DRAWINGS: usize = 3;
/// The number of drawings of each class that is advised.
pub const GOOD_DRAWINGS: usize = 10;
/// The largest number of drawings of a class.
pub const MAX_DRAWINGS: usize = 40;
/// The least number of classes to train on.
pub const MIN_CLASSES: usize = 2;
/// The largest number of classes.
pub const MAX_CLASSES: usize = 10;
/// The largest number of points of a drawing.
pub const MAX_POINTS: usize = 400;
/// The largest number of characters of the name of a class.
pub const MAX_NAME: usize = 24;
/// The number of drawings of a class from which on two of them are held out, and not one.
const NUM_FOR_TWO: usize = 8;
/// The number of training pictures that are made of all drawings together, or a few more.
const NUM_TRAIN: usize = 480;
/// The number of test pictures that are made of each drawing that is held out.
const NUM_TEST_EACH: usize = 8;

/// Lines of a pen: each goes through points (x, y) of the unit square, whose origin is at the top left. A line with one
/// point is a dot.
pub type Strokes = Vec<Vec<[f32; 2]>>;

/// The drawings of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnClass {
    /// The name of the class.
    pub name: String,
    /// The drawings, oldest first, as the strokes of each.
    pub drawings: Vec<Arc<Strokes>>,
}

/// A data set of drawings, by class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawnSet {
    /// The classes, in the order in which they were made.
    pub classes: Vec<DrawnClass>,
}

/// A picture that will be made of a drawing.
struct Planned {
    name: String,
    drawing: Arc<Strokes>,
    /// The counter of its random numbers.
    counter: u64,
}

impl DrawnClass {
    /// The number of drawings that are held out for the test part.
    fn num_held_out(&self) -> usize {
        match self.drawings.len() {
            0..MIN_DRAWINGS => 0,
            MIN_DRAWINGS..NUM_FOR_TWO => 1,
            _ => 2,
        }
    }

    /// The indices of the drawings that are held out, chosen by the seed.
    fn held_out(&self, seed: u64, class: usize) -> BTreeSet<usize> {
        let mut order: Vec<usize> = (0..self.drawings.len()).collect();
        order.shuffle(&mut streams::DRAWN_TEST_PART.rng(seed, class as u64));
        order.into_iter().take(self.num_held_out()).collect()
    }
}

impl DrawnSet {
    /// The number of drawings of all classes together.
    pub fn num_drawings(&self) -> usize {
        self.classes.iter().map(|class| class.drawings.len()).sum()
    }

    /// Why the drawings cannot be trained on yet, and what to do, in one sentence.
    pub fn problem(&self) -> Option<String> {
        if self.classes.len() < MIN_CLASSES {
            return Some(format!("Draw at least {MIN_CLASSES} classes."));
        }
        let lacking = self.classes.iter().find(|class| class.drawings.len() < MIN_DRAWINGS)?;
        let missing = MIN_DRAWINGS - lacking.drawings.len();
        let name = &lacking.name;
        Some(match lacking.drawings.len() {
            0 => format!("Draw {missing} of {name}, or remove that class."),
            _ => format!("Draw {missing} more of {name}."),
        })
    }

    /// The files of the data set, as in a folder: PNG pictures with names such as `train/star/03-17.png`. One drawing of
    /// each class, or two of eight or more, are held out for the test part: no training picture is made of them. Each
    /// picture is made when the iterator comes to it.
    pub fn files(&self, seed: u64) -> impl ExactSizeIterator<Item = OwnFile> + use<> {
        let num_drawn = self.classes.iter().map(|c| c.drawings.len() - c.num_held_out()).sum();
        let num_each = NUM_TRAIN.div_ceil(usize::max(num_drawn, 1));
        let mut planned = Vec::new();
        for (at, class) in self.classes.iter().enumerate() {
            let held_out = class.held_out(seed, at);
            for (index, drawing) in class.drawings.iter().enumerate() {
                let (part, count) = match held_out.contains(&index) {
                    true => ("test", NUM_TEST_EACH),
                    false => ("train", num_each),
                };
                planned.extend((0..count).map(|variant| Planned {
                    name: format!("{part}/{}/{:02}-{variant:02}.png", class.name, index + 1),
                    drawing: drawing.clone(),
                    counter: (at as u64) << 40 | (index as u64) << 20 | variant as u64,
                }));
            }
        }
        planned.into_iter().map(move |Planned { name, drawing, counter }| {
            let mut rng = streams::DRAWN_PICTURES.rng(seed, counter);
            let bytes = png(&vary::varied(&drawing, &mut rng));
            OwnFile { name, content: OwnContent::Bytes(bytes.into()) }
        })
    }
}

/// A grey picture of [`SIDE`]×[`SIDE`] pixels as a PNG file.
fn png(pixels: &[u8]) -> Vec<u8> {
    let (mut bytes, side) = (Vec::new(), SIDE as u32);
    let written =
        PngEncoder::new(&mut bytes).write_image(pixels, side, side, ExtendedColorType::L8);
    // Writing to memory does not fail, and there is a byte for each pixel.
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

/// A text as the name of a class, which is also the name of a folder: without control characters and slashes, and not
/// longer than [`MAX_NAME`]. Empty if nothing is left.
pub fn class_name(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_control() && !"/\\:".contains(*c));
    let name: String = kept.take(MAX_NAME).collect();
    name.trim_start_matches(['.', ' ']).trim_end().to_string()
}
