//! The folder of a training run, with `config.toml`, `metrics.jsonl`, `samples/*.png` and `checkpoint.safetensors`.
//! Only one process at a time may own it.

pub(crate) mod record;

use std::{
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    checkpoint::{self, BEST_NAME as BEST, Counters, FILE_NAME as CHECKPOINT},
    files::{self, FolderLock, LockError, Log, WithinData, write_atomically},
};

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const SAMPLES: &str = "samples";
/// Limit on the metrics that wait in memory while they cannot be written, about ten thousand steps.
const MAX_WAITING_BYTES: usize = 8 << 20;
/// Limit on the file names of a folder that an error lists.
const MAX_NAMED: usize = 8;

/// Why a run folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// The folder already holds a run.
    #[error(
        "{0} already exists; runs are never overwritten: take another folder, or resume that run"
    )]
    Exists(PathBuf),
    /// The folder holds files that are not a run.
    #[error("{path} already exists and is not a run: {found}; take another folder")]
    Taken {
        /// The path of the folder.
        path: PathBuf,
        /// The files in the folder, in words.
        found: String,
    },
    /// The run would land in the data that it trains on.
    #[error(transparent)]
    WithinData(#[from] WithinData),
    /// The folder holds no run that can be resumed.
    #[error("{path} holds no run to resume: {found}")]
    NoRun {
        /// The path of the folder.
        path: PathBuf,
        /// What the folder holds instead, in words.
        found: String,
    },
    /// Another process trains the run in this folder.
    #[error(
        "{path} is in use by another jempp: {holder}. A run has one owner at a time: wait for that one, or \
         stop it (Ctrl-C, or kill -INT and its number); it saves and stops"
    )]
    InUse {
        /// The path of the folder.
        path: PathBuf,
        /// The process that owns the folder.
        holder: String,
    },
    /// The folder was moved or removed during its run.
    #[error(
        "{0} was moved or removed while its run was active: nothing more is written there. Put it back, then \
         resume it from its last checkpoint"
    )]
    Lost(PathBuf),
    /// The operating system refused an action.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The open folder of a training run. While it is open, no other process may use it.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    lock: FolderLock,
    metrics: Log,
}

impl RunFolder {
    /// Checks that a new run may use the folder.
    ///
    /// # Errors
    /// The folder exists and is not empty.
    fn check_free(path: &Path) -> Result<(), RunFolderError> {
        if !files::is_taken(path) {
            return Ok(());
        }
        let path = path.to_path_buf();
        match files::is_file(&checkpoint::file_in(&path)) {
            true => Err(RunFolderError::Exists(path)),
            false => Err(RunFolderError::Taken { found: contents_of(&path, CHECKPOINT), path }),
        }
    }

    /// Checks that a new run may use the folder: it is free, and not in the user's own data at `data`.
    ///
    /// # Errors
    /// It may not.
    pub(crate) fn check_new(path: &Path, data: &Path) -> Result<(), RunFolderError> {
        Self::check_free(path)?;
        Ok(files::check_outside(path, data)?)
    }

