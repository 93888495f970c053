//! A description, for the user, of where a data set was read from.

use std::path::PathBuf;

use super::{
    Dataset, Splits,
    sets::{class_names, name},
};
use crate::config::DatasetName;

/// Limit on the number of class names in a description.
const NAMES_SHOWN: usize = 12;

/// The origin of the images of a data set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Origin {
    pub(super) dataset: DatasetName,
    pub(super) place: Place,
    /// The names of the files that were read.
    pub(super) files: Vec<String>,
    /// What the reader chose or changed.
    pub(super) choices: Vec<String>,
    /// What was skipped, and why.
    pub(super) skipped: Vec<String>,
    /// What may make training worse than it could be.
    pub(super) warnings: Vec<String>,
    /// The sizes (height, width) of the images in the files, with the number of images of each.
    pub(super) sizes: Vec<([usize; 2], usize)>,
}

impl Origin {
    /// The origin of a data set about which there is nothing else to say.
    pub(super) fn new(dataset: DatasetName, place: Place) -> Self {
        let [files, choices, skipped, warnings] = [const { Vec::new() }; 4];
        Self { dataset, place, files, choices, skipped, warnings, sizes: Vec::new() }
    }

    /// The name of the data set and its source, in words.
    pub(super) fn source(&self) -> String {
        let name = name(self.dataset);
        match &self.place {
            Place::Drawn => format!("{name}, drawn from a formula"),
            Place::Program => format!("{name}, inside the program"),
            Place::Folder(dir) => format!("{name} from {}", dir.display()),
            Place::Fetched(dir) => format!("{name} from {} (fetched)", dir.display()),
            Place::Own(path, kind) => format!("{name} from {} ({kind})", path.display()),
        }
    }
}

/// A source of data sets.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// The data is drawn from a formula.
    Drawn,
    /// The data is embedded in the program.
    Program,
    /// A folder that the user named.
    Folder(PathBuf),
    /// The folder that `jempp fetch` writes to.
    Fetched(PathBuf),
    /// The user's own folder, file or list of files, and what kind of data set it is.
    Own(PathBuf, String),
}

impl Splits {
    /// Describes the data set for the user in one line: its name and source, the number of images in each part, their
    /// shape and classes, its files, and what was chosen and skipped.
    pub fn describe(&self) -> String {
        let Self { train, validation, test, origin, .. } = self;
        let items = items_of(train.shape);
        let [_, noun] = item_words(train.shape);
        let mut counts = format!("{} training", train.len());
        if !validation.is_empty() {
            counts += &format!(", {} validation", validation.len());
        }
        let tested = match test.len() {
            0 => format!(" {items}, no test {noun}"),
            count => format!(" and {count} test {items}"),
        };
        let from = origin.source();
        let mut line = format!("{from}: {counts}{tested}, {}", classes(origin.dataset, train));
        for choice in &origin.choices {
            line += &format!("; {choice}");
        }
        if !origin.files.is_empty() {
            line += &format!("; read {}", origin.files.join(", "));
        }
        if !origin.skipped.is_empty() {
            line += &format!("; skipped {}", origin.skipped.join(", "));
        }
        line
    }

    /// What may make training worse than it could be, each in one sentence.
    pub fn warnings(&self) -> &[String] {
        &self.origin.warnings
    }
}

/// What an item of the shape (C, H, W) is called, one and several: a point of the plane is no image.
pub(crate) fn item_words([_, h, w]: [usize; 3]) -> [&'static str; 2] {
    if h * w == 1 { ["point", "points"] } else { ["image", "images"] }
}

/// The items of a data set in words, as in `images of 28×28`.
pub(super) fn items_of([c, h, w]: [usize; 3]) -> String {
    match [c, h * w] {
        [_, 1] => "points".to_string(),
        [1, _] => format!("images of {h}×{w}"),
        [3, _] => format!("colour images of {h}×{w}"),
        _ => format!("images of {c}×{h}×{w}"),
    }
}

/// The number of classes, with their names unless they are the usual names of this data set.
fn classes(dataset: DatasetName, data: &Dataset) -> String {
    let names = &data.class_names;
    let count = match names.len() {
        1 => "1 class".to_string(),
        count => format!("{count} classes"),
    };
    let is_usual = match class_names(dataset) {
        Some(usual) => usual.len() == names.len(),
        None => dataset != DatasetName::Custom,
    };
    if is_usual {
        return count;
    }
    let mut shown = names[..names.len().min(NAMES_SHOWN)].join(", ");
    if names.len() > NAMES_SHOWN {
        shown += ", …";
    }
    let alone =
        if names.len() == 1 { "; any answer is right, so accuracy means nothing" } else { "" };
    format!("{count} ({shown}{alone})")
}
