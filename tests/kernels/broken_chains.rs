//! A chain that is NaN or infinite stays so where its twin does, and stays alone: the others get the bits that they get
//! without it. Convolutions and whole networks are in `layers.rs`.

use std::iter;

use crate::common::{
    bytes, devices, floats, gpu, groups, last_of, poisoned, run_on_bytes, scrambled, values,
    written,
};
use burn::tensor::{Device, Tensor, TensorData};
use jempp::kernels::{self, EnergyOptions, HeadOptions, Pooling};
use jempp_cpu::reference::{self, DensityForm, NoiseKey, ProximalStep};

/// The second of them is a NaN with the sign and another bit set, the third a signalling one.
const BROKEN: [f32; 5] = [
    f32::NAN,
    f32::from_bits(0xffc0_0001),
    f32::from_bits(0x7f80_0001),
    f32::INFINITY,
    f32::NEG_INFINITY,
];
const NUM_CHAINS: usize = 3;
/// The broken chain, with a sound one on either side.
const BAD: usize = 1;
const KEY: NoiseKey = NoiseKey { seed: 7, stream: 5, step: 3, first_chain: 0 };

/// The place of the first chain, and the key.
fn key_words() -> [u32; 5] {
    [KEY.first_chain, KEY.step, KEY.stream, KEY.seed as u32, 0]
}

/// Whether both are NaN, or the same infinity, or close.
fn is_like(a: f32, b: f32) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-4 * (1.0 + b.abs())
}

fn assert_like(found: &[f32], twin: &[f32], what: &str) {
    let is_like = iter::zip(found, twin).all(|(&a, &b)| is_like(a, b));
    assert!(is_like && found.len() == twin.len(), "{what}: {found:?}, and its twin {twin:?}");
}

/// The rows of sound chains must have the bits of `sound`, and the row of the broken one must be like the twin's.
fn assert_alone(found: &[f32], sound: &[f32], twin: &[f32], what: &str) {
    assert_like(found, twin, what);
    let len = found.len() / NUM_CHAINS;
    for chain in (0..NUM_CHAINS).filter(|&chain| chain != BAD) {
        let row = chain * len..(chain + 1) * len;
        assert_eq!(bytes(&found[row.clone()]), bytes(&sound[row]), "{what}: chain {chain}");
    }
}

/// The inputs with the middle of the broken chain's row replaced, for each input and each broken value.
fn breakages<const N: usize>(
    inputs: [Vec<f32>; N],
) -> impl Iterator<Item = ([Vec<f32>; N], String)> {
    BROKEN.into_iter().flat_map(move |value| {
        let inputs = inputs.clone();
        (0..N).map(move |nth| {
            let mut broken = inputs.clone();
            let len = broken[nth].len() / NUM_CHAINS;
            broken[nth][BAD * len + len / 2] = value;
            (broken, format!("{value} in input {nth}"))
        })
    })
}

#[test]
fn a_broken_chain_stays_alone_in_a_proximal_step() {
    let Some(device) = gpu() else { return };
    let len = NUM_CHAINS * 100;
    for (noise_std, proximal_radius, project) in [(1.0, 0.5, true), (0.0, 0.0, false)] {
        let update =
            ProximalStep { step_size: 0.7, noise_std, proximal_radius, project, noise: KEY };
        let mut params = vec![len as u32, update.step_size.to_bits(), noise_std.to_bits()];
        params.extend([proximal_radius.to_bits(), project.into()]);
        params.extend(key_words());
        let run = |[x, gradient]: &[Vec<f32>; 2]| {
            let inputs = [bytes(x), bytes(gradient)];
            last_of(&kernels::PROXIMAL_STEP, &device, groups(len), &inputs, len, &params)
        };
        let inputs = [scrambled(len, 1), scrambled(len, 2)];
        let sound = run(&inputs);
        for (broken, what) in breakages(inputs) {
            let [mut twin, gradient] = broken.clone();
            reference::proximal_step(&mut twin, &gradient, 0, &update);
            assert_alone(&run(&broken), &sound, &twin, &what);
        }
    }
}

