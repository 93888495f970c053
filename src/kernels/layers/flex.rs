//! The passes on burn's CPU back end.

use std::{borrow::Cow, sync::Arc};

use burn::{backend::Flex, tensor::DType};
use burn_flex::{FlexTensor, Layout};
use jempp_cpu::layers as cpu;

use super::{
    EnergyOptions,
    autodiff::LayerPasses,
    shape::{ConvShape, HeadShape},
};

/// The values of a CPU tensor in row-major order.
pub(super) fn values(tensor: &FlexTensor) -> Cow<'_, [f32]> {
    match tensor.as_slice() {
        Some(values) => values.into(),
        None => tensor.to_contiguous().storage::<f32>().to_vec().into(),
    }
}

/// The weights of a convolution.
fn weights(tensor: &FlexTensor) -> cpu::Weights<'_> {
    let values = values(tensor);
    let memory = matches!(values, Cow::Borrowed(_)).then(|| tensor.data_arc());
    cpu::Weights { values, memory }
}

pub(super) fn tensor<const D: usize>(
    values: impl Into<cpu::Buffer>,
    shape: [usize; D],
) -> FlexTensor {
    FlexTensor::new(values.into().into_bytes(), Layout::contiguous(shape.into()), DType::F32)
}

/// The signs of inputs `x` of images with `image_len` values each, if they are wanted.
fn signs(x: &[f32], image_len: usize, are_wanted: bool) -> Option<Arc<cpu::Signs>> {
    are_wanted.then(|| Arc::new(cpu::Signs::new(x, image_len)))
}

impl LayerPasses for Flex {
    type Signs = Arc<cpu::Signs>;

    fn conv_forward(
        shape: &ConvShape,
        x: FlexTensor,
        negative_slope: Option<f32>,
        weight: FlexTensor,
        bias: FlexTensor,
        wants_signs: bool,
    ) -> (FlexTensor, Option<Self::Signs>) {
        let (x, bias) = (values(&x), values(&bias));
        let signs = signs(&x, shape.image_len(), wants_signs);
        let y = cpu::forward(shape, &x, negative_slope, &weights(&weight), &bias);
        let [height, width] = shape.output_size();
        (tensor(y, [shape.batch, height, width, shape.outputs]), signs)
    }

    fn conv_input_gradient(
        shape: &ConvShape,
        gradient: FlexTensor,
        weight: FlexTensor,
        signs: Option<(Self::Signs, f32)>,
    ) -> FlexTensor {
        let signs = signs.as_ref().map(|(signs, slope)| (&**signs, *slope));
        let gradient = cpu::input_gradient(shape, &values(&gradient), &weights(&weight), signs);
        tensor(gradient, [shape.batch, shape.height, shape.width, shape.inputs])
    }

    fn conv_weight_gradients(
        shape: &ConvShape,
        x: FlexTensor,
        negative_slope: Option<f32>,
        gradient: FlexTensor,
    ) -> [FlexTensor; 2] {
        let gradient = values(&gradient);
        let weight = cpu::weight_gradient(shape, &values(&x), negative_slope, &gradient);
        let bias = cpu::column_sums(&gradient, shape.outputs);
        let weight_shape = [shape.kernel, shape.kernel, shape.inputs, shape.outputs];
        [tensor(weight, weight_shape), tensor(bias, [shape.outputs])]
    }

    fn head_forward(
        shape: &HeadShape,
        x: FlexTensor,
        negative_slope: f32,
        weight: FlexTensor,
        bias: FlexTensor,
        wants_signs: bool,
    ) -> (FlexTensor, Option<Self::Signs>) {
        let (x, weight, bias) = (values(&x), values(&weight), values(&bias));
        let logits = cpu::head::forward(shape, &x, negative_slope, &weight, &bias);
        let signs = signs(&x, shape.image_len(), wants_signs);
        (tensor(logits, [shape.batch, shape.classes]), signs)
    }

    fn head_energy_forward(
        shape: &HeadShape,
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        options: &EnergyOptions,
        wants_signs: bool,
    ) -> ([FlexTensor; 2], Option<Self::Signs>) {
        let (x, weight, bias) = (values(&x), values(&weight), values(&bias));
        let signs = signs(&x, shape.image_len(), wants_signs);
        let logits = cpu::head::forward(shape, &x, options.head.negative_slope, &weight, &bias);
        let (energy, seed) = match &options.labels {
            None => cpu::head::log_sum_exp(logits, shape.classes, options.scale),
            Some(labels) => cpu::head::chosen(&logits, labels.host(), shape.classes, options.scale),
        };
        ([tensor(energy, [shape.batch]), tensor(seed, [shape.batch, shape.classes])], signs)
    }

    fn head_input_gradient(
        shape: &HeadShape,
        gradient: FlexTensor,
        row_scale: Option<FlexTensor>,
        weight: FlexTensor,
        signs: Self::Signs,
        negative_slope: f32,
    ) -> FlexTensor {
        let mut gradient = values(&gradient).into_owned();
        if let Some(scale) = row_scale {
            for (row, scale) in gradient.chunks_mut(shape.classes).zip(values(&scale).iter()) {
                row.iter_mut().for_each(|value| *value *= scale);
            }
        }
        let weight = values(&weight);
        let x = cpu::head::input_gradient(shape, &gradient, &weight, &signs, negative_slope);
        tensor(x, [shape.batch, shape.height, shape.width, shape.channels])
    }

    fn head_weight_gradients(
        shape: &HeadShape,
        x: FlexTensor,
        negative_slope: f32,
        gradient: FlexTensor,
    ) -> [FlexTensor; 2] {
        let gradient = values(&gradient);
        let weight = cpu::head::weight_gradient(shape, &values(&x), negative_slope, &gradient);
        let bias = cpu::column_sums(&gradient, shape.classes);
        [tensor(weight, [shape.inputs(), shape.classes]), tensor(bias, [shape.classes])]
    }
}
