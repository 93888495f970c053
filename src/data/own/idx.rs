//! IDX files of images of any size and any classes, with the names of the classes in `classes.txt`.

use std::collections::HashSet;

use super::{
    MAX_ITEMS, Reason, fixed,
    items::{Gathered, Items, class_names},
    named::{Files, NamedFile},
};
use crate::{
    config::{DataConfig, ImageColor, ImageSize},
    counts::counted,
    data::{
        Values,
        formats::{self, IdxPart},
    },
};

/// The file with one name of a class per line.
pub(super) const CLASSES: &str = "classes.txt";
/// Limit on the bytes of that file.
const MAX_CLASSES_BYTES: u64 = 1 << 20;
/// Words in the names of IDX files, in lower case.
const WORDS: [&str; 4] = ["idx", "ubyte", "image", "label"];
/// Limit on the files of a folder that are looked at although their names have none of these words.
const MAX_OTHERS: usize = 100;
const PARTS: [&str; 3] = ["training", "validation", "test"];

/// The files of a data set in IDX.
pub(super) struct Set {
    /// Images and labels of the training, validation and test part.
    parts: [Option<[NamedFile; 2]>; 3],
    classes: Option<NamedFile>,
}

/// The number of dimensions of an IDX file of bytes; `None` for other files.
fn num_dims(file: &NamedFile) -> Option<u8> {
    formats::num_dims(file.input().ok()?)
}

/// The IDX files in a list of files, with their numbers of dimensions.
fn idx_files(all: &[NamedFile]) -> impl Iterator<Item = (&NamedFile, u8)> {
    let (named, others): (Vec<_>, Vec<_>) = all.iter().partition(|file| {
        let name = file.last().to_lowercase();
        WORDS.iter().any(|word| name.contains(word))
    });
    let looked_at = named.into_iter().chain(others.into_iter().take(MAX_OTHERS));
    looked_at.filter_map(|file| Some((file, num_dims(file)?)))
}

/// The index of the part of a file: what its own name says, or else the nearest of its folders that says any; the training
/// part if none does.
fn part_of(name: &str) -> usize {
    name.rsplit('/').find_map(part_in).unwrap_or(0)
}

/// The index of the part that the name of a file or folder says. A word of the name says it with its start, so `latest` is
/// no test part; `digitsTest` is two words.
fn part_in(name: &str) -> Option<usize> {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_uppercase() && words.ends_with(char::is_lowercase) {
            words.push(' ');
        }
        words.push(c);
    }
    let words = words.to_lowercase();
    let words = words.split(|c: char| !c.is_alphanumeric());
    let has = |starts: &[&str]| {
        words.clone().any(|word| starts.iter().any(|start| word.starts_with(start)))
    };
    match () {
        () if has(&["train"]) => Some(0),
        () if has(&["t10k", "test"]) => Some(2),
        () if has(&["val"]) => Some(1),
        () => None,
    }
}

impl Set {
    /// The IDX files of a folder, if it holds images in IDX and no pictures.
    ///
    /// # Errors
    /// Images without labels, or two files of images for one part.
    pub(super) fn among(found: &Files) -> Result<Option<Self>, Reason> {
        if found.has_pictures() {
            return Ok(None);
        }
        let all: Vec<(&NamedFile, u8)> = idx_files(&found.all).collect();
        let with = |wanted: &[u8]| -> Vec<NamedFile> {
            let files = all.iter().filter(|(_, dims)| wanted.contains(dims));
            files.map(|(file, _)| (*file).clone()).collect()
        };
        let (images, labels) = (with(&[3, 4]), with(&[1]));
        if images.is_empty() {
            return Ok(None);
        }
        let mut parts: [Option<[NamedFile; 2]>; 3] = [const { None }; 3];
        for file in images {
            let part = part_of(&file.name);
            let own = labels_of(&file, &labels)?;
            let name = file.name.clone();
            if let Some([other, _]) = parts[part].replace([file, own]) {
                return Err(format!(
                    "{} and {name} both hold images of the {} part; keep one there, or name them `train-…`, `val-…` and `test-…`",
                    other.name, PARTS[part]
                ));
            }
        }
        let classes =
            parts.iter().flatten().next().and_then(|[images, _]| classes_for(images, found));
        Ok(Some(Self { parts, classes }))
    }

