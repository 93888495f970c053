//! How a run of a sweep ended, in a file beside its folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::files;

/// The size limit of a record, in bytes.
const MAX_BYTES: u64 = 1 << 20;
/// The key that names the place of a run's data, as `data` of a sweep does.
pub(crate) const DATA_DIR: &str = "data.dir";

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

    /// Reads a record, with absolute paths of data: an earlier jempp wrote them as they were given.
    ///
    /// # Errors
    /// The file cannot be read or is no record.
    pub(crate) fn read(path: &Path) -> io::Result<Self> {
        let read: Result<Self, _> = serde_json::from_slice(&files::read_at_most(path, MAX_BYTES)?);
        let mut record = read.map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, "it is not a record of a sweep")
        })?;
        record.data = record.data.as_deref().map(absolute);
        make_absolute(&mut record.settings);
        Ok(record)
    }

    /// Writes the record to `path`; a file there is replaced once the new one is whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        files::write_atomically(path, serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// What is different in the settings of `now`, each in a few words; nothing if both records are of the same run.
    pub(crate) fn differences(&self, now: &Self) -> Vec<String> {
        let (before, now) = (self.by_name(), now.by_name());
        let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
        let differs = |name: &&String| before.get(*name) != now.get(*name);
        let words = |name: &String| {
            let [before, now] =
                [&before, &now].map(|all| all.get(name).map_or("not set", String::as_str));
            format!("{name} was {before} and is {now} now")
        };
        names.into_iter().filter(differs).map(words).collect()
    }

    /// All settings by their names.
    fn by_name(&self) -> BTreeMap<String, String> {
        let data = self.data.as_ref().map(|data| data.display().to_string());
        let of_run = [
            ("preset", Some(self.preset.clone())),
            ("data", data),
            ("seed", Some(self.seed.to_string())),
        ];
        let of_run =
            of_run.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
        self.settings.iter().cloned().chain(of_run).collect()
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

/// The path of some data from any working folder; as it is, if the present one is not known or is no text.
pub(crate) fn absolute(data: &Path) -> PathBuf {
    let found = std::path::absolute(data).ok().filter(|found| found.to_str().is_some());
    found.unwrap_or_else(|| data.to_path_buf())
}

/// Makes the paths of data in settings absolute, whose values are TOML.
pub(crate) fn make_absolute(settings: &mut [(String, String)]) {
    for (_, value) in settings.iter_mut().filter(|(key, _)| key == DATA_DIR) {
        let table = format!("dir = {value}").parse::<Table>().unwrap_or_default();
        if let Some(dir) = table.get("dir").and_then(Value::as_str) {
            let dir = absolute(Path::new(dir));
            *value = Value::String(dir.display().to_string()).to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(data: Option<&str>, settings: &[(&str, &str)]) -> Record {
        let settings = settings.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        Record {
            settings: settings.collect(),
            seed: 0,
            preset: "auto".into(),
            data: data.map(PathBuf::from),
            is_done: false,
            failure: None,
            secs: 0.0,
        }
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let before = record(Some("/a"), &[("training.epochs", "1"), ("data.size", "8")]);
        let same = record(Some("/a"), &[("data.size", "8"), ("training.epochs", "1")]);
        assert!(before.differences(&same).is_empty(), "the order of keys does not count");
        let now = Record { seed: 1, ..record(Some("/b"), &[("training.epochs", "2")]) };
        assert_eq!(
            before.differences(&now),
            [
                "data was /a and is /b now",
                "data.size was 8 and is not set now",
                "seed was 0 and is 1 now",
                "training.epochs was 1 and is 2 now"
            ]
        );
    }

    #[test]
    fn a_path_in_an_older_record_means_the_one_from_the_working_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seed-0.json");
        let absolute = |name: &str| std::env::current_dir().unwrap().join(name);
        let quoted = format!("{:?}", absolute("a \"b").display().to_string());
        for (older, mut now) in [
            (record(Some("pics"), &[]), record(absolute("pics").to_str(), &[])),
            (
                record(None, &[("data.dir", "'a \"b'"), ("data.size", "8")]),
                record(None, &[("data.dir", quoted.as_str()), ("data.size", "8")]),
            ),
        ] {
            older.write(&path).unwrap();
            make_absolute(&mut now.settings);
            assert_eq!(Record::read(&path).unwrap().differences(&now), [""; 0]);
            assert_eq!(older.differences(&now).len(), 1, "the paths are written differently");
        }
    }
}
