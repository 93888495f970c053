//! Ranks, normal scores and quantiles of draws.

use statrs::distribution::{ContinuousCDF, Normal};

use super::halves;

/// Half chains by the ranks of their values.
pub(super) struct RankedHalves {
    /// Values in order, each with its place among the halves on end.
    sorted: Vec<(f64, usize)>,
    /// Normal scores of the ranks that no value shares.
    score_of: Vec<f64>,
    /// Normal scores of the values; halves on end.
    pub scores: Vec<f64>,
    /// Draws of a half.
    pub num_draws: usize,
}

impl RankedHalves {
    /// The halves of chains of `num_draws`, at least 2.
    pub fn new(draws: &[Vec<f64>], num_draws: usize) -> Self {
        let (values, num_draws) = halves(draws, num_draws);
        let mut sorted: Vec<(f64, usize)> = values.into_iter().zip(0..).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        // Two halves each make an even count, and scores mirror each other around 0.
        let lower = 1..=sorted.len() / 2;
        let mut score_of: Vec<f64> = lower.map(|rank| score(rank as f64, sorted.len())).collect();
        score_of.extend_from_within(..);
        let upper = sorted.len() / 2;
        score_of[upper..].reverse();
        score_of[upper..].iter_mut().for_each(|score| *score = -*score);
        let scores = scores(&sorted, &score_of);
        Self { sorted, score_of, scores, num_draws }
    }

    /// Normal scores of the distances from the median: what was in either tail is now at the top.
    pub fn folded_scores(&self) -> Vec<f64> {
        let (count, value) = (self.sorted.len(), |index: usize| self.sorted[index].0);
        // Of an odd count, the same value twice.
        let median = (value((count - 1) / 2) + value(count / 2)) / 2.0;
        // Away from the median on either side the distances are in order already.
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

/// The normal quantile of a rank from 1 to `count`.
///
/// # Source
/// Blom (1958), as arXiv:1903.08008 has it.
fn score(rank: f64, count: usize) -> f64 {
    Normal::standard().inverse_cdf((rank - 0.375) / (count as f64 + 0.25))
}

/// Normal scores in the places of the values; those that are the same share their mean rank.
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

/// The value below which a share `p` of the values lies, linear between neighbours: type 7 of R.
pub(super) fn quantile(values: &[f64], p: f64) -> f64 {
    let count = values.len() as f64;
    let place = (count * p + (1.0 - p)).clamp(1.0, count);
    let mut values = values.to_vec();
    let (_, &mut low, above) = values.select_nth_unstable_by(place as usize - 1, f64::total_cmp);
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    // Differs from ArviZ: between equal neighbours exactly their value, so that rounding does not put
    // it beside all that share it.
    low + place.fract() * (high - low)
}
