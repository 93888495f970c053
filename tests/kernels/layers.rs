//! The layers compared with burn's own operations and with finite differences, on every available device.

use crate::common::{devices, max_abs, max_difference, scrambled, scrambled_tensor, values};
use burn::tensor::{Device, Tensor, TensorData};
use jempp::{
    config::{ModelConfig, Norm},
    device,
    energy::{Energy, JointEnergy},
    kernels::{
        self, ConvOptions2d, EnergyOptions, HeadOptions, Labels, Pooling, batch_norm, conv2d,
        head_energy, head_logits, reference_batch_norm, reference_conv2d, reference_head_energy,
        reference_head_logits,
    },
    model::Network,
};

const TOLERANCE: f32 = 1e-4;

struct Case {
    x: [usize; 4],
    outputs: usize,
    kernel: usize,
    options: ConvOptions2d,
}

impl Case {
    fn weight_shape(&self) -> [usize; 4] {
        [self.kernel, self.kernel, self.x[3], self.outputs]
    }
}

/// Cases with batch size 1 and more, sizes and channels that no tile divides, both strides, with and without
/// activation.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (batch, height, width) in [(1, 1, 1), (3, 7, 7), (1, 33, 17), (2, 4, 5)] {
        for (inputs, outputs) in [(1, 5), (3, 16), (5, 3), (16, 16), (16, 130), (130, 16), (24, 40)]
        {
            for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (1, 2)] {
                for negative_slope in [None, Some(0.2)] {
                    let options = ConvOptions2d { stride, negative_slope };
                    cases.push(Case {
                        x: [batch, height, width, inputs],
                        outputs,
                        kernel,
                        options,
                    });
                }
            }
        }
    }
    cases
}

type Convolve = fn(Tensor<4>, Tensor<4>, Tensor<1>, ConvOptions2d) -> Tensor<4>;

fn tensor<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let values = scrambled(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The result, and the gradients of Σ result · direction with respect to x, weight and bias.
fn passes(convolve: Convolve, case: &Case, device: &Device) -> [Vec<f32>; 4] {
    let x = tensor(case.x, 1, device).autodiff().require_grad();
    let weight = tensor(case.weight_shape(), 2, device).autodiff().require_grad();
    let bias = tensor([case.outputs], 3, device).autodiff().require_grad();
    let y = convolve(x.clone(), weight.clone(), bias.clone(), case.options);
    let direction = tensor(y.dims(), 4, device).autodiff();
    let gradients = (y.clone() * direction).sum().backward();
    [
        values(y.without_autodiff()),
        values(x.grad(&gradients).unwrap()),
        values(weight.grad(&gradients).unwrap()),
        values(bias.grad(&gradients).unwrap()),
    ]
}

#[test]
fn every_pass_of_a_convolution_equals_the_reference() {
    for device in devices() {
        for case in cases() {
            let expected = passes(reference_conv2d, &case, &device);
            let found = passes(conv2d, &case, &device);
            let names = ["output", "input gradient", "weight gradient", "bias gradient"];
            for ((found, expected), name) in found.iter().zip(&expected).zip(names) {
                let error = max_difference(found, expected) / max_abs(expected);
                let Case { x, outputs, kernel, options } = &case;
                assert!(
                    error < TOLERANCE,
                    "{name} off by {error}: {x:?} to {outputs}, kernel {kernel}, {options:?}"
                );
            }
        }
    }
}

/// The results of all passes of a convolution, as bits.
fn bits(case: &Case, device: &Device) -> Vec<u32> {
    passes(conv2d, case, device).iter().flatten().map(|value| value.to_bits()).collect()
}

#[test]
fn a_convolution_has_the_same_bits_on_any_number_of_threads() {
    let device = device::cpu();
    for (inputs, outputs, stride) in [(16, 32, 1), (16, 24, 2), (3, 16, 1)] {
        let options = ConvOptions2d { stride, negative_slope: Some(0.2) };
        let case = Case { x: [13, 9, 14, inputs], outputs, kernel: 3, options };
        let on = |num_threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
            pool.install(|| bits(&case, &device))
        };
        let one = on(1);
        for num_threads in [2, 3] {
            assert!(on(num_threads) == one, "{num_threads} threads, stride {stride}");
        }
    }
}

