//! The trainer: optimisation steps of a training run in memory, and recovery to the last good state after a divergence.

mod among;
mod divergence;
mod loss;
mod near_data;
mod parts;
mod recovery;
mod shared_batch;
mod shown;
mod step;

use std::ops::ControlFlow;

use burn::{
    optim::{ModuleOptimizer, OptimizerRecord},
    tensor::{Bytes, Device, Tensor, TensorData},
};

use crate::{
    checkpoint::{Checkpoint, CheckpointError, Counters},
    class_centers::{ClassCentersData, ClassCentersError, Cut},
    config::{ConfigError, Norm, RunConfig},
    data::{Batches, DataError, Dataset},
    device::{self, ReadError},
    memory::{Demand, TooMuchMemory},
    model::{HostTensor, ModelError, Network, WeightsError, weights_of, with_weights},
    optimizer::{self, WeightAverage},
    ranks::{RankError, Ranks},
    replay_buffer::{ReplayBuffer, Start},
    sampler::Sampler,
};

pub use divergence::Divergence;
use recovery::GoodState;
pub use recovery::Recovery;
use step::DeviceBatch;
pub use step::{StepError, StepReport};

/// Why a trainer could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TrainerError {
    /// The configuration is out of range or contradicts itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data is not usable for training.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network does not exist or does not fit.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The class centres cannot be estimated.
    #[error(transparent)]
    ClassCenters(#[from] ClassCentersError),
    /// The run needs more memory than is allowed.
    #[error(transparent)]
    Memory(#[from] TooMuchMemory),
    /// The checkpoint does not fit the data, or holds no run.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The weights do not fit the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The replay buffer is too small for a batch of distinct chains, or for a chain of every class.
    #[error(
        "replay_buffer.replay_buffer_size = {capacity} is too small: it must hold a batch \
         (data.batch_size = {batch}) and every one of {num_classes} classes"
    )]
    BufferTooSmall {
        /// The number of chains that the buffer holds.
        capacity: usize,
        /// The number of chains in a training step.
        batch: usize,
        /// The number of classes of the data.
        num_classes: usize,
    },
    /// Adversarial training looks for images of another class, and there is none.
    #[error(
        "objective.adversarial_radius = {radius} trains with images that are nearly taken for another class, and the data has \
         only one class: set it to 0, or objective.p_y_given_x_weight to 0 for the adversarial gap alone"
    )]
    OneClass {
        /// The radius of adversarial training.
        radius: f64,
    },
    /// A new run has no running statistics to keep.
    #[error(
        "model.norm = frozen keeps the running statistics of batch norm, and a new run has none: set training.classifier_epochs \
         above 0, the epochs that gather them, or model.norm = batch"
    )]
    NoStatistics,
    /// The batch cannot be shared evenly.
    #[error(
        "data.batch_size = {batch} is the batch of all ranks together, and {ranks} ranks cannot share it evenly: set it to \
         {fitting}, or start another number of ranks"
    )]
    Uneven {
        /// The size of the batch.
        batch: usize,
        /// The number of ranks.
        ranks: usize,
        /// The nearest sizes that would do.
        fitting: String,
    },
    /// The batch of a resumed run cannot be shared evenly, and it stays as it is.
    #[error(
        "data.batch_size = {batch} is the batch of all ranks together and stays as it is in a resumed run, and {ranks} ranks \
         cannot share it evenly: start {fitting} ranks"
    )]
    UnevenResumed {
        /// The size of the batch.
        batch: usize,
        /// The number of ranks.
        ranks: usize,
        /// The nearest numbers of ranks that would do.
        fitting: String,
    },
    /// The ranks of the run cannot continue together.
    #[error(transparent)]
    Ranks(#[from] RankError),
    /// The device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The state of the optimiser cannot be read.
    #[error("the optimiser's state in the checkpoint cannot be read: {0}")]
    Optimizer(String),
}

