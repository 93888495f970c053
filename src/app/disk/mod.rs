//! Where the person's files are: the system's dialogs and folders, or what a browser lets a page have.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod web;

use std::{
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
};

use web_time::Instant;

use super::exports::Export;
use crate::picture;
pub(super) use crate::picture::ENDINGS as PICTURES;

#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::{ask, beside, take_dropped, write};
#[cfg(target_arch = "wasm32")]
pub(super) use web::{ask, beside, download, take_dropped, write};

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

/// Decodes a picture beside the window's work: a large one takes its time.
pub(super) fn decode(
    name: PathBuf,
    content: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
    shape: [usize; 3],
    reply: Reply,
) {
    beside(move || {
        let image = content().and_then(|bytes| {
            picture::item_of(&bytes, &name, shape).map_err(|error| error.to_string())
        });
        reply.send(Done::Decoded { image: image.map(Arc::from), shape });
    });
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
