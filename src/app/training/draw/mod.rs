//! Draw your own data: a pad, the classes with their drawings, and a model that learns them while one watches.

mod pad;

use std::sync::Arc;

use egui::{
    Align, Align2, Button, CentralPanel, Frame, Layout, Panel, ProgressBar, Rect, RichText,
    ScrollArea, Sense, TextEdit, Ui, Vec2, WidgetInfo, vec2,
};

use self::pad::{Ink, pad, small};
use super::{Wish, curves, items::BufferView, setup::TrainingForm};
use crate::{
    app::{
        chart::note,
        disk::DialogPurpose,
        fit::fit,
        magnifier::{bars, name_of},
        size_class::{TOUCH, is_small},
        state::{Drawings, Phase, RunState, Training, TrainingRecord, extend},
    },
    data::drawn::{
        DrawnClass, GOOD_DRAWINGS, MAX_CLASSES, MAX_NAME, MIN_DRAWINGS, Strokes, picture,
    },
    numbers::argmax,
    worker::Command,
};

/// A drawing joins its class this long after its last stroke, in seconds.
const PAUSE_SECS: f64 = 1.6;
/// A run that did not start within this time can be asked for again, in seconds.
const START_SECS: f64 = 10.0;
/// The time between two questions to the model, in seconds.
const QUESTION_SECS: f64 = 0.2;
/// From this width on, the pad stands beside the classes.
const WIDE: f32 = 600.0;
/// The smallest and the largest side of the pad, in points.
const PAD_SIDES: [f32; 2] = [150.0, 400.0];
/// The smallest and the largest side of a small picture, in points.
const SMALL_SIDES: [f32; 2] = [22.0, 60.0];
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
    /// The time at which a run was asked for, until it starts.
    asked_at: Option<f64>,
    /// Whether the pad is for a test of the model.
    is_test: bool,
    test: Test,
}

