//! What is counted for a whole process: memory, launches and readbacks. One test runs at a time.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../files/mod.rs"]
mod files;
mod guard;
mod launches;
mod memory;
mod mutations;
mod readbacks;
mod tuner;

use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static COUNTING: guard::Counting = guard::Counting;

/// Whoever holds this is the only test that runs.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
