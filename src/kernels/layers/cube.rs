//! The passes on a GPU, in hand-written WGSL. burn's own convolutions are several times slower on software adapters
//! (`docs/performance.md`). burn's matrix products need more launches, and a browser would have to load a program that
//! is a quarter larger (24.6 MB instead of 19.6 MB before compression, measured when they were removed).

use burn::tensor::{DType, Tensor};
use burn_wgpu::{CubeBackend, CubeTensor, into_contiguous};
use cubecl::{client::Client, server::Handle};

#[cfg(not(target_arch = "wasm32"))]
use super::tuner;
use super::{
    super::{
        CONV_WEIGHT_SUM, HEAD_ENERGY, HEAD_INPUT_GRADIENT, Kernel, WORKGROUP_SIZE,
        bridge::{from_gpu, gpu},
        launch::{empty_like, launch, submit_before},
    },
    EnergyOptions, Pooling,
    autodiff::LayerPasses,
    choice::{Adapter, num_parts},
    pooled,
    shape::{ConvShape, HeadShape},
    turned::turned_weights,
    variants::{ConvPass, Surroundings, Variant},
};

/// The slope that makes LeakyReLU the identity.
const NO_ACTIVATION: f32 = 1.0;

/// Runs `kernel` with one invocation for each of `num_invocations`.
pub(super) fn run(
    kernel: &'static Kernel,
    num_invocations: usize,
    tensors: &[&CubeTensor],
    params: &[u32],
) {
    let handles: Vec<&Handle> = tensors.iter().map(|tensor| &tensor.handle).collect();
    let num_workgroups = num_invocations.div_ceil(WORKGROUP_SIZE as usize) as u32;
    launch(kernel, &tensors[0].client, num_workgroups, &handles, params);
}

/// A buffer that a kernel is bound to but does not read: as long as one element of any array in a shader.
pub(super) fn placeholder(like: &CubeTensor) -> CubeTensor {
    empty_like(like, [4])
}

/// Room for the signs of `len` values, 32 in a word (`shaders/conv_plain.wgsl`), or a placeholder if they are not wanted;
/// and the number of words.
fn room_for_signs(like: &CubeTensor, len: usize, are_wanted: bool) -> (CubeTensor, usize) {
    let num_words = if are_wanted { len.div_ceil(u32::BITS as usize) } else { 0 };
    let words = if are_wanted { empty_like(like, [num_words]) } else { placeholder(like) };
    (CubeTensor { dtype: DType::U32, ..words }, num_words)
}

/// A convolution with what stands around it.
#[derive(Clone, Copy)]
pub(super) struct Layer<'a> {
    pub shape: &'a ConvShape,
    pub surroundings: Surroundings,
    /// The slope of the LeakyReLU in front; `None`: no activation.
    pub negative_slope: Option<f32>,
}

impl Layer<'_> {
    /// Runs a variant on the tensors of `shaders/conv_common.wgsl` and of the file for the surroundings. What a kernel
    /// writes in parts, it writes in `num_parts` of them; signs in words.
    pub(super) fn run_variant(
        &self,
        variant: &Variant,
        pass: ConvPass,
        num_parts: usize,
        tensors: &[&CubeTensor],
    ) {
        let ConvShape { batch, height, width, inputs, outputs, kernel, stride } = *self.shape;
        let [batch, height, width] = [batch, height, width].map(|size| size as u32);
        let [inputs, outputs, kernel, stride] = [inputs, outputs, kernel, stride].map(|n| n as u32);
        let slope = self.negative_slope.unwrap_or(NO_ACTIVATION).to_bits();
        // Only the gradient of the weights divides its work.
        let work_parts = if pass == ConvPass::WeightGradient { num_parts } else { 1 };
        launch(
            variant.kernel(pass, self.shape, self.surroundings),
            &tensors[0].client,
            variant.num_workgroups(pass, self.shape, work_parts),
            &tensors.iter().map(|tensor| &tensor.handle).collect::<Vec<_>>(),
            &[batch, height, width, inputs, outputs, kernel, stride, slope, num_parts as u32],
        );
    }

    /// Launches the variant that is the fastest one for a pass, as far as is known, and returns what `launch` returns.
    /// It may be called several times with other variants before, to measure them: all write the same results to the
    /// same place.
    pub(super) fn run_best<R>(
        &self,
        pass: ConvPass,
        client: &Client,
        launch: impl Fn(&'static Variant) -> R,
    ) -> R {
        #[cfg(not(target_arch = "wasm32"))]
        let variant = tuner::choose(pass, self.shape, self.surroundings, client, |variant| {
            launch(variant);
        });
        // A page cannot wait for its GPU in the middle of a layer.
        #[cfg(target_arch = "wasm32")]
        let variant = super::choice::choose(pass, self.shape, Adapter::of(client));
        submit_before(client, self.shape.flops());
        launch(variant)
    }

    /// The gradients ∂L/∂weight, with the shape `dims`, and ∂L/∂bias. `around` are the tensors of the surroundings.
    pub(super) fn weight_gradients<const D: usize>(
        &self,
        dims: [usize; D],
        x: CubeTensor,
        gradient: CubeTensor,
        around: &[&CubeTensor],
    ) -> [CubeTensor; 2] {
        let [x, gradient] = [x, gradient].map(into_contiguous);
        let (num_weights, outputs) =
            (self.shape.patch_len() * self.shape.outputs, self.shape.outputs);
        let (weight, bias) = (empty_like(&x, dims), empty_like(&x, [outputs]));
        let pass = ConvPass::WeightGradient;
        self.run_best(pass, &x.client, |variant| {
            let num_parts = num_parts(variant, self.shape, Adapter::of(&x.client));
            let run_variant = |bias: &CubeTensor, weight: &CubeTensor| {
                let tensors = [&[&x, &gradient, bias, weight], around].concat();
                self.run_variant(variant, pass, num_parts, &tensors);
            };
            if num_parts == 1 {
                return run_variant(&bias, &weight);
            }
            let weight_parts = empty_like(&x, [num_parts, num_weights]);
            let bias_parts = empty_like(&x, [num_parts, outputs]);
            run_variant(&bias_parts, &weight_parts);
            run(
                &CONV_WEIGHT_SUM,
                num_weights + outputs,
                &[&weight_parts, &bias_parts, &weight, &bias],
                &[num_parts as u32, num_weights as u32, outputs as u32],
            );
        });
        [weight, bias]
    }
}

