//! The layout of a network: its tensors and their sizes, known before the network is built.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};

use super::{ModelError, Network, Pass, WeightInit, cost, cost::Cost};
use jempp_cpu::layers::TaskMemory;

use crate::{config::ModelConfig, device};

/// The names, shapes and sizes of the tensors of a network. It needs no memory for weights, so use it to refuse a
/// network that is too large before it is built.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Path and shape of every weight and running statistic, in the order of their numbers, which start at 1.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// The number of output values of all layers for one input.
    pub num_activations: u64,
    /// The number of output values of the largest layer for one input.
    pub(crate) largest_activation: u64,
    /// The number of values for one input that norm layers normalise.
    pub(crate) num_normalised: u64,
    /// What the CPU back end needs while it computes a layer: for the passes of frozen weights, and for the gradient of the
    /// weights.
    pub(crate) tasks: [TaskMemory; 2],
    pieces: Vec<Cost>,
}

impl Layout {
    /// The layout of [`Network::new`] with the same arguments.
    ///
    /// # Errors
    /// The same errors as [`Network::new`].
    pub fn of(
        config: &ModelConfig,
        input_shape: [usize; 3],
        num_classes: usize,
    ) -> Result<Self, ModelError> {
        let mut init = WeightInit::of_shapes(config, &device::cpu());
        let network = Network::build(&mut init, config, input_shape, num_classes)?;
        let mut names = Names::default();
        network.visit(&mut names);
        let [_, height, width] = input_shape;
        let pieces = network.costs([height, width]);
        let Cost { values, most_values, normalised, tasks, .. } = pieces.iter().copied().sum();
        Ok(Self {
            tensors: names.tensors,
            num_activations: values,
            largest_activation: most_values,
            num_normalised: normalised,
            tasks,
            pieces,
        })
    }

    /// As [`Network::images_at_once`], on a device that binds at most `max_binding` bytes at once.
    pub(crate) fn images_at_once(&self, pass: Pass, max_binding: Option<u64>) -> usize {
        cost::measured_at_once(&self.pieces, pass, max_binding) as usize
    }

    /// As [`Network::most_at_once`].
    pub(crate) fn most_at_once(&self, max_binding: Option<u64>) -> usize {
        let most = cost::most_at_once(&self.pieces.iter().copied().sum(), max_binding);
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// The number of values in all weights and running statistics.
    pub fn num_weights(&self) -> u64 {
        let sizes = self.tensors.iter().map(|(_, shape)| shape.iter().map(|&n| n as u64).product());
        sizes.fold(0, u64::saturating_add)
    }
}

#[derive(Default)]
struct Names {
    path: Vec<String>,
    tensors: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Names {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.push((self.path.join("."), param.lazy_shape().to_vec()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Norm, model::cost::MAX_LAYER_BYTES};

    #[test]
    fn images_at_once_fit_their_bound_whatever_the_network() {
        let at_once = |arch: &str, norm, side| {
            let config = ModelConfig { arch: arch.into(), norm, ..ModelConfig::default() };
            let mut init = WeightInit::of_shapes(&config, &device::cpu());
            match Network::build(&mut init, &config, [3, side, side], 10) {
                Ok(network) => [Pass::Forward, Pass::Gradient]
                    .map(|pass| network.images_at_once([side; 2], pass)),
                Err(error) => unreachable!("{error}"),
            }
        };
        assert_eq!(at_once("cnn-medium", Norm::None, 28), [250, 250]);
        let [forward, gradient] = at_once("wrn-28-10", Norm::Batch, 32);
        assert!((20..250).contains(&forward), "{forward}");
        assert!((5..forward).contains(&gradient), "{gradient}");
        // The output of one of the widest layers alone: 320 channels of 32 × 32.
        assert!((forward * 320 * 32 * 32 * 4) as u64 <= MAX_LAYER_BYTES);
        // Four times as many pixels allow a quarter of the images.
        let [larger, _] = at_once("wrn-28-10", Norm::Batch, 64);
        assert!((forward / 4..=forward / 4 + 1).contains(&larger), "{forward} {larger}");
    }
}
