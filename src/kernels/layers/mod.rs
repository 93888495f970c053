//! The layers of our networks, each one an operation with its own backward pass: the convolution `conv(LeakyReLU(x)) +
//! bias`, batch normalisation, a whole residual block with batch normalisation on a GPU, and the head, which turns the last
//! features into logits or energies.
//!
//! burn's own operations compute the same and are the reference. Our layers take tensors channels last, so that
//! neighbouring values in memory are multiplied by the same weights. They apply the activation in the same pass over
//! the input, and if the weights are frozen, they save only the signs of the input for the backward pass.
//!
//! The reference, which is also used for other types than f32, is not part of the program in a browser.

mod autodiff;
mod batch_norm;
#[cfg(not(target_arch = "wasm32"))]
mod block;
mod choice;
mod cube;
mod cube_norm;
mod flex;
mod norm_table;
#[cfg(not(target_arch = "wasm32"))]
mod shared_norm;
#[cfg(not(target_arch = "wasm32"))]
pub mod tuner;
mod turned;
mod variants;

#[cfg(not(target_arch = "wasm32"))]
use burn::tensor::DType;
use burn::{
    backend::Dispatch,
    tensor::{Tensor, activation::leaky_relu, module::conv2d as burn_conv2d, ops::ConvOptions},
};
use jempp_cpu::shape;
pub use jempp_cpu::shape::{ConvShape, Pooling};

use super::Labels;
use autodiff::LayerBackend;
pub use batch_norm::{batch_norm, reference_batch_norm};
#[cfg(not(target_arch = "wasm32"))]
pub use block::{BlockOptions, Features, NormConv, norm_block};
pub use choice::{Adapter, candidates, choose, num_parts};
#[cfg(not(target_arch = "wasm32"))]
pub use shared_norm::{BatchSharers, is_batch_shared, with_shared_batch};
pub use variants::{ConvPass, Surroundings, Tile, VARIANTS, Variant};

/// The options of a convolution with an odd kernel k and padding k/2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvOptions2d {
    /// Step between output positions, in both directions.
    pub stride: usize,
    /// The slope for negative values of the LeakyReLU that is applied to the input first; below 1. `None`: no
    /// activation.
    pub negative_slope: Option<f32>,
}

/// Computes `conv(LeakyReLU(x)) + bias`.
///
/// # Shapes
/// `x`: (N, H, W, inputs), channels last; `weight`: (k, k, inputs, outputs) with k odd; `bias`:
/// (outputs); result: (N, ⌈H/stride⌉, ⌈W/stride⌉, outputs).
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions2d,
) -> Tensor<4> {
    #[cfg(not(target_arch = "wasm32"))]
    if x.dtype() != DType::F32 {
        return reference_conv2d(x, weight, bias, options);
    }
    let y = <Dispatch as LayerBackend>::jempp_conv2d(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        options,
    );
    Tensor::from_dispatch(y)
}

/// The same function as [`conv2d`], from burn's own operations; for any float type and any device.
pub fn reference_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    options: ConvOptions2d,
) -> Tensor<4> {
    let x = match options.negative_slope {
        Some(slope) => leaky_relu(x, slope.into()),
        None => x,
    };
    let pad = weight.dims()[0] / 2;
    let weight = weight.permute([3, 2, 0, 1]);
    let burn_options = ConvOptions::new([options.stride; 2], [pad; 2], [1, 1], 1);
    let y = burn_conv2d(x.permute([0, 3, 1, 2]), weight, Some(bias), burn_options);
    y.permute([0, 2, 3, 1])
}

/// The options of a head.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadOptions {
    /// The pooling of the features before the linear map.
    pub pooling: Pooling,
    /// The slope for negative values of the LeakyReLU that is applied to the features first; below 1.
    pub negative_slope: f32,
}

/// Computes the logits, `linear(pool(LeakyReLU(x)))`.
///
/// # Shapes
/// `x`: (N, H, W, C); `weight`: (D, classes) with D = C for average pooling, else H·W·C; `bias`:
/// (classes); result: (N, classes).
pub fn head_logits(
    x: Tensor<4>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    options: &HeadOptions,
) -> Tensor<2> {
    #[cfg(not(target_arch = "wasm32"))]
    if x.dtype() != DType::F32 {
        return reference_head_logits(x, weight, bias, options);
    }
    let logits = <Dispatch as LayerBackend>::jempp_head_logits(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        options.clone(),
    );
    Tensor::from_dispatch(logits)
}

/// The same function as [`head_logits`], from burn's own operations; for any float type and any device.
pub fn reference_head_logits(
    x: Tensor<4>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    options: &HeadOptions,
) -> Tensor<2> {
    pooled(x, options.pooling, options.negative_slope).matmul(weight) + bias.unsqueeze()
}

/// pool(LeakyReLU(x)), the input of a head's linear map.
fn pooled(x: Tensor<4>, pooling: Pooling, negative_slope: f32) -> Tensor<2> {
    let x = leaky_relu(x, negative_slope.into());
    let [n, h, w, c] = x.dims();
    match pooling {
        Pooling::Flatten => x.reshape([n, h * w * c]),
        Pooling::Average => x.reshape([n, h * w, c]).mean_dim(1).reshape([n, c]),
    }
}

/// The options of [`head_energy`].
#[derive(Clone, Debug)]
pub struct EnergyOptions {
    /// The options of the head that computes the logits.
    pub head: HeadOptions,
    /// One class per row, to use the logit of that class; `None` for log_sum_exp over the classes.
    pub labels: Option<Labels>,
    /// The factor on the result.
    pub scale: f32,
}

/// `scale · log_sum_exp(logits)` of [`head_logits`], or `scale · logits[label]`, shape (N). It is one operation forward
/// and one backward, instead of a dozen separate ones.
pub fn head_energy(
    x: Tensor<4>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    options: EnergyOptions,
) -> Tensor<1> {
    let (batch, classes) = (x.dims()[0], weight.dims()[1]);
    if let Some(labels) = options.labels.as_ref().map(Labels::host) {
        assert!(
            labels.len() == batch && labels.iter().all(|&label| (label as usize) < classes),
            "one label below {classes} for each of {batch} rows"
        );
    }
    #[cfg(not(target_arch = "wasm32"))]
    if x.dtype() != DType::F32 {
        return reference_head_energy(x, weight, bias, options);
    }
    let energy = <Dispatch as LayerBackend>::jempp_head_energy(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        options,
    );
    Tensor::from_dispatch(energy)
}

/// The same function as [`head_energy`], from burn's own operations; for any float type and any device.
pub fn reference_head_energy(
    x: Tensor<4>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    options: EnergyOptions,
) -> Tensor<1> {
    let logits = reference_head_logits(x, weight, bias, &options.head);
    let value = match &options.labels {
        None => log_sum_exp(logits),
        Some(labels) => logits.gather(1, labels.tensor().unsqueeze_dim::<2>(1)).squeeze_dim(1),
    };
    value * options.scale
}

/// `log Σ_y exp(logits[y])` of logits (N, classes), shape (N), without overflow.
pub fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    let largest = logits.clone().detach().max_dim(1);
    let sum = (logits - largest.clone()).exp().sum_dim(1);
    (sum.log() + largest).squeeze_dim::<1>(1)
}
