//! The web worker, which receives commands and sends reports.

use std::cell::OnceCell;

use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use super::wire::{Measurement, Report, Request, decode, encode};
use crate::worker::{self, Event, Port};

/// Starts the worker. It processes the messages that arrived while the program was loading, and then new ones.
pub(super) fn start(scope: DedicatedWorkerGlobalScope) {
    // A panic ends this worker, and the page can start another one.
    let to_page = scope.clone();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.to_string();
        let text = text.lines().nth(1).unwrap_or(&text);
        post(&to_page, &Report::Events(vec![Event::Failed(format!("the device failed: {text}"))]));
    }));
    let port = OnceCell::new();
    let to_page = scope.clone();
    let take = move |data: &JsValue| match decode(data) {
        Some(Request::Serve(device)) => {
            port.get_or_init(|| {
                let to_page = to_page.clone();
                worker::serve(device, move |events| post(&to_page, &Report::Events(events)))
            });
        }
        Some(Request::Measure(what)) => measure(what, &to_page),
        Some(Request::Command(command)) => to_port(&port, |port| port.command(command)),
        Some(Request::Seen(count)) => to_port(&port, |port| port.seen(count)),
        None => {}
    };
    for data in early_messages() {
        take(&data);
    }
    let on_message =
        Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| take(&event.data()));
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
}

fn to_port(port: &OnceCell<Port>, tell: impl FnOnce(&Port)) {
    if let Some(port) = port.get() {
        tell(port);
    }
}

/// The messages that the script received before this program started.
fn early_messages() -> Array {
    let inbox = Reflect::get(&js_sys::global(), &"jempp".into())
        .and_then(|jempp| Reflect::get(&jempp, &"inbox".into()));
    inbox.ok().and_then(|inbox| inbox.dyn_into().ok()).unwrap_or_default()
}

fn post(scope: &DedicatedWorkerGlobalScope, report: &Report) {
    let bytes: Uint8Array = encode(report);
    // The bytes are transferred, not copied. This fails only for data that cannot be transferred.
    let _ = scope.post_message_with_transfer(&bytes, &Array::of1(&bytes.buffer()));
}

fn measure(what: Measurement, scope: &DedicatedWorkerGlobalScope) {
    let scope = scope.clone();
    wasm_bindgen_futures::spawn_local(async move {
        let line = |text: String| post(&scope, &Report::Line(text));
        let report = match what {
            Measurement::Bench => worker::bench(&line).await,
            Measurement::Check { is_short } => worker::check(is_short, &line).await,
        };
        post(&scope, &Report::Measured(what, report));
    });
}
