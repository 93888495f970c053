//! `mlp`: three linear layers for points in the plane.

use burn::{module::Module, nn::Linear, tensor::Tensor};

use super::{
    Pieces,
    layers::{WeightInit, leaky_relu},
};

const HIDDEN: usize = 128;

/// C → 128 → 128 → 128 → classes with LeakyReLU 0.2; inputs have shape (N, C, 1, 1).
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    classifier: Linear,
}

impl Mlp {
    pub(super) fn new(init: &mut WeightInit, channels: usize, num_classes: usize) -> Self {
        let init = init.for_plain_stack();
        let layers = [channels, HIDDEN, HIDDEN].map(|inputs| init.linear(inputs, HIDDEN));
        Self { layers: layers.into(), classifier: init.classifier(HIDDEN, num_classes) }
    }
}

fn apply(layer: &Linear, x: Tensor<4>) -> Tensor<4> {
    let [n, c, _, _] = x.dims();
    let y: Tensor<2> = layer.forward(x.reshape([n, c]));
    let [n, c] = y.dims();
    y.reshape([n, c, 1, 1])
}

impl Pieces for Mlp {
    fn num_pieces(&self) -> usize {
        self.layers.len() + 1
    }

    fn piece(&self, index: usize, x: Tensor<4>) -> Tensor<4> {
        match index {
            0 => apply(&self.layers[0], x),
            1 => leaky_relu(x),
            _ => leaky_relu(apply(&self.layers[index - 1], x)),
        }
    }

    fn head(&self, z: Tensor<4>) -> Tensor<2> {
        let [n, c, _, _] = z.dims();
        self.classifier.forward(z.reshape([n, c]))
    }
}
