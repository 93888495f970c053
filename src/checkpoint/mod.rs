//! Checkpoints: the whole state of a run in one file (model, optimiser, replay buffer, class centres, configuration and
//! counters).
//!
//! The file is a safetensors file, so Python can read its weights, chains and centres directly. Its metadata holds the
//! format version, the configuration as TOML, the counters as JSON, and a CRC-32 over these and all tensor bytes. It is
//! written under a temporary name and then renamed.

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
    data::{Checksums, Dataset},
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
        /// The action that failed: "read" or "write".
        action: &'static str,
        /// The path of the checkpoint file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file has fewer or more bytes than its header states.
    #[error("checkpoint {path} is truncated or corrupt: expected {expected} bytes, found {found}")]
    Length {
        /// The path of the checkpoint file.
        path: PathBuf,
        /// The number of bytes that the header states.
        expected: u64,
        /// The number of bytes in the file.
        found: u64,
    },
    /// The file is not a checkpoint, or it is damaged.
    #[error("{path} is not a readable jempp checkpoint: {reason}")]
    Format {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with the file.
        reason: String,
    },
    /// The configuration in the checkpoint is not valid for this program.
    #[error("checkpoint {path}: {source}")]
    Config {
        /// The path of the checkpoint file.
        path: PathBuf,
        /// The error in the configuration.
        source: ConfigError,
    },
    /// The data set does not have the input shape and classes of the model.
    #[error(
        "the model was trained on inputs of shape {model:?} (C, H, W) with classes {model_classes}; \
         the data set has {data:?} with classes {data_classes}"
    )]
    OtherData {
        /// The input shape of the model.
        model: [usize; 3],
        /// The classes of the model, in words.
        model_classes: String,
        /// The input shape of the data set.
        data: [usize; 3],
        /// The classes of the data set, in words.
        data_classes: String,
    },
    /// The judge (a second classifier) does not have the input shape and classes of the model.
    #[error(
        "the judge classifies inputs of shape {judge:?} (C, H, W) into {judge_classes}; the model has {model:?} and \
         {model_classes}"
    )]
    OtherJudge {
        /// The input shape of the judge.
        judge: [usize; 3],
        /// The classes of the judge, in words.
        judge_classes: String,
        /// The input shape of the model.
        model: [usize; 3],
        /// The classes of the model, in words.
        model_classes: String,
    },
    /// A packed model was given where the whole state of a run is needed.
    #[error(
        "this is a packed model, which holds no replay buffer and no optimiser: it can be sampled, \
         but not trained further or started from its buffer"
    )]
    Packed,
    /// The configuration does not describe a valid network.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The requested number of chains needs more memory than is allowed.
    #[error(transparent)]
    Memory(#[from] TooMuchMemory),
    /// The path is a folder, but not the folder of a run.
    #[error("{0} is a folder without checkpoint.safetensors; name a run's folder or a checkpoint")]
    NoCheckpoint(PathBuf),
    /// The file is a PyTorch file.
    #[error("{0} is a file of PyTorch; `jempp import` makes a checkpoint of it")]
    Pytorch(PathBuf),
    /// The file can be read, but its content cannot be used.
    #[error("checkpoint {path} cannot be used: {flaw}")]
    Invalid {
        /// The path of the checkpoint file.
        path: PathBuf,
        /// What is wrong with the content.
        flaw: Flaw,
    },
}

/// The file name of the checkpoint in the folder of a run.
pub(crate) const FILE_NAME: &str = "checkpoint.safetensors";

/// The file name of the best model in the folder of a run.
pub(crate) const BEST_NAME: &str = "best.safetensors";

/// The path of the checkpoint in the folder of a run.
pub(crate) fn file_in(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

/// The checkpoint file that `path` refers to: the file itself, or the one in the folder of a run.
pub(crate) fn file_at(path: &Path) -> PathBuf {
    match file_in(path) {
        in_folder if files::is_file(&in_folder) => in_folder,
        _ => path.to_path_buf(),
    }
}

/// The name of the model at `path`: that of its run folder if the file has the standard name of a checkpoint, else that of
/// the file.
#[cfg(not(target_arch = "wasm32"))]
pub fn name_of(path: &Path) -> String {
    let folder = match path {
        path if path.is_dir() => Some(path),
        path if path.file_name().is_some_and(|name| name == FILE_NAME) => path.parent(),
        _ => None,
    };
    // Resolve the path, so that `.` has a name too.
    let folder = folder.and_then(|folder| Path::new(".").join(folder).canonicalize().ok());
    match folder.as_deref().and_then(Path::file_name) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => files::file_name(path),
    }
}

