//! File access in a browser: files that the user provides, and downloads.

use std::path::{Path, PathBuf};

use web_time::Instant;

use super::{
    dialog::{CHECKPOINTS, DialogPurpose, FileEvent, FileEventSender},
    given::is_checkpoint,
};
use crate::{
    browser,
    data::{OwnContent, OwnFile},
};

/// Asks the user for a file to open. To save, no dialog is needed: the browser decides where.
pub(in crate::app) fn ask(purpose: DialogPurpose, reply: FileEventSender) {
    if matches!(purpose, DialogPurpose::DataFolder | DialogPurpose::DataFiles) {
        return browser::choose(purpose == DialogPurpose::DataFolder);
    }
    if !purpose.opens() {
        let path = Some(purpose.file_name().into());
        return reply.send(FileEvent::Chosen { purpose, path, asked: Instant::now() });
    }
    let is_drawings = purpose == DialogPurpose::OpenDrawings;
    let chosen = browser::pick(&match is_drawings {
        true => ".zip".to_string(),
        false => accept_list(),
    });
    wasm_bindgen_futures::spawn_local(async move {
        let Some((name, place)) = chosen.await else { return };
        match is_drawings {
            true => reply.send(super::drawings(&name, browser::given(&place).await)),
            false => read(OwnFile { name, content: OwnContent::Path(place.into()) }, reply),
        }
    });
}

/// What a dialog offers to open: checkpoints, and pictures, also those that only the browser can read.
fn accept_list() -> String {
    let endings = CHECKPOINTS.iter().map(|ending| format!(".{ending}"));
    endings.chain(["image/*".to_string()]).collect::<Vec<_>>().join(",")
}

/// A browser always has its own dialog, so no path is typed.
pub(in crate::app) fn open_path(_: DialogPurpose, _: PathBuf, _: FileEventSender) {}

/// Creates a file and downloads it, after the frame that requested it is drawn.
pub(in crate::app) fn write(
    content: impl FnOnce() -> Result<Vec<u8>, String> + 'static,
    path: PathBuf,
    reply: FileEventSender,
) {
    wasm_bindgen_futures::spawn_local(async move {
        browser::pause(0.0).await;
        let result = content().and_then(|bytes| download(&path, &bytes));
        reply.send(FileEvent::Written { path, result });
    });
}

/// Runs work after the frame that requested it is drawn.
pub(in crate::app) fn in_background(work: impl FnOnce() + Send + 'static) {
    wasm_bindgen_futures::spawn_local(async move {
        browser::pause(0.0).await;
        work();
    });
}

/// Gives a file to the browser as a download.
pub(in crate::app) fn download(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let name = path.display().to_string();
    browser::download(&name, bytes)
        .ok_or_else(|| format!("the browser refused the download of {name}"))
}

/// Sends on what a person drops on the page, or chooses to train on. The page keeps the files: only their names come here.
pub(in crate::app) fn listen(reply: FileEventSender) {
    browser::on_files(move |files| {
        let files = files.map(|files| {
            let file = |(name, place): (String, String)| OwnFile {
                name,
                content: OwnContent::Path(place.into()),
            };
            files.into_iter().map(file).collect()
        });
        reply.send(FileEvent::Given(files));
    });
}

/// Reads a file that a person gave the page. A model may be large, so the worker reads it itself: here the name of its place
/// stands for its content.
pub(in crate::app) fn read(file: OwnFile, reply: FileEventSender) {
    let OwnContent::Path(place) = file.content else { return };
    let place = place.display().to_string();
    wasm_bindgen_futures::spawn_local(async move {
        let content = match is_checkpoint(&file.name) {
            true => browser::given_num_bytes(&place).map(|_| place.into_bytes()),
            false => browser::given(&place).await,
        };
        reply.send(FileEvent::Read { name: file.name, content });
    });
}
