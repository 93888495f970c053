//! Refinement: a few sampler steps that lower the energy of an image before it is classified, and the gradients
//! through them that an attacker can use.

use burn::tensor::{Int, Tensor};
use jempp_cpu::reference::NoiseKey;

use super::Seen;
use crate::{
    config::{RunConfig, SamplerConfig, SamplerKind, StepSchedule},
    energy::{Energy, denoised},
    eval::frozen_model::FrozenModel,
    pgd::{AttackLoss, Differentiated},
    sampler::{ChainState, Sampler, run_each},
};

/// The root mean square over the pixels, in units of x, of the finite difference step for a Hessian-vector product.
const PROBE: f32 = 1e-3;

/// Sampler steps that are applied to an image before it is classified.
#[derive(Clone, Debug)]
pub(in crate::eval) struct Refinement {
    samplers: Vec<Sampler>,
    /// The number of refinements, each with different noise, that a prediction averages over, and those of an attack's gradient.
    num_draws: u32,
    num_attack_draws: u32,
    /// The step that removes the noise of the data at the end; 0 for none.
    denoise_step: f64,
    can_differentiate: bool,
    words: String,
}

impl Refinement {
    /// Uses the steps of the model's sampler with the noise of the `eval` section. A classifier that was trained on images without
    /// noise gets refined images without it, where the energy can remove it.
    pub(in crate::eval) fn new(config: &RunConfig, first_layer_is_affine: bool) -> Self {
        let (sampler, eval) = (&config.sampler, &config.eval);
        let denoise_step = config.class_denoise_step();
        let (num_steps, noise_std) = (eval.refine_steps, eval.refine_noise_std);
        let config = SamplerConfig { noise_std, ..sampler.clone() };
        let draws = |count: usize| if noise_std > 0.0 { count as u32 } else { 1 };
        let num_draws = draws(eval.refine_draws);
        let steps = if num_steps == 1 { "step" } else { "steps" };
        let kind = match config.kind {
            SamplerKind::Sgld => format!("SGLD, step size {}", config.step_size),
            SamplerKind::Mala => format!("MALA, step size {}", config.step_size),
            SamplerKind::ProximalSgld => format!("Proximal SGLD, step size {}", config.step_size),
            SamplerKind::NormalizedGradient => {
                format!("normalised gradients, step length {}", config.step_size)
            }
            SamplerKind::Pyld => format!(
                "PYLD, {} inner steps of size {}",
                config.num_inner_steps, config.inner_step_size
            ),
        };
        let averaged = match noise_std {
            0.0 => "without noise".to_string(),
            _ => format!(
                "noise of standard deviation {noise_std}, p(y|x) averaged over {num_draws} refinements"
            ),
        };
        let schedule = match config.step_schedule {
            StepSchedule::Constant => String::new(),
            _ => format!(", falling to {} of it", config.final_step_factor),
        };
        let denoised = match denoise_step {
            0.0 => String::new(),
            step => format!(", then the noise of the data removed (step {step})"),
        };
        Self {
            samplers: Sampler::for_steps(&config, num_steps),
            num_draws,
            num_attack_draws: draws(eval.attack_draws),
            denoise_step,
            can_differentiate: match config.kind {
                SamplerKind::Sgld | SamplerKind::ProximalSgld => true,
                SamplerKind::Pyld => first_layer_is_affine,
                // Accepting or rejecting a proposal has no derivative; that of a normalised gradient needs the second
                // derivatives of its norm too, which the pass back through the steps does not compute.
                SamplerKind::Mala | SamplerKind::NormalizedGradient => false,
            },
            words: format!("{num_steps} {steps} ({kind}{schedule}){denoised}, {averaged}"),
        }
    }

    /// A description of the refinement for the report.
    pub(in crate::eval) fn words(&self) -> &str {
        &self.words
    }

    /// Whether [`Refinement::gradient_through`] supports this sampler.
    pub(in crate::eval) fn can_differentiate(&self) -> bool {
        self.can_differentiate
    }

    /// The noise key of refinement `draw` of `num_draws`; `noise.step` counts whole predictions, or gradients of an attack.
    fn noise(&self, noise: NoiseKey, draw: u32, num_draws: u32) -> NoiseKey {
        let num_steps = self.samplers.len() as u32;
        let step = noise.step.wrapping_mul(num_draws).wrapping_add(draw);
        NoiseKey { step: step.wrapping_mul(num_steps), ..noise }
    }

    /// p(y|x) (N, classes) of images (N, C, H, W), averaged over refinements.
    pub(in crate::eval) fn probabilities(
        &self,
        subject: &FrozenModel,
        x: &Tensor<4>,
        noise: NoiseKey,
    ) -> Tensor<2> {
        let of_draw = |draw| {
            let noise = self.noise(noise, draw, self.num_draws);
            subject.probabilities(self.refined(subject, x, noise))
        };
        let sum = (1..self.num_draws).fold(of_draw(0), |sum, draw| sum + of_draw(draw));
        sum.div_scalar(self.num_draws)
    }

    /// Refines images (N, C, H, W) once.
    fn refined(&self, subject: &FrozenModel, x: &Tensor<4>, noise: NoiseKey) -> Tensor<4> {
        let state = ChainState { x: x.clone(), noise };
        let x = run_each(&self.samplers, state, subject.energy()).0.x;
        if self.denoise_step == 0.0 {
            return x;
        }
        let gradient = subject.energy().gradient(x.clone()).gradient;
        denoised(x, gradient, self.denoise_step)
    }

