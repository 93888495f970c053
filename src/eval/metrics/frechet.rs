//! The Fréchet distance between two sets of features, and the Inception score.

use faer::Mat;

use super::intervals::jackknife;
use crate::{eigen, eval::results::Estimate};

/// The mean and covariance of features.
#[derive(Clone, Debug)]
pub struct Moments {
    mean: Vec<f64>,
    covariance: Mat<f64>,
}

impl Moments {
    /// Computes the moments of features (N, `dim`); the covariance has the divisor N - 1 and is 0 for fewer than two
    /// rows.
    pub fn of(features: &[f32], dim: usize) -> Self {
        let rows: Vec<&[f32]> = features.chunks(dim).collect();
        Self::of_rows(&rows, dim)
    }

    fn of_rows(rows: &[&[f32]], dim: usize) -> Self {
        let count = rows.len().max(1) as f64;
        let mut mean = vec![0.0; dim];
        for row in rows {
            mean.iter_mut().zip(*row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean.iter_mut().for_each(|sum| *sum /= count);
        let centred = Mat::from_fn(rows.len(), dim, |i, j| f64::from(rows[i][j]) - mean[j]);
        let mut covariance = centred.transpose() * &centred;
        let divisor = (count - 1.0).max(1.0);
        covariance.col_iter_mut().for_each(|column| column.iter_mut().for_each(|v| *v /= divisor));
        Self { mean, covariance }
    }
}

/// The sums that give the moments of features which do not fit into memory together.
pub(crate) struct MomentsSum {
    count: usize,
    /// The features of the first row: sums of differences from it lose less to rounding.
    origin: Vec<f64>,
    sum: Vec<f64>,
    products: Mat<f64>,
}

impl MomentsSum {
    /// Sums of no features of `dim` numbers each.
    pub(crate) fn new(dim: usize) -> Self {
        let sum = vec![0.0; dim];
        Self { count: 0, origin: Vec::new(), sum, products: Mat::zeros(dim, dim) }
    }

    /// Adds features (N, dim).
    pub(crate) fn add(&mut self, features: &[f32]) {
        let dim = self.sum.len();
        let rows: Vec<&[f32]> = features.chunks(dim).collect();
        if let (true, Some(first)) = (self.origin.is_empty(), rows.first()) {
            self.origin = first.iter().copied().map(f64::from).collect();
        }
        let from_origin =
            Mat::from_fn(rows.len(), dim, |i, j| f64::from(rows[i][j]) - self.origin[j]);
        for (sum, column) in self.sum.iter_mut().zip(from_origin.col_iter()) {
            *sum += column.iter().sum::<f64>();
        }
        self.products += from_origin.transpose() * &from_origin;
        self.count += rows.len();
    }

    /// The moments of all features: as [`Moments::of`].
    pub(crate) fn moments(self) -> Moments {
        let (count, divisor) = (self.count.max(1) as f64, self.count.max(2) as f64 - 1.0);
        let (sum, products) = (&self.sum, &self.products);
        let dim = sum.len();
        let covariance =
            Mat::from_fn(dim, dim, |i, j| (products[(i, j)] - sum[i] * sum[j] / count) / divisor);
        let mean = self.origin.iter().zip(sum).map(|(origin, sum)| origin + sum / count).collect();
        Moments { mean, covariance }
    }
}

/// Eigenvalues and eigenvectors of a positive semidefinite matrix. Eigenvalues at the level of rounding errors are
/// set to 0: their square roots would not be small.
fn eigen(matrix: &Mat<f64>) -> (Vec<f64>, Mat<f64>) {
    let Ok((values, vectors)) = eigen::eigen(matrix.as_ref()) else {
        unreachable!("a symmetric matrix of finite numbers has eigenvalues")
    };
    let largest = values.iter().copied().fold(0.0, f64::max);
    let noise = largest * matrix.nrows() as f64 * f64::EPSILON;
    (values.into_iter().map(|value| if value > noise { value } else { 0.0 }).collect(), vectors)
}

/// The symmetric square root of a covariance matrix.
fn root(covariance: &Mat<f64>) -> Mat<f64> {
    let (values, vectors) = eigen(covariance);
    let scaled =
        Mat::from_fn(vectors.nrows(), vectors.ncols(), |i, j| vectors[(i, j)] * values[j].sqrt());
    &scaled * vectors.transpose()
}

/// The squared Fréchet distance of the Gaussians with these moments, `‖μ₁ - μ₂‖² + tr(Σ₁ + Σ₂ - 2 (Σ₁^½ Σ₂ Σ₁^½)^½)`.
/// With Inception features it is the FID.
///
/// # Source
/// Heusel et al., arXiv:1706.08500; Dowson & Landau, J. Multivariate Analysis 12(3), 1982.
pub fn frechet_distance(a: &Moments, b: &Moments) -> f64 {
    distance_to(a, b, &root(&b.covariance))
}

/// [`frechet_distance`], for a known square root of b's covariance.
fn distance_to(a: &Moments, b: &Moments, root_b: &Mat<f64>) -> f64 {
    let offset: f64 = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b).powi(2)).sum();
    let trace = |matrix: &Mat<f64>| (0..matrix.nrows()).map(|i| matrix[(i, i)]).sum::<f64>();
    let product = root_b * &a.covariance * root_b;
    let shared: f64 = eigen(&product).0.iter().map(|value| value.sqrt()).sum();
    // Rounding must not make the distance of a set to itself negative.
    (offset + trace(&a.covariance) + trace(&b.covariance) - 2.0 * shared).max(0.0)
}

