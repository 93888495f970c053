//! Ranks, normal scores and quantiles of draws.

use statrs::distribution::{ContinuousCDF, Normal};

use super::halves;

/// The halves of chains with the ranks of their values.
pub(super) struct RankedHalves {
    /// The values in ascending order, each with its index in the concatenated halves.
    sorted: Vec<(f64, usize)>,
    /// The normal score of each rank, for values without ties.
    score_of: Vec<f64>,
    /// The normal scores of the values, in the order of the concatenated halves.
    pub scores: Vec<f64>,
    /// The number of draws per half.
    pub num_draws: usize,
}

impl RankedHalves {
    /// Ranks the halves of chains of `num_draws`, at least 2.
    pub(super) fn new(draws: &[Vec<f64>], num_draws: usize) -> Self {
        let (values, num_draws) = halves(draws, num_draws);
        let mut sorted: Vec<(f64, usize)> = values.into_iter().zip(0..).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // Each chain has two halves, so the count is even and the scores are symmetric around 0.
        let lower = 1..=sorted.len() / 2;
        let mut score_of: Vec<f64> = lower.map(|rank| score(rank as f64, sorted.len())).collect();
        score_of.extend_from_within(..);
        let upper = sorted.len() / 2;
        score_of[upper..].reverse();
        score_of[upper..].iter_mut().for_each(|score| *score = -*score);
        let scores = scores(&sorted, &score_of);
        Self { sorted, score_of, scores, num_draws }
    }

    /// The normal scores of the distances from the median: both tails get high scores.
    pub(super) fn folded_scores(&self) -> Vec<f64> {
        let (count, value) = (self.sorted.len(), |index: usize| self.sorted[index].0);
        // For an odd count, both are the same value.
        let median = (value((count - 1) / 2) + value(count / 2)) / 2.0;
        // On either side of the median, the distances are already sorted.
        let (mut below, mut above) = (count / 2, count / 2);
        let mut folded = Vec::with_capacity(count);
        while folded.len() < count {
            let low = below.checked_sub(1).map(|index| (median - value(index), index));
            let high = (above < count).then(|| (value(above) - median, above));
            let (distance, index) = match (low, high) {
                (Some(low), Some(high)) if low.0 < high.0 => low,
                (low, high) => high.or(low).unwrap_or_default(),
            };
            if index < below {
                below = index;
            } else {
                above = index + 1;
            }
            folded.push((distance, self.sorted[index].1));
        }
        scores(&folded, &self.score_of)
    }
}

/// The normal score of a rank from 1 to `count`.
///
/// # Source
/// Blom (1958), as in arXiv:1903.08008.
fn score(rank: f64, count: usize) -> f64 {
    Normal::standard().inverse_cdf((rank - 0.375) / (count as f64 + 0.25))
}

/// The normal scores in the order of the values; tied values share their mean rank.
fn scores(sorted: &[(f64, usize)], score_of: &[f64]) -> Vec<f64> {
    let mut scores = vec![0.0; sorted.len()];
    let mut below = 0;
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let score = match ties.len() {
            1 => score_of[below],
            num_ties => score(below as f64 + (num_ties as f64 + 1.0) / 2.0, sorted.len()),
        };
        for &(_, place) in ties {
            scores[place] = score;
        }
        below += ties.len();
    }
    scores
}

/// The quantile of a share `p`, with linear interpolation: type 7 of R.
pub(super) fn quantile(values: &[f64], p: f64) -> f64 {
    let count = values.len() as f64;
    let place = (count * p + (1.0 - p)).clamp(1.0, count);
    let mut values = values.to_vec();
    let (_, &mut low, above) = values.select_nth_unstable_by(place as usize - 1, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    // Differs from ArviZ: between equal neighbours it is exactly their value, so that rounding does not separate it
    // from equal values.
    low + place.fract() * (high - low)
}
