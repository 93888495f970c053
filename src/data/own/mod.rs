//! The user's own data sets: images with one folder per class, arrays of numpy, IDX files, or a table of points in the
//! plane. Which of them a path or a list of files holds is told by its content.
//!
//! The readers take lists of named files with bytes: a folder, a zip archive, or files in memory. Each gives [`Items`] with
//! classes; what all have in common (the test part, empty classes, warnings) is done here.

mod archive;
mod arrays;
mod bytes;
mod composed;
mod fixed;
mod idx;
mod images;
mod items;
mod layout;
mod named;
mod names;
mod npy;
mod parts;
mod points;
mod range;
mod table;
mod tree;
#[cfg(not(target_arch = "wasm32"))]
mod walk;
mod warnings;

use std::path::Path;

#[cfg(not(target_arch = "wasm32"))]
use super::formats::official_in;
use super::{
    DataError,
    found::Found,
    origin::{Origin, Place},
};
#[cfg(not(target_arch = "wasm32"))]
use crate::files;
use crate::{
    config::{DataConfig, DatasetName},
    counts::counted,
    picture,
};
use items::{Gathered, Items};
use named::{Files, NamedFile};

pub use named::{OwnContent, OwnFile};

/// Limit on the number of images or points.
const MAX_ITEMS: usize = 1_000_000;
/// Limit on the number of classes.
const MAX_CLASSES: usize = 10_000;
/// Limit on the bytes of all images together, as they are kept in memory, and of an archive unpacked: 4 GiB, or 512 MiB in
/// a browser, whose programs have 4 GiB for everything.
const MAX_TOTAL_BYTES: u64 = if cfg!(target_arch = "wasm32") { 512 << 20 } else { 4 << 30 };

/// Why a data set cannot be trained on, in words that end a sentence.
type Reason = String;

/// What was found: the kind of the data set in words, and its items.
type Kinded = (String, Gathered);

/// What a data set is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To train a model: every class has training items.
    Training,
    /// To measure a model, for which the test part is enough.
    #[cfg(not(target_arch = "wasm32"))]
    Measuring,
}

/// Reads the user's own data set at `path`.
///
/// # Errors
/// There is nothing at `path` that serves the purpose, or a limit is exceeded. The error says what would do.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn load(
    path: &Path,
    config: &DataConfig,
    seed: u64,
    purpose: Purpose,
) -> Result<Found, DataError> {
    found(path, at_path(path, config), config, seed, purpose)
}

/// Reads the user's own data set from a list of files, to train on it; messages call it `name`.
///
/// # Errors
/// As [`load`].
pub(super) fn load_files(
    name: &str,
    files: &[OwnFile],
    config: &DataConfig,
    seed: u64,
) -> Result<Found, DataError> {
    let read = Files::of(files).and_then(|files| of_list(files, config));
    found(name.as_ref(), read, config, seed, Purpose::Training)
}

/// Writes a list of files as a zip archive at `path`, from which [`load`] reads the same data set.
///
/// # Errors
/// A file cannot be read, or the archive cannot be written.
#[cfg(not(target_arch = "wasm32"))]
pub fn save_zip(list: &[OwnFile], path: &Path) -> Result<(), DataError> {
    let io = |source| DataError::Io { path: path.to_path_buf(), source };
    let list =
        Files::of(list).map_err(|reason| DataError::Own { path: path.to_path_buf(), reason })?;
    let mut file = files::begin(path).map_err(io)?;
    archive::write(&list, file.as_file_mut()).map_err(io)?;
    files::finish(file, path).map_err(io)
}

