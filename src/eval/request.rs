//! The request for an evaluation, and the files that it produces.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    EvalError, FidWeights,
    results::{FORMAT, Results},
};
use crate::{
    config::{RunConfig, SamplerKind},
    data::Dataset,
    files::read_at_most,
    results_folder::Destination,
};

/// A part of the evaluation that can be measured on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Accuracy on the test images; see [`super::results::Classification`].
    Accuracy,
    /// Calibration of the confidences; see [`super::results::Calibration`].
    Calibration,
    /// Detection of out-of-distribution images; see [`super::results::Ood`].
    Ood,
    /// Robustness to adversarial attacks; see [`super::results::Attack`].
    Attack,
    /// Quality of the model's samples; see [`super::results::Samples`].
    Samples,
}

impl Part {
    /// All parts, in the order in which they run.
    pub const ALL: [Self; 5] =
        [Self::Accuracy, Self::Calibration, Self::Ood, Self::Attack, Self::Samples];

    /// The name of the part on the command line.
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

/// Which model to evaluate, what to measure and where to save the results.
#[derive(Clone, Debug)]
pub struct EvalRequest {
    /// The name of the model in the report.
    pub name: String,
    /// The checkpoint path that the user gave, if any; the report uses it to tell models of the same name apart.
    pub path: Option<String>,
    /// The bytes of the checkpoint file.
    pub bytes: Vec<u8>,
    /// The command that repeats this evaluation.
    pub command: String,
    /// The name of the device.
    pub device: String,
    /// The parts to measure; if empty, all parts that this model allows.
    pub parts: Vec<Part>,
    /// The standard deviation of the noise that data and chains both had in training, 0 for none. The sampler of an evaluation may
    /// be another than that of the training.
    pub shared_noise: f64,
    /// IDX files and image folders with out-of-distribution images.
    pub ood: Vec<PathBuf>,
    /// The checkpoint of a classifier that judges the samples instead of the bundled one.
    pub judge: Option<PathBuf>,
    /// The weights of FID's network, if FID is to be measured.
    pub fid: Option<FidWeights>,
    /// Paths of `results.json` files of other evaluations, to compare with this one.
    pub compare: Vec<PathBuf>,
    /// The seed of all random numbers.
    pub seed: u64,
    /// The folder for `results.json` and `report.html`.
    pub out: Destination,
}

/// The files that an evaluation wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalFiles {
    /// The path of `results.json`.
    pub results: PathBuf,
    /// The path of the HTML report; none if the program was built without the feature `report`.
    pub page: Option<PathBuf>,
    /// Whether every part is done; false if the evaluation was stopped.
    pub is_complete: bool,
}

/// Checks what the ranges of the single keys cannot express.
///
/// # Errors
/// Radii that do not increase, or refinement by MALA without noise.
pub(super) fn check(config: &RunConfig) -> Result<(), EvalError> {
    let eval = &config.eval;
    for (key, radii) in [("linf_radii", &eval.linf_radii), ("l2_radii", &eval.l2_radii)] {
        let rises = std::iter::once(&0.0).chain(radii).is_sorted_by(|a, b| a < b);
        if !rises || radii.iter().any(|radius| !radius.is_finite()) {
            return Err(EvalError::Request(format!(
                "`eval.{key}` = {radii:?}: radii must be above 0 and increase, as in [1, 2, 4]"
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

/// The largest `results.json` that is read, in bytes.
const RESULTS_BYTES: u64 = 64 << 20;

/// Reads the `results.json` of an evaluation.
///
/// # Errors
/// The file cannot be read, holds no results, or has another version.
pub fn read_results(path: &Path) -> Result<Results, EvalError> {
    let bytes = read_at_most(path, RESULTS_BYTES)
        .map_err(|source| EvalError::Read { path: path.to_path_buf(), source })?;
    let wrong = |reason: String| EvalError::OtherResults { path: path.to_path_buf(), reason };
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    match value["format"].as_u64() {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => return Err(wrong(format!("version {format}, here {FORMAT}"))),
        None => return Err(wrong("it has no format number".into())),
    }
    let mut results: Results =
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
    results.config.check_keys().map_err(|error| wrong(error.to_string()))?;
    // Earlier versions used the checkpoint's file name as the name of the model of every run.
    let folder = path.parent().and_then(Path::file_name);
    if let Some(folder) = folder
        && results.model.path.is_none()
        && results.model.name == "checkpoint.safetensors"
    {
        results.model.name = folder.to_string_lossy().into_owned();
    }
    Ok(results)
}

/// Reads the results of another evaluation, to compare them with a model of the data set `own` and the images `test`.
///
/// # Errors
/// As [`read_results`]; or the results belong to other data.
pub(super) fn read_comparable(
    path: &Path,
    own: String,
    test: &Dataset,
) -> Result<Results, EvalError> {
    let results = read_results(path)?;
    let data = &results.data;
    if data.shape != test.shape || data.class_names != test.class_names {
        return Err(EvalError::OtherData {
            path: path.to_path_buf(),
            other: data.dataset.clone(),
            other_classes: data.class_names.join(", "),
            own,
            own_classes: test.class_names.join(", "),
        });
    }
    Ok(results)
}
