//! Networks that compute class logits, split as `logits = rest ∘ first_layer` for PYLD.

mod cnn;
mod cost;
mod layers;
mod layout;
mod mlp;
mod weights;
mod wide_resnet;

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    tensor::{Device, Tensor, activation::leaky_relu},
};

use crate::{
    config::{ModelConfig, Norm, meant, nearest, shortened},
    kernels::{Labels, max_binding_bytes},
};
use cnn::{Cnn, Plan};
use cost::Cost;
use layers::{Head, NormLayer, WeightInit};
use mlp::Mlp;
use wide_resnet::WideResNet;

pub(crate) use cost::Pass;
pub(crate) use layers::NEGATIVE_SLOPE;
#[cfg(feature = "pytorch")]
pub(crate) use layers::{NORM_EPSILON, num_groups};
pub use layout::Layout;
#[cfg(feature = "gui")]
pub(crate) use weights::with_weights_from;
pub use weights::{HostTensor, WeightsError, weights_of, with_weights};

/// Upper limits for a WideResNet; a larger number is probably a typing error and would need all memory.
const MAX_DEPTH: usize = 1000;
const MAX_WIDTH: usize = 64;
/// The names of architectures that a misspelt name is compared with.
const ARCHS: [&str; 8] =
    ["cnn-small", "cnn-medium", "cnn-base", "cnn-tiny", "mlp", "wrn-10-1", "wrn-16-4", "wrn-28-10"];

/// Why a network could not be built.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ModelError {
    /// There is no architecture with this name.
    #[error(
        "unknown model.arch `{}`{} There are cnn-small, cnn-medium, cnn-base, cnn-tiny, mlp and wrn-<depth>-<width>, as in \
         wrn-28-10",
        shortened(.name, 60),
        meant(*.nearest)
    )]
    UnknownArch {
        /// The name as written.
        name: String,
        /// The name of the closest architecture, if one is close.
        nearest: Option<&'static str>,
    },
    /// The depth or the width of a WideResNet is not allowed.
    #[error(
        "model.arch `wrn-{depth}-{width}`: the depth must be 6n+4 (10, 16, 22, 28, …, at most {MAX_DEPTH}) \
         and the width 1 to {MAX_WIDTH}"
    )]
    WideResNetSize {
        /// The requested depth.
        depth: usize,
        /// The requested width.
        width: usize,
    },
    /// The architecture has no norm layers, but a norm was requested.
    #[error("model.arch `{0}` has no norm layers; set model.norm = none")]
    NoNorm(String),
    /// The architecture takes inputs of another shape.
    #[error(
        "model.arch `{arch}` takes inputs of shape {expected}, the data has {found:?} (C, H, W)"
    )]
    Input {
        /// The name of the architecture.
        arch: String,
        /// The input shape that the architecture takes.
        expected: &'static str,
        /// The shape (C, H, W) of the images of the data set.
        found: [usize; 3],
    },
    /// The split is larger than the number of pieces.
    #[error(
        "model.split = {split} does not fit the network: `{arch}` has {num_pieces} pieces before its head, so \
         that model.split is 1 to {num_pieces}"
    )]
    Split {
        /// The requested split.
        split: usize,
        /// The name of the architecture.
        arch: String,
        /// The number of pieces before the head.
        num_pieces: usize,
    },
}

/// The stride of each convolution of a plain convolutional network; `None` for the name of another architecture.
#[cfg(feature = "pytorch")]
pub(crate) fn cnn_strides(arch: &str) -> Option<Vec<usize>> {
    Plan::of(arch).map(Plan::strides)
}

/// A network as a sequence of pieces and a head, so that it can be split after any piece.
///
/// Piece 0 is always affine: a single convolution or linear map with bias.
trait Pieces {
    /// The number of pieces before the head.
    fn num_pieces(&self) -> usize;
    /// Applies piece `index` to its input: images (N, C, H, W) for piece 0, otherwise the output of the previous piece,
    /// channels last.
    fn piece(&self, index: usize, x: Tensor<4>) -> Tensor<4>;
    /// The cost of piece `index` for one image of `size` = [H, W]; `size` becomes the size of the output.
    fn piece_cost(&self, index: usize, size: &mut [usize; 2]) -> Cost;
    /// The norm layers of the network, if it has any.
    fn norms(&mut self) -> Vec<&mut NormLayer> {
        Vec::new()
    }
    /// The input of the head, from the input of piece `first`.
    fn rest(&self, first: usize, z: Tensor<4>) -> Tensor<4> {
        (first..self.num_pieces()).fold(z, |z, index| self.piece(index, z))
    }
    /// The head, which turns its input into logits or energies.
    fn head(&self) -> &Head;
}

