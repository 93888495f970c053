//! The page: the window's `App` in a canvas, connected to a web worker.

use std::{
    any::Any,
    rc::Rc,
    sync::mpsc::{Receiver, channel},
};

use js_sys::Reflect;
use serde_json::json;
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use web_sys::{HtmlCanvasElement, Window};
use web_time::{Duration, Instant};

use super::{
    host::{self, Doors, Holds, Host, Visited},
    link::{self, Query},
    page_worker::{PageWorker, listen, new_worker, post},
    store,
    wire::{Measurement, Report, Request},
};
use crate::{
    app::{App, Link, Viewer, Voice, limit_history, small_fonts},
    config::ViewState,
    worker::{Command, Event},
};

/// The full page, for the link of an embedded lesson.
const FULL_PAGE: &str = "./index.html";
/// The minimum time between two changes of the address, because browsers refuse frequent changes.
const ADDRESS_INTERVAL: Duration = Duration::from_secs(1);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = jempp)]
    fn ready();
    #[wasm_bindgen(js_namespace = jempp)]
    fn fail(reason: &str);
    #[wasm_bindgen(thread_local_v2, js_namespace = jempp, js_name = embed)]
    static IS_EMBEDDED: Option<bool>;
}

/// Starts the page, or a measurement in its place.
pub(super) fn start() {
    // The trap that follows a panic says only `unreachable`.
    std::panic::set_hook(Box::new(|info| fail(&info.to_string())));
    let Some(window) = web_sys::window() else { unreachable!("a page has a window") };
    let query = Query::of(&window);
    wasm_bindgen_futures::spawn_local(async move {
        let begun = match query.measurement {
            Some(what) => measure(what, &window),
            None => view(window, query).await,
        };
        if let Err(error) = begun {
            wasm_bindgen::throw_val(error);
        }
    });
}

async fn view(window: Window, query: Query) -> Result<(), JsValue> {
    let canvas = window.document().and_then(|document| document.get_element_by_id("canvas"));
    let canvas: HtmlCanvasElement =
        canvas.ok_or("the page has no canvas")?.dyn_into().map_err(|_| "no canvas")?;
    let holds = Holds::default();
    let options = holds.options();
    let create: eframe::AppCreator = Box::new(move |creation| {
        creation.egui_ctx.set_fonts(small_fonts());
        Ok(Box::new(Page::new(&creation.egui_ctx, window, query, holds)))
    });
    let runner = eframe::WebRunner::new();
    publish(&runner);
    runner.start(canvas, options, create).await
}

/// The app, with the state that only a page needs.
struct Page {
    app: App,
    commands: Receiver<Command>,
    helper: Rc<PageWorker>,
    window: Window,
    query: Query,
    /// The view in the address, and the time when it was written.
    address: (ViewState, Instant),
    /// Whether the address must be written although the view has not changed.
    is_address_old: bool,
    /// Whether a link or the browser's buttons have just led here. What is written first then replaces the entry of the history.
    is_arriving: bool,
    holds: Holds,
    doors: Doors,
    voice: Voice,
    host: Host,
    visited: Visited,
    is_ready: bool,
}

impl Page {
    fn new(ctx: &egui::Context, window: Window, query: Query, holds: Holds) -> Self {
        limit_history(host::history_mib());
        let (command_sender, commands) = channel();
        let (event_sender, events) = channel();
        let (told, problem) = ViewState::from_link(&query.view);
        let is_plain = told == ViewState::default();
        let view = link::or_default(told.clone());
        // The address does not describe the view if its query is not used as a whole.
        let told = if problem.is_none() { told } else { ViewState::default() };
        let link = Link { commands: command_sender, events };
        let mut app = match IS_EMBEDDED.with(|is_embedded| *is_embedded) {
            Some(true) => App::embedded(link, view, format!("{FULL_PAGE}?{}", query.fixed())),
            _ => App::new(link, view),
        };
        app.listen(ctx);
        // Elsewhere the card waits for what the browser kept: it is for the first visit. A frame keeps nothing.
        if is_plain && host::is_frame() {
            app.welcome();
        }
        let location = window.location();
        app.set_address(format!(
            "{}{}",
            location.origin().unwrap_or_default(),
            location.pathname().unwrap_or_default()
        ));
        let viewer = app.viewer_mut();
        if host::is_calm() {
            viewer.set_calm(true);
        }
        // The chains start when the model is loaded, unless the lab's chains are shown.
        if !viewer.shows_plane() {
            viewer.play_when_ready(true);
        }
        if let Some(problem) = problem {
            viewer.session.complain(problem);
        }
        let kept = store::kept_name();
        let helper = PageWorker::new(query.device.clone(), event_sender, ctx.clone(), kept);
        // The worker need not wait for the first frame.
        for command in viewer.take_commands() {
            pass_on(command, viewer, &helper);
        }
        let visited = host::listen_to_history(&window, ctx.clone());
        if let Some(theme) = &query.theme {
            host::set_theme(ctx, theme);
        }
        Self {
            app,
            commands,
            helper,
            window,
            query,
            address: (told, Instant::now()),
            is_address_old: false,
            is_arriving: true,
            holds,
            doors: Doors::default(),
            voice: Voice::default(),
            host: Host::new(ctx.clone(), is_plain),
            visited,
            is_ready: false,
        }
    }

