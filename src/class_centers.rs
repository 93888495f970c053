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
use jempp_cpu::reference::NoiseKey;

use crate::{
    config::ClassCentersConfig,
    data::{Dataset, spread},
    kernels::{self, ClassGaussians},
    principal_axes::{AxesError, Covariance, PrincipalAxes},
};

/// The variance that is added to every pixel, as in JEMPP.
const JITTER: f32 = 1e-4;
/// The largest size in bytes of the factors that a kernel binds at once: 128 MiB, which every adapter of WebGPU allows.
const MAX_FACTOR_BYTES: usize = 128 << 20;

/// The grid on which a packed model keeps the factors: half a grey level of 255 between -1 and 1.
const PACKED_GRID: f32 = 256.0;

/// The number of images from which the covariance of a class is estimated from them alone.
const ENOUGH: usize = 10;
/// The number of images of all classes used for a class with fewer.
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
    "class centres keep {kept} of the {wanted} principal axes: the factor of a class must fit the 128 MiB \
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
    /// The means, factors and residuals of all classes in order, in parts that every GPU can bind.
    pub parts: Vec<ClassGaussians>,
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
    /// a warning. A class without images uses the Gaussian of all images. A class with fewer than ten images uses a
    /// mixture of their covariance and the mean covariance of all classes. When there are many axes, the leading ones are found
    /// by iteration, see `src/eigen.rs`. The variance of every pixel is exact in any case, because the residual makes
    /// up the difference, unless `residual_scale` is below 1.
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
        let kept = wanted.min(num_fitting(num_pixels));
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
            let scale = config.residual_scale as f32;
            data.residual_std
                .extend(residual.iter().map(|left| scale * (left.max(0.0) + JITTER).sqrt()));
        }
        Ok((data, cut))
    }

    /// Rounds the factors of images to multiples of 1/256, which a page downloads in half the bytes. A pixel of a start moves by
    /// about one grey level. Points keep their factors.
    pub(crate) fn round(&mut self) {
        let [.., num_pixels] = self.dims;
        if num_pixels > 2 {
            self.factor
                .iter_mut()
                // Adding 0 makes -0 a plain 0.
                .for_each(|value| *value = (*value * PACKED_GRID).round() / PACKED_GRID + 0.0);
        }
    }

    /// Copies the Gaussians to a device; `shape` is the shape (C, H, W) of a start.
    pub fn to_device(&self, shape: [usize; 3], device: &Device) -> ClassCenters {
        let [_, k, d] = self.dims;
        let at_once = num_fitting(k * d);
        let means = self.mean.chunks(at_once * d);
        let factors = self.factor.chunks(at_once * k * d);
        let residuals = self.residual_std.chunks(at_once * d);
        let part = |((mean, factor), residual_std): ((&[f32], &[f32]), &[f32])| {
            let classes = mean.len() / d;
            let rows = |values: &[f32]| {
                Tensor::from_data(TensorData::new(values.to_vec(), [classes, d]), device)
            };
            let factor = TensorData::new(factor.to_vec(), [classes, k, d]);
            ClassGaussians {
                mean: rows(mean),
                factor: Tensor::from_data(factor, device),
                residual_std: rows(residual_std),
            }
        };
        ClassCenters { parts: means.zip(factors).zip(residuals).map(part).collect(), shape }
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
        kernels::class_center_start(&self.parts, labels, noise).reshape([labels.len(), c, h, w])
    }
}

/// The number of rows of `len` values that every GPU can bind at once.
fn num_fitting(len: usize) -> usize {
    (MAX_FACTOR_BYTES / (size_of::<f32>() * len).max(1)).max(1)
}

/// The images from which the Gaussian of a class is estimated: its own images if there are enough. For a class without
/// images, the images of all classes. With few images, as many points as have the mean of the class and a shrunk
/// covariance, see [`shrunk`].
fn images_of(dataset: &Dataset, class: usize) -> Vec<f32> {
    let is_own = |&i: &usize| dataset.labels[i] as usize == class;
    let own: Vec<usize> = (0..dataset.len()).filter(is_own).collect();
    let mut images = match own.len() {
        0 => dataset.gather(spread(dataset.len(), MAX_STAND_INS)),
        1..ENOUGH => shrunk(dataset, &own),
        _ => dataset.gather(own),
    };
    if images.len() == dataset.num_pixels() {
        // There is a single image and no other to estimate a spread from: only the jitter remains.
        images.extend_from_within(..);
    }
    images
}

