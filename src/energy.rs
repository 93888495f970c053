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

use std::ops::Range;

use burn::{
    module::Module,
    tensor::{Device, Int, Tensor},
};

#[cfg(feature = "gui")]
use crate::model::{WeightsError, with_weights_from};
use crate::{
    kernels::{Density, Labels, contiguous, density_energy, log_sum_exp, reference::DensityForm},
    model::Network,
    numbers::{self, Real},
};

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

/// The energy of a classifier with frozen weights.
///
/// Only the gradient of the input is computed. The weights are constants of the graph, which saves a third of a full
/// backward pass.
///
/// A batch that is larger than its device can process passes in parts. The results are the same, because each image is
/// treated separately; with batch norm in training mode it is not, and the whole batch passes at once.
#[derive(Clone, Debug)]
pub struct JointEnergy {
    network: Network,
    labels: Option<Labels>,
    gives_logits: bool,
    /// The largest number of images per pass that was asked for.
    micro_batch: usize,
    /// What the device can bind at once, in bytes; `None` if that does not split a batch.
    max_binding: Option<u64>,
}

impl JointEnergy {
    /// The energy of p(x), with a copy of the current weights of a network.
    ///
    /// Batch norm stays in training mode, but the chains do not change its running statistics.
    pub fn new(network: &Network) -> Self {
        let network = network.copy().no_grad().aside();
        let max_binding = if network.mixes_images() { None } else { network.max_binding() };
        let micro_batch = usize::MAX;
        Self { network, labels: None, gives_logits: false, micro_batch, max_binding }
    }

    /// The energy of p(x|y), with one class y per chain.
    pub fn for_labels(network: &Network, labels: Vec<u32>) -> Self {
        Self { labels: Some(Labels::new(labels, &network.device())), ..Self::new(network) }
    }

    /// Makes the energy also return the logits with every gradient, which costs one more pass of the last layer.
    pub(crate) fn with_logits(self) -> Self {
        Self { gives_logits: true, ..self }
    }

    /// This energy with the weights of another network of the same tensors, which stay on the device.
    ///
    /// # Errors
    /// The network has other tensors.
    #[cfg(feature = "gui")]
    pub(crate) fn with_weights_from(&self, other: &Network) -> Result<Self, WeightsError> {
        let network = with_weights_from(self.network.valid(), other)?;
        Ok(Self { network: network.copy().no_grad().aside(), ..self.clone() })
    }

    /// Passes at most `micro_batch` images at a time, which needs less memory; 0 means all. Batch norm in training mode
    /// then takes its statistics from each part.
    pub fn with_micro_batch(self, micro_batch: usize) -> Self {
        let micro_batch = if micro_batch == 0 { usize::MAX } else { micro_batch };
        Self { micro_batch, ..self }
    }

    /// The network with its frozen weights.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Logits (N, classes) at `x`, without an autodiff graph.
    pub fn logits(&self, x: Tensor<4>) -> Tensor<2> {
        let logits =
            |part: Range<usize>| self.network.logits(rows(&x, part).autodiff()).without_autodiff();
        joined(self.parts(&x).map(logits))
    }

    /// The rows of `x` (N, C, H, W) in parts that pass through the network one after the other.
    pub(crate) fn parts(&self, x: &Tensor<4>) -> impl Iterator<Item = Range<usize>> + use<> {
        let [n, _, h, w] = x.dims();
        let most = self.network.most_at_once([h, w], self.max_binding);
        parts_of(n, most.min(self.micro_batch))
    }

    /// The labels of a part of the chains.
    fn labels_of(&self, part: Range<usize>) -> Option<Labels> {
        self.labels.as_ref().map(|labels| labels.part(part))
    }

    /// Energies from the output z of the first layer, and logits if they were requested; `part` are the rows of z
    /// within the batch.
    fn energy_of_rest(&self, z: Tensor<4>, part: Range<usize>) -> (Tensor<1>, Option<Tensor<2>>) {
        let features = self.network.head_input(z);
        let logits = self
            .gives_logits
            .then(|| self.network.logits_of_features(features.clone().detach()).without_autodiff());
        (self.network.scaled_log_sum_exp(features, self.labels_of(part), SIGN), logits)
    }

