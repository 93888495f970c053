//! The folders of pictures, and which of them are parts: told by their names and by the folders in them.

use super::{
    Reason,
    items::some_of,
    named::NamedFile,
    parts::{Name, Part},
};

/// The folders that pictures lie in, by their paths with a `/` at the end, sorted.
pub(super) struct Tree<'a>(Vec<&'a str>);

/// A folder beside others.
pub(super) struct Folder<'a> {
    /// The path, with a `/` at the end.
    pub(super) path: &'a str,
    /// The part that the folder is; none for a class.
    pub(super) part: Option<Part>,
    /// What the name says beside the part.
    rest: String,
    /// The folder that has the classes of a part: this one, or one that stands alone in it, as in `seg_train/seg_train` and
    /// `train/images`.
    pub(super) inner: &'a str,
    /// The folders in `inner`: the classes of a part.
    pub(super) classes: Vec<&'a str>,
    /// Whether a picture lies in `inner` itself.
    has_pictures: bool,
}

/// The name of the folder at a path.
pub(super) fn last(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether folders have the same names.
pub(super) fn are_same(some: &[&str], others: &[&str]) -> bool {
    some.iter().map(|path| last(path)).eq(others.iter().map(|path| last(path)))
}

/// The folders in words, the training part first.
pub(super) fn in_order(folders: &[&Folder]) -> String {
    let mut all: Vec<(Option<Part>, &str)> =
        folders.iter().map(|folder| (folder.part, folder.path)).collect();
    all.sort_unstable();
    let mut paths: Vec<&str> = all.into_iter().map(|(_, path)| path).collect();
    match paths.pop() {
        Some(last) if !paths.is_empty() => format!("{} and {last}", paths.join(", ")),
        last => last.unwrap_or_default().to_string(),
    }
}

impl<'a> Tree<'a> {
    pub(super) fn of(pictures: &'a [NamedFile]) -> Self {
        let mut folders: Vec<&str> = pictures.iter().map(NamedFile::folder).collect();
        folders.sort_unstable();
        folders.dedup();
        Self(folders)
    }

    /// The folder at a path and those below it.
    fn below(&self, path: &str) -> &[&'a str] {
        let from = &self.0[self.0.partition_point(|folder| *folder < path)..];
        &from[..from.partition_point(|folder| folder.starts_with(path))]
    }

    /// Whether there is a folder at a path.
    pub(super) fn has(&self, path: &str) -> bool {
        !self.below(path).is_empty()
    }

    /// Whether a picture lies in the folder at a path itself.
    pub(super) fn has_pictures(&self, path: &str) -> bool {
        self.below(path).first().is_some_and(|first| *first == path)
    }

    /// The folders in the folder at a path.
    pub(super) fn inside(&self, path: &str) -> Vec<&'a str> {
        let mut found: Vec<&'a str> = Vec::new();
        for &folder in self.below(path) {
            if let Some(end) = folder[path.len()..].find('/') {
                let own = &folder[..=path.len() + end];
                if found.last() != Some(&own) {
                    found.push(own);
                }
            }
        }
        found
    }

    /// The folder in which everything is: an archive is often unpacked to a folder in a folder. A part is not passed, unless
    /// there are parts in it.
    ///
    /// # Errors
    /// As [`Self::parts`].
    pub(super) fn outer(&self) -> Result<&'a str, Reason> {
        let mut outer: &'a str = "";
        loop {
            let inside = self.inside(outer);
            let only = match inside[..] {
                [only] if !self.has_pictures(outer) && !self.has_pictures(only) => only,
                _ => return Ok(outer),
            };
            if Name::of(last(only)).part.is_some() && self.parts(only)?.is_empty() {
                return Ok(outer);
            }
            outer = only;
        }
    }

    /// The parts among the folders in the folder at a path, perhaps without classes in some of them. None, if the folders are
    /// classes: {train, car, plane} are, if pictures lie in each.
    ///
    /// # Errors
    /// It is not clear which of them are parts, or they have no classes in them. The error says what would do.
    pub(super) fn parts(&self, path: &str) -> Result<Vec<Folder<'a>>, Reason> {
        let (parts, others): (Vec<Folder>, Vec<Folder>) =
            self.folders(path).into_iter().partition(|folder| folder.part.is_some());
        let (full, flat): (Vec<&Folder>, Vec<&Folder>) =
            parts.iter().partition(|folder| !folder.classes.is_empty());
        let is_of_one_part =
            |folders: &[&Folder]| folders.iter().all(|folder| folder.part == folders[0].part);
        let has_training = full.iter().any(|folder| folder.part == Some(Part::Train));
        if full.is_empty() && (flat.is_empty() || !others.is_empty() && is_of_one_part(&flat)) {
            return Ok(Vec::new());
        }
        if !has_training && !flat.is_empty() && (full.is_empty() || others.is_empty()) {
            let (has, each) = match flat.len() {
                1 => ("has no class folders in it", "it"),
                _ => ("have no class folders in them", "each"),
            };
            let instead = match others.is_empty() {
                true => "",
                false => ", or, if these are classes, give them other names",
            };
            return Err(format!(
                "{} {has}: put one folder per class into {each}{instead}",
                in_order(&flat)
            ));
        }
        if !others.is_empty() && (!has_training || is_of_one_part(&full)) {
            let (all, has) = (in_order(&full), if full.len() == 1 { "has" } else { "have" });
            if !has_training {
                return Err(format!(
                    "{all} {has} folders in it like a part, but beside it is no train/ with folders of classes; put the \
                     training classes into train/, or give {all} another name"
                ));
            }
            let beside: Vec<String> = others.iter().map(|folder| folder.path.to_string()).collect();
            return Err(format!(
                "{all} {has} folders in it like a training part, but what is beside it is no part ({}); name a held-out part \
                 `test` and move other pictures away or, if {all} is a class, give it another name",
                some_of(&beside)
            ));
        }
        for (at, folder) in full.iter().enumerate() {
            let is_rival =
                |other: &&&Folder| other.part == folder.part && other.rest != folder.rest;
            if let (Some(part), Some(rival)) = (folder.part, full[..at].iter().find(is_rival)) {
                return Err(format!(
                    "{} and {} may both be the {} part; keep one there, or put the pictures of both into one",
                    rival.path,
                    folder.path,
                    part.name()
                ));
            }
            let nested = self.parts(folder.inner)?;
            if !nested.is_empty() {
                let nested: Vec<&Folder> = nested.iter().collect();
                return Err(format!(
                    "{} in {} look like parts in a part; put all parts beside each other",
                    in_order(&nested),
                    folder.path
                ));
            }
        }
        Ok(parts)
    }

    /// Checks that the folders in a class, and those below them, are no parts.
    ///
    /// # Errors
    /// One is a validation or a test part.
    pub(super) fn check_class(&self, class: &str, path: &str) -> Result<(), Reason> {
        let folders = self.folders(path);
        let has_training = folders.iter().any(|folder| folder.part == Some(Part::Train));
        for folder in &folders {
            let is_held_out = folder.part.is_some_and(|part| part != Part::Train);
            if is_held_out && (has_training || folder.rest.is_empty()) {
                let (class, own) = (last(class), last(folder.path));
                return Err(format!(
                    "{} is a part inside a class; put the parts outside, as in train/{class}/ and {own}/{class}/, or give \
                     that folder another name",
                    folder.path
                ));
            }
            self.check_class(class, folder.path)?;
        }
        Ok(())
    }

    /// The folders in the folder at a path.
    fn folders(&self, path: &str) -> Vec<Folder<'a>> {
        let mut all: Vec<Folder> =
            self.inside(path).into_iter().map(|path| self.folder(path)).collect();
        let are_parts: Vec<bool> = all.iter().map(|folder| folder.is_part(&all)).collect();
        for (folder, is_part) in all.iter_mut().zip(are_parts) {
            folder.part = folder.part.filter(|_| is_part);
        }
        all
    }

    /// The folder at a path, with the part that its name says.
    fn folder(&self, path: &'a str) -> Folder<'a> {
        let Name { part, rest } = Name::of(last(path));
        let mut inner = path;
        let classes = loop {
            let inside = self.inside(inner);
            let is_wrapper =
                |only: &&str| inside.len() == 1 && self.is_wrapper(inner, only, path, part);
            match inside.first().copied().filter(is_wrapper) {
                Some(only) => inner = only,
                None => break inside,
            }
        };
        Folder { path, part, rest, inner, classes, has_pictures: self.has_pictures(inner) }
    }

    /// Whether the `only` folder in another wraps the classes of the folder at `path`, whose name says `part`.
    fn is_wrapper(&self, inner: &str, only: &str, path: &str, part: Option<Part>) -> bool {
        let says = Name::of(last(only));
        let is_like = match says.part {
            None => says.rest.is_empty(),
            found => found == part && (says.rest.is_empty() || !self.inside(only).is_empty()),
        };
        !self.has_pictures(inner) && (is_like || last(only) == last(path))
    }
}

impl Folder<'_> {
    /// Whether a folder whose name says a part is one among `all` beside it, and not a class. If its name says more, as
    /// `my_train` does, it is a part if another folder is named in the same way (`my_test`), or if it has folders in it
    /// where classes have none, or the same folders as another.
    fn is_part(&self, all: &[Self]) -> bool {
        let others = || all.iter().filter(|other| other.path != self.path);
        let is_other = |other: &Self| other.part.is_some() && other.part != self.part;
        let may_be_class = self.classes.is_empty() || self.has_pictures;
        self.part.is_some()
            && (self.rest.is_empty()
                || others().any(|other| is_other(other) && other.rest == self.rest)
                || match may_be_class {
                    true => others().all(|other| other.part.is_some()) && others().any(is_other),
                    false => {
                        others().all(|other| other.part.is_some() || other.classes.is_empty())
                            || others().any(|other| are_same(&other.classes, &self.classes))
                    }
                })
    }
}
