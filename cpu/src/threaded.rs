//! The twins of [`mod@reference`] on all threads: each task takes a part of the chains or of the values. The
//! results are those of the twins, bit for bit.

use crate::{
    layers::vectorize,
    parallel::*,
    reference::{self, DensityForm, NoiseKey, Proposal, ProximalStep},
};

/// The number of values per task; a multiple of 4, because 4 values share a Philox block.
const PART_LEN: usize = 4096;
/// The number of points per task.
const NUM_POINTS: usize = 1024;

/// Moves `x` in place by one Langevin update; see [`reference::proximal_step`].
pub fn proximal_step(x: &mut [f32], gradient: &[f32], first_element: u32, update: &ProximalStep) {
    let parts = x.par_chunks_mut(PART_LEN).zip(gradient.par_chunks(PART_LEN)).enumerate();
    parts.for_each(|(index, (x, gradient))| {
        let first_element = first_element + (index * PART_LEN) as u32;
        reference::proximal_step(x, gradient, first_element, update);
    });
}

/// Gradient norm, clamped share and saturated share of each chain, shape (N, 3); see [`reference::chain_summary`].
pub fn chain_summary(x: &[f32], gradient: &[f32], num_pixels: usize, radius: f32) -> Vec<f32> {
    let chains = x.par_chunks(num_pixels).zip(gradient.par_chunks(num_pixels));
    let summary: Vec<Vec<f32>> = chains
        .map(|(x, gradient)| reference::chain_summary(x, gradient, num_pixels, radius))
        .collect();
    summary.concat()
}

/// The current states and the proposals of N chains of D pixels, with their energies and gradients.
#[derive(Clone, Copy, Debug)]
pub struct Proposals<'a> {
    /// The current states, shape (N, D).
    pub x: &'a [f32],
    /// ∂E/∂x at the current states, shape (N, D).
    pub gradient: &'a [f32],
    /// E at the current states, shape (N).
    pub energy: &'a [f32],
    /// The proposals, shape (N, D).
    pub proposal: &'a [f32],
    /// ∂E/∂x at the proposals, shape (N, D).
    pub proposal_gradient: &'a [f32],
    /// E at the proposals, shape (N).
    pub proposal_energy: &'a [f32],
}

/// Accepts or rejects each proposal. Returns the next states, shape (N, D), and for each chain whether it moved and the
/// acceptance probability, shape (N, 2); see [`reference::mala_accept`].
pub fn mala_accept(
    ends: &Proposals,
    step_size: f32,
    inverse_temperature: f32,
    noise: NoiseKey,
) -> (Vec<f32>, Vec<f32>) {
    let num_chains = ends.energy.len();
    let num_pixels = ends.x.len() / num_chains.max(1);
    let decided = (0..num_chains).into_par_iter().map(|chain| {
        let row = chain * num_pixels..(chain + 1) * num_pixels;
        let ends = Proposal {
            x: &ends.x[row.clone()],
            gradient: &ends.gradient[row.clone()],
            energy: ends.energy[chain],
            proposal: &ends.proposal[row.clone()],
            proposal_gradient: &ends.proposal_gradient[row],
            proposal_energy: ends.proposal_energy[chain],
        };
        reference::mala_accept(&ends, chain as u32, step_size, inverse_temperature, noise)
    });
    let (x_next, acceptance): (Vec<_>, Vec<_>) = decided.unzip();
    (x_next.concat(), acceptance.concat())
}

/// Energies (N) and gradients (N, 2) of an analytic density at `x` (N, 2); see [`reference::density_energy`].
pub fn density_energy(x: &[f32], form: &DensityForm) -> (Vec<f32>, Vec<f32>) {
    let mut energy = vec![0.0; x.len() / 2];
    let mut gradient = vec![0.0; x.len()];
    let parts = x
        .par_chunks(2 * NUM_POINTS)
        .zip(energy.par_chunks_mut(NUM_POINTS))
        .zip(gradient.par_chunks_mut(2 * NUM_POINTS));
    parts.for_each(|((x, energy), gradient)| {
        let points = x.chunks_exact(2).zip(energy).zip(gradient.chunks_exact_mut(2));
        for ((point, energy), slope) in points {
            let (value, at_point) = reference::density_energy([point[0], point[1]], form);
            *energy = value;
            slope.copy_from_slice(&at_point);
        }
    });
    (energy, gradient)
}

