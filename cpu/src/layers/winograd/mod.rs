//! 3×3 convolutions with Winograd's minimal filtering. With stride 1 it is F(4×4, 3×3): 36 products for 16 outputs, while
//! the direct sum needs 144.
//!
//! ```text
//! y tile = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A        d: 6×6 inputs, g: 3×3 filter, y: 4×4 outputs
//! ```
//!
//! For each of the 36 places of the element-wise product, the sum over input channels is a matrix product, (tiles,
//! inputs) · (inputs, outputs). The transforms work on lanes of neighbouring channels. The rounding error in f32 is
//! about 6e-6 of the largest value with 128 channels.
//!
//! With stride 2, the formula is the same with 9×9 inputs and 81 places, and the error is half as large; see [`strided`].
//!
//! F(6×6, 3×3) would round twice as coarsely and gain little at our sizes. An image takes ⌈n/4⌉² · 36 products with tiles
//! of 4×4 and ⌈n/6⌉² · 64 with tiles of 6×6: 1764 and 1600 for n = 28, the same for 14, 16 and 32, and more for 7 and 8.
//!
//! # Source
//! Lavin & Gray, arXiv:1509.09308, section 4.3.

mod algorithm;
mod filters;
mod kept;
mod lanes;
mod plain;
mod scratch;
mod strided;
mod weight_gradient;

use pulp::{Simd, WithSimd};

use super::{Activation, Signs, TaskMemory, Weights, images_per_task, vectorize::with_vectors};
use crate::{parallel::*, shape::ConvShape};
use algorithm::Algorithm;
use filters::Filters;
pub use kept::MAX_KEPT_BYTES;
use lanes::MAX_LANES;
use scratch::Scratch;
pub(super) use weight_gradient::weight_gradient;

/// The smallest number of channels: one vector must not be wider.
const MIN_CHANNELS: usize = MAX_LANES;
/// The number of tiles of a task that uses the matrix kernels well; small images share a product.
const TILES_PER_TASK: usize = 48;

/// Whether minimal filtering is possible for a convolution and faster.
pub(super) fn suits(shape: &ConvShape) -> bool {
    let ConvShape { inputs, outputs, .. } = *shape;
    let [height, width] = shape.output_size();
    shape.kernel == 3
        && shape.stride <= 2
        && inputs.min(outputs) >= MIN_CHANNELS
        && height.min(width) >= 4
}

/// See [`super::task_memory`].
pub(super) fn task_memory(shape: &ConvShape) -> [TaskMemory; 2] {
    let of_pass = |pass: Pass| {
        let images = images_per_task(pass.batch, pass.tiles_per_image(), TILES_PER_TASK);
        TaskMemory::new(pass.scratch_len(images), images)
    };
    let frozen = of_pass(Pass::forward(shape)).max(of_pass(Pass::backward(shape)));
    [frozen, weight_gradient::task_memory(shape)]
}

/// The operation on each output before it is written.
#[derive(Clone, Copy)]
enum Epilogue<'a> {
    /// The output is written unchanged.
    None,
    /// A bias, one value per channel, is added.
    Bias(&'a [f32]),
    /// The output is multiplied by the slope where the sign bit is not set.
    Signs(&'a Signs, f32),
}

/// The forward pass; see [`super::forward`].
pub(super) fn forward(
    shape: &ConvShape,
    x: &[f32],
    slope: Option<f32>,
    weights: &Weights<'_>,
    bias: &[f32],
    y: &mut [f32],
) {
    let pass = Pass::forward(shape);
    pass.run(x, slope, &Filters::of(shape, weights, false), Epilogue::Bias(bias), y);
}

/// The input gradient; see [`super::input_gradient`].
pub(super) fn input_gradient(
    shape: &ConvShape,
    gradient: &[f32],
    weights: &Weights<'_>,
    signs: Option<(&Signs, f32)>,
    x_gradient: &mut [f32],
) {
    let epilogue = match signs {
        Some((signs, slope)) => Epilogue::Signs(signs, slope),
        None => Epilogue::None,
    };
    let filters = Filters::of(shape, weights, true);
    Pass::backward(shape).run(gradient, None, &filters, epilogue, x_gradient);
}

/// Height, width and channels of an image.
#[derive(Clone, Copy)]
struct Size {
    height: usize,
    width: usize,
    channels: usize,
}

impl Size {
    fn len(self) -> usize {
        self.height * self.width * self.channels
    }
}

/// One pass over a batch of images.
#[derive(Clone, Copy)]
struct Pass {
    algorithm: Algorithm,
    batch: usize,
    from: Size,
    to: Size,
    /// The grid of tiles of an image.
    tiles_down: usize,
    tiles_across: usize,
}

impl Pass {
    fn new(algorithm: Algorithm, batch: usize, from: Size, to: Size) -> Self {
        let tiles = |side: usize| side.div_ceil(algorithm.sizes().outputs);
        let (tiles_down, tiles_across) = (tiles(to.height), tiles(to.width));
        Self { algorithm, batch, from, to, tiles_down, tiles_across }
    }

    fn forward(shape: &ConvShape) -> Self {
        let [x, y] = Self::sizes(shape);
        Self::new(Algorithm::forward(shape), shape.batch, x, y)
    }

    fn backward(shape: &ConvShape) -> Self {
        let [x, y] = Self::sizes(shape);
        Self::new(Algorithm::backward(shape), shape.batch, y, x)
    }

    /// The sizes of an input and of an output of a convolution.
    fn sizes(shape: &ConvShape) -> [Size; 2] {
        let ConvShape { height, width, inputs, outputs, .. } = *shape;
        let [out_height, out_width] = shape.output_size();
        [
            Size { height, width, channels: inputs },
            Size { height: out_height, width: out_width, channels: outputs },
        ]
    }

    fn tiles_per_image(&self) -> usize {
        self.tiles_down * self.tiles_across
    }

    /// The number of values in the scratch memory for `group` images.
    fn scratch_len(self, group: usize) -> usize {
        let num_tiles = group * self.tiles_per_image();
        self.algorithm.num_places() * num_tiles * (self.from.channels + self.to.channels)
    }

    /// Writes the convolution of activation(`x`) with `filters` to `y`.
    fn run(
        self,
        x: &[f32],
        slope: Option<f32>,
        filters: &Filters,
        epilogue: Epilogue<'_>,
        y: &mut [f32],
    ) {
        let group = images_per_task(self.batch, self.tiles_per_image(), TILES_PER_TASK);
        let tasks =
            y.par_chunks_mut(group * self.to.len()).zip(x.par_chunks(group * self.from.len()));
        tasks.enumerate().for_each_init(
            || Scratch::new(self, group),
            |scratch, (task, (y, x))| {
                let first_image = task * group;
                with_vectors(Task { scratch, x, slope, filters, epilogue, first_image, y });
            },
        );
    }
}

/// The work on a few images.
struct Task<'a> {
    scratch: &'a mut Scratch,
    x: &'a [f32],
    slope: Option<f32>,
    filters: &'a Filters,
    epilogue: Epilogue<'a>,
    first_image: usize,
    y: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { scratch, x, slope, filters, epilogue, first_image, y } = self;
        scratch.transform_images(simd, x, Activation(slope));
        scratch.multiply(filters, x.len() / scratch.pass.from.len());
        scratch.transform_back(simd, y);
        match epilogue {
            Epilogue::None => {}
            Epilogue::Bias(bias) => {
                for y in y.chunks_exact_mut(bias.len()) {
                    y.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                }
            }
            Epilogue::Signs(signs, slope) => signs.apply(first_image, y, slope),
        }
    }
}
