//! What is read of chains at one step.

use burn::tensor::{Tensor, activation::softmax};

use crate::{
    device::{ReadError, read_now},
    model::Network,
    numbers::{log_sum_exp, softmax_rows},
    sampler::{Sampler, StepInfo},
    starts::distances,
};

/// What [`Columns::read`] brings to the host besides energies and health.
pub(super) struct Wanted<'a> {
    pub(super) images: bool,
    pub(super) acceptance: bool,
    pub(super) judge: Option<&'a Network>,
}

/// What is read of all chains at one step.
pub(super) struct Columns {
    pub(super) energies: Vec<f32>,
    /// Gradient norm, clamp rate and saturation, shape (N, 3).
    pub(super) health: Vec<f32>,
    pub(super) images: Option<Vec<f32>>,
    pub(super) acceptance: Option<Vec<f32>>,
    pub(super) logits: Option<Vec<f32>>,
    pub(super) judged: Option<Judged>,
}

impl Columns {
    /// Reads chains at `x` (N, C, H, W) by one readback.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn read(x: &Tensor<4>, info: &StepInfo, wanted: &Wanted) -> Result<Self, ReadError> {
        let judged = wanted.judge.map(|judge| {
            let (confidence, class) = softmax(judge.logits(x.clone()), 1).max_dim_with_indices(1);
            (class.float(), confidence)
        });
        let acceptance = info.acceptance.clone().filter(|_| wanted.acceptance);
        let (energies, health, images, acceptance, logits, judged) = read_now((
            info.energy.clone(),
            info.summary.clone(),
            wanted.images.then(|| x.clone()),
            acceptance.map(|decided| decided.narrow(1, 1, 1)),
            info.logits.clone(),
            judged,
        ))?;
        let judged = judged.map(|(classes, confidences)| Judged {
            classes: classes.into_iter().map(|class| class as u32).collect(),
            confidences,
        });
        Ok(Self { energies, health, images, acceptance, logits, judged })
    }

    /// One of the three columns of [`Self::health`].
    pub(super) fn health(&self, nth: usize) -> Vec<f32> {
        self.health.iter().skip(nth).step_by(3).copied().collect()
    }
}

/// Chains after so many steps, and what is known of them: one value per chain where nothing else is said.
#[derive(Clone, Debug)]
pub struct ChainStep {
    /// Steps done: 0 at the starts.
    pub step: usize,
    /// Whether the run ends here.
    pub is_last: bool,
    /// E(x), or E(x, y) of chains that follow their class: minus the log-density up to a constant.
    pub energies: Vec<f32>,
    /// Length of the energy's gradient, ‖∂E/∂x‖, in energy per unit of x.
    pub gradient_norms: Vec<f32>,
    /// Share of the gradient's components that the proximal radius clamps.
    pub clamp_rates: Vec<f32>,
    /// Share of pixels at the border of [-1, 1].
    pub saturations: Vec<f32>,
    /// How probably MALA accepts the step from here; none with other samplers and at the end.
    pub acceptance: Option<Vec<f32>>,
    /// Shape (N, classes), flattened; none unless [`ChainRun::read_logits`](super::ChainRun::read_logits) asks for them.
    pub logits: Option<Vec<f32>>,
    /// The verdict of a judge, where the run has one.
    pub judged: Option<Judged>,
    /// Shape (N, C, H, W), flattened; none unless [`ChainRun::read_images`](super::ChainRun::read_images) asks for them.
    pub images: Option<Vec<f32>>,
    /// Seconds that the step and its readback took.
    pub secs: f64,
    /// Where the chains stand, on the device, shape (N, C, H, W).
    pub x: Tensor<4>,
    /// What the step saw, on the device.
    pub info: StepInfo,
    /// The rule by which the chains leave; none at the end.
    pub sampler: Option<Sampler>,
}

/// What another classifier sees in the chains.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The most probable class of each chain.
    pub classes: Vec<u32>,
    /// The probability that the judge gives this class.
    pub confidences: Vec<f32>,
}

impl ChainStep {
    /// p(y|x) of each chain, shape (N, classes), flattened; none where the logits were not read.
    pub fn class_probabilities(&self) -> Option<Vec<f32>> {
        self.logits.as_ref().map(|logits| softmax_rows(logits, self.num_classes(logits)))
    }

    /// log p(y|x) of each chain in nats, shape (N, classes), flattened; none where the logits were not read.
    pub fn log_probabilities(&self) -> Option<Vec<f32>> {
        let of_row = |row: &[f32]| {
            let total: f32 = log_sum_exp(row);
            row.iter().map(|logit| logit - total).collect::<Vec<_>>()
        };
        let logits = self.logits.as_ref()?;
        Some(logits.chunks(self.num_classes(logits)).flat_map(of_row).collect())
    }

    fn num_classes(&self, logits: &[f32]) -> usize {
        (logits.len() / self.energies.len().max(1)).max(1)
    }

    /// How far each chain is from its start, ‖x - x_0‖; `start` holds the images of step 0. None where this step's
    /// images were not read.
    pub fn distances(&self, start: &[f32]) -> Option<Vec<f32>> {
        let num_pixels = start.len() / self.energies.len().max(1);
        self.images.as_ref().map(|images| distances(images, start, num_pixels.max(1)))
    }
}
