//! The energy of a classifier with frozen weights, whose batches pass in parts that fit the device.

use std::ops::Range;

use burn::{module::Module, tensor::Tensor};

use super::{Energy, EnergyGradient, SIGN, SplitGradient, gradient_of};
#[cfg(feature = "gui")]
use crate::model::{WeightsError, with_weights_from};
use crate::{kernels::Labels, model::Network};

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

    /// The energy that chains with these classes descend: of p(x|y) if they are conditional, otherwise of p(x).
    pub fn of_chains(network: &Network, is_conditional: bool, labels: &[u32]) -> Self {
        match is_conditional {
            true => Self::for_labels(network, labels.to_vec()),
            false => Self::new(network),
        }
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

    /// The energy of some of the chains.
    #[cfg(feature = "gui")]
    pub(crate) fn of_rows(&self, part: Range<usize>) -> Self {
        Self { labels: self.labels_of(part), ..self.clone() }
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
