//! Which files of a folder are images of which class and part, told by their names alone.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    Reason,
    arrays::is_of_labels,
    composed::composed,
    items::{class_names, some_of, sort_names},
    named::{Files, NamedFile},
};
use crate::counts::counted;

/// The names of the folders of a part, in lower case.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];
/// The words that may stand beside such a name, as in `train_images`.
const FILLERS: [&str; 11] = [
    "data", "dataset", "folder", "image", "images", "img", "imgs", "photos", "pictures", "set",
    "split",
];

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The part with exactly this name.
    fn named(folder: &str) -> Option<Self> {
        let folder = folder.to_lowercase();
        let is_one_of = |names: &[&str]| names.contains(&folder.as_str());
        match () {
            () if is_one_of(&TRAIN) => Some(Self::Train),
            () if is_one_of(&VALIDATION) => Some(Self::Validation),
            () if is_one_of(&TEST) => Some(Self::Test),
            () => None,
        }
    }

    /// The part that the name says, alone or beside words that say nothing.
    fn of(folder: &str) -> Option<Self> {
        let folder = folder.to_lowercase();
        let words = folder.split(['_', '-', ' ', '.']);
        let words: Vec<&str> =
            words.filter(|word| !word.is_empty() && !FILLERS.contains(word)).collect();
        match words[..] {
            [word] => Self::named(word),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// A file that should be an image, with its class.
#[derive(Debug)]
pub(super) struct Labelled {
    pub(super) file: NamedFile,
    pub(super) class: u32,
    pub(super) part: Part,
}

/// The images of a folder by class and part.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) class_names: Vec<String>,
    /// The files, sorted by name.
    pub(super) files: Vec<Labelled>,
    /// What was chosen, in words.
    pub(super) choices: Vec<String>,
    pub(super) skipped: Vec<String>,
}

/// The folders at the start of a name, and the name within them.
fn split_at(name: &str, depth: usize) -> Option<(&str, &str)> {
    let at = name.match_indices('/').nth(depth)?.0;
    Some((&name[..at], &name[at + 1..]))
}

/// The folder of a name at a depth, if the file lies in it or below it.
fn folder_at(name: &str, depth: usize) -> Option<&str> {
    split_at(name, depth).map(|(folders, _)| folders.rsplit('/').next().unwrap_or(folders))
}

/// Sorts the files of a folder into classes: a folder for each class, perhaps in folders `train`, `val` and `test`, and all
/// of it perhaps in another folder.
///
/// # Errors
/// No folder holds a picture, or it is not clear which folders are classes and which are parts. The error says what would
/// do.
pub(super) fn layout(found: Files) -> Result<Layout, Reason> {
    let (pictures, others): (Vec<NamedFile>, Vec<NamedFile>) =
        found.all.into_iter().partition(NamedFile::is_picture);
    let mut layout = Layout { choices: found.choices, skipped: found.skipped, ..Layout::default() };
    if pictures.is_empty() {
        return Err(nothing(&others, &layout.skipped));
    }
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|file| file.name.clone()).collect();
        let what =
            counted(names.len(), "file that is not a picture", "files that are not pictures");
        layout.skipped.push(format!("{what} ({})", some_of(&names)));
    }
    let depth = outer_depth(&pictures);
    let outer = depth.checked_sub(1).and_then(|last| split_at(&pictures[0].name, last));
    let outer = outer.map(|(outer, _)| outer.to_string());
    if let Some(outer) = &outer {
        layout.choices.push(format!("all of it is in its folder {outer}"));
    }
    let parts = parts_at(&pictures, depth)?;
    let class_depth = depth + usize::from(!parts.is_empty());
    let (mut loose, mut strangers) = (Vec::new(), Vec::new());
    let mut chosen: Vec<(NamedFile, String, Part)> = Vec::new();
    for file in pictures {
        let folder = folder_at(&file.name, depth);
        let part = match folder.and_then(|folder| parts.get(folder)) {
            _ if parts.is_empty() => Part::Train,
            Some(&part) => part,
            // A part without folders of classes.
            None if folder.is_some_and(|folder| Part::of(folder).is_some()) => {
                loose.push(file.name.clone());
                continue;
            }
            None => {
                strangers.push(file.name.clone());
                continue;
            }
        };
        match folder_at(&file.name, class_depth) {
            Some(class) => {
                let class = class.to_string();
                chosen.push((file, class, part));
            }
            None => loose.push(file.name.clone()),
        }
    }
    if chosen.is_empty() {
        let arrays: Vec<String> = others
            .iter()
            .filter(|file| is_like_array(file))
            .map(|file| file.name.clone())
            .collect();
        let instead = match arrays.is_empty() {
            true => String::new(),
            false => format!("; to train on {} instead, move the pictures away", some_of(&arrays)),
        };
        return Err(format!(
            "its pictures are in no folder of a class; make a folder for each class, named like the class{instead}"
        ));
    }
    for (names, why) in
        [(loose, "in no folder of a class"), (strangers, "outside the folders of the parts")]
    {
        if !names.is_empty() {
            let what = counted(names.len(), "picture", "pictures");
            layout.skipped.push(format!("{what} {why} ({})", some_of(&names)));
        }
    }
    match parts.is_empty() {
        true => layout.say_classes_like_parts(&chosen),
        false => layout.say_parts(&parts),
    }
    layout.say_subfolders(&chosen, class_depth)?;
    let within = outer.map(|outer| outer + "/").unwrap_or_default();
    let own = found.folders.iter().filter_map(|name| name.strip_prefix(&within));
    let folders = own.filter_map(|name| class_of_folder(name, !parts.is_empty())).collect();
    layout.number(chosen, folders)?;
    Ok(layout)
}

