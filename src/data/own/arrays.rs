//! Images or points as arrays of numpy: `.npz`, or `.npy` with its labels beside it.

use std::{
    borrow::Cow,
    io::{BufReader, Read},
};

use zip::ZipArchive;

use super::{
    MAX_ITEMS, Reason, archive,
    bytes::Bytes,
    fixed,
    items::{Classes, Gathered, Items, classes_of, some_of},
    named::{Files, NamedFile},
    npy::{self, Numbers, Values as Elements},
    points,
    range::Range,
};
use crate::{
    config::{DataConfig, ImageColor, ImageSize},
    counts::counted,
};

/// The most that a byte of an archive becomes when it is unpacked.
const MOST_PER_PACKED: u64 = 1032;
/// The names of an array of images or points, and of its labels, in lower case and without the part.
const ITEMS: [&str; 7] = ["x", "images", "image", "data", "features", "points", "arr_0"];
const LABELS: [&str; 6] = ["y", "labels", "label", "target", "targets", "arr_1"];
/// The parts in the names of arrays.
const PARTS: [(&str, usize); 5] =
    [("train", 0), ("validation", 1), ("valid", 1), ("val", 1), ("test", 2)];
const PART_NAMES: [&str; 3] = ["training", "validation", "test"];

/// The arrays of a part.
type Arrays = (Numbers, Vec<String>);

/// Where arrays are, each under its name.
enum Source<'a> {
    Archive(ZipArchive<Bytes>),
    Files(Vec<&'a NamedFile>),
}

impl Source<'_> {
    fn read<T>(
        &mut self,
        name: &str,
        read: fn(&mut dyn Read, u64) -> Result<T, Reason>,
    ) -> Result<T, Reason> {
        let named = |reason: &dyn std::fmt::Display| format!("{name}: {reason}");
        match self {
            Self::Archive(archive) => {
                let mut entry = archive.by_name(name).map_err(|error| named(&error))?;
                let possible =
                    entry.size().min(entry.compressed_size().saturating_mul(MOST_PER_PACKED));
                read(&mut entry, possible).map_err(|reason| named(&reason))
            }
            Self::Files(files) => {
                let file = files.iter().find(|file| file.name == name);
                let file = file.ok_or_else(|| named(&"it is not there"))?;
                let (bytes, len) = file.open().map_err(|error| named(&error))?;
                read(&mut BufReader::new(bytes), len).map_err(|reason| named(&reason))
            }
        }
    }
}

/// The arrays of a data set by their names.
#[derive(Default)]
struct Roles {
    /// Items and labels of each part.
    parts: [[Option<String>; 2]; 3],
    others: Vec<String>,
}

impl Roles {
    /// The roles that the names say, which all begin with `folder`.
    ///
    /// # Errors
    /// Two arrays have the same role.
    fn of(names: &[String], folder: &str) -> Result<Self, Reason> {
        let mut roles = Self::default();
        for name in names {
            let Some((part, role)) = role_of(name.strip_prefix(folder).unwrap_or(name)) else {
                roles.others.push(name.trim_end_matches(".npy").to_string());
                continue;
            };
            if let Some(other) = roles.parts[part][role].replace(name.clone()) {
                return Err(format!("{other} and {name} are both the {} part", PART_NAMES[part]));
            }
        }
        Ok(roles)
    }

    /// Reads the arrays.
    fn read(self, mut source: Source<'_>, config: &DataConfig) -> Result<Gathered, Reason> {
        let mut parts: [Option<Arrays>; 3] = [const { None }; 3];
        for (part, place) in self.parts.into_iter().enumerate() {
            parts[part] = match place {
                [Some(items), Some(labels)] => {
                    Some((source.read(&items, npy::numbers)?, source.read(&labels, npy::labels)?))
                }
                [None, None] => None,
                [Some(items), None] => return Err(format!("{items} has no labels beside it")),
                [None, Some(labels)] => return Err(format!("{labels} has no images beside it")),
            };
        }
        let mut gathered = gather(parts, config)?;
        if !self.others.is_empty() {
            gathered.skipped.push(format!("other arrays ({})", some_of(&self.others)));
        }
        Ok(gathered)
    }
}

/// Reads an archive with the arrays x and y, or with such arrays for each part.
///
/// # Errors
/// The archive is damaged or lacks an array, or the arrays do not fit together.
pub(super) fn read_npz(file: &NamedFile, config: &DataConfig) -> Result<Gathered, Reason> {
    let (bytes, len) = file.open().map_err(|error| error.to_string())?;
    let archive = archive::open(bytes, len)?;
    let names = archive.file_names().map(|name| name.map(Cow::into_owned));
    let names: Vec<String> = names.collect::<Result<_, _>>().map_err(archive::damaged)?;
    let roles = Roles::of(&names, "")?;
    if roles.parts.iter().flatten().all(Option::is_none) {
        return Err(format!(
            "it has the arrays {}; name images and labels x and y, or x_train, y_train, x_test and y_test",
            some_of(&names)
        ));
    }
    roles.read(Source::Archive(archive), config)
}

