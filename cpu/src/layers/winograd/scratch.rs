//! The scratch memory of a task, and the transforms between images and tiles.

use pulp::Simd;

use super::{
    super::{Activation, Buffer, LINE_LEN, PaddedImage, View, matmul},
    Pass,
    algorithm::{Algorithm, Sizes},
    filters::Filters,
    lanes::{Block, Lanes, Transform, begins},
    plain, strided,
};

/// The scratch memory of a task: one padded image, and the tiles of a group in the transformed domain.
pub(super) struct Scratch {
    pub(super) pass: Pass,
    image: PaddedImage,
    /// The transformed inputs, (places, tiles of the group, channels).
    pub(super) transformed: Places,
    /// The products or the transformed gradient, (places, tiles of the group, channels).
    pub(super) products: Places,
}

/// A matrix (tiles, channels) for each place of the element-wise product.
pub(super) struct Places {
    values: Buffer,
    /// Values from one matrix to the next: an odd number of lines of the cache, as the values of one tile would share a
    /// few sets of the cache if it were a multiple of 4 KiB.
    stride: usize,
    channels: usize,
}

impl Places {
    pub(super) fn new(num_places: usize, num_rows: usize, channels: usize) -> Self {
        let stride = ((num_rows * channels).div_ceil(LINE_LEN) | 1) * LINE_LEN;
        Self { values: Buffer::new(num_places * stride), stride, channels }
    }

    /// The first `num_rows` rows of the matrix at a place.
    pub(super) fn matrix(&self, place: usize, num_rows: usize) -> View<'_> {
        let values = &self.values[place * self.stride..][..num_rows * self.channels];
        View::new(values, num_rows, self.channels)
    }

    pub(super) fn matrix_mut(&mut self, place: usize, num_rows: usize) -> &mut [f32] {
        &mut self.values[place * self.stride..][..num_rows * self.channels]
    }

    #[inline(always)]
    pub(super) fn load<S: Simd>(&self, simd: S, place: usize, at: usize) -> Lanes<S> {
        Lanes::load(simd, &self.values, place * self.stride + at)
    }
}

impl Scratch {
    /// The scratch memory for `group` images.
    pub(super) fn new(pass: Pass, group: usize) -> Self {
        let Sizes { border, inputs, step, .. } = pass.algorithm.sizes();
        let side = |tiles: usize| (tiles - 1) * step + inputs;
        let (height, width) = (side(pass.tiles_down), side(pass.tiles_across));
        let num_places = pass.algorithm.num_places();
        let num_tiles = group * pass.tiles_per_image();
        Self {
            pass,
            image: PaddedImage::new(height, width, pass.from.channels, border),
            transformed: Places::new(num_places, num_tiles, pass.from.channels),
            products: Places::new(num_places, num_tiles, pass.to.channels),
        }
    }

    /// Transforms the tiles of activation(`images`) and stores them.
    #[inline(always)]
    pub(super) fn transform_images<S: Simd>(
        &mut self,
        simd: S,
        images: &[f32],
        activation: Activation,
    ) {
        match self.pass.algorithm {
            Algorithm::Plain => self.read_tiles::<S, 6, 6, plain::Input>(simd, images, activation),
            Algorithm::Strided => {
                self.read_tiles::<S, 9, 9, strided::Input>(simd, images, activation);
            }
            Algorithm::StridedBack => {
                self.read_tiles::<S, 5, 9, strided::InputBack>(simd, images, activation);
            }
        }
    }

    /// Transforms the products to `images`.
    #[inline(always)]
    pub(super) fn transform_back<S: Simd>(&self, simd: S, images: &mut [f32]) {
        match self.pass.algorithm {
            Algorithm::Plain => self.write_tiles::<S, 6, 4, plain::Output>(simd, images),
            Algorithm::Strided => self.write_tiles::<S, 9, 4, strided::Output>(simd, images),
            Algorithm::StridedBack => {
                self.write_tiles::<S, 9, 8, strided::OutputBack>(simd, images);
            }
        }
    }

    /// Transforms the tiles of ∂L/∂y and stores them in `products`, which a forward pass uses for its products.
    #[inline(always)]
    pub(super) fn transform_gradient<S: Simd>(&mut self, simd: S, images: &[f32]) {
        match self.pass.algorithm {
            Algorithm::Strided => self.read_gradient::<S, 9, strided::Gradient>(simd, images),
            _ => self.read_gradient::<S, 6, plain::Gradient>(simd, images),
        }
    }