/// Whether a file is named like one of numpy or IDX.
fn is_like_array(file: &NamedFile) -> bool {
    let name = file.last().to_lowercase();
    [".npy", ".npz", "idx1", "idx3", "idx4", "ubyte"].iter().any(|word| name.contains(word))
}

/// The class of which this is the folder, if it is one: beside the others, or in a part if there are parts.
fn class_of_folder(name: &str, has_parts: bool) -> Option<&str> {
    let class = match has_parts {
        true => name.split_once('/').filter(|(part, _)| Part::of(part).is_some())?.1,
        false => name,
    };
    (!class.contains('/')).then_some(class)
}

/// The depth of the folders of classes or parts: an archive is often unpacked to a folder in a folder.
fn outer_depth(pictures: &[NamedFile]) -> usize {
    (0..)
        .find(|&depth| {
            let first = folder_at(&pictures[0].name, depth);
            let is_outer = first.is_some_and(|folder| Part::named(folder).is_none())
                && pictures.iter().all(|file| {
                    folder_at(&file.name, depth) == first
                        && folder_at(&file.name, depth + 1).is_some()
                });
            !is_outer
        })
        .unwrap_or(0)
}

/// The folders at this depth that are parts, if there is a training part with folders of classes in it.
///
/// # Errors
/// There is a part with folders of classes, but no training part; or all folders are parts without folders of classes.
fn parts_at(pictures: &[NamedFile], depth: usize) -> Result<BTreeMap<String, Part>, Reason> {
    let mut folders: BTreeMap<&str, bool> = BTreeMap::new();
    for file in pictures {
        if let Some(folder) = folder_at(&file.name, depth) {
            let has_class = folder_at(&file.name, depth + 1).is_some();
            *folders.entry(folder).or_default() |= has_class;
        }
    }
    let of_parts = |wanted: bool| -> BTreeMap<String, Part> {
        let some = folders.iter().filter(|(_, has_classes)| **has_classes == wanted);
        some.filter_map(|(name, _)| Some((name.to_string(), Part::of(name)?))).collect()
    };
    // A folder `train` of pictures is a class, as in {train, car, plane}.
    let (parts, flat) = (of_parts(true), of_parts(false));
    if parts.values().any(|&part| part == Part::Train) {
        return Ok(parts);
    }
    let are_all_parts = parts.len() + flat.len() == folders.len();
    match (parts.is_empty(), flat.is_empty()) {
        (true, true) => Ok(parts),
        (_, false) if are_all_parts => {
            let (has, each) = match flat.len() {
                1 => ("has no class folders in it", "it"),
                _ => ("have no class folders in them", "each"),
            };
            Err(format!("{} {has}: put one folder per class into {each}", in_order(&flat)))
        }
        (true, false) => Ok(parts),
        (false, true) if are_all_parts => {
            let names: BTreeSet<Part> = parts.values().copied().collect();
            let names: Vec<&str> = names.into_iter().map(Part::name).collect();
            Err(format!(
                "its folders are of a {} part only; name the training part `train`",
                names.join(" and a ")
            ))
        }
        (false, _) => {
            let all = in_order(&parts);
            Err(format!(
                "{all} {} folders in it like a part, but beside it is no train/ with folders of classes; put the training \
                 classes into train/, or give {all} another name",
                if parts.len() == 1 { "has" } else { "have" }
            ))
        }
    }
}

/// The folders of parts in words, the training part first.
fn in_order(parts: &BTreeMap<String, Part>) -> String {
    let mut all: Vec<(Part, String)> =
        parts.iter().map(|(folder, part)| (*part, format!("{folder}/"))).collect();
    all.sort();
    let mut names: Vec<String> = all.into_iter().map(|(_, folder)| folder).collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        last => last.unwrap_or_default(),
    }
}

impl Layout {
    /// Says which folders became which parts, unless their names are the usual ones.
    fn say_parts(&mut self, parts: &BTreeMap<String, Part>) {
        for part in Part::ALL {
            let own = parts.iter().filter(|(_, own)| **own == part);
            let own: BTreeMap<String, Part> =
                own.map(|(folder, part)| (folder.clone(), *part)).collect();
            let is_usual =
                |folder: &String| ["train", "test"].contains(&folder.to_lowercase().as_str());
            match own.len() {
                0 => {}
                1 if own.keys().all(is_usual) => {}
                count => {
                    let are = if count == 1 { "is" } else { "are" };
                    self.choices.push(format!("{} {are} the {} part", in_order(&own), part.name()));
                }
            }
        }
    }

