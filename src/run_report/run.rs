//! A training run as its folder tells it, whether it is over or still going.

use std::{
    collections::BTreeMap,
    io::BufRead,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    ReportError,
    metrics::{METRICS, Metric, NUM_LAST, When},
};
use crate::{
    config::{DatasetName, RunConfig},
    files::{self, read_at_most},
    run_folder::{self, record::Record},
};

/// The size limit of a configuration and of a sample grid, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;
const MAX_GRID_BYTES: u64 = 32 << 20;

/// The values of a metric: (step, value), in order.
pub(super) type Series = Vec<(f64, f64)>;

/// A training run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// What it is called: the name of its folder, or the one that was given.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) config: RunConfig,
    series: BTreeMap<&'static str, Series>,
    /// The last step that was written.
    pub(super) step: u64,
    /// The last epoch that was evaluated.
    pub(super) epoch: u64,
    /// The time that the training took, in seconds.
    pub(super) secs: f64,
    pub(super) num_recoveries: u64,
    /// The number of lines that could not be read.
    pub(super) num_odd_lines: usize,
    /// The accuracy on the validation part after each evaluated epoch.
    validation: Vec<(u64, f64)>,
    /// The newest sample grid, as PNG, with its epoch.
    pub(super) grid: Option<(u64, Vec<u8>)>,
}

impl Run {
    /// Reads the run in a folder.
    ///
    /// # Errors
    /// The folder holds no run, or no step of it.
    pub(super) fn read(path: &Path) -> Result<Self, ReportError> {
        let config = read_config(path)?;
        let file = run_folder::metrics_in(path);
        if !files::exists(&file) {
            return Err(ReportError::NoMetrics(path.to_path_buf()));
        }
        let error = |source| ReportError::Read { path: file.clone(), source };
        let mut lines = files::lines_of(&file).map_err(error)?;
        let mut run = Self {
            name: name_of(path),
            path: path.to_path_buf(),
            config,
            series: BTreeMap::new(),
            step: 0,
            epoch: 0,
            secs: 0.0,
            num_recoveries: 0,
            num_odd_lines: 0,
            validation: Vec::new(),
            grid: newest_grid(path),
        };
        let mut line = Vec::new();
        loop {
            line.clear();
            // The last line of a run that is going on may be incomplete.
            if lines.read_until(b'\n', &mut line).map_err(error)? == 0 || !line.ends_with(b"\n") {
                break;
            }
            run.take(&line);
        }
        match (run.series.is_empty(), run.num_odd_lines) {
            (false, _) => Ok(run),
            (true, 0) => Err(ReportError::NoMetrics(path.to_path_buf())),
            (true, _) => Err(ReportError::OddMetrics(file.clone())),
        }
    }

    /// Takes one line of the metrics.
    fn take(&mut self, line: &[u8]) {
        let Ok(Value::Object(line)) = serde_json::from_slice::<Value>(line) else {
            self.num_odd_lines += 1;
            return;
        };
        let Some(step) = line.get("step").and_then(Value::as_u64) else { return };
        if let Some(count) = line.get("num_recoveries").and_then(Value::as_u64) {
            // The steps after it are done again.
            self.num_recoveries = count;
            self.step = step;
            let is_kept = |&(at, _): &(f64, f64)| at <= step as f64;
            self.series.values_mut().for_each(|series| series.retain(is_kept));
            return;
        }
        for Metric { key, .. } in METRICS {
            if let Some(value) = line.get(*key).and_then(Value::as_f64) {
                self.series.entry(key).or_default().push((step as f64, value));
            }
        }
        self.step = self.step.max(step);
        if let Some(secs) = line.get("elapsed_secs").and_then(Value::as_f64) {
            self.secs = secs;
        }
        let is_evaluation = !line.contains_key("loss");
        if let Some(epoch) = line.get("epoch").and_then(Value::as_u64).filter(|_| is_evaluation) {
            self.epoch = epoch;
            if let Some(accuracy) = line.get("validation_accuracy").and_then(Value::as_f64) {
                self.validation.retain(|&(earlier, _)| earlier < epoch);
                self.validation.push((epoch, accuracy));
            }
        }
    }

    /// The values of a metric; empty if the run has none.
    pub(super) fn series(&self, metric: &Metric) -> &[(f64, f64)] {
        self.series.get(metric.key).map_or(&[], Vec::as_slice)
    }

    /// What a metric came to: the last evaluation, or the mean of the last steps.
    pub(super) fn last(&self, metric: &Metric) -> Option<f64> {
        let series = self.series(metric);
        let last = match metric.when {
            When::Epoch => &series[series.len().saturating_sub(1)..],
            When::Step => &series[series.len().saturating_sub(NUM_LAST)..],
        };
        let sum: f64 = last.iter().map(|(_, value)| value).sum();
        (!last.is_empty()).then(|| sum / last.len() as f64)
    }

