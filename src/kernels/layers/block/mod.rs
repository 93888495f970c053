//! A residual block with batch norm as one operation on a GPU: conv(act(norm(conv(act(norm(x)))))) + shortcut(x).
//!
//! The convolutions do the normalisation and the activation where they read, and find the statistics for the next norm
//! while they write. So nothing normalised is ever stored: for the backward pass a block keeps x, the output of its first
//! convolution, and a few numbers for each channel.
//!
//! # Source
//! He et al., arXiv:1603.05027 (the block); Ioffe & Szegedy, arXiv:1502.03167.

mod passes;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, ExtensionType,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, NodeGuard, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{DType, Tensor},
};
use burn_wgpu::{CubeBackend, CubeTensor};

use super::{super::bridge::is_gpu, batch_norm::normalised, cube_norm};
use passes::{Kept, Passed};

/// Features, and the moments of their channels for the batch norm behind them.
#[derive(Clone, Debug)]
pub struct Features {
    x: Tensor<4>,
    /// The moments of parts of `x`, see `shaders/norm_moments.wgsl`.
    parts: Tensor<2>,
}

impl Features {
    /// Whether blocks of these features can be one operation: the device is a GPU, the values are f32, and a gradient
    /// flows.
    pub fn can_be(x: &Tensor<4>) -> bool {
        x.is_autodiff() && x.dtype() == DType::F32 && is_gpu(&x.device().without_autodiff())
    }

    /// The features `x` (N, H, W, C) of a GPU, with their moments.
    pub fn new(x: Tensor<4>) -> Self {
        let parts = <Dispatch as BlockBackend>::jempp_moments(x.clone().into_dispatch());
        Self { x, parts: Tensor::from_dispatch(parts) }
    }

    /// The features themselves, (N, H, W, C).
    pub fn values(self) -> Tensor<4> {
        self.x
    }

    /// [`batch_norm`](fn@super::batch_norm) of the features; its results.
    pub fn normalised(
        self,
        gamma: Tensor<1>,
        beta: Tensor<1>,
        epsilon: f64,
    ) -> (Tensor<4>, Tensor<2>) {
        let table = <Dispatch as BlockBackend>::jempp_table_of_parts(
            self.parts.into_dispatch(),
            gamma.clone().into_dispatch(),
            beta.clone().into_dispatch(),
            epsilon,
        );
        normalised(self.x, Tensor::from_dispatch(table), gamma, beta, epsilon)
    }
}

/// The weights of half a block: batch norm, LeakyReLU, convolution.
#[derive(Clone, Debug)]
pub struct NormConv {
    /// The scale of batch norm, shape (inputs).
    pub gamma: Tensor<1>,
    /// The shift of batch norm, shape (inputs).
    pub beta: Tensor<1>,
    /// The weights of the convolution, shape (k, k, inputs, outputs).
    pub weight: Tensor<4>,
    /// The bias of the convolution, shape (outputs).
    pub bias: Tensor<1>,
}

/// The options of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockOptions {
    /// The stride of the second convolution and of the shortcut; the first convolution has stride 1.
    pub stride: usize,
    /// The slope of LeakyReLU for negative values; below 1.
    pub negative_slope: f32,
    /// The number that batch norm adds to a variance.
    pub epsilon: f64,
}

/// Computes a block of features on a GPU: `conv(act(norm(conv(act(norm(x)))))) + shortcut(x)`. The shortcut is a
/// convolution without activation, given as its weights and its bias, or x itself.
///
/// Also returns the tables of both norms, as [`batch_norm`](fn@super::batch_norm) does.
pub fn norm_block(
    features: Features,
    first: NormConv,
    second: NormConv,
    shortcut: Option<(Tensor<4>, Tensor<1>)>,
    options: BlockOptions,
) -> (Features, [Tensor<2>; 2]) {
    let (y, parts, first, second) = <Dispatch as BlockBackend>::jempp_norm_block(
        features.x.into_dispatch(),
        features.parts.into_dispatch(),
        Half::of(first),
        Half::of(second),
        match shortcut {
            None => Shortcut::Identity,
            Some((weight, bias)) => {
                Shortcut::Convolution(weight.into_dispatch(), bias.into_dispatch())
            }
        },
        options,
    );
    let features = Features { x: Tensor::from_dispatch(y), parts: Tensor::from_dispatch(parts) };
    (features, [first, second].map(Tensor::from_dispatch))
}

/// The weights of half a block on a backend; see [`NormConv`].
#[derive(ExtensionType)]
pub(super) struct Half<B: Backend> {
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: FloatTensor<B>,
}

impl Half<Dispatch> {
    fn of(weights: NormConv) -> Self {
        Self {
            gamma: weights.gamma.into_dispatch(),
            beta: weights.beta.into_dispatch(),
            weight: weights.weight.into_dispatch(),
            bias: weights.bias.into_dispatch(),
        }
    }
}

/// What is added to the second convolution of a block: x, or a convolution of it with weights and bias.
#[derive(ExtensionType)]
pub(super) enum Shortcut<B: Backend> {
    Identity,
    Convolution(FloatTensor<B>, FloatTensor<B>),
}

#[backend_extension(Autodiff, Cube)]
trait BlockBackend: Backend {
    fn jempp_moments(x: FloatTensor<Self>) -> FloatTensor<Self>;