    /// Says which folders became classes although they are named like parts.
    fn say_classes_like_parts(&mut self, chosen: &[(NamedFile, String, Part)]) {
        let classes: BTreeSet<&str> = chosen.iter().map(|(_, class, _)| class.as_str()).collect();
        for class in classes.into_iter().filter(|class| Part::of(class).is_some()) {
            self.choices.push(format!("{class}/ is a class: it has no class folders in it"));
        }
    }

    /// Says which folders in folders of classes were merged into their classes.
    ///
    /// # Errors
    /// Such a folder has the name of the validation or the test part.
    fn say_subfolders(
        &mut self,
        chosen: &[(NamedFile, String, Part)],
        depth: usize,
    ) -> Result<(), Reason> {
        let mut merged = BTreeSet::new();
        for (file, class, _) in chosen {
            let inner = (depth + 1..).map_while(|depth| split_at(&file.name, depth));
            let inner: Vec<&str> = inner.map(|(path, _)| path).collect();
            for path in &inner {
                let own = path.rsplit('/').next().unwrap_or(path);
                if let Some(Part::Validation | Part::Test) = Part::of(own) {
                    return Err(format!(
                        "{path}/ is a part inside a class; put the parts outside, as in train/{class}/ and {own}/{class}/, \
                         or give that folder another name"
                    ));
                }
            }
            merged.extend(inner.first().copied().map(str::to_string));
        }
        if !merged.is_empty() {
            let what = counted(
                merged.len(),
                "folder in a class is merged into it",
                "folders in classes are merged into them",
            );
            let merged: Vec<String> = merged.into_iter().collect();
            self.choices.push(format!("{what} ({})", some_of(&merged)));
        }
        Ok(())
    }

    /// Numbers the classes: those with images, and those of all `folders` of classes, which may be empty. Folders whose
    /// names differ only in how accents are stored are one class.
    fn number(
        &mut self,
        chosen: Vec<(NamedFile, String, Part)>,
        folders: Vec<&str>,
    ) -> Result<(), Reason> {
        let stored: BTreeSet<&str> =
            chosen.iter().map(|(_, class, _)| class.as_str()).chain(folders).collect();
        let mut spellings: BTreeMap<Cow<'_, str>, usize> = BTreeMap::new();
        for name in &stored {
            *spellings.entry(composed(name)).or_default() += 1;
        }
        let several = spellings.iter().filter(|(_, count)| **count > 1);
        let several: Vec<String> = several.map(|(name, _)| name.to_string()).collect();
        if !several.is_empty() {
            self.choices.push(format!(
                "folders whose names differ only in how accents are stored are one class ({})",
                some_of(&several)
            ));
        }
        let mut names: Vec<&str> = spellings.keys().map(AsRef::as_ref).collect();
        sort_names(&mut names);
        let places: BTreeMap<&str, u32> =
            names.iter().enumerate().map(|(place, name)| (*name, place as u32)).collect();
        let class_of: Vec<u32> =
            chosen.iter().map(|(_, class, _)| places[composed(class).as_ref()]).collect();
        self.class_names = class_names("folder name", &names)?;
        let files = chosen.into_iter().zip(class_of);
        self.files = files.map(|((file, _, part), class)| Labelled { file, class, part }).collect();
        Ok(())
    }
}

/// What to say of a folder without a picture.
fn nothing(others: &[NamedFile], skipped: &[String]) -> Reason {
    let ending_of = |file: &&NamedFile| {
        let name = file.last().to_lowercase();
        [".npz", ".npy", ".csv", ".tsv", ".txt", ".zip", ".tar", ".gz", ".tgz"]
            .into_iter()
            .find(|ending| name.ends_with(ending))
    };
    let may_do = others.iter().filter(|file| !is_of_labels(file.last()));
    let known = may_do.filter_map(|file| Some((file, ending_of(&file)?))).next();
    match known {
        Some((file, ".npz" | ".npy" | ".csv" | ".tsv" | ".zip")) => {
            format!("there is no picture in it; to train on {}, name that file", file.name)
        }
        Some((file, ".tar" | ".gz" | ".tgz")) => {
            format!("there is no picture in it; {} there is packed: unpack it first", file.name)
        }
        _ => {
            let found = match (others.len(), skipped.is_empty()) {
                (0, true) => " (it is empty)".to_string(),
                (0, false) => format!(" ({})", skipped.join(", ")),
                (count, _) => {
                    format!(" ({})", counted(count, "file of another kind", "files of other kinds"))
                }
            };
            format!(
                "there is no picture in it{found}; it should hold a folder for each class, with PNG, JPEG, GIF, WebP or \
                 BMP files"
            )
        }
    }
}
