//! A description, for the user, of where a data set was read from.

use std::path::PathBuf;

use super::{Dataset, Splits, formats};
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
    /// What was skipped, and why.
    pub(super) skipped: Vec<String>,
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
}

impl Splits {
    /// Describes the data set for the user in one line: its name and source, its files, what was skipped, the number of
    /// images in each part, their shape and classes.
    pub fn describe(&self) -> String {
        let Self { train, validation, test, origin } = self;
        let name = formats::cli_name(origin.dataset);
        let from = match &origin.place {
            Place::Drawn => format!("{name}, drawn from a formula"),
            Place::Program => format!("{name}, inside the program"),
            Place::Folder(dir) => format!("{name} from {}", dir.display()),
            Place::Fetched(dir) => format!("{name} from {} (fetched)", dir.display()),
        };
        let [c, h, w] = train.shape;
        let items = match [c, h * w] {
            [_, 1] => "points".to_string(),
            [1, _] => format!("images of {h}×{w}"),
            [3, _] => format!("colour images of {h}×{w}"),
            _ => format!("images of {c}×{h}×{w}"),
        };
        let mut counts = format!("{} training", train.len());
        if !validation.is_empty() {
            counts += &format!(", {} validation", validation.len());
        }
        let tested = match test.len() {
            0 => format!(" {items}, no test images"),
            count => format!(" and {count} test {items}"),
        };
        let mut line = format!("{from}: {counts}{tested}, {}", classes(origin.dataset, train));
        if !origin.files.is_empty() {
            line += &format!("; read {}", origin.files.join(", "));
        }
        if !origin.skipped.is_empty() {
            line += &format!("; skipped {}", origin.skipped.join(", "));
        }
        line
    }
}

/// The number of classes, with their names unless they are the usual names of this data set.
fn classes(dataset: DatasetName, data: &Dataset) -> String {
    let names = &data.class_names;
    let count = match names.len() {
        1 => "1 class".to_string(),
        count => format!("{count} classes"),
    };
    let is_usual = formats::class_names(dataset).is_none_or(|usual| usual.len() == names.len());
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
