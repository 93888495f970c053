//! How a run of a sweep ended, in a file beside its folder.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::files;

/// The size limit of a record, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// How a run ended, and the settings that it had.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) seed: u64,
    pub(crate) preset: String,
    pub(crate) data: Option<PathBuf>,
    /// Whether the run came to its end.
    pub(crate) is_done: bool,
    /// Why the run failed.
    pub(crate) failure: Option<String>,
    pub(crate) secs: f64,
}

impl Record {
    /// The place of the record of the run in `folder`.
    pub(crate) fn beside(folder: &Path) -> PathBuf {
        let mut path = folder.components().collect::<PathBuf>().into_os_string();
        path.push(".json");
        path.into()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// The file cannot be read or is no record.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        serde_json::from_slice(&files::read_at_most(path, MAX_BYTES)?).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "it is not a record of a sweep")
        })
    }

    /// Writes the record to `path`; a file there is replaced once the new one is whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        files::write_atomically(path, serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// Whether both are of a run with the same settings.
    pub(crate) fn is_of_same_run(&self, other: &Self) -> bool {
        (&self.settings, self.seed, &self.preset, &self.data)
            == (&other.settings, other.seed, &other.preset, &other.data)
    }

    /// The folders of the runs that have a record in the folder of a sweep, in order, each with its record.
    pub(crate) fn all_in(sweep: &Path) -> impl Iterator<Item = (PathBuf, Self)> {
        files::names_in(sweep).into_iter().filter_map(move |name| {
            let folder = sweep.join(name.strip_suffix(".json")?);
            let record = Self::read(&Self::beside(&folder)).ok()?;
            Some((folder, record))
        })
    }
}
