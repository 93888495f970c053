//! The official file formats: IDX (plain or gzipped), CIFAR's binary version and SVHN's MATLAB files.

#[cfg(not(target_arch = "wasm32"))]
mod cifar;
#[cfg(not(target_arch = "wasm32"))]
mod folder;
mod idx;
mod input;
#[cfg(not(target_arch = "wasm32"))]
mod svhn;

use std::path::Path;

use super::{
    DataError, Dataset,
    found::Found,
    origin::Place,
    sets::{FASHION_CLASSES, name},
};
#[cfg(not(target_arch = "wasm32"))]
use super::{
    origin::Origin,
    sets::{DIGITS, owned},
};
use crate::config::DatasetName;
#[cfg(not(target_arch = "wasm32"))]
use crate::files::file_name;
#[cfg(not(target_arch = "wasm32"))]
use folder::Folder;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use folder::official_in;

#[cfg(not(target_arch = "wasm32"))]
pub(super) use idx::read_images;
pub(super) use idx::{EMBEDDED_FILES, Part as IdxPart, num_dims};
pub(super) use input::Input;

/// Reads a data set from official files in the folder of `place`, or in a folder of it.
///
/// # Errors
/// The folder does not hold exactly one such data set, or a file has the wrong format.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn load(dataset: DatasetName, mut place: Place) -> Result<Found, DataError> {
    let (Place::Folder(dir) | Place::Fetched(dir)) = &mut place else {
        unreachable!("an official data set is read from a folder")
    };
    let Folder { dir: found, files, skipped } = folder::find(dataset, dir)?;
    *dir = found;
    let (train, test) = match dataset {
        DatasetName::FashionMnist => idx::load(&files, &FASHION_CLASSES)?,
        DatasetName::Mnist => idx::load(&files, &DIGITS)?,
        DatasetName::Cifar10 => cifar::load_10(&files)?,
        DatasetName::Cifar100 => cifar::load_100(&files)?,
        DatasetName::Svhn => svhn::load(&files, &owned(&DIGITS))?,
        _ => unreachable!("no other data set is read from files"),
    };
    let files = files.iter().map(|path| file_name(path)).collect();
    Ok(Found::new(train, test, Origin { files, skipped, ..Origin::new(dataset, place) }))
}

/// Always fails, because a browser has no folders.
#[cfg(target_arch = "wasm32")]
pub(super) fn load(dataset: DatasetName, _place: Place) -> Result<Found, DataError> {
    Err(DataError::NoDir { dataset: name(dataset) })
}

/// Reads the training and test part of the embedded images.
pub(super) fn load_embedded() -> Result<(Dataset, Dataset), DataError> {
    idx::load_embedded(&FASHION_CLASSES)
}

/// The error for a data set that reads no files but was given the folder `dir`; it says what would use the folder.
pub(super) fn unused(dataset: DatasetName, dir: &Path) -> DataError {
    let is_embedded = dataset == DatasetName::FashionMnistEmbedded;
    let reason = if is_embedded { "is inside the program" } else { "is drawn from a formula" };
    DataError::Unused { dataset: name(dataset), reason, advice: advice(dir) }
}

#[cfg(not(target_arch = "wasm32"))]
fn advice(dir: &Path) -> String {
    let path = dir.display();
    let own = "choose data.dataset = custom to train on your own images or points there";
    match folder::looks_like(dir) {
        _ if dir.is_file() => format!("leave {path} out, which is a file, or {own}"),
        Some(found) => format!("leave {path} out; {found}"),
        None => {
            format!("to train on files in {path} choose data.dataset = {}", folder::choices())
        }
    }
}

#[cfg(target_arch = "wasm32")]
fn advice(dir: &Path) -> String {
    format!("leave {} out", dir.display())
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
