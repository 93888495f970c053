//! One optimisation step of JEM++, and the return to the last good state when a step diverges.

use burn::{
    optim::{GradientsParams, ModuleOptimizer, OptimizerRecord},
    tensor::{Bytes, Device, Tensor, TensorData, Transaction},
};

use crate::{
    checkpoint::{Checkpoint, CheckpointError, Counters},
    class_centers::{ClassCentersData, ClassCentersError},
    config::RunConfig,
    data::{Batches, Dataset},
    divergence::{self, Divergence},
    energy::JointEnergy,
    kernels::{index_tensor, reference::NoiseKey},
    model::{HostTensor, ModelError, Network, WeightsError, weights_of, with_weights},
    objective::{ModelSide, Objective, ObjectiveInput, objective},
    optimizer,
    replay_buffer::{ReplayBuffer, Start},
    sampler::{ChainState, Sampler, StepInfo},
};

/// Philox stream of the chains' noise.
const CHAIN_STREAM: u32 = 1 << 20;
/// Share of the old value in the smoothed gap.
const GAP_SMOOTHING: f64 = 0.95;

/// Why a trainer could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// The network does not exist or does not fit.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No class centres.
    #[error(transparent)]
    ClassCenters(#[from] ClassCentersError),
    /// A checkpoint that does not fit.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Weights that do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A buffer too small for a batch of distinct chains, or for a chain of every class.
    #[error(
        "replay_buffer.replay_buffer_size = {capacity} is too small: it must hold a batch \
         (data.batch_size = {batch}) and every one of {num_classes} classes"
    )]
    BufferTooSmall {
        /// Chains in the buffer.
        capacity: usize,
        /// Chains per step.
        batch: usize,
        /// Classes of the data.
        num_classes: usize,
    },
    /// The optimiser's state cannot be read.
    #[error("the optimiser's state in the checkpoint cannot be read: {0}")]
    Optimizer(String),
}

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

/// A return to the last good state.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovery {
    /// Step of the state returned to.
    pub step: u64,
    /// Recoveries so far.
    pub num_recoveries: usize,
    /// Factor on the learning rate from now on.
    pub learning_rate_factor: f64,
}

/// A run in memory: everything that a step reads and changes.
pub struct Trainer {
    config: RunConfig,
    device: Device,
    network: Network,
    optimizer: ModuleOptimizer,
    buffer: ReplayBuffer,
    class_centers: ClassCentersData,
    start: Start,
    batches: Batches,
    sampler: Sampler,
    counters: Counters,
    class_names: Vec<String>,
    input_shape: [usize; 3],
    last_good: Option<Good>,
    /// Recoveries that earlier sessions of the run used up; each session has its own allowance.
    num_earlier_recoveries: usize,
}

/// The state that a diverged run returns to.
struct Good {
    network: Network,
    optimizer: ModuleOptimizer,
    buffer: ReplayBuffer,
    counters: Counters,
}

impl Trainer {
    /// A run at its beginning.
    ///
    /// # Errors
    /// A configuration whose parts do not fit the data or each other.
    pub fn new(config: RunConfig, train: Dataset, device: &Device) -> Result<Self, TrainerError> {
        let class_centers = ClassCentersData::estimate(&train, &config.class_centers)?;
        let counters = Counters { learning_rate_factor: 1.0, ..Counters::default() };
        Self::assemble(config, train, device, class_centers, counters, None)
    }

