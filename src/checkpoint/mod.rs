//! A run's whole state in one file: model, optimiser, replay buffer, class centres, configuration and
//! counters.
//!
//! The file is a safetensors file, so that Python reads its weights, chains and centres as they are;
//! its metadata holds the format version, the configuration as TOML, the counters as JSON and a CRC-32
//! over these and all tensor bytes. It is written under a temporary name and renamed.

mod format;
#[cfg(not(target_arch = "wasm32"))]
mod optimizer;
mod validate;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use half::f16;
use serde::{Deserialize, Serialize};

use crate::{
    class_centers::ClassCentersData,
    config::{ConfigError, ModelConfig, RunConfig},
    data::Dataset,
    files,
    memory::{Demand, TooMuchMemory},
    model::{HostTensor, ModelError, Network, WeightsError, with_weights},
};

pub use validate::Flaw;

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused to read or write the file.
    #[error("cannot {action} checkpoint {path}: {source}")]
    Io {
        /// read or write.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// Fewer or more bytes than the header promises.
    #[error("checkpoint {path} is truncated or corrupt: expected {expected} bytes, found {found}")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes its header promises.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The file is no checkpoint, or is damaged.
    #[error("{path} is no readable jempp checkpoint: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The configuration inside is not valid for this program.
    #[error("checkpoint {path}: {source}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// Data of another kind than the model's.
    #[error(
        "the model was trained on inputs of shape {model:?} (C, H, W) with classes {model_classes}; \
         the data set has {data:?} with classes {data_classes}"
    )]
    OtherData {
        /// The model's inputs.
        model: [usize; 3],
        /// The model's classes.
        model_classes: String,
        /// The inputs of the data.
        data: [usize; 3],
        /// The classes of the data.
        data_classes: String,
    },
    /// A judge of other data than the model's.
    #[error(
        "the judge classifies inputs of shape {judge:?} (C, H, W) into {judge_classes}; the model has {model:?} and \
         {model_classes}"
    )]
    OtherJudge {
        /// The judge's inputs.
        judge: [usize; 3],
        /// The judge's classes.
        judge_classes: String,
        /// The model's inputs.
        model: [usize; 3],
        /// The model's classes.
        model_classes: String,
    },
    /// A packed model where a run's whole state is needed.
    #[error(
        "this is a packed model, which holds no replay buffer and no optimiser: it can be sampled, \
         but not trained further or started from its buffer"
    )]
    Packed,
    /// A network that cannot be built from the configuration.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Weights that do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// More chains at once than there is memory for.
    #[error(transparent)]
    Memory(#[from] TooMuchMemory),
    /// A folder was named that is not the folder of a run.
    #[error("{0} is a folder without checkpoint.safetensors; name a run's folder or a checkpoint")]
    NoCheckpoint(PathBuf),
    /// A file of PyTorch was named.
    #[error("{0} is a file of PyTorch; `jempp import` makes a checkpoint of it")]
    Pytorch(PathBuf),
    /// A file whose content cannot be used.
    #[error("checkpoint {path} cannot be used: {flaw}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        flaw: Flaw,
    },
}

/// The checkpoint's name in the folder of a run.
pub const FILE_NAME: &str = "checkpoint.safetensors";

/// Where the checkpoint is in the folder of a run.
pub fn file_in(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

/// The checkpoint that is meant by `path`: the file itself, or the one in the folder of a run.
pub fn file_at(path: &Path) -> PathBuf {
    match file_in(path) {
        in_folder if files::is_file(&in_folder) => in_folder,
        _ => path.to_path_buf(),
    }
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// The number of training steps done.
    pub step: u64,
    /// Factor on the learning rate left by recoveries.
    pub learning_rate_factor: f64,
    /// Recoveries so far; also moves the chains' noise on after each.
    pub num_recoveries: usize,
    /// The gap d = mean E(x_data) - mean E(x_model), smoothed over the last steps.
    pub smoothed_gap: f64,
    /// The time trained, in seconds.
    pub elapsed_secs: f64,
    /// Accuracy of the last evaluation on the test set, if there was one.
    pub test_accuracy: Option<f64>,
    /// Step of the last evaluation: one that was cut short is done when the run goes on.
    #[serde(default)]
    pub evaluated_step: Option<u64>,
}

/// A model with the state of its training, as a file holds it: weights, optimiser, replay buffer, class centres,
/// configuration and counters, all on the host.
///
/// ```
/// # fn main() -> Result<(), jempp::Error> {
/// use jempp::{Checkpoint, bundled};
///
/// let checkpoint: Checkpoint = bundled::find("two-moons")?.load()?;
/// println!("{} after {} steps", checkpoint.config.model.describe(), checkpoint.counters.step);
/// for (name, tensor) in &checkpoint.weights {
///     println!("{name}: {:?}", tensor.shape);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The configuration of the run.
    pub config: RunConfig,
    /// How far the run is.
    pub counters: Counters,
    /// The names of the classes.
    pub class_names: Vec<String>,
    /// The shape (C, H, W) of an input image.
    pub input_shape: [usize; 3],
    /// Parameters and running statistics of the network by path.
    pub weights: HashMap<String, HostTensor>,
    /// Their exponential moving average, where the run keeps one.
    pub averaged_weights: Option<HashMap<String, HostTensor>>,
    /// The optimiser's state as burn writes it; empty in a packed model.
    pub optimizer: Vec<u8>,
    /// Chains (capacity, D); none in a packed model.
    pub replay_buffer: HostTensor,
    /// The Gaussians chains start from.
    pub class_centers: ClassCentersData,
}

