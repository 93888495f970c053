//! Convolution as one matrix product per group of images: the patch of every output position is a row.
//!
//! Patches are gathered from a padded image in the cache of a core, never for the whole batch. With k² taps, C inputs
//! and M positions, the product is patches (M, k²·C) · weights (k²·C, outputs).

use super::{
    Activation, Buffer, PaddedImage, Signs, TaskMemory, View, images_per_task, matmul, vectorize,
};
use crate::{parallel::*, shape::ConvShape};

/// The smallest number of rows that uses the matrix kernels well; small images share a product.
const MIN_ROWS: usize = 128;
/// The number of partial weight gradients: enough for many cores, and constant, so that sums do not depend on the
/// machine.
const NUM_PARTIALS: usize = 16;

/// The scratch memory of a task: a padded image and the patches of a group.
struct Scratch {
    shape: ConvShape,
    image: PaddedImage,
    patches: Buffer,
}

impl Scratch {
    fn new(shape: &ConvShape, group: usize) -> Self {
        let pad = shape.kernel / 2;
        let (height, width) = (shape.height + 2 * pad, shape.width + 2 * pad);
        Self {
            shape: *shape,
            image: PaddedImage::new(height, width, shape.inputs, pad),
            patches: Buffer::new(group * shape.num_positions() * shape.patch_len()),
        }
    }

    /// The index in the padded image of the first of the `k·inputs` values in row `tap_row` of the patch at output
    /// position (`i`, `j`).
    #[inline(always)]
    fn run(&self, i: usize, j: usize, tap_row: usize) -> usize {
        let stride = self.shape.stride;
        ((i * stride + tap_row) * self.image.width + j * stride) * self.shape.inputs
    }

    /// The patches of some images, one row per position.
    #[inline(always)]
    fn gather(&mut self, images: &[f32], activation: Activation) -> View<'_> {
        let shape = self.shape;
        let (run_len, patch_len) = (shape.kernel * shape.inputs, shape.patch_len());
        let [_, out_width] = shape.output_size();
        let rows = shape.num_positions();
        for (index, image) in images.chunks_exact(shape.image_len()).enumerate() {
            self.image.fill(image, shape.width, activation);
            for position in 0..rows {
                let (i, j) = (position / out_width, position % out_width);
                let to = (index * rows + position) * patch_len;
                for tap_row in 0..shape.kernel {
                    let (from, to) = (self.run(i, j, tap_row), to + tap_row * run_len);
                    self.patches[to..to + run_len]
                        .copy_from_slice(&self.image.values[from..from + run_len]);
                }
            }
        }
        let rows = images.len() / shape.image_len() * rows;
        View::new(&self.patches[..rows * patch_len], rows, patch_len)
    }

    /// Adds the patches of image `index` of the group to the pixels that they came from.
    #[inline(always)]
    fn scatter(&mut self, index: usize, image: &mut [f32]) {
        let shape = self.shape;
        let (run_len, patch_len) = (shape.kernel * shape.inputs, shape.patch_len());
        let [_, out_width] = shape.output_size();
        self.image.values.fill(0.0);
        for position in 0..shape.num_positions() {
            let (i, j) = (position / out_width, position % out_width);
            let from = (index * shape.num_positions() + position) * patch_len;
            for tap_row in 0..shape.kernel {
                let (from, to) = (from + tap_row * run_len, self.run(i, j, tap_row));
                let patch = &self.patches[from..from + run_len];
                let target = &mut self.image.values[to..to + run_len];
                target.iter_mut().zip(patch).for_each(|(to, from)| *to += from);
            }
        }
        let row = shape.width * shape.inputs;
        let (border, width) = (self.image.border, self.image.width);
        for (index, to) in image.chunks_exact_mut(row).enumerate() {
            let begin = ((index + border) * width + border) * shape.inputs;
            to.copy_from_slice(&self.image.values[begin..begin + row]);
        }
    }
}

/// The number of images in a group.
fn group_size(shape: &ConvShape) -> usize {
    images_per_task(shape.batch, shape.num_positions(), MIN_ROWS)
}

