//! The training tab, with the setup at the left and the progress at the right.

mod curves;
mod draw;
mod items;
mod own_data;
mod setup;

use egui::{CollapsingHeader, Panel, ScrollArea, Ui};

use self::{
    draw::DrawView,
    items::BufferView,
    own_data::{Asked, OwnView},
    setup::TrainingForm,
};
use super::{
    disk::DialogPurpose,
    fit::fit,
    state::{Phase, RunState, Session, Training},
};
use crate::config::Tab;

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
    own: OwnView,
    draw: DrawView,
    /// What a person asked for that is outside the tab.
    wish: Option<Wish>,
}

impl TrainingView {
    /// What the tab asked of the rest of the window since the last call.
    pub(super) fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }
}

impl TrainingView {
    /// Opens the panel for drawing your own data.
    pub(super) fn open_drawing(&mut self) {
        self.draw.is_open = true;
    }
}

/// Asks, in any tab, whether to continue the run of the last session.
pub(super) fn continue_banner(ui: &mut Ui, training: &mut Training, session: &mut Session) {
    let is_offered = !training.record.has_begun() && !training.is_asked;
    let Some(run) = training.last_run.clone().filter(|_| is_offered) else { return };
    let frame = egui::Frame::side_top_panel(ui.style()).fill(ui.visuals().faint_bg_color);
    Panel::top("continue training").frame(frame).show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            ui.label(run.question()).on_hover_text(run.folder.display().to_string());
            if ui.button("Continue").on_hover_text("Continue from its last checkpoint.").clicked() {
                training.continue_last_run();
                session.tab = Tab::Train;
            }
            if ui.button("Not now").on_hover_text("The run stays in its folder.").clicked() {
                training.last_run = None;
            }
        });
    });
}

/// Processes the updates of a training run. Also called while the tab is hidden, so that they do not accumulate.
pub(super) fn take_news(training: &mut Training, session: &mut Session, state: &mut TrainingView) {
    // A worker that failed does not answer.
    training.is_asked &= session.failure.is_none();
    while let Some(update) = training.next_update() {
        state.setup.take(&update);
        state.buffer.take(&update);
        // A failure that is shown in its place needs no notice.
        if let Some(problem) = training.record.take(update)
            && !shows_failure(training, session, state)
        {
            session.complain(problem);
        }
    }
}

/// Whether the part of the tab that is seen shows why the run failed.
fn shows_failure(training: &Training, session: &Session, state: &TrainingView) -> bool {
    let is_drawn = training.drawn.is_run(&training.record);
    session.tab == Tab::Train && (!state.draw.is_open || is_drawn)
}

/// Below this width, everything stands in one column.
const NARROW: f32 = 560.0;

/// Draws the tab. In a presentation, there is no setup beside the progress.
pub(super) fn ui(
    ui: &mut Ui,
    training: &mut Training,
    run: &RunState,
    state: &mut TrainingView,
    is_presented: bool,
) {
    state.setup.follow(&training.own);
    if state.draw.is_open {
        let TrainingView { setup, buffer, draw, wish, .. } = state;
        let asked = draw::ui(ui, training, run, buffer, setup, draw);
        *wish = asked.or(*wish);
        return;
    }
    // There is a model to save, either open or in training.
    let can_save = run.model.is_some();
    if ui.available_width() < NARROW {
        return narrow(ui, training, can_save, state, is_presented);
    }
    if !is_presented {
        let width = fit(ui.available_width() * 0.27, 230.0, 330.0);
        Panel::left("training setup").resizable(true).default_size(width).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                draw::entry(ui, &mut state.draw);
                setup::ui(ui, training, can_save, &mut state.setup);
            });
        });
    }
    egui::CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            // The scroll bar must not cover the right end of a plot.
            ui.set_max_width(ui.available_width() - 8.0);
            curves::progress(ui, &training.record);
            finished(ui, training, state);
            own(ui, training, state);
            if !training.record.has_begun() {
                return;
            }
            learning(ui, training, state);
        });
    });
}

/// From this width on, the loss stands beside the replay buffer.
const BESIDE: f32 = 660.0;

/// Draws how a run goes. The chains come first, because they say more at a glance than curves do.
fn learning(ui: &mut Ui, training: &Training, state: &mut TrainingView) {
    if ui.available_width() >= BESIDE && state.buffer.has_chains() {
        ui.columns(2, |columns| {
            columns[0].vertical(|ui| state.buffer.ui(ui));
            columns[1].vertical(|ui| curves::loss(ui, &training.record));
        });
        ui.add_space(6.0);
        curves::others(ui, &training.record);
    } else {
        state.buffer.ui(ui);
        curves::ui(ui, &training.record);
    }
    curves::messages(ui, &training.record);
}

/// Draws the tab in one column.
fn narrow(
    ui: &mut Ui,
    training: &mut Training,
    can_save: bool,
    state: &mut TrainingView,
    is_presented: bool,
) {
    egui::CentralPanel::default().show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(ui.available_width() - 8.0);
            let has_begun = training.record.has_begun();
            if has_begun {
                curves::progress(ui, &training.record);
                finished(ui, training, state);
                state.buffer.ui(ui);
            } else {
                curves::failure(ui, &training.record);
            }
            if !is_presented {
                draw::entry(ui, &mut state.draw);
            }
            own(ui, training, state);
            let is_open = training.own.is_empty();
            let header = CollapsingHeader::new("What to train").default_open(is_open);
            if !is_presented {
                header.show_unindented(ui, |ui| {
                    setup::ui(ui, training, can_save, &mut state.setup);
                });
            }
            if has_begun {
                curves::ui(ui, &training.record);
                curves::messages(ui, &training.record);
            }
        });
    });
}

/// Draws a person's own data, or the place to drop it. While a run is active, it is folded up.
fn own(ui: &mut Ui, training: &mut Training, state: &mut TrainingView) {
    let is_running = training.record.phase == Phase::Running;
    let can_train = !is_running && !training.is_asked;
    let asked = if training.own.is_empty() {
        match is_running {
            true => None,
            false => own_data::invitation(ui),
        }
    } else if training.record.has_begun() {
        let header = CollapsingHeader::new("Your data").default_open(false);
        let view = &mut state.own;
        let shown =
            header.show_unindented(ui, |ui| own_data::ui(ui, &mut training.own, view, can_train));
        shown.body_returned.flatten()
    } else {
        own_data::ui(ui, &mut training.own, &mut state.own, can_train)
    };
    match asked {
        Some(Asked::Wish(wish)) => state.wish = Some(wish),
        Some(Asked::Train) => state.setup.start_own(training),
        None => {}
    }
}

/// Draws what one can do with a model that is trained.
fn finished(ui: &mut Ui, training: &Training, state: &mut TrainingView) {
    if !matches!(training.record.phase, Phase::Complete(_) | Phase::Paused(_)) {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        let chains = ui.button("See its chains");
        if chains.on_hover_text("The model is open in the Chains tab.").clicked() {
            state.wish = Some(Wish::Chains);
        }
        let save = ui.button("Save model…");
        let hover =
            "Save the model as one file, to open it again here or anywhere, or to share it.";
        if save.on_hover_text(hover).clicked() {
            state.wish = Some(Wish::Dialog(DialogPurpose::SaveModel));
        }
    });
    ui.add_space(6.0);
}