impl Checkpoint {
    /// The weights to sample with: their average where there is one.
    pub fn sampling_weights(&self) -> &HashMap<String, HostTensor> {
        self.averaged_weights.as_ref().unwrap_or(&self.weights)
    }

    /// The network of the model on a device, with the weights to sample with, see [`Self::sampling_weights`].
    ///
    /// # Errors
    /// The configuration gives no network, or the weights are of another one.
    pub fn network(&self, device: &Device) -> Result<Network, CheckpointError> {
        self.network_with(&self.config.model, device)
    }

    /// The network as [`Self::network`] gives it, but split for PYLD or normalised as `config` says, which differs from
    /// the checkpoint's own configuration in nothing else.
    ///
    /// # Errors
    /// The network has no such split or norm, or the weights are of another one.
    pub fn network_with(
        &self,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Network, CheckpointError> {
        let num_classes = self.class_names.len();
        let network = Network::new(config, self.input_shape, num_classes, 0, device)?;
        Ok(with_weights(network, self.sampling_weights().clone())?)
    }

    /// Checks that there is memory for so many chains at once, by estimate and before any of it is taken.
    ///
    /// # Errors
    /// They need more than `training.max_memory_mib` allows, or the configuration gives no network.
    pub fn check_memory(&self, num_chains: usize) -> Result<(), CheckpointError> {
        let (shape, num_classes) = (self.input_shape, self.class_names.len());
        let demand = Demand::of_chains(&self.config, shape, num_classes, num_chains)?;
        Ok(demand.check(&self.config)?)
    }

    /// The model alone, for shipping: the weights to sample with and the class centres.
    pub fn packed(mut self) -> Self {
        self.weights = self.averaged_weights.take().unwrap_or(self.weights);
        self.optimizer = Vec::new();
        self.replay_buffer.shape[0] = 0;
        self.replay_buffer.values.clear();
        // Somebody's folder is nobody else's business.
        self.config.data.dir.clear();
        self
    }

    /// Whether this is a model alone, without the state of a run.
    pub fn is_packed(&self) -> bool {
        self.optimizer.is_empty()
    }

    /// Whether there are chains to start from.
    pub fn has_buffer(&self) -> bool {
        self.replay_buffer.shape[0] > 0
    }

    /// Whether half precision holds every weight and every number of the class centres.
    pub fn fits_half_precision(&self) -> bool {
        let centers = &self.class_centers;
        let weights = self.sampling_weights().values().map(|tensor| &tensor.values);
        let all = weights.chain([&centers.mean, &centers.factor, &centers.residual_std]);
        all.flatten().all(|&value| f16::from_f32(value).is_finite())
    }

    /// Whether every weight and every chain is a finite number.
    pub fn is_finite(&self) -> bool {
        let averaged = self.averaged_weights.iter().flat_map(HashMap::values);
        let tensors = self.weights.values().chain(averaged).chain([&self.replay_buffer]);
        tensors.flat_map(|tensor| &tensor.values).all(|value| value.is_finite())
    }

    /// Checks that another classifier can judge this model's images.
    ///
    /// # Errors
    /// It takes inputs of another shape, or knows other classes.
    pub fn check_judge(&self, judge: &Self) -> Result<(), CheckpointError> {
        if judge.input_shape == self.input_shape && judge.class_names == self.class_names {
            return Ok(());
        }
        Err(CheckpointError::OtherJudge {
            judge: judge.input_shape,
            judge_classes: judge.class_names.join(", "),
            model: self.input_shape,
            model_classes: self.class_names.join(", "),
        })
    }

    /// Checks that the model is one of such data.
    ///
    /// # Errors
    /// Inputs of another shape, or other classes.
    pub fn check_data(&self, data: &Dataset) -> Result<(), CheckpointError> {
        if data.shape == self.input_shape && data.class_names == self.class_names {
            return Ok(());
        }
        Err(CheckpointError::OtherData {
            model: self.input_shape,
            model_classes: self.class_names.join(", "),
            data: data.shape,
            data_classes: data.class_names.join(", "),
        })
    }
}
