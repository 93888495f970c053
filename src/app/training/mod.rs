//! The training tab, with the setup at the left and the progress at the right.

mod curves;
mod draw;
mod draw_pad;
mod items;
mod setup;

use egui::{CollapsingHeader, Panel, ScrollArea, Ui};

use self::{draw::DrawView, items::BufferView, setup::TrainingForm};
use super::{
    disk::DialogPurpose,
    fit::fit,
    state::{RunState, Session, Training},
};

/// What the tab asks of the rest of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Ask for a path with a file dialog.
    Dialog(DialogPurpose),
    /// Show the chains of the open model.
    Chains,
    /// Save the drawings to a file.
    SaveDrawings,
}

/// The state of the tab, kept between frames.
#[derive(Default)]
pub(super) struct TrainingView {
    setup: TrainingForm,
    buffer: BufferView,
    draw: DrawView,
    wish: Option<Wish>,
}

impl TrainingView {
    /// What the tab asked of the rest of the window since the last call.
    pub(super) fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }
}

/// Processes the updates of a training run. Also called while the tab is hidden, so that they do not accumulate.
pub(super) fn take_news(training: &mut Training, session: &mut Session, state: &mut TrainingView) {
    while let Some(update) = training.next_update() {
        state.setup.take(&update);
        state.buffer.take(&update);
        if let Some(problem) = training.record.take(update) {
            session.complain(problem);
        }
    }
}

/// Below this width, everything stands in one column.
const NARROW: f32 = 560.0;

/// Draws the tab.
pub(super) fn ui(ui: &mut Ui, training: &mut Training, run: &RunState, state: &mut TrainingView) {
    if state.draw.is_open {
        let TrainingView { setup, buffer, draw, wish } = state;
        let asked = draw::ui(ui, training, run, buffer, setup, draw);
        *wish = asked.or(*wish);
        return;
    }
    // There is a model to save, either open or in training.
    let can_save = run.model.is_some();
    if ui.available_width() < NARROW {
        return narrow(ui, training, can_save, state);
    }
    let width = fit(ui.available_width() * 0.27, 230.0, 330.0);
    Panel::left("training setup").resizable(true).default_size(width).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            draw::entry(ui, &mut state.draw);
            setup::ui(ui, training, can_save, &mut state.setup);
        });
    });
    egui::CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // The scroll bar must not cover the right end of a plot.
            ui.set_max_width(ui.available_width() - 8.0);
            curves::progress(ui, &training.record);
            if !training.record.has_begun() {
                return;
            }
            curves::ui(ui, &training.record);
            state.buffer.ui(ui);
            curves::messages(ui, &training.record);
        });
    });
}

/// Draws the tab in one column.
fn narrow(ui: &mut Ui, training: &mut Training, can_save: bool, state: &mut TrainingView) {
    egui::CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(ui.available_width() - 8.0);
            let has_begun = training.record.has_begun();
            if has_begun {
                curves::progress(ui, &training.record);
            }
            draw::entry(ui, &mut state.draw);
            CollapsingHeader::new("What to train").default_open(true).show_unindented(ui, |ui| {
                setup::ui(ui, training, can_save, &mut state.setup);
            });
            if has_begun {
                curves::ui(ui, &training.record);
                state.buffer.ui(ui);
                curves::messages(ui, &training.record);
            }
        });
    });
}
