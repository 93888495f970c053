//! Batch normalisation with the statistics of the batch, as one operation with its own backward pass.
//!
//! # Source
//! Ioffe & Szegedy, arXiv:1502.03167.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{DType, Tensor, module::batch_norm_train},
};
use burn_flex::FlexTensor;
use burn_wgpu::{CubeBackend, CubeTensor};

use super::{
    super::bridge::{from_gpu, gpu},
    cpu::norm::{self, Affine},
    flex::{tensor, values},
};

/// `(x - mean) / √(variance + epsilon) · gamma + beta`, with the mean and the (biased) variance of each
/// channel over the batch and all positions. Also returns the mean and the variance.
///
/// # Shapes
/// `x`: (N, H, W, C); `gamma`, `beta`: (C); results: (N, H, W, C) and (2, C). No gradient flows through the second
/// result.
pub fn batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<4>, Tensor<2>) {
    if x.dtype() != DType::F32 {
        return reference_batch_norm(x, gamma, beta, epsilon);
    }
    let inner = x.clone().without_autodiff();
    let moments = <Dispatch as NormBackend>::jempp_channel_moments(inner.into_dispatch());
    let mut moments: Tensor<2> = Tensor::from_dispatch(moments);
    if x.is_autodiff() {
        moments = moments.autodiff();
    }
    let y = <Dispatch as NormBackend>::jempp_batch_norm(
        x.into_dispatch(),
        moments.clone().into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
    );
    (Tensor::from_dispatch(y), moments)
}

/// The same function as [`batch_norm`], from burn's own operations; for any float type and any device.
pub fn reference_batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<4>, Tensor<2>) {
    let [n, h, w, c] = x.dims();
    let result = batch_norm_train(x.reshape([n * h * w, c]), gamma, beta, epsilon);
    let moments = Tensor::stack(vec![result.mean, result.variance], 0).detach();
    (result.output.reshape([n, h, w, c]), moments)
}

/// The forward and backward passes of batch norm on a backend; all tensors are f32.
trait NormPasses: Backend {
    fn channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn normalise(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// The gradients ∂L/∂x, ∂L/∂gamma and ∂L/∂beta, from ∂L/∂y.
    fn gradients(kept: Kept<Self>, gradient: FloatTensor<Self>) -> [FloatTensor<Self>; 3];
}

/// The saved state for the backward pass.
#[derive(Debug)]
struct Kept<B: Backend> {
    x: FloatTensor<B>,
    moments: FloatTensor<B>,
    gamma: FloatTensor<B>,
    epsilon: f64,
}

impl<B: Backend> Clone for Kept<B> {
    fn clone(&self) -> Self {
        let (x, moments, gamma) = (self.x.clone(), self.moments.clone(), self.gamma.clone());
        Self { x, moments, gamma, epsilon: self.epsilon }
    }
}

/// Mean and 1/√(variance + epsilon) of each channel.
fn mean_and_inverse_std(moments: &[f32], epsilon: f64) -> (&[f32], Vec<f32>) {
    let (mean, variance) = moments.split_at(moments.len() / 2);
    let inverse = |&variance: &f32| (f64::from(variance) + epsilon).sqrt().recip() as f32;
    (mean, variance.iter().map(inverse).collect())
}

impl NormPasses for Flex {
    fn channel_moments(x: FlexTensor) -> FlexTensor {
        let channels = x.layout().shape()[3];
        tensor(norm::moments(&values(&x), channels), [2, channels])
    }

    fn normalise(
        x: FlexTensor,
        moments: FlexTensor,
        gamma: FlexTensor,
        beta: FlexTensor,
        epsilon: f64,
    ) -> FlexTensor {
        let (moments, gamma, beta) = (values(&moments), values(&gamma), values(&beta));
        let (mean, mut scale) = mean_and_inverse_std(&moments, epsilon);
        scale.iter_mut().zip(gamma.iter()).for_each(|(scale, gamma)| *scale *= gamma);
        let affine = Affine { mean, scale: &scale, shift: &beta };
        let shape: [usize; 4] = x.layout().shape().dims();
        tensor(affine.apply(&values(&x)), shape)
    }

