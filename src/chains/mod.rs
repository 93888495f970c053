//! Runs Langevin chains from a checkpoint, one step at a time.
//!
//! A [`ChainRun`] is an iterator over [`ChainStep`]s: the chains at their starts, after one step, and so on to the
//! end. It keeps only the current state of the chains, so the memory does not grow with the number of steps. The
//! caller uses the numbers: `jempp sample` writes them to files, [`crate::convergence`] computes diagnostics from
//! them.

mod error;
mod step;

use std::{collections::BTreeSet, ops::Range, time::Instant};

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use jempp_cpu::reference::NoiseKey;

use crate::{
    checkpoint::Checkpoint,
    config::{Norm, StartKind},
    energy::{JointEnergy, denoised},
    kernels::index_tensor,
    model::Network,
    sampler::{ChainState, Sampler, StepInfo},
    shard::Shard,
    starts::{self, SampleStart},
    streams,
};
use step::{Columns, Wanted};

pub use error::ChainError;
pub use step::{ChainStep, Judged};

/// The settings of a chain run: starts, classes and number of steps. The sampler is that of the checkpoint's
/// configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainSettings {
    /// The kind of starts.
    pub start: SampleStart,
    /// The classes whose chains run, in this order; all classes if empty.
    pub classes: Vec<u32>,
    /// The number of chains per class.
    pub per_class: usize,
    /// The number of consecutive chains of a class that share one start; divides `per_class`.
    pub chains_per_start: usize,
    /// The number of steps per chain.
    pub num_steps: usize,
    /// Whether a chain of class y samples p(x|y) instead of p(x).
    pub is_conditional: bool,
    /// The seed of starts and noise: the same seed gives the same chains.
    pub seed: u64,
    /// The part of the chains that runs: each of them is the chain that it would be in the whole run. The parts are
    /// consecutive chains.
    pub shard: Shard,
}

impl Default for ChainSettings {
    /// Ten chains of every class, with a hundred steps from class centres.
    fn default() -> Self {
        Self {
            start: SampleStart::Fresh(StartKind::ClassCenters),
            classes: Vec::new(),
            per_class: 10,
            chains_per_start: 1,
            num_steps: 100,
            is_conditional: false,
            seed: 0,
            shard: Shard::WHOLE,
        }
    }
}

impl ChainSettings {
    /// The class of each chain of the whole run.
    ///
    /// # Errors
    /// A class that the model does not have, or chains that cannot be divided equally among the starts.
    fn labels(&self, checkpoint: &Checkpoint) -> Result<Vec<u32>, ChainError> {
        let num_classes = checkpoint.class_names.len();
        if let Some(&class) = self.classes.iter().find(|&&class| class as usize >= num_classes) {
            return Err(ChainError::NoSuchClass { class, names: checkpoint.class_names.clone() });
        }
        let (per_class, chains_per_start) = (self.per_class, self.chains_per_start);
        if per_class == 0 || !per_class.is_multiple_of(chains_per_start) {
            return Err(ChainError::UnevenStarts { per_class, chains_per_start });
        }
        let classes = match self.classes.is_empty() {
            true => (0..num_classes as u32).collect(),
            false => self.classes.clone(),
        };
        Ok(classes.iter().flat_map(|&class| vec![class; per_class]).collect())
    }
}

/// A run of chains: an iterator over their steps, which begins with the starts.
pub struct ChainRun<'a> {
    checkpoint: &'a Checkpoint,
    settings: ChainSettings,
    /// The class of each chain of the whole run.
    all_labels: Vec<u32>,
    /// The class of each chain of this part.
    labels: Vec<u32>,
    network: Network,
    energy: JointEnergy,
    judge: Option<Network>,
    /// The starts of the chains, (N, C, H, W).
    start: Tensor<4>,
    /// The current state of the chains; `None` after the last step.
    state: Option<ChainState>,
    /// The number of steps done.
    num_done: usize,
    /// The evaluation of the current state, if a GPU began it before the caller asked for it.
    ahead: Option<Evaluation>,
    reads_images: bool,
    measure: Option<Measure>,
    is_stopped: bool,
}

/// Numbers of each chain, shape (N, k), from the chains (N, C, H, W), on the device.
type Measure = Box<dyn Fn(Tensor<4>) -> Tensor<2> + Send + Sync>;

/// The measurements of chains at one state, and the state after the step that leaves it.
struct Evaluation {
    sampler: Sampler,
    info: StepInfo,
    next: ChainState,
    /// The time at which nothing but this evaluation was waited for.
    begin: Instant,
}

