//! Where the person's files are: the system's dialogs and folders, or what a browser lets a page have.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod web;

use std::{path::PathBuf, sync::mpsc::Sender};

use web_time::Instant;

use super::exports::Export;

#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::{ask, take_dropped, write};
#[cfg(target_arch = "wasm32")]
pub(super) use web::{ask, download, take_dropped, write};

/// What a dialog is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Open,
    Export(Export),
    SaveModel,
}

impl Purpose {
    /// A name to begin with.
    pub(super) fn file_name(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::Export(export) => export.file_name(),
            Self::SaveModel => "model.safetensors",
        }
    }
}

/// Endings of the files that can be opened.
const CHECKPOINTS: [&str; 1] = ["safetensors"];
const PICTURES: &[&str] = match cfg!(target_arch = "wasm32") {
    true => &["png", "jpg", "jpeg", "gif"],
    false => &["png", "jpg", "jpeg", "gif", "webp"],
};

/// What happened beside the window's thread.
pub(super) enum Done {
    Chosen {
        purpose: Purpose,
        path: Option<PathBuf>,
        asked: Instant,
    },
    /// A file came as bytes, under its name, as files of a browser do.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code))]
    Read {
        name: String,
        content: Result<Vec<u8>, String>,
    },
    Written(Result<PathBuf, String>),
}

/// Where answers go.
#[derive(Clone)]
pub(super) struct Reply {
    pub(super) sender: Sender<Done>,
    pub(super) ctx: egui::Context,
}

impl Reply {
    fn send(&self, done: Done) {
        // The window may be gone; then nobody waits.
        let _ = self.sender.send(done);
        self.ctx.request_repaint();
    }
}
