//! The one error of the library's door.

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

/// Why something that the library was asked for could not be done; printed, it is one line that says what would do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such device, or one that cannot be opened.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// No bundled model of that name.
    #[error(transparent)]
    NoSuchModel(#[from] NoSuchModel),
    /// A configuration that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A checkpoint that cannot be read, written or used for what was asked.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint in memory whose parts do not fit each other.
    #[error("this checkpoint cannot be used: {0}")]
    Flaw(#[from] Flaw),
    /// A data set that cannot be read or used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A training run that cannot begin.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// A training step that could not be done.
    #[error(transparent)]
    Step(#[from] StepError),
    /// Training that diverged more often than the configuration allows.
    #[error(
        "training diverged: {divergence}. Gave up after {num_recoveries} recoveries; try a smaller \
         optimizer.learning_rate or a smaller step of the sampler"
    )]
    Diverged {
        /// What happened last.
        divergence: Divergence,
        /// Recoveries before.
        num_recoveries: usize,
    },
    /// Chains that the model cannot run.
    #[error(transparent)]
    Chains(#[from] ChainError),
    /// A device that failed while it computed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A picture that cannot be read or written.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// Something that this model cannot do.
    #[error("{0}")]
    Request(String),
}
