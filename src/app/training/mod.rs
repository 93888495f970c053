//! The tab that trains: at the left what, at the right how it goes.

mod buffer;
mod curves;
mod run;
mod setup;

use egui::{CollapsingHeader, Panel, ScrollArea, Ui};

use super::{fit::fit, viewer::Viewer};
use buffer::BufferView;
use run::Run;
use setup::Setup;

/// What the tab keeps between frames.
#[derive(Default)]
pub struct TrainingView {
    setup: Setup,
    run: Run,
    buffer: BufferView,
}

/// Takes in what training has to tell; also while the tab is not shown, so that nothing piles up.
pub fn take_news(viewer: &mut Viewer, state: &mut TrainingView) {
    while let Some(news) = viewer.training_news.pop_front() {
        state.setup.take(&news);
        state.buffer.take(&news);
        if let Some(problem) = state.run.take(news) {
            viewer.complain(problem);
        }
    }
}

/// Below this width one thing stands under the other.
const NARROW: f32 = 560.0;

/// Draws the tab.
pub fn ui(ui: &mut Ui, viewer: &mut Viewer, state: &mut TrainingView) {
    if ui.available_width() < NARROW {
        return narrow(ui, viewer, state);
    }
    let width = fit(ui.available_width() * 0.27, 230.0, 330.0);
    Panel::left("training setup").resizable(true).default_size(width).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            setup::ui(ui, viewer, &mut state.setup, &state.run);
        });
    });
    egui::CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // The bar must not lie over the right end of a plot.
            ui.set_max_width(ui.available_width() - 8.0);
            curves::progress(ui, &state.run);
            if !state.run.has_begun() {
                return;
            }
            curves::ui(ui, &state.run);
            state.buffer.ui(ui);
            curves::messages(ui, &state.run);
        });
    });
}

/// Draws the tab in one column.
fn narrow(ui: &mut Ui, viewer: &mut Viewer, state: &mut TrainingView) {
    egui::CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(ui.available_width() - 8.0);
            let has_begun = state.run.has_begun();
            if has_begun {
                curves::progress(ui, &state.run);
            }
            CollapsingHeader::new("What to train").default_open(true).show_unindented(ui, |ui| {
                setup::ui(ui, viewer, &mut state.setup, &state.run);
            });
            if has_begun {
                curves::ui(ui, &state.run);
                state.buffer.ui(ui);
                curves::messages(ui, &state.run);
            }
        });
    });
}
