//! Autocorrelation and effective sample size: the number of independent draws with the same precision.

use super::{
    DoesNotApply, check_moving, halves, moments,
    ranks::{RankedHalves, quantile},
};

/// The autocorrelation of one chain at the lags 0 to `max_lag`, or to the length of the chain.
///
/// ρ_k = Σ (x_i - x̄)(x_{i+k} - x̄) / Σ (x_i - x̄)². It is biased towards 0 at lags near the chain's length, but has
/// little noise there. A constant chain has ρ_k = 1 at every lag. The result is empty if a value is not finite or if
/// there are no values.
pub fn autocorrelation(chain: &[f64], max_lag: usize) -> Vec<f64> {
    if chain.is_empty() || !chain.iter().all(|value| value.is_finite()) {
        return Vec::new();
    }
    let lags = 0..=max_lag.min(chain.len() - 1);
    let Some(mut joint) = Joint::new(chain, chain.len()) else {
        return vec![1.0; lags.count()];
    };
    let square = joint.lagged_product(0);
    lags.map(|lag| joint.lagged_product(lag) / square).collect()
}

/// The autocorrelation of several chains of one distribution at the lags 0 to `max_lag`, or to their length.
///
/// ρ_k = 1 - (W - c_k) / v, with the mean over chains c_k of their autocovariances (divisor N), the mean W of their
/// variances and v = W (N - 1) / N + variance of their means. For one chain this is nearly [`autocorrelation`]. If
/// chains disagree, ρ_k stays above 0 at large lags: together they have not yet forgotten their starts.
///
/// # Shapes
/// `draws`: (chains, draws).
///
/// # Errors
/// No chain or fewer than 4 draws, unequal lengths, values that are not finite, only constant chains.
///
/// # Source
/// Vehtari et al. 2021, arXiv:1903.08008.
pub fn joint_autocorrelation(draws: &[Vec<f64>], max_lag: usize) -> Result<Vec<f64>, DoesNotApply> {
    let num_draws = check_moving(draws, 1)?;
    let mut joint = Joint::new(&draws.concat(), num_draws).ok_or(DoesNotApply::Constant)?;
    Ok((0..=max_lag.min(num_draws - 1)).map(|lag| joint.autocorrelation(lag)).collect())
}

/// The integrated autocorrelation time in draws. The effective sample size is chains × draws divided by it.
///
/// τ = 1 + 2 Σ ρ_k over the lags of Geyer's initial monotone sequence: pairs ρ_{2j} + ρ_{2j+1} as long as they are
/// positive, each limited to the previous one. It is 1 for independent draws and below 1 for anticorrelated draws,
/// but never below 1/log₁₀(chains × draws). The ρ_k are those of [`joint_autocorrelation`], so chains that disagree
/// have a large τ.
///
/// # Shapes
/// `draws`: (chains, draws), not split.
///
/// # Errors
/// No chain or fewer than 4 draws, unequal lengths, values that are not finite, only constant chains.
///
/// # Source
/// Geyer, Statistical Science 7(4), 1992; Vehtari et al. 2021, arXiv:1903.08008. Chains × draws divided by it equals
/// ArviZ's `ess(method="identity")`.
pub fn integrated_time(draws: &[Vec<f64>]) -> Result<f64, DoesNotApply> {
    let num_draws = check_moving(draws, 1)?;
    let mut joint = Joint::new(&draws.concat(), num_draws).ok_or(DoesNotApply::Constant)?;
    Ok(joint.integrated_time())
}

/// The bulk effective sample size: the number of independent draws that would estimate the centre of the distribution
/// with the same precision.
///
/// It is the number of draws divided by the [`integrated_time`] of the normal scores of half chains. The authors
/// recommend more than 400 in total before R̂ and this number are reliable.
///
/// # Shapes
/// `draws`: (chains, draws).
///
/// # Errors
/// No chain or fewer than 4 draws, unequal lengths, values that are not finite, only constant chains.
///
/// # Source
/// Vehtari et al. 2021, arXiv:1903.08008; equal to ArviZ's `ess(method="bulk")`.
pub fn ess_bulk(draws: &[Vec<f64>]) -> Result<f64, DoesNotApply> {
    let num_draws = check_moving(draws, 1)?;
    Ok(ess_bulk_of(&RankedHalves::new(draws, num_draws)))
}

pub(super) fn ess_bulk_of(halves: &RankedHalves) -> f64 {
    effective_size(&halves.scores, halves.num_draws)
}

