//! The energy of a classifier, and its gradient with respect to the input.
//!
//! ```text
//! energy(x)          = -log_sum_exp_y logits(x)[y]      p(x)   ∝ exp(-energy(x))
//! class_energy(x, y) = -logits(x)[y]                    p(x|y) ∝ exp(-class_energy(x, y))
//! ```
//!
//! Only this file sets the sign. Differs from JEMPP: its code calls +log_sum_exp "energy".
//!
//! # Source
//! Grathwohl et al., arXiv:1912.03263, section 3.

mod joint;

use burn::tensor::{Device, Int, Tensor};
use jempp_cpu::reference::DensityForm;

use crate::{
    kernels::{Density, contiguous, density_energy, log_sum_exp},
    numbers::{self, Real},
};

pub use joint::JointEnergy;
pub(crate) use joint::{joined, parts_of, rows};

/// The factor between log_sum_exp and the energy.
const SIGN: f32 = -1.0;

/// Energies (N) of logits (N, classes): `-log_sum_exp(logits)`.
pub fn energy_of_logits(logits: Tensor<2>) -> Tensor<1> {
    log_sum_exp(logits).neg()
}

/// The energy of one row of logits on the host: `-log_sum_exp(logits)`, in the precision `R`.
pub(crate) fn energy_of_row<R: Real, T: Copy + Into<R>>(logits: &[T]) -> R {
    -numbers::log_sum_exp(logits)
}

/// log p(x) for an energy, up to a constant that is the same for all x.
pub(crate) fn log_density(energy: f64) -> f64 {
    -energy
}

/// Class energies (N) of logits (N, classes), for one class y per row: `-logits[y]`.
pub(crate) fn class_energy_of_logits(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    logits.gather(1, labels.unsqueeze_dim::<2>(1)).squeeze_dim::<1>(1).neg()
}

/// An energy and its gradient at some inputs.
#[derive(Clone, Debug)]
pub struct EnergyGradient {
    /// Energy of each input, shape (N).
    pub energy: Tensor<1>,
    /// ∂E/∂x, the shape of x (N, C, H, W), in energy per unit of x.
    pub gradient: Tensor<4>,
    /// Logits (N, classes), if they were requested.
    pub logits: Option<Tensor<2>>,
}

impl EnergyGradient {
    /// Energies (N) and their gradient (N, C, H, W), without logits, which a sampler does not need.
    pub fn new(energy: Tensor<1>, gradient: Tensor<4>) -> Self {
        Self { energy, gradient, logits: None }
    }
}

/// The energy and its gradients, with the network split at the output z of its first layer.
#[derive(Clone, Debug)]
pub struct SplitGradient {
    /// Energy of each input, shape (N).
    pub energy: Tensor<1>,
    /// p = ∂ΣE/∂z, with the shape of z.
    pub output_gradient: Tensor<4>,
    /// ∂E/∂x = J_first(x)ᵀ p at the same x.
    pub gradient: Tensor<4>,
    /// Logits (N, classes), if they were requested.
    pub logits: Option<Tensor<2>>,
}

/// An energy that a sampler can use: its values and its gradient at inputs (N, C, H, W).
///
/// To sample from your own energy, implement one method, [`Energy::gradient`]. If the energy is a formula of tensors,
/// use [`EnergyFn`], which computes the gradient for you.
///
/// ```
/// use jempp::{
///     ChainState, Energy, EnergyGradient, Sampler,
///     burn::tensor::{Device, Tensor},
/// };
///
/// /// E(x) = ‖x‖² / 2, a normal distribution.
/// struct Normal;
///
/// impl Energy for Normal {
///     fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
///         let num_chains = x.dims()[0];
///         let squared = x.clone().square().reshape([num_chains, 2]).sum_dim(1);
///         EnergyGradient::new(squared.squeeze_dim::<1>(1).mul_scalar(0.5), x)
///     }
/// }
///
/// let starts = Tensor::zeros([100, 2, 1, 1], &jempp::device::cpu());
/// let sampler = Sampler::Sgld { step_size: 0.1, noise_std: 0.2f32.sqrt() };
/// let (state, seen) = sampler.run(ChainState::new(starts, 0), &Normal, 50);
/// assert_eq!(state.x.dims(), [100, 2, 1, 1]);
/// assert_eq!(seen.len(), 50);
/// ```
pub trait Energy {
    /// Energies and input gradients, from one forward and one backward pass.
    fn gradient(&self, x: Tensor<4>) -> EnergyGradient;

    /// Whether the first layer is affine, so that `pull_back` does not depend on x.
    fn first_layer_is_affine(&self) -> bool {
        true
    }

    /// Energies, input gradients, and the gradient p at the output of the first layer. By default, the first layer is
    /// the identity.
    fn split_gradient(&self, x: Tensor<4>) -> SplitGradient {
        let EnergyGradient { energy, gradient, logits } = self.gradient(x);
        SplitGradient { energy, output_gradient: gradient.clone(), gradient, logits }
    }

