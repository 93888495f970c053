//! What connects the viewer to the page around its canvas: the focus, the history, and a text for screen readers.

use std::{cell::RefCell, rc::Rc};

use eframe::WebOptions;
use egui::{Event, Id, Key, Pos2, RawInput, Rect, Sense, Ui};
use wasm_bindgen::{JsCast, JsValue, closure::Closure, prelude::wasm_bindgen};
use web_sys::Window;
use web_time::{Duration, Instant};

use super::{link, page_worker::PageWorker, store::Store};
use crate::app::{App, Guide, Voice};

/// A place far outside any screen. A button that is released there is not clicked.
const NOWHERE: Pos2 = Pos2::new(-1e4, -1e4);

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = jempp)]
    fn leave(is_back: bool);
    #[wasm_bindgen(js_namespace = jempp)]
    fn tell(
        title: &str,
        paragraphs: Vec<String>,
        answer: Vec<String>,
        now: &str,
        alarm: &str,
        news: &str,
    );
    #[wasm_bindgen(js_namespace = jempp)]
    fn say(text: &str);
    #[wasm_bindgen(js_namespace = document, js_name = hasFocus)]
    fn has_focus() -> bool;
    #[wasm_bindgen(js_namespace = jempp)]
    fn report(state: &JsValue);
    #[wasm_bindgen(js_namespace = jempp, js_name = onAsked)]
    fn on_asked(take: &JsValue);
    #[wasm_bindgen(thread_local_v2, js_namespace = jempp, js_name = isFrame)]
    static IS_FRAME: bool;
    #[wasm_bindgen(thread_local_v2, js_namespace = jempp, js_name = takesAll)]
    static TAKES_ALL: bool;
    #[wasm_bindgen(thread_local_v2, js_namespace = jempp, js_name = isCalm)]
    static IS_CALM: bool;
    #[wasm_bindgen(thread_local_v2, js_namespace = jempp, js_name = historyMib)]
    static HISTORY_MIB: u32;
}

/// Whether a person had asked their system for less motion when the page began, so that nothing starts to move by itself.
pub(super) fn is_calm() -> bool {
    IS_CALM.with(|is_calm| *is_calm)
}

/// Whether the page is in a frame of another page.
pub(super) fn is_frame() -> bool {
    IS_FRAME.with(|is_frame| *is_frame)
}

/// The most memory for the record of a run, in MiB.
pub(super) fn history_mib() -> usize {
    HISTORY_MIB.with(|mib| *mib as usize)
}

/// The parts of the canvas in which the wheel and the finger are the viewer's. Elsewhere they scroll the host of a frame.
#[derive(Clone, Default)]
pub(super) struct Holds(Rc<RefCell<Held>>);

/// The parts, and whether what moves their contents down and up is the viewer's.
type Parts = Vec<(Rect, [bool; 2])>;

#[derive(Default)]
struct Held {
    /// `None` means everywhere; in a frame, once a person has entered it.
    parts: Option<Parts>,
    pointer: Pos2,
    /// Whether the finger that is down began in one of the parts.
    has_finger: bool,
}

impl Holds {
    /// Sets the parts of the last frame.
    pub(super) fn set(&self, parts: Option<Parts>) {
        self.0.borrow_mut().parts = parts.filter(|_| !takes_all());
    }

    /// The options with which the viewer takes only these events from the browser.
    pub(super) fn options(&self) -> WebOptions {
        let holds = self.clone();
        WebOptions {
            dithering: false,
            should_prevent_default: Box::new(move |event| holds.0.borrow_mut().takes(event)),
            ..Default::default()
        }
    }
}

fn takes_all() -> bool {
    TAKES_ALL.with(|takes_all| *takes_all)
}

impl Held {
    /// Whether a move of the contents at a point is the viewer's: one down, one up, or either.
    fn holds(&self, at: Pos2, ways: [bool; 2]) -> bool {
        let Some(parts) = &self.parts else { return takes_all() || has_focus() };
        let holds = |held: &[bool; 2]| held[0] && ways[0] || held[1] && ways[1];
        parts.iter().any(|(part, held)| part.contains(at) && holds(held))
    }

