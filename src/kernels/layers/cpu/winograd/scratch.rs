//! The scratch memory of a task, and the transforms between images and tiles.

use super::{
    super::{Activation, Buffer, LINE_LEN, PaddedImage, View, matmul},
    MIN_LANES, Pass,
    algorithm::{Algorithm, Sizes},
    filters::Filters,
    lanes::{Lanes, Transform, row_of},
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
    /// few sets of the cache if it were a power of two.
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
    pub(super) fn load<const N: usize>(&self, place: usize, at: usize) -> Lanes<N> {
        Lanes::load(&self.values, place * self.stride + at)
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, place: usize, at: usize, lanes: Lanes<N>) {
        lanes.store(&mut self.values, place * self.stride + at);
    }
}

/// Calls a method with as many lanes as a vector of the CPU holds, if that divides the channels. Wider ones would not
/// fit into the registers, and narrower ones would not fill them.
macro_rules! with_lanes {
    ($lanes:expr, $channels:expr, $self:ident.$method:ident($($argument:expr),*)) => {
        match $lanes {
            16 if $channels.is_multiple_of(16) => $self.$method::<16>($($argument),*),
            8 | 16 => $self.$method::<MIN_LANES>($($argument),*),
            _ => $self.$method::<4>($($argument),*),
        }
    };
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

    /// Transforms the tiles of activation(`images`) and stores them; `lanes`: the floats in a vector of the CPU.
    #[inline(always)]
    pub(super) fn transform_images(
        &mut self,
        lanes: usize,
        images: &[f32],
        activation: Activation,
    ) {
        let channels = self.pass.from.channels;
        with_lanes!(lanes, channels, self.transform_in(images, activation));
    }

    /// Transforms the products to `images`.
    #[inline(always)]
    pub(super) fn transform_back(&self, lanes: usize, images: &mut [f32]) {
        with_lanes!(lanes, self.pass.to.channels, self.transform_out(images));
    }

    /// Transforms the tiles of ∂L/∂y and stores them in `products`, which a forward pass uses for its products.
    #[inline(always)]
    pub(super) fn transform_gradient(&mut self, lanes: usize, images: &[f32]) {
        with_lanes!(lanes, self.pass.to.channels, self.transform_gradient_in(images));
    }

    #[inline(always)]
    fn transform_in<const N: usize>(&mut self, images: &[f32], activation: Activation) {
        match self.pass.algorithm {
            Algorithm::Plain => self.read_tiles::<N, 6, 6, plain::Input>(images, activation),
            Algorithm::Strided => self.read_tiles::<N, 9, 9, strided::Input>(images, activation),
            Algorithm::StridedBack => {
                self.read_tiles::<N, 5, 9, strided::InputBack>(images, activation);
            }
        }
    }

    #[inline(always)]
    fn transform_out<const N: usize>(&self, images: &mut [f32]) {
        match self.pass.algorithm {
            Algorithm::Plain => self.write_tiles::<N, 6, 4, plain::Output>(images),
            Algorithm::Strided => self.write_tiles::<N, 9, 4, strided::Output>(images),
            Algorithm::StridedBack => self.write_tiles::<N, 9, 8, strided::OutputBack>(images),
        }
    }

    #[inline(always)]
    fn transform_gradient_in<const N: usize>(&mut self, images: &[f32]) {
        match self.pass.algorithm {
            Algorithm::Strided => self.read_gradient::<N, 9, strided::Gradient>(images),
            _ => self.read_gradient::<N, 6, plain::Gradient>(images),
        }
    }

    #[inline(always)]
    fn read_tiles<const N: usize, const IN: usize, const P: usize, T: Transform<IN, P>>(
        &mut self,
        images: &[f32],
        activation: Activation,
    ) {
        let Pass { from, tiles_across, .. } = self.pass;
        let (channels, step) = (from.channels, self.pass.algorithm.sizes().step);
        let mut to = 0;
        for image in images.chunks_exact(from.len()) {
            self.image.fill(image, from.width, activation);
            for tile in 0..self.pass.tiles_per_image() {
                let (down, across) = (tile / tiles_across, tile % tiles_across);
                let corner = (down * self.image.width + across) * step * channels;
                for channel in (0..channels).step_by(N) {
                    let mut columns = [[Lanes::<N>::ZERO; P]; IN];
                    for (j, column) in columns.iter_mut().enumerate() {
                        let mut values = [Lanes::ZERO; IN];
                        for (i, value) in values.iter_mut().enumerate() {
                            let pixel = corner + (i * self.image.width + j) * channels;
                            *value = Lanes::load(&self.image.values, pixel + channel);
                        }
                        *column = T::apply(values);
                    }
                    for i in 0..P {
                        let row = T::apply(row_of(&columns, i));
                        for (j, value) in row.into_iter().enumerate() {
                            self.transformed.store(i * P + j, to + channel, value);
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
    fn write_tiles<const N: usize, const P: usize, const OUT: usize, T: Transform<P, OUT>>(
        &self,
        images: &mut [f32],
    ) {
        let Pass { to, tiles_across, .. } = self.pass;
        let channels = to.channels;
        let mut from = 0;
        for image in images.chunks_exact_mut(to.len()) {
            for tile in 0..self.pass.tiles_per_image() {
                let (top, left) = (tile / tiles_across * OUT, tile % tiles_across * OUT);
                let (bottom, right) = ((to.height - top).min(OUT), (to.width - left).min(OUT));
                for channel in (0..channels).step_by(N) {
                    let mut columns = [[Lanes::<N>::ZERO; OUT]; P];
                    for (j, column) in columns.iter_mut().enumerate() {
                        let mut values = [Lanes::ZERO; P];
                        for (i, value) in values.iter_mut().enumerate() {
                            *value = self.products.load(i * P + j, from + channel);
                        }
                        *column = T::apply(values);
                    }
                    for i in 0..bottom {
                        let row = T::apply(row_of(&columns, i));
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
    fn read_gradient<const N: usize, const P: usize, T: Transform<4, P>>(
        &mut self,
        images: &[f32],
    ) {
        let Pass { to: size, tiles_across, .. } = self.pass;
        let channels = size.channels;
        let mut to = 0;
        for image in images.chunks_exact(size.len()) {
            for tile in 0..self.pass.tiles_per_image() {
                let (top, left) = (tile / tiles_across * 4, tile % tiles_across * 4);
                let (bottom, right) = ((size.height - top).min(4), (size.width - left).min(4));
                for channel in (0..channels).step_by(N) {
                    let mut columns = [[Lanes::<N>::ZERO; P]; 4];
                    for (j, column) in columns.iter_mut().enumerate().take(right) {
                        let mut values = [Lanes::ZERO; 4];
                        for (i, value) in values.iter_mut().enumerate().take(bottom) {
                            let pixel = ((top + i) * size.width + left + j) * channels;
                            *value = Lanes::load(image, pixel + channel);
                        }
                        *column = T::apply(values);
                    }
                    for i in 0..P {
                        let row = T::apply(row_of(&columns, i));
                        for (j, value) in row.into_iter().enumerate() {
                            self.products.store(i * P + j, to + channel, value);
                        }
                    }
                }
                to += channels;
            }
        }
    }
}
