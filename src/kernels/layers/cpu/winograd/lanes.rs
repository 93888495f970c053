//! The one-dimensional transforms of minimal filtering, on lanes of neighbouring channels.

use super::{TILE, TILE_IN};

/// `N` neighbouring values in memory. The operations are plain loops that are always inlined, so that they become SIMD
/// instructions of the calling function.
#[derive(Clone, Copy)]
pub struct Lanes<const N: usize>(pub [f32; N]);

impl<const N: usize> Lanes<N> {
    pub const ZERO: Self = Self([0.0; N]);

    #[inline(always)]
    pub fn load(values: &[f32], begin: usize) -> Self {
        let mut lanes = [0.0; N];
        let from = &values[begin..begin + N];
        lanes.copy_from_slice(from);
        Self(lanes)
    }

    #[inline(always)]
    pub fn store(self, values: &mut [f32], begin: usize) {
        let to = &mut values[begin..begin + N];
        to.copy_from_slice(&self.0);
    }
}

impl<const N: usize> std::ops::Add for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn add(mut self, other: Self) -> Self {
        for lane in 0..N {
            self.0[lane] += other.0[lane];
        }
        self
    }
}

impl<const N: usize> std::ops::Sub for Lanes<N> {
    type Output = Self;

    #[inline(always)]
    fn sub(mut self, other: Self) -> Self {
        for lane in 0..N {
            self.0[lane] -= other.0[lane];
        }
        self
    }
}

impl<const N: usize> std::ops::Mul<Lanes<N>> for f32 {
    type Output = Lanes<N>;

    #[inline(always)]
    fn mul(self, mut lanes: Lanes<N>) -> Lanes<N> {
        for lane in 0..N {
            lanes.0[lane] *= self;
        }
        lanes
    }
}

/// Row `i` of a block that is stored in columns. (`array::map` would be a call that is not inlined.)
#[inline(always)]
pub(super) fn row_of<const N: usize, const H: usize, const W: usize>(
    columns: &[[Lanes<N>; H]; W],
    i: usize,
) -> [Lanes<N>; W] {
    let mut row = [Lanes::ZERO; W];
    for j in 0..W {
        row[j] = columns[j][i];
    }
    row
}

/// The input transform Bᵀ d of a column of 6 inputs.
#[inline(always)]
pub(super) fn input_transform<const N: usize>(
    [d0, d1, d2, d3, d4, d5]: [Lanes<N>; TILE_IN],
) -> [Lanes<N>; TILE_IN] {
    // Rows 1 and 2, and rows 3 and 4, are the sum and the difference of the same two halves.
    let (even, odd) = (d4 - 4.0 * d2, d3 - 4.0 * d1);
    let (even_half, odd_half) = (d4 - d2, 2.0 * (d3 - d1));
    [
        4.0 * d0 - 5.0 * d2 + d4,
        even + odd,
        even - odd,
        even_half + odd_half,
        even_half - odd_half,
        4.0 * d1 - 5.0 * d3 + d5,
    ]
}

/// The output transform Aᵀ m, from 6 products to 4 outputs.
#[inline(always)]
pub(super) fn output_transform<const N: usize>(
    [m0, m1, m2, m3, m4, m5]: [Lanes<N>; TILE_IN],
) -> [Lanes<N>; TILE] {
    let (sum, difference) = (m1 + m2, m1 - m2);
    let (sum_2, difference_2) = (m3 + m4, m3 - m4);
    [
        m0 + sum + sum_2,
        difference + 2.0 * difference_2,
        sum + 4.0 * sum_2,
        difference + 8.0 * difference_2 + m5,
    ]
}

/// The filter transform G g of 3 filter taps.
#[inline(always)]
pub(super) fn filter_transform<const N: usize>([g0, g1, g2]: [Lanes<N>; 3]) -> [Lanes<N>; TILE_IN] {
    let outer = (1.0 / 6.0) * (g0 + g2);
    let outer_2 = (1.0 / 24.0) * g0 + (1.0 / 6.0) * g2;
    let (middle, middle_2) = ((1.0 / 6.0) * g1, (1.0 / 12.0) * g1);
    [
        0.25 * g0,
        Lanes::ZERO - outer - middle,
        middle - outer,
        outer_2 + middle_2,
        outer_2 - middle_2,
        g2,
    ]
}

/// The transform A y of 4 output gradients.
#[inline(always)]
pub(super) fn gradient_transform<const N: usize>(
    [y0, y1, y2, y3]: [Lanes<N>; TILE],
) -> [Lanes<N>; TILE_IN] {
    let (even, odd) = (y0 + y2, y1 + y3);
    let (even_2, odd_2) = (y0 + 4.0 * y2, 2.0 * y1 + 8.0 * y3);
    [y0, even + odd, even - odd, even_2 + odd_2, even_2 - odd_2, y3]
}

/// The transform Gᵀ m, from 6 products back to 3 filter taps.
#[inline(always)]
pub(super) fn filter_transform_back<const N: usize>(
    [m0, m1, m2, m3, m4, m5]: [Lanes<N>; TILE_IN],
) -> [Lanes<N>; 3] {
    let (inner, outer) = ((1.0 / 6.0) * (m1 + m2), m3 + m4);
    [
        0.25 * m0 - inner + (1.0 / 24.0) * outer,
        (1.0 / 6.0) * (m2 - m1) + (1.0 / 12.0) * (m3 - m4),
        (1.0 / 6.0) * outer - inner + m5,
    ]
}
