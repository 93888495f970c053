//! Files that are whole or not there.

use std::{fs::File, io::Write, path::Path};

use tempfile::NamedTempFile;

/// Writes a file under a temporary name in the same folder and renames it once it is complete.
///
/// # Errors
/// What the operating system says; then `path` is as it was.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = begin(path)?;
    file.write_all(bytes)?;
    finish(file, path)
}

/// A temporary file in the folder of `path`; it goes when it is dropped before [`finish`].
pub(crate) fn begin(path: &Path) -> std::io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    NamedTempFile::new_in(folder)
}

/// Gives a complete temporary file its name.
pub(crate) fn finish(file: NamedTempFile, path: &Path) -> std::io::Result<()> {
    file.as_file().sync_all()?;
    let renamed = file.persist(path).map_err(|error| error.error)?;
    make_readable(&renamed)
}

/// Temporary files are private to their owner; a result is a file like any other.
#[cfg(unix)]
fn make_readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_file: &File) -> std::io::Result<()> {
    Ok(())
}
