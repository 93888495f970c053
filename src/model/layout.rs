//! What a network is made of, before it is built.

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};

use super::{Cost, ModelError, Network, WeightInit};
use crate::{config::ModelConfig, device};

/// Names, shapes and sizes of a network of a configuration. Knowing them takes no memory for weights, so that what
/// a file or a setting asks for can be refused before it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Path and shape of every weight and running statistic, by their numbers, which begin at 1.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Values that the network's layers give for one input.
    pub num_activations: u64,
}

impl Layout {
    /// The layout of [`Network::new`] with the same arguments.
    ///
    /// # Errors
    /// As [`Network::new`].
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
        let cost: Cost = network.costs([height, width]).into_iter().sum();
        Ok(Self { tensors: names.tensors, num_activations: cost.values })
    }

    /// How many numbers the weights and running statistics are.
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
    use crate::{
        config::Norm,
        model::{MAX_LAYER_BYTES, Pass},
    };

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
        // One of its widest layers, 320 channels of 32 × 32, alone.
        assert!((forward * 320 * 32 * 32 * 4) as u64 <= MAX_LAYER_BYTES);
        // Four times the pixels, a quarter of the images.
        let [larger, _] = at_once("wrn-28-10", Norm::Batch, 64);
        assert!((forward / 4..=forward / 4 + 1).contains(&larger), "{forward} {larger}");
    }
}
