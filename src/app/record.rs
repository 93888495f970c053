//! The record of a run, limited in memory, from which past steps can be replayed exactly.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering},
};

use crate::worker::{LaneImages, LaneNumbers, RunRequest, Step};

/// The maximum memory for the record of a run and that of the run before it together, in MiB; there may be a lower limit.
const HISTORY_MIB: usize = 320;
/// The share of it for the run before, which undo brings back, in percent.
const PAST_PERCENT: usize = 25;
/// The share of a record for images and gradients, in percent; the rest is for scalars.
const IMAGES_PERCENT: usize = 60;
static LIMIT: AtomicUsize = AtomicUsize::new(HISTORY_MIB);

/// Limits the memory for the records of runs that begin from now on, in MiB.
#[cfg(target_arch = "wasm32")]
pub(crate) fn limit_history(mib: usize) {
    LIMIT.store(mib.max(8).min(HISTORY_MIB), Ordering::Relaxed);
}

/// The maximum memory for the record of a run and for that of the run before it together, in MiB.
pub(crate) fn history_mib() -> usize {
    LIMIT.load(Ordering::Relaxed)
}

/// The memory of a lane's parts beyond their contents, in bytes.
const OVERHEAD_BYTES: usize = 512;
/// The number of newest entries that are not thinned out, if they fit in half the memory limit.
const NUM_RECENT: usize = 32;

/// A list of entries in the order of their steps, limited in memory. Beyond the limit, it keeps every second of
/// the older entries, then every fourth, and so on. The first and the newest entries stay.
#[derive(Clone, Debug)]
pub struct Thinned<T> {
    entries: Vec<(u64, T)>,
    stride: u64,
    max_bytes: usize,
    entry_bytes: usize,
}

impl<T> Thinned<T> {
    /// An empty list with a memory limit in bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self { entries: Vec::new(), stride: 1, max_bytes, entry_bytes: 1 }
    }

    /// Adds an entry of `bytes` bytes. It replaces the entries of the same step and of later ones.
    pub fn push(&mut self, step: u64, entry: T, bytes: usize) {
        while self.entries.last().is_some_and(|&(last, _)| last >= step) {
            self.entries.pop();
        }
        self.entries.push((step, entry));
        self.entry_bytes = self.entry_bytes.max(bytes);
        let (_, num_recent) = self.most();
        // With every new entry, one entry stops being recent.
        if let Some(index) = self.entries.len().checked_sub(num_recent + 1)
            && !self.entries[index].0.is_multiple_of(self.stride)
        {
            self.entries.remove(index);
        }
        self.limit(self.max_bytes);
    }

    /// The largest number of entries, and of those that are recent.
    fn most(&self) -> (usize, usize) {
        let most = (self.max_bytes / self.entry_bytes).max(2);
        (most, NUM_RECENT.min(most / 2))
    }

    /// Sets the memory limit in bytes, and thins out the older entries until it is kept.
    fn limit(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        let (most, num_recent) = self.most();
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

    /// The number of steps between the older entries.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// The approximate memory in use, in bytes.
    pub(crate) fn num_bytes(&self) -> usize {
        self.entries.len() * self.entry_bytes
    }

    /// The entries with their steps, oldest first.
    pub fn entries(&self) -> &[(u64, T)] {
        &self.entries
    }

    /// The last recorded step.
    pub fn last_step(&self) -> Option<u64> {
        self.entries.last().map(|entry| entry.0)
    }

    /// The newest entry at or before `step`, or the first entry if there is none.
    pub fn at(&self, step: u64) -> Option<&(u64, T)> {
        let after = self.entries.partition_point(|entry| entry.0 <= step);
        self.entries.get(after.saturating_sub(1))
    }

    /// The last recorded step before `step`.
    pub fn before(&self, step: u64) -> Option<u64> {
        let index = self.entries.partition_point(|entry| entry.0 < step).checked_sub(1)?;
        Some(self.entries[index].0)
    }

    /// The first recorded step after `step`.
    pub fn after(&self, step: u64) -> Option<u64> {
        let index = self.entries.partition_point(|entry| entry.0 <= step);
        self.entries.get(index).map(|entry| entry.0)
    }
}

/// The recorded part of a run.
#[derive(Clone, Debug)]
pub struct Record {
    /// The request that started the run, with the rules at the start.
    pub request: RunRequest,
    /// Whether the model was trained during the run, so that the chains had no fixed target distribution.
    pub weights_change: bool,
    /// The images and gradients of each lane.
    pub images: Thinned<Vec<LaneImages>>,
    /// The scalars of each lane.
    pub numbers: Thinned<Arc<Vec<LaneNumbers>>>,
}

impl Record {
    /// An empty record of a run.
    pub fn new(request: RunRequest) -> Self {
        let (images, numbers) = (Thinned::new(0), Thinned::new(0));
        let mut record = Self { request, weights_change: false, images, numbers };
        record.limit(false);
        record
    }

    /// Limits the memory, for the run that is shown or for the one before it.
    pub(in crate::app) fn limit(&mut self, is_past: bool) {
        let percent = if is_past { PAST_PERCENT } else { 100 - PAST_PERCENT };
        let bytes = (history_mib() << 20) / 100 * percent;
        let image_bytes = bytes / 100 * IMAGES_PERCENT;
        self.images.limit(image_bytes);
        self.numbers.limit(bytes - image_bytes);
    }

    /// Adds a step. It replaces the record of the same step and of later ones.
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

    /// Whether the numbers at a step, or at the last recorded one before it, are still this entry. What replaced it is another
    /// one, because a weak pointer keeps the address of its entry from being used again.
    pub(in crate::app) fn still_has(&self, step: u64, entry: &Weak<Vec<LaneNumbers>>) -> bool {
        let found = self.numbers.at(step);
        found.is_some_and(|(_, found)| std::ptr::eq(entry.as_ptr(), Arc::as_ptr(found)))
    }

    /// The number of chains of a lane.
    pub fn num_chains(&self) -> usize {
        self.request.labels.len()
    }

    /// The approximate memory in use, in bytes.
    pub(crate) fn num_bytes(&self) -> usize {
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
    fn a_smaller_limit_keeps_the_first_and_the_last_entries() {
        let mut kept = Thinned::new(1000 * 100);
        for step in 0..1000u64 {
            kept.push(step, step, 100);
        }
        kept.limit(10 * 100);
        assert!(kept.num_bytes() <= 10 * 100, "{}", kept.num_bytes());
        assert_eq!((kept.entries()[0], kept.last_step()), ((0, 0), Some(999)));
        // With the old limit, what comes later is added to what is left.
        kept.limit(1000 * 100);
        for step in 1000..3000u64 {
            kept.push(step, step, 100);
            assert!(kept.num_bytes() <= 1000 * 100);
        }
        assert!(kept.entries().len() > 10 && kept.last_step() == Some(2999));
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
