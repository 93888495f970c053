//! The worker of the viewer: it computes the chains, the training run and the lab that a window or a page shows. It
//! takes commands and sends events, and does not depend on the user interface.

#[cfg(target_arch = "wasm32")]
mod browser_bench;
#[cfg(target_arch = "wasm32")]
mod browser_check;
mod help;
#[cfg(any(target_arch = "wasm32", test))]
#[cfg_attr(not(target_arch = "wasm32"), allow(unreachable_pub))]
mod helper;
mod image_lane;
pub mod lab;
mod message;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod open_model;
mod outbox;
mod own_data;
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

pub use message::{
    data::{DataReport, Inspected, Recipe},
    *,
};
#[cfg(not(target_arch = "wasm32"))]
pub use native::{Worker, spawn};
pub use outbox::Batch;
#[cfg(target_arch = "wasm32")]
pub use {
    browser_bench::bench,
    browser_check::check,
    helper::Helper,
    web::{Port, serve},
};

/// Why a job of the worker failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The data set could not be loaded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The trainer could not be created or saved.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// The training run failed.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// A file of the program could not be loaded.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model or its data does not allow the requested starts.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A picture could not be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A training step failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The device failed during a readback.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The model cannot carry out a request.
    #[error("{0}")]
    Request(String),
}

impl JobError {
    /// Whether the device failed, so that it must be opened again.
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
