//! Search for the one folder that holds all files of a data set, starting from the given folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{cifar, idx, svhn};
use crate::{
    config::DatasetName,
    data::{
        DataError,
        sets::{name as cli_name, official},
    },
    files::file_name,
    picture::is_picture,
};

/// Usual folder names of data sets, in lower case without punctuation.
const FOLDERS: [(&str, Named); 12] = [
    ("mnist", Named::Ours(DatasetName::Mnist)),
    ("fashionmnist", Named::Ours(DatasetName::FashionMnist)),
    ("fashion", Named::Ours(DatasetName::FashionMnist)),
    ("cifar10", Named::Ours(DatasetName::Cifar10)),
    ("cifar10batchesbin", Named::Ours(DatasetName::Cifar10)),
    ("cifar100", Named::Ours(DatasetName::Cifar100)),
    ("cifar100binary", Named::Ours(DatasetName::Cifar100)),
    ("svhn", Named::Ours(DatasetName::Svhn)),
    ("emnist", Named::LikeMnist("EMNIST")),
    ("kmnist", Named::LikeMnist("KMNIST")),
    ("qmnist", Named::LikeMnist("QMNIST")),
    ("notmnist", Named::LikeMnist("notMNIST")),
];

/// The data set that a folder is named after.
#[derive(Clone, Copy)]
enum Named {
    Ours(DatasetName),
    /// A data set that jempp does not support, with the same file names as MNIST.
    LikeMnist(&'static str),
}

impl Named {
    fn name(self) -> String {
        match self {
            Self::Ours(dataset) => cli_name(dataset),
            Self::LikeMnist(name) => name.to_string(),
        }
    }
}

/// A folder with all files of a data set.
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    /// The paths of the files, in the order of [`files_of`].
    pub(super) files: Vec<PathBuf>,
    /// Other candidates that were found, and why each was not used.
    pub(super) skipped: Vec<String>,
}

/// A folder that holds some files with the names of the data set.
struct Candidate {
    dir: PathBuf,
    files: Vec<Option<PathBuf>>,
    named: Option<Named>,
}

impl Candidate {
    fn of(dir: PathBuf, names: &[Vec<String>]) -> Option<Self> {
        let files: Vec<Option<PathBuf>> =
            names.iter().map(|names| find_file(&dir, names)).collect();
        let named = name_of(&dir);
        files.iter().any(Option::is_some).then_some(Self { dir, files, named })
    }

    fn is_whole(&self) -> bool {
        self.files.iter().all(Option::is_some)
    }

    /// The other data set that the folder is named after, if that data set has the same file names.
    fn other(&self, dataset: DatasetName) -> Option<Named> {
        self.named.filter(|named| match *named {
            Named::Ours(other) => other != dataset && files_of(other) == files_of(dataset),
            Named::LikeMnist(_) => files_of(dataset) == idx::files(),
        })
    }

    /// As [`Self::other`], but an unsupported data set is allowed if the user named this folder directly.
    fn refusal(&self, dataset: DatasetName, root: &Path) -> Option<Named> {
        let is_named = self.dir == root || self.dir == root.join("raw");
        self.other(dataset).filter(|other| !is_named || matches!(other, Named::Ours(_)))
    }

    /// The preference of the folder, lower is better: the given folder, one named after the data set, any other.
    fn rank(&self, dataset: DatasetName, root: &Path) -> usize {
        match self.named {
            _ if self.dir == root => 0,
            Some(Named::Ours(named)) if named == dataset => 1,
            _ => 2,
        }
    }

    fn lacks(&self, names: &[Vec<String>]) -> String {
        let missing = self.files.iter().zip(names).filter(|(file, _)| file.is_none());
        let missing: Vec<&str> = missing.map(|(_, names)| names[0].as_str()).collect();
        format!("{} lacks {}", self.dir.display(), missing.join(", "))
    }
}

