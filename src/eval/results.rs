//! What an evaluation found: plain data, as it stands in `results.json` and as the page is drawn from it.
//!
//! Shares and errors are fractions of 1. Every `Option` at the top is a part that was not asked for.

use serde::{Deserialize, Serialize};

use crate::{accuracy::ReliabilityBin, config::RunConfig};

/// Version of the file; one that differs is not read.
pub const FORMAT: u32 = 1;

/// A number and the interval that holds it in 95 of 100 repetitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Everything found about one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program.
    pub jempp: String,
    /// What to type to get this again.
    pub command: String,
    /// Seed of everything drawn.
    pub seed: u64,
    /// What computed.
    pub device: String,
    /// The model.
    pub model: EvaluatedModel,
    /// The data.
    pub data: DataInfo,
    /// The model's configuration with the changes asked for; its `eval` section holds what was measured how.
    pub config: RunConfig,
    /// See [`Classification`].
    pub accuracy: Option<Classification>,
    /// See [`Calibration`].
    pub calibration: Option<Calibration>,
    /// See [`Ood`].
    pub ood: Option<Ood>,
    /// See [`Attack`].
    pub attack: Option<Attack>,
    /// See [`Samples`].
    pub samples: Option<Samples>,
    /// Parts that are missing because the model cannot be measured by them, or because the evaluation was stopped, and
    /// sets of samples that are too small; each with the reason.
    pub left_out: Vec<(String, String)>,
    /// Seconds that each part took, in the order in which they ran.
    pub seconds: Vec<(String, f64)>,
}

/// Which model was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluatedModel {
    /// Name of the bundled model, of the run's folder, or of the file.
    pub name: String,
    /// The file as it was named; none for a bundled model.
    #[serde(default)]
    pub path: Option<String>,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Training steps done.
    pub num_steps: u64,
    /// Number of weights.
    pub num_weights: usize,
}

/// Which data it was evaluated on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataInfo {
    /// Name of the data set.
    pub dataset: String,
    /// Whether these are only the images that travel inside the program.
    pub is_embedded: bool,
    /// Training images at hand.
    pub num_train: usize,
    /// Test images at hand.
    pub num_test: usize,
    /// Shape (C, H, W) of one.
    pub shape: [usize; 3],
    /// Names of the classes.
    pub class_names: Vec<String>,
}

/// Right and wrong on the test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// Share classified rightly.
    pub accuracy: Estimate,
    /// The same for every class; none for a class without test images.
    pub by_class: Vec<Option<Estimate>>,
    /// Images of class `row` seen as class `column`.
    pub confusion: Vec<Vec<usize>>,
    /// Mean energy of the test images.
    pub mean_energy: Estimate,
}

/// How far confidences max p(y|x) can be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// As the model is.
    pub plain: CalibrationErrors,
    /// With its logits divided by a temperature that was fitted on the other half of the test images, one for each half.
    pub scaled: CalibrationErrors,
    /// The temperatures of the two halves.
    pub temperatures: [f64; 2],
    /// Equally wide bins of confidence of the model as it is.
    pub bins: Vec<ReliabilityBin>,
    /// The same after temperature scaling.
    pub scaled_bins: Vec<ReliabilityBin>,
}

/// Calibration in four numbers, each with a bootstrap interval over the images. Those of the first two are moved by
/// the bias that noise in the bins gives them; of a model that is calibrated perfectly they still end above 0 in about
/// half of all repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationErrors {
    /// Expected calibration error (Guo et al., arXiv:1706.04599).
    pub expected: Estimate,
    /// Maximum calibration error: the largest distance among bins that hold an image.
    pub maximum: Estimate,
    /// Brier score: mean over images of Σ_y (p(y|x) - [y is the label])², between 0 and 2.
    pub brier: Estimate,
    /// Mean negative log likelihood of the label, in nats.
    pub nll: Estimate,
}

/// A score by which images of the data are told from others: higher means more like the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// log p(x) up to a constant: the energy's negative.
    LogPX,
    /// max p(y|x).
    MaxProbability,
    /// -‖∂ log p(x)/∂x‖, JEM's approximate mass.
    ApproximateMass,
}

/// Telling test images from images of other kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ood {
    /// Test images compared with.
    pub num_in: usize,
    /// The edges of the histograms' bins, in energy: one more than bins. The outer bins hold what lies beyond.
    pub energy_edges: Vec<f64>,
    /// How many test images have an energy in each bin.
    pub energy_counts: Vec<usize>,
    /// Every kind of image.
    pub sets: Vec<OodSet>,
    /// Kinds that were left out, each with the reason and what to do.
    pub left_out: Vec<(String, String)>,
}

/// One kind of images that are not the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OodSet {
    /// Name.
    pub name: String,
    /// How it was made or where it lies, in a line.
    pub what: String,
    /// Whether its images are the person's own.
    #[serde(default)]
    pub is_own: bool,
    /// Images of it.
    pub num_out: usize,
    /// Mean energy.
    pub mean_energy: f64,
    /// How many have an energy in each bin of [`Ood::energy_edges`].
    pub energy_counts: Vec<usize>,
    /// What each score is worth, in the order of the enum.
    pub scores: Vec<Separation>,
}

