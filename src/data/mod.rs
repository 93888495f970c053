//! Data sets: their types, their sources, and their division into batches.

mod batches;
mod error;
#[cfg(not(target_arch = "wasm32"))]
pub mod fetch;
mod formats;
#[cfg(not(target_arch = "wasm32"))]
mod loose;
mod origin;
mod toy_densities;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    assets::{self, AssetError},
    config::{DataConfig, DatasetName},
};
use origin::{Origin, Place};

pub use batches::{Batch, Batches};
pub use error::DataError;
#[cfg(not(target_arch = "wasm32"))]
pub use loose::{Loose, load_images};
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

    /// Splits off `count` items, spread evenly over the data set so that a sorted set is split fairly, and returns them
    /// with the rest.
    fn split(self, count: usize) -> (Self, Self) {
        let len = self.len();
        let is_first = |index: usize| (index + 1) * count / len > index * count / len;
        let pick = |wanted: bool| {
            let indices: Vec<usize> = (0..len).filter(|&i| is_first(i) == wanted).collect();
            let labels = indices.iter().map(|&i| self.labels[i]).collect();
            let size = self.num_pixels();
            let values = match &self.values {
                Values::Bytes(bytes) => Values::Bytes(select(bytes, &indices, size)),
                Values::Floats(floats) => Values::Floats(select(floats, &indices, size)),
            };
            Self { values, labels, shape: self.shape, class_names: self.class_names.clone() }
        };
        (pick(true), pick(false))
    }
}

fn select<T: Copy>(values: &[T], indices: &[usize], size: usize) -> Vec<T> {
    indices.iter().flat_map(|&i| &values[i * size..(i + 1) * size]).copied().collect()
}

/// The training, validation and test parts of a data set.
#[derive(Clone, Debug)]
pub struct Splits {
    /// The part for training the model.
    pub train: Dataset,
    /// The part held out of the training data for validation; may be empty.
    pub validation: Dataset,
    /// The official test part; may be empty if the user's files hold none.
    pub test: Dataset,
    origin: Origin,
}

impl Splits {
    /// Maps the labels to the classes `names` of a model, if `names` include every class of the images: a folder need
    /// not hold an image of every class.
    pub fn in_classes(mut self, names: &[String]) -> Self {
        let places: Option<Vec<u32>> = self
            .train
            .class_names
            .iter()
            .map(|own| names.iter().position(|name| name == own).map(|place| place as u32))
            .collect();
        if let Some(places) = places {
            for part in [&mut self.train, &mut self.validation, &mut self.test] {
                part.labels.iter_mut().for_each(|label| *label = places[*label as usize]);
                part.class_names = names.to_vec();
            }
        }
        self
    }
}

/// Reads the data set that `config` names: from its folder, from the cache of `jempp fetch`, from the program itself,
/// or drawn from a formula.
///
/// # Errors
/// The data set cannot use the folder; or a file is missing, truncated, corrupt or of another format, with its name and
/// byte counts.
pub fn load(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    let mut place = place_of(config)?;
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    let (train, mut test) = match (&mut place, Density::of(config.dataset)) {
        (_, Some(density)) => {
            let test_points = (config.num_points / 5).max(1);
            (density.sample(config.num_points, seed, 0), density.sample(test_points, seed, 1))
        }
        (Place::Folder(dir) | Place::Fetched(dir), None) => {
            let found = formats::load(config.dataset, dir)?;
            (files, skipped, *dir) = (found.files, found.skipped, found.dir);
            found.parts
        }
        (Place::Program | Place::Drawn, None) => formats::load_embedded()?,
    };
    if train.is_empty() {
        return Err(DataError::Empty { dataset: formats::cli_name(config.dataset) });
    }
    if test.is_empty() {
        // An empty test part takes the shape of the training images, whatever its files say.
        test.shape = train.shape;
    }
    if train.shape != test.shape || train.num_pixels() < 2 {
        return Err(DataError::Shapes { train: train.shape, test: test.shape });
    }
    if config.num_validation >= train.len() {
        return Err(DataError::TooMuchValidation {
            num_validation: config.num_validation,
            num_train: train.len(),
        });
    }
    if config.batch_size > train.len() - config.num_validation {
        return Err(DataError::BatchTooLarge {
            batch_size: config.batch_size,
            num_train: train.len() - config.num_validation,
        });
    }
    let (validation, train) = train.split(config.num_validation);
    let origin = Origin { dataset: config.dataset, place, files, skipped };
    Ok(Splits { train, validation, test, origin })
}

