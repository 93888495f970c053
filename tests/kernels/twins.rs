//! Every kernel compared with its CPU twin, on any available adapter, and what the twins promise.

use crate::common::{devices, gpu, max_difference, scrambled, values, variants};
use burn::tensor::{Device, Tensor, TensorData};
use jempp::{
    kernel_check::{self, ConvCase, Extent, densities},
    kernels::{self, ClassGaussians, ConvPass},
};
use jempp_cpu::reference::{self, NoiseKey, ProximalStep};
use pollster::block_on;

/// The largest difference of noise: rounding and fused products change a radius of at most 5.8 by this much.
const NOISE_ERROR: f32 = 3e-6;
const KEY: NoiseKey = NoiseKey { seed: 0x1234_5678_9abc_def0, stream: 5, step: 77, first_chain: 0 };

fn key_words() -> [u32; 4] {
    [KEY.step, KEY.stream, KEY.seed as u32, (KEY.seed >> 32) as u32]
}

#[test]
fn every_kernel_equals_its_twin() {
    let Some(device) = gpu() else { return };
    let mut compared = block_on(kernel_check::check_all(&device, Extent::Full, |_| ()));
    // `check_all` takes what may be chosen.
    for variant in variants(ConvPass::Forward, &device) {
        if compared.iter().all(|found| found.name != variant.name) {
            eprintln!("{} is never chosen here, and is compared too", variant.name);
            compared.extend(block_on(kernel_check::check_variant(variant, &device)));
        }
    }
    let differing: Vec<String> =
        compared.iter().filter(|found| !found.agrees).map(ToString::to_string).collect();
    assert!(differing.is_empty(), "\n{}", differing.join("\n"));
}

#[test]
fn an_image_of_nan_stays_alone_in_every_variant() {
    let Some(device) = gpu() else { return };
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
        let whole = ConvCase::new(conv);
        let mut broken = ConvCase::new(conv);
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
        for variant in variants(ConvPass::Forward, &device) {
            let forward = |case: &ConvCase| {
                let [y, _] = block_on(case.forward(variant, &device)).unwrap();
                y
            };
            check(variant.name, &forward(&broken), &forward(&whole));
            let back = |case: &ConvCase| block_on(case.input_gradient(variant, &device)).unwrap();
            check(variant.name, &back(&broken), &back(&whole));
        }
    }
}

fn update(noise_std: f32, proximal_radius: f32, project: bool) -> ProximalStep {
    ProximalStep { step_size: 0.7, noise_std, proximal_radius, project, noise: KEY }
}

#[test]
fn a_nan_stays_one_in_a_proximal_step_and_infinities_are_clamped() {
    let broken = [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::INFINITY, -f32::INFINITY];
    let shape = [broken.len(), 1, 1, 2];
    for device in crate::common::devices() {
        for (noise_std, radius, project) in [(0.0, 0.5, true), (1.0, 0.5, true), (0.0, 0.0, true)] {
            // Broken pixels with finite gradients, then the reverse.
            let sound = [0.25f32; 2 * 5];
            let bad: Vec<f32> = broken.iter().flat_map(|&value| [value, 0.5]).collect();
            for (x, gradient) in [(&bad[..], &sound[..]), (&sound[..], &bad[..])] {
                let on = |values: &[f32]| {
                    Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), &device)
                };
                let update = update(noise_std, radius, project);
                let moved = values(kernels::proximal_step(on(x), on(gradient), &update));
                for (pair, value) in moved.chunks(2).zip(broken) {
                    let what = format!("{value} gives {pair:?} with radius {radius}");
                    assert!(pair[0].is_nan() == value.is_nan(), "{what}");
                    assert!(value.is_nan() || pair[0].abs() <= 1.0, "{what}");
                    assert!(pair[1].abs() <= 1.0, "{what}");
                }
            }
        }
    }
}

