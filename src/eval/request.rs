//! What is to be evaluated, and what comes of it.

use std::path::{Path, PathBuf};

use super::{
    EvalError,
    results::{FORMAT, Results},
};
use crate::{
    config::{RunConfig, SamplerKind},
    data::Dataset,
    files::read_at_most,
    results_folder::Destination,
};

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
    /// The file that was named, if one was: it tells models of one name apart.
    pub path: Option<String>,
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
    /// Folder for `results.json` and `report.html`.
    pub out: Destination,
}

/// Files of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalFiles {
    /// The numbers.
    pub results: PathBuf,
    /// The page; none where the program was built without the feature `report`.
    pub page: Option<PathBuf>,
    /// Whether every part is done; not, where the evaluation was stopped.
    pub is_complete: bool,
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

/// Most bytes of another evaluation's `results.json`.
const RESULTS_BYTES: u64 = 64 << 20;

/// The results in a file, to be compared with those of a model of the data set `own` with the images `test`.
///
/// # Errors
/// It cannot be read, is no such file, of another version, or of other data.
pub(super) fn read_results(path: &Path, own: String, test: &Dataset) -> Result<Results, EvalError> {
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
    // Earlier versions called every run's model by the name of its file.
    let folder = path.parent().and_then(Path::file_name);
    if let Some(folder) = folder
        && results.model.path.is_none()
        && results.model.name == "checkpoint.safetensors"
    {
        results.model.name = folder.to_string_lossy().into_owned();
    }
    Ok(results)
}
