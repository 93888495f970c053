//! The exponential moving average of the weights.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

use crate::model::Network;

/// The exponential moving average of the weights of a network.
#[derive(Clone, Debug)]
pub(crate) struct WeightAverage {
    /// A network with the averaged weights.
    pub(crate) network: Network,
    decay: f64,
}

impl WeightAverage {
    /// An average that starts from the current weights of `network`.
    pub(crate) fn new(network: &Network, decay: f64) -> Self {
        Self { network: network.copy(), decay }
    }

    /// Updates the average; `num_updates` is the number of updates before this one:
    /// `average ← d · average + (1 - d) · weights`, d = min(decay, (1 + num_updates) / (10 + num_updates)),
    /// so that the first random weights soon have no influence. Running statistics are averaged in the same way.
    pub(crate) fn update(&mut self, network: &Network, num_updates: u64) {
        let warm = (1 + num_updates) as f64 / (10 + num_updates) as f64;
        let mut weights = Weights(GradientsParams::new());
        network.valid().visit(&mut weights);
        let mut follow = Follow { weights: weights.0, decay: self.decay.min(warm) };
        self.network = self.network.copy().map(&mut follow);
    }
}

/// Weights by parameter id, in a container that burn made for gradients.
struct Weights(GradientsParams);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val().without_autodiff());
    }
}

struct Follow {
    weights: GradientsParams,
    decay: f64,
}

impl ModuleMapper for Follow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(weight) = self.weights.remove::<D>(param.id) else { return param };
        let (id, average, mapper) = param.consume();
        let is_trained = average.is_require_grad();
        let average = average.without_autodiff();
        let moved = average.mul_scalar(self.decay) + weight.mul_scalar(1.0 - self.decay);
        let moved = moved.autodiff().set_require_grad(is_trained);
        Param::from_mapped_value(id, moved, mapper)
    }
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;
    use crate::{config::ModelConfig, device, model::weights_of};

    #[test]
    fn the_average_follows_by_its_decay_and_faster_at_first() {
        let device = device::cpu().autodiff();
        let config = ModelConfig { arch: "cnn-tiny".into(), ..ModelConfig::default() };
        let network = |seed| match Network::new(&config, [1, 8, 8], 3, seed, &device) {
            Ok(network) => network,
            Err(error) => unreachable!("{error}"),
        };
        let (first, second) = (network(1), network(2));
        for (num_updates, share) in [(0, 0.1), (8, 0.5), (1_000_000, 0.9)] {
            let mut average = WeightAverage::new(&first, 0.9);
            average.update(&second, num_updates);
            let (old, new) =
                (block_on(weights_of(&first)).unwrap(), block_on(weights_of(&second)).unwrap());
            for (name, found) in block_on(weights_of(&average.network)).unwrap() {
                let ends = old[&name].values.iter().zip(&new[&name].values);
                for (found, (old, new)) in found.values.iter().zip(ends) {
                    let expected = share * old + (1.0 - share) * new;
                    assert!((found - expected).abs() < 1e-6, "{name} after {num_updates}");
                }
            }
        }
    }
}