#[test]
fn normal_noise_is_box_muller_of_its_bits() {
    let twin = (0..100_000).map(|block| reference::standard_normal_4(block, KEY));
    for (block, draws) in twin.enumerate() {
        let [step, stream, low, high] = key_words();
        let bits = reference::philox_4x32([block as u32, step, stream, 0], [low, high]);
        let u = bits.map(|bits| (f64::from(bits >> 9) + 0.5) / f64::from(1 << 23));
        for pair in 0..2 {
            let radius = (-2.0 * u[2 * pair].ln()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * (u[2 * pair + 1] - 0.5)).sin_cos();
            for (draw, exact) in draws[2 * pair..].iter().zip([radius * cos, radius * sin]) {
                assert!((f64::from(*draw) - exact).abs() < 2e-6, "block {block}: {draw}, {exact}");
            }
        }
    }
}

#[test]
fn starts_do_not_depend_on_the_parts_in_which_the_classes_are_bound() {
    let [classes, k, d] = [5, 3, 260];
    for device in devices() {
        let starts = |at_once: usize| {
            let part = |first: usize| {
                let rows = at_once.min(classes - first);
                let values = |len: usize, salt| {
                    let all = scrambled(classes * len, salt);
                    let part = all[first * len..(first + rows) * len].to_vec();
                    Tensor::<1>::from_data(TensorData::new(part, [rows * len]), &device)
                };
                ClassGaussians {
                    mean: values(d, 1).reshape([rows, d]),
                    factor: values(k * d, 2).mul_scalar(0.1).reshape([rows, k, d]),
                    residual_std: values(d, 3).abs().mul_scalar(0.1).reshape([rows, d]),
                }
            };
            let parts: Vec<_> = (0..classes).step_by(at_once).map(part).collect();
            values(kernels::class_center_start(&parts, &[4, 0, 3, 3, 1], KEY))
        };
        let whole = starts(classes);
        for at_once in [1, 2, 4] {
            assert_eq!(starts(at_once), whole, "parts of {at_once} classes");
        }
    }
}

#[test]
fn chains_drawn_in_two_parts_have_the_noise_of_the_whole() {
    const NUM_CHAINS: usize = 7;
    for device in devices() {
        // 1, 2, 3 and 35 values: a part may begin anywhere in the four values of a block.
        for num_pixels in [1, 2, 3, 35, 260] {
            let whole = drawn(0..NUM_CHAINS, num_pixels, &device);
            for cut in 1..NUM_CHAINS {
                let first = drawn(0..cut, num_pixels, &device);
                let rest = drawn(cut..NUM_CHAINS, num_pixels, &device);
                for ((name, whole), (first, rest)) in whole.iter().zip(first.iter().zip(&rest)) {
                    let parts = [&first.1[..], &rest.1].concat();
                    assert_eq!(&parts, whole, "{name}, {num_pixels} values, cut at {cut}");
                }
            }
        }
    }
}

