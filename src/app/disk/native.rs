//! File access on the desktop, with the system's dialogs and folders.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use web_time::Instant;

use super::dialog::{CHECKPOINTS, DialogPurpose, FileEvent, FileEventSender};
use crate::{
    files::{read_at_most, write_atomically},
    picture,
};

/// The maximum size of a file of drawings, in bytes.
const MAX_DRAWINGS_BYTES: u64 = 64 << 20;

/// Asks the user for a path with a file dialog.
pub(in crate::app) fn ask(purpose: DialogPurpose, reply: FileEventSender) {
    let dialog = rfd::AsyncFileDialog::new();
    let asked = Instant::now();
    // Dialogs must be created on the window's thread, but any thread may wait for them.
    let (open, save) = match purpose {
        DialogPurpose::OpenDrawings => {
            (Some(dialog.add_filter("Drawings", &["zip"]).pick_file()), None)
        }
        DialogPurpose::Open => {
            let endings = [&CHECKPOINTS[..], picture::ENDINGS].concat();
            (Some(dialog.add_filter("Checkpoints and pictures", &endings).pick_file()), None)
        }
        _ => (None, Some(dialog.set_file_name(purpose.file_name()).save_file())),
    };
    std::thread::spawn(move || {
        let chosen = match (open, save) {
            (Some(open), _) => pollster::block_on(open),
            (_, Some(save)) => pollster::block_on(save),
            _ => None,
        };
        let path = chosen.map(|file| file.path().to_path_buf());
        if let (DialogPurpose::OpenDrawings, Some(path)) = (purpose, &path) {
            let content = read_at_most(path, MAX_DRAWINGS_BYTES).map_err(|error| error.to_string());
            return reply.send(super::drawings(&path.display().to_string(), content));
        }
        reply.send(FileEvent::Chosen { purpose, path, asked });
    });
}

/// Writes a file outside the window's thread.
pub(in crate::app) fn write(
    content: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
    path: PathBuf,
    reply: FileEventSender,
) {
    std::thread::spawn(move || {
        let result = content().and_then(|bytes| {
            write_atomically(&path, &bytes)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))
        });
        reply.send(FileEvent::Written { path, result });
    });
}

/// Runs work on a new thread.
pub(in crate::app) fn in_background(work: impl FnOnce() + Send + 'static) {
    std::thread::spawn(work);
}

/// Takes a file that was dropped on the window.
pub(in crate::app) fn take_dropped(
    file: &Arc<dyn egui::DroppedFile + Send + Sync>,
    _reply: FileEventSender,
    open: impl FnOnce(&Path),
) {
    open(file.path());
}
