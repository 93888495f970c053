//! The building blocks of the architectures: initial weights from a seed, convolution, head, and norm.

use burn::{
    module::{Module, Param, ParamId},
    nn::{BatchNorm, BatchNormConfig, GroupNorm, GroupNormConfig, Linear},
    tensor::{Device, Tensor, TensorData},
};
use jempp_cpu::layers::task_memory;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Cost;
#[cfg(not(target_arch = "wasm32"))]
use crate::kernels::NormConv;
use crate::{
    config,
    kernels::{
        ConvOptions2d, ConvShape, EnergyOptions, HeadOptions, Labels, Pooling, batch_norm, conv2d,
        head_energy, head_logits,
    },
    streams,
};

/// The slope of LeakyReLU for negative inputs, as in JEM.
pub(crate) const NEGATIVE_SLOPE: f32 = 0.2;
/// What burn's norms add to the variance by default, and PyTorch's too.
#[cfg(feature = "pytorch")]
pub(crate) const NORM_EPSILON: f32 = 1e-5;
const NUM_GROUPS: usize = 8;

/// The number of groups of a group norm.
pub(crate) fn num_groups(channels: usize) -> usize {
    if channels.is_multiple_of(NUM_GROUPS) { NUM_GROUPS } else { 1 }
}

/// Draws initial weights from the seed of the run, on the host, so that they are the same for every device.
pub(super) struct WeightInit {
    /// The random number generator; with `None`, nothing is drawn and the weights take no memory.
    rng: Option<ChaCha8Rng>,
    device: Device,
    gain: f32,
    norm: config::Norm,
    norm_momentum: f64,
}

/// Uniform on ±1/√fan_in: PyTorch's default, which JEM's WideResNet uses.
const PYTORCH_GAIN: f32 = 1.0;
/// Keeps the variance of activations through LeakyReLU 0.2 (He et al., arXiv:1502.01852). Without norm or shortcuts,
/// PyTorch's default shrinks the signal so much that training makes no progress for a hundred steps.
const HE_GAIN: f32 = 2.402;

impl WeightInit {
    pub(super) fn new(config: &config::ModelConfig, seed: u64, device: &Device) -> Self {
        let rng = Some(streams::WEIGHTS.rng(seed, 0));
        Self { rng, ..Self::of_shapes(config, device) }
    }

    /// Initial weights with shapes but without values, to inspect an architecture before it is built.
    pub(super) fn of_shapes(config: &config::ModelConfig, device: &Device) -> Self {
        Self {
            rng: None,
            device: device.clone(),
            gain: PYTORCH_GAIN,
            norm: config.norm,
            norm_momentum: config.norm_momentum,
        }
    }

    /// From now on, initialises weights for plain stacks of LeakyReLU layers.
    pub(super) fn for_plain_stack(&mut self) -> &mut Self {
        self.gain = HE_GAIN;
        self
    }

    /// Draws `len` values, uniform on ±gain/√fan_in.
    fn uniform(&mut self, len: usize, fan_in: usize, gain: f32) -> Vec<f32> {
        let bound = gain / (fan_in as f32).sqrt();
        let Some(rng) = &mut self.rng else { return Vec::new() };
        (0..len).map(|_| rng.random_range(-bound..=bound)).collect()
    }

