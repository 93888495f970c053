//! The layers as burn operations with autodiff: the passes of a backend, and the backward passes.

use burn::backend::{
    Autodiff, Backend, Flex, TensorMetadata,
    autodiff::{
        NodeId,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    backend_extension,
    tensor::FloatTensor,
};
use burn_wgpu::CubeBackend;

use super::{
    ConvOptions2d, EnergyOptions, HeadOptions,
    shape::{ConvShape, HeadShape},
};

/// The forward and backward passes of the layers on a backend; all tensors are f32.
pub(super) trait LayerPasses: Backend {
    /// The signs of an input: where it was positive, one bit for each value.
    type Signs: Clone + Send + std::fmt::Debug + 'static;

    /// The forward pass of a convolution; see [`super::conv2d`]. Also returns the signs of x, if they are wanted.
    fn conv_forward(
        shape: &ConvShape,
        x: FloatTensor<Self>,
        negative_slope: Option<f32>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        wants_signs: bool,
    ) -> (FloatTensor<Self>, Option<Self::Signs>);

    /// The input gradient ∂L/∂x of a convolution, from ∂L/∂y.
    fn conv_input_gradient(
        shape: &ConvShape,
        gradient: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        signs: Option<(Self::Signs, f32)>,
    ) -> FloatTensor<Self>;

    /// The gradients ∂L/∂weight and ∂L/∂bias of a convolution, from ∂L/∂y.
    fn conv_weight_gradients(
        shape: &ConvShape,
        x: FloatTensor<Self>,
        negative_slope: Option<f32>,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];

    /// The forward pass of the head; see [`super::head_logits`]. Also returns the signs of x, if they are wanted.
    fn head_forward(
        shape: &HeadShape,
        x: FloatTensor<Self>,
        negative_slope: f32,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        wants_signs: bool,
    ) -> (FloatTensor<Self>, Option<Self::Signs>);

    /// The energies (N) and ∂energy/∂logits (N, classes); see [`super::head_energy`]. Also returns the signs of x, if they
    /// are wanted.
    fn head_energy_forward(
        shape: &HeadShape,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: &EnergyOptions,
        wants_signs: bool,
    ) -> ([FloatTensor<Self>; 2], Option<Self::Signs>);

    /// The input gradient ∂L/∂x of the head, from ∂L/∂logits with each row multiplied by `row_scale` (N).
    fn head_input_gradient(
        shape: &HeadShape,
        gradient: FloatTensor<Self>,
        row_scale: Option<FloatTensor<Self>>,
        weight: FloatTensor<Self>,
        signs: Self::Signs,
        negative_slope: f32,
    ) -> FloatTensor<Self>;

    /// The gradients ∂L/∂weight and ∂L/∂bias of the head, from ∂L/∂logits.
    fn head_weight_gradients(
        shape: &HeadShape,
        x: FloatTensor<Self>,
        negative_slope: f32,
        gradient: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];
}

#[backend_extension(Autodiff, Cube, Flex)]
pub(super) trait LayerBackend: Backend {
    fn jempp_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions2d,
    ) -> FloatTensor<Self>;

    fn jempp_head_logits(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: HeadOptions,
    ) -> FloatTensor<Self>;

    fn jempp_head_energy(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: EnergyOptions,
    ) -> FloatTensor<Self>;
}

fn conv_shape<B: Backend>(
    x: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    options: &ConvOptions2d,
) -> ConvShape {
    ConvShape::new(x.shape().dims(), weight.shape().dims(), options.stride)
}

fn head_shape<B: Backend>(
    x: &FloatTensor<B>,
    weight: &FloatTensor<B>,
    options: &HeadOptions,
) -> HeadShape {
    HeadShape::new(x.shape().dims(), weight.shape().dims(), options.pooling)
}

/// Implements the layers on a backend without autodiff: only the forward passes.
macro_rules! forward_only {
    ($backend:ty) => {
        impl LayerBackend for $backend {
            fn jempp_conv2d(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                options: ConvOptions2d,
            ) -> FloatTensor<Self> {
                let shape = conv_shape::<Self>(&x, &weight, &options);
                Self::conv_forward(&shape, x, options.negative_slope, weight, bias, false).0
            }

            fn jempp_head_logits(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                options: HeadOptions,
            ) -> FloatTensor<Self> {
                let shape = head_shape::<Self>(&x, &weight, &options);
                Self::head_forward(&shape, x, options.negative_slope, weight, bias, false).0
            }

            fn jempp_head_energy(
                x: FloatTensor<Self>,
                weight: FloatTensor<Self>,
                bias: FloatTensor<Self>,
                options: EnergyOptions,
            ) -> FloatTensor<Self> {
                let shape = head_shape::<Self>(&x, &weight, &options.head);
                let ([energy, _], _) =
                    Self::head_energy_forward(&shape, x, weight, bias, &options, false);
                energy
            }
        }
    };
}

forward_only!(Flex);
forward_only!(CubeBackend);

/// The saved state for the backward pass of a layer. The input itself is saved only for a weight gradient.
#[derive(Debug)]
struct Kept<B: LayerPasses> {
    weight: FloatTensor<B>,
    x: Option<FloatTensor<B>>,
    signs: Option<B::Signs>,
}

impl<B: LayerPasses> Clone for Kept<B> {
    fn clone(&self) -> Self {
        let (weight, x, signs) = (self.weight.clone(), self.x.clone(), self.signs.clone());
        Self { weight, x, signs }
    }
}

