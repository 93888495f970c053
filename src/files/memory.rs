//! Files in memory, for the browser.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{BufRead, Cursor, Error, ErrorKind, Result},
    path::{Path, PathBuf},
};

thread_local! {
    static FILES: RefCell<BTreeMap<PathBuf, Vec<u8>>> = RefCell::default();
}

/// Whether there is a file with this path, or a file below a folder with this path.
pub(crate) fn exists(path: &Path) -> bool {
    FILES.with_borrow(|files| files.keys().any(|file| file.starts_with(path)))
}

/// Whether there is a file with this path.
pub(crate) fn is_file(path: &Path) -> bool {
    FILES.with_borrow(|files| files.contains_key(path))
}

/// As [`exists`], because there are no empty folders in memory.
pub(crate) fn is_taken(path: &Path) -> bool {
    exists(path)
}

/// Reads a file.
///
/// # Errors
/// There is no such file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    FILES
        .with_borrow(|files| files.get(path).cloned())
        .ok_or_else(|| Error::from(ErrorKind::NotFound))
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// There is no such file, or it is larger.
pub(crate) fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let bytes = read(path)?;
    if bytes.len() as u64 > most {
        let why = format!("it is larger than {} MiB, the limit for such a file", most >> 20);
        return Err(Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// Reads the first `most` bytes of a file, or all of a shorter one, and returns them with its length.
///
/// # Errors
/// There is no such file.
pub(crate) fn head(path: &Path, most: u64) -> Result<(Vec<u8>, u64)> {
    let mut bytes = read(path)?;
    let length = bytes.len() as u64;
    bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    Ok((bytes, length))
}

/// Removes a file and returns its content.
///
/// # Errors
/// There is no such file.
pub(crate) fn take(path: &Path) -> Result<Vec<u8>> {
    FILES
        .with_borrow_mut(|files| files.remove(path))
        .ok_or_else(|| Error::from(ErrorKind::NotFound))
}

/// Does nothing, because folders are only names in memory.
///
/// # Errors
/// None.
pub(crate) fn create_dir(_path: &Path) -> Result<()> {
    Ok(())
}

/// Writes a file.
///
/// # Errors
/// None.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    FILES.with_borrow_mut(|files| files.insert(path.to_path_buf(), bytes.to_vec()));
    Ok(())
}

/// The names of the files in a folder.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let name = |file: &PathBuf| Some(file.strip_prefix(folder).ok()?.display().to_string());
    FILES.with_borrow(|files| files.keys().filter_map(name).collect())
}

/// Opens a file for reading line by line.
///
/// # Errors
/// There is no such file.
pub(crate) fn lines_of(path: &Path) -> Result<impl BufRead> {
    read(path).map(Cursor::new)
}

/// Removes a file, if it exists.
pub(crate) fn remove(path: &Path) {
    FILES.with_borrow_mut(|files| files.remove(path));
}

/// Does nothing, because folders are only names in memory.
pub(crate) fn remove_if_empty(_path: &Path) {}

/// Does nothing, because no write is ever left incomplete.
pub(crate) fn sweep(_folder: &Path, _is_ours: impl Fn(&str) -> bool) {}

/// Returns the path itself, because there are no links.
///
/// # Errors
/// None.
pub(crate) fn target_of(path: &Path) -> Result<PathBuf> {
    Ok(path.to_path_buf())
}

/// Always `false`, because what is written in memory is never read as data.
pub(crate) fn is_within(_path: &Path, _folder: &Path) -> bool {
    false
}

/// The folder that contains a path.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// Why a folder could not be locked; never used, because the page's worker is the only process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another process holds the lock.
    #[error("another jempp owns it: {0}")]
    #[expect(dead_code, reason = "a page has no other process")]
    Held(String),
    /// The operating system refused an action.
    #[error(transparent)]
    Io(#[from] Error),
}

/// The lock of a folder; it always succeeds.
#[derive(Debug)]
pub(crate) struct FolderLock;

impl FolderLock {
    /// Locks the folder, which needs no action here.
    ///
    /// # Errors
    /// None.
    pub(crate) fn take(_folder: &Path) -> std::result::Result<Self, LockError> {
        Ok(Self)
    }

    /// Whether the lock keeps other processes out; always `true`.
    pub(crate) fn is_exclusive(&self) -> bool {
        true
    }

    /// Whether the folder was moved or removed since it was locked; always `false`.
    pub(crate) fn is_lost(&self) -> bool {
        false
    }
}

/// A file that is only appended to, such as a log.
#[derive(Debug)]
pub(crate) struct Log(PathBuf);

impl Log {
    /// Creates the log. The file appears with its first line.
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Appends to the file.
    ///
    /// # Errors
    /// None.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        FILES.with_borrow_mut(|files| {
            files.entry(self.0.clone()).or_default().extend_from_slice(bytes);
        });
        Ok(())
    }

    /// The number of bytes that wait in memory to be written; always 0.
    pub(crate) fn num_waiting(&self) -> usize {
        0
    }

    /// Truncates the file to its first `len` bytes.
    ///
    /// # Errors
    /// None.
    pub(crate) fn cut(&mut self, len: u64) -> Result<()> {
        FILES.with_borrow_mut(|files| {
            files.entry(self.0.clone()).or_default().truncate(len as usize);
        });
        Ok(())
    }
}
