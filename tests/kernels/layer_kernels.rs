//! The kernels of the layers and of the benchmarks, compared with their CPU twins on any available adapter.

use crate::common::{bytes, gpu, groups, last_of, max_difference, poisoned, scrambled, written};
use jempp::kernels::{self, reference};

#[test]
fn convolutions_equal_their_twins() {
    let Some(device) = gpu() else { return };
    for (height, width, inputs, outputs) in [(1, 1, 1, 1), (7, 7, 5, 3), (9, 17, 3, 16)] {
        for (kernel, stride, negative_slope) in [(3, 1, 0.2), (3, 2, 0.2), (1, 2, 1.0), (5, 3, 1.0)]
        {
            let conv = reference::Conv {
                batch: 2,
                height,
                width,
                inputs,
                outputs,
                kernel,
                stride,
                negative_slope,
            };
            let positions = 2 * height.div_ceil(stride) * width.div_ceil(stride);
            let (x, weight) = (
                scrambled(2 * height * width * inputs, 1),
                scrambled(kernel * kernel * inputs * outputs, 2),
            );
            let (bias, gradient) = (scrambled(outputs, 3), scrambled(positions * outputs, 4));
            let sizes = [2, height, width, inputs, outputs, kernel, stride].map(|size| size as u32);
            let params: Vec<u32> = sizes.into_iter().chain([negative_slope.to_bits()]).collect();
            let invocations = positions.div_ceil(4) * outputs.div_ceil(4);
            let y = last_of(
                &kernels::CONV_FORWARD,
                &device,
                groups(invocations),
                &[bytes(&x), bytes(&weight), bytes(&bias)],
                positions * outputs,
                &params,
            );
            let twin = reference::conv_forward(&conv, &x, &weight, &bias);
            assert!(max_difference(&y, &twin) < 1e-5, "{conv:?}");
            let invocations = 2 * height * width.div_ceil(4 * stride) * stride * inputs.div_ceil(4);
            let x_gradient = last_of(
                &kernels::CONV_INPUT_GRADIENT,
                &device,
                groups(invocations),
                &[bytes(&gradient), bytes(&weight), bytes(&x)],
                x.len(),
                &params,
            );
            let twin = reference::conv_input_gradient(&conv, &gradient, &weight, &x);
            assert!(max_difference(&x_gradient, &twin) < 1e-5, "{conv:?}");
            let weight_gradient = last_of(
                &kernels::CONV_WEIGHT_GRADIENT,
                &device,
                (kernel * kernel * inputs.div_ceil(4) * outputs.div_ceil(4)) as u32,
                &[bytes(&x), bytes(&gradient)],
                weight.len(),
                &params,
            );
            let twin = reference::conv_weight_gradient(&conv, &x, &gradient);
            assert!(max_difference(&weight_gradient, &twin) < 1e-4, "{conv:?}");
        }
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
