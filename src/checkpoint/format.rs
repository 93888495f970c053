//! The file format of a checkpoint: reading and writing its bytes.

use std::{borrow::Cow, collections::HashMap, path::Path};

use half::{f16, slice::HalfFloatSliceExt};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::{Checkpoint, CheckpointError, Counters, Flaw};
use crate::{
    class_centers::ClassCentersData,
    config::{RunConfig, shortened},
    files::{self, write_atomically},
    model::{HostTensor, WeightsError},
};

const FORMAT: &str = "jempp-checkpoint";
const VERSION: u32 = 2;
/// Prefixes of the names of the weights, and of the names of their average.
pub(super) const WEIGHTS: &str = "model.";
pub(super) const AVERAGED: &str = "average.";
pub(super) const REPLAY_BUFFER: &str = "replay_buffer";
pub(super) const MEAN: &str = "class_centers.mean";
pub(super) const FACTOR: &str = "class_centers.factor";
pub(super) const RESIDUAL_STD: &str = "class_centers.residual_std";
const OPTIMIZER: &str = "optimizer";
/// Size limit of a checkpoint file: ten times that of WRN-28-10 with a buffer of 10,000 chains and an average.
const MAX_FILE_BYTES: u64 = 16 << 30;
/// Size limit of the header. Names, shapes and configuration of the deepest network take a few hundred kilobytes.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// One tensor of the file: name, type, shape and bytes.
type RawTensor<'a> = (String, Dtype, Vec<usize>, Cow<'a, [u8]>);

#[derive(Serialize, Deserialize)]
struct Metadata {
    counters: Counters,
    class_names: Vec<String>,
    input_shape: [usize; 3],
    #[serde(default)]
    is_packed: bool,
    /// The one in `counters.data`. Earlier programs ignore it here, and would refuse a checkpoint that has it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation_checksum: Option<u32>,
    /// The one in `counters`, for the same reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    num_train: Option<u64>,
}

