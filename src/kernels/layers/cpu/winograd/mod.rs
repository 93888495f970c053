//! 3×3 convolutions of stride 1 with Winograd's minimal filtering, F(4×4, 3×3): 36 products for 16 outputs, while the
//! direct sum needs 144.
//!
//! ```text
//! y tile = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A        d: 6×6 inputs, g: 3×3 filter, y: 4×4 outputs
//! ```
//!
//! For each of the 36 places of the element-wise product, the sum over input channels is a matrix product, (tiles,
//! inputs) · (inputs, outputs). The transforms work on lanes of neighbouring channels. The rounding error in f32 is
//! about 1e-5 of the largest value.
//!
//! # Source
//! Lavin & Gray, arXiv:1509.09308, section 4.3.

mod lanes;
mod weight_gradient;

use rayon::prelude::*;

use super::{
    super::shape::ConvShape,
    Activation, Buffer, PaddedImage, Signs,
    matmul::{View, matmul},
    vectorize::vectorize,
};
use lanes::{Lanes, filter_transform, input_transform, output_transform, row_of};
pub(super) use weight_gradient::weight_gradient;

/// The number of outputs, and below it of inputs, along one side of a tile.
const TILE: usize = 4;
const TILE_IN: usize = 6;
/// The number of places of the element-wise product.
const PLACES: usize = TILE_IN * TILE_IN;
/// Channel counts must be multiples of this.
const MIN_LANES: usize = 8;
/// The smallest number of tiles that uses the matrix kernels well; small images share a product.
const MIN_TILES: usize = 48;

/// Whether minimal filtering is possible for a convolution and faster.
pub(super) fn suits(shape: &ConvShape) -> bool {
    let ConvShape { inputs, outputs, .. } = *shape;
    shape.kernel == 3
        && shape.stride == 1
        && inputs.is_multiple_of(MIN_LANES)
        && outputs.is_multiple_of(MIN_LANES)
        && inputs.min(outputs) >= 2 * MIN_LANES
        && shape.height.min(shape.width) >= TILE
}

/// The operation on each output before it is written.
#[derive(Clone, Copy)]
pub(super) enum Epilogue<'a> {
    /// The output is written unchanged.
    None,
    /// A bias, one value per channel, is added.
    Bias(&'a [f32]),
    /// The output is multiplied by the slope where the sign bit is not set.
    Signs(&'a Signs, f32),
}

/// The filters in the transformed domain, (36, inputs, outputs).
pub(super) struct Filters {
    values: Buffer,
    inputs: usize,
    outputs: usize,
}

impl Filters {
    /// Transforms weights (3, 3, inputs, outputs) for the forward pass.
    pub(super) fn new(shape: &ConvShape, weight: &[f32]) -> Self {
        let ConvShape { inputs, outputs, .. } = *shape;
        Self::transformed(inputs, outputs, |tap, input, output| {
            weight[(tap * inputs + input) * outputs + output]
        })
    }

    /// Transforms the same weights for the input gradient: rotated by 180°, with inputs and outputs exchanged.
    pub(super) fn turned(shape: &ConvShape, weight: &[f32]) -> Self {
        let ConvShape { inputs, outputs, .. } = *shape;
        Self::transformed(outputs, inputs, |tap, output, input| {
            weight[((8 - tap) * inputs + input) * outputs + output]
        })
    }

    fn transformed(
        inputs: usize,
        outputs: usize,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let row_len = PLACES * outputs;
        let mut rows = Buffer::new(inputs * row_len);
        rows.par_chunks_mut(row_len).enumerate().for_each(|(input, row)| {
            vectorize(
                #[inline(always)]
                || {
                    for output in (0..outputs).step_by(MIN_LANES) {
                        let mut taps = [Lanes::<MIN_LANES>::ZERO; 9];
                        for (tap, lanes) in taps.iter_mut().enumerate() {
                            for lane in 0..MIN_LANES {
                                lanes.0[lane] = weight(tap, input, output + lane);
                            }
                        }
                        let mut columns = [[Lanes::ZERO; TILE_IN]; 3];
                        for j in 0..3 {
                            columns[j] = filter_transform([taps[j], taps[3 + j], taps[6 + j]]);
                        }
                        for i in 0..TILE_IN {
                            let [c0, c1, c2] = columns;
                            let places = filter_transform([c0[i], c1[i], c2[i]]);
                            for (j, lanes) in places.into_iter().enumerate() {
                                lanes.store(row, (i * TILE_IN + j) * outputs + output);
                            }
                        }
                    }
                },
            );
        });
        Self { values: rows, inputs, outputs }
    }

    /// The (inputs, outputs) matrix of one place.
    fn place(&self, place: usize) -> View<'_> {
        let row_stride = PLACES * self.outputs;
        View {
            values: &self.values[place * self.outputs..],
            rows: self.inputs,
            columns: self.outputs,
            row_stride,
            column_stride: 1,
        }
    }

    /// Writes the convolution of activation(`x`) to `y`.
    pub(super) fn convolve(
        &self,
        shape: &ConvShape,
        x: &[f32],
        slope: Option<f32>,
        epilogue: Epilogue,
        y: &mut [f32],
    ) {
        let tiles = Tiles::new(shape);
        let group = MIN_TILES.div_ceil(tiles.per_image()).min(shape.batch.max(1));
        let (in_len, out_len) = (group * shape.image_len(), group * shape.output_image_len());
        let tasks = y.par_chunks_mut(out_len).zip(x.par_chunks(in_len)).enumerate();
        tasks.for_each_init(
            || Scratch::new(shape, tiles, group),
            |scratch, (task, (y, x))| {
                vectorize(
                    #[inline(always)]
                    || {
                        scratch.transform_images(x, Activation(slope));
                        scratch.multiply(self, x.len() / shape.image_len());
                        if shape.outputs.is_multiple_of(2 * MIN_LANES) {
                            scratch.transform_back::<{ 2 * MIN_LANES }>(y);
                        } else {
                            scratch.transform_back::<MIN_LANES>(y);
                        }
                        match epilogue {
                            Epilogue::None => {}
                            Epilogue::Bias(bias) => {
                                for y in y.chunks_exact_mut(bias.len()) {
                                    y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                                }
                            }
                            Epilogue::Signs(signs, slope) => {
                                signs.apply(task * group, y, slope);
                            }
                        }
                    },
                );
            },
        );
    }
}