#[test]
fn a_broken_chain_stays_alone_in_a_normalised_step() {
    let Some(device) = gpu() else { return };
    let num_pixels = 100;
    let len = NUM_CHAINS * num_pixels;
    for (noise_std, project) in [(1.0f32, true), (0.0, false)] {
        let update =
            ProximalStep { step_size: 0.7, noise_std, proximal_radius: 0.0, project, noise: KEY };
        let mut params = vec![len as u32, num_pixels as u32, update.step_size.to_bits()];
        params.extend([noise_std.to_bits(), project.into()]);
        params.extend(key_words());
        let run = |[x, gradient]: &[Vec<f32>; 2]| {
            let summary = reference::chain_summary(x, gradient, num_pixels, 0.0);
            let inputs = [bytes(x), bytes(gradient), bytes(&summary)];
            last_of(&kernels::NORMALIZED_STEP, &device, groups(len), &inputs, len, &params)
        };
        let inputs = [scrambled(len, 1), scrambled(len, 2)];
        let sound = run(&inputs);
        for (broken, what) in breakages(inputs) {
            let [mut twin, gradient] = broken.clone();
            let summary = reference::chain_summary(&twin, &gradient, num_pixels, 0.0);
            reference::normalized_step(&mut twin, &gradient, &summary, num_pixels, &update);
            assert_alone(&run(&broken), &sound, &twin, &what);
        }
    }
}

#[test]
fn a_broken_chain_stays_alone_in_its_summary() {
    let Some(device) = gpu() else { return };
    let num_pixels = 300;
    let len = NUM_CHAINS * num_pixels;
    for radius in [0.0f32, 0.6] {
        let run = |[x, gradient]: &[Vec<f32>; 2]| {
            let params = [NUM_CHAINS as u32, num_pixels as u32, radius.to_bits()];
            let inputs = [bytes(x), bytes(gradient)];
            let (kernel, groups) = (&kernels::CHAIN_SUMMARY, NUM_CHAINS as u32);
            last_of(kernel, &device, groups, &inputs, 3 * NUM_CHAINS, &params)
        };
        let inputs = [scrambled(len, 1), scrambled(len, 2)];
        let sound = run(&inputs);
        for (broken, what) in breakages(inputs) {
            let twin = reference::chain_summary(&broken[0], &broken[1], num_pixels, radius);
            assert_alone(&run(&broken), &sound, &twin, &what);
        }
    }
}

#[test]
fn a_broken_chain_stays_alone_when_proposals_are_decided() {
    let Some(device) = gpu() else { return };
    let num_pixels = 100;
    let len = NUM_CHAINS * num_pixels;
    let (step_size, inverse_temperature) = (0.1f32, 0.5f32);
    // The chains' energies come last: of the states, then of the proposals.
    let run = |inputs: &[Vec<f32>; 6]| {
        let [x, gradient, proposal, proposal_gradient, energy, proposal_energy] = inputs;
        let energies = [&energy[..], proposal_energy].concat();
        let (acceptance, x_next) = (poisoned(2 * NUM_CHAINS), poisoned(len));
        let mut params = vec![NUM_CHAINS as u32, num_pixels as u32];
        params.extend([step_size.to_bits(), inverse_temperature.to_bits()]);
        params.extend(key_words());
        let buffers = [x, gradient, proposal, proposal_gradient, &energies, &acceptance, &x_next]
            .map(|b| bytes(b));
        let groups = NUM_CHAINS as u32;
        let out = run_on_bytes(&kernels::MALA_ACCEPT, &device, groups, &buffers, &params);
        (written(&out[6], len), written(&out[5], 2 * NUM_CHAINS))
    };
    let [a, b, c, d] = [1, 2, 3, 4].map(|salt| scrambled(len, salt));
    let inputs = [a, b, c, d, scrambled(NUM_CHAINS, 5), scrambled(NUM_CHAINS, 6)];
    let (sound_next, sound_acceptance) = run(&inputs);
    for (broken, what) in breakages(inputs) {
        let [x, gradient, proposal, proposal_gradient, energy, proposal_energy] = &broken;
        let (twin_next, twin_acceptance): (Vec<_>, Vec<_>) = (0..NUM_CHAINS)
            .map(|chain| {
                let row = chain * num_pixels..(chain + 1) * num_pixels;
                let ends = reference::Proposal {
                    x: &x[row.clone()],
                    gradient: &gradient[row.clone()],
                    energy: energy[chain],
                    proposal: &proposal[row.clone()],
                    proposal_gradient: &proposal_gradient[row],
                    proposal_energy: proposal_energy[chain],
                };
                reference::mala_accept(&ends, chain as u32, step_size, inverse_temperature, KEY)
            })
            .unzip();
        let (x_next, acceptance) = run(&broken);
        assert_alone(&x_next, &sound_next, &twin_next.concat(), &what);
        assert_alone(&acceptance, &sound_acceptance, &twin_acceptance.concat(), &what);
    }
}

