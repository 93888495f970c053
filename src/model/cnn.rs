//! The convolutional networks `cnn-small`, `cnn-medium`, `cnn-base` and `cnn-tiny`: plain stacks of 3×3 convolutions
//! with LeakyReLU 0.2 and without norm, so that the chains of a batch are independent.

use burn::{module::Module, tensor::Tensor};

use super::{
    Cost, Pieces,
    layers::{Convolution, Head, WeightInit, channels_last},
};
use crate::kernels::Pooling;

/// The plan of a network: output channels and stride of each convolution, and the pooling.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    convs: &'static [(usize, usize)],
    pooling: Pooling,
}

impl Plan {
    /// The plan for the name of an architecture; `None` for an unknown name.
    pub(super) fn of(arch: &str) -> Option<Self> {
        let (convs, pooling): (&[_], _) = match arch {
            // Garments and digits are centred, and with few images, a head that sees positions learns faster.
            // About 11 MFLOP per forward pass for an image of 28×28.
            "cnn-small" => (&[(16, 1), (32, 2), (32, 1), (64, 2), (64, 1)], Pooling::Flatten),
            // About 23 MFLOP.
            "cnn-medium" => (&[(16, 1), (32, 2), (64, 1), (96, 2), (96, 1)], Pooling::Flatten),
            // About 58 MFLOP; W1 and W4 of the speed comparison.
            "cnn-base" => {
                (&[(32, 1), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1)], Pooling::Average)
            }
            // About 0.6 MFLOP for an image of 8×8; W2 of the speed comparison.
            "cnn-tiny" => (&[(32, 1), (32, 1)], Pooling::Average),
            _ => return None,
        };
        Some(Self { convs, pooling })
    }
}

impl Plan {
    /// The stride of each convolution.
    #[cfg(feature = "pytorch")]
    pub(super) fn strides(self) -> Vec<usize> {
        self.convs.iter().map(|(_, stride)| *stride).collect()
    }
}

/// A convolutional network: convolutions with a LeakyReLU between them, and a head.
#[derive(Module, Debug)]
pub(super) struct Cnn {
    convs: Vec<Convolution>,
    classifier: Head,
}

impl Cnn {
    /// A network for images of shape (C, H, W).
    pub(super) fn new(
        init: &mut WeightInit,
        plan: Plan,
        [mut channels, mut height, mut width]: [usize; 3],
        num_classes: usize,
    ) -> Self {
        let init = init.for_plain_stack();
        let mut convs = Vec::new();
        for &(outputs, stride) in plan.convs {
            convs.push(init.conv(channels, outputs, 3, stride));
            (channels, height, width) = (outputs, height.div_ceil(stride), width.div_ceil(stride));
        }
        let inputs = match plan.pooling {
            Pooling::Flatten => channels * height * width,
            Pooling::Average => channels,
        };
        Self { convs, classifier: init.head(inputs, num_classes, plan.pooling) }
    }
}

impl Pieces for Cnn {
    fn num_pieces(&self) -> usize {
        self.convs.len()
    }

    fn piece(&self, index: usize, x: Tensor<4>) -> Tensor<4> {
        match index {
            0 => self.convs[0].forward(channels_last(x)),
            _ => self.convs[index].forward_activated(x),
        }
    }

    fn piece_cost(&self, index: usize, size: &mut [usize; 2]) -> Cost {
        self.convs[index].cost(size)
    }

    fn head(&self) -> &Head {
        &self.classifier
    }
}
