//! What has been seen of a run, kept within a bound of memory, so that it can be replayed exactly.

use std::sync::Arc;

use crate::worker::{LaneImages, LaneNumbers, RunRequest, Step};

/// Most bytes of images and gradients that a run keeps.
pub const IMAGE_BYTES: usize = 192 << 20;
/// Most bytes of scalars that a run keeps.
pub const NUMBER_BYTES: usize = 128 << 20;
/// The two together, in MiB.
pub const HISTORY_MIB: usize = (IMAGE_BYTES + NUMBER_BYTES) >> 20;
/// What the parts of a lane take beside their contents.
const OVERHEAD_BYTES: usize = 512;
/// The newest entries, so many of them, are not thinned out if they fit in half the bound.
const NUM_RECENT: usize = 32;

/// Entries in the order of their steps. Past its bound in bytes it keeps every second of the older ones,
/// then every fourth, and so on; the first and the newest stay.
#[derive(Debug)]
pub struct Thinned<T> {
    entries: Vec<(u64, T)>,
    stride: u64,
    max_bytes: usize,
    entry_bytes: usize,
}

impl<T> Thinned<T> {
    /// An empty record with a bound in bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { entries: Vec::new(), stride: 1, max_bytes, entry_bytes: 1 }
    }

    /// Adds an entry of so many bytes, in the place of those of the same and later steps.
    pub fn push(&mut self, step: u64, entry: T, bytes: usize) {
        while self.entries.last().is_some_and(|&(last, _)| last >= step) {
            self.entries.pop();
        }
        self.entries.push((step, entry));
        self.entry_bytes = self.entry_bytes.max(bytes);
        let most = (self.max_bytes / self.entry_bytes).max(2);
        let num_recent = NUM_RECENT.min(most / 2);
        // One entry leaves the recent ones at a time.
        if let Some(index) = self.entries.len().checked_sub(num_recent + 1)
            && !self.entries[index].0.is_multiple_of(self.stride)
        {
            self.entries.remove(index);
        }
        while self.entries.len() > most {
            self.stride *= 2;
            let first_recent = self.entries.len() - num_recent;
            let stride = self.stride;
            let mut index = 0;
            self.entries.retain(|&(step, _)| {
                index += 1;
                index > first_recent || step.is_multiple_of(stride)
            });
        }
    }

    /// Steps between the older entries.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// About how many bytes are kept.
    pub fn num_bytes(&self) -> usize {
        self.entries.len() * self.entry_bytes
    }

    /// Entries with their steps, oldest first.
    pub fn entries(&self) -> &[(u64, T)] {
        &self.entries
    }

    /// The last step.
    pub fn last_step(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.0)
    }

    /// The newest entry at or before `step`; the first one if there is none.
    pub fn at(&self, step: u64) -> Option<&(u64, T)> {
        let after = self.entries.partition_point(|entry| entry.0 <= step);
        self.entries.get(after.saturating_sub(1))
    }

    /// The step kept next before `step`.
    pub fn before(&self, step: u64) -> Option<u64> {
        let index = self.entries.partition_point(|entry| entry.0 < step).checked_sub(1)?;
        Some(self.entries[index].0)
    }

    /// The step kept next after `step`.
    pub fn after(&self, step: u64) -> Option<u64> {
        let index = self.entries.partition_point(|entry| entry.0 <= step);
        self.entries.get(index).map(|entry| entry.0)
    }
}

/// A run as far as it was seen.
#[derive(Debug)]
pub struct Record {
    /// What was asked for; its rules are those of the start.
    pub request: RunRequest,
    /// Whether the model was being trained meanwhile, so that the chains followed no one law.
    pub weights_change: bool,
    /// Images and gradients of each lane.
    pub images: Thinned<Vec<LaneImages>>,
    /// Scalars of each lane.
    pub numbers: Thinned<Arc<Vec<LaneNumbers>>>,
}

impl Record {
    /// A run of which nothing was seen yet.
    pub fn new(request: RunRequest) -> Self {
        Self {
            request,
            weights_change: false,
            images: Thinned::new(IMAGE_BYTES),
            numbers: Thinned::new(NUMBER_BYTES),
        }
    }

    /// Adds a step; it replaces what was recorded of it and of later ones.
    pub fn push(&mut self, step: Step) {
        let (mut images, mut numbers) = (Vec::new(), Vec::new());
        for lane in step.lanes {
            images.push(lane.images);
            numbers.push(lane.numbers);
        }
        let overhead = OVERHEAD_BYTES * images.len();
        let of_images: usize = images.iter().map(LaneImages::num_bytes).sum();
        let of_numbers: usize = numbers.iter().map(LaneNumbers::num_bytes).sum();
        self.images.push(step.step, images, of_images + overhead);
        self.numbers.push(step.step, Arc::new(numbers), of_numbers + overhead);
    }

    /// Chains of a lane.
    pub fn num_chains(&self) -> usize {
        self.request.labels.len()
    }

    /// About how many bytes are kept.
    pub fn num_bytes(&self) -> usize {
        self.images.num_bytes() + self.numbers.num_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_thousand_steps_stay_within_the_bound() {
        let mut kept = Thinned::new(1000 * 100);
        for step in 0..100_000u64 {
            kept.push(step, step, 100);
            assert!(kept.num_bytes() <= 1000 * 100);
        }
        assert_eq!(kept.entries()[0], (0, 0));
        assert_eq!(kept.last_step(), Some(99_999));
        assert!(kept.stride() > 64);
        let recent: Vec<u64> = kept.entries().iter().rev().take(32).map(|e| e.0).collect();
        assert_eq!(recent, (99_968..100_000).rev().collect::<Vec<_>>());
        let (old, _) = kept.entries().split_at(kept.entries().len() - 32);
        assert!(old.iter().all(|entry| entry.0 % kept.stride() == 0));
    }

    #[test]
    fn large_entries_stay_within_the_bound_too() {
        let mut kept = Thinned::new(1000);
        for step in 0..1000u64 {
            kept.push(step, step, 150);
            assert!(kept.num_bytes() <= 1000, "{}", kept.num_bytes());
        }
        assert_eq!((kept.entries()[0], kept.last_step()), ((0, 0), Some(999)));
    }

    #[test]
    fn steps_are_found_and_replaced() {
        let mut kept = Thinned::new(1 << 20);
        for step in 0..10 {
            kept.push(step, step * 10, 8);
        }
        assert_eq!(kept.at(4), Some(&(4, 40)));
        assert_eq!(kept.at(99), Some(&(9, 90)));
        assert_eq!((kept.before(4), kept.after(4)), (Some(3), Some(5)));
        assert_eq!((kept.before(0), kept.after(9)), (None, None));
        kept.push(4, 0, 8);
        assert_eq!(kept.last_step(), Some(4));
        assert_eq!(kept.at(9), Some(&(4, 0)));
    }
}
