//! The class centres: one Gaussian per class from which chains start ("informative initialisation").
//!
//! For class c, μ_c is the mean and Σ_c the covariance of its training images in [-1, 1]. A start is
//! `clamp(N(μ_c, Σ_c + 1e-4 I), -1, 1)`. The full factors are large (377 MB for CIFAR-10), so only the leading
//! principal axes are kept. An independent residual per pixel replaces the rest, so that the variance of every pixel
//! is exact.
//!
//! # Source
//! Yang & Ji, arXiv:2109.09032, section 3.3. Differs from JEMPP: truncated factor. The residual is not isotropic:
//! that would add noise to pixels that never vary, such as the border of a garment image.

use std::ops::ControlFlow;

use burn::tensor::{Device, Tensor, TensorData};

use crate::{
    config::ClassCentersConfig,
    data::{Dataset, spread},
    kernels::{self, ClassGaussians, reference::NoiseKey},
    principal_axes::{AxesError, Covariance, PrincipalAxes},
};

/// The variance that is added to every pixel, as in JEMPP.
const JITTER: f32 = 1e-4;
/// The largest size of all factors in bytes: 128 MiB, the default limit of WebGPU for one binding.
const MAX_FACTOR_BYTES: usize = 128 << 20;

/// The number of images used in place of a class with fewer than two.
const MAX_STAND_INS: usize = 500;

/// The reason why class centres could not be estimated.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ClassCentersError {
    /// A class does not have enough images for a covariance.
    #[error("class `{name}` has {count} training images; estimating its centre needs at least 2")]
    TooFewImages {
        /// The name of the class.
        name: String,
        /// The number of its training images.
        count: usize,
    },
    /// The eigendecomposition of a class's covariance did not converge.
    #[error("the covariance of class `{0}` has no eigendecomposition")]
    Eigen(String),
    /// The means of the classes have no principal axes.
    #[error("the means of the classes have no principal axes: {0}")]
    Means(#[source] AxesError),
    /// The caller stopped the estimation.
    #[error("stopped while estimating the class centres")]
    Stopped,
}

/// A warning: fewer principal axes were kept than the configuration asks for, because more would not fit on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "class centres keep {kept} of the {wanted} principal axes: the factors of all classes must fit the 128 MiB \
     that a GPU binds at once; what the others held becomes noise per pixel (class_centers.max_components = {kept} \
     asks for no more)"
)]
pub struct Cut {
    /// The number of axes kept per class.
    pub kept: usize,
    /// The number of axes per class in the configuration.
    pub wanted: usize,
}

/// The Gaussians of all classes on a device, to draw starts of chains.
#[derive(Clone, Debug)]
pub struct ClassCenters {
    /// The means, factors and residuals.
    pub gaussians: ClassGaussians,
    /// The shape (C, H, W) of a start.
    pub shape: [usize; 3],
}

/// The Gaussians of all classes in host memory, to save to a file or to copy to a device.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassCentersData {
    /// The mean image of each class, shape (classes, D).
    pub mean: Vec<f32>,
    /// The principal axes of each class, scaled by their standard deviations, shape (classes, k, D).
    pub factor: Vec<f32>,
    /// The standard deviation of each pixel that the factor does not cover, shape (classes, D).
    pub residual_std: Vec<f32>,
    /// The number of classes, of principal axes k and of pixels D.
    pub dims: [usize; 3],
}

impl ClassCentersData {
    /// Estimates the Gaussians of a training set, like [`ClassCentersData::estimate_with`] but without progress
    /// reports.
    ///
    /// # Errors
    /// An eigendecomposition that does not converge.
    pub fn estimate(
        dataset: &Dataset,
        config: &ClassCentersConfig,
    ) -> Result<Self, ClassCentersError> {
        Self::estimate_with(dataset, config, &mut |_, _| ControlFlow::Continue(()))
            .map(|(data, _)| data)
    }

