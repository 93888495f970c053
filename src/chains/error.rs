//! The errors of running chains.

use crate::{
    checkpoint::CheckpointError, config::ConfigError, device::ReadError, shard::Shard,
    starts::StartError,
};

/// The reason why chains could not be run from a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A value of the configuration is out of range or contradicts another one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The checkpoint's network cannot be used, its judge belongs to other data, or the chains need too much memory.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint or its data cannot provide such starts.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Reading from the device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The model does not have this class.
    #[error("class {class}: the model has classes 0 to {}: {}", names.len().saturating_sub(1), names.join(", "))]
    NoSuchClass {
        /// The class that was requested.
        class: u32,
        /// The names of the model's classes.
        names: Vec<String>,
    },
    /// The number of chains per class is not a multiple of the number of chains per start.
    #[error(
        "{per_class} chains of a class cannot be shared out among starts of {chains_per_start} chains each: the first \
         number must be a multiple of the second, and both above 0"
    )]
    UnevenStarts {
        /// The number of chains per class.
        per_class: usize,
        /// The number of chains per start.
        chains_per_start: usize,
    },
    /// A part of the run would have no chain.
    #[error(
        "shard {shard}: there are only {num_chains} chains, so there can be at most {num_chains} parts"
    )]
    TooManyParts {
        /// The part that was requested.
        shard: Shard,
        /// The number of chains of all parts.
        num_chains: usize,
    },
    /// The chains of a batch influence each other.
    #[error(
        "with `model.norm` = \"batch\" all chains of a run influence each other, so they cannot run in parts: set it to \
         \"frozen\", for all parts"
    )]
    CoupledParts,
    /// There are more values than a step has noise for.
    #[error(
        "{num_chains} chains have more values than a step has noise for: take fewer in one run, with other seeds"
    )]
    TooMuchNoise {
        /// The number of chains of all parts.
        num_chains: usize,
    },
}
