//! Errors of reading a data set. Each message is one line that says what to do.

use std::path::PathBuf;

use crate::picture::PictureError;

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A data set that is stored in files was requested without a folder, and it has not been fetched.
    #[error(
        "data set `{dataset}` is read from files: get them with `jempp fetch {dataset}`, or name their \
         folder in data.dir"
    )]
    NoDir {
        /// The name of the data set.
        dataset: String,
    },
    /// The user's own data was requested without a path.
    #[error(
        "data set `custom` is your own images or points: name their folder or file in data.dir"
    )]
    NoPath,
    /// The user's own folder or file cannot be trained on, or cannot be measured on.
    #[error("cannot use {path}: {reason}")]
    Own {
        /// The path of the folder or file.
        path: PathBuf,
        /// What is wrong, and what would do.
        reason: String,
    },
    /// The validation part is both in the files and to be held out.
    #[error(
        "data.num_validation = {num_validation} would hold out training images, but the data has a validation part of \
         its own; set data.num_validation = 0"
    )]
    TwoValidations {
        /// The number of images to hold out for validation.
        num_validation: usize,
    },
    /// A folder was given for a data set that reads no files.
    #[error("data set `{dataset}` {reason} and reads no folder of data.dir; {advice}")]
    Unused {
        /// The name of the data set.
        dataset: String,
        /// Why the data set reads no files.
        reason: &'static str,
        /// The setting that would use the folder.
        advice: String,
    },
    /// A setting of the user's own data was given for another data set.
    #[error(
        "`data.{key}` is not used: it is for your own data, data.dataset = custom, and data set `{dataset}` is read as it is"
    )]
    UnusedSetting {
        /// The name of the data set.
        dataset: String,
        /// The name of the key in the section `data`.
        key: &'static str,
    },
    /// The path given as a folder is not a folder.
    #[error("cannot read data from {dir}: {reason}")]
    Folder {
        /// The path that was given.
        dir: PathBuf,
        /// What is wrong with the path.
        reason: &'static str,
    },
    /// Several folders hold the whole data set.
    #[error(
        "{dir} holds `{dataset}` more than once: {found}. Name one of these folders in data.dir"
    )]
    Several {
        /// The name of the data set.
        dataset: String,
        /// The folder that was searched.
        dir: PathBuf,
        /// The folders that hold the data set.
        found: String,
    },
    /// Several folders each hold a part of the data set; whether the parts belong together is unknown.
    #[error(
        "no folder holds all files of `{dataset}`, and files of several folders are never mixed: {found}"
    )]
    Scattered {
        /// The name of the data set.
        dataset: String,
        /// Every folder, with the files it lacks.
        found: String,
    },
    /// The folder has the name of another data set with the same file names.
    #[error("{dir} is named for data set `{other}`, not `{dataset}`; {advice}")]
    OtherSet {
        /// The path of the folder.
        dir: PathBuf,
        /// The data set that was requested.
        dataset: String,
        /// The data set that the folder is named after.
        other: String,
        /// What the user can do.
        advice: String,
    },
    /// The data set holds no training images.
    #[error("data set `{dataset}` holds no training images there")]
    Empty {
        /// The name of the data set.
        dataset: String,
    },
    /// Some test images have labels that no training image has.
    #[error(
        "{path} holds labels that no training image has ({labels}): training and test part must be of the same classes"
    )]
    UnknownLabels {
        /// The label file of the test part.
        path: PathBuf,
        /// The labels without a training image.
        labels: String,
    },
    /// The file is larger than the limit for files of its kind.
    #[error("{path} is too large: {found}, and at most {most} are read of such a file")]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
        /// The size that the file has or states.
        found: String,
        /// The size limit.
        most: String,
    },
    /// The folder or file holds no image.
    #[error("there is no image in {path}{found}; pictures are PNG, JPEG, GIF, WebP or BMP files")]
    NoImages {
        /// The path of the folder or file.
        path: PathBuf,
        /// What the path holds instead, in brackets; may be empty.
        found: String,
    },
    /// The images do not have the size that the model takes.
    #[error("{path} holds images of shape {found:?} (C, H, W); the model takes {expected:?}")]
    Size {
        /// The path of the file.
        path: PathBuf,
        /// The image shape of the model.
        expected: [usize; 3],
        /// The image shape in the file.
        found: [usize; 3],
    },
    /// A picture cannot be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// None of the possible file names exists in the folder.
    #[error("missing data file: none of {names} in {dir}{hint}")]
    Missing {
        /// The possible file names.
        names: String,
        /// The folder that was searched.
        dir: PathBuf,
        /// What the folder seems to hold instead, and what to do; may be empty.
        hint: String,
    },
    /// The operating system could not read the file.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file does not have the format that its name indicates.
    #[error("{path} is not {expected}: {found}")]
    Format {
        /// The path of the file.
        path: PathBuf,
        /// The expected format.
        expected: &'static str,
        /// What the file holds instead.
        found: String,
    },
    /// The file is too short or too long.
    #[error("{path} is truncated or corrupt: expected {expected} bytes, found {found}")]
    Length {
        /// The path of the file.
        path: PathBuf,
        /// The number of bytes that its header or its format states, after decompression.
        expected: usize,
        /// The number of bytes in the file, after decompression.
        found: String,
    },
    /// A label is not below the number of classes.
    #[error(
        "{path} is corrupt: label {label} at item {index}, but there are {num_classes} classes"
    )]
    Label {
        /// The path of the file.
        path: PathBuf,
        /// The label that was found.
        label: u32,
        /// The index of the item with this label.
        index: usize,
        /// The number of classes of the data set.
        num_classes: usize,
    },
    /// The number of images differs from the number of labels.
    #[error("{images} holds {num_images} images but {labels} holds {num_labels} labels")]
    Count {
        /// The path of the image file.
        images: PathBuf,
        /// The number of images.
        num_images: usize,
        /// The path of the label file.
        labels: PathBuf,
        /// The number of labels.
        num_labels: usize,
    },
    /// Training and test images differ in size, or have no size.
    #[error(
        "the training images have shape {train:?} and the test images {test:?} (C, H, W); they must be \
         equal, and larger than one pixel"
    )]
    Shapes {
        /// The shape of the training images.
        train: [usize; 3],
        /// The shape of the test images.
        test: [usize; 3],
    },
    /// The validation part would take all training images.
    #[error("data.num_validation = {num_validation} leaves nothing of {num_train} training images")]
    TooMuchValidation {
        /// The number of images to hold out for validation.
        num_validation: usize,
        /// The number of training images before the split.
        num_train: usize,
    },
    /// More training images are wanted than there are.
    #[error(
        "data.num_train = {num_train} is more than the {available} training images; set it to {available} or less, or to \
         0 for all"
    )]
    TooFewTraining {
        /// The number of images to use.
        num_train: usize,
        /// The number of training images, without those held out.
        available: usize,
    },
    /// Values, labels and classes of a data set in memory do not fit together.
    #[error("a data set cannot be used: {0}")]
    Invalid(String),
    /// There are fewer training images than one batch needs.
    #[error(
        "data.batch_size = {batch_size} is more than the {num_train} training images; set it to {num_train} or less"
    )]
    BatchTooLarge {
        /// The number of images per step.
        batch_size: usize,
        /// The number of training images.
        num_train: usize,
    },
}
