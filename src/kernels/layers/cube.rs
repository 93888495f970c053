//! The passes on a GPU, in hand-written WGSL. burn's own convolutions are several times slower on software adapters
//! (`docs/performance.md`). burn's matrix products need more launches, and a browser would have to load a program that
//! is a quarter larger (24.6 MB instead of 19.6 MB before compression, measured when they were removed).

use burn::tensor::Tensor;
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
    variants::{ConvPass, Variant},
};

/// The slope that makes LeakyReLU the identity.
const NO_ACTIVATION: f32 = 1.0;

/// Runs `kernel` with one invocation for each of `num_invocations`.
fn run(kernel: &'static Kernel, num_invocations: usize, tensors: &[&CubeTensor], params: &[u32]) {
    let handles: Vec<&Handle> = tensors.iter().map(|tensor| &tensor.handle).collect();
    let num_workgroups = num_invocations.div_ceil(WORKGROUP_SIZE as usize) as u32;
    launch(kernel, &tensors[0].client, num_workgroups, &handles, params);
}

/// Runs a variant of the convolution kernels on the four tensors of `shaders/conv_common.wgsl`.
fn run_variant(
    variant: &Variant,
    (pass, shape, num_parts): (ConvPass, &ConvShape, usize),
    negative_slope: Option<f32>,
    tensors: [&CubeTensor; 4],
) {
    let ConvShape { batch, height, width, inputs, outputs, kernel, stride } = *shape;
    let [batch, height, width] = [batch, height, width].map(|size| size as u32);
    let [inputs, outputs, kernel, stride] = [inputs, outputs, kernel, stride].map(|n| n as u32);
    let slope = negative_slope.unwrap_or(NO_ACTIVATION).to_bits();
    launch(
        variant.kernel(pass, shape),
        &tensors[0].client,
        variant.num_workgroups(pass, shape, num_parts),
        &tensors.map(|tensor| &tensor.handle),
        &[batch, height, width, inputs, outputs, kernel, stride, slope, num_parts as u32],
    );
}

