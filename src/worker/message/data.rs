//! The messages about a person's own data set: what the window gives, and what the worker finds in it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    config::{DataConfig, RunConfig},
    data::{Dataset, Facts},
};

/// What the worker found in the data set that [`super::Command::InspectData`] names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inspected {
    /// The path or the name of the data set, `data.dir` of the request.
    pub dir: String,
    /// What is in it, or the reason why nothing can be trained on it.
    pub result: Result<DataReport, String>,
}

/// A data set as a person wants to see it before training on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataReport {
    /// Its classes with their counts, what was chosen, skipped and found odd.
    pub facts: Facts,
    /// The settings of the request, with what was chosen: a run with them reads the same.
    pub settings: DataConfig,
    /// The first training items of each class, for a contact sheet.
    pub sheet: Arc<Dataset>,
}

/// The recipe that fits the data set of [`super::Command::InspectData`] and the device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recipe {
    /// The path or the name of the data set.
    pub dir: String,
    /// The configuration of a run.
    pub config: Box<RunConfig>,
    /// What was chosen, in words.
    pub about: String,
    /// The estimate of the time of the run in seconds; `None` if it could not be measured, as another run is active.
    pub secs: Option<f64>,
}
