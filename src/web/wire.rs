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
    /// Measure the devices in place of the service.
    Measure(Measurement),
    /// A model file that the page has handed over, by the name of its place. From now on, [`Command::Open`] finds it.
    Attach {
        name: String,
        place: String,
    },
    Command(Command),
    /// The page has processed this many batches of reports.
    Seen(usize),
}

/// A message from the worker to its page.
#[derive(Serialize, Deserialize)]
pub(super) enum Report {
    Events(Vec<Event>),
    /// A line of a measurement's output as text.
    Line(String),
    /// The complete result of a measurement, as JSON.
    Measured(Measurement, String),
}

/// What the page measures in place of showing the viewer.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) enum Measurement {
    /// The speed of each device.
    Bench,
    /// Whether the kernels compute what the CPU computes.
    Check {
        /// Whether the largest sizes are left out, and the variants of convolutions that the page does not use here.
        is_short: bool,
    },
}

impl Measurement {
    /// What a key of the page's query asks for, such as `check=short`; `None` for any other key.
    pub(super) fn of(key: &str, value: &str) -> Option<Self> {
        match key {
            "bench" => Some(Self::Bench),
            "check" => Some(Self::Check { is_short: value == "short" }),
            _ => None,
        }
    }

    /// Its key in the query, and the place of its result in the page's object `jempp`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bench => "bench",
            Self::Check { .. } => "check",
        }
    }
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
