//! The purposes of file dialogs, and the results of work outside the window's thread.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc::Sender},
};

use web_time::Instant;

#[cfg(not(target_arch = "wasm32"))]
use crate::app::state::Dropped;
#[cfg(target_arch = "wasm32")]
use crate::data::OwnFile;
use crate::{app::state::Export, data::drawn::DrawnSet};

/// The purpose of a file dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum DialogPurpose {
    Open,
    Export(Export),
    /// The model that was trained last.
    SaveModel,
    /// The open model.
    SaveOpen,
    /// A folder to train on.
    DataFolder,
    /// Files to train on.
    DataFiles,
    SaveDrawings,
    OpenDrawings,
}

impl DialogPurpose {
    /// The file name that the dialog suggests.
    pub(in crate::app) fn file_name(self) -> &'static str {
        match self {
            Self::Open | Self::DataFolder | Self::DataFiles | Self::OpenDrawings => "",
            Self::Export(export) => export.file_name(),
            Self::SaveModel | Self::SaveOpen => "model.safetensors",
            Self::SaveDrawings => "drawings.zip",
        }
    }

    /// Whether something is opened, and nothing saved.
    pub(in crate::app) fn opens(self) -> bool {
        self.file_name().is_empty()
    }
}

/// The extensions of checkpoint files that can be opened.
pub(super) const CHECKPOINTS: [&str; 1] = ["safetensors"];

/// The result of file work outside the window's thread.
pub(in crate::app) enum FileEvent {
    Chosen {
        purpose: DialogPurpose,
        path: Option<PathBuf>,
        asked: Instant,
    },
    /// A person dropped or chose something to train on.
    #[cfg(not(target_arch = "wasm32"))]
    Dropped(Vec<Dropped>),
    /// A person dropped or chose files on the page, or why they are not taken.
    #[cfg(target_arch = "wasm32")]
    Given(Result<Vec<OwnFile>, String>),
    /// A file was read as bytes, as browsers provide files; with its name.
    #[cfg_attr(not(target_arch = "wasm32"), expect(dead_code))]
    Read {
        name: String,
        content: Result<Vec<u8>, String>,
    },
    /// A picture was decoded to an image of this shape (C, H, W) in [-1, 1].
    Decoded {
        image: Result<Arc<[f32]>, String>,
        shape: [usize; 3],
    },
    /// Drawings were read, or why not.
    Drawings(Result<DrawnSet, String>),
    Written {
        path: PathBuf,
        result: Result<(), String>,
    },
}

/// Sends the results of file work to the window.
#[derive(Clone)]
pub(in crate::app) struct FileEventSender {
    pub(in crate::app) sender: Sender<FileEvent>,
    pub(in crate::app) ctx: egui::Context,
}

impl FileEventSender {
    pub(super) fn send(&self, done: FileEvent) {
        // The window may be closed, and then nobody needs the result.
        let _ = self.sender.send(done);
        self.ctx.request_repaint();
    }
}
