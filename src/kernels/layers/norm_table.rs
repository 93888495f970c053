//! The table of a batch norm: mean, scale, shift and variance of each channel.

/// The rows of a table: mean, scale, shift and variance of each channel.
pub(super) fn rows(table: &[f32]) -> [&[f32]; 4] {
    let mut rows = table.chunks_exact(table.len() / 4);
    std::array::from_fn(|_| rows.next().unwrap_or_default())
}

/// The factor of a batch norm without gamma: 1/√(variance + epsilon).
pub(super) fn inverse_std(variance: f32, epsilon: f64) -> f64 {
    (f64::from(variance) + epsilon).sqrt().recip()
}
