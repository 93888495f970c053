//! The scalar summaries of a chain, on which all diagnostics are computed.

use burn::tensor::{Device, Tensor, TensorData};

use crate::{
    chains::ChainStep, checkpoint::Checkpoint, class_centers::ClassCentersError, numbers::softmax,
};

/// The largest number of principal axes of the class means.
const MAX_AXES: usize = 2;
/// The name of the one summary that depends on the start.
pub(super) const DISTANCE: &str = "distance";

/// Values of images in host memory, with one value per image unless stated otherwise.
pub(super) struct Seen<'a> {
    /// The places of the images, see [`Places::of`].
    pub(super) places: &'a [f32],
    /// The energies that the chains use.
    pub(super) energies: &'a [f32],
    pub(super) gradient_norms: &'a [f32],
    pub(super) clamp_rates: &'a [f32],
    /// The share of pixels at the border.
    pub(super) saturations: &'a [f32],
    /// The logits, shape (N, classes).
    pub(super) logits: &'a [f32],
}

impl<'a> Seen<'a> {
    /// The values of the chains at a step for which places and logits were read.
    pub(super) fn of(step: &'a ChainStep) -> Self {
        Self {
            places: step.measured.as_deref().unwrap_or_default(),
            energies: &step.energies,
            gradient_norms: &step.gradient_norms,
            clamp_rates: &step.clamp_rates,
            saturations: &step.saturations,
            logits: step.logits.as_deref().unwrap_or_default(),
        }
    }
}

/// Where images lie, as a few numbers of each, which are computed on the device: images are large to read.
#[derive(Clone)]
pub(super) struct Places {
    /// The centre of the class means, shape (1, D).
    origin: Tensor<2>,
    /// The first principal axes of the class means, each of shape (1, D).
    axes: Vec<Tensor<2>>,
}

impl Places {
    fn new(checkpoint: &Checkpoint, device: &Device) -> Result<Self, ClassCentersError> {
        let found = checkpoint.class_centers.mean_axes(MAX_AXES)?;
        let num_pixels = checkpoint.input_shape.iter().product::<usize>();
        // A model of one class has a mean and no axes.
        let upload =
            |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [1, num_pixels]), device);
        let axes = found.axes.into_iter().map(&upload).collect();
        Ok(Self { origin: upload(found.origin), axes })
    }

    /// The distance of each image from its start, and its coordinates along the axes in units of x from their origin,
    /// shape (N, 1 + axes); `x` and `start` have shape (N, C, H, W). Without starts, the distances are 0.
    pub(super) fn of(&self, x: Tensor<4>, start: Option<Tensor<4>>) -> Tensor<2> {
        let flat = |x: Tensor<4>| x.flatten::<2>(1, 3);
        let x = flat(x);
        let distance = match start {
            Some(start) => (x.clone() - flat(start)).square().sum_dim(1).sqrt(),
            None => Tensor::zeros([x.dims()[0], 1], &x.device()),
        };
        let from_origin = x - self.origin.clone();
        let along = |axis: &Tensor<2>| (from_origin.clone() * axis.clone()).sum_dim(1);
        Tensor::cat(std::iter::once(distance).chain(self.axes.iter().map(along)).collect(), 1)
    }
}

/// Computes the scalar summaries of images or chains.
pub(super) struct Summaries {
    places: Places,
}

impl Summaries {
    pub(super) fn new(checkpoint: &Checkpoint, device: &Device) -> Result<Self, ClassCentersError> {
        Ok(Self { places: Places::new(checkpoint, device)? })
    }

    /// The computation of the places of images.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The names of the summaries, see [`super::Recorder::names`].
    pub(super) fn names(&self) -> Vec<String> {
        let names = [
            "energy",
            "max_probability",
            "entropy",
            "gradient_norm",
            DISTANCE,
            "clamp_rate",
            "saturation",
        ];
        let axes = (1..=self.places.axes.len()).map(|axis| format!("class_axis_{axis}"));
        names.into_iter().map(String::from).chain(axes).collect()
    }

    /// The summaries as columns of N values, one per name; without starts, the column of the distances is empty.
    pub(super) fn of(&self, seen: &Seen, has_starts: bool) -> Vec<Vec<f32>> {
        let num_classes = (seen.logits.len() / seen.energies.len().max(1)).max(1);
        let probabilities: Vec<Vec<f32>> = seen.logits.chunks(num_classes).map(softmax).collect();
        let largest = |row: &Vec<f32>| row.iter().copied().fold(f32::NAN, f32::max);
        let width = 1 + self.places.axes.len();
        let place = |nth: usize| seen.places.iter().skip(nth).step_by(width).copied().collect();
        let mut columns = vec![
            seen.energies.to_vec(),
            probabilities.iter().map(largest).collect(),
            probabilities.iter().map(|row| entropy(row)).collect(),
            seen.gradient_norms.to_vec(),
            if has_starts { place(0) } else { Vec::new() },
            seen.clamp_rates.to_vec(),
            seen.saturations.to_vec(),
        ];
        columns.extend((1..width).map(place));
        columns
    }
}

/// The entropy -Σ p ln p, in nats.
fn entropy(probabilities: &[f32]) -> f32 {
    let term = |&p: &f32| if p == 0.0 { 0.0 } else { -p * p.ln() };
    probabilities.iter().map(term).sum()
}