/// A convolution with LeakyReLU in front, or with nothing.
fn plain(shape: &ConvShape, negative_slope: Option<f32>) -> Layer<'_> {
    Layer { shape, surroundings: Surroundings::Plain, negative_slope }
}

/// Computes conv(LeakyReLU(x)) + bias; the result has the shape `dims`. Also returns the signs of x, if they are wanted.
fn conv<const D: usize>(
    shape: &ConvShape,
    dims: [usize; D],
    x: CubeTensor,
    negative_slope: Option<f32>,
    weight: CubeTensor,
    bias: CubeTensor,
    wants_signs: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let [x, weight, bias] = [x, weight, bias].map(into_contiguous);
    let y = empty_like(&x, dims);
    let (signs, num_words) = room_for_signs(&x, shape.input_len(), wants_signs);
    let layer = plain(shape, negative_slope);
    layer.run_best(ConvPass::Forward, &x.client, |variant| {
        let tensors = [&x, &weight, &bias, &y, &signs];
        layer.run_variant(variant, ConvPass::Forward, num_words, &tensors);
    });
    (y, wants_signs.then_some(signs))
}

/// The linear map of a head as a convolution: each image has one position.
fn linear_map(shape: &HeadShape) -> ConvShape {
    ConvShape {
        batch: shape.batch,
        height: 1,
        width: 1,
        inputs: shape.inputs(),
        outputs: shape.classes,
        kernel: 1,
        stride: 1,
    }
}

/// The input of the linear map of a head, for the gradient of its weights, and the slope of the activation that is still to
/// be applied.
fn head_inputs(shape: &HeadShape, x: CubeTensor, negative_slope: f32) -> (CubeTensor, Option<f32>) {
    match shape.pooling {
        Pooling::Flatten => (x, Some(negative_slope)),
        Pooling::Average => (gpu(pooled(from_gpu(x), shape.pooling, negative_slope)), None),
    }
}

fn is_average(shape: &HeadShape) -> u32 {
    u32::from(shape.pooling == Pooling::Average)
}

impl LayerPasses for CubeBackend {
    /// Words of 32 bits.
    type Signs = CubeTensor;

    fn conv_forward(
        shape: &ConvShape,
        x: CubeTensor,
        negative_slope: Option<f32>,
        weight: CubeTensor,
        bias: CubeTensor,
        wants_signs: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        let [height, width] = shape.output_size();
        let dims = [shape.batch, height, width, shape.outputs];
        conv(shape, dims, x, negative_slope, weight, bias, wants_signs)
    }

    fn conv_input_gradient(
        shape: &ConvShape,
        gradient: CubeTensor,
        weight: CubeTensor,
        signs: Option<(CubeTensor, f32)>,
    ) -> CubeTensor {
        let [gradient, weight] = [gradient, weight].map(into_contiguous);
        let ConvShape { batch, height, width, inputs, .. } = *shape;
        let x_gradient = empty_like(&gradient, [batch, height, width, inputs]);
        // Two of them: WebGPU refuses a buffer that is bound twice.
        let [nothing, no_signs] = [(); 2].map(|()| placeholder(&gradient));
        let (signs, slope) = match signs {
            Some((signs, slope)) => (signs, Some(slope)),
            None => (no_signs, None),
        };
        let turned = turned_weights(shape, weight);
        let (layer, pass) = (plain(shape, slope), ConvPass::InputGradient);
        layer.run_best(pass, &gradient.client, |variant| {
            let tensors = [&gradient, &turned, &nothing, &x_gradient, &signs];
            layer.run_variant(variant, pass, 1, &tensors);
        });
        x_gradient
    }

