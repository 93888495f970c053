//! Jobs that take time: training runs, and the chains that the viewer shows. They report what happens
//! as events and know nothing of who listens.

#[cfg(all(feature = "gui", target_arch = "wasm32"))]
mod bench;
#[cfg(not(target_arch = "wasm32"))]
mod health;
#[cfg(not(target_arch = "wasm32"))]
mod jobs;
#[cfg(feature = "gui")]
pub mod lab;
#[cfg(feature = "gui")]
mod lane;
#[cfg(feature = "gui")]
mod learning;
#[cfg(feature = "gui")]
mod message;
#[cfg(all(feature = "gui", not(target_arch = "wasm32")))]
mod native;
#[cfg(feature = "gui")]
mod outbox;
#[cfg(feature = "gui")]
mod service;
#[cfg(feature = "gui")]
mod session;
mod training;
#[cfg(all(feature = "gui", target_arch = "wasm32"))]
mod web;

#[cfg(all(feature = "gui", not(target_arch = "wasm32")))]
use native as platform;
#[cfg(all(feature = "gui", target_arch = "wasm32"))]
use web as platform;

use std::path::PathBuf;

use crate::{
    assets::AssetError, checkpoint::CheckpointError, config::ConfigError, data::DataError,
    divergence::Divergence, picture::PictureError, run_folder::RunFolderError,
    trainer::TrainerError,
};

#[cfg(not(target_arch = "wasm32"))]
pub use jobs::{resume, train};
#[cfg(feature = "gui")]
pub use message::*;
#[cfg(all(feature = "gui", not(target_arch = "wasm32")))]
pub use native::{Worker, spawn};
#[cfg(feature = "gui")]
pub use outbox::Batch;
pub use training::{Baseline, Opening, Training, TrainingEvent};
#[cfg(all(feature = "gui", target_arch = "wasm32"))]
pub use {
    bench::bench,
    web::{Port, serve},
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
         state is saved in {checkpoint}. Try a smaller {keys}"
    )]
    Diverged {
        /// What happened last.
        divergence: Divergence,
        /// Recoveries before.
        num_recoveries: usize,
        /// Where the last good state is.
        checkpoint: PathBuf,
        /// The keys that set how far the weights and the chains go in a step.
        keys: String,
    },
    /// The run could not be saved.
    #[error(
        "{error}. The file there is still whole, as of step {step}; what came after is lost. Make room, then \
         go on with --resume {}",
        folder.display()
    )]
    Unsaved {
        /// What went wrong.
        error: Box<CheckpointError>,
        /// Step of the checkpoint in the folder.
        step: u64,
        /// The run's folder.
        folder: PathBuf,
    },
    /// The data that a run was trained on is not where it was.
    #[error(
        "{source}. Its folder, {dir}, comes from the run that goes on: say with --data DIR where the files are now"
    )]
    StoredData {
        /// The folder that the run's configuration names.
        dir: String,
        /// What is wrong with it.
        source: Box<DataError>,
    },
    /// A change of what a run is made of.
    #[error(
        "a resumed run stays what it is, but this asks for {0}. Leave that out, or start a new run with --out DIR; \
         data.dir, sampler.*, objective.*, training.*, divergence.*, eval.* and the optimiser's numbers may change"
    )]
    OtherRun(String),
    /// Fewer epochs than are done.
    #[error(
        "--epochs {epochs} is less than what is done already: the run has trained {done} epochs (step {step}). \
         Nothing was changed; ask for more than {done}, or leave --epochs out"
    )]
    TooFewEpochs {
        /// Epochs asked for.
        epochs: usize,
        /// Whole epochs done.
        done: u64,
        /// Steps done.
        step: u64,
    },
    /// A change of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A request that the model cannot serve.
    #[error("{0}")]
    Request(String),
}
