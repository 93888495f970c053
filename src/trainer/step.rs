//! One optimisation step of JEM++.

use burn::{
    optim::GradientsParams,
    tensor::{Int, Tensor, TensorData, Transaction},
};

use super::{
    Trainer,
    divergence::{self, Divergence},
};
use crate::{
    config::{ObjectiveConfig, RunConfig},
    data::Batch,
    device,
    energy::JointEnergy,
    kernels::{index_tensor, reference::NoiseKey},
    model::Network,
    objective::{ModelSide, Objective, ObjectiveInput, objective},
    optimizer,
    sampler::ChainState,
};

/// Philox streams of the chains' noise, one for each training step: the upper half of all streams.
const CHAIN_STREAM: u32 = 1 << 31;
/// Bits of a counter that number the steps of a chain within a training step, of which `sampler.num_steps` allows
/// fewer than 2^17; those above number the attempts.
const CHAIN_STEP_BITS: u32 = 17;
/// Steps of the chains that may queue up on a GPU before it is waited for, so that a request to stop is heard.
const MAX_QUEUED: usize = 64;
/// Share of the old value in the smoothed gap.
const GAP_SMOOTHING: f64 = 0.95;

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    /// Passes over the training set begun, from 1.
    pub epoch: u64,
    /// The loss.
    pub loss: f64,
    /// The terms of [`crate::objective::TERM_NAMES`].
    pub terms: [f64; 6],
    /// d = mean E(x_data) - mean E(x_model).
    pub gap: f64,
    /// r, the mean gradient norm along the chains, in energy per unit of x.
    pub gradient_norm: f64,
    /// Mean share of clamped gradient components along the chains.
    pub clamp_rate: f64,
    /// Mean share of pixels at the border of the box along the chains.
    pub saturation: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
}

impl Trainer {
    /// Does one step: sample chains, take the loss, update the weights, write the chains back.
    ///
    /// # Errors
    /// A divergence; then weights, optimiser, buffer and counters are as they were.
    pub async fn step(&mut self) -> Result<StepReport, Divergence> {
        match self.step_unless(&|| false).await? {
            Some(report) => Ok(report),
            None => unreachable!("nothing stops it"),
        }
    }

    /// The same, or `None`, with everything as it was, if `stop` says so while chains are sampled.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub async fn step_unless(
        &mut self,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<StepReport>, Divergence> {
        let step = self.counters.step;
        if self.good_states.is_empty() {
            self.remember();
        }
        let needs_chains = self.config.objective.needs_chains();
        let batch = self.batches.get(step);
        let chains = match needs_chains {
            true => match self.sample(step, stop).await {
                Some(chains) => Some(chains),
                None => return Ok(None),
            },
            false => None,
        };
        let inputs = self.inputs(batch, chains.as_ref());
        // The forward passes change batch norm's running statistics: a step that diverges must not.
        let network = self.network.copy();
        let Objective { loss, terms } = inputs.objective(&network, &self.config.objective);
        let mut gradients = GradientsParams::from_grads(loss.backward(), &network);

        let summary = match &chains {
            Some(chains) => Tensor::cat(chains.summaries.clone(), 0).mean_dim(0),
            None => Tensor::zeros([1, 3], &self.device),
        };
        let mut reads = Transaction::default().register(summary).register(loss.without_autodiff());
        for term in terms {
            reads = reads.register(term.without_autodiff());
        }
        let values: Vec<f64> =
            device::read(reads).await.into_iter().flatten().map(f64::from).collect();
        let RunConfig { optimizer, training, .. } = &self.config;
        let learning_rate = self.counters.learning_rate_factor
            * optimizer::learning_rate(optimizer, step, self.steps_per_epoch(), training.epochs);
        let report = StepReport {
            step: step + 1,
            epoch: step / self.steps_per_epoch() + 1,
            gradient_norm: values[0],
            clamp_rate: values[1],
            saturation: values[2],
            loss: values[3],
            terms: std::array::from_fn(|index| values[4 + index]),
            gap: if needs_chains { values[4] - values[5] } else { 0.0 },
            learning_rate,
        };
        let smoothed_gap =
            GAP_SMOOTHING * self.counters.smoothed_gap + (1.0 - GAP_SMOOTHING) * report.gap;
        divergence::check(&self.config.divergence, &report, smoothed_gap)?;

        if step.is_multiple_of(self.config.divergence.snapshot_every_steps as u64) {
            // Only now is the state that this step began with known to be good.
            self.remember();
        }
        let section = &self.config.optimizer;
        if section.sam_radius > 0.0 {
            // Its running statistics are its own and go with it.
            let (kind, radius) = (section.sam_kind, section.sam_radius);
            let worst = optimizer::climb(&network, &gradients, kind, radius);
            let Objective { loss, .. } = inputs.objective(&worst, &self.config.objective);
            gradients = GradientsParams::from_grads(loss.backward(), &worst);
        }
        self.network = self.optimizer.step(learning_rate, network, gradients);
        if let Some(average) = &mut self.average {
            average.update(&self.network, step);
        }
        if let Some(chains) = chains {
            self.buffer.put(chains.x, &chains.slots);
        }
        self.counters.smoothed_gap = smoothed_gap;
        self.counters.step += 1;
        Ok(Some(report))
    }

