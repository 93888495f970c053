//! Whether chains agree and what their draws are worth: plain numbers in, plain numbers out.
//!
//! Draws are a scalar summary along each chain at frozen weights, its energy for one, never a pixel:
//! one `Vec` per chain, all equally long, of numbers that an `f32` holds. Where a number would mean
//! nothing stands a [`DoesNotApply`], whose one line says why; no diagnostic returns NaN.
//!
//! # Source
//! Vehtari et al. 2021 (arXiv:1903.08008) as ArviZ 0.23 computes it; Margossian et al. 2024
//! (arXiv:2110.13017).

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

/// Fewest draws per chain: halves of two, each with a variance.
const MIN_DRAWS: usize = 4;

/// Why a diagnostic says nothing about these chains, in a line for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoesNotApply {
    /// Chains are shorter than the diagnostic needs.
    #[error("too few draws: {needed} per chain are needed, so far {found}")]
    TooFewDraws {
        /// Per chain.
        needed: usize,
        /// Per chain.
        found: usize,
    },
    /// Nothing to compare a chain with, or no chain at all.
    #[error("too few chains: {needed} are needed, here {found}")]
    TooFewChains {
        /// Chains.
        needed: usize,
        /// Chains.
        found: usize,
    },
    /// Nothing to compare a superchain with.
    #[error("too few groups of chains: {needed} different starts are needed, here {found}")]
    TooFewSuperchains {
        /// Superchains.
        needed: usize,
        /// Superchains.
        found: usize,
    },
    /// Chains of different lengths.
    #[error("the chains are not equally long: from {shortest} to {longest} draws")]
    UnequalLengths {
        /// Draws of the shortest chain.
        shortest: usize,
        /// Draws of the longest chain.
        longest: usize,
    },
    /// Superchains of different sizes.
    #[error("the groups of chains are not equally large: from {smallest} to {largest} chains")]
    UnequalSuperchains {
        /// Chains of the smallest superchain.
        smallest: usize,
        /// Chains of the largest superchain.
        largest: usize,
    },
    /// NaN or infinity.
    #[error("draw {} of chain {} is not a finite number", .draw + 1, .chain + 1)]
    NotFinite {
        /// Index of the first such chain.
        chain: usize,
        /// Index of its first such draw.
        draw: usize,
    },
    /// Every chain, or for nested R̂ every superchain, repeats one value.
    #[error("constant values: nothing moves, so there is no spread to compare with")]
    Constant,
    /// σ = 0.
    #[error(
        "without noise there is no invariant law to converge to: the chains descend the energy"
    )]
    NoNoise,
    /// Batch norm in train mode.
    #[error("batch norm mixes the chains of a batch, so they are not independent chains")]
    CoupledChains,
    /// p(x|y) of several classes.
    #[error(
        "every class follows its own law p(x|y), so chains of different classes need not agree: take one \
         class alone"
    )]
    DifferentLaws,
    /// ‖x - x_0‖ of chains whose x_0 differ.
    #[error(
        "every chain measures from a start of its own, so there is no law that all could share"
    )]
    OwnStarts,
    /// PYLD with a split past the affine part.
    #[error("inner steps through a non-linear first layer are no Langevin proposal to weigh")]
    NoProposal,
    /// Too little to tell two sets of values apart.
    #[error("too few values: {needed} are needed, here {found}")]
    TooFewValues {
        /// Of each set.
        needed: usize,
        /// Of the smaller set.
        found: usize,
    },
    /// NaN or infinity in a set of values.
    #[error("{found} of {all} values are not finite numbers")]
    BrokenValues {
        /// How many.
        found: usize,
        /// Of how many.
        all: usize,
    },
}

/// What the chains of one summary have to say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Whether halves of chains agree, by [`split_r_hat`].
    pub split_r_hat: Result<f64, DoesNotApply>,
    /// How many independent draws the bulk is worth, by [`ess_bulk`].
    pub ess_bulk: Result<f64, DoesNotApply>,
    /// How many independent draws the tails are worth, by [`ess_tail`].
    pub ess_tail: Result<f64, DoesNotApply>,
    /// Steps between independent draws, by [`integrated_time`].
    pub integrated_time: Result<f64, DoesNotApply>,
}

