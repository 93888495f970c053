//! The kernels of the layers and of the benchmarks, compared with their CPU twins on any available adapter.

use crate::common::{
    bytes, gpu, groups, last_of, max_abs, max_difference, poisoned, scrambled, written,
};
use burn::tensor::Device;
use jempp::kernels::{self, ConvPass, ConvShape, Variant, reference};

/// A convolution of scrambled values.
struct Case {
    conv: reference::Conv,
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    gradient: Vec<f32>,
}

impl Case {
    fn new(conv: reference::Conv) -> Self {
        let reference::Conv { batch, height, width, inputs, outputs, kernel, stride, .. } = conv;
        let positions = batch * height.div_ceil(stride) * width.div_ceil(stride);
        Self {
            conv,
            x: scrambled(batch * height * width * inputs, 1),
            weight: scrambled(kernel * kernel * inputs * outputs, 2),
            bias: scrambled(outputs, 3),
            gradient: scrambled(positions * outputs, 4),
        }
    }

    fn shape(&self) -> ConvShape {
        let reference::Conv { batch, height, width, inputs, outputs, kernel, stride, .. } =
            self.conv;
        ConvShape { batch, height, width, inputs, outputs, kernel, stride }
    }

    fn params(&self, num_parts: usize) -> Vec<u32> {
        let ConvShape { batch, height, width, inputs, outputs, kernel, stride } = self.shape();
        let sizes = [batch, height, width, inputs, outputs, kernel, stride];
        let slope = self.conv.negative_slope.to_bits();
        sizes.map(|size| size as u32).into_iter().chain([slope, num_parts as u32]).collect()
    }

    /// The output that a variant computes.
    fn forward(&self, variant: &Variant, device: &Device) -> Vec<f32> {
        let (shape, pass) = (self.shape(), ConvPass::Forward);
        last_of(
            variant.kernel(pass, &shape),
            device,
            variant.num_workgroups(pass, &shape, 1),
            &[bytes(&self.x), bytes(&self.weight), bytes(&self.bias)],
            self.gradient.len(),
            &self.params(1),
        )
    }

    /// The input gradient that a variant computes.
    fn input_gradient(&self, variant: &Variant, device: &Device) -> Vec<f32> {
        let (shape, pass) = (self.shape(), ConvPass::InputGradient);
        let turned = reference::conv_turn_weights(shape.inputs, shape.outputs, &self.weight);
        last_of(
            variant.kernel(pass, &shape),
            device,
            variant.num_workgroups(pass, &shape, 1),
            &[bytes(&self.gradient), bytes(&turned), bytes(&self.x)],
            self.x.len(),
            &self.params(1),
        )
    }

    /// The gradients of weights and bias that a variant and `conv_weight_sum` compute.
    fn weight_gradients(
        &self,
        variant: &Variant,
        device: &Device,
        num_parts: usize,
    ) -> [Vec<f32>; 2] {
        let (shape, pass) = (self.shape(), ConvPass::WeightGradient);
        let [weights, outputs] = [self.weight.len(), self.bias.len()];
        let parts = [poisoned(num_parts * outputs), poisoned(num_parts * weights)];
        let out = kernels::run_on_bytes(
            variant.kernel(pass, &shape),
            device,
            variant.num_workgroups(pass, &shape, num_parts),
            &[bytes(&self.x), bytes(&self.gradient), bytes(&parts[0]), bytes(&parts[1])],
            &self.params(num_parts),
        );
        let bias_parts = written(&out[2], num_parts * outputs);
        let weight_parts = written(&out[3], num_parts * weights);
        let sums = [poisoned(weights), poisoned(outputs)];
        let out = kernels::run_on_bytes(
            &kernels::CONV_WEIGHT_SUM,
            device,
            groups(weights + outputs),
            &[bytes(&weight_parts), bytes(&bias_parts), bytes(&sums[0]), bytes(&sums[1])],
            &[num_parts as u32, weights as u32, outputs as u32],
        );
        [written(&out[2], weights), written(&out[3], outputs)]
    }

