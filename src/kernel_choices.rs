//! The measured choices between the variants of a kernel, kept in the user's cache folder.
//!
//! The file has a line of JSON for each choice: the adapter, the version of the program, the class of layers, the
//! variant, and the time of each one that was measured. A line is appended in one write, so programs that run at the
//! same time keep each other's lines. Of several lines about the same layers, the last one counts.
//!
//! The file is only a cache. Nothing that is wrong with it stops the program: the kernels are then measured again, and
//! the reason is said once.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    files::{self, Log},
    kernels::tuner::{self, ChoiceStore, KeptChoice, Measuring},
};

/// The name of the file in the cache folder.
pub const FILE_NAME: &str = "kernel-choices.jsonl";
/// The extension that the file gets when it holds lines that cannot be read.
const SET_ASIDE: &str = "set-aside";
/// The size limit of the file in bytes. A line takes about 300.
const MAX_BYTES: u64 = 16 << 20;
/// A file of more bytes is written anew, without lines that do not count any more.
const COMPACT_BYTES: usize = 1 << 20;
/// The version of this program. Other versions may have other kernels.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The time that one run of the program may spend on measuring. The next run measures what is left.
const BUDGET: Duration = Duration::from_secs(2);

/// How the variants of the kernels are chosen on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// By the vendor of the adapter: the same kernels in every run of this version.
    Off,
    /// By earlier measurements. Layers that nobody has measured take the guess, and nothing is measured.
    Kept,
    /// By earlier measurements. Other layers are measured when they are computed first.
    On,
    /// By measuring all layers again.
    Again,
}

impl Tuning {
    /// Applies it to all layers that this process computes from now on. `report` gets each sentence that a person
    /// should read.
    pub fn start(self, report: impl FnMut(String) + Send + 'static) {
        let file = ChoiceFile::new(files::cache_folder(), report);
        let (file, budget) = match self {
            Self::Off => return,
            Self::Kept => (file, Duration::ZERO),
            Self::On => (file, BUDGET),
            Self::Again => (file.ignored(), BUDGET),
        };
        tuner::start(Box::new(file), Measuring { budget, on_software: false });
    }
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    version: String,
    adapter: String,
    layer: String,
    variant: String,
    micros: BTreeMap<String, f64>,
}

/// The part of a line that every version of the program can read.
#[derive(Deserialize)]
struct AnyLine {
    version: String,
}

/// The lines by adapter and class of layers.
type Lines = HashMap<(String, String), Line>;

/// The file of choices. It is read when the first choice is asked for, which never happens on the CPU.
pub struct ChoiceFile {
    path: Option<PathBuf>,
    is_ignored: bool,
    report: Box<dyn FnMut(String) + Send>,
    lines: Option<Lines>,
    /// `None` if nothing can be kept.
    log: Option<Log>,
    ends_within_line: bool,
}

impl ChoiceFile {
    /// The file in `folder`, which need not exist, or in none. `report` gets each sentence that a person should read.
    pub fn new(folder: Option<PathBuf>, report: impl FnMut(String) + Send + 'static) -> Self {
        Self {
            path: folder.map(|folder| folder.join(FILE_NAME)),
            is_ignored: false,
            report: Box::new(report),
            lines: None,
            log: None,
            ends_within_line: false,
        }
    }

    /// The file for a program that measures everything again: it knows no choice, and keeps the new ones.
    #[must_use]
    pub fn ignored(self) -> Self {
        Self { is_ignored: true, ..self }
    }

    /// The lines of the file, which is read the first time.
    fn lines(&mut self) -> &Lines {
        if self.lines.is_none() {
            let lines = self.read().unwrap_or_else(|reason| {
                (self.report)(reason);
                Lines::new()
            });
            self.lines = Some(lines);
        }
        self.lines.get_or_insert_default()
    }

    /// Reads the file and prepares to append to it.
    ///
    /// # Errors
    /// The reason, as a sentence, why there are no lines and none will be kept.
    fn read(&mut self) -> Result<Lines, String> {
        let Some(path) = &self.path else {
            return Err("no cache folder is known, so every run measures the kernels; JEMPP_CACHE names a folder".into());
        };
        let bytes = match files::read_at_most(path, MAX_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| {
                format!(
                    "{} cannot be read, so every run measures the kernels: {error}; delete it",
                    path.display()
                )
            })?,
        };
        let (lines, num_damaged) = parse(&bytes);
        self.ends_within_line = bytes.last().is_some_and(|last| *last != b'\n');
        if num_damaged > 0 || bytes.len() > COMPACT_BYTES {
            self.ends_within_line = false;
            let aside = (num_damaged > 0).then(|| path.with_extension(SET_ASIDE));
            write_anew(path, aside.as_deref(), &lines).map_err(|error| {
                let path = path.display();
                format!("{path} is damaged, so every run measures the kernels, and it cannot be replaced: {error}")
            })?;
            if let Some(aside) = aside {
                let (path, aside) = (path.display(), aside.display());
                (self.report)(format!(
                    "{path} had damaged lines and is now {aside}; the kernels that it missed are measured again"
                ));
            }
        }
        self.log = Some(Log::new(path));
        Ok(lines)
    }

    /// Appends a line to the file.
    fn append(&mut self, line: &Line) -> std::io::Result<()> {
        let (Some(path), Some(log)) = (&self.path, &mut self.log) else { return Ok(()) };
        files::create_dir(files::folder_of(path))?;
        let mut text = if self.ends_within_line { "\n".to_string() } else { String::new() };
        self.ends_within_line = false;
        text.push_str(&serde_json::to_string(line)?);
        text.push('\n');
        log.append(text.as_bytes())
    }
}

