//! The forward and the backward pass of a block, launch by launch.

use burn::backend::TensorMetadata;
use burn_wgpu::{CubeBackend, CubeTensor, into_contiguous};

use super::{
    super::{
        super::launch::empty_like,
        autodiff::LayerPasses,
        cube::{Layer, placeholder},
        cube_norm::{self, NormGradients},
        shape::ConvShape,
        turned::turned_weights,
        variants::{ConvPass, Surroundings},
    },
    BlockOptions, Half, Shortcut,
};

/// The results of a forward pass.
pub(super) struct Passed {
    /// The output of the block.
    pub y: CubeTensor,
    /// The moments of the output in parts.
    pub parts: CubeTensor,
    /// What the backward pass needs.
    pub kept: Kept,
}

/// The saved state for the backward pass.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    x: CubeTensor,
    /// The output of the first convolution.
    middle: CubeTensor,
    /// The tables of both norms.
    pub tables: [CubeTensor; 2],
    weights: [CubeTensor; 2],
    /// The weights of the shortcut, if it is a convolution.
    shortcut: Option<CubeTensor>,
    options: BlockOptions,
    /// Whether any of the weights needs a gradient.
    pub tracks_weights: bool,
}

impl Kept {
    /// The two convolutions.
    fn shapes(&self) -> [ConvShape; 2] {
        let Self { x, middle, weights: [first, second], options, .. } = self;
        [
            ConvShape::new(x.shape().dims(), first.shape().dims(), 1),
            ConvShape::new(middle.shape().dims(), second.shape().dims(), options.stride),
        ]
    }
}

/// One of the two convolutions of a block: conv(act(norm(x))) + bias.
struct Normalised<'a> {
    layer: Layer<'a>,
    /// The input, before the norm.
    x: &'a CubeTensor,
    /// The table of the norm.
    table: &'a CubeTensor,
}

impl Normalised<'_> {
    /// The output, and its moments in parts.
    fn output(
        &self,
        weight: &CubeTensor,
        bias: &CubeTensor,
        residual: &CubeTensor,
    ) -> [CubeTensor; 2] {
        let Self { layer, x, table } = self;
        let ConvShape { batch, outputs, .. } = *layer.shape;
        let [height, width] = layer.shape.output_size();
        let y = empty_like(x, [batch, height, width, outputs]);
        let pass = ConvPass::Forward;
        let parts = layer.run_best(pass, &x.client, |variant| {
            let num_parts = variant.num_result_parts(pass, layer.shape);
            let parts = empty_like(x, [num_parts, cube_norm::part_len(outputs)]);
            let tensors = [x, weight, bias, &y, table, residual, &parts];
            layer.run_variant(variant, pass, num_parts, &tensors);
            parts
        });
        [y, parts]
    }

    /// The gradient of the normalised input, and its sums in parts. `behind` is what stands behind the convolution.
    fn input_gradient(
        &self,
        gradient: &CubeTensor,
        weight: &CubeTensor,
        behind: &Behind,
    ) -> [CubeTensor; 2] {
        let Self { layer, x, table } = self;
        let x_gradient = empty_like(x, x.shape());
        let turned = turned_weights(layer.shape, weight.clone());
        let pass = ConvPass::InputGradient;
        let parts = layer.run_best(pass, &x.client, |variant| {
            let num_parts = variant.num_result_parts(pass, layer.shape);
            let parts = empty_like(x, [num_parts, cube_norm::part_len(layer.shape.inputs)]);
            let Behind { output, table: behind } = behind;
            let tensors = [gradient, &turned, x, &x_gradient, table, output, behind, &parts];
            layer.run_variant(variant, pass, num_parts, &tensors);
            parts
        });
        [x_gradient, parts]
    }

    /// The gradients of weights and bias.
    fn weight_gradients(&self, gradient: &CubeTensor, behind: &Behind) -> [CubeTensor; 2] {
        let ConvShape { kernel, inputs, outputs, .. } = *self.layer.shape;
        let around = [self.table, &behind.output, &behind.table];
        let (x, gradient) = (self.x.clone(), gradient.clone());
        self.layer.weight_gradients([kernel, kernel, inputs, outputs], x, gradient, &around)
    }

    /// All gradients, from that of the output; those of weights and bias only if they are tracked.
    fn gradients(
        &self,
        gradient: &CubeTensor,
        weight: &CubeTensor,
        behind: &Behind,
        tracks_weights: bool,
        epsilon: f64,
    ) -> HalfGradients {
        let [weights, bias] = match tracks_weights {
            true => self.weight_gradients(gradient, behind).map(Some),
            false => [None, None],
        };
        let [input, sums] = self.input_gradient(gradient, weight, behind);
        let NormGradients { table, affine: [gamma, beta] } =
            cube_norm::gradient_table(&sums, self.table, epsilon);
        HalfGradients { input, table, weights: [Some(gamma), Some(beta), weights, bias] }
    }
}