    fn param<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        if self.rng.is_some() {
            return Param::from_data(TensorData::new(values, shape), &self.device);
        }
        let (id, device) = (ParamId::from(0), self.device.clone());
        let init = move |device: &Device, _| Tensor::zeros(shape, device);
        Param::uninitialized(id, init, device, false, shape.into())
    }

    fn bias(&mut self, len: usize, fan_in: usize) -> Param<Tensor<1>> {
        let values = self.uniform(len, fan_in, PYTORCH_GAIN);
        self.param(values, [len])
    }

    /// A square convolution with bias; the output has the size of the input divided by the stride.
    pub(super) fn conv(
        &mut self,
        channels_in: usize,
        channels_out: usize,
        kernel: usize,
        stride: usize,
    ) -> Convolution {
        let taps = kernel * kernel;
        let fan_in = channels_in * taps;
        // The weights are drawn in PyTorch's order, (outputs, inputs, k, k).
        let drawn = self.uniform(channels_out * fan_in, fan_in, self.gain);
        let place = |index: usize| {
            let (output, row) = (index % channels_out, index / channels_out);
            (output * channels_in + row % channels_in) * taps + row / channels_in
        };
        let weight = (0..drawn.len()).map(|index| drawn[place(index)]).collect();
        Convolution {
            weight: self.param(weight, [kernel, kernel, channels_in, channels_out]),
            bias: self.bias(channels_out, fan_in),
            stride,
        }
    }

    /// A linear layer with bias inside the network.
    pub(super) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let weight = self.uniform(inputs * outputs, inputs, self.gain);
        Linear {
            weight: self.param(weight, [inputs, outputs]),
            bias: Some(self.bias(outputs, inputs)),
        }
    }

    /// The head, with small initial logits, so that no class is preferred.
    pub(super) fn head(&mut self, inputs: usize, num_classes: usize, pooling: Pooling) -> Head {
        let weight = self.uniform(inputs * num_classes, inputs, PYTORCH_GAIN);
        Head {
            weight: self.param(weight, [inputs, num_classes]),
            bias: self.bias(num_classes, inputs),
            pooling,
        }
    }

    /// The norm layer of the configuration; `None` without norm.
    pub(super) fn norm(&self, channels: usize) -> Option<NormLayer> {
        let config = BatchNormConfig::new(channels).with_momentum(self.norm_momentum);
        let batch = || config.init(&self.device);
        match self.norm {
            config::Norm::None => None,
            config::Norm::Batch => Some(NormLayer::Batch(batch())),
            config::Norm::Frozen => {
                let mut norm = NormLayer::Batch(batch());
                norm.use_batch_statistics(false);
                Some(norm)
            }
            config::Norm::Group => {
                let config = GroupNormConfig::new(num_groups(channels), channels);
                Some(NormLayer::Group(config.init(&self.device)))
            }
        }
    }
}

/// A square convolution with bias; the padding is such that stride 1 keeps the size.
///
/// # Shapes
/// (N, H, W, inputs) to (N, ⌈H/stride⌉, ⌈W/stride⌉, outputs); weights (k, k, inputs,
/// outputs), the reverse of PyTorch's order, so that the weights of one tap and one input for all outputs are
/// neighbours.
#[derive(Module, Debug)]
pub(super) struct Convolution {
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    pub(super) stride: usize,
}

impl Convolution {
    /// The convolution of `x`.
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, None)
    }

    /// The convolution of LeakyReLU(`x`), in one operation.
    pub(super) fn forward_activated(&self, x: Tensor<4>) -> Tensor<4> {
        self.apply(x, Some(NEGATIVE_SLOPE))
    }

    /// The cost for one image of `size` = [H, W]; `size` becomes the size of the output.
    pub(super) fn cost(&self, size: &mut [usize; 2]) -> Cost {
        /// A batch that is large enough for whole tasks.
        const LARGE: usize = 1 << 16;
        let ([height, width], weights) = (*size, self.weight.lazy_shape());
        let (inputs, outputs) = (weights[2], weights[3]);
        let (batch, kernel, stride) = (LARGE, weights[0], self.stride);
        let shape = ConvShape { batch, height, width, inputs, outputs, kernel, stride };
        *size = size.map(|side| side.div_ceil(self.stride));
        let positions = (size[0] * size[1]) as u64;
        let flops = 2 * weights.num_elements() as u64 * positions;
        Cost { tasks: task_memory(&shape), ..Cost::of_layer(flops, outputs as u64 * positions) }
    }

    fn apply(&self, x: Tensor<4>, negative_slope: Option<f32>) -> Tensor<4> {
        let options = ConvOptions2d { stride: self.stride, negative_slope };
        let (weight, bias) = self.weights();
        conv2d(x, weight, bias, options)
    }

    /// The weights and the bias.
    pub(super) fn weights(&self) -> (Tensor<4>, Tensor<1>) {
        (self.weight.val(), self.bias.val())
    }

    /// The weights of this convolution with batch norm and LeakyReLU in front.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn after(&self, norm: &BatchNorm) -> NormConv {
        let (weight, bias) = self.weights();
        NormConv { gamma: norm.gamma.val(), beta: norm.beta.val(), weight, bias }
    }
}

/// The head, which turns the last features into logits: LeakyReLU, pooling, a linear map.
///
/// # Shapes
/// Features (N, H, W, C); weights (inputs, classes).
#[derive(Module, Debug)]
pub(super) struct Head {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    pooling: Pooling,
}

impl Head {
    fn options(&self) -> HeadOptions {
        HeadOptions { pooling: self.pooling, negative_slope: NEGATIVE_SLOPE }
    }

