//! The bytes of a checkpoint.

use std::{borrow::Cow, collections::HashMap, path::Path};

use half::{f16, slice::HalfFloatSliceExt};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{Checkpoint, CheckpointError, Counters};
use crate::{
    class_centers::ClassCentersData,
    config::RunConfig,
    files::{self, write_atomically},
    model::{HostTensor, WeightsError},
};

const FORMAT: &str = "jempp-checkpoint";
const VERSION: u32 = 2;
/// Before the names of weights, and of their average.
const WEIGHTS: &str = "model.";
const AVERAGED: &str = "average.";
const REPLAY_BUFFER: &str = "replay_buffer";
const MEAN: &str = "class_centers.mean";
const FACTOR: &str = "class_centers.factor";
const RESIDUAL_STD: &str = "class_centers.residual_std";
const OPTIMIZER: &str = "optimizer";

/// Name, type, shape and bytes.
type RawTensor<'a> = (String, Dtype, Vec<usize>, Cow<'a, [u8]>);

#[derive(Serialize, Deserialize)]
struct Metadata {
    counters: Counters,
    class_names: Vec<String>,
    input_shape: [usize; 3],
    #[serde(default)]
    is_packed: bool,
}

impl Checkpoint {
    /// Writes the checkpoint to `path`, a packed model in half precision; an earlier file stays whole
    /// until the new one is complete.
    ///
    /// # Errors
    /// The file cannot be written, a full disk included.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let is_packed = self.is_packed();
        let io = |source| CheckpointError::Io { action: "write", path: path.to_path_buf(), source };
        let [classes, k, d] = self.class_centers.dims;
        let mut floats: Vec<(String, Vec<usize>, &[f32])> = Vec::new();
        let averaged = self.averaged_weights.iter().flatten().map(|weight| (AVERAGED, weight));
        for (prefix, (name, tensor)) in self.weights.iter().map(|w| (WEIGHTS, w)).chain(averaged) {
            floats.push((format!("{prefix}{name}"), tensor.shape.clone(), &tensor.values));
        }
        let centers = &self.class_centers;
        floats.push((MEAN.into(), vec![classes, d], &centers.mean));
        floats.push((FACTOR.into(), vec![classes, k, d], &centers.factor));
        floats.push((RESIDUAL_STD.into(), vec![classes, d], &centers.residual_std));
        let mut tensors: Vec<RawTensor> = Vec::new();
        if !is_packed {
            let (chains, optimizer) = (&self.replay_buffer, &self.optimizer);
            floats.push((REPLAY_BUFFER.into(), chains.shape.clone(), &chains.values));
            let bytes = Cow::from(optimizer.as_slice());
            tensors.push((OPTIMIZER.into(), Dtype::U8, vec![optimizer.len()], bytes));
        }
        for (name, shape, values) in floats {
            // Half precision halves what a model weighs; a run goes on from every bit.
            let (dtype, bytes) = match is_packed {
                true => (Dtype::F16, Cow::from(to_half(values))),
                false => (Dtype::F32, Cow::from(bytemuck::cast_slice(values))),
            };
            tensors.push((name, dtype, shape, bytes));
        }
        tensors.sort_by(|a, b| a.0.cmp(&b.0));

        let metadata = Metadata {
            counters: self.counters.clone(),
            class_names: self.class_names.clone(),
            input_shape: self.input_shape,
            is_packed,
        };
        let json = serde_json::to_string(&metadata).map_err(|error| io(error.into()))?;
        let config = self.config.to_toml();
        let parts = [("config", config.as_bytes()), ("run", json.as_bytes())];
        let crc32 =
            checksum(parts.into_iter().chain(tensors.iter().map(|t| (t.0.as_str(), &*t.3))));
        let metadata = HashMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("version".to_string(), VERSION.to_string()),
            ("config".to_string(), config),
            ("run".to_string(), json),
            ("crc32".to_string(), crc32),
        ]);
        let views: Vec<(&str, TensorView)> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
            })
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
        let bytes = files::read(path).map_err(|source| CheckpointError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_bytes(&bytes, path)
    }

    /// The checkpoint in the bytes of a file that is called `path` in errors.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let format = |reason: String| CheckpointError::Format { path: path.to_path_buf(), reason };
        check_length(path, bytes)?;
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| format(error.to_string()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| format(error.to_string()))?;
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
        let Metadata { counters, class_names, input_shape, is_packed } =
            serde_json::from_str(entry("run")?).map_err(|error| format(error.to_string()))?;

        let mut floats = HashMap::new();
        let mut optimizer = None;
        for (name, view) in tensors {
            match (name.as_str(), view.dtype()) {
                (OPTIMIZER, Dtype::U8) => optimizer = Some(view.data().to_vec()),
                (_, dtype @ (Dtype::F32 | Dtype::F16)) => {
                    let values = match dtype {
                        Dtype::F32 => bytemuck::pod_collect_to_vec(view.data()),
                        _ => from_half(view.data()),
                    };
                    floats.insert(name, HostTensor { shape: view.shape().to_vec(), values });
                }
                (_, dtype) => return Err(format(format!("tensor `{name}` has type {dtype:?}"))),
            }
        }
        let (classes, pixels) = (class_names.len(), input_shape.iter().product::<usize>());
        if is_packed {
            let none = HostTensor { shape: vec![0, pixels], values: Vec::new() };
            floats.insert(REPLAY_BUFFER.to_string(), none);
            optimizer = Some(Vec::new());
        }
        let mut take =
            |name: &str| floats.remove(name).ok_or_else(|| WeightsError::Missing(name.to_string()));
        let replay_buffer = take(REPLAY_BUFFER)?;
        let (mean, factor, residual_std) = (take(MEAN)?, take(FACTOR)?, take(RESIDUAL_STD)?);
        let components = factor.shape.get(1).copied().unwrap_or(0);
        let capacity = replay_buffer.shape.first().copied().unwrap_or(0);
        let smallest = if is_packed { 0 } else { classes };
        for (name, tensor, expected) in [
            (REPLAY_BUFFER, &replay_buffer, vec![capacity.max(smallest), pixels]),
            (MEAN, &mean, vec![classes, pixels]),
            (FACTOR, &factor, vec![classes, components, pixels]),
            (RESIDUAL_STD, &residual_std, vec![classes, pixels]),
        ] {
            if tensor.shape != expected {
                let (name, found) = (name.to_string(), tensor.shape.clone());
                return Err(WeightsError::Shape { name, expected, found }.into());
            }
        }
        let (mut weights, mut averaged) = (HashMap::new(), HashMap::new());
        for (name, tensor) in floats {
            if let Some(name) = name.strip_prefix(WEIGHTS) {
                weights.insert(name.to_string(), tensor);
            } else if let Some(name) = name.strip_prefix(AVERAGED) {
                averaged.insert(name.to_string(), tensor);
            } else {
                return Err(WeightsError::Extra(name).into());
            }
        }
        Ok(Self {
            config,
            counters,
            class_names,
            input_shape,
            weights,
            averaged_weights: (!averaged.is_empty()).then_some(averaged),
            optimizer: optimizer.ok_or_else(|| WeightsError::Missing(OPTIMIZER.into()))?,
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

fn to_half(values: &[f32]) -> Vec<u8> {
    let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    bytemuck::cast_slice(&halves).to_vec()
}

fn from_half(bytes: &[u8]) -> Vec<f32> {
    bytemuck::pod_collect_to_vec::<u8, f16>(bytes).to_f32_vec()
}
