//! The page's worker: what is sent to it and what it reports, how another one takes over, and the model files that it needs.

use std::{
    cell::{Cell, Ref, RefCell},
    rc::Rc,
    sync::mpsc::Sender,
};

use js_sys::{Array, Reflect};
use wasm_bindgen::{JsCast, closure::Closure, prelude::wasm_bindgen};
use web_sys::{MessageEvent, Worker};

use super::{
    store,
    wire::{Report, Request, decode, encode},
};
use crate::worker::{Batch, Command, Event, TrainingUpdate};

/// The device with which the worker chooses by itself.
pub(super) const AUTO: &str = "auto";

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = jempp, js_name = newWorker)]
    pub(super) fn new_worker() -> Worker;
}

/// The current worker, and what another one would need to take over.
pub(super) struct PageWorker {
    worker: RefCell<Worker>,
    device: RefCell<String>,
    events: Sender<Batch>,
    ctx: egui::Context,
    /// What was sent before the device of a link was open; `None` once it is, and if there is no such device.
    early: RefCell<Option<Vec<Command>>>,
    models: RefCell<Models>,
    /// What a person must be told.
    problems: RefCell<Vec<String>>,
    num_batches: Cell<usize>,
    num_openings: Cell<u64>,
}

/// The models that are not built in.
#[derive(Default)]
struct Models {
    /// The files that the worker has, and that another one would need.
    files: Vec<ModelFile>,
    /// The names of the models that the browser keeps.
    kept: Vec<String>,
}

struct ModelFile {
    name: String,
    /// Where the page has the file.
    place: String,
    /// Whether the browser was asked to keep it.
    is_kept: bool,
}

impl ModelFile {
    fn to_request(&self) -> Request {
        Request::Attach { name: self.name.clone(), place: self.place.clone() }
    }
}

impl Models {
    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|file| file.name == name)
    }

    /// Whether the browser keeps a model of this name that the worker does not have.
    fn must_fetch(&self, name: &str) -> bool {
        self.kept.iter().any(|kept| kept == name) && !self.has(name)
    }
}

impl PageWorker {
    /// Starts a worker on this device. `kept` is the name of a model that the browser keeps.
    pub(super) fn new(
        device: String,
        events: Sender<Batch>,
        ctx: egui::Context,
        kept: Option<String>,
    ) -> Rc<Self> {
        let models = Models { kept: kept.into_iter().collect(), ..Models::default() };
        let helper = Rc::new(Self {
            worker: RefCell::new(new_worker()),
            device: RefCell::new(device),
            events,
            ctx,
            early: RefCell::default(),
            models: RefCell::new(models),
            problems: RefCell::default(),
            num_batches: Cell::new(0),
            num_openings: Cell::new(0),
        });
        helper.begin();
        helper
    }

