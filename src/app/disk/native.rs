//! File access on the desktop, with the system's dialogs and folders.

use std::path::PathBuf;

use rfd::FileHandle;
use web_time::Instant;

use super::{
    dialog::{CHECKPOINTS, DialogPurpose, FileEvent, FileEventSender},
    given::at_paths,
};
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
    match purpose {
        DialogPurpose::DataFolder => data(dialog.pick_folders(), reply),
        DialogPurpose::DataFiles => data(dialog.pick_files(), reply),
        DialogPurpose::OpenDrawings => {
            let dialog = dialog.add_filter("Drawings", &["zip"]);
            path(dialog.pick_file(), purpose, asked, reply);
        }
        DialogPurpose::Open => {
            let endings = [&CHECKPOINTS[..], picture::ENDINGS].concat();
            let dialog = dialog.add_filter("Checkpoints and pictures", &endings);
            path(dialog.pick_file(), purpose, asked, reply);
        }
        _ => {
            let dialog = dialog.set_file_name(purpose.file_name());
            path(dialog.save_file(), purpose, asked, reply);
        }
    }
}

fn path(
    chosen: impl Future<Output = Option<FileHandle>> + Send + 'static,
    purpose: DialogPurpose,
    asked: Instant,
    reply: FileEventSender,
) {
    std::thread::spawn(move || {
        let path = pollster::block_on(chosen).map(|file| file.path().to_path_buf());
        if let (DialogPurpose::OpenDrawings, Some(path)) = (purpose, &path) {
            let content = read_at_most(path, MAX_DRAWINGS_BYTES).map_err(|error| error.to_string());
            return reply.send(super::drawings(&path.display().to_string(), content));
        }
        reply.send(FileEvent::Chosen { purpose, path, asked });
    });
}

/// Looks at what was chosen to train on, which may take a while for a large folder.
fn data(
    chosen: impl Future<Output = Option<Vec<FileHandle>>> + Send + 'static,
    reply: FileEventSender,
) {
    std::thread::spawn(move || {
        let chosen = pollster::block_on(chosen).unwrap_or_default();
        let paths: Vec<PathBuf> = chosen.iter().map(|file| file.path().to_path_buf()).collect();
        reply.send(FileEvent::Dropped(at_paths(&paths)));
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
