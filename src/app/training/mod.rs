//! The training tab, with the setup at the left and the progress at the right.

mod items;
mod curves;
mod setup;

use egui::{CollapsingHeader, Panel, ScrollArea, Ui};

use self::{items::BufferView, setup::TrainingForm};
use super::{
    fit::fit,
    state::{Session, Training},
};

/// The state of the tab, kept between frames.
#[derive(Default)]
pub(super) struct TrainingView {
    setup: TrainingForm,
    buffer: BufferView,
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

/// Draws the tab. `can_save` says whether there is a model to save, either open or in training.
pub(super) fn ui(ui: &mut Ui, training: &Training, can_save: bool, state: &mut TrainingView) {
    if ui.available_width() < NARROW {
        return narrow(ui, training, can_save, state);
    }
    let width = fit(ui.available_width() * 0.27, 230.0, 330.0);
    Panel::left("training setup").resizable(true).default_size(width).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
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
fn narrow(ui: &mut Ui, training: &Training, can_save: bool, state: &mut TrainingView) {
    egui::CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(ui.available_width() - 8.0);
            let has_begun = training.record.has_begun();
            if has_begun {
                curves::progress(ui, &training.record);
            }
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
