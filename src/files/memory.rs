//! Files in memory.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{BufRead, Cursor, Error, ErrorKind, Result},
    path::{Path, PathBuf},
};

thread_local! {
    static FILES: RefCell<BTreeMap<PathBuf, Vec<u8>>> = RefCell::default();
}

/// Whether there is such a file, or one below a folder of that name.
pub fn exists(path: &Path) -> bool {
    FILES.with_borrow(|files| files.keys().any(|file| file.starts_with(path)))
}

/// Whether there is such a file.
pub fn is_file(path: &Path) -> bool {
    FILES.with_borrow(|files| files.contains_key(path))
}

/// As [`exists`]: no folder is empty here.
pub fn is_taken(path: &Path) -> bool {
    exists(path)
}

/// The content of a file.
///
/// # Errors
/// There is none.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    FILES
        .with_borrow(|files| files.get(path).cloned())
        .ok_or_else(|| Error::from(ErrorKind::NotFound))
}

/// The content of a file of at most `most` bytes.
///
/// # Errors
/// There is none, or it is larger.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let bytes = read(path)?;
    if bytes.len() as u64 > most {
        let why =
            format!("it is larger than {} MiB, the most that is read of such a file", most >> 20);
        return Err(Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// The first `most` bytes of a file, or all that it has, and its length.
///
/// # Errors
/// There is none.
pub fn head(path: &Path, most: u64) -> Result<(Vec<u8>, u64)> {
    let mut bytes = read(path)?;
    let length = bytes.len() as u64;
    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok((bytes, length))
}

/// The content of a file, which goes.
///
/// # Errors
/// There is none.
pub fn take(path: &Path) -> Result<Vec<u8>> {
    FILES
        .with_borrow_mut(|files| files.remove(path))
        .ok_or_else(|| Error::from(ErrorKind::NotFound))
}

/// Folders are only names.
///
/// # Errors
/// None.
pub fn create_dir(_path: &Path) -> Result<()> {
    Ok(())
}

/// Writes a file.
///
/// # Errors
/// None.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    FILES.with_borrow_mut(|files| files.insert(path.to_path_buf(), bytes.to_vec()));
    Ok(())
}

/// The names in a folder.
pub fn names_in(folder: &Path) -> Vec<String> {
    let name = |file: &PathBuf| Some(file.strip_prefix(folder).ok()?.display().to_string());
    FILES.with_borrow(|files| files.keys().filter_map(name).collect())
}

/// A file, to be read line by line.
///
/// # Errors
/// There is none.
pub fn lines_of(path: &Path) -> Result<impl BufRead> {
    read(path).map(Cursor::new)
}

/// Removes a file, if it is there.
pub fn remove(path: &Path) {
    FILES.with_borrow_mut(|files| files.remove(path));
}

/// Folders are only names.
pub fn remove_if_empty(_path: &Path) {}

/// Nothing is ever left unfinished.
pub fn sweep(_folder: &Path, _is_ours: impl Fn(&str) -> bool) {}

/// There are no links.
///
/// # Errors
/// None.
pub fn target_of(path: &Path) -> Result<PathBuf> {
    Ok(path.to_path_buf())
}

/// The folder that a path's last name is in.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Why a folder is not ours: never, for the page's worker is alone.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process owns it.
    #[error("another jempp owns it: {0}")]
    #[expect(dead_code, reason = "a page has no other process")]
    Held(String),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] Error),
}

/// A folder's lock.
#[derive(Debug)]
pub struct FolderLock;

impl FolderLock {
    /// Makes the folder ours, which it is anyhow.
    ///
    /// # Errors
    /// None.
    pub fn take(_folder: &Path) -> std::result::Result<Self, LockError> {
        Ok(Self)
    }

    /// Whether others are kept out.
    pub fn is_exclusive(&self) -> bool {
        true
    }

    /// Whether the folder was moved since.
    pub fn is_lost(&self) -> bool {
        false
    }
}

/// A file that grows.
#[derive(Debug)]
pub struct Log(PathBuf);

impl Log {
    /// The file, which appears with its first line.
    pub fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Writes at the end.
    ///
    /// # Errors
    /// None.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        FILES.with_borrow_mut(|files| {
            files.entry(self.0.clone()).or_default().extend_from_slice(bytes);
        });
        Ok(())
    }

    /// Bytes that wait to be written.
    pub fn num_waiting(&self) -> usize {
        0
    }

    /// Drops what stands behind the first `len` bytes.
    ///
    /// # Errors
    /// None.
    pub fn cut(&mut self, len: u64) -> Result<()> {
        FILES.with_borrow_mut(|files| {
            files.entry(self.0.clone()).or_default().truncate(len as usize);
        });
        Ok(())
    }
}
