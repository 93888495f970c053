//! CPU twins of the kernels of batch normalisation.

/// The moments of the channels of `x` (positions, C) in parts of `rows` positions, shape (parts, 1 + 2 C): the number of
/// positions, the mean of each channel, and its sum of squared distances from the mean; twin of
/// `shaders/norm_moments.wgsl`.
pub fn norm_moments(x: &[f32], channels: usize, rows: usize) -> Vec<f32> {
    let part = |positions: &[f32]| {
        let count = positions.len() / channels;
        let of_channel = |channel: usize| positions.iter().skip(channel).step_by(channels);
        let mean = |channel: usize| of_channel(channel).sum::<f32>() / count as f32;
        let squares = |channel: usize| {
            let mean = mean(channel);
            of_channel(channel).map(|value| (value - mean) * (value - mean)).sum::<f32>()
        };
        let mut part = vec![count as f32];
        part.extend((0..channels).map(mean));
        part.extend((0..channels).map(squares));
        part
    };
    x.chunks(rows * channels).flat_map(part).collect()
}

/// Mean, scale, shift and variance of each channel, shape (4, C), from moments in parts; twin of
/// `shaders/norm_table.wgsl`.
pub fn norm_table(parts: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32) -> Vec<f32> {
    let channels = gamma.len();
    let mut table = vec![0.0; 4 * channels];
    for channel in 0..channels {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for part in parts.chunks(1 + 2 * channels) {
            let [part_count, part_mean, part_squares] =
                [part[0], part[1 + channel], part[1 + channels + channel]].map(f64::from);
            if part_count > 0.0 {
                let total = count + part_count;
                let distance = part_mean - mean;
                mean += distance * part_count / total;
                squares += part_squares + distance * distance * count * part_count / total;
                count = total;
            }
        }
        let variance = squares / count;
        table[channel] = mean as f32;
        table[channels + channel] =
            (f64::from(gamma[channel]) / (variance + f64::from(epsilon)).sqrt()) as f32;
        table[2 * channels + channel] = beta[channel];
        table[3 * channels + channel] = variance as f32;
    }
    table
}

/// Batch norm, (x - mean) · scale + shift, of `x` (positions, C); twin of `shaders/norm_apply.wgsl`.
pub fn norm_apply(x: &[f32], table: &[f32]) -> Vec<f32> {
    let channels = table.len() / 4;
    let value = |(at, x): (usize, &f32)| {
        let channel = at % channels;
        (x - table[channel]) * table[channels + channel] + table[2 * channels + channel]
    };
    x.iter().enumerate().map(value).collect()
}

/// The sums that the gradients of batch norm need, in parts of `rows` positions, shape (parts, 1 + 2 C): the number of
/// positions, and for each channel Σ gradient and Σ gradient · (x - mean); twin of `shaders/norm_gradient_sums.wgsl`.
pub fn norm_gradient_sums(gradient: &[f32], x: &[f32], table: &[f32], rows: usize) -> Vec<f32> {
    let channels = table.len() / 4;
    let mut parts = Vec::new();
    for (gradient, x) in gradient.chunks(rows * channels).zip(x.chunks(rows * channels)) {
        let mut part = vec![0.0; 1 + 2 * channels];
        part[0] = (x.len() / channels) as f32;
        for (at, (gradient, x)) in gradient.iter().zip(x).enumerate() {
            let channel = at % channels;
            part[1 + channel] += gradient;
            part[1 + channels + channel] += gradient * (x - table[channel]);
        }
        parts.extend(part);
    }
    parts
}

/// What the gradient of batch norm does to each channel, shape (4, C): mean, a, b and c; then the gradients of gamma and
/// beta. All from sums in parts; twin of `shaders/norm_gradient_table.wgsl`.
pub fn norm_gradient_table(parts: &[f32], table: &[f32], epsilon: f32) -> [Vec<f32>; 3] {
    let channels = table.len() / 4;
    let mut gradient_table = vec![0.0; 4 * channels];
    let (mut gamma, mut beta) = (vec![0.0; channels], vec![0.0; channels]);
    for channel in 0..channels {
        let sum = |at: usize| -> f64 {
            parts.chunks(1 + 2 * channels).map(|part| f64::from(part[at])).sum()
        };
        let (count, plain, weighted) = (sum(0), sum(1 + channel), sum(1 + channels + channel));
        let scale = f64::from(table[channels + channel]);
        let variance = f64::from(table[3 * channels + channel]) + f64::from(epsilon);
        gradient_table[channel] = table[channel];
        gradient_table[channels + channel] = table[channels + channel];
        gradient_table[2 * channels + channel] = (-scale / variance * weighted / count) as f32;
        gradient_table[3 * channels + channel] = (-scale * plain / count) as f32;
        gamma[channel] = (weighted / variance.sqrt()) as f32;
        beta[channel] = plain as f32;
    }
    [gradient_table, gamma, beta]
}

/// The gradient ∂L/∂x of batch norm, a · gradient + b · (x - mean) + c, plus another gradient of x; twin of
/// `shaders/norm_input_gradient.wgsl`.
pub fn norm_input_gradient(
    gradient: &[f32],
    x: &[f32],
    gradient_table: &[f32],
    other: Option<&[f32]>,
) -> Vec<f32> {
    let channels = gradient_table.len() / 4;
    let value = |(at, (gradient, x)): (usize, (&f32, &f32))| {
        let factor = |row: usize| gradient_table[row * channels + at % channels];
        let sum = factor(1) * gradient + factor(2) * (x - factor(0)) + factor(3);
        sum + other.map_or(0.0, |other| other[at])
    };
    gradient.iter().zip(x).enumerate().map(value).collect()
}
