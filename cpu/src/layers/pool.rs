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

use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes};
use bytemuck::{Pod, Zeroable};

/// Values in a line of the cache.
pub(super) const LINE_LEN: usize = 16;
/// Shorter buffers are not pooled; the allocator handles them.
const MIN_LINES: usize = 1 << 8;
/// The most bytes of free buffers in the pool.
pub const MAX_POOLED_BYTES: usize = 128 << 20;
/// The most free lines in the pool.
const MAX_KEPT: usize = MAX_POOLED_BYTES / size_of::<Line>();

/// One line of the cache. A buffer of lines starts where a line does, so that a wide vector never lies in two.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; LINE_LEN]);

struct Pool {
    /// Free buffers, with the last returned one at the end.
    free: VecDeque<Vec<Line>>,
    num_kept: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { free: VecDeque::new(), num_kept: 0 });

fn pool() -> MutexGuard<'static, Pool> {
    // The pool stays valid after a panic in another thread, because buffers in it are always complete.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// Takes the smallest free buffer that holds `num_lines` and is at most twice as long. With a looser limit, small
    /// results would occupy the large buffers.
    fn take(&mut self, num_lines: usize) -> Option<Vec<Line>> {
        let fits = |lines: &Vec<Line>| (num_lines..=2 * num_lines).contains(&lines.len());
        let places = self.free.iter().enumerate().rev().filter(|(_, lines)| fits(lines));
        // Among equal sizes, the last returned buffer is the most likely to be in a cache.
        let (index, _) = places.min_by_key(|(_, lines)| lines.len())?;
        let lines = self.free.remove(index)?;
        self.num_kept -= lines.len();
        Some(lines)
    }

    fn give_back(&mut self, lines: Vec<Line>) {
        self.num_kept += lines.len();
        self.free.push_back(lines);
        while self.num_kept > MAX_KEPT {
            let Some(oldest) = self.free.pop_front() else { break };
            self.num_kept -= oldest.len();
        }
    }
}

/// A buffer of values that starts at a line of the cache, and goes back to the pool when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// A buffer for `len` values. It still holds an earlier result, so every value must be written.
    pub fn new(len: usize) -> Self {
        let num_lines = len.div_ceil(LINE_LEN);
        let reused = if num_lines < MIN_LINES { None } else { pool().take(num_lines) };
        Self { lines: reused.unwrap_or_else(|| vec![Line::zeroed(); num_lines]), len }
    }

    /// A buffer of `len` zeros, for sums.
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::new(len);
        buffer.fill(0.0);
        buffer
    }

    /// The buffer as the bytes of a tensor of the CPU back end.
    pub fn into_bytes(self) -> Bytes {
        let len = size_of_val(&self[..]);
        // SAFETY: the buffer holds `len` bytes of initialised floats.
        unsafe { Bytes::from_controller(Box::new(self), len) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.lines.len() >= MIN_LINES {
            pool().give_back(std::mem::take(&mut self.lines));
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(values: Vec<f32>) -> Self {
        let mut buffer = Self::new(values.len());
        buffer.copy_from_slice(&values);
        buffer
    }
}

impl AllocationController for Buffer {
    fn alloc_align(&self) -> usize {
        align_of::<Line>()
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
        const LEN: usize = MIN_LINES * LINE_LEN + 123;
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
    fn buffers_of_every_length_start_at_a_line_of_the_cache() {
        for len in [1, 7, LINE_LEN, 1000, MIN_LINES * LINE_LEN + 1] {
            let buffer = Buffer::zeros(len);
            assert_eq!((buffer.as_ptr() as usize % align_of::<Line>(), buffer.len()), (0, len));
        }
    }

    #[test]
    fn the_oldest_go_when_too_much_is_kept() {
        let mut pool = Pool { free: VecDeque::new(), num_kept: 0 };
        for _ in 0..3 {
            pool.give_back(vec![Line::zeroed(); MAX_KEPT / 2]);
        }
        assert_eq!((pool.free.len(), pool.num_kept), (2, MAX_KEPT));
    }
}
