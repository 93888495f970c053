//! Memory of earlier results, used again.
//!
//! Every step of a chain makes tensors of the same few sizes. Memory fresh from the system costs a fault
//! for each page and is written twice, once with zeros; what the last step has given back costs neither.

use std::{
    collections::VecDeque,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    slice,
    sync::{Mutex, MutexGuard, PoisonError},
};

use burn::tensor::{AllocationProperty, Bytes};
use burn_std::{AccessError, AccessPolicy, AllocationController};

/// Shorter buffers are left to the allocator.
const MIN_LEN: usize = 1 << 12;
/// Most values kept free, 256 MiB of them.
const MAX_KEPT: usize = 1 << 26;

struct Pool {
    /// The latest given back last.
    free: VecDeque<Vec<f32>>,
    num_kept: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { free: VecDeque::new(), num_kept: 0 });

fn pool() -> MutexGuard<'static, Pool> {
    // Whoever panicked left whole buffers behind.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// The smallest that holds `len` values and is at most three times as long: a looser fit
    /// keeps fewer buffers, until small results sit in the large ones.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        let fits = |values: &Vec<f32>| (len..=2 * len).contains(&values.len());
        let places = self.free.iter().enumerate().rev().filter(|(_, values)| fits(values));
        // Of several, the latest is the likeliest to be in a cache.
        let (index, _) = places.min_by_key(|(_, values)| values.len())?;
        let values = self.free.remove(index)?;
        self.num_kept -= values.len();
        Some(values)
    }

    fn give_back(&mut self, values: Vec<f32>) {
        self.num_kept += values.len();
        self.free.push_back(values);
        while self.num_kept > MAX_KEPT {
            let Some(oldest) = self.free.pop_front() else { break };
            self.num_kept -= oldest.len();
        }
    }
}

/// Values that go back to the pool when dropped.
#[derive(Debug)]
pub struct Buffer {
    values: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// Room for `len` values. They are whatever an earlier result left: each must be written.
    pub fn new(len: usize) -> Self {
        let reused = if len < MIN_LEN { None } else { pool().take(len) };
        Self { values: reused.unwrap_or_else(|| vec![0.0; len]), len }
    }

    /// What a tensor of the CPU back end holds.
    pub fn into_bytes(self) -> Bytes {
        let len = size_of_val(&self[..]);
        // SAFETY: a buffer's values are floats that have been written, `len` bytes in all.
        unsafe { Bytes::from_controller(Box::new(self), len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.values.len() >= MIN_LEN {
            pool().give_back(std::mem::take(&mut self.values));
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(values: Vec<f32>) -> Self {
        Self { len: values.len(), values }
    }
}

impl AllocationController for Buffer {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(
        &mut self,
        _policy: AccessPolicy,
    ) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(self);
        let (start, len) = (bytes.as_mut_ptr().cast(), bytes.len());
        // SAFETY: the same bytes for as long, and the caller writes initialised ones only.
        Ok(unsafe { slice::from_raw_parts_mut(start, len) })
    }

    fn memory(&self, _policy: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes: &[u8] = bytemuck::cast_slice(self);
        // SAFETY: the same bytes for as long; `MaybeUninit` promises less about them.
        Ok(unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        // A length that nothing else asks for.
        const LEN: usize = MIN_LEN + 123;
        let mut first = Buffer::new(LEN);
        first[7] = 1.5;
        let place = first.as_ptr();
        drop(first.into_bytes());
        let second = Buffer::new(LEN);
        assert_eq!((second.as_ptr(), second[7]), (place, 1.5));
        assert_eq!(second.len(), LEN);
        assert_ne!(Buffer::new(LEN).as_ptr(), place);
    }

    #[test]
    fn the_oldest_go_when_too_much_is_kept() {
        let mut pool = Pool { free: VecDeque::new(), num_kept: 0 };
        for _ in 0..3 {
            pool.give_back(vec![0.0; MAX_KEPT / 2]);
        }
        assert_eq!((pool.free.len(), pool.num_kept), (2, MAX_KEPT));
    }
}
