//! The weight gradient of minimal filtering, with the transposed algorithm.
//!
//! ```text
//! ∂L/∂g = Gᵀ [ Σ over tiles (Bᵀ d B) ⊙ (A ∂L/∂y Aᵀ) ] G
//! ```

use rayon::prelude::*;

use super::{
    super::{Activation, Buffer, images_per_task, matmul},
    ConvShape, MIN_LANES, Pass, Scratch,
    algorithm::{FILTER_SIDE, NUM_FILTERS},
    lanes::{Lanes, Transform, row_of},
    plain,
    scratch::Places,
    strided, vectorize_lanes,
};

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
                let mut sums = Places::new(NUM_FILTERS, shape.inputs, shape.outputs);
                let mut weight = Buffer::new(weight_len);
                vectorize_lanes(
                    #[inline(always)]
                    |lanes| {
                        scratch.transform_images(lanes, x, Activation(slope));
                        scratch.transform_gradient(lanes, gradient);
                        scratch.correlate(x.len() / pass.from.len(), &mut sums);
                        if shape.stride == 1 {
                            transform_back::<plain::FilterBack>(&sums, &mut weight);
                        } else {
                            transform_back::<strided::FilterBack>(&sums, &mut weight);
                        }
                    },
                );
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

/// Transforms the sums of the filters (36, inputs · outputs) back to filter taps (9, inputs · outputs).
#[inline(always)]
fn transform_back<T: Transform<FILTER_SIDE, 3>>(sums: &Places, taps: &mut [f32]) {
    let num_weights = taps.len() / 9;
    for at in (0..num_weights).step_by(MIN_LANES) {
        let mut columns = [[Lanes::<MIN_LANES>::ZERO; 3]; FILTER_SIDE];
        for (j, column) in columns.iter_mut().enumerate() {
            let mut values = [Lanes::ZERO; FILTER_SIDE];
            for (i, value) in values.iter_mut().enumerate() {
                *value = sums.load(i * FILTER_SIDE + j, at);
            }
            *column = T::apply(values);
        }
        for i in 0..3 {
            let row = T::apply(row_of(&columns, i));
            for (j, value) in row.into_iter().enumerate() {
                value.store(taps, (3 * i + j) * num_weights + at);
            }
        }
    }
}
