//! What is fed with mutated input, shared by `fuzz/fuzz_targets` and the seeded test beside this folder: every
//! decoder, and every text that a person or a stranger writes.
//!
//! A target takes any bytes. It returns whether they were accepted, and panics where a promise is broken;
//! refusing is always right. What is accepted is used as the commands use it.
#![allow(dead_code, clippy::unwrap_used, reason = "a fuzz target uses its own part")]

mod checkpoint;
pub(super) mod choices;
mod files;
mod pytorch;
mod structure;
mod texts;
mod viewer;

use std::path::Path;

pub(super) use checkpoint::checkpoint;
pub(super) use files::{cifar, idx, own, picture, svhn};
pub(super) use pytorch::pytorch;
pub(super) use texts::{assignment, config, lesson, link, session};

/// What the bytes of a target are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Input {
    /// Decisions about what to change in a good file, which keep its outer checks right.
    Decisions,
    /// A file.
    Bytes,
    /// A text; the mutations know its words.
    Text,
}

/// A target by name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    /// Also the folder of its seeds, in `fuzz/seeds`, and the name of its program in `fuzz`.
    pub name: &'static str,
    pub input: Input,
    /// How many of a hundred mutations it gets.
    pub share: usize,
    pub run: fn(&[u8]) -> bool,
}

/// Every target. Checkpoints get most: what stands behind their checksum was trusted for long.
pub(super) const TARGETS: [Target; 12] = [
    target("checkpoint", Input::Decisions, 26, checkpoint),
    target("pytorch", Input::Decisions, 10, pytorch),
    target("config", Input::Text, 8, config),
    target("assignment", Input::Text, 10, assignment),
    target("link", Input::Text, 10, link),
    target("lesson", Input::Text, 4, lesson),
    target("session", Input::Text, 6, session),
    target("idx", Input::Bytes, 8, idx),
    target("cifar", Input::Bytes, 3, cifar),
    target("svhn", Input::Bytes, 5, svhn),
    target("picture", Input::Bytes, 6, picture),
    target("own", Input::Bytes, 4, own),
];

const fn target(name: &'static str, input: Input, share: usize, run: fn(&[u8]) -> bool) -> Target {
    Target { name, input, share, run }
}

/// A folder of this thread's own, in memory where there is such a place.
fn with_folder<T>(work: impl FnOnce(&Path) -> T) -> T {
    thread_local! {
        static FOLDER: tempfile::TempDir = {
            let memory = Path::new("/dev/shm");
            let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
            folder.unwrap()
        };
    }
    FOLDER.with(|folder| work(folder.path()))
}
