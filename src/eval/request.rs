//! What is to be evaluated, and what comes of it.

use std::path::PathBuf;

use super::EvalError;
use crate::config::{RunConfig, SamplerKind};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// See [`super::results::Classification`].
    Accuracy,
    /// See [`super::results::Calibration`].
    Calibration,
    /// See [`super::results::Ood`].
    Ood,
    /// See [`super::results::Attack`].
    Attack,
    /// See [`super::results::Samples`].
    Samples,
}

impl Part {
    /// Every part, in the order in which they run.
    pub const ALL: [Self; 5] =
        [Self::Accuracy, Self::Calibration, Self::Ood, Self::Attack, Self::Samples];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::Calibration => "calibration",
            Self::Ood => "ood",
            Self::Attack => "attack",
            Self::Samples => "samples",
        }
    }
}

/// What to evaluate.
#[derive(Clone, Debug)]
pub struct EvalRequest {
    /// Name of the model, for the report.
    pub name: String,
    /// The file that holds it.
    pub bytes: Vec<u8>,
    /// What to type to get this again.
    pub command: String,
    /// Name of the device.
    pub device: String,
    /// What to measure; empty is all that the model can be measured by.
    pub parts: Vec<Part>,
    /// IDX files and folders of pictures that are not the data.
    pub ood: Vec<PathBuf>,
    /// A classifier to judge samples by, in place of the bundled one.
    pub judge: Option<PathBuf>,
    /// `results.json` of other evaluations to put beside this one.
    pub compare: Vec<PathBuf>,
    /// Seed of everything drawn.
    pub seed: u64,
    /// Folder for `results.json`, `report.html` and pictures.
    pub out: PathBuf,
}

/// Files of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalFiles {
    /// The numbers.
    pub results: PathBuf,
    /// The page.
    pub page: PathBuf,
}

/// Checks what a range alone cannot.
///
/// # Errors
/// Radii that do not rise, a refinement without the noise it needs.
pub(super) fn check(config: &RunConfig) -> Result<(), EvalError> {
    let eval = &config.eval;
    for (key, radii) in [("linf_radii", &eval.linf_radii), ("l2_radii", &eval.l2_radii)] {
        let rises = std::iter::once(&0.0).chain(radii).is_sorted_by(|a, b| a < b);
        if !rises || radii.iter().any(|radius| !radius.is_finite()) {
            return Err(EvalError::Request(format!(
                "`eval.{key}` = {radii:?}: radii must lie above 0 and rise, as in [1, 2, 4]"
            )));
        }
    }
    if eval.refine_steps > 0
        && eval.refine_noise_std == 0.0
        && config.sampler.kind == SamplerKind::Mala
    {
        return Err(EvalError::Request(
            "`eval.refine_noise_std` = 0: refinement by MALA needs noise; set it above 0".into(),
        ));
    }
    Ok(())
}
