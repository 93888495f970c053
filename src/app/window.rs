//! The window as a whole: `App::drain` processes the worker's reports, and `App::show` draws.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::{
    compact::{self, Compact},
    contrast, embed, exports, keys,
    panels::Panels,
    size_class, status,
    training::{self, Wish},
    verdict,
    viewer::Viewer,
    welcome::FirstStep,
    wide,
    words::model_name,
};
use crate::{
    config::{Tab, ViewState},
    worker::{Batch, Command},
};

/// The time between two frames of running chains in the lab. It is shorter than the 1/60 s of a screen, so that
/// the next frame is ready in time.
const LAB_FRAME: std::time::Duration = std::time::Duration::from_millis(12);

/// The size of a new window, in points.
pub const SIZE: [f32; 2] = [1280.0, 800.0];

/// The window's ends of the channels to a worker.
#[derive(Debug)]
pub struct Link {
    /// Sends commands to the worker.
    pub commands: Sender<Command>,
    /// Receives events from the worker.
    pub events: Receiver<Batch>,
}

/// The window: its state, its panels, and its link to the worker.
pub struct App {
    link: Link,
    viewer: Viewer,
    panels: Panels,
    compact: Compact,
    /// The name of a model that waits for the user's consent, because opening it pauses a training run.
    waiting: Option<String>,
    /// For an embedded lesson, the address of the full page.
    full_page: Option<String>,
}

impl App {
    /// Creates a window that begins with this view.
    pub fn new(link: Link, view: ViewState) -> Self {
        Self {
            link,
            viewer: Viewer::new(view),
            panels: Panels::default(),
            compact: Compact::default(),
            waiting: None,
            full_page: None,
        }
    }

    /// Creates a window with a single lesson for a frame within another page: chains, play, two sliders, and a
    /// link to `full_page`, which has all controls: an address to which the query of the view is appended.
    pub fn embedded(link: Link, view: ViewState, full_page: impl Into<String>) -> Self {
        Self { full_page: Some(full_page.into()), ..Self::new(link, view) }
    }

    /// Shows the card of the first start.
    pub fn welcome(&mut self) {
        self.panels.welcome.is_open = true;
    }

    /// Draws the chains or the lab that are seen, of this size in points, on a light background as in a document. `None` if
    /// there is nothing to see.
    pub fn for_print(&mut self, ctx: &egui::Context, size: [f32; 2]) -> Option<image::RgbImage> {
        exports::for_print(ctx, &mut self.viewer, &self.panels.lab, size.into())
    }

    /// Saves all later files to this folder, without a dialog.
    pub fn save_to(&mut self, folder: std::path::PathBuf) {
        self.panels.files.save_to(folder);
    }

