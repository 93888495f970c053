//! Filters in the transformed domain.

use std::sync::Arc;

use rayon::prelude::*;

use super::{
    super::{Buffer, View, Weights, vectorize},
    ConvShape, MIN_LANES,
    algorithm::{FILTER_SIDE, NUM_FILTERS},
    kept::{self, Kind},
    lanes::{Lanes, Transform, row_of},
    plain, strided,
};

/// The filters in the transformed domain, (36, inputs, outputs).
pub(in super::super) struct Filters {
    pub(super) values: Buffer,
    inputs: usize,
    outputs: usize,
}

impl Filters {
    /// The filters of weights (3, 3, inputs, outputs): for the forward pass; or if `turned`, for the input gradient,
    /// rotated by 180° and with inputs and outputs exchanged. They are kept as long as the weights.
    pub(in super::super) fn of(
        shape: &ConvShape,
        weights: &Weights<'_>,
        turned: bool,
    ) -> Arc<Self> {
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
            vectorize(
                #[inline(always)]
                || {
                    if shape.stride == 1 {
                        transform::<plain::Filter>(&mut rows, input, &weight);
                    } else {
                        transform::<strided::Filter>(&mut rows, input, &weight);
                    }
                },
            );
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

/// Transforms the taps of one input to `rows`, one row of outputs for each of the 36 matrices.
#[inline(always)]
fn transform<T: Transform<3, FILTER_SIDE>>(
    rows: &mut [&mut [f32]],
    input: usize,
    weight: impl Fn(usize, usize, usize) -> f32,
) {
    for output in (0..rows[0].len()).step_by(MIN_LANES) {
        let mut taps = [Lanes::<MIN_LANES>::ZERO; 9];
        for (tap, lanes) in taps.iter_mut().enumerate() {
            for lane in 0..MIN_LANES {
                lanes.0[lane] = weight(tap, input, output + lane);
            }
        }
        let mut columns = [[Lanes::ZERO; FILTER_SIDE]; 3];
        for j in 0..3 {
            columns[j] = T::apply([taps[j], taps[3 + j], taps[6 + j]]);
        }
        for i in 0..FILTER_SIDE {
            let places = T::apply(row_of(&columns, i));
            for (j, lanes) in places.into_iter().enumerate() {
                lanes.store(rows[i * FILTER_SIDE + j], output);
            }
        }
    }
}