    fn inputs(&self, batch: Batch, chains: Option<&Chains>) -> Inputs {
        let [c, h, w] = self.input_shape;
        let Batch { values, plain, labels } = batch;
        let upload = |values: Vec<f32>| {
            let data = TensorData::new(values, [labels.len(), c, h, w]);
            Tensor::<4>::from_data(data, &self.device).autodiff()
        };
        // Without chains nothing but the cross entropy looks at the data.
        let (x_data, x_augmented) = match plain.filter(|_| chains.is_some()) {
            Some(plain) => (upload(plain), Some(upload(values))),
            None => (upload(values), None),
        };
        Inputs {
            x_data,
            x_augmented,
            labels_data: index_tensor(&labels, &self.device),
            model: chains.map(|chains| {
                (chains.x.clone().autodiff(), index_tensor(&chains.labels, &self.device))
            }),
        }
    }

    /// The chains of one step, or `None` if `stop` says so on the way: of p(x), or of p(x|y) of their slots' classes
    /// where the class-conditional term is on.
    ///
    /// Differs from JEMPP: the class of a chain of p(x|y) is its slot's, all classes alike; there the p(x, y) term takes
    /// the classes of the batch of images.
    async fn sample(&self, step: u64, stop: &dyn Fn() -> bool) -> Option<Chains> {
        // After a recovery the same steps draw other chains and other noise.
        let attempt = self.counters.num_recoveries as u32;
        let RunConfig { seed, data, .. } = &self.config;
        let taken = self.buffer.take(data.batch_size, &self.start, *seed, step, attempt);
        let energy = match self.config.objective.p_x_y_weight > 0.0 {
            true => JointEnergy::for_labels(&self.network, taken.labels.clone()),
            false => JointEnergy::new(&self.network),
        };
        let mut state = ChainState { x: taken.x, noise: chain_noise(*seed, step, attempt) };
        let mut summaries = Vec::with_capacity(self.samplers.len());
        for (index, sampler) in self.samplers.iter().enumerate() {
            if stop() {
                return None;
            }
            // Of each step only this is kept: gradients of all would be as large as a second buffer.
            let info;
            (state, info) = sampler.step(state, &energy);
            summaries.push(info.summary);
            if (index + 1).is_multiple_of(MAX_QUEUED) {
                let last = summaries[index].clone();
                device::read(Transaction::default().register(last)).await;
            }
        }
        Some(Chains { x: state.x, slots: taken.slots, labels: taken.labels, summaries })
    }
}

/// The noise that the chains of a training step begin with.
///
/// Training step, chain step and attempt have bits of their own, so that no noise comes twice, whatever
/// `sampler.num_steps` was when earlier steps were done.
fn chain_noise(seed: u64, step: u64, attempt: u32) -> NoiseKey {
    let stream = CHAIN_STREAM | step as u32;
    NoiseKey { seed, stream, step: attempt << CHAIN_STEP_BITS }
}

/// The chains of one step, on their way to the loss and back to the buffer.
struct Chains {
    x: Tensor<4>,
    slots: Vec<u32>,
    labels: Vec<u32>,
    /// One for each step of the chains; see [`crate::sampler::StepInfo`].
    summaries: Vec<Tensor<2>>,
}

/// What the loss of one step is a function of, beside the weights. Inputs are (N, C, H, W).
struct Inputs {
    x_data: Tensor<4>,
    x_augmented: Option<Tensor<4>>,
    labels_data: Tensor<1, Int>,
    model: Option<(Tensor<4>, Tensor<1, Int>)>,
}

impl Inputs {
    /// The loss of `network`, whose running statistics take in the images that the cross entropy sees and
    /// nothing else: evaluation, which reads them, classifies images, and chains may be far from those.
    ///
    /// Differs from JEMPP: there every pass enters them, the chains' as well, and the cross entropy's comes last, so
    /// that a momentum of 0.9 leaves 10 % of them to chains and images of p(x). Here that tenth is of earlier images.
    fn objective(&self, network: &Network, weights: &ObjectiveConfig) -> Objective {
        let aside = network.aside();
        let x_data = self.x_data.clone();
        let (logits_data, logits_augmented) = match self.x_augmented.clone() {
            Some(x_augmented) => (aside.logits(x_data), Some(network.logits(x_augmented))),
            None => (network.logits(x_data), None),
        };
        let input = ObjectiveInput {
            logits_data,
            logits_augmented,
            labels_data: self.labels_data.clone(),
            model: self.model.clone().map(|(x, labels)| {
                let logits = aside.logits(x);
                ModelSide { logits, labels }
            }),
        };
        objective(weights, input)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::SamplerConfig;

    #[test]
    fn no_noise_comes_twice_when_the_number_of_chain_steps_changes() {
        let (_, most) = SamplerConfig::field("num_steps").range.unwrap_or_default();
        assert!(most > 0.0 && most <= f64::from(1u32 << CHAIN_STEP_BITS), "{most}");

        let mut seen = HashSet::new();
        let mut num_used = 0;
        for (step, num_steps) in [10, 5, 7, 7, 1, 100_000, 3].into_iter().enumerate() {
            for attempt in 0..3 {
                let first = chain_noise(1, step as u64, attempt);
                seen.extend(
                    (0..num_steps).map(|chain_step| (first.stream, first.step + chain_step)),
                );
                num_used += num_steps as usize;
            }
        }
        assert_eq!(seen.len(), num_used);
    }
}