/// Filters may be kept while weights are frozen, but never longer.
#[test]
fn weights_that_change_change_the_convolution() {
    for device in devices() {
        for stride in [1, 2] {
            let options = ConvOptions2d { stride, negative_slope: None };
            let x = tensor([2, 8, 8, 16], 1, &device);
            let bias = Tensor::zeros([16], &device);
            let mut weight = tensor([3, 3, 16, 16], 2, &device);
            for step in 0..8 {
                let direction = tensor([2, 8 / stride, 8 / stride, 16], 4, &device).autodiff();
                let on = |convolve: Convolve| {
                    let x = x.clone().autodiff().require_grad();
                    let weight = weight.clone().autodiff();
                    let y = convolve(x.clone(), weight, bias.clone().autodiff(), options);
                    let gradients = (y.clone() * direction.clone()).sum().backward();
                    [values(y.without_autodiff()), values(x.grad(&gradients).unwrap())]
                };
                // The second time with what is kept from the first.
                for found in [on(conv2d), on(conv2d)] {
                    for (found, expected) in found.iter().zip(&on(reference_conv2d)) {
                        let error = max_difference(found, expected) / max_abs(expected);
                        assert!(error < TOLERANCE, "stride {stride}, step {step}: off by {error}");
                    }
                }
                // In place, as nothing else has the weights; and then as a new tensor.
                weight = match step % 2 {
                    0 => weight * 1.5,
                    _ => weight.clone() + tensor([3, 3, 16, 16], 10 + step, &device),
                };
            }
        }
    }
}

/// The sum of a 3×3 convolution in 64 bits.
fn exact_convolution(
    x: &[f32],
    [n, h, w, c]: [usize; 4],
    weight: &[f32],
    k: usize,
    stride: usize,
) -> Vec<f64> {
    let (out_h, out_w) = (h.div_ceil(stride), w.div_ceil(stride));
    let mut y = vec![0.0; n * out_h * out_w * k];
    for (position, y) in y.chunks_exact_mut(k).enumerate() {
        let (image, i, j) =
            (position / (out_h * out_w), position / out_w % out_h, position % out_w);
        for tap in 0..9 {
            let (row, column) = (i * stride + tap / 3, j * stride + tap % 3);
            if (1..=h).contains(&row) && (1..=w).contains(&column) {
                let pixel = &x[((image * h + row - 1) * w + column - 1) * c..][..c];
                for (input, &x) in pixel.iter().enumerate() {
                    let weights = &weight[(tap * c + input) * k..][..k];
                    for (y, &weight) in y.iter_mut().zip(weights) {
                        *y += f64::from(x) * f64::from(weight);
                    }
                }
            }
        }
    }
    y
}

/// The rounding error of minimal filtering against 64 bits, as a share of the largest value.
#[test]
fn convolutions_round_within_their_bounds() {
    let device = device::cpu();
    for (stride, bound) in [(1, 1e-5), (2, 5e-6)] {
        let (shape, outputs) = ([2, 16, 16, 128], 32);
        let (x, weight) = (scrambled(shape.iter().product(), 1), scrambled(9 * 128 * outputs, 2));
        let expected = exact_convolution(&x, shape, &weight, outputs, stride);
        let y = conv2d(
            Tensor::from_data(TensorData::new(x, shape), &device),
            Tensor::from_data(TensorData::new(weight, [3, 3, 128, outputs]), &device),
            Tensor::zeros([outputs], &device),
            ConvOptions2d { stride, negative_slope: None },
        );
        let found = values(y);
        let errors = found.iter().zip(&expected).map(|(y, e)| (f64::from(*y) - e).abs());
        let largest = expected.iter().fold(0.0f64, |largest, e| largest.max(e.abs()));
        let error = errors.fold(0.0, f64::max) / largest;
        println!("stride {stride}: {error:.1e} of the largest value");
        assert!(error < bound, "stride {stride}: {error}");
    }
}

