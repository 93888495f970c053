//! Files that are written completely or not at all, and folders with one owner at a time. In a browser they exist only
//! in the memory of the page's worker, until it ends.

#[cfg(not(target_arch = "wasm32"))]
mod lock;
#[cfg(target_arch = "wasm32")]
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod native;

use std::path::{Path, PathBuf};

#[cfg(target_arch = "wasm32")]
pub(crate) use memory::*;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use {
    lock::{FolderLock, LOCK_NAME, LockError},
    native::*,
};

/// Output would land in the folder that it is made from.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path} lies in the data folder {folder}, where what is written becomes data: choose a place outside that folder"
)]
pub struct WithinData {
    /// The path of the output.
    path: PathBuf,
    /// The folder of the data.
    folder: PathBuf,
}

/// Checks that output at `path` does not land in the data at `data`, if that is a folder.
///
/// # Errors
/// It would.
pub(crate) fn check_outside(path: &Path, data: &Path) -> Result<(), WithinData> {
    match is_within(path, data) {
        true => Err(WithinData { path: path.to_path_buf(), folder: data.to_path_buf() }),
        false => Ok(()),
    }
}
