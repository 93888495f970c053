//! The messages between the page and its worker.

use js_sys::Uint8Array;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wasm_bindgen::JsValue;

use crate::worker::{Command, Event};

/// A message from the page to its worker.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    /// Serve on this device, named as [`crate::device::open`] takes it.
    Serve(String),
    /// Run the benchmark in place of the service.
    Bench,
    Command(Command),
    /// The page has processed this many batches of reports.
    Seen(usize),
}

/// A message from the worker to its page.
#[derive(Serialize, Deserialize)]
pub(super) enum Report {
    Events(Vec<Event>),
    /// A line of the benchmark's output as text.
    Line(String),
    /// The complete result of the benchmark, as JSON.
    Bench(String),
}

/// Encodes a message for the browser to send.
pub(super) fn encode(message: &impl Serialize) -> Uint8Array {
    match postcard::to_stdvec(message) {
        Ok(bytes) => Uint8Array::from(bytes.as_slice()),
        Err(error) => unreachable!("every message can be encoded: {error}"),
    }
}

/// Decodes a message, or returns `None` if it does not come from this program.
pub(super) fn decode<T: DeserializeOwned>(data: &JsValue) -> Option<T> {
    postcard::from_bytes(&Uint8Array::new(data).to_vec()).ok()
}
