//! Principal axes: the orthogonal directions along which points differ most.
//!
//! Of the means of classes they make a map of the classes, of a chain's path the plane that shows most of it, and of
//! a class's images the covariance that its chains start from.

use faer::{Mat, reborrow::Reborrow};

use crate::eigen::{gram, leading, product};

/// Why points have no principal axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AxesError {
    /// A single point, or none, which spreads along no direction.
    #[error("{count} points have no principal axes: at least 2 are needed")]
    TooFewPoints {
        /// How many points there are.
        count: usize,
    },
    /// The eigendecomposition of the covariance did not converge, as with numbers that are not finite.
    #[error("the covariance has no eigendecomposition: are all numbers finite?")]
    NoDecomposition,
}

/// The first few principal axes of some points.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalAxes {
    /// The mean of the points, shape (D).
    pub origin: Vec<f32>,
    /// Unit vectors at right angles to each other, one row each, shape (k, D).
    pub axes: Vec<Vec<f32>>,
    /// The share of the points' variance along each axis, shape (k).
    pub explained: Vec<f32>,
}

impl PrincipalAxes {
    /// The first `most` principal axes of points (N, D) in a space of `dimension` D; fewer where the points span less.
    ///
    /// # Errors
    /// Fewer than two points, numbers that are not finite.
    pub fn of(points: Vec<f32>, dimension: usize, most: usize) -> Result<Self, AxesError> {
        let found = Covariance::of(points, dimension, most)?;
        // What rounding leaves of an axis that is not there.
        let least = 1e-6 * found.variances.first().copied().unwrap_or(0.0);
        let is_there = |&j: &usize| found.variances[j] > least.max(f32::MIN_POSITIVE);
        let axis = |j: usize| found.axes.col(j).iter().copied().collect();
        let axes: Vec<Vec<f32>> =
            (0..found.variances.len()).take_while(is_there).map(axis).collect();
        let total: f32 = found.coordinate_variances.iter().sum();
        let explained = found.variances[..axes.len()].iter().map(|variance| variance / total);
        Ok(Self { origin: found.mean, explained: explained.collect(), axes })
    }

    /// The coordinate of `x` (D) along each axis, in units of x from the origin.
    pub fn coordinates_of(&self, x: &[f32]) -> Vec<f32> {
        let along = |axis: &Vec<f32>| {
            let terms = x.iter().zip(&self.origin).zip(axis);
            terms.map(|((x, origin), axis)| f64::from(x - origin) * f64::from(*axis)).sum::<f64>()
        };
        self.axes.iter().map(|axis| along(axis) as f32).collect()
    }
}

/// Mean and covariance of some points, the latter by its leading eigenvectors.
pub(crate) struct Covariance {
    /// Shape (D).
    pub(crate) mean: Vec<f32>,
    /// The variance of each coordinate, shape (D).
    pub(crate) coordinate_variances: Vec<f32>,
    /// The variance along each axis, largest first, shape (k).
    pub(crate) variances: Vec<f32>,
    /// One column per variance, its largest component positive, shape (D, k).
    pub(crate) axes: Mat<f32>,
}

impl Covariance {
    /// The covariance of points (N, D), with at most `most` axes.
    ///
    /// # Errors
    /// Fewer than two points, numbers that are not finite.
    pub(crate) fn of(points: Vec<f32>, dimension: usize, most: usize) -> Result<Self, AxesError> {
        let count = points.len() / dimension;
        if count < 2 {
            return Err(AxesError::TooFewPoints { count });
        }
        let mut mean = vec![0.0f64; dimension];
        for point in points.chunks(dimension) {
            for (sum, &value) in mean.iter_mut().zip(point) {
                *sum += f64::from(value) / count as f64;
            }
        }
        let scale = 1.0 / ((count - 1) as f32).sqrt();
        let mean: Vec<f32> = mean.into_iter().map(|value| value as f32).collect();
        // Scaled so that Xᵀ X is the covariance.
        let centred =
            Mat::from_fn(count, dimension, |i, d| (points[i * dimension + d] - mean[d]) * scale);
        drop(points);
        let coordinate_variances =
            (0..dimension).map(|d| centred.col(d).squared_norm_l2()).collect();
        // With fewer points than coordinates the Gram matrix X Xᵀ has the same eigenvalues and is smaller.
        let is_wide = count < dimension;
        let matrix = gram(if is_wide { centred.transpose() } else { centred.as_ref() });
        let (variances, vectors) = leading(matrix, most).map_err(|_| AxesError::NoDecomposition)?;
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
        Ok(Self { mean, coordinate_variances, variances, axes })
    }

    /// How many axes hold the `share` of the variance; all, if they hold less.
    pub(crate) fn num_explaining(&self, share: f64) -> usize {
        let total: f64 = self.coordinate_variances.iter().map(|&v| f64::from(v)).sum();
        let mut sum = 0.0;
        let enough = self.variances.iter().position(|&variance| {
            sum += f64::from(variance.max(0.0));
            sum >= share * total
        });
        enough.map_or(self.variances.len(), |index| index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_have_one_axis_along_it() {
        let found = PrincipalAxes::of(vec![0.0, 0.0, 3.0, 4.0, 6.0, 8.0], 2, 2).unwrap();
        let [far] = found.coordinates_of(&[6.0, 8.0])[..] else { panic!("{found:?}") };
        assert!((far.abs() - 5.0).abs() < 1e-5, "{far}");
        assert!((found.explained[0] - 1.0).abs() < 1e-6);
        assert_eq!(found.origin, [3.0, 4.0]);
    }

    #[test]
    fn a_single_point_has_no_axes() {
        let found = PrincipalAxes::of(vec![1.0, 2.0], 2, 2);
        assert_eq!(found, Err(AxesError::TooFewPoints { count: 1 }));
    }
}
