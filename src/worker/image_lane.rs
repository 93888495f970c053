//! The chains of one lane: their state, their steps, and the readback of their measurements.

use std::sync::Arc;

use burn::tensor::{Bool, Device, Tensor, TensorData};
use half::f16;
use web_time::Instant;

use super::{
    JobError, LaneImages, LaneNumbers, LaneStep,
    help::{Known, ask_helper, gathered},
};
use jempp_cpu::reference::NoiseKey;

use crate::{
    checkpoint::Checkpoint,
    config::{LaneConfig, ModelConfig, RunConfig, SamplerKind, StartKind, ViewStart},
    data,
    device::{ReadError, Readable, read},
    energy::{Energy, EnergyGradient, JointEnergy, denoised, energy_of_row},
    model::{Network, with_weights_from},
    numbers::class_probabilities,
    sampler::{ChainState, Sampler, StepInfo},
    starts::{self, SampleStart, distances},
    streams,
};

const FIXED_MALA: &str = "MALA accepts or rejects whole images: it cannot run while pixels are frozen. Choose \
                          another sampler, or release all pixels";

/// The pixels that stay fixed in an inpainted chain.
struct Fixed {
    chain: usize,
    image: Arc<[f32]>,
    is_fixed: Vec<bool>,
}

/// The chains of one lane of the window, with their sampler and their step.
pub(super) struct ImageLane {
    config: LaneConfig,
    energy: JointEnergy,
    /// The temperature of p(y|x); the chains have none.
    temperature: Option<f64>,
    /// Whether the classifier saw no noise of the data in training: classes are then read at chains without it.
    classifies_clean: bool,
    state: ChainState,
    /// The state after the next step, if the current state was already evaluated with the current rule.
    next: Option<Tensor<4>>,
    /// The gradient at the current state, if other workers have helped to compute it.
    known: Option<EnergyGradient>,
    /// The starts x_0 on the host, shape (N, C, H, W).
    start: Vec<f32>,
    fixed: Vec<Fixed>,
    /// The mask of the fixed pixels and their values, as tensors (N, C, H, W).
    fixed_tensors: Option<(Tensor<4, Bool>, Tensor<4>)>,
    /// The seconds and full gradients used up to the present step.
    spent: (f64, u64),
}

/// What is read of a lane at each step: energies, summaries, chains, gradients, logits, those for the classes if they are others,
/// and acceptances.
pub(super) type LaneReads = (
    Tensor<1>,
    Tensor<2>,
    Tensor<4>,
    Option<Tensor<4>>,
    (Option<Tensor<2>>, Option<Tensor<2>>),
    Option<Tensor<2>>,
);

/// A model, and the network in training whose weights replace those of the model, if there is one.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    pub(super) followed: Option<&'a Network>,
}

impl Weights<'_> {
    /// The temperature of p(y|x), if the model was calibrated after training.
    pub(super) fn temperature(&self) -> Option<f64> {
        self.checkpoint.counters.temperature.filter(|_| self.followed.is_none())
    }
}

/// The energy that the chains of a lane sample.
pub(super) fn energy_of(
    weights: Weights,
    config: &LaneConfig,
    labels: &[u32],
    device: &Device,
) -> Result<JointEnergy, JobError> {
    let Weights { checkpoint, followed } = weights;
    let model =
        ModelConfig { split: config.split, norm: config.norm, ..checkpoint.config.model.clone() };
    let mut network = checkpoint.network_with(&model, device)?;
    if let Some(followed) = followed {
        network = with_weights_from(network, followed)?;
    }
    let energy = JointEnergy::of_chains(&network, config.is_conditional, labels);
    Ok(energy.with_micro_batch(checkpoint.config.data.micro_batch).with_logits())
}

/// Checks that the settings of a rule are compatible.
fn check(checkpoint: &Checkpoint, config: &LaneConfig) -> Result<(), JobError> {
    let mut whole = RunConfig {
        sampler: config.sampler.clone(),
        model: checkpoint.config.model.clone(),
        ..RunConfig::default()
    };
    whole.model.norm = config.norm;
    Ok(whole.validate()?)
}

impl ImageLane {
    /// Draws the starts of the chains.
    ///
    /// # Errors
    /// The model does not allow the sampler or the start, or the device failed.
    pub(super) async fn new(
        weights: Weights<'_>,
        config: LaneConfig,
        labels: &[u32],
        seed: u64,
        image: Option<&Arc<[f32]>>,
        device: &Device,
    ) -> Result<Self, JobError> {
        let checkpoint = weights.checkpoint;
        check(checkpoint, &config)?;
        let start = match config.start {
            ViewStart::ClassCenters => SampleStart::Fresh(StartKind::ClassCenters),
            ViewStart::Uniform => SampleStart::Fresh(StartKind::Uniform),
            ViewStart::Data => SampleStart::Data,
            ViewStart::Buffer => SampleStart::Buffer,
            ViewStart::Image => SampleStart::Image(image.cloned().ok_or_else(|| {
                JobError::Request("there is no image to start from: draw one or drop a file".into())
            })?),
        };
        if start == SampleStart::Data {
            data::prepare(&checkpoint.config.data).await?;
        }
        let x = starts::draw(checkpoint, &start, labels, seed, device)?;
        Ok(Self {
            energy: energy_of(weights, &config, labels, device)?,
            temperature: weights.temperature(),
            classifies_clean: checkpoint.config.class_denoise_step() > 0.0,
            config,
            start: read(x.clone()).await?,
            state: ChainState { x, noise: streams::CHAIN_NOISE.key(seed, 0) },
            next: None,
            known: None,
            fixed: Vec::new(),
            fixed_tensors: None,
            spent: (0.0, 0),
        })
    }

