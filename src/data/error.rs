//! Why a data set could not be read, each in one line that says what to do.

use std::path::PathBuf;

use crate::picture::PictureError;

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A data set that lives in files was asked for without a folder, and was not fetched before.
    #[error(
        "data set `{dataset}` is read from files: get them with `jempp fetch {dataset}`, or name their \
         folder in data.dir"
    )]
    NoDir {
        /// The data set.
        dataset: String,
    },
    /// A folder was named for a data set that reads none.
    #[error("data set `{dataset}` {reason} and reads no folder of data.dir; {advice}")]
    Unused {
        /// The data set.
        dataset: String,
        /// Why it reads none.
        reason: &'static str,
        /// What would use the folder.
        advice: String,
    },
    /// What was named as a folder is none.
    #[error("cannot read data from {dir}: {reason}")]
    Folder {
        /// What was named.
        dir: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Several folders hold the whole data set.
    #[error(
        "{dir} holds `{dataset}` more than once: {found}. Name one of these folders in data.dir"
    )]
    Several {
        /// The data set.
        dataset: String,
        /// The folder looked in.
        dir: PathBuf,
        /// The folders that hold it.
        found: String,
    },
    /// Folders that hold a part of the data set each: whether they belong together nobody knows.
    #[error(
        "no folder holds all files of `{dataset}`, and files of several folders are never mixed: {found}"
    )]
    Scattered {
        /// The data set.
        dataset: String,
        /// Every folder, with what it lacks.
        found: String,
    },
    /// A folder that bears the name of another data set, whose files are called alike.
    #[error("{dir} is named for data set `{other}`, not `{dataset}`; {advice}")]
    OtherSet {
        /// The folder.
        dir: PathBuf,
        /// The data set that was asked for.
        dataset: String,
        /// The data set of that name.
        other: String,
        /// What to do.
        advice: String,
    },
    /// No image to train on.
    #[error("data set `{dataset}` holds no training images there")]
    Empty {
        /// The data set.
        dataset: String,
    },
    /// Labels of test images that no training image has.
    #[error(
        "{path} holds labels that no training image has ({labels}): training and test part must be of the same classes"
    )]
    UnknownLabels {
        /// The file of the test part.
        path: PathBuf,
        /// The labels.
        labels: String,
    },
    /// More bytes than are read of such a file.
    #[error("{path} is too large: {found}, and at most {most} are read of such a file")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it holds or promises.
        found: String,
        /// The bound.
        most: String,
    },
    /// A folder or a file without an image.
    #[error("there is no image in {path}{found}; pictures are PNG, JPEG, GIF or WebP files")]
    NoImages {
        /// The folder or file.
        path: PathBuf,
        /// What there is instead, in brackets; may be empty.
        found: String,
    },
    /// Images of another size than the model's.
    #[error("{path} holds images of shape {found:?} (C, H, W); the model takes {expected:?}")]
    Size {
        /// The file.
        path: PathBuf,
        /// What is needed.
        expected: [usize; 3],
        /// What there is.
        found: [usize; 3],
    },
    /// A picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// None of the names a file may have exists.
    #[error("missing data file: none of {names} in {dir}{hint}")]
    Missing {
        /// The names looked for.
        names: String,
        /// The folder looked in.
        dir: PathBuf,
        /// What the folder seems to hold instead, and what to do; may be empty.
        hint: String,
    },
    /// The operating system refused the read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not what its name says.
    #[error("{path} is not {expected}: {found}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format looked for.
        expected: &'static str,
        /// What stands there instead.
        found: String,
    },
    /// The file is too short or too long.
    #[error("{path} is truncated or corrupt: expected {expected} bytes, found {found}")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes its header (or its format) promises, after unpacking.
        expected: usize,
        /// Bytes that are there, after unpacking.
        found: String,
    },
    /// A label past the number of classes.
    #[error(
        "{path} is corrupt: label {label} at item {index}, but there are {num_classes} classes"
    )]
    Label {
        /// The file.
        path: PathBuf,
        /// The label found.
        label: u32,
        /// Which item.
        index: usize,
        /// How many classes the data set has.
        num_classes: usize,
    },
    /// Images and labels do not pair up.
    #[error("{images} holds {num_images} images but {labels} holds {num_labels} labels")]
    Count {
        /// The image file.
        images: PathBuf,
        /// Images in it.
        num_images: usize,
        /// The label file.
        labels: PathBuf,
        /// Labels in it.
        num_labels: usize,
    },
    /// Images of two sizes, or of none.
    #[error(
        "the training images have shape {train:?} and the test images {test:?} (C, H, W); they must be \
         equal, and larger than one pixel"
    )]
    Shapes {
        /// Of the training part.
        train: [usize; 3],
        /// Of the test part.
        test: [usize; 3],
    },
    /// Nothing would be left to train on.
    #[error("data.num_validation = {num_validation} leaves nothing of {num_train} training images")]
    TooMuchValidation {
        /// Images to hold out.
        num_validation: usize,
        /// Images there are.
        num_train: usize,
    },
    /// Values, labels and classes of a data set in memory that do not fit each other.
    #[error("a data set cannot be used: {0}")]
    Invalid(String),
    /// Not one whole batch.
    #[error(
        "data.batch_size = {batch_size} is more than the {num_train} training images; set it to {num_train} or less"
    )]
    BatchTooLarge {
        /// Images per step.
        batch_size: usize,
        /// Images there are.
        num_train: usize,
    },
}
