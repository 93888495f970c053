//! Lock files, so that only one process at a time owns a folder, or does a piece of work.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// The name of the lock file in a folder.
pub(crate) const LOCK_NAME: &str = ".jempp-lock";
/// Size limit of a lock file, which holds one short line about its owner.
const MAX_HOLDER_BYTES: u64 = 4096;
/// The number of tries to lock a folder while others only look at its lock, and the time between two of them.
const MAX_TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// Why a folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    /// Another process holds the lock.
    #[error("another jempp owns it: {0}")]
    Held(String),
    /// The operating system refused an action.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The lock of a folder, or of what else a lock file stands for. It is released when this value is dropped or the process
/// ends, even if it is killed.
#[derive(Debug)]
pub(crate) struct FolderLock {
    file: File,
    path: PathBuf,
    is_exclusive: bool,
}

/// The owner of a folder, as stored in its lock file.
#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
}

impl FolderLock {
    /// Locks the folder for this process.
    ///
    /// # Errors
    /// Another process holds the lock, or the lock file cannot be written.
    pub(crate) fn take(folder: &Path) -> Result<Self, LockError> {
        Self::take_file(folder.join(LOCK_NAME))
    }

    /// Locks the file at `path`, which is made for that, for this process.
    ///
    /// # Errors
    /// As [`FolderLock::take`].
    pub(crate) fn take_file(path: PathBuf) -> Result<Self, LockError> {
        let mut tries = 0;
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)?;
            let is_exclusive = match file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => {
                    tries += 1;
                    if tries == MAX_TRIES || is_held(&file) {
                        return Err(LockError::Held(holder_of(&path)));
                    }
                    std::thread::sleep(PAUSE);
                    continue;
                }
                // Some network file systems have no locks.
                Err(TryLockError::Error(_)) => false,
            };
            // The last owner may have removed the file after it was opened here.
            if names(&path, &file) {
                let mut lock = Self { file, path, is_exclusive };
                // On a full disk the lock file stays without an owner's name.
                let _ = lock.sign();
                return Ok(lock);
            }
        }
    }

    /// The other owner of a folder, in words; `None` if the folder is free. Nothing is written.
    pub(crate) fn holder(folder: &Path) -> Option<String> {
        Self::holder_of_file(&folder.join(LOCK_NAME))
    }

    /// The other owner of a lock file, in words; `None` if there is none. Nothing is written.
    pub(crate) fn holder_of_file(path: &Path) -> Option<String> {
        is_held(&File::open(path).ok()?).then(|| holder_of(path))
    }

    /// Whether the lock keeps other processes out; `false` if the file system has no locks.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// Whether the folder was moved or removed since it was locked; another process may now use its path.
    pub(crate) fn is_lost(&self) -> bool {
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
            // A lock file that remains is reused by the next owner.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether another process owns a lock file. For a moment the file is shared, which a new owner waits for.
fn is_held(file: &File) -> bool {
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Describes the owner of the folder.
fn holder_of(path: &Path) -> String {
    let bytes = super::read_at_most(path, MAX_HOLDER_BYTES).unwrap_or_default();
    let Ok(Holder { pid, host }) = serde_json::from_slice(&bytes) else {
        return "its process is not known".into();
    };
    // The lock file was written when the folder was locked.
    let written = fs::metadata(path).and_then(|found| found.modified());
    let age = written.ok().and_then(|written| written.elapsed().ok()).unwrap_or_default();
    format!("process {pid} on {host}, which took it {} ago", indicatif::HumanDuration(age))
}

/// Whether `path` still refers to the open `file`.
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
    // SAFETY: the buffer belongs to this function and has the stated length; its last byte stays 0.
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
        let holder = FolderLock::holder(dir.path()).unwrap();
        assert!(error.ends_with(&holder), "{error}: {holder}");
        drop(lock);
        assert_eq!(FolderLock::holder(dir.path()), None);
        assert!(super::super::names_in(dir.path()).is_empty(), "nothing is left");
        // The lock file of a killed owner does not block anyone.
        fs::write(dir.path().join(LOCK_NAME), b"{\"pid\":1}").unwrap();
        assert_eq!(FolderLock::holder(dir.path()), None);
        FolderLock::take(dir.path()).unwrap();
    }

    #[test]
    fn one_who_only_looks_at_a_lock_owns_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK_NAME);
        fs::write(&path, b"").unwrap();
        let looking = File::open(&path).unwrap();
        looking.lock_shared().unwrap();
        assert_eq!(FolderLock::holder(dir.path()), None);
        let lock = std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(5 * PAUSE);
                drop(looking);
            });
            FolderLock::take(dir.path()).unwrap()
        });
        assert!(lock.is_exclusive());
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
