//! The window: chains one can watch, steer and compare. `App::drain` takes in what the worker reports,
//! `App::show` draws. No tensor is known here.

mod atlas;
mod banners;
mod brush;
mod canvas;
mod chains;
mod compact;
mod compare;
mod controls;
mod disk;
mod embed;
mod exports;
mod files;
mod fit;
#[cfg(any(test, target_arch = "wasm32"))]
mod fonts;
mod grid;
mod help;
mod inpaint;
mod lab;
mod lessons;
mod magnifier;
mod nearest;
mod pixels;
mod plots;
mod record;
mod scatter;
mod selected;
mod status;
mod theme;
mod training;
mod transport;
mod viewer;
mod words;

use std::sync::mpsc::{Receiver, Sender, channel};

use crate::{
    config::{LaneConfig, SamplerKind, ViewState},
    worker::{Batch, Command},
};

use fit::fit;

#[cfg(target_arch = "wasm32")]
pub use fonts::small as small_fonts;
pub use record::{IMAGE_BYTES, NUMBER_BYTES, Record, Thinned};
pub use viewer::{Overlay, Selection, Tab, Viewer};

/// Between two frames of running chains in the lab: so much less than a screen's sixtieth of a second that the
/// next frame is built in time for it.
const LAB_FRAME: std::time::Duration = std::time::Duration::from_millis(12);

/// Size of a fresh window in points.
pub const SIZE: [f32; 2] = [1280.0, 800.0];

/// The two ends of the channels to a worker.
#[derive(Debug)]
pub struct Link {
    /// To the worker.
    pub commands: Sender<Command>,
    /// From the worker.
    pub events: Receiver<Batch>,
}

/// The window.
pub struct App {
    link: Link,
    viewer: Viewer,
    chains: chains::ChainsView,
    selected: selected::SelectedView,
    plots: plots::PlotsView,
    training: training::TrainingView,
    files: files::Files,
    help: help::Help,
    status: status::Status,
    compact: compact::Compact,
    lab: lab::LabView,
    /// The page that an embedded lesson is an excerpt of.
    full_page: Option<String>,
}

impl App {
    /// A window that begins with this view.
    pub fn new(link: Link, view: ViewState) -> Self {
        Self {
            link,
            viewer: Viewer::new(view),
            chains: chains::ChainsView::default(),
            selected: selected::SelectedView::default(),
            plots: plots::PlotsView::default(),
            training: training::TrainingView::default(),
            files: files::Files::default(),
            help: help::Help::default(),
            status: status::Status::default(),
            compact: compact::Compact::default(),
            lab: lab::LabView::default(),
            full_page: None,
        }
    }

    /// A single lesson for a frame within another page: chains, play, two sliders, and a link to
    /// `full_page`, where everything else is.
    pub fn embedded(link: Link, view: ViewState, full_page: impl Into<String>) -> Self {
        Self { full_page: Some(full_page.into()), ..Self::new(link, view) }
    }

    /// Writes files into this folder from now on, without asking.
    pub fn save_to(&mut self, folder: std::path::PathBuf) {
        self.files.save_to(folder);
    }

    /// Puts the address of the page before every link.
    pub fn set_address(&mut self, address: String) {
        self.files.set_address(address);
    }

    /// What the window shows.
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// The same, to change it as a click would.
    pub fn viewer_mut(&mut self) -> &mut Viewer {
        &mut self.viewer
    }

    /// Lets go of the worker, so that it ends.
    pub fn leave(&mut self) {
        let ((commands, _), (_, events)) = (channel(), channel());
        self.link = Link { commands, events };
    }

    /// Takes in what the worker reported.
    pub fn drain(&mut self, ctx: &egui::Context) {
        for event in self.link.events.try_iter().flatten() {
            self.status.count(&event);
            self.viewer.take(event);
        }
        let secs = f64::from(ctx.input(|input| input.stable_dt).min(0.1));
        self.viewer.advance_replay(secs);
        let secs = ctx.input(|input| input.unstable_dt.min(1.0));
        self.viewer.notices.retain_mut(|notice| {
            notice.secs_left -= secs;
            notice.secs_left > 0.0
        });
        self.viewer.steps_per_sec = self.status.steps_per_sec();
        training::take_news(&mut self.viewer, &mut self.training);
        self.viewer.ask_for_references();
        self.viewer.follow_lesson();
        self.viewer.follow_lab();
        // New steps ask for a frame themselves, if seldom where a program draws the window: chains in the plane
        // are light, and are to be seen moving.
        if self.viewer.shows_plane() && self.viewer.lab.is_running {
            ctx.request_repaint_after(LAB_FRAME);
        } else if self.viewer.is_replaying() {
            ctx.request_repaint();
        } else if !self.viewer.notices.is_empty() {
            ctx.request_repaint_after_secs(0.25);
        }
    }

