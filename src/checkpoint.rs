//! A run's whole state in one file: model, optimiser, replay buffer, class centres, configuration and
//! counters.
//!
//! The file is a safetensors file, so that Python reads its weights, chains and centres as they are;
//! its metadata holds the format version, the configuration as TOML, the counters as JSON and a CRC-32
//! over these and all tensor bytes. It is written under a temporary name and renamed.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    class_centers::ClassCentersData,
    config::{ConfigError, RunConfig},
    data::Dataset,
    model::{HostTensor, WeightsError},
};

pub use crate::files::write_atomically;

const FORMAT: &str = "jempp-checkpoint";
const VERSION: u32 = 2;

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The operating system refused.
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
    /// Not such a file at all, or damaged inside.
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
        /// The data's.
        data: [usize; 3],
        /// The data's.
        data_classes: String,
    },
    /// Tensors that do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Training steps done.
    pub step: u64,
    /// Factor on the learning rate left by recoveries.
    pub learning_rate_factor: f64,
    /// Recoveries so far; also moves the chains' noise on after each.
    pub num_recoveries: usize,
    /// Smoothed gap d.
    pub smoothed_gap: f64,
    /// Seconds trained.
    pub elapsed_secs: f64,
    /// Accuracy of the last evaluation on the test set, if there was one.
    pub test_accuracy: Option<f64>,
}

/// The content of a checkpoint, on the host.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The run's configuration.
    pub config: RunConfig,
    /// Where it stands.
    pub counters: Counters,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Shape (C, H, W) of an input.
    pub input_shape: [usize; 3],
    /// Parameters and running statistics of the network by path.
    pub weights: HashMap<String, HostTensor>,
    /// The optimiser's state as burn writes it.
    pub optimizer: Vec<u8>,
    /// Chains (capacity, D).
    pub replay_buffer: HostTensor,
    /// The Gaussians chains start from.
    pub class_centers: ClassCentersData,
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    counters: Counters,
    class_names: Vec<String>,
    input_shape: [usize; 3],
}

