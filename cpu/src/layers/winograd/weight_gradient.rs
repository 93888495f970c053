//! The weight gradient of minimal filtering, with the transposed algorithm.
//!
//! ```text
//! ∂L/∂g = Gᵀ [ Σ over tiles (Bᵀ d B) ⊙ (A ∂L/∂y Aᵀ) ] G
//! ```

use pulp::{Simd, WithSimd};

use super::{
    super::{Activation, Buffer, TaskMemory, images_per_task, matmul},
    ConvShape, Pass, Scratch,
    algorithm::{FILTER_SIDE, NUM_FILTERS},
    lanes::{Block, Lanes, Transform, begins},
    plain,
    scratch::Places,
    strided, with_vectors,
};
use crate::parallel::*;

/// The number of tiles per partial sum, so that the matrix products are large enough. It depends only on the shape, so
/// that sums do not depend on the machine.
const TILES_PER_PARTIAL: usize = 64;

/// The weight gradient; see [`super::super::weight_gradient`]. Only for shapes for which [`suits`](super::suits) is
/// true.
pub(in super::super) fn weight_gradient(
    shape: &ConvShape,
    x: &[f32],
    slope: Option<f32>,
    gradient: &[f32],
) -> Buffer {
    let pass = Pass::forward(shape);
    let group = images_per_task(shape.batch, pass.tiles_per_image(), TILES_PER_PARTIAL);
    let weight_len = 9 * shape.inputs * shape.outputs;
    let x = x.par_chunks(group * pass.from.len());
    let gradient = gradient.par_chunks(group * pass.to.len());
    let partials: Vec<Buffer> = x
        .zip(gradient)
        .map_init(
            || Scratch::new(pass, group),
            |scratch, (x, gradient)| {
                let mut weight = Buffer::new(weight_len);
                with_vectors(Partial { scratch, shape, x, slope, gradient, weight: &mut weight });
                weight
            },
        )
        .collect();
    let mut total = Buffer::zeros(weight_len);
    for partial in partials {
        total.iter_mut().zip(partial.iter()).for_each(|(total, value)| *total += value);
    }
    total
}

/// See [`super::super::task_memory`]. A task also holds the sums of the filters, and its result until all are added up.
pub(super) fn task_memory(shape: &ConvShape) -> TaskMemory {
    let pass = Pass::forward(shape);
    let images = images_per_task(shape.batch, pass.tiles_per_image(), TILES_PER_PARTIAL);
    let sums = (NUM_FILTERS + 9) * shape.inputs * shape.outputs;
    TaskMemory::new(pass.scratch_len(images) + sums, images)
}

impl Scratch {
    /// Sums the products of transformed inputs and transformed gradients over all tiles, for each filter (inputs,
    /// outputs).
    #[inline(always)]
    fn correlate(&self, num_images: usize, sums: &mut Places) {
        let algorithm = self.pass.algorithm;
        let num_rows = num_images * self.pass.tiles_per_image();
        let mut has_sum = [false; NUM_FILTERS];
        for place in 0..algorithm.num_places() {
            let filter = algorithm.filter_at(place);
            let x = self.transformed.matrix(place, num_rows).transposed();
            let gradient = self.products.matrix(place, num_rows);
            let to = sums.matrix_mut(filter, self.pass.from.channels);
            matmul(to, x, gradient, std::mem::replace(&mut has_sum[filter], true));
        }
    }
}

/// The weight gradient of a few images.
struct Partial<'a> {
    scratch: &'a mut Scratch,
    shape: &'a ConvShape,
    x: &'a [f32],
    slope: Option<f32>,
    gradient: &'a [f32],
    weight: &'a mut [f32],
}

impl WithSimd for Partial<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { scratch, shape, x, slope, gradient, weight } = self;
        let mut sums = Places::new(NUM_FILTERS, shape.inputs, shape.outputs);
        scratch.transform_images(simd, x, Activation(slope));
        scratch.transform_gradient(simd, gradient);
        scratch.correlate(x.len() / shape.image_len(), &mut sums);
        if shape.stride == 1 {
            transform_back::<S, plain::FilterBack>(simd, &sums, weight);
        } else {
            transform_back::<S, strided::FilterBack>(simd, &sums, weight);
        }
    }
}

/// Transforms the sums of the filters (36, inputs · outputs) back to filter taps (9, inputs · outputs).
#[inline(always)]
fn transform_back<S: Simd, T: Transform<FILTER_SIDE, 3>>(simd: S, sums: &Places, taps: &mut [f32]) {
    let num_weights = taps.len() / 9;
    let mut columns = Block::<S, 3, FILTER_SIDE>::zero(simd);
    for at in begins::<S>(num_weights) {
        for (j, column) in columns.0.iter_mut().enumerate() {
            let mut values = [Lanes::zero(simd); FILTER_SIDE];
            for (i, value) in values.iter_mut().enumerate() {
                *value = sums.load(simd, i * FILTER_SIDE + j, at);
            }
            *column = T::apply(values);
        }
        for i in 0..3 {
            let row = T::apply(columns.row(i));
            for (j, value) in row.into_iter().enumerate() {
                value.store(taps, (3 * i + j) * num_weights + at);
            }
        }
    }
}
