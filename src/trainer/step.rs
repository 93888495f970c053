//! One optimisation step of JEM++.

use burn::{
    optim::GradientsParams,
    tensor::{Int, Tensor, TensorData, Transaction},
};

use super::Trainer;
use crate::{
    config::{ObjectiveConfig, RunConfig},
    data::Batch,
    device,
    divergence::{self, Divergence},
    energy::JointEnergy,
    kernels::{index_tensor, reference::NoiseKey},
    model::Network,
    objective::{ModelSide, Objective, ObjectiveInput, objective},
    optimizer,
    sampler::ChainState,
};

/// Philox stream of the chains' noise.
const CHAIN_STREAM: u32 = 1 << 20;
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
        let step = self.counters.step;
        if self.good_states.is_empty() {
            self.remember();
        }
        let needs_chains = self.config.objective.needs_chains();
        let batch = self.batches.get(step);
        let chains = needs_chains.then(|| self.sample(step));
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
        if self.config.optimizer.sam_radius > 0.0 {
            // Its running statistics are its own and go with it.
            let worst = optimizer::climb(&network, &gradients, self.config.optimizer.sam_radius);
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
        Ok(report)
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

    fn sample(&self, step: u64) -> Chains {
        // After a recovery the same steps draw other chains and other noise.
        let attempt = self.counters.num_recoveries as u32;
        let RunConfig { seed, data, .. } = &self.config;
        let taken = self.buffer.take(data.batch_size, &self.start, *seed, step, attempt);
        let num_steps = self.samplers.len();
        let noise = NoiseKey {
            seed: self.config.seed,
            stream: CHAIN_STREAM + attempt,
            step: (step as u32).wrapping_mul(num_steps as u32),
        };
        let energy = match self.config.objective.p_x_y_weight > 0.0 {
            true => JointEnergy::for_labels(&self.network, taken.labels.clone()),
            false => JointEnergy::new(&self.network),
        };
        let state = ChainState { x: taken.x, noise };
        let (mut state, mut summaries) = (state, Vec::new());
        for sampler in &self.samplers {
            // Of each step only this is kept: gradients of all would be as large as a second buffer.
            let (next, info) = sampler.step(state, &energy);
            summaries.push(info.summary);
            state = next;
        }
        Chains { x: state.x, slots: taken.slots, labels: taken.labels, summaries }
    }
}

/// The chains of one step, on their way to the loss and back to the buffer.
struct Chains {
    x: Tensor<4>,
    slots: Vec<u32>,
    labels: Vec<u32>,
    /// Of every step, what [`crate::sampler::StepInfo::summary`] says.
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
    fn objective(&self, network: &Network, weights: &ObjectiveConfig) -> Objective {
        let input = ObjectiveInput {
            logits_data: network.logits(self.x_data.clone()),
            logits_augmented: self.x_augmented.clone().map(|x| network.logits(x)),
            labels_data: self.labels_data.clone(),
            model: self.model.clone().map(|(x, labels)| {
                let logits = network.logits(x);
                ModelSide { logits, labels }
            }),
        };
        objective(weights, input)
    }
}
