//! Reading the tensors of a PyTorch checkpoint.

use std::{collections::HashMap, path::Path};

use half::{bf16, f16};
use pytorch_reader::{DType, PickleError, PytorchError, PytorchReader, Tensor};

use super::{
    InteropError,
    names::{self, CONTAINERS},
    pickle::{self, Checked},
};
use crate::model::WeightsError;

const BUFFER: &str = "replay_buffer";

/// A checkpoint in JEMPP's layout, `{"model_state_dict": …, "replay_buffer": …}`, or in a common variant of it. The
/// data of its tensors is not read yet.
#[derive(Debug)]
pub(super) struct PytorchFile {
    /// The tensors of the network by name, with aliases resolved.
    weights: HashMap<String, Tensor>,
    /// The chains (N, C, H, W), if there are any.
    pub(super) replay_buffer: Option<Tensor>,
    /// How the network was found, and what was left out.
    pub(super) reading: Reading,
}

/// How the network was found in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The key that holds the network; empty if the file holds nothing else.
    pub container: String,
    /// The common prefix of all tensor names, for example `module.`.
    pub prefix: String,
    /// The number of tensors outside the network, such as an optimiser's, left out unread.
    pub num_others: usize,
    /// The number of duplicate names of tensors, left out unread.
    pub num_aliases: usize,
}

impl PytorchFile {
    /// Opens the file without running any code in it.
    ///
    /// # Errors
    /// The file was not written by `torch.save`, is damaged or hostile, or does not hold the network.
    pub(super) fn open(path: &Path) -> Result<Self, InteropError> {
        let Checked { len: file_len, rescue } = pickle::check(path)?;
        let unread = |error: PytorchError| {
            let is_foreign = matches!(&error, PytorchError::Pickle(cause) if !matches!(cause, PickleError::Io(_)));
            let advice = if is_foreign { format!(". {rescue}") } else { String::new() };
            InteropError::Format(one_line(&error) + &advice)
        };
        let mut tensors = PytorchReader::new(path).map_err(unread)?.into_tensors();
        let replay_buffer = tensors.remove(BUFFER);
        let mut reading = find(tensors.keys().map(String::as_str))
            .map_err(|reason| InteropError::Format(format!("{reason}. {rescue}")))?;
        let (mut weights, mut aliases) = (HashMap::new(), Vec::new());
        for (name, mut tensor) in tensors {
            let Some(name) = reading.own_name(&name) else {
                reading.num_others += 1;
                continue;
            };
            tensor.name = name.to_string();
            match names::without_alias(name) {
                Some(name) => aliases.push((name, tensor)),
                None => drop(weights.insert(name.to_string(), tensor)),
            }
        }
        reading.num_aliases = aliases.len();
        for (name, tensor) in aliases {
            weights.entry(name).or_insert(tensor);
        }
        // A view may claim more than its storage holds; weights and chains are never such views.
        let claimed = weights.values().chain(&replay_buffer).map(Tensor::byte_len);
        let claimed = claimed.fold(0u64, |sum, len| sum.saturating_add(len as u64));
        if claimed > file_len {
            return Err(InteropError::Format(format!(
                "its tensors claim {claimed} bytes, the whole file has {file_len}"
            )));
        }
        Ok(Self { weights, replay_buffer, reading })
    }

    /// The names of all tensors.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.weights.keys().map(String::as_str)
    }

    /// Whether there is a tensor with this name.
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

    /// Takes the values of a weight, which must have `shape`; each weight can be taken once.
    ///
    /// # Errors
    /// The weight is missing, has another shape, or holds values that are not finite floating-point numbers.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, InteropError> {
        if self.shape(name)? != shape {
            return Err(wrong_shape(name, shape, self.shape(name)?).into());
        }
        let tensor = self.weights.remove(name);
        tensor.map_or_else(|| Ok(Vec::new()), |tensor| read(name, &tensor))
    }

    /// The names of the remaining tensors, which the classifier does not use.
    ///
    /// # Errors
    /// A remaining tensor belongs to the classifier.
    pub(super) fn leftovers(&self) -> Result<Vec<String>, WeightsError> {
        let mut left: Vec<String> = self.names().map(ToString::to_string).collect();
        left.sort();
        match left.iter().find(|name| !names::is_unused(name)) {
            Some(extra) => Err(WeightsError::Extra(extra.clone())),
            None => Ok(left),
        }
    }
}

impl Reading {
    /// The name within the network for a tensor of the file, if the tensor belongs to the network.
    fn own_name<'a>(&self, name: &'a str) -> Option<&'a str> {
        within(name, &self.container)?.strip_prefix(&self.prefix)
    }
}

/// The rest of a name after a key and a dot; the whole name if the key is empty.
fn within<'a>(name: &'a str, key: &str) -> Option<&'a str> {
    match key {
        "" => Some(name),
        key => name.strip_prefix(key)?.strip_prefix('.'),
    }
}

/// Finds the network among the tensor names of a file.
///
/// # Errors
/// There is no network, there are two, or the tensor names have no common prefix.
fn find<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Result<Reading, String> {
    for container in CONTAINERS.into_iter().chain([""]) {
        let inner = names.clone().filter_map(|name| within(name, container));
        let mut prefixes: Vec<&str> = inner.clone().filter_map(names::prefix_of).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        let prefix = match prefixes[..] {
            [] => continue,
            [prefix] => prefix,
            [one, other, ..] => {
                return Err(format!("it holds several networks, under `{one}` and `{other}`"));
            }
        };
        if let Some(other) = inner.filter(|name| !name.starts_with(prefix)).min() {
            return Err(format!(
                "its network's names begin with `{prefix}`, but that of tensor `{other}` beside it does not"
            ));
        }
        let (container, prefix) = (container.to_string(), prefix.to_string());
        return Ok(Reading { container, prefix, ..Reading::default() });
    }
    Err(match names.clone().min() {
        None => "it holds no tensors".into(),
        Some(first) => format!(
            "it holds no network of the official code of JEM++: none of its {} tensors is called \
             `class_output.weight` or `f.conv1.weight`; the first is `{first}`",
            names.count()
        ),
    })
}

/// The error for a tensor whose shape differs from the network's.
pub(super) fn wrong_shape(name: &str, expected: &[usize], found: &[usize]) -> WeightsError {
    WeightsError::Shape {
        name: name.to_string(),
        expected: expected.to_vec(),
        found: found.to_vec(),
    }
}

/// Reads the values of a floating-point tensor.
///
/// # Errors
/// The element type is not supported, a value is not finite, or the bytes cannot be read.
pub(super) fn read(name: &str, tensor: &Tensor) -> Result<Vec<f32>, InteropError> {
    let dtype = tensor.dtype();
    if !matches!(dtype, DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        let dtype = format!("{dtype:?}");
        return Err(InteropError::DType { name: name.to_string(), dtype });
    }
    let bytes = tensor.read().map_err(|error| InteropError::Format(one_line(&error)))?;
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

fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().replace('\n', " ")
}
