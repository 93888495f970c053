//! MCMC diagnostics of draws: R̂, effective sample sizes and autocorrelation, as pure functions of numbers.
//!
//! The draws are a scalar summary along each chain, for example its energy, with fixed weights and never a single
//! pixel. They are one `Vec` per chain, all of the same length, of numbers that an `f32` can hold. If a diagnostic
//! would be meaningless, the result is a [`DoesNotApply`], whose one-line text says why; no diagnostic returns NaN.
//!
//! # Source
//! Vehtari et al. 2021 (arXiv:1903.08008) as ArviZ 0.23 computes it; Margossian et al. 2024 (arXiv:2110.13017).

pub mod cells;
mod r_hat;
mod ranks;
mod sample_size;
mod two_samples;

use ranks::RankedHalves;

pub use r_hat::{nested_r_hat, split_r_hat};
pub use sample_size::{
    autocorrelation, ess_bulk, ess_tail, integrated_time, joint_autocorrelation,
};
pub use two_samples::{KolmogorovSmirnov, kolmogorov_smirnov, mean_and_std};

/// The smallest number of draws per chain: halves of two, each with a variance.
const MIN_DRAWS: usize = 4;

/// The reason why a diagnostic does not apply to some chains, as a one-line text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoesNotApply {
    /// The chains are shorter than the diagnostic needs.
    #[error("too few draws: {needed} per chain are needed, so far {found}")]
    TooFewDraws {
        /// The number of draws per chain that are needed.
        needed: usize,
        /// The number of draws per chain.
        found: usize,
    },
    /// There are too few chains to compare, or none.
    #[error("too few chains: {needed} are needed, found {found}")]
    TooFewChains {
        /// The number of chains that are needed.
        needed: usize,
        /// The number of chains.
        found: usize,
    },
    /// There are too few superchains to compare.
    #[error("too few groups of chains: {needed} different starts are needed, found {found}")]
    TooFewSuperchains {
        /// The number of superchains that are needed.
        needed: usize,
        /// The number of superchains.
        found: usize,
    },
    /// The chains have different lengths.
    #[error("the chains have different lengths: from {shortest} to {longest} draws")]
    UnequalLengths {
        /// The number of draws of the shortest chain.
        shortest: usize,
        /// The number of draws of the longest chain.
        longest: usize,
    },
    /// The superchains have different sizes.
    #[error("the groups of chains have different sizes: from {smallest} to {largest} chains")]
    UnequalSuperchains {
        /// The number of chains of the smallest superchain.
        smallest: usize,
        /// The number of chains of the largest superchain.
        largest: usize,
    },
    /// A draw is NaN or infinite.
    #[error("draw {} of chain {} is not a finite number", .draw + 1, .chain + 1)]
    NotFinite {
        /// The index of the first chain with such a draw.
        chain: usize,
        /// The index of its first such draw.
        draw: usize,
    },
    /// Every chain, or for nested R̂ every superchain, repeats a single value.
    #[error("constant values: nothing moves, so there is no spread to compare with")]
    Constant,
    /// The sampler adds no noise (σ = 0).
    #[error("without noise there is no distribution to converge to: the chains only descend")]
    NoNoise,
    /// Batch norm in training mode couples the chains.
    #[error("batch norm mixes the chains of a batch, so they are not independent chains")]
    CoupledChains,
    /// Chains of several classes sample different densities p(x|y).
    #[error(
        "every class has its own distribution p(x|y), so chains of different classes need not agree: take one \
         class alone"
    )]
    DifferentLaws,
    /// The distance ‖x - x_0‖ is measured from different starts x_0.
    #[error(
        "every chain measures from its own start, so there is no distribution that all could share"
    )]
    OwnStarts,
    /// PYLD is split after a non-linear layer, or gradients are normalised.
    #[error(
        "normalised gradients, and inner steps through a non-linear first layer, are not a Langevin proposal"
    )]
    NoProposal,
    /// There are too few values to compare two sets.
    #[error("too few values: {needed} are needed, found {found}")]
    TooFewValues {
        /// The number of values that each set needs.
        needed: usize,
        /// The number of values in the smaller set.
        found: usize,
    },
    /// A set of values contains NaN or infinity.
    #[error("{found} of {all} values are not finite numbers")]
    BrokenValues {
        /// The number of such values.
        found: usize,
        /// The number of all values.
        all: usize,
    },
}