    /// Draws everything and passes on what was asked for.
    pub fn show(&mut self, ui: &mut egui::Ui) {
        transport::keys(ui.ctx(), &mut self.viewer, &mut self.help);
        if let Some(full_page) = self.full_page.clone() {
            self.show_embedded(ui, &full_page);
            return self.pass_on();
        }
        self.files.take_dropped(ui.ctx(), &mut self.viewer);
        files::keys(ui.ctx(), &mut self.viewer, &mut self.files);
        let is_small = compact::is_small(ui.ctx());
        compact::fit_style(ui, is_small);
        if is_small {
            self.show_compact(ui);
        } else {
            self.show_wide(ui);
        }
        self.help.ui(ui.ctx());
        status::notices(ui.ctx(), &self.viewer);
        self.files.poll(ui.ctx(), &mut self.viewer);
        self.pass_on();
    }

    /// Sends the worker what was asked for.
    fn pass_on(&mut self) {
        for command in self.viewer.take_commands() {
            if self.link.commands.send(command).is_err() && self.viewer.failure.is_none() {
                self.viewer.failure = Some("the worker has ended; start jempp anew".into());
            }
        }
    }

    fn show_wide(&mut self, ui: &mut egui::Ui) {
        egui::Panel::top("menu").show(ui, |ui| {
            files::menu(ui, &mut self.viewer, &mut self.files, &mut self.help);
        });
        self.status.banners(ui, &mut self.viewer);
        egui::Panel::bottom("status").show(ui, |ui| self.status.ui(ui, &self.viewer));
        lessons::panel(ui, &mut self.viewer, false);
        match self.viewer.view.view.tab {
            Tab::Lab => {
                egui::CentralPanel::default().show(ui, |ui| {
                    lab::ui(ui, &mut self.viewer, &mut self.lab);
                });
            }
            Tab::Train => {
                egui::CentralPanel::default().show(ui, |ui| {
                    training::ui(ui, &mut self.viewer, &mut self.training);
                });
            }
            Tab::Chains | Tab::Plots => self.show_run(ui),
        }
    }

    fn show_run(&mut self, ui: &mut egui::Ui) {
        egui::Panel::bottom("transport").show(ui, |ui| transport::ui(ui, &mut self.viewer));
        let is_wide = ui.available_width() > 1000.0;
        // Sizes are fixed: a panel that follows its contents jumps when a number gets a digit more.
        let width = if is_wide { 270.0 } else { 220.0 };
        egui::Panel::left("controls").resizable(false).exact_size(width).show(ui, |ui| {
            controls::ui(ui, &mut self.viewer);
        });
        if is_wide || self.viewer.selected.is_some() {
            let width = if is_wide { 250.0 } else { 190.0 };
            egui::Panel::right("selected").resizable(false).exact_size(width).show(ui, |ui| {
                selected::ui(ui, &mut self.viewer, &mut self.selected);
            });
        }
        if self.viewer.view.view.tab == Tab::Chains {
            let height = fit(ui.available_height() * 0.2, 96.0, 200.0);
            egui::Panel::bottom("energies").resizable(false).exact_size(height).show(ui, |ui| {
                plots::energies(ui, &mut self.viewer, &mut self.plots);
            });
        }
        if let Some(point) = self.viewer.lesson {
            egui::Panel::top("lesson").show(ui, |ui| {
                ui.horizontal_top(|ui| {
                    if ui.small_button("✖").on_hover_text("Close this text.").clicked() {
                        self.viewer.lesson = None;
                    }
                    // In a small window the chains need the room.
                    let label = egui::Label::new(point);
                    let is_small = ui.available_width() < 500.0;
                    let label = if is_small { label.truncate() } else { label.wrap() };
                    ui.add(label).on_hover_text(point);
                });
            });
        }
        egui::CentralPanel::default().show(ui, |ui| match self.viewer.view.view.tab {
            Tab::Chains => chains::ui(ui, &mut self.viewer, &mut self.chains),
            _ => plots::ui(ui, &mut self.viewer, &mut self.plots),
        });
    }
}

/// A short name of a rule: `PYLD, N = 5`.
pub(crate) fn lane_name(lane: &LaneConfig) -> String {
    let sampler = &lane.sampler;
    match sampler.kind {
        SamplerKind::Sgld => format!("SGLD, α = {}", sampler.step_size),
        SamplerKind::ProximalSgld => format!("Proximal SGLD, α = {}", sampler.step_size),
        SamplerKind::Pyld => {
            format!("PYLD, N = {}, α = {}", sampler.num_inner_steps, sampler.inner_step_size)
        }
        SamplerKind::Mala => format!("MALA, α = {}", sampler.step_size),
    }
}
