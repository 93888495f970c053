//! Output folders and files of commands. Existing files are never replaced without permission.
//!
//! A results folder also holds [`MADE_BY`], which names the command that made the results and whether it finished. A
//! folder that is not empty is rejected. With permission ([`Destination::replaces`]), all files of the earlier results
//! are replaced together, and no other file.

mod file;
mod made_by;
mod parts;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::files::{self, FolderLock, LockError, WithinData, write_atomically};
pub(crate) use file::{check_file, write_file};
pub use made_by::{FRAMES_FILE, Job, MADE_BY, MadeBy};
pub(crate) use parts::write_numbers;
pub use parts::{PART_FILE, PartFolder, PartOf, PartsError, parts_in};

/// Limit on the file names that an error lists.
const NUM_NAMED: usize = 3;
/// Limit on the folders that one job tries, each of which another job has just taken.
const MAX_TRIES: usize = 1000;

/// Why results cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The folder already holds results.
    #[error("{path} holds {made_by}; nothing is replaced unasked")]
    Taken {
        /// The path of the folder.
        path: PathBuf,
        /// The record of the command that made the results.
        made_by: Box<MadeBy>,
    },
    /// The folder holds files that are not results.
    #[error("{path} is not empty: it holds {found}; nothing is replaced unasked")]
    NotOurs {
        /// The path of the folder.
        path: PathBuf,
        /// The names of some of the files.
        found: String,
        /// The names of the files that the command writes.
        own: String,
    },
    /// Another process is writing to the folder.
    #[error("another jempp writes into {0} now: take another folder, or wait until it is done")]
    Busy(PathBuf),
    /// The file exists already.
    #[error("{0} already exists; nothing is replaced unasked")]
    Exists(PathBuf),
    /// The path is a file, but a folder is needed.
    #[error("{0} is a file where a folder is needed")]
    NoFolder(PathBuf),
    /// The path is a folder, but a file is needed.
    #[error("{0} is a folder where a file is needed")]
    Folder(PathBuf),
    /// The output would land in the data that the command reads.
    #[error(transparent)]
    WithinData(#[from] WithinData),
    /// The path is an object that is neither a regular file nor missing, but a file is to be written.
    #[error("{0} is not a regular file, so it cannot be replaced")]
    NoFile(PathBuf),
    /// The command would replace its own input file.
    #[error("{0} is the file to read; it cannot be replaced by what is made of it")]
    Input(PathBuf),
    /// The operating system refused an action.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl ResultsError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// A folder for results, and whether existing results may be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The path of the folder.
    pub path: PathBuf,
    /// Whether existing results may be replaced.
    pub replaces: bool,
    /// The path that was wanted, if the folder is the first free one beside it.
    wanted: Option<PathBuf>,
}

impl Destination {
    /// The folder at this path and no other.
    pub fn at(path: &Path, replaces: bool) -> Self {
        Self { path: path.to_path_buf(), replaces, wanted: None }
    }

    /// The folder itself if it is free, otherwise the first free one of `<path>-2`, `<path>-3` and so on. If another job
    /// takes that one before it is claimed, the next one counts.
    pub fn beside(path: &Path) -> Self {
        let numbered = |number: u32| match number {
            1 => path.to_path_buf(),
            number => PathBuf::from(format!("{}-{number}", path.display())),
        };
        let is_free = |path: &PathBuf| match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        let free = (1..).map(numbered).find(is_free);
        let wanted = path.to_path_buf();
        Self { path: free.unwrap_or_else(|| wanted.clone()), replaces: false, wanted: Some(wanted) }
    }

    /// The folder as it is free now.
    fn now(&self) -> Self {
        self.wanted.as_deref().map_or_else(|| self.clone(), Self::beside)
    }

    /// Checks that the results do not land in the data at `data`, if that is a folder.
    ///
    /// # Errors
    /// They would.
    pub fn check_outside(&self, data: &Path) -> Result<(), ResultsError> {
        Ok(files::check_outside(&self.path, data)?)
    }

