//! A single file that a command writes. It is never replaced without permission.

use std::{fs, io, path::Path};

use super::{ResultsError, check_writable};
use crate::files::{self, write_atomically};

/// Checks that a command may write the single file `path`, which must not be its `input` nor lie in it.
///
/// # Errors
/// The file exists and may not be replaced, is not a regular file, is the input, or lies in the folder that is the input.
pub(crate) fn check_file(
    path: &Path,
    replaces: bool,
    input: Option<&Path>,
) -> Result<(), ResultsError> {
    if path.is_dir() {
        return Err(ResultsError::Folder(path.to_path_buf()));
    }
    if let Some(input) = input {
        files::check_outside(path, input)?;
    }
    let Ok(found) = fs::symlink_metadata(path) else { return check_writable(path) };
    if !replaces {
        return Err(ResultsError::Exists(path.to_path_buf()));
    }
    if !(found.is_symlink() || found.is_file()) {
        return Err(ResultsError::NoFile(path.to_path_buf()));
    }
    match input.is_some_and(|input| files::is_same_place(input, path)) {
        true => Err(ResultsError::Input(path.to_path_buf())),
        false => check_writable(path),
    }
}

/// Writes the single file of a command, and the folders that lead to it. Without `replaces` a file that has come since
/// [`check_file`] stays.
///
/// # Errors
/// There is such a file, or the operating system refuses.
pub(crate) fn write_file(path: &Path, bytes: &[u8], replaces: bool) -> Result<(), ResultsError> {
    let written = match replaces {
        true => {
            files::create_dir(files::folder_of(path)).and_then(|()| write_atomically(path, bytes))
        }
        false => files::write_new(path, bytes),
    };
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ResultsError::Exists(path.to_path_buf()),
        _ => ResultsError::io(path)(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_just_come_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/file");
        write_file(&path, b"first", false).unwrap();
        let error = write_file(&path, b"second", false).unwrap_err();
        assert!(matches!(error, ResultsError::Exists(_)), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write_file(&path, b"second", true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
    }

    #[test]
    fn a_file_is_not_replaced_by_what_is_made_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let [model, out] = ["model", "out"].map(|name| dir.path().join(name));
        check_file(&out, false, Some(&model)).unwrap();
        write_atomically(&model, b"x").unwrap();
        write_atomically(&out, b"x").unwrap();
        assert!(matches!(check_file(&out, false, None), Err(ResultsError::Exists(_))));
        check_file(&out, true, Some(&model)).unwrap();
        let error = check_file(&model, true, Some(&dir.path().join("./model"))).unwrap_err();
        assert!(error.to_string().contains("is the file to read"), "{error}");
        let error = check_file(dir.path(), false, None).unwrap_err();
        assert!(error.to_string().contains("is a folder where a file is needed"), "{error}");
    }
}
