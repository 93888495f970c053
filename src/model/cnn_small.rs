//! `cnn-small`: five 3×3 convolutions for 28×28 images, about 11 MFLOP forward per image.

use burn::{
    module::Module,
    nn::{Linear, conv::Conv2d},
    tensor::Tensor,
};

use super::{
    Pieces,
    layers::{WeightInit, global_average_pool, leaky_relu},
};

/// Channels C → 16 → 32 → 32 → 64 → 64, stride 2 at the second and fourth convolution, LeakyReLU 0.2,
/// average pool, linear. No norm: the chains of a batch stay independent.
#[derive(Module, Debug)]
pub struct CnnSmall {
    convs: Vec<Conv2d>,
    classifier: Linear,
}

impl CnnSmall {
    pub(super) fn new(init: &mut WeightInit, channels: usize, num_classes: usize) -> Self {
        let plan = [(channels, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)];
        let convs = plan.map(|(inputs, outputs, stride)| init.conv(inputs, outputs, 3, stride));
        Self { convs: convs.into(), classifier: init.linear(64, num_classes) }
    }
}

impl Pieces for CnnSmall {
    fn num_pieces(&self) -> usize {
        // conv, activation, then one piece per further convolution with its activation.
        self.convs.len() + 1
    }

    fn piece(&self, index: usize, x: Tensor<4>) -> Tensor<4> {
        match index {
            0 => self.convs[0].forward(x),
            1 => leaky_relu(x),
            _ => leaky_relu(self.convs[index - 1].forward(x)),
        }
    }

    fn head(&self, z: Tensor<4>) -> Tensor<2> {
        self.classifier.forward(global_average_pool(z))
    }
}
