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
    parts::{Name, Part},
    tree::{Folder, Tree, are_same, in_order, last},
};
use crate::counts::counted;

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
    /// What is odd in the folders.
    pub(super) warnings: Vec<String>,
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
    let places = layout.places(&pictures)?;
    let (mut loose, mut strangers) = (Vec::new(), Vec::new());
    let mut chosen: Vec<(NamedFile, String, Part)> = Vec::new();
    for file in pictures {
        let at = places.iter().find_map(|(place, part)| {
            Some((file.name.strip_prefix(place.as_str())?.split_once('/'), *part))
        });
        match at {
            Some((Some((class, _)), part)) => {
                let class = class.to_string();
                chosen.push((file, class, part));
            }
            Some((None, _)) => loose.push(file.name),
            None => strangers.push(file.name),
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
            let text = format!("{what} {why} ({})", some_of(&names));
            layout.warnings.push(format!("left out: {text}"));
            layout.skipped.push(text);
        }
    }
    // An empty folder beside classes is one too.
    let folders = found.folders.iter().filter_map(|name| {
        let own = places.iter().find_map(|(place, _)| name.strip_prefix(place.as_str()))?;
        (!own.contains('/')).then_some(own)
    });
    layout.number(chosen, folders.collect())?;
    Ok(layout)
}

/// Whether a file is named like one of numpy or IDX.
fn is_like_array(file: &NamedFile) -> bool {
    let name = file.last().to_lowercase();
    [".npy", ".npz", "idx1", "idx3", "idx4", "ubyte"].iter().any(|word| name.contains(word))
}

impl Layout {
    /// The folders that have the classes in them, each with its part; says which they are.
    ///
    /// # Errors
    /// It is not clear which they are. The error says what would do.
    fn places(&mut self, pictures: &[NamedFile]) -> Result<Vec<(String, Part)>, Reason> {
        let tree = Tree::of(pictures);
        let outer = tree.outer()?;
        if !outer.is_empty() {
            let outer = outer.trim_end_matches('/');
            self.choices.push(format!("all of it is in its folder {outer}"));
        }
        let parts = tree.parts(outer)?;
        let mut places: Vec<(String, Part)> = Vec::new();
        for folder in &parts {
            places.extend(folder.part.map(|part| (folder.inner.to_string(), part)));
        }
        match parts.is_empty() {
            true => {
                self.say_classes_like_parts(&tree.inside(outer));
                places.push((outer.to_string(), Part::Train));
            }
            false => self.say_parts(&parts),
        }
        self.say_subfolders(&tree, &places)?;
        Ok(places)
    }

    /// Says which folders became which parts, unless their names are the usual ones.
    fn say_parts(&mut self, parts: &[Folder]) {
        for part in Part::ALL {
            let is_own = |folder: &&Folder| folder.part == Some(part) && !folder.classes.is_empty();
            let own: Vec<&Folder> = parts.iter().filter(is_own).collect();
            let is_usual = |folder: &Folder| {
                ["train", "test"].contains(&last(folder.path).to_lowercase().as_str())
            };
            match own[..] {
                [] => {}
                [only] if is_usual(only) => {}
                _ => {
                    let are = if own.len() == 1 { "is" } else { "are" };
                    self.choices.push(format!("{} {are} the {} part", in_order(&own), part.name()));
                }
            }
        }
    }

    /// Says which folders became classes although they are named like parts.
    fn say_classes_like_parts(&mut self, classes: &[&str]) {
        for class in classes.iter().map(|class| last(class)) {
            let Name { part, rest } = Name::of(class);
            if part.is_some() && rest.is_empty() {
                self.choices.push(format!("{class}/ is a class: it has no class folders in it"));
            }
        }
    }

    /// Says which folders in folders of classes were merged into their classes, and warns if they look like classes
    /// themselves: those of one class have the names of other classes, or those of all classes have the same names.
    ///
    /// # Errors
    /// Such a folder has the name of the validation or the test part.
    fn say_subfolders(&mut self, tree: &Tree, places: &[(String, Part)]) -> Result<(), Reason> {
        let (mut merged, mut suspects): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for (place, _) in places {
            let classes = tree.inside(place);
            let inside: Vec<Vec<&str>> = classes.iter().map(|class| tree.inside(class)).collect();
            let are_all_alike = classes.len() > 1
                && classes.iter().zip(&inside).all(|(class, own)| {
                    own.len() > 1 && are_same(own, &inside[0]) && !tree.has_pictures(class)
                });
            for (class, own) in classes.into_iter().zip(inside) {
                tree.check_class(class, class)?;
                let is_suspect = |folder: &&str| {
                    let name = last(folder);
                    are_all_alike || name != last(class) && tree.has(&format!("{place}{name}/"))
                };
                suspects.extend(own.iter().copied().filter(is_suspect));
                merged.extend(own);
            }
        }
        let some = |folders: &[&str]| {
            let paths = folders.iter().map(|folder| folder.trim_end_matches('/').to_string());
            some_of(&paths.collect::<Vec<_>>())
        };
        if !merged.is_empty() {
            let what = counted(
                merged.len(),
                "folder in a class is merged into it",
                "folders in classes are merged into them",
            );
            self.choices.push(format!("{what} ({})", some(&merged)));
        }
        if !suspects.is_empty() {
            self.warnings.push(format!(
                "folders in classes look like classes themselves ({}); if they are, name the folders that hold them `train`, \
                 `val` and `test`",
                some(&suspects)
            ));
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
