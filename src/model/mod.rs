//! Networks that give class logits, split as `logits = rest ∘ first_layer` for PYLD.

mod cnn;
mod layers;
mod layout;
mod mlp;
mod weights;
mod wide_resnet;

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    tensor::{Device, Tensor, activation::leaky_relu},
};

use crate::config::{ModelConfig, Norm, nearest, shortened};
use cnn::{Cnn, Plan};
use layers::{Head, NEGATIVE_SLOPE, NormLayer, WeightInit};
use mlp::Mlp;
use wide_resnet::WideResNet;

pub use layout::Layout;
pub use weights::{HostTensor, WeightsError, weights_of, with_weights};

/// Past these a typing error, not a network, asks for all memory there is.
const MAX_DEPTH: usize = 1000;
const MAX_WIDTH: usize = 64;
/// Memory for what the layers give while images are measured: little beside the weights and the optimiser of a network
/// that needs so much.
pub const MAX_LAYER_BYTES: u64 = 512 << 20;
const MAX_AT_ONCE: usize = 250;
/// What a misspelt name is compared with.
const ARCHS: [&str; 8] =
    ["cnn-small", "cnn-medium", "cnn-base", "cnn-tiny", "mlp", "wrn-10-1", "wrn-16-4", "wrn-28-10"];

/// Why a network could not be built.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ModelError {
    /// No architecture of that name.
    #[error(
        "unknown model.arch `{}`; did you mean `{nearest}`? There are cnn-small, cnn-medium, cnn-base, cnn-tiny, \
         mlp and wrn-<depth>-<width>, as in wrn-28-10",
        shortened(.name, 60)
    )]
    UnknownArch {
        /// The name as written.
        name: String,
        /// The architecture closest to it.
        nearest: &'static str,
    },
    /// A WideResNet that cannot be.
    #[error(
        "model.arch `wrn-{depth}-{width}`: the depth must be 6n+4 (10, 16, 22, 28, …, at most {MAX_DEPTH}) \
         and the width 1 to {MAX_WIDTH}"
    )]
    WideResNetSize {
        /// Depth asked for.
        depth: usize,
        /// Width asked for.
        width: usize,
    },
    /// A norm the architecture does not have.
    #[error("model.arch `{0}` has no norm layers; set model.norm = none")]
    NoNorm(String),
    /// An architecture for other inputs.
    #[error(
        "model.arch `{arch}` takes inputs of shape {expected}, the data has {found:?} (C, H, W)"
    )]
    Input {
        /// The architecture.
        arch: String,
        /// What it takes.
        expected: &'static str,
        /// What the data set gives.
        found: [usize; 3],
    },
    /// A split behind the last piece.
    #[error(
        "model.split = {split} does not fit the network: `{arch}` has {num_pieces} pieces before its head, so \
         that model.split is 1 to {num_pieces}"
    )]
    Split {
        /// The split asked for.
        split: usize,
        /// The architecture.
        arch: String,
        /// How many pieces it has.
        num_pieces: usize,
    },
}

/// What a part of a network costs for one image.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// Multiplications and additions of a forward pass.
    flops: u64,
    /// Values that its layers give.
    values: u64,
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |a, b| Self {
            flops: a.flops + b.flops,
            values: a.values + b.values,
        })
    }
}

/// What images go through a network for, which decides what must be kept of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Logits or energies alone: what a layer gave is free once the next has seen it.
    Forward,
    /// A gradient as well: what every layer gave is kept.
    Gradient,
}

/// A network as a row of pieces and a head, so that it can be split anywhere.
///
/// Piece 0 is always affine: a bare convolution or linear map with bias.
trait Pieces {
    /// How many pieces stand before the head.
    fn num_pieces(&self) -> usize;
    /// Piece `index` applied to its input: images (N, C, H, W) for piece 0, then whatever the piece before
    /// gave, channels last.
    fn piece(&self, index: usize, x: Tensor<4>) -> Tensor<4>;
    /// Of piece `index` for one image of `size` = [H, W], which becomes the output's.
    fn piece_cost(&self, index: usize, size: &mut [usize; 2]) -> Cost;
    /// The norm layers, if there are any.
    fn norms(&mut self) -> Vec<&mut NormLayer> {
        Vec::new()
    }
    /// The head's input from the output of the last piece.
    fn head_input(&self, z: Tensor<4>) -> Tensor<4> {
        z
    }
    /// What makes logits or energies of it.
    fn head(&self) -> &Head;
}