    fn conv_weight_gradients(
        shape: &ConvShape,
        x: CubeTensor,
        negative_slope: Option<f32>,
        gradient: CubeTensor,
    ) -> [CubeTensor; 2] {
        let ConvShape { kernel, inputs, outputs, .. } = *shape;
        let dims = [kernel, kernel, inputs, outputs];
        plain(shape, negative_slope).weight_gradients(dims, x, gradient, &[])
    }

    fn head_forward(
        shape: &HeadShape,
        x: CubeTensor,
        negative_slope: f32,
        weight: CubeTensor,
        bias: CubeTensor,
        wants_signs: bool,
    ) -> (CubeTensor, Option<CubeTensor>) {
        let HeadShape { batch, channels, classes, .. } = *shape;
        let slope = Some(negative_slope);
        if shape.pooling == Pooling::Flatten {
            let map = linear_map(shape);
            return conv(&map, [batch, classes], x, slope, weight, bias, wants_signs);
        }
        // The mean of the logits of all positions: the map is linear, and this way it reads x before the activation.
        let positions = shape.positions();
        let map = ConvShape { batch: batch * positions, inputs: channels, ..linear_map(shape) };
        let dims = [batch, positions, classes];
        let (logits, signs) = conv(&map, dims, x, slope, weight, bias, wants_signs);
        let mean = from_gpu::<3>(logits).mean_dim(1).reshape([batch, classes]);
        (gpu(mean), signs)
    }

    fn head_energy_forward(
        shape: &HeadShape,
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        options: &EnergyOptions,
        wants_signs: bool,
    ) -> ([CubeTensor; 2], Option<CubeTensor>) {
        let [x, weight, bias] = [x, weight, bias].map(into_contiguous);
        let energy = empty_like(&x, [shape.batch]);
        let seed = empty_like(&x, [shape.batch, shape.classes]);
        let (signs, num_words) = room_for_signs(&x, shape.batch * shape.image_len(), wants_signs);
        let labels = match &options.labels {
            Some(labels) => labels.on_gpu().handle,
            // The shader does not read this buffer, so leave it uninitialised: an upload would first submit all waiting
            // work to the GPU.
            None => placeholder(&x).handle,
        };
        launch(
            &HEAD_ENERGY,
            &x.client,
            shape.batch as u32,
            &[
                &x.handle,
                &weight.handle,
                &bias.handle,
                &labels,
                &energy.handle,
                &seed.handle,
                &signs.handle,
            ],
            &[
                shape.batch as u32,
                shape.positions() as u32,
                shape.channels as u32,
                shape.classes as u32,
                is_average(shape),
                options.labels.is_some().into(),
                options.head.negative_slope.to_bits(),
                options.scale.to_bits(),
                num_words as u32,
            ],
        );
        ([energy, seed], wants_signs.then_some(signs))
    }

    fn head_input_gradient(
        shape: &HeadShape,
        gradient: CubeTensor,
        row_scale: Option<CubeTensor>,
        weight: CubeTensor,
        signs: CubeTensor,
        negative_slope: f32,
    ) -> CubeTensor {
        let row_scale = row_scale.unwrap_or_else(|| {
            let like: Tensor<2> = from_gpu(gradient.clone());
            gpu(Tensor::<1>::ones([shape.batch], &like.device()))
        });
        let [gradient, row_scale, weight] = [gradient, row_scale, weight].map(into_contiguous);
        let x_gradient =
            empty_like(&gradient, [shape.batch, shape.height, shape.width, shape.channels]);
        run(
            &HEAD_INPUT_GRADIENT,
            shape.batch * shape.image_len(),
            &[&gradient, &row_scale, &weight, &signs, &x_gradient],
            &[
                shape.batch as u32,
                shape.positions() as u32,
                shape.channels as u32,
                shape.classes as u32,
                is_average(shape),
                negative_slope.to_bits(),
            ],
        );
        x_gradient
    }

    fn head_weight_gradients(
        shape: &HeadShape,
        x: CubeTensor,
        negative_slope: f32,
        gradient: CubeTensor,
    ) -> [CubeTensor; 2] {
        let (x, slope) = head_inputs(shape, x, negative_slope);
        let dims = [shape.inputs(), shape.classes];
        plain(&linear_map(shape), slope).weight_gradients(dims, x, gradient, &[])
    }
}