    /// What the variants should compute, with the names of the results.
    fn twins(&self) -> [(&'static str, Vec<f32>); 4] {
        let Self { conv, x, weight, bias, gradient } = self;
        [
            ("output", reference::conv_forward(conv, x, weight, bias)),
            ("input gradient", reference::conv_input_gradient(conv, gradient, weight, x)),
            ("weight gradient", reference::conv_weight_gradient(conv, x, gradient)),
            ("bias gradient", reference::conv_bias_gradient(conv.outputs, gradient)),
        ]
    }
}

/// Sizes that no tile divides, channels with and without loads of four, batches of 1 and more, all strides.
fn cases() -> Vec<Case> {
    let sizes = [(1, 1, 1), (1, 5, 7), (3, 8, 8), (2, 9, 17)];
    // Each line in front is another program to compile, which takes most of the time: these are all kinds of them.
    let channels = [(3, 16), (16, 33), (10, 70), (8, 72)];
    let kernels = [(3, 1, 0.2), (3, 2, 0.2), (1, 1, 0.2), (1, 2, 1.0), (5, 3, 1.0)];
    let mut cases = Vec::new();
    for (index, (inputs, outputs)) in channels.into_iter().enumerate() {
        for (number, (kernel, stride, negative_slope)) in kernels.into_iter().enumerate() {
            let (batch, height, width) = sizes[(index + number) % sizes.len()];
            cases.push(Case::new(reference::Conv {
                batch,
                height,
                width,
                inputs,
                outputs,
                kernel,
                stride,
                negative_slope,
            }));
        }
    }
    cases
}

#[test]
fn every_variant_of_a_convolution_equals_its_twin() {
    let Some(device) = gpu() else { return };
    let adapter = kernels::adapter_of(&device).unwrap();
    for case in cases() {
        let twins = case.twins();
        let check = |variant: &Variant, at: usize, found: &[f32]| {
            let (name, twin) = &twins[at];
            let error = max_difference(found, twin) / max_abs(twin).max(1.0);
            assert!(error < 1e-5, "{name} by {} off by {error}: {:?}", variant.name, case.conv);
        };
        for variant in kernels::candidates(ConvPass::Forward, adapter) {
            check(variant, 0, &case.forward(variant, &device));
        }
        for variant in kernels::candidates(ConvPass::InputGradient, adapter) {
            check(variant, 1, &case.input_gradient(variant, &device));
        }
        for variant in kernels::candidates(ConvPass::WeightGradient, adapter) {
            for num_parts in [1, 3] {
                let [weight, bias] = case.weight_gradients(variant, &device, num_parts);
                check(variant, 2, &weight);
                check(variant, 3, &bias);
            }
        }
    }
}

#[test]
fn an_image_of_nan_stays_alone_in_every_variant() {
    let Some(device) = gpu() else { return };
    let adapter = kernels::adapter_of(&device).unwrap();
    for (inputs, outputs, stride) in [(4, 8, 1), (6, 5, 2)] {
        let (batch, height, width, kernel, negative_slope) = (3, 5, 7, 3, 0.2);
        let conv = reference::Conv {
            batch,
            height,
            width,
            inputs,
            outputs,
            kernel,
            stride,
            negative_slope,
        };
        let whole = Case::new(conv);
        let mut broken = Case::new(conv);
        let lens = [broken.x.len() / 3, broken.gradient.len() / 3];
        broken.x[lens[0]..2 * lens[0]].fill(f32::NAN);
        broken.gradient[lens[1]..2 * lens[1]].fill(f32::NAN);
        let check = |name: &str, found: &[f32], expected: &[f32]| {
            let len = expected.len() / 3;
            for (image, (found, expected)) in
                found.chunks(len).zip(expected.chunks(len)).enumerate()
            {
                match image {
                    1 => assert!(found.iter().all(|value| value.is_nan()), "{name}"),
                    _ => assert_eq!(found, expected, "{name}"),
                }
            }
        };
        for variant in kernels::candidates(ConvPass::Forward, adapter) {
            let [found, expected] = [&broken, &whole].map(|case| case.forward(variant, &device));
            check(variant.name, &found, &expected);
        }
        for variant in kernels::candidates(ConvPass::InputGradient, adapter) {
            let [found, expected] =
                [&broken, &whole].map(|case| case.input_gradient(variant, &device));
            check(variant.name, &found, &expected);
        }
    }
}

#[test]
fn turned_weights_equal_their_twin() {
    let Some(device) = gpu() else { return };
    for (inputs, outputs, kernel) in [(1, 1, 1), (3, 5, 1), (7, 2, 3), (16, 40, 3)] {
        let weight = scrambled(kernel * kernel * inputs * outputs, 1);
        let turned = last_of(
            &kernels::CONV_TURN_WEIGHTS,
            &device,
            groups(weight.len()),
            &[bytes(&weight)],
            weight.len(),
            &[inputs, outputs, kernel].map(|size| size as u32),
        );
        assert_eq!(turned, reference::conv_turn_weights(inputs, outputs, &weight));
    }
}

#[test]
fn heads_equal_their_twins() {
    let Some(device) = gpu() else { return };
    for (positions, channels, classes) in [(1, 1, 1), (6, 5, 10), (49, 130, 3)] {
        for (average, labelled) in [(true, false), (false, false), (true, true)] {
            let negative_slope = 0.2f32;
            let head = reference::Head { positions, channels, classes, average, negative_slope };
            let inputs = if average { channels } else { positions * channels };
            let (x, weight) =
                (scrambled(3 * positions * channels, 1), scrambled(inputs * classes, 2));
            let (bias, row_scale) = (scrambled(classes, 3), scrambled(3, 4));
            let labels: Vec<u32> = (0..3).map(|row| row % classes as u32).collect();
            let scale = -1.5f32;
            let sizes = [3, positions, channels, classes, average.into()].map(|size| size as u32);
            let of_row = labelled.then_some(&labels[..]);
            let (values, seeds) = reference::head_energy(&head, &x, &weight, &bias, of_row, scale);
            let mut params = sizes.to_vec();
            params.extend([labelled.into(), negative_slope.to_bits(), scale.to_bits()]);
            let (values_poison, seeds_poison) = (poisoned(3), poisoned(3 * classes));
            let out = kernels::run_on_bytes(
                &kernels::HEAD_ENERGY,
                &device,
                3,
                &[
                    bytes(&x),
                    bytes(&weight),
                    bytes(&bias),
                    bytemuck::cast_slice(&labels),
                    bytes(&values_poison),
                    bytes(&seeds_poison),
                ],
                &params,
            );
            assert!(max_difference(&written(&out[4], 3), &values) < 1e-4, "{head:?}");
            assert!(max_difference(&written(&out[5], 3 * classes), &seeds) < 1e-5, "{head:?}");
            let mut params = sizes.to_vec();
            params.push(negative_slope.to_bits());
            let x_gradient = last_of(
                &kernels::HEAD_INPUT_GRADIENT,
                &device,
                groups(x.len()),
                &[bytes(&seeds), bytes(&row_scale), bytes(&weight), bytes(&x)],
                x.len(),
                &params,
            );
            let twin = reference::head_input_gradient(&head, &seeds, &row_scale, &weight, &x);
            assert!(max_difference(&x_gradient, &twin) < 1e-5, "{head:?}");
        }
    }
}

#[test]
fn rates_equal_their_twins() {
    let Some(device) = gpu() else { return };
    for len in [16, 4096, 4112] {
        let x = scrambled(len, 1);
        let tail = poisoned(len)[len..].to_vec();
        let buffer = [&x[..], &tail].concat();
        let params = [len as u32, 7, 0.9f32.to_bits(), 0.1f32.to_bits()];
        let workgroups = groups(len / 16);
        let out = kernels::run_on_bytes(
            &kernels::FMA_RATE,
            &device,
            workgroups,
            &[bytes(&buffer)],
            &params,
        );
        let mut twin = x.clone();
        reference::fma_rate(&mut twin, 7, 0.9, 0.1);
        // WGSL permits a fused operation to round twice.
        assert!(max_difference(&written(&out[0], len), &twin) < 1e-6, "{len}");
        let copied = last_of(
            &kernels::COPY_RATE,
            &device,
            groups(len / 4),
            &[bytes(&x)],
            len,
            &[len as u32],
        );
        let mut twin = vec![0.0; len];
        reference::copy_rate(&x, &mut twin);
        assert_eq!(copied, twin);
    }
}
