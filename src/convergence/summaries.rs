//! The scalar summaries of a chain: what the diagnostics are of, never a pixel.

use crate::{
    checkpoint::Checkpoint,
    class_centers::{ClassCentersError, MeanAxes},
    starts::{distances, probabilities},
};

/// Of the class means.
const MAX_AXES: usize = 2;
/// The one summary that takes a start.
pub(super) const DISTANCE: &str = "distance";
/// Columns of [`Seen::health`].
const NUM_HEALTH: usize = 3;

/// Chains at one moment, as their values on the host.
pub struct Seen<'a> {
    /// Shape (N, D).
    pub x: &'a [f32],
    /// The energy that the chains follow, shape (N).
    pub energies: &'a [f32],
    /// Gradient norm, clamp rate and saturation, shape (N, 3).
    pub health: &'a [f32],
    /// Shape (N, classes).
    pub logits: &'a [f32],
}

impl Seen<'_> {
    /// Share of pixels at the border, of each chain.
    pub(super) fn saturations(&self) -> impl Iterator<Item = f32> {
        self.health.iter().skip(2).step_by(NUM_HEALTH).copied()
    }
}

/// How chains become numbers.
pub(super) struct Summaries {
    axes: MeanAxes,
    num_pixels: usize,
}

impl Summaries {
    pub(super) fn new(checkpoint: &Checkpoint) -> Result<Self, ClassCentersError> {
        let axes = checkpoint.class_centers.mean_axes(MAX_AXES)?;
        Ok(Self { axes, num_pixels: checkpoint.input_shape.iter().product() })
    }

    /// What the summaries are called:
    /// * `energy`: that of the law which the chain follows, E(x) or E(x, y);
    /// * `max_probability`, `entropy`: of p(y|x), the latter in nats;
    /// * `gradient_norm`: ‖∂E/∂x‖;
    /// * `distance`: ‖x - x_0‖;
    /// * `clamp_rate`, `saturation`: shares of clamped gradient components and of pixels at the border;
    /// * `class_axis_1`, `class_axis_2`: place of x along the first principal axes of the class means, in
    ///   units of x from their middle; one axis for two classes, the line through both means.
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

    /// One column of N numbers per name; no distance where there is no `start` (N, D) to measure from.
    pub(super) fn of(&self, seen: &Seen, start: Option<&[f32]>) -> Vec<Vec<f32>> {
        let health = |nth: usize| -> Vec<f32> {
            seen.health.iter().skip(nth).step_by(NUM_HEALTH).copied().collect()
        };
        let num_classes = (seen.logits.len() / seen.energies.len().max(1)).max(1);
        let probabilities: Vec<Vec<f32>> =
            seen.logits.chunks(num_classes).map(probabilities).collect();
        let largest = |row: &Vec<f32>| row.iter().copied().fold(f32::NAN, f32::max);
        let mut columns = vec![
            seen.energies.to_vec(),
            probabilities.iter().map(largest).collect(),
            probabilities.iter().map(|row| entropy(row)).collect(),
            health(0),
            start.map(|start| distances(seen.x, start, self.num_pixels)).unwrap_or_default(),
            health(1),
            health(2),
        ];
        let places: Vec<Vec<f32>> =
            seen.x.chunks(self.num_pixels).map(|x| self.axes.place_of(x)).collect();
        let axes = 0..self.axes.axes.len();
        columns.extend(axes.map(|axis| places.iter().map(|place| place[axis]).collect()));
        columns
    }
}

/// -Σ p ln p, in nats.
fn entropy(probabilities: &[f32]) -> f32 {
    let term = |&p: &f32| if p == 0.0 { 0.0 } else { -p * p.ln() };
    probabilities.iter().map(term).sum()
}
