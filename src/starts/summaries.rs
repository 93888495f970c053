//! What is read of single chains: host arithmetic that the window and the diagnostics share.

/// ‖x - x_0‖ of each chain of `num_pixels`, both (N, D) flattened.
pub(crate) fn distances(x: &[f32], start: &[f32], num_pixels: usize) -> Vec<f32> {
    let distance = |(now, then): (&[f32], &[f32])| {
        now.iter().zip(then).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
    };
    x.chunks(num_pixels).zip(start.chunks(num_pixels)).map(distance).collect()
}