/// A network of any architecture, with the split that PYLD uses.
#[derive(Module, Debug)]
pub struct Network {
    body: Body,
    split: usize,
}

#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one network, not a collection")]
enum Body {
    Cnn(Cnn),
    Mlp(Mlp),
    WideResNet(WideResNet),
}

impl Network {
    /// A network with new initial weights, which are the same for one `seed` on every device.
    ///
    /// # Shapes
    /// Input: (N, C, H, W) with `input_shape` = (C, H, W); output: (N, `num_classes`).
    ///
    /// # Errors
    /// The architecture, the norm or the split does not exist or does not fit the input.
    pub fn new(
        config: &ModelConfig,
        input_shape: [usize; 3],
        num_classes: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let mut init = WeightInit::new(config, seed, device);
        let network = Self::build(&mut init, config, input_shape, num_classes)?;
        // Parameters are numbered in order, so that the optimiser of a resumed run finds its state.
        Ok(network.map(&mut Number(0)))
    }

    fn build(
        init: &mut WeightInit,
        config: &ModelConfig,
        input_shape: [usize; 3],
        num_classes: usize,
    ) -> Result<Self, ModelError> {
        let arch = config.arch.as_str();
        let wants =
            |expected| ModelError::Input { arch: arch.to_string(), expected, found: input_shape };
        let plan = Plan::of(arch);
        if (plan.is_some() || arch == "mlp") && config.norm != Norm::None {
            return Err(ModelError::NoNorm(arch.to_string()));
        }
        let body = match (arch, plan) {
            (_, Some(_)) if input_shape[1] < 4 || input_shape[2] < 4 => {
                return Err(wants("(C, H, W) with H and W at least 4"));
            }
            (_, Some(plan)) => Body::Cnn(Cnn::new(init, plan, input_shape, num_classes)),
            ("mlp", _) if input_shape[1] != 1 || input_shape[2] != 1 => {
                return Err(wants("(C, 1, 1), as the 2-D densities are"));
            }
            ("mlp", _) => Body::Mlp(Mlp::new(init, input_shape[0], num_classes)),
            _ => {
                let [depth, width] = parse_wide_resnet(arch)?;
                if input_shape[1] < 4 || input_shape[2] < 4 {
                    return Err(wants("(C, H, W) with H and W at least 4"));
                }
                let channels = input_shape[0];
                let net = WideResNet::new(init, channels, depth, width, num_classes);
                Body::WideResNet(net)
            }
        };
        let network = Self { body, split: config.split };
        let num_pieces = network.pieces().num_pieces();
        if config.split == 0 || config.split > num_pieces {
            let arch = arch.to_string();
            return Err(ModelError::Split { split: config.split, arch, num_pieces });
        }
        Ok(network)
    }

    /// A copy of the network for training, with its own running statistics; a clone would share them.
    pub fn copy(&self) -> Self {
        self.valid().train()
    }

    /// The network for a pass that must not change the running statistics of batch norm. It shares weights, graph and
    /// statistics.
    pub fn aside(&self) -> Self {
        let mut aside = self.clone();
        aside.norms().into_iter().for_each(NormLayer::keep_statistics);
        aside
    }

    /// From now on, batch norm takes the statistics of each batch and updates its running ones; or it uses the running ones
    /// as they are.
    pub(crate) fn use_batch_statistics(&mut self, are_used: bool) {
        self.norms().into_iter().for_each(|norm| norm.use_batch_statistics(are_used));
    }

    fn norms(&mut self) -> Vec<&mut NormLayer> {
        match &mut self.body {
            Body::Cnn(network) => network.norms(),
            Body::Mlp(network) => network.norms(),
            Body::WideResNet(network) => network.norms(),
        }
    }

    fn pieces(&self) -> &dyn Pieces {
        match &self.body {
            Body::Cnn(network) => network,
            Body::Mlp(network) => network,
            Body::WideResNet(network) => network,
        }
    }

    /// The device of the weights.
    pub fn device(&self) -> Device {
        self.pieces().head().device()
    }

    /// The number of pieces before the head; a split can be 1 to this number.
    pub fn num_pieces(&self) -> usize {
        self.pieces().num_pieces()
    }

    /// Whether `first_layer` is affine, so that the inner steps of PYLD can be computed as one long step.
    pub fn first_layer_is_affine(&self) -> bool {
        self.split == 1
    }

