//! All random number streams of jempp, each with its number and the counters that select a draw.
//!
//! Two counter-based generators produce all of them, so no generator state has to be saved: equal seed, stream and
//! counters give equal numbers, in a resumed run too. Every word of a key has its own meaning, and words are never
//! added.
//!
//! | generator | on | key and counter words |
//! |---|---|---|
//! | Philox-4x32-10, [`NoiseStream`] | the device, in `shaders/common.wgsl` and its twin | seed; element / 4, step, stream, 0 (the chain, step, stream, 1 for MALA's decision) |
//! | ChaCha8, [`HostStream`] | the host | seed, stream, counter |
//!
//! Elements and chains are counted in the whole run, also where a tensor holds a part of its chains
//! ([`NoiseKey::from_chain`]): a part of the chains has the noise that it has in the whole.
//!
//! Streams are defined only in this file, which `tests/pure/house_rules.rs` enforces; the tests here check that no two
//! streams overlap.

use jempp_cpu::reference::NoiseKey;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Limit on the steps of a training run; each step needs its own noise.
pub const MAX_TRAINING_STEPS: u64 = TRAINING_CHAINS.count as u64;
/// The number of low bits of a counter word that hold the chain step within a training step; the high bits hold the
/// attempt. Each step of a chain needs its own noise.
const CHAIN_STEP_BITS: u32 = 17;
/// Limit on the attempts at a training step, each with its own noise: one more than the recoveries of a run.
pub const MAX_ATTEMPTS: usize = 1 << (u32::BITS - CHAIN_STEP_BITS);

/// One or several consecutive Philox streams for noise on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseStream {
    first: u32,
    count: u32,
}

impl NoiseStream {
    /// The key of the noise for step `step`.
    pub const fn key(self, seed: u64, step: u32) -> NoiseKey {
        NoiseKey { seed, stream: self.first, step, first_chain: 0 }
    }

    /// The stream at position `index` in this range.
    ///
    /// # Panics
    /// `index` is not below the number of streams.
    pub const fn nth(self, index: u32) -> Self {
        assert!(index < self.count, "more random streams than there are");
        Self { first: self.first + index, count: 1 }
    }
}

/// One or several consecutive ChaCha8 streams for random numbers on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostStream {
    first: u32,
    count: u32,
}

impl HostStream {
    /// Creates the generator for this seed and counter, at the start of its sequence.
    pub fn rng(self, seed: u64, counter: u64) -> ChaCha8Rng {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&self.first.to_le_bytes());
        key[16..24].copy_from_slice(&counter.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }

    /// The stream at position `index` in this range.
    ///
    /// # Panics
    /// `index` is not below the number of streams.
    pub const fn nth(self, index: u32) -> Self {
        assert!(index < self.count, "more random streams than there are");
        Self { first: self.first + index, count: 1 }
    }
}

