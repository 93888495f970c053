//! Statistics of an evaluation: pure functions of plain numbers.
//!
//! Matrices are flattened row by row: logits and probabilities (N, classes), features (N, features). Intervals are 95
//! % intervals. Finite inputs never give NaN, and the same seed gives the same numbers on every machine.
//! `tests/sklearn/golden.py` checks them against scikit-learn and SciPy.

mod calibration;
mod frechet;
mod intervals;
mod manifold;
mod ranking;

pub use calibration::{calibrated, calibration};
pub(crate) use frechet::MomentsSum;
pub use frechet::{Moments, frechet, frechet_distance, inception_like};
pub use intervals::{bootstrap, bootstrap_distance, jackknife, mean, proportion};
pub use manifold::{nearest_distances, precision_recall};
pub use ranking::{auroc, false_positives_at, roc, separation};