    fn jempp_table_of_parts(
        parts: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    /// The output, its moments in parts, and the tables of both norms.
    fn jempp_norm_block(
        x: FloatTensor<Self>,
        parts: FloatTensor<Self>,
        #[extension_type] first: Half<Self>,
        #[extension_type] second: Half<Self>,
        #[extension_type] shortcut: Shortcut<Self>,
        options: BlockOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl BlockBackend for CubeBackend {
    fn jempp_moments(x: CubeTensor) -> CubeTensor {
        cube_norm::moments(x)
    }

    fn jempp_table_of_parts(
        parts: CubeTensor,
        gamma: CubeTensor,
        beta: CubeTensor,
        epsilon: f64,
    ) -> CubeTensor {
        cube_norm::table(parts, gamma, beta, epsilon)
    }

    fn jempp_norm_block(
        x: CubeTensor,
        parts: CubeTensor,
        first: Half<Self>,
        second: Half<Self>,
        shortcut: Shortcut<Self>,
        options: BlockOptions,
    ) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        let Passed { y, parts, kept } = passes::forward(x, parts, first, second, shortcut, options);
        let [first, second] = kept.tables;
        (y, parts, first, second)
    }
}

/// The backward pass of [`norm_block`], which also goes through all means and variances. Its parents are x, then gamma,
/// beta, weight and bias of both halves, then weight and bias of a convolution as shortcut.
#[derive(Debug)]
struct BlockBackward;

impl<const N: usize> Backward<CubeBackend, N> for BlockBackward {
    type State = Kept;

    fn backward(self, ops: Ops<Kept, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = grads.consume::<CubeBackend>(&ops.node);
        let gradients = passes::gradients(ops.state, gradient, ops.parents[0].is_some());
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<CubeBackend>(node.id, gradient);
            }
        }
    }
}

type AutodiffTensor<C> = FloatTensor<Autodiff<CubeBackend, C>>;

/// The output of a block as a node of the graph with these parents.
fn tracked<C: CheckpointStrategy, const N: usize>(
    parents: [NodeGuard; N],
    y: CubeTensor,
    kept: Kept,
) -> AutodiffTensor<C> {
    match BlockBackward.prepare::<C>(parents).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(kept, y),
        OpsKind::UnTracked(prep) => prep.finish(y),
    }
}

impl<C: CheckpointStrategy> Half<Autodiff<CubeBackend, C>> {
    fn nodes(&self) -> [NodeGuard; 4] {
        [self.gamma.node(), self.beta.node(), self.weight.node(), self.bias.node()]
    }

    /// Whether the convolution needs the gradients of its weights.
    fn is_tracked(&self) -> bool {
        self.weight.is_tracked() || self.bias.is_tracked()
    }

    fn into_primitive(self) -> Half<CubeBackend> {
        Half {
            gamma: self.gamma.into_primitive(),
            beta: self.beta.into_primitive(),
            weight: self.weight.into_primitive(),
            bias: self.bias.into_primitive(),
        }
    }
}

impl<C: CheckpointStrategy> BlockBackend for Autodiff<CubeBackend, C> {
    fn jempp_moments(x: FloatTensor<Self>) -> FloatTensor<Self> {
        // Moments and tables are constants of the graph: the backward passes include their gradients.
        FloatTensor::<Self>::new(cube_norm::moments(x.into_primitive()))
    }

    fn jempp_table_of_parts(
        parts: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let [parts, gamma, beta] = [parts, gamma, beta].map(|tensor| tensor.into_primitive());
        FloatTensor::<Self>::new(cube_norm::table(parts, gamma, beta, epsilon))
    }

    fn jempp_norm_block(
        x: FloatTensor<Self>,
        parts: FloatTensor<Self>,
        first: Half<Self>,
        second: Half<Self>,
        shortcut: Shortcut<Self>,
        options: BlockOptions,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let node = x.node();
        let [[g1, b1, w1, c1], [g2, b2, w2, c2]] = [first.nodes(), second.nodes()];
        let (shortcut, shortcut_nodes, tracks_shortcut) = match shortcut {
            Shortcut::Identity => (Shortcut::Identity, None, false),
            Shortcut::Convolution(weight, bias) => {
                let nodes = [weight.node(), bias.node()];
                let is_tracked = weight.is_tracked() || bias.is_tracked();
                let [weight, bias] = [weight, bias].map(|tensor| tensor.into_primitive());
                (Shortcut::Convolution(weight, bias), Some(nodes), is_tracked)
            }
        };
        let tracks_weights = first.is_tracked() || second.is_tracked() || tracks_shortcut;
        let [x, parts] = [x, parts].map(|tensor| tensor.into_primitive());
        let [first, second] = [first, second].map(Half::into_primitive);
        let Passed { y, parts, mut kept } =
            passes::forward(x, parts, first, second, shortcut, options);
        kept.tracks_weights = tracks_weights;
        let tables = kept.tables.clone().map(FloatTensor::<Self>::new);
        let y = match shortcut_nodes {
            None => tracked::<C, 9>([node, g1, b1, w1, c1, g2, b2, w2, c2], y, kept),
            Some([w3, c3]) => {
                tracked::<C, 11>([node, g1, b1, w1, c1, g2, b2, w2, c2, w3, c3], y, kept)
            }
        };
        let [first, second] = tables;
        (y, FloatTensor::<Self>::new(parts), first, second)
    }
}
