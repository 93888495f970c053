//! The results of an evaluation as plain data: `results.json` stores them and the report is drawn from them.
//!
//! Shares and errors are fractions of 1. An `Option` field of [`Results`] is `None` if that part was not measured.

use serde::{Deserialize, Serialize};

pub use crate::config::{AttackKind, BallNorm};
use crate::{accuracy::ReliabilityBin, config::RunConfig, counts::counted};

/// The version of the file format; files of other versions are not read.
pub const FORMAT: u32 = 1;

/// An estimated number with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimated value of the number.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl From<&Estimate> for [f64; 3] {
    fn from(estimate: &Estimate) -> Self {
        [estimate.value, estimate.low, estimate.high]
    }
}

/// All results of the evaluation of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// The version of the file format, [`FORMAT`].
    pub format: u32,
    /// The version of jempp.
    pub jempp: String,
    /// The command that repeats this evaluation.
    pub command: String,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The name of the device that computed the results.
    pub device: String,
    /// The model that was evaluated.
    pub model: EvaluatedModel,
    /// The data that the model was evaluated on.
    pub data: DataInfo,
    /// The model's configuration with the user's changes; its `eval` section says how each part was measured.
    pub config: RunConfig,
    /// Accuracy on the test images.
    pub accuracy: Option<Classification>,
    /// Calibration of the confidences.
    pub calibration: Option<Calibration>,
    /// Detection of out-of-distribution images.
    pub ood: Option<Ood>,
    /// Robustness to adversarial attacks.
    pub attack: Option<Attack>,
    /// Quality of the model's samples.
    pub samples: Option<Samples>,
    /// FID of the samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fid: Option<Fid>,
    /// Parts that are missing, because they do not fit the model or because the evaluation was stopped, and sets of
    /// samples that are too small; each with the reason.
    pub left_out: Vec<(String, String)>,
    /// The seconds that each part took, in the order in which they ran.
    pub seconds: Vec<(String, f64)>,
}

impl Results {
    /// What the test images were attacked with, as in `PGD (20 steps)` or `the worst of PGD and APGD-CE (20 steps)`; none if
    /// they were not attacked.
    pub fn attack_name(&self) -> Option<String> {
        let attack = self.attack.as_ref()?;
        let worst = if attack.kinds().len() > 1 { "the worst of " } else { "" };
        let steps = counted(self.config.eval.attack_steps, "step", "steps");
        Some(format!("{worst}{} ({steps})", attack.names()))
    }
}

/// The model that was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluatedModel {
    /// The name of the bundled model, of the run's folder, or of the file.
    pub name: String,
    /// The path of the checkpoint as the user gave it; none for a bundled model.
    #[serde(default)]
    pub path: Option<String>,
    /// The SHA-256 of the checkpoint file, in hexadecimal.
    pub sha256: String,
    /// The number of training steps that the model has done.
    pub num_steps: u64,
    /// The number of items that the model was trained on; none if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_train: Option<usize>,
    /// The number of weights.
    pub num_weights: usize,
}

/// The data that the model was evaluated on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataInfo {
    /// The name of the data set.
    pub dataset: String,
    /// Whether these are only the images that are embedded in the program.
    pub is_embedded: bool,
    /// The number of images in the whole training part, with which samples are compared; the model may have seen fewer of
    /// them (see [`EvaluatedModel::num_train`]).
    pub num_train: usize,
    /// The number of test images.
    pub num_test: usize,
    /// The SHA-256 of the test images with their labels and classes, in hexadecimal; none in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_sha256: Option<String>,
    /// The shape (C, H, W) of one image.
    pub shape: [usize; 3],
    /// The names of the classes.
    pub class_names: Vec<String>,
}

/// Classification of the test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Classification {
    /// The share of images that are classified correctly.
    pub accuracy: Estimate,
    /// The accuracy of every class; none for a class without test images.
    pub by_class: Vec<Option<Estimate>>,
    /// The confusion matrix: the number of images of class `row` that are classified as class `column`.
    pub confusion: Vec<Vec<usize>>,
    /// The mean energy of the test images.
    pub mean_energy: Estimate,
}

