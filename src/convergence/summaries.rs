//! The scalar summaries of a chain, on which all diagnostics are computed.

use crate::{
    chains::ChainStep, checkpoint::Checkpoint, class_centers::ClassCentersError, numbers::softmax,
    principal_axes::PrincipalAxes, starts::distances,
};

/// The largest number of principal axes of the class means.
const MAX_AXES: usize = 2;
/// The name of the one summary that depends on the start.
pub(super) const DISTANCE: &str = "distance";

/// Values of images in host memory, with one value per image unless stated otherwise.
pub(super) struct Seen<'a> {
    /// The images, shape (N, D).
    pub(super) x: &'a [f32],
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
    /// The values of the chains at a step for which images and logits were read.
    pub(super) fn of(step: &'a ChainStep) -> Self {
        Self {
            x: step.images.as_deref().unwrap_or_default(),
            energies: &step.energies,
            gradient_norms: &step.gradient_norms,
            clamp_rates: &step.clamp_rates,
            saturations: &step.saturations,
            logits: step.logits.as_deref().unwrap_or_default(),
        }
    }
}

/// Computes the scalar summaries of images or chains.
pub(super) struct Summaries {
    axes: PrincipalAxes,
    num_pixels: usize,
}

impl Summaries {
    pub(super) fn new(checkpoint: &Checkpoint) -> Result<Self, ClassCentersError> {
        let axes = checkpoint.class_centers.mean_axes(MAX_AXES)?;
        Ok(Self { axes, num_pixels: checkpoint.input_shape.iter().product() })
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
        let axes = (1..=self.axes.axes.len()).map(|axis| format!("class_axis_{axis}"));
        names.into_iter().map(String::from).chain(axes).collect()
    }

    /// The summaries as columns of N values, one per name; the distance is missing if there is no `start` (N, D).
    pub(super) fn of(&self, seen: &Seen, start: Option<&[f32]>) -> Vec<Vec<f32>> {
        let num_classes = (seen.logits.len() / seen.energies.len().max(1)).max(1);
        let probabilities: Vec<Vec<f32>> = seen.logits.chunks(num_classes).map(softmax).collect();
        let largest = |row: &Vec<f32>| row.iter().copied().fold(f32::NAN, f32::max);
        let mut columns = vec![
            seen.energies.to_vec(),
            probabilities.iter().map(largest).collect(),
            probabilities.iter().map(|row| entropy(row)).collect(),
            seen.gradient_norms.to_vec(),
            start.map(|start| distances(seen.x, start, self.num_pixels)).unwrap_or_default(),
            seen.clamp_rates.to_vec(),
            seen.saturations.to_vec(),
        ];
        let places: Vec<Vec<f32>> =
            seen.x.chunks(self.num_pixels).map(|x| self.axes.coordinates_of(x)).collect();
        let axes = 0..self.axes.axes.len();
        columns.extend(axes.map(|axis| places.iter().map(|place| place[axis]).collect()));
        columns
    }
}

/// The entropy -Σ p ln p, in nats.
fn entropy(probabilities: &[f32]) -> f32 {
    let term = |&p: &f32| if p == 0.0 { 0.0 } else { -p * p.ln() };
    probabilities.iter().map(term).sum()
}
