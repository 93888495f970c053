//! The training run of the lab: a joint energy-based model of 2-D points, trained while it is shown.

use super::super::JobError;
use crate::{
    checkpoint::Checkpoint,
    config::{DatasetName, LabConfig, RunConfig, SamplerKind},
    data,
    device::{ReadError, read},
    energy::JointEnergy,
    trainer::{StepError, Trainer},
};

/// The largest number of points of the replay buffer that are shown.
const NUM_SHOWN: usize = 1000;
/// The largest number of data points that are shown.
const NUM_DATA: usize = 1500;
/// The bound on the gap and the gradient norm, above which training counts as diverged.
const BEYOND: f64 = 1e4;

/// The training run of the lab, and its numbers since the last frame.
pub struct Learner {
    trainer: Trainer,
    dataset: DatasetName,
    points: (Vec<f32>, Vec<u8>),
    gaps: Vec<f32>,
    cross_entropies: Vec<f32>,
}

impl Learner {
    /// Creates a training run with this configuration, before its first step.
    pub(super) fn new(
        lab: &LabConfig,
        seed: u64,
        device: &burn::tensor::Device,
    ) -> Result<Self, JobError> {
        let preset = format!("toy-{}", data::name(lab.learn_data));
        let mut config = RunConfig::preset(&preset).map_err(|_| {
            let name = data::name(lab.learn_data);
            JobError::Request(format!(
                "{name} is not a data set of 2-D points; there are two-moons, eight-gaussians, spiral, rings, \
                 checkerboard and pinwheel"
            ))
        })?;
        config.seed = seed;
        // The run has no end, because the user decides when to stop, and writes no files.
        config.training.epochs = 10_000;
        config.optimizer.decay_epochs.clear();
        config.divergence.max_abs_gap = BEYOND;
        config.divergence.max_gradient_norm = BEYOND;
        config.divergence.max_clamp_rate = 1.0;
        config.replay_buffer.replay_buffer_size = 4000;
        tune(&mut config, lab);
        config.validate()?;
        let train = data::load(&config.data, config.seed)?.train;
        let indices: Vec<usize> = data::spread(train.len(), NUM_DATA).collect();
        let points = train.gather(indices.iter().copied());
        let labels = indices.iter().map(|&index| train.labels[index] as u8).collect();
        Ok(Self {
            trainer: Trainer::new(config, train, device)?,
            dataset: lab.learn_data,
            points: (points, labels),
            gaps: Vec::new(),
            cross_entropies: Vec::new(),
        })
    }

    pub(super) fn dataset(&self) -> DatasetName {
        self.dataset
    }

    /// Uses new settings of the lab for the next steps.
    pub(super) fn retune(&mut self, lab: &LabConfig) -> Result<(), JobError> {
        Ok(self.trainer.retune(|config| tune(config, lab))?)
    }

    /// The energy with the current weights.
    pub(super) fn energy(&self) -> JointEnergy {
        JointEnergy::new(self.trainer.evaluated_network())
    }

    pub(super) async fn checkpoint(&self) -> Result<Checkpoint, JobError> {
        Ok(self.trainer.checkpoint().await?)
    }

    /// The training points (N, 2) and their classes.
    pub fn data(&self) -> (Vec<f32>, Vec<u8>) {
        self.points.clone()
    }

    /// Does one training step and keeps its measurements for the next frame.
    ///
    /// # Errors
    /// The step diverged, or the device failed; the model is then unchanged.
    pub async fn advance(&mut self) -> Result<(), StepError> {
        let report = self.trainer.step().await?;
        self.gaps.push(report.gap as f32);
        self.cross_entropies.push(report.terms.cross_entropy as f32);
        Ok(())
    }

    /// The number of training steps done so far.
    pub fn step(&self) -> u64 {
        self.trainer.counters().step
    }

    /// The progress of training since the last call, and the chains of the replay buffer.
    ///
    /// # Errors
    /// The device failed.
    pub async fn frame(&mut self) -> Result<super::LearningFrame, ReadError> {
        let buffer = self.trainer.buffer();
        let shown = data::spread(buffer.capacity(), NUM_SHOWN).map(|slot| slot as u32);
        let shown = buffer.chains_in(&shown.collect::<Vec<u32>>());
        Ok(super::LearningFrame {
            step: self.step(),
            gaps: std::mem::take(&mut self.gaps),
            cross_entropies: std::mem::take(&mut self.cross_entropies),
            buffer: read(shown).await?,
        })
    }
}

/// Sets the settings that may change during training.
fn tune(config: &mut RunConfig, lab: &LabConfig) {
    config.objective.p_x_weight = lab.learn_weight;
    config.optimizer.learning_rate = lab.learn_rate;
    config.sampler.kind = SamplerKind::ProximalSgld;
    config.sampler.num_steps = lab.learn_chain_steps;
    config.sampler.step_size = lab.learn_step_size;
    config.sampler.noise_std = lab.learn_noise_std;
}
