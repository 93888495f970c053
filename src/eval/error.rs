//! The errors of an evaluation.

use std::path::PathBuf;

use crate::{
    checkpoint::CheckpointError,
    config::ConfigError,
    data::DataError,
    device::ReadError,
    picture::PictureError,
    results_folder::{PartsError, ResultsError},
};

/// The reason why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The data set, or the images to compare it with, cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The checkpoint of the model or of the judge cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A value of the configuration is out of range or contradicts another one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Reading results back from the device failed.
    #[error(transparent)]
    Device(#[from] ReadError),
    /// A picture of the report cannot be drawn.
    #[error("cannot draw a picture: {0}")]
    Picture(#[from] PictureError),
    /// The request does not fit this model.
    #[error("{0}")]
    Request(String),
    /// The model's logits contain NaN or infinity.
    #[error(
        "the model's logits are not finite for {num_wrong} of {num_images} test images: its training has probably \
         diverged, and nothing can be measured"
    )]
    NotFinite {
        /// The number of test images with such a logit.
        num_wrong: usize,
        /// The number of all test images.
        num_images: usize,
    },
    /// No bundled classifier can judge the samples of this model.
    #[error(
        "the program has no classifier of {dataset} with this model's inputs and classes to judge samples: train one \
         and name it as the judge"
    )]
    NoJudge {
        /// The name of the model's data set.
        dataset: String,
    },
    /// The file does not hold the weights of FID's network.
    #[error(
        "{path} does not hold the Inception network of FID: {reason}; make the file with tools/convert_inception.py"
    )]
    FidWeights {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with its content.
        reason: String,
    },
    /// The out-of-distribution images cannot be used.
    #[error("{0}")]
    Ood(String),
    /// The file to compare with is not a results file of this version.
    #[error("{path} holds no results of `jempp eval` that this version reads: {reason}")]
    OtherResults {
        /// The path of that file.
        path: PathBuf,
        /// What is wrong with its content.
        reason: String,
    },
    /// The operating system could not read the file.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The path of the file that could not be read.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The results to compare with belong to another data set than the model.
    #[error(
        "{path} is of a model of {other} with classes {other_classes}; this one is of {own} with classes \
         {own_classes}, so their numbers cannot be compared"
    )]
    OtherData {
        /// The path of those results.
        path: PathBuf,
        /// The name of the data set in that file.
        other: String,
        /// The class names in that file, separated by commas.
        other_classes: String,
        /// The name of the data set of this evaluation.
        own: String,
        /// The class names of this evaluation, separated by commas.
        own_classes: String,
    },
    /// The results folder cannot be used or written.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The parts of an evaluation make no whole.
    #[error(transparent)]
    Parts(#[from] PartsError),
    /// The evaluation was stopped before any part was done.
    #[error("stopped")]
    Stopped,
}
