//! Every kernel compared with its CPU twin, on any available adapter.

use crate::common::{
    bytes, devices, floats, gpu, groups, max_difference, poisoned, scrambled, values, written,
};
use burn::tensor::{Device, Tensor, TensorData};
use jempp::kernels::{
    self, ClassGaussians,
    reference::{self, DensityForm, NO_CLASS, NoiseKey, ProximalStep},
};

const SIZES: [usize; 4] = [1, 255, 256, 257];
/// One element more than 65,535 workgroups can process.
const MANY: usize = 65_535 * 256 + 1;
/// The largest difference of noise: rounding and fused products change a radius of at most 5.8 by this much.
const NOISE_ERROR: f32 = 3e-6;
const KEY: NoiseKey = NoiseKey { seed: 0x1234_5678_9abc_def0, stream: 5, step: 77 };

fn key_words() -> [u32; 4] {
    [KEY.step, KEY.stream, KEY.seed as u32, (KEY.seed >> 32) as u32]
}

fn proximal_step_on(device: &Device, len: usize, update: &ProximalStep) -> (Vec<f32>, Vec<f32>) {
    let (x, gradient) = (scrambled(len, 1), scrambled(len, 2));
    let [step, stream, seed_low, seed_high] = key_words();
    let params = [
        len as u32,
        update.step_size.to_bits(),
        update.noise_std.to_bits(),
        update.proximal_radius.to_bits(),
        update.project.into(),
        step,
        stream,
        seed_low,
        seed_high,
    ];
    let out = kernels::run_on_bytes(
        &kernels::PROXIMAL_STEP,
        device,
        groups(len),
        &[bytes(&x), bytes(&gradient), bytes(&poisoned(len))],
        &params,
    );
    let mut twin = x;
    reference::proximal_step(&mut twin, &gradient, 0, update);
    (written(&out[2], len), twin)
}

fn update(noise_std: f32, proximal_radius: f32, project: bool) -> ProximalStep {
    ProximalStep { step_size: 0.7, noise_std, proximal_radius, project, noise: KEY }
}

#[test]
fn proximal_step_without_noise_equals_its_twin() {
    let Some(device) = gpu() else { return };
    for len in SIZES.into_iter().chain([MANY]) {
        let (on_gpu, twin) = proximal_step_on(&device, len, &update(0.0, 0.5, true));
        assert!(max_difference(&on_gpu, &twin) < 1e-6, "{len}");
    }
}