/// The diagnostics of one summary over all chains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Whether halves of chains agree, by [`split_r_hat`].
    pub split_r_hat: Result<f64, DoesNotApply>,
    /// The effective sample size of the bulk, by [`ess_bulk`].
    pub ess_bulk: Result<f64, DoesNotApply>,
    /// The effective sample size of the tails, by [`ess_tail`].
    pub ess_tail: Result<f64, DoesNotApply>,
    /// The number of draws per independent draw, by [`integrated_time`].
    pub integrated_time: Result<f64, DoesNotApply>,
}

/// Computes [`split_r_hat`] and [`ess_bulk`] from the same ranks.
pub(crate) fn split_r_hat_and_ess_bulk(
    draws: &[Vec<f64>],
) -> (Result<f64, DoesNotApply>, Result<f64, DoesNotApply>) {
    match check_moving(draws, 1) {
        Err(reason) => (Err(reason), Err(reason)),
        Ok(num_draws) => {
            let halves = RankedHalves::new(draws, num_draws);
            let split_r_hat = check_moving(draws, 2).and_then(|_| r_hat::split_r_hat_of(&halves));
            (split_r_hat, Ok(sample_size::ess_bulk_of(&halves)))
        }
    }
}

/// Computes all diagnostics that need only the draws (chains, draws). It is cheaper than one call for each, because
/// the ranks are computed once.
pub fn report(draws: &[Vec<f64>]) -> Report {
    let (split_r_hat, ess_bulk) = split_r_hat_and_ess_bulk(draws);
    Report {
        split_r_hat,
        ess_bulk,
        ess_tail: ess_tail(draws),
        integrated_time: integrated_time(draws),
    }
}

/// The reason why these diagnostics do not apply to a sampler; `None` if they apply.
///
/// `noise_std` is σ, the standard deviation of the added noise; `couples_chains` is whether the network normalises
/// with batch statistics during sampling; `has_different_laws` is whether chains sample p(x|y) of more than one
/// class.
pub fn applicability(
    noise_std: f64,
    couples_chains: bool,
    has_different_laws: bool,
) -> Option<DoesNotApply> {
    if noise_std.is_nan() || noise_std <= 0.0 {
        return Some(DoesNotApply::NoNoise);
    }
    if couples_chains {
        return Some(DoesNotApply::CoupledChains);
    }
    has_different_laws.then_some(DoesNotApply::DifferentLaws)
}

/// The number of changes of the predicted class along one chain.
pub fn switches(classes: &[u32]) -> usize {
    classes.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// A diagnostic with its name and explanation for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Diagnostic {
    /// Split R̂, by [`split_r_hat`].
    SplitRHat,
    /// Nested R̂, by [`nested_r_hat`].
    NestedRHat,
    /// The effective sample size of the bulk, by [`ess_bulk`].
    EssBulk,
    /// The effective sample size of the tails, by [`ess_tail`].
    EssTail,
    /// The value of [`ess_bulk`] per second of sampling.
    EssPerSec,
    /// The integrated autocorrelation time, by [`integrated_time`].
    IntegratedTime,
    /// The number of class changes, by [`switches`].
    Switches,
}