    /// Checks that `job` may write to this folder. Returns the names of the files that it will keep.
    ///
    /// # Errors
    /// The folder holds something that may not be replaced, or the path is not a folder.
    pub fn check(&self, job: Job) -> Result<Vec<String>, ResultsError> {
        self.now().check_here(job, None)
    }

    /// Does [`Destination::check`] for a job that will write `files`, if these are known.
    fn check_here(&self, job: Job, files: Option<&[String]>) -> Result<Vec<String>, ResultsError> {
        let path = &self.path;
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_writable(path)?;
                return Ok(Vec::new());
            }
            Err(_) if path.is_file() => return Err(ResultsError::NoFolder(path.clone())),
            Err(source) => return Err(ResultsError::io(path)(source)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(ResultsError::io(path))?.file_name();
            found.push(name.to_string_lossy().into_owned());
        }
        // A job that claims the folder locks it for a moment.
        found.retain(|name| name != files::LOCK_NAME);
        found.sort();
        if found.is_empty() {
            check_writable(&path.join(MADE_BY))?;
            return Ok(found);
        }
        let marker = path.join(MADE_BY);
        if let Ok(file) = fs::File::open(&marker)
            && let Err(fs::TryLockError::WouldBlock) = file.try_lock_shared()
        {
            return Err(ResultsError::Busy(path.clone()));
        }
        let made_by = MadeBy::of(path);
        if !self.replaces {
            return Err(match made_by {
                Some(made_by) => {
                    ResultsError::Taken { path: path.clone(), made_by: Box::new(made_by) }
                }
                None => ResultsError::NotOurs {
                    path: path.clone(),
                    found: some_of(&found),
                    own: job.files().join(", "),
                },
            });
        }
        check_writable(&marker)?;
        let is_own = owner(job, files, made_by.as_ref());
        for name in found.iter().filter(|name| is_own(name)) {
            let file = path.join(name);
            if fs::symlink_metadata(&file).is_ok_and(|found| found.is_dir()) {
                return Err(ResultsError::NoFile(file));
            }
        }
        found.retain(|name| !is_own(name));
        Ok(found)
    }

    /// Reserves the folder for a job: checks it, removes earlier results if they may be replaced, and writes
    /// [`MADE_BY`].
    ///
    /// # Errors
    /// As [`Destination::check`]; also, another job took the folder in the meantime, or the operating system refuses.
    pub fn claim(&self, made_by: MadeBy) -> Result<ResultsFolder, ResultsError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.now().claim_here(made_by.clone()) {
                // Another job was faster; the next number is free.
                Err(ResultsError::Busy(_) | ResultsError::Taken { .. })
                    if self.wanted.is_some() && tries < MAX_TRIES => {}
                claimed => return claimed,
            }
        }
    }

    fn claim_here(&self, made_by: MadeBy) -> Result<ResultsFolder, ResultsError> {
        let (job, files) = (made_by.job, made_by.files.as_deref());
        self.check_here(job, files)?;
        let path = &self.path;
        fs::create_dir_all(path).map_err(ResultsError::io(path))?;
        // One job at a time looks at the folder and takes it.
        let _lock = FolderLock::take(path).map_err(|error| match error {
            LockError::Held(_) => ResultsError::Busy(path.clone()),
            LockError::Io(source) => ResultsError::io(path)(source),
        })?;
        self.check_here(job, files)?;
        if self.replaces {
            let earlier = MadeBy::of(path);
            let is_own = owner(job, files, earlier.as_ref());
            files::sweep(path, &is_own);
            for name in files::names_in(path).iter().filter(|name| is_own(name)) {
                let file = path.join(name);
                match fs::remove_file(&file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(ResultsError::io(&file)(error));
                    }
                    _ => {}
                }
            }
        }
        let marker = path.join(MADE_BY);
        let mut file = match fs::OpenOptions::new().write(true).create_new(true).open(&marker) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(ResultsError::Busy(path.clone()));
            }
            opened => opened.map_err(ResultsError::io(&marker))?,
        };
        // Without file locks, only this file shows that another job uses the folder.
        let _ = file.lock();
        let json = made_by.to_json();
        json.and_then(|json| file.write_all(&json)).map_err(ResultsError::io(&marker))?;
        Ok(ResultsFolder { path: path.clone(), made_by, lock: file })
    }
}

