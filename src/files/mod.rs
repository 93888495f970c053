//! Files that are written completely or not at all, and folders with one owner at a time. In a browser they exist only
//! in the memory of the page's worker, until it ends.

#[cfg(not(target_arch = "wasm32"))]
mod lock;
#[cfg(target_arch = "wasm32")]
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(crate) use memory::*;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use {
    lock::{FolderLock, LockError},
    native::*,
};