/// The tail effective sample size: the number of independent draws that would estimate the 5 % and the 95 % quantile
/// with the same precision; the smaller number of the two.
///
/// It is the number of draws divided by the [`integrated_time`], on half chains, of whether a value is at most the
/// quantile. If this is true for every draw, as for values with few levels, the result is the number of draws.
///
/// # Shapes
/// `draws`: (chains, draws).
///
/// # Errors
/// No chain or fewer than 4 draws, unequal lengths, values that are not finite, only constant chains.
///
/// # Source
/// Vehtari et al. 2021, arXiv:1903.08008; equal to ArviZ's `ess(method="tail")`.
pub fn ess_tail(draws: &[Vec<f64>]) -> Result<f64, DoesNotApply> {
    let num_draws = check_moving(draws, 1)?;
    let all = draws.concat();
    let (split, half) = halves(draws, num_draws);
    let size_at = |p: f64| {
        let bound = quantile(&all, p);
        let is_below: Vec<f64> =
            split.iter().map(|&value| f64::from(u8::from(value <= bound))).collect();
        effective_size(&is_below, half)
    };
    Ok(size_at(0.05).min(size_at(0.95)))
}

/// The number of values divided by their integrated time; the number of values if all are equal.
fn effective_size(values: &[f64], num_draws: usize) -> f64 {
    let time = Joint::new(values, num_draws).map_or(1.0, |mut joint| joint.integrated_time());
    values.len() as f64 / time
}

/// The number of lags whose products are summed in one pass, to fit into the vector registers.
const LAGS: usize = 16;

/// Chains with the precomputed values for their joint autocorrelation.
struct Joint {
    /// The differences from the mean of each chain, concatenated, with [`LAGS`] zeros after each chain.
    padded: Vec<f64>,
    num_chains: usize,
    num_draws: usize,
    /// W: the mean over chains of their variances (divisor N - 1).
    within: f64,
    /// v: the estimated variance of the distribution.
    total: f64,
    /// The sums of lagged products, for the lags computed so far.
    products: Vec<f64>,
}

impl Joint {
    /// Prepares concatenated chains of `num_draws`; `None` if all values are equal.
    fn new(values: &[f64], num_draws: usize) -> Option<Self> {
        let chains = || values.chunks_exact(num_draws);
        let (means, variances): (Vec<f64>, Vec<f64>) = chains().map(moments).unzip();
        let within = moments(&variances).0;
        let n = num_draws as f64;
        let total = within * (n - 1.0) / n + moments(&means).1;
        let num_chains = means.len();
        let mut padded = Vec::with_capacity(num_chains * (num_draws + LAGS));
        for (chain, mean) in chains().zip(means) {
            padded.extend(chain.iter().map(|value| value - mean));
            padded.extend([0.0; LAGS]);
        }
        let products = Vec::new();
        (total > 0.0).then_some(Self { padded, num_chains, num_draws, within, total, products })
    }

    /// Σ x_i x_{i+lag} over all chains, x relative to its mean.
    fn lagged_product(&mut self, lag: usize) -> f64 {
        while self.products.len() <= lag {
            let first = self.products.len();
            let mut sums = [0.0; LAGS];
            for chain in self.padded.chunks_exact(self.num_draws + LAGS) {
                let late = chain[first..].windows(LAGS);
                for (early, late) in chain[..self.num_draws - first].iter().zip(late) {
                    for (sum, late) in sums.iter_mut().zip(late) {
                        *sum += early * late;
                    }
                }
            }
            self.products.extend(sums);
        }
        self.products[lag]
    }

    /// The autocorrelation ρ at one lag.
    fn autocorrelation(&mut self, lag: usize) -> f64 {
        if lag == 0 {
            return 1.0;
        }
        let covariance = self.lagged_product(lag) / (self.num_chains * self.num_draws) as f64;
        1.0 - (self.within - covariance) / self.total
    }

    /// Computes [`integrated_time`]. It stops soon after the first pair that is not positive, which saves most of the
    /// work for long chains.
    fn integrated_time(&mut self) -> f64 {
        let mut rho = vec![1.0, self.autocorrelation(1)];
        let mut pair = [rho[0], rho[1]];
        while rho.len() + 2 < self.num_draws && pair[0] + pair[1] > 0.0 {
            pair = [0, 1].map(|next| self.autocorrelation(rho.len() + next));
            let is_kept = pair[0] + pair[1] >= 0.0;
            rho.extend(if is_kept { pair } else { [0.0; 2] });
        }
        // The last pair is excluded; its even lag counts once instead of twice if it is positive.
        let last = rho.len() - 2;
        if pair[0] > 0.0 {
            rho[last] = pair[0];
        }
        for even in (2..last).step_by(2) {
            let before = (rho[even - 2] + rho[even - 1]) / 2.0;
            if (rho[even] + rho[even + 1]) / 2.0 > before {
                rho[even..even + 2].fill(before);
            }
        }
        let time = -1.0 + 2.0 * rho[..last].iter().sum::<f64>() + rho[last];
        time.max(1.0 / ((self.num_chains * self.num_draws) as f64).log10())
    }
}
