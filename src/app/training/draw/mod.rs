//! Draw your own data: a pad, the classes with their drawings, and a model that learns them while one watches.

mod classes;
mod pad;
mod strokes;

use egui::{
    Align, Button, CentralPanel, Layout, Panel, ProgressBar, RichText, ScrollArea, Ui, vec2,
};

use self::strokes::Test;
use super::{Wish, curves, items::BufferView, setup::TrainingForm};
use crate::{
    app::{
        chart::note,
        disk::DialogPurpose,
        fit::fit,
        size_class::TOUCH,
        state::{Drawings, Phase, RunState, Training, TrainingRecord},
    },
    data::drawn::MIN_DRAWINGS,
    worker::Command,
};

/// From this width on, the pad stands beside the classes.
const WIDE: f32 = 600.0;
/// Below this height, the buttons stand beside the pad, and take this width with all gaps.
const LOW: f32 = 330.0;
const BESIDE: f32 = 180.0;
/// The smallest and the largest side of the pad, in points.
const PAD_SIDES: [f32; 2] = [150.0, 400.0];
/// The folder of a run on drawings.
const FOLDER: &str = "runs/drawings";

/// The state of the panel, kept between frames.
#[derive(Default)]
pub(super) struct DrawView {
    /// Whether the panel takes the place of the tab's other parts.
    pub(super) is_open: bool,
    /// The class whose name is being typed, and the text so far.
    typed: Option<(usize, String)>,
    /// Why the last name was refused.
    refused: Option<String>,
    /// The time at which the last stroke ended.
    ended_at: Option<f64>,
    /// Whether the pad is for a test of the model.
    is_test: bool,
    test: Test,
}

/// Draws the button that opens the panel.
pub(super) fn entry(ui: &mut Ui, view: &mut DrawView) {
    let button = Button::new(RichText::new("Draw your own data").strong());
    let button = ui.add_sized(vec2(ui.available_width(), TOUCH), button);
    if button.on_hover_text("Draw a few pictures, and a model learns them in a minute.").clicked() {
        view.is_open = true;
    }
}

/// Draws the panel.
pub(super) fn ui(
    ui: &mut Ui,
    training: &mut Training,
    run: &RunState,
    buffer: &mut BufferView,
    setup: &mut TrainingForm,
    view: &mut DrawView,
) -> Option<Wish> {
    training.is_asked |= training.drawn.go_on();
    if training.drawn.share_made().is_some() {
        ui.request_repaint();
    }
    let mut panel = DrawPanel { training, run, buffer, setup, view, wish: None };
    panel.ui(ui);
    panel.wish
}

/// The panel while it is drawn.
struct DrawPanel<'a> {
    training: &'a mut Training,
    run: &'a RunState,
    buffer: &'a mut BufferView,
    setup: &'a mut TrainingForm,
    view: &'a mut DrawView,
    wish: Option<Wish>,
}

