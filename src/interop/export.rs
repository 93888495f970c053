//! Export of a checkpoint to tensors that PyTorch code loads by name.

use std::collections::HashMap;

use safetensors::{Dtype, tensor::TensorView};

use super::{InteropError, facts, names::Place};
use crate::checkpoint::Checkpoint;

/// Writes the network as a safetensors file, with the weights for sampling, PyTorch's names and layouts, all in f32.
///
/// The file also holds what a strict `load_state_dict` of the official code requires: batch norm's
/// `num_batches_tracked` (i64, the training steps done) and an `energy_output` of zeros, which the classifier does not
/// use. With `with_buffer`, it holds the chains, if there are any, as `replay_buffer` (N, C, H, W). Its metadata hold
/// `format` = `pt`, `arch`, `norm`, and as JSON `input_shape` and `class_names`; and `temperature`, which divides the logits
/// for p(y|x), if one was fitted.
///
/// # Errors
/// The weights do not belong to a known network.
pub fn export(checkpoint: &Checkpoint, with_buffer: bool) -> Result<Vec<u8>, InteropError> {
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    let mut add = |name: String, shape: Vec<usize>, values: &[f32]| {
        tensors.push((name, Dtype::F32, shape, bytemuck::cast_slice(values).to_vec()));
    };
    let weights = checkpoint.sampling_weights();
    let places = Place::all(weights)?;
    for place in &places {
        let values = place.pytorch_values(&weights[&place.path].values);
        add(place.name.clone(), place.pytorch_shape(), &values);
        if place.name == "class_output.weight" && checkpoint.config.model.arch.starts_with("wrn") {
            let inputs = place.pytorch_shape()[1];
            add("energy_output.weight".into(), vec![1, inputs], &vec![0.0; inputs]);
            add("energy_output.bias".into(), vec![1], &[0.0]);
        }
    }
    if with_buffer && !checkpoint.is_packed() {
        let [c, h, w] = checkpoint.input_shape;
        let chains = &checkpoint.replay_buffer;
        add("replay_buffer".into(), vec![chains.shape[0], c, h, w], &chains.values);
    }
    let steps = (checkpoint.counters.step as i64).to_le_bytes();
    for norm in places.iter().filter_map(|place| place.name.strip_suffix(".running_mean")) {
        let name = format!("{norm}.num_batches_tracked");
        tensors.push((name, Dtype::I64, Vec::new(), steps.to_vec()));
    }

    let facts = std::iter::once(("format", "pt".to_string())).chain(facts(checkpoint));
    let metadata: HashMap<_, _> = facts.map(|(key, value)| (key.to_string(), value)).collect();
    let serialise = |error| InteropError::Serialise(format!("the tensors: {error}"));
    let views: Vec<(&str, TensorView)> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(serialise)?;
    safetensors::serialize(views, Some(metadata)).map_err(serialise)
}
