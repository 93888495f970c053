//! Confidence intervals: Wilson, Newcombe, bootstrap and jackknife.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{eval::results::Estimate, streams};

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959963984540054;
/// The number of groups in a jackknife.
const NUM_GROUPS: usize = 10;

/// The share of `hits` in `count`, with Wilson's score interval.
///
/// # Source
/// Wilson, JASA 22(158), 1927.
pub fn proportion(hits: usize, count: usize) -> Estimate {
    if count == 0 {
        return Estimate { value: 0.0, low: 0.0, high: 1.0 };
    }
    let (n, share) = (count as f64, hits as f64 / count as f64);
    let center = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let spread = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Rounding must not put the share outside the interval when it is 0 or 1.
    Estimate { value: share, low: (center - spread).min(share), high: (center + spread).max(share) }
}

/// The area `area` under an ROC curve of `counts` items inside and outside, with Newcombe's score interval: the areas whose
/// distance to `area` is within 1.96 of their own standard errors. Both sides must have an item.
///
/// # Source
/// Newcombe, Statistics in Medicine 25(4), 2006, part 2, method 5; the standard error is that of Hanley & McNeil, Radiology
/// 143(1), 1982, with the mean number of items for both sides.
pub(super) fn score_interval(area: f64, counts: [usize; 2]) -> Estimate {
    let [num_in, num_out] = counts.map(|count| count as f64);
    let others = 0.5 * (num_in + num_out) - 1.0;
    let is_too_far = |place: f64| {
        let pairs = 1.0 + others * ((1.0 - place) / (2.0 - place) + place / (1.0 + place));
        let variance = place * (1.0 - place) * pairs / (num_in * num_out);
        (place - area).powi(2) > Z * Z * variance
    };
    // The end between `area` and the edge of what is possible, by bisection.
    let end = |edge: f64| {
        let (mut near, mut far) = (area, edge);
        for _ in 0..60 {
            let middle = 0.5 * (near + far);
            if is_too_far(middle) { far = middle } else { near = middle }
        }
        near
    };
    Estimate { value: area, low: end(0.0), high: end(1.0) }
}

/// `value` with the percentile bootstrap interval of a statistic. `statistic` draws one resample with the generator
/// that it receives and returns the statistic of it.
///
/// # Source
/// Efron & Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
pub fn bootstrap(
    value: f64,
    num_resamples: usize,
    seed: u64,
    statistic: impl FnMut(&mut ChaCha8Rng) -> f64,
) -> Estimate {
    let (low, high, _) = resampled(num_resamples, seed, statistic);
    Estimate { value, low, high }
}

/// A bootstrap interval for a distance: a statistic that is never negative and that noise makes larger.
/// The estimated bias of `value` is the difference between the mean of the resamples and `value`. The resamples
/// contain this bias twice, so their interval is moved down by twice that amount. If all of the distance is noise,
/// `value` is the upper end of its interval.
///
/// # Source
/// Efron & Tibshirani, as for [`bootstrap`], section 10.6: the bootstrap's estimate of bias.
pub fn bootstrap_distance(
    value: f64,
    num_resamples: usize,
    seed: u64,
    statistic: impl FnMut(&mut ChaCha8Rng) -> f64,
) -> Estimate {
    let (low, high, mean) = resampled(num_resamples, seed, statistic);
    let shift = 2.0 * (mean - value);
    Estimate { value, low: (low - shift).clamp(0.0, value), high: (high - shift).max(value) }
}

/// The 2.5 % and 97.5 % quantiles and the mean of a statistic over bootstrap resamples.
fn resampled(
    num_resamples: usize,
    seed: u64,
    mut statistic: impl FnMut(&mut ChaCha8Rng) -> f64,
) -> (f64, f64, f64) {
    let mut random = streams::RESAMPLES.rng(seed, 0);
    let mut found: Vec<f64> = (0..num_resamples.max(1)).map(|_| statistic(&mut random)).collect();
    found.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (found.len() - 1) as f64;
        let (below, above) = (found[place.floor() as usize], found[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    (at(0.025), at(0.975), found.iter().sum::<f64>() / found.len() as f64)
}

/// How often a resample contains each of `count` items.
pub(super) fn multiplicities(count: usize, random: &mut ChaCha8Rng) -> Vec<u32> {
    let mut times = vec![0; count];
    for _ in 0..count {
        times[random.random_range(0..count as u64) as usize] += 1;
    }
    times
}

/// The mean of `values` with its bootstrap interval; 0 if there are no values.
pub fn mean(values: &[f64], num_resamples: usize, seed: u64) -> Estimate {
    if values.is_empty() {
        return Estimate::default();
    }
    let count = values.len() as f64;
    bootstrap(values.iter().sum::<f64>() / count, num_resamples, seed, |random| {
        let pick = |_| values[random.random_range(0..values.len() as u64) as usize];
        (0..values.len()).map(pick).sum::<f64>() / count
    })
}

/// `statistic` of all `count` items with an interval of ±1.96 standard errors, estimated by leaving out each random
/// tenth of the items in turn. `statistic` receives the indices of the items. Use it for statistics that are biased
/// by repeated items, which a bootstrap creates.
///
/// # Source
/// The delete-a-group jackknife; Shao & Tu, The Jackknife and Bootstrap, 1995, section 2.3.
pub fn jackknife(count: usize, statistic: impl Fn(&[usize]) -> f64) -> Estimate {
    let mut order: Vec<usize> = (0..count).collect();
    let value = statistic(&order);
    // Shuffle: the items may be sorted by class, and a group must not be one class.
    order.shuffle(&mut streams::GROUPS.rng(0, 0));
    let num_groups = NUM_GROUPS.min(count / 2);
    if num_groups < 2 {
        return Estimate { value, low: value, high: value };
    }
    let without = |group: usize| {
        let rest = order.iter().enumerate().filter(|(place, _)| place % num_groups != group);
        statistic(&rest.map(|(_, &index)| index).collect::<Vec<_>>())
    };
    let found: Vec<f64> = (0..num_groups).map(without).collect();
    let center = found.iter().sum::<f64>() / num_groups as f64;
    let squares: f64 = found.iter().map(|value| (value - center).powi(2)).sum();
    let error = ((num_groups - 1) as f64 / num_groups as f64 * squares).sqrt();
    Estimate { value, low: value - Z * error, high: value + Z * error }
}