    /// The number of multiplications and additions of a forward pass for one image of `size` = [H, W], without the
    /// head. A backward pass to the input needs the same number again.
    pub fn forward_flops(&self, size: [usize; 2]) -> u64 {
        self.costs(size).into_iter().sum::<Cost>().flops
    }

    fn costs(&self, mut size: [usize; 2]) -> Vec<Cost> {
        let pieces = self.pieces();
        (0..pieces.num_pieces()).map(|index| pieces.piece_cost(index, &mut size)).collect()
    }

    /// The batch size for images of `size` = [H, W] with which the outputs of the layers stay within about 512 MiB and
    /// within what the network's device can bind at once; at most 250, because more images are not faster, and at least
    /// 1. Use it for passes that treat every image separately, so that the results do not depend on the batch size.
    pub(crate) fn images_at_once(&self, size: [usize; 2], pass: Pass) -> usize {
        cost::measured_at_once(&self.costs(size), pass, self.max_binding()) as usize
    }

    /// The largest batch of images of `size` = [H, W] that a device can process in one pass, if it binds at most
    /// `max_binding` bytes at once ([`Network::max_binding`]).
    pub(crate) fn most_at_once(&self, size: [usize; 2], max_binding: Option<u64>) -> usize {
        let most = cost::most_at_once(&self.costs(size).into_iter().sum(), max_binding);
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// The largest buffer in bytes that the device of the weights can bind; `None` on the CPU back end.
    pub(crate) fn max_binding(&self) -> Option<u64> {
        self.devices().first().and_then(max_binding_bytes)
    }

    /// Whether the result for an image depends on the other images of its batch: batch norm that takes its statistics
    /// from the batch.
    pub(crate) fn mixes_images(&self) -> bool {
        self.clone().norms().into_iter().any(|norm| norm.mixes_images())
    }

    /// The output of the first `split` pieces, the part that the inner steps of PYLD go through.
    pub(crate) fn first_layer(&self, x: Tensor<4>) -> Tensor<4> {
        (0..self.split).fold(x, |x, index| self.pieces().piece(index, x))
    }

    /// The input of the head, from the output of [`Network::first_layer`].
    pub(crate) fn head_input(&self, z: Tensor<4>) -> Tensor<4> {
        self.pieces().rest(self.split, z)
    }

    /// Logits (N, classes), from the output of [`Network::head_input`].
    pub(crate) fn logits_of_features(&self, features: Tensor<4>) -> Tensor<2> {
        self.pieces().head().logits(features)
    }

    /// `scale` times log_sum_exp of the logits of features from [`Network::head_input`], or, with one label per row,
    /// `scale` times the logit of that label, shape (N).
    pub(crate) fn scaled_log_sum_exp(
        &self,
        features: Tensor<4>,
        labels: Option<Labels>,
        scale: f32,
    ) -> Tensor<1> {
        self.pieces().head().scaled_log_sum_exp(features, labels, scale)
    }

    /// A feature vector per input, shape (N, features): the input of the head, after the head's
    /// LeakyReLU, averaged over all positions.
    pub fn features(&self, head_input: Tensor<4>) -> Tensor<2> {
        let activations = leaky_relu(head_input, NEGATIVE_SLOPE.into());
        let [n, h, w, c] = activations.dims();
        activations.reshape([n, h * w, c]).mean_dim(1).reshape([n, c])
    }

    /// Logits (N, classes) of the inputs (N, C, H, W).
    pub fn logits(&self, x: Tensor<4>) -> Tensor<2> {
        self.logits_of_features(self.head_input(self.first_layer(x)))
    }
}

struct Number(u64);

impl ModuleMapper for Number {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (_, tensor, mapper) = param.consume();
        self.0 += 1;
        Param::from_mapped_value(ParamId::from(self.0), tensor, mapper)
    }
}

fn parse_wide_resnet(arch: &str) -> Result<[usize; 2], ModelError> {
    let unknown =
        || ModelError::UnknownArch { name: arch.to_string(), nearest: nearest(arch, ARCHS) };
    let (depth, width) =
        arch.strip_prefix("wrn-").and_then(|size| size.split_once('-')).ok_or_else(unknown)?;
    let depth: usize = depth.parse().map_err(|_| unknown())?;
    let width: usize = width.parse().map_err(|_| unknown())?;
    let is_size = (10..=MAX_DEPTH).contains(&depth) && (1..=MAX_WIDTH).contains(&width);
    if !is_size || !(depth - 4).is_multiple_of(6) {
        return Err(ModelError::WideResNetSize { depth, width });
    }
    Ok([depth, width])
}