    fn gradient_of_part(&self, x: &Tensor<4>, part: Range<usize>) -> EnergyGradient {
        let x = rows(x, part.clone()).autodiff().require_grad();
        let (energy, logits) = self.energy_of_rest(self.network.first_layer(x.clone()), part);
        let mut gradients = energy.backward();
        EnergyGradient {
            energy: energy.without_autodiff(),
            gradient: gradient_of(&x, &mut gradients),
            logits,
        }
    }

    fn split_gradient_of_part(&self, x: &Tensor<4>, part: Range<usize>) -> SplitGradient {
        let x = rows(x, part.clone());
        // Evaluate the first layer separately, so that z is a leaf of the graph whose gradient is p.
        let z = self.network.first_layer(x.clone().autodiff()).without_autodiff();
        let z = z.autodiff().require_grad();
        let (energy, logits) = self.energy_of_rest(z.clone(), part);
        let mut gradients = energy.backward();
        let output_gradient = gradient_of(&z, &mut gradients);
        let gradient = self.pull_back_part(x, output_gradient.clone());
        SplitGradient { energy: energy.without_autodiff(), output_gradient, gradient, logits }
    }

    fn pull_back_part(&self, x: Tensor<4>, output_gradient: Tensor<4>) -> Tensor<4> {
        let x = x.autodiff().require_grad();
        let z = self.network.first_layer(x.clone());
        let mut gradients = (z * output_gradient.autodiff()).sum().backward();
        gradient_of(&x, &mut gradients)
    }
}

/// The rows 0 to `count` in parts of `size`; the last part may be smaller. Without rows, there is one part without rows.
pub(crate) fn parts_of(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let size = size.clamp(1, count.max(1));
    let firsts = (0..count.max(1)).step_by(size);
    firsts.map(move |first| first..(first + size).min(count))
}

/// Some rows of a tensor; the tensor itself if these are all.
pub(crate) fn rows<const D: usize>(x: &Tensor<D>, part: Range<usize>) -> Tensor<D> {
    match part.len() == x.dims()[0] {
        true => x.clone(),
        false => x.clone().narrow(0, part.start, part.len()),
    }
}

/// The rows of all parts in one tensor; a single part is not copied.
pub(crate) fn joined<const D: usize>(parts: impl IntoIterator<Item = Tensor<D>>) -> Tensor<D> {
    let mut parts: Vec<_> = parts.into_iter().collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => Tensor::cat(parts, 0),
    }
}

/// As [`joined`], of parts that all have the value or none has it.
fn joined_if_any<const D: usize>(parts: Vec<Option<Tensor<D>>>) -> Option<Tensor<D>> {
    parts.into_iter().collect::<Option<Vec<_>>>().map(joined)
}

/// The gradient of a leaf of the graph; zeros if the loss does not depend on it.
fn gradient_of(leaf: &Tensor<4>, gradients: &mut burn::tensor::Gradients) -> Tensor<4> {
    let gradient = leaf.grad_remove(gradients);
    contiguous(gradient.unwrap_or_else(|| leaf.clone().without_autodiff().zeros_like()))
}

impl Energy for JointEnergy {
    fn gradient(&self, x: Tensor<4>) -> EnergyGradient {
        let (mut energy, mut gradient, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        for part in self.parts(&x) {
            let found = self.gradient_of_part(&x, part);
            energy.push(found.energy);
            gradient.push(found.gradient);
            logits.push(found.logits);
        }
        let logits = joined_if_any(logits);
        EnergyGradient { energy: joined(energy), gradient: joined(gradient), logits }
    }

    fn first_layer_is_affine(&self) -> bool {
        self.network.first_layer_is_affine()
    }

    fn split_gradient(&self, x: Tensor<4>) -> SplitGradient {
        let (mut energy, mut gradient, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        let mut output_gradient = Vec::new();
        for part in self.parts(&x) {
            let found = self.split_gradient_of_part(&x, part);
            energy.push(found.energy);
            output_gradient.push(found.output_gradient);
            gradient.push(found.gradient);
            logits.push(found.logits);
        }
        SplitGradient {
            energy: joined(energy),
            output_gradient: joined(output_gradient),
            gradient: joined(gradient),
            logits: joined_if_any(logits),
        }
    }

    fn pull_back(&self, x: Tensor<4>, output_gradient: Tensor<4>) -> Tensor<4> {
        let pull = |part: Range<usize>| {
            self.pull_back_part(rows(&x, part.clone()), rows(&output_gradient, part))
        };
        joined(self.parts(&x).map(pull))
    }
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
