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
        DialogPurpose::DataFolder => data(dialog.pick_folders(), purpose, asked, reply),
        DialogPurpose::DataFiles => data(dialog.pick_files(), purpose, asked, reply),
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
        match pollster::block_on(chosen).map(|file| file.path().to_path_buf()) {
            Some(path) if purpose.opens() => opened(purpose, path, asked, &reply),
            path => reply.send(FileEvent::Chosen { purpose, path, asked }),
        }
    });
}

/// Opens what is at a path that the user typed.
pub(in crate::app) fn open_path(purpose: DialogPurpose, path: PathBuf, reply: FileEventSender) {
    std::thread::spawn(move || opened(purpose, path, Instant::now(), &reply));
}

/// Looks at what was chosen to open.
fn opened(purpose: DialogPurpose, path: PathBuf, asked: Instant, reply: &FileEventSender) {
    reply.send(match purpose {
        DialogPurpose::OpenDrawings => {
            let content =
                read_at_most(&path, MAX_DRAWINGS_BYTES).map_err(|error| error.to_string());
            super::drawings(&path.display().to_string(), content)
        }
        DialogPurpose::DataFolder | DialogPurpose::DataFiles => {
            FileEvent::Dropped(at_paths(&[path]))
        }
        _ => FileEvent::Chosen { purpose, path: Some(path), asked },
    });
}

/// Looks at what was chosen to train on, which may take a while for a large folder.
fn data(
    chosen: impl Future<Output = Option<Vec<FileHandle>>> + Send + 'static,
    purpose: DialogPurpose,
    asked: Instant,
    reply: FileEventSender,
) {
    std::thread::spawn(move || {
        let Some(chosen) = pollster::block_on(chosen) else {
            return reply.send(FileEvent::Chosen { purpose, path: None, asked });
        };
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