/// Any of the architectures, with the split that PYLD uses.
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
    /// A network with fresh weights, the same for one `seed` on every device.
    ///
    /// # Shapes
    /// Takes (N, C, H, W) with `input_shape` = (C, H, W); gives (N, `num_classes`).
    ///
    /// # Errors
    /// An architecture, norm or split that does not exist or does not fit the input.
    pub fn new(
        config: &ModelConfig,
        input_shape: [usize; 3],
        num_classes: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let mut init = WeightInit::new(config, seed, device);
        let network = Self::build(&mut init, config, input_shape, num_classes)?;
        // Parameters are numbered in their order, so that a resumed run's optimiser finds its state.
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

    /// A copy of the network for training, with running statistics of its own; a clone would share them.
    pub fn copy(&self) -> Self {
        self.valid().train()
    }

    /// The network for a pass that must leave batch norm's running statistics alone: it shares weights and graph, but
    /// what a pass does to the statistics ends with it.
    pub fn aside(&self) -> Self {
        let mut aside = self.clone();
        let pieces: &mut dyn Pieces = match &mut aside.body {
            Body::Cnn(network) => network,
            Body::Mlp(network) => network,
            Body::WideResNet(network) => network,
        };
        pieces.norms().into_iter().for_each(NormLayer::part);
        aside
    }

    fn pieces(&self) -> &dyn Pieces {
        match &self.body {
            Body::Cnn(network) => network,
            Body::Mlp(network) => network,
            Body::WideResNet(network) => network,
        }
    }

    /// Pieces before the head: a split lies at 1 to this.
    pub fn num_pieces(&self) -> usize {
        self.pieces().num_pieces()
    }

    /// Whether `first_layer` is affine, so that PYLD's inner loop collapses to one long step.
    pub fn first_layer_is_affine(&self) -> bool {
        self.split == 1
    }

    /// Multiplications and additions of a forward pass for one image of `size` = [H, W], the head's left
    /// out. A backward pass to the input takes as many again.
    pub fn forward_flops(&self, size: [usize; 2]) -> u64 {
        self.costs(size).into_iter().sum::<Cost>().flops
    }

    fn costs(&self, mut size: [usize; 2]) -> Vec<Cost> {
        let pieces = self.pieces();
        (0..pieces.num_pieces()).map(|index| pieces.piece_cost(index, &mut size)).collect()
    }

    /// How many images of `size` = [H, W] to take at once, so that what the layers give stays within about 512 MiB
    /// ([`MAX_LAYER_BYTES`]); at most 250, more of which make nothing faster, and at least 1. For passes that
    /// treat every image by itself: their results do not depend on it.
    pub fn images_at_once(&self, size: [usize; 2], pass: Pass) -> usize {
        let costs = self.costs(size);
        let values = match pass {
            // Of two pieces at a time: one reads what the other gave.
            Pass::Forward => 2 * costs.iter().map(|cost| cost.values).max().unwrap_or(0),
            Pass::Gradient => costs.into_iter().sum::<Cost>().values,
        };
        let at_once = MAX_LAYER_BYTES / values.saturating_mul(size_of::<f32>() as u64).max(1);
        usize::try_from(at_once).unwrap_or(MAX_AT_ONCE).clamp(1, MAX_AT_ONCE)
    }

    /// The part that PYLD's inner steps go through: the first `split` pieces.
    pub fn first_layer(&self, x: Tensor<4>) -> Tensor<4> {
        (0..self.split).fold(x, |x, index| self.pieces().piece(index, x))
    }

    /// What the head takes, from the output of [`Network::first_layer`].
    pub fn head_input(&self, z: Tensor<4>) -> Tensor<4> {
        let pieces = self.pieces();
        let rest = self.split..pieces.num_pieces();
        pieces.head_input(rest.fold(z, |z, index| pieces.piece(index, z)))
    }

    /// Logits (N, classes) of what [`Network::head_input`] gives.
    pub fn logits_of_features(&self, features: Tensor<4>) -> Tensor<2> {
        self.pieces().head().logits(features)
    }

    /// `scale` times log_sum_exp of those logits, or, with one label a row, times the logit of that
    /// label, shape (N).
    pub fn scaled_log_sum_exp(
        &self,
        features: Tensor<4>,
        labels: Option<Vec<u32>>,
        scale: f32,
    ) -> Tensor<1> {
        self.pieces().head().scaled_log_sum_exp(features, labels, scale)
    }

    /// What [`Network::head_input`] gives in a few numbers per input, shape (N, features): behind the head's LeakyReLU,
    /// averaged over all places.
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