/// Repeats x ← x m + a, [`reference::FMA_PER_ROUND`] times in each of the `rounds`, to measure arithmetic speed; see
/// [`reference::fma_rate`].
pub fn fma_rate(x: &mut [f32], rounds: u32, m: f32, a: f32) {
    x.par_chunks_mut(PART_LEN).for_each(|part| {
        vectorize(
            #[inline(always)]
            || reference::fma_rate(part, rounds, m, a),
        );
    });
}

/// Copies `x` to `to`, to measure memory bandwidth; see [`reference::copy_rate`].
pub fn copy_rate(x: &[f32], to: &mut [f32]) {
    let parts = to.par_chunks_mut(PART_LEN).zip(x.par_chunks(PART_LEN));
    parts.for_each(|(to, x)| reference::copy_rate(x, to));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values in [-1, 1) that differ from each other.
    fn values(len: usize, salt: u32) -> Vec<f32> {
        let word = |i| reference::philox_4x32([i as u32, salt, 0, 0], [0, 0])[0];
        (0..len).map(|i| word(i) as f32 / 2f32.powi(31) - 1.0).collect()
    }

    #[test]
    fn parts_give_what_the_twin_gives_for_the_whole() {
        let len = 2 * PART_LEN + 6;
        let (x, gradient) = (values(len, 1), values(len, 2));
        let noise = NoiseKey { seed: 7, stream: 3, step: 5, first_chain: 0 };
        let update = ProximalStep {
            step_size: 0.1,
            noise_std: 0.2,
            proximal_radius: 0.5,
            project: true,
            noise,
        };
        let (mut in_parts, mut whole) = (x.clone(), x.clone());
        proximal_step(&mut in_parts, &gradient, 3, &update);
        reference::proximal_step(&mut whole, &gradient, 3, &update);
        assert_eq!(in_parts, whole);

        let num_pixels = len / 2;
        let whole = reference::chain_summary(&x, &gradient, num_pixels, 0.5);
        assert_eq!(chain_summary(&x, &gradient, num_pixels, 0.5), whole);

        let form = DensityForm::Ring { radius: 0.5, width: 0.1 };
        let (energy, slope) = density_energy(&x, &form);
        for (point, found) in x.chunks_exact(2).zip(energy.iter().zip(slope.chunks_exact(2))) {
            let (energy, slope) = reference::density_energy([point[0], point[1]], &form);
            assert_eq!((*found.0, found.1), (energy, &slope[..]));
        }
    }

    #[test]
    fn each_chain_is_accepted_or_rejected_by_its_own_draw() {
        let (num_chains, num_pixels) = (50, 3);
        let rows = |salt| values(num_chains * num_pixels, salt);
        let (x, gradient, proposal, proposal_gradient) = (rows(1), rows(2), rows(3), rows(4));
        let (energy, proposal_energy) = (values(num_chains, 5), values(num_chains, 6));
        let ends = Proposals {
            x: &x,
            gradient: &gradient,
            energy: &energy,
            proposal: &proposal,
            proposal_gradient: &proposal_gradient,
            proposal_energy: &proposal_energy,
        };
        let noise = NoiseKey { seed: 7, stream: 3, step: 5, first_chain: 0 };
        let (x_next, acceptance) = mala_accept(&ends, 0.1, 1.0, noise);
        let has_moved = acceptance.chunks_exact(2).map(|of| of[0] > 0.5);
        assert!(has_moved.clone().any(|moved| moved) && !has_moved.clone().all(|moved| moved));
        for (chain, moved) in has_moved.enumerate() {
            let row = chain * num_pixels..(chain + 1) * num_pixels;
            let from = if moved { &proposal } else { &x };
            assert_eq!(x_next[row.clone()], from[row]);
        }
    }
}
