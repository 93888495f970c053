//! The chains of one rule of the lab: their steps, and the readback of each step.

use burn::tensor::Tensor;

use super::{LabLaneFrame, LabMove, NUM_TRACED};
use jempp_cpu::reference::{NoiseKey, standard_normal_4};

use crate::{
    config::LaneConfig,
    device::{ReadError, Readable, read},
    energy::{AnalyticEnergy, Energy, EnergyGradient, JointEnergy},
    kernels,
    sampler::{ChainState, Sampler, StepInfo},
    streams,
};

/// The energy that the chains of a rule sample.
pub(super) enum Ground {
    Analytic(Box<AnalyticEnergy>),
    Network(Box<JointEnergy>),
}

impl Ground {
    fn energy(&self) -> &dyn Energy {
        match self {
            Self::Analytic(energy) => &**energy,
            Self::Network(energy) => &**energy,
        }
    }
}

/// The chains of one rule of the lab.
pub(super) struct PlaneLane {
    pub rule: LaneConfig,
    pub ground: Ground,
    pub state: ChainState,
    pub labels: Vec<u8>,
    /// The measurements of the last step.
    pub seen: LabLaneFrame,
}

impl PlaneLane {
    /// Chains (N, 2, 1, 1) at their starts, with the class of each.
    pub(super) fn new(
        rule: LaneConfig,
        ground: Ground,
        x: Tensor<4>,
        labels: Vec<u8>,
        seed: u64,
    ) -> Self {
        let noise = streams::CHAIN_NOISE.key(seed, 0);
        let seen = LabLaneFrame {
            x: Vec::new(),
            mean_energy: 0.0,
            clamp_rate: 0.0,
            acceptance: None,
            traces: Vec::new(),
            tracked: None,
        };
        Self { rule, ground, state: ChainState { x, noise }, labels, seen }
    }

    /// Moves the chains by one step on the device; the measurements of all lanes are then read at once. The schedule of
    /// the step size covers `num_steps`; with 0, for no end, the step size stays the same.
    pub(super) fn encode(&mut self, tracked: usize, num_steps: usize) -> (LaneReads, Tracked) {
        let rule = &self.rule.sampler;
        let sampler = match num_steps {
            0 => Sampler::new(rule),
            _ => Sampler::at_step(rule, self.state.noise.step as usize, num_steps),
        };
        let (next, info) = sampler.step(self.state.clone(), self.ground.energy());
        let before = std::mem::replace(&mut self.state, next);
        let chain = tracked.min(before.x.dims()[0] - 1);
        let row = |x: &Tensor<4>| x.clone().slice([chain..chain + 1, 0..2, 0..1, 0..1]);
        let rows = (row(&before.x), row(&info.gradient));
        (self.reads(&info, Some(rows)), Tracked { chain, sampler, noise: before.noise })
    }

    /// Uses the measurements of a step that were read.
    pub(super) fn decode(&mut self, read: <LaneReads as Readable>::Host, of: Tracked) {
        let Tracked { chain, sampler, noise } = of;
        let Some(((from, gradient), accepted)) = self.see(read) else { return };
        let element = noise.first_element(chain + 1, 2) as usize + 2 * chain;
        let lanes = standard_normal_4((element / 4) as u32, noise);
        let noise = [0, 1].map(|axis| sampler.noise_std() * lanes[element % 4 + axis]);
        self.seen.tracked = Some(LabMove {
            chain,
            from: [from[0], from[1]],
            gradient: [gradient[0], gradient[1]],
            noise,
            noise_std: sampler.noise_std(),
            proximal_radius: sampler.proximal_radius(),
            is_normalized: matches!(sampler, Sampler::NormalizedGradient { .. }),
            has_inner_steps: matches!(sampler, Sampler::Pyld { .. })
                && !self.ground.energy().first_layer_is_affine(),
            to: [self.seen.x[2 * chain], self.seen.x[2 * chain + 1]],
            step_size: sampler.length(),
            accepted: accepted.map(|of| (of[2 * chain] > 0.5, of[2 * chain + 1])),
        });
    }

    /// Moves the chains to `x`, where they were after `step` steps.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn branch(&mut self, x: Tensor<4>, step: u64) -> Result<(), ReadError> {
        self.state.x = x;
        self.state.noise.step = step as u32;
        // No move leads here, so there is nothing to trace.
        self.seen.x.clear();
        self.look().await
    }

    /// Reads the chains before their next step.
    ///
    /// # Errors
    /// The device failed.
    pub(super) async fn look(&mut self) -> Result<(), ReadError> {
        let EnergyGradient { energy, gradient, .. } =
            self.ground.energy().gradient(self.state.x.clone());
        let summary = kernels::chain_summary(self.state.x.clone(), gradient.clone(), 0.0);
        let info = StepInfo { energy, summary, acceptance: None, gradient, logits: None };
        let read = read(self.reads(&info, None)).await?;
        self.see(read);
        Ok(())
    }

    fn reads(&self, info: &StepInfo, rows: Option<(Tensor<4>, Tensor<4>)>) -> LaneReads {
        let means = info.summary.clone().mean_dim(0);
        (self.state.x.clone(), info.energy.clone(), means, rows, info.acceptance.clone())
    }

    /// Keeps the positions of the chains and the measurements of a step. Returns what was read of the tracked chain,
    /// and the acceptance of the step (N, 2), see [`StepInfo::acceptance`].
    fn see(&mut self, read: <LaneReads as Readable>::Host) -> Option<TrackedRows> {
        let (x, energy, means, rows, acceptance) = read;
        // The energies belong to the state before the step.
        let before = std::mem::replace(&mut self.seen.x, x);
        for (point, energy) in before.chunks_exact(2).zip(&energy).take(NUM_TRACED) {
            self.seen.traces.extend([point[0], point[1], *energy]);
        }
        let num_chains = energy.len() as f32;
        self.seen.mean_energy = energy.iter().sum::<f32>() / num_chains;
        self.seen.clamp_rate = means[1];
        let probabilities = |of: &Vec<f32>| of.chunks_exact(2).map(|pair| pair[1]).sum::<f32>();
        self.seen.acceptance = acceptance.as_ref().map(|of| probabilities(of) / num_chains);
        Some((rows?, acceptance))
    }
}

/// What is read of a lane at each step: chains, energies, mean measurements, position and gradient of the tracked chain
/// before the step, and acceptances.
pub(super) type LaneReads =
    (Tensor<4>, Tensor<1>, Tensor<2>, Option<(Tensor<4>, Tensor<4>)>, Option<Tensor<2>>);
/// Position and gradient of the tracked chain before a step, and the acceptances of all chains.
type TrackedRows = ((Vec<f32>, Vec<f32>), Option<Vec<f32>>);

/// The chain that is followed step by step, with the rule and the noise of its step.
pub(super) struct Tracked {
    chain: usize,
    sampler: Sampler,
    noise: NoiseKey,
}
