//! The one-dimensional transforms of minimal filtering with stride 1, F(4, 3) with the points 0, 1, -1, 2, -2 and ∞.

use pulp::Simd;

use super::lanes::{Lanes, Transform};

/// The input transform Bᵀ d of a column of 6 inputs.
pub(super) struct Input;

impl Transform<6, 6> for Input {
    #[inline(always)]
    fn apply<S: Simd>([d0, d1, d2, d3, d4, d5]: [Lanes<S>; 6]) -> [Lanes<S>; 6] {
        // Rows 1 and 2, and rows 3 and 4, are the sum and the difference of the same two halves.
        let (even, odd) = (d4.plus(-4.0, d2), d3.plus(-4.0, d1));
        let (even_half, odd_half) = (d4 - d2, d3 - d1);
        [
            d4.plus(-5.0, d2).plus(4.0, d0),
            even + odd,
            even - odd,
            even_half.plus(2.0, odd_half),
            even_half.plus(-2.0, odd_half),
            d5.plus(-5.0, d3).plus(4.0, d1),
        ]
    }
}

/// The output transform Aᵀ m, from 6 products to 4 outputs.
pub(super) struct Output;

impl Transform<6, 4> for Output {
    #[inline(always)]
    fn apply<S: Simd>([m0, m1, m2, m3, m4, m5]: [Lanes<S>; 6]) -> [Lanes<S>; 4] {
        let (sum, difference) = (m1 + m2, m1 - m2);
        let (sum_2, difference_2) = (m3 + m4, m3 - m4);
        [
            m0 + sum + sum_2,
            difference.plus(2.0, difference_2),
            sum.plus(4.0, sum_2),
            (difference + m5).plus(8.0, difference_2),
        ]
    }
}

/// The filter transform G g of 3 filter taps.
pub(super) struct Filter;

impl Transform<3, 6> for Filter {
    #[inline(always)]
    fn apply<S: Simd>([g0, g1, g2]: [Lanes<S>; 3]) -> [Lanes<S>; 6] {
        let outer = (-1.0 / 6.0) * (g0 + g2);
        let outer_2 = ((1.0 / 24.0) * g0).plus(1.0 / 6.0, g2);
        [
            0.25 * g0,
            outer.plus(-1.0 / 6.0, g1),
            outer.plus(1.0 / 6.0, g1),
            outer_2.plus(1.0 / 12.0, g1),
            outer_2.plus(-1.0 / 12.0, g1),
            g2,
        ]
    }
}

/// The transform A y of 4 output gradients.
pub(super) struct Gradient;

impl Transform<4, 6> for Gradient {
    #[inline(always)]
    fn apply<S: Simd>([y0, y1, y2, y3]: [Lanes<S>; 4]) -> [Lanes<S>; 6] {
        let (even, odd) = (y0 + y2, y1 + y3);
        let (even_2, odd_2) = (y0.plus(4.0, y2), y1.plus(4.0, y3));
        [y0, even + odd, even - odd, even_2.plus(2.0, odd_2), even_2.plus(-2.0, odd_2), y3]
    }
}

/// The transform Gᵀ m, from 6 products back to 3 filter taps.
pub(super) struct FilterBack;

impl Transform<6, 3> for FilterBack {
    #[inline(always)]
    fn apply<S: Simd>([m0, m1, m2, m3, m4, m5]: [Lanes<S>; 6]) -> [Lanes<S>; 3] {
        let (inner, outer) = ((1.0 / 6.0) * (m1 + m2), m3 + m4);
        [
            (0.25 * m0 - inner).plus(1.0 / 24.0, outer),
            ((1.0 / 6.0) * (m2 - m1)).plus(1.0 / 12.0, m3 - m4),
            (m5 - inner).plus(1.0 / 6.0, outer),
        ]
    }
}
