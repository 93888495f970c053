//! Filters in the transformed domain.

use std::sync::Arc;

use pulp::{Simd, WithSimd};

use super::{
    super::{Buffer, View, Weights, vectorize::with_vectors},
    ConvShape,
    algorithm::{FILTER_SIDE, NUM_FILTERS},
    kept::{self, Kind},
    lanes::{Block, Lanes, MAX_LANES, Transform, begins},
    plain, strided,
};
use crate::parallel::*;

/// The filters in the transformed domain, (36, inputs, outputs).
pub(super) struct Filters {
    pub(super) values: Buffer,
    inputs: usize,
    outputs: usize,
}

impl Filters {
    /// The filters of weights (3, 3, inputs, outputs): for the forward pass; or if `turned`, for the input gradient,
    /// rotated by 180° and with inputs and outputs exchanged. They are kept as long as the weights.
    pub(super) fn of(shape: &ConvShape, weights: &Weights<'_>, turned: bool) -> Arc<Self> {
        let ConvShape { inputs, outputs, stride, .. } = *shape;
        let kind = Kind { inputs, outputs, stride, turned };
        kept::filters(weights, kind, || Self::transformed(shape, &weights.values, turned))
    }

    pub(super) fn transformed(shape: &ConvShape, weights: &[f32], turned: bool) -> Self {
        let ConvShape { inputs, outputs, .. } = *shape;
        if turned {
            Self::of_taps(shape, outputs, inputs, |tap, output, input| {
                weights[((8 - tap) * inputs + input) * outputs + output]
            })
        } else {
            Self::of_taps(shape, inputs, outputs, |tap, input, output| {
                weights[(tap * inputs + input) * outputs + output]
            })
        }
    }

    fn of_taps(
        shape: &ConvShape,
        inputs: usize,
        outputs: usize,
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let mut values = Buffer::new(NUM_FILTERS * inputs * outputs);
        // Each task makes row `input` of all matrices.
        let mut rows: Vec<Vec<&mut [f32]>> = (0..inputs).map(|_| Vec::new()).collect();
        for matrix in values.chunks_exact_mut(inputs * outputs) {
            rows.iter_mut()
                .zip(matrix.chunks_exact_mut(outputs))
                .for_each(|(to, row)| to.push(row));
        }
        rows.into_par_iter().enumerate().for_each(|(input, mut rows)| {
            let weight = |tap: usize, output: usize| weight(tap, input, output);
            with_vectors(TransformRow { rows: &mut rows, weight, stride: shape.stride });
        });
        Self { values, inputs, outputs }
    }

    /// The (inputs, outputs) matrix of one filter.
    pub(super) fn matrix(&self, filter: usize) -> View<'_> {
        let len = self.inputs * self.outputs;
        View::new(&self.values[filter * len..][..len], self.inputs, self.outputs)
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

/// Transforms the taps of one input to one row of outputs in each of the 36 matrices.
struct TransformRow<'a, 'b, F> {
    rows: &'a mut [&'b mut [f32]],
    /// The weight of a tap for an output.
    weight: F,
    stride: usize,
}

impl<F: Fn(usize, usize) -> f32> WithSimd for TransformRow<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.stride == 1 {
            self.transform::<S, plain::Filter>(simd);
        } else {
            self.transform::<S, strided::Filter>(simd);
        }
    }
}

impl<F: Fn(usize, usize) -> f32> TransformRow<'_, '_, F> {
    #[inline(always)]
    fn transform<S: Simd, T: Transform<3, FILTER_SIDE>>(self, simd: S) {
        let mut columns = Block::<S, FILTER_SIDE, 3>::zero(simd);
        for output in begins::<S>(self.rows[0].len()) {
            for (j, column) in columns.0.iter_mut().enumerate() {
                let mut taps = [Lanes::zero(simd); 3];
                for (i, taps) in taps.iter_mut().enumerate() {
                    let mut values = [0.0; MAX_LANES];
                    for (lane, value) in values.iter_mut().enumerate().take(S::F32_LANES) {
                        *value = (self.weight)(3 * i + j, output + lane);
                    }
                    *taps = Lanes::load(simd, &values, 0);
                }
                *column = T::apply(taps);
            }
            for i in 0..FILTER_SIDE {
                let places = T::apply(columns.row(i));
                for (j, lanes) in places.into_iter().enumerate() {
                    lanes.store(self.rows[i * FILTER_SIDE + j], output);
                }
            }
        }
    }
}
