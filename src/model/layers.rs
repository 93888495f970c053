//! What the architectures share: seeded weights, the activation, pooling, the choice of norm.

use burn::{
    module::{Module, Param},
    nn::{
        BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, Linear, PaddingConfig2d,
        conv::Conv2d,
    },
    tensor::{Device, Tensor, TensorData, activation::leaky_relu as burn_leaky_relu},
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{config, data::random_stream};

const WEIGHT_STREAM: u32 = 3;
/// Slope of LeakyReLU for negative inputs, as in JEM.
const NEGATIVE_SLOPE: f64 = 0.2;
const NUM_GROUPS: usize = 8;

/// Draws initial weights from the run's seed on the host, so that every device gets the same.
pub(super) struct WeightInit {
    rng: ChaCha8Rng,
    device: Device,
    gain: f32,
}

/// Uniform on ±1/√fan_in: PyTorch's default, and so what JEM's WideResNet starts from.
const PYTORCH_GAIN: f32 = 1.0;
/// Keeps the variance of activations through LeakyReLU 0.2 (He et al., arXiv:1502.01852): without norm
/// or shortcuts, PyTorch's default shrinks the signal so far that training idles for a hundred steps.
const HE_GAIN: f32 = 2.402;

impl WeightInit {
    pub(super) fn new(seed: u64, device: &Device) -> Self {
        let rng = random_stream(seed, WEIGHT_STREAM, 0);
        Self { rng, device: device.clone(), gain: PYTORCH_GAIN }
    }

    /// From now on, weights for plain stacks of LeakyReLU layers.
    pub(super) fn for_plain_stack(&mut self) -> &mut Self {
        self.gain = HE_GAIN;
        self
    }

    /// Uniform on ±gain/√fan_in.
    fn uniform<const D: usize>(
        &mut self,
        shape: [usize; D],
        fan_in: usize,
        gain: f32,
    ) -> Param<Tensor<D>> {
        let bound = gain / (fan_in as f32).sqrt();
        let len = shape.iter().product();
        let values: Vec<f32> = (0..len).map(|_| self.rng.random_range(-bound..=bound)).collect();
        Param::from_data(TensorData::new(values, shape), &self.device)
    }

    /// A square convolution with bias that keeps the size (divided by the stride).
    pub(super) fn conv(
        &mut self,
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        stride: usize,
    ) -> Conv2d {
        let fan_in = channels_in * kernel * kernel;
        let pad = kernel / 2;
        Conv2d {
            weight: self.uniform([channels_out, channels_in, kernel, kernel], fan_in, self.gain),
            bias: Some(self.uniform([channels_out], fan_in, PYTORCH_GAIN)),
            stride: [stride, stride],
            kernel_size: [kernel, kernel],
            dilation: [1, 1],
            groups: 1,
            padding: PaddingConfig2d::Explicit(pad, pad, pad, pad),
        }
    }

    /// A linear map with bias inside the network.
    pub(super) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        self.linear_with(inputs, outputs, self.gain)
    }

    /// A linear map with bias that gives logits: small at first, so that no class is favoured.
    pub(super) fn classifier(&mut self, inputs: usize, num_classes: usize) -> Linear {
        self.linear_with(inputs, num_classes, PYTORCH_GAIN)
    }

    fn linear_with(&mut self, inputs: usize, outputs: usize, gain: f32) -> Linear {
        Linear {
            weight: self.uniform([inputs, outputs], inputs, gain),
            bias: Some(self.uniform([outputs], inputs, PYTORCH_GAIN)),
        }
    }

    /// The norm layer of the configuration.
    pub(super) fn norm(&self, norm: config::Norm, channels: usize) -> Option<NormLayer> {
        let batch = || BatchNormConfig::new(channels).init(&self.device);
        match norm {
            config::Norm::None => None,
            config::Norm::Batch => Some(NormLayer::Batch(batch())),
            config::Norm::Frozen => Some(NormLayer::Batch(batch().freeze())),
            config::Norm::Group => {
                let groups = if channels.is_multiple_of(NUM_GROUPS) { NUM_GROUPS } else { 1 };
                let config = GroupNormConfig::new(groups, channels);
                Some(NormLayer::Group(config.init(&self.device)))
            }
        }
    }
}

/// Normalisation of activations (N, C, H, W).
///
/// Batch norm uses the statistics of the batch wherever a gradient flows, sampling included (the
/// authors of JEM++: do not sample in evaluation mode), and its running statistics once frozen.
#[derive(Module, Debug)]
pub(super) enum NormLayer {
    Batch(BatchNorm),
    Group(GroupNorm),
}

/// `x` normalised, or as it is where the network has no norm.
pub(super) fn normalise(norm: &Option<NormLayer>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        None => x,
        Some(NormLayer::Batch(norm)) => norm.forward(x),
        Some(NormLayer::Group(norm)) => norm.forward(x),
    }
}

/// LeakyReLU with slope 0.2.
pub(super) fn leaky_relu(x: Tensor<4>) -> Tensor<4> {
    burn_leaky_relu(x, NEGATIVE_SLOPE)
}

/// Mean over all positions: (N, C, H, W) to (N, C).
pub(super) fn global_average_pool(x: Tensor<4>) -> Tensor<2> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h * w]).mean_dim(2).reshape([n, c])
}
