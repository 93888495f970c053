//! Batch normalisation with the statistics of the batch, as one operation with its own backward pass.
//!
//! # Source
//! Ioffe & Szegedy, arXiv:1502.03167.

#[cfg(not(target_arch = "wasm32"))]
use burn::{
    backend::TensorMetadata,
    tensor::{DType, TensorData},
};
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
    tensor::{Tensor, module::batch_norm_train},
};
use burn_flex::FlexTensor;
use burn_wgpu::{CubeBackend, CubeTensor, into_contiguous};
use jempp_cpu::layers::norm::{self, Affine};

#[cfg(not(target_arch = "wasm32"))]
use super::shared_norm::Sharing;
use super::{
    cube_norm,
    flex::{tensor, values},
    norm_table::{inverse_std, rows},
};

/// In a browser, no batch is shared.
#[cfg(target_arch = "wasm32")]
#[derive(Clone, Debug)]
enum Sharing {}

/// `(x - mean) / √(variance + epsilon) · gamma + beta`, with the mean and the (biased) variance of each
/// channel over the batch and all positions. Also returns, for each channel, the mean, the scale
/// `gamma / √(variance + epsilon)`, the shift beta, and the variance.
///
/// # Shapes
/// `x`: (N, H, W, C); `gamma`, `beta`: (C); results: (N, H, W, C) and (4, C). No gradient flows through the second
/// result.
pub fn batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<4>, Tensor<2>) {
    #[cfg(not(target_arch = "wasm32"))]
    if x.dtype() != DType::F32 {
        return reference_batch_norm(x, gamma, beta, epsilon);
    }
    #[cfg(not(target_arch = "wasm32"))]
    if let Some((table, sharing)) = Sharing::begin(&x, &gamma, &beta, epsilon) {
        return normalised_as(x, table, gamma, beta, epsilon, Some(sharing));
    }
    let table = <Dispatch as NormBackend>::jempp_norm_table(
        x.clone().into_dispatch(),
        gamma.clone().into_dispatch(),
        beta.clone().into_dispatch(),
        epsilon,
    );
    normalised(x, Tensor::from_dispatch(table), gamma, beta, epsilon)
}

/// As [`batch_norm`], with a table that was made from `x`, `gamma` and `beta`.
pub(super) fn normalised(
    x: Tensor<4>,
    table: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<4>, Tensor<2>) {
    normalised_as(x, table, gamma, beta, epsilon, None)
}

fn normalised_as(
    x: Tensor<4>,
    table: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    sharing: Option<Sharing>,
) -> (Tensor<4>, Tensor<2>) {
    let y = <Dispatch as NormBackend>::jempp_batch_norm(
        x.into_dispatch(),
        table.clone().into_dispatch(),
        gamma.into_dispatch(),
        beta.into_dispatch(),
        epsilon,
        sharing,
    );
    (Tensor::from_dispatch(y), table)
}

/// The same function as [`batch_norm`], from burn's own operations; for any float type and any device.
pub fn reference_batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<4>, Tensor<2>) {
    let [n, h, w, c] = x.dims();
    let result = batch_norm_train(x.reshape([n * h * w, c]), gamma.clone(), beta.clone(), epsilon);
    let scale = gamma / (result.variance.clone() + epsilon).sqrt();
    let table = Tensor::stack(vec![result.mean, scale, beta, result.variance], 0).detach();
    (result.output.reshape([n, h, w, c]), table)
}