    fn gradients(kept: Kept<Self>, gradient: FlexTensor) -> [FlexTensor; 3] {
        let (x, moments, gamma) = (values(&kept.x), values(&kept.moments), values(&kept.gamma));
        let (mean, inverse_std) = mean_and_inverse_std(&moments, kept.epsilon);
        let (channels, gradient) = (mean.len(), values(&gradient));
        let count = (x.len() / channels) as f64;
        let [beta_sums, sums] = norm::gradient_sums(&x, mean, &gradient);
        let (mut scale, mut shift, mut pull) =
            (inverse_std.clone(), vec![0.0; channels], vec![0.0; channels]);
        for channel in 0..channels {
            let inverse = f64::from(inverse_std[channel]);
            let slope = inverse * f64::from(gamma[channel]);
            scale[channel] = slope as f32;
            shift[channel] = (slope * beta_sums[channel] / count) as f32;
            pull[channel] = (slope * inverse * inverse * sums[channel] / count) as f32;
        }
        let affine = Affine { mean, scale: &scale, shift: &shift };
        let x_gradient = norm::input_gradient(&x, &gradient, &affine, &pull);
        let gamma = sums.iter().zip(&inverse_std).map(|(sum, r)| (sum * f64::from(*r)) as f32);
        let beta = beta_sums.iter().map(|&sum| sum as f32);
        let shape: [usize; 4] = kept.x.layout().shape().dims();
        [
            tensor(x_gradient, shape),
            tensor(gamma.collect::<Vec<f32>>(), [channels]),
            tensor(beta.collect::<Vec<f32>>(), [channels]),
        ]
    }
}

/// The passes on a GPU, with burn's kernels.
impl NormPasses for CubeBackend {
    fn channel_moments(x: CubeTensor) -> CubeTensor {
        let x: Tensor<4> = from_gpu(x);
        let [n, h, w, c] = x.dims();
        let (variance, mean) = x.reshape([n * h * w, c]).var_mean_bias(0);
        gpu(Tensor::cat(vec![mean, variance], 0))
    }

    fn normalise(
        x: CubeTensor,
        moments: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        epsilon: f64,
    ) -> CubeTensor {
        let (x, gamma, beta): (Tensor<4>, Tensor<1>, Tensor<1>) =
            (from_gpu(x), from_gpu(gamma), from_gpu(beta));
        let (mean, inverse_std) = moments_on_gpu(moments, epsilon);
        gpu((x - mean) * (inverse_std * gamma.unsqueeze()) + beta.unsqueeze())
    }

    fn gradients(kept: Kept<Self>, gradient: CubeTensor) -> [CubeTensor; 3] {
        let (x, gamma, gradient): (Tensor<4>, Tensor<1>, Tensor<4>) =
            (from_gpu(kept.x), from_gpu(kept.gamma), from_gpu(gradient));
        let (mean, inverse_std) = moments_on_gpu(kept.moments, kept.epsilon);
        let [n, h, w, c] = x.dims();
        let per_channel = |x: Tensor<4>| x.reshape([n * h * w, c]).sum_dim(0).reshape([1, 1, 1, c]);
        let normalised = (x - mean) * inverse_std.clone();
        let beta = per_channel(gradient.clone());
        let gamma_gradient = per_channel(gradient.clone() * normalised.clone());
        let share = 1.0 / (n * h * w) as f64;
        let x = gradient - beta.clone() * share - normalised * (gamma_gradient.clone() * share);
        [
            gpu(x * (inverse_std * gamma.unsqueeze())),
            gpu::<1>(gamma_gradient.reshape([c])),
            gpu::<1>(beta.reshape([c])),
        ]
    }
}

/// Mean and 1/√(variance + epsilon), each (1, 1, 1, C).
fn moments_on_gpu(moments: CubeTensor, epsilon: f64) -> (Tensor<4>, Tensor<4>) {
    let moments: Tensor<2> = from_gpu(moments);
    let c = moments.dims()[1];
    let row = |index: usize| moments.clone().narrow(0, index, 1).reshape([1, 1, 1, c]);
    (row(0), (row(1) + epsilon).sqrt().recip())
}

#[backend_extension(Autodiff, Cube, Flex)]
trait NormBackend: Backend {
    fn jempp_channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn jempp_batch_norm(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

/// Implements batch norm on a backend without autodiff: only the forward passes.
macro_rules! forward_only {
    ($backend:ty) => {
        impl NormBackend for $backend {
            fn jempp_channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
                Self::channel_moments(x)
            }

            fn jempp_batch_norm(
                x: FloatTensor<Self>,
                moments: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                epsilon: f64,
            ) -> FloatTensor<Self> {
                Self::normalise(x, moments, gamma, beta, epsilon)
            }
        }
    };
}

forward_only!(Flex);
forward_only!(CubeBackend);

/// The backward pass of [`batch_norm`], which also goes through the mean and the variance.
#[derive(Debug)]
struct NormBackward;

impl<B: NormPasses> Backward<B, 3> for NormBackward {
    type State = Kept<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let gradients = B::gradients(ops.state, gradient);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: NormPasses, C: CheckpointStrategy> NormBackend for Autodiff<B, C> {
    fn jempp_channel_moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
        // The moments are constants of the graph, because the backward pass of the normalisation includes their
        // gradient.
        FloatTensor::<Self>::new(B::channel_moments(x.into_primitive()))
    }

    fn jempp_batch_norm(
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let [x, moments, gamma, beta] =
            [x, moments, gamma, beta].map(|tensor| tensor.into_primitive());
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let kept =
                    Kept { x: x.clone(), moments: moments.clone(), gamma: gamma.clone(), epsilon };
                prep.finish(kept, B::normalise(x, moments, gamma, beta, epsilon))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::normalise(x, moments, gamma, beta, epsilon)),
        }
    }
}
