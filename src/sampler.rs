//! Langevin samplers as pure functions: `(state, energy) -> (state, info)`.
//!
//! # Source
//! SGLD as in JEM (arXiv:1912.03263); the proximal step and PYLD of JEM++ (arXiv:2109.09032); MALA after
//! Roberts & Tweedie, Bernoulli 2(4), 1996; normalised gradients as in DAT (arXiv:2510.13872).
//! Differs from JEMPP: x is projected onto [-1, 1] after the noise, so a chain never leaves it.

use burn::tensor::Tensor;
use jempp_cpu::reference::{NoiseKey, ProximalStep};

use crate::{
    config::{SamplerConfig, SamplerKind, StepSchedule},
    energy::{Energy, EnergyGradient, SplitGradient},
    kernels, streams,
};

/// The state of a batch of chains: their positions, and the key of the next noise.
#[derive(Clone, Debug)]
pub struct ChainState {
    /// The positions of the chains, shape (N, C, H, W).
    pub x: Tensor<4>,
    /// The key of the noise of the next step; each step increases `noise.step` by one.
    pub noise: NoiseKey,
}

impl ChainState {
    /// Chains that start at `x`, shape (N, C, H, W). The seed determines the noise of all steps: the same starts, seed
    /// and sampler give the same chains on every device.
    pub fn new(x: Tensor<4>, seed: u64) -> Self {
        Self { x, noise: streams::CHAIN_NOISE.key(seed, 0) }
    }
}

/// Measurements of a step, at the state before the step.
#[derive(Clone, Debug)]
pub struct StepInfo {
    /// Energy of each chain before the step, shape (N).
    pub energy: Tensor<1>,
    /// Per chain: gradient norm, share of clamped gradient components, share of saturated pixels;
    /// shape (N, 3). See `shaders/chain_summary.wgsl`.
    pub summary: Tensor<2>,
    /// Per chain, for MALA: 1 if the proposal was accepted, else 0, and the acceptance probability; shape
    /// (N, 2). See `shaders/mala_accept.wgsl`.
    pub acceptance: Option<Tensor<2>>,
    /// ∂E/∂x before the step, shape (N, C, H, W).
    pub gradient: Tensor<4>,
    /// Logits (N, classes) before the step, if the energy returns them.
    pub logits: Option<Tensor<2>>,
}

/// A Langevin sampler: an update rule with its parameters. [`Sampler::step`] moves many chains by one step.
///
/// ```
/// # fn main() -> Result<(), jempp::Error> {
/// use jempp::{ChainState, Model, Sampler, burn::tensor::Tensor};
///
/// let model = Model::bundled("two-moons")?;
/// let energy = model.joint_energy();
/// let sampler = Sampler::new(&model.config().sampler);
/// let mut state = ChainState::new(Tensor::zeros([5, 2, 1, 1], model.device()), 0);
/// for _ in 0..10 {
///     let seen;
///     (state, seen) = sampler.step(state, &energy);
///     println!("energies {:?}", seen.energy.into_data().to_vec::<f32>());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// `x ← x - α ∇E(x) + σ ξ`, without any clamp.
    Sgld {
        /// α, the step size, in x² per unit of energy.
        step_size: f32,
        /// σ, the standard deviation of the noise added in each step.
        noise_std: f32,
    },
    /// `x ← clamp(x - α · clamp(∇E(x), -r, r) + σ ξ, -1, 1)`.
    ProximalSgld {
        /// α, the step size, in x² per unit of energy.
        step_size: f32,
        /// σ, the standard deviation of the noise added in each step.
        noise_std: f32,
        /// r, the proximal radius, in energy per unit of x.
        proximal_radius: f32,
    },
    /// One full pass computes `p = ∂ΣE/∂z` at `z = first_layer(x)`. Then, with p fixed, N inner steps
    /// `x ← clamp(x - α · clamp(J_first(x)ᵀ p, -r, r), -1, 1)` follow, with the noise σ ξ in the last one.
    ///
    /// If the first layer is affine, J_firstᵀ p is constant and clamped moves of constant sign add up, so the inner
    /// steps are computed as one proximal step of size N·α. This is exact for σ = 0. With noise, the one step projects
    /// only after the noise, while the loop would also project before it.
    Pyld {
        /// N, the number of inner steps per full pass.
        num_inner_steps: usize,
        /// α, the step size of one inner step, in x² per unit of energy.
        inner_step_size: f32,
        /// σ, the standard deviation of the noise, added once per step.
        noise_std: f32,
        /// r, the proximal radius, in energy per unit of x.
        proximal_radius: f32,
    },
    /// `x ← clamp(x - α · ∇E(x) / ‖∇E(x)‖₂ + σ ξ, -1, 1)`: each chain moves by the same length, so that no chain is left
    /// behind where the energy is flat, and none is thrown where it is steep. A chain with a gradient of 0 stays. The
    /// invariant density is not known, so no temperature belongs to α and σ.
    NormalizedGradient {
        /// α, the length of a step before noise and projection, in units of x.
        step_size: f32,
        /// σ, the standard deviation of the noise added in each step.
        noise_std: f32,
    },
    /// A step of SGLD is proposed, then accepted or rejected, so that the chain samples exactly p^β with β = 2α/σ² for
    /// any α. Needs two gradients per step. x may leave [-1, 1]: a projection would break detailed balance, and if
    /// proposals outside were rejected, chains with pixels at the border would hardly move.
    Mala {
        /// α, the step size, in x² per unit of energy.
        step_size: f32,
        /// σ, the standard deviation of the noise added in each step; must be above 0.
        noise_std: f32,
    },
}

