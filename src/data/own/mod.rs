//! The user's own data sets: a folder of images with one folder per class, arrays of numpy, IDX files, or a table of
//! points in the plane. Which of them a path holds is told by its content.
//!
//! The readers take lists of named files with bytes, of which a folder is one. Each gives [`Items`] with classes; what all
//! have in common (the test part, empty classes, warnings) is done here.

mod arrays;
mod idx;
mod images;
mod items;
mod layout;
mod npy;
mod points;
mod table;
mod walk;
mod warnings;

use std::path::Path;

use super::{
    DataError,
    formats::official_in,
    found::Found,
    origin::{Origin, Place},
};
use crate::{
    config::{DataConfig, DatasetName},
    files,
};
use items::{Gathered, Items};
use walk::Files;

/// Limit on the number of images or points.
const MAX_ITEMS: usize = 1_000_000;
/// Limit on the number of classes.
const MAX_CLASSES: usize = 10_000;
/// Limit on the bytes of all images together, as they are kept in memory: 4 GiB.
const MAX_TOTAL_BYTES: u64 = 4 << 30;
/// The number of bytes at the start of a file that tell its kind.
const START_BYTES: u64 = 64;

/// Why a data set cannot be trained on, in words that end a sentence.
type Reason = String;

/// Reads the user's own data set at `path`.
///
/// # Errors
/// There is nothing at `path` that can be trained on, or a limit is exceeded. The error says what would do.
pub(super) fn load(path: &Path, config: &DataConfig, seed: u64) -> Result<Found, DataError> {
    let refused = |reason| DataError::Own { path: path.to_path_buf(), reason };
    let (kind, mut gathered) = gather(path, config).map_err(refused)?;
    check_used(gathered.shape, config).map_err(refused)?;
    gathered.drop_empty_classes().map_err(refused)?;
    if gathered.test.is_none() {
        let choice = gathered.split_off_test(seed);
        gathered.choices.push(choice);
    }
    let warnings = warnings::of(&gathered);
    let Gathered { class_names, shape, train, validation, test, .. } = gathered;
    let dataset = |items: Items| items.into_dataset(shape, &class_names);
    let origin = Origin {
        choices: gathered.choices,
        skipped: gathered.skipped,
        warnings,
        sizes: gathered.sizes,
        ..Origin::new(DatasetName::Custom, Place::Own(path.to_path_buf(), kind))
    };
    Ok(Found {
        train: dataset(train)?,
        validation: validation.map(dataset).transpose()?,
        test: dataset(test.unwrap_or_default())?,
        origin,
        settings: Some(gathered.settings),
    })
}

/// Checks that images are not given the settings of points, and the other way round.
///
/// # Errors
/// A setting that is not used.
fn check_used(shape: [usize; 3], config: &DataConfig) -> Result<(), Reason> {
    let of_images = DataConfig {
        size: config.size,
        fit: config.fit,
        color: config.color,
        ..DataConfig::default()
    };
    match shape[1] * shape[2] > 1 {
        true if !config.frame.is_empty() => {
            Err("it holds images, and data.frame is for points; leave it out".into())
        }
        false if of_images != DataConfig::default() => Err(
            "it holds points, and data.size, data.fit and data.color are for images; leave them out"
                .into(),
        ),
        _ => Ok(()),
    }
}

/// The kind of the data set at `path` in words, and its items.
fn gather(path: &Path, config: &DataConfig) -> Result<(&'static str, Gathered), Reason> {
    if path.is_dir() {
        let files = Files::below(path)?;
        return match idx::Set::among(&files)? {
            Some(set) => Ok(("IDX files", set.read(config)?)),
            None => match (files.has_pictures(), official_in(path)) {
                (false, Some(hint)) => Err(format!("there is no picture in it, but {hint}")),
                _ => Ok(("folder of classes", images::read(files, config)?)),
            },
        };
    }
    let (start, _) = files::head(path, START_BYTES).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_string(),
        _ => error.to_string(),
    })?;
    let name = files::file_name(path).to_lowercase();
    let beside = || Files::beside(path);
    match &start[..] {
        [] => Err("the file is empty".into()),
        [b'P', b'K', 3, 4, ..] if name.ends_with(".npz") => {
            Ok(("numpy archive", arrays::read_npz(path, config)?))
        }
        [b'P', b'K', 3, 4, ..] => Err("it is an archive: unpack it and name its folder".into()),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            Ok(("numpy array", arrays::read_npy(path, config)?))
        }
        [0, 0, 8..=14, 1..=4, ..] | [0x1f, 0x8b, ..] => {
            Ok(("IDX file", idx::Set::of_file(path, &beside()?)?.read(config)?))
        }
        _ if crate::picture::is_picture(path) => {
            Err("it is a single picture; name a folder with one folder of pictures per class"
                .into())
        }
        _ => {
            let most = points::MAX_BYTES;
            let bytes = files::read_at_most(path, most).map_err(|error| error.to_string())?;
            Ok(("table of points", points::read(&bytes, config)?))
        }
    }
}
