//! Data sets: their types, their sources, and their division into batches.

mod batches;
mod checksums;
#[cfg(feature = "gui")]
#[doc(hidden)]
pub mod drawn;
mod error;
mod facts;
#[cfg(not(target_arch = "wasm32"))]
pub mod fetch;
mod formats;
mod found;
mod load;
#[cfg(not(target_arch = "wasm32"))]
mod loose;
mod origin;
mod own;
mod parts;
mod sets;
mod toy_densities;

use jempp_cpu::reference;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::streams;

pub use batches::{Batch, Batches};
pub use checksums::Checksums;
pub use error::DataError;
pub use facts::{ClassFacts, Facts};
pub use load::{Splits, is_embedded, load, load_at_hand, load_files, prepare};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use load::{check, load_to_measure};
#[cfg(not(target_arch = "wasm32"))]
pub use loose::{Loose, load_images};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use origin::item_words;
#[cfg(not(target_arch = "wasm32"))]
pub use own::save_zip;
pub use own::{OwnContent, OwnFile};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use sets::official_of_shape;
pub use sets::{class_names, is_density, may_flip, name};
pub use toy_densities::Density;

/// A labelled data set: images, or points in the plane, with one class each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dataset {
    values: Values,
    /// The class label of each item, starting at 0.
    pub labels: Vec<u32>,
    /// The shape of one item: (C, H, W); (2, 1, 1) for a point in the plane.
    pub shape: [usize; 3],
    /// The name of each class.
    pub class_names: Vec<String>,
}

/// The values of all items. Bytes are kept as bytes, because they need a quarter of the memory of floats.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Values {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

impl Dataset {
    /// Creates a data set from images of bytes 0 ..= 255, which become values in [-1, 1].
    ///
    /// # Shapes
    /// `bytes`: (N, C, H, W) flattened, with `shape` = (C, H, W) and one label per image, an index into `class_names`.
    ///
    /// # Errors
    /// Bytes, labels and classes do not fit together.
    pub fn from_bytes(
        bytes: Vec<u8>,
        labels: Vec<u32>,
        shape: [usize; 3],
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let dataset = Self { values: Values::Bytes(bytes), labels, shape, class_names };
        dataset.check()?;
        Ok(dataset)
    }

    /// Creates a data set from images, or points in the plane as (2, 1, 1), with values already in [-1, 1].
    ///
    /// ```
    /// # fn main() -> Result<(), jempp::Error> {
    /// use jempp::data::Dataset;
    ///
    /// let points = vec![-0.5, 0.0, 0.5, 0.0]; // two points, (x, y) each
    /// let names = vec!["left".to_string(), "right".to_string()];
    /// let data = Dataset::from_floats(points, vec![0, 1], [2, 1, 1], names)?;
    /// assert_eq!((data.len(), data.num_classes()), (2, 2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Shapes
    /// As [`Dataset::from_bytes`].
    ///
    /// # Errors
    /// As [`Dataset::from_bytes`]; also, a value is not a number in [-1, 1].
    pub fn from_floats(
        floats: Vec<f32>,
        labels: Vec<u32>,
        shape: [usize; 3],
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let bad = floats.iter().position(|value| !(-1.0..=1.0).contains(value));
        if let Some(index) = bad {
            return Err(DataError::Invalid(format!(
                "value {index} is {}, and values must lie in [-1, 1]; Dataset::from_bytes takes bytes from 0 to 255",
                floats[index]
            )));
        }
        let dataset = Self::unchecked(floats, labels, shape, class_names);
        dataset.check()?;
        Ok(dataset)
    }

    /// Creates a data set without checks: from values known to fit their labels, or from chains, which may lie outside
    /// [-1, 1].
    pub(crate) fn unchecked(
        floats: Vec<f32>,
        labels: Vec<u32>,
        shape: [usize; 3],
        class_names: Vec<String>,
    ) -> Self {
        Self { values: Values::Floats(floats), labels, shape, class_names }
    }

