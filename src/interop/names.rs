//! Names and layouts of tensors in PyTorch.
//!
//! | jempp | PyTorch | layout in jempp | layout in PyTorch |
//! |---|---|---|---|
//! | `conv1.weight` | `f.conv1.weight` | (k, k, inputs, outputs) | (outputs, inputs, k, k) |
//! | `blocks.i.norm1.gamma` | `f.layer⌊i/n⌋+1.i mod n.bn1.weight` | (channels) | (channels) |
//! | `blocks.i.shortcut.weight` | `….shortcut.0.weight` | (1, 1, inputs, outputs) | (outputs, inputs, 1, 1) |
//! | `classifier.weight` | `class_output.weight` | (inputs, classes) | (classes, inputs) |
//!
//! JEMPP has only the WideResNet. The layers of other networks keep their names, `convs.i` or `layers.i`. A head that
//! flattens takes (H, W, C) in jempp and (C, H, W) in PyTorch.
//!
//! # Source
//! The module names of the official code of JEM++ (sndnyang/JEMPP).

use std::collections::HashMap;

use crate::model::{HostTensor, WeightsError};

/// The keys under which a checkpoint may hold its weights, in search order: those of the official code, of Lightning
/// and of common training loops.
pub(super) const CONTAINERS: [&str; 4] = ["model_state_dict", "state_dict", "model", "net"];

/// Tensors that every network of the official code has; they locate the network in a file.
const LANDMARKS: [&str; 2] = ["class_output.weight", "f.conv1.weight"];

/// The prefix before the network's own tensor name in `name`, if `name` ends with one of [`LANDMARKS`].
pub(super) fn prefix_of(name: &str) -> Option<&str> {
    let prefix = LANDMARKS.iter().find_map(|landmark| name.strip_suffix(landmark))?;
    (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
}

/// Whether the classifier does not use this tensor of a JEMPP checkpoint: the head of the unconditional variant, or the
/// step counters of batch norm.
pub(super) fn is_unused(name: &str) -> bool {
    name.starts_with("energy_output.") || name.ends_with(".num_batches_tracked")
}

/// Resolves the second name under which JEMPP's `yopo` variant registers a tensor for its split of the network:
/// `f.layer_one` is `f.conv1`, `f.other_layers` holds `f.layer1`, 2, 3 and `f.bn1`.
pub(super) fn without_alias(name: &str) -> Option<String> {
    if let Some(leaf) = name.strip_prefix("f.layer_one.") {
        return Some(format!("f.conv1.{leaf}"));
    }
    match name.strip_prefix("f.other_layers.")?.split_once('.')? {
        ("3", leaf) => Some(format!("f.bn1.{leaf}")),
        (stage, leaf) => {
            Some(format!("f.layer{}.{leaf}", stage.parse::<u8>().ok()?.checked_add(1)?))
        }
    }
}

/// A tensor with its name and layout here and in PyTorch.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The path in the network of jempp.
    pub(super) path: String,
    /// The name in PyTorch.
    pub(super) name: String,
    /// The shape in the network of jempp.
    shape: Vec<usize>,
    /// The layout of jempp as three axes: taps or pixels, inputs, outputs. PyTorch uses the reverse order.
    axes: [usize; 3],
}

impl Place {
    /// Lists every tensor of a network, by path.
    ///
    /// # Errors
    /// A path belongs to no known network.
    pub(super) fn all(weights: &HashMap<String, HostTensor>) -> Result<Vec<Self>, WeightsError> {
        let blocks = weights.keys().filter(|path| path.ends_with(".conv2.bias")).count();
        let mut paths: Vec<_> = weights.keys().collect();
        paths.sort();
        let place = |path: &String| {
            let name = name_of(path, blocks / 3);
            let name = name.ok_or_else(|| WeightsError::Extra(path.clone()))?;
            let shape = weights[path].shape.clone();
            let axes = match shape[..] {
                [height, width, inputs, outputs] => [height * width, inputs, outputs],
                [inputs, outputs] if path.ends_with("classifier.weight") => {
                    let channels = head_channels(weights).unwrap_or(inputs);
                    [inputs / channels, channels, outputs]
                }
                [inputs, outputs] => [1, inputs, outputs],
                _ => [1, 1, shape.iter().product()],
            };
            Ok(Self { path: path.clone(), name, shape, axes })
        };
        paths.into_iter().map(place).collect()
    }

    /// The shape of the tensor in PyTorch.
    pub(super) fn pytorch_shape(&self) -> Vec<usize> {
        match self.shape[..] {
            [height, width, inputs, outputs] => vec![outputs, inputs, height, width],
            [inputs, outputs] => vec![outputs, inputs],
            _ => self.shape.clone(),
        }
    }

    /// Reorders values from the layout of jempp to that of PyTorch.
    pub(super) fn pytorch_values(&self, values: &[f32]) -> Vec<f32> {
        reversed(values, self.axes)
    }

    /// Creates the tensor of jempp from values in PyTorch's layout.
    pub(super) fn tensor_of(&self, values: &[f32]) -> HostTensor {
        let [taps, inputs, outputs] = self.axes;
        let values = reversed(values, [outputs, inputs, taps]);
        HostTensor { shape: self.shape.clone(), values }
    }
}

/// Transposes values of shape (a, b, c) to (c, b, a).
fn reversed(values: &[f32], [a, b, c]: [usize; 3]) -> Vec<f32> {
    let mut out = Vec::with_capacity(values.len());
    for k in 0..c {
        for j in 0..b {
            out.extend((0..a).map(|i| values[(i * b + j) * c + k]));
        }
    }
    out
}

/// The channels of the last convolution of a plain CNN, whose head may flatten its pixels.
fn head_channels(weights: &HashMap<String, HostTensor>) -> Option<usize> {
    let last = weights.keys().filter(|path| path.contains(".convs.")).count() / 2;
    let bias = weights.get(&format!("body.Cnn.convs.{}.bias", last.checked_sub(1)?))?;
    Some(bias.values.len())
}

fn name_of(path: &str, blocks_per_stage: usize) -> Option<String> {
    let parts: Vec<&str> = path.split('.').collect();
    Some(match parts[..] {
        ["body", _, "classifier", leaf] => format!("class_output.{leaf}"),
        ["body", "Cnn", "convs", index, leaf] => format!("convs.{index}.{leaf}"),
        ["body", "Mlp", "layers", index, leaf] => format!("layers.{index}.{leaf}"),
        ["body", "WideResNet", "conv1", leaf] => format!("f.conv1.{leaf}"),
        ["body", "WideResNet", "norm", _, leaf] => format!("f.bn1.{}", norm_leaf(leaf)),
        ["body", "WideResNet", "blocks", block, ref rest @ ..] => {
            let block: usize = block.parse().ok()?;
            let stage = block.checked_div(blocks_per_stage)? + 1;
            let leaf = match *rest {
                ["norm1", _, leaf] => format!("bn1.{}", norm_leaf(leaf)),
                ["norm2", _, leaf] => format!("bn2.{}", norm_leaf(leaf)),
                ["shortcut", leaf] => format!("shortcut.0.{leaf}"),
                [conv, leaf] => format!("{conv}.{leaf}"),
                _ => return None,
            };
            format!("f.layer{stage}.{}.{leaf}", block % blocks_per_stage)
        }
        _ => return None,
    })
}

fn norm_leaf(leaf: &str) -> &str {
    match leaf {
        "gamma" => "weight",
        "beta" => "bias",
        other => other,
    }
}
