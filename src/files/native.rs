//! The operating system's files.

use std::{
    fs::{self, File, OpenOptions},
    io::{Error, ErrorKind, Read, Result, Write},
    path::Path,
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// Whether there is such a file or folder.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Whether there is such a file.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether there is a file, or something in a folder of that name.
pub fn is_taken(path: &Path) -> bool {
    path.is_file() || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

/// The content of a file.
///
/// # Errors
/// What the operating system says.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path)
}

/// The content of a regular file of at most `most` bytes: never a device or a pipe, whose content has no
/// end, and never more than the bound even where the file grows meanwhile.
///
/// # Errors
/// What the operating system says, another kind of file, a larger one.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.0.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why =
            format!("it is larger than {} MiB, the most that is read of such a file", most >> 20);
        return Err(Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// A regular file, open for reading, and how many bytes it has.
///
/// # Errors
/// What the operating system says, another kind of file.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let found = fs::metadata(path)?;
    if !found.is_file() {
        let what = if found.is_dir() { "it is a folder" } else { "it is no regular file" };
        return Err(Error::new(ErrorKind::InvalidInput, what));
    }
    Ok((File::open(path)?, found.len()))
}

/// Makes a folder and those above it.
///
/// # Errors
/// What the operating system says.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path)
}

/// A file that grows.
#[derive(Debug)]
pub struct Log(File);

impl Log {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(path: &Path) -> Result<Self> {
        OpenOptions::new().create(true).append(true).open(path).map(Self)
    }

    /// Writes at the end.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes)
    }
}

/// Writes a file under a temporary name in the same folder and renames it once it is complete.
///
/// # Errors
/// What the operating system says; then `path` is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = begin(path)?;
    file.write_all(bytes)?;
    finish(file, path)
}

/// A temporary file in the folder of `path`; it goes when it is dropped before [`finish`].
pub(crate) fn begin(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    NamedTempFile::new_in(folder)
}

/// Gives a complete temporary file its name.
pub(crate) fn finish(file: NamedTempFile, path: &Path) -> Result<()> {
    file.as_file().sync_all()?;
    let renamed = file.persist(path).map_err(|error| error.error)?;
    make_readable(&renamed)
}

/// Temporary files are private to their owner; a result is a file like any other.
#[cfg(unix)]
fn make_readable(file: &File) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_file: &File) -> Result<()> {
    Ok(())
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A file's name without its folder, for a person.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
