//! Exchange of models with PyTorch: import of checkpoints of the official code of JEM++, and export of tensors with its
//! names, or of the network as an ONNX file.
//!
//! `import`, `export` and `onnx` use `names` (names and layouts of tensors). `import` also uses `file` (the content of a file,
//! after `pickle` has rejected hostile files), `arch` (detection of the network) and `centers` (class centres, which no
//! such file holds).

mod arch;
mod centers;
mod export;
mod file;
mod import;
mod names;
mod onnx;
mod pickle;

use std::path::PathBuf;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
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
pub use onnx::{EXTENSION as ONNX, export_onnx};

/// Why a model could not be imported or exported. Messages use the PyTorch names of tensors.
#[derive(Debug, thiserror::Error)]
pub enum InteropError {
    /// The operating system refused an action.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file was not written by `torch.save`, is damaged or hostile, or holds something other than a checkpoint.
    #[error("no PyTorch checkpoint to import: {0}")]
    Format(String),
    /// The file is a safetensors file.
    #[error(
        "no PyTorch checkpoint to import: {path} is a safetensors file. Of another program's, \
         torch.save({{\"model_state_dict\": safetensors.torch.load_file(FILE)}}, \"clean.pt\") makes a file for import; \
         one that jempp wrote is a checkpoint as it is and needs no import"
    )]
    Safetensors {
        /// The path of the file.
        path: PathBuf,
    },
    /// The tensors do not form a network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor does not hold floating-point numbers, for example because it holds integers.
    #[error("tensor `{name}` holds {dtype}; only floating-point numbers are weights")]
    DType {
        /// The name of the tensor.
        name: String,
        /// The element type of the tensor.
        dtype: String,
    },
    /// A tensor holds a NaN or an infinity.
    #[error("tensor `{0}` holds a value that is not finite")]
    NotFinite(String),
    /// The network has a norm that jempp does not support.
    #[error("the network has {0}; jempp reads networks without norm and with batch norm")]
    Norm(&'static str),
    /// The network is not the one that was requested.
    #[error("{asked} was asked for: the file holds {found}")]
    OtherArch {
        /// The architecture that was requested.
        asked: String,
        /// The architecture in the file.
        found: String,
    },
    /// The data set has another number of classes than the network.
    #[error(
        "`class_output.weight` has {found} classes, data set `{dataset}` has {expected}; name the data \
         set that the model was trained on"
    )]
    OtherClasses {
        /// The name of the data set.
        dataset: String,
        /// The number of classes of the data set.
        expected: usize,
        /// The number of classes of the network.
        found: usize,
    },
    /// The network cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data set cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The class centres cannot be estimated.
    #[error(transparent)]
    ClassCenters(#[from] ClassCentersError),
    /// The device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A value of the configuration is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data does not fit the model.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The state of the optimiser or the file of tensors cannot be serialised.
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

/// What an exported file says about the model beside its tensors, by name: `arch` and `norm`, as JSON `input_shape` and
/// `class_names`, and `temperature`, which divides the logits for p(y|x), if one was fitted.
fn facts(checkpoint: &Checkpoint) -> Vec<(&'static str, String)> {
    let config = &checkpoint.config.model;
    let mut facts = vec![
        ("arch", config.arch.clone()),
        ("norm", norm_name(config.norm).to_string()),
        ("input_shape", serde_json::json!(checkpoint.input_shape).to_string()),
        ("class_names", serde_json::json!(checkpoint.class_names).to_string()),
    ];
    facts.extend(checkpoint.counters.temperature.map(|t| ("temperature", t.to_string())));
    facts
}

/// The name of a norm in PyTorch code, where batch norm is one module with any statistics.
fn norm_name(norm: Norm) -> &'static str {
    match norm {
        Norm::None => "none",
        Norm::Batch | Norm::Frozen => "batch",
        Norm::Group => "group",
    }
}
