//! The images to judge: fresh chains and chains of the replay buffer.

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

use super::Images;
use crate::{
    checkpoint::Checkpoint,
    config::EvalConfig,
    data::spread,
    device,
    energy::{Energy, JointEnergy, denoised},
    eval::{EvalError, Progress},
    model::Network,
    replay_buffer::{Start, class_of_slot},
    sampler::{ChainState, Sampler},
    shard::Shard,
    streams,
};

/// The number of batches of fresh chains; a batch has as many chains as in training.
pub(super) fn num_batches(checkpoint: &Checkpoint, count: usize) -> usize {
    count.div_ceil(checkpoint.config.data.batch_size)
}

/// Runs `count` fresh chains, over all classes in turn, with the model's own sampler and norm. No chain is left out. A part
/// runs whole batches of them, because the noise depends on the batch.
///
/// # Errors
/// The weights do not fit the network.
pub(super) fn fresh(
    checkpoint: &Checkpoint,
    config: &EvalConfig,
    count: usize,
    device: &Device,
    seed: u64,
    shard: Shard,
    progress: &mut Progress,
) -> Result<Images, EvalError> {
    let network = checkpoint.network(device)?;
    let centers = checkpoint.class_centers.to_device(checkpoint.input_shape, device);
    let sampler = &checkpoint.config.sampler;
    let start = Start::new(sampler.start, &centers);
    let samplers = Sampler::for_steps(sampler, config.sample_steps);
    let num_classes = checkpoint.class_names.len() as u32;
    let labels: Vec<u32> = (0..count as u32).map(|i| i % num_classes).collect();
    let mut values = Vec::new();
    let batch_size = checkpoint.config.data.batch_size;
    let batches = shard.range(num_batches(checkpoint, count));
    let own = (batches.start * batch_size).min(count)..(batches.end * batch_size).min(count);
    let labels = labels[own.clone()].to_vec();
    for (batch, labels) in batches.zip(labels.chunks(batch_size)) {
        let batch = batch as u32;
        let energy = energy_of(checkpoint, &network, labels);
        let x = start.draw(labels, streams::CHAIN_STARTS.key(seed, batch), device);
        let first = batch.wrapping_mul(config.sample_steps as u32);
        let mut state = ChainState { x, noise: streams::CHAIN_NOISE.key(seed, first) };
        for sampler in &samplers {
            state = sampler.step(state, &energy).0;
            progress.step()?;
        }
        values.extend(device::read_now(state.x)?);
    }
    let law = if is_conditional(checkpoint) { "p(x|y) of their class" } else { "p(x)" };
    let protocol = format!(
        "chains of {law} from {}, {} steps of the model's sampler, the same number per class, none left out; \
         their class is that of their start",
        match sampler.start {
            crate::config::StartKind::ClassCenters => "class centres",
            crate::config::StartKind::Uniform => "uniform noise",
        },
        config.sample_steps
    );
    Ok(Images { name: "fresh chains", protocol, values, labels, first: own.start })
}

fn is_conditional(checkpoint: &Checkpoint) -> bool {
    checkpoint.config.objective.p_x_y_weight > 0.0
}

/// The energy of the model's chains with these classes.
fn energy_of(checkpoint: &Checkpoint, network: &Network, labels: &[u32]) -> JointEnergy {
    JointEnergy::of_chains(network, is_conditional(checkpoint), labels)
        .with_micro_batch(checkpoint.config.data.micro_batch)
}

/// Removes the noise of the data from chains.
///
/// # Errors
/// The evaluation is to stop; the weights do not fit the network; the device failed.
pub(super) fn without_noise(
    images: Images,
    checkpoint: &Checkpoint,
    step: f64,
    device: &Device,
    progress: &Progress,
) -> Result<Images, EvalError> {
    // Frozen, so that what an image becomes does not depend on the others.
    let network = checkpoint.network(device)?.valid().freeze();
    let [c, h, w] = checkpoint.input_shape;
    let batch_size = checkpoint.config.data.batch_size;
    let mut values = Vec::with_capacity(images.values.len());
    let batches = images.values.chunks(batch_size * c * h * w);
    for (chains, labels) in batches.zip(images.labels.chunks(batch_size)) {
        let data = TensorData::new(chains.to_vec(), [labels.len(), c, h, w]);
        let x = Tensor::from_data(data, device);
        let gradient = energy_of(checkpoint, &network, labels).gradient(x.clone()).gradient;
        values.extend(device::read_now(denoised(x, gradient, step))?);
        progress.check()?;
    }
    let protocol =
        format!("{}; noise removed by a step of {step} down the energy", images.protocol);
    Ok(Images { protocol, values, ..images })
}

/// Chains of the replay buffer. `None` for a packed model, which has no buffer, and for a model trained without
/// chains, whose buffer was never used. If the buffer has fewer chains than `least`, the error is their number.
pub(super) fn of_buffer(
    checkpoint: &Checkpoint,
    count: usize,
    least: usize,
    shard: Shard,
) -> Result<Option<Images>, usize> {
    let buffer = &checkpoint.replay_buffer;
    let (capacity, num_pixels) = (buffer.shape[0], buffer.shape[1]);
    if capacity == 0 || !checkpoint.config.objective.needs_chains() {
        return Ok(None);
    }
    if capacity < least {
        return Err(capacity);
    }
    let slots: Vec<usize> = spread(capacity, count).collect();
    let num_classes = checkpoint.class_names.len();
    let of_slot = |&slot: &usize| &buffer.values[slot * num_pixels..(slot + 1) * num_pixels];
    let number = slots.len();
    let rows = shard.range(number);
    let slots = &slots[rows.clone()];
    Ok(Some(Images {
        name: "replay buffer",
        protocol: match checkpoint.config.replay_buffer.reinit_prob < 1.0 {
            true => format!(
                "{number} of the {capacity} persistent chains at the end of training, spread evenly; the class of \
                 each is that of its slot"
            ),
            // Every chain of such a run began anew.
            false => format!(
                "the last states of {number} of the {capacity} slots in training, spread evenly: ends of chains that began anew \
                 in each step, and starts that no step has used; the class of each is that of its slot"
            ),
        },
        values: slots.iter().flat_map(of_slot).copied().collect(),
        labels: slots.iter().map(|&slot| class_of_slot(slot, capacity, num_classes)).collect(),
        first: rows.start,
    }))
}