    /// Checks that values, labels and classes fit together.
    ///
    /// # Errors
    /// The first mismatch.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let [c, h, w] = self.shape;
        let found = match &self.values {
            Values::Bytes(bytes) => bytes.len(),
            Values::Floats(floats) => floats.len(),
        };
        let num_pixels = c.checked_mul(h).and_then(|product| product.checked_mul(w));
        let expected = num_pixels.and_then(|pixels| pixels.checked_mul(self.labels.len()));
        let num_classes = self.class_names.len();
        let wrong = if num_pixels == Some(0) {
            format!("its items have the shape {:?} (C, H, W), which holds nothing", self.shape)
        } else if expected != Some(found) {
            format!(
                "it holds {found} values, which are not {} items of shape {:?} (C, H, W)",
                self.labels.len(),
                self.shape
            )
        } else if let Some(label) = self.labels.iter().find(|&&l| l as usize >= num_classes) {
            format!("it holds the label {label}, but names {num_classes} classes, counted from 0")
        } else {
            return Ok(());
        };
        Err(DataError::Invalid(wrong))
    }

    /// The number of images or points.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the data set has no items.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of values per item, C · H · W.
    pub fn num_pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// The number of named classes, including classes without items.
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// Appends item `index` to `out`, in [-1, 1].
    pub(crate) fn extend_with(&self, index: usize, out: &mut Vec<f32>) {
        let at = index * self.num_pixels()..(index + 1) * self.num_pixels();
        match &self.values {
            Values::Bytes(bytes) => {
                out.extend(bytes[at].iter().map(|&byte| f32::from(byte) / 127.5 - 1.0));
            }
            Values::Floats(floats) => out.extend_from_slice(&floats[at]),
        }
    }

    /// The items at `indices` as one flat vector in [-1, 1].
    pub fn gather(&self, indices: impl IntoIterator<Item = usize>) -> Vec<f32> {
        let mut out = Vec::new();
        for index in indices {
            self.extend_with(index, &mut out);
        }
        out
    }
}

/// Adds noise of standard deviation `std`, in units of x, to images with these indices in their data set; `values` are (N, C, H, W),
/// flattened. An image has the same noise wherever it is looked at. Used where energies of images are compared with those of chains
/// that have the noise of the data.
pub(crate) fn add_shared_noise(
    values: &mut [f32],
    std: f64,
    indices: impl ExactSizeIterator<Item = usize>,
    seed: u64,
) {
    if std == 0.0 || values.is_empty() {
        return;
    }
    let key = streams::SHARED_NOISE.key(seed, 0);
    let num_pixels = values.len() / indices.len();
    for (image, index) in values.chunks_exact_mut(num_pixels).zip(indices) {
        reference::add_normal(image, std as f32, (index * num_pixels) as u32, key);
    }
}

/// `count` indices below `len`, one at random from each of as many equal parts, the same in every call; all of them if `len` is not
/// larger. Equal steps would be no fair choice of items whose classes come in turn.
pub fn spread(len: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(len);
    let mut rng = streams::SPREAD.rng(len as u64, count as u64);
    (0..count).map(move |nth| rng.random_range(nth * len / count..(nth + 1) * len / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_fair_to_classes_in_turn() {
        for num_classes in [2, 5, 8] {
            let chosen: Vec<usize> = spread(10_000, 1000).collect();
            assert!(chosen.is_sorted_by(|a, b| a < b) && chosen[999] >= 9990);
            for class in 0..num_classes {
                let share = chosen.iter().filter(|&&index| index % num_classes == class).count();
                let fair = 1000 / num_classes;
                assert!(share.abs_diff(fair) < 60, "{share} of class {class} of {num_classes}");
            }
        }
        assert!(spread(3, 5).eq(0..3) && spread(0, 5).next().is_none());
        assert!(spread(1000, 10).eq(spread(1000, 10)));
    }

    #[test]
    fn an_image_has_the_same_shared_noise_in_every_batch() {
        let (mut all, mut some, mut none) = (vec![0.0; 6 * 4], vec![0.0; 2 * 4], vec![0.5; 4]);
        add_shared_noise(&mut all, 0.4, 0..6, 3);
        add_shared_noise(&mut some, 0.4, [4, 1].into_iter(), 3);
        assert_eq!([&some[..4], &some[4..]], [&all[16..20], &all[4..8]]);
        let std = (all.iter().map(|v| v * v).sum::<f32>() / all.len() as f32).sqrt();
        assert!((0.2..0.7).contains(&std), "{std}");
        add_shared_noise(&mut none, 0.0, 0..1, 3);
        assert_eq!(none, [0.5; 4]);
    }
}
