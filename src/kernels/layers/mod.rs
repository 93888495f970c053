//! The layers our networks are made of, each one operation with its own backward pass: the convolution
//! `conv(LeakyReLU(x)) + bias`, batch normalisation, and the head, from the last features to logits or
//! energies.
//!
//! burn's own operations compute the same and stay the reference. Ours take their tensors channels
//! last, so that neighbouring values in memory meet the same weights; put the activation into the pass
//! over the input that they make anyway; and keep for the backward pass, while weights are frozen, no
//! more than where the input was positive.
//!
//! The reference, which is asked for other types than f32, is no part of what a browser loads.

mod autodiff;
mod batch_norm;
mod cpu;
mod cube;
mod flex;
mod shape;

#[cfg(not(target_arch = "wasm32"))]
use burn::tensor::DType;
use burn::{
    backend::Dispatch,
    tensor::{Tensor, activation::leaky_relu, module::conv2d as burn_conv2d, ops::ConvOptions},
};

use autodiff::LayerBackend;
pub use batch_norm::{batch_norm, reference_batch_norm};
pub(super) use cpu::vectorize;
pub use shape::Pooling;

/// What a convolution does beside its weights: odd kernel, padding k/2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvOptions2d {
    /// Step between output positions, in both directions.
    pub stride: usize,
    /// Slope below zero of the LeakyReLU that the input goes through first; below 1. `None`: no
    /// activation.
    pub negative_slope: Option<f32>,
}

/// `conv(LeakyReLU(x)) + bias`.
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

/// What [`conv2d`] computes, by burn's own operations; any float type, any device.
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

/// What the head computes beside its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadOptions {
    /// What the linear map sees of the features.
    pub pooling: Pooling,
    /// Slope below zero of the LeakyReLU that the features go through first; below 1.
    pub negative_slope: f32,
}

/// Logits: `linear(pool(LeakyReLU(x)))`.
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

/// What [`head_logits`] computes, by burn's own operations; any float type, any device.
pub fn reference_head_logits(
    x: Tensor<4>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    options: &HeadOptions,
) -> Tensor<2> {
    pooled(x, options.pooling, options.negative_slope).matmul(weight) + bias.unsqueeze()
}

/// pool(LeakyReLU(x)): what a head's linear map sees.
fn pooled(x: Tensor<4>, pooling: Pooling, negative_slope: f32) -> Tensor<2> {
    let x = leaky_relu(x, negative_slope.into());
    let [n, h, w, c] = x.dims();
    match pooling {
        Pooling::Flatten => x.reshape([n, h * w * c]),
        Pooling::Average => x.reshape([n, h * w, c]).mean_dim(1).reshape([n, c]),
    }
}

/// What [`head_energy`] computes beside its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct EnergyOptions {
    /// The head in front.
    pub head: HeadOptions,
    /// One class per row, whose logit is taken; `None` takes log_sum_exp over the classes.
    pub labels: Option<Vec<u32>>,
    /// What the result is multiplied by.
    pub scale: f32,
}

/// `scale · log_sum_exp(logits)` of [`head_logits`], or `scale · logits[label]`, shape (N): one operation
/// forward and one backward, where composing them takes a dozen.
pub fn head_energy(
    x: Tensor<4>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    options: EnergyOptions,
) -> Tensor<1> {
    let (batch, classes) = (x.dims()[0], weight.dims()[1]);
    if let Some(labels) = &options.labels {
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

/// What [`head_energy`] computes, by burn's own operations; any float type, any device.
pub fn reference_head_energy(
    x: Tensor<4>,
    weight: Tensor<2>,
    bias: Tensor<1>,
    options: EnergyOptions,
) -> Tensor<1> {
    let logits = reference_head_logits(x, weight, bias, &options.head);
    let value = match &options.labels {
        None => log_sum_exp(logits),
        Some(labels) => {
            let labels = super::index_tensor(labels, &logits.device());
            logits.gather(1, labels.unsqueeze_dim::<2>(1)).squeeze_dim(1)
        }
    };
    value * options.scale
}

/// `log Σ_y exp(logits[y])` of logits (N, classes), shape (N), safe from overflow.
pub fn log_sum_exp(logits: Tensor<2>) -> Tensor<1> {
    let largest = logits.clone().detach().max_dim(1);
    let sum = (logits - largest.clone()).exp().sum_dim(1);
    (sum.log() + largest).squeeze_dim::<1>(1)
}
