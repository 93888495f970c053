//! The Gaussian of each class that chains start from ("informative initialisation").
//!
//! Per class c over the training images in [-1, 1]: mean μ_c and covariance Σ_c. A start is
//! `clamp(N(μ_c, Σ_c + 1e-4 I), -1, 1)`. The full factors are large (377 MB for CIFAR-10), so the top
//! principal axes are kept, and what they leave out becomes an independent residual per pixel that
//! restores every pixel's variance exactly.
//!
//! # Source
//! Yang & Ji, arXiv:2109.09032, section 3.3. Differs from JEMPP: truncated factor. Differs from an
//! isotropic residual, which would put noise on pixels that never vary (the border of a garment).

use burn::tensor::{Device, Tensor, TensorData};
use faer::{Mat, Side};

use crate::{
    config::ClassCentersConfig,
    data::{Dataset, spread},
    kernels::{self, ClassGaussians, reference::NoiseKey},
};

/// Variance added to every pixel, as in JEMPP.
const JITTER: f32 = 1e-4;

/// Images that stand for a class which has fewer than two.
const MAX_STAND_INS: usize = 500;

/// Why class centres could not be estimated.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ClassCentersError {
    /// A class without enough images for a covariance.
    #[error("class `{name}` has {count} training images; estimating its centre needs at least 2")]
    TooFewImages {
        /// The class.
        name: String,
        /// Its images.
        count: usize,
    },
    /// The eigendecomposition did not converge.
    #[error("the covariance of class `{0}` has no eigendecomposition")]
    Eigen(String),
}

/// One Gaussian per class, on a device.
#[derive(Clone, Debug)]
pub struct ClassCenters {
    /// Means, factors and residuals.
    pub gaussians: ClassGaussians,
    /// Shape (C, H, W) of a start.
    pub shape: [usize; 3],
}

/// Means, factors and residuals on the host, before they go to a device or a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassCentersData {
    /// Shape (classes, D).
    pub mean: Vec<f32>,
    /// Shape (classes, k, D).
    pub factor: Vec<f32>,
    /// Shape (classes, D).
    pub residual_std: Vec<f32>,
    /// classes, k, D.
    pub dims: [usize; 3],
}

impl ClassCentersData {
    /// Estimates the Gaussians of a training set.
    ///
    /// Keeps, for every class alike, the smallest k that explains the configured share of each
    /// class's variance, but no more than the configured number of axes. A class without images has the Gaussian
    /// of all images, a class with one image that image and the spread of the others around the means of their classes.
    ///
    /// # Errors
    /// No eigendecomposition.
    pub fn estimate(
        dataset: &Dataset,
        config: &ClassCentersConfig,
    ) -> Result<Self, ClassCentersError> {
        let (num_classes, num_pixels) = (dataset.num_classes(), dataset.num_pixels());
        let mut classes = Vec::with_capacity(num_classes);
        for class in 0..num_classes {
            let images = images_of(dataset, class);
            let name = &dataset.class_names[class];
            classes.push(PrincipalAxes::of(images, num_pixels, name)?);
        }
        let wanted = classes.iter().map(|class| class.num_explaining(config.explained_variance));
        let most = classes.iter().map(|class| class.variances.len()).min().unwrap_or(0);
        let num_components = wanted.max().unwrap_or(0).clamp(1, config.max_components).min(most);

        let mut data = Self {
            mean: Vec::new(),
            factor: Vec::new(),
            residual_std: Vec::new(),
            dims: [num_classes, num_components, num_pixels],
        };
        for class in classes {
            let mut residual = class.pixel_variances;
            for j in 0..num_components {
                let std = class.variances[j].max(0.0).sqrt();
                let axis = class.axes.col(j);
                let scaled = (0..num_pixels).map(|d| std * axis[d]);
                for (left, value) in residual.iter_mut().zip(scaled.clone()) {
                    *left -= value * value;
                }
                data.factor.extend(scaled);
            }
            data.mean.extend(class.mean);
            data.residual_std.extend(residual.iter().map(|left| (left.max(0.0) + JITTER).sqrt()));
        }
        Ok(data)
    }

    /// These Gaussians on a device; `shape` is (C, H, W) of one start.
    pub fn to_device(&self, shape: [usize; 3], device: &Device) -> ClassCenters {
        let [classes, k, d] = self.dims;
        ClassCenters {
            gaussians: ClassGaussians {
                mean: Tensor::from_data(TensorData::new(self.mean.clone(), [classes, d]), device),
                factor: Tensor::from_data(
                    TensorData::new(self.factor.clone(), [classes, k, d]),
                    device,
                ),
                residual_std: Tensor::from_data(
                    TensorData::new(self.residual_std.clone(), [classes, d]),
                    device,
                ),
            },
            shape,
        }
    }
}

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