    /// Writes the state of the viewer to the address, so that reloading the page or sharing the address restores it. A person
    /// who goes elsewhere can go back, except in a frame, where the browser's buttons belong to the page around it.
    fn follow_address(&mut self, ctx: &egui::Context) {
        let viewer = self.app.viewer();
        if viewer.run.model.is_none() || !viewer.lesson.is_set_up() {
            return;
        }
        let view = viewer.view();
        let is_arriving = std::mem::take(&mut self.is_arriving);
        if view == self.address.0 && !self.is_address_old {
            return;
        }
        let place = |view: &ViewState| (view.view.tab, view.view.lesson, view.view.lesson_step);
        let is_elsewhere =
            !is_arriving && !host::is_frame() && place(&view) != place(&self.address.0);
        let waited = self.address.1.elapsed();
        if waited < ADDRESS_INTERVAL && !is_elsewhere && !is_arriving {
            ctx.request_repaint_after(ADDRESS_INTERVAL - waited);
            return;
        }
        if let Ok(history) = self.window.history() {
            let url = format!("?{}{}", self.query.fixed(), view.to_query());
            let url = Some(url.as_str());
            // A page opened from a file cannot change its address, which does no harm.
            let _ = match is_elsewhere {
                true => history.push_state_with_url(&JsValue::NULL, "", url),
                false => history.replace_state_with_url(&JsValue::NULL, "", url),
            };
        }
        self.is_address_old = false;
        self.address = (view, Instant::now());
    }

    /// Takes what the link to the worker found out: problems, a device that cannot be had, and models that the browser keeps.
    fn follow_helper(&mut self) {
        let viewer = self.app.viewer_mut();
        for text in self.helper.take_problems() {
            viewer.session.complain(text);
        }
        if *self.helper.device() != self.query.device {
            self.query.device.clone_from(&self.helper.device());
            self.is_address_old = true;
        }
        // Kept models are in the list of models while they are not open. Before the device is, there is no list.
        let open = viewer.run.model.as_ref().map(|model| &model.name);
        let listed = &mut viewer.session.bundled;
        if listed.is_empty() {
            return;
        }
        for name in self.helper.kept().iter() {
            match (open == Some(name), listed.contains(name)) {
                (true, true) => listed.retain(|other| other != name),
                (false, false) => listed.push(name.clone()),
                _ => {}
            }
        }
    }

    /// Shows the view to which a person went with the browser's buttons.
    fn follow_history(&mut self) {
        if self.visited.take().is_none() {
            return;
        }
        let query = self.window.location().search().unwrap_or_default();
        self.app.viewer_mut().go_to(link::view_of(&query).0);
        self.address = (self.app.viewer().view(), Instant::now());
        self.is_arriving = true;
    }

