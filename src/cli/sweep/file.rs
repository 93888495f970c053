//! The file of a sweep: its keys, and what is wrong with them in words.

use std::path::PathBuf;

use anyhow::{anyhow, ensure};
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::config::{SECTIONS, meant, nearest, shortened, syntax};

/// The longest key that an error repeats in full, in characters.
const MAX_ECHO: usize = 80;

/// The keys of a sweep's file, and what each must be.
const KEYS: [(&str, &str); 6] = [
    ("preset", "a text, as in preset = \"fashion-quick\""),
    ("data", "a text, the path of the data, as in data = \"pictures\""),
    ("seeds", "a list of whole numbers, 0 or more, as in seeds = [0, 1]"),
    ("set", "a section: [set], and below it keys as in training.epochs = 4"),
    ("grid", "a section: [grid], and below it lists as in training.epochs = [2, 4]"),
    ("run", "a list of sections: [[run]], and below each its name and its keys"),
];

/// Keys with their values, each as `--set` takes it.
pub(super) type Settings = Vec<(String, String)>;

/// The content of a sweep's file.
#[derive(Debug)]
pub(super) struct SweepFile {
    pub(super) preset: Option<String>,
    pub(super) data: Option<PathBuf>,
    pub(super) seeds: Vec<u64>,
    pub(super) set: Table,
    pub(super) grid: Table,
    pub(super) run: Vec<Table>,
}

impl SweepFile {
    /// Reads the text of a sweep's file.
    ///
    /// # Errors
    /// The text is not TOML, a key is unknown or its value is of the wrong type.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let table: Table = text.parse().map_err(|error| syntax(text, &error))?;
        let (mut preset, mut data, mut seeds) = (None, None::<PathBuf>, vec![0]);
        let (mut set, mut grid, mut run) = (Table::new(), Table::new(), Vec::new());
        for (key, value) in table {
            match key.as_str() {
                "preset" => preset = Some(read(&key, value)?),
                "data" => data = Some(read(&key, value)?),
                "seeds" => seeds = read(&key, value)?,
                "set" => set = read(&key, value)?,
                "grid" => grid = read(&key, value)?,
                "run" => run = read(&key, value)?,
                _ => return Err(unknown(&key)),
            }
        }
        // An empty path would be that of no data.
        ensure!(data.as_ref().is_none_or(|path| !path.as_os_str().is_empty()), wrong("data"));
        Ok(Self { preset, data, seeds, set, grid, run })
    }
}

/// The value of a key, if it is of the right type.
fn read<T: DeserializeOwned>(key: &str, value: Value) -> anyhow::Result<T> {
    value.try_into().map_err(|_| anyhow!(wrong(key)))
}

/// What a key must be, for the error about its value.
fn wrong(key: &str) -> String {
    let found = KEYS.iter().find(|(known, _)| *known == key);
    format!("`{key}` must be {}", found.map_or("of another type", |(_, what)| what))
}

/// The error for a key that a sweep's file does not have.
fn unknown(key: &str) -> anyhow::Error {
    let echo = shortened(key, MAX_ECHO);
    if SECTIONS.iter().any(|(section, _)| *section == key) {
        return anyhow!("the keys of `{echo}` belong below [set], [grid] or [[run]]");
    }
    let meant = meant(nearest(key, KEYS.iter().map(|(known, _)| *known)));
    anyhow!(
        "unknown key `{echo}`{meant} A sweep has preset, data, seeds, [set], [grid] and [[run]]"
    )
}

/// Whether a key belongs to the file itself, not to a run.
pub(super) fn is_of_file(key: &str) -> bool {
    KEYS.iter().any(|(known, _)| *known == key)
}

/// The keys of a table, as [`leaves`] finds them, with their values as texts.
pub(super) fn flat(table: Table, place: &str) -> anyhow::Result<Settings> {
    let leaves = leaves(table, place)?.into_iter();
    Ok(leaves.map(|(key, value)| (key, value.to_string())).collect())
}

/// The keys of a table with their sections, as in `sampler.step_size`, and their values.
///
/// # Errors
/// A key is there twice: for TOML, `"a.b"` and `a.b` are two keys.
pub(super) fn leaves(table: Table, place: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    gather(table, "", &mut found);
    for (index, (key, _)) in found.iter().enumerate() {
        ensure!(
            found[..index].iter().all(|(other, _)| other != key),
            "`{key}` is in {place} twice: keep one of them"
        );
    }
    Ok(found)
}

fn gather(table: Table, prefix: &str, found: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            Value::Table(inner) => gather(inner, &format!("{key}."), found),
            value => found.push((key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_key_is_said_in_words() {
        for (text, words) in [
            (
                "seeds = \"0-3\"",
                "`seeds` must be a list of whole numbers, 0 or more, as in seeds = [0, 1]",
            ),
            ("seeds = [\"0\"]", "`seeds` must be a list of whole numbers"),
            ("seeds = [-1]", "`seeds` must be a list of whole numbers"),
            ("seeds = [0.5]", "`seeds` must be a list of whole numbers"),
            ("preset = 3", "`preset` must be a text"),
            ("data = [\"a\"]", "`data` must be a text, the path of the data"),
            (
                "data = \"\"",
                "`data` must be a text, the path of the data, as in data = \"pictures\"",
            ),
            ("set = 1", "`set` must be a section"),
            ("grid = [1]", "`grid` must be a section"),
            ("[run]\nname = \"a\"", "`run` must be a list of sections: [[run]]"),
            (
                "seedz = [1]",
                "unknown key `seedz`; did you mean `seeds`? A sweep has preset, data, seeds,",
            ),
            ("[sets]\ntraining.epochs = 1", "unknown key `sets`; did you mean `set`?"),
            ("training.epochs = 1", "the keys of `training` belong below [set], [grid] or [[run]]"),
            ("preset = \"a\"\nseeds = [", "not valid TOML at line 2: "),
        ] {
            let said = SweepFile::parse(text).unwrap_err().to_string();
            assert!(said.contains(words), "{text}: {said}");
            assert!(!said.contains("u64") && !said.contains("sequence"), "{text}: {said}");
        }
        let file = SweepFile::parse("data = \"x\"\n[[run]]\nname = \"a\"").unwrap();
        assert_eq!((file.seeds, file.run.len(), file.preset), (vec![0], 1, None));
    }
}