    fn takes(&mut self, event: &Event) -> bool {
        match event {
            Event::PointerMoved(at) => {
                self.pointer = *at;
                self.has_finger || self.parts.is_none() && self.holds(*at, [true; 2])
            }
            Event::PointerButton { pos, pressed: true, .. } => {
                (self.pointer, self.has_finger) = (*pos, self.holds(*pos, [true; 2]));
                self.has_finger
            }
            Event::PointerButton { pressed: false, .. } => {
                self.has_finger = false;
                true
            }
            // The browser zooms: nothing in the viewer does.
            Event::Zoom(_) => false,
            Event::MouseWheel { modifiers, .. } if modifiers.ctrl || modifiers.command => false,
            Event::MouseWheel { delta, .. } => {
                self.holds(self.pointer, [delta.y > 0.0, delta.y < 0.0])
            }
            _ => true,
        }
    }
}

/// Ends a touch that the browser took over to scroll the page. Otherwise the viewer would wait for its end.
pub(super) fn end_taken_touches(input: &mut RawInput) {
    let is_taken =
        |event: &Event| matches!(event, Event::Touch { phase: egui::TouchPhase::Cancel, .. });
    if input.events.iter().any(is_taken) {
        let modifiers = egui::Modifiers::NONE;
        let button = egui::PointerButton::Primary;
        input.events.extend([
            Event::PointerMoved(NOWHERE),
            Event::PointerButton { pos: NOWHERE, button, pressed: false, modifiers },
            Event::PointerGone,
        ]);
    }
}

/// The first and the last stop of the Tab key in the canvas. Whoever reaches one of them leaves the canvas.
#[derive(Default)]
pub(super) struct Doors {
    /// Whether Tab went backwards when it was pressed last.
    is_back: bool,
}

impl Doors {
    /// Adds the first stop, before everything else.
    pub(super) fn first(&mut self, ui: &Ui) {
        // Shift may be up again at the end of a slow frame.
        let way = |event: &Event| match event {
            Event::Key { key: Key::Tab, pressed: true, modifiers, .. } => Some(modifiers.shift),
            _ => None,
        };
        if let Some(is_back) = ui.input(|input| input.events.iter().filter_map(way).next_back()) {
            self.is_back = is_back;
            // From now on, the names of the controls are known: whoever needs them comes this way.
            ui.ctx().enable_accesskit();
        }
        let id = Id::unique("before the first control");
        let stop = ui.interact(Rect::NOTHING, id, Sense::focusable_noninteractive());
        if !stop.has_focus() {
            return;
        }
        stop.surrender_focus();
        match self.is_back {
            true => leave(true),
            // Nothing had the focus: the first control gets it.
            false => ui.memory_mut(|memory| memory.move_focus(egui::FocusDirection::Next)),
        }
    }

    /// Adds the last stop, after everything else.
    pub(super) fn last(&self, ui: &Ui) {
        let id = Id::unique("after the last control");
        if self.is_back && ui.memory(|memory| memory.has_focus(id)) {
            // Nothing had the focus: the last control gets it.
            ui.memory_mut(|memory| memory.move_focus(egui::FocusDirection::Previous));
        }
        let stop = ui.interact(Rect::NOTHING, id, Sense::focusable_noninteractive());
        if stop.has_focus() && !self.is_back {
            stop.surrender_focus();
            leave(false);
        }
    }
}

/// Writes what the window shows into the page, for screen readers.
pub(super) fn speak(voice: &mut Voice, app: &mut App, ctx: &egui::Context) {
    let (spoken, is_moving) = (app.spoken(), app.viewer().is_moving());
    if let Some((spoken, news)) = voice.follow(spoken, is_moving, Instant::now(), ctx) {
        let (paragraphs, answer) = (spoken.paragraphs.clone(), spoken.answer.clone());
        tell(&spoken.title, paragraphs, answer, &spoken.now, &spoken.failure, &news);
    }
}

/// Says the control in the canvas that has the focus, once it has it and when a person changes it.
#[derive(Default)]
struct Sayer(Guide);

impl egui::Plugin for Sayer {
    fn debug_name(&self) -> &'static str {
        "sayer"
    }

    fn output_hook(&mut self, ctx: &egui::Context, output: &mut egui::FullOutput) {
        let is_here = ctx.input(|input| input.focused);
        if let Some(text) = self.0.follow(&output.platform_output, is_here) {
            say(text);
        }
    }
}

/// The shortest time between two reports to the page around a frame.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// The page around a frame, which may ask for something, and hears what changes (`embed.js`); outside a frame, what the browser
/// kept.
pub(super) struct Host {
    asked: Rc<RefCell<Vec<(String, String)>>>,
    reported: (String, Instant),
    store: Store,
    /// Whether the page was opened without a link.
    is_plain: bool,
}

