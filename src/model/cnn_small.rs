//! `cnn-small`: five 3×3 convolutions for 28×28 images, about 11 MFLOP forward per image.

use burn::{
    module::Module,
    nn::{Linear, conv::Conv2d},
    tensor::Tensor,
};

use super::{
    Pieces,
    layers::{WeightInit, leaky_relu},
};

/// Channels C → 16 → 32 → 32 → 64 → 64, stride 2 at the second and fourth convolution, LeakyReLU 0.2,
/// linear. No norm: the chains of a batch stay independent. No pooling before the linear layer: garments
/// and digits are centred, and on few images a layer that knows places learns faster.
#[derive(Module, Debug)]
pub struct CnnSmall {
    convs: Vec<Conv2d>,
    classifier: Linear,
}

impl CnnSmall {
    /// For images of shape (C, H, W).
    pub(super) fn new(init: &mut WeightInit, [c, h, w]: [usize; 3], num_classes: usize) -> Self {
        let init = init.for_plain_stack();
        let plan = [(c, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)];
        let convs = plan.map(|(inputs, outputs, stride)| init.conv(inputs, outputs, 3, stride));
        let inputs = 64 * h.div_ceil(4) * w.div_ceil(4);
        Self { convs: convs.into(), classifier: init.classifier(inputs, num_classes) }
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
        self.classifier.forward(z.flatten(1, 3))
    }
}