/// Launches the variant that is the fastest one for a pass of a layer, as far as is known. `launch` may be called several
/// times with other variants before, to measure them: all write the same results to the same place.
fn run_best(pass: ConvPass, shape: &ConvShape, client: &Client, launch: impl Fn(&'static Variant)) {
    #[cfg(not(target_arch = "wasm32"))]
    let variant = tuner::choose(pass, shape, client, &launch);
    // A page cannot wait for its GPU in the middle of a layer.
    #[cfg(target_arch = "wasm32")]
    let variant = super::choice::choose(pass, shape, Adapter::of(client));
    submit_before(client, shape.flops());
    launch(variant);
}

/// Computes conv(LeakyReLU(x)) + bias; the result has the shape `dims`.
fn conv<const D: usize>(
    shape: &ConvShape,
    dims: [usize; D],
    x: CubeTensor,
    negative_slope: Option<f32>,
    weight: CubeTensor,
    bias: CubeTensor,
) -> CubeTensor {
    let [x, weight, bias] = [x, weight, bias].map(into_contiguous);
    let y = empty_like(&x, dims);
    let tensors = [&x, &weight, &bias, &y];
    run_best(ConvPass::Forward, shape, &x.client, |variant| {
        run_variant(variant, (ConvPass::Forward, shape, 1), negative_slope, tensors);
    });
    y
}

/// The gradients ∂L/∂weight, with the shape `dims`, and ∂L/∂bias.
fn weight_gradients<const D: usize>(
    shape: &ConvShape,
    dims: [usize; D],
    x: CubeTensor,
    negative_slope: Option<f32>,
    gradient: CubeTensor,
) -> [CubeTensor; 2] {
    let [x, gradient] = [x, gradient].map(into_contiguous);
    let (num_weights, outputs) = (shape.patch_len() * shape.outputs, shape.outputs);
    let (weight, bias) = (empty_like(&x, dims), empty_like(&x, [outputs]));
    run_best(ConvPass::WeightGradient, shape, &x.client, |variant| {
        let num_parts = num_parts(variant, shape, Adapter::of(&x.client));
        let work = (ConvPass::WeightGradient, shape, num_parts);
        if num_parts == 1 {
            run_variant(variant, work, negative_slope, [&x, &gradient, &bias, &weight]);
            return;
        }
        let weight_parts = empty_like(&x, [num_parts, num_weights]);
        let bias_parts = empty_like(&x, [num_parts, outputs]);
        let tensors = [&x, &gradient, &bias_parts, &weight_parts];
        run_variant(variant, work, negative_slope, tensors);
        run(
            &CONV_WEIGHT_SUM,
            num_weights + outputs,
            &[&weight_parts, &bias_parts, &weight, &bias],
            &[num_parts as u32, num_weights as u32, outputs as u32],
        );
    });
    [weight, bias]
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

/// The input of the linear map of a head, and the slope of the activation that is still to be applied.
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
    /// The input itself: it is already on the device, and the shader reads its sign.
    type Signs = CubeTensor;

    fn signs(x: &CubeTensor) -> CubeTensor {
        x.clone()
    }

    fn conv_forward(
        shape: &ConvShape,
        x: CubeTensor,
        negative_slope: Option<f32>,
        weight: CubeTensor,
        bias: CubeTensor,
    ) -> CubeTensor {
        let [height, width] = shape.output_size();
        let dims = [shape.batch, height, width, shape.outputs];
        conv(shape, dims, x, negative_slope, weight, bias)
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
        let (x, slope) = match signs {
            Some((x, slope)) => (into_contiguous(x), Some(slope)),
            None => (empty_like(&gradient, [1]), None),
        };
        let turned = turned_weights(shape, weight);
        let tensors = [&gradient, &turned, &x, &x_gradient];
        run_best(ConvPass::InputGradient, shape, &gradient.client, |variant| {
            run_variant(variant, (ConvPass::InputGradient, shape, 1), slope, tensors);
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
        weight_gradients(shape, dims, x, negative_slope, gradient)
    }

    fn head_forward(
        shape: &HeadShape,
        x: CubeTensor,
        negative_slope: f32,
        weight: CubeTensor,
        bias: CubeTensor,
    ) -> CubeTensor {
        let (x, slope) = head_inputs(shape, x, negative_slope);
        conv(&linear_map(shape), [shape.batch, shape.classes], x, slope, weight, bias)
    }

    fn head_energy_forward(
        shape: &HeadShape,
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        options: &EnergyOptions,
    ) -> [CubeTensor; 2] {
        let [x, weight, bias] = [x, weight, bias].map(into_contiguous);
        let energy = empty_like(&x, [shape.batch]);
        let seed = empty_like(&x, [shape.batch, shape.classes]);
        let labels = match &options.labels {
            Some(labels) => labels.on_gpu().handle,
            // The shader does not read this buffer, so leave it uninitialised: an upload would first submit all waiting
            // work to the GPU.
            None => empty_like(&x, [1]).handle,
        };
        launch(
            &HEAD_ENERGY,
            &x.client,
            shape.batch as u32,
            &[&x.handle, &weight.handle, &bias.handle, &labels, &energy.handle, &seed.handle],
            &[
                shape.batch as u32,
                shape.positions() as u32,
                shape.channels as u32,
                shape.classes as u32,
                is_average(shape),
                options.labels.is_some().into(),
                options.head.negative_slope.to_bits(),
                options.scale.to_bits(),
            ],
        );
        [energy, seed]
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
        let [gradient, row_scale, weight, x] =
            [gradient, row_scale, weight, signs].map(into_contiguous);
        let x_gradient = empty_like(&x, [shape.batch, shape.height, shape.width, shape.channels]);
        run(
            &HEAD_INPUT_GRADIENT,
            shape.batch * shape.image_len(),
            &[&gradient, &row_scale, &weight, &x, &x_gradient],
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
        weight_gradients(&linear_map(shape), dims, x, slope, gradient)
    }
}