    /// Creates the folder of a new run.
    ///
    /// # Errors
    /// The folder exists and is not empty, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, RunFolderError> {
        Self::check_free(path)?;
        files::create_dir(path).map_err(|source| io_error(path, source))?;
        let folder = Self::own(path)?;
        // Another run may have started there before the folder was locked.
        Self::check_free(path)?;
        Ok(folder)
    }

    /// Opens the folder of a run to resume it; `path` may also be its checkpoint. No file of the run changes yet.
    ///
    /// # Errors
    /// There is no run, another process trains it, or the folder cannot be written.
    pub fn open(path: &Path) -> Result<Self, RunFolderError> {
        let is_checkpoint = path.file_name().is_some_and(|name| name == CHECKPOINT);
        let path = match is_checkpoint && files::is_file(path) {
            true => files::folder_of(path),
            false => path,
        };
        if !files::is_file(&checkpoint::file_in(path)) {
            let found = contents_of(path, CHECKPOINT);
            return Err(RunFolderError::NoRun { path: path.to_path_buf(), found });
        }
        Self::own(path)
    }

    /// Locks the folder, and removes temporary files of an owner that was killed.
    fn own(path: &Path) -> Result<Self, RunFolderError> {
        let lock = FolderLock::take(path).map_err(|error| match error {
            LockError::Held(holder) => RunFolderError::InUse { path: path.to_path_buf(), holder },
            LockError::Io(source) => io_error(path, source),
        })?;
        if lock.is_exclusive() {
            files::sweep(path, |name| [CHECKPOINT, BEST, CONFIG, METRICS].contains(&name));
            files::sweep(&path.join(SAMPLES), |name| name.starts_with("epoch-"));
            // The checkpoint may be a link, for example to a larger disk.
            if let Ok(target) = files::target_of(&checkpoint::file_in(path)) {
                let of_target = |name: &str| target.file_name().is_some_and(|file| file == name);
                files::sweep(files::folder_of(&target), of_target);
            }
        }
        Ok(Self { path: path.to_path_buf(), lock, metrics: Log::new(&path.join(METRICS)) })
    }

    /// Removes the files of a run that could not start.
    pub(crate) fn abandon(self) {
        files::remove(&self.checkpoint());
        files::remove(&self.config());
        drop(self.lock);
        files::remove_if_empty(&self.path);
    }

    /// Whether the file system keeps other processes out of the folder.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.lock.is_exclusive()
    }

    /// Checks that the folder has not been moved or removed.
    ///
    /// # Errors
    /// The folder was moved or removed; another run may use its path.
    pub(crate) fn check_owned(&self) -> Result<(), RunFolderError> {
        match self.lock.is_lost() {
            true => Err(RunFolderError::Lost(self.path.clone())),
            false => Ok(()),
        }
    }

    /// Writes `config.toml`, the configuration of the run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_config(&self, config_toml: &str) -> Result<(), RunFolderError> {
        let path = self.config();
        write_atomically(&path, config_toml.as_bytes()).map_err(|source| io_error(&path, source))
    }

    /// Drops the metrics of the steps that will be repeated: everything after the state that `counters` describe.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn rewind(&mut self, counters: &Counters) -> Result<(), RunFolderError> {
        let path = self.path.join(METRICS);
        let error = |source| io_error(&path, source);
        let mut file = match files::lines_of(&path) {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(error(source)),
        };
        let (mut kept, mut num_recoveries) = (0u64, 0u64);
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = file.read_until(b'\n', &mut line).map_err(error)?;
            if count == 0 {
                return Ok(());
            }
            // A killed program may leave an incomplete last line.
            let is_whole = line.ends_with(b"\n");
            if !is_whole || is_after(&line, counters, &mut num_recoveries) {
                break;
            }
            kept += count as u64;
        }
        self.metrics.cut(kept).map_err(error)
    }

    /// The path of the run's checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        checkpoint::file_in(&self.path)
    }

    /// The path of the best model of the run.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// The path of the configuration file of the run, for users to read.
    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path for the sample grid of an epoch.
    ///
    /// # Errors
    /// The folder of the grids cannot be created.
    pub(crate) fn sample_grid(&self, epoch: u64) -> Result<PathBuf, RunFolderError> {
        let samples = self.path.join(SAMPLES);
        files::create_dir(&samples).map_err(|source| io_error(&samples, source))?;
        Ok(samples.join(format!("epoch-{epoch:04}.png")))
    }

    /// Appends one line to `metrics.jsonl`. While the file cannot be written, lines wait in memory until a later call
    /// writes them.
    ///
    /// # Errors
    /// The line cannot be written.
    pub fn log(&mut self, line: Map<String, Value>) -> Result<(), RunFolderError> {
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        self.append(&text)
    }

    /// Writes the metrics that wait in memory.
    ///
    /// # Errors
    /// The metrics cannot be written.
    pub fn flush(&mut self) -> Result<(), RunFolderError> {
        self.append("")
    }

    /// Whether too many metrics wait in memory.
    pub(crate) fn is_choked(&self) -> bool {
        self.metrics.num_waiting() > MAX_WAITING_BYTES
    }

    fn append(&mut self, text: &str) -> Result<(), RunFolderError> {
        let path = self.path.join(METRICS);
        self.metrics.append(text.as_bytes()).map_err(|source| io_error(&path, source))
    }
}

/// The configuration of the run in a folder.
#[cfg(feature = "report")]
pub(crate) fn config_in(folder: &Path) -> PathBuf {
    folder.join(CONFIG)
}

/// The metrics of the run in a folder.
#[cfg(feature = "report")]
pub(crate) fn metrics_in(folder: &Path) -> PathBuf {
    folder.join(METRICS)
}

/// The folder of the sample grids of the run in a folder.
#[cfg(feature = "report")]
pub(crate) fn samples_in(folder: &Path) -> PathBuf {
    folder.join(SAMPLES)
}

/// Whether a line of the metrics is later than `counters`. Counts the recoveries, because steps are repeated after each
/// of them.
fn is_after(line: &[u8], counters: &Counters, num_recoveries: &mut u64) -> bool {
    // Lines that jempp did not write stay.
    let Ok(line) = serde_json::from_slice::<Value>(line) else { return false };
    let Some(step) = line["step"].as_u64() else { return false };
    if let Some(count) = line["num_recoveries"].as_u64() {
        *num_recoveries = count;
    }
    let allowed = counters.num_recoveries as u64;
    if *num_recoveries != allowed {
        return *num_recoveries > allowed;
    }
    // An evaluation that is not in the checkpoint will be repeated.
    let is_evaluation = line.get("loss").is_none() && line.get("epoch").is_some();
    step > counters.step
        || is_evaluation && step == counters.step && counters.evaluated_step != Some(step)
}

/// What a folder holds that has no configuration of a run, in words.
#[cfg(feature = "report")]
pub(crate) fn instead_of_config(folder: &Path) -> String {
    contents_of(folder, CONFIG)
}

