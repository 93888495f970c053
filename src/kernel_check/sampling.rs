//! The kernels of chains: noise, starts, steps, summaries, the replay buffer, and the energies of 2-D densities.

use jempp_cpu::reference::{self, DensityForm, NoiseKey, ProximalStep};

use super::{Buffer, Extent, Found, Subject, groups, scrambled};
use crate::streams;

/// Numbers of values around the size of a workgroup.
const SIZES: [usize; 4] = [1, 255, 256, 257];
/// One value more than 65,535 workgroups can process.
const MANY: usize = 65_535 * 256 + 1;
/// Numbers of chains and of pixels.
const CHAINS: [(usize, usize); 4] = [(1, 1), (3, 255), (5, 256), (2, 257)];
/// More chains than workgroups along one dimension, and pixels.
const MANY_CHAINS: (usize, usize) = (65_537, 2);
/// The largest difference of noise: rounding and fused products change a radius of at most 5.8 by this much.
const NOISE_ERROR: f32 = 3e-6;
/// The chains are a part of a run: those from the sixth on.
const KEY: NoiseKey = streams::KERNEL_CHECK.key(0x1234_5678_9abc_def0, 77).from_chain(5);
/// The place in the stream of chains of one value.
const FIRST: u32 = KEY.first_chain;
/// The last four parameters of a kernel that draws noise.
const KEY_WORDS: [u32; 4] = [KEY.step, KEY.stream, KEY.seed as u32, (KEY.seed >> 32) as u32];

/// Numbers of chains and of pixels, for kernels that have a workgroup for each chain.
fn chains(extent: Extent) -> impl Iterator<Item = (usize, usize)> {
    CHAINS.into_iter().chain((extent == Extent::Full).then_some(MANY_CHAINS))
}

pub(super) async fn proximal_step(subject: &Subject<'_>) -> Found {
    let [x, gradient] = [1, 2].map(|salt| scrambled(MANY, salt));
    let mut steps = subject.comparison("without noise, up to 16,776,961 values", 1e-6);
    let mut noisy = subject.comparison("with normal noise", NOISE_ERROR);
    let without_noise = SIZES.into_iter().chain([MANY]).map(|len| (len, 0.0, 0.5, true));
    let with_noise = SIZES.into_iter().chain([20_000]);
    let with_noise = with_noise.flat_map(|len| [(len, 1.0, 0.0, false), (len, 1.0, 0.5, true)]);
    for (len, noise_std, proximal_radius, project) in without_noise.chain(with_noise) {
        let update =
            ProximalStep { step_size: 0.7, noise_std, proximal_radius, project, noise: KEY };
        let [step_size, noise_std, radius] =
            [update.step_size, noise_std, proximal_radius].map(f32::to_bits);
        let sizes = [len as u32, step_size, noise_std, radius, project.into(), FIRST];
        let buffers =
            [Buffer::Values(&x[..len]), Buffer::Values(&gradient[..len]), Buffer::Output(len)];
        let params = [&sizes[..], &KEY_WORDS].concat();
        let [x_next] = subject.run(groups(len), &buffers, &params).await?;
        let mut twin = x[..len].to_vec();
        reference::proximal_step(&mut twin, &gradient[..len], FIRST, &update);
        let comparison = if update.noise_std > 0.0 { &mut noisy } else { &mut steps };
        comparison.add(&x_next, &twin);
    }
    Ok(vec![steps, noisy])
}

pub(super) async fn normalized_step(subject: &Subject<'_>) -> Found {
    let mut steps = subject.comparison("without noise, one chain without a gradient", 1e-6);
    let mut noisy = subject.comparison("with normal noise", NOISE_ERROR);
    for (num_chains, num_pixels) in CHAINS {
        let len = num_chains * num_pixels;
        let [x, mut gradient] = [1, 2].map(|salt| scrambled(len, salt));
        if num_chains > 1 {
            gradient[..num_pixels].fill(0.0);
        }
        let summary = reference::chain_summary(&x, &gradient, num_pixels, 0.0);
        for (noise_std, project) in [(0.0, true), (1.0, true), (1.0, false)] {
            let update = ProximalStep {
                step_size: 0.7,
                noise_std,
                proximal_radius: 0.0,
                project,
                noise: KEY,
            };
            let numbers = [update.step_size, noise_std].map(f32::to_bits);
            let first = KEY.first_element(num_chains, num_pixels);
            let sizes =
                [len as u32, num_pixels as u32, numbers[0], numbers[1], project.into(), first];
            let buffers = [
                Buffer::Values(&x),
                Buffer::Values(&gradient),
                Buffer::Values(&summary),
                Buffer::Output(len),
            ];
            let params = [&sizes[..], &KEY_WORDS].concat();
            let [x_next] = subject.run(groups(len), &buffers, &params).await?;
            let mut twin = x.clone();
            reference::normalized_step(&mut twin, &gradient, &summary, num_pixels, &update);
            let comparison = if noise_std > 0.0 { &mut noisy } else { &mut steps };
            comparison.add(&x_next, &twin);
        }
    }
    Ok(vec![steps, noisy])
}

