//! One training step of JEM++.

use burn::{
    optim::{GradientsParams, ModuleOptimizer},
    tensor::{Int, Tensor, TensorData},
};

use super::{
    Trainer,
    divergence::{self, Divergence},
    loss::{Inputs, Loss},
    near_data::NearData,
    samplers,
};
use jempp_cpu::reference::NoiseKey;

use crate::{
    config::{Norm, ObjectiveConfig, RunConfig},
    data::Batch,
    device::{Mark, ReadError, read_while},
    energy::JointEnergy,
    kernels::index_tensor,
    model::Network,
    objective::{Objective, Terms},
    optimizer,
    ranks::{Order, RankError},
    sampler::{ChainState, StepInfo},
    streams,
};

/// The host marks every so many steps of a chain and waits at each mark for the one before. So a GPU always has work,
/// but at most twice this many steps, and a request to stop takes effect.
const STEPS_PER_MARK: usize = 32;
/// The weight of the old value in the smoothed gap and in the smoothed area under the curve, exponential moving averages.
const SMOOTHING: f64 = 0.95;

/// Why a training step failed. Weights, optimiser, buffer and counters are as before the step.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StepError {
    /// A watched number is not finite or exceeds its bound; [`Trainer::recover`] returns to a good state for a new
    /// attempt.
    #[error(transparent)]
    Diverged(#[from] Divergence),
    /// The device failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A rank of the run failed, or is gone.
    #[error(transparent)]
    Ranks(#[from] RankError),
    /// The run is so long that its random numbers would repeat.
    #[error(
        "a run has random numbers for {} steps and {} recoveries, and this one has used them up; start a new run",
        streams::MAX_TRAINING_STEPS,
        streams::MAX_ATTEMPTS - 1
    )]
    OutOfNoise,
}

/// The results of a completed training step.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// The number of steps done, including this one.
    pub step: u64,
    /// The number of the current pass over the training set, starting at 1.
    pub epoch: u64,
    /// The value of the loss.
    pub loss: f64,
    /// The terms of the loss.
    pub terms: Terms<f64>,
    /// The gap d = mean E(x_data) - mean E(x_model).
    pub gap: f64,
    /// The mean gradient norm r along the chains, in energy per unit of x.
    pub gradient_norm: f64,
    /// The mean share of clamped gradient components along the chains.
    pub clamp_rate: f64,
    /// The mean share of pixels at the border of the box along the chains.
    pub saturation: f64,
    /// The learning rate of this step.
    pub learning_rate: f64,
    /// The number of steps that its chains made; only with a curriculum (`training.max_chain_steps`).
    pub chain_steps: Option<usize>,
}

impl StepReport {
    /// All measured numbers with their names, as they are in `metrics.jsonl` and in TensorBoard.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let numbers = [
            ("gap", self.gap),
            ("gradient_norm", self.gradient_norm),
            ("clamp_rate", self.clamp_rate),
            ("saturation", self.saturation),
            ("learning_rate", self.learning_rate),
        ];
        let chain_steps = self.chain_steps.map(|steps| ("chain_steps", steps as f64));
        [("loss", self.loss)]
            .into_iter()
            .chain(self.terms.named())
            .chain(numbers)
            .chain(chain_steps)
    }
}

impl Trainer {
    /// Does one training step: samples chains, computes the loss, updates the weights and writes the chains back.
    ///
    /// # Errors
    /// A divergence, or the device failed; then the state is unchanged.
    pub async fn step(&mut self) -> Result<StepReport, StepError> {
        match self.step_unless(&|| false).await? {
            Some(report) => Ok(report),
            None => unreachable!("nothing stops it"),
        }
    }