#[test]
fn a_broken_image_stays_alone_in_the_head() {
    let Some(device) = gpu() else { return };
    let (positions, channels, classes, negative_slope, scale) = (6, 5, 10, 0.2f32, -1.5f32);
    for (average, labelled) in [(true, false), (false, false), (true, true)] {
        let head = reference::Head { positions, channels, classes, average, negative_slope };
        let weight = scrambled(if average { channels } else { positions * channels } * classes, 2);
        let bias = scrambled(classes, 3);
        let labels = [3u32, 0, 9];
        let sizes = [NUM_CHAINS, positions, channels, classes, average.into()].map(|n| n as u32);
        let run = |x: &[f32], bias: &[f32]| {
            let (value, seed) = (poisoned(NUM_CHAINS), poisoned(NUM_CHAINS * classes));
            let labels = bytemuck::cast_slice(&labels);
            let no_signs = bytes(&[0.0; 4]);
            let outputs = [bytes(&value), bytes(&seed), no_signs];
            let inputs = [bytes(x), bytes(&weight), bytes(bias), labels];
            let buffers = [&inputs[..], &outputs].concat();
            let [slope, scale] = [negative_slope, scale].map(f32::to_bits);
            let params = [&sizes[..], &[labelled.into(), slope, scale, 0]].concat();
            let (kernel, groups) = (&kernels::HEAD_ENERGY, NUM_CHAINS as u32);
            let out = run_on_bytes(kernel, &device, groups, &buffers, &params);
            (written(&out[4], NUM_CHAINS), written(&out[5], NUM_CHAINS * classes))
        };
        let twin = |x: &[f32], bias: &[f32]| {
            let labels = labelled.then_some(&labels[..]);
            reference::head_energy(&head, x, &weight, bias, labels, scale)
        };
        let inputs = [scrambled(NUM_CHAINS * positions * channels, 1)];
        let (sound_value, sound_seed) = run(&inputs[0], &bias);
        for ([x], what) in breakages(inputs.clone()) {
            let what = format!("{what}, average {average}, labelled {labelled}");
            let ((value, seed), (twin_value, twin_seed)) = (run(&x, &bias), twin(&x, &bias));
            assert_alone(&value, &sound_value, &twin_value, &what);
            assert_alone(&seed, &sound_seed, &twin_seed, &what);
        }
        // A single logit that is broken, of every row.
        for value in BROKEN {
            let mut bias = bias.clone();
            bias[4] = value;
            let what = format!("{value} in the bias, labelled {labelled}");
            let (found, expected) = (run(&inputs[0], &bias), twin(&inputs[0], &bias));
            assert_like(&found.0, &expected.0, &what);
            assert_like(&found.1, &expected.1, &what);
        }
        let inputs =
            [scrambled(NUM_CHAINS * classes, 4), scrambled(NUM_CHAINS, 5), inputs[0].clone()];
        let run = |[seed, row_scale, x]: &[Vec<f32>; 3]| {
            let params = [&sizes[..], &[negative_slope.to_bits()]].concat();
            let signs = reference::signs(x);
            let signs = bytemuck::cast_slice(&signs);
            let inputs = [bytes(seed), bytes(row_scale), bytes(&weight), signs];
            let kernel = &kernels::HEAD_INPUT_GRADIENT;
            last_of(kernel, &device, groups(x.len()), &inputs, x.len(), &params)
        };
        let sound = run(&inputs);
        for (broken, what) in breakages(inputs) {
            let [seed, row_scale, x] = &broken;
            let twin = reference::head_input_gradient(&head, seed, row_scale, &weight, x);
            assert_alone(&run(&broken), &sound, &twin, &format!("{what}, average {average}"));
        }
    }
}

