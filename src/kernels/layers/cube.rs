//! The passes on a GPU, in hand-written WGSL. burn's own convolutions are several times slower on software adapters
//! (`docs/performance.md`). burn's matrix products need more launches, and a browser would have to load a program that
//! is a quarter larger (24.6 MB instead of 19.6 MB before compression, measured when they were removed).

use burn::tensor::Tensor;
use burn_wgpu::{CubeBackend, CubeTensor, into_contiguous};
use cubecl::server::Handle;

use super::{
    super::{
        CONV_FORWARD, CONV_INPUT_GRADIENT, CONV_WEIGHT_GRADIENT, HEAD_ENERGY, HEAD_INPUT_GRADIENT,
        Kernel, WORKGROUP_SIZE,
        bridge::{from_gpu, gpu, upload},
        launch::{empty_like, launch, submit_before},
    },
    EnergyOptions, Pooling,
    autodiff::LayerPasses,
    pooled,
    shape::{ConvShape, HeadShape},
};

/// The number of positions, and of channels, that one invocation of a convolution computes.
const TILE: usize = 4;
/// The slope that makes LeakyReLU the identity.
const NO_ACTIVATION: f32 = 1.0;

/// Runs `kernel` with one invocation for each of `num_invocations`.
fn run(kernel: &'static Kernel, num_invocations: usize, tensors: &[&CubeTensor], params: &[u32]) {
    let handles: Vec<&Handle> = tensors.iter().map(|tensor| &tensor.handle).collect();
    let num_workgroups = num_invocations.div_ceil(WORKGROUP_SIZE as usize) as u32;
    launch(kernel, &tensors[0].client, num_workgroups, &handles, params);
}

fn conv_params(shape: &ConvShape, negative_slope: Option<f32>) -> [u32; 8] {
    let ConvShape { batch, height, width, inputs, outputs, kernel, stride } = *shape;
    let [batch, height, width] = [batch, height, width].map(|size| size as u32);
    let [inputs, outputs, kernel, stride] = [inputs, outputs, kernel, stride].map(|n| n as u32);
    let slope = negative_slope.unwrap_or(NO_ACTIVATION).to_bits();
    [batch, height, width, inputs, outputs, kernel, stride, slope]
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
    let positions = shape.batch * shape.num_positions();
    let num_invocations = positions.div_ceil(TILE) * shape.outputs.div_ceil(TILE);
    let params = conv_params(shape, negative_slope);
    submit_before(&x.client, shape.flops());
    run(&CONV_FORWARD, num_invocations, &[&x, &weight, &bias, &y], &params);
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
    let weight = empty_like(&x, dims);
    let tiles = shape.inputs.div_ceil(TILE) * shape.outputs.div_ceil(TILE);
    submit_before(&x.client, shape.flops());
    launch(
        &CONV_WEIGHT_GRADIENT,
        &x.client,
        (shape.num_taps() * tiles) as u32,
        &[&x.handle, &gradient.handle, &weight.handle],
        &conv_params(shape, negative_slope),
    );
    let rows = shape.batch * shape.num_positions();
    let gradient: Tensor<D> = from_gpu(gradient);
    let bias = gradient.reshape([rows, shape.outputs]).sum_dim(0).reshape([shape.outputs]);
    [weight, gpu::<1>(bias)]
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
        let ConvShape { batch, height, width, inputs, stride, .. } = *shape;
        let x_gradient = empty_like(&gradient, [batch, height, width, inputs]);
        let groups_per_row = width.div_ceil(TILE * stride) * stride;
        let num_invocations = batch * height * groups_per_row * inputs.div_ceil(TILE);
        let (x, slope) = match signs {
            Some((x, slope)) => (into_contiguous(x), Some(slope)),
            None => (empty_like(&gradient, [1]), None),
        };
        let params = conv_params(shape, slope);
        let tensors = [&gradient, &weight, &x, &x_gradient];
        submit_before(&gradient.client, shape.flops());
        run(&CONV_INPUT_GRADIENT, num_invocations, &tensors, &params);
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
            Some(labels) => upload(&x, labels),
            // The shader does not read this buffer, so leave it uninitialised. An upload would first submit all waiting
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