impl Sampler {
    /// The sampler of a configuration.
    pub fn new(config: &SamplerConfig) -> Self {
        let (step_size, noise_std) = (config.step_size as f32, config.noise_std as f32);
        let proximal_radius = config.proximal_radius as f32;
        match config.kind {
            SamplerKind::Sgld => Self::Sgld { step_size, noise_std },
            SamplerKind::ProximalSgld => {
                Self::ProximalSgld { step_size, noise_std, proximal_radius }
            }
            SamplerKind::Pyld => Self::Pyld {
                num_inner_steps: config.num_inner_steps,
                inner_step_size: config.inner_step_size as f32,
                noise_std,
                proximal_radius,
            },
            SamplerKind::NormalizedGradient => Self::NormalizedGradient { step_size, noise_std },
            SamplerKind::Mala => Self::Mala { step_size, noise_std },
        }
    }

    /// One sampler for each of the `num_steps` steps of a chain, following the schedule of the configuration.
    pub fn for_steps(config: &SamplerConfig, num_steps: usize) -> Vec<Self> {
        (0..num_steps).map(|step| Self::at_step(config, step, num_steps)).collect()
    }

    /// The sampler of one of the `num_steps` steps of a chain, following the schedule of the configuration; later steps
    /// are like the last one.
    pub fn at_step(config: &SamplerConfig, step: usize, num_steps: usize) -> Self {
        let last = num_steps.saturating_sub(1).max(1);
        let progress = step.min(last) as f64 / last as f64;
        let falling = match config.step_schedule {
            StepSchedule::Constant => return Self::new(config),
            StepSchedule::Linear => 1.0 - progress,
            StepSchedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        let factor = config.final_step_factor + (1.0 - config.final_step_factor) * falling;
        Self::new(config).scaled(factor as f32)
    }

    /// This sampler with its step size multiplied by `factor`, and its noise by the square root of `factor`, so that
    /// the temperature stays the same.
    fn scaled(mut self, factor: f32) -> Self {
        let (step, noise) = match &mut self {
            Self::Sgld { step_size, noise_std }
            | Self::Mala { step_size, noise_std }
            | Self::NormalizedGradient { step_size, noise_std }
            | Self::ProximalSgld { step_size, noise_std, .. }
            | Self::Pyld { inner_step_size: step_size, noise_std, .. } => (step_size, noise_std),
        };
        *step *= factor;
        *noise *= factor.sqrt();
        self
    }

    /// The step size of a whole step: α, or N·α for PYLD. In x² per unit of energy; for normalised gradients in x.
    pub fn length(&self) -> f32 {
        match *self {
            Self::Pyld { num_inner_steps, inner_step_size, .. } => {
                num_inner_steps as f32 * inner_step_size
            }
            Self::Sgld { step_size, .. }
            | Self::Mala { step_size, .. }
            | Self::NormalizedGradient { step_size, .. }
            | Self::ProximalSgld { step_size, .. } => step_size,
        }
    }

    /// σ, the standard deviation of the noise added in one step.
    pub fn noise_std(&self) -> f32 {
        match *self {
            Self::Sgld { noise_std, .. }
            | Self::Mala { noise_std, .. }
            | Self::NormalizedGradient { noise_std, .. }
            | Self::ProximalSgld { noise_std, .. }
            | Self::Pyld { noise_std, .. } => noise_std,
        }
    }

    /// r, the proximal radius, for samplers that clamp the gradient to it.
    pub fn proximal_radius(&self) -> Option<f32> {
        match *self {
            Self::ProximalSgld { proximal_radius, .. } | Self::Pyld { proximal_radius, .. } => {
                Some(proximal_radius)
            }
            Self::Sgld { .. } | Self::Mala { .. } | Self::NormalizedGradient { .. } => None,
        }
    }

    /// Moves the chains by one step; returns their new state and the measurements of the step.
    pub fn step(&self, state: ChainState, energy: &dyn Energy) -> (ChainState, StepInfo) {
        let ChainState { x, noise } = state;
        let (step_size, noise_std) = (self.length(), self.noise_std());
        let proximal_radius = self.proximal_radius().unwrap_or_default();
        let project = !matches!(self, Self::Sgld { .. } | Self::Mala { .. });
        let update = ProximalStep { step_size, noise_std, proximal_radius, project, noise };

        let mut acceptance = None;
        let (x_next, energies, summary, gradient, logits) = match *self {
            Self::Pyld { num_inner_steps, inner_step_size, .. }
                if !energy.first_layer_is_affine() =>
            {
                let SplitGradient { energy: energies, output_gradient, gradient, logits } =
                    energy.split_gradient(x.clone());
                let summary = kernels::chain_summary(x.clone(), gradient.clone(), proximal_radius);
                let inner = |is_last: bool| ProximalStep {
                    step_size: inner_step_size,
                    noise_std: if is_last { noise_std } else { 0.0 },
                    ..update
                };
                let mut x =
                    kernels::proximal_step(x, gradient.clone(), &inner(num_inner_steps == 1));
                for index in 1..num_inner_steps {
                    let pulled = energy.pull_back(x.clone(), output_gradient.clone());
                    x = kernels::proximal_step(x, pulled, &inner(index + 1 == num_inner_steps));
                }
                (x, energies, summary, gradient, logits)
            }
            Self::NormalizedGradient { .. } => {
                let EnergyGradient { energy: energies, gradient, logits } =
                    energy.gradient(x.clone());
                let summary = kernels::chain_summary(x.clone(), gradient.clone(), proximal_radius);
                let x_next =
                    kernels::normalized_step(x, gradient.clone(), summary.clone(), &update);
                (x_next, energies, summary, gradient, logits)
            }
            _ => {
                let EnergyGradient { energy: energies, gradient, logits } =
                    energy.gradient(x.clone());
                let summary = kernels::chain_summary(x.clone(), gradient.clone(), proximal_radius);
                let mut x_next = kernels::proximal_step(x.clone(), gradient.clone(), &update);
                if let Self::Mala { .. } = self {
                    let there = energy.gradient(x_next.clone());
                    let ends = kernels::Proposals {
                        x,
                        gradient: gradient.clone(),
                        energy: energies.clone(),
                        proposal: x_next,
                        proposal_gradient: there.gradient,
                        proposal_energy: there.energy,
                    };
                    let beta = inverse_temperature(step_size.into(), noise_std.into()) as f32;
                    let decided = kernels::mala_accept(ends, step_size, beta, noise);
                    x_next = decided.0;
                    acceptance = Some(decided.1);
                }
                (x_next, energies, summary, gradient, logits)
            }
        };
        let noise = NoiseKey { step: noise.step.wrapping_add(1), ..noise };
        let info = StepInfo { energy: energies, summary, acceptance, gradient, logits };
        (ChainState { x: x_next, noise }, info)
    }

    /// Moves the chains by `num_steps` steps; returns their new state and the measurements of every step. There is no
    /// readback.
    pub fn run(
        &self,
        state: ChainState,
        energy: &dyn Energy,
        num_steps: usize,
    ) -> (ChainState, Vec<StepInfo>) {
        run_each(&vec![*self; num_steps], state, energy)
    }
}

/// Moves the chains by one step of each sampler in turn; returns their new state and the measurements of every step.
/// There is no readback.
pub(crate) fn run_each(
    samplers: &[Sampler],
    mut state: ChainState,
    energy: &dyn Energy,
) -> (ChainState, Vec<StepInfo>) {
    let mut infos = Vec::with_capacity(samplers.len());
    for sampler in samplers {
        let info;
        (state, info) = sampler.step(state, energy);
        infos.push(info);
    }
    (state, infos)
}

/// The inverse temperature β = 2α/σ² of the density p^β that SGLD with small steps samples; infinite without noise.
///
/// JEM's setting (α = 1, σ = 0.01) means β = 20,000; a chain at temperature 1 needs σ = √(2α).
pub fn inverse_temperature(step_size: f64, noise_std: f64) -> f64 {
    2.0 * step_size / (noise_std * noise_std)
}