/// The progress of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// The number of training steps done.
    pub step: u64,
    /// The factor on the learning rate, reduced by recoveries from divergence.
    pub learning_rate_factor: f64,
    /// The number of recoveries so far. Each recovery also advances the noise of the chains.
    pub num_recoveries: usize,
    /// The gap d = mean E(x_data) - mean E(x_model), smoothed over the last steps.
    pub smoothed_gap: f64,
    /// The number of steps that a curriculum has added to the chains; see [`Self::chain_steps`].
    #[serde(default)]
    pub added_chain_steps: usize,
    /// The area under the ROC curve of E, data against chains, smoothed over the last steps; only with a curriculum.
    #[serde(default)]
    pub smoothed_auc: f64,
    /// The training time, in seconds.
    pub elapsed_secs: f64,
    /// The accuracy of the last evaluation on the test set, if there was one.
    pub test_accuracy: Option<f64>,
    /// The temperature T that divides the logits for p(y|x), and for nothing else: energies and chains have none. It was
    /// fitted on the held-out training images after the last step of the run; `None` while it trains, and without such
    /// images.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// The step of the last complete evaluation. An interrupted evaluation is repeated when the run resumes.
    #[serde(default)]
    pub evaluated_step: Option<u64>,
    /// The best evaluation so far, if the data has a validation part.
    #[serde(default)]
    pub best: Option<Best>,
    /// The checksums of the data, if it was read from files.
    #[serde(default)]
    pub data: Option<Checksums>,
    /// The number of training items that the run began with; `None` in a checkpoint of an earlier jempp, and of weights that
    /// jempp did not train. A checkpoint holds it beside its counters, as it does [`Checksums::validation`].
    #[serde(skip)]
    pub num_train: Option<u64>,
}

impl Counters {
    /// The number of steps that each chain makes in a training step of this run, with those that a curriculum has added.
    pub fn chain_steps(&self, config: &RunConfig) -> usize {
        let first = config.sampler.num_steps;
        let last = config.training.max_chain_steps.max(first);
        first.saturating_add(self.added_chain_steps).min(last)
    }
}

/// The best evaluation of a run so far, by the accuracy on the validation part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The number of training steps done then.
    pub step: u64,
    /// The accuracy on the validation part.
    pub validation_accuracy: f64,
}

/// A model with the state of its training, as stored in a file: weights, optimiser, replay buffer, class centres,
/// configuration and counters. All of it is in host memory.
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
    /// The progress of the run.
    pub counters: Counters,
    /// The names of the classes.
    pub class_names: Vec<String>,
    /// The shape (C, H, W) of an input image.
    pub input_shape: [usize; 3],
    /// Parameters and running statistics of the network, by path.
    pub weights: HashMap<String, HostTensor>,
    /// The exponential moving average of the weights, if the run keeps one.
    pub averaged_weights: Option<HashMap<String, HostTensor>>,
    /// The state of the optimiser as burn writes it; empty in a packed model.
    pub optimizer: Vec<u8>,
    /// The chains of the replay buffer, shape (capacity, D); none in a packed model.
    pub replay_buffer: HostTensor,
    /// The Gaussians that new chains start from, one per class.
    pub class_centers: ClassCentersData,
}

impl Checkpoint {
    /// The weights to use for sampling: the moving average if there is one, otherwise the weights.
    pub fn sampling_weights(&self) -> &HashMap<String, HostTensor> {
        self.averaged_weights.as_ref().unwrap_or(&self.weights)
    }

    /// Builds the network on a device, with the weights for sampling (see [`Self::sampling_weights`]).
    ///
    /// # Errors
    /// The configuration does not describe a valid network, or the weights do not fit it.
    pub fn network(&self, device: &Device) -> Result<Network, CheckpointError> {
        self.network_with(&self.config.model, device)
    }

    /// Builds the network as [`Self::network`] does, but with the PYLD split or the norm of `config`. Everything else
    /// in `config` must equal the checkpoint's own configuration.
    ///
    /// # Errors
    /// The network has no such split or norm, or the weights do not fit it.
    pub fn network_with(
        &self,
        config: &ModelConfig,
        device: &Device,
    ) -> Result<Network, CheckpointError> {
        let num_classes = self.class_names.len();
        let network = Network::new(config, self.input_shape, num_classes, 0, device)?;
        Ok(with_weights(network, self.sampling_weights().clone())?)
    }