/// Tells the files to remove when `job`, which writes `files`, replaces the results of `earlier`: those of both.
fn owner(job: Job, files: Option<&[String]>, earlier: Option<&MadeBy>) -> impl Fn(&str) -> bool {
    move |name| {
        let is_earlier = earlier.is_some_and(|earlier| earlier.owns(name));
        name == MADE_BY || job.owns(files, name) || is_earlier
    }
}

/// The first few names, with the number of the others.
pub(crate) fn some_of(names: &[String]) -> String {
    let shown = names[..names.len().min(NUM_NAMED)].join(", ");
    match names.len() {
        0..=NUM_NAMED => shown,
        all => format!("{shown} and {} more", all - NUM_NAMED),
    }
}

/// A folder to which a job writes its results.
#[derive(Debug)]
pub struct ResultsFolder {
    path: PathBuf,
    made_by: MadeBy,
    /// The file [`MADE_BY`], locked while the job writes.
    lock: fs::File,
}

impl ResultsFolder {
    /// The path for a file of the job.
    pub fn file(&self, name: &str) -> PathBuf {
        debug_assert!(self.made_by.owns(name), "{name} would never be replaced");
        self.path.join(name)
    }

    /// Records that the job finished; of a part of a job also the checksums of its files, for what makes the whole.
    ///
    /// # Errors
    /// A file cannot be read, or the record cannot be written.
    pub fn finish(mut self) -> Result<(), ResultsError> {
        self.made_by.finished = true;
        let job = self.made_by.job;
        if let Some(part) = &mut self.made_by.part {
            for name in files::names_in(&self.path) {
                if job.owns(None, &name) && name != PART_FILE {
                    let path = self.path.join(&name);
                    let sum = files::sha256_of(&path);
                    part.checksums.insert(name, sum.map_err(ResultsError::io(&path))?);
                }
            }
        }
        let marker = self.path.join(MADE_BY);
        drop(self.lock);
        let json = self.made_by.to_json();
        json.and_then(|json| write_atomically(&marker, &json)).map_err(ResultsError::io(&marker))
    }
}

