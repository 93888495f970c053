//! Principal axes of points.

use faer::{Mat, reborrow::Reborrow};

use super::ClassCentersError;
use crate::eigen::{gram, leading, product};

/// A few directions along which points, the means of classes for one, differ most.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanAxes {
    /// The middle of the points, shape (D).
    pub origin: Vec<f32>,
    /// Unit vectors, one row each, shape (k, D).
    pub axes: Vec<Vec<f32>>,
    /// The share of the variance along each axis.
    pub explained: Vec<f32>,
}

impl MeanAxes {
    /// The first principal axes of some points (N, D), `most` at most and fewer where they span less.
    ///
    /// # Errors
    /// Fewer than two points; no eigendecomposition. `name` says of what.
    pub fn of(
        points: Vec<f32>,
        num_pixels: usize,
        most: usize,
        name: &str,
    ) -> Result<Self, ClassCentersError> {
        let found = PrincipalAxes::of(points, num_pixels, name, most)?;
        // What rounding leaves of an axis that is not there.
        let least = 1e-6 * found.variances.first().copied().unwrap_or(0.0);
        let is_there = |&j: &usize| found.variances[j] > least.max(f32::MIN_POSITIVE);
        let axis = |j: usize| found.axes.col(j).iter().copied().collect();
        let axes: Vec<Vec<f32>> =
            (0..found.variances.len()).take_while(is_there).map(axis).collect();
        let total: f32 = found.pixel_variances.iter().sum();
        let explained = found.variances[..axes.len()].iter().map(|variance| variance / total);
        Ok(Self { origin: found.mean, explained: explained.collect(), axes })
    }

    /// The place of `x` (D) along each axis, in units of x.
    pub fn place_of(&self, x: &[f32]) -> Vec<f32> {
        let along = |axis: &Vec<f32>| {
            let terms = x.iter().zip(&self.origin).zip(axis);
            terms.map(|((x, origin), axis)| f64::from(x - origin) * f64::from(*axis)).sum::<f64>()
        };
        self.axes.iter().map(|axis| along(axis) as f32).collect()
    }
}

/// Mean and leading eigenvectors of the covariance of some points.
pub(super) struct PrincipalAxes {
    pub(super) mean: Vec<f32>,
    pub(super) pixel_variances: Vec<f32>,
    /// Largest first.
    pub(super) variances: Vec<f32>,
    /// One column per variance, its largest component positive.
    pub(super) axes: Mat<f32>,
}

impl PrincipalAxes {
    /// Of points (N, D), at most `most` axes.
    pub(super) fn of(
        images: Vec<f32>,
        num_pixels: usize,
        name: &str,
        most: usize,
    ) -> Result<Self, ClassCentersError> {
        let count = images.len() / num_pixels;
        if count < 2 {
            return Err(ClassCentersError::TooFewImages { name: name.to_string(), count });
        }
        let mut mean = vec![0.0f64; num_pixels];
        for image in images.chunks(num_pixels) {
            for (sum, &value) in mean.iter_mut().zip(image) {
                *sum += f64::from(value) / count as f64;
            }
        }
        let scale = 1.0 / ((count - 1) as f32).sqrt();
        let mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
        // Scaled so that Xᵀ X is the covariance.
        let centred =
            Mat::from_fn(count, num_pixels, |i, d| (images[i * num_pixels + d] - mean[d]) * scale);
        drop(images);
        let pixel_variances = (0..num_pixels).map(|d| centred.col(d).squared_norm_l2()).collect();
        // With fewer images than pixels the Gram matrix X Xᵀ has the same eigenvalues and is smaller.
        let is_wide = count < num_pixels;
        let matrix = gram(if is_wide { centred.transpose() } else { centred.as_ref() });
        let (variances, vectors) =
            leading(matrix, most).map_err(|_| ClassCentersError::Eigen(name.to_string()))?;
        let mut axes = match is_wide {
            true => product(centred.transpose(), vectors.as_ref()),
            false => vectors,
        };
        for axis in axes.col_iter_mut() {
            // Of X Xᵀ only the direction is known: v = Xᵀ u / ‖Xᵀ u‖. The sign of an eigenvector is nobody's choice.
            let largest = axis.rb().iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            let length = if is_wide { axis.norm_l2().max(f32::MIN_POSITIVE) } else { 1.0 };
            let scale = length.copysign(largest.unwrap_or(1.0));
            axis.iter_mut().for_each(|value| *value /= scale);
        }
        Ok(Self { mean, pixel_variances, variances, axes })
    }

    /// How many axes hold the `share` of the variance; all, if they hold less.
    pub(super) fn num_explaining(&self, share: f64) -> usize {
        let total: f64 = self.pixel_variances.iter().map(|&variance| f64::from(variance)).sum();
        let mut sum = 0.0;
        let enough = self.variances.iter().position(|&variance| {
            sum += f64::from(variance.max(0.0));
            sum >= share * total
        });
        enough.map_or(self.variances.len(), |index| index + 1)
    }
}