#[test]
fn frozen_weights_leave_the_input_gradient_as_it_is() {
    for device in devices() {
        let options = ConvOptions2d { stride: 1, negative_slope: Some(0.2) };
        let case = Case { x: [2, 9, 6, 16], outputs: 24, kernel: 3, options };
        let x = tensor(case.x, 1, &device).autodiff().require_grad();
        let weight = tensor(case.weight_shape(), 2, &device).autodiff();
        let bias = tensor([case.outputs], 3, &device).autodiff();
        let y = conv2d(x.clone(), weight.clone(), bias, case.options);
        let direction = tensor(y.dims(), 4, &device).autodiff();
        let gradients = (y * direction).sum().backward();
        assert!(weight.grad(&gradients).is_none());
        let expected = &passes(reference_conv2d, &case, &device)[1];
        let error = max_difference(&values(x.grad(&gradients).unwrap()), expected);
        assert!(error / max_abs(expected) < TOLERANCE);
    }
}

/// What is kept from frozen weights, such as turned ones, is not used for the weights that replace them.
#[test]
fn new_weights_give_the_gradient_of_new_weights() {
    for device in devices() {
        let options = ConvOptions2d { stride: 1, negative_slope: None };
        let direction = scrambled_tensor([2, 6, 6, 16], 4, &device);
        let gradient = |weight: &Tensor<4>| {
            let x = scrambled_tensor([2, 6, 6, 16], 1, &device).autodiff().require_grad();
            let bias = Tensor::<1>::zeros([16], &device).autodiff();
            let y = conv2d(x.clone(), weight.clone().autodiff(), bias, options);
            let gradients = (y * direction.clone().autodiff()).sum().backward();
            values(x.grad(&gradients).unwrap())
        };
        let mut weight = scrambled_tensor([3, 3, 16, 16], 2, &device);
        let first = gradient(&weight);
        assert_eq!(gradient(&weight), first);
        for power in 1..6 {
            // burn may write the new values into the same memory.
            weight = weight * 2.0;
            let expected: Vec<f32> = first.iter().map(|v| v * f32::powi(2.0, power)).collect();
            assert_eq!(gradient(&weight), expected);
        }
    }
}

/// Σ conv(x) · direction is piecewise linear in x and linear in the weights, so a central difference is exact up to
/// rounding if no input crosses zero.
#[test]
fn gradients_equal_finite_differences() {
    const STEP: f32 = 0.02;
    for device in devices() {
        for (inputs, stride) in [(3, 1), (16, 1), (16, 2)] {
            let options = ConvOptions2d { stride, negative_slope: Some(0.2) };
            let (x_shape, weight_shape) = ([2, 7, 6, inputs], [3, 3, inputs, 16]);
            let away_from_zero =
                |values: Vec<f32>| values.iter().map(|v| v + 0.1f32.copysign(*v)).collect();
            let x: Vec<f32> = away_from_zero(scrambled(x_shape.iter().product(), 1));
            let weight = scrambled(weight_shape.iter().product(), 2);
            let bias = tensor([16], 3, &device);
            let loss = |x: &[f32], weight: &[f32]| -> f64 {
                let x = Tensor::from_data(TensorData::new(x.to_vec(), x_shape), &device);
                let weight =
                    Tensor::from_data(TensorData::new(weight.to_vec(), weight_shape), &device);
                let y = conv2d(x, weight, bias.clone(), options);
                let direction = scrambled(y.dims().iter().product(), 4);
                values(y).iter().zip(&direction).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum()
            };
            let moved = |values: &[f32], along: &[f32], step: f32| -> Vec<f32> {
                values.iter().zip(along).map(|(value, along)| value + step * along).collect()
            };
            let gradient_of = |with_x: bool| -> Vec<f32> {
                let x = Tensor::<4>::from_data(TensorData::new(x.clone(), x_shape), &device);
                let weight =
                    Tensor::<4>::from_data(TensorData::new(weight.clone(), weight_shape), &device);
                let (x, weight) = (x.autodiff().require_grad(), weight.autodiff().require_grad());
                let y = conv2d(x.clone(), weight.clone(), bias.clone().autodiff(), options);
                let direction = tensor(y.dims(), 4, &device).autodiff();
                let gradients = (y * direction).sum().backward();
                values((if with_x { x } else { weight }).grad(&gradients).unwrap())
            };
            for with_x in [true, false] {
                let along = scrambled(if with_x { x.len() } else { weight.len() }, 5);
                let at = |step: f32| match with_x {
                    true => loss(&moved(&x, &along, step), &weight),
                    false => loss(&x, &moved(&weight, &along, step)),
                };
                let difference = (at(STEP) - at(-STEP)) / f64::from(2.0 * STEP);
                let gradient = gradient_of(with_x);
                let pairs = || gradient.iter().zip(&along).map(|(g, v)| f64::from(g * v));
                let (slope, scale) = (pairs().sum::<f64>(), pairs().map(f64::abs).sum::<f64>());
                assert!(
                    (difference - slope).abs() < 1e-4 * scale,
                    "{inputs} channels, stride {stride}: {difference} and {slope}"
                );
            }
        }
    }
}