    /// The device as the page asks for it.
    pub(super) fn device(&self) -> Ref<'_, String> {
        self.device.borrow()
    }

    /// The names of the models that the browser keeps.
    pub(super) fn kept(&self) -> Ref<'_, [String]> {
        Ref::map(self.models.borrow(), |models| &models.kept[..])
    }

    /// Whether a model must be fetched from the browser before it opens.
    pub(super) fn must_fetch(&self, name: &str) -> bool {
        self.models.borrow().must_fetch(name)
    }

    /// Notes that the browser keeps a model. Returns whether this is news.
    pub(super) fn offer(&self, name: &str) -> bool {
        let mut models = self.models.borrow_mut();
        let is_new = !models.kept.iter().any(|kept| kept == name);
        if is_new {
            models.kept.push(name.to_string());
        }
        is_new
    }

    /// Returns what a person must be told since the last call.
    pub(super) fn take_problems(&self) -> Vec<String> {
        self.problems.take()
    }

    /// Listens to the worker's messages, and starts its service.
    fn begin(self: &Rc<Self>) {
        let worker = self.worker.borrow().clone();
        let helper = self.clone();
        listen(&worker, move |report| {
            if let Report::Events(events) = report {
                helper.num_batches.set(helper.num_batches.get() + 1);
                helper.hear(events);
            }
        });
        let helper = self.clone();
        let on_error = Closure::<dyn Fn(web_sys::Event)>::new(move |event: web_sys::Event| {
            // The page shows this error itself.
            event.prevent_default();
            // If a script cannot be loaded, the event has no message, and the page's scripts say so.
            let message = Reflect::get(&event, &"message".into()).ok();
            let Some(message) = message.and_then(|message| message.as_string()) else { return };
            helper.take(vec![Event::Failed(format!("the page's worker failed: {message}"))]);
        });
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        on_error.forget();
        let device = self.device.borrow().clone();
        self.early.replace((device != AUTO).then(Vec::new));
        post(&worker, &Request::Serve(device));
        self.models.borrow().files.iter().for_each(|file| post(&worker, &file.to_request()));
    }

    /// Lets another worker take over.
    fn renew(self: &Rc<Self>) {
        let old = self.worker.borrow().clone();
        // What it has already sent is no longer of interest.
        old.set_onmessage(None);
        old.set_onerror(None);
        old.terminate();
        self.worker.replace(new_worker());
        self.num_batches.set(0);
        self.begin();
    }

    fn take(&self, events: Vec<Event>) {
        // The app exists as long as the page.
        let _ = self.events.send(events.into());
        self.ctx.request_repaint();
    }

    /// Takes what concerns the page alone, and passes the rest on to the window.
    fn hear(self: &Rc<Self>, events: Vec<Event>) {
        let mut rest = Vec::with_capacity(events.len());
        for event in events {
            match &event {
                Event::Device { .. } => drop(self.early.take()),
                Event::Failed(reason) if self.early.borrow().is_some() => {
                    return self.do_without_device(reason);
                }
                Event::Opened(model) => self.opened(&model.name),
                Event::Training(update) => self.ask_for_trained(update),
                Event::File { name, bytes } if self.keep_trained(name, bytes) => continue,
                _ => {}
            }
            rest.push(event);
        }
        self.take(rest);
    }

    /// Leaves the choice of the device to the worker, as that of the link cannot be had. Another worker begins, because the
    /// attempt may have broken this one.
    fn do_without_device(self: &Rc<Self>, reason: &str) {
        let device = self.device.replace(AUTO.into());
        self.problems.borrow_mut().push(format!(
            "The device `{device}` of the link cannot be used here: {reason}. The page has chosen one itself."
        ));
        let early = self.early.take().unwrap_or_default();
        self.renew();
        early.into_iter().for_each(|command| self.pass(command));
        self.ctx.request_repaint();
    }

    /// Keeps a file that opened for the first time for the next visit, if it is not too large.
    fn opened(&self, name: &str) {
        let mut models = self.models.borrow_mut();
        let file = models.files.iter_mut().find(|file| file.name == name && !file.is_kept);
        if let Some(file) = file {
            file.is_kept = true;
            store::keep(store::OPENED, name, &file.place);
        }
    }

    /// When training stops, asks the worker for the model, which would be lost with the page.
    fn ask_for_trained(&self, update: &TrainingUpdate) {
        if let TrainingUpdate::Stopped { checkpoint, .. } = update {
            let path = store::path_to_hand_over(&checkpoint.display().to_string());
            self.pass(Command::Save(path));
        }
    }

    /// Keeps a trained model that the worker hands over. Returns whether the file is such a model.
    fn keep_trained(&self, file: &str, bytes: &[u8]) -> bool {
        let Some((_, name)) = store::parts_of_handed(file) else { return false };
        let place = match bytes {
            [] => String::new(),
            _ => store::take(&name, bytes),
        };
        store::keep(store::TRAINED, &name, &place);
        // An earlier model of this name would hide the new one.
        let has_earlier = self.models.borrow().has(&name);
        if has_earlier && !place.is_empty() {
            self.give(ModelFile { name, place, is_kept: true });
        }
        true
    }

    /// Sends a command from the window.
    pub(super) fn send(self: &Rc<Self>, command: Command) {
        match command {
            // The memory of a failed worker cannot be used again, so a new worker starts.
            Command::Retry => self.renew(),
            // The window has only the name of its place.
            Command::Attach { name, bytes } => {
                let place = String::from_utf8_lossy(&bytes).into_owned();
                self.give(ModelFile { name, place, is_kept: false });
            }
            Command::Open(name) => self.open(name),
            command => self.pass(command),
        }
    }

    /// Opens a model, after it was fetched if only the browser has it.
    fn open(self: &Rc<Self>, name: String) {
        let number = self.num_openings.get() + 1;
        self.num_openings.set(number);
        if !self.must_fetch(&name) {
            return self.pass(Command::Open(name));
        }
        let helper = self.clone();
        wasm_bindgen_futures::spawn_local(async move {
            if let Some(place) = store::place_of(&name).await {
                helper.give(ModelFile { name: name.clone(), place, is_kept: true });
            }
            // Meanwhile, a person may have chosen another model. Without the file, the worker says that there is none.
            if helper.num_openings.get() == number {
                helper.pass(Command::Open(name));
            }
        });
    }

    fn give(&self, file: ModelFile) {
        post(&self.worker.borrow(), &file.to_request());
        let mut models = self.models.borrow_mut();
        models.files.retain(|other| other.name != file.name);
        models.files.push(file);
    }

    fn pass(&self, command: Command) {
        if let Some(early) = &mut *self.early.borrow_mut() {
            early.push(command.clone());
        }
        post(&self.worker.borrow(), &Request::Command(command));
    }

    /// Tells the worker that the page has processed its reports.
    pub(super) fn acknowledge(&self) {
        let count = self.num_batches.take();
        if count > 0 {
            post(&self.worker.borrow(), &Request::Seen(count));
        }
    }
}

/// Listens to a worker's reports.
pub(super) fn listen(worker: &Worker, take: impl Fn(Report) + 'static) {
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
        if let Some(report) = decode(&event.data()) {
            take(report);
        }
    });
    worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
}

/// Sends a message to a worker.
pub(super) fn post(worker: &Worker, request: &Request) {
    let bytes = encode(request);
    // The bytes are transferred, not copied. This fails only for data that cannot be transferred.
    let _ = worker.post_message_with_transfer(&bytes, &Array::of1(&bytes.buffer()));
}
