//! `mlp`: three linear layers for points in the plane.

use burn::{module::Module, nn::Linear, tensor::Tensor};

use super::{
    Pieces,
    layers::{Head, WeightInit, leaky_relu},
};
use crate::kernels::Pooling;

const HIDDEN: usize = 128;

/// C → 128 → 128 → 128 → classes with LeakyReLU 0.2; inputs have shape (N, C, 1, 1).
#[derive(Module, Debug)]
pub struct Mlp {
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
        let x = if index == 0 { x } else { leaky_relu(x) };
        let n = x.dims()[0];
        let y: Tensor<2> = self.layers[index].forward(x.flatten(1, 3));
        y.reshape([n, 1, 1, HIDDEN])
    }

    fn piece_flops(&self, index: usize, _: &mut [usize; 2]) -> u64 {
        2 * self.layers[index].weight.shape().num_elements() as u64
    }

    fn head(&self) -> &Head {
        &self.classifier
    }
}