/// [`split_r_hat`] and [`ess_bulk`] from the same ranks.
pub fn split_r_hat_and_ess_bulk(
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

/// The diagnostics that need nothing but the draws (chains, draws), at less cost than one by one: ranks
/// are made once.
pub fn report(draws: &[Vec<f64>]) -> Report {
    let (split_r_hat, ess_bulk) = split_r_hat_and_ess_bulk(draws);
    Report {
        split_r_hat,
        ess_bulk,
        ess_tail: ess_tail(draws),
        integrated_time: integrated_time(draws),
    }
}

/// Why none of these diagnostics applies to a sampler, or nothing where they do.
///
/// `noise_std` is σ, the standard deviation actually added; `couples_chains` is whether the network
/// normalises by the statistics of the batch while it samples; `has_different_laws` is whether chains
/// follow p(x|y) of more than one class.
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

/// Switches of predicted class along one chain: how often a draw's class is not that of the draw before.
pub fn switches(classes: &[u32]) -> usize {
    classes.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// A diagnostic as a person meets it: a name and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Diagnostic {
    /// [`split_r_hat`].
    SplitRHat,
    /// [`nested_r_hat`].
    NestedRHat,
    /// [`ess_bulk`].
    EssBulk,
    /// [`ess_tail`].
    EssTail,
    /// [`ess_bulk`] over the seconds that the draws took.
    EssPerSec,
    /// [`integrated_time`].
    IntegratedTime,
    /// [`switches`].
    Switches,
}

impl Diagnostic {
    /// Every diagnostic, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::SplitRHat,
        Self::NestedRHat,
        Self::EssBulk,
        Self::EssTail,
        Self::EssPerSec,
        Self::IntegratedTime,
        Self::Switches,
    ];

    /// What it is called.
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

    /// What it means, in one line.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::SplitRHat => {
                "Spread of all chains together over the spread within one: 1 once they roam the same \
                 values, above 1.01 while they still disagree."
            }
            Self::NestedRHat => {
                "R̂ for many short chains, grouped by where they began: it falls towards 1 as the \
                 groups forget their starts."
            }
            Self::EssBulk => {
                "Effective sample size: independent draws that would tell the average as precisely as \
                 these, each of which resembles the one before."
            }
            Self::EssTail => {
                "Effective sample size of rare values: independent draws that would place the lowest \
                 and highest 5 % as precisely; the worse of the two."
            }
            Self::EssPerSec => {
                "Independent draws that a second of computing is worth: compares samplers whose steps \
                 differ in cost and reach."
            }
            Self::IntegratedTime => {
                "Draws until a chain has forgotten where it was: about one draw in so many tells \
                 something new."
            }
            Self::Switches => {
                "How often the class that the classifier sees in a chain changed: without switches a \
                 chain shows one class only."
            }
        }
    }

    /// A number of this diagnostic as people read it, and what it says where there is a usual mark.
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
                if value >= 400.0 { "✔ enough to trust" } else { "✖ fewer than 400: go on" },
            ),
            Self::EssPerSec => (format!("{value:.*}", if value < 10.0 { 2 } else { 0 }), ""),
            Self::IntegratedTime => (format!("{value:.1} steps"), ""),
            Self::Switches => (format!("{value:.1} per chain"), ""),
        }
    }
}

/// What MALA's acceptance means, in one line.
pub const ACCEPTANCE_MEANING: &str = "How probable MALA's acceptance of a proposal is, on average: near 0 % \
                                      the chain hardly moves, near 100 % its steps are smaller than they \
                                      could be; about 57 % is best.";

/// Draws per chain, once everything is there that a diagnostic needs.
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

/// [`check`], and at least one chain moves.
fn check_moving(draws: &[Vec<f64>], min_chains: usize) -> Result<usize, DoesNotApply> {
    let num_draws = check(draws, min_chains, MIN_DRAWS)?;
    if draws.iter().all(|chain| chain.iter().all(|&value| value == chain[0])) {
        return Err(DoesNotApply::Constant);
    }
    Ok(num_draws)
}

/// First and last halves of the chains on end, and the length of one; the middle draw of an odd number
/// is left out.
fn halves(draws: &[Vec<f64>], num_draws: usize) -> (Vec<f64>, usize) {
    let half = num_draws / 2;
    let pieces = draws.iter().flat_map(|chain| [&chain[..half], &chain[num_draws - half..]]);
    (pieces.flatten().copied().collect(), half)
}

/// Mean and variance (divisor N - 1), the latter 0 for a single value.
fn moments(values: &[f64]) -> (f64, f64) {
    // Around the first value: those that are all the same get a variance of 0 and not of rounding.
    let (first, count) = (values[0], values.len() as f64);
    let offset = values.iter().map(|value| value - first).sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - first - offset).powi(2)).sum();
    (first + offset, squares / (count - 1.0).max(1.0))
}
