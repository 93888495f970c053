//! Errors of a training run.

use std::path::PathBuf;

use crate::{
    assets::AssetError,
    checkpoint::CheckpointError,
    config::ConfigError,
    data::DataError,
    device::ReadError,
    picture::PictureError,
    ranks::RankError,
    run_folder::RunFolderError,
    trainer::{Divergence, StepError, TrainerError},
};

/// Why a training run could not start, continue or be saved.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// A run may end early, but there is nothing to see by when.
    #[error(
        "training.early_stop_epochs needs images that are held out: set data.num_validation, for example to a tenth of the \
         training images"
    )]
    NoValidation,
    /// The data set cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The embedded images cannot be loaded.
    #[error(transparent)]
    Asset(#[from] AssetError),
    /// The network, its memory or its optimiser cannot be set up.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// The run's folder cannot be used.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// The data of a resumed run has become smaller than its batch.
    #[error(
        "there are only {num_train} training images, but the run has data.batch_size = {batch_size}, which stays as it is: \
         give it more images, or start a new run on these"
    )]
    TooLittleData {
        /// The number of images per step.
        batch_size: usize,
        /// The number of training images.
        num_train: usize,
    },
    /// The run's checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A grid of samples cannot be written.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The configuration is out of range or contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A training step failed.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ranks of the run cannot continue together.
    #[error(transparent)]
    Ranks(#[from] RankError),
    /// Training diverged more often than is allowed.
    #[error(
        "training diverged: {divergence}. Gave up after {num_recoveries} recoveries; the last good \
         state is saved in {checkpoint}. Try a smaller {keys}"
    )]
    Diverged {
        /// The last divergence.
        divergence: Divergence,
        /// The number of earlier returns to a good state.
        num_recoveries: usize,
        /// The checkpoint with the last good state.
        checkpoint: PathBuf,
        /// The keys that set the step sizes of the weights and the chains.
        keys: String,
    },
    /// The run could not be saved.
    #[error(
        "{error}. The file there is still whole, as of step {step}; what came after is lost. Make room, then \
         resume the run in {}",
        folder.display()
    )]
    Unsaved {
        /// Why the checkpoint could not be written.
        error: Box<CheckpointError>,
        /// The training step of the checkpoint in the folder.
        step: u64,
        /// The path of the run's folder.
        folder: PathBuf,
    },
    /// The ranks of the run parted, and what rank 0 has since then was not compared with the others.
    #[error(
        "what came after step {saved} is not saved: the ranks parted before their weights were compared at step {step}, so \
         nobody knows whether these are right"
    )]
    Uncompared {
        /// The step of the weights.
        step: u64,
        /// The training step of the checkpoint in the folder.
        saved: u64,
    },
    /// The data of the run is no longer in its folder.
    #[error(
        "{source}. Its folder, {dir}, comes from the run that is being continued: set data.dir to where the files are now"
    )]
    StoredData {
        /// The folder that the run's configuration names.
        dir: String,
        /// Why the data there cannot be read.
        source: Box<DataError>,
    },
    /// A resumed run was asked to change a fixed setting, for example its network.
    #[error(
        "a resumed run cannot change {0}. Leave that out, or start a new run in another folder; \
         data.dir, sampler.*, objective.*, training.*, divergence.*, eval.* and the optimiser's numbers may change"
    )]
    OtherRun(String),
    /// The requested length of the run is less than what is already done.
    #[error(
        "training.epochs = {epochs} is less than what is done already: the run has trained {done} epochs (step \
         {step}). Nothing was changed; ask for more than {done}, or leave the key as it is"
    )]
    TooFewEpochs {
        /// The requested number of epochs.
        epochs: usize,
        /// The number of whole epochs trained so far.
        done: u64,
        /// The number of training steps done so far.
        step: u64,
    },
}

impl TrainingError {
    /// Whether only something beside the run failed: its metrics could not be written, or another rank failed. The run
    /// itself is whole then, and is saved if its weights are known to be those of all ranks. Not so if these differ.
    pub(crate) fn leaves_run_whole(&self) -> bool {
        match self {
            Self::RunFolder(_) => true,
            Self::Step(StepError::Ranks(error)) => !matches!(error, RankError::Differ { .. }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_whole_after_the_failure_of_a_rank_but_not_if_weights_differ() {
        let leaves = |error| TrainingError::from(StepError::Ranks(error)).leaves_run_whole();
        let (place, message) = ("rank 1".to_string(), "no memory".to_string());
        assert!(leaves(RankError::Gone));
        assert!(leaves(RankError::Failed { place: place.clone(), message: message.clone() }));
        assert!(!leaves(RankError::Differ { place, message }));
    }
}
