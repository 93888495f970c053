//! Parallel iterators: rayon's, or plain ones in a browser.
//!
//! A browser gives the page one thread. There, the same calls are loops, and the page does without rayon, which would do
//! the same and is large.

#[cfg(target_arch = "wasm32")]
pub use one_thread::*;
#[cfg(not(target_arch = "wasm32"))]
pub use rayon::prelude::*;

/// The number of threads that work on a parallel iterator.
pub fn num_threads() -> usize {
    #[cfg(target_arch = "wasm32")]
    return 1;
    #[cfg(not(target_arch = "wasm32"))]
    rayon::current_num_threads()
}

/// What we use of rayon's iterators, on one thread.
#[cfg(any(target_arch = "wasm32", test))]
#[cfg_attr(not(target_arch = "wasm32"), allow(unreachable_pub))]
mod one_thread {
    use std::slice::{Chunks, ChunksMut};

    /// Slices that can be read in chunks.
    pub trait ParallelSlice<T> {
        /// Chunks of `len` values; the last may be shorter.
        fn par_chunks(&self, len: usize) -> Chunks<'_, T>;
    }

    impl<T> ParallelSlice<T> for [T] {
        fn par_chunks(&self, len: usize) -> Chunks<'_, T> {
            self.chunks(len)
        }
    }

    /// Slices that can be written in chunks.
    pub trait ParallelSliceMut<T> {
        /// Chunks of `len` values; the last may be shorter.
        fn par_chunks_mut(&mut self, len: usize) -> ChunksMut<'_, T>;
    }

    impl<T> ParallelSliceMut<T> for [T] {
        fn par_chunks_mut(&mut self, len: usize) -> ChunksMut<'_, T> {
            self.chunks_mut(len)
        }
    }

    /// What can be iterated over.
    pub trait IntoParallelIterator: IntoIterator + Sized {
        /// An iterator over all items.
        fn into_par_iter(self) -> Self::IntoIter {
            self.into_iter()
        }
    }

    impl<I: IntoIterator> IntoParallelIterator for I {}

    /// Iterators with a state that is made once.
    pub trait IndexedParallelIterator: Iterator + Sized {
        /// Calls `each` with the state that `init` makes, for every item.
        fn for_each_init<T>(
            self,
            init: impl FnOnce() -> T,
            mut each: impl FnMut(&mut T, Self::Item),
        ) {
            let mut scratch = init();
            self.for_each(|item| each(&mut scratch, item));
        }

        /// The results of `map`, which gets the state that `init` makes.
        fn map_init<T, R>(
            self,
            init: impl FnOnce() -> T,
            mut map: impl FnMut(&mut T, Self::Item) -> R,
        ) -> impl Iterator<Item = R> {
            let mut scratch = init();
            self.map(move |item| map(&mut scratch, item))
        }

        /// The same iterator, as there is one task.
        fn with_min_len(self, _len: usize) -> Self {
            self
        }
    }

    impl<I: Iterator> IndexedParallelIterator for I {}
}

#[cfg(test)]
mod tests {
    /// What the kernels of the CPU do with parallel iterators: sums of chunks, and chunks that are written.
    macro_rules! results {
        () => {{
            let x: Vec<u32> = (0..100).collect();
            let mut y = vec![0; 100];
            let tasks = y.par_chunks_mut(7).zip(x.par_chunks(7)).enumerate().with_min_len(2);
            tasks.for_each_init(Vec::new, |scratch, (task, (y, x))| {
                scratch.clear();
                scratch.extend(x.iter().map(|x| x * task as u32));
                y.copy_from_slice(scratch);
            });
            let sums = x.par_chunks(9).map_init(|| 1, |one, x| x.iter().sum::<u32>() + *one);
            let sums: Vec<u32> = sums.collect();
            let (even, odd): (Vec<_>, Vec<_>) =
                (0..9u32).into_par_iter().map(|n| (2 * n, 2 * n + 1)).unzip();
            (y, sums, even, odd)
        }};
    }

    #[test]
    fn one_thread_gives_what_many_give() {
        let many = {
            use rayon::prelude::*;
            results!()
        };
        let one = {
            use super::one_thread::*;
            results!()
        };
        assert_eq!(one, many);
        assert_eq!((one.0[99], one.1.len(), one.2[8], one.3[8]), (99 * 14, 12, 16, 17));
    }
}