impl ChoiceStore for ChoiceFile {
    fn kept(&mut self, adapter: &str, layer: &str) -> Option<KeptChoice> {
        let is_ignored = self.is_ignored;
        let line = self.lines().get(&(adapter.to_string(), layer.to_string()))?;
        let mut micros: Vec<_> =
            line.micros.iter().map(|(variant, micros)| (variant.clone(), *micros)).collect();
        micros.sort_by(|a, b| a.1.total_cmp(&b.1));
        (!is_ignored).then(|| KeptChoice { variant: line.variant.clone(), micros })
    }

    fn keep(&mut self, adapter: &str, layer: &str, choice: &KeptChoice) {
        self.lines();
        let line = Line {
            version: VERSION.to_string(),
            adapter: adapter.to_string(),
            layer: layer.to_string(),
            variant: choice.variant.clone(),
            // A tenth of a microsecond is more than is measured.
            micros: choice
                .micros
                .iter()
                .map(|(name, micros)| (name.clone(), (10.0 * micros).round() / 10.0))
                .collect(),
        };
        if let Err(error) = self.append(&line) {
            self.log = None;
            let path = self.path.as_deref().unwrap_or(Path::new(FILE_NAME));
            (self.report)(format!(
                "{} cannot be written, so every run measures the kernels: {error}",
                path.display()
            ));
        }
    }
}

impl fmt::Debug for ChoiceFile {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("ChoiceFile").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The lines that this version of the program has written, and the number of damaged lines.
fn parse(bytes: &[u8]) -> (Lines, usize) {
    let mut lines = Lines::new();
    let mut num_damaged = 0;
    for text in bytes.split_inclusive(|byte| *byte == b'\n') {
        // Another program may be writing a last line that has no end yet.
        let is_whole = text.ends_with(b"\n");
        match serde_json::from_slice(text) {
            Ok(AnyLine { version }) if version != VERSION => {}
            Ok(AnyLine { .. }) => match serde_json::from_slice::<Line>(text) {
                Ok(line) => {
                    lines.insert((line.adapter.clone(), line.layer.clone()), line);
                }
                Err(_) => num_damaged += 1,
            },
            Err(_) if text.trim_ascii().is_empty() || !is_whole => {}
            Err(_) => num_damaged += 1,
        }
    }
    (lines, num_damaged)
}

/// Replaces the file by one with these lines alone. First renames it to `aside`, if that is given.
fn write_anew(path: &Path, aside: Option<&Path>, lines: &Lines) -> std::io::Result<()> {
    let mut text = String::new();
    for line in lines.values() {
        text.push_str(&serde_json::to_string(line)?);
        text.push('\n');
    }
    if let Some(aside) = aside {
        fs::rename(path, aside)?;
    }
    files::write_atomically(path, text.as_bytes())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests may")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const LAYER: &str = "forward 3x3, 64 to 64 channels, from 2^13 positions";

    /// The file in a folder, and what it reports.
    fn file(folder: Option<&Path>) -> (ChoiceFile, Arc<Mutex<Vec<String>>>) {
        let said = Arc::new(Mutex::new(Vec::new()));
        let to = said.clone();
        let report = move |sentence| to.lock().unwrap().push(sentence);
        (ChoiceFile::new(folder.map(Path::to_path_buf), report), said)
    }

    fn choice(variant: &str) -> KeptChoice {
        KeptChoice {
            variant: variant.into(),
            micros: vec![(variant.into(), 12.5), ("other".into(), 80.0)],
        }
    }

    fn kept(folder: &Path, adapter: &str) -> Option<KeptChoice> {
        file(Some(folder)).0.kept(adapter, LAYER)
    }

    #[test]
    fn a_choice_outlives_the_program_for_its_adapter_and_layer() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("not/there/yet");
        let (mut store, said) = file(Some(&folder));
        assert_eq!(store.kept("a", LAYER), None);
        store.keep("a", LAYER, &choice("large"));
        assert_eq!(kept(&folder, "a"), Some(choice("large")));
        assert_eq!(kept(&folder, "b"), None);
        assert_eq!(file(Some(&folder)).0.kept("a", "another layer"), None);
        assert!(said.lock().unwrap().is_empty());
    }