/// Finds the folder in `root` that holds all files of `dataset`: `root` itself, a folder in it (where archives unpack
/// to), or the folder `raw` in one of these, as torchvision stores them.
///
/// # Errors
/// No folder or more than one folder holds all files.
pub(super) fn find(dataset: DatasetName, root: &Path) -> Result<Folder, DataError> {
    let names = files_of(dataset);
    let candidates = candidates(root, &names)?;
    let (whole, partial): (Vec<_>, Vec<_>) = candidates.into_iter().partition(Candidate::is_whole);
    let (others, mut whole): (Vec<_>, Vec<_>) =
        whole.into_iter().partition(|candidate| candidate.refusal(dataset, root).is_some());
    whole.sort_by_key(|candidate| candidate.rank(dataset, root));
    let Some(best) = whole.first() else {
        return Err(nothing(dataset, root, &names, &others, &partial));
    };
    let rank = best.rank(dataset, root);
    let num_best = whole.iter().filter(|other| other.rank(dataset, root) == rank).count();
    if num_best > 1 {
        let found: Vec<String> =
            whole[..num_best].iter().map(|candidate| candidate.dir.display().to_string()).collect();
        let found = found.join(", ");
        return Err(DataError::Several { dataset: cli_name(dataset), dir: root.into(), found });
    }
    let mut whole = whole.into_iter();
    let Some(best) = whole.next() else { unreachable!("the first of them was looked at") };
    let named = others.iter().filter_map(|other| {
        Some(format!("{} (named for {})", other.dir.display(), other.named?.name()))
    });
    let copies = whole.map(|other| format!("{} (holds such files too)", other.dir.display()));
    let parts = partial.iter().map(|other| format!("{} (not complete)", other.dir.display()));
    Ok(Folder {
        skipped: named.chain(copies).chain(parts).collect(),
        files: best.files.into_iter().flatten().collect(),
        dir: best.dir,
    })
}

/// The error to report when no folder was found.
fn nothing(
    dataset: DatasetName,
    root: &Path,
    names: &[Vec<String>],
    others: &[Candidate],
    partial: &[Candidate],
) -> DataError {
    let name = cli_name(dataset);
    let refusal = |other: &Candidate| Some((other.dir.clone(), other.refusal(dataset, root)?));
    if let Some((dir, other)) = others.iter().find_map(refusal) {
        let other_name = other.name();
        let advice = match other {
            Named::Ours(_) => format!("choose data.dataset = {other_name}, or rename the folder"),
            Named::LikeMnist(_) => "name that folder in data.dir to read it nevertheless".into(),
        };
        return DataError::OtherSet { dir, dataset: name, other: other_name, advice };
    }
    if partial.len() > 1 {
        let found: Vec<String> = partial.iter().map(|candidate| candidate.lacks(names)).collect();
        return DataError::Scattered { dataset: name, found: found.join("; ") };
    }
    let (dir, missing) = match partial {
        [one, ..] => (&*one.dir, one.files.iter().position(Option::is_none).unwrap_or(0)),
        [] => (root, 0),
    };
    let hint = looks_like(root).map(|found| format!("; {found}")).unwrap_or_default();
    let shown = names[missing][..names[missing].len().min(2)].join(", ");
    DataError::Missing { names: shown, dir: dir.into(), hint }
}

/// The possible names of each file of a data set.
fn files_of(dataset: DatasetName) -> Vec<Vec<String>> {
    match dataset {
        DatasetName::Mnist | DatasetName::FashionMnist => idx::files(),
        DatasetName::Cifar10 => cifar::files(&cifar::FILES_10),
        DatasetName::Cifar100 => cifar::files(&cifar::FILES_100),
        DatasetName::Svhn => svhn::FILES.map(|name| vec![name.to_string()]).to_vec(),
        _ => Vec::new(),
    }
}

/// The folders that hold a file with one of these names: `root` and the folders in it, sorted by path.
fn candidates(root: &Path, names: &[Vec<String>]) -> Result<Vec<Candidate>, DataError> {
    let below = folders_in(root)?;
    let raw = below.iter().map(|folder| folder.join("raw"));
    let mut folders: Vec<PathBuf> = raw.chain(below.iter().cloned()).collect();
    folders.push(root.to_path_buf());
    folders.sort();
    folders.dedup();
    Ok(folders.into_iter().filter_map(|folder| Candidate::of(folder, names)).collect())
}

