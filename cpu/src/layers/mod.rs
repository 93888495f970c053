//! The layers, which work on slices: convolutions here, the head in [`head`], batch normalisation in
//! [`norm`].
//!
//! There are two algorithms. A 3×3 convolution with enough channels uses minimal filtering (`winograd`), which needs
//! up to 4 times fewer multiplications; all others use `patches`. Both compute matrix products with the `gemm` crate
//! and keep their scratch memory within the cache of a core: a task works on a few images, and rayon distributes the
//! tasks.
//!
//! Tensors are channels last, (N, H, W, C); weights are (k, k, inputs, outputs).

pub mod head;
mod matmul;
pub mod norm;
mod patches;
mod pool;
mod signs;
mod task_memory;
mod vectorize;
mod winograd;

use std::{borrow::Cow, sync::Arc};

use burn_std::Bytes;

use crate::{parallel::*, shape::ConvShape};
use matmul::{View, matmul};
use pool::LINE_LEN;
pub use pool::{Buffer, MAX_POOLED_BYTES};
pub use signs::Signs;
pub use task_memory::{TaskMemory, task_memory};
pub(crate) use vectorize::vectorize;
pub use winograd::MAX_KEPT_BYTES;

/// The weights of a convolution, as the passes take them.
#[derive(Clone, Debug)]
pub struct Weights<'a> {
    /// The values, shape (k, k, inputs, outputs).
    pub values: Cow<'a, [f32]>,
    /// The memory of the tensor that `values` is a part of, by which filters made from it are found again; `None` if
    /// `values` are a copy.
    pub memory: Option<Arc<Bytes>>,
}

/// Convolution of LeakyReLU(`x`), or of `x` itself if `slope` is `None`, plus `bias`.
///
/// # Shapes
/// `x`: (N, H, W, inputs); `weight`: (k, k, inputs, outputs); `bias`: (outputs); result:
/// (N, H', W', outputs).
pub fn forward(
    shape: &ConvShape,
    x: &[f32],
    slope: Option<f32>,
    weights: &Weights<'_>,
    bias: &[f32],
) -> Buffer {
    let mut y = Buffer::new(shape.output_len());
    if winograd::suits(shape) {
        winograd::forward(shape, x, slope, weights, bias, &mut y);
    } else {
        patches::forward(shape, x, slope, &weights.values, bias, &mut y);
    }
    y
}

/// The input gradient ∂L/∂x, from `gradient` = ∂L/∂y; with `signs`, also through the LeakyReLU before the convolution.
///
/// # Shapes
/// `gradient`: (N, H', W', outputs); result: (N, H, W, inputs).
pub fn input_gradient(
    shape: &ConvShape,
    gradient: &[f32],
    weights: &Weights<'_>,
    signs: Option<(&Signs, f32)>,
) -> Buffer {
    let mut x_gradient = Buffer::new(shape.input_len());
    if winograd::suits(shape) {
        winograd::input_gradient(shape, gradient, weights, signs, &mut x_gradient);
    } else {
        patches::input_gradient(shape, gradient, &weights.values, signs, &mut x_gradient);
    }
    x_gradient
}

/// The weight gradient ∂L/∂weight, from `gradient` = ∂L/∂y and the `x` of the forward pass.
///
/// # Shapes
/// The same as in [`forward`]; result: (k, k, inputs, outputs).
pub fn weight_gradient(
    shape: &ConvShape,
    x: &[f32],
    slope: Option<f32>,
    gradient: &[f32],
) -> Buffer {
    if winograd::suits(shape) {
        winograd::weight_gradient(shape, x, slope, gradient)
    } else {
        patches::weight_gradient(shape, x, slope, gradient)
    }
}

/// The number of images of a task: enough for `rows_per_task` rows of a matrix product. The number of tasks is a power of
/// two, so that 2, 4 or 8 threads end at about the same time. It depends only on the shape, so that sums do not depend
/// on the machine.
fn images_per_task(batch: usize, rows_per_image: usize, rows_per_task: usize) -> usize {
    let batch = batch.max(1);
    let most = rows_per_task.div_ceil(rows_per_image.max(1)).min(batch);
    batch.div_ceil(batch.div_ceil(most).next_power_of_two())
}

/// The column sums of a row-major matrix with `num_columns` columns.
pub fn column_sums(rows: &[f32], num_columns: usize) -> Vec<f32> {
    const ROWS_PER_TASK: usize = 256;
    let partial_sums: Vec<Vec<f32>> = rows
        .par_chunks(ROWS_PER_TASK * num_columns)
        .map(|rows| {
            let mut sums = vec![0.0; num_columns];
            vectorize(
                #[inline(always)]
                || rows.chunks_exact(num_columns).for_each(|row| add(&mut sums, row)),
            );
            sums
        })
        .collect();
    let mut sums = vec![0.0; num_columns];
    partial_sums.iter().for_each(|partial| add(&mut sums, partial));
    sums
}

#[inline(always)]
fn add(to: &mut [f32], values: &[f32]) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to += value);
}

/// LeakyReLU with a slope below 1, or the identity.
#[derive(Clone, Copy)]
struct Activation(Option<f32>);

impl Activation {
    /// Writes activation(`from`) to `to`.
    #[inline(always)]
    fn copy(self, to: &mut [f32], from: &[f32]) {
        match self.0 {
            None => to.copy_from_slice(from),
            Some(slope) => {
                for (to, &from) in to.iter_mut().zip(from) {
                    *to = if from > 0.0 { from } else { slope * from };
                }
            }
        }
    }
}

/// An image with a border of zeros, so that no tap needs an edge check.
struct PaddedImage {
    values: Buffer,
    channels: usize,
    width: usize,
    border: usize,
}

impl PaddedImage {
    /// An all-zero buffer for an image of `height` × `width` after padding.
    fn new(height: usize, width: usize, channels: usize, border: usize) -> Self {
        Self { values: Buffer::zeros(height * width * channels), channels, width, border }
    }

    /// Copies an image with rows of `width` pixels into the buffer; the border stays zero.
    #[inline(always)]
    fn fill(&mut self, image: &[f32], width: usize, activation: Activation) {
        let (row, padded_row) = (width * self.channels, self.width * self.channels);
        for (index, from) in image.chunks_exact(row).enumerate() {
            let begin = (index + self.border) * padded_row + self.border * self.channels;
            activation.copy(&mut self.values[begin..begin + row], from);
        }
    }
}