    pub(super) fn device(&self) -> Device {
        self.weight.val().device()
    }

    /// The logits (N, classes) of features (N, H, W, C).
    pub(super) fn logits(&self, features: Tensor<4>) -> Tensor<2> {
        head_logits(features, self.weight.val(), self.bias.val(), &self.options())
    }

    /// `scale` times log_sum_exp of the logits, or `scale` times the logit of each row's label, shape (N).
    pub(super) fn scaled_log_sum_exp(
        &self,
        features: Tensor<4>,
        labels: Option<Labels>,
        scale: f32,
    ) -> Tensor<1> {
        let options = EnergyOptions { head: self.options(), labels, scale };
        head_energy(features, self.weight.val(), self.bias.val(), options)
    }
}

/// Converts images (N, C, H, W) to channels last, (N, H, W, C), the format of the layers.
pub(super) fn channels_last(x: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    // With one channel, both formats are the same, and a reshape saves a copy.
    if c == 1 { x.reshape([n, h, w, c]) } else { x.permute([0, 2, 3, 1]) }
}

/// Normalisation of activations (N, H, W, C), per channel.
///
/// Batch norm uses the statistics of the batch whenever a gradient flows, also during sampling (the authors of JEM++:
/// do not sample in evaluation mode). Frozen batch norm uses its running statistics. Every batch updates the running
/// statistics of its network with `model.norm_momentum`; to avoid that, use [`Network::aside`](super::Network::aside).
#[derive(Module, Debug)]
pub(super) enum NormLayer {
    Batch(BatchNorm),
    Group(GroupNorm),
}

impl NormLayer {
    /// The cost for one image of `size` = [H, W].
    pub(super) fn cost(&self, size: [usize; 2]) -> Cost {
        let channels = match self {
            Self::Batch(norm) => norm.gamma.dims()[0],
            Self::Group(norm) => norm.num_channels,
        };
        Cost::of_norm((channels * size[0] * size[1]) as u64)
    }

    /// Whether it takes its statistics from the batch.
    pub(super) fn mixes_images(&self) -> bool {
        self.of_batch().is_some()
    }

    /// From now on, batches do not update the running statistics.
    pub(super) fn keep_statistics(&mut self) {
        if let Self::Batch(norm) = self {
            norm.momentum = 0.0;
        }
    }

    /// From now on, batch norm takes the statistics of each batch, or uses its running ones. Scale and shift are trained in
    /// both cases.
    pub(super) fn use_batch_statistics(&mut self, are_used: bool) {
        if let Self::Batch(norm) = self {
            norm.training = norm.training.clone().with_value(are_used);
        }
    }

    /// The batch norm, if it takes its statistics from the batch.
    pub(super) fn of_batch(&self) -> Option<&BatchNorm> {
        match self {
            Self::Batch(norm) if norm.training.is_enabled() => Some(norm),
            _ => None,
        }
    }
}

/// Moves the running statistics towards those of a batch, which are in the table of [`batch_norm`].
pub(super) fn update_statistics(norm: &BatchNorm, table: &Tensor<2>) {
    if norm.momentum == 0.0 {
        return;
    }
    for (row, running) in [(0, &norm.running_mean), (3, &norm.running_var)] {
        let of_batch = table.clone().narrow(0, row, 1).squeeze_dim(0);
        let old = running.value_sync().to_device(&of_batch.device());
        running.update(old * (1.0 - norm.momentum) + of_batch * norm.momentum);
    }
}

/// Normalises `x`, or returns it unchanged if the network has no norm.
pub(super) fn normalise(norm: &Option<NormLayer>, x: Tensor<4>) -> Tensor<4> {
    match norm {
        None => x,
        Some(NormLayer::Batch(norm)) if x.is_autodiff() && norm.training.is_enabled() => {
            let (gamma, beta) = (norm.gamma.val(), norm.beta.val());
            let (y, table) = batch_norm(x, gamma, beta, norm.epsilon);
            update_statistics(norm, &table);
            y
        }
        Some(NormLayer::Batch(norm)) => {
            let [n, h, w, c] = x.dims();
            norm.forward(x.reshape([n * h * w, c])).reshape([n, h, w, c])
        }
        Some(NormLayer::Group(norm)) => norm.forward(x.permute([0, 3, 1, 2])).permute([0, 2, 3, 1]),
    }
}