/// The forward and backward passes of batch norm on a backend; all tensors are f32.
trait NormPasses: Backend {
    /// Mean, scale, shift and variance of each channel.
    fn table(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    fn normalise(x: FloatTensor<Self>, table: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradients ∂L/∂x, ∂L/∂gamma and ∂L/∂beta, from ∂L/∂y.
    fn gradients(kept: Kept<Self>, gradient: FloatTensor<Self>) -> [FloatTensor<Self>; 3];
}

/// The saved state for the backward pass.
#[derive(Debug)]
struct Kept<B: Backend> {
    x: FloatTensor<B>,
    table: FloatTensor<B>,
    epsilon: f64,
    sharing: Option<Sharing>,
}

impl<B: Backend> Clone for Kept<B> {
    fn clone(&self) -> Self {
        let (x, table) = (self.x.clone(), self.table.clone());
        Self { x, table, epsilon: self.epsilon, sharing: self.sharing.clone() }
    }
}

impl NormPasses for Flex {
    fn table(x: FlexTensor, gamma: FlexTensor, beta: FlexTensor, epsilon: f64) -> FlexTensor {
        let (gamma, beta) = (values(&gamma), values(&beta));
        let moments = norm::moments(&values(&x), gamma.len());
        let (mean, variance) = moments.split_at(gamma.len());
        let inverse = variance.iter().map(|&variance| inverse_std(variance, epsilon) as f32);
        let scale: Vec<f32> = inverse.zip(gamma.iter()).map(|(r, gamma)| r * gamma).collect();
        tensor([mean, &scale, &beta, variance].concat(), [4, gamma.len()])
    }

    fn normalise(x: FlexTensor, table: FlexTensor) -> FlexTensor {
        let table = values(&table);
        let [mean, scale, shift, _] = rows(&table);
        let shape: [usize; 4] = x.layout().shape().dims();
        tensor(Affine { mean, scale, shift }.apply(&values(&x)), shape)
    }

    fn gradients(kept: Kept<Self>, gradient: FlexTensor) -> [FlexTensor; 3] {
        let (x, table) = (values(&kept.x), values(&kept.table));
        let [mean, scale, _, variance] = rows(&table);
        let (channels, gradient) = (mean.len(), values(&gradient));
        let count = (x.len() / channels) as f64;
        let [beta_sums, sums] = norm::gradient_sums(&x, mean, &gradient);
        let inverse: Vec<f64> = variance.iter().map(|&v| inverse_std(v, kept.epsilon)).collect();
        let (mut shift, mut pull) = (vec![0.0; channels], vec![0.0; channels]);
        for channel in 0..channels {
            let slope = f64::from(scale[channel]);
            shift[channel] = (slope * beta_sums[channel] / count) as f32;
            pull[channel] = (slope * inverse[channel].powi(2) * sums[channel] / count) as f32;
        }
        let affine = Affine { mean, scale, shift: &shift };
        let x_gradient = norm::input_gradient(&x, &gradient, &affine, &pull);
        let gamma = sums.iter().zip(&inverse).map(|(sum, r)| (sum * r) as f32);
        let beta = beta_sums.iter().map(|&sum| sum as f32);
        let shape: [usize; 4] = kept.x.layout().shape().dims();
        [
            tensor(x_gradient, shape),
            tensor(gamma.collect::<Vec<f32>>(), [channels]),
            tensor(beta.collect::<Vec<f32>>(), [channels]),
        ]
    }
}

impl NormPasses for CubeBackend {
    fn table(x: CubeTensor, gamma: CubeTensor, beta: CubeTensor, epsilon: f64) -> CubeTensor {
        cube_norm::table(cube_norm::moments(x), gamma, beta, epsilon)
    }

    fn normalise(x: CubeTensor, table: CubeTensor) -> CubeTensor {
        cube_norm::apply(x, &into_contiguous(table))
    }

    fn gradients(kept: Kept<Self>, gradient: CubeTensor) -> [CubeTensor; 3] {
        let [x, table, gradient] = [kept.x, kept.table, gradient].map(into_contiguous);
        let sums = cube_norm::gradient_sums(&gradient, &x, &table);
        let of_norm = cube_norm::gradient_table(&sums, &table, kept.epsilon);
        let [gamma, beta] = of_norm.affine;
        [cube_norm::input_gradient(&gradient, &x, &of_norm.table, None), gamma, beta]
    }
}

#[backend_extension(Autodiff, Cube, Flex)]
trait NormBackend: Backend {
    fn jempp_norm_table(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// `gamma` and `beta` are in `table` already; they are here to receive their gradients.
    fn jempp_batch_norm(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        sharing: Option<Sharing>,
    ) -> FloatTensor<Self>;
}

/// Implements batch norm on a backend without autodiff: only the forward passes.
macro_rules! forward_only {
    ($backend:ty) => {
        impl NormBackend for $backend {
            fn jempp_norm_table(
                x: FloatTensor<Self>,
                gamma: FloatTensor<Self>,
                beta: FloatTensor<Self>,
                epsilon: f64,
            ) -> FloatTensor<Self> {
                Self::table(x, gamma, beta, epsilon)
            }

            fn jempp_batch_norm(
                x: FloatTensor<Self>,
                table: FloatTensor<Self>,
                _gamma: FloatTensor<Self>,
                _beta: FloatTensor<Self>,
                _epsilon: f64,
                _sharing: Option<Sharing>,
            ) -> FloatTensor<Self> {
                Self::normalise(x, table)
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
        #[cfg(not(target_arch = "wasm32"))]
        let gradients = match ops.state.sharing.clone() {
            Some(sharing) => shared_gradients(sharing, ops.state, gradient),
            None => B::gradients(ops.state, gradient),
        };
        #[cfg(target_arch = "wasm32")]
        let gradients = B::gradients(ops.state, gradient);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

/// The gradients of [`NormPasses::gradients`] for a batch that several processes share: ∂L/∂x of the own images, and the own
/// parts of ∂L/∂gamma and ∂L/∂beta. Every process first takes its own sums alone, and then adds what is missing in ∂L/∂x.
#[cfg(not(target_arch = "wasm32"))]
fn shared_gradients<B: NormPasses>(
    sharing: Sharing,
    kept: Kept<B>,
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let (x, epsilon) = (kept.x.clone(), kept.epsilon);
    let [of_x, of_gamma, of_beta] = B::gradients(kept, gradient);
    let read = |tensor: &FloatTensor<B>| {
        let data = pollster::block_on(B::float_into_data(tensor.clone()));
        let data = data.map_err(|error| error.to_string())?;
        data.try_to_vec::<f32>().map_err(|error| error.to_string())
    };
    let own = read(&of_gamma).and_then(|gamma| Ok([gamma, read(&of_beta)?].concat()));
    let [channels] = of_gamma.shape().dims();
    let missing = sharing.missing(own, x.shape().num_elements() / channels, epsilon);
    let missing = B::float_from_data(TensorData::new(missing, [4, channels]), &x.device());
    [B::float_add(of_x, B::normalise(x, missing)), of_gamma, of_beta]
}

impl<B: NormPasses, C: CheckpointStrategy> NormBackend for Autodiff<B, C> {
    fn jempp_norm_table(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        // The table is a constant of the graph, because the backward pass of the normalisation includes its gradient.
        let [x, gamma, beta] = [x, gamma, beta].map(|tensor| tensor.into_primitive());
        FloatTensor::<Self>::new(B::table(x, gamma, beta, epsilon))
    }

    fn jempp_batch_norm(
        x: FloatTensor<Self>,
        table: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        sharing: Option<Sharing>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node()];
        let [x, table] = [x, table].map(|tensor| tensor.into_primitive());
        match NormBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let kept = Kept { x: x.clone(), table: table.clone(), epsilon, sharing };
                prep.finish(kept, B::normalise(x, table))
            }
            OpsKind::UnTracked(prep) => prep.finish(B::normalise(x, table)),
        }
    }
}
