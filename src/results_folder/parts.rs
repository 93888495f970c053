//! The parts of a job that several processes divided among themselves: whether they make a whole.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MadeBy, some_of};
use crate::{
    files::{read_at_most, sha256, sha256_of, write_atomically},
    shard::Shard,
};

/// The name of the file with the numbers of a part.
pub const PART_FILE: &str = "part.bin";
/// Size limit of that file, in bytes.
const PART_BYTES: u64 = 8 << 30;
/// Limit on the missing parts that are looked for.
const MOST_MISSING: usize = 1000;
/// The number of characters of the checksum before the numbers.
const CHECKSUM_LEN: usize = 64;

/// What a part is a part of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOf {
    /// The number of this part, and of all parts.
    pub shard: Shard,
    /// Everything else that the results depend on: settings, and a checksum of the data.
    pub settings: Value,
    /// The SHA-256 of each file of the finished part, except [`PART_FILE`], which has its own; empty in parts of an
    /// earlier jempp.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
}

impl PartOf {
    /// The part `shard` of what depends on `settings`, before it has files.
    pub fn new(shard: Shard, settings: Value) -> Self {
        Self { shard, settings, checksums: BTreeMap::new() }
    }
}

/// Why a file is refused whose content is not what was written.
const DAMAGED: &str = "it is damaged: its checksum is another one. Make that part again";

/// Why parts do not make a whole.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// The folder has no record of how it was made.
    #[error("{0} holds no results of jempp")]
    NoResults(PathBuf),
    /// The folder holds the results of a whole job.
    #[error("{0} holds the results of a whole job, not of a part")]
    Whole(PathBuf),
    /// The command that makes the part did not finish.
    #[error("{path} holds part {shard}, which is unfinished: make it again")]
    Unfinished {
        /// The path of the folder.
        path: PathBuf,
        /// The part.
        shard: Shard,
    },
    /// Two parts belong to different jobs.
    #[error("{other} is no part of the same job as {first}: {differences}")]
    Different {
        /// The folder of the first part.
        first: PathBuf,
        /// The folder of the part that differs from it.
        other: PathBuf,
        /// What differs, in words.
        differences: String,
    },
    /// Two folders hold the same part.
    #[error("{first} and {other} both hold part {shard}")]
    Twice {
        /// The folder that was named first.
        first: PathBuf,
        /// The other folder.
        other: PathBuf,
        /// The part.
        shard: Shard,
    },
    /// Not all parts are there.
    #[error("of {count} parts, {missing} missing")]
    Missing {
        /// The number of all parts.
        count: usize,
        /// The missing parts, in words, with the verb.
        missing: String,
    },
    /// The numbers of a part cannot be read.
    #[error("cannot read {path}: {reason}")]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
}

impl PartsError {
    /// The error for a file of a part whose content does not fit.
    pub(crate) fn read(path: &Path, reason: impl ToString) -> Self {
        Self::Read { path: path.to_path_buf(), reason: reason.to_string() }
    }
}

/// A finished part of a job.
#[derive(Clone, Debug)]
pub struct PartFolder {
    /// The path of its folder.
    pub path: PathBuf,
    /// How it was made.
    pub made_by: MadeBy,
}

/// The parts in these folders, in their order in the whole job.
///
/// # Errors
/// They are not all parts of one job: a folder is none or is unfinished, parts differ in what they belong to, a part is
/// missing or there twice.
pub fn parts_in(folders: &[PathBuf]) -> Result<Vec<PartFolder>, PartsError> {
    let mut found: Vec<(Shard, &PartOf, PartFolder)> = Vec::new();
    let records: Vec<Option<MadeBy>> = folders.iter().map(|path| MadeBy::of(path)).collect();
    for (path, made_by) in folders.iter().zip(&records) {
        let made_by = made_by.as_ref().ok_or_else(|| PartsError::NoResults(path.clone()))?;
        let part = made_by.part.as_ref().ok_or_else(|| PartsError::Whole(path.clone()))?;
        if let Some((_, first_part, first)) = found.first() {
            let differences = differences(first, first_part, made_by, part);
            if !differences.is_empty() {
                return Err(PartsError::Different {
                    first: first.path.clone(),
                    other: path.clone(),
                    differences: some_of(&differences),
                });
            }
        }
        if !made_by.finished {
            return Err(PartsError::Unfinished { path: path.clone(), shard: part.shard });
        }
        if let Some((shard, _, first)) = found.iter().find(|(shard, ..)| *shard == part.shard) {
            let (first, other) = (first.path.clone(), path.clone());
            return Err(PartsError::Twice { first, other, shard: *shard });
        }
        let folder = PartFolder { path: path.clone(), made_by: made_by.clone() };
        found.push((part.shard, part, folder));
    }
    let count = found.first().map_or(0, |(shard, ..)| shard.count());
    let is_there = |number: &usize| found.iter().any(|(shard, ..)| shard.number() == *number);
    let missing: Vec<String> = (1..=count)
        .filter(|number| !is_there(number))
        // A record may claim any number of parts.
        .take(MOST_MISSING)
        .map(|number| format!("{number}/{count}"))
        .collect();
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        return Err(PartsError::Missing {
            count,
            missing: format!("{} {verb}", some_of(&missing)),
        });
    }
    found.sort_by_key(|(shard, ..)| shard.number());
    Ok(found.into_iter().map(|(.., folder)| folder).collect())
}