    /// The state that scripts on the page can query.
    fn describe(&self) -> JsValue {
        let viewer = self.app.viewer();
        let (run, session) = (&viewer.run, &viewer.session);
        let energies: Vec<&Vec<f32>> = run
            .shown_numbers()
            .map(|numbers| numbers.1.iter().map(|lane| &lane.energy).collect())
            .unwrap_or_default();
        let notices = session.notices.iter().map(|notice| &notice.text);
        let state = json!({
            "device": session.device.as_ref().map(|device| &device.0),
            "is_cpu": session.device.as_ref().map(|device| device.1),
            "model": run.model.as_ref().map(|model| &model.name),
            "models": session.bundled,
            "is_running": run.is_running,
            "shown_step": run.shown_step(),
            "last_step": run.last_step(),
            "energies": energies,
            "failure": session.failure,
            "why_not": run.why_not,
            "notices": notices.chain(&session.warning).collect::<Vec<_>>(),
            "query": viewer.view().to_query(),
            "steps_per_sec": run.steps_per_sec,
            "has_references": run.references.is_some(),
            "is_training": viewer.training.is_running,
            "training_step": viewer.training.step(),
            "own_data": viewer.training.own.describe(),
            "num_drawings": viewer.training.drawn.num_drawings(),
            "lesson": viewer.lesson.title(),
            "finished_lessons": viewer.lesson.finished,
            "lab": {
                "step": viewer.lab.record.step,
                "is_running": viewer.lab.record.is_running,
                "learning_step": viewer.lab.record.learning_step(),
                "num_rules": viewer.lab.record.total_variations().len(),
                "has_surface": viewer.lab.record.surface.is_some(),
                "total_variation": viewer.lab.record.total_variations(),
            },
        });
        js_sys::JSON::parse(&state.to_string()).unwrap_or(JsValue::NULL)
    }
}

/// Sends a command to the worker.
fn pass_on(command: Command, viewer: &mut Viewer, helper: &Rc<PageWorker>) {
    // Another file of this name needs another name from now on.
    if let Command::Open(name) = &command
        && helper.must_fetch(name)
    {
        viewer.run.note_bytes_of(name);
    }
    helper.send(command);
}

/// Provides the functions `jempp.state()` and `jempp.unsaved()` for scripts.
fn publish(runner: &eframe::WebRunner) {
    let asked = runner.clone();
    let state = Closure::<dyn Fn() -> JsValue>::new(move || {
        asked.app_mut::<Page>().map_or(JsValue::NULL, |page| page.describe())
    });
    set("state", &state.into_js_value());
    let asked = runner.clone();
    let unsaved = Closure::<dyn Fn() -> bool>::new(move || {
        asked.app_mut::<Page>().is_some_and(|page| page.app.viewer().has_unsaved())
    });
    set("unsaved", &unsaved.into_js_value());
}

fn set(key: &str, value: &JsValue) {
    if let Ok(jempp) = Reflect::get(&js_sys::global(), &"jempp".into()) {
        // The page's own script created this object, so setting a key cannot fail.
        let _ = Reflect::set(&jempp, &key.into(), value);
    }
}

impl eframe::App for Page {
    fn as_any_mut(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }

    fn raw_input_hook(&mut self, _ctx: &egui::Context, input: &mut egui::RawInput) {
        host::end_taken_touches(input);
    }

    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.follow_history();
        self.host.obey(&mut self.app, &self.helper, ctx);
        self.app.drain(ctx);
        self.helper.acknowledge();
        self.follow_helper();
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.doors.first(ui);
        self.app.show(ui);
        self.doors.last(ui);
        self.holds.set(self.app.holds());
        host::speak(&mut self.voice, &mut self.app, ui.ctx());
        self.host.report(&self.app, ui.ctx());
        while let Ok(command) = self.commands.try_recv() {
            pass_on(command, self.app.viewer_mut(), &self.helper);
        }
        self.follow_address(ui.ctx());
        if !std::mem::replace(&mut self.is_ready, true) {
            ready();
        }
    }
}

/// Runs a measurement in the worker, and shows its output.
fn measure(what: Measurement, window: &Window) -> Result<(), JsValue> {
    let document = window.document().ok_or("no document")?;
    let report =
        document.get_element_by_id("report").ok_or("the page has no place for a report")?;
    let worker = new_worker();
    listen(&worker, move |message| match message {
        Report::Line(line) => {
            let text = report.text_content().unwrap_or_default();
            report.set_text_content(Some(&format!("{text}{line}\n")));
        }
        Report::Measured(what, json) => {
            set(what.name(), &js_sys::JSON::parse(&json).unwrap_or(JsValue::NULL));
        }
        Report::Events(events) => {
            for event in events {
                if let Event::Failed(reason) = event {
                    fail(&reason);
                }
            }
        }
    });
    post(&worker, &Request::Measure(what));
    ready();
    Ok(())
}
