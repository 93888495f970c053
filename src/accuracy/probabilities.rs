//! From logits to probabilities.

/// The largest x of a row, and Σ exp(x - largest).
fn largest_and_sum<T: Copy + Into<f64>>(row: &[T]) -> (f64, f64) {
    let largest = row.iter().map(|&x| x.into()).fold(f64::NEG_INFINITY, f64::max);
    (largest, row.iter().map(|&x| (x.into() - largest).exp()).sum())
}

/// log Σ exp of one row of logits, in double precision.
pub fn log_sum_exp<T: Copy + Into<f64>>(row: &[T]) -> f64 {
    let (largest, sum) = largest_and_sum(row);
    largest + sum.ln()
}

/// Probabilities of one row of logits. Equal logits give exactly equal shares of 1, so that no rounding moves them over
/// the edge of a bin.
pub fn softmax<T: Copy + Into<f64>>(row: &[T]) -> Vec<f64> {
    let (largest, sum) = largest_and_sum(row);
    row.iter().map(|&x| (x.into() - largest).exp() / sum).collect()
}

/// Probabilities (N, classes) of logits (N, classes).
pub fn softmax_rows(logits: &[f32], num_classes: usize) -> Vec<f64> {
    logits.chunks(num_classes).flat_map(softmax).collect()
}

/// The class of the largest of a row of logits or probabilities, of equal ones the last; 0 for an empty row.
pub fn predicted<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, class| if row[class] >= row[best] { class } else { best })
}