const CLASSES: usize = 11;

/// The result of a head, flattened, and the gradients of Σ result · direction with respect to features, weight and
/// bias.
fn head_passes<const D: usize>(
    head: impl Fn(Tensor<4>, Tensor<2>, Tensor<1>) -> Tensor<D>,
    shape: [usize; 4],
    pooling: Pooling,
    device: &Device,
) -> [Vec<f32>; 4] {
    let [_, height, width, channels] = shape;
    let inputs = match pooling {
        Pooling::Flatten => height * width * channels,
        Pooling::Average => channels,
    };
    let x = tensor(shape, 1, device).autodiff().require_grad();
    let weight = tensor([inputs, CLASSES], 2, device).autodiff().require_grad();
    let bias = tensor([CLASSES], 3, device).autodiff().require_grad();
    let result = head(x.clone(), weight.clone(), bias.clone());
    let direction = tensor(result.dims(), 4, device).autodiff();
    let gradients = (result.clone() * direction).sum().backward();
    [
        values(result.without_autodiff()),
        values(x.grad(&gradients).unwrap()),
        values(weight.grad(&gradients).unwrap()),
        values(bias.grad(&gradients).unwrap()),
    ]
}

fn assert_close(found: &[Vec<f32>; 4], expected: &[Vec<f32>; 4], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        let error = max_difference(found, expected) / max_abs(expected);
        assert!(error < TOLERANCE, "{what}: off by {error}");
    }
}

#[test]
fn every_pass_of_a_head_equals_the_reference() {
    for device in devices() {
        for shape in [[1, 1, 1, 1], [3, 7, 7, 16], [2, 5, 4, 130], [5, 1, 1, 300]] {
            for pooling in [Pooling::Flatten, Pooling::Average] {
                let options = HeadOptions { pooling, negative_slope: 0.2 };
                let what = format!("{shape:?}, {pooling:?}");
                let logits = |x, w, b| head_logits(x, w, b, &options);
                let expected = |x, w, b| reference_head_logits(x, w, b, &options);
                assert_close(
                    &head_passes(logits, shape, pooling, &device),
                    &head_passes(expected, shape, pooling, &device),
                    &format!("logits of {what}"),
                );
                let labels: Vec<u32> =
                    (0..shape[0] as u32).map(|row| 3 * row % CLASSES as u32).collect();
                let labels = Labels::new(labels, &device);
                for labels in [None, Some(labels)] {
                    let options = EnergyOptions { head: options.clone(), labels, scale: -0.7 };
                    let energy = |x, w, b| head_energy(x, w, b, options.clone());
                    let expected = |x, w, b| reference_head_energy(x, w, b, options.clone());
                    assert_close(
                        &head_passes(energy, shape, pooling, &device),
                        &head_passes(expected, shape, pooling, &device),
                        &format!("energies of {what}"),
                    );
                }
            }
        }
    }
}

