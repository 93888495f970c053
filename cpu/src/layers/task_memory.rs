//! The memory that convolutions need while they are computed, besides their inputs and results.

use super::{patches, winograd};
use crate::shape::ConvShape;

/// What the tasks of convolutions hold besides inputs and results, for the estimate of the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskMemory {
    values_per_task: u64,
    values_per_image: u64,
}

impl TaskMemory {
    pub(super) fn new(values_per_task: usize, images_per_task: usize) -> Self {
        let values_per_image = values_per_task.div_ceil(images_per_task.max(1)) as u64;
        Self { values_per_task: values_per_task as u64, values_per_image }
    }

    /// Enough for either.
    pub fn max(self, other: Self) -> Self {
        Self {
            values_per_task: self.values_per_task.max(other.values_per_task),
            values_per_image: self.values_per_image.max(other.values_per_image),
        }
    }

    /// The number of values that are held at once for a batch. Each thread is at one task.
    pub fn num_values(self, batch: usize, num_threads: usize) -> u64 {
        let of_threads = self.values_per_task.saturating_mul(num_threads as u64);
        of_threads.min(self.values_per_image.saturating_mul(batch as u64))
    }
}

/// The memory of the tasks of a convolution with a large batch: for the passes of frozen weights, and for the gradient
/// of the weights.
pub fn task_memory(shape: &ConvShape) -> [TaskMemory; 2] {
    match winograd::suits(shape) {
        true => winograd::task_memory(shape),
        false => patches::task_memory(shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_tasks_than_threads_or_images() {
        let tasks = TaskMemory::new(100, 4);
        assert_eq!([1, 4, 400].map(|batch| tasks.num_values(batch, 8)), [25, 100, 800]);
        let larger = tasks.max(TaskMemory::new(60, 1));
        assert_eq!([1, 4, 400].map(|batch| larger.num_values(batch, 8)), [60, 240, 800]);
    }

    #[test]
    fn the_gradient_of_wide_weights_needs_the_most() {
        let of = |inputs, outputs, kernel| {
            let (batch, height, width, stride) = (64, 8, 8, 1);
            task_memory(&ConvShape { batch, height, width, inputs, outputs, kernel, stride })
                .map(|tasks| tasks.num_values(64, 2))
        };
        // 36 sums and 9 results for each pair of channels, in each of two threads.
        let [frozen, weights] = of(256, 256, 3);
        assert!(weights > 2 * 45 * 256 * 256 && weights < 2 * frozen + 3 * 45 * 256 * 256);
        // Patches of 9 · 3 values at 64 positions, and 27 · 8 weights.
        let [frozen, weights] = of(3, 8, 3);
        assert_eq!((frozen, weights - frozen), (2 * 2 * 64 * 27, 2 * 27 * 8));
    }
}