    /// Does one step as [`Trainer::step`], or returns `None` with the state unchanged if `stop` returns true while
    /// chains are sampled.
    ///
    /// # Errors
    /// As [`Trainer::step`].
    pub async fn step_unless(
        &mut self,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<StepReport>, StepError> {
        self.ranks.order(Order::Step)?;
        self.step_here(stop).await
    }

    /// Does this rank's part of a step.
    pub(super) async fn step_here(
        &mut self,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<StepReport>, StepError> {
        let step = self.counters.step;
        // After a recovery, a repeated step draws other chains and other noise.
        let noise = streams::training_chain(self.config.seed, step, self.counters.num_recoveries);
        let noise = noise.ok_or(StepError::OutOfNoise)?;
        if self.good_states.is_empty() {
            self.remember();
        }
        let weights = self.objective_at(step);
        let needs_chains = weights.needs_chains();
        if self.config.model.norm == Norm::Frozen {
            self.network.use_batch_statistics(self.is_of_classifier(step));
        }
        let batch = match self.next_batch.take_if(|batch| batch.step == step) {
            Some(batch) => batch,
            None => self.upload_batch(step),
        };
        let chains = match needs_chains {
            true => match self.sample(&weights, step, noise, stop).await {
                Ok(Some(chains)) => Some(chains),
                Ok(None) => {
                    self.say_stop()?;
                    return Ok(None);
                }
                Err(error) => return Err(self.say_failure(error)),
            },
            false => None,
        };
        let near = self.near_data(
            &weights,
            [&batch.values, batch.x_data()],
            &self.own_rows(&batch.labels),
            step,
        );
        let inputs = batch.inputs(near, chains.as_ref(), self.config.training.max_chain_steps > 0);
        let loss = Loss { inputs, weights, micro_batch: self.config.data.micro_batch };
        // The forward passes change the running statistics of batch norm, but a step that diverges must not.
        let network = self.network.copy();
        let RunConfig { optimizer, training, .. } = &self.config;
        let learning_rate = self.counters.learning_rate_factor
            * optimizer::learning_rate(optimizer, step, self.steps_per_epoch(), training.epochs);
        let stepped = match self.ranks.is_alone() {
            true => self.update_alone(loss, network, chains.as_ref(), learning_rate).await?,
            false => {
                if stop() {
                    self.ranks.set_stopping();
                }
                let stepped = self.update_among(loss, network, chains.as_ref(), learning_rate);
                match stepped.await? {
                    Some(stepped) => stepped,
                    None => return Ok(None),
                }
            }
        };
        let report = self.accept(stepped, chains.map(|chains| chains.slots), learning_rate)?;
        self.compare_weights_if_due().await?;
        Ok(Some(report))
    }

    /// Computes the update of a step of one process.
    async fn update_alone(
        &mut self,
        loss: Loss,
        network: Network,
        chains: Option<&Chains>,
        learning_rate: f64,
    ) -> Result<Stepped, StepError> {
        let (Objective { loss: value, terms }, gradients) = loss.gradients(&network);
        let summary = match chains {
            Some(chains) => chains.summary(),
            None => Tensor::zeros([1, 3], &self.device),
        };
        let next_step = self.counters.step + 1;
        let mut update = Some(Update { network, gradients, loss });
        let mut updated = None;
        let reading = read_while((summary, value, terms), || {
            // A GPU has its work for the update before anyone waits for the loss. The state before the step is kept
            // until the loss is known to be good, so weights and optimiser are there twice; but the activations, which
            // take more, are free by then. The few tensors of buffer and average can wait.
            let mut optimizer = self.optimizer.clone();
            updated = update.take().map(|update| {
                (update.apply(&self.config, &mut optimizer, learning_rate), optimizer)
            });
            // The readback reports what goes wrong.
            let _ = self.device.flush();
            self.next_batch = Some(self.upload_batch(next_step));
        });
        let (summary, value, terms) = reading.await?;
        let results = match (updated, update) {
            (Some((network, optimizer)), _) => Updated::Done(network, optimizer),
            (None, Some(update)) => Updated::Later(update),
            (None, None) => unreachable!("an update is applied or kept"),
        };
        let summary = std::array::from_fn(|nth| f64::from(summary[nth]));
        let x_model = chains.map(|chains| chains.x.clone());
        Ok(Stepped { updated: results, loss: f64::from(value[0]), terms, summary, x_model })
    }

    /// Takes over the results of a step, unless it diverged.
    fn accept(
        &mut self,
        stepped: Stepped,
        slots: Option<Vec<u32>>,
        learning_rate: f64,
    ) -> Result<StepReport, Divergence> {
        let step = self.counters.step;
        let Stepped { updated, loss, terms, summary, x_model } = stepped;
        let [gradient_norm, clamp_rate, saturation] = summary;
        let has_chains = slots.is_some();
        let report = StepReport {
            step: step + 1,
            epoch: step / self.steps_per_epoch() + 1,
            gradient_norm,
            clamp_rate,
            saturation,
            loss,
            gap: if has_chains { terms.energy_data - terms.energy_model } else { 0.0 },
            terms,
            learning_rate,
            chain_steps: (has_chains && self.config.training.max_chain_steps > 0)
                .then_some(self.samplers.len()),
        };
        let smoothed_gap = SMOOTHING * self.counters.smoothed_gap + (1.0 - SMOOTHING) * report.gap;
        divergence::check(&self.config.divergence, &report, smoothed_gap)?;

        if step.is_multiple_of(self.config.divergence.snapshot_every_steps as u64) {
            // Only now is the state before this step known to be good.
            self.remember();
        }
        match updated {
            Updated::Done(network, optimizer) => {
                (self.network, self.optimizer) = (network, optimizer);
            }
            Updated::Later(update) => {
                self.network = update.apply(&self.config, &mut self.optimizer, learning_rate);
            }
        }
        if let Some(average) = &mut self.average {
            average.update(&self.network, step);
        }
        if let Some((x, slots)) = x_model.zip(slots) {
            self.buffer.put(x, &slots);
        }
        self.counters.smoothed_gap = smoothed_gap;
        self.counters.step += 1;
        // The temperature was that of other weights.
        self.counters.temperature = None;
        if has_chains {
            self.follow_curriculum(report.terms.auc);
        }
        Ok(report)
    }

    /// Whether a step is one of `training.classifier_epochs`.
    fn is_of_classifier(&self, step: u64) -> bool {
        step / self.steps_per_epoch() < self.config.training.classifier_epochs as u64
    }

    /// The weights of the terms of the loss in a step.
    fn objective_at(&self, step: u64) -> ObjectiveConfig {
        match self.is_of_classifier(step) {
            true => self.config.objective.of_classifier(),
            false => self.config.objective.clone(),
        }
    }

    /// Gives the chains one more step if they have long had higher energies than the data.
    fn follow_curriculum(&mut self, auc: f64) {
        let section = &self.config.training;
        if self.samplers.len() >= section.max_chain_steps {
            return;
        }
        let smoothed = &mut self.counters.smoothed_auc;
        *smoothed = SMOOTHING * *smoothed + (1.0 - SMOOTHING) * auc;
        if *smoothed >= section.grow_at_auc {
            // The longer chains are judged by their own energies.
            *smoothed = 0.5;
            self.counters.added_chain_steps += 1;
            self.samplers = samplers(&self.config, &self.counters);
        }
    }

    /// The batch of training step `step`, on the device.
    fn upload_batch(&mut self, step: u64) -> DeviceBatch {
        let rows = self.ranks.rows(self.config.data.batch_size);
        let count = rows.len();
        let Batch { values, plain, labels } = self.batches.get_rows(step, rows);
        // Otherwise only the cross entropy uses the data.
        let plain = plain.filter(|_| self.objective_at(step).needs_energies());
        DeviceBatch {
            step,
            values: self.upload(values, count),
            plain: plain.map(|plain| self.upload(plain, count)),
            labels: index_tensor(&labels, &self.device),
        }
    }

    /// The rows of this rank.
    fn own_rows(&self, labels: &Tensor<1, Int>) -> Tensor<1, Int> {
        let rows = self.ranks.rows(labels.dims()[0]);
        match self.ranks.is_alone() {
            true => labels.clone(),
            false => labels.clone().narrow(0, rows.start, rows.len()),
        }
    }

    /// Copies the values of `count` images to the device.
    pub(super) fn upload(&self, values: Vec<f32>, count: usize) -> Tensor<4> {
        let [c, h, w] = self.input_shape;
        Tensor::from_data(TensorData::new(values, [count, c, h, w]), &self.device)
    }

    /// Samples the chains of one step: from p(x), or from p(x|y) with the classes of their slots if the
    /// class-conditional term is on. Returns `None` if `stop` returns true during sampling.
    ///
    /// Differs from JEMPP: a chain of p(x|y) has the class of its slot, with all classes equally frequent; in JEMPP the
    /// p(x, y) term takes the classes of the batch of images.
    async fn sample(
        &self,
        weights: &ObjectiveConfig,
        step: u64,
        noise: NoiseKey,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Chains>, ReadError> {
        let attempt = self.counters.num_recoveries as u32;
        let RunConfig { seed, data, .. } = &self.config;
        let rows = self.ranks.rows(data.batch_size);
        let taken =
            self.buffer.take_rows(data.batch_size, rows.clone(), &self.start, *seed, step, attempt);
        // All uploads come before the first step: each one submits the work that waits.
        let labels = index_tensor(&taken.labels, &self.device);
        let energy = match weights.p_x_y_weight > 0.0 {
            true => JointEnergy::for_labels(&self.network, taken.labels[rows.clone()].to_vec()),
            false => JointEnergy::new(&self.network),
        };
        let energy = energy.with_micro_batch(data.micro_batch);
        let noise = noise.from_chain(rows.start as u32);
        let mut state = ChainState { x: taken.x, noise };
        let mut summaries = Vec::with_capacity(self.samplers.len());
        let mut last_mark = None;
        for (index, sampler) in self.samplers.iter().enumerate() {
            if stop() {
                return Ok(None);
            }
            // Only this summary of each step is kept: the gradients of all steps would be as large as a second buffer.
            let (next, StepInfo { summary, .. }) = sampler.step(state, &energy);
            state = next;
            if (index + 1).is_multiple_of(STEPS_PER_MARK)
                && let Some(earlier) = last_mark.replace(Mark::set(&summary).await)
            {
                earlier.reached().await?;
            }
            summaries.push(summary);
        }
        Ok(Some(Chains { x: state.x, slots: taken.slots, labels, summaries }))
    }
}

/// A batch of the training set on the device: this rank's images, and the labels of all.
pub(super) struct DeviceBatch {
    /// The training step that it is for.
    step: u64,
    /// The images of the cross entropy, shape (N, C, H, W).
    values: Tensor<4>,
    /// Those of the energy terms, if they are others and something uses them.
    plain: Option<Tensor<4>>,
    labels: Tensor<1, Int>,
}

impl DeviceBatch {
    /// The images whose energies the loss takes.
    fn x_data(&self) -> &Tensor<4> {
        self.plain.as_ref().unwrap_or(&self.values)
    }

    /// The inputs of the loss; `compares` says whether energies of data and chains are compared one by one.
    fn inputs(self, near: NearData, chains: Option<&Chains>, compares: bool) -> Inputs {
        let x_data = self.x_data().clone().autodiff();
        let augmented = self.plain.is_some().then_some(self.values);
        let model = chains.map(|chains| (chains.x.clone().autodiff(), chains.labels.clone()));
        Inputs {
            x_data,
            x_augmented: near.attacked.or(augmented).map(|x| x.autodiff()),
            labels_data: self.labels,
            x_high: near.high.map(|x| x.autodiff()),
            probes: near.probes,
            compares,
            model,
        }
    }
}

/// The results of a step, before it is accepted.
pub(super) struct Stepped {
    pub(super) updated: Updated,
    pub(super) loss: f64,
    pub(super) terms: Terms<f64>,
    /// Along the chains: gradient norm, share of clamped components, share of saturated pixels.
    pub(super) summary: [f64; 3],
    /// All chains after the step, shape (N, C, H, W).
    pub(super) x_model: Option<Tensor<4>>,
}

/// The update of the weights in one step.
#[allow(clippy::large_enum_variant, reason = "there is one in a step, not a collection")]
pub(super) enum Updated {
    /// The network and the optimiser after it.
    Done(Network, ModuleOptimizer),
    /// It is applied if the step is accepted.
    Later(Update),
}

/// The update of the weights in one step, before it is applied.
pub(super) struct Update {
    /// The network of the forward pass, with the running statistics after it.
    network: Network,
    gradients: GradientsParams,
    loss: Loss,
}

impl Update {
    /// Returns the network after the update.
    fn apply(
        self,
        config: &RunConfig,
        optimizer: &mut ModuleOptimizer,
        learning_rate: f64,
    ) -> Network {
        let Self { network, mut gradients, loss } = self;
        let section = &config.optimizer;
        if section.sam_radius > 0.0 {
            // The perturbed network has its own running statistics, which are dropped with it.
            let (kind, radius) = (section.sam_kind, section.sam_radius);
            let worst = optimizer::climb(&network, &gradients, kind, radius);
            gradients = loss.gradients(&worst).1;
        }
        optimizer.step(learning_rate, network, gradients)
    }
}

/// The chains of one step, for the loss and for the write-back to the buffer: this rank's states, and the slots and classes
/// of all.
pub(super) struct Chains {
    pub(super) x: Tensor<4>,
    pub(super) slots: Vec<u32>,
    labels: Tensor<1, Int>,
    /// One summary for each step of the chains; see [`crate::sampler::StepInfo`].
    summaries: Vec<Tensor<2>>,
}

impl Chains {
    /// The mean summary along the chains, shape (1, 3).
    pub(super) fn summary(&self) -> Tensor<2> {
        Tensor::cat(self.summaries.clone(), 0).mean_dim(0)
    }
}
