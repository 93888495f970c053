//! The folder of a training run: `config.toml`, `metrics.jsonl`, `samples/*.png` and
//! `checkpoint.safetensors`.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::files::{self, Log, write_atomically};

/// Why a run folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// Another run's results are there.
    #[error(
        "{0} already exists; runs are never overwritten. Choose another --out, or go on with --resume {0}"
    )]
    Exists(PathBuf),
    /// Nothing to resume.
    #[error("{0} holds no run to resume: it has no checkpoint.safetensors")]
    NoRun(PathBuf),
    /// The operating system refused.
    #[error("cannot write {path}: {source}")]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// An open run folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: Log,
}

impl RunFolder {
    /// Checks that a new run may use the folder.
    ///
    /// # Errors
    /// It exists and is not empty.
    pub fn check_free(path: &Path) -> Result<(), RunFolderError> {
        match files::is_taken(path) {
            true => Err(RunFolderError::Exists(path.to_path_buf())),
            false => Ok(()),
        }
    }

    /// Makes the folder of a new run, with its configuration.
    ///
    /// # Errors
    /// The folder exists and is not empty, or cannot be written.
    pub fn create(path: &Path, config_toml: &str) -> Result<Self, RunFolderError> {
        Self::check_free(path)?;
        let folder = Self::open(path)?;
        folder.write_config(config_toml)?;
        Ok(folder)
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_config(&self, config_toml: &str) -> Result<(), RunFolderError> {
        let path = self.path.join("config.toml");
        write_atomically(&path, config_toml.as_bytes()).map_err(|source| io_error(&path, source))
    }

    /// Opens the folder of an interrupted run; metrics past `step`, the checkpoint's, are dropped, as
    /// those steps will be done again.
    ///
    /// # Errors
    /// There is no run, or it cannot be written.
    pub fn resume(path: &Path, step: u64) -> Result<Self, RunFolderError> {
        let metrics = path.join("metrics.jsonl");
        if let Ok(bytes) = files::read(&metrics) {
            let text = String::from_utf8_lossy(&bytes);
            let is_done = |line: &&str| {
                let line: Option<Value> = serde_json::from_str(line).ok();
                line.and_then(|line| line["step"].as_u64()).is_some_and(|at| at <= step)
            };
            let kept: String =
                text.lines().filter(is_done).map(|line| format!("{line}\n")).collect();
            write_atomically(&metrics, kept.as_bytes()).map_err(|e| io_error(&metrics, e))?;
        }
        Self::open(path)
    }

    fn open(path: &Path) -> Result<Self, RunFolderError> {
        let samples = path.join("samples");
        files::create_dir(&samples).map_err(|source| io_error(&samples, source))?;
        let metrics_path = path.join("metrics.jsonl");
        let metrics = Log::open(&metrics_path).map_err(|source| io_error(&metrics_path, source))?;
        Ok(Self { path: path.to_path_buf(), metrics })
    }

    /// Where the run's checkpoint is, given its folder.
    pub fn checkpoint_of(path: &Path) -> PathBuf {
        path.join("checkpoint.safetensors")
    }

    /// Where this run's checkpoint is.
    pub fn checkpoint(&self) -> PathBuf {
        Self::checkpoint_of(&self.path)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the sample grid of an epoch goes.
    pub fn sample_grid(&self, epoch: u64) -> PathBuf {
        self.path.join("samples").join(format!("epoch-{epoch:04}.png"))
    }

    /// Appends one line to `metrics.jsonl`.
    ///
    /// # Errors
    /// The line cannot be written.
    pub fn log(&mut self, line: Map<String, Value>) -> Result<(), RunFolderError> {
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        let path = self.path.join("metrics.jsonl");
        self.metrics.append(text.as_bytes()).map_err(|source| io_error(&path, source))
    }
}

fn io_error(path: &Path, source: io::Error) -> RunFolderError {
    RunFolderError::Io { path: path.to_path_buf(), source }
}