type Normalise = fn(Tensor<4>, Tensor<1>, Tensor<1>, f64) -> (Tensor<4>, Tensor<2>);

/// The normalised values, the table of the channels, and the gradients of Σ result · direction with respect to x, gamma and beta.
fn norm_passes(normalise: Normalise, shape: [usize; 4], device: &Device) -> [Vec<f32>; 5] {
    let channels = shape[3];
    // Channels far from zero, where the variance is the difference of nearly equal numbers.
    let x = tensor(shape, 1, device) + tensor::<1>([channels], 5, device).unsqueeze() * 30.0;
    let x = x.autodiff().require_grad();
    let gamma = tensor([channels], 2, device).autodiff().require_grad();
    let beta = tensor([channels], 3, device).autodiff().require_grad();
    let (y, table) = normalise(x.clone(), gamma.clone(), beta.clone(), 1e-5);
    let direction = tensor(shape, 4, device).autodiff();
    let gradients = (y.clone() * direction).sum().backward();
    [
        values(y.without_autodiff()),
        values(table.without_autodiff()),
        values(x.grad(&gradients).unwrap()),
        values(gamma.grad(&gradients).unwrap()),
        values(beta.grad(&gradients).unwrap()),
    ]
}

#[test]
fn every_pass_of_batch_norm_equals_the_reference() {
    for device in devices() {
        for shape in [[1, 3, 2, 1], [3, 7, 7, 16], [2, 33, 17, 5], [5, 9, 9, 130]] {
            let found = norm_passes(batch_norm, shape, &device);
            let expected = norm_passes(reference_batch_norm, shape, &device);
            let names = ["output", "table", "input gradient", "gamma gradient", "beta gradient"];
            for ((found, expected), name) in found.iter().zip(&expected).zip(names) {
                let error = max_difference(found, expected) / max_abs(expected);
                assert!(error < TOLERANCE, "{name} of {shape:?} off by {error}");
            }
        }
    }
}

#[test]
fn energies_of_huge_logits_are_finite() {
    for device in devices() {
        let options = HeadOptions { pooling: Pooling::Average, negative_slope: 0.2 };
        let options = EnergyOptions { head: options, labels: None, scale: -1.0 };
        let x = Tensor::full([1, 1, 1, 2], 1e3, &device);
        let weight = Tensor::from_data([[1.0, -1.0], [1.0, -1.0]], &device);
        let energy = head_energy(x, weight, Tensor::zeros([2], &device), options);
        assert!((values(energy)[0] + 2e3).abs() < 1e-2);
    }
}

/// A batch of 5 images; every value of image `broken` is `value`, if there is one.
fn with_broken_image(shape: [usize; 4], broken: usize, value: Option<f32>) -> Vec<f32> {
    let mut values = scrambled(5 * shape[1..].iter().product::<usize>(), 1);
    let len = values.len() / 5;
    if let Some(value) = value {
        values[broken * len..(broken + 1) * len].fill(value);
    }
    values
}

/// Asserts that all images except `broken` equal those of `expected` bit for bit.
fn assert_others_equal(found: &[f32], expected: &[f32], broken: usize, what: &str) {
    let len = found.len() / 5;
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.chunks(len).zip(expected.chunks(len)).enumerate() {
        let same = found.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(index == broken || same, "image {index} of a batch with {broken} broken: {what}");
    }
}

/// Asserts that the values of image `broken` show that it is broken.
fn assert_seen(found: &[f32], broken: usize, what: &str) {
    let len = found.len() / 5;
    let own = &found[broken * len..(broken + 1) * len];
    assert!(own.iter().any(|x| !x.is_finite()), "not seen: {what}");
}

const BROKEN: [f32; 2] = [f32::NAN, f32::INFINITY];

