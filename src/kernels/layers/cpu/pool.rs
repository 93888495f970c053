//! A memory pool that reuses the buffers of earlier results.
//!
//! Every step of a chain creates tensors of the same few sizes. New memory from the system costs a page fault for each
//! page and is written twice, the first time with zeros. A buffer that the previous step returned costs neither.

use std::{
    collections::VecDeque,
    mem::MaybeUninit,
    ops::{Deref, DerefMut},
    slice,
    sync::{Mutex, MutexGuard, PoisonError},
};

use burn::tensor::{AllocationProperty, Bytes};
use burn_std::{AccessError, AccessPolicy, AllocationController};

/// Shorter buffers are not pooled; the allocator handles them.
const MIN_LEN: usize = 1 << 12;
/// The largest number of free values in the pool: 256 MiB.
const MAX_KEPT: usize = 1 << 26;

struct Pool {
    /// Free buffers, with the last returned one at the end.
    free: VecDeque<Vec<f32>>,
    num_kept: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { free: VecDeque::new(), num_kept: 0 });

fn pool() -> MutexGuard<'static, Pool> {
    // The pool stays valid after a panic in another thread, because buffers in it are always complete.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Takes the smallest free buffer that holds `len` values and is at most twice as long. With a looser limit, small
    /// results would occupy the large buffers.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        let fits = |values: &Vec<f32>| (len..=2 * len).contains(&values.len());
        let places = self.free.iter().enumerate().rev().filter(|(_, values)| fits(values));
        // Among equal sizes, the last returned buffer is the most likely to be in a cache.
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

/// A buffer of values, which goes back to the pool when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// A buffer for `len` values. It still holds an earlier result, so every value must be written.
    pub(crate) fn new(len: usize) -> Self {
        let reused = if len < MIN_LEN { None } else { pool().take(len) };
        Self { values: reused.unwrap_or_else(|| vec![0.0; len]), len }
    }

    /// The buffer as the bytes of a tensor of the CPU back end.
    pub(crate) fn into_bytes(self) -> Bytes {
        let len = size_of_val(&self[..]);
        // SAFETY: the buffer holds `len` bytes of initialised floats.
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
        // SAFETY: the same bytes with the same lifetime, and the caller writes only initialised bytes.
        Ok(unsafe { slice::from_raw_parts_mut(start, len) })
    }

    fn memory(&self, _policy: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes: &[u8] = bytemuck::cast_slice(self);
        // SAFETY: the same bytes with the same lifetime; `MaybeUninit` promises less about them.
        Ok(unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_used_again() {
        // A length that no other test requests.
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
