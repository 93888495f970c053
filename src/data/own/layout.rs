//! Which files of a folder are images of which class and part, told by their names alone.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Reason,
    items::{some_of, sort_names},
    named::{Files, NamedFile},
};
use crate::counts::counted;

/// The names of the folders of a part, in lower case.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];

/// A part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Validation,
    Test,
}

impl Part {
    fn of(folder: &str) -> Option<Self> {
        let folder = folder.to_lowercase();
        let is_one_of = |names: &[&str]| names.contains(&folder.as_str());
        match () {
            () if is_one_of(&TRAIN) => Some(Self::Train),
            () if is_one_of(&VALIDATION) => Some(Self::Validation),
            () if is_one_of(&TEST) => Some(Self::Test),
            () => None,
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
/// No folder holds a picture. The error says what would do.
pub(super) fn layout(found: Files) -> Result<Layout, Reason> {
    let (pictures, others): (Vec<NamedFile>, Vec<NamedFile>) =
        found.all.into_iter().partition(NamedFile::is_picture);
    let mut layout = Layout { skipped: found.skipped, ..Layout::default() };
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
    if let Some((outer, _)) = split_at(&pictures[0].name, depth.saturating_sub(1))
        && depth > 0
    {
        layout.choices.push(format!("all of it is in its folder {outer}"));
    }
    let parts = parts_at(&pictures, depth);
    let (mut loose, mut strangers) = (Vec::new(), Vec::new());
    let mut chosen: Vec<(NamedFile, String, Part)> = Vec::new();
    for file in pictures {
        let part = match (parts.is_empty(), folder_at(&file.name, depth)) {
            (true, _) => Some(Part::Train),
            (false, Some(folder)) => parts.get(folder).copied(),
            (false, None) => None,
        };
        let Some(part) = part else {
            strangers.push(file.name.clone());
            continue;
        };
        match folder_at(&file.name, depth + usize::from(!parts.is_empty())) {
            Some(class) => {
                let class = class.to_string();
                chosen.push((file, class, part));
            }
            None => loose.push(file.name.clone()),
        }
    }
    if chosen.is_empty() {
        return Err(
            "its pictures are in no folder of a class; make a folder for each class, named like the class".into(),
        );
    }
    for (names, why) in
        [(loose, "in no folder of a class"), (strangers, "outside the folders of the parts")]
    {
        if !names.is_empty() {
            let what = counted(names.len(), "picture", "pictures");
            layout.skipped.push(format!("{what} {why} ({})", some_of(&names)));
        }
    }
    layout.say_parts(&parts, &chosen);
    layout.number(chosen, &found.folders, depth + usize::from(!parts.is_empty()))?;
    Ok(layout)
}

/// The depth of the folders of classes or parts: an archive is often unpacked to a folder in a folder.
fn outer_depth(pictures: &[NamedFile]) -> usize {
    (0..)
        .find(|&depth| {
            let first = folder_at(&pictures[0].name, depth);
            let is_outer = first.is_some_and(|folder| Part::of(folder).is_none())
                && pictures.iter().all(|file| {
                    folder_at(&file.name, depth) == first
                        && folder_at(&file.name, depth + 1).is_some()
                });
            !is_outer
        })
        .unwrap_or(0)
}

/// The folders at this depth that are parts, if there is a training part with folders of classes in it.
fn parts_at(pictures: &[NamedFile], depth: usize) -> BTreeMap<String, Part> {
    let mut folders: BTreeMap<&str, bool> = BTreeMap::new();
    for file in pictures {
        if let Some(folder) = folder_at(&file.name, depth) {
            let has_class = folder_at(&file.name, depth + 1).is_some();
            *folders.entry(folder).or_default() |= has_class;
        }
    }
    // A folder `train` of pictures is a class, as in {train, car, plane}.
    let parts = folders.into_iter().filter(|(_, has_classes)| *has_classes);
    let parts: BTreeMap<String, Part> =
        parts.filter_map(|(name, _)| Some((name.to_string(), Part::of(name)?))).collect();
    match parts.values().any(|&part| part == Part::Train) {
        true => parts,
        false => BTreeMap::new(),
    }
}

impl Layout {
    /// Says which folders became which parts, and makes a validation part the test part if there is no other.
    fn say_parts(&mut self, parts: &BTreeMap<String, Part>, chosen: &[(NamedFile, String, Part)]) {
        let is_there = |part: Part| chosen.iter().any(|(_, _, own)| *own == part);
        for (folder, part) in parts {
            match part {
                Part::Validation if is_there(Part::Test) => {
                    self.choices.push(format!("{folder}/ is the validation part"));
                }
                Part::Validation => {
                    self.choices.push(format!("{folder}/ is the test part, as there is no other"));
                }
                Part::Train | Part::Test => {}
            }
        }
    }

    /// Numbers the classes: one for each folder at this depth, with images or without.
    fn number(
        &mut self,
        chosen: Vec<(NamedFile, String, Part)>,
        folders: &[String],
        depth: usize,
    ) -> Result<(), Reason> {
        let has_test = chosen.iter().any(|(_, _, part)| *part == Part::Test);
        let empty = folders.iter().filter(|name| name.matches('/').count() == depth);
        let empty = empty.filter_map(|name| name.rsplit('/').next());
        let names: BTreeSet<&str> =
            chosen.iter().map(|(_, class, _)| class.as_str()).chain(empty).collect();
        let mut names: Vec<&str> = names.into_iter().collect();
        sort_names(&mut names);
        let places: BTreeMap<&str, u32> =
            names.iter().enumerate().map(|(place, name)| (*name, place as u32)).collect();
        let class_of: Vec<u32> =
            chosen.iter().map(|(_, class, _)| places[class.as_str()]).collect();
        self.class_names = super::items::class_names(&names)?;
        self.files = chosen
            .into_iter()
            .zip(class_of)
            .map(|((file, _, part), class)| {
                let part = if part == Part::Validation && !has_test { Part::Test } else { part };
                Labelled { file, class, part }
            })
            .collect();
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
    let known = others.iter().find_map(|file| Some((file, ending_of(&file)?)));
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
