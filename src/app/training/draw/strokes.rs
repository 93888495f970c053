//! The pad for a drawing of a class, and the pad for a drawing that tests the model.

use std::sync::Arc;

use egui::{Button, Rect, RichText, Sense, Ui, vec2};

use super::{
    DrawPanel,
    pad::{Ink, pad},
};
use crate::{
    app::{
        fit::fit,
        magnifier::{bars, name_of},
        size_class::TOUCH,
        state::{Drawings, extend},
    },
    data::drawn::{DrawnClass, Strokes, picture},
    numbers::argmax,
    worker::Command,
};

/// A drawing joins its class this long after its last stroke, in seconds.
const PAUSE_SECS: f64 = 1.6;
/// The time between two questions to the model, in seconds.
const QUESTION_SECS: f64 = 0.2;

/// A drawing that the model classifies.
#[derive(Default)]
pub(super) struct Test {
    strokes: Strokes,
    is_drawing: bool,
    is_changed: bool,
    asked_at: f64,
    asked: Option<Arc<[f32]>>,
}

impl DrawPanel<'_> {
    /// Draws the classes to choose from.
    pub(super) fn choice(&mut self, ui: &mut Ui) {
        let drawn = &mut self.training.drawn;
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
    }

    /// Draws the pad for a drawing of the chosen class.
    pub(super) fn class_pad(&mut self, ui: &mut Ui, side: f32) {
        let now = ui.input(|input| input.time);
        let (drawn, view) = (&mut self.training.drawn, &mut *self.view);
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
    }

    /// Draws the buttons for the drawing on the pad.
    pub(super) fn buttons(&mut self, ui: &mut Ui, side: f32) {
        let (drawn, view) = (&mut self.training.drawn, &mut *self.view);
        let has_ink = !drawn.canvas().is_empty();
        ui.horizontal_wrapped(|ui| {
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
    }

    /// Draws the pad for a drawing that the model classifies.
    pub(super) fn test_pad(&mut self, ui: &mut Ui, side: f32) {
        let now = ui.input(|input| input.time);
        let test = &mut self.view.test;
        for ink in pad(ui, side, &test.strokes, "Pad to test the model on") {
            match ink {
                Ink::Begin(at) if !test.is_drawing => {
                    test.strokes.push(vec![at]);
                    test.is_drawing = true;
                }
                Ink::To(at) if test.is_drawing => extend(&mut test.strokes, at),
                Ink::Begin(_) | Ink::To(_) => continue,
                Ink::End => test.is_drawing = false,
            }
            test.is_changed = true;
        }
        test.is_drawing &= ui.input(|input| input.pointer.any_down());
        // While the model is still learning, its answer changes.
        let is_stale = test.is_changed || self.training.is_running && !test.strokes.is_empty();
        if is_stale && now - test.asked_at >= QUESTION_SECS && !test.strokes.is_empty() {
            let image: Arc<[f32]> = picture(&test.strokes).into();
            self.training.ask(Command::Classify(image.clone()));
            (test.asked, test.asked_at, test.is_changed) = (Some(image), now, false);
        } else if is_stale {
            ui.request_repaint_after_secs(QUESTION_SECS as f32);
        }
    }

    /// Draws what the model sees in the drawing.
    pub(super) fn answer(&mut self, ui: &mut Ui, side: f32) {
        let test = &mut self.view.test;
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
            bars(ui, model, &seen.probabilities, 5, Some(class as u32));
        }
    }
}

/// Draws how much of the pause is over after which a drawing joins its class.
fn time_bar(ui: &mut Ui, width: f32, share: f32) {
    let (rect, _) = ui.allocate_exact_size(vec2(width, 3.0), Sense::hover());
    let done = Rect::from_min_size(rect.min, vec2(width * fit(share, 0.0, 1.0), rect.height()));
    ui.painter().rect_filled(done, 1.0, ui.visuals().selection.bg_fill);
}