/// A training run in memory: network, optimiser, replay buffer and progress.
///
/// [`Trainer::advance`] trains step by step; [`Trainer::model`] returns the model in its current state. `jempp train`
/// stores such a run in a folder.
pub struct Trainer {
    config: RunConfig,
    device: Device,
    network: Network,
    average: Option<WeightAverage>,
    optimizer: ModuleOptimizer,
    buffer: ReplayBuffer,
    class_centers: ClassCentersData,
    start: Start,
    batches: Batches,
    /// The next batch, prepared while a GPU computed the step before.
    next_batch: Option<DeviceBatch>,
    /// One sampler for each step of a chain.
    samplers: Vec<Sampler>,
    counters: Counters,
    class_names: Vec<String>,
    input_shape: [usize; 3],
    /// The estimate of the memory that the run needs.
    demand: Demand,
    /// The ranks that train this run together.
    ranks: Ranks,
    /// At most two states, the older first.
    good_states: Vec<GoodState>,
    /// The number of recoveries in earlier sessions of the run; each session has its own limit.
    num_earlier_recoveries: usize,
}

/// Rejects a configuration that is not valid for training, or needs too much memory, before any large allocation. Returns
/// the estimate of the memory. `uneven` is the error for a batch that the ranks cannot share.
fn check(
    config: &RunConfig,
    train: &Dataset,
    device: &Device,
    ranks: &Ranks,
    uneven: fn(usize, usize) -> TrainerError,
) -> Result<Demand, TrainerError> {
    config.validate()?;
    train.check()?;
    let (batch_size, num_train) = (config.data.batch_size, train.len());
    if batch_size > num_train {
        return Err(DataError::BatchTooLarge { batch_size, num_train }.into());
    }
    let num_classes = train.num_classes();
    if num_classes == 1 && config.objective.attacks_images() {
        return Err(TrainerError::OneClass { radius: config.objective.adversarial_radius });
    }
    if !batch_size.is_multiple_of(ranks.size()) {
        return Err(uneven(batch_size, ranks.size()));
    }
    let mut of_rank = config.clone();
    of_rank.data.batch_size = batch_size / ranks.size();
    let demand = Demand::of_training(&of_rank, train.shape, num_classes, train.len(), device)?;
    demand.check_among(&of_rank, ranks.position().local_size)?;
    Ok(demand)
}

fn uneven(batch: usize, ranks: usize) -> TrainerError {
    let below = batch / ranks * ranks;
    let fitting = match below {
        0 => ranks.to_string(),
        below => format!("{below} or {}", below + ranks),
    };
    TrainerError::Uneven { batch, ranks, fitting }
}

fn uneven_resumed(batch: usize, ranks: usize) -> TrainerError {
    let divides = |count: &usize| batch.is_multiple_of(*count);
    let nearest = [(1..ranks).rev().find(divides), (ranks..=batch).find(divides)];
    let fitting: Vec<String> =
        nearest.into_iter().flatten().map(|count| count.to_string()).collect();
    TrainerError::UnevenResumed { batch, ranks, fitting: fitting.join(" or ") }
}

/// One sampler for each step of a chain, with the steps that a curriculum has added.
fn samplers(config: &RunConfig, counters: &Counters) -> Vec<Sampler> {
    Sampler::for_steps(&config.sampler, counters.chain_steps(config))
}

impl Trainer {
    /// Creates a new run: estimates the class centres and creates network, optimiser and replay buffer.
    ///
    /// # Errors
    /// The settings do not fit the data or each other.
    pub fn new(config: RunConfig, train: Dataset, device: &Device) -> Result<Self, TrainerError> {
        let go_on = &mut |_, _| ControlFlow::Continue(());
        Ok(Self::new_with(config, train, device, &Ranks::alone(), go_on)?.0)
    }