    /// Checks that a rule can replace this one.
    pub(super) fn check(
        &self,
        checkpoint: &Checkpoint,
        config: &LaneConfig,
    ) -> Result<(), JobError> {
        check(checkpoint, config)?;
        if config.split > self.energy.network().num_pieces() {
            return Err(JobError::Request(
                "the split is larger than the network's number of pieces".into(),
            ));
        }
        if config.sampler.kind == SamplerKind::Mala && !self.fixed.is_empty() {
            return Err(JobError::Request(FIXED_MALA.into()));
        }
        Ok(())
    }

    /// Replaces the rule; the chains keep their positions.
    pub(super) fn set_config(
        &mut self,
        weights: Weights,
        config: LaneConfig,
        labels: &[u32],
        device: &Device,
    ) -> Result<(), JobError> {
        if config == self.config {
            return Ok(());
        }
        check(weights.checkpoint, &config)?;
        let (old, new) = (&self.config, &config);
        if (old.split, old.norm, old.is_conditional) != (new.split, new.norm, new.is_conditional) {
            self.energy = energy_of(weights, &config, labels, device)?;
        }
        self.config = config;
        self.next = None;
        Ok(())
    }

    /// Uses the weights of this network, which stay on the device, and the temperature of p(y|x) that belongs to them.
    pub(super) fn follow(
        &mut self,
        network: &Network,
        temperature: Option<f64>,
    ) -> Result<(), JobError> {
        self.energy = self.energy.with_weights_from(network)?;
        self.temperature = temperature;
        Ok(())
    }

    /// The sampler at the current step of the chains, in a schedule over the M steps of the run.
    fn sampler(&self) -> Sampler {
        let section = &self.config.sampler;
        Sampler::at_step(section, self.state.noise.step as usize, section.num_steps)
    }

    /// Moves the chains by one step.
    pub(super) fn advance(&mut self) {
        let begin = Instant::now();
        let next = match self.next.take() {
            Some(next) => next,
            // The rule changed after the state was evaluated, so take the step with the new rule.
            None => {
                let next = self.sampler().step(self.state.clone(), &self.energy).0.x;
                self.keep_fixed(next)
            }
        };
        let NoiseKey { step, .. } = self.state.noise;
        self.state = ChainState {
            x: next,
            noise: NoiseKey { step: step.wrapping_add(1), ..self.state.noise },
        };
        self.spent.0 += begin.elapsed().as_secs_f64();
        self.spent.1 += self.gradients_per_step();
    }

    /// Whether other workers can compute a part of the gradients: each chain by itself, and with one gradient a step.
    pub(super) fn can_be_shared(&self) -> bool {
        let kind = self.config.sampler.kind;
        let is_split = kind == SamplerKind::Pyld && !self.energy.first_layer_is_affine();
        kind != SamplerKind::Mala && !is_split && !self.energy.network().mixes_images()
    }

    /// Computes the gradients at the current state together with other workers. Returns whether they have helped; if not,
    /// [`Self::encode`] computes them.
    pub(super) async fn share(
        &mut self,
        labels: &[u32],
        num_helpers: usize,
    ) -> Result<bool, ReadError> {
        let begin = Instant::now();
        let (energy, x) = (&self.energy, &self.state.x);
        let found = gathered(energy, &self.config, labels, x, num_helpers, ask_helper);
        self.known = found.await?;
        self.spent.0 += begin.elapsed().as_secs_f64();
        Ok(self.known.is_some())
    }

    /// Computes the measurements of the chains and their next step on the device; all lanes are then read at once. The
    /// gradients are large, so they are only read if the window shows them.
    pub(super) fn encode(&mut self, reads_gradients: bool) -> LaneReads {
        let begin = Instant::now();
        let x = self.state.x.clone();
        let energy = Known::new(&self.energy, self.known.take());
        let (next, info) = self.sampler().step(self.state.clone(), &energy);
        self.next = Some(self.keep_fixed(next.x));
        self.spent.0 += begin.elapsed().as_secs_f64();
        let StepInfo { energy, summary, acceptance, gradient, logits } = info;
        let has_noise = self.config.has_noise(self.state.noise.step == 0);
        let class_logits = (has_noise && self.classifies_clean).then(|| {
            let step = self.config.sampler.denoise_step;
            self.energy.logits(denoised(x.clone(), gradient.clone(), step))
        });
        let gradient = reads_gradients.then_some(gradient);
        (energy, summary, x, gradient, (logits, class_logits), acceptance)
    }

