//! Batch normalisation on the CPU, with one pass over memory for each result.

use super::{Buffer, vectorize};
use crate::parallel::*;

/// Values per task, few enough to stay in the cache of a core for a second read.
const TASK_LEN: usize = 1 << 14;

fn task_len(channels: usize) -> usize {
    (TASK_LEN / channels).max(1) * channels
}

/// The mean of each channel, then the variance of each channel.
///
/// # Source
/// The moments of the parts are combined after Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for
/// computing sample variances" (1979), which keeps the variance accurate for channels with a large mean.
pub fn moments(x: &[f32], channels: usize) -> Vec<f32> {
    let parts: Vec<(usize, Vec<f32>, Vec<f32>)> = x
        .par_chunks(task_len(channels))
        .map(|rows| {
            let count = rows.len() / channels;
            let (mut mean, mut squares) = (vec![0.0; channels], vec![0.0; channels]);
            vectorize(
                #[inline(always)]
                || {
                    for row in rows.chunks_exact(channels) {
                        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
                    }
                    mean.iter_mut().for_each(|mean| *mean /= count as f32);
                    for row in rows.chunks_exact(channels) {
                        for ((square, x), mean) in squares.iter_mut().zip(row).zip(&mean) {
                            *square += (x - mean) * (x - mean);
                        }
                    }
                },
            );
            (count, mean, squares)
        })
        .collect();
    let (mut total, mut mean, mut squares) = (0.0, vec![0.0; channels], vec![0.0; channels]);
    for (count, part_mean, part_squares) in parts {
        let count = count as f64;
        for channel in 0..channels {
            let distance = f64::from(part_mean[channel]) - mean[channel];
            mean[channel] += distance * count / (total + count);
            squares[channel] += f64::from(part_squares[channel])
                + distance * distance * total * count / (total + count);
        }
        total += count;
    }
    let variance = squares.iter().map(|square| (square / total) as f32);
    mean.iter().map(|&mean| mean as f32).chain(variance).collect()
}

/// The affine map of each channel: `(x - mean) · scale + shift`.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// The value of each channel that is subtracted.
    pub mean: &'a [f32],
    /// The factor of each channel.
    pub scale: &'a [f32],
    /// The value of each channel that is added, or subtracted in [`input_gradient`].
    pub shift: &'a [f32],
}

impl Affine<'_> {
    /// Applies the map to every row of `x`.
    pub fn apply(&self, x: &[f32]) -> Buffer {
        let len = task_len(self.mean.len());
        let mut y = Buffer::new(x.len());
        y.par_chunks_mut(len).zip(x.par_chunks(len)).for_each(|(y, x)| {
            vectorize(
                #[inline(always)]
                || {
                    let rows = y.chunks_exact_mut(self.mean.len());
                    for (y, x) in rows.zip(x.chunks_exact(self.mean.len())) {
                        for (index, (y, x)) in y.iter_mut().zip(x).enumerate() {
                            *y = (x - self.mean[index]) * self.scale[index] + self.shift[index];
                        }
                    }
                },
            );
        });
        y
    }
}

/// Σ gradient of each channel, then Σ gradient · (x - mean) of each channel.
pub fn gradient_sums(x: &[f32], mean: &[f32], gradient: &[f32]) -> [Vec<f64>; 2] {
    let channels = mean.len();
    let len = task_len(channels);
    let parts: Vec<(Vec<f32>, Vec<f32>)> = x
        .par_chunks(len)
        .zip(gradient.par_chunks(len))
        .map(|(x, gradient)| {
            let (mut plain, mut weighted) = (vec![0.0; channels], vec![0.0; channels]);
            vectorize(
                #[inline(always)]
                || {
                    let rows = x.chunks_exact(channels).zip(gradient.chunks_exact(channels));
                    for (x, gradient) in rows {
                        let sums = plain.iter_mut().zip(&mut weighted);
                        for (((x, gradient), mean), (plain, weighted)) in
                            x.iter().zip(gradient).zip(mean).zip(sums)
                        {
                            *plain += gradient;
                            *weighted += gradient * (x - mean);
                        }
                    }
                },
            );
            (plain, weighted)
        })
        .collect();
    let mut sums = [vec![0.0; channels], vec![0.0; channels]];
    for (plain, weighted) in parts {
        for (sum, part) in sums.iter_mut().zip([plain, weighted]) {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += f64::from(part));
        }
    }
    sums
}

/// The input gradient ∂L/∂x of each channel: `gradient · scale - (x - mean) · pull - shift`.
pub fn input_gradient(x: &[f32], gradient: &[f32], affine: &Affine<'_>, pull: &[f32]) -> Buffer {
    let channels = pull.len();
    let len = task_len(channels);
    let mut x_gradient = Buffer::new(x.len());
    x_gradient.par_chunks_mut(len).zip(x.par_chunks(len)).zip(gradient.par_chunks(len)).for_each(
        |((to, x), gradient)| {
            vectorize(
                #[inline(always)]
                || {
                    let rows = to.chunks_exact_mut(channels).zip(x.chunks_exact(channels));
                    for ((to, x), gradient) in rows.zip(gradient.chunks_exact(channels)) {
                        for (index, (to, (x, gradient))) in
                            to.iter_mut().zip(x.iter().zip(gradient)).enumerate()
                        {
                            *to = gradient * affine.scale[index]
                                - (x - affine.mean[index]) * pull[index]
                                - affine.shift[index];
                        }
                    }
                },
            );
        },
    );
    x_gradient
}
