//! How a run of a sweep ended, in a file beside its folder.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::files;

/// The size limit of a record, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// How a run ended, and the settings that it had.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) settings: Vec<(String, String)>,
    pub(super) seed: u64,
    pub(super) preset: String,
    pub(super) data: Option<PathBuf>,
    /// Whether the run came to its end.
    pub(super) is_done: bool,
    /// Why the run failed.
    pub(super) failure: Option<String>,
    pub(super) secs: f64,
}

impl Record {
    /// The end of the names of all records.
    pub(super) const ENDING: &str = "json";

    /// Reads a record.
    ///
    /// # Errors
    /// The file cannot be read or is no record.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let bytes =
            files::read_at_most(path, MAX_BYTES).with_context(|| format!("cannot read {name}"))?;
        serde_json::from_slice(&bytes)
            .ok()
            .with_context(|| format!("{name} is not a record of a sweep"))
    }

    /// Writes the record to `path`; a file there is replaced once the new one is whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        files::write_atomically(path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Whether both are of a run with the same settings.
    pub(super) fn is_of_same_run(&self, other: &Self) -> bool {
        (&self.settings, self.seed, &self.preset, &self.data)
            == (&other.settings, other.seed, &other.preset, &other.data)
    }

    /// Whether a folder holds a record.
    pub(super) fn is_in(folder: &Path) -> bool {
        let mut names = files::names_in(folder).into_iter();
        names.any(|name| {
            name.ends_with(&format!(".{}", Self::ENDING)) && Self::read(&folder.join(name)).is_ok()
        })
    }
}