#[test]
fn a_broken_image_stays_alone_in_energy_and_gradient_of_the_head() {
    let shape = [NUM_CHAINS, 4, 4, 32];
    for device in devices() {
        let device = device.autodiff();
        let tensor =
            |len: usize, salt: u32| Tensor::<1>::from_data(&scrambled(len, salt)[..], &device);
        let run = |[x]: &[Vec<f32>; 1]| {
            let x =
                Tensor::<4>::from_data(TensorData::new(x.clone(), shape), &device).require_grad();
            let options = EnergyOptions {
                head: HeadOptions { pooling: Pooling::Average, negative_slope: 0.2 },
                labels: None,
                scale: -1.0,
            };
            let weight = tensor(32 * 10, 2).reshape([32, 10]);
            let energy = kernels::head_energy(x.clone(), weight, tensor(10, 3), options);
            let gradient = x.grad(&energy.clone().sum().backward()).unwrap();
            (values(energy), values(gradient))
        };
        let inputs = [scrambled(shape.iter().product(), 1)];
        let (sound_energy, sound_gradient) = run(&inputs);
        for (broken, what) in breakages(inputs) {
            let (energy, gradient) = run(&broken);
            let mut expected = sound_energy.clone();
            expected[BAD] = f32::NAN;
            assert_alone(&energy, &sound_energy, &expected, &what);
            let mut expected = sound_gradient.clone();
            let len = expected.len() / NUM_CHAINS;
            expected[BAD * len..(BAD + 1) * len].fill(f32::NAN);
            assert_alone(&gradient, &sound_gradient, &expected, &what);
        }
    }
}

#[test]
fn a_broken_point_has_the_energy_that_its_twin_says() {
    let Some(device) = gpu() else { return };
    let row = DensityForm::row;
    let forms = [
        DensityForm::Mixture(vec![
            row(0.7, [-0.5, 0.2], [0.1, 0.3], 0.4),
            row(0.3, [0.6, -0.4], [0.05, 0.05], 0.0),
        ]),
        DensityForm::Ring { radius: 0.6, width: 0.1 },
        DensityForm::Banana { along: 0.4, across: 0.1, bend: 1.5, shift: -0.4 },
        DensityForm::Funnel { along: 0.35, across: 0.1, bend: 1.9 },
    ];
    for form in forms {
        let (number, rows) = form.table();
        let run = |x: &[f32]| {
            let (energy, gradient) = (poisoned(NUM_CHAINS), poisoned(2 * NUM_CHAINS));
            let rows_of_form = rows.concat();
            let buffers = [bytes(x), bytes(&rows_of_form), bytes(&energy), bytes(&gradient)];
            let params = [NUM_CHAINS as u32, number, rows.len() as u32];
            let out = run_on_bytes(&kernels::DENSITY_ENERGY, &device, 1, &buffers, &params);
            (written(&out[2], NUM_CHAINS), written(&out[3], 2 * NUM_CHAINS))
        };
        let sound = scrambled(2 * NUM_CHAINS, 3);
        let (sound_energy, sound_gradient) = run(&sound);
        for (axis, value) in BROKEN.into_iter().flat_map(|value| [(0, value), (1, value)]) {
            let mut x = sound.clone();
            x[2 * BAD + axis] = value;
            let what = format!("{value} on axis {axis} of {form:?}");
            let twin = x.chunks_exact(2).map(|p| reference::density_energy([p[0], p[1]], &form));
            let (twin_energy, twin_gradient): (Vec<_>, Vec<_>) = twin.unzip();
            let is_nan = twin_energy[BAD].is_nan() && twin_gradient[BAD].iter().all(|g| g.is_nan());
            assert!(is_nan || !value.is_nan(), "{what}: the twin makes a number of a NaN");
            let (energy, gradient) = run(&x);
            assert_alone(&energy, &sound_energy, &twin_energy, &what);
            assert_alone(&gradient, &sound_gradient, &twin_gradient.concat(), &what);
        }
    }
}