/// Defines streams as `first number, how many in a row`, and the list of all streams that the test checks.
macro_rules! streams {
    ($($(#[$doc:meta])* $name:ident: $generator:ident = $first:expr, $count:expr;)*) => {
        $($(#[$doc])* pub const $name: $generator = $generator { first: $first, count: $count };)*

        #[cfg(test)]
        const ALL: &[(&str, u32, u32)] = &[$((stringify!($name), $first, $count)),*];
    };
}

streams! {
    /// Noise whose values do not matter: a step that is only timed, and a MALA decision of which only the probability
    /// is used.
    UNUSED: NoiseStream = 0, 1;
    /// The order of the images in an epoch; counter: epoch.
    BATCH_ORDER: HostStream = 1, 1;
    /// Flips and crops of a batch; counter: training step.
    AUGMENTATION: HostStream = 2, 1;
    /// The initial weights of a network; counter: 0.
    WEIGHTS: HostStream = 3, 1;
    /// The slots of the replay buffer that a training step takes, and the choice of slots to re-initialise; counter:
    /// training step, with the attempt from bit 40 on.
    BUFFER_SLOTS: HostStream = 4, 1;
    /// Noise on a training batch; step: training step.
    INPUT_NOISE: NoiseStream = 16, 1;
    /// Noise on the same batch as the energy terms see it, where the cross entropy sees others; step: training step.
    PLAIN_INPUT_NOISE: NoiseStream = 17, 1;
    /// Noise of kernels that are compared with their twins. Class centres use two streams.
    KERNEL_CHECK: NoiseStream = 18, 2;
    /// The initial chains of a replay buffer; step: 0. Class centres use two streams.
    BUFFER_FILL: NoiseStream = 32, 2;
    /// Points of a 2-D density, one stream each; counter: 0 for training, 1 for test points.
    DENSITY_POINTS: HostStream = 40, 6;
    /// Noise of sampled chains; step: step of the chain, in an evaluation plus the steps of earlier batches.
    CHAIN_NOISE: NoiseStream = 48, 1;
    /// Start states of sampled chains; step: 0, in an evaluation the batch. Class centres use two streams.
    CHAIN_STARTS: NoiseStream = 50, 2;
    /// The noise of the data on images whose energies are compared with those of chains that have it, by the place of an image in its
    /// set; step: 0.
    SHARED_NOISE: NoiseStream = 52, 1;
    /// Noise images for out-of-distribution detection; counter: 0.
    OOD_NOISE: HostStream = 60, 1;
    /// Smoothed noise images for out-of-distribution detection; counter: 0.
    OOD_SMOOTHED: HostStream = 61, 1;
    /// Images of one colour for out-of-distribution detection; counter: 0.
    OOD_CONSTANT: HostStream = 62, 1;
    /// Pairs of images to mix for out-of-distribution detection; counter: 0.
    OOD_PAIRS: HostStream = 63, 1;
    /// The start points of attacks within their ball; counter: batch, with the round from bit 32 on.
    ATTACK_STARTS: HostStream = 64, 1;
    /// The choice of images to attack; counter: 0.
    ATTACKED_IMAGES: HostStream = 65, 1;
    /// Exact samples of the density in the lab; counter: 0.
    LAB_DRAWS: HostStream = 66, 1;
    /// The test part of a user's own data set; counter: class.
    TEST_SPLIT: HostStream = 67, 1;
    /// How pictures made of a drawing differ from it; counter: class, drawing and picture, 16 bits or more for each.
    DRAWN_PICTURES: HostStream = 68, 1;
    /// The drawings of a class that are held out; counter: class.
    DRAWN_TEST_PART: HostStream = 69, 1;
    /// The training items that are used, if not all are; counter: class.
    TRAINING_SUBSET: HostStream = 76, 1;
    /// The training items that are held out; counter: class. The seed is 0 in every run.
    VALIDATION_PART: HostStream = 77, 1;
    /// The choice of items that are spread over a data set; seed: its length; counter: how many.
    SPREAD: HostStream = 78, 1;
    /// Example drawings; counter: class and drawing, 32 bits each.
    DRAWN_EXAMPLES: HostStream = 74, 1;
    /// The start points of the attacks of adversarial training within their ball; counter: training step.
    TRAINING_ATTACK_STARTS: HostStream = 75, 1;
    /// Resamples of the bootstrap; counter: 0.
    RESAMPLES: HostStream = 70, 1;
    /// The split of a test set into halves, one of which fits a temperature; counter: 0.
    CALIBRATION_HALVES: HostStream = 71, 1;
    /// The groups of images whose statistics are compared; counter: 0.
    GROUPS: HostStream = 72, 1;
    /// Start states of re-initialised chains in the replay buffer, two streams for each attempt; step: training step.
    BUFFER_RESTARTS: NoiseStream = 1 << 16, 2 * MAX_ATTEMPTS as u32;
    /// Noise of the refinement by an attacker, two streams for each batch; step: see `eval::attack`.
    ATTACKER: NoiseStream = 1 << 24, 1 << 24;
    /// Noise of the refinement by a defender, two streams for each batch; step: see `eval::attack`.
    DEFENDER: NoiseStream = 1 << 25, 1 << 25;
    /// Noise of the chains in training, one stream for each training step; see [`training_chain`].
    TRAINING_CHAINS: NoiseStream = 1 << 31, 1 << 31;
}

/// The first noise key of the chains of a training step; `None` once a run has used up its noise, after
/// [`MAX_TRAINING_STEPS`] or [`MAX_ATTEMPTS`].
///
/// Training step and chain step are separate words, so that no noise repeats, whatever value `sampler.num_steps` had at
/// earlier steps. The attempt is in the upper bits of the word of the chain step.
pub fn training_chain(seed: u64, step: u64, attempt: usize) -> Option<NoiseKey> {
    let step = u32::try_from(step).ok().filter(|&step| step < TRAINING_CHAINS.count)?;
    let attempt = u32::try_from(attempt).ok().filter(|_| attempt < MAX_ATTEMPTS)?;
    Some(TRAINING_CHAINS.nth(step).key(seed, attempt << CHAIN_STEP_BITS))
}

/// The generator for the start vectors of an eigenvector search: the same in every run, whatever its seed.
pub(crate) fn eigenvector_start() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::RngExt;

    use super::*;

    /// Limit on the steps of a chain within a training step.
    const MAX_CHAIN_STEPS: usize = 1 << CHAIN_STEP_BITS;
    use crate::config::SamplerConfig;

    #[test]
    fn no_two_streams_overlap() {
        for (index, (name, first, count)) in ALL.iter().enumerate() {
            let last = first.checked_add(count - 1);
            let last = last.unwrap_or_else(|| panic!("{name} runs past the last number"));
            for (other, other_first, other_count) in &ALL[index + 1..] {
                let other_last = other_first + (other_count - 1);
                assert!(last < *other_first || other_last < *first, "{name} and {other} overlap");
            }
        }
    }

    #[test]
    fn draws_of_two_streams_seeds_or_counters_differ() {
        let draw = |stream: HostStream, seed, counter| -> u64 {
            RngExt::random(&mut stream.rng(seed, counter))
        };
        let mut seen = HashSet::new();
        for seed in [0, 1] {
            for counter in [0, 1] {
                for stream in [OOD_NOISE, LAB_DRAWS, DENSITY_POINTS, DENSITY_POINTS.nth(5)] {
                    assert!(seen.insert(draw(stream, seed, counter)));
                }
            }
        }
    }

    #[test]
    fn no_noise_comes_twice_when_the_number_of_chain_steps_changes() {
        let (_, most) = SamplerConfig::field("num_steps").range.unwrap_or_default();
        assert!(most > 0.0 && most <= MAX_CHAIN_STEPS as f64, "{most}");

        let mut seen = HashSet::new();
        let mut num_used = 0;
        for (step, num_steps) in [10, 5, 7, 7, 1, 100_000, 3].into_iter().enumerate() {
            for attempt in 0..3 {
                let first = training_chain(1, step as u64, attempt).unwrap();
                seen.extend(
                    (0..num_steps).map(|chain_step| (first.stream, first.step + chain_step)),
                );
                num_used += num_steps as usize;
            }
        }
        assert_eq!(seen.len(), num_used);
    }

    #[test]
    fn training_ends_where_its_noise_would_come_again() {
        let last = training_chain(1, MAX_TRAINING_STEPS - 1, MAX_ATTEMPTS - 1).unwrap();
        assert_eq!(last.stream, u32::MAX);
        assert_eq!(last.step, u32::MAX - (MAX_CHAIN_STEPS as u32 - 1), "its last step fits");
        assert_eq!(training_chain(1, MAX_TRAINING_STEPS, 0), None);
        assert_eq!(training_chain(1, u64::MAX, 0), None);
        assert_eq!(training_chain(1, 0, MAX_ATTEMPTS), None);
    }
}