impl ClassCentersData {
    /// The first principal axes of the class means, `most` at most and fewer where the means span less: of
    /// two classes the line through both means. The largest component of an axis is positive.
    ///
    /// # Errors
    /// No eigendecomposition.
    pub fn mean_axes(&self, most: usize) -> Result<MeanAxes, ClassCentersError> {
        let [num_classes, _, num_pixels] = self.dims;
        if num_classes < 2 {
            let origin = self.mean.clone();
            return Ok(MeanAxes { origin, axes: Vec::new(), explained: Vec::new() });
        }
        MeanAxes::of(self.mean.clone(), num_pixels, most, "means of the classes")
    }
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
        let found = PrincipalAxes::of(points, num_pixels, name)?;
        // What rounding leaves of an axis that is not there.
        let least = 1e-6 * found.variances.first().copied().unwrap_or(0.0);
        let is_there = |&j: &usize| found.variances[j] > least.max(f32::MIN_POSITIVE);
        let axis = |j: usize| {
            let axis: Vec<f32> = (0..num_pixels).map(|d| found.axes[(d, j)]).collect();
            let largest = axis.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
            let sign = largest.unwrap_or(1.0).signum();
            axis.into_iter().map(|value| sign * value).collect()
        };
        let num_axes = most.min(found.variances.len());
        let axes: Vec<Vec<f32>> = (0..num_axes).take_while(is_there).map(axis).collect();
        let total: f32 = found.variances.iter().map(|variance| variance.max(0.0)).sum();
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

impl ClassCenters {
    /// One start per label, shape (N, C, H, W).
    pub fn start(&self, labels: &[u32], noise: NoiseKey) -> Tensor<4> {
        let [c, h, w] = self.shape;
        kernels::class_center_start(&self.gaussians, labels, noise).reshape([labels.len(), c, h, w])
    }
}

/// The images that a class's Gaussian is estimated from: its own where there are two. Of a class without any, those
/// of all classes; of a class with one, that image, moved by what others differ from the means of their classes. Both
/// from at most [`MAX_STAND_INS`], spread evenly over the set.
fn images_of(dataset: &Dataset, class: usize) -> Vec<f32> {
    let is_of = |class: usize| move |&i: &usize| dataset.labels[i] as usize == class;
    let own: Vec<usize> = (0..dataset.len()).filter(is_of(class)).collect();
    let stand_ins = || spread(dataset.len(), MAX_STAND_INS);
    let mut images = match own[..] {
        [] => dataset.gather(stand_ins()),
        [only] => {
            let image = dataset.gather([only]);
            let mut moved = Vec::new();
            for other in 0..dataset.num_classes() {
                let others: Vec<usize> = stand_ins().filter(is_of(other)).collect();
                if others.len() < 2 {
                    continue;
                }
                let (count, others) = (others.len() as f32, dataset.gather(others));
                let mut mean = vec![0.0; image.len()];
                for item in others.chunks(image.len()) {
                    mean.iter_mut().zip(item).for_each(|(mean, value)| *mean += value / count);
                }
                let around = others.iter().zip(mean.iter().cycle());
                moved.extend(
                    around.zip(image.iter().cycle()).map(|((x, mean), own)| own + x - mean),
                );
            }
            if moved.is_empty() { image } else { moved }
        }
        _ => dataset.gather(own),
    };
    if images.len() == dataset.num_pixels() {
        // One image and nothing to tell its spread from: the jitter alone.
        images.extend_from_within(..);
    }
    images
}

/// Mean and eigendecomposition of one class's covariance.
struct PrincipalAxes {
    mean: Vec<f32>,
    pixel_variances: Vec<f32>,
    /// Largest first.
    variances: Vec<f32>,
    /// One column per variance.
    axes: Mat<f32>,
}

impl PrincipalAxes {
    fn of(images: Vec<f32>, num_pixels: usize, name: &str) -> Result<Self, ClassCentersError> {
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
        let pixel_variances = (0..num_pixels).map(|d| centred.col(d).squared_norm_l2()).collect();
        // With fewer images than pixels the Gram matrix X Xᵀ has the same eigenvalues and is smaller.
        let is_wide = count < num_pixels;
        let product =
            if is_wide { &centred * centred.transpose() } else { centred.transpose() * &centred };
        let eigen = product
            .self_adjoint_eigen(Side::Lower)
            .map_err(|_| ClassCentersError::Eigen(name.to_string()))?;
        let size = count.min(num_pixels);
        let values = eigen.S().column_vector();
        let variances: Vec<f32> = (0..size).rev().map(|j| values[j]).collect();
        let vectors = eigen.U();
        let descending = Mat::from_fn(size, size, |i, j| vectors[(i, size - 1 - j)]);
        let axes = if is_wide {
            // v = Xᵀ u / ‖Xᵀ u‖.
            let mut axes = centred.transpose() * &descending;
            for j in 0..size {
                let length = axes.col(j).norm_l2().max(f32::MIN_POSITIVE);
                for d in 0..num_pixels {
                    axes[(d, j)] /= length;
                }
            }
            axes
        } else {
            descending
        };
        Ok(Self { mean, pixel_variances, variances, axes })
    }

    /// How many axes hold the `share` of the variance.
    fn num_explaining(&self, share: f64) -> usize {
        let total: f64 = self.variances.iter().map(|&v| f64::from(v.max(0.0))).sum();
        let mut sum = 0.0;
        let enough = self.variances.iter().position(|&variance| {
            sum += f64::from(variance.max(0.0));
            sum >= share * total
        });
        enough.map_or(self.variances.len(), |index| index + 1)
    }
}