/// The backward pass of [`super::conv2d`].
#[derive(Debug)]
struct ConvBackward;

impl<B: LayerPasses> Backward<B, 3> for ConvBackward {
    type State = (ConvShape, ConvOptions2d, Kept<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_weight, node_bias] = ops.parents;
        let gradient = grads.consume::<B>(&ops.node);
        let (shape, options, Kept { weight, x, signs }) = ops.state;
        if let Some(x) = x {
            let slope = options.negative_slope;
            let gradients = B::conv_weight_gradients(&shape, x, slope, gradient.clone());
            let nodes = [node_weight, node_bias].map(|node| node.map(|node| node.id));
            register::<B>(grads, nodes, gradients);
        }
        if let Some(node) = node_x {
            let signs = signs.zip(options.negative_slope);
            grads.register::<B>(node.id, B::conv_input_gradient(&shape, gradient, weight, signs));
        }
    }
}

/// The backward pass of [`super::head_logits`] and [`super::head_energy`]; the third part of the state
/// is ∂energy/∂logits if the output is an energy.
#[derive(Debug)]
struct HeadBackward;

impl<B: LayerPasses> Backward<B, 3> for HeadBackward {
    type State = (HeadShape, HeadOptions, Option<FloatTensor<B>>, Kept<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [node_x, node_weight, node_bias] = ops.parents;
        let incoming = grads.consume::<B>(&ops.node);
        let (shape, HeadOptions { negative_slope, .. }, seed, Kept { weight, x, signs }) =
            ops.state;
        let (gradient, row_scale) = match seed {
            None => (incoming, None),
            Some(seed) => (seed, Some(incoming)),
        };
        if let Some(x) = x {
            let gradient = match row_scale.clone() {
                None => gradient.clone(),
                Some(scale) => {
                    let scale = B::float_reshape(scale, [shape.batch, 1].into());
                    B::float_mul(gradient.clone(), scale)
                }
            };
            let gradients = B::head_weight_gradients(&shape, x, negative_slope, gradient);
            let nodes = [node_weight, node_bias].map(|node| node.map(|node| node.id));
            register::<B>(grads, nodes, gradients);
        }
        if let (Some(node), Some(signs)) = (node_x, signs) {
            let gradient =
                B::head_input_gradient(&shape, gradient, row_scale, weight, signs, negative_slope);
            grads.register::<B>(node.id, gradient);
        }
    }
}

fn register<B: Backend>(
    grads: &mut Gradients,
    nodes: [Option<NodeId>; 2],
    gradients: [FloatTensor<B>; 2],
) {
    for (node, gradient) in nodes.into_iter().zip(gradients) {
        if let Some(node) = node {
            grads.register::<B>(node, gradient);
        }
    }
}

impl<B: LayerPasses, C: CheckpointStrategy> LayerBackend for Autodiff<B, C> {
    fn jempp_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions2d,
    ) -> FloatTensor<Self> {
        let shape = conv_shape::<Self>(&x, &weight, &options);
        let nodes = [x.node(), weight.node(), bias.node()];
        let slope = options.negative_slope;
        let wants_x = weight.is_tracked() || bias.is_tracked();
        let wants_signs = x.is_tracked() && slope.is_some();
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
        match ConvBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (kept_weight, kept_x) = (weight.clone(), wants_x.then(|| x.clone()));
                let (y, signs) = B::conv_forward(&shape, x, slope, weight, bias, wants_signs);
                let kept = Kept { weight: kept_weight, x: kept_x, signs };
                prep.finish((shape, options, kept), y)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::conv_forward(&shape, x, slope, weight, bias, false).0)
            }
        }
    }

    fn jempp_head_logits(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: HeadOptions,
    ) -> FloatTensor<Self> {
        let shape = head_shape::<Self>(&x, &weight, &options);
        let nodes = [x.node(), weight.node(), bias.node()];
        let wants_x = weight.is_tracked() || bias.is_tracked();
        let wants_signs = x.is_tracked();
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
        let slope = options.negative_slope;
        match HeadBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (kept_weight, kept_x) = (weight.clone(), wants_x.then(|| x.clone()));
                let (logits, signs) = B::head_forward(&shape, x, slope, weight, bias, wants_signs);
                let kept = Kept { weight: kept_weight, x: kept_x, signs };
                prep.finish((shape, options, None, kept), logits)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::head_forward(&shape, x, slope, weight, bias, false).0)
            }
        }
    }

    fn jempp_head_energy(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: EnergyOptions,
    ) -> FloatTensor<Self> {
        let shape = head_shape::<Self>(&x, &weight, &options.head);
        let nodes = [x.node(), weight.node(), bias.node()];
        let wants_x = weight.is_tracked() || bias.is_tracked();
        let wants_signs = x.is_tracked();
        let [x, weight, bias] = [x, weight, bias].map(|tensor| tensor.into_primitive());
        match HeadBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (kept_weight, kept_x) = (weight.clone(), wants_x.then(|| x.clone()));
                let ([energy, seed], signs) =
                    B::head_energy_forward(&shape, x, weight, bias, &options, wants_signs);
                let kept = Kept { weight: kept_weight, x: kept_x, signs };
                prep.finish((shape, options.head, Some(seed), kept), energy)
            }
            OpsKind::UnTracked(prep) => {
                let ([energy, _], _) =
                    B::head_energy_forward(&shape, x, weight, bias, &options, false);
                prep.finish(energy)
            }
        }
    }
}