/// See [`super::task_memory`].
pub(super) fn task_memory(shape: &ConvShape) -> [TaskMemory; 2] {
    let group = group_size(shape);
    let patches = group * shape.num_positions() * shape.patch_len();
    let weights = shape.patch_len() * shape.outputs;
    [patches, patches + weights].map(|values| TaskMemory::new(values, group))
}

/// The forward pass; see [`super::forward`].
pub(super) fn forward(
    shape: &ConvShape,
    x: &[f32],
    slope: Option<f32>,
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
) {
    let group = group_size(shape);
    let weights = View::new(weight, shape.patch_len(), shape.outputs);
    let (in_len, out_len) = (group * shape.image_len(), group * shape.output_image_len());
    y.par_chunks_mut(out_len).zip(x.par_chunks(in_len)).for_each_init(
        || Scratch::new(shape, group),
        |scratch, (y, x)| {
            vectorize(
                #[inline(always)]
                || {
                    y.chunks_exact_mut(shape.outputs).for_each(|y| y.copy_from_slice(bias));
                    let patches = if shape.is_pointwise() && slope.is_none() {
                        View::new(x, x.len() / shape.inputs, shape.inputs)
                    } else {
                        scratch.gather(x, Activation(slope))
                    };
                    matmul(y, patches, weights, true);
                },
            );
        },
    );
}

/// The input gradient; see [`super::input_gradient`].
pub(super) fn input_gradient(
    shape: &ConvShape,
    gradient: &[f32],
    weight: &[f32],
    signs: Option<(&Signs, f32)>,
    x_gradient: &mut [f32],
) {
    let group = group_size(shape);
    let weights = View::new(weight, shape.patch_len(), shape.outputs).transposed();
    let (in_len, out_len) = (group * shape.image_len(), group * shape.output_image_len());
    let tasks = x_gradient.par_chunks_mut(in_len).zip(gradient.par_chunks(out_len)).enumerate();
    tasks.for_each_init(
        || Scratch::new(shape, group),
        |scratch, (task, (x_gradient, gradient))| {
            vectorize(
                #[inline(always)]
                || {
                    let rows = gradient.len() / shape.outputs;
                    let gradient = View::new(gradient, rows, shape.outputs);
                    if shape.is_pointwise() {
                        matmul(x_gradient, gradient, weights, false);
                    } else {
                        let patches = &mut scratch.patches[..rows * shape.patch_len()];
                        matmul(patches, gradient, weights, false);
                        let images = x_gradient.chunks_exact_mut(shape.image_len());
                        images.enumerate().for_each(|(index, image)| scratch.scatter(index, image));
                    }
                    if let Some((signs, slope)) = signs {
                        signs.apply(task * group, x_gradient, slope);
                    }
                },
            );
        },
    );
}

/// The weight gradient; see [`super::weight_gradient`].
pub(super) fn weight_gradient(
    shape: &ConvShape,
    x: &[f32],
    slope: Option<f32>,
    gradient: &[f32],
) -> Buffer {
    let group = group_size(shape);
    let groups_per_partial = shape.batch.div_ceil(group).div_ceil(NUM_PARTIALS).max(1);
    let (in_len, out_len) = (group * shape.image_len(), group * shape.output_image_len());
    let partials: Vec<Buffer> = x
        .par_chunks(in_len * groups_per_partial)
        .zip(gradient.par_chunks(out_len * groups_per_partial))
        .map(|(x, gradient)| {
            let mut scratch = Scratch::new(shape, group);
            let mut sum = Buffer::zeros(shape.patch_len() * shape.outputs);
            vectorize(
                #[inline(always)]
                || {
                    for (x, gradient) in x.chunks(in_len).zip(gradient.chunks(out_len)) {
                        let patches = scratch.gather(x, Activation(slope));
                        let gradient = View::new(gradient, patches.rows, shape.outputs);
                        matmul(&mut sum, patches.transposed(), gradient, true);
                    }
                },
            );
            sum
        })
        .collect();
    let mut total = Buffer::zeros(shape.patch_len() * shape.outputs);
    for partial in partials {
        total.iter_mut().zip(partial.iter()).for_each(|(total, value)| *total += value);
    }
    total
}