    #[inline(always)]
    fn read_tiles<S: Simd, const IN: usize, const P: usize, T: Transform<IN, P>>(
        &mut self,
        simd: S,
        images: &[f32],
        activation: Activation,
    ) {
        let Pass { from, tiles_across, .. } = self.pass;
        let (channels, step) = (from.channels, self.pass.algorithm.sizes().step);
        // One block for all tiles, as clearing it for each would take longer than the transform of a small one.
        let mut columns = Block::<S, P, IN>::zero(simd);
        let Places { values: places, stride, .. } = &mut self.transformed;
        let (places, stride) = (&mut places[..], *stride);
        let mut to = 0;
        for image in images.chunks_exact(from.len()) {
            self.image.fill(image, from.width, activation);
            for tile in 0..self.pass.tiles_per_image() {
                let (down, across) = (tile / tiles_across, tile % tiles_across);
                let corner = (down * self.image.width + across) * step * channels;
                for channel in begins::<S>(channels) {
                    for (j, column) in columns.0.iter_mut().enumerate() {
                        let mut values = [Lanes::zero(simd); IN];
                        for (i, value) in values.iter_mut().enumerate() {
                            let pixel = corner + (i * self.image.width + j) * channels;
                            *value = Lanes::load(simd, &self.image.values, pixel + channel);
                        }
                        *column = T::apply(values);
                    }
                    for i in 0..P {
                        let row = T::apply(columns.row(i));
                        for (j, value) in row.into_iter().enumerate() {
                            value.store(places, (i * P + j) * stride + to + channel);
                        }
                    }
                }
                to += channels;
            }
        }
    }

    /// Multiplies the transformed tiles of `num_images` images by the filters.
    #[inline(always)]
    pub(super) fn multiply(&mut self, filters: &Filters, num_images: usize) {
        let algorithm = self.pass.algorithm;
        let num_rows = num_images * self.pass.tiles_per_image();
        for place in 0..algorithm.num_places() {
            let from = self.transformed.matrix(place, num_rows);
            let to = self.products.matrix_mut(place, num_rows);
            matmul(to, from, filters.matrix(algorithm.filter_at(place)), false);
        }
    }

    #[inline(always)]
    fn write_tiles<S: Simd, const P: usize, const OUT: usize, T: Transform<P, OUT>>(
        &self,
        simd: S,
        images: &mut [f32],
    ) {
        let Pass { to, tiles_across, .. } = self.pass;
        let channels = to.channels;
        let mut columns = Block::<S, OUT, P>::zero(simd);
        let mut from = 0;
        for image in images.chunks_exact_mut(to.len()) {
            for tile in 0..self.pass.tiles_per_image() {
                let (top, left) = (tile / tiles_across * OUT, tile % tiles_across * OUT);
                let (bottom, right) = ((to.height - top).min(OUT), (to.width - left).min(OUT));
                for channel in begins::<S>(channels) {
                    for (j, column) in columns.0.iter_mut().enumerate() {
                        let mut values = [Lanes::zero(simd); P];
                        for (i, value) in values.iter_mut().enumerate() {
                            *value = self.products.load(simd, i * P + j, from + channel);
                        }
                        *column = T::apply(values);
                    }
                    for i in 0..bottom {
                        let row = T::apply(columns.row(i));
                        for (j, value) in row.into_iter().enumerate().take(right) {
                            let pixel = ((top + i) * to.width + left + j) * channels;
                            value.store(image, pixel + channel);
                        }
                    }
                }
                from += channels;
            }
        }
    }

    #[inline(always)]
    fn read_gradient<S: Simd, const P: usize, T: Transform<4, P>>(
        &mut self,
        simd: S,
        images: &[f32],
    ) {
        let Pass { to: size, tiles_across, .. } = self.pass;
        let channels = size.channels;
        let mut columns = Block::<S, P, 4>::zero(simd);
        let Places { values: places, stride, .. } = &mut self.products;
        let (places, stride) = (&mut places[..], *stride);
        let mut to = 0;
        for image in images.chunks_exact(size.len()) {
            for tile in 0..self.pass.tiles_per_image() {
                let (top, left) = (tile / tiles_across * 4, tile % tiles_across * 4);
                let (bottom, right) = ((size.height - top).min(4), (size.width - left).min(4));
                for channel in begins::<S>(channels) {
                    for (j, column) in columns.0.iter_mut().enumerate() {
                        let mut values = [Lanes::zero(simd); 4];
                        let inside = if j < right { bottom } else { 0 };
                        for (i, value) in values.iter_mut().enumerate().take(inside) {
                            let pixel = ((top + i) * size.width + left + j) * channels;
                            *value = Lanes::load(simd, image, pixel + channel);
                        }
                        *column = T::apply(values);
                    }
                    for i in 0..P {
                        let row = T::apply(columns.row(i));
                        for (j, value) in row.into_iter().enumerate() {
                            value.store(places, (i * P + j) * stride + to + channel);
                        }
                    }
                }
                to += channels;
            }
        }
    }
}