#[test]
fn a_broken_image_reaches_no_other_through_a_convolution() {
    for device in devices() {
        // Widths that no tile divides, so that tiles extend from one image into the next.
        for (shape, outputs) in [([5, 5, 7, 3], 6), ([5, 8, 8, 16], 16), ([5, 1, 1, 24], 40)] {
            for (kernel, stride) in [(3, 1), (3, 2), (1, 1), (1, 2)] {
                let options = ConvOptions2d { stride, negative_slope: Some(0.2) };
                let weight_shape = [kernel, kernel, shape[3], outputs];
                let weight = tensor(weight_shape, 2, &device).autodiff();
                let bias = tensor([outputs], 3, &device).autodiff();
                let on = |values: Vec<f32>| {
                    Tensor::<4>::from_data(TensorData::new(values, shape), &device)
                        .autodiff()
                        .require_grad()
                };
                let forward =
                    |x: &Tensor<4>| conv2d(x.clone(), weight.clone(), bias.clone(), options);
                let whole = on(with_broken_image(shape, 0, None));
                let y = forward(&whole);
                let (y_shape, y_values) = (y.dims(), values(y.clone().without_autodiff()));
                let back = |values: Vec<f32>| {
                    let direction = TensorData::new(values, y_shape);
                    let direction = Tensor::<4>::from_data(direction, &device).autodiff();
                    let gradients = (forward(&whole) * direction).sum().backward();
                    crate::common::values(whole.grad(&gradients).unwrap())
                };
                let x_gradient = back(with_broken_image(y_shape, 0, None));
                for broken in [0, 3] {
                    for value in BROKEN {
                        let what = format!("{value}, {shape:?}, kernel {kernel}, stride {stride}");
                        let y = forward(&on(with_broken_image(shape, broken, Some(value))));
                        let found = values(y.without_autodiff());
                        assert_others_equal(&found, &y_values, broken, &format!("forward, {what}"));
                        assert_seen(&found, broken, &what);
                        let found = back(with_broken_image(y_shape, broken, Some(value)));
                        let what = format!("gradient, {what}");
                        assert_others_equal(&found, &x_gradient, broken, &what);
                    }
                }
            }
        }
    }
}

#[test]
fn a_broken_image_reaches_no_other_through_a_network() {
    let shape = [5, 1, 8, 8];
    for device in devices() {
        for (arch, norm) in [
            ("cnn-tiny", Norm::None),
            ("cnn-base", Norm::None),
            ("wrn-10-1", Norm::Frozen),
            ("wrn-10-1", Norm::Group),
        ] {
            let config = ModelConfig { arch: arch.into(), norm, ..ModelConfig::default() };
            let network =
                Network::new(&config, [1, 8, 8], 3, 1, &device.clone().autodiff()).unwrap();
            for energy in
                [JointEnergy::new(&network), JointEnergy::for_labels(&network, vec![0, 1, 2, 1, 0])]
            {
                let at = |images: Vec<f32>| {
                    let x = Tensor::<4>::from_data(TensorData::new(images, shape), &device);
                    let found = energy.gradient(x.clone());
                    let gradient = found.gradient;
                    let summary = kernels::chain_summary(x.clone(), gradient.clone(), 0.5);
                    [
                        values(found.energy),
                        values(energy.logits(x)),
                        values(gradient),
                        values(summary),
                    ]
                };
                let expected = at(with_broken_image(shape, 0, None));
                for broken in [0, 3] {
                    for value in BROKEN {
                        let found = at(with_broken_image(shape, broken, Some(value)));
                        let names = ["energy", "logits", "gradient", "summary"];
                        for ((found, expected), name) in found.iter().zip(&expected).zip(names) {
                            let what = format!("{name} of {arch}, {norm:?}, {value}");
                            assert_others_equal(found, expected, broken, &what);
                        }
                        // Its gradient may be finite: only the signs of a class's logit affect it.
                        assert_seen(&found[0], broken, &format!("{arch}, {norm:?}, {value}"));
                    }
                }
            }
        }
    }
}