impl DrawPanel<'_> {
    fn ui(&mut self, ui: &mut Ui) {
        Panel::top("draw heading").show(ui, |ui| self.heading(ui));
        let room = ui.available_size();
        if room.x < WIDE {
            CentralPanel::default().show(ui, |ui| {
                ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                    ui.set_max_width(ui.available_width() - 8.0);
                    let side = (room.x - 32.0).min(0.45 * room.y);
                    self.results(ui);
                    self.drawing(ui, fit(side, PAD_SIDES[0], PAD_SIDES[1]), false);
                    ui.add_space(6.0);
                    self.classes(ui);
                    self.files(ui);
                });
            });
            return;
        }
        let is_low = room.y < LOW;
        let below = if is_low { 24.0 } else { 150.0 };
        let side = fit((0.42 * room.x).min(room.y - below), PAD_SIDES[0], PAD_SIDES[1]);
        let width = side + if is_low { BESIDE } else { 24.0 };
        Panel::left("draw pad").resizable(false).exact_size(width).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                self.drawing(ui, side, is_low);
            });
        });
        CentralPanel::default().show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.set_max_width(ui.available_width() - 8.0);
                self.results(ui);
                self.classes(ui);
                self.files(ui);
            });
        });
    }

    fn heading(&mut self, ui: &mut Ui) {
        ui.horizontal(|ui| {
            if ui.button("Back").on_hover_text("Back to the other ways to train.").clicked() {
                self.training.drawn.next();
                self.view.is_open = false;
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                self.train_button(ui);
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    let title = RichText::new("Draw your own data").heading();
                    ui.add(egui::Label::new(title).truncate());
                });
            });
        });
    }

    fn train_button(&mut self, ui: &mut Ui) {
        let record = &self.training.record;
        let is_mine = self.training.drawn.is_run(record);
        if self.training.is_running && is_mine {
            let stop =
                ui.button("⏸ Stop").on_hover_text("Stop after this step, and keep the model.");
            if stop.clicked() {
                self.training.ask(Command::PauseTraining);
            }
            return;
        }
        let drawn = &mut self.training.drawn;
        let problem = match () {
            () if self.training.is_running => Some("Another run is active: stop it first.".into()),
            () if drawn.share_made().is_some() => Some("The pictures are being made.".into()),
            () if self.training.is_asked => Some("The training is being started.".into()),
            () => drawn.set().problem(),
        };
        let text = RichText::new(if is_mine { "▶ Train again" } else { "▶ Train" }).strong();
        let mut train = Button::new(text).min_size(vec2(110.0, 28.0));
        if problem.is_none() {
            train = train.fill(ui.visuals().selection.bg_fill);
        }
        let train = ui.add_enabled(problem.is_none(), train);
        let train = train.on_hover_text("Train a model on these drawings: about a minute.");
        if train.on_disabled_hover_text(problem.unwrap_or_default()).clicked() {
            drawn.train(self.setup.free_folder(FOLDER).into());
        }
    }

    /// Draws what the pad is for: a class, or a test of the model.
    fn above_pad(&mut self, ui: &mut Ui) {
        let fits = self.run.model.as_ref().is_some_and(|model| Drawings::fits(model.shape));
        let is_mine = self.training.drawn.is_run(&self.training.record);
        if fits && is_mine {
            ui.horizontal_wrapped(|ui| {
                ui.selectable_value(&mut self.view.is_test, false, "Draw more");
                let name = RichText::new("Test the model").strong();
                ui.selectable_value(&mut self.view.is_test, true, name);
            });
        } else {
            self.view.is_test = false;
        }
        match self.view.is_test {
            true => {
                ui.label("Draw anything: the model says what it sees.");
            }
            false => self.choice(ui),
        }
    }

    /// Draws the pad.
    fn pad(&mut self, ui: &mut Ui, side: f32) {
        match self.view.is_test {
            true => self.test_pad(ui, side),
            false => self.class_pad(ui, side),
        }
    }

    /// Draws what belongs to the drawing on the pad.
    fn below_pad(&mut self, ui: &mut Ui, side: f32) {
        match self.view.is_test {
            true => self.answer(ui, side),
            false => self.buttons(ui, side),
        }
    }

    /// Draws the pad with its buttons below it, or beside it in a low window.
    fn drawing(&mut self, ui: &mut Ui, side: f32, is_low: bool) {
        if is_low {
            ui.horizontal_top(|ui| {
                ui.vertical(|ui| {
                    ui.set_width(side);
                    self.pad(ui, side);
                });
                ui.vertical(|ui| {
                    self.above_pad(ui);
                    self.below_pad(ui, side);
                });
            });
            return;
        }
        self.above_pad(ui);
        self.pad(ui, side);
        self.below_pad(ui, side);
        if !self.view.is_test {
            note(
                ui,
                "After a pause, a drawing joins its class by itself. Large or small, anywhere on the pad.",
            );
        }
    }

    /// Draws the progress of the run on these drawings, and its chains.
    fn results(&mut self, ui: &mut Ui) {
        if let Some(share) = self.training.drawn.share_made() {
            ui.label("Making pictures of the drawings: turned, moved and bent a little…");
            ui.add(ProgressBar::new(share));
            return;
        }
        let record = &self.training.record;
        if !self.training.drawn.is_run(record) {
            return;
        }
        let (title, more) = match &record.phase {
            Phase::Failed(_) => ("Training failed.", String::new()),
            Phase::Complete(_) => ("The model is ready.", accuracy(record)),
            Phase::Paused(_) => ("Stopped. The model can be used as it is.", accuracy(record)),
            _ => ("The model is learning: its chains become your drawings.", String::new()),
        };
        ui.label(RichText::new(title).heading());
        if !more.is_empty() {
            ui.label(more);
        }
        curves::failure(ui, record);
        if record.phase == Phase::Running {
            curves::bar(ui, record);
        }
        self.buffer.ui(ui);
        if matches!(record.phase, Phase::Complete(_) | Phase::Paused(_)) {
            ui.horizontal_wrapped(|ui| {
                let open = Button::new(RichText::new("Open the model").strong());
                if ui.add(open).on_hover_text("Watch new chains become drawings.").clicked() {
                    self.wish = Some(Wish::Chains);
                }
                if ui.button("Save the model…").clicked() {
                    self.wish = Some(Wish::Dialog(DialogPurpose::SaveModel));
                }
            });
        }
        curves::messages(ui, record);
        ui.separator();
    }

    /// Draws the buttons for examples and files.
    fn files(&mut self, ui: &mut Ui) {
        ui.add_space(6.0);
        ui.horizontal_wrapped(|ui| {
            let drawn = &mut self.training.drawn;
            let examples = ui.button("Fill with examples");
            let hint = "Faces, houses and stars drawn by the program, to try it at once. Undo brings your \
                        drawings back.";
            if examples.on_hover_text(hint).clicked() {
                drawn.take_examples();
            }
            let has_any = drawn.num_drawings() > 0;
            let save = ui.add_enabled(has_any, Button::new("Save the drawings…"));
            let hint = "A zip file, which opens here again, and which `jempp train --data` reads.";
            if save.on_hover_text(hint).on_disabled_hover_text("Nothing is drawn yet.").clicked() {
                self.wish = Some(Wish::SaveDrawings);
            }
            let open = ui.button("Open drawings…");
            if open.on_hover_text("Open drawings that were saved here.").clicked() {
                self.wish = Some(Wish::Dialog(DialogPurpose::OpenDrawings));
            }
        });
        note(
            ui,
            format!(
                "At least {MIN_DRAWINGS} drawings of each class. Tap a small drawing to delete it. One or two \
                 of each class are kept apart to test the model; the others become about 500 pictures, each \
                 turned, moved and bent a little. Everything stays on this computer."
            ),
        );
        ui.add_space(8.0);
    }
}

/// The accuracy on the test pictures in words; empty if it was not measured.
fn accuracy(record: &TrainingRecord) -> String {
    let Some((_, accuracy)) = record.accuracy.last() else { return String::new() };
    format!(
        "It recognises {:.0} % of the test pictures, made from drawings that it never saw.",
        100.0 * accuracy
    )
}