/// How well a score tells the data from a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Separation {
    /// The score.
    pub score: Score,
    /// Area under the ROC curve, data positive: 0.5 is guessing, below it the score is misled.
    pub auroc: Estimate,
    /// Share of the set taken for data where 95 % of the data are.
    pub false_positives_at_95: Estimate,
    /// The curve: (false positive rate, true positive rate), from (0, 0) to (1, 1), at most 200 points.
    pub roc: Vec<(f64, f64)>,
}

/// How a ball of perturbations is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BallNorm {
    /// The largest change of a pixel, in 255ths of the pixel range.
    Linf,
    /// The Euclidean norm of the change, pixels counted from 0 to 1.
    L2,
}

impl BallNorm {
    /// Every norm, in the order in which they are measured and shown.
    pub const ALL: [Self; 2] = [Self::Linf, Self::L2];

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linf => "L∞",
            Self::L2 => "L2",
        }
    }
}

/// What stands between an attacked image and the classifier, and what the attacker knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defence {
    /// Nothing; PGD on the classifier's own gradient.
    None,
    /// Sampler steps refine the image first; the attack is the one on the classifier and knows nothing of them.
    RefinedUnaware,
    /// The same; the attack averages over the noise and takes the classifier's gradient at the refined image
    /// for that at the image (BPDA with EOT, arXiv:1802.00420). The first of its restarts goes on from where the
    /// unaware attack ends.
    RefinedBpda,
    /// The same; the attack averages over the noise and differentiates through the sampler's steps.
    RefinedThrough,
    /// The same; an image counts only if none of these attacks fools it. This is what refinement is worth.
    RefinedWorst,
}

impl Defence {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no defence",
            Self::RefinedUnaware => "refined, attacker unaware",
            Self::RefinedBpda => "refined, BPDA with EOT",
            Self::RefinedThrough => "refined, attacked through the steps",
            Self::RefinedWorst => "refined, worst of these attacks",
        }
    }
}

/// Accuracy of attacked test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// Accuracy over ε, one curve for each norm and defence. At any ε the refined curves are of the same images.
    pub curves: Vec<AttackCurve>,
    /// The refinement in words: sampler, steps, noise.
    pub refinement: String,
}

/// Accuracy over ε.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackCurve {
    /// Norm of the ball.
    pub norm: BallNorm,
    /// Defence.
    pub defence: Defence,
    /// Images attacked.
    pub num_images: usize,
    /// (ε, accuracy), ε rising from 0, in the unit of the norm.
    pub points: Vec<(f64, Estimate)>,
}

/// What the chains are worth as images, in the features of an independent classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The classifier whose features are used.
    pub judge: JudgeInfo,
    /// Training images that everything is compared with.
    pub num_reference: usize,
    /// Sets, first the real test images, which are the floor.
    pub sets: Vec<SampleSet>,
}

/// The classifier that judges samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeInfo {
    /// Name or file.
    pub name: String,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Its accuracy on those test images that are judged.
    pub accuracy: f64,
    /// Numbers of a feature vector.
    pub num_features: usize,
}

/// Below this accuracy a judge is weak, however many classes there are.
const WEAK: f64 = 0.6;

/// Whether a judge is right so seldom that its verdicts say little: below 60 %, or less than half way from guessing to
/// always.
pub fn is_weak_judge(accuracy: f64, num_classes: usize) -> bool {
    accuracy < WEAK || accuracy < 0.5 + 0.5 / num_classes.max(1) as f64
}

/// What to mind of a weak judge, for a person.
pub fn weak_judge(accuracy: f64) -> String {
    format!(
        "The judge is weak: it classifies {:.1} % of the test images correctly, so what it says of samples means little. \
         A better classifier of the same data as judge would say more",
        100.0 * accuracy
    )
}

/// One set of images judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleSet {
    /// Name: test images, fresh chains, replay buffer.
    pub name: String,
    /// Where they come from and how they were chosen, in a line.
    pub protocol: String,
    /// How many.
    pub count: usize,
    /// Fréchet distance to the reference, with a jackknife interval over groups of images.
    pub frechet: Estimate,
    /// The same for every class, an image counted to the class of its row, against the training images of that class;
    /// none where there are fewer than two images on either side.
    pub frechet_by_class: Vec<Option<f64>>,
    /// exp of the mean divergence of the judge's p(y|x) from their mean, between 1 and the number of classes.
    pub inception_like: Estimate,
    /// Share of the set that the judge sees as the class of its row.
    pub class_agreement: Estimate,
    /// Share of the set within the reference's manifold, against as many reference images (arXiv:1904.06991).
    pub precision: Estimate,
    /// Share of the reference within the set's manifold.
    pub recall: Estimate,
    /// Against memorisation.
    pub nearest: Nearest,
}

/// Distances to the nearest training image, as root mean square of the pixels' differences in units of x.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// Median.
    pub median: f64,
    /// Share of the set nearer to a training image than 99 % of the test images are; 0.01 is what unseen real images have.
    pub share_copied: f64,
}