/// The place from which to read the data set that `config` names.
fn place_of(config: &DataConfig) -> Result<Place, DataError> {
    let dataset = config.dataset;
    if !formats::needs_dir(dataset) {
        if !config.dir.is_empty() {
            return Err(formats::unused(dataset, config.dir.as_ref()));
        }
        let is_drawn = Density::of(dataset).is_some();
        return Ok(if is_drawn { Place::Drawn } else { Place::Program });
    }
    if !config.dir.is_empty() {
        return Ok(Place::Folder(PathBuf::from(&config.dir)));
    }
    let missing = || DataError::NoDir { dataset: formats::cli_name(dataset) };
    fetched(dataset).map(Place::Fetched).ok_or_else(missing)
}

/// Loads the data set that `config` names, or the embedded part of it if its files are not available. The embedded part
/// is enough to start chains and to compare with, but not to train on. There is no validation part. A folder in
/// `config` is always read.
///
/// # Errors
/// As [`load`].
pub fn load_at_hand(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    let mut config = DataConfig { num_validation: 0, batch_size: 1, ..config.clone() };
    if is_embedded(&config) {
        config.dataset = DatasetName::FashionMnistEmbedded;
        config.dir.clear();
    } else if config.dataset == DatasetName::FashionMnistEmbedded {
        config.dataset = DatasetName::FashionMnist;
    }
    load(&config, seed)
}

/// Whether [`load_at_hand`] returns only the embedded part of the data set.
pub fn is_embedded(config: &DataConfig) -> bool {
    // A browser has no folders.
    let has_folder = !config.dir.is_empty() && cfg!(not(target_arch = "wasm32"));
    match config.dataset {
        DatasetName::FashionMnistEmbedded => !has_folder,
        DatasetName::FashionMnist => !has_folder && fetched(config.dataset).is_none(),
        _ => false,
    }
}

/// Downloads the embedded files that [`load_at_hand`] will read; needed in a browser.
///
/// # Errors
/// The files cannot be downloaded.
pub async fn prepare(config: &DataConfig) -> Result<(), AssetError> {
    match config.dataset {
        DatasetName::FashionMnist | DatasetName::FashionMnistEmbedded => {
            assets::bring(&formats::EMBEDDED_FILES).await
        }
        _ => Ok(()),
    }
}

/// `count` indices below `len`, spread evenly; all of them if `len` is not larger.
pub fn spread(len: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(len);
    (0..count).map(move |index| index * len / count)
}

/// The folder of a data set that was fetched before, if there is one.
#[cfg(not(target_arch = "wasm32"))]
fn fetched(dataset: DatasetName) -> Option<PathBuf> {
    fetch::cached(dataset)
}

/// Always `None`, because a browser has no folders.
#[cfg(target_arch = "wasm32")]
fn fetched(_dataset: DatasetName) -> Option<PathBuf> {
    None
}

/// Whether a mirrored image of this data set keeps its class.
pub fn may_flip(dataset: DatasetName) -> bool {
    matches!(
        dataset,
        DatasetName::FashionMnistEmbedded
            | DatasetName::FashionMnist
            | DatasetName::Cifar10
            | DatasetName::Cifar100
    )
}

/// The name of the data set as a value of the key `data.dataset`.
pub fn name(dataset: DatasetName) -> String {
    formats::cli_name(dataset)
}

/// The class names of a data set, if they are known without its files.
pub fn class_names(dataset: DatasetName) -> Option<Vec<String>> {
    formats::class_names(dataset)
}