#[test]
fn a_class_with_a_broken_mean_breaks_only_its_own_starts() {
    let Some(device) = gpu() else { return };
    let (num_pixels, num_components) = (300, 4);
    let labels = [0u32, 1, 2];
    let len = NUM_CHAINS * num_pixels;
    let factor: Vec<f32> = scrambled(num_components * len, 2).iter().map(|v| 0.1 * v).collect();
    let run = |[mean, residual_std]: &[Vec<f32>; 2]| {
        let (pixels, components) = (num_pixels as u32, num_components as u32);
        let mut params = vec![NUM_CHAINS as u32, pixels, components, groups(num_pixels)];
        params.extend(key_words());
        let labels = bytemuck::cast_slice(&labels);
        let inputs = [bytes(mean), bytes(&factor), bytes(residual_std), labels];
        let num_groups = NUM_CHAINS as u32 * groups(num_pixels);
        last_of(&kernels::CLASS_CENTER_START, &device, num_groups, &inputs, len, &params)
    };
    let inputs = [scrambled(len, 1), scrambled(len, 3).iter().map(|v| 0.1 * v.abs()).collect()];
    let sound = run(&inputs);
    for (broken, what) in breakages(inputs) {
        let [mean, residual_std] = &broken;
        let (mean, residual_std) = (&mean[..], &residual_std[..]);
        let gaussians = reference::ClassGaussians {
            mean,
            factor: &factor,
            residual_std,
            num_pixels,
            num_components,
        };
        let twin = reference::class_center_start(gaussians, &labels, KEY);
        assert_alone(&run(&broken), &sound, &twin, &what);
    }
}

#[test]
fn a_broken_chain_of_the_replay_buffer_is_carried_as_it_is() {
    let Some(device) = gpu() else { return };
    let num_pixels = 70;
    let len = NUM_CHAINS * num_pixels;
    let slots = bytemuck::cast_slice(&[0u32, 1, 2]);
    for ([x], what) in breakages([scrambled(len, 1)]) {
        let params = [len as u32, num_pixels as u32, NUM_CHAINS as u32];
        let inputs = [bytes(&x), bytes(&x[..num_pixels]), slots];
        let gathered =
            last_of(&kernels::REPLAY_GATHER, &device, groups(len), &inputs, len, &params);
        assert_alone(&gathered, &x, &x, &what);
        let empty = vec![0.0; len];
        let buffers = [bytes(&x), slots, bytes(&empty)];
        let (kernel, params) = (&kernels::REPLAY_SCATTER, &params[..2]);
        let out = run_on_bytes(kernel, &device, groups(len), &buffers, params);
        assert_alone(&floats(&out[2]), &x, &x, &what);
    }
}

/// The statistics of a batch are those of all its images, so here a broken image takes the others with it; but only in
/// the channels in which it is broken.
#[test]
fn a_broken_channel_stays_alone_in_batch_norm() {
    const CHANNELS: usize = 4;
    let shape = [NUM_CHAINS, 3, 3, CHANNELS];
    let run = |x: &[f32], device: &Device| {
        let x = Tensor::<4>::from_data(TensorData::new(x.to_vec(), shape), device);
        let [gamma, beta] =
            [4, 5].map(|salt| Tensor::<1>::from_data(&scrambled(CHANNELS, salt)[..], device));
        values(kernels::batch_norm(x, gamma, beta, 1e-5).0)
    };
    let x = scrambled(shape.iter().product(), 1);
    for device in devices() {
        let sound = run(&x, &device);
        for value in BROKEN {
            let mut broken = x.clone();
            broken[3 * 3 * CHANNELS + 2] = value;
            for (index, (found, sound)) in iter::zip(run(&broken, &device), &sound).enumerate() {
                let is_right = if index % CHANNELS == 2 { found.is_nan() } else { found == *sound };
                assert!(is_right, "{value}: {found} at {index}, and without it {sound}");
            }
        }
    }
}
