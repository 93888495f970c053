//! The facts about a data set that a person wants to see before training on it.

use serde::{Deserialize, Serialize};

#[cfg(not(target_arch = "wasm32"))]
use super::Values;
use super::{Dataset, Splits, spread};
#[cfg(not(target_arch = "wasm32"))]
use crate::files::sha256;

/// What a data set holds: its classes with their counts, and what was chosen, skipped and found odd while it was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The name of the data set and its source, in words.
    pub source: String,
    /// The shape (C, H, W) of an item; (2, 1, 1) for a point in the plane.
    pub shape: [usize; 3],
    /// Every class with the number of its items in each part.
    pub classes: Vec<ClassFacts>,
    /// The sizes (height, width) of the images in the files, with the number of images, the most frequent first.
    pub sizes: Vec<([usize; 2], usize)>,
    /// What the reader chose or changed, each in one sentence.
    pub choices: Vec<String>,
    /// What was skipped and why, each in one sentence.
    pub skipped: Vec<String>,
    /// What may make training worse than it could be, each in one sentence.
    pub warnings: Vec<String>,
}

/// The name of a class and the number of its items in each part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFacts {
    /// The name of the class.
    pub name: String,
    /// The number of training items.
    pub train: usize,
    /// The number of validation items.
    pub validation: usize,
    /// The number of test items.
    pub test: usize,
}

#[cfg(not(target_arch = "wasm32"))]
impl Dataset {
    /// The SHA-256 of all items, their labels and the names of the classes, in hexadecimal: equal data sets have the same,
    /// wherever they were read from.
    pub(crate) fn sha256(&self) -> String {
        let values = match &self.values {
            Values::Bytes(bytes) => sha256(bytes),
            Values::Floats(floats) => sha256(bytemuck::cast_slice(floats)),
        };
        let labels = sha256(bytemuck::cast_slice(&self.labels));
        sha256(format!("{values} {labels} {:?} {:?}", self.shape, self.class_names).as_bytes())
    }
}

impl Splits {
    /// The facts about this data set.
    pub fn facts(&self) -> Facts {
        let [train, validation, test] = [&self.train, &self.validation, &self.test].map(counts);
        let classes = self.train.class_names.iter().enumerate().map(|(class, name)| {
            let of = |counts: &[usize]| counts.get(class).copied().unwrap_or(0);
            let name = name.clone();
            ClassFacts { name, train: of(&train), validation: of(&validation), test: of(&test) }
        });
        let origin = self.origin.clone();
        Facts {
            source: origin.source(),
            shape: self.train.shape,
            classes: classes.collect(),
            sizes: origin.sizes,
            choices: origin.choices,
            skipped: origin.skipped,
            warnings: origin.warnings,
        }
    }
}

/// The number of items of each class.
pub(super) fn counts(data: &Dataset) -> Vec<usize> {
    let mut counts = vec![0; data.num_classes()];
    for &label in &data.labels {
        counts[label as usize] += 1;
    }
    counts
}

impl Dataset {
    /// Up to `most` items of a class as one flat vector in [-1, 1], spread evenly over the data set.
    pub fn examples(&self, class: usize, most: usize) -> Vec<f32> {
        let own: Vec<usize> =
            (0..self.len()).filter(|&item| self.labels[item] as usize == class).collect();
        self.gather(spread(own.len(), most).map(|index| own[index]))
    }
}
