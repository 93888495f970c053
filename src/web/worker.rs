//! The web worker, which receives commands and sends reports.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use js_sys::{Array, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use super::{
    store,
    wire::{Measurement, Report, Request, decode, encode},
};
use crate::{
    browser,
    worker::{self, Command, Event, Helper, Port},
};

/// Starts the worker. It processes the messages that arrived while the program was loading, and then new ones.
pub(super) fn start(scope: DedicatedWorkerGlobalScope) {
    if scope.name() == "helper" {
        return help(scope);
    }
    // A panic ends this worker, and the page can start another one.
    let to_page = scope.clone();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.to_string();
        let text = text.lines().nth(1).unwrap_or(&text);
        post(&to_page, &Report::Events(vec![Event::Failed(format!("the device failed: {text}"))]));
    }));
    let intake = Rc::new(Intake {
        scope: scope.clone(),
        port: OnceCell::new(),
        unread: RefCell::default(),
        waiting: RefCell::default(),
    });
    let take = move |data: &JsValue| {
        if let Some(request) = decode(data) {
            intake.take(request);
        }
    };
    listen(&scope, take);
}

/// Answers the messages of another worker one after the other.
fn help(scope: DedicatedWorkerGlobalScope) {
    let helper = Rc::new(RefCell::new(Helper::default()));
    let to_worker = scope.clone();
    let take = move |data: &JsValue| {
        let (helper, to_worker) = (helper.clone(), to_worker.clone());
        let message = Uint8Array::new(data).to_vec();
        wasm_bindgen_futures::spawn_local(async move {
            // The next message comes after the answer to this one, so nobody else has borrowed it.
            let answer = helper.borrow_mut().answer(&message).await;
            let answer = answer.map_or(JsValue::NULL, |bytes| Uint8Array::from(&bytes[..]).into());
            let _ = to_worker.post_message(&answer);
        });
    };
    listen(&scope, take);
}

/// Processes the messages that arrived while the program was loading, and then new ones.
fn listen(scope: &DedicatedWorkerGlobalScope, take: impl Fn(&JsValue) + 'static) {
    for data in early_messages() {
        take(&data);
    }
    let on_message =
        Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| take(&event.data()));
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
}

/// What takes the page's messages, reads model files, and passes commands on to the service.
struct Intake {
    scope: DedicatedWorkerGlobalScope,
    port: OnceCell<Port>,
    /// The places of the model files that are not read yet, by name.
    unread: RefCell<BTreeMap<String, String>>,
    /// The commands that wait while a file is read; `None` while none is.
    waiting: RefCell<Option<Vec<Command>>>,
}

impl Intake {
    fn take(self: &Rc<Self>, request: Request) {
        match request {
            Request::Serve(device) => {
                let scope = self.scope.clone();
                self.port.get_or_init(|| {
                    worker::serve(device, move |mut events| {
                        events.iter_mut().for_each(store::leave_out_large);
                        post(&scope, &Report::Events(events));
                    })
                });
            }
            Request::Measure(what) => measure(what, &self.scope),
            Request::Attach { name, place } => {
                self.unread.borrow_mut().insert(name, place);
            }
            Request::Command(command) => self.pass(command),
            Request::Seen(count) => {
                if let Some(port) = self.port.get() {
                    port.seen(count);
                }
            }
        }
    }

    /// Passes a command on. If it opens a file, that is read first, and later commands wait.
    fn pass(self: &Rc<Self>, command: Command) {
        if let Some(waiting) = &mut *self.waiting.borrow_mut() {
            waiting.push(command);
            return;
        }
        let file = match &command {
            Command::Open(name) => self.unread.borrow_mut().remove_entry(name),
            _ => None,
        };
        let Some((name, place)) = file else { return self.serve(command) };
        self.waiting.replace(Some(Vec::new()));
        let intake = self.clone();
        wasm_bindgen_futures::spawn_local(async move {
            let read = browser::given(&place).await;
            match read {
                Ok(bytes) => {
                    intake.serve(Command::Attach { name, bytes: bytes.into() });
                    intake.serve(command);
                }
                Err(reason) => {
                    let reason = format!("cannot read {name}: {reason}");
                    post(&intake.scope, &Report::Events(vec![Event::Refused(reason)]));
                    // A person may try again.
                    intake.unread.borrow_mut().entry(name).or_insert(place);
                }
            }
            let waiting = intake.waiting.take().unwrap_or_default();
            waiting.into_iter().for_each(|command| intake.pass(command));
        });
    }

    fn serve(&self, command: Command) {
        if let Some(port) = self.port.get() {
            port.command(command);
        }
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
