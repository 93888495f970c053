//! Principal component analysis (PCA): the orthogonal directions along which points vary most.
//!
//! The axes of class means give a map of the classes. The axes of a chain's path give the plane that shows most of
//! its movement. The axes of a class's images give the covariance from which its chains start.

use faer::{Mat, reborrow::Reborrow};

use crate::eigen::{gram, leading, product};

/// The reason why points have no principal axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AxesError {
    /// There are fewer than two points, so there is no direction of variation.
    #[error("{count} points have no principal axes: at least 2 are needed")]
    TooFewPoints {
        /// The number of points.
        count: usize,
    },
    /// The eigendecomposition of the covariance did not converge, for example because a number is not finite.
    #[error("the covariance has no eigendecomposition: are all numbers finite?")]
    NoDecomposition,
}

/// The first few principal axes of a set of points.
#[derive(Clone, Debug, PartialEq)]
pub struct PrincipalAxes {
    /// The mean of the points, shape (D).
    pub origin: Vec<f32>,
    /// Orthonormal vectors, one row per axis, shape (k, D).
    pub axes: Vec<Vec<f32>>,
    /// The share of the points' variance along each axis, shape (k).
    pub explained: Vec<f32>,
}

impl PrincipalAxes {
    /// Computes the first `most` principal axes of points (N, D), with D = `dimension`; fewer if the points span
    /// fewer dimensions.
    ///
    /// # Errors
    /// Fewer than two points, numbers that are not finite.
    pub fn of(points: Vec<f32>, dimension: usize, most: usize) -> Result<Self, AxesError> {
        let found = Covariance::of(points, dimension, most)?;
        // Axes with a smaller variance are only rounding errors.
        let least = 1e-6 * found.variances.first().copied().unwrap_or(0.0);
        let is_there = |&j: &usize| found.variances[j] > least.max(f32::MIN_POSITIVE);
        let axis = |j: usize| found.axes.col(j).iter().copied().collect();
        let axes: Vec<Vec<f32>> =
            (0..found.variances.len()).take_while(is_there).map(axis).collect();
        let total: f32 = found.coordinate_variances.iter().sum();
        let explained = found.variances[..axes.len()].iter().map(|variance| variance / total);
        Ok(Self { origin: found.mean, explained: explained.collect(), axes })
    }

    /// The coordinates of `x` (D) along the axes, in units of x from the origin.
    #[cfg(any(feature = "gui", test))]
    pub(crate) fn coordinates_of(&self, x: &[f32]) -> Vec<f32> {
        let along = |axis: &Vec<f32>| {
            let terms = x.iter().zip(&self.origin).zip(axis);
            terms.map(|((x, origin), axis)| f64::from(x - origin) * f64::from(*axis)).sum::<f64>()
        };
        self.axes.iter().map(|axis| along(axis) as f32).collect()
    }
}

/// The mean of a set of points and the leading eigenvectors of their covariance.
pub(crate) struct Covariance {
    /// The mean of the points, shape (D).
    pub(crate) mean: Vec<f32>,
    /// The variance of each coordinate, shape (D).
    pub(crate) coordinate_variances: Vec<f32>,
    /// The variance along each axis, largest first, shape (k).
    pub(crate) variances: Vec<f32>,
    /// The axes as columns, each with a positive largest component, shape (D, k).
    pub(crate) axes: Mat<f32>,
}

impl Covariance {
    /// Computes the covariance of points (N, D), with at most `most` axes.
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
        // If there are fewer points than coordinates, use the Gram matrix X Xᵀ: it has the same eigenvalues and is
        // smaller.
        let is_wide = count < dimension;
        let matrix = gram(if is_wide { centred.transpose() } else { centred.as_ref() });
        let (variances, vectors) = leading(matrix, most).map_err(|_| AxesError::NoDecomposition)?;
        let mut axes = match is_wide {
            true => product(centred.transpose(), vectors.as_ref()),
            false => vectors,
        };
        for axis in axes.col_iter_mut() {
            // X Xᵀ gives only the direction: v = Xᵀ u / ‖Xᵀ u‖. The sign of an eigenvector is arbitrary, so it is
            // fixed here.
            let largest = axis.rb().iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            let length = if is_wide { axis.norm_l2().max(f32::MIN_POSITIVE) } else { 1.0 };
            let scale = length.copysign(largest.unwrap_or(1.0));
            axis.iter_mut().for_each(|value| *value /= scale);
        }
        Ok(Self { mean, coordinate_variances, variances, axes })
    }

    /// The number of axes that explain the `share` of the variance; all axes if they explain less.
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