/// What a folder holds that is neither free for a run nor has the checkpoint of one, in words.
pub(crate) fn instead_of_run(folder: &Path) -> Option<String> {
    let has_checkpoint = files::is_file(&checkpoint::file_in(folder));
    (files::is_taken(folder) && !has_checkpoint).then(|| contents_of(folder, CHECKPOINT))
}

/// What a folder holds that has not the file `wanted` of a run, in words.
fn contents_of(path: &Path, wanted: &str) -> String {
    if files::is_file(path) {
        return "it is a file, not a run's folder".into();
    }
    if !files::exists(path) {
        return "there is no such folder".into();
    }
    if !files::is_taken(path) {
        return "it is empty".into();
    }
    let names = files::names_in(path);
    if names.iter().any(|name| name == wanted) {
        return match files::exists(&path.join(wanted)) {
            true => format!("its {wanted} is not a file"),
            false => format!("its {wanted} is a link to a file that is not there"),
        };
    }
    let runs: Vec<String> = names
        .iter()
        .map(|name| path.join(name))
        .filter(|folder| files::is_file(&folder.join(wanted)))
        .map(|folder| folder.display().to_string())
        .collect();
    match runs.is_empty() {
        true => format!("it has no {wanted}; there is {}", listed(&names)),
        false => format!("it has no {wanted}, but there are runs in it: {}", listed(&runs)),
    }
}

/// The first names of a list, with the number of the others.
fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(MAX_NAMED)].join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn io_error(path: &Path, source: io::Error) -> RunFolderError {
    RunFolderError::Io { path: path.to_path_buf(), source }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests may")]
mod tests {
    use super::*;

    /// The metrics that remain when a run resumes from `counters`.
    fn rewound(metrics: &str, counters: &Counters) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(METRICS);
        std::fs::write(&file, metrics).unwrap();
        RunFolder::own(dir.path()).unwrap().rewind(counters).unwrap();
        std::fs::read_to_string(file).unwrap()
    }

    #[test]
    fn metrics_go_back_to_the_checkpoint() {
        let first =
            "{\"step\":1,\"epoch\":1,\"loss\":2.0}\n{\"step\":2,\"epoch\":1,\"loss\":2.0}\n";
        let evaluation = "{\"step\":2,\"epoch\":1,\"test_accuracy\":0.5}\n";
        let third = "{\"step\":3,\"epoch\":2,\"loss\":1.0}\n";
        let all = format!("{first}{evaluation}{third}{{\"st");
        let at = |step, evaluated_step| Counters { step, evaluated_step, ..Counters::default() };
        assert_eq!(rewound(&all, &at(2, Some(2))), format!("{first}{evaluation}"));
        assert_eq!(rewound(&all, &at(2, None)), first, "the evaluation is done again");
        assert_eq!(rewound(&all, &at(3, Some(2))), format!("{first}{evaluation}{third}"));
        let odd = format!("a note\n{first}");
        assert_eq!(rewound(&odd, &at(9, None)), odd);
    }

    #[test]
    fn steps_before_and_after_a_recovery_are_told_apart() {
        let before = "{\"step\":1,\"loss\":2.0}\n{\"step\":2,\"loss\":2.0}\n";
        let recovery = "{\"step\":0,\"num_recoveries\":1}\n";
        let again = "{\"step\":1,\"loss\":1.5}\n";
        let all = format!("{before}{recovery}{again}{{\"step\":2,\"loss\":1.0}}\n");
        let at = |step, num_recoveries| Counters { step, num_recoveries, ..Counters::default() };
        assert_eq!(rewound(&all, &at(1, 1)), format!("{before}{recovery}{again}"));
        assert_eq!(rewound(&all, &at(2, 0)), before, "the checkpoint knows of no recovery");
    }

    #[test]
    fn a_folder_without_a_run_says_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let found = |path: &Path| RunFolder::open(path).unwrap_err().to_string();
        assert!(found(&dir.path().join("none")).contains("no such folder"));
        assert!(found(dir.path()).contains("it is empty"));
        std::fs::write(dir.path().join("notes.txt"), "x").unwrap();
        assert!(found(dir.path()).contains("there is notes.txt"));
        assert!(found(&dir.path().join("notes.txt")).contains("it is a file"));
        let run = dir.path().join("first");
        std::fs::create_dir(&run).unwrap();
        std::fs::write(run.join(CHECKPOINT), "x").unwrap();
        let said = found(dir.path());
        assert!(said.contains("there are runs in it") && said.contains("first"), "{said}");
        RunFolder::open(&run.join(CHECKPOINT)).unwrap();
        // A file that is there under the right name, and is no file.
        let odd = dir.path().join("odd");
        std::fs::create_dir_all(odd.join(CHECKPOINT)).unwrap();
        assert!(found(&odd).contains("its checkpoint.safetensors is not a file"));
        #[cfg(unix)]
        {
            let link = dir.path().join("link");
            std::fs::create_dir(&link).unwrap();
            std::os::unix::fs::symlink("nowhere", link.join(CHECKPOINT)).unwrap();
            assert!(found(&link).contains("is a link to a file that is not there"));
        }
    }
}