/// The [`frechet_distance`] of features (N, `dim`) to a reference, with a jackknife interval. It decreases with N:
/// compare only sets of equal size.
pub fn frechet(features: &[f32], reference: &Moments, dim: usize) -> Estimate {
    let rows: Vec<&[f32]> = features.chunks(dim).collect();
    let root = root(&reference.covariance);
    let found = jackknife(rows.len(), |indices| {
        let rows: Vec<&[f32]> = indices.iter().map(|&index| rows[index]).collect();
        distance_to(&Moments::of_rows(&rows, dim), reference, &root)
    });
    Estimate { low: found.low.max(0.0), ..found }
}

/// exp of the mean KL divergence of p(y|x) (N, classes) from their mean, between 1 and the number of classes, with a
/// jackknife interval. With the probabilities of Inception it is the Inception score.
///
/// # Source
/// Salimans et al., arXiv:1606.03498.
pub fn inception_like(probabilities: &[f64], num_classes: usize) -> Estimate {
    let rows: Vec<&[f64]> = probabilities.chunks(num_classes).collect();
    jackknife(rows.len(), |indices| {
        let count = indices.len().max(1) as f64;
        let mean = |class: usize| indices.iter().map(|&i| rows[i][class]).sum::<f64>() / count;
        let means: Vec<f64> = (0..num_classes).map(mean).collect();
        let divergence = |&index: &usize| {
            let terms = rows[index].iter().zip(&means).filter(|(p, _)| **p > 0.0);
            terms.map(|(p, mean)| p * (p / mean).ln()).sum::<f64>()
        };
        (indices.iter().map(divergence).sum::<f64>() / count).exp()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_batches_give_the_moments_of_all_features() {
        let features: Vec<f32> =
            (0..60).map(|i| 100.0 + ((i * 37) % 23) as f32 / 7.0 + (i % 3) as f32).collect();
        let whole = Moments::of(&features, 3);
        let mut sum = MomentsSum::new(3);
        for batch in features.chunks(7 * 3) {
            sum.add(batch);
        }
        let found = sum.moments();
        for i in 0..3 {
            assert!((found.mean[i] - whole.mean[i]).abs() < 1e-9);
            for j in 0..3 {
                let (found, expected) = (found.covariance[(i, j)], whole.covariance[(i, j)]);
                assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            }
        }
    }
}
