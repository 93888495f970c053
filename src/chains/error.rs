//! Why chains could not be run.

use crate::{
    checkpoint::CheckpointError, config::ConfigError, device::ReadError, starts::StartError,
};

/// Why chains could not be run from a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The configuration is out of range or contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The checkpoint gives no network, its judge is of other data, or the chains need too much memory.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint or its data has no such starts.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A class that the model does not have.
    #[error("class {class}: the model has classes 0 to {}: {}", names.len().saturating_sub(1), names.join(", "))]
    NoSuchClass {
        /// The class asked for.
        class: u32,
        /// Names of the model's classes.
        names: Vec<String>,
    },
    /// Chains of a class that cannot be shared out among starts.
    #[error(
        "{per_class} chains of a class cannot be shared out among starts of {chains_per_start} chains each: the first \
         number must be a multiple of the second, and both above 0"
    )]
    UnevenStarts {
        /// Chains per class.
        per_class: usize,
        /// Chains per start.
        chains_per_start: usize,
    },
}
