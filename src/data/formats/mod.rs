//! The official file formats: IDX (plain or gzipped), CIFAR's binary version and SVHN's MATLAB files.

#[cfg(not(target_arch = "wasm32"))]
mod cifar;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod idx;
mod input;
#[cfg(not(target_arch = "wasm32"))]
mod svhn;

use std::path::{Path, PathBuf};

use super::{DataError, Dataset};
use crate::config::DatasetName;
#[cfg(not(target_arch = "wasm32"))]
use crate::files::file_name;
#[cfg(not(target_arch = "wasm32"))]
use folder::Folder;

pub(super) use idx::EMBEDDED_FILES;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use idx::read_images;

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

/// Whether the data set is read from files of the user.
pub(super) fn needs_dir(dataset: DatasetName) -> bool {
    use DatasetName::{Cifar10, Cifar100, FashionMnist, Mnist, Svhn};
    matches!(dataset, FashionMnist | Mnist | Cifar10 | Cifar100 | Svhn)
}

/// The name of the data set as a value of the key `data.dataset`.
pub(super) fn cli_name(dataset: DatasetName) -> String {
    match toml::Value::try_from(dataset) {
        Ok(toml::Value::String(name)) => name,
        _ => unreachable!("a data set's name is a word"),
    }
}

/// The names of the classes, if they are known without the files.
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

/// A data set that was read from a folder, with its files.
#[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "a browser has no folders"))]
pub(super) struct Found {
    /// The training part and the test part.
    pub(super) parts: (Dataset, Dataset),
    /// The folder that holds the files.
    pub(super) dir: PathBuf,
    /// The names of the files that were read.
    pub(super) files: Vec<String>,
    /// What was skipped, and why.
    pub(super) skipped: Vec<String>,
}

/// Reads a data set from files in `dir`, or in a folder of it.
///
/// # Errors
/// The folder does not hold exactly one such data set, or a file has the wrong format.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn load(dataset: DatasetName, dir: &Path) -> Result<Found, DataError> {
    let Folder { dir, files, skipped } = folder::find(dataset, dir)?;
    let parts = match dataset {
        DatasetName::FashionMnist => idx::load(&files, &FASHION_CLASSES)?,
        DatasetName::Mnist => idx::load(&files, &DIGITS)?,
        DatasetName::Cifar10 => cifar::load_10(&files)?,
        DatasetName::Cifar100 => cifar::load_100(&files)?,
        DatasetName::Svhn => svhn::load(&files, &owned(&DIGITS))?,
        _ => unreachable!("no other data set is read from files"),
    };
    let files = files.iter().map(|path| file_name(path)).collect();
    Ok(Found { parts, dir, files, skipped })
}

/// Always fails, because a browser has no folders.
#[cfg(target_arch = "wasm32")]
pub(super) fn load(dataset: DatasetName, _dir: &Path) -> Result<Found, DataError> {
    Err(DataError::NoDir { dataset: cli_name(dataset) })
}

/// Reads the training and test part of the embedded images.
pub(super) fn load_embedded() -> Result<(Dataset, Dataset), DataError> {
    idx::load_embedded(&FASHION_CLASSES)
}

/// The error for a data set that reads no files but was given the folder `dir`; it says what would use the folder.
pub(super) fn unused(dataset: DatasetName, dir: &Path) -> DataError {
    let is_embedded = dataset == DatasetName::FashionMnistEmbedded;
    let reason = if is_embedded { "is inside the program" } else { "is drawn from a formula" };
    DataError::Unused { dataset: cli_name(dataset), reason, advice: advice(dir) }
}

#[cfg(not(target_arch = "wasm32"))]
fn advice(dir: &Path) -> String {
    let name = dir.display();
    match folder::looks_like(dir) {
        _ if dir.is_file() => format!("leave {name} out, which is a file"),
        Some(found) => format!("leave {name} out; {found}"),
        None => format!("to train on files in {name} choose data.dataset = {}", folder::choices()),
    }
}

#[cfg(target_arch = "wasm32")]
fn advice(dir: &Path) -> String {
    format!("leave {} out", dir.display())
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[cfg(not(target_arch = "wasm32"))]
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
