//! Detection of training steps that diverged.
//!
//! # Source
//! Failure reports from users of JEM code; gap and gradient norm as measures of health after arXiv:1903.12370.

use super::StepReport;
use crate::config::DivergenceConfig;

/// Why a training step counts as diverged. No result of such a step is kept.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Divergence {
    /// A number is NaN or infinite.
    #[error("{0} is not finite")]
    NotFinite(&'static str),
    /// A watched number exceeds its bound.
    #[error(
        "{what} = {value:.3e} is {} its bound {:.3e}",
        if *value < 0.0 { "below" } else { "above" },
        bound.copysign(*value)
    )]
    PastBound {
        /// The name of the number.
        what: &'static str,
        /// The value of the number.
        value: f64,
        /// The bound of the number's absolute value, from the `divergence` section.
        bound: f64,
    },
}

/// Checks every watched number of a step against its bound.
///
/// # Errors
/// The first number that is not finite or exceeds its bound.
pub(super) fn check(
    bounds: &DivergenceConfig,
    report: &StepReport,
    smoothed_gap: f64,
) -> Result<(), Divergence> {
    let watched = [
        ("the loss", report.loss, bounds.max_abs_loss),
        ("energy_data", report.terms.energy_data, bounds.max_abs_energy),
        ("energy_model", report.terms.energy_model, bounds.max_abs_energy),
        ("the smoothed gap d", smoothed_gap, bounds.max_abs_gap),
        ("the gradient norm", report.gradient_norm, bounds.max_gradient_norm),
        ("the clamp rate", report.clamp_rate, bounds.max_clamp_rate),
    ];
    for (what, value, bound) in watched {
        if !value.is_finite() {
            return Err(Divergence::NotFinite(what));
        }
        if value.abs() > bound {
            return Err(Divergence::PastBound { what, value, bound });
        }
    }
    Ok(())
}
