//! What a file dialog is for, and the answers of what happens away from the window's thread.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
};

use web_time::Instant;

use crate::app::exports::Export;

/// What a dialog is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum DialogPurpose {
    Open,
    Export(Export),
    SaveModel,
}

impl DialogPurpose {
    /// A name to begin with.
    pub(in crate::app) fn file_name(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::Export(export) => export.file_name(),
            Self::SaveModel => "model.safetensors",
        }
    }
}

/// Endings of the files that can be opened.
pub(super) const CHECKPOINTS: [&str; 1] = ["safetensors"];

/// What happened beside the window's thread.
pub(in crate::app) enum FileEvent {
    Chosen {
        purpose: DialogPurpose,
        path: Option<PathBuf>,
        asked: Instant,
    },
    /// A file came as bytes, under its name, as files of a browser do.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code))]
    Read {
        name: String,
        content: Result<Vec<u8>, String>,
    },
    /// A picture, as an image of this shape (C, H, W) in [-1, 1].
    Decoded {
        image: Result<Arc<[f32]>, String>,
        shape: [usize; 3],
    },
    Written {
        path: PathBuf,
        result: Result<(), String>,
    },
}

/// Where answers go.
#[derive(Clone)]
pub(in crate::app) struct FileEventSender {
    pub(in crate::app) sender: Sender<FileEvent>,
    pub(in crate::app) ctx: egui::Context,
}

impl FileEventSender {
    pub(super) fn send(&self, done: FileEvent) {
        // The window may be gone; then nobody waits.
        let _ = self.sender.send(done);
        self.ctx.request_repaint();
    }
}
