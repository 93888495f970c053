//! The classes with their drawings: names, small pictures, and what can be done with them.

use std::sync::Arc;

use egui::{Align, Align2, Button, Frame, Layout, RichText, Sense, TextEdit, Ui, Vec2, WidgetInfo};

use super::{DrawPanel, pad::small};
use crate::{
    app::{fit::fit, size_class::is_small},
    data::drawn::{DrawnClass, GOOD_DRAWINGS, MAX_CLASSES, MAX_NAME, Strokes},
};

/// The smallest and the largest side of a small picture, in points.
const SMALL_SIDES: [f32; 2] = [22.0, 60.0];

/// What the user wants of a class.
enum Change {
    Choose(usize),
    Rename(usize, String),
    Remove(usize),
    RemoveDrawing(usize, usize),
}

impl DrawPanel<'_> {
    /// Draws the classes with their drawings.
    pub(super) fn classes(&mut self, ui: &mut Ui) {
        let drawn = &self.training.drawn;
        let text = match drawn.set().problem() {
            Some(problem) => problem,
            None if drawn.classes().iter().all(|c| c.drawings.len() >= GOOD_DRAWINGS) => {
                "Ready. Press Train: it takes about a minute.".into()
            }
            None => {
                format!("Press Train, or draw more: {GOOD_DRAWINGS} of each make a better model.")
            }
        };
        // Beside a model, its own words say how to go on.
        let has_model = drawn.is_run(&self.training.record) && drawn.set().problem().is_none();
        if !self.training.is_running && !has_model {
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
        if add.on_disabled_hover_text("No more classes can be added.").clicked() {
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