/// The folders in a folder, without hidden system folders.
fn folders_in(root: &Path) -> Result<Vec<PathBuf>, DataError> {
    let refused = |reason| DataError::Folder { dir: root.to_path_buf(), reason };
    match fs::metadata(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(refused("there is no such folder"));
        }
        Ok(found) if !found.is_dir() => {
            return Err(refused("it is not a folder; name the folder that holds its files"));
        }
        _ => {}
    }
    let io = |source| DataError::Io { path: root.to_path_buf(), source };
    let mut folders = Vec::new();
    for entry in fs::read_dir(root).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let is_hidden = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with('.') || name == "__MACOSX"
        });
        if !is_hidden && path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// The first of `names` that is a file in `dir`; otherwise the first that exists at all, so that reading it gives the
/// error.
fn find_file(dir: &Path, names: &[String]) -> Option<PathBuf> {
    let paths = || names.iter().map(|name| dir.join(name));
    paths().find(|path| path.is_file()).or_else(|| paths().find(|path| path.exists()))
}

/// The data set that a folder, or the parent of a folder `raw`, is named after.
fn name_of(dir: &Path) -> Option<Named> {
    // The absolute path gives `.` a name.
    let dir = std::path::absolute(dir).ok()?;
    let dir = if dir.ends_with("raw") { dir.parent()? } else { &dir };
    let name: String =
        dir.file_name()?.to_string_lossy().chars().filter(|c| c.is_alphanumeric()).collect();
    let name = name.to_lowercase();
    FOLDERS.iter().find(|(known, _)| *known == name).map(|(_, named)| *named)
}

/// A hint on which official data set a folder holds, and what to do with it.
pub(in crate::data) fn official_in(root: &Path) -> Option<String> {
    let holds = |dataset: &DatasetName| {
        let found = candidates(root, &files_of(*dataset)).unwrap_or_default();
        found.iter().any(|found| found.is_whole() && found.other(*dataset).is_none())
    };
    let sets: Vec<String> = official().filter(holds).map(cli_name).collect();
    if !sets.is_empty() {
        return Some(format!("the files there fit data.dataset = {}", sets.join(" or ")));
    }
    let folders = with_folders(root)?;
    let has = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    if has("batches.meta") || has("data_batch_1") {
        return Some(python("CIFAR-10", "cifar10"));
    }
    if has("meta") && has("train") && has("test") {
        return Some(python("CIFAR-100", "cifar100"));
    }
    None
}

/// A folder and the folders in it.
fn with_folders(root: &Path) -> Option<Vec<PathBuf>> {
    let mut folders = folders_in(root).ok()?;
    folders.push(root.to_path_buf());
    Some(folders)
}

/// A hint on what a folder seems to hold, and what to do with it.
pub(super) fn looks_like(root: &Path) -> Option<String> {
    if let Some(hint) = official_in(root) {
        return Some(hint);
    }
    let folders = with_folders(root)?;
    let files = || folders.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let is_packed = |name: &String| {
        [".zip", ".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
    };
    let names = || files().map(|file| file_name(&file.path()));
    if let Some(name) = names().find(is_packed) {
        return Some(format!("{name} there is packed: unpack it first"));
    }
    // Detects files such as those of EMNIST.
    let known = idx::files().concat();
    if let Some(name) = names().find(|name| name.contains("-idx") && !known.contains(name)) {
        let wanted: Vec<String> = idx::files().into_iter().map(|names| names[0].clone()).collect();
        return Some(format!("{name} there has another name than these: {}", wanted.join(", ")));
    }
    files().any(|file| is_picture(&file.path())).then(|| {
        "choose data.dataset = custom to train on the pictures there, one folder per class".into()
    })
}

fn python(set: &str, name: &str) -> String {
    format!(
        "the folder holds the Python version of {set}; get the binary one with `jempp fetch {name}`"
    )
}

/// The data sets that are read from files, as text for messages.
pub(super) fn choices() -> String {
    let names: Vec<String> = official().map(cli_name).collect();
    format!("{} or, for your own images or points, custom", names.join(", "))
}