impl Checkpoint {
    /// Whether every weight and every chain is a finite number.
    pub fn is_finite(&self) -> bool {
        let tensors = self.weights.values().chain([&self.replay_buffer]);
        tensors.flat_map(|tensor| &tensor.values).all(|value| value.is_finite())
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

    /// Writes the checkpoint to `path`; an earlier file stays whole until the new one is complete.
    ///
    /// # Errors
    /// The file cannot be written, a full disk included.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let io = |source| CheckpointError::Io { action: "write", path: path.to_path_buf(), source };
        let [classes, k, d] = self.class_centers.dims;
        let mut tensors: Vec<(String, Dtype, Vec<usize>, &[u8])> = Vec::new();
        for (name, tensor) in &self.weights {
            let bytes = bytemuck::cast_slice(&tensor.values);
            tensors.push((format!("model.{name}"), Dtype::F32, tensor.shape.clone(), bytes));
        }
        let floats: [(&str, Vec<usize>, &[f32]); 4] = [
            ("replay_buffer", self.replay_buffer.shape.clone(), &self.replay_buffer.values),
            ("class_centers.mean", vec![classes, d], &self.class_centers.mean),
            ("class_centers.factor", vec![classes, k, d], &self.class_centers.factor),
            ("class_centers.residual_std", vec![classes, d], &self.class_centers.residual_std),
        ];
        for (name, shape, values) in floats {
            tensors.push((name.to_string(), Dtype::F32, shape, bytemuck::cast_slice(values)));
        }
        tensors.push(("optimizer".into(), Dtype::U8, vec![self.optimizer.len()], &self.optimizer));
        tensors.sort_by(|a, b| a.0.cmp(&b.0));

        let metadata = Metadata {
            counters: self.counters.clone(),
            class_names: self.class_names.clone(),
            input_shape: self.input_shape,
        };
        let json = serde_json::to_string(&metadata).map_err(|error| io(error.into()))?;
        let config = self.config.to_toml();
        let parts = [("config", config.as_bytes()), ("run", json.as_bytes())];
        let crc32 = checksum(parts.into_iter().chain(tensors.iter().map(|t| (t.0.as_str(), t.3))));
        let metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("version".to_string(), VERSION.to_string()),
            ("config".to_string(), config),
            ("run".to_string(), json),
            ("crc32".to_string(), crc32),
        ]);
        let views: Vec<(String, TensorView)> = tensors
            .into_iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(dtype, shape, bytes)?)))
            .collect::<Result<_, safetensors::SafeTensorError>>()
            .map_err(|error| io(std::io::Error::other(error)))?;
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|error| io(std::io::Error::other(error)))?;
        write_atomically(path, &bytes).map_err(io)
    }

    /// Reads the checkpoint at `path`.
    ///
    /// # Errors
    /// A missing, truncated or corrupt file, or one of another version, by name and byte counts.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path).map_err(|source| CheckpointError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        })?;
        let format = |reason: String| CheckpointError::Format { path: path.to_path_buf(), reason };
        check_length(path, &bytes)?;
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|error| format(error.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| format(error.to_string()))?;
        let entries = header.metadata().clone().unwrap_or_default();
        let entry = |key: &str| {
            entries.get(key).ok_or_else(|| format(format!("its header has no `{key}`")))
        };
        if entry("format")? != FORMAT {
            return Err(format("it is a safetensors file of something else".into()));
        }
        if *entry("version")? != VERSION.to_string() {
            let found = entry("version")?;
            return Err(format(format!("version {found}; this program reads version {VERSION}")));
        }
        let mut tensors: Vec<_> = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let parts = [("config", entry("config")?.as_bytes()), ("run", entry("run")?.as_bytes())];
        let views = tensors.iter().map(|(name, view)| (name.as_str(), view.data()));
        let found = checksum(parts.into_iter().chain(views));
        let expected = entry("crc32")?;
        if found != *expected {
            return Err(format(format!(
                "its {} bytes are corrupt: CRC-32 {found} instead of {expected}",
                bytes.len()
            )));
        }
        let config = RunConfig::default()
            .with_toml(entry("config")?)
            .map_err(|source| CheckpointError::Config { path: path.to_path_buf(), source })?;
        let Metadata { counters, class_names, input_shape } =
            serde_json::from_str(entry("run")?).map_err(|error| format(error.to_string()))?;

        let mut floats = HashMap::new();
        let mut optimizer = None;
        for (name, view) in tensors {
            match (name.as_str(), view.dtype()) {
                ("optimizer", Dtype::U8) => optimizer = Some(view.data().to_vec()),
                (_, Dtype::F32) => {
                    let values = bytemuck::pod_collect_to_vec(view.data());
                    floats.insert(name, HostTensor { shape: view.shape().to_vec(), values });
                }
                (_, dtype) => return Err(format(format!("tensor `{name}` has type {dtype:?}"))),
            }
        }
        let mut take =
            |name: &str| floats.remove(name).ok_or_else(|| WeightsError::Missing(name.to_string()));
        let replay_buffer = take("replay_buffer")?;
        let (mean, factor) = (take("class_centers.mean")?, take("class_centers.factor")?);
        let residual_std = take("class_centers.residual_std")?;
        let (classes, pixels) = (class_names.len(), input_shape.iter().product::<usize>());
        let components = factor.shape.get(1).copied().unwrap_or(0);
        let capacity = replay_buffer.shape.first().copied().unwrap_or(0);
        for (name, tensor, expected) in [
            ("replay_buffer", &replay_buffer, vec![capacity.max(classes), pixels]),
            ("class_centers.mean", &mean, vec![classes, pixels]),
            ("class_centers.factor", &factor, vec![classes, components, pixels]),
            ("class_centers.residual_std", &residual_std, vec![classes, pixels]),
        ] {
            if tensor.shape != expected {
                let (name, found) = (name.to_string(), tensor.shape.clone());
                return Err(WeightsError::Shape { name, expected, found }.into());
            }
        }
        let weights = floats
            .into_iter()
            .map(|(name, tensor)| match name.strip_prefix("model.") {
                Some(name) => Ok((name.to_string(), tensor)),
                None => Err(WeightsError::Extra(name)),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config,
            counters,
            class_names,
            input_shape,
            weights,
            optimizer: optimizer.ok_or_else(|| WeightsError::Missing("optimizer".into()))?,
            replay_buffer,
            class_centers: ClassCentersData {
                mean: mean.values,
                factor: factor.values,
                residual_std: residual_std.values,
                dims: [classes, components, pixels],
            },
        })
    }
}

/// Compares the file's length with what its header promises, before anything else is believed.
fn check_length(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let found = bytes.len() as u64;
    let short = |expected| CheckpointError::Length { path: path.to_path_buf(), expected, found };
    let Some(head) = bytes.first_chunk::<8>() else {
        return Err(short(8));
    };
    let header = u64::from_le_bytes(*head);
    // A header is some kilobytes; a huge number means that this is no such file.
    if header > 100_000_000 || bytes.get(8) != Some(&b'{') {
        return Err(CheckpointError::Format {
            path: path.to_path_buf(),
            reason: "it does not begin like a safetensors file".into(),
        });
    }
    if found < 8 + header {
        return Err(short(8 + header));
    }
    // The library refuses a file of the wrong length without saying what the right one is.
    let entries: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes[8..8 + header as usize]).unwrap_or_default();
    let ends = entries.values().filter_map(|entry| entry["data_offsets"][1].as_u64());
    match ends.max() {
        Some(end) if 8 + header + end != found => Err(short(8 + header + end)),
        _ => Ok(()),
    }
}

fn checksum<'a>(tensors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut hasher = crc32fast::Hasher::new();
    for (name, bytes) in tensors {
        hasher.update(name.as_bytes());
        hasher.update(bytes);
    }
    format!("{:08x}", hasher.finalize())
}
