//! The network `mlp`: a multilayer perceptron with three hidden layers for 2-D points.

use burn::{module::Module, nn::Linear, tensor::Tensor};

use super::{
    Cost, Pieces,
    layers::{Head, NEGATIVE_SLOPE, WeightInit},
};
use crate::kernels::{ConvOptions2d, Pooling, conv2d};

const HIDDEN: usize = 128;

/// A multilayer perceptron C → 128 → 128 → 128 → classes with LeakyReLU 0.2; inputs have shape (N, C, 1, 1).
#[derive(Module, Debug)]
pub(super) struct Mlp {
    layers: Vec<Linear>,
    classifier: Head,
}

impl Mlp {
    pub(super) fn new(init: &mut WeightInit, channels: usize, num_classes: usize) -> Self {
        let init = init.for_plain_stack();
        let layers = [channels, HIDDEN, HIDDEN].map(|inputs| init.linear(inputs, HIDDEN));
        Self { layers: layers.into(), classifier: init.head(HIDDEN, num_classes, Pooling::Flatten) }
    }
}

impl Pieces for Mlp {
    fn num_pieces(&self) -> usize {
        self.layers.len()
    }

    fn piece(&self, index: usize, x: Tensor<4>) -> Tensor<4> {
        // The input is one position, so the linear layer is a 1×1 convolution.
        let Linear { weight, bias } = &self.layers[index];
        let [n, inputs] = [x.dims()[0], weight.dims()[0]];
        let weight = weight.val().reshape([1, 1, inputs, HIDDEN]);
        let bias = match bias {
            Some(bias) => bias.val(),
            None => unreachable!("every layer has a bias"),
        };
        let negative_slope = (index > 0).then_some(NEGATIVE_SLOPE);
        let options = ConvOptions2d { stride: 1, negative_slope };
        conv2d(x.reshape([n, 1, 1, inputs]), weight, bias, options)
    }

    fn piece_cost(&self, index: usize, _: &mut [usize; 2]) -> Cost {
        let weights = self.layers[index].weight.lazy_shape();
        Cost::of_layer(2 * weights.num_elements() as u64, weights[1] as u64)
    }

    fn head(&self) -> &Head {
        &self.classifier
    }
}