    #[test]
    fn programs_at_the_same_time_keep_each_others_choices_and_the_last_word_counts() {
        let dir = tempfile::tempdir().unwrap();
        let ((mut one, _), (mut two, _)) = (file(Some(dir.path())), file(Some(dir.path())));
        assert!(one.kept("a", LAYER).is_none() && two.kept("b", LAYER).is_none());
        one.keep("a", LAYER, &choice("large"));
        two.keep("b", LAYER, &choice("small"));
        one.keep("c", LAYER, &choice("large"));
        two.keep("c", LAYER, &choice("small"));
        let found = ["a", "b", "c"].map(|adapter| kept(dir.path(), adapter).unwrap().variant);
        assert_eq!(found, ["large", "small", "small"]);
    }

    #[test]
    fn a_program_that_measures_again_knows_nothing_and_replaces_what_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        file(Some(dir.path())).0.keep("a", LAYER, &choice("large"));
        let mut again = file(Some(dir.path())).0.ignored();
        assert_eq!(again.kept("a", LAYER), None);
        again.keep("a", LAYER, &choice("small"));
        assert_eq!(kept(dir.path(), "a"), Some(choice("small")));
    }

    #[test]
    fn damaged_lines_are_set_aside_and_said_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        file(Some(dir.path())).0.keep("a", LAYER, &choice("large"));
        let good = fs::read(&path).unwrap();
        let deep = [b"[".repeat(10_000), b"\n".to_vec()].concat();
        let short = format!("{{\"version\":\"{VERSION}\",\"adapter\":\"a\"}}\n");
        let broken: [&[u8]; 5] =
            [b"not JSON\n", b"\xff\xfe\0\n", b"[1, 2]\n", &deep, short.as_bytes()];
        for line in broken {
            fs::write(&path, [&good[..], line].concat()).unwrap();
            let (mut store, said) = file(Some(dir.path()));
            assert_eq!(store.kept("a", LAYER), Some(choice("large")));
            store.keep("b", LAYER, &choice("small"));
            assert_eq!(said.lock().unwrap().len(), 1, "{said:?}");
            assert!(said.lock().unwrap()[0].contains(FILE_NAME), "{said:?}");
            let (mut next, said) = file(Some(dir.path()));
            assert_eq!(next.kept("a", LAYER), Some(choice("large")));
            assert_eq!(next.kept("b", LAYER), Some(choice("small")));
            assert!(said.lock().unwrap().is_empty(), "{said:?}");
            assert!(fs::read(path.with_extension(SET_ASIDE)).unwrap().ends_with(line));
        }
    }

    #[test]
    fn lines_of_other_versions_and_an_unfinished_last_line_stay_and_are_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let other = "{\"version\":\"999.0.0\",\"anything\":[1]}\n\n";
        fs::write(&path, format!("{other}{{\"version\":")).unwrap();
        let (mut store, said) = file(Some(dir.path()));
        store.keep("a", LAYER, &choice("large"));
        assert!(said.lock().unwrap().is_empty());
        assert!(fs::read_to_string(&path).unwrap().starts_with(other));
        assert_eq!(kept(dir.path(), "a"), Some(choice("large")));
    }

    #[test]
    fn a_large_file_is_written_anew_with_what_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        file(Some(dir.path())).0.keep("a", LAYER, &choice("large"));
        let line = fs::read(&path).unwrap();
        fs::write(&path, line.repeat(COMPACT_BYTES / line.len() + 1)).unwrap();
        assert_eq!(kept(dir.path(), "a"), Some(choice("large")));
        assert_eq!(fs::read(&path).unwrap(), line);
    }

    #[test]
    fn without_a_place_to_keep_choices_the_program_goes_on_and_says_so_once() {
        let dir = tempfile::tempdir().unwrap();
        let occupied = dir.path().join("file");
        fs::write(&occupied, b"").unwrap();
        let a_folder = dir.path().join("folder");
        fs::create_dir_all(a_folder.join(FILE_NAME)).unwrap();
        for folder in [None, Some(occupied.as_path()), Some(a_folder.as_path())] {
            let (mut store, said) = file(folder);
            for layer in [LAYER, "another layer"] {
                assert_eq!(store.kept("a", layer), None);
                store.keep("a", layer, &choice("large"));
            }
            assert_eq!(said.lock().unwrap().len(), 1, "{folder:?}: {said:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_with_the_name_of_the_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = std::ffi::CString::new(dir.path().join(FILE_NAME).to_str().unwrap()).unwrap();
        // SAFETY: the path is a string that ends with 0 and outlives the call.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        let (mut store, said) = file(Some(dir.path()));
        store.keep("a", LAYER, &choice("large"));
        assert_eq!(said.lock().unwrap().len(), 1);
    }
}
