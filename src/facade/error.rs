//! The error type of the library's main functions.

use crate::{
    bundled::NoSuchModel,
    chains::ChainError,
    checkpoint::{CheckpointError, Flaw},
    config::ConfigError,
    data::DataError,
    device::{DeviceError, ReadError},
    picture::PictureError,
    trainer::{Divergence, StepError, TrainerError},
};

/// The error of [`Model`](crate::Model) and [`Trainer`](crate::Trainer). Its text is one line that also says what to
/// do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device does not exist or cannot be opened.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// There is no bundled model of this name.
    #[error(transparent)]
    NoSuchModel(#[from] NoSuchModel),
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The checkpoint cannot be read, written, or used for this purpose.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The parts of a checkpoint in memory do not fit each other.
    #[error("this checkpoint cannot be used: {0}")]
    Flaw(#[from] Flaw),
    /// The data set cannot be read or used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The training run cannot start.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// A training step failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Training diverged more often than the configuration allows.
    #[error(
        "training diverged: {divergence}. Gave up after {num_recoveries} recoveries; try a smaller \
         optimizer.learning_rate or a smaller step of the sampler"
    )]
    Diverged {
        /// The divergence that ended training.
        divergence: Divergence,
        /// The number of recoveries before it.
        num_recoveries: usize,
    },
    /// The model cannot run these chains.
    #[error(transparent)]
    Chains(#[from] ChainError),
    /// The device failed during a computation.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The picture cannot be read or written.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The model cannot do what was requested.
    #[error("{0}")]
    Request(String),
}