impl<'a> ChainRun<'a> {
    /// Places chains of a model at their starts, on a device.
    ///
    /// # Errors
    /// Settings that do not fit the model, starts that the model or its data cannot provide, more chains than fit in
    /// memory.
    pub fn new(
        checkpoint: &'a Checkpoint,
        settings: &ChainSettings,
        device: &Device,
    ) -> Result<Self, ChainError> {
        checkpoint.config.validate()?;
        let all_labels = settings.labels(checkpoint)?;
        let part = part_of(checkpoint, settings.shard, all_labels.len())?;
        let labels = all_labels[part.clone()].to_vec();
        checkpoint.check_memory(labels.len(), device)?;
        let per_start = settings.chains_per_start;
        let firsts: Vec<u32> = all_labels.iter().step_by(per_start).copied().collect();
        let starts = part.start / per_start..part.end.div_ceil(per_start);
        let first_start = starts.start;
        let mut start =
            starts::draw_part(checkpoint, &settings.start, &firsts, starts, settings.seed, device)?;
        if per_start > 1 {
            let start_of = |chain: usize| (chain / per_start - first_start) as u32;
            let rows: Vec<u32> = part.clone().map(start_of).collect();
            start = start.select(0, index_tensor(&rows, device));
        }
        let network = checkpoint.network(device)?;
        let energy = JointEnergy::of_chains(&network, settings.is_conditional, &labels);
        let energy = energy.with_micro_batch(checkpoint.config.data.micro_batch);
        let noise = streams::CHAIN_NOISE.key(settings.seed, 0).from_chain(part.start as u32);
        Ok(Self {
            checkpoint,
            settings: settings.clone(),
            all_labels,
            labels,
            network,
            energy,
            judge: None,
            state: Some(ChainState { x: start.clone(), noise }),
            start,
            num_done: 0,
            ahead: None,
            reads_images: false,
            measure: None,
            is_stopped: false,
        })
    }

    /// Adds a judge: another classifier of the same data, whose predictions for the chains every step then also
    /// holds.
    ///
    /// # Errors
    /// The classifier belongs to other data.
    pub fn with_judge(mut self, judge: &Checkpoint) -> Result<Self, ChainError> {
        self.checkpoint.check_judge(judge)?;
        // Freeze the judge, so that its prediction for one chain does not depend on the others.
        self.judge = Some(judge.network(&self.start.device())?.valid().freeze());
        Ok(self)
    }

    /// Makes the following steps hold the logits; the extra cost is only the head of the network, or a pass where the classifier has
    /// not seen the noise of the chains.
    pub fn read_logits(&mut self) {
        self.energy = self.energy.clone().with_logits();
        self.ahead = None;
    }

    /// Sets whether the following steps hold the images of the chains: copying them to the host takes time.
    pub fn read_images(&mut self, wanted: bool) {
        self.reads_images = wanted;
    }

    /// Makes the following steps hold the numbers that `measure` computes on the device from the chains: a few numbers
    /// of each chain are read in no time, its image is not.
    pub(crate) fn measure(
        &mut self,
        measure: impl Fn(Tensor<4>) -> Tensor<2> + Send + Sync + 'static,
    ) {
        self.measure = Some(Box::new(measure));
    }

    /// Ends the run early: the next step is the last one.
    pub fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// The class of each chain of this part.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The class of each chain of all parts.
    pub fn all_labels(&self) -> &[u32] {
        &self.all_labels
    }

    /// The place of this part's first chain among those of all parts.
    pub fn first_chain(&self) -> usize {
        self.settings.shard.range(self.all_labels.len()).start
    }

    /// The classes that are sampled, by all parts together.
    pub fn classes(&self) -> BTreeSet<u32> {
        self.all_labels.iter().copied().collect()
    }

    /// The settings of the run.
    pub fn settings(&self) -> &ChainSettings {
        &self.settings
    }