    /// Estimates the memory that this number of chains needs on a device, before any allocation, and checks that there
    /// is enough.
    ///
    /// # Errors
    /// The chains need more than `training.max_memory_mib` or the device allows, or the configuration does not describe
    /// a valid network.
    pub(crate) fn check_memory(
        &self,
        num_chains: usize,
        device: &Device,
    ) -> Result<Demand, CheckpointError> {
        let (shape, num_classes) = (self.input_shape, self.class_names.len());
        let demand = Demand::of_chains(&self.config, shape, num_classes, num_chains, device)?;
        demand.check(&self.config)?;
        Ok(demand)
    }

    /// Estimates the memory that an evaluation of the model needs on a device, and checks it as [`Self::check_memory`].
    ///
    /// # Errors
    /// The same errors as [`Self::check_memory`].
    pub(crate) fn check_memory_of_evaluation(
        &self,
        device: &Device,
    ) -> Result<Demand, CheckpointError> {
        let (shape, num_classes) = (self.input_shape, self.class_names.len());
        let demand = Demand::of_evaluation(&self.config, shape, num_classes, device)?;
        demand.check(&self.config)?;
        Ok(demand)
    }

    /// The model without the state of the run, for distribution: the weights for sampling, and the class centres on a grid of
    /// 1/256.
    pub fn packed(mut self) -> Self {
        self.weights = self.averaged_weights.take().unwrap_or(self.weights);
        self.optimizer = Vec::new();
        self.replay_buffer.shape[0] = 0;
        self.replay_buffer.values.clear();
        self.class_centers.round();
        // The path of the user's data folder is private.
        self.config.data.dir.clear();
        self
    }

    /// How p(y|x) is calibrated, in words.
    pub fn calibration(&self) -> String {
        match self.counters.temperature {
            Some(temperature) => {
                format!("calibrated after training, T = {temperature:.2}")
            }
            None if self.config.objective.p_y_given_x_weight == 0.0 => {
                "not trained: the loss has no cross entropy".into()
            }
            None => "as trained; no temperature was fitted on held-out images".into(),
        }
    }

    /// The number of items that the model was trained on, if that is known: earlier checkpoints tell it only where
    /// `data.num_train` chose it.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn num_train(&self) -> Option<usize> {
        let chosen = self.config.data.num_train;
        let known = self.counters.num_train.map(|count| count as usize);
        known.or((chosen > 0).then_some(chosen)).filter(|_| self.counters.step > 0)
    }

    /// The number of bytes of its values.
    pub(crate) fn num_bytes(&self) -> u64 {
        let centers = &self.class_centers;
        let tensors =
            self.weights.values().chain(self.averaged_weights.iter().flatten().map(|w| w.1));
        let num_values = tensors.map(|tensor| tensor.values.len()).sum::<usize>()
            + [&self.replay_buffer.values, &centers.mean, &centers.factor, &centers.residual_std]
                .map(Vec::len)
                .iter()
                .sum::<usize>();
        (self.optimizer.len() + num_values * size_of::<f32>()) as u64
    }

    /// Whether this is a packed model, without the state of a run.
    pub fn is_packed(&self) -> bool {
        self.optimizer.is_empty()
    }

    /// Whether the replay buffer holds chains to start from.
    pub fn has_buffer(&self) -> bool {
        self.replay_buffer.shape[0] > 0
    }

    /// Whether half precision can represent every weight and every number of the class centres.
    pub fn fits_half_precision(&self) -> bool {
        let centers = &self.class_centers;
        let weights = self.sampling_weights().values().map(|tensor| &tensor.values);
        let all = weights.chain([&centers.mean, &centers.factor, &centers.residual_std]);
        all.flatten().all(|&value| f16::from_f32(value).is_finite())
    }

    /// Whether every weight and every chain is finite.
    pub fn is_finite(&self) -> bool {
        let averaged = self.averaged_weights.iter().flat_map(HashMap::values);
        let tensors = self.weights.values().chain(averaged).chain([&self.replay_buffer]);
        tensors.flat_map(|tensor| &tensor.values).all(|value| value.is_finite())
    }

    /// Checks that another classifier (the judge) can classify the images of this model.
    ///
    /// # Errors
    /// The judge has another input shape or other classes.
    pub(crate) fn check_judge(&self, judge: &Self) -> Result<(), CheckpointError> {
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

    /// Checks that the data set fits the model.
    ///
    /// # Errors
    /// The data set has another input shape or other classes.
    pub(crate) fn check_data(&self, data: &Dataset) -> Result<(), CheckpointError> {
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