/// Checks that a file or folder can be created, before the work that fills it.
fn check_writable(path: &Path) -> Result<(), ResultsError> {
    let is_here = |folder: &Path| folder.as_os_str().is_empty();
    let folder = path.ancestors().skip(1).find(|folder| is_here(folder) || folder.exists());
    let folder = folder.filter(|folder| !is_here(folder)).unwrap_or(Path::new("."));
    match tempfile::tempfile_in(folder) {
        Ok(_) => Ok(()),
        Err(error) => Err(ResultsError::io(path)(error.kind().into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_by(job: Job) -> MadeBy {
        MadeBy::new(job, "jempp".into(), "fashion".into(), "0".into(), 0)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_whole_set_is_replaced_and_no_other_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let out = |replaces| Destination::at(&path, replaces);
        let folder = out(false).claim(made_by(Job::Sample)).unwrap();
        let error = out(true).check(Job::Sample).unwrap_err().to_string();
        assert!(error.contains("another jempp writes into"), "{error}");
        for name in ["draws.csv", "grid.png", "notes.txt"] {
            write_atomically(&path.join(name), b"x").unwrap();
        }
        drop(folder);
        let error = out(false).check(Job::Eval).unwrap_err().to_string();
        assert!(error.contains("unfinished results of `jempp sample` with the model fashion"));
        out(true).claim(made_by(Job::Sample)).unwrap().finish().unwrap();
        write_atomically(&path.join("draws.csv"), b"x").unwrap();
        let error = out(false).claim(made_by(Job::Sample)).unwrap_err().to_string();
        assert!(error.contains("the results of `jempp sample`"), "{error}");
        assert_eq!(out(true).check(Job::Eval).unwrap(), ["notes.txt"]);
        out(true).claim(made_by(Job::Eval)).unwrap();
        assert_eq!(names(&path), [MADE_BY, "notes.txt"]);
    }

    #[test]
    fn files_of_strangers_are_named_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.txt", "b.txt", "c.txt", "d.txt", "results.json"] {
            write_atomically(&dir.path().join(name), b"x").unwrap();
        }
        let out = |replaces| Destination::at(dir.path(), replaces);
        let error = out(false).check(Job::Sample).unwrap_err().to_string();
        assert!(error.contains("a.txt, b.txt, c.txt and 2 more"), "{error}");
        // A file that the job does not write must not be removed by it.
        out(true).claim(made_by(Job::Sample)).unwrap();
        assert!(dir.path().join("results.json").exists());
        fs::create_dir(dir.path().join("report.html")).unwrap();
        let error = out(true).check(Job::Eval).unwrap_err().to_string();
        assert!(error.contains("report.html is not a regular file"), "{error}");
    }

    #[test]
    fn a_default_folder_that_is_taken_gets_a_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples");
        for name in ["samples", "samples-2", "samples-3"] {
            let out = Destination::beside(&path);
            assert_eq!(out.path, dir.path().join(name));
            out.claim(made_by(Job::Sample)).unwrap();
        }
    }

    #[test]
    fn jobs_that_start_together_each_get_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let out = Destination::beside(&dir.path().join("samples"));
        let claim = || out.claim(made_by(Job::Sample)).unwrap().path.clone();
        let mut claimed: Vec<PathBuf> = std::thread::scope(|scope| {
            let jobs: Vec<_> = (0..8).map(|_| scope.spawn(claim)).collect();
            jobs.into_iter().map(|job| job.join().unwrap()).collect()
        });
        claimed.sort();
        claimed.dedup();
        assert_eq!(claimed.len(), 8, "{claimed:?}");
        for folder in &claimed {
            assert_eq!(names(folder), [MADE_BY]);
        }
        // Of those that may replace the same results, one does, and the others say that it does.
        let same = Destination::at(&dir.path().join("samples"), true);
        let claimed: Vec<_> = std::thread::scope(|scope| {
            let jobs: Vec<_> =
                (0..4).map(|_| scope.spawn(|| same.claim(made_by(Job::Sample)))).collect();
            jobs.into_iter().map(|job| job.join().unwrap()).collect()
        });
        assert_eq!(claimed.iter().filter(|claimed| claimed.is_ok()).count(), 1);
        for error in claimed.iter().filter_map(|claimed| claimed.as_ref().err()) {
            assert!(matches!(error, ResultsError::Busy(_)), "{error}");
        }
    }

    #[test]
    fn nothing_is_written_into_the_data() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("own");
        fs::create_dir_all(data.join("cat")).unwrap();
        write_atomically(&data.join("cat/1.png"), b"x").unwrap();
        for path in ["own/cat/1.png", "own/cat/sheet.png", "own/sheet.png"] {
            let error = check_file(&dir.path().join(path), true, Some(&data)).unwrap_err();
            assert!(error.to_string().contains("lies in the data folder"), "{error}");
        }
        check_file(&dir.path().join("sheet.png"), false, Some(&data)).unwrap();
        let within = Destination::at(&data.join("run"), false).check_outside(&data).unwrap_err();
        assert!(within.to_string().contains("choose a place outside that folder"), "{within}");
        Destination::at(&dir.path().join("run"), false).check_outside(&data).unwrap();
    }
}