/// Calibration: how well the confidences max p(y|x) agree with the accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The errors of the unchanged model.
    pub plain: CalibrationErrors,
    /// The errors with temperature scaling. Each half of the test images uses the temperature that was fitted on the
    /// other half.
    pub scaled: CalibrationErrors,
    /// The temperatures that were used for the two halves.
    pub temperatures: [f64; 2],
    /// The reliability bins of the unchanged model, equally wide in confidence.
    pub bins: Vec<ReliabilityBin>,
    /// The reliability bins after temperature scaling.
    pub scaled_bins: Vec<ReliabilityBin>,
    /// The errors with the temperature of the checkpoint, if the model was calibrated after training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibrated: Option<Calibrated>,
}

/// The calibration of a model whose temperature was fitted on held-out training images at the end of its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// The temperature of the checkpoint, which divides the logits.
    pub temperature: f64,
    /// The errors with this temperature.
    pub errors: CalibrationErrors,
    /// The reliability bins with this temperature.
    pub bins: Vec<ReliabilityBin>,
}

/// Four calibration errors, each with a bootstrap interval over the images. Noise in the bins biases the first two
/// upwards, and their intervals are corrected for that. Even for a perfectly calibrated model, these intervals end
/// above 0 in about half of all repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationErrors {
    /// The expected calibration error (Guo et al., arXiv:1706.04599).
    pub expected: Estimate,
    /// The maximum calibration error: the largest error of a bin that is not empty.
    pub maximum: Estimate,
    /// The Brier score: the mean over images of Σ_y (p(y|x) - [y is the label])², between 0 and 2.
    pub brier: Estimate,
    /// The mean negative log likelihood of the label, in nats.
    pub nll: Estimate,
}

/// A score that separates images of the data from other images; a higher score means more like the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// log p(x) up to a constant: the negative energy.
    LogPX,
    /// The confidence, max p(y|x).
    MaxProbability,
    /// The approximate mass of JEM, -‖∂ log p(x)/∂x‖.
    ApproximateMass,
}

/// Detection of out-of-distribution images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ood {
    /// The standard deviation of the noise on the images whose energies were taken, in units of x: that of data and chains in
    /// training. 0 if they were taken as they are.
    #[serde(default)]
    pub noise_std: f64,
    /// The number of test images used as in-distribution images.
    pub num_in: usize,
    /// The edges of the histogram bins, in energy: one more than there are bins. The outer bins also count the values
    /// beyond them.
    pub energy_edges: Vec<f64>,
    /// The number of test images in each energy bin.
    pub energy_counts: Vec<usize>,
    /// The sets of out-of-distribution images.
    pub sets: Vec<OodSet>,
    /// The sets that were left out, each with the reason and what to do about it.
    pub left_out: Vec<(String, String)>,
}

/// One set of out-of-distribution images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OodSet {
    /// The name of the set.
    pub name: String,
    /// One line about how the images were made or where they are stored.
    pub what: String,
    /// Whether the user supplied the images.
    #[serde(default)]
    pub is_own: bool,
    /// The number of images.
    pub num_out: usize,
    /// The mean energy of the images.
    pub mean_energy: f64,
    /// The number of images in each bin of [`Ood::energy_edges`].
    pub energy_counts: Vec<usize>,
    /// How well each score detects this set, in the order of the enum [`Score`].
    pub scores: Vec<Separation>,
}

/// How well a score separates the data from a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Separation {
    /// The score that is measured.
    pub score: Score,
    /// The area under the ROC curve, with the data as positives: 0.5 is guessing; below 0.5 the score prefers the
    /// wrong images.
    pub auroc: Estimate,
    /// The false positive rate at a true positive rate of 95 %.
    pub false_positives_at_95: Estimate,
    /// The ROC curve: (false positive rate, true positive rate), from (0, 0) to (1, 1), at most 200 points.
    pub roc: Vec<(f64, f64)>,
}

