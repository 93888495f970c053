//! Jobs that take time: training runs, and the chains that the viewer shows. They report what happens
//! as events and know nothing of who listens.

#[cfg(target_arch = "wasm32")]
mod bench;
#[cfg(not(target_arch = "wasm32"))]
mod jobs;
pub mod lab;
mod lane;
mod learning;
mod message;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod outbox;
mod service;
mod session;
mod training;
#[cfg(target_arch = "wasm32")]
mod web;

#[cfg(not(target_arch = "wasm32"))]
use native as platform;
#[cfg(target_arch = "wasm32")]
use web as platform;

use std::path::PathBuf;

use crate::{
    assets::AssetError, checkpoint::CheckpointError, config::ConfigError, data::DataError,
    divergence::Divergence, picture::PictureError, run_folder::RunFolderError,
    trainer::TrainerError,
};

pub use message::*;
pub use outbox::Batch;
pub use training::{Training, TrainingEvent};
#[cfg(target_arch = "wasm32")]
pub use {
    bench::bench,
    web::{Port, serve},
};
#[cfg(not(target_arch = "wasm32"))]
pub use {
    jobs::{resume, train},
    native::{Worker, spawn},
};

/// Why a job ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run's parts.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// The run folder.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// A folder of results.
    #[cfg(not(target_arch = "wasm32"))]
    #[error(transparent)]
    Results(#[from] crate::results_folder::ResultsError),
    /// A file that travels with the program.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Weights that do not fit the network.
    #[error(transparent)]
    Weights(#[from] crate::model::WeightsError),
    /// A picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// Training diverged more often than it may.
    #[error(
        "training diverged: {divergence}. Gave up after {num_recoveries} recoveries; the last good \
         state is saved in {checkpoint}. Try a smaller optimizer.learning_rate or sampler.step_size"
    )]
    Diverged {
        /// What happened last.
        divergence: Divergence,
        /// Recoveries before.
        num_recoveries: usize,
        /// Where the last good state is.
        checkpoint: PathBuf,
    },
    /// A change of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A request that the model cannot serve.
    #[error("{0}")]
    Request(String),
}