pub(super) async fn uniform_start(subject: &Subject<'_>) -> Found {
    let mut bits = subject.comparison("every bit of the noise", 0.0);
    for len in SIZES.into_iter().chain([MANY]) {
        let params = [&[len as u32, FIRST][..], &KEY_WORDS].concat();
        let [x] = subject.run(groups(len), &[Buffer::Output(len)], &params).await?;
        let mut twin = vec![0.0; len];
        reference::uniform_start(&mut twin, FIRST, KEY);
        bits.add(&x, &twin);
    }
    Ok(vec![bits])
}

pub(super) async fn class_center_start(subject: &Subject<'_>, extent: Extent) -> Found {
    let what = match extent {
        Extent::Full => "starts of up to 70,001 chains",
        Extent::Short => "starts of chains",
    };
    let mut starts = subject.comparison(what, NOISE_ERROR);
    let few: Vec<u32> = vec![2, 0, 1, 2, 2];
    let many: Vec<u32> = (0..70_001).map(|chain| chain % 3).collect();
    let sizes = [(1, 1), (255, 3), (256, 256), (257, 257), (784, 40)];
    let cases = sizes.into_iter().map(|(pixels, axes)| (&few, pixels, axes));
    for (labels, num_pixels, num_components) in
        cases.chain((extent == Extent::Full).then_some((&many, 3, 2)))
    {
        let scaled = |len: usize, salt, by: f32| -> Vec<f32> {
            scrambled(3 * len, salt).iter().map(|value| by * value).collect()
        };
        let mean = scaled(num_pixels, 1, 0.3);
        let factor = scaled(num_components * num_pixels, 2, 0.02);
        let residual_std: Vec<f32> = scaled(num_pixels, 3, 0.1).iter().map(|v| v.abs()).collect();
        let tiles = groups(num_pixels);
        let num_chains = labels.len();
        let sizes =
            [num_chains as u32, num_pixels as u32, num_components as u32, tiles, KEY.first_chain];
        let buffers = [
            Buffer::Values(&mean),
            Buffer::Values(&factor),
            Buffer::Values(&residual_std),
            Buffer::Indices(labels),
            Buffer::Output(num_chains * num_pixels),
        ];
        let params = [&sizes[..], &KEY_WORDS].concat();
        let [x] = subject.run(tiles * num_chains as u32, &buffers, &params).await?;
        let gaussians = reference::ClassGaussians {
            mean: &mean,
            factor: &factor,
            residual_std: &residual_std,
            num_pixels,
            num_components,
        };
        starts.add(&x, &reference::class_center_start(gaussians, labels, KEY));
    }
    Ok(vec![starts])
}

pub(super) async fn replay_gather(subject: &Subject<'_>) -> Found {
    let mut rows = subject.comparison("rows, copied", 0.0);
    let source = [6, 0, 8, 3, 7];
    for num_pixels in SIZES {
        let (buffer, fresh) = (scrambled(7 * num_pixels, 1), scrambled(2 * num_pixels, 2));
        let len = source.len() * num_pixels;
        let buffers = [
            Buffer::Values(&buffer),
            Buffer::Values(&fresh),
            Buffer::Indices(&source),
            Buffer::Output(len),
        ];
        let [x] = subject.run(groups(len), &buffers, &[len as u32, num_pixels as u32, 7]).await?;
        rows.add(&x, &reference::replay_gather(&buffer, &fresh, &source, num_pixels));
    }
    Ok(vec![rows])
}

pub(super) async fn replay_scatter(subject: &Subject<'_>) -> Found {
    let mut rows = subject.comparison("the whole buffer", 0.0);
    let slots = [4, 1, 6];
    for num_pixels in SIZES {
        let mut buffer = scrambled(7 * num_pixels, 1);
        let len = slots.len() * num_pixels;
        let x = scrambled(len, 3);
        let buffers = [Buffer::Values(&x), Buffer::Indices(&slots), Buffer::InPlace(&buffer)];
        let [after] = subject.run(groups(len), &buffers, &[len as u32, num_pixels as u32]).await?;
        reference::replay_scatter(&x, &slots, &mut buffer, num_pixels);
        rows.add(&after, &buffer);
    }
    Ok(vec![rows])
}