    /// The model that the chains sample from.
    pub fn checkpoint(&self) -> &'a Checkpoint {
        self.checkpoint
    }

    /// The energy that the chains use.
    pub fn energy(&self) -> &JointEnergy {
        &self.energy
    }

    /// The energy of images of these classes under the density that the chains sample, with logits.
    pub(crate) fn energy_of_classes(&self, labels: Vec<u32>) -> JointEnergy {
        JointEnergy::of_chains(&self.network, self.settings.is_conditional, &labels)
            .with_micro_batch(self.checkpoint.config.data.micro_batch)
            .with_logits()
    }

    /// The starts of the chains, shape (N, C, H, W).
    pub fn start(&self) -> &Tensor<4> {
        &self.start
    }

    /// The noise key of the first step.
    pub(crate) fn first_noise(&self) -> NoiseKey {
        streams::CHAIN_NOISE.key(self.settings.seed, 0).from_chain(self.first_chain() as u32)
    }

    /// The number of the next [`ChainStep`].
    pub fn next_step(&self) -> usize {
        self.num_done
    }

    /// Whether the next step is the last one, because all steps are done or the run was stopped.
    pub fn is_at_end(&self) -> bool {
        self.is_stopped || self.num_done == self.settings.num_steps
    }

    /// The step that removes the noise of the data from what is shown of the chains after `step` steps. It is 0 for starts, which have
    /// no noise, but not for those from the replay buffer.
    fn denoise_step(&self, step: usize) -> f64 {
        match step > 0 || self.settings.start == SampleStart::Buffer {
            true => self.checkpoint.config.sampler.denoise_step,
            false => 0.0,
        }
    }

    /// Evaluates chains after `step` steps and moves them one step further.
    fn evaluate(&self, state: ChainState, step: usize) -> Evaluation {
        let (section, num_steps) = (&self.checkpoint.config.sampler, self.settings.num_steps);
        // The last state is evaluated to get its energy, but there is no step after it.
        let sampler = match step == num_steps {
            true => Sampler::new(section),
            false => Sampler::at_step(section, step, num_steps),
        };
        let begin = Instant::now();
        let (next, info) = sampler.step(state, &self.energy);
        Evaluation { sampler, info, next, begin }
    }
}

/// The chains that a part of a run moves, of `num_chains` in all parts.
///
/// # Errors
/// There are more parts than chains; the chains cannot be moved in parts.
fn part_of(
    checkpoint: &Checkpoint,
    shard: Shard,
    num_chains: usize,
) -> Result<Range<usize>, ChainError> {
    if shard.is_whole() {
        return Ok(0..num_chains);
    }
    if shard.count() > num_chains {
        return Err(ChainError::TooManyParts { shard, num_chains });
    }
    // The statistics of a batch are those of all its chains.
    if checkpoint.config.model.norm == Norm::Batch {
        return Err(ChainError::CoupledParts);
    }
    // Every value of every chain has a place of its own in the noise of a step.
    let num_pixels: usize = checkpoint.input_shape.iter().product();
    if (num_chains * num_pixels.next_multiple_of(4)) as u64 > 1 << 32 {
        return Err(ChainError::TooMuchNoise { num_chains });
    }
    Ok(shard.range(num_chains))
}

impl Iterator for ChainRun<'_> {
    type Item = Result<ChainStep, ChainError>;

    /// Returns the current state of the chains, then moves them one step further unless this was the last step. A GPU
    /// already computes the next state while the caller uses this one.
    fn next(&mut self) -> Option<Self::Item> {
        let ChainState { x, noise } = self.state.take()?;
        let (step, is_last) = (self.num_done, self.is_at_end());
        let evaluation = self
            .ahead
            .take()
            .unwrap_or_else(|| self.evaluate(ChainState { x: x.clone(), noise }, step));
        let Evaluation { sampler, info, next, begin } = evaluation;
        let length = self.denoise_step(step);
        let is_unseen = length > 0.0 && self.checkpoint.config.class_denoise_step() > 0.0;
        let is_classified = info.logits.is_some() && is_unseen;
        let is_shown = self.reads_images || self.judge.is_some() || is_classified;
        let shown = is_shown.then(|| match length {
            0.0 => x.clone(),
            length => denoised(x.clone(), info.gradient.clone(), length),
        });
        let logits = match &shown {
            Some(shown) if is_classified => Some(self.energy.logits(shown.clone())),
            _ => info.logits.clone(),
        };
        let wanted = Wanted {
            shown,
            logits,
            reads_images: self.reads_images,
            acceptance: !is_last,
            judge: self.judge.as_ref(),
            measured: self.measure.as_ref().map(|measure| measure(x.clone())),
        };
        let mut ahead = None;
        let read = Columns::read(&info, wanted, || {
            ahead = (!is_last).then(|| self.evaluate(next.clone(), step + 1));
            // The next readback reports what goes wrong.
            let _ = x.device().flush();
        });
        let read = match read {
            Ok(read) => read,
            Err(error) => return Some(Err(error.into())),
        };
        let secs = begin.elapsed().as_secs_f64();
        if !is_last {
            self.state = Some(next);
            self.num_done += 1;
            self.ahead = ahead.map(|ahead| Evaluation { begin: Instant::now(), ..ahead });
        }
        let [gradient_norms, clamp_rates, saturations] = [0, 1, 2].map(|nth| read.health(nth));
        let Columns { energies, images, acceptance, logits, judged, measured, .. } = read;
        Some(Ok(ChainStep {
            step,
            is_last,
            energies,
            gradient_norms,
            clamp_rates,
            saturations,
            acceptance,
            logits,
            judged,
            images,
            measured,
            secs,
            x,
            info,
            sampler: (!is_last).then_some(sampler),
        }))
    }
}