/// Reads files with one array each, named as in an archive, if all arrays among the files that may be data are beside each
/// other, and a part has images and labels. Their names tell what they are, so files of other kinds may be there.
///
/// # Errors
/// As [`read_npz`].
pub(super) fn read_files(
    candidates: &[&NamedFile],
    beside: &Files,
    config: &DataConfig,
) -> Result<Option<Gathered>, Reason> {
    let is_array = |file: &NamedFile| file.ending() == "npy";
    let mut arrays = candidates.iter().filter(|file| is_array(file));
    let Some(folder) = arrays.next().map(|file| file.folder()) else { return Ok(None) };
    if arrays.any(|file| file.folder() != folder) {
        return Ok(None);
    }
    let files = beside.all.iter().filter(|file| is_array(file) && file.folder() == folder);
    let files: Vec<&NamedFile> = files.collect();
    let names: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    let roles = Roles::of(&names, folder)?;
    match roles.parts.iter().any(|part| part.iter().all(Option::is_some)) {
        true => roles.read(Source::Files(files), config).map(Some),
        false => Ok(None),
    }
}

/// The part of an array, and 0 for items or 1 for labels.
fn role_of(name: &str) -> Option<(usize, usize)> {
    let mut name = name.trim_end_matches(".npy").to_lowercase();
    let mut part = 0;
    for (word, of) in PARTS {
        if let Some(at) = name.find(word) {
            name.replace_range(at..at + word.len(), "");
            part = of;
            break;
        }
    }
    let name = name.trim_matches(['_', '-', '.', ' ']);
    match () {
        () if ITEMS.contains(&name) => Some((part, 0)),
        () if LABELS.contains(&name) => Some((part, 1)),
        () => None,
    }
}

/// The name of a file of labels that is beside any array.
const BESIDE: &str = "y.npy";
/// The end of the name of a file of labels that is beside one array.
const BESIDE_ONE: &str = "-labels.npy";

/// Whether a file of this name holds the labels of another.
pub(super) fn is_of_labels(name: &str) -> bool {
    name == BESIDE || name.ends_with(BESIDE_ONE)
}

/// The possible names of the labels of an array. The first one that exists is used.
fn names_of_labels(file: &NamedFile) -> [String; 2] {
    let own_name = file.last();
    let stem = own_name.rsplit_once('.').map_or(own_name, |(stem, _)| stem);
    [format!("{stem}{BESIDE_ONE}"), BESIDE.to_string()]
}

/// The labels of an array, among the files beside it.
pub(super) fn labels_of<'a>(file: &NamedFile, beside: &'a Files) -> Option<&'a NamedFile> {
    let names = names_of_labels(file);
    names.iter().find_map(|name| beside.all.iter().find(|file| file.name == *name))
}

/// Reads one array and the labels beside it: `NAME-labels.npy`, or `y.npy`.
///
/// # Errors
/// As [`read_npz`].
pub(super) fn read_npy(
    file: &NamedFile,
    beside: &Files,
    config: &DataConfig,
) -> Result<Gathered, Reason> {
    if is_of_labels(file.last()) {
        return Err("it holds labels; name the file of images".into());
    }
    let labels = labels_of(file, beside).ok_or_else(|| {
        let [own, shared] = names_of_labels(file);
        format!("its labels are missing: {own} or {shared} beside it")
    })?;
    let open = |file: &NamedFile| file.open().map_err(|error| format!("{}: {error}", file.name));
    let (bytes, len) = open(file)?;
    let items = npy::numbers(&mut BufReader::new(bytes), len)?;
    let (bytes, len) = open(labels)?;
    let named = |reason| format!("{}: {reason}", labels.name);
    let found = npy::labels(&mut BufReader::new(bytes), len).map_err(named)?;
    let mut gathered = gather([Some((items, found)), None, None], config)?;
    gathered.choices.insert(0, format!("labels from {}", labels.name));
    Ok(gathered)
}

