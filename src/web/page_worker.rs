//! The page's worker: what is sent to it and what it reports, how another one takes over, and the model files that it needs.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::BTreeSet,
    rc::Rc,
    sync::{Arc, mpsc::Sender},
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
    /// The name of the open model, of whatever kind.
    open: String,
    /// The files that another worker would need.
    files: Vec<ModelFile>,
    /// The names of the files that the worker has.
    given: BTreeSet<String>,
    /// The names of the models that the browser keeps.
    kept: Vec<String>,
}

struct ModelFile {
    name: String,
    bytes: Arc<[u8]>,
    /// Whether the browser was asked to keep it.
    is_kept: bool,
}

impl ModelFile {
    fn to_command(&self) -> Command {
        Command::Attach { name: self.name.clone(), bytes: self.bytes.clone() }
    }
}

impl Models {
    fn add(&mut self, file: ModelFile) {
        self.files.retain(|other| other.name != file.name);
        self.forget_old();
        self.given.insert(file.name.clone());
        self.files.push(file);
    }

    /// Drops all files but that of the open model and the last one, which may be about to open. The worker has the others as
    /// long as it lives, so that undo finds them.
    fn forget_old(&mut self) {
        let last = self.files.pop();
        self.files.retain(|file| file.name == self.open);
        self.files.extend(last);
    }

    /// Begins anew with another worker. Returns the files that it needs.
    fn begin(&mut self) -> Vec<Command> {
        self.given = self.files.iter().map(|file| file.name.clone()).collect();
        self.files.iter().map(ModelFile::to_command).collect()
    }

    /// Whether the browser keeps a model of this name that the worker does not have.
    fn must_fetch(&self, name: &str) -> bool {
        self.kept.iter().any(|kept| kept == name) && !self.given.contains(name)
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
        let files = self.models.borrow_mut().begin();
        files.into_iter().for_each(|file| self.pass(file));
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
        // The other worker has the files already.
        let others = early.into_iter().filter(|command| !matches!(command, Command::Attach { .. }));
        others.for_each(|command| self.pass(command));
        self.ctx.request_repaint();
    }

    /// Notes which model is open. A file that opened for the first time is kept for the next visit, if it is not too large.
    fn opened(&self, name: &str) {
        let mut models = self.models.borrow_mut();
        models.open = name.to_string();
        models.forget_old();
        let file = models.files.iter_mut().find(|file| file.name == name && !file.is_kept);
        if let Some(file) = file {
            file.is_kept = true;
            store::keep(store::OPENED, name, &file.bytes);
        }
    }

    /// When training stops, asks the worker for the model, which would be lost with the page.
    fn ask_for_trained(&self, update: &TrainingUpdate) {
        if let TrainingUpdate::Stopped { checkpoint, .. } = update
            && store::keeps_trained()
        {
            let path = store::path_to_hand_over(&checkpoint.display().to_string());
            self.pass(Command::Save(path));
        }
    }

    /// Keeps a trained model that the worker hands over. Returns whether the file is such a model.
    fn keep_trained(&self, file: &str, bytes: &[u8]) -> bool {
        let Some(name) = store::name_of_handed(file) else { return false };
        store::keep(store::TRAINED, &name, bytes);
        // An earlier model of this name would hide the new one.
        let is_given = self.models.borrow().given.contains(&name);
        if is_given {
            self.give(ModelFile { name, bytes: bytes.into(), is_kept: true });
        }
        true
    }

    /// Sends a command from the window.
    pub(super) fn send(self: &Rc<Self>, command: Command) {
        match command {
            // The memory of a failed worker cannot be used again, so a new worker starts.
            Command::Retry => self.renew(),
            Command::Attach { name, bytes } => {
                self.give(ModelFile { name, bytes, is_kept: false });
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
            if let Some(bytes) = store::bytes_of(&name).await {
                helper.give(ModelFile { name: name.clone(), bytes, is_kept: true });
            }
            // Meanwhile, a person may have chosen another model. Without the bytes, the worker says that there is no file.
            if helper.num_openings.get() == number {
                helper.pass(Command::Open(name));
            }
        });
    }

    fn give(&self, file: ModelFile) {
        let command = file.to_command();
        self.models.borrow_mut().add(file);
        self.pass(command);
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
    // The bytes are transferred, not copied: a model may have 200 MB. This fails only for data that cannot be transferred.
    let _ = worker.post_message_with_transfer(&bytes, &Array::of1(&bytes.buffer()));
}
