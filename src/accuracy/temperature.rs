//! Temperature scaling: one number that divides the logits, so that p(y|x) agrees with the accuracy.

use crate::numbers::softmax;

/// The range in which a temperature is searched.
const TEMPERATURES: [f64; 2] = [0.01, 100.0];
/// The number of bisection steps, enough to reach the precision of `f64`.
const NUM_HALVINGS: usize = 80;

/// Whether the data determined this fitted temperature: it is not exactly 1, the answer where all are equally good, and not one of the
/// ends of the range, up to the precision of the search.
pub(super) fn is_determined(temperature: f64) -> bool {
    let is_end = |end: &f64| (temperature / end - 1.0).abs() < 1e-6;
    temperature != 1.0 && !TEMPERATURES.iter().any(is_end)
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
    (-0.5 * (low + high)).exp().clamp(TEMPERATURES[0], TEMPERATURES[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_data_determines_no_temperature() {
        let of = |logits: &[f32], labels: &[u32], classes| {
            is_determined(fit_temperature(logits, labels, classes))
        };
        assert!(of(&[2.0, 0.0, 2.0, 0.0, 2.0, 0.0], &[0, 0, 1], 2));
        assert!(!of(&[], &[], 2), "no items");
        assert!(!of(&[1.0, 2.0, 3.0], &[0, 0, 0], 1), "one class");
        assert!(!of(&[3.0, 0.0, 0.0, 3.0], &[0, 1], 2), "all right: the colder the better");
        assert!(!of(&[3e3, 0.0, 0.0, 3e3], &[0, 1], 2), "all right without any doubt");
    }
}
