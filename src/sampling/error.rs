//! Why chains could not be sampled.

#[cfg(not(target_arch = "wasm32"))]
use crate::results_folder::ResultsError;
use crate::{
    checkpoint::CheckpointError,
    class_centers::ClassCentersError,
    config::ConfigError,
    data::DataError,
    memory::TooMuchMemory,
    model::{ModelError, WeightsError},
    picture::PictureError,
};

/// Why chains could not be sampled from a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum SamplingError {
    /// The checkpoint lacks what the chains are to start from, or is not of such data.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The configuration is out of range or contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The network of the configuration cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The chains need more memory than there may be.
    #[error(transparent)]
    Memory(#[from] TooMuchMemory),
    /// The images that chains are to start from cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A picture cannot be read or written.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// The class means have no principal axes.
    #[error(transparent)]
    ClassCenters(#[from] ClassCentersError),
    /// The folder of the results cannot be used.
    #[cfg(not(target_arch = "wasm32"))]
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// A request that the model cannot serve.
    #[error("{0}")]
    Request(String),
}