#[test]
fn proximal_step_with_noise_equals_its_twin_up_to_rounding() {
    let Some(device) = gpu() else { return };
    for len in SIZES.into_iter().chain([20_000]) {
        for (radius, project) in [(0.0, false), (0.5, true)] {
            let (on_gpu, twin) = proximal_step_on(&device, len, &update(1.0, radius, project));
            let difference = max_difference(&on_gpu, &twin);
            assert!(difference < NOISE_ERROR, "{len}: {difference}");
        }
    }
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
fn uniform_noise_has_the_same_bits_everywhere() {
    let Some(device) = gpu() else { return };
    let [step, stream, seed_low, seed_high] = key_words();
    for len in SIZES.into_iter().chain([MANY]) {
        let params = [len as u32, step, stream, seed_low, seed_high];
        let out = kernels::run_on_bytes(
            &kernels::UNIFORM_START,
            &device,
            groups(len),
            &[bytes(&poisoned(len))],
            &params,
        );
        let mut twin = vec![0.0; len];
        reference::uniform_start(&mut twin, KEY);
        assert_eq!(written(&out[0], len), twin, "{len}");
    }
}

#[test]
fn class_center_start_equals_its_twin() {
    let Some(device) = gpu() else { return };
    // Numbers of pixels and components around the workgroup size, with chains of several classes and one of none.
    for (num_pixels, num_components) in [(1, 1), (255, 3), (256, 256), (257, 257), (784, 40)] {
        let labels = [2u32, 0, NO_CLASS, 1, 2, 2];
        let mean: Vec<f32> = scrambled(3 * num_pixels, 1).iter().map(|v| 0.3 * v).collect();
        let factor: Vec<f32> =
            scrambled(3 * num_components * num_pixels, 2).iter().map(|v| 0.02 * v).collect();
        let std: Vec<f32> = scrambled(3 * num_pixels, 3).iter().map(|v| 0.1 * v.abs()).collect();
        let tiles = groups(num_pixels);
        let [step, stream, seed_low, seed_high] = key_words();
        let params = [
            labels.len() as u32,
            num_pixels as u32,
            num_components as u32,
            tiles,
            step,
            stream,
            seed_low,
            seed_high,
        ];
        let len = labels.len() * num_pixels;
        let out = kernels::run_on_bytes(
            &kernels::CLASS_CENTER_START,
            &device,
            tiles * labels.len() as u32,
            &[
                bytes(&mean),
                bytes(&factor),
                bytes(&std),
                bytemuck::cast_slice(&labels),
                bytes(&poisoned(len)),
            ],
            &params,
        );
        let gaussians = reference::ClassGaussians {
            mean: &mean,
            factor: &factor,
            residual_std: &std,
            num_pixels,
            num_components,
        };
        let mut twin = reference::class_center_start(gaussians, &labels, KEY);
        // The kernel leaves the chain of no class as it was.
        twin[2 * num_pixels..3 * num_pixels].fill(poisoned(1)[0]);
        let difference = max_difference(&written(&out[4], len), &twin);
        assert!(difference < NOISE_ERROR, "D = {num_pixels}, k = {num_components}: {difference}");
    }
}

#[test]
fn class_center_start_past_65535_workgroups_equals_its_twin() {
    let Some(device) = gpu() else { return };
    let labels: Vec<u32> = (0..70_001).map(|chain| chain % 2).collect();
    let cpu = jempp::device::cpu();
    let on = |device: &Device| {
        let tensor = |values: Vec<f32>, shape: [usize; 2]| {
            Tensor::<2>::from_data(TensorData::new(values, shape), device)
        };
        let gaussians = ClassGaussians {
            mean: tensor(scrambled(6, 1), [2, 3]),
            factor: tensor(scrambled(12, 2), [4, 3]).reshape([2, 2, 3]),
            residual_std: tensor(vec![0.1; 6], [2, 3]),
        };
        values(kernels::class_center_start(&[gaussians], &labels, KEY))
    };
    assert!(max_difference(&on(&device), &on(&cpu)) < NOISE_ERROR);
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
fn replay_gather_and_scatter_equal_their_twins() {
    let Some(device) = gpu() else { return };
    for num_pixels in SIZES {
        let buffer = scrambled(7 * num_pixels, 1);
        let fresh = scrambled(2 * num_pixels, 2);
        let source = [6u32, 0, 8, 3, 7];
        let len = source.len() * num_pixels;
        let out = kernels::run_on_bytes(
            &kernels::REPLAY_GATHER,
            &device,
            groups(len),
            &[bytes(&buffer), bytes(&fresh), bytemuck::cast_slice(&source), bytes(&poisoned(len))],
            &[len as u32, num_pixels as u32, 7],
        );
        let twin = reference::replay_gather(&buffer, &fresh, &source, num_pixels);
        assert_eq!(written(&out[3], len), twin);

        let slots = [4u32, 1, 6];
        let len = slots.len() * num_pixels;
        let x = scrambled(len, 3);
        let out = kernels::run_on_bytes(
            &kernels::REPLAY_SCATTER,
            &device,
            groups(len),
            &[bytes(&x), bytemuck::cast_slice(&slots), bytes(&buffer)],
            &[len as u32, num_pixels as u32],
        );
        let mut twin = buffer;
        reference::replay_scatter(&x, &slots, &mut twin, num_pixels);
        assert_eq!(floats(&out[2]), twin);
    }
}

#[test]
fn chain_summary_equals_its_twin() {
    let Some(device) = gpu() else { return };
    for (num_chains, num_pixels) in [(1, 1), (3, 255), (5, 256), (2, 257), (65_537, 2)] {
        let len = num_chains * num_pixels;
        let x: Vec<f32> = scrambled(len, 1).iter().map(|v| (1.5 * v).clamp(-1.0, 1.0)).collect();
        let gradient = scrambled(len, 2);
        for radius in [0.0f32, 0.6] {
            let out = kernels::run_on_bytes(
                &kernels::CHAIN_SUMMARY,
                &device,
                num_chains as u32,
                &[bytes(&x), bytes(&gradient), bytes(&poisoned(3 * num_chains))],
                &[num_chains as u32, num_pixels as u32, radius.to_bits()],
            );
            let twin = reference::chain_summary(&x, &gradient, num_pixels, radius);
            assert!(max_difference(&written(&out[2], 3 * num_chains), &twin) < 1e-5);
        }
    }
}

#[test]
fn mala_accept_equals_its_twin() {
    let Some(device) = gpu() else { return };
    for (num_chains, num_pixels) in [(1, 1), (3, 255), (5, 256), (2, 257), (65_537, 2)] {
        let len = num_chains * num_pixels;
        let [x, gradient, proposal, proposal_gradient] =
            [1, 2, 3, 4].map(|salt| scrambled(len, salt));
        let mut energies = scrambled(2 * num_chains, 5);
        // One proposal has the energy NaN.
        energies[num_chains] = f32::NAN;
        let (step_size, inverse_temperature) = (0.1f32, 0.5f32);
        let [step, stream, seed_low, seed_high] = key_words();
        let poison = poisoned(len);
        let out = kernels::run_on_bytes(
            &kernels::MALA_ACCEPT,
            &device,
            num_chains as u32,
            &[
                bytes(&x),
                bytes(&gradient),
                bytes(&proposal),
                bytes(&proposal_gradient),
                bytes(&energies),
                bytes(&poisoned(2 * num_chains)),
                bytes(&poison),
            ],
            &[
                num_chains as u32,
                num_pixels as u32,
                step_size.to_bits(),
                inverse_temperature.to_bits(),
                step,
                stream,
                seed_low,
                seed_high,
            ],
        );
        let acceptance = written(&out[5], 2 * num_chains);
        let x_next = written(&out[6], len);
        let mut num_accepted = 0;
        for chain in 0..num_chains {
            let row = chain * num_pixels..(chain + 1) * num_pixels;
            let ends = reference::Proposal {
                x: &x[row.clone()],
                gradient: &gradient[row.clone()],
                energy: energies[chain],
                proposal: &proposal[row.clone()],
                proposal_gradient: &proposal_gradient[row.clone()],
                proposal_energy: energies[num_chains + chain],
            };
            let (twin, [accepted, probability]) =
                reference::mala_accept(&ends, chain as u32, step_size, inverse_temperature, KEY);
            let found = &acceptance[2 * chain..2 * chain + 2];
            assert!((found[1] - probability).abs() < 1e-4, "chain {chain} of {num_chains}");
            assert_eq!(found[0], accepted, "chain {chain} of {num_chains}");
            assert_eq!(x_next[row], twin);
            num_accepted += usize::from(accepted == 1.0);
        }
        assert!(num_chains < 10 || (1..num_chains).contains(&num_accepted), "{num_accepted}");
    }
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

/// One density of every form; the terms of the mixture are far apart.
fn forms() -> Vec<DensityForm> {
    let row = DensityForm::row;
    vec![
        DensityForm::Mixture(vec![
            row(0.7, [-0.5, 0.2], [0.1, 0.3], 0.4),
            row(0.3, [0.6, -0.4], [0.05, 0.05], 0.0),
        ]),
        DensityForm::Ring { radius: 0.6, width: 0.1 },
        DensityForm::Banana { along: 0.4, across: 0.1, bend: 1.5, shift: -0.4 },
        DensityForm::Funnel { along: 0.35, across: 0.1, bend: 1.9 },
    ]
}

#[test]
fn density_energy_equals_its_twin() {
    let Some(device) = gpu() else { return };
    for form in forms() {
        let (number, rows) = form.table();
        for count in SIZES {
            let x = scrambled(2 * count, 3);
            let out = kernels::run_on_bytes(
                &kernels::DENSITY_ENERGY,
                &device,
                groups(count),
                &[
                    bytes(&x),
                    bytes(&rows.concat()),
                    bytes(&poisoned(count)),
                    bytes(&poisoned(2 * count)),
                ],
                &[count as u32, number, rows.len() as u32],
            );
            let twin = x.chunks_exact(2).map(|p| reference::density_energy([p[0], p[1]], &form));
            let (energies, gradients): (Vec<f32>, Vec<[f32; 2]>) = twin.unzip();
            let close = |a: &f32, b: &f32| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
            let on_gpu = written(&out[2], count);
            assert!(on_gpu.iter().zip(&energies).all(|(a, b)| close(a, b)), "{form:?}, {count}");
            let on_gpu = written(&out[3], 2 * count);
            let twin = gradients.concat();
            assert!(on_gpu.iter().zip(&twin).all(|(a, b)| close(a, b)), "{form:?}, {count}");
        }
    }
}

#[test]
fn the_gradient_of_a_density_is_that_of_its_energy() {
    for form in forms() {
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
    for form in forms() {
        for point in [[40.0, -30.0], [2.0, 60.0], [2.0, -60.0]] {
            let (energy, gradient) = reference::density_energy(point, &form);
            assert!(energy.is_finite() && energy > 1e3, "{form:?} at {point:?}: {energy}");
            assert!(gradient.iter().all(|slope| slope.is_finite()), "{form:?} at {point:?}");
        }
    }
}
