//! Two sets of values: do they come from one law?

use super::{DoesNotApply, moments};

/// Fewest values of a set: with fewer, no distance at all is beyond the critical one.
const MIN_VALUES: usize = 4;

/// Distance of two sets of values, and the one that chance rarely reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KolmogorovSmirnov {
    /// D: largest difference of their distribution functions, from 0 to 1.
    pub distance: f64,
    /// What D of independent values of one law exceeds in 5 % of cases.
    pub critical: f64,
}

impl KolmogorovSmirnov {
    /// Whether the sets differ by more than chance explains at the 5 % level.
    pub fn is_beyond_chance(&self) -> bool {
        self.distance > self.critical
    }
}

/// Kolmogorov and Smirnov's two-sample distance:
/// ```text
/// D        = max over v of |share of a that is at most v - share of b that is at most v|
/// critical = √(-ln(0.05 / 2) / 2) · √((n + m) / (n m))
/// ```
/// The critical value is the one of many independent values; where values are tied, D exceeds it even
/// less often.
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
    // Between equal values there is no place to compare at.
    for ties in all.chunk_by(|a, b| a.0 == b.0) {
        ties.iter().for_each(|&(_, is_of_a)| counts[usize::from(!is_of_a)] += 1);
        distance = distance.max((counts[0] as f64 / n - counts[1] as f64 / m).abs());
    }
    let critical = (-(0.05f64 / 2.0).ln() / 2.0).sqrt() * ((n + m) / (n * m)).sqrt();
    Ok(KolmogorovSmirnov { distance, critical })
}

/// Mean and standard deviation (divisor N - 1), the latter 0 for a single value.
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
