//! What the browser keeps from one visit to the next: models that a person opened or trained, their drawings and files, and
//! what the window remembers.

use std::path::PathBuf;

use js_sys::Promise;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_time::{Duration, Instant};

use crate::{
    app::{Tab, Viewer},
    worker::Event,
};

/// The slots in which the browser keeps a model each: the last one that was opened as a file, and the last one that was trained.
pub(super) const OPENED: &str = "model";
pub(super) const TRAINED: &str = "trained";
/// How the name of a file begins with which the worker hands over a trained model, and what stands there for `/`.
const HANDED: &str = "kept\u{1f}";
const SLASH: &str = "\u{1f}";
/// The time between two looks at the drawings and files.
const STORE_INTERVAL: Duration = Duration::from_secs(2);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = jempp, js_name = keepModel)]
    fn keep_model(slot: &str, name: &str, place: &str);
    #[wasm_bindgen(js_namespace = jempp, js_name = takeModel)]
    fn take_model(name: &str, bytes: &[u8]) -> String;
    #[wasm_bindgen(js_namespace = jempp, js_name = keptPlace)]
    fn kept_place(name: &str) -> Promise;
    #[wasm_bindgen(js_namespace = jempp, js_name = keepDrawings)]
    fn keep_drawings(text: &str);
    #[wasm_bindgen(js_namespace = jempp, js_name = keepFiles)]
    fn keep_files(text: &str);
    #[wasm_bindgen(js_namespace = jempp, js_name = keepMemory)]
    fn keep_memory(text: &str);
    #[wasm_bindgen(thread_local_v2, js_namespace = jempp, js_name = keptName)]
    static KEPT_NAME: JsValue;
    #[wasm_bindgen(thread_local_v2, js_namespace = jempp, js_name = maxTrained)]
    static MAX_TRAINED: u32;
}

/// Keeps a model file that the page has at a place; one that is too large has none. The page then says that it could not, or
/// offers the model if it was trained here.
pub(super) fn keep(slot: &str, name: &str, place: &str) {
    keep_model(slot, name, place);
}

/// Takes a trained model into the page. Returns the name of its place.
pub(super) fn take(name: &str, bytes: &[u8]) -> String {
    take_model(name, bytes)
}

/// The name of the kept model that the page's link names, if there is one.
pub(super) fn kept_name() -> Option<String> {
    KEPT_NAME.with(JsValue::as_string)
}

/// Takes a kept model into the page. Returns the name of its place; `None` if it is not kept any more.
pub(super) async fn place_of(name: &str) -> Option<String> {
    JsFuture::from(kept_place(name)).await.ok()?.as_string()
}

/// The path to which the worker saves a model that it hands over to the page. The page then keeps it, and offers no download.
/// A larger one comes without its bytes: where there is little memory, as on a phone, copies on their way take too much of it.
pub(super) fn path_to_hand_over(name: &str) -> PathBuf {
    let most = MAX_TRAINED.with(|most| *most);
    format!("{HANDED}{most}{SLASH}{}", name.replace('/', SLASH)).into()
}

/// The largest number of bytes and the name of the model in a file, if the worker hands it over.
pub(super) fn parts_of_handed(file: &str) -> Option<(usize, String)> {
    let (most, name) = file.strip_prefix(HANDED)?.split_once(SLASH)?;
    Some((most.parse().ok()?, name.replace(SLASH, "/")))
}

/// Leaves out the bytes of a model that the worker hands over if they are too many.
pub(super) fn leave_out_large(event: &mut Event) {
    if let Event::File { name, bytes } = event
        && parts_of_handed(name).is_some_and(|(most, _)| bytes.len() > most)
    {
        *bytes = Vec::new();
    }
}

/// The texts that are kept, as they are kept.
pub(super) struct Store {
    drawings: String,
    /// The names and places of a person's files.
    files: String,
    /// What the window remembers; `None` before that of the last visit is known, and in a frame.
    memory: Option<String>,
    last: Instant,
    /// Whether the tab Train was open in the last frame.
    was_open: bool,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            drawings: String::new(),
            files: String::new(),
            memory: None,
            last: Instant::now(),
            was_open: false,
        }
    }

    /// Brings the last drawings back, unless a person has already drawn.
    pub(super) fn restore_drawings(&mut self, viewer: &mut Viewer, text: String) {
        let drawn = &mut viewer.training.drawn;
        if drawn.num_drawings() == 0 && drawn.restore(&text).is_ok() {
            viewer.session.notify("Your last drawings are back, in the Train tab.");
            self.drawings = text;
        }
    }

    /// Brings the last files back, unless a person has already chosen some.
    pub(super) fn restore_files(&mut self, viewer: &mut Viewer, text: &str) {
        if viewer.training.own.is_empty() {
            viewer.training.own.restore(text);
            viewer.session.notify("Your last files are back, in the Train tab.");
            self.files = viewer.training.own.to_text();
        }
    }

    /// Recalls what the last visit remembered; an empty text means that there was none. From now on, changes are kept. A
    /// first visit is one itself if the page was opened without a link: it counts from now on. Returns whether it is such
    /// a visit.
    pub(super) fn recall(&mut self, viewer: &mut Viewer, text: &str, is_plain: bool) -> bool {
        let is_first = text.is_empty() && is_plain;
        if !text.is_empty() {
            viewer.recall(text);
        }
        self.memory = Some(if is_first { String::new() } else { viewer.memory() });
        is_first
    }

    /// Keeps what has changed: what the window remembers at once, the drawings and the files every few seconds and when the
    /// tab Train is left.
    pub(super) fn follow(&mut self, viewer: &Viewer, ctx: &egui::Context) {
        if let Some(kept) = &mut self.memory {
            let memory = viewer.memory();
            if memory != *kept {
                keep_memory(&memory);
                *kept = memory;
            }
        }
        let is_open = viewer.session.tab == Tab::Train;
        let was_open = std::mem::replace(&mut self.was_open, is_open);
        if !is_open && !was_open {
            return;
        }
        let waited = self.last.elapsed();
        if is_open && waited < STORE_INTERVAL {
            ctx.request_repaint_after(STORE_INTERVAL - waited);
            return;
        }
        self.last = Instant::now();
        let drawings = viewer.training.drawn.to_text().unwrap_or_default();
        if drawings != self.drawings {
            keep_drawings(&drawings);
            self.drawings = drawings;
        }
        let files = viewer.training.own.to_text();
        if files != self.files {
            keep_files(&files);
            self.files = files;
        }
    }
}