impl Checkpoint {
    /// Writes the checkpoint to `path`; a packed model is written in half precision. An existing file stays intact
    /// until the new one is complete.
    ///
    /// # Errors
    /// The file cannot be written, for example because the disk is full.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let written = self.to_bytes().and_then(|bytes| write_atomically(path, &bytes));
        let path = path.to_path_buf();
        written.map_err(|source| CheckpointError::Io { action: "write", path, source })
    }

    /// The bytes of the file that [`Checkpoint::save`] writes.
    ///
    /// # Errors
    /// The checkpoint cannot be encoded.
    pub(crate) fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let is_packed = self.is_packed();
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
            // Half precision halves the size of a packed model; a run needs full precision to resume exactly.
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
            validation_checksum: self.counters.data.and_then(|data| data.validation),
            num_train: self.counters.num_train,
        };
        let json = serde_json::to_string(&metadata)?;
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
            .map_err(std::io::Error::other)?;
        safetensors::serialize(views, Some(metadata)).map_err(std::io::Error::other)
    }

    /// Reads the checkpoint at `path`, which is a file or the folder of a run.
    ///
    /// # Errors
    /// The file is missing, truncated, corrupt or of another version; the error gives its name and byte counts. Or its
    /// content is not valid, see [`Checkpoint::validate`].
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        Ok(Self::read(path)?.1)
    }

    /// Reads the checkpoint at `path` and returns the bytes of the file with the decoded checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn read(path: &Path) -> Result<(Vec<u8>, Self), CheckpointError> {
        let path = &super::file_at(path);
        let io = |source| CheckpointError::Io { action: "read", path: path.to_path_buf(), source };
        if path.is_dir() {
            return Err(CheckpointError::NoCheckpoint(path.to_path_buf()));
        }
        // The start of the file identifies its type, so no large file is read for nothing.
        let (head, length) = files::head(path, 8 + MAX_HEADER_BYTES).map_err(io)?;
        check_length(path, &head, length)?;
        let bytes = files::read_at_most(path, MAX_FILE_BYTES).map_err(io)?;
        let checkpoint = Self::from_bytes(&bytes, path)?;
        Ok((bytes, checkpoint))
    }

    /// Decodes a checkpoint from the bytes of a file; error messages call the file `path`.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let format = |reason: String| CheckpointError::Format { path: path.to_path_buf(), reason };
        let invalid = |flaw: Flaw| CheckpointError::Invalid { path: path.to_path_buf(), flaw };
        check_length(path, bytes, bytes.len() as u64)?;
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
            let found = shortened(entry("version")?, 20);
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
                "its {} bytes are corrupt: CRC-32 {found} instead of {}",
                bytes.len(),
                shortened(expected, 20)
            )));
        }
        let config = RunConfig::default()
            .with_toml(entry("config")?)
            .map_err(|source| CheckpointError::Config { path: path.to_path_buf(), source })?;
        let run = entry("run")?;
        let Metadata {
            mut counters,
            class_names,
            input_shape,
            is_packed,
            validation_checksum,
            num_train,
        } = serde_json::from_str(run).map_err(|error| format(misread(run, &error)))?;
        counters.num_train = num_train;
        if let Some(data) = &mut counters.data {
            data.validation = validation_checksum;
        }

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
        if is_packed {
            if optimizer.is_some() || floats.contains_key(REPLAY_BUFFER) {
                return Err(format(
                    "a packed model holds no optimiser and no replay buffer".into(),
                ));
            }
            let num_pixels =
                input_shape.iter().fold(1usize, |product, &n| product.saturating_mul(n));
            let none = HostTensor { shape: vec![0, num_pixels], values: Vec::new() };
            floats.insert(REPLAY_BUFFER.to_string(), none);
            optimizer = Some(Vec::new());
        }
        let mut take = |name: &str| {
            floats
                .remove(name)
                .ok_or_else(|| invalid(WeightsError::Missing(name.to_string()).into()))
        };
        let replay_buffer = take(REPLAY_BUFFER)?;
        let (mean, factor, residual_std) = (take(MEAN)?, take(FACTOR)?, take(RESIDUAL_STD)?);
        let [classes, components, pixels] = factor.shape[..] else {
            let (name, found) = (FACTOR.to_string(), factor.shape);
            let expected =
                vec![class_names.len(), 1, input_shape.iter().copied().max().unwrap_or(0)];
            return Err(invalid(WeightsError::Shape { name, expected, found }.into()));
        };
        let (mut weights, mut averaged) = (HashMap::new(), HashMap::new());
        for (name, tensor) in floats {
            if let Some(name) = name.strip_prefix(WEIGHTS) {
                weights.insert(name.to_string(), tensor);
            } else if let Some(name) = name.strip_prefix(AVERAGED) {
                averaged.insert(name.to_string(), tensor);
            } else {
                return Err(invalid(WeightsError::Extra(shortened(&name, 100)).into()));
            }
        }
        let optimizer =
            optimizer.ok_or_else(|| invalid(WeightsError::Missing(OPTIMIZER.into()).into()))?;
        let checkpoint = Self {
            config,
            counters,
            class_names,
            input_shape,
            weights,
            averaged_weights: (!averaged.is_empty()).then_some(averaged),
            optimizer,
            replay_buffer,
            class_centers: ClassCentersData {
                mean: mean.values,
                factor: factor.values,
                residual_std: residual_std.values,
                dims: [classes, components, pixels],
            },
        };
        checkpoint.validate().map_err(invalid)?;
        Ok(checkpoint)
    }
}

/// Compares the length of the file with the length in its header, before anything else is read. `head` is the file or
/// its start, at least the whole header.
fn check_length(path: &Path, head: &[u8], found: u64) -> Result<(), CheckpointError> {
    let short = |expected| CheckpointError::Length { path: path.to_path_buf(), expected, found };
    if is_pytorch(head) {
        return Err(CheckpointError::Pytorch(path.to_path_buf()));
    }
    let Some(length) = head.first_chunk::<8>() else {
        return Err(short(8));
    };
    let header = u64::from_le_bytes(*length);
    // A huge header length means that this is not a safetensors file.
    if header > MAX_HEADER_BYTES || head.get(8).is_some_and(|&byte| byte != b'{') {
        return Err(CheckpointError::Format {
            path: path.to_path_buf(),
            reason: "it does not begin like a safetensors file".into(),
        });
    }
    let Some(header_bytes) = head.get(8..8 + header as usize) else {
        return Err(short(8 + header));
    };
    // The library rejects a file of the wrong length without giving the right length.
    let entries: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(header_bytes).unwrap_or_default();
    let ends = entries.values().filter_map(|entry| entry["data_offsets"][1].as_u64());
    match ends.max().map(|end| end.saturating_add(8 + header)) {
        Some(expected) if expected != found => Err(short(expected)),
        _ => Ok(()),
    }
}

/// Whether a file starts like a file of `torch.save`: a zip archive, or a pickle of protocol 2 or later.
fn is_pytorch(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || matches!(head, [0x80, 2..=5, opcode, ..] if *opcode != 0)
}

/// Describes the error in the JSON text `run`, with the name of the key before the position of the error.
fn misread(run: &str, error: &serde_json::Error) -> String {
    let before: String = run.chars().take(error.column()).collect();
    let name = before.rsplit('"').nth(1).unwrap_or_default();
    format!("its run has a wrong `{}`: {error}", shortened(name, 40))
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
