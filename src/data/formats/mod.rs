//! The official file formats: IDX (plain or gzipped), CIFAR's binary version and SVHN's MATLAB files.

#[cfg(not(target_arch = "wasm32"))]
mod cifar;
mod idx;
#[cfg(not(target_arch = "wasm32"))]
mod svhn;

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;

use super::Dataset;
use crate::{config::DatasetName, picture::PictureError};
use idx::Source;

pub(super) use idx::EMBEDDED_FILES;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use idx::read_images;

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A data set that lives in files was asked for without a folder, and was not fetched before.
    #[error(
        "data set `{dataset}` is read from files: get them with `jempp fetch {dataset}`, or name their \
         folder with --data DIR"
    )]
    NoDir {
        /// The data set.
        dataset: String,
    },
    /// A folder or a file without an image.
    #[error("there is no image in {path}; a folder must hold pictures ({endings})")]
    NoImages {
        /// The folder or file.
        path: PathBuf,
        /// What pictures may end in.
        endings: String,
    },
    /// Images of another size than the model's.
    #[error("{path} holds images of shape {found:?} (C, H, W); the model takes {expected:?}")]
    Size {
        /// The file.
        path: PathBuf,
        /// What is needed.
        expected: [usize; 3],
        /// What there is.
        found: [usize; 3],
    },
    /// A picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// None of the names a file may have exists.
    #[error("missing data file: none of {names} in {dir}")]
    Missing {
        /// The names looked for.
        names: String,
        /// The folder looked in.
        dir: PathBuf,
    },
    /// The operating system refused the read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not what its name says.
    #[error("{path} is not {expected}: {found}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format looked for.
        expected: &'static str,
        /// What stands there instead.
        found: String,
    },
    /// The file is too short or too long.
    #[error("{path} is truncated or corrupt: expected {expected} bytes, found {found}")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes its header (or its format) promises, after unpacking.
        expected: usize,
        /// Bytes that are there, after unpacking.
        found: usize,
    },
    /// A label past the number of classes.
    #[error(
        "{path} is corrupt: label {label} at item {index}, but there are {num_classes} classes"
    )]
    Label {
        /// The file.
        path: PathBuf,
        /// The label found.
        label: u32,
        /// Which item.
        index: usize,
        /// How many classes the data set has.
        num_classes: usize,
    },
    /// Images and labels do not pair up.
    #[error("{images} holds {num_images} images but {labels} holds {num_labels} labels")]
    Count {
        /// The image file.
        images: PathBuf,
        /// Images in it.
        num_images: usize,
        /// The label file.
        labels: PathBuf,
        /// Labels in it.
        num_labels: usize,
    },
    /// Images of two sizes, or of none.
    #[error(
        "the training images have shape {train:?} and the test images {test:?} (C, H, W); they must be \
         equal and not empty"
    )]
    Shapes {
        /// Of the training part.
        train: [usize; 3],
        /// Of the test part.
        test: [usize; 3],
    },
    /// Nothing would be left to train on.
    #[error("data.num_validation = {num_validation} leaves nothing of {num_train} training images")]
    TooMuchValidation {
        /// Images to hold out.
        num_validation: usize,
        /// Images there are.
        num_train: usize,
    },
    /// Not one whole batch.
    #[error("data.batch_size = {batch_size} is more than the {num_train} training images")]
    BatchTooLarge {
        /// Images per step.
        batch_size: usize,
        /// Images there are.
        num_train: usize,
    },
}

const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Whether the data set lives in files of the person's own.
pub(super) fn needs_dir(dataset: DatasetName) -> bool {
    use DatasetName::{Cifar10, Cifar100, FashionMnist, Mnist, Svhn};
    matches!(dataset, FashionMnist | Mnist | Cifar10 | Cifar100 | Svhn)
}

/// The data set's name as `--dataset` takes it.
pub(super) fn cli_name(dataset: DatasetName) -> String {
    match toml::Value::try_from(dataset) {
        Ok(toml::Value::String(name)) => name,
        _ => unreachable!("a data set's name is a word"),
    }
}

/// Names of the classes, where they are known without the files.
pub(super) fn class_names(dataset: DatasetName) -> Option<Vec<String>> {
    use DatasetName::{Cifar10, Cifar100, FashionMnist, FashionMnistEmbedded, Mnist, Svhn};
    match dataset {
        FashionMnistEmbedded | FashionMnist => Some(owned(&FASHION_CLASSES)),
        Mnist | Svhn => Some(owned(&DIGITS)),
        Cifar10 => Some(owned(&CIFAR10_CLASSES)),
        Cifar100 => Some((0..100).map(|class| format!("class {class}")).collect()),
        _ => None,
    }
}

/// Training and test part of an image set.
pub(super) fn load(dataset: DatasetName, dir: &Path) -> Result<(Dataset, Dataset), DataError> {
    match dataset {
        DatasetName::FashionMnistEmbedded => idx::load(&Source::Embedded, &owned(&FASHION_CLASSES)),
        DatasetName::FashionMnist => idx::load(&Source::Folder(dir), &owned(&FASHION_CLASSES)),
        DatasetName::Mnist => idx::load(&Source::Folder(dir), &owned(&DIGITS)),
        #[cfg(not(target_arch = "wasm32"))]
        DatasetName::Cifar10 => cifar::load_10(dir),
        #[cfg(not(target_arch = "wasm32"))]
        DatasetName::Cifar100 => cifar::load_100(dir),
        #[cfg(not(target_arch = "wasm32"))]
        DatasetName::Svhn => svhn::load(dir, &owned(&DIGITS)),
        // A browser has no folders.
        #[cfg(target_arch = "wasm32")]
        DatasetName::Cifar10 | DatasetName::Cifar100 | DatasetName::Svhn => {
            Err(DataError::NoDir { dataset: cli_name(dataset) })
        }
        _ => unreachable!("2-D densities are drawn, not read"),
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Bytes of a file found in `dir` or one level below (where archives unpack to), unpacked.
fn read_named(dir: &Path, names: &[&str]) -> Result<(PathBuf, Vec<u8>), DataError> {
    let mut folders = vec![dir.to_path_buf()];
    if let Ok(entries) = fs::read_dir(dir) {
        let mut below: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        below.sort();
        folders.extend(below);
    }
    let candidates = folders.iter().flat_map(|folder| names.iter().map(move |n| folder.join(n)));
    let Some(path) = candidates.into_iter().find(|path| path.is_file()) else {
        return Err(DataError::Missing { names: names.join(", "), dir: dir.to_path_buf() });
    };
    let bytes = fs::read(&path).map_err(|source| DataError::Io { path: path.clone(), source })?;
    unpack(path, bytes)
}

fn unpack(path: PathBuf, bytes: Vec<u8>) -> Result<(PathBuf, Vec<u8>), DataError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok((path, bytes));
    }
    let mut unpacked = Vec::new();
    match GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked) {
        Ok(_) => Ok((path, unpacked)),
        Err(error) => Err(DataError::Format {
            path,
            expected: "a whole gzip file",
            found: format!("{error}; its {} packed bytes gave {}", bytes.len(), unpacked.len()),
        }),
    }
}

fn check_labels(path: &Path, labels: &[u32], num_classes: usize) -> Result<(), DataError> {
    match labels.iter().position(|&label| label as usize >= num_classes) {
        None => Ok(()),
        Some(index) => Err(DataError::Label {
            path: path.to_path_buf(),
            label: labels[index],
            index,
            num_classes,
        }),
    }
}