/// A drawing that the model classifies.
#[derive(Default)]
struct Test {
    strokes: Strokes,
    is_drawing: bool,
    is_changed: bool,
    asked_at: f64,
    asked: Option<Arc<[f32]>>,
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
    training.drawn.go_on();
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
                    self.drawing(ui, fit(side, PAD_SIDES[0], PAD_SIDES[1]));
                    ui.add_space(6.0);
                    self.classes(ui);
                    self.files(ui);
                });
            });
            return;
        }
        let side = fit((0.42 * room.x).min(room.y - 110.0), PAD_SIDES[0], PAD_SIDES[1]);
        Panel::left("draw pad").resizable(false).exact_size(side + 24.0).show(ui, |ui| {
            ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.drawing(ui, side));
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
            if ui.button("Back").on_hover_text("To the other ways to train.").clicked() {
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
        let now = ui.input(|input| input.time);
        let view = &mut *self.view;
        view.asked_at =
            view.asked_at.filter(|at| now - at < START_SECS && !self.training.is_running);
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
            () if view.asked_at.is_some() => Some("Waiting for the worker.".into()),
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
            view.asked_at = Some(now);
        }
    }

    /// Draws the pad with its buttons.
    fn drawing(&mut self, ui: &mut Ui, side: f32) {
        let fits = self.run.model.as_ref().is_some_and(|model| Drawings::fits(model.shape));
        let is_mine = self.training.drawn.is_run(&self.training.record);
        if fits && is_mine {
            ui.horizontal(|ui| {
                ui.selectable_value(&mut self.view.is_test, false, "Draw more");
                let name = RichText::new("Test the model").strong();
                ui.selectable_value(&mut self.view.is_test, true, name);
            });
        } else {
            self.view.is_test = false;
        }
        match self.view.is_test {
            true => self.test(ui, side),
            false => self.class_pad(ui, side),
        }
    }

    /// Draws the pad for a drawing of the chosen class.
    fn class_pad(&mut self, ui: &mut Ui, side: f32) {
        let now = ui.input(|input| input.time);
        let (drawn, view) = (&mut self.training.drawn, &mut *self.view);
        let mut chosen = drawn.class();
        ui.horizontal_wrapped(|ui| {
            ui.label("Draw:");
            for (class, DrawnClass { name, drawings }) in drawn.classes().iter().enumerate() {
                let text = format!("{name} {}", drawings.len());
                let chip = ui.selectable_value(&mut chosen, class, text);
                chip.accessible_name(format!("Draw {name}"));
            }
        });
        drawn.choose_class(chosen);
        let mut is_stroke = drawn.is_drawing();
        for ink in pad(ui, side, drawn.canvas(), "Pad to draw on") {
            match ink {
                Ink::Begin(at) => drawn.begin_stroke(at),
                Ink::To(at) => drawn.draw_to(at),
                Ink::End => drawn.end_stroke(),
            }
            is_stroke |= drawn.is_drawing();
        }
        if !ui.input(|input| input.pointer.any_down()) {
            drawn.end_stroke();
        }
        if is_stroke {
            view.ended_at = Some(now);
        }
        let waits = view.ended_at.filter(|_| !drawn.canvas().is_empty() && !drawn.is_drawing());
        let share = waits.map_or(0.0, |at| ((now - at) / PAUSE_SECS) as f32);
        time_bar(ui, side, share);
        if share >= 1.0 {
            (view.ended_at, _) = (None, drawn.next());
        } else if waits.is_some() {
            ui.request_repaint();
        }
        let has_ink = !drawn.canvas().is_empty();
        ui.horizontal(|ui| {
            let size = vec2(0.4 * side, TOUCH);
            let next = Button::new(RichText::new("Next").strong()).min_size(size);
            let next = ui.add_enabled(has_ink, next);
            let hint = "Put this drawing into the class. It goes there by itself after a pause.";
            if next.on_hover_text(hint).on_disabled_hover_text("Draw something first.").clicked() {
                drawn.next();
            }
            let size = vec2(0.0, TOUCH);
            let undo = ui.add_enabled(drawn.can_undo(), Button::new("Undo").min_size(size));
            if undo.on_hover_text("Undo the last change, whatever it was.").clicked() {
                drawn.undo();
                // What comes back to the pad waits until something is drawn or pressed.
                view.ended_at = None;
            }
            let clear = ui.add_enabled(has_ink, Button::new("Clear").min_size(size));
            if clear.on_hover_text("Clear the pad.").clicked() {
                drawn.clear();
            }
        });
        note(
            ui,
            "After a pause, a drawing joins its class by itself. Large or small, anywhere on the pad.",
        );
    }

    /// Draws the pad for a drawing that the model classifies.
    fn test(&mut self, ui: &mut Ui, side: f32) {
        let now = ui.input(|input| input.time);
        let test = &mut self.view.test;
        ui.label("Draw anything: the model says what it sees.");
        for ink in pad(ui, side, &test.strokes, "Pad to test the model on") {
            match ink {
                Ink::Begin(at) => {
                    test.strokes.push(vec![at]);
                    test.is_drawing = true;
                }
                Ink::To(at) if test.is_drawing => extend(&mut test.strokes, at),
                Ink::To(_) => continue,
                Ink::End => test.is_drawing = false,
            }
            test.is_changed = true;
        }
        // While the model is still learning, its answer changes.
        let is_stale = test.is_changed || self.training.is_running && !test.strokes.is_empty();
        if is_stale && now - test.asked_at >= QUESTION_SECS && !test.strokes.is_empty() {
            let image: Arc<[f32]> = picture(&test.strokes).into();
            self.training.ask(Command::Classify(image.clone()));
            (test.asked, test.asked_at, test.is_changed) = (Some(image), now, false);
        } else if is_stale {
            ui.request_repaint_after_secs(QUESTION_SECS as f32);
        }
        ui.horizontal(|ui| {
            let clear = Button::new("Clear").min_size(vec2(0.4 * side, TOUCH));
            if ui.add_enabled(!test.strokes.is_empty(), clear).clicked() {
                *test = Test::default();
            }
        });
        let (Some(_), Some(model), Some(seen)) =
            (&test.asked, &self.run.model, &self.run.classified)
        else {
            return;
        };
        if let Some(class) = argmax(&seen.probabilities).filter(|_| Drawings::fits(model.shape)) {
            let (name, probability) =
                (name_of(&model.class_names, class), seen.probabilities[class]);
            ui.label(
                RichText::new(format!("The model sees {name} (p = {probability:.2}).")).strong(),
            );
            bars(ui, &model.class_names, &seen.probabilities, 5, Some(class as u32));
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
            Phase::Failed(reason) => ("Training failed.", reason.clone()),
            Phase::Complete(_) => ("The model is ready.", accuracy(record)),
            Phase::Paused(_) => ("Stopped. The model can be used as it is.", accuracy(record)),
            _ => ("The model is learning: its chains become your drawings.", String::new()),
        };
        ui.label(RichText::new(title).heading());
        if !more.is_empty() {
            ui.label(more);
        }
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

    /// Draws the classes with their drawings.
    fn classes(&mut self, ui: &mut Ui) {
        let drawn = &self.training.drawn;
        let text = match drawn.set().problem() {
            Some(problem) => problem,
            None if drawn.classes().iter().all(|c| c.drawings.len() >= GOOD_DRAWINGS) => {
                "Ready. Press Train: it takes about a minute.".into()
            }
            None => format!("Press Train, or go on: {GOOD_DRAWINGS} of each make a better model."),
        };
        if !self.training.is_running {
            ui.label(RichText::new(text).strong());
        }
        let mut changes = Vec::new();
        for class in 0..drawn.classes().len() {
            self.class(ui, class, &mut changes);
        }
        let drawn = &mut self.training.drawn;
        for change in changes {
            match change {
                Change::Choose(class) => drawn.choose_class(class),
                Change::Rename(class, name) => self.view.refused = drawn.rename(class, &name).err(),
                Change::Remove(class) => drawn.remove_class(class),
                Change::RemoveDrawing(class, drawing) => drawn.remove_drawing(class, drawing),
            }
        }
        if let Some(refused) = &self.view.refused {
            ui.label(RichText::new(format!("⚠ {refused}")).strong());
        }
        let can_add = drawn.classes().len() < MAX_CLASSES;
        let add = ui.add_enabled(can_add, Button::new("Add a class"));
        if add.on_disabled_hover_text("There are as many classes as there can be.").clicked() {
            drawn.add_class();
        }
    }

    /// Draws a class, and collects what the user wants of it.
    fn class(&mut self, ui: &mut Ui, class: usize, changes: &mut Vec<Change>) {
        let is_chosen = self.training.drawn.class() == class;
        let mut frame = Frame::group(ui.style()).inner_margin(6.0);
        if is_chosen {
            frame = frame.stroke(ui.visuals().selection.stroke);
        }
        frame.show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.horizontal(|ui| self.class_line(ui, class, changes));
            let of_class = &self.training.drawn.classes()[class];
            if let Some(drawing) = small_pictures(ui, &of_class.name, &of_class.drawings) {
                changes.push(Change::RemoveDrawing(class, drawing));
            }
        });
    }

    /// Draws the name of a class and its buttons.
    fn class_line(&mut self, ui: &mut Ui, class: usize, changes: &mut Vec<Change>) {
        let drawn = &self.training.drawn;
        let (DrawnClass { name, drawings }, is_chosen) =
            (&drawn.classes()[class], drawn.class() == class);
        let typed = self.view.typed.take_if(|(typed, _)| *typed == class);
        let is_typed = typed.is_some();
        let mut text = typed.map_or_else(|| name.clone(), |(_, text)| text);
        let width = if is_small(ui.ctx()) { 100.0 } else { 140.0 };
        let field = TextEdit::singleline(&mut text).desired_width(width).char_limit(MAX_NAME);
        let field = field.align(Align2::LEFT_CENTER);
        let field = ui.add(field).accessible_name(format!("Name of class {}", class + 1));
        if field.gained_focus() && !is_chosen {
            changes.push(Change::Choose(class));
        }
        if field.lost_focus() && is_typed {
            changes.push(Change::Rename(class, text));
        } else if field.has_focus() {
            self.view.typed = Some((class, text));
        }
        ui.weak(format!("{} of {GOOD_DRAWINGS}", drawings.len()));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if drawn.classes().len() > 1 {
                let remove =
                    ui.button("✖").on_hover_text("Remove this class. Undo brings it back.");
                if remove.accessible_name(format!("Remove {name}")).clicked() {
                    changes.push(Change::Remove(class));
                }
            }
        });
    }

    /// Draws the buttons for examples and files.
    fn files(&mut self, ui: &mut Ui) {
        ui.add_space(6.0);
        ui.horizontal_wrapped(|ui| {
            let drawn = &mut self.training.drawn;
            let examples = ui.button("Fill with examples");
            let hint = "Faces, houses and stars drawn by the program, to see at once what happens. Undo brings your own \
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
                "At least {MIN_DRAWINGS} drawings of each class. Tap a small drawing to delete it. One or two of each \
                 class are kept apart to test the model; the others become about 500 pictures, each turned, moved and \
                 bent a little. All of it stays on this computer."
            ),
        );
        ui.add_space(8.0);
    }
}

