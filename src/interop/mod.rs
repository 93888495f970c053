//! Models to and from PyTorch: checkpoints of the official code of JEM++ in, tensors under its names out.
//!
//! `import` and `export` stand on `names` (who is who, in which layout); `import` also on `file` (what a
//! file holds, behind `pickle`, which turns hostile files away), `arch` (which network that is) and
//! `centers` (class centres, which no such file holds).

mod arch;
mod centers;
mod export;
mod file;
mod import;
mod names;
mod pickle;

use std::path::PathBuf;

use crate::{
    checkpoint::CheckpointError,
    class_centers::ClassCentersError,
    config::{ConfigError, Norm},
    data::DataError,
    device::ReadError,
    model::{ModelError, WeightsError},
};

pub use centers::Centers;
pub use export::export;
pub use file::Reading;
pub use import::{ImportRequest, Imported, import};

/// Why a model could not be imported or exported. Tensors go by their PyTorch names.
#[derive(Debug, thiserror::Error)]
pub enum InteropError {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Not a file of `torch.save`, a damaged or a hostile one, or one that holds something else.
    #[error("no PyTorch checkpoint to import: {0}")]
    Format(String),
    /// A file of safetensors.
    #[error(
        "no PyTorch checkpoint to import: {path} is a safetensors file. Of another program's, \
         torch.save({{\"model_state_dict\": safetensors.torch.load_file(FILE)}}, \"clean.pt\") makes a file for import; \
         one that jempp wrote is a checkpoint as it is and needs no import"
    )]
    Safetensors {
        /// The file.
        path: PathBuf,
    },
    /// Tensors that do not make up a network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor of whole numbers, say.
    #[error("tensor `{name}` holds {dtype}; only floating-point numbers are weights")]
    DType {
        /// The tensor.
        name: String,
        /// Its element type.
        dtype: String,
    },
    /// A number that is none.
    #[error("tensor `{0}` holds a value that is not finite")]
    NotFinite(String),
    /// A norm that this project does not have.
    #[error("the network has {0}; jempp reads networks without norm and with batch norm")]
    Norm(&'static str),
    /// Another network than the one asked for.
    #[error("{asked} was asked for: the file holds {found}")]
    OtherArch {
        /// As asked.
        asked: String,
        /// As found.
        found: String,
    },
    /// A data set with other classes than the network.
    #[error(
        "`class_output.weight` has {found} classes, data set `{dataset}` has {expected}; name the data \
         set that the model was trained on"
    )]
    OtherClasses {
        /// The data set.
        dataset: String,
        /// Its classes.
        expected: usize,
        /// The network's.
        found: usize,
    },
    /// A network that cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Class centres.
    #[error(transparent)]
    ClassCenters(#[from] ClassCentersError),
    /// The device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A configuration out of its ranges.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Data of another kind than the model's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An optimiser or a file of tensors that cannot be serialised.
    #[error("cannot serialise {0}")]
    Serialise(String),
}

impl From<pickle::Refusal> for InteropError {
    fn from(refusal: pickle::Refusal) -> Self {
        match refusal {
            pickle::Refusal::Io(error) => Self::Io(error),
            pickle::Refusal::Safetensors(path) => Self::Safetensors { path },
            pickle::Refusal::Reason(reason) => Self::Format(reason),
        }
    }
}

/// What PyTorch's code calls a norm: batch norm is one module, whatever statistics it uses.
pub(crate) fn norm_name(norm: Norm) -> &'static str {
    match norm {
        Norm::None => "none",
        Norm::Batch | Norm::Frozen => "batch",
        Norm::Group => "group",
    }
}
