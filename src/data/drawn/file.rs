//! Drawings as a file: a zip archive with the pictures that are made of them, which a training run reads like any
//! other, and with the strokes themselves, so that a person can draw on.

use std::{
    collections::BTreeSet,
    io::{Cursor, Read, Write},
};

use zip::{CompressionMethod, ZipArchive, ZipWriter, result::ZipResult, write::SimpleFileOptions};

use super::{DrawnSet, MAX_CLASSES, MAX_DRAWINGS, MAX_NAME, MAX_POINTS, SEED, class_name};
use crate::data::OwnContent;

/// The file of the strokes in the archive.
const STROKES: &str = "drawings.json";
/// Limit on the bytes of that file. [`MAX_CLASSES`] of [`MAX_DRAWINGS`] with [`MAX_POINTS`] take 2 to 4 MiB.
const MAX_BYTES: u64 = 8 << 20;

/// Why drawings cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum DrawnError {
    /// The file is no zip archive, or a damaged one.
    #[error("it is not a zip archive that can be read: {0}")]
    Archive(#[from] zip::result::ZipError),
    /// The archive has no drawings in it.
    #[error("there is no {STROKES} in it: drawings are opened from a file that was saved here")]
    NoStrokes,
    /// The strokes cannot be read.
    #[error("its {STROKES} cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The strokes are not in the expected form.
    #[error("its {STROKES} holds no drawings: {0}")]
    Form(#[from] serde_json::Error),
    /// The drawings are more than there may be, or not in the square.
    #[error("its drawings cannot be used: {0}")]
    Content(String),
}

impl DrawnSet {
    /// The drawings as a zip archive, with the pictures that are made of them.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn to_zip(&self) -> Result<Vec<u8>, DrawnError> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        // Pictures are packed already.
        let plain = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        let mut put = |name: &str, bytes: &[u8]| -> ZipResult<()> {
            archive.start_file(name, plain)?;
            Ok(archive.write_all(bytes)?)
        };
        put(STROKES, self.to_json().as_bytes())?;
        for file in self.files(SEED) {
            if let OwnContent::Bytes(bytes) = &file.content {
                put(&file.name, bytes)?;
            }
        }
        Ok(archive.finish()?.into_inner())
    }

    /// Reads drawings from a zip archive that [`DrawnSet::to_zip`] wrote.
    ///
    /// # Errors
    /// The bytes are no such archive, or its drawings are more than there may be.
    pub fn from_zip(bytes: &[u8]) -> Result<Self, DrawnError> {
        let mut archive = ZipArchive::new(Cursor::new(bytes))?;
        if archive.index_for_name(STROKES).is_none() {
            return Err(DrawnError::NoStrokes);
        }
        let mut text = String::new();
        archive.by_name(STROKES)?.take(MAX_BYTES).read_to_string(&mut text)?;
        Self::from_json(&text)
    }

    /// The strokes as JSON text.
    pub fn to_json(&self) -> String {
        // Lists of numbers and names always have a text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the strokes from JSON text.
    ///
    /// # Errors
    /// The text has another form, or the drawings are more than there may be.
    pub fn from_json(text: &str) -> Result<Self, DrawnError> {
        let set: Self = serde_json::from_str(text)?;
        match set.flaw() {
            Some(flaw) => Err(DrawnError::Content(flaw)),
            None => Ok(set),
        }
    }

    /// What is wrong with drawings from a file.
    fn flaw(&self) -> Option<String> {
        let most = |what: &str, found: usize, most: usize| {
            (found > most).then(|| format!("there are {found} {what}, and at most {most} are read"))
        };
        let names: BTreeSet<&str> = self.classes.iter().map(|class| class.name.as_str()).collect();
        let of_class = self.classes.iter().find_map(|class| {
            let name = &class.name;
            if name.is_empty() || class_name(name) != *name {
                return Some(format!(
                    "a class cannot be called `{}`; a name has 1 to {MAX_NAME} characters without / \\ :",
                    name.escape_debug()
                ));
            }
            most(&format!("drawings of {name}"), class.drawings.len(), MAX_DRAWINGS).or_else(|| {
                class.drawings.iter().find_map(|drawing| {
                    let num_points = drawing.iter().map(Vec::len).sum();
                    let is_inside = |&value: &f32| (0.0..=1.0).contains(&value);
                    if num_points == 0 {
                        return Some(format!("a drawing of {name} is empty"));
                    }
                    if !drawing.iter().flatten().flatten().all(is_inside) {
                        return Some(format!("a drawing of {name} has a point that is not between 0 and 1"));
                    }
                    most(&format!("points in a drawing of {name}"), num_points, MAX_POINTS)
                })
            })
        });
        most("classes", self.classes.len(), MAX_CLASSES)
            .or_else(|| {
                (names.len() < self.classes.len()).then(|| "two classes have one name".into())
            })
            .or(of_class)
    }
}