/// Makes items of arrays.
fn gather(parts: [Option<Arrays>; 3], config: &DataConfig) -> Result<Gathered, Reason> {
    for (part, name) in parts.iter().zip(PART_NAMES) {
        let Some((items, labels)) = part else { continue };
        let count = items.shape.first().copied().unwrap_or(0);
        if count != labels.len() {
            return Err(format!(
                "the {name} part has {} and {}",
                counted(count, "item", "items"),
                counted(labels.len(), "label", "labels")
            ));
        }
        if let Some(empty) = labels.iter().position(|label| label.trim().is_empty()) {
            return Err(format!("label {empty} of the {name} part is empty; every item needs one"));
        }
        if count > MAX_ITEMS {
            return Err(format!("the {name} part has {count} items; at most {MAX_ITEMS} are read"));
        }
    }
    // An array without items has any shape: that of `numpy.array([])` is [0].
    let is_empty =
        [0, 1, 2].map(|at| parts[at].as_ref().is_some_and(|(_, labels)| labels.is_empty()));
    let parts = parts.map(|part| part.filter(|(_, labels)| !labels.is_empty()));
    if parts.iter().all(Option::is_none) {
        return Err("there is nothing to train on: its arrays are empty".into());
    }
    let all: Vec<&str> =
        parts.iter().flatten().flat_map(|(_, labels)| labels.iter().map(String::as_str)).collect();
    let Classes { names, of_labels, choice } = classes_of(&all)?;
    let mut all = of_labels.into_iter();
    let parts = parts.map(|part| {
        part.map(|(items, labels)| (items, all.by_ref().take(labels.len()).collect::<Vec<u32>>()))
    });
    let are_points = |(items, _): &(Numbers, _)| matches!(items.values, Elements::Points(_));
    let mut gathered = match parts.iter().flatten().all(are_points) {
        true => gather_points(parts, names, config),
        false => gather_images(parts, names, config),
    }?;
    for (part, is_empty) in
        [(&mut gathered.validation, is_empty[1]), (&mut gathered.test, is_empty[2])]
    {
        if is_empty {
            *part = Some(Items::default());
        }
    }
    gathered.choices.extend(choice);
    Ok(gathered)
}

type Labelled = [Option<(Numbers, Vec<u32>)>; 3];

fn gather_points(
    parts: Labelled,
    class_names: Vec<String>,
    config: &DataConfig,
) -> Result<Gathered, Reason> {
    let parts = parts.map(|part| {
        part.and_then(|(items, labels)| match items.values {
            Elements::Points(points) => Some((points, labels)),
            _ => None,
        })
    });
    points::gather(parts, class_names, config)
}

fn gather_images(
    parts: Labelled,
    class_names: Vec<String>,
    config: &DataConfig,
) -> Result<Gathered, Reason> {
    let mut shapes: [Option<([usize; 3], bool)>; 3] = [None; 3];
    for (at, part) in parts.iter().enumerate() {
        let Some((items, _)) = part else { continue };
        let shape = fixed::image_shape(&items.shape);
        shapes[at] =
            Some(shape.map_err(|reason| format!("in the {} part, {reason}", PART_NAMES[at]))?);
    }
    let mut found = shapes.iter().flatten().map(|(shape, _)| *shape);
    let shape = found.next().ok_or("there is nothing to train on")?;
    if let Some(other) = found.find(|other| *other != shape) {
        return Err(format!(
            "its parts have images of shape {shape:?} and {other:?} (C, H, W); all need the same"
        ));
    }
    fixed::check_settings(shape, config)?;
    let values = [0, 1, 2].map(|at| parts[at].as_ref().map(|(items, _)| &items.values));
    let count = parts.iter().flatten().map(|(_, labels)| labels.len()).sum();
    let are_bytes = values.iter().flatten().all(|values| matches!(values, Elements::Bytes(_)));
    let num_values = count as u64 * shape.iter().product::<usize>() as u64;
    fixed::check_total(num_values, are_bytes)?;
    let range = Range::of(values, PART_NAMES)?;
    let mut items: [Option<Items>; 3] = [const { None }; 3];
    for (at, part) in parts.into_iter().enumerate() {
        let (Some((numbers, labels)), Some((_, is_last))) = (part, shapes[at]) else { continue };
        let values = range.scaled(numbers.values);
        let values = if is_last { fixed::channels_first(values, shape) } else { values };
        items[at] = Some(Items::numbered(values, labels));
    }
    let settings = DataConfig {
        size: ImageSize::Fixed([shape[1], shape[2]]),
        color: if shape[0] == 1 { ImageColor::Gray } else { ImageColor::Rgb },
        ..config.clone()
    };
    let [train, validation, test] = items;
    let mut gathered = Gathered::new(class_names, shape, train.unwrap_or_default(), settings);
    (gathered.validation, gathered.test) = (validation, test);
    gathered.choices.push(range.in_words());
    gathered.warnings.extend(range.warnings());
    gathered.sizes.push(([shape[1], shape[2]], count));
    Ok(gathered)
}
