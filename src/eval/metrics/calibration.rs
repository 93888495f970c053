//! Calibration errors and temperature scaling.

use rand::seq::SliceRandom;

use super::intervals::{bootstrap_distance, mean, multiplicities};
use crate::{
    accuracy::{Tally, fit_temperature, predicted},
    eval::results::{Calibrated, Calibration, CalibrationErrors},
    numbers::{log_sum_exp, softmax},
    streams,
};

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
        calibrated: None,
        plain: plain.errors(num_resamples, seed),
        scaled: scaled.errors(num_resamples, seed),
        temperatures,
        bins: plain.tally(|_| 1).reliability(),
        scaled_bins: scaled.tally(|_| 1).reliability(),
    }
}

/// Calibration errors of logits (N, classes) with the temperature that the model was calibrated with after training.
pub fn calibrated(
    logits: &[f32],
    labels: &[u32],
    num_classes: usize,
    temperature: f64,
    num_resamples: usize,
    seed: u64,
) -> Calibrated {
    let items = Items::of(logits, labels, num_classes, |_| temperature);
    let bins = items.tally(|_| 1).reliability();
    Calibrated { temperature, errors: items.errors(num_resamples, seed), bins }
}
