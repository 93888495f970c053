//! Data sets: what they hold, where they come from, and how they are cut into batches.

mod batches;
mod densities;
#[cfg(not(target_arch = "wasm32"))]
pub mod fetch;
mod formats;
#[cfg(not(target_arch = "wasm32"))]
mod loose;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    assets::{self, AssetError},
    config::{DataConfig, DatasetName},
};

pub use batches::{Batch, Batches, random_stream};
pub use densities::Density;
pub use formats::DataError;
#[cfg(not(target_arch = "wasm32"))]
pub use loose::load_images;

/// Images (or points) in [-1, 1] with their labels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dataset {
    values: Values,
    /// One class per item, counted from 0.
    pub labels: Vec<u32>,
    /// Shape of one item: (C, H, W); (2, 1, 1) for a point in the plane.
    pub shape: [usize; 3],
    /// Name of every class.
    pub class_names: Vec<String>,
}

/// Bytes stay bytes: four times less memory than floats on the full sets.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Values {
    Bytes(Vec<u8>),
    Floats(Vec<f32>),
}

impl Dataset {
    /// Images of bytes 0 ..= 255, shape (N, C, H, W) flattened.
    pub fn from_bytes(
        bytes: Vec<u8>,
        labels: Vec<u32>,
        shape: [usize; 3],
        class_names: Vec<String>,
    ) -> Self {
        assert_eq!(bytes.len(), labels.len() * shape.iter().product::<usize>());
        Self { values: Values::Bytes(bytes), labels, shape, class_names }
    }

    /// Values already in [-1, 1], shape (N, C, H, W) flattened.
    pub fn from_floats(
        floats: Vec<f32>,
        labels: Vec<u32>,
        shape: [usize; 3],
        class_names: Vec<String>,
    ) -> Self {
        assert_eq!(floats.len(), labels.len() * shape.iter().product::<usize>());
        Self { values: Values::Floats(floats), labels, shape, class_names }
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// C · H · W.
    pub fn num_pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// How many classes.
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// Appends item `index` to `out`, in [-1, 1].
    pub fn extend_with(&self, index: usize, out: &mut Vec<f32>) {
        let at = index * self.num_pixels()..(index + 1) * self.num_pixels();
        match &self.values {
            Values::Bytes(bytes) => {
                out.extend(bytes[at].iter().map(|&byte| f32::from(byte) / 127.5 - 1.0));
            }
            Values::Floats(floats) => out.extend_from_slice(&floats[at]),
        }
    }

    /// The items `indices` as one flat vector in [-1, 1].
    pub fn gather(&self, indices: impl IntoIterator<Item = usize>) -> Vec<f32> {
        let mut out = Vec::new();
        for index in indices {
            self.extend_with(index, &mut out);
        }
        out
    }

    /// The first items and the rest, after `count` of them, spread evenly over the set so that a
    /// sorted set is split fairly.
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

/// Training, validation and test part of a data set.
#[derive(Clone, Debug)]
pub struct Splits {
    /// What is trained on.
    pub train: Dataset,
    /// Held out of the training part; may be empty.
    pub validation: Dataset,
    /// The official test part.
    pub test: Dataset,
}

/// Loads the data set that `config` names, from its folder or from where [`fetch`] puts it.
///
/// # Errors
/// A file that is missing, truncated, corrupt or of another kind, by name and byte counts.
pub fn load(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    let mut dir = PathBuf::from(&config.dir);
    if formats::needs_dir(config.dataset) && config.dir.is_empty() {
        dir = fetched(config.dataset)
            .ok_or_else(|| DataError::NoDir { dataset: formats::cli_name(config.dataset) })?;
    }
    let (train, test) = match Density::of(config.dataset) {
        Some(density) => {
            let test_points = (config.num_points / 5).max(1);
            (density.sample(config.num_points, seed, 0), density.sample(test_points, seed, 1))
        }
        None => formats::load(config.dataset, &dir)?,
    };
    if train.shape != test.shape || train.num_pixels() == 0 {
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
    Ok(Splits { train, validation, test })
}

/// The data set that `config` names, or the part of it that travels inside the program where its files
/// are not at hand: enough to start from and to compare with, not to train on. No validation part.
///
/// # Errors
/// As [`load`].
pub fn load_at_hand(config: &DataConfig, seed: u64) -> Result<Splits, DataError> {
    let dataset = match is_embedded(config) {
        true => DatasetName::FashionMnistEmbedded,
        false => config.dataset,
    };
    load(&DataConfig { num_validation: 0, dataset, ..config.clone() }, seed)
}

/// Whether [`load_at_hand`] gives no more than what travels inside the program.
pub fn is_embedded(config: &DataConfig) -> bool {
    match config.dataset {
        DatasetName::FashionMnistEmbedded => true,
        DatasetName::FashionMnist => config.dir.is_empty() && fetched(config.dataset).is_none(),
        _ => false,
    }
}

/// Brings what [`load_at_hand`] reads of the files that travel with the program.
///
/// # Errors
/// They do not come.
pub async fn prepare(config: &DataConfig) -> Result<(), AssetError> {
    match config.dataset {
        DatasetName::FashionMnist | DatasetName::FashionMnistEmbedded => {
            assets::bring(&formats::EMBEDDED_FILES).await
        }
        _ => Ok(()),
    }
}

/// `count` indices below `len`, spread evenly; all of them if there are no more.
pub fn spread(len: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(len);
    (0..count).map(move |index| index * len / count)
}

/// The folder of a data set that was fetched before.
#[cfg(not(target_arch = "wasm32"))]
fn fetched(dataset: DatasetName) -> Option<PathBuf> {
    fetch::cached(dataset)
}

/// A browser has no folders.
#[cfg(target_arch = "wasm32")]
fn fetched(_dataset: DatasetName) -> Option<PathBuf> {
    None
}

/// Whether mirrored images of this set are images of the same class.
pub fn may_flip(dataset: DatasetName) -> bool {
    matches!(
        dataset,
        DatasetName::FashionMnistEmbedded
            | DatasetName::FashionMnist
            | DatasetName::Cifar10
            | DatasetName::Cifar100
    )
}

/// The data set's name as `--dataset` takes it.
pub fn name(dataset: DatasetName) -> String {
    formats::cli_name(dataset)
}

/// Names of a data set's classes, where they are known without its files.
pub fn class_names(dataset: DatasetName) -> Option<Vec<String>> {
    formats::class_names(dataset)
}