    /// A file of images and the file of labels beside it.
    ///
    /// # Errors
    /// It holds no images, or there are no labels.
    pub(super) fn of_file(file: &NamedFile, beside: &Files) -> Result<Self, Reason> {
        match num_dims(file) {
            Some(3 | 4) => {}
            Some(1) => return Err("it holds labels; name the file of images".into()),
            None if file.start().is_ok_and(|start| start.starts_with(&[0x1f, 0x8b])) => {
                return Err(
                    "it is packed with gzip, and no IDX file of images as bytes is in it: unpack it and name the folder or file"
                        .into(),
                );
            }
            _ => {
                return Err(
                    "it is not an IDX file of images as bytes; 3 or 4 dimensions are read".into()
                );
            }
        }
        let own_name = file.last();
        let own = beside.all.iter().find(|file| file.name == own_name);
        let own = own.ok_or("it is not in its folder")?.clone();
        let labels = idx_files(&beside.all).filter(|(_, dims)| *dims == 1);
        let labels: Vec<NamedFile> = labels.map(|(file, _)| file.clone()).collect();
        let labels = labels_of(&own, &labels)?;
        let classes = classes_for(&own, beside);
        Ok(Self { parts: [Some([own, labels]), None, None], classes })
    }

    /// The names of the files.
    pub(super) fn names(&self) -> HashSet<String> {
        let parts = self.parts.iter().flatten().flatten();
        parts.chain(&self.classes).map(|file| file.name.clone()).collect()
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A file is damaged, or the files do not fit together.
    pub(super) fn read(self, config: &DataConfig) -> Result<Gathered, Reason> {
        let mut names = Vec::new();
        let mut total = 0;
        let mut read: [Option<IdxPart>; 3] = [const { None }; 3];
        for (at, part) in self.parts.iter().enumerate() {
            let Some([images, labels]) = part else { continue };
            let part = images.input().and_then(|images| IdxPart::read(images, labels.input()?));
            let part = part.map_err(|error| error.to_string())?;
            if part.labels.len() > MAX_ITEMS {
                return Err(format!("{} holds more than {MAX_ITEMS} images", images.name));
            }
            total += part.pixels.len() as u64;
            fixed::check_total(total, true)?;
            names.extend([images.name.clone(), labels.name.clone()]);
            read[at] = Some(part);
        }
        // A part without images has any shape.
        let mut shapes = read.iter().flatten().filter(|part| !part.labels.is_empty());
        let shape = shapes.next().ok_or("there is nothing to train on")?.shape;
        if let Some(other) = shapes.find(|part| part.shape != shape) {
            return Err(format!(
                "its parts have images of shape {shape:?} and {:?} (C, H, W); all need the same",
                other.shape
            ));
        }
        fixed::check_settings(shape, config)?;
        let highest = read.iter().flatten().flat_map(|part| &part.labels).max().copied();
        let num_labels = highest.map_or(0, |label| usize::from(label) + 1);
        let class_names = match &self.classes {
            Some(file) => names_in(file, num_labels)?,
            None => (0..num_labels).map(|label| label.to_string()).collect(),
        };
        let count = read.iter().flatten().map(|part| part.labels.len()).sum();
        let items = read.map(|part| {
            part.map(|part| {
                let labels = part.labels.into_iter().map(u32::from).collect();
                Items::numbered(Values::Bytes(part.pixels), labels)
            })
        });
        let settings = DataConfig {
            size: ImageSize::Fixed([shape[1], shape[2]]),
            color: if shape[0] == 1 { ImageColor::Gray } else { ImageColor::Rgb },
            ..config.clone()
        };
        let [train, validation, test] = items;
        let mut gathered = Gathered::new(class_names, shape, train.unwrap_or_default(), settings);
        (gathered.validation, gathered.test) = (validation, test);
        gathered.sizes.push(([shape[1], shape[2]], count));
        gathered.choices.push(format!("read {}", names.join(", ")));
        if let Some(classes) = &self.classes {
            gathered.choices.push(format!("names of classes from {}", classes.name));
        }
        Ok(gathered)
    }
}

/// The labels for a file of images: the file of the same name with `labels`, or the only one of the same part.
fn labels_of(images: &NamedFile, labels: &[NamedFile]) -> Result<NamedFile, Reason> {
    let stem = |name: &str| {
        let name = name.to_lowercase().replace("images", "").replace("labels", "");
        ["idx1", "idx3", "idx4", ".gz"].iter().fold(name, |name, word| name.replace(word, ""))
    };
    let wanted = stem(&images.name);
    if let Some(found) = labels.iter().find(|file| stem(&file.name) == wanted) {
        return Ok(found.clone());
    }
    let mut same = labels.iter().filter(|file| part_of(&file.name) == part_of(&images.name));
    match (same.next(), same.count()) {
        (Some(only), 0) => Ok(only.clone()),
        (None, _) => Err(format!("{} has no file of labels beside it", images.name)),
        (Some(_), more) => Err(format!(
            "which of {} is for {}? Give it the same name with `labels` instead of `images`",
            counted(more + 1, "file of labels", "files of labels"),
            images.name
        )),
    }
}

/// The names of the classes of these images: in the folder of the images, or else outside all folders.
fn classes_for(images: &NamedFile, found: &Files) -> Option<NamedFile> {
    let named = |name: &str| found.all.iter().find(|file| file.name == name);
    let beside = named(&format!("{}{CLASSES}", images.folder()));
    beside.or_else(|| named(CLASSES)).cloned()
}

/// The names of the classes from a file with one name per line, the name of label 0 first.
fn names_in(file: &NamedFile, num_labels: usize) -> Result<Vec<String>, Reason> {
    let own_name = &file.name;
    let bytes = file.read(MAX_CLASSES_BYTES).map_err(|error| format!("{own_name}: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{own_name} is not text in UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    let names: Vec<&str> = text.lines().map(str::trim).collect();
    if names.len() < num_labels {
        return Err(format!(
            "the labels go up to {}, and {own_name} has {}; it needs one line for each label from 0",
            num_labels.saturating_sub(1),
            counted(names.len(), "name", "names")
        ));
    }
    if let Some(empty) = names.iter().position(|name| name.is_empty()) {
        return Err(format!("line {} of {own_name} is empty; every class needs a name", empty + 1));
    }
    class_names("name", &names).map_err(|reason| format!("{own_name}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_name_says_its_part() {
        let cases = [
            ("train-images-idx3-ubyte", 0),
            ("t10k-images-idx3-ubyte.gz", 2),
            ("letters_test.idx3", 2),
            ("digitsTest-images", 2),
            ("val/images-idx3", 1),
            ("validation-images", 1),
            ("latest/images-idx3-ubyte", 0),
            ("contest-images-idx3-ubyte", 0),
            ("evaluated/images-idx3", 0),
            ("images-idx3-ubyte", 0),
            // The folder of all says nothing where the file does, or a folder in it.
            ("my_training_data/t10k-images-idx3-ubyte", 2),
            ("tests/mine/train-images-idx3-ubyte", 0),
            ("my_training_data/val/images-idx3", 1),
            ("test/data/images-idx3", 2),
        ];
        for (name, part) in cases {
            assert_eq!(part_of(name), part, "{name}");
        }
    }
}