    /// As [`Trainer::new`], as one of some ranks. All of them call it, and then rank 0 calls [`Trainer::step_unless`], and the
    /// others [`Trainer::follow`].
    ///
    /// # Errors
    /// As [`Trainer::new`]; or the ranks cannot share a batch evenly.
    #[doc(hidden)]
    pub fn new_among(
        config: RunConfig,
        train: Dataset,
        device: &Device,
        ranks: &Ranks,
    ) -> Result<Self, TrainerError> {
        let go_on = &mut |_, _| ControlFlow::Continue(());
        Ok(Self::new_with(config, train, device, ranks, go_on)?.0)
    }

    /// As [`Trainer::new`], as one of some ranks, but also returns which class centres had to be truncated. `on_class` receives the progress
    /// of their estimation and may stop it ([`ClassCentersData::estimate_with`]).
    ///
    /// # Errors
    /// As [`Trainer::new`]; or `on_class` stopped the estimation.
    pub(crate) fn new_with(
        config: RunConfig,
        train: Dataset,
        device: &Device,
        ranks: &Ranks,
        on_class: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<(Self, Option<Cut>), TrainerError> {
        let demand = check(&config, &train, device, ranks, uneven)?;
        if config.model.norm == Norm::Frozen && !config.gathers_statistics() {
            return Err(TrainerError::NoStatistics);
        }
        let (class_centers, cut) =
            ClassCentersData::estimate_with(&train, &config.class_centers, on_class)?;
        let counters = Counters {
            learning_rate_factor: 1.0,
            smoothed_auc: 0.5,
            num_train: Some(train.len() as u64),
            ..Counters::default()
        };
        let mut trainer =
            Self::assemble(config, train, device, demand, class_centers, counters, None)?;
        trainer.ranks = ranks.clone();
        Ok((trainer, cut))
    }

    /// Resumes a run from its checkpoint.
    ///
    /// # Errors
    /// As [`Trainer::new`]; or the checkpoint is of another network.
    pub fn resume(
        checkpoint: Checkpoint,
        train: Dataset,
        device: &Device,
    ) -> Result<Self, TrainerError> {
        Self::resume_among(checkpoint, train, device, &Ranks::alone())
    }

    /// As [`Trainer::resume`], as one of some ranks; all of them resume the same checkpoint.
    ///
    /// # Errors
    /// As [`Trainer::resume`].
    #[doc(hidden)]
    pub fn resume_among(
        checkpoint: Checkpoint,
        train: Dataset,
        device: &Device,
        ranks: &Ranks,
    ) -> Result<Self, TrainerError> {
        if checkpoint.is_packed() {
            return Err(CheckpointError::Packed.into());
        }
        checkpoint.check_data(&train)?;
        let demand = check(&checkpoint.config, &train, device, ranks, uneven_resumed)?;
        let Checkpoint {
            config,
            counters,
            weights,
            averaged_weights,
            optimizer,
            replay_buffer,
            class_centers,
            ..
        } = checkpoint;
        let chains = Some(replay_buffer);
        let mut trainer =
            Self::assemble(config, train, device, demand, class_centers, counters, chains)?;
        trainer.ranks = ranks.clone();
        trainer.network = with_weights(trainer.network, weights)?;
        if let Some(average) = &mut trainer.average {
            // A run that starts to average uses its current weights as the first average.
            average.network = match averaged_weights {
                Some(weights) => with_weights(trainer.network.copy(), weights)?,
                None => trainer.network.copy(),
            };
        }
        let record = OptimizerRecord::from_bytes(Bytes::from_bytes_vec(optimizer))
            .map_err(|error| TrainerError::Optimizer(error.to_string()))?;
        trainer.optimizer = trainer.optimizer.load_record(record);
        Ok(trainer)
    }

    fn assemble(
        config: RunConfig,
        train: Dataset,
        device: &Device,
        demand: Demand,
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
        let decay = config.optimizer.ema_decay;
        Ok(Self {
            average: (decay > 0.0).then(|| WeightAverage::new(&network, decay)),
            optimizer: optimizer::build(&config.optimizer),
            samplers: samplers(&config, &counters),
            class_names: train.class_names.clone(),
            batches: Batches::new(train, config.data.clone(), config.seed),
            next_batch: None,
            config,
            device,
            network,
            buffer,
            class_centers,
            start,
            num_earlier_recoveries: counters.num_recoveries,
            counters,
            input_shape,
            demand,
            ranks: Ranks::alone(),
            good_states: Vec::new(),
        })
    }

    /// The configuration of the run.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Changes settings of the sampler, the objective and the optimiser from the next step on. Other changes by
    /// `change` are ignored, because data, network and buffer of a run are fixed.
    ///
    /// # Errors
    /// A value is out of range or contradicts another; then nothing changes.
    #[cfg(feature = "gui")]
    pub(crate) fn retune(
        &mut self,
        change: impl FnOnce(&mut RunConfig),
    ) -> Result<(), ConfigError> {
        let mut config = self.config.clone();
        change(&mut config);
        let RunConfig { sampler, objective, optimizer, .. } = config;
        let config = RunConfig { sampler, objective, optimizer, ..self.config.clone() };
        config.validate()?;
        self.samplers = samplers(&config, &self.counters);
        // Which images of a batch are used depends on the objective.
        self.next_batch = None;
        self.config = config;
        Ok(())
    }

    /// The estimate of the memory that the run needs.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// The progress of the run: steps, recoveries, time and last accuracy.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The counters that the training loop updates: time and last accuracy.
    pub(crate) fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// The network that the next step trains.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network for evaluation and sampling: the average of the weights if the run keeps one.
    pub fn evaluated_network(&self) -> &Network {
        self.average.as_ref().map_or(&self.network, |average| &average.network)
    }

    /// The replay buffer with its current chains.
    pub fn buffer(&self) -> &ReplayBuffer {
        &self.buffer
    }

    /// The device that holds the tensors.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The number of training steps in an epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.batches.steps_per_epoch()
    }

