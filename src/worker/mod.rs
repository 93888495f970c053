//! The viewer's service: it computes the chains, the training run and the lab that a window or a page shows. It
//! takes commands, reports events, and knows nothing of who listens.

#[cfg(target_arch = "wasm32")]
mod browser_bench;
mod image_lane;
pub mod lab;
mod message;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod open_model;
mod outbox;
mod service;
#[cfg(target_arch = "wasm32")]
mod web;

#[cfg(not(target_arch = "wasm32"))]
use native as platform;
#[cfg(target_arch = "wasm32")]
use web as platform;

use crate::{
    assets::AssetError,
    checkpoint::CheckpointError,
    config::ConfigError,
    data::DataError,
    device::ReadError,
    model::WeightsError,
    picture::PictureError,
    starts::StartError,
    trainer::{StepError, TrainerError},
    training::TrainingError,
};

pub use message::*;
#[cfg(not(target_arch = "wasm32"))]
pub use native::{Worker, spawn};
pub use outbox::Batch;
#[cfg(target_arch = "wasm32")]
pub use {
    browser_bench::bench,
    web::{Port, serve},
};

/// Why a job ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A trainer that cannot be set up or saved.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// A training run.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// A file that travels with the program.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Starts that the model or its data cannot give.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Weights that do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A training step could not be made.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A change of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A request that the model cannot serve.
    #[error("{0}")]
    Request(String),
}

impl JobError {
    /// Whether the device failed, so that nothing works until it is opened anew.
    fn is_of_device(&self) -> bool {
        matches!(
            self,
            Self::Read(_)
                | Self::Step(StepError::Read(_))
                | Self::Trainer(TrainerError::Read(_))
                | Self::Training(
                    TrainingError::Read(_)
                        | TrainingError::Step(StepError::Read(_))
                        | TrainingError::Trainer(TrainerError::Read(_))
                )
        )
    }
}
