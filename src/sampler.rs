//! Langevin samplers as pure steps: `(state, energy) -> (state, info)`.
//!
//! # Source
//! SGLD as in JEM (arXiv:1912.03263); the proximal step and PYLD of JEM++ (arXiv:2109.09032).
//! Differs from JEMPP: x is projected onto the box after the noise, so a chain never leaves it.

use burn::tensor::Tensor;

use crate::{
    config::{SamplerConfig, SamplerKind},
    energy::{Energy, EnergyGradient, SplitGradient},
    kernels::{
        self,
        reference::{NoiseKey, ProximalStep},
    },
};

/// Chains at one moment.
#[derive(Clone, Debug)]
pub struct ChainState {
    /// Where the chains are, shape (N, C, H, W).
    pub x: Tensor<4>,
    /// The noise of the next step; `noise.step` counts on.
    pub noise: NoiseKey,
}

/// What a step saw on the way, at the state it left.
#[derive(Clone, Debug)]
pub struct StepInfo {
    /// Energy of each chain before the step, shape (N).
    pub energy: Tensor<1>,
    /// Per chain: gradient norm, share of clamped gradient components, share of saturated pixels;
    /// shape (N, 3). See `shaders/chain_summary.wgsl`.
    pub summary: Tensor<2>,
}

/// An update rule with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// `x ← x - α ∇E(x) + σ ξ`, no clamp of any kind.
    Sgld {
        /// α, in x² per unit of energy.
        step_size: f32,
        /// σ, the standard deviation actually added.
        noise_std: f32,
    },
    /// `x ← clamp(x - α · clamp(∇E(x), -r, r) + σ ξ, -1, 1)`.
    ProximalSgld {
        /// α, in x² per unit of energy.
        step_size: f32,
        /// σ, the standard deviation actually added.
        noise_std: f32,
        /// r, in energy per unit of x.
        proximal_radius: f32,
    },
    /// One full pass gives `p = ∂ΣE/∂z` at `z = first_layer(x)`; then, p held fixed, N times
    /// `x ← clamp(x - α · clamp(J_first(x)ᵀ p, -r, r), -1, 1)`, with the noise σ ξ in the last.
    ///
    /// With an affine first layer J_firstᵀ p is constant and clamped moves of constant sign
    /// compose, so the step is one proximal step of size N·α and is computed as such: exactly for
    /// σ = 0; with noise, the one step projects once, after the noise, where the loop would project
    /// before the noise as well.
    Pyld {
        /// N.
        num_inner_steps: usize,
        /// α of one inner step, in x² per unit of energy.
        inner_step_size: f32,
        /// σ, the standard deviation actually added once per step.
        noise_std: f32,
        /// r, in energy per unit of x.
        proximal_radius: f32,
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
        }
    }

    /// The chains after one step, and what the step saw.
    pub fn step(&self, state: ChainState, energy: &dyn Energy) -> (ChainState, StepInfo) {
        let ChainState { x, noise } = state;
        let (step_size, noise_std, proximal_radius) = match *self {
            Self::Sgld { step_size, noise_std } => (step_size, noise_std, 0.0),
            Self::ProximalSgld { step_size, noise_std, proximal_radius } => {
                (step_size, noise_std, proximal_radius)
            }
            Self::Pyld { num_inner_steps, inner_step_size, noise_std, proximal_radius } => {
                (num_inner_steps as f32 * inner_step_size, noise_std, proximal_radius)
            }
        };
        let project = !matches!(self, Self::Sgld { .. });
        let update = ProximalStep { step_size, noise_std, proximal_radius, project, noise };

        let (x_next, energies, summary) = match *self {
            Self::Pyld { num_inner_steps, inner_step_size, .. }
                if !energy.first_layer_is_affine() =>
            {
                let SplitGradient { energy: energies, output_gradient, gradient } =
                    energy.split_gradient(x.clone());
                let summary = kernels::chain_summary(x.clone(), gradient.clone(), proximal_radius);
                let inner = |is_last: bool| ProximalStep {
                    step_size: inner_step_size,
                    noise_std: if is_last { noise_std } else { 0.0 },
                    ..update
                };
                let mut x = kernels::proximal_step(x, gradient, &inner(num_inner_steps == 1));
                for index in 1..num_inner_steps {
                    let gradient = energy.pull_back(x.clone(), output_gradient.clone());
                    x = kernels::proximal_step(x, gradient, &inner(index + 1 == num_inner_steps));
                }
                (x, energies, summary)
            }
            _ => {
                let EnergyGradient { energy: energies, gradient } = energy.gradient(x.clone());
                let summary = kernels::chain_summary(x.clone(), gradient.clone(), proximal_radius);
                (kernels::proximal_step(x, gradient, &update), energies, summary)
            }
        };
        let noise = NoiseKey { step: noise.step.wrapping_add(1), ..noise };
        (ChainState { x: x_next, noise }, StepInfo { energy: energies, summary })
    }

    /// The chains after `num_steps` steps, and what every step saw. Nothing is read back.
    pub fn run(
        &self,
        mut state: ChainState,
        energy: &dyn Energy,
        num_steps: usize,
    ) -> (ChainState, Vec<StepInfo>) {
        let mut infos = Vec::with_capacity(num_steps);
        for _ in 0..num_steps {
            let info;
            (state, info) = self.step(state, energy);
            infos.push(info);
        }
        (state, infos)
    }
}

/// β of the law p^β that SGLD with small steps samples: 2α/σ², infinite without noise.
///
/// JEM's setting (α = 1, σ = 0.01) means β = 20,000; a chain at temperature 1 needs σ = √(2α).
pub fn inverse_temperature(step_size: f64, noise_std: f64) -> f64 {
    2.0 * step_size / (noise_std * noise_std)
}
