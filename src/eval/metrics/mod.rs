//! The numbers of an evaluation: plain numbers in, plain numbers out.
//!
//! Rows are flattened: logits and probabilities (N, classes), features (N, features). Intervals are of 95 %. Nothing
//! gives NaN for finite numbers, and the same seed gives the same numbers everywhere. `tests/sklearn/golden.py` checks
//! them against scikit-learn and SciPy.

mod calibration;
mod frechet;
mod intervals;
mod manifold;
mod ranking;

pub use calibration::{calibration, fit_temperature};
pub use frechet::{Moments, frechet, frechet_distance, inception_like};
pub use intervals::{bootstrap, bootstrap_distance, jackknife, mean, proportion};
pub use manifold::{nearest_distances, precision_recall};
pub use ranking::{auroc, false_positives_at, roc, separation};
