//! The one-dimensional transforms of minimal filtering with stride 1, F(4, 3) with the points 0, 1, -1, 2, -2 and ∞.

use super::lanes::{Lanes, Transform};

/// The input transform Bᵀ d of a column of 6 inputs.
pub(super) struct Input;

impl Transform<6, 6> for Input {
    #[inline(always)]
    fn apply<const N: usize>([d0, d1, d2, d3, d4, d5]: [Lanes<N>; 6]) -> [Lanes<N>; 6] {
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
}

/// The output transform Aᵀ m, from 6 products to 4 outputs.
pub(super) struct Output;

impl Transform<6, 4> for Output {
    #[inline(always)]
    fn apply<const N: usize>([m0, m1, m2, m3, m4, m5]: [Lanes<N>; 6]) -> [Lanes<N>; 4] {
        let (sum, difference) = (m1 + m2, m1 - m2);
        let (sum_2, difference_2) = (m3 + m4, m3 - m4);
        [
            m0 + sum + sum_2,
            difference + 2.0 * difference_2,
            sum + 4.0 * sum_2,
            difference + 8.0 * difference_2 + m5,
        ]
    }
}

/// The filter transform G g of 3 filter taps.
pub(super) struct Filter;

impl Transform<3, 6> for Filter {
    #[inline(always)]
    fn apply<const N: usize>([g0, g1, g2]: [Lanes<N>; 3]) -> [Lanes<N>; 6] {
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
}

/// The transform A y of 4 output gradients.
pub(super) struct Gradient;

impl Transform<4, 6> for Gradient {
    #[inline(always)]
    fn apply<const N: usize>([y0, y1, y2, y3]: [Lanes<N>; 4]) -> [Lanes<N>; 6] {
        let (even, odd) = (y0 + y2, y1 + y3);
        let (even_2, odd_2) = (y0 + 4.0 * y2, 2.0 * y1 + 8.0 * y3);
        [y0, even + odd, even - odd, even_2 + odd_2, even_2 - odd_2, y3]
    }
}

/// The transform Gᵀ m, from 6 products back to 3 filter taps.
pub(super) struct FilterBack;

impl Transform<6, 3> for FilterBack {
    #[inline(always)]
    fn apply<const N: usize>([m0, m1, m2, m3, m4, m5]: [Lanes<N>; 6]) -> [Lanes<N>; 3] {
        let (inner, outer) = ((1.0 / 6.0) * (m1 + m2), m3 + m4);
        [
            0.25 * m0 - inner + (1.0 / 24.0) * outer,
            (1.0 / 6.0) * (m2 - m1) + (1.0 / 12.0) * (m3 - m4),
            (1.0 / 6.0) * outer - inner + m5,
        ]
    }
}
