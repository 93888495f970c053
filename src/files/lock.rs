//! A folder with one owner at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The locked file in a folder.
pub const LOCK_NAME: &str = ".jempp-lock";
/// What names an owner is one short line.
const MAX_HOLDER_BYTES: u64 = 4096;

/// Why a folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process owns it.
    #[error("another jempp owns it: {0}")]
    Held(String),
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A folder's lock. It ends with this value, and with the process in whatever way that ends.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
    path: PathBuf,
    is_exclusive: bool,
}

/// Who owns a folder, as its lock file says.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
}

impl FolderLock {
    /// Makes the folder ours.
    ///
    /// # Errors
    /// It is another's, or cannot be written.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join(LOCK_NAME);
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)?;
            let is_exclusive = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(holder_of(&path))),
                // Some network file systems have no locks.
                Err(TryLockError::Error(_)) => false,
            };
            // Its last owner may have removed it after it was opened here.
            if names(&path, &file) {
                let mut lock = Self { file, path, is_exclusive };
                // A full disk leaves it without a name.
                let _ = lock.sign();
                return Ok(lock);
            }
        }
    }

    /// Whether others are kept out; `false` where the file system has no locks.
    pub fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// Whether the folder was moved or removed since it became ours: its path may be another's now.
    pub fn is_lost(&self) -> bool {
        !names(&self.path, &self.file)
    }

    fn sign(&mut self) -> io::Result<()> {
        let holder = Holder { pid: std::process::id(), host: host_name() };
        self.file.set_len(0)?;
        writeln!(self.file, "{}", serde_json::to_string(&holder)?)
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        if !self.is_lost() {
            // One that stays is taken by the next owner.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Who owns the folder, in words.
fn holder_of(path: &Path) -> String {
    let bytes = super::read_at_most(path, MAX_HOLDER_BYTES).unwrap_or_default();
    let Ok(Holder { pid, host }) = serde_json::from_slice(&bytes) else {
        return "its process is not known".into();
    };
    // It was written when the folder was taken.
    let written = fs::metadata(path).and_then(|found| found.modified());
    let age = written.ok().and_then(|written| written.elapsed().ok()).unwrap_or_default();
    format!("process {pid} on {host}, which took it {} ago", indicatif::HumanDuration(age))
}

/// Whether `path` still leads to the open `file`.
#[cfg(unix)]
fn names(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |found: fs::Metadata| (found.dev(), found.ino());
    match (fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(open)) => place(named) == place(open),
        _ => false,
    }
}

#[cfg(not(unix))]
fn names(path: &Path, _file: &File) -> bool {
    path.exists()
}

#[cfg(unix)]
fn host_name() -> String {
    let mut name = [0u8; 256];
    // SAFETY: the buffer is ours and as long as is said; its last byte stays 0.
    unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let len = name.iter().position(|&byte| byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&name[..len]).into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests may")]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_owner_and_is_free_after() {
        let dir = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(dir.path()).unwrap();
        assert!(lock.is_exclusive() && !lock.is_lost());
        let error = FolderLock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(error.contains("ago"), "{error}");
        drop(lock);
        assert!(super::super::names_in(dir.path()).is_empty(), "nothing is left");
        // What a killed owner leaves keeps nobody out.
        fs::write(dir.path().join(LOCK_NAME), b"{\"pid\":1}").unwrap();
        FolderLock::take(dir.path()).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_notices_that_its_folder_has_moved() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        fs::create_dir(&here).unwrap();
        let lock = FolderLock::take(&here).unwrap();
        fs::rename(&here, &there).unwrap();
        assert!(lock.is_lost());
        fs::create_dir(&here).unwrap();
        let next = FolderLock::take(&here).unwrap();
        drop(lock);
        assert!(!next.is_lost(), "the lock of another stays");
    }
}
