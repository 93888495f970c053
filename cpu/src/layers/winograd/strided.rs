//! The one-dimensional transforms of minimal filtering with stride 2.
//!
//! ```text
//! y[i] = g0 x[2i - 1] + g1 x[2i] + g2 x[2i + 1]
//! ```
//!
//! With e[i] = x[2i - 1], the first and the last tap are a filter of two taps with stride 1, y[i] = g0 e[i] + g2 e[i + 1]:
//! F(4, 2) with the points 0, 1, -1, 2 and ∞ takes 5 products for 4 outputs. The middle tap takes one for each. Together
//! that is 9, while the direct sum needs 12; in two dimensions 81 and 144.

use pulp::Simd;

use super::lanes::{Lanes, Transform};

/// The input transform of F(4, 2).
#[inline(always)]
fn two_taps<S: Simd>([e0, e1, e2, e3, e4]: [Lanes<S>; 5]) -> [Lanes<S>; 5] {
    let difference = e3 - e1;
    [
        difference.plus(2.0, e0 - e2),
        (e3 - e2).plus(-2.0, e1),
        e3.plus(-3.0, e2).plus(2.0, e1),
        difference,
        (e4 - e2).plus(-2.0, difference),
    ]
}

/// The output transform of F(4, 2).
#[inline(always)]
fn two_taps_back<S: Simd>([m0, m1, m2, m3, m4]: [Lanes<S>; 5]) -> [Lanes<S>; 4] {
    let (sum, difference) = (m1 + m2, m1 - m2);
    [m0 + sum + m3, difference.plus(2.0, m3), sum.plus(4.0, m3), (difference + m4).plus(8.0, m3)]
}

/// The input transform of a tile of 9 inputs.
pub(super) struct Input;

impl Transform<9, 9> for Input {
    #[inline(always)]
    fn apply<S: Simd>([d0, d1, d2, d3, d4, d5, d6, d7, d8]: [Lanes<S>; 9]) -> [Lanes<S>; 9] {
        let [p0, p1, p2, p3, p4] = two_taps([d0, d2, d4, d6, d8]);
        [p0, p1, p2, p3, p4, d1, d3, d5, d7]
    }
}

/// The output transform, from 9 products to 4 outputs.
pub(super) struct Output;

impl Transform<9, 4> for Output {
    #[inline(always)]
    fn apply<S: Simd>([m0, m1, m2, m3, m4, c0, c1, c2, c3]: [Lanes<S>; 9]) -> [Lanes<S>; 4] {
        let [y0, y1, y2, y3] = two_taps_back([m0, m1, m2, m3, m4]);
        [y0 + c0, y1 + c1, y2 + c2, y3 + c3]
    }
}

/// The input transform of an input gradient, from 5 output gradients.
pub(super) struct InputBack;

impl Transform<5, 9> for InputBack {
    #[inline(always)]
    fn apply<S: Simd>([e0, e1, e2, e3, e4]: [Lanes<S>; 5]) -> [Lanes<S>; 9] {
        let [p0, p1, p2, p3, p4] = two_taps([e0, e1, e2, e3, e4]);
        [p0, p1, p2, p3, p4, e0, e1, e2, e3]
    }
}

/// The output transform of an input gradient, from 9 products to 8 outputs.
pub(super) struct OutputBack;

impl Transform<9, 8> for OutputBack {
    #[inline(always)]
    fn apply<S: Simd>([m0, m1, m2, m3, m4, c0, c1, c2, c3]: [Lanes<S>; 9]) -> [Lanes<S>; 8] {
        let [y0, y1, y2, y3] = two_taps_back([m0, m1, m2, m3, m4]);
        [c0, y0, c1, y1, c2, y2, c3, y3]
    }
}

/// The filter transform of 3 filter taps.
pub(super) struct Filter;

impl Transform<3, 6> for Filter {
    #[inline(always)]
    fn apply<S: Simd>([g0, g1, g2]: [Lanes<S>; 3]) -> [Lanes<S>; 6] {
        [
            0.5 * g0,
            -0.5 * (g0 + g2),
            (1.0 / 6.0) * (g2 - g0),
            (1.0 / 6.0) * g0 + (1.0 / 3.0) * g2,
            g2,
            g1,
        ]
    }
}

/// The transform of 4 output gradients, the transpose of [`Output`].
pub(super) struct Gradient;

impl Transform<4, 9> for Gradient {
    #[inline(always)]
    fn apply<S: Simd>([y0, y1, y2, y3]: [Lanes<S>; 4]) -> [Lanes<S>; 9] {
        let (even, odd) = (y0 + y2, y1 + y3);
        let (even_2, odd_2) = (y0 + 4.0 * y2, 2.0 * y1 + 8.0 * y3);
        [y0, even + odd, even - odd, even_2 + odd_2, y3, y0, y1, y2, y3]
    }
}

/// The transform of 6 products back to 3 filter taps, the transpose of [`Filter`].
pub(super) struct FilterBack;

impl Transform<6, 3> for FilterBack {
    #[inline(always)]
    fn apply<S: Simd>([m0, m1, m2, m3, m4, m5]: [Lanes<S>; 6]) -> [Lanes<S>; 3] {
        [
            0.5 * (m0 - m1) + (1.0 / 6.0) * (m3 - m2),
            m5,
            (1.0 / 6.0) * m2 - 0.5 * m1 + (1.0 / 3.0) * m3 + m4,
        ]
    }
}