impl Host {
    /// Listens to what the page around the frame asks for.
    pub(super) fn new(ctx: egui::Context, is_plain: bool) -> Self {
        ctx.add_plugin(Sayer::default());
        let asked: Rc<RefCell<Vec<(String, String)>>> = Rc::default();
        let list = asked.clone();
        let take = Closure::<dyn Fn(String, String)>::new(move |what, value| {
            list.borrow_mut().push((what, value));
            ctx.request_repaint();
        });
        on_asked(&take.into_js_value());
        Self { asked, reported: (String::new(), Instant::now()), store: Store::new(), is_plain }
    }

    /// Does what was asked for.
    pub(super) fn obey(&mut self, app: &mut App, helper: &PageWorker, ctx: &egui::Context) {
        for (what, value) in self.asked.take() {
            let viewer = app.viewer_mut();
            match what.as_str() {
                "play" => viewer.set_playing(true),
                "pause" => viewer.set_playing(false),
                "restart" => viewer.restart(),
                "theme" => set_theme(ctx, &value),
                "calm" => viewer.set_calm(value == "yes"),
                "notify" => viewer.session.notify(value),
                "complain" => viewer.session.complain(value),
                "show" => {
                    let (view, ignored) = link::view_of(&value);
                    viewer.go_to(view);
                    ignored.into_iter().for_each(|text| viewer.session.complain(text));
                }
                "drawings" => self.store.restore_drawings(viewer, value),
                "files" => self.store.restore_files(viewer, &value),
                "is kept" => {
                    helper.offer(&value);
                }
                "kept" if helper.offer(&value) && self.is_plain => {
                    viewer.session.notify(format!(
                        "Kept from your last visit: {value}, in the list of models."
                    ));
                }
                "memory" if self.store.recall(viewer, &value, self.is_plain) => app.welcome(),
                _ => {}
            }
        }
    }

    /// Tells what has changed since the last report.
    pub(super) fn report(&mut self, app: &App, ctx: &egui::Context) {
        self.store.follow(app.viewer(), ctx);
        if !is_frame() {
            return;
        }
        let viewer = app.viewer();
        let is_plane = viewer.shows_plane();
        let view = viewer.view();
        let numbers = viewer.run.shown_numbers();
        let energy = numbers.and_then(|(_, lanes)| Some(lanes.first()?.mean_energy()));
        let state = serde_json::json!({
            "step": if is_plane { viewer.lab.record.step } else { viewer.run.shown_step() },
            "is_running": if is_plane { viewer.lab.record.is_running } else { viewer.run.is_playing() },
            "energy": energy.filter(|energy| energy.is_finite() && !is_plane),
            "model": view.view.model,
            "lesson": view.view.lesson,
            "lesson_step": view.view.lesson_step,
            "query": view.to_query(),
        })
        .to_string();
        if state == self.reported.0 {
            return;
        }
        let waited = self.reported.1.elapsed();
        if waited < REPORT_INTERVAL {
            ctx.request_repaint_after(REPORT_INTERVAL - waited);
            return;
        }
        report(&js_sys::JSON::parse(&state).unwrap_or(JsValue::NULL));
        self.reported = (state, Instant::now());
    }
}

/// Sets the colours; anything but `light` and `dark` means those of the system.
pub(super) fn set_theme(ctx: &egui::Context, theme: &str) {
    ctx.set_theme(match theme {
        "dark" => egui::ThemePreference::Dark,
        "light" => egui::ThemePreference::Light,
        _ => egui::ThemePreference::System,
    });
}

/// The query to which a person went with the browser's buttons, until the viewer shows it.
pub(super) type Visited = Rc<RefCell<Option<String>>>;

/// Listens to the browser's buttons for back and forward.
pub(super) fn listen_to_history(window: &Window, ctx: egui::Context) -> Visited {
    let visited = Visited::default();
    let (place, location) = (visited.clone(), window.location());
    let take = Closure::<dyn Fn()>::new(move || {
        place.replace(location.search().ok());
        ctx.request_repaint();
    });
    // A window can always be listened to.
    let _ = window.add_event_listener_with_callback("popstate", take.as_ref().unchecked_ref());
    take.forget();
    visited
}
