//! File access in a browser: files that the user provides, and downloads.

use std::path::{Path, PathBuf};

use web_time::Instant;

use super::dialog::{CHECKPOINTS, DialogPurpose, FileEvent, FileEventSender};
use crate::{
    browser,
    data::{OwnContent, OwnFile},
    picture,
};

/// Asks the user for a file to open. To save, no dialog is needed: the browser decides where.
pub(in crate::app) fn ask(purpose: DialogPurpose, reply: FileEventSender) {
    if purpose == DialogPurpose::OpenDrawings {
        browser::pick(".zip", move |name, content| reply.send(super::drawings(&name, content)));
        return;
    }
    if matches!(purpose, DialogPurpose::DataFolder | DialogPurpose::DataFiles) {
        return browser::choose(purpose == DialogPurpose::DataFolder);
    }
    if !purpose.opens() {
        let path = Some(purpose.file_name().into());
        return reply.send(FileEvent::Chosen { purpose, path, asked: Instant::now() });
    }
    let endings = CHECKPOINTS.iter().chain(picture::ENDINGS).map(|ending| format!(".{ending}"));
    let accept = endings.collect::<Vec<_>>().join(",");
    browser::pick(&accept, move |name, content| reply.send(FileEvent::Read { name, content }));
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

/// Reads a file that a person gave the page.
pub(in crate::app) fn read(file: OwnFile, reply: FileEventSender) {
    let OwnContent::Path(place) = file.content else { return };
    wasm_bindgen_futures::spawn_local(async move {
        let content = browser::given(&place.display().to_string()).await;
        reply.send(FileEvent::Read { name: file.name, content });
    });
}
