//! The Kolmogorov-Smirnov test: do two sets of values have the same distribution?

use super::{DoesNotApply, moments};

/// The smallest number of values in a set: with fewer, no distance can exceed the critical value.
const MIN_VALUES: usize = 4;

/// The Kolmogorov-Smirnov distance of two sets of values, with its critical value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// D: the largest difference between their distribution functions, from 0 to 1.
    pub distance: f64,
    /// The value that D exceeds in 5 % of cases if all values are independent and have the same distribution.
    pub critical: f64,
}

impl KolmogorovSmirnov {
    /// Whether the sets differ at the 5 % significance level.
    pub fn is_beyond_chance(&self) -> bool {
        self.distance > self.critical
    }
}

/// The two-sample Kolmogorov-Smirnov distance:
/// ```text
/// D        = max over v of |share of a that is at most v - share of b that is at most v|
/// critical = √(-ln(0.05 / 2) / 2) · √((n + m) / (n m))
/// ```
/// The critical value holds for many independent values; with ties, D exceeds it even less often.
///
/// # Shapes
/// `a`: (n), `b`: (m), in any order.
///
/// # Errors
/// Fewer than 4 values on either side, values that are not finite.
///
/// # Source
/// Smirnov, Annals of Mathematical Statistics 19(2), 1948; D equals SciPy's `ks_2samp`.
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> Result<KolmogorovSmirnov, DoesNotApply> {
    let found = a.len().min(b.len());
    if found < MIN_VALUES {
        return Err(DoesNotApply::TooFewValues { needed: MIN_VALUES, found });
    }
    check_finite([a, b].concat().as_slice())?;
    let [n, m] = [a, b].map(|values| values.len() as f64);
    let of = |values: &[f64], is_of_a: bool| -> Vec<(f64, bool)> {
        values.iter().map(|&value| (value, is_of_a)).collect()
    };
    let mut all = [of(a, true), of(b, false)].concat();
    all.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut counts, mut distance) = ([0usize; 2], 0.0f64);
    // Compare only after the last of equal values.
    for ties in all.chunk_by(|a, b| a.0 == b.0) {
        ties.iter().for_each(|&(_, is_of_a)| counts[usize::from(!is_of_a)] += 1);
        distance = distance.max((counts[0] as f64 / n - counts[1] as f64 / m).abs());
    }
    let critical = (-(0.05f64 / 2.0).ln() / 2.0).sqrt() * ((n + m) / (n * m)).sqrt();
    Ok(KolmogorovSmirnov { distance, critical })
}

/// The mean and the standard deviation (divisor N - 1); the standard deviation of a single value is 0.
///
/// # Errors
/// No value, or values that are not finite.
pub fn mean_and_std(values: &[f64]) -> Result<(f64, f64), DoesNotApply> {
    if values.is_empty() {
        return Err(DoesNotApply::TooFewValues { needed: 1, found: 0 });
    }
    check_finite(values)?;
    let (mean, variance) = moments(values);
    Ok((mean, variance.sqrt()))
}

fn check_finite(values: &[f64]) -> Result<(), DoesNotApply> {
    match values.iter().filter(|value| !value.is_finite()).count() {
        0 => Ok(()),
        found => Err(DoesNotApply::BrokenValues { found, all: values.len() }),
    }
}
