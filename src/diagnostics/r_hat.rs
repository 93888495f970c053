//! R̂: do chains from different starts agree?

use std::collections::BTreeMap;

use super::{DoesNotApply, check, check_moving, moments, ranks::RankedHalves};

/// Rank-normalised split R̂: near 1 where the chains agree; 1.01 is the usual mark.
///
/// Every chain is cut into halves of N draws, so that a drift counts as disagreement; values become
/// normal scores of their ranks z, so that a heavy tail does no harm. With the variance of the halves'
/// means B/N and the mean of their variances W, R̂ = √((B/W + N - 1) / N). The larger of two is
/// returned: that of z (do locations agree?) and that of the scores of |x - median| (do spreads?).
/// Infinite where halves differ in location or spread but nothing varies within any of them.
///
/// # Shapes
/// `draws`: (chains, draws).
///
/// # Errors
/// Fewer than 2 chains or 4 draws, unequal lengths, values that are not finite, chains that stand still.
///
/// # Source
/// Vehtari et al. 2021, arXiv:1903.08008; equal to ArviZ's `rhat(method="rank")`.
pub fn split_r_hat(draws: &[Vec<f64>]) -> Result<f64, DoesNotApply> {
    let num_draws = check_moving(draws, 2)?;
    split_r_hat_of(&RankedHalves::new(draws, num_draws))
}

pub(super) fn split_r_hat_of(halves: &RankedHalves) -> Result<f64, DoesNotApply> {
    let bulk = r_hat(&halves.scores, halves.num_draws);
    // Of two values, equally far from their median, there is no tail to speak of. And there is nothing at
    // all where the chains moved only in the middle draw, which no half holds.
    let tail = r_hat(&halves.folded_scores(), halves.num_draws);
    [bulk, tail].into_iter().flatten().reduce(f64::max).ok_or(DoesNotApply::Constant)
}

/// √((B/W + N - 1) / N) of chains of `num_draws` on end, or nothing where all values are the same.
fn r_hat(values: &[f64], num_draws: usize) -> Option<f64> {
    let (means, variances): (Vec<f64>, Vec<f64>) =
        values.chunks_exact(num_draws).map(moments).unzip();
    let within = moments(&variances).0;
    let between = moments(&means).1;
    let n = num_draws as f64;
    let r_hat = ((n * between / within + n - 1.0) / n).sqrt();
    (!r_hat.is_nan()).then_some(r_hat)
}

/// Nested R̂: near 1 where groups of chains have forgotten their different starts, however short the
/// chains are.
///
/// A superchain is the chains of one start. With K superchains of M chains of N draws:
/// ```text
/// nested R̂ = √(1 + B/W)
/// B = variance over superchains of their means                      (divisor K - 1)
/// W = mean over superchains of (variance of its chains' means       (divisor M - 1, 0 if M = 1)
///                             + mean of its chains' variances)      (divisor N - 1, 0 if N = 1)
/// ```
/// One draw per chain will do, if M > 1. Then expect √(1 + 1/M) and not 1 of chains that have converged:
/// 1.05 with 10 chains, 1.005 with 100; longer chains come closer to 1.
///
/// Differs from the paper where a superchain holds the chains that start in one class, from draws of its law instead
/// of from one point: it then finds what a class leaves behind, not what a single point would.
///
/// # Shapes
/// `draws`: (chains, draws); `superchain_of`: (chains), any numbers, the same for chains of one start.
///
/// # Errors
/// Fewer than 2 superchains, superchains of unequal size, chains of unequal length, no draw at all, a
/// single draw of a single chain per superchain, values that are not finite, superchains in which all
/// values are the same.
///
/// # Panics
/// Where `superchain_of` has not one entry per chain.
///
/// # Source
/// Margossian et al. 2024, arXiv:2110.13017, on the values themselves, neither split nor ranked.
pub fn nested_r_hat(draws: &[Vec<f64>], superchain_of: &[usize]) -> Result<f64, DoesNotApply> {
    assert_eq!(draws.len(), superchain_of.len(), "one superchain per chain");
    let num_draws = check(draws, 2, 1)?;
    let mut superchains = BTreeMap::<usize, Vec<&[f64]>>::new();
    for (chain, &superchain) in draws.iter().zip(superchain_of) {
        superchains.entry(superchain).or_default().push(chain);
    }
    let found = superchains.len();
    if found < 2 {
        return Err(DoesNotApply::TooFewSuperchains { needed: 2, found });
    }
    let sizes = || superchains.values().map(Vec::len);
    let (smallest, largest) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
    if smallest != largest {
        return Err(DoesNotApply::UnequalSuperchains { smallest, largest });
    }
    if largest == 1 && num_draws == 1 {
        return Err(DoesNotApply::TooFewDraws { needed: 2, found: 1 });
    }

    let (means, spreads): (Vec<f64>, Vec<f64>) = superchains
        .values()
        .map(|chains| {
            let (means, variances): (Vec<f64>, Vec<f64>) =
                chains.iter().map(|chain| moments(chain)).unzip();
            let (mean, between_chains) = moments(&means);
            (mean, between_chains + moments(&variances).0)
        })
        .unzip();
    let within = moments(&spreads).0;
    if within == 0.0 {
        return Err(DoesNotApply::Constant);
    }
    Ok((1.0 + moments(&means).1 / within).sqrt())
}