    /// A run as a checkpoint left it.
    ///
    /// # Errors
    /// As [`Trainer::new`], and a checkpoint of another network.
    pub fn resume(
        checkpoint: Checkpoint,
        train: Dataset,
        device: &Device,
    ) -> Result<Self, TrainerError> {
        checkpoint.check_data(&train)?;
        let Checkpoint {
            config, counters, weights, optimizer, replay_buffer, class_centers, ..
        } = checkpoint;
        let mut trainer =
            Self::assemble(config, train, device, class_centers, counters, Some(replay_buffer))?;
        trainer.network = with_weights(trainer.network, weights)?;
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(optimizer))
            .map_err(|error| TrainerError::Optimizer(error.to_string()))?;
        trainer.optimizer = trainer.optimizer.load_record(record);
        Ok(trainer)
    }

    fn assemble(
        config: RunConfig,
        train: Dataset,
        device: &Device,
        class_centers: ClassCentersData,
        counters: Counters,
        chains: Option<HostTensor>,
    ) -> Result<Self, TrainerError> {
        let (capacity, batch) = (config.replay_buffer.replay_buffer_size, config.data.batch_size);
        let (input_shape, num_classes) = (train.shape, train.num_classes());
        if capacity < batch.max(num_classes) {
            return Err(TrainerError::BufferTooSmall { capacity, batch, num_classes });
        }
        let device = device.clone().without_autodiff();
        let network = Network::new(
            &config.model,
            input_shape,
            num_classes,
            config.seed,
            &device.clone().autodiff(),
        )?;
        let start =
            Start::new(config.sampler.start, &class_centers.to_device(input_shape, &device));
        let section = &config.replay_buffer;
        let buffer = match chains {
            Some(HostTensor { shape, values }) => {
                let chains = Tensor::from_data(TensorData::new(values, shape), &device);
                ReplayBuffer::from_chains(chains, section, num_classes, input_shape)
            }
            None => {
                ReplayBuffer::new(section, num_classes, input_shape, &start, config.seed, &device)
            }
        };
        Ok(Self {
            optimizer: optimizer::build(&config.optimizer),
            sampler: Sampler::new(&config.sampler),
            class_names: train.class_names.clone(),
            batches: Batches::new(train, config.data.clone(), config.seed),
            config,
            device,
            network,
            buffer,
            class_centers,
            start,
            num_earlier_recoveries: counters.num_recoveries,
            counters,
            input_shape,
            last_good: None,
        })
    }

    /// The run's configuration.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Where the run stands.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The counters that the loop around the steps keeps: time and last accuracy.
    pub fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The chains as they are now.
    pub fn buffer(&self) -> &ReplayBuffer {
        &self.buffer
    }

    /// Where the tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.batches.steps_per_epoch()
    }

    /// Everything on the host, ready to be saved.
    ///
    /// # Errors
    /// The optimiser's state cannot be serialised.
    pub fn checkpoint(&self) -> Result<Checkpoint, TrainerError> {
        let chains = self.buffer.chains();
        let shape = chains.dims().to_vec();
        let Ok(values) = chains.into_data().try_into_vec() else { unreachable!("chains are f32") };
        Ok(Checkpoint {
            config: self.config.clone(),
            counters: self.counters.clone(),
            class_names: self.class_names.clone(),
            input_shape: self.input_shape,
            weights: weights_of(&self.network),
            optimizer: self
                .optimizer
                .into_bytes()
                .map_err(|error| TrainerError::Optimizer(error.to_string()))?
                .to_vec(),
            replay_buffer: HostTensor { shape, values },
            class_centers: self.class_centers.clone(),
        })
    }

    /// Does one step: sample chains, take the loss, update the weights, write the chains back.
    ///
    /// # Errors
    /// A divergence; then weights, optimiser, buffer and counters are as they were.
    pub fn step(&mut self) -> Result<StepReport, Divergence> {
        let step = self.counters.step;
        if self.last_good.is_none() {
            self.remember();
        }
        // The forward passes change batch norm's running statistics: a step that diverges must not.
        let network = self.network.copy();
        let batch = self.batches.get(step);
        let [c, h, w] = self.input_shape;
        let x_data = Tensor::<4>::from_data(
            TensorData::new(batch.values, [batch.labels.len(), c, h, w]),
            &self.device,
        );
        let weights = &self.config.objective;
        let needs_chains = weights.p_x_weight > 0.0
            || weights.p_x_y_weight > 0.0
            || weights.energy_l2_weight > 0.0;
        let chains = needs_chains.then(|| self.sample(step));

        let labels_data = index_tensor(&batch.labels, &self.device);
        let logits_data = network.logits(x_data.autodiff());
        let model = chains.as_ref().map(|chains| ModelSide {
            logits: network.logits(chains.x.clone().autodiff()),
            labels: index_tensor(&chains.labels, &self.device),
        });
        let Objective { loss, terms } =
            objective(weights, ObjectiveInput { logits_data, labels_data, model });
        let gradients = loss.backward();

        let summary = match &chains {
            Some(chains) => {
                Tensor::cat(chains.infos.iter().map(|info| info.summary.clone()).collect(), 0)
                    .mean_dim(0)
            }
            None => Tensor::zeros([1, 3], &self.device),
        };
        let mut reads = Transaction::default().register(summary).register(loss.without_autodiff());
        for term in terms {
            reads = reads.register(term.without_autodiff());
        }
        let values: Vec<f64> = reads
            .execute()
            .iter()
            .flat_map(|data| data.iter::<f32>().map(f64::from).collect::<Vec<_>>())
            .collect();
        let learning_rate = self.counters.learning_rate_factor
            * optimizer::learning_rate(&self.config.optimizer, step, self.steps_per_epoch());
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
        let gradients = GradientsParams::from_grads(gradients, &network);
        self.network = self.optimizer.step(learning_rate, network, gradients);
        if let Some(chains) = chains {
            self.buffer.put(chains.x, &chains.slots);
        }
        self.counters.smoothed_gap = smoothed_gap;
        self.counters.step += 1;
        Ok(report)
    }

    fn sample(&self, step: u64) -> Chains {
        // After a recovery the same steps draw other chains and other noise.
        let attempt = self.counters.num_recoveries as u32;
        let RunConfig { seed, data, .. } = &self.config;
        let taken = self.buffer.take(data.batch_size, &self.start, *seed, step, attempt);
        let num_steps = self.config.sampler.num_steps;
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
        let (state, infos) = self.sampler.run(state, &energy, num_steps);
        Chains { x: state.x, slots: taken.slots, labels: taken.labels, infos }
    }

    fn remember(&mut self) {
        self.last_good = Some(Good {
            network: self.network.clone(),
            optimizer: self.optimizer.clone(),
            buffer: self.buffer.copy(),
            counters: self.counters.clone(),
        });
    }

    /// Returns to the last good state with a smaller learning rate and other noise; once the allowed
    /// number of recoveries is used up, returns there as it was and gives `None`.
    pub fn recover(&mut self) -> Option<Recovery> {
        self.return_to_last_good();
        let used = self.counters.num_recoveries - self.num_earlier_recoveries;
        if used == self.config.divergence.max_recoveries {
            return None;
        }
        self.counters.num_recoveries += 1;
        self.counters.learning_rate_factor *= self.config.divergence.learning_rate_cut;
        Some(Recovery {
            step: self.counters.step,
            num_recoveries: self.counters.num_recoveries,
            learning_rate_factor: self.counters.learning_rate_factor,
        })
    }

    /// Returns to the last good state, keeping count of time and recoveries.
    pub fn return_to_last_good(&mut self) {
        let Some(good) = &self.last_good else { return };
        self.network = good.network.clone();
        self.optimizer = good.optimizer.clone();
        self.buffer = good.buffer.copy();
        let Counters { num_recoveries, learning_rate_factor, elapsed_secs, .. } = self.counters;
        self.counters = Counters {
            num_recoveries,
            learning_rate_factor,
            elapsed_secs,
            ..good.counters.clone()
        };
    }
}

/// The chains of one step, on their way to the loss and back to the buffer.
struct Chains {
    x: Tensor<4>,
    slots: Vec<u32>,
    labels: Vec<u32>,
    infos: Vec<StepInfo>,
}