/// What differs between two parts that should belong to one job, each in a few words.
fn differences(
    first: &PartFolder,
    first_part: &PartOf,
    other: &MadeBy,
    other_part: &PartOf,
) -> Vec<String> {
    let made_by = &first.made_by;
    let mut found = Vec::new();
    let mut compare = |what: &str, first: &dyn ToString, other: &dyn ToString| {
        let (first, other) = (first.to_string(), other.to_string());
        if first != other {
            found.push(format!("its {what} is {other}, not {first}"));
        }
    };
    compare("command", &made_by.job.command(), &other.job.command());
    compare("version of jempp", &made_by.jempp, &other.jempp);
    // The same file may lie in folders of different names, each on its own machine.
    if made_by.sha256 != other.sha256 {
        match made_by.model == other.model {
            true => compare("model's SHA-256", &made_by.sha256, &other.sha256),
            false => compare("model", &made_by.model, &other.model),
        }
    }
    compare("seed", &made_by.seed, &other.seed);
    compare("number of parts", &first_part.shard.count(), &other_part.shard.count());
    if found.is_empty() {
        differing("", &first_part.settings, &other_part.settings, &mut found);
    }
    found
}

/// Adds what differs between two settings; `key` is where they are.
fn differing(key: &str, first: &Value, other: &Value, found: &mut Vec<String>) {
    if let (Value::Object(a), Value::Object(b)) = (first, other) {
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for name in keys {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            let value = |of: &serde_json::Map<String, Value>| of.get(name).cloned();
            let [first, other] = [value(a), value(b)].map(Option::unwrap_or_default);
            differing(&key, &first, &other, found);
        }
    } else if first != other {
        let text = |value: &Value| match value {
            Value::Null => "the default".to_string(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        found.push(format!("its {key} is {}, not {}", text(other), text(first)));
    }
}

/// Writes the numbers of a part to a file, with a checksum.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_numbers(path: &Path, numbers: &impl Serialize) -> std::io::Result<()> {
    let numbers = postcard::to_stdvec(numbers).map_err(std::io::Error::other)?;
    let mut bytes = sha256(&numbers).into_bytes();
    bytes.extend(numbers);
    write_atomically(path, &bytes)
}

impl PartFolder {
    /// The path of one of the part's files.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Checks that the part's files are what was written, as far as its record knows them.
    ///
    /// # Errors
    /// A file cannot be read, or is not what was written.
    pub(crate) fn check_files(&self) -> Result<(), PartsError> {
        for (name, checksum) in self.made_by.part.iter().flat_map(|part| &part.checksums) {
            let path = self.file(name);
            let found = sha256_of(&path).map_err(|error| PartsError::read(&path, error))?;
            if found != *checksum {
                return Err(PartsError::read(&path, DAMAGED));
            }
        }
        Ok(())
    }

    /// Reads the numbers of the part.
    ///
    /// # Errors
    /// The file cannot be read, or is not what was written.
    pub(crate) fn numbers<T: for<'a> Deserialize<'a>>(&self) -> Result<T, PartsError> {
        let path = self.file(PART_FILE);
        let bytes =
            read_at_most(&path, PART_BYTES).map_err(|error| PartsError::read(&path, error))?;
        let (checksum, numbers) = bytes
            .split_at_checked(CHECKSUM_LEN)
            .ok_or_else(|| PartsError::read(&path, "it is too short. Make that part again"))?;
        if checksum != sha256(numbers).as_bytes() {
            return Err(PartsError::read(&path, DAMAGED));
        }
        postcard::from_bytes(numbers).map_err(|error| PartsError::read(&path, error))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::results_folder::{Destination, Job};

    fn part(number: usize, count: usize, settings: Value) -> MadeBy {
        let made_by = MadeBy::new(Job::Sample, "jempp".into(), "fashion".into(), "0".into(), 0);
        let shard = Shard::new(number, count).unwrap();
        MadeBy { part: Some(PartOf::new(shard, settings)), ..made_by }
    }

    /// Writes the record of a part into a new folder of `dir`; `None` leaves it unfinished.
    fn folder(dir: &Path, name: &str, made_by: MadeBy, is_finished: bool) -> PathBuf {
        let path = dir.join(name);
        let folder = Destination::at(&path, false).claim(made_by).unwrap();
        if is_finished {
            folder.finish().unwrap();
        }
        path
    }

    #[test]
    fn parts_come_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let of = |number: usize| {
            folder(dir.path(), &number.to_string(), part(number, 3, json!({})), true)
        };
        let folders = [3, 1, 2].map(of);
        let found = parts_in(&folders).unwrap();
        let names = found.iter().map(|part| part.path.file_name().unwrap().to_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["1", "2", "3"]);
    }

    #[test]
    fn what_makes_no_whole_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let settings = |size: f64| json!({ "sampler": { "step_size": size }, "data": "a" });
        let make = |name: &str, made_by| folder(dir.path(), name, made_by, true);
        let first = make("first", part(1, 2, settings(0.1)));
        let second = make("second", part(2, 2, settings(0.1)));
        let again = make("again", part(1, 2, settings(0.1)));
        let step = make("step", part(2, 2, settings(0.2)));
        let third = make("third", part(2, 3, settings(0.1)));
        let seed = make("seed", MadeBy { seed: 5, ..part(2, 2, settings(0.1)) });
        let version =
            make("version", MadeBy { jempp: "0.0.1".into(), ..part(2, 2, settings(0.1)) });
        let model = make("model", MadeBy { sha256: "1".into(), ..part(2, 2, settings(0.1)) });
        let named = |name: &str| MadeBy { model: name.into(), ..part(2, 2, settings(0.1)) };
        let copy = make("copy", named("copy"));
        let other = make("other", MadeBy { sha256: "1".into(), ..named("other") });
        let job = make("job", MadeBy { job: Job::Eval, ..part(2, 2, settings(0.1)) });
        let whole = make("whole", MadeBy { part: None, ..part(1, 1, json!({})) });
        let open = folder(dir.path(), "open", part(2, 2, settings(0.1)), false);
        let nothing = dir.path().join("nothing");
        assert_eq!(parts_in(&[second.clone(), first.clone()]).unwrap().len(), 2);
        assert_eq!(parts_in(&[first.clone(), copy]).unwrap().len(), 2, "one model in two folders");
        for (folders, expected) in [
            (vec![&first, &step], "its sampler.step_size is 0.2, not 0.1"),
            (vec![&first, &third], "its number of parts is 3, not 2"),
            (vec![&first, &seed], "its seed is 5, not 0"),
            (vec![&first, &version], "its version of jempp is 0.0.1, not"),
            (vec![&first, &model], "its model's SHA-256 is 1, not 0"),
            (vec![&first, &other], "its model is other, not fashion"),
            (vec![&first, &job], "its command is jempp eval, not jempp sample"),
            (vec![&first, &whole], "whole holds the results of a whole job, not of a part"),
            (vec![&first, &open], "open holds part 2/2, which is unfinished"),
            (vec![&first, &nothing], "nothing holds no results of jempp"),
            (vec![&first, &second, &again], "first and "),
            (vec![&first], "of 2 parts, 2/2 is missing"),
            (vec![&third], "of 3 parts, 1/3, 3/3 are missing"),
        ] {
            let folders: Vec<PathBuf> = folders.into_iter().cloned().collect();
            let error = parts_in(&folders).unwrap_err().to_string();
            assert!(error.contains(expected), "{error} instead of {expected}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn damaged_numbers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = folder(dir.path(), "one", part(1, 1, json!({})), true);
        let part = PartFolder { path: path.clone(), made_by: part(1, 1, json!({})) };
        let file = path.join(PART_FILE);
        write_numbers(&file, &vec![1.5f32, f32::NAN, -0.0]).unwrap();
        let read: Vec<f32> = part.numbers().unwrap();
        assert!(read[0] == 1.5 && read[1].is_nan() && read[2].is_sign_negative());
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        write_atomically(&file, &bytes).unwrap();
        assert!(part.numbers::<Vec<f32>>().unwrap_err().to_string().contains("damaged"));
        write_atomically(&file, &bytes[..9]).unwrap();
        assert!(part.numbers::<Vec<f32>>().unwrap_err().to_string().contains("too short"));
    }

    #[test]
    fn a_finished_part_knows_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        let out = Destination::at(&path, false);
        let folder = out.claim(part(1, 1, json!({}))).unwrap();
        for name in ["traces.csv", PART_FILE] {
            write_atomically(&folder.file(name), b"some rows").unwrap();
        }
        folder.finish().unwrap();
        let found = || parts_in(std::slice::from_ref(&path)).unwrap().remove(0);
        let checksums = found().made_by.part.unwrap().checksums;
        assert_eq!(checksums, [("traces.csv".to_string(), sha256(b"some rows"))].into());
        found().check_files().unwrap();
        write_atomically(&path.join("traces.csv"), b"same rows").unwrap();
        let said = found().check_files().unwrap_err().to_string();
        assert!(
            said.contains("traces.csv: it is damaged") && said.contains("Make that part"),
            "{said}"
        );
        std::fs::remove_file(path.join("traces.csv")).unwrap();
        assert!(found().check_files().unwrap_err().to_string().contains("traces.csv"));
        // A part of an earlier jempp has no checksums.
        let old = PartFolder { path, made_by: part(1, 1, json!({})) };
        old.check_files().unwrap();
    }
}