/// The defence of a classifier and what the attacker knows about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defence {
    /// No defence: the attacks follow the gradient of the classifier.
    None,
    /// Sampler steps refine the image before it is classified; the attacker uses only the classifier's gradient.
    RefinedUnaware,
    /// Refinement as above; the attacker averages over the noise and uses the classifier's gradient at the refined
    /// image as the gradient at the image (BPDA with EOT, arXiv:1802.00420). The first restart of each attack starts
    /// where unaware PGD ends.
    RefinedBpda,
    /// Refinement as above; the attacker averages over the noise and differentiates through the sampler steps.
    RefinedThrough,
    /// Refinement as above; an image counts only if none of these attacks succeeds. This is the accuracy to report
    /// for refinement.
    RefinedWorst,
}

impl Defence {
    /// All defences with attacks of their own, in the order of the report.
    pub(crate) const ATTACKED: [Self; 4] =
        [Self::None, Self::RefinedUnaware, Self::RefinedBpda, Self::RefinedThrough];

    /// The name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "no defence",
            Self::RefinedUnaware => "refined, attacker unaware",
            Self::RefinedBpda => "refined, BPDA with EOT",
            Self::RefinedThrough => "refined, attacked through the steps",
            Self::RefinedWorst => "refined, worst of these attacks",
        }
    }

    /// What a single figure says of its defence behind the name of the attack; none if the defence has no figure of its own,
    /// because its attacks are only some of those that the worst is taken of.
    pub(crate) const fn of_figure(self) -> Option<&'static str> {
        match self {
            Self::None => Some(""),
            Self::RefinedWorst => Some(", refined first, worst of all these attacks"),
            Self::RefinedUnaware | Self::RefinedBpda | Self::RefinedThrough => None,
        }
    }
}

/// Accuracy on attacked test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// Accuracy as a function of ε, one curve per norm and defence. All refined curves use the same images.
    pub curves: Vec<AttackCurve>,
    /// A description of the refinement: sampler, steps, noise.
    pub refinement: String,
    /// Attacks that the model does not allow, each with the reason.
    #[serde(default)]
    pub left_out: Vec<(String, String)>,
}

impl Attack {
    /// The kinds of attacks that were run, in their order.
    pub fn kinds(&self) -> Vec<AttackKind> {
        let mut stages = self.curves.iter().map(|curve| &curve.by_attack);
        match stages.find(|stages| !stages.is_empty()) {
            Some(stages) => stages.iter().map(|stage| stage.attack).collect(),
            // A file of an earlier version, which had no other attack.
            None => vec![AttackKind::Pgd],
        }
    }

    /// The names of the attacks, as in `PGD, APGD-CE and APGD-DLR`.
    pub fn names(&self) -> String {
        joined(self.kinds())
    }
}

/// The names of attacks, as in `PGD, APGD-CE and APGD-DLR`.
fn joined(kinds: impl IntoIterator<Item = AttackKind>) -> String {
    let names: Vec<&str> = kinds.into_iter().map(AttackKind::name).collect();
    match names.split_last() {
        Some((last, others @ [_, ..])) => format!("{} and {last}", others.join(", ")),
        Some((last, [])) => last.to_string(),
        None => String::new(),
    }
}

/// Accuracy as a function of ε, for one norm and one defence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackCurve {
    /// The norm of the perturbation.
    pub norm: BallNorm,
    /// The defence and what the attacker knows about it.
    pub defence: Defence,
    /// The number of attacked images.
    pub num_images: usize,
    /// The points (ε, accuracy), with ε increasing from 0, in the unit of the norm. An image counts as correct only if
    /// all attacks fail.
    pub points: Vec<(f64, Estimate)>,
    /// The accuracy after each attack and all attacks before it, in the order in which they ran; the last entry has the
    /// points above. Empty in files of earlier versions, which only had PGD.
    #[serde(default)]
    pub by_attack: Vec<AttackStage>,
}

impl AttackCurve {
    /// The name of a stage: its attack, and all before it.
    pub fn name_of_stage(&self, index: usize) -> String {
        let alone = if index == 0 { " alone" } else { "" };
        joined(self.by_attack[..=index].iter().map(|stage| stage.attack)) + alone
    }
}

/// The accuracy after an attack and all attacks before it. Each attacked only the images that withstood those before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttackStage {
    /// The last of these attacks.
    pub attack: AttackKind,
    /// The points (ε, accuracy), as in [`AttackCurve::points`].
    pub points: Vec<(f64, Estimate)>,
}

