//! Checks the state of the optimiser in a checkpoint before burn reads it, because burn panics on unexpected data.

use std::collections::BTreeMap;

use burn_pack::{Bytes, DType, Reader, Tensor};

use crate::{config::OptimizerKind, model::Layout};

/// What burn stores for one parameter.
#[derive(Default)]
struct State {
    rank: Option<u64>,
    time: Option<u64>,
    tensors: Vec<&'static str>,
}

const RANK: &str = "__rank";
const TIME: &str = "momentum.time";
const VELOCITY: &str = "momentum.velocity";
const MOMENT_1: &str = "momentum.moment_1";
const MOMENT_2: &str = "momentum.moment_2";

/// Checks that `bytes` are the state of an optimiser of this kind for this network, after at most `step` steps.
///
/// # Errors
/// The fault, as the rest of a sentence that starts with "its optimiser's state".
pub(super) fn check(
    bytes: &[u8],
    layout: &Layout,
    kind: OptimizerKind,
    step: u64,
) -> Result<(), String> {
    let unreadable = |error: burn_pack::Error| format!("cannot be read: {error}");
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(bytes.to_vec())).map_err(unreadable)?;
    let mut states: BTreeMap<u64, State> = BTreeMap::new();
    for (name, value) in reader.scalars() {
        let (id, leaf) = split(name, layout)?;
        let state = states.entry(id).or_default();
        let value =
            u64::try_from(*value).map_err(|_| format!("has no whole number in `{name}`"))?;
        match leaf {
            RANK => state.rank = Some(value),
            TIME if kind == OptimizerKind::Adam => state.time = Some(value),
            _ => return Err(foreign(name, kind)),
        }
    }
    let known: &[&str] = match kind {
        OptimizerKind::Adam => &[MOMENT_1, MOMENT_2],
        OptimizerKind::Sgd => &[VELOCITY],
    };
    for tensor in reader.into_tensors().map_err(unreadable)? {
        let (id, leaf) = split(&tensor.name, layout)?;
        let Some(leaf) = known.iter().find(|name| **name == leaf) else {
            return Err(foreign(&tensor.name, kind));
        };
        if tensor.param_id != Some(id) {
            return Err(format!("does not say of which parameter `{}` is", tensor.name));
        }
        check_tensor(&tensor, &layout.tensors[id as usize - 1].1, *leaf == MOMENT_2)?;
        states.entry(id).or_default().tensors.push(leaf);
    }
    for (id, state) in states {
        let (path, shape) = &layout.tensors[id as usize - 1];
        if state.rank != Some(shape.len() as u64) {
            return Err(format!("does not know that `{path}` has {} dimensions", shape.len()));
        }
        if kind == OptimizerKind::Adam {
            if state.tensors.len() != known.len() {
                return Err(format!("lacks a moment of `{path}`"));
            }
            match state.time {
                Some(time) if (1..=step).contains(&time) => {}
                time => {
                    let time = time.map_or("no".into(), |time| time.to_string());
                    return Err(format!("counts {time} steps of `{path}`, the run {step}"));
                }
            }
        }
    }
    Ok(())
}

/// Splits `name` into the index of its parameter and the rest of the name.
fn split<'a>(name: &'a str, layout: &Layout) -> Result<(u64, &'a str), String> {
    let count = layout.tensors.len() as u64;
    let parts = name.split_once('.');
    let id = parts.and_then(|(id, leaf)| Some((id.parse::<u64>().ok()?, leaf)));
    match id.filter(|(id, _)| (1..=count).contains(id) && name.starts_with(&format!("{id}."))) {
        Some(found) => Ok(found),
        None => {
            let name = crate::config::shortened(name, 60);
            Err(format!("names `{name}`, but parameters are numbered from 1 to {count}"))
        }
    }
}

fn foreign(name: &str, kind: OptimizerKind) -> String {
    let kind = match kind {
        OptimizerKind::Adam => "adam",
        OptimizerKind::Sgd => "sgd",
    };
    let name = crate::config::shortened(name, 60);
    format!("holds `{name}`, which is not of optimizer.kind = {kind}")
}

fn check_tensor(tensor: &Tensor, shape: &[usize], is_square: bool) -> Result<(), String> {
    let name = &tensor.name;
    if tensor.dtype != DType::F32 || *tensor.shape != *shape {
        return Err(format!(
            "has `{name}` as {:?} of shape {:?}; the parameter is F32 of shape {shape:?}",
            tensor.dtype,
            tensor.shape.to_vec()
        ));
    }
    let bytes = tensor.to_bytes().map_err(|error| format!("cannot be read: {error}"))?;
    // This copy is aligned, so the cast fails only if the offset in the file is odd.
    let values: &[f32] = bytemuck::try_cast_slice(&bytes)
        .map_err(|_| format!("has `{name}` at an odd place of the file"))?;
    match values.iter().all(|value| value.is_finite() && !(is_square && *value < 0.0)) {
        true => Ok(()),
        false => Err(format!("has a number in `{name}` that is not finite, or a negative square")),
    }
}