    /// Reads the whole state of the run from the device, ready to be saved.
    ///
    /// # Errors
    /// The state of the optimiser cannot be serialised, or the device failed.
    pub async fn checkpoint(&self) -> Result<Checkpoint, TrainerError> {
        let chains = self.buffer.chains();
        let shape = chains.dims().to_vec();
        let values = device::read(chains).await?;
        // burn blocks while it reads the optimiser state. In a browser a GPU readback cannot block, so only the model
        // is saved there: it can be sampled, but its training cannot resume.
        let optimizer = match device::is_blocking(&self.device) {
            true => {
                self.optimizer.into_bytes().map_err(|e| TrainerError::Optimizer(e.to_string()))?
            }
            false => Bytes::from_bytes_vec(Vec::new()),
        };
        let optimizer = optimizer.to_vec();
        let averaged_weights = match &self.average {
            Some(average) => Some(weights_of(&average.network).await?),
            None => None,
        };
        Ok(Checkpoint {
            config: self.config.clone(),
            counters: self.counters.clone(),
            class_names: self.class_names.clone(),
            input_shape: self.input_shape,
            weights: weights_of(&self.network).await?,
            averaged_weights,
            optimizer,
            replay_buffer: HostTensor { shape, values },
            class_centers: self.class_centers.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data, ranks::threads};

    #[test]
    fn ranks_of_a_computer_share_its_memory() {
        /// So many that the part of each is small on any machine.
        const NUM_RANKS: usize = 2000;
        let mut config = RunConfig::preset("fashion-quick").unwrap();
        // About 0.9 GiB in each process.
        config.replay_buffer.replay_buffer_size = 50_000;
        let train = data::load(&config.data, config.seed).unwrap().train;
        let checked = |ranks: &Ranks| {
            let mut config = config.clone();
            config.data.batch_size = ranks.size();
            check(&config, &train, &device::cpu(), ranks, uneven)
        };
        checked(&Ranks::alone()).unwrap();
        let refused = checked(&threads::group(NUM_RANKS)[0]);
        assert!(matches!(refused, Err(TrainerError::Memory(TooMuchMemory::Total { .. }))));
    }
}