/// The quality of the chains as images, measured in the features of an independent classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The classifier that supplies the features.
    pub judge: JudgeInfo,
    /// The number of training images in the reference set.
    pub num_reference: usize,
    /// The sets that were judged. The first holds real test images: its values are what real images reach.
    pub sets: Vec<SampleSet>,
}

/// The classifier that judges the samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgeInfo {
    /// The name of the bundled classifier, or the file name.
    pub name: String,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its accuracy on the test images that are judged.
    pub accuracy: f64,
    /// The number of features per image.
    pub num_features: usize,
}

/// A judge with a lower accuracy is weak, for any number of classes.
const WEAK: f64 = 0.6;

/// Whether a judge is too inaccurate to say much about samples: its accuracy is below 60 %, or less than halfway from
/// guessing to always correct.
pub(crate) fn is_weak_judge(accuracy: f64, num_classes: usize) -> bool {
    accuracy < WEAK || accuracy < 0.5 + 0.5 / num_classes.max(1) as f64
}

/// A warning about a weak judge, for the report and the terminal.
pub(crate) fn weak_judge(accuracy: f64) -> String {
    format!(
        "The judge is weak: it classifies {:.1} % of the test images correctly, so its results for samples mean little. \
         Use a better classifier of the same data as the judge",
        100.0 * accuracy
    )
}

/// The measurements of one set of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleSet {
    /// The name: test images, fresh chains or replay buffer.
    pub name: String,
    /// One line about where the images come from and how they were chosen.
    pub protocol: String,
    /// The number of images.
    pub count: usize,
    /// The Fréchet distance to the reference, with a jackknife interval over groups of images.
    pub frechet: Estimate,
    /// The Fréchet distance of each class to the training images of that class. An image belongs to the class of its
    /// row. None if a side has fewer than two images.
    pub frechet_by_class: Vec<Option<f64>>,
    /// exp of the mean KL divergence of the judge's p(y|x) from their mean, between 1 and the number of classes.
    pub inception_like: Estimate,
    /// The share of images that the judge assigns to the class of their row.
    pub class_agreement: Estimate,
    /// The share of the set that lies in the manifold of the reference, computed with as many reference images
    /// (arXiv:1904.06991).
    pub precision: Estimate,
    /// The share of the reference that lies in the manifold of the set.
    pub recall: Estimate,
    /// Distances to the nearest training images; small distances are a sign of memorisation.
    pub nearest: Nearest,
}

/// Distances to the nearest training image, as the root mean square of the pixel differences in units of x.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    /// The median of these distances.
    pub median: f64,
    /// The share of images closer to a training image than 99 % of the test images are; unseen real images give 0.01.
    pub share_copied: f64,
}

/// FID: the squared Fréchet distance in the features of the Inception network that everyone uses (arXiv:1706.08500).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fid {
    /// The network that supplied the features.
    pub network: FidNetwork,
    /// The number of training images in the reference set.
    pub num_reference: usize,
    /// The sets that were measured. The first holds real test images: its values are what real images reach.
    pub sets: Vec<FidSet>,
}

/// The file with the weights of the Inception network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FidNetwork {
    /// The name of the file.
    pub name: String,
    /// The SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The SHA-256 of the file that it was converted from, as the converter noted it.
    pub source_sha256: Option<String>,
    /// Whether that file is the one that everyone uses. Otherwise the values cannot be compared with published ones.
    pub is_original: bool,
}

/// The FID of one set of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FidSet {
    /// The name of the set, as in [`SampleSet::name`].
    pub name: String,
    /// The number of images. FID decreases as sets grow: compare only values with equal numbers.
    pub count: usize,
    /// The FID to the reference set.
    pub fid: f64,
}

/// A warning about weights of unknown origin, for the report and the terminal.
pub(crate) fn unknown_fid_network(name: &str) -> String {
    format!(
        "The FID of {name} cannot be compared with published values: its tensors are not those that tools/convert_inception.py \
         made of pt_inception-2015-12-05-6726825d.pth, whose SHA-256 is {}",
        super::ORIGINAL_SHA256
    )
}