impl Diagnostic {
    /// All diagnostics, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::SplitRHat,
        Self::NestedRHat,
        Self::EssBulk,
        Self::EssTail,
        Self::EssPerSec,
        Self::IntegratedTime,
        Self::Switches,
    ];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::SplitRHat => "R̂",
            Self::NestedRHat => "nested R̂",
            Self::EssBulk => "bulk ESS",
            Self::EssTail => "tail ESS",
            Self::EssPerSec => "ESS per second",
            Self::IntegratedTime => "autocorrelation time",
            Self::Switches => "switches of predicted class",
        }
    }

    /// A one-line explanation for users.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::SplitRHat => {
                "Spread of all chains together, divided by the spread within one: near 1 once all chains cover \
                 the same values, above 1.01 while they still disagree."
            }
            Self::NestedRHat => {
                "R̂ for many short chains, grouped by where they started: it falls towards 1 as the \
                 groups forget their starts."
            }
            Self::EssBulk => {
                "Effective sample size: independent draws that would estimate the average as precisely as \
                 these correlated ones."
            }
            Self::EssTail => {
                "Effective sample size of rare values: independent draws that would estimate the \
                 lowest and highest 5 % as precisely; the smaller number of the two."
            }
            Self::EssPerSec => {
                "Effective sample size per second of computing: compares samplers whose steps differ in \
                 cost and length."
            }
            Self::IntegratedTime => {
                "Draws until a chain has forgotten where it was: about one draw in this many gives \
                 new information."
            }
            Self::Switches => {
                "How often the class that the classifier predicts for a chain changed: without switches, a \
                 chain shows only one class."
            }
        }
    }

    /// The value as text, and a verdict if there is a usual threshold.
    pub fn text(self, value: f64) -> (String, &'static str) {
        match self {
            Self::SplitRHat => (
                format!("{value:.3}"),
                match value {
                    _ if value <= 1.01 => "✔ the chains agree",
                    _ if value <= 1.1 => "≈ they nearly agree",
                    _ => "✖ they still disagree",
                },
            ),
            Self::NestedRHat => (format!("{value:.3}"), ""),
            Self::EssBulk | Self::EssTail => (
                format!("{value:.0}"),
                if value >= 400.0 { "✔ enough draws" } else { "✖ fewer than 400: run longer" },
            ),
            Self::EssPerSec => (format!("{value:.*}", if value < 10.0 { 2 } else { 0 }), ""),
            Self::IntegratedTime => (format!("{value:.1} steps"), ""),
            Self::Switches => (format!("{value:.1} per chain"), ""),
        }
    }
}

/// A one-line explanation of MALA's acceptance.
pub(crate) const ACCEPTANCE_MEANING: &str = "MALA's mean acceptance probability. Near 0 % the chain hardly \
                                             moves; near 100 % its steps are smaller than necessary; about 57 \
                                             % is best.";

/// Checks the draws for a diagnostic and returns the number of draws per chain.
///
/// # Errors
/// Too few chains or draws, unequal lengths, a draw that is not finite.
fn check(draws: &[Vec<f64>], min_chains: usize, min_draws: usize) -> Result<usize, DoesNotApply> {
    let found = draws.len();
    let lengths = || draws.iter().map(Vec::len);
    let (Some(shortest), Some(longest)) = (lengths().min(), lengths().max()) else {
        return Err(DoesNotApply::TooFewChains { needed: min_chains, found });
    };
    if found < min_chains {
        return Err(DoesNotApply::TooFewChains { needed: min_chains, found });
    }
    if shortest != longest {
        return Err(DoesNotApply::UnequalLengths { shortest, longest });
    }
    if shortest < min_draws {
        return Err(DoesNotApply::TooFewDraws { needed: min_draws, found: shortest });
    }
    for (chain, values) in draws.iter().enumerate() {
        if let Some(draw) = values.iter().position(|value| !value.is_finite()) {
            return Err(DoesNotApply::NotFinite { chain, draw });
        }
    }
    Ok(shortest)
}

/// Does the checks of [`check`], and that at least one chain moves.
fn check_moving(draws: &[Vec<f64>], min_chains: usize) -> Result<usize, DoesNotApply> {
    let num_draws = check(draws, min_chains, MIN_DRAWS)?;
    if draws.iter().all(|chain| chain.iter().all(|&value| value == chain[0])) {
        return Err(DoesNotApply::Constant);
    }
    Ok(num_draws)
}

/// The first and last halves of the chains, concatenated, and the length of a half. If a chain has an odd number of
/// draws, the middle one is left out.
fn halves(draws: &[Vec<f64>], num_draws: usize) -> (Vec<f64>, usize) {
    let half = num_draws / 2;
    let pieces = draws.iter().flat_map(|chain| [&chain[..half], &chain[num_draws - half..]]);
    (pieces.flatten().copied().collect(), half)
}

/// The mean and the variance (divisor N - 1); the variance of a single value is 0.
fn moments(values: &[f64]) -> (f64, f64) {
    // Relative to the first value, so that equal values have a variance of exactly 0.
    let (first, count) = (values[0], values.len() as f64);
    let offset = values.iter().map(|value| value - first).sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - first - offset).powi(2)).sum();
    (first + offset, squares / (count - 1.0).max(1.0))
}