/// Chooses what the files leave open: the test part, and the numbers of the classes.
fn found(
    path: &Path,
    gathered: Result<Kinded, Reason>,
    config: &DataConfig,
    seed: u64,
    purpose: Purpose,
) -> Result<Found, DataError> {
    let refused = |reason| DataError::Own { path: path.to_path_buf(), reason };
    let (kind, mut gathered) = gathered.map_err(refused)?;
    check_used(gathered.shape, config).map_err(refused)?;
    if purpose == Purpose::Training {
        check_training(&gathered).map_err(refused)?;
    }
    gathered.drop_empty_classes().map_err(refused)?;
    gathered.settle_test(seed);
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

/// Checks that there is something to train on in every class that has other items.
///
/// # Errors
/// There are test or validation items only, in all classes or in one.
fn check_training(gathered: &Gathered) -> Result<(), Reason> {
    let Gathered { train, validation, test, class_names, skipped, .. } = gathered;
    let others = [("validation", validation), ("test", test)];
    let others = others.into_iter().filter_map(|(part, items)| Some((part, items.as_ref()?)));
    let others: Vec<(&str, &Items)> = others.filter(|(_, items)| items.len() > 0).collect();
    if train.len() == 0 && !others.is_empty() {
        let parts: Vec<&str> = others.iter().map(|(part, _)| *part).collect();
        return Err(format!(
            "it holds a {} part only; name the training part `train`",
            parts.join(" and a ")
        ));
    }
    let mut is_trained = vec![false; class_names.len()];
    train.labels.iter().for_each(|&label| is_trained[label as usize] = true);
    for (part, items) in others {
        if let Some(&label) = items.labels.iter().find(|&&label| !is_trained[label as usize]) {
            let skipped = match skipped.is_empty() {
                true => String::new(),
                false => format!("; skipped {}", skipped.join(", ")),
            };
            return Err(format!(
                "class `{}` has {part} items, but no training items; add some, or leave the class out{skipped}",
                class_names[label as usize]
            ));
        }
    }
    Ok(())
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

/// Reads the folder or file at `path`.
#[cfg(not(target_arch = "wasm32"))]
fn at_path(path: &Path, config: &DataConfig) -> Result<Kinded, Reason> {
    if path.is_dir() {
        let files = Files::below(path)?;
        if let Some(found) = of_several(&files, config)? {
            return Ok(found);
        }
        return match (files.has_pictures(), official_in(path)) {
            (false, Some(hint)) => Err(format!("there is no picture in it, but {hint}")),
            _ => Ok(("folder of classes".into(), images::read(files, config)?)),
        };
    }
    let file = NamedFile::at(files::file_name(path), path.to_path_buf());
    of_file(&file, || Files::near(path), config)
}

/// Reads a list of files: a data set of pictures or of several files, or the only array or table among them.
fn of_list(files: Files, config: &DataConfig) -> Result<Kinded, Reason> {
    if let Some(found) = of_several(&files, config)? {
        return Ok(found);
    }
    let candidates = if files.has_pictures() { Vec::new() } else { candidates(&files) };
    let file = match candidates[..] {
        [] => return Ok(("folder of classes".into(), images::read(files, config)?)),
        [file] => file,
        [_, _, ..] => {
            let names: Vec<String> = candidates.iter().map(|file| file.name.clone()).collect();
            return Err(format!(
                "it holds {} that may each be a data set ({}); leave only one there",
                counted(names.len(), "file", "files"),
                items::some_of(&names)
            ));
        }
    };
    let beside = files.beside(file);
    let labels = match file.ending() == "npy" {
        true => {
            arrays::labels_of(file, &beside).map(|own| format!("{}{}", file.folder(), own.name))
        }
        false => None,
    };
    let (kind, mut gathered) = of_file(file, || Ok(beside), config)?;
    let is_of_file =
        |other: &NamedFile| other.name == file.name || labels.as_ref() == Some(&other.name);
    say_others(&mut gathered, &files, is_of_file);
    gathered.add_found(&files);
    Ok((kind, gathered))
}

/// Reads a data set that is in several files, other than pictures: IDX files, or an array of numpy in each.
fn of_several(files: &Files, config: &DataConfig) -> Result<Option<Kinded>, Reason> {
    let (kind, mut gathered, used) = match idx::Set::among(files)? {
        Some(set) => {
            let used = set.names();
            ("IDX files", set.read(config)?, used)
        }
        None if files.has_pictures() => return Ok(None),
        None => {
            let candidates = candidates(files);
            let Some(gathered) = arrays::read_files(&candidates, files, config)? else {
                return Ok(None);
            };
            // Of the arrays beside each other, the reader tells those that it does not use.
            let first = candidates.iter().find(|file| file.ending() == "npy");
            let folder = first.map(|file| file.folder());
            let is_beside =
                |file: &&NamedFile| file.ending() == "npy" && folder == Some(file.folder());
            let used = files.all.iter().filter(is_beside).map(|file| file.name.clone());
            ("numpy arrays", gathered, used.collect())
        }
    };
    say_others(&mut gathered, files, |file| used.contains(&file.name));
    gathered.add_found(files);
    Ok(Some((kind.into(), gathered)))
}

/// Says which files are not of the data set.
fn say_others(gathered: &mut Gathered, files: &Files, is_used: impl Fn(&NamedFile) -> bool) {
    let others = files.all.iter().filter(|file| !is_used(file));
    let others: Vec<String> = others.map(|file| file.name.clone()).collect();
    if !others.is_empty() {
        let what = counted(others.len(), "other file", "other files");
        gathered.skipped.push(format!("{what} ({})", items::some_of(&others)));
    }
}

/// The files that may each hold a whole data set. A text file is one only if there is no other, for it may be a note.
fn candidates(files: &Files) -> Vec<&NamedFile> {
    let with = |endings: &[&str]| -> Vec<&NamedFile> {
        let is_data = |file: &&NamedFile| {
            endings.contains(&file.ending().as_str())
                && !arrays::is_of_labels(file.last())
                && file.last() != idx::CLASSES
        };
        files.all.iter().filter(is_data).collect()
    };
    match with(&["npz", "npy", "csv", "tsv", "zip"]) {
        none if none.is_empty() => with(&["txt"]),
        found => found,
    }
}

/// Reads a file that holds a whole data set. `beside` lists the files in its folder.
fn of_file(
    file: &NamedFile,
    beside: impl FnOnce() -> Result<Files, Reason>,
    config: &DataConfig,
) -> Result<Kinded, Reason> {
    let start = file.start().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file or folder".to_string(),
        _ => error.to_string(),
    })?;
    match &start[..] {
        [] => Err("the file is empty".into()),
        [b'P', b'K', 3, 4, ..] if file.ending() == "npz" => {
            Ok(("numpy archive".into(), arrays::read_npz(file, config)?))
        }
        [b'P', b'K', 3, 4, ..] if file.is_packed() => {
            Err(format!("{} is an archive in an archive: unpack the outer one first", file.name))
        }
        [b'P', b'K', 3, 4, ..] => {
            let (bytes, len) = file.open().map_err(|error| error.to_string())?;
            let (kind, gathered) = of_list(archive::list(bytes, len)?, config)?;
            Ok((format!("{kind} in a zip archive"), gathered))
        }
        [b'P', b'K', 5, 6, ..] => Err("the archive is empty".into()),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => {
            Ok(("numpy array".into(), arrays::read_npy(file, &beside()?, config)?))
        }
        [0, 0, 8..=14, 1..=4, ..] | [0x1f, 0x8b, ..] => {
            Ok(("IDX file".into(), idx::Set::of_file(file, &beside()?)?.read(config)?))
        }
        _ if picture::starts_like_picture(&start) => {
            Err("it is a single picture; name a folder with one folder of pictures per class"
                .into())
        }
        _ => {
            let bytes = file.read(points::MAX_BYTES).map_err(|error| error.to_string())?;
            Ok(("table of points".into(), points::read(&bytes, config)?))
        }
    }
}
