//! The networks `wrn-<depth>-<width>`: the WideResNet of JEM and JEM++.
//!
//! # Source
//! Zagoruyko & Komodakis, arXiv:1605.07146, as changed by JEM (arXiv:1912.03263): LeakyReLU 0.2,
//! average pooling, a bias in every convolution, 1×1 convolution shortcuts, no dropout.

use burn::{module::Module, tensor::Tensor};

use super::{
    Cost, Pieces,
    layers::{Convolution, Head, NormLayer, WeightInit, channels_last, normalise},
};
#[cfg(not(target_arch = "wasm32"))]
use super::{NEGATIVE_SLOPE, layers::update_statistics};
use crate::kernels::Pooling;
#[cfg(not(target_arch = "wasm32"))]
use crate::kernels::{BlockOptions, Features, is_batch_shared, norm_block};

/// A WideResNet: a first 3×3 convolution to 16 channels, three stages of n = (depth - 4) / 6 pre-activation blocks
/// with 16, 32 and 64 times `width` channels (stride 1, 2, 2), then norm, activation, pooling and a linear map.
#[derive(Module, Debug)]
pub(super) struct WideResNet {
    conv1: Convolution,
    blocks: Vec<Block>,
    norm: Option<NormLayer>,
    classifier: Head,
}

/// A pre-activation block: `conv2(act(norm2(conv1(act(norm1(x)))))) + shortcut(x)`, with the stride in the second
/// convolution.
#[derive(Module, Debug)]
struct Block {
    norm1: Option<NormLayer>,
    conv1: Convolution,
    norm2: Option<NormLayer>,
    conv2: Convolution,
    shortcut: Option<Convolution>,
}

impl Block {
    fn new(init: &mut WeightInit, inputs: usize, outputs: usize, stride: usize) -> Self {
        let changes = stride != 1 || inputs != outputs;
        Self {
            norm1: init.norm(inputs),
            conv1: init.conv(inputs, outputs, 3, 1),
            norm2: init.norm(outputs),
            conv2: init.conv(outputs, outputs, 3, stride),
            shortcut: changes.then(|| init.conv(inputs, outputs, 1, stride)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let z = self.conv1.forward_activated(normalise(&self.norm1, x.clone()));
        let z = self.conv2.forward_activated(normalise(&self.norm2, z));
        z + match &self.shortcut {
            Some(conv) => conv.forward(x),
            None => x,
        }
    }

    /// The block as one operation on a GPU; `None` if its norms do not take their statistics from the batch.
    #[cfg(not(target_arch = "wasm32"))]
    fn fused(&self, features: Features) -> Option<Features> {
        let norm1 = self.norm1.as_ref().and_then(NormLayer::of_batch)?;
        let norm2 = self.norm2.as_ref().and_then(NormLayer::of_batch)?;
        let options = BlockOptions {
            stride: self.conv2.stride,
            negative_slope: NEGATIVE_SLOPE,
            epsilon: norm1.epsilon,
        };
        let (first, second) = (self.conv1.after(norm1), self.conv2.after(norm2));
        let shortcut = self.shortcut.as_ref().map(Convolution::weights);
        let (features, tables) = norm_block(features, first, second, shortcut, options);
        for (norm, table) in [norm1, norm2].into_iter().zip(&tables) {
            update_statistics(norm, table);
        }
        Some(features)
    }

    fn cost(&self, size: &mut [usize; 2]) -> Cost {
        let norm = |norm: &Option<NormLayer>, size| norm.as_ref().map(|norm| norm.cost(size));
        let norms = [norm(&self.norm1, *size), norm(&self.norm2, *size)];
        let shortcut = self.shortcut.as_ref().map(|conv| conv.cost(&mut size.clone()));
        let convs = [self.conv1.cost(size), self.conv2.cost(size)];
        convs.into_iter().chain(norms.into_iter().chain([shortcut]).flatten()).sum()
    }
}

impl WideResNet {
    pub(super) fn new(
        init: &mut WeightInit,
        channels: usize,
        depth: usize,
        width: usize,
        num_classes: usize,
    ) -> Self {
        let conv1 = init.conv(channels, 16, 3, 1);
        let mut inputs = 16;
        let mut blocks = Vec::new();
        for (stage, first_stride) in [1, 2, 2].into_iter().enumerate() {
            let outputs = (16 << stage) * width;
            for index in 0..(depth - 4) / 6 {
                let stride = if index == 0 { first_stride } else { 1 };
                blocks.push(Block::new(init, inputs, outputs, stride));
                inputs = outputs;
            }
        }
        Self {
            conv1,
            blocks,
            norm: init.norm(inputs),
            classifier: init.head(inputs, num_classes, Pooling::Average),
        }
    }

    /// The output of `blocks` as one operation each; `None` where that cannot be.
    #[cfg(not(target_arch = "wasm32"))]
    fn fused(&self, blocks: &[Block], x: &Tensor<4>) -> Option<Features> {
        let mixes_images = self.norm.as_ref().is_some_and(NormLayer::mixes_images);
        let can_be = mixes_images && !is_batch_shared() && Features::can_be(x);
        let features = can_be.then(|| Features::new(x.clone()));
        blocks.iter().try_fold(features?, |features, block| block.fused(features))
    }

    /// The input of the head from the input of the first of `blocks`, which are the last ones of the network, with one
    /// operation for each of them; `None` where that cannot be.
    #[cfg(not(target_arch = "wasm32"))]
    fn fused_rest(&self, blocks: &[Block], x: &Tensor<4>) -> Option<Tensor<4>> {
        let features = self.fused(blocks, x)?;
        let norm = self.norm.as_ref().and_then(NormLayer::of_batch)?;
        let (y, table) = features.normalised(norm.gamma.val(), norm.beta.val(), norm.epsilon);
        update_statistics(norm, &table);
        Some(y)
    }
}

impl Pieces for WideResNet {
    fn num_pieces(&self) -> usize {
        // The first convolution, then the blocks.
        self.blocks.len() + 1
    }

    fn piece(&self, index: usize, x: Tensor<4>) -> Tensor<4> {
        if index == 0 {
            return self.conv1.forward(channels_last(x));
        }
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(features) = self.fused(&self.blocks[index - 1..index], &x) {
            return features.values();
        }
        self.blocks[index - 1].forward(x)
    }

    fn piece_cost(&self, index: usize, size: &mut [usize; 2]) -> Cost {
        match index {
            0 => self.conv1.cost(size),
            _ => self.blocks[index - 1].cost(size),
        }
    }

    fn rest(&self, first: usize, z: Tensor<4>) -> Tensor<4> {
        // A split is after the first convolution or a block.
        let blocks = &self.blocks[first - 1..];
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(y) = self.fused_rest(blocks, &z) {
            return y;
        }
        normalise(&self.norm, blocks.iter().fold(z, |z, block| block.forward(z)))
    }

    fn norms(&mut self) -> Vec<&mut NormLayer> {
        let inside = self.blocks.iter_mut().flat_map(|block| [&mut block.norm1, &mut block.norm2]);
        inside.chain([&mut self.norm]).flatten().collect()
    }

    fn head(&self) -> &Head {
        &self.classifier
    }
}
