//! Why a model could not be evaluated.

use std::path::PathBuf;

use crate::{
    checkpoint::CheckpointError, config::ConfigError, data::DataError, device::ReadError,
    picture::PictureError, results_folder::ResultsError,
};

/// Why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The data, or the images to compare it with, cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The checkpoint of the model or of the judge cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The configuration is out of range or contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The device failed.
    #[error(transparent)]
    Device(#[from] ReadError),
    /// A picture of the report.
    /// A picture of the report cannot be drawn.
    #[error("cannot draw a picture: {0}")]
    Picture(#[from] PictureError),
    /// The request cannot be served by this model.
    #[error("{0}")]
    Request(String),
    /// The logits of the model are not finite numbers.
    #[error(
        "the model's logits are not finite for {num_wrong} of {num_images} test images: its training has probably \
         diverged, and nothing can be measured"
    )]
    NotFinite {
        /// Test images with such a logit.
        num_wrong: usize,
        /// Test images.
        num_images: usize,
    },
    /// No classifier that could judge samples.
    #[error(
        "no classifier of {dataset} with this model's inputs and classes travels with the program to judge samples: \
         another one must be trained and named as the judge"
    )]
    NoJudge {
        /// The model's data set.
        dataset: String,
    },
    /// Images to tell the data from that are of no use.
    #[error("{0}")]
    Ood(String),
    /// The file to compare with holds no results.
    #[error("{path} holds no results of `jempp eval` that this version reads: {reason}")]
    OtherResults {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused to read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Results that are of other data than the model.
    #[error(
        "{path} is of a model of {other} with classes {other_classes}; this one is of {own} with classes \
         {own_classes}, so their numbers cannot stand beside each other"
    )]
    OtherData {
        /// The file.
        path: PathBuf,
        /// Its data set.
        other: String,
        /// Its classes.
        other_classes: String,
        /// The data set of this evaluation.
        own: String,
        /// The classes of this evaluation.
        own_classes: String,
    },
    /// The folder of the results.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// Somebody asked to stop before anything was measured.
    #[error("stopped")]
    Stopped,
}