    /// Estimates the Gaussians of a training set; the result is the same bit for bit for any number of threads.
    ///
    /// All classes keep the same number of axes k: the smallest that explains the configured share of each class's
    /// variance, but at most the configured number and at most what a GPU can bind. In the last case it also returns
    /// a warning. A class without images uses the Gaussian of all images. A class with one image uses that image and
    /// the spread of the other images around their class means. When there are many axes, the leading ones are found
    /// by iteration, see `src/eigen.rs`. The variance of every pixel is exact in any case, because the residual makes
    /// up the difference.
    ///
    /// `on_class` is called before each class with the number of classes done and of all classes, and may stop the
    /// work: 50,000 colour images take some seconds.
    ///
    /// # Errors
    /// An eigendecomposition that does not converge; stopped by `on_class`.
    pub fn estimate_with(
        dataset: &Dataset,
        config: &ClassCentersConfig,
        on_class: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<(Self, Option<Cut>), ClassCentersError> {
        let (num_classes, num_pixels) = (dataset.num_classes(), dataset.num_pixels());
        let mut classes = Vec::with_capacity(num_classes);
        for class in 0..num_classes {
            if on_class(class, num_classes).is_break() {
                return Err(ClassCentersError::Stopped);
            }
            let images = images_of(dataset, class);
            let name = || dataset.class_names[class].clone();
            let found = Covariance::of(images, num_pixels, config.max_components);
            classes.push(found.map_err(|error| match error {
                AxesError::TooFewPoints { count } => {
                    ClassCentersError::TooFewImages { name: name(), count }
                }
                AxesError::NoDecomposition => ClassCentersError::Eigen(name()),
            })?);
        }
        let wanted = classes.iter().map(|class| class.num_explaining(config.explained_variance));
        let wanted = wanted.max().unwrap_or(0).clamp(1, config.max_components);
        let kept = wanted.min(num_fitting(num_classes, num_pixels));
        let cut = (kept < wanted).then_some(Cut { kept, wanted });

        let mut data = Self {
            mean: Vec::new(),
            factor: Vec::new(),
            residual_std: Vec::new(),
            dims: [num_classes, kept, num_pixels],
        };
        for class in classes {
            let mut residual = class.coordinate_variances;
            // A class with few images has fewer axes; the rest of its factor is zero.
            let num_axes = kept.min(class.variances.len());
            for j in 0..num_axes {
                let std = class.variances[j].max(0.0).sqrt();
                let axis = class.axes.col(j);
                let scaled = (0..num_pixels).map(|d| std * axis[d]);
                for (left, value) in residual.iter_mut().zip(scaled.clone()) {
                    *left -= value * value;
                }
                data.factor.extend(scaled);
            }
            data.factor.extend(std::iter::repeat_n(0.0, (kept - num_axes) * num_pixels));
            data.mean.extend(class.mean);
            data.residual_std.extend(residual.iter().map(|left| (left.max(0.0) + JITTER).sqrt()));
        }
        Ok((data, cut))
    }

    /// Copies the Gaussians to a device; `shape` is the shape (C, H, W) of a start.
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

impl ClassCentersData {
    /// The first principal axes of the class means: at most `most`, and fewer if the means span fewer dimensions. For
    /// two classes, it is the line through both means. The largest component of each axis is positive.
    ///
    /// # Errors
    /// An eigendecomposition that does not converge.
    pub(crate) fn mean_axes(&self, most: usize) -> Result<PrincipalAxes, ClassCentersError> {
        let [num_classes, _, num_pixels] = self.dims;
        if num_classes < 2 {
            let origin = self.mean.clone();
            return Ok(PrincipalAxes { origin, axes: Vec::new(), explained: Vec::new() });
        }
        PrincipalAxes::of(self.mean.clone(), num_pixels, most).map_err(ClassCentersError::Means)
    }
}

impl ClassCenters {
    /// Draws one start per label, shape (N, C, H, W).
    pub fn start(&self, labels: &[u32], noise: NoiseKey) -> Tensor<4> {
        let [c, h, w] = self.shape;
        kernels::class_center_start(&self.gaussians, labels, noise).reshape([labels.len(), c, h, w])
    }
}

/// The number of axes per class that a GPU can bind at once.
fn num_fitting(num_classes: usize, num_pixels: usize) -> usize {
    let bytes_per_axis = size_of::<f32>() * num_classes * num_pixels;
    (MAX_FACTOR_BYTES / bytes_per_axis.max(1)).max(1)
}

/// The images from which the Gaussian of a class is estimated: its own images if there are at least two. For a class
/// without images, the images of all classes. For a class with one image, that image plus the differences of other
/// images from their class means. In both cases at most [`MAX_STAND_INS`], spread evenly over the data set.
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
        // There is a single image and no other to estimate a spread from: only the jitter remains.
        images.extend_from_within(..);
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_fit_what_a_gpu_binds_and_what_was_cut_is_said() {
        assert_eq!(num_fitting(100, 3 * 32 * 32), 109, "CIFAR-100");
        assert_eq!(num_fitting(10, 3 * 32 * 32), 1092, "CIFAR-10");
        assert_eq!(num_fitting(1, 1 << 30), 1);
        let words = Cut { kept: 109, wanted: 128 }.to_string();
        assert!(words.contains("keep 109 of the 128 principal axes"), "{words}");
    }
}
