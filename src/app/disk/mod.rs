//! Access to the user's files: the system's dialogs and folders, or those files that a browser gives to a page.

mod dialog;
pub(super) mod given;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod prompt;
#[cfg(target_arch = "wasm32")]
mod web;

use std::{path::PathBuf, sync::Arc};

pub(super) use crate::picture::ENDINGS as PICTURES;
use crate::{data::drawn::DrawnSet, picture};

pub(super) use dialog::{DialogPurpose, FileEvent, FileEventSender};
#[cfg(not(target_arch = "wasm32"))]
use native::in_background;
#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::{ask, open_path, write};
pub(super) use prompt::Prompt;
#[cfg(target_arch = "wasm32")]
use web::in_background;
#[cfg(target_arch = "wasm32")]
pub(super) use web::{ask, download, listen, open_path, read, write};

/// The drawings in a file with this content.
fn drawings(name: &str, content: Result<Vec<u8>, String>) -> FileEvent {
    let read = |bytes: Vec<u8>| DrawnSet::from_zip(&bytes).map_err(|error| error.to_string());
    let set = content.and_then(read);
    FileEvent::Drawings(set.map_err(|error| format!("Cannot open drawings from {name}: {error}.")))
}

/// Decodes a picture in the background, because a large one takes long.
pub(super) fn decode(
    name: PathBuf,
    content: impl FnOnce() -> Result<Vec<u8>, String> + Send + 'static,
    shape: [usize; 3],
    reply: FileEventSender,
) {
    in_background(move || {
        let image = content().and_then(|bytes| {
            picture::item_of(&bytes, &name, shape).map_err(|error| error.to_string())
        });
        reply.send(FileEvent::Decoded { image: image.map(Arc::from), shape });
    });
}