pub(super) async fn chain_summary(subject: &Subject<'_>, extent: Extent) -> Found {
    let what = match extent {
        Extent::Full => "norms and shares of up to 65,537 chains",
        Extent::Short => "norms and shares of chains",
    };
    let mut summaries = subject.comparison(what, 1e-5);
    for (num_chains, num_pixels) in chains(extent) {
        let len = num_chains * num_pixels;
        let x: Vec<f32> = scrambled(len, 1).iter().map(|v| (1.5 * v).clamp(-1.0, 1.0)).collect();
        let gradient = scrambled(len, 2);
        for radius in [0.0f32, 0.6] {
            let buffers =
                [Buffer::Values(&x), Buffer::Values(&gradient), Buffer::Output(3 * num_chains)];
            let params = [num_chains as u32, num_pixels as u32, radius.to_bits()];
            let [summary] = subject.run(num_chains as u32, &buffers, &params).await?;
            summaries.add(&summary, &reference::chain_summary(&x, &gradient, num_pixels, radius));
        }
    }
    Ok(vec![summaries])
}

pub(super) async fn mala_accept(subject: &Subject<'_>, extent: Extent) -> Found {
    const PROBABILITY_ERROR: f32 = 1e-4;
    let mut probabilities = subject.comparison("acceptance probabilities", PROBABILITY_ERROR);
    let mut decisions = subject.comparison("decisions and the states after them", 0.0);
    let (step_size, inverse_temperature) = (0.1f32, 0.5f32);
    for (num_chains, num_pixels) in chains(extent) {
        let len = num_chains * num_pixels;
        let [x, gradient, proposal, proposal_gradient] =
            [1, 2, 3, 4].map(|salt| scrambled(len, salt));
        let mut energies = scrambled(2 * num_chains, 5);
        // One proposal has the energy NaN.
        energies[num_chains] = f32::NAN;
        let buffers = [
            Buffer::Values(&x),
            Buffer::Values(&gradient),
            Buffer::Values(&proposal),
            Buffer::Values(&proposal_gradient),
            Buffer::Values(&energies),
            Buffer::Output(2 * num_chains),
            Buffer::Output(len),
        ];
        let numbers = [step_size, inverse_temperature].map(f32::to_bits);
        let sizes = [num_chains as u32, num_pixels as u32];
        let params = [&sizes[..], &numbers, &[KEY.first_chain], &KEY_WORDS].concat();
        let [acceptance, x_next] = subject.run(num_chains as u32, &buffers, &params).await?;
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
            probabilities.add(&found[1..], &[probability]);
            // Rounding may decide a chain whose uniform number is so close to its probability.
            if (uniform(chain as u32) - probability).abs() > PROBABILITY_ERROR {
                decisions.add(&found[..1], &[accepted]);
                decisions.add(&x_next[row], &twin);
            }
        }
    }
    Ok(vec![probabilities, decisions])
}

/// The uniform number in (0, 1) that decides on the proposal of a chain.
fn uniform(chain: u32) -> f32 {
    let [step, stream, seed_low, seed_high] = KEY_WORDS;
    let bits =
        reference::philox_4x32([KEY.first_chain + chain, step, stream, 1], [seed_low, seed_high])
            [0];
    ((bits >> 9) as f32 + 0.5) / (1 << 23) as f32
}

pub(super) async fn density_energy(subject: &Subject<'_>) -> Found {
    let mut energies = subject.comparison("energies of four densities, relative", 1e-5);
    let mut gradients = subject.comparison("their gradients, relative", 1e-5);
    for form in densities() {
        let (number, rows) = form.table();
        let table = rows.concat();
        for len in SIZES {
            let x = scrambled(2 * len, 3);
            let buffers = [
                Buffer::Values(&x),
                Buffer::Values(&table),
                Buffer::Output(len),
                Buffer::Output(2 * len),
            ];
            let params = [len as u32, number, rows.len() as u32];
            let [energy, gradient] = subject.run(groups(len), &buffers, &params).await?;
            let twin = x.chunks_exact(2).map(|p| reference::density_energy([p[0], p[1]], &form));
            let (twin_energy, twin_gradient): (Vec<f32>, Vec<[f32; 2]>) = twin.unzip();
            // Energies and slopes of these densities differ by orders of magnitude from point to point.
            for (comparison, found, twin) in [
                (&mut energies, &energy, &twin_energy[..]),
                (&mut gradients, &gradient, twin_gradient.as_flattened()),
            ] {
                for (found, twin) in found.iter().zip(twin) {
                    comparison.add(&[found / (1.0 + twin.abs())], &[twin / (1.0 + twin.abs())]);
                }
            }
        }
    }
    Ok(vec![energies, gradients])
}

/// One density of every form; the terms of the mixture are far apart.
pub fn densities() -> [DensityForm; 4] {
    let row = DensityForm::row;
    [
        DensityForm::Mixture(vec![
            row(0.7, [-0.5, 0.2], [0.1, 0.3], 0.4),
            row(0.3, [0.6, -0.4], [0.05, 0.05], 0.0),
        ]),
        DensityForm::Ring { radius: 0.6, width: 0.1 },
        DensityForm::Banana { along: 0.4, across: 0.1, bend: 1.5, shift: -0.4 },
        DensityForm::Funnel { along: 0.35, across: 0.1, bend: 1.9 },
    ]
}
