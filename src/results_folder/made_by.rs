//! The record in a results folder: which command made the results, of which model, and whether it finished.

use std::{fmt, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{PART_FILE, PartOf};
use crate::files::read_at_most;

/// The name of the file that records how the results were made.
pub const MADE_BY: &str = "made-by.json";
/// Size limit of that file, in bytes.
const MADE_BY_BYTES: u64 = 16 << 20;

/// The name of the file with the images of a part of some chains.
pub const FRAMES_FILE: &str = "frames.bin";

/// A command that writes a results folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Job {
    /// The command `jempp sample`.
    Sample,
    /// The command `jempp eval`.
    Eval,
    /// The command `jempp report`.
    Report,
}

impl Job {
    /// The names of the files that the command may write, except [`MADE_BY`]. A `*` stands for the key of a
    /// measurement.
    pub const fn files(self) -> &'static [&'static str] {
        match self {
            Self::Sample => &[
                "grid.png",
                "chains.gif",
                "chains.gif.part",
                "traces.csv",
                "draws.csv",
                "diagnostics.json",
                FRAMES_FILE,
                PART_FILE,
            ],
            Self::Eval => &["results.json", "report.html", PART_FILE],
            Self::Report => &[
                "report.html",
                "runs.csv",
                "settings.csv",
                "settings.tex",
                "curve-*.svg",
                "curve-*.png",
            ],
        }
    }

    /// Whether a file of this name is one of `files`, or, if these are not known, one that the command may write. In a
    /// report, the files of further data sets have a number, as in `runs-2.csv`.
    pub(super) fn owns(self, files: Option<&[String]>, name: &str) -> bool {
        if let Some(files) = files {
            return files.iter().any(|own| own == name);
        }
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let is_number = |text: &str| text.parse::<u8>().is_ok_and(|number| number > 1);
        let numbered = stem.rsplit_once('-').filter(|(_, number)| is_number(number));
        let plain = match numbered {
            Some((first, _)) if self == Self::Report => format!("{first}.{ending}"),
            _ => name.to_string(),
        };
        let is_key = |text: &str| {
            text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        self.files().iter().any(|own| match own.split_once('*') {
            Some((first, last)) => plain
                .strip_prefix(first)
                .and_then(|rest| rest.strip_suffix(last))
                .is_some_and(is_key),
            None => plain == *own,
        })
    }

    /// The command, as a person types it.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Sample => "jempp sample",
            Self::Eval => "jempp eval",
            Self::Report => "jempp report",
        }
    }
}

/// The content of [`MADE_BY`]: how the results in a folder were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBy {
    /// The command that made the results.
    pub job: Job,
    /// The command line as typed.
    pub command: String,
    /// The version of jempp.
    pub jempp: String,
    /// The name of the model; of a report, the names of the runs.
    pub model: String,
    /// The SHA-256 of the model file, in hexadecimal.
    pub sha256: String,
    /// The seed of all random numbers.
    pub seed: u64,
    /// Whether the command finished.
    pub finished: bool,
    /// The names of the files, if they depend on what was read; otherwise they are those of [`Job::files`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
    /// What the results are a part of; none if they are whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PartOf>,
}

impl MadeBy {
    /// Creates the record of a command that starts now.
    pub fn new(job: Job, command: String, model: String, sha256: String, seed: u64) -> Self {
        let jempp = env!("CARGO_PKG_VERSION").to_string();
        Self { job, command, jempp, model, sha256, seed, finished: false, files: None, part: None }
    }

    /// Reads the record of a folder, if there is one.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let bytes = read_at_most(&folder.join(MADE_BY), MADE_BY_BYTES).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whether a file of this name belongs to the results.
    pub(super) fn owns(&self, name: &str) -> bool {
        self.job.owns(self.files.as_deref(), name)
    }

    pub(super) fn to_json(&self) -> io::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

impl fmt::Display for MadeBy {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let what = if self.job == Job::Report { "runs" } else { "model" };
        let results = if self.finished { "the results" } else { "unfinished results" };
        if let Some(part) = &self.part {
            write!(out, "part {} of ", part.shard)?;
        }
        write!(out, "{results} of `{}` with the {what} {}", self.job.command(), self.model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_owns_no_file_that_a_person_named() {
        let owns = |name: &str| Job::Report.owns(None, name);
        for name in ["report.html", "runs.csv", "runs-2.csv", "settings-12.tex", "curve-loss.svg"] {
            assert!(owns(name), "{name}");
        }
        for name in [
            "curve-loss-edited-by-me.svg",
            "curve-loss.pdf",
            "runs-2024.csv",
            "runs-mine.csv",
            "report-draft.html",
            "notes.txt",
        ] {
            assert!(!owns(name), "{name}");
        }
        // What a record names is all that it owns.
        let files = ["runs.csv".to_string()];
        assert!(Job::Report.owns(Some(&files), "runs.csv"));
        assert!(!Job::Report.owns(Some(&files), "runs-2.csv"));
    }
}