/// Points whose mean is that of the images `own`, and whose covariance is a mixture of theirs and of the mean covariance
/// of all classes. The share of all classes falls from 1 for a single image to 0 for [`ENOUGH`]: a covariance of a few
/// images has a few directions only, and chains would start in a plane.
fn shrunk(dataset: &Dataset, own: &[usize]) -> Vec<f32> {
    let size = dataset.num_pixels();
    let (mean, own_spread) = around_mean(dataset, own);
    let mut of_class = vec![Vec::new(); dataset.num_classes()];
    for index in spread(dataset.len(), MAX_STAND_INS) {
        of_class[dataset.labels[index] as usize].push(index);
    }
    let with_spread = of_class.iter().filter(|indices| indices.len() > 1);
    let all_spread: Vec<f32> =
        with_spread.flat_map(|indices| around_mean(dataset, indices).1).collect();
    let (num_own, num_all) = (own.len(), all_spread.len() / size);
    if num_all == 0 {
        return dataset.gather(own.iter().copied());
    }
    let share = 1.0 - (num_own - 1) as f32 / (ENOUGH - 1) as f32;
    // The covariance of the points is divided by their number less one; the factors make up for that.
    let own_counts = if num_own > 1 { num_own } else { 0 };
    let divisor = (own_counts + num_all - 1) as f32;
    let scale = |share: f32, count: usize| (share * divisor / (count.max(2) - 1) as f32).sqrt();
    let scaled = |spread: &[f32], factor: f32| -> Vec<f32> {
        let points = spread.iter().zip(mean.iter().cycle());
        points.map(|(value, mean)| mean + factor * value).collect()
    };
    let mut points = scaled(&all_spread, scale(share, num_all));
    if own_counts > 0 {
        points.extend(scaled(&own_spread, scale(1.0 - share, num_own)));
    }
    points
}

/// The mean of some images, and the difference of each from it.
fn around_mean(dataset: &Dataset, indices: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let mut images = dataset.gather(indices.iter().copied());
    let size = dataset.num_pixels();
    let mut mean = vec![0.0; size];
    for image in images.chunks(size) {
        mean.iter_mut().zip(image).for_each(|(mean, value)| *mean += value / indices.len() as f32);
    }
    for image in images.chunks_mut(size) {
        image.iter_mut().zip(&mean).for_each(|(value, mean)| *value -= mean);
    }
    (mean, images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_fit_what_a_gpu_binds_and_what_was_cut_is_said() {
        let (axis, most) = (3 * 32 * 32, 4096);
        assert_eq!(num_fitting(axis), 10922, "more axes than a colour image of 32×32 can ask for");
        assert_eq!(num_fitting(3 * 224 * 224), 222);
        assert_eq!(num_fitting(1 << 30), 1);
        assert_eq!(num_fitting(128 * axis), 85, "classes of CIFAR-100 with 128 axes: two parts");
        let words = Cut { kept: 222, wanted: most }.to_string();
        assert!(words.contains("keep 222 of the 4096 principal axes"), "{words}");
    }

    #[test]
    fn factors_of_images_are_rounded_to_half_a_grey_level_and_those_of_points_are_kept() {
        let centers = |num_pixels: usize| {
            let values = |count: usize| (0..count).map(|n| (n as f32 * 0.37).sin() / 5.0).collect();
            let factor: Vec<f32> = values(3 * num_pixels);
            let (mean, residual_std) = (values(num_pixels), values(num_pixels));
            ClassCentersData { mean, factor, residual_std, dims: [1, 3, num_pixels] }
        };
        let (before, mut image, mut points) = (centers(64), centers(64), centers(2));
        image.round();
        for (value, rounded) in before.factor.iter().zip(&image.factor) {
            assert!((value - rounded).abs() <= 0.5 / 256.0);
            let half = half::f16::from_f32(*rounded).to_f32();
            assert_eq!(half, *rounded, "half precision holds it exactly");
            assert!(*rounded != 0.0 || rounded.is_sign_positive());
        }
        assert_ne!(before.factor, image.factor);
        assert_eq!(
            (before.mean, before.residual_std),
            (image.mean.clone(), image.residual_std.clone())
        );
        let once = image.clone();
        image.round();
        assert_eq!(once, image, "a model that was packed before stays the same");
        points.round();
        assert_eq!(points, centers(2));
    }
}
