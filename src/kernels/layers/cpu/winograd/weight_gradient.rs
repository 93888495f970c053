//! The weight gradient of minimal filtering, with the transposed algorithm.
//!
//! ```text
//! ∂L/∂g = Gᵀ [ Σ over tiles (Bᵀ d B) ⊙ (A ∂L/∂y Aᵀ) ] G
//! ```

use rayon::prelude::*;

use super::{
    super::matmul::{View, matmul},
    Activation, Buffer, ConvShape, Lanes, MIN_LANES, PLACES, Scratch, TILE, TILE_IN, Tiles,
    lanes::{filter_transform_back, gradient_transform, row_of},
    vectorize,
};

/// The smallest number of tiles per partial sum, so that the matrix products are large enough. It depends only on the
/// shape, so that sums do not depend on the machine.
const TILES_PER_PARTIAL: usize = 64;

/// The weight gradient; see [`super::super::weight_gradient`]. Only for shapes for which [`suits`](super::suits) is
/// true.
pub(crate) fn weight_gradient(
    shape: &ConvShape,
    x: &[f32],
    slope: Option<f32>,
    gradient: &[f32],
) -> Vec<f32> {
    let tiles = Tiles::new(shape);
    let group = TILES_PER_PARTIAL.div_ceil(tiles.per_image()).min(shape.batch.max(1));
    let weight_len = 9 * shape.inputs * shape.outputs;
    let x = x.par_chunks(group * shape.image_len());
    let gradient = gradient.par_chunks(group * shape.output_image_len());
    let partials: Vec<Buffer> = x
        .zip(gradient)
        .map_init(
            || Scratch::new(shape, tiles, group),
            |scratch, (x, gradient)| {
                let mut sums = Buffer::new(PLACES * shape.inputs * shape.outputs);
                let mut weight = Buffer::new(weight_len);
                vectorize(
                    #[inline(always)]
                    || {
                        scratch.transform_images(x, Activation(slope));
                        if shape.outputs.is_multiple_of(2 * MIN_LANES) {
                            scratch.transform_gradient::<{ 2 * MIN_LANES }>(gradient);
                        } else {
                            scratch.transform_gradient::<MIN_LANES>(gradient);
                        }
                        scratch.correlate(x.len() / shape.image_len(), &mut sums);
                        transform_back(&sums, &mut weight);
                    },
                );
                weight
            },
        )
        .collect();
    let mut total = vec![0.0; weight_len];
    for partial in partials {
        total.iter_mut().zip(partial.iter()).for_each(|(total, value)| *total += value);
    }
    total
}

impl Scratch {
    /// Transforms the tiles of ∂L/∂y and stores them in `products`, which a forward pass uses for its products.
    #[inline(always)]
    fn transform_gradient<const N: usize>(&mut self, images: &[f32]) {
        let (channels, per_image) = (self.shape.outputs, self.tiles.per_image());
        let (height, width) = (self.shape.height, self.shape.width);
        let place_len = self.num_tiles * channels;
        for (index, image) in images.chunks_exact(self.shape.output_image_len()).enumerate() {
            for tile in 0..per_image {
                let (top, left) =
                    (tile / self.tiles.across * TILE, tile % self.tiles.across * TILE);
                let (bottom, right) = ((height - top).min(TILE), (width - left).min(TILE));
                let to = (index * per_image + tile) * channels;
                for channel in (0..channels).step_by(N) {
                    let mut columns = [[Lanes::<N>::ZERO; TILE_IN]; TILE];
                    for (j, column) in columns.iter_mut().enumerate().take(right) {
                        let mut values = [Lanes::ZERO; TILE];
                        for (i, value) in values.iter_mut().enumerate().take(bottom) {
                            let pixel = ((top + i) * width + left + j) * channels;
                            *value = Lanes::load(image, pixel + channel);
                        }
                        *column = gradient_transform(values);
                    }
                    for i in 0..TILE_IN {
                        let row = gradient_transform(row_of(&columns, i));
                        for (j, value) in row.into_iter().enumerate() {
                            let to = (i * TILE_IN + j) * place_len + to + channel;
                            value.store(&mut self.products, to);
                        }
                    }
                }
            }
        }
    }

    /// For each place, adds the products of transformed inputs and transformed gradients over all tiles to `sums` (36,
    /// inputs, outputs).
    #[inline(always)]
    fn correlate(&self, num_images: usize, sums: &mut [f32]) {
        let rows = num_images * self.tiles.per_image();
        let (inputs, outputs) = (self.shape.inputs, self.shape.outputs);
        for (place, to) in sums.chunks_exact_mut(inputs * outputs).enumerate() {
            let x = &self.transformed[place * self.num_tiles * inputs..][..rows * inputs];
            let gradient = &self.products[place * self.num_tiles * outputs..][..rows * outputs];
            let left = View::new(x, rows, inputs).transposed();
            matmul(to, left, View::new(gradient, rows, outputs), false);
        }
    }
}

/// Transforms places (36, inputs · outputs) back to filter taps (9, inputs · outputs).
#[inline(always)]
fn transform_back(places: &[f32], taps: &mut [f32]) {
    let place_len = places.len() / PLACES;
    for at in (0..place_len).step_by(MIN_LANES) {
        let mut columns = [[Lanes::<MIN_LANES>::ZERO; 3]; TILE_IN];
        for (j, column) in columns.iter_mut().enumerate() {
            let mut values = [Lanes::ZERO; TILE_IN];
            for (i, value) in values.iter_mut().enumerate() {
                *value = Lanes::load(places, (i * TILE_IN + j) * place_len + at);
            }
            *column = filter_transform_back(values);
        }
        for i in 0..3 {
            let row = filter_transform_back(row_of(&columns, i));
            for (j, value) in row.into_iter().enumerate() {
                value.store(taps, (3 * i + j) * place_len + at);
            }
        }
    }
}
