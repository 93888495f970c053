//! The window on a desktop: it keeps its session, and closes when the program is asked to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::session::{LastSession, keep};
use crate::app::App;

/// The number of frames after which the start counts as good: the session did not crash the window.
const NUM_GOOD_FRAMES: u32 = 10;

/// The app, with the parts that only a desktop needs.
pub(super) struct Desktop {
    pub(super) app: App,
    /// The last session; `None` after enough frames were drawn.
    session: Option<LastSession>,
    num_good_frames: u32,
    stop: Arc<AtomicBool>,
}

impl Desktop {
    /// Creates a window that shows `app` until `stop` is set.
    pub(super) fn new(app: App, session: LastSession, stop: Arc<AtomicBool>) -> Self {
        Self { app, session: Some(session), num_good_frames: 0, stop }
    }

    /// Removes the mark of the session when enough frames were drawn.
    fn count_frame(&mut self, ctx: &egui::Context) {
        if self.session.is_none() {
            return;
        }
        if self.app.viewer().is_settled() {
            self.num_good_frames += 1;
            ctx.request_repaint();
        }
        if self.num_good_frames >= NUM_GOOD_FRAMES {
            self.end_start();
        }
    }

    fn end_start(&mut self) {
        if let Some(session) = self.session.take() {
            session.end();
        }
    }
}

impl eframe::App for Desktop {
    fn on_exit(&mut self, _gl: Option<&eframe::glow::Context>) {
        self.end_start();
        self.app.leave();
    }

    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.app.drain(ctx);
        if self.stop.load(Ordering::Relaxed) {
            // Tell the worker to save at once, because a hidden window may take long to close.
            self.app.leave();
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        self.app.show(ui);
        self.count_frame(ui.ctx());
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        let viewer = self.app.viewer();
        keep(storage, &viewer.view(), viewer.training.drawn.to_text(), viewer.memory());
    }
}