/// The chains `part` of a run, out of every kernel that draws noise.
fn drawn(
    part: std::ops::Range<usize>,
    num_pixels: usize,
    device: &Device,
) -> [(&'static str, Vec<f32>); 6] {
    let (noise, count) = (KEY.from_chain(part.start as u32), part.len());
    let shape = [count, 1, 1, num_pixels];
    let rows = |salt: u32, len: usize| {
        let all = scrambled(7 * len, salt);
        let own = all[part.start * len..part.end * len].to_vec();
        Tensor::<1>::from_data(TensorData::new(own, [count * len]), device)
    };
    let images = |salt| rows(salt, num_pixels).reshape(shape);
    let update = ProximalStep { noise, ..update(0.4, 0.5, true) };
    let summary = kernels::chain_summary(images(1), images(2), 0.0);
    let all = |salt, len: usize| {
        Tensor::<1>::from_data(TensorData::new(scrambled(len, salt), [len]), device)
    };
    let gaussians = ClassGaussians {
        mean: all(1, 2 * num_pixels).reshape([2, num_pixels]),
        factor: all(2, 6 * num_pixels).mul_scalar(0.1).reshape([2, 3, num_pixels]),
        residual_std: all(3, 2 * num_pixels).abs().mul_scalar(0.1).reshape([2, num_pixels]),
    };
    let labels: Vec<u32> = part.clone().map(|chain| chain as u32 % 2).collect();
    let ends = kernels::Proposals {
        x: images(1),
        gradient: images(2).mul_scalar(0.1),
        energy: rows(3, 1),
        proposal: images(4),
        proposal_gradient: images(5).mul_scalar(0.1),
        proposal_energy: rows(6, 1),
    };
    let (moved, decided) = kernels::mala_accept(ends, 0.1, 1.0, noise);
    [
        ("proximal_step", values(kernels::proximal_step(images(1), images(2), &update))),
        ("normalized_step", {
            values(kernels::normalized_step(images(1), images(2), summary, &update))
        }),
        ("uniform_start", values(kernels::uniform_start(shape, noise, device))),
        ("class_center_start", {
            values(kernels::class_center_start(&[gaussians], &labels, noise))
        }),
        ("mala_accept", values(moved)),
        ("mala_accept, decisions", values(decided)),
    ]
}

#[test]
#[should_panic(expected = "a step has noise for 2^32 values")]
fn noise_that_would_come_again_is_refused() {
    let noise = KEY.from_chain(u32::MAX);
    kernels::uniform_start([2, 1, 1, 1], noise, &jempp::device::cpu());
}

#[test]
fn typed_functions_give_the_same_on_gpu_and_cpu() {
    let Some(device) = gpu() else { return };
    let cpu = jempp::device::cpu();
    let shape = [3, 1, 5, 7];
    let on = |device: &Device| {
        let x = crate::common::scrambled_tensor(shape, 1, device);
        let gradient = crate::common::scrambled_tensor(shape, 2, device);
        // A view with other strides: the kernel must respect them instead of reading the memory in its original
        // order.
        let gradient = gradient.swap_dims(2, 3).reshape([3, 1, 5, 7]).swap_dims(2, 3);
        let x = x.swap_dims(2, 3);
        let moved = kernels::proximal_step(x.clone(), gradient.clone(), &update(0.2, 0.5, true));
        let summary = kernels::chain_summary(moved.clone(), gradient, 0.5);
        let start = kernels::uniform_start(shape, KEY, device);
        let buffer = kernels::uniform_start([9, 1, 5, 7], KEY, device).reshape([9, 35]);
        let rows = kernels::replay_gather(&buffer, start.clone().reshape([3, 35]), &[8, 9, 11]);
        let buffer = kernels::replay_scatter(rows.clone(), &[2, 0, 5], buffer);
        [values(moved), values(summary), values(start), values(rows), values(buffer)]
    };
    for (index, (a, b)) in on(&device).iter().zip(on(&cpu)).enumerate() {
        // The first two results contain noise.
        let tolerance = if index < 2 { NOISE_ERROR } else { 1e-5 };
        assert!(max_difference(a, &b) < tolerance, "{index}");
    }
}

#[test]
fn philox_gives_its_published_test_vectors() {
    // Test vectors of Random123 (kat_vectors): philox4x32, 10 rounds.
    let all = u32::MAX;
    assert_eq!(
        reference::philox_4x32([0; 4], [0; 2]),
        [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
    );
    assert_eq!(
        reference::philox_4x32([all; 4], [all; 2]),
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
    );
    assert_eq!(
        reference::philox_4x32(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0]
        ),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

#[test]
fn the_gradient_of_a_density_is_that_of_its_energy() {
    for form in densities() {
        for point in [[0.3f32, 0.2], [-0.4, 0.5], [0.05, -0.6]] {
            let (_, gradient) = reference::density_energy(point, &form);
            for axis in 0..2 {
                const STEP: f32 = 1e-3;
                let at = |sign: f32| {
                    let mut moved = point;
                    moved[axis] += sign * STEP;
                    f64::from(reference::density_energy(moved, &form).0)
                };
                let slope = (at(1.0) - at(-1.0)) / f64::from(2.0 * STEP);
                let error = (slope - f64::from(gradient[axis])).abs();
                assert!(error < 0.02 * (1.0 + slope.abs()), "{form:?} at {point:?}: {slope}");
            }
        }
    }
}

#[test]
fn a_density_far_from_where_it_lies_is_still_finite() {
    for form in densities() {
        for point in [[40.0, -30.0], [2.0, 60.0], [2.0, -60.0]] {
            let (energy, gradient) = reference::density_energy(point, &form);
            assert!(energy.is_finite() && energy > 1e3, "{form:?} at {point:?}: {energy}");
            assert!(gradient.iter().all(|slope| slope.is_finite()), "{form:?} at {point:?}");
        }
    }
}