    /// The classifier's loss and gradient at the refined images, averaged over the noise. The gradient replaces that
    /// at the images, as if refinement were the identity (BPDA with EOT).
    pub(super) fn gradient_bpda(
        &self,
        subject: &FrozenModel,
        x: &Tensor<4>,
        labels: &Tensor<1, Int>,
        loss: AttackLoss,
        noise: NoiseKey,
    ) -> Seen {
        self.average_of_seen(|draw| {
            let noise = self.noise(noise, draw, self.num_attack_draws);
            let refined = self.refined(subject, x, noise);
            let Differentiated { loss, gradient, .. } =
                subject.loss_gradient(refined, labels, loss);
            (loss, gradient)
        })
    }

    /// The classifier's loss at the refined images and its gradient through the sampler steps, averaged over the noise.
    ///
    /// A step `y = x - a · clamp(∇E(x), -r, r) + σ ξ`, `x' = clamp(y, -1, 1)` maps a gradient v at x' back to
    /// `v₁ - a H(x) v₂`. Here v₁ is v without the pixels that the box clamps, v₂ is v₁ without those whose gradient
    /// is clamped, and H is the Hessian of the energy, which is symmetric. H v₂ is computed as a central difference
    /// of energy gradients. The step that removes the noise is like one without a bound on the gradient.
    pub(super) fn gradient_through(
        &self,
        subject: &FrozenModel,
        x: &Tensor<4>,
        labels: &Tensor<1, Int>,
        loss: AttackLoss,
        noise: NoiseKey,
    ) -> Seen {
        self.average_of_seen(|draw| {
            let noise = self.noise(noise, draw, self.num_attack_draws);
            let mut state = ChainState { x: x.clone(), noise };
            let mut steps = Vec::with_capacity(self.samplers.len());
            for sampler in &self.samplers {
                let before = state.x.clone();
                let (next, info) = sampler.step(state, subject.energy());
                steps.push((sampler, before, info.gradient, next.x.clone()));
                state = next;
            }
            let energy = subject.energy();
            let refined = match self.denoise_step {
                0.0 => state.x.clone(),
                step => denoised(state.x.clone(), energy.gradient(state.x.clone()).gradient, step),
            };
            let Differentiated { loss, gradient, .. } =
                subject.loss_gradient(refined.clone(), labels, loss);
            let gradient = match self.denoise_step {
                0.0 => gradient,
                step => through_denoiser(energy, [state.x, refined], gradient, step),
            };
            let gradient = steps.into_iter().rev().fold(
                gradient,
                |gradient, (sampler, x, energy_gradient, next)| {
                    through_step(sampler, energy, [x, energy_gradient, next], gradient)
                },
            );
            (loss, gradient)
        })
    }

    /// The averages of losses (N) and gradients (N, C, H, W), without predictions: those depend on the noise.
    fn average_of_seen(&self, of_draw: impl Fn(u32) -> (Tensor<1>, Tensor<4>)) -> Seen {
        let count = self.num_attack_draws;
        let sum =
            (1..count).map(&of_draw).fold(of_draw(0), |sum, next| (sum.0 + next.0, sum.1 + next.1));
        let (loss, gradient) = (sum.0.div_scalar(count), sum.1.div_scalar(count));
        Seen { loss, gradient, probabilities: None }
    }
}

/// Propagates the gradient after a step back to the gradient before it. `x` is the state before the step,
/// `energy_gradient` the gradient there, and `next` the state after the step.
pub(super) fn through_step(
    sampler: &Sampler,
    energy: &dyn Energy,
    [x, energy_gradient, next]: [Tensor<4>; 3],
    gradient: Tensor<4>,
) -> Tensor<4> {
    let length = sampler.length();
    let (in_box, direction) = match sampler.proximal_radius() {
        None => (gradient.clone(), gradient),
        Some(radius) => {
            let in_box = gradient * next.abs().lower_elem(1.0).float();
            let is_unclamped = energy_gradient.abs().lower_elem(radius).float();
            (in_box.clone(), in_box * is_unclamped)
        }
    };
    in_box - hessian_product(energy, x, direction).mul_scalar(length)
}

/// Propagates the gradient after [`denoised`] back to the gradient before it. `x` is the state before it and `found` the one
/// after it.
pub(super) fn through_denoiser(
    energy: &dyn Energy,
    [x, found]: [Tensor<4>; 2],
    gradient: Tensor<4>,
    step: f64,
) -> Tensor<4> {
    let in_box = gradient * found.abs().lower_elem(1.0).float();
    in_box.clone() - hessian_product(energy, x, in_box).mul_scalar(step)
}

/// The Hessian-vector product H(x) v, as a central difference of energy gradients; v has one row per image, shapes
/// (N, C, H, W).
fn hessian_product(energy: &dyn Energy, x: Tensor<4>, direction: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = direction.dims();
    let rms = direction.clone().square().reshape([n, c * h * w]).mean_dim(1).sqrt();
    // A zero direction gives a zero product.
    let unit = direction / rms.clone().clamp_min(f32::MIN_POSITIVE).reshape([n, 1, 1, 1]);
    let offset = unit.mul_scalar(PROBE);
    let above = energy.gradient(x.clone() + offset.clone()).gradient;
    let below = energy.gradient(x - offset).gradient;
    (above - below).div_scalar(2.0 * PROBE) * rms.reshape([n, 1, 1, 1])
}