    /// Whether all epochs are done, or the run ended early as it was told to.
    pub(super) fn is_complete(&self) -> bool {
        self.epoch >= self.config.training.epochs as u64 || self.ended_early()
    }

    /// Whether the validation accuracy has not risen for `training.early_stop_epochs`.
    fn ended_early(&self) -> bool {
        let training = &self.config.training;
        let patience = training.early_stop_epochs as u64;
        let mut best: Option<(u64, f64)> = None;
        for &(epoch, accuracy) in &self.validation {
            let is_counted = epoch > training.classifier_epochs as u64;
            if is_counted && best.is_none_or(|(_, highest)| accuracy > highest) {
                best = Some((epoch, accuracy));
            }
        }
        patience > 0 && best.is_some_and(|(epoch, _)| self.epoch >= epoch + patience)
    }

    /// The settings alone: without the seed, and without the place of the data.
    pub(super) fn settings(&self) -> RunConfig {
        let mut config = self.config.clone();
        config.seed = 0;
        if config.data.dataset != DatasetName::Custom {
            config.data.dir.clear();
        }
        config
    }

    /// The data set, in words; the same for two runs only if they learn the same data.
    pub(super) fn data(&self) -> String {
        let data = &self.config.data;
        match data.dataset {
            DatasetName::Custom => format!("the data in {}", data.dir),
            name => serde_json::to_value(name)
                .ok()
                .and_then(|name| name.as_str().map(String::from))
                .unwrap_or_default(),
        }
    }
}

/// The name of a run's folder.
fn name_of(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    whole.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn read_config(path: &Path) -> Result<RunConfig, ReportError> {
    let file = run_folder::config_in(path);
    if !files::is_file(&file) {
        let recorded = without_folder(path);
        let found = match recorded.is_empty() {
            true => run_folder::instead_of_config(path),
            false => recorded.join("; "),
        };
        return Err(ReportError::NoRun(path.to_path_buf(), found));
    }
    let bytes = read_at_most(&file, MAX_CONFIG_BYTES)
        .map_err(|source| ReportError::Read { path: file.clone(), source })?;
    RunConfig::default()
        .with_toml(&String::from_utf8_lossy(&bytes))
        .map_err(|error| ReportError::Config(file, error.to_string()))
}

/// The newest sample grid of a run that can be read, with its epoch.
fn newest_grid(path: &Path) -> Option<(u64, Vec<u8>)> {
    let folder = run_folder::samples_in(path);
    let epoch_of = |name: &String| {
        let number = name.strip_prefix("epoch-")?.strip_suffix(".png")?;
        Some((number.parse::<u64>().ok()?, folder.join(name)))
    };
    let mut grids: Vec<_> = files::names_in(&folder).iter().filter_map(epoch_of).collect();
    grids.sort();
    let read = |(epoch, file): (u64, PathBuf)| {
        read_at_most(&file, MAX_GRID_BYTES).ok().map(|png| (epoch, png))
    };
    grids.into_iter().rev().find_map(read)
}

/// Whether there is a run in a folder.
fn is_run(folder: &Path) -> bool {
    files::is_file(&run_folder::config_in(folder))
}

/// The folders of runs that a path names: itself, or all in it, as in the folder of a sweep.
pub(super) fn folders(path: &Path) -> Vec<PathBuf> {
    if is_run(path) || files::is_file(path) {
        return vec![path.to_path_buf()];
    }
    let mut names = files::names_in(path);
    names.sort();
    let found: Vec<PathBuf> =
        names.iter().map(|name| path.join(name)).filter(|folder| is_run(folder)).collect();
    // The path alone, so that the error names it.
    if found.is_empty() { vec![path.to_path_buf()] } else { found }
}

/// The runs of the sweep in a folder that have a record there, but no folder with a run, each in a few words.
pub(super) fn without_folder(path: &Path) -> Vec<String> {
    let in_words = |(folder, record): (PathBuf, Record)| match record.failure {
        Some(reason) => format!("{} failed: {reason}", folder.display()),
        None => {
            let found = run_folder::instead_of_config(&folder);
            ReportError::NoRun(folder, found).to_string()
        }
    };
    Record::all_in(path).filter(|(folder, _)| !is_run(folder)).map(in_words).collect()
}

/// Why the run in a folder failed, if it is of a sweep and did.
pub(super) fn failure_of(folder: &Path) -> Option<String> {
    Record::read(&Record::beside(folder)).ok()?.failure
}
