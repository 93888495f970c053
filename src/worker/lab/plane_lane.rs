//! The chains of one rule: how they move, and what is read of a step.

use burn::tensor::{Tensor, Transaction};

use super::{LabLaneFrame, LabMove, NUM_TRACED};
use crate::{
    config::LaneConfig,
    device,
    energy::{AnalyticEnergy, Energy, EnergyGradient, JointEnergy},
    kernels::{
        self,
        reference::{NoiseKey, standard_normal_4},
    },
    sampler::{ChainState, Sampler, StepInfo},
    starts::NOISE_STREAM,
};

/// What a rule walks on.
pub(super) enum Ground {
    Analytic(AnalyticEnergy),
    Network(Box<JointEnergy>),
}

impl Ground {
    fn energy(&self) -> &dyn Energy {
        match self {
            Self::Analytic(energy) => energy,
            Self::Network(energy) => &**energy,
        }
    }
}

/// The chains of one rule.
pub(super) struct PlaneLane {
    pub rule: LaneConfig,
    pub ground: Ground,
    pub state: ChainState,
    pub labels: Vec<u8>,
    /// What was read of the last step.
    pub seen: LabLaneFrame,
}

impl PlaneLane {
    /// Chains (N, 2, 1, 1) at their starts, and the class of each.
    pub(super) fn new(
        rule: LaneConfig,
        ground: Ground,
        x: Tensor<4>,
        labels: Vec<u8>,
        seed: u64,
    ) -> Self {
        let noise = NoiseKey { seed, stream: NOISE_STREAM, step: 0 };
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

    /// Moves the chains one step on and reads what it did. A schedule is laid out over `num_steps`; without
    /// an end, at 0, the step stays what it is.
    pub(super) async fn advance(&mut self, tracked: usize, num_steps: usize) {
        let rule = &self.rule.sampler;
        let sampler = match num_steps {
            0 => Sampler::new(rule),
            _ => Sampler::at_step(rule, self.state.noise.step as usize, num_steps),
        };
        let (next, info) = sampler.step(self.state.clone(), self.ground.energy());
        let before = std::mem::replace(&mut self.state, next);
        let tracked = tracked.min(before.x.dims()[0] - 1);
        let row = |x: &Tensor<4>| x.clone().slice([tracked..tracked + 1, 0..2, 0..1, 0..1]);
        let moved = Tensor::cat(vec![row(&before.x), row(&info.gradient)], 0);
        let Read { moved: [from, gradient], accepted } = self.read(&info, Some(moved)).await;
        let lanes = standard_normal_4((2 * tracked / 4) as u32, before.noise);
        let noise = [0, 1].map(|axis| sampler.noise_std() * lanes[2 * tracked % 4 + axis]);
        self.seen.tracked = Some(LabMove {
            chain: tracked,
            from,
            gradient,
            noise,
            noise_std: sampler.noise_std(),
            proximal_radius: sampler.proximal_radius(),
            has_inner_steps: matches!(sampler, Sampler::Pyld { .. })
                && !self.ground.energy().first_layer_is_affine(),
            to: [self.seen.x[2 * tracked], self.seen.x[2 * tracked + 1]],
            step_size: sampler.length(),
            accepted: accepted.chunks_exact(2).nth(tracked).map(|pair| (pair[0] > 0.5, pair[1])),
        });
    }

    /// Reads the chains where they stand, before any step.
    pub(super) async fn look(&mut self) {
        let EnergyGradient { energy, gradient, .. } =
            self.ground.energy().gradient(self.state.x.clone());
        let summary = kernels::chain_summary(self.state.x.clone(), gradient.clone(), 0.0);
        let info = StepInfo { energy, summary, acceptance: None, gradient, logits: None };
        self.read(&info, None).await;
    }

    async fn read(&mut self, info: &StepInfo, moved: Option<Tensor<4>>) -> Read {
        let clamped = info.summary.clone().mean_dim(0);
        let mut reads = Transaction::default()
            .register(self.state.x.clone())
            .register(info.energy.clone())
            .register(clamped);
        let optional = [moved.is_some(), info.acceptance.is_some()];
        if let Some(moved) = moved {
            reads = reads.register(moved);
        }
        if let Some(acceptance) = &info.acceptance {
            reads = reads.register(acceptance.clone());
        }
        let mut read = device::read(reads).await.into_iter();
        let mut next = || read.next().unwrap_or_default();
        let [x, energy, summary] = [(); 3].map(|()| next());
        let [moved, accepted] = optional.map(|is_there| if is_there { next() } else { Vec::new() });
        // Energies are of the state before the step.
        let before = std::mem::replace(&mut self.seen.x, x);
        for (point, energy) in before.chunks_exact(2).zip(&energy).take(NUM_TRACED) {
            self.seen.traces.extend([point[0], point[1], *energy]);
        }
        self.seen.mean_energy = energy.iter().sum::<f32>() / energy.len() as f32;
        self.seen.clamp_rate = summary.get(1).copied().unwrap_or_default();
        self.seen.acceptance = (!accepted.is_empty()).then(|| {
            accepted.chunks_exact(2).map(|pair| pair[1]).sum::<f32>() / energy.len() as f32
        });
        let pair = |at: usize| [0, 1].map(|axis| moved.get(at + axis).copied().unwrap_or_default());
        Read { moved: [pair(0), pair(2)], accepted }
    }
}

/// What is read of a step beside where it led.
struct Read {
    /// Where the tracked chain was, and the gradient there.
    moved: [[f32; 2]; 2],
    /// Shape (N, 2), see [`StepInfo::acceptance`].
    accepted: Vec<f32>,
}