    /// The input gradient of the first layer alone, J_first(x)ᵀ p, with p held fixed.
    fn pull_back(&self, _x: Tensor<4>, output_gradient: Tensor<4>) -> Tensor<4> {
        output_gradient
    }
}

/// The gradient of a leaf of the graph; zeros if the loss does not depend on it.
fn gradient_of(leaf: &Tensor<4>, gradients: &mut burn::tensor::Gradients) -> Tensor<4> {
    let gradient = leaf.grad_remove(gradients);
    contiguous(gradient.unwrap_or_else(|| leaf.clone().without_autodiff().zeros_like()))
}

/// An energy given as a formula of tensors, which burn differentiates.
///
/// The closure takes inputs (N, C, H, W) and returns their energies (N). Each energy must depend only on its own input,
/// because the chains are independent.
///
/// ```
/// use jempp::{ChainState, EnergyFn, Sampler, burn::tensor::Tensor};
///
/// // E(x) = ‖x‖²
/// let bowl = EnergyFn::new(|x: Tensor<4>| {
///     let num_chains = x.dims()[0];
///     x.square().reshape([num_chains as i32, -1]).sum_dim(1).squeeze_dim::<1>(1)
/// });
/// let starts = Tensor::ones([3, 2, 1, 1], &jempp::device::cpu());
/// let sampler = Sampler::ProximalSgld { step_size: 0.1, noise_std: 0.0, proximal_radius: 10.0 };
/// let (state, seen) = sampler.step(ChainState::new(starts, 0), &bowl);
/// assert_eq!(seen.energy.into_data().to_vec::<f32>().unwrap(), [2.0, 2.0, 2.0]);
/// // One step of 0.1 · 2x.
/// assert!((state.x.max().into_scalar::<f32>() - 0.8).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct EnergyFn<F>(F);

impl<F: Fn(Tensor<4>) -> Tensor<1>> EnergyFn<F> {
    /// Wraps a formula as an energy.
    pub fn new(formula: F) -> Self {
        Self(formula)
    }
}

impl<F: Fn(Tensor<4>) -> Tensor<1>> Energy for EnergyFn<F> {
    fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
        let x = x.autodiff().require_grad();
        let energy = (self.0)(x.clone());
        let mut gradients = energy.clone().sum().backward();
        EnergyGradient::new(energy.without_autodiff(), gradient_of(&x, &mut gradients))
    }
}

/// The energy of a 2-D density that is given by a formula.
#[derive(Clone, Debug)]
pub struct AnalyticEnergy(Density);

impl AnalyticEnergy {
    /// The energy of this form, for chains on a device.
    pub fn new(form: DensityForm, device: &Device) -> Self {
        Self(Density::new(form, device))
    }
}

impl Energy for AnalyticEnergy {
    fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
        let (energy, gradient) = density_energy(x, &self.0);
        EnergyGradient { energy, gradient, logits: None }
    }
}

/// The mean of the images that noisy chains may come from, x̂ = x - ∇E(x) / κ, within [-1, 1]: to show or judge the chains of a
/// model whose data and chains had the same noise in training, of standard deviation s. `gradient` is ∂E/∂x at `x`, both of
/// shape (N, C, H, W), and `step` is 1/κ ([`SamplerConfig::denoise_step`](crate::config::SamplerConfig::denoise_step)).
///
/// κ is the curvature of the energy along the noise. Chains of SGLD with step size α and noise σ, x ← (1 - ακ) x + σ ξ, have the
/// variance s² there if ακ = 1 - √(1 - σ²/s²). For small steps 1/κ is s²/T, with T = σ²/(2α).
///
/// # Source
/// Miyasawa 1961, for small steps; as the "jump" of walk-jump sampling in Saremi & Hyvärinen, arXiv:1903.02334.
/// Differs: κ is that of chains with steps of finite length, which training makes it; projected onto the box of the images.
pub fn denoised(x: Tensor<4>, gradient: Tensor<4>, step: f64) -> Tensor<4> {
    (x - gradient * step).clamp(-1.0, 1.0)
}

/// The same as [`denoised`] for one value on the host.
#[cfg(feature = "gui")]
pub(crate) fn denoised_value(x: f32, gradient: f32, step: f32) -> f32 {
    (x - step * gradient).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{self, read_now};

    #[test]
    fn host_and_device_give_logits_the_same_energy() {
        let rows = [[0.5f32, -2.0, 3.0], [80.0, 80.0, -80.0], [-1e3, -1e3, -1e3]];
        let logits = Tensor::<2>::from_floats(rows, &device::cpu());
        let found = read_now(energy_of_logits(logits)).unwrap();
        for (found, row) in found.into_iter().zip(rows) {
            let expected: f32 = energy_of_row(&row);
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} {expected}");
            let total: f64 = row.iter().map(|&logit| f64::from(logit + expected).exp()).sum();
            assert!((total.ln()).abs() < 1e-4, "p(x) falls as the energy rises");
        }
        assert_eq!(log_density(2.0), -2.0);
    }
}
