//! The values that are read from chains at one step.

use burn::tensor::{Tensor, activation::softmax};

use crate::{
    device::{ReadError, read_now_while},
    energy::{joined, parts_of, rows},
    model::{Network, Pass},
    numbers::{log_sum_exp, softmax_rows},
    sampler::{Sampler, StepInfo},
    starts::distances,
};

/// The optional values that [`Columns::read`] copies to the host.
pub(super) struct Wanted<'a> {
    /// The chains as they are shown and judged, shape (N, C, H, W).
    pub(super) shown: Option<Tensor<4>>,
    /// The logits of the classes, shape (N, classes).
    pub(super) logits: Option<Tensor<2>>,
    pub(super) reads_images: bool,
    pub(super) acceptance: bool,
    pub(super) judge: Option<&'a Network>,
    /// Numbers of each chain, shape (N, k).
    pub(super) measured: Option<Tensor<2>>,
}

/// The values of all chains at one step, in host memory.
pub(super) struct Columns {
    pub(super) energies: Vec<f32>,
    /// Gradient norm, clamp rate and saturation, shape (N, 3).
    pub(super) health: Vec<f32>,
    pub(super) images: Option<Vec<f32>>,
    pub(super) acceptance: Option<Vec<f32>>,
    pub(super) logits: Option<Vec<f32>>,
    pub(super) judged: Option<Judged>,
    pub(super) measured: Option<Vec<f32>>,
}

impl Columns {
    /// Reads the values of chains in one readback, and calls `meanwhile` as [`read_now_while`] does.
    ///
    /// # Errors
    /// The device failed.
    pub(super) fn read(
        info: &StepInfo,
        wanted: Wanted,
        meanwhile: impl FnOnce(),
    ) -> Result<Self, ReadError> {
        let judged = wanted.judge.zip(wanted.shown.as_ref()).map(|(judge, shown)| {
            let [n, _, h, w] = shown.dims();
            let parts = parts_of(n, judge.images_at_once([h, w], Pass::Forward));
            let logits = joined(parts.map(|part| judge.logits(rows(shown, part))));
            let (confidence, class) = softmax(logits, 1).max_dim_with_indices(1);
            (class.float(), confidence)
        });
        let acceptance = info.acceptance.clone().filter(|_| wanted.acceptance);
        let reads = (
            (info.energy.clone(), info.summary.clone()),
            wanted.shown.filter(|_| wanted.reads_images),
            acceptance.map(|decided| decided.narrow(1, 1, 1)),
            wanted.logits,
            judged,
            wanted.measured,
        );
        let ((energies, health), images, acceptance, logits, judged, measured) =
            read_now_while(reads, meanwhile)?;
        let judged = judged.map(|(classes, confidences)| Judged {
            classes: classes.into_iter().map(|class| class as u32).collect(),
            confidences,
        });
        Ok(Self { energies, health, images, acceptance, logits, judged, measured })
    }

    /// One of the three columns of [`Self::health`].
    pub(super) fn health(&self, nth: usize) -> Vec<f32> {
        self.health.iter().skip(nth).step_by(3).copied().collect()
    }
}

/// The chains after a number of steps, with one value per chain unless stated otherwise.
#[derive(Clone, Debug)]
pub struct ChainStep {
    /// The number of steps done: 0 at the starts.
    pub step: usize,
    /// Whether this is the last step of the run.
    pub is_last: bool,
    /// The energies E(x), or E(x, y) for conditional chains: the negative log density up to a constant.
    pub energies: Vec<f32>,
    /// The norms of the energy's gradient, ‖∂E/∂x‖, in energy per unit of x.
    pub gradient_norms: Vec<f32>,
    /// The share of gradient components that are clamped to the proximal radius.
    pub clamp_rates: Vec<f32>,
    /// The share of pixels at the border of [-1, 1].
    pub saturations: Vec<f32>,
    /// The probability that MALA accepts the step from here; none for other samplers and at the end.
    pub acceptance: Option<Vec<f32>>,
    /// The logits (N, classes), flattened; none unless [`ChainRun::read_logits`](super::ChainRun::read_logits)
    /// requests them. If the classifier saw no noise in training (`data.classify_noisy = false`), they are those of the chains
    /// without the noise of the data, as [`ChainStep::images`] has them.
    pub logits: Option<Vec<f32>>,
    /// The predictions of the judge, if the run has one.
    pub judged: Option<Judged>,
    /// The images (N, C, H, W), flattened; none unless [`ChainRun::read_images`](super::ChainRun::read_images) requests them.
    /// Without the noise of the data after step 0, if `sampler.denoise_step` is above 0: `x` has the chains themselves.
    pub images: Option<Vec<f32>>,
    /// The numbers of [`ChainRun::measure`](super::ChainRun::measure), shape (N, k), flattened.
    pub(crate) measured: Option<Vec<f32>>,
    /// The seconds that the step and its readback took.
    pub secs: f64,
    /// The images of the chains on the device, shape (N, C, H, W).
    pub x: Tensor<4>,
    /// The step's energies and gradients, on the device.
    pub info: StepInfo,
    /// The sampler of the step that follows; none at the end.
    pub sampler: Option<Sampler>,
}

/// The predictions of another classifier for the chains.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The most probable class of each chain.
    pub classes: Vec<u32>,
    /// The probability that the judge assigns to this class, as trained.
    pub confidences: Vec<f32>,
}

impl ChainStep {
    /// p(y|x) of each chain as trained, without the temperature of a calibrated model: a measurement of the chain. Shape (N,
    /// classes), flattened; none if the logits were not read.
    pub fn class_probabilities(&self) -> Option<Vec<f32>> {
        self.logits.as_ref().map(|logits| softmax_rows(logits, self.num_classes(logits)))
    }

    /// log p(y|x) of each chain in nats, shape (N, classes), flattened; none if the logits were not read.
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

    /// The distance of the image of each chain from its start; `start` holds the images of step 0. None if the images of this
    /// step were not read.
    pub fn distances(&self, start: &[f32]) -> Option<Vec<f32>> {
        let num_pixels = start.len() / self.energies.len().max(1);
        self.images.as_ref().map(|images| distances(images, start, num_pixels.max(1)))
    }
}
