//! Calibration errors and temperature scaling.

use rand::seq::SliceRandom;

use super::intervals::{bootstrap_distance, mean, multiplicities};
use crate::{
    accuracy::{Tally, predicted},
    eval::results::{Calibration, CalibrationErrors},
    numbers::{log_sum_exp, softmax},
    streams,
};

/// The range in which the temperature is searched.
const TEMPERATURES: [f64; 2] = [0.01, 100.0];
/// The number of bisection steps, enough to reach the precision of `f64`.
const NUM_HALVINGS: usize = 80;

/// The quantities of each image that the calibration errors need.
struct Items {
    /// max p(y|x), and whether that class is the label.
    confidences: Vec<(f64, bool)>,
    brier: Vec<f64>,
    nll: Vec<f64>,
}

impl Items {
    /// Computes them from logits (N, classes), with row `i` divided by `temperature(i)`.
    fn of(
        logits: &[f32],
        labels: &[u32],
        num_classes: usize,
        temperature: impl Fn(usize) -> f64,
    ) -> Self {
        let mut items = Self { confidences: Vec::new(), brier: Vec::new(), nll: Vec::new() };
        for (index, (row, &label)) in logits.chunks(num_classes).zip(labels).enumerate() {
            let scaled: Vec<f64> =
                row.iter().map(|&logit| f64::from(logit) / temperature(index)).collect();
            let best = predicted(row);
            let p: Vec<f64> = softmax(&scaled);
            let off = |class: usize| p[class] - f64::from(u8::from(class == label as usize));
            items.confidences.push((p[best], best == label as usize));
            items.brier.push((0..num_classes).map(|class| off(class).powi(2)).sum());
            let total: f64 = log_sum_exp(&scaled);
            items.nll.push(total - scaled[label as usize]);
        }
        items
    }

    fn tally(&self, times: impl Fn(usize) -> usize) -> Tally {
        let mut tally = Tally::default();
        for (index, &(confidence, is_hit)) in self.confidences.iter().enumerate() {
            tally.count(confidence, is_hit, times(index));
        }
        tally
    }

    fn errors(&self, num_resamples: usize, seed: u64) -> CalibrationErrors {
        let all = self.tally(|_| 1);
        let binned = |error: fn(&Tally) -> f64| {
            bootstrap_distance(error(&all), num_resamples, seed, |random| {
                let times = multiplicities(self.confidences.len(), random);
                error(&self.tally(|index| times[index] as usize))
            })
        };
        CalibrationErrors {
            expected: binned(Tally::calibration_error),
            maximum: binned(Tally::maximum_error),
            brier: mean(&self.brier, num_resamples, seed),
            nll: mean(&self.nll, num_resamples, seed),
        }
    }
}

/// Calibration errors of logits (N, classes), unchanged and with temperature scaling. The images are split into two
/// random halves; each half uses the temperature fitted on the other, so that no image is used both to fit and to
/// test.
pub fn calibration(
    logits: &[f32],
    labels: &[u32],
    num_classes: usize,
    num_resamples: usize,
    seed: u64,
) -> Calibration {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut streams::CALIBRATION_HALVES.rng(seed, 0));
    let halves = order.split_at(labels.len() / 2);
    let fit = |half: &[usize]| {
        let row = |&i: &usize| &logits[i * num_classes..(i + 1) * num_classes];
        let rows: Vec<f32> = half.iter().flat_map(row).copied().collect();
        let labels: Vec<u32> = half.iter().map(|&i| labels[i]).collect();
        fit_temperature(&rows, &labels, num_classes)
    };
    let temperatures = [fit(halves.1), fit(halves.0)];
    let mut half_of = vec![0; labels.len()];
    halves.1.iter().for_each(|&index| half_of[index] = 1);

    let plain = Items::of(logits, labels, num_classes, |_| 1.0);
    let scaled = Items::of(logits, labels, num_classes, |index| temperatures[half_of[index]]);
    Calibration {
        plain: plain.errors(num_resamples, seed),
        scaled: scaled.errors(num_resamples, seed),
        temperatures,
        bins: plain.tally(|_| 1).reliability(),
        scaled_bins: scaled.tally(|_| 1).reliability(),
    }
}

/// The temperature between 0.01 and 100 that minimises the mean negative log likelihood of the labels when logits (N,
/// classes) are divided by it. It is 1 if all temperatures are equally good: without logits, or with equal ones.
///
/// The log likelihood is concave in the inverse temperature β, and its slope in β is the mean of
/// `Σ_y p_β(y|x) (logit of the label - logit of y)`. The zero of the slope is found by bisection.
///
/// # Source
/// Guo et al., arXiv:1706.04599, section 4.2.
pub fn fit_temperature(logits: &[f32], labels: &[u32], num_classes: usize) -> f64 {
    let slope = |beta: f64| {
        let of_row = |(row, &label): (&[f32], &u32)| {
            let scaled: Vec<f64> = row.iter().map(|&logit| beta * f64::from(logit)).collect();
            let of_label = f64::from(row[label as usize]);
            let p: Vec<f64> = softmax(&scaled);
            p.iter().zip(row).map(|(p, &l)| p * (of_label - f64::from(l))).sum::<f64>()
        };
        logits.chunks(num_classes).zip(labels).map(of_row).sum::<f64>()
    };
    if slope(1.0) == 0.0 {
        return 1.0;
    }
    // Search in log β: both ends have the same distance from 1.
    let [mut low, mut high] = [-TEMPERATURES[1].ln(), -TEMPERATURES[0].ln()];
    for _ in 0..NUM_HALVINGS {
        let middle = 0.5 * (low + high);
        if slope(middle.exp()) > 0.0 { low = middle } else { high = middle }
    }
    (-0.5 * (low + high)).exp()
}