/// The grid of tiles of an image.
#[derive(Clone, Copy)]
struct Tiles {
    down: usize,
    across: usize,
}

impl Tiles {
    fn new(shape: &ConvShape) -> Self {
        Self { down: shape.height.div_ceil(TILE), across: shape.width.div_ceil(TILE) }
    }

    fn per_image(self) -> usize {
        self.down * self.across
    }
}

/// The scratch memory of a task: one padded image, and the tiles of a group in the transformed domain.
struct Scratch {
    shape: ConvShape,
    tiles: Tiles,
    image: PaddedImage,
    /// The transformed inputs, (36, tiles of the group, inputs).
    transformed: Buffer,
    /// The products or the transformed gradient, (36, tiles of the group, outputs).
    products: Buffer,
    num_tiles: usize,
}

impl Scratch {
    fn new(shape: &ConvShape, tiles: Tiles, group: usize) -> Self {
        let side = |count: usize| count * TILE + TILE_IN - TILE;
        let num_tiles = group * tiles.per_image();
        Self {
            shape: *shape,
            tiles,
            image: PaddedImage::new(side(tiles.down), side(tiles.across), shape.inputs, 1),
            transformed: Buffer::new(PLACES * num_tiles * shape.inputs),
            products: Buffer::new(PLACES * num_tiles * shape.outputs),
            num_tiles,
        }
    }

    /// Transforms the tiles of activation(`images`) and stores them.
    #[inline(always)]
    fn transform_images(&mut self, images: &[f32], activation: Activation) {
        if self.shape.inputs.is_multiple_of(2 * MIN_LANES) {
            self.transform::<{ 2 * MIN_LANES }>(images, activation);
        } else {
            self.transform::<MIN_LANES>(images, activation);
        }
    }

    #[inline(always)]
    fn transform<const N: usize>(&mut self, images: &[f32], activation: Activation) {
        let (channels, per_image) = (self.shape.inputs, self.tiles.per_image());
        let place_len = self.num_tiles * channels;
        for (index, image) in images.chunks_exact(self.shape.image_len()).enumerate() {
            self.image.fill(image, self.shape.width, activation);
            for tile in 0..per_image {
                let (down, across) = (tile / self.tiles.across, tile % self.tiles.across);
                let corner = (down * self.image.width + across) * TILE * channels;
                let to = (index * per_image + tile) * channels;
                for channel in (0..channels).step_by(N) {
                    let mut columns = [[Lanes::<N>::ZERO; TILE_IN]; TILE_IN];
                    for (j, column) in columns.iter_mut().enumerate() {
                        for (i, value) in column.iter_mut().enumerate() {
                            let pixel = corner + (i * self.image.width + j) * channels;
                            *value = Lanes::load(&self.image.values, pixel + channel);
                        }
                        *column = input_transform(*column);
                    }
                    for i in 0..TILE_IN {
                        let row = input_transform(row_of(&columns, i));
                        for (j, value) in row.into_iter().enumerate() {
                            let to = (i * TILE_IN + j) * place_len + to + channel;
                            value.store(&mut self.transformed, to);
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn multiply(&mut self, filters: &Filters, num_images: usize) {
        let rows = num_images * self.tiles.per_image();
        let (inputs, outputs) = (self.shape.inputs, self.shape.outputs);
        for place in 0..PLACES {
            let from = &self.transformed[place * self.num_tiles * inputs..][..rows * inputs];
            let to = &mut self.products[place * self.num_tiles * outputs..][..rows * outputs];
            matmul(to, View::new(from, rows, inputs), filters.place(place), false);
        }
    }

    #[inline(always)]
    fn transform_back<const N: usize>(&self, images: &mut [f32]) {
        let (channels, per_image) = (self.shape.outputs, self.tiles.per_image());
        let (height, width) = (self.shape.height, self.shape.width);
        let place_len = self.num_tiles * channels;
        for (index, image) in images.chunks_exact_mut(self.shape.output_image_len()).enumerate() {
            for tile in 0..per_image {
                let (top, left) =
                    (tile / self.tiles.across * TILE, tile % self.tiles.across * TILE);
                let (bottom, right) = ((height - top).min(TILE), (width - left).min(TILE));
                let from = (index * per_image + tile) * channels;
                for channel in (0..channels).step_by(N) {
                    let mut columns = [[Lanes::<N>::ZERO; TILE]; TILE_IN];
                    for (j, column) in columns.iter_mut().enumerate() {
                        let mut places = [Lanes::ZERO; TILE_IN];
                        for (i, value) in places.iter_mut().enumerate() {
                            let from = (i * TILE_IN + j) * place_len + from + channel;
                            *value = Lanes::load(&self.products, from);
                        }
                        *column = output_transform(places);
                    }
                    for i in 0..bottom {
                        let row = output_transform(row_of(&columns, i));
                        for (j, value) in row.into_iter().enumerate().take(right) {
                            let pixel = ((top + i) * width + left + j) * channels;
                            value.store(image, pixel + channel);
                        }
                    }
                }
            }
        }
    }
}