/// The gradients of a [`Normalised`] convolution.
struct HalfGradients {
    /// That of the normalised input.
    input: CubeTensor,
    /// The table with which the gradient of the input follows from it.
    table: CubeTensor,
    /// Those of gamma, beta, weights and bias.
    weights: [Option<CubeTensor>; 4],
}

/// The batch norm behind a convolution: its input, and the table of its gradient. The second convolution of a block has
/// none; there, the shaders do not read these buffers.
struct Behind {
    output: CubeTensor,
    table: CubeTensor,
}

/// Computes a block; see [`super::norm_block`].
pub(super) fn forward(
    x: CubeTensor,
    parts: CubeTensor,
    first: Half<CubeBackend>,
    second: Half<CubeBackend>,
    shortcut: Shortcut<CubeBackend>,
    options: BlockOptions,
) -> Passed {
    let BlockOptions { stride, negative_slope, epsilon } = options;
    let x = into_contiguous(x);
    let [w1, w2] = [first.weight, second.weight].map(into_contiguous);
    let [c1, c2] = [first.bias, second.bias].map(into_contiguous);
    let layer =
        |shape, surroundings| Layer { shape, surroundings, negative_slope: Some(negative_slope) };

    let table1 = cube_norm::table(parts, first.gamma, first.beta, epsilon);
    let shape = ConvShape::new(x.shape().dims(), w1.shape().dims(), 1);
    let half =
        Normalised { layer: layer(&shape, Surroundings::FirstOfBlock), x: &x, table: &table1 };
    let [middle, parts] = half.output(&w1, &c1, &placeholder(&x));

    let table2 = cube_norm::table(parts, second.gamma, second.beta, epsilon);
    let (residual, shortcut) = match shortcut {
        Shortcut::Identity => (x.clone(), None),
        Shortcut::Convolution(weight, bias) => {
            let shape = ConvShape::new(x.shape().dims(), weight.shape().dims(), stride);
            let (residual, _) =
                CubeBackend::conv_forward(&shape, x.clone(), None, weight.clone(), bias, false);
            (residual, Some(weight))
        }
    };
    let shape = ConvShape::new(middle.shape().dims(), w2.shape().dims(), stride);
    let layer = layer(&shape, Surroundings::SecondOfBlock);
    let [y, parts] = Normalised { layer, x: &middle, table: &table2 }.output(&w2, &c2, &residual);
    let (tables, weights) = ([table1, table2], [w1, w2]);
    let kept = Kept { x, middle, tables, weights, shortcut, options, tracks_weights: false };
    Passed { y, parts, kept }
}

/// The gradients of all parents of a block, in their order, from the gradient of its output. That of x is computed only
/// if it `needs_x`, and those of the weights if they are tracked.
pub(super) fn gradients(
    kept: Kept,
    gradient: CubeTensor,
    needs_x: bool,
) -> impl Iterator<Item = Option<CubeTensor>> {
    let BlockOptions { stride, negative_slope, epsilon } = kept.options;
    let [shape1, shape2] = kept.shapes();
    let gradient = into_contiguous(gradient);
    let layer =
        |shape, surroundings| Layer { shape, surroundings, negative_slope: Some(negative_slope) };
    let Kept { x, middle, tables: [table1, table2], weights: [w1, w2], shortcut, .. } = &kept;
    let tracks_weights = kept.tracks_weights;

    let layer2 = layer(&shape2, Surroundings::SecondOfBlock);
    let nothing = Behind { output: placeholder(x), table: placeholder(x) };
    let second = Normalised { layer: layer2, x: middle, table: table2 };
    let second = second.gradients(&gradient, w2, &nothing, tracks_weights, epsilon);

    let layer1 = layer(&shape1, Surroundings::FirstOfBlock);
    let behind = Behind { output: middle.clone(), table: second.table };
    let first = Normalised { layer: layer1, x, table: table1 };
    let first = first.gradients(&second.input, w1, &behind, tracks_weights, epsilon);

    let mut residual = gradient.clone();
    let mut of_shortcut = [None, None];
    if let Some(weight) = shortcut {
        let shape = ConvShape::new(x.shape().dims(), weight.shape().dims(), stride);
        if tracks_weights {
            let (x, gradient) = (x.clone(), gradient.clone());
            of_shortcut = CubeBackend::conv_weight_gradients(&shape, x, None, gradient).map(Some);
        }
        if needs_x {
            residual = CubeBackend::conv_input_gradient(&shape, gradient, weight.clone(), None);
        }
    }
    let of_x =
        needs_x.then(|| cube_norm::input_gradient(&first.input, x, &first.table, Some(&residual)));
    std::iter::once(of_x).chain(first.weights).chain(second.weights).chain(of_shortcut)
}
