//! R̂: do chains from different starts agree?

use std::collections::BTreeMap;

use super::{DoesNotApply, check, check_moving, moments, ranks::RankedHalves};

/// Rank-normalised split R̂: near 1 if the chains agree; 1.01 is the usual threshold.
///
/// Every chain is split into halves of N draws, so that a drift counts as disagreement. The values are replaced by z,
/// the normal scores of their ranks, so that heavy tails do no harm. With the variance of the halves' means B/N and
/// the mean of their variances W, R̂ = √((B/W + N - 1) / N). The result is the larger of two: R̂ of z (do the
/// locations agree?) and R̂ of the scores of |x - median| (do the spreads agree?). It is infinite if halves differ in
/// location or spread but no value varies within any of them.
///
/// # Shapes
/// `draws`: (chains, draws).
///
/// # Errors
/// Fewer than 2 chains or 4 draws, unequal lengths, values that are not finite, only constant chains.
///
/// # Source
/// Vehtari et al. 2021, arXiv:1903.08008; equal to ArviZ's `rhat(method="rank")`.
pub fn split_r_hat(draws: &[Vec<f64>]) -> Result<f64, DoesNotApply> {
    let num_draws = check_moving(draws, 2)?;
    split_r_hat_of(&RankedHalves::new(draws, num_draws))
}

pub(super) fn split_r_hat_of(halves: &RankedHalves) -> Result<f64, DoesNotApply> {
    let bulk = r_hat(&halves.scores, halves.num_draws);
    // With two values, both have the same distance from the median, so there is no R̂ of the tail. There is no R̂ at
    // all if the chains moved only in the middle draw, which belongs to no half.
    let tail = r_hat(&halves.folded_scores(), halves.num_draws);
    [bulk, tail].into_iter().flatten().reduce(f64::max).ok_or(DoesNotApply::Constant)
}

/// √((B/W + N - 1) / N) of concatenated chains of `num_draws`; `None` if all values are equal.
fn r_hat(values: &[f64], num_draws: usize) -> Option<f64> {
    let (means, variances): (Vec<f64>, Vec<f64>) =
        values.chunks_exact(num_draws).map(moments).unzip();
    let within = moments(&variances).0;
    let between = moments(&means).1;
    let n = num_draws as f64;
    let r_hat = ((n * between / within + n - 1.0) / n).sqrt();
    (!r_hat.is_nan()).then_some(r_hat)
}

/// Nested R̂: near 1 if groups of chains have forgotten their different starts. Use it for many short chains.
///
/// A superchain is the chains of one start. With K superchains of M chains of N draws:
/// ```text
/// nested R̂ = √(1 + B/W)
/// B = variance over superchains of their means                      (divisor K - 1)
/// W = mean over superchains of (variance of its chains' means       (divisor M - 1, 0 if M = 1)
///                             + mean of its chains' variances)      (divisor N - 1, 0 if N = 1)
/// ```
/// One draw per chain is enough if M > 1. Converged chains then give √(1 + 1/M) instead of 1: 1.05 for 10 chains,
/// 1.005 for 100; longer chains come closer to 1.
///
/// Differs from the paper if a superchain holds the chains that start in one class, at draws from its distribution
/// instead of at one point: it then measures the influence of the class, not of a single point.
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
/// If `superchain_of` does not have one entry per chain.
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
