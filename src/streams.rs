//! Every stream of random numbers that jempp draws from, with its number, and the counters that pick a draw in it.
//!
//! Two counter-based generators make all of them, so that nothing of a generator has to be saved: the same seed,
//! stream and counters give the same numbers, in a resumed run too. Every word of a key has a meaning of its own, and
//! no two are ever added.
//!
//! | generator | on | key and counter words |
//! |---|---|---|
//! | Philox-4x32-10, [`NoiseStream`] | the device, in `shaders/common.wgsl` and its twin | seed; element / 4, step, stream, 0 (1 for MALA's decision) |
//! | ChaCha8, [`HostStream`] | the host | seed, stream, counter |
//!
//! Streams are made in this file and nowhere else, which `tests/pure/house_rules.rs` holds; the tests here hold that no
//! two overlap.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::kernels::reference::NoiseKey;

/// Most steps of a training run, each with noise of its own.
pub const MAX_TRAINING_STEPS: u64 = TRAINING_CHAINS.count as u64;
/// Bits of a counter word that number the steps of a chain within a training step; those above number the attempts.
const CHAIN_STEP_BITS: u32 = 17;
/// Most steps of a chain within a training step, each with noise of its own.
pub const MAX_CHAIN_STEPS: usize = 1 << CHAIN_STEP_BITS;
/// Most attempts at a training step, each with noise of its own: one more than the recoveries of a run.
pub const MAX_ATTEMPTS: usize = 1 << (u32::BITS - CHAIN_STEP_BITS);

/// Philox streams for noise on the device, one or several in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseStream {
    first: u32,
    count: u32,
}

impl NoiseStream {
    /// The noise of step `step`.
    pub const fn key(self, seed: u64, step: u32) -> NoiseKey {
        NoiseKey { seed, stream: self.first, step }
    }

    /// The `index`-th stream of these.
    ///
    /// # Panics
    /// There are fewer.
    pub const fn nth(self, index: u32) -> Self {
        assert!(index < self.count, "more random streams than there are");
        Self { first: self.first + index, count: 1 }
    }
}

/// ChaCha8 streams for what is drawn on the host, one or several in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostStream {
    first: u32,
    count: u32,
}

impl HostStream {
    /// The generator for this seed and counter, at its beginning.
    pub fn rng(self, seed: u64, counter: u64) -> ChaCha8Rng {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&self.first.to_le_bytes());
        key[16..24].copy_from_slice(&counter.to_le_bytes());
        ChaCha8Rng::from_seed(key)
    }

    /// The `index`-th stream of these.
    ///
    /// # Panics
    /// There are fewer.
    pub const fn nth(self, index: u32) -> Self {
        assert!(index < self.count, "more random streams than there are");
        Self { first: self.first + index, count: 1 }
    }
}

/// Names streams: `first number, how many in a row`. The list of all, which the test looks at, comes from here too.
macro_rules! streams {
    ($($(#[$doc:meta])* $name:ident: $generator:ident = $first:expr, $count:expr;)*) => {
        $($(#[$doc])* pub const $name: $generator = $generator { first: $first, count: $count };)*

        #[cfg(test)]
        const ALL: &[(&str, u32, u32)] = &[$((stringify!($name), $first, $count)),*];
    };
}

streams! {
    /// Noise whose values nobody looks at: a step that is only timed, and a decision of MALA of which only the
    /// probability is read.
    UNUSED: NoiseStream = 0, 1;
    /// The order of the images in an epoch; counter: epoch.
    BATCH_ORDER: HostStream = 1, 1;
    /// Flips and crops of a batch; counter: training step.
    AUGMENTATION: HostStream = 2, 1;
    /// The first weights of a network; counter: 0.
    WEIGHTS: HostStream = 3, 1;
    /// Which slots of the replay buffer a training step takes, and which of them start afresh; counter: training step,
    /// and the attempt from bit 40 on.
    BUFFER_SLOTS: HostStream = 4, 1;
    /// Noise on a training batch; step: training step.
    INPUT_NOISE: NoiseStream = 16, 1;
    /// Noise on the same batch without augmentation; step: training step.
    PLAIN_INPUT_NOISE: NoiseStream = 17, 1;
    /// The first chains of a replay buffer; step: 0. Class centres use two streams.
    BUFFER_FILL: NoiseStream = 32, 2;
    /// Points of a 2-D density, one stream each; counter: 0 for training, 1 for test points.
    DENSITY_POINTS: HostStream = 40, 6;
    /// Noise of sampled chains; step: step of the chain, and in an evaluation steps before it in earlier batches.
    CHAIN_NOISE: NoiseStream = 48, 1;
    /// Starts of sampled chains; step: 0, in an evaluation the batch. Class centres use two streams.
    CHAIN_STARTS: NoiseStream = 50, 2;
    /// Images of noise that a model has never seen; counter: 0.
    OOD_NOISE: HostStream = 60, 1;
    /// Smoothed noise; counter: 0.
    OOD_SMOOTHED: HostStream = 61, 1;
    /// Images of one colour; counter: 0.
    OOD_CONSTANT: HostStream = 62, 1;
    /// Pairs of images that are mixed; counter: 0.
    OOD_PAIRS: HostStream = 63, 1;
    /// Where attacks start in their ball; counter: batch, and the round from bit 32 on.
    ATTACK_STARTS: HostStream = 64, 1;
    /// Which images are attacked; counter: 0.
    ATTACKED_IMAGES: HostStream = 65, 1;
    /// Exact draws of the lab's density; counter: 0.
    LAB_DRAWS: HostStream = 66, 1;
    /// Resamples of the bootstrap; counter: 0.
    RESAMPLES: HostStream = 70, 1;
    /// The halves of a test set, one to fit a temperature on; counter: 0.
    CALIBRATION_HALVES: HostStream = 71, 1;
    /// Groups of images whose statistic is compared; counter: 0.
    GROUPS: HostStream = 72, 1;
    /// Fresh starts in the replay buffer, two streams for each attempt; step: training step.
    BUFFER_RESTARTS: NoiseStream = 1 << 16, 2 * MAX_ATTEMPTS as u32;
    /// Noise of the refinement that an attacker runs, two streams for each batch; step: see `eval::attack`.
    ATTACKER: NoiseStream = 1 << 24, 1 << 24;
    /// Noise of the refinement that a defender runs, two streams for each batch; step: see `eval::attack`.
    DEFENDER: NoiseStream = 1 << 25, 1 << 25;
    /// Noise of the chains in training, one stream for each training step; see [`training_chain`].
    TRAINING_CHAINS: NoiseStream = 1 << 31, 1 << 31;
}

/// The noise that the chains of a training step begin with; `None` once a run has used up all noise there is, after
/// [`MAX_TRAINING_STEPS`] or [`MAX_ATTEMPTS`].
///
/// Training step and chain step are separate words, so that no noise comes twice, whatever `sampler.num_steps` was when
/// earlier steps were done. The attempt has the upper bits of the chain step's word.
pub fn training_chain(seed: u64, step: u64, attempt: usize) -> Option<NoiseKey> {
    let step = u32::try_from(step).ok().filter(|&step| step < TRAINING_CHAINS.count)?;
    let attempt = u32::try_from(attempt).ok().filter(|_| attempt < MAX_ATTEMPTS)?;
    Some(TRAINING_CHAINS.nth(step).key(seed, attempt << CHAIN_STEP_BITS))
}

/// The generator that a search for eigenvectors starts with: the same in every run, whatever its seed.
pub(crate) fn eigenvector_start() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::RngExt;

    use super::*;
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