/// The accuracy on the test pictures in words; empty if it was not measured.
fn accuracy(record: &TrainingRecord) -> String {
    let Some((_, accuracy)) = record.accuracy.last() else { return String::new() };
    format!(
        "It recognises {:.0} % of the test pictures, made of drawings that it never saw.",
        100.0 * accuracy
    )
}

/// What the user wants of a class.
enum Change {
    Choose(usize),
    Rename(usize, String),
    Remove(usize),
    RemoveDrawing(usize, usize),
}

/// Draws the drawings of a class, and empty places up to the advised number. Returns the drawing to delete.
fn small_pictures(ui: &mut Ui, name: &str, drawings: &[Arc<Strokes>]) -> Option<usize> {
    let gap = 4.0;
    ui.spacing_mut().item_spacing = Vec2::splat(gap);
    let columns = GOOD_DRAWINGS as f32;
    let side = (ui.available_width() - (columns - 1.0) * gap) / columns;
    let side = fit(side.floor(), SMALL_SIDES[0], SMALL_SIDES[1]);
    let mut chosen = None;
    ui.horizontal_wrapped(|ui| {
        for (index, drawing) in drawings.iter().enumerate() {
            let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click());
            let text = format!("Delete drawing {} of {name}", index + 1);
            response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, &text));
            small(&ui.painter_at(rect), rect, drawing);
            if response.hovered() {
                ui.painter().rect_stroke(
                    rect,
                    3.0,
                    ui.visuals().selection.stroke,
                    egui::StrokeKind::Inside,
                );
            }
            if response.on_hover_text("Delete this drawing. Undo brings it back.").clicked() {
                chosen = Some(index);
            }
        }
        for _ in drawings.len()..GOOD_DRAWINGS {
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(side), Sense::hover());
            ui.painter().rect_filled(rect, 3.0, ui.visuals().faint_bg_color);
        }
    });
    chosen
}

/// Draws how much of the pause is over after which a drawing joins its class.
fn time_bar(ui: &mut Ui, width: f32, share: f32) {
    let (rect, _) = ui.allocate_exact_size(vec2(width, 3.0), Sense::hover());
    let done = Rect::from_min_size(rect.min, vec2(width * fit(share, 0.0, 1.0), rect.height()));
    ui.painter().rect_filled(done, 1.0, ui.visuals().selection.bg_fill);
}
