//! What the page and its worker send each other.

use js_sys::Uint8Array;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use wasm_bindgen::JsValue;

use crate::worker::{Command, Event};

/// From the page to its worker.
#[derive(Serialize, Deserialize)]
pub(super) enum Request {
    /// Serve on this device, named as [`crate::device::open`] takes it.
    Serve(String),
    /// Measure this instead.
    Bench,
    Command(Command),
    /// The page has looked at so many batches of reports.
    Seen(usize),
}

/// From the worker to its page.
#[derive(Serialize, Deserialize)]
pub(super) enum Report {
    Events(Vec<Event>),
    /// A line of the bench for people.
    Line(String),
    /// The whole result of the bench, as JSON.
    Bench(String),
}

/// A message as the browser carries it.
pub(super) fn encode(message: &impl Serialize) -> Uint8Array {
    match postcard::to_stdvec(message) {
        Ok(bytes) => Uint8Array::from(bytes.as_slice()),
        Err(error) => unreachable!("every message can be encoded: {error}"),
    }
}

/// The message that came; `None` for one that is not of this program.
pub(super) fn decode<T: DeserializeOwned>(data: &JsValue) -> Option<T> {
    postcard::from_bytes(&Uint8Array::new(data).to_vec()).ok()
}
