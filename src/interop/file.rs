//! The tensors of a PyTorch checkpoint.

use std::{collections::HashMap, path::Path};

use half::{bf16, f16};
use pytorch_reader::{DType, PytorchReader, Tensor};

use super::{InteropError, names, pickle};
use crate::model::WeightsError;

const WEIGHTS: &str = "model_state_dict.";
const BUFFER: &str = "replay_buffer";

/// A checkpoint in JEMPP's layout, `{"model_state_dict": …, "replay_buffer": …}`, its tensors not read yet.
#[derive(Debug)]
pub(super) struct PytorchFile {
    /// The network's tensors by name, aliases resolved.
    weights: HashMap<String, Tensor>,
    /// Chains (N, C, H, W), if there are any.
    pub(super) replay_buffer: Option<Tensor>,
    /// Names that stood for a tensor with a name of its own.
    pub(super) num_aliases: usize,
}

impl PytorchFile {
    /// Opens the file without running anything in it.
    ///
    /// # Errors
    /// Not a file of `torch.save`, a damaged or hostile one, or one without `model_state_dict`.
    pub(super) fn open(path: &Path) -> Result<Self, InteropError> {
        let file_len = pickle::check(path)?;
        let reader = PytorchReader::new(path).map_err(|error| one_line(&error))?;
        let (mut weights, mut aliases) = (HashMap::new(), Vec::new());
        let mut tensors = reader.into_tensors();
        let replay_buffer = tensors.remove(BUFFER);
        for (name, mut tensor) in tensors {
            let Some(name) = name.strip_prefix(WEIGHTS) else { continue };
            tensor.name = name.to_string();
            match names::without_alias(name) {
                Some(name) => aliases.push((name, tensor)),
                None => drop(weights.insert(name.to_string(), tensor)),
            }
        }
        let num_aliases = aliases.len();
        for (name, tensor) in aliases {
            weights.entry(name).or_insert(tensor);
        }
        if weights.is_empty() {
            return Err(InteropError::Format(
                "it holds no tensors under `model_state_dict`, as the official code of JEM++ saves them; \
                 write torch.save({\"model_state_dict\": model.state_dict()}, …)"
                    .into(),
            ));
        }
        // A view may claim more than its storage holds; weights and chains never are such views.
        let claimed = weights.values().chain(&replay_buffer).map(Tensor::byte_len);
        let claimed = claimed.fold(0u64, |sum, len| sum.saturating_add(len as u64));
        if claimed > file_len {
            return Err(InteropError::Format(format!(
                "its tensors claim {claimed} bytes, the whole file has {file_len}"
            )));
        }
        Ok(Self { weights, replay_buffer, num_aliases })
    }

    /// Every name.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.weights.keys().map(String::as_str)
    }

    /// Whether there is such a tensor.
    pub(super) fn has(&self, name: &str) -> bool {
        self.weights.contains_key(name)
    }

    /// The shape of a tensor.
    ///
    /// # Errors
    /// There is no such tensor.
    pub(super) fn shape(&self, name: &str) -> Result<&[usize], WeightsError> {
        let tensor = self.weights.get(name);
        Ok(tensor.ok_or_else(|| WeightsError::Missing(name.to_string()))?.shape())
    }

    /// The values of a weight that must have `shape`; it cannot be taken again.
    ///
    /// # Errors
    /// It is missing, has another shape, or holds no finite floating-point numbers.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, InteropError> {
        if self.shape(name)? != shape {
            return Err(wrong_shape(name, shape, self.shape(name)?).into());
        }
        let tensor = self.weights.remove(name);
        tensor.map_or_else(|| Ok(Vec::new()), |tensor| read(name, &tensor))
    }

    /// Names of tensors that were not taken and mean nothing to the classifier.
    ///
    /// # Errors
    /// One that would mean something.
    pub(super) fn leftovers(&self) -> Result<Vec<String>, WeightsError> {
        let mut left: Vec<String> = self.names().map(ToString::to_string).collect();
        left.sort();
        match left.iter().find(|name| !names::is_unused(name)) {
            Some(extra) => Err(WeightsError::Extra(extra.clone())),
            None => Ok(left),
        }
    }
}

/// A tensor of another shape than the network's.
pub(super) fn wrong_shape(name: &str, expected: &[usize], found: &[usize]) -> WeightsError {
    WeightsError::Shape {
        name: name.to_string(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    }
}

/// The values of a floating-point tensor.
///
/// # Errors
/// Another element type, values that are not finite, bytes that cannot be read.
pub(super) fn read(name: &str, tensor: &Tensor) -> Result<Vec<f32>, InteropError> {
    let dtype = tensor.dtype();
    if !matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        let dtype = format!("{dtype:?}");
        return Err(InteropError::DType { name: name.to_string(), dtype });
    }
    let bytes = tensor.read().map_err(|error| one_line(&error))?;
    let cast: Vec<f32> = match dtype {
        DType::F64 => floats(&bytes, |value: f64| value as f32),
        DType::F16 => floats(&bytes, f16::to_f32),
        DType::BF16 => floats(&bytes, bf16::to_f32),
        _ => floats(&bytes, |value: f32| value),
    };
    match cast.iter().all(|value| value.is_finite()) {
        true => Ok(cast),
        false => Err(InteropError::NotFinite(name.to_string())),
    }
}

fn floats<T: bytemuck::AnyBitPattern>(bytes: &[u8], cast: impl Fn(T) -> f32) -> Vec<f32> {
    let values = bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned);
    values.map(cast).collect()
}

fn one_line(error: &dyn std::error::Error) -> InteropError {
    InteropError::Format(error.to_string().replace('\n', " "))
}