    /// Sets the address of the page, which every copied link starts with.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn set_address(&mut self, address: String) {
        self.panels.files.set_address(address);
    }

    /// Listens to what a person drops on the page.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn listen(&self, ctx: &egui::Context) {
        self.panels.files.listen(ctx);
    }

    /// The verdict on each lane at the shown step.
    pub(super) fn verdict(&self) -> Vec<String> {
        verdict::lines(&self.viewer.run)
    }

    /// The parts of a frame in another page that keep the wheel and the finger, and whether each does so for moves of its contents
    /// down and up; `None` for everywhere.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn holds(&self) -> Option<Vec<(egui::Rect, [bool; 2])>> {
        let Panels { holds, scrolled, .. } = &self.panels;
        let parts = holds.iter().map(|part| (*part, [true; 2]));
        self.full_page.is_some().then(|| parts.chain(*scrolled).collect())
    }

    /// The state of the window.
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// The state of the window, to change it as a click would.
    pub fn viewer_mut(&mut self) -> &mut Viewer {
        &mut self.viewer
    }

    /// Closes the channels to the worker, so that it ends.
    pub fn leave(&mut self) {
        let ((commands, _), (_, events)) = (channel(), channel());
        self.link = Link { commands, events };
    }

    /// Processes the worker's reports.
    pub fn drain(&mut self, ctx: &egui::Context) {
        let Self { link, viewer, panels, .. } = self;
        for event in link.events.try_iter().flatten() {
            panels.status.count(&event);
            viewer.take(event);
        }
        let secs = f64::from(ctx.input(|input| input.stable_dt).min(0.1));
        viewer.run.advance_replay(secs);
        viewer.session.expire_notices(ctx.input(|input| input.unstable_dt.min(1.0)));
        viewer.run.steps_per_sec = panels.status.steps_per_sec();
        training::take_news(&mut viewer.training, &mut viewer.session, &mut panels.training);
        viewer.follow();
        // New steps request a frame themselves, but rarely if rendering is done in software. Chains in the
        // plane are cheap, and should move smoothly.
        if viewer.shows_plane() && viewer.lab.record.is_running {
            ctx.request_repaint_after(LAB_FRAME);
        } else if viewer.run.is_replaying() {
            ctx.request_repaint();
        } else if !viewer.session.notices.is_empty() {
            ctx.request_repaint_after_secs(0.25);
        }
    }

    /// Draws everything, and sends the resulting commands to the worker.
    pub fn show(&mut self, ui: &mut egui::Ui) {
        let Self { viewer, panels, compact, full_page, .. } = self;
        contrast::apply(ui.ctx());
        keys::keys(ui.ctx(), viewer, &mut panels.help);
        if let Some(full_page) = full_page {
            embed::ui(ui, viewer, panels, full_page);
            return self.pass_on();
        }
        let Viewer { run, training, session, .. } = &mut *viewer;
        panels.files.take_dropped(ui.ctx(), run, training, session);
        keys::file_keys(ui.ctx(), viewer, &mut panels.files);
        let is_small = size_class::is_small(ui.ctx());
        size_class::fit_style(ui, is_small);
        if is_small {
            compact::ui(ui, viewer, panels, compact);
        } else {
            wide::ui(ui, viewer, panels);
        }
        panels.help.ui(ui.ctx());
        if std::mem::take(&mut panels.help.wants_presentation) {
            panels.presentation.toggle(ui.ctx());
        }
        panels.presentation.ui(ui.ctx());
        match panels.welcome.ui(ui.ctx(), &viewer.run) {
            Some(FirstStep::Play) => viewer.run.play(),
            Some(FirstStep::Lesson) => viewer.lesson.open(1, 1),
            Some(FirstStep::Draw) => {
                viewer.session.tab = Tab::Train;
                panels.training.open_drawing();
            }
            None => {}
        }
        let finished = panels.recording.finished(ui.ctx(), viewer);
        let asked = exports::asked(ui.ctx(), viewer, &mut panels.recording, &panels.lab);
        for (export, job) in finished.into_iter().chain(asked) {
            panels.files.save(ui.ctx(), export, job, &mut viewer.run, &mut viewer.session);
        }
        status::notices(ui.ctx(), &viewer.session, compact::height_below(ui.ctx()));
        match panels.training.take_wish() {
            Some(Wish::Dialog(purpose)) => {
                panels.files.ask(ui.ctx(), purpose, &mut viewer.run, &mut viewer.session);
            }
            Some(Wish::Chains) => viewer.session.tab = Tab::Chains,
            Some(Wish::SaveDrawings) => {
                let drawings = viewer.training.drawn.set().clone();
                let Viewer { run, session, .. } = &mut *viewer;
                panels.files.save_drawings(ui.ctx(), drawings, run, session);
            }
            None => {}
        }
        let Viewer { run, training, session, .. } = &mut *viewer;
        panels.files.poll(ui.ctx(), run, training, session);
        self.ask_to_pause(ui.ctx());
        self.pass_on();
    }

    /// Asks whether the model that waits may be opened although this pauses the training run.
    fn ask_to_pause(&mut self, ctx: &egui::Context) {
        let Some(name) = &self.waiting else { return };
        let text = format!(
            "Opening {} pauses the training. It can be continued later.",
            model_name(name, 60)
        );
        let answer = egui::Modal::new(egui::Id::unique("pause the training")).show(ctx, |ui| {
            ui.set_max_width(320.0);
            ui.label(text);
            ui.add_space(6.0);
            ui.horizontal_wrapped(|ui| {
                let (opens, stays) = ("Pause training and open", "Keep training");
                match (ui.button(opens).clicked(), ui.button(stays).clicked()) {
                    (true, _) => Some(true),
                    (_, true) => Some(false),
                    _ => None,
                }
            })
            .inner
        });
        let answer = answer.inner.or(answer.should_close().then_some(false));
        match (answer, self.waiting.clone()) {
            (Some(true), Some(name)) => {
                self.waiting = None;
                self.send(Command::Open(name));
            }
            (Some(false), _) => {
                self.waiting = None;
                self.viewer.run.stay();
            }
            _ => {}
        }
    }

    /// Sends the queued commands to the worker. A model that would pause a training run waits for consent.
    fn pass_on(&mut self) {
        for command in self.viewer.take_commands() {
            match command {
                // Without an open model, as in a lesson with another one, there is nothing to stay with.
                Command::Open(name)
                    if self.viewer.training.is_running && self.viewer.run.model.is_some() =>
                {
                    self.waiting = Some(name);
                }
                command => self.send(command),
            }
        }
    }

    fn send(&mut self, command: Command) {
        if matches!(command, Command::Open(_)) && self.viewer.training.is_running {
            self.viewer.session.notify("Training paused, because another model was opened.");
        }
        if self.link.commands.send(command).is_err() && self.viewer.session.failure.is_none() {
            self.viewer.session.failure = Some("the worker has ended; restart jempp".into());
        }
    }
}