    /// The number of gradients that a step needs.
    pub(super) fn gradients_per_step(&self) -> u64 {
        if self.config.sampler.kind == SamplerKind::Mala { 2 } else { 1 }
    }

    /// The state and the measurements of the chains, from what was read; `secs` is this lane's share of the wait.
    pub(super) fn decode(&mut self, read: <LaneReads as Readable>::Host, secs: f64) -> LaneStep {
        let (mut energy, summary, x, gradient, (logits, class_logits), acceptance) = read;
        // The energy of a lane always returns logits; only MALA returns an acceptance.
        let (logits, acceptance) = (logits.unwrap_or_default(), acceptance.unwrap_or_default());
        let column = |nth: usize| summary.iter().skip(nth).step_by(3).copied().collect();
        let num_chains = energy.len().max(1);
        let num_classes = (logits.len() / num_chains).max(1);
        if self.config.is_conditional {
            energy = logits.chunks(num_classes).map(energy_of_row).collect();
        }
        self.spent.0 += secs;
        let (seconds, num_gradients) = self.spent;
        let proximal_radius = self.sampler().proximal_radius();
        let gradient = gradient.unwrap_or_default();
        LaneStep {
            numbers: LaneNumbers {
                gradient_norm: column(0),
                clamp_rate: column(1),
                saturation: column(2),
                distance: distances(&x, &self.start, x.len() / num_chains),
                probabilities: fitted(
                    class_logits
                        .unwrap_or(logits)
                        .chunks(num_classes)
                        .flat_map(|row| class_probabilities(row, self.temperature))
                        .map(f16::from_f32)
                        .collect(),
                ),
                acceptance: acceptance.iter().skip(1).step_by(2).copied().collect(),
                energy,
                seconds,
                num_gradients,
            },
            images: LaneImages {
                x: x.into(),
                gradient: fitted(gradient.into_iter().map(f16::from_f32).collect()),
                proximal_radius,
            },
        }
    }

    /// Sets the chains (N, C, H, W) to those of a recorded step, and what had been used by then; no pixel is fixed any more.
    pub(super) fn branch(
        &mut self,
        step: u64,
        x: &[f32],
        spent: (f64, u64),
    ) -> Result<(), JobError> {
        let [n, c, h, w] = self.state.x.dims();
        if x.len() != n * c * h * w {
            return Err(JobError::Request("the recorded chains belong to another run".into()));
        }
        let data = TensorData::new(x.to_vec(), [n, c, h, w]);
        self.state.x = Tensor::from_data(data, &self.state.x.device());
        self.state.noise.step = step as u32;
        self.spent = spent;
        self.fixed.clear();
        self.fixed_tensors = None;
        self.next = None;
        Ok(())
    }

    /// Replaces a chain with an image (C, H, W) and keeps the fixed pixels (H, W) at their values.
    pub(super) async fn replace(
        &mut self,
        chain: usize,
        image: Arc<[f32]>,
        is_fixed: Vec<bool>,
    ) -> Result<(), JobError> {
        let [n, c, h, w] = self.state.x.dims();
        let is_mask = is_fixed.is_empty() || is_fixed.len() == h * w;
        if chain >= n || image.len() != c * h * w || !is_mask {
            return Err(JobError::Request("the image is for another model or run".into()));
        }
        if is_fixed.contains(&true) && self.config.sampler.kind == SamplerKind::Mala {
            return Err(JobError::Request(FIXED_MALA.into()));
        }
        let device = self.state.x.device();
        let mut x = read(self.state.x.clone()).await?;
        x[chain * c * h * w..(chain + 1) * c * h * w].copy_from_slice(&image);
        self.state.x = Tensor::from_data(TensorData::new(x, [n, c, h, w]), &device);
        self.next = None;
        self.fixed.retain(|fixed| fixed.chain != chain);
        if is_fixed.contains(&true) {
            self.fixed.push(Fixed { chain, image, is_fixed });
        }
        self.fixed_tensors = (!self.fixed.is_empty()).then(|| {
            let mut mask = vec![false; n * c * h * w];
            let mut values = vec![0.0f32; n * c * h * w];
            for Fixed { chain, image, is_fixed } in &self.fixed {
                let at = chain * c * h * w..(chain + 1) * c * h * w;
                values[at.clone()].copy_from_slice(image);
                for (mask, fixed) in mask[at].iter_mut().zip(is_fixed.iter().cycle()) {
                    *mask = *fixed;
                }
            }
            let shape = [n, c, h, w];
            (
                Tensor::from_data(TensorData::new(mask, shape), &device),
                Tensor::from_data(TensorData::new(values, shape), &device),
            )
        });
        Ok(())
    }

    fn keep_fixed(&self, x: Tensor<4>) -> Tensor<4> {
        match &self.fixed_tensors {
            Some((mask, values)) => x.mask_where(mask.clone(), values.clone()),
            None => x,
        }
    }
}

/// Removes spare capacity, because thousands of these vectors are kept.
fn fitted(mut values: Vec<f16>) -> Vec<f16> {
    values.shrink_to_fit();
    values
}
