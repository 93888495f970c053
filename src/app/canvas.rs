//! A canvas to draw on, with the model's prediction for the drawing.

use std::sync::Arc;

use egui::{
    Button, Color32, Image, Label, PointerButton, Rect, RichText, Role, Sense, Ui, WidgetInfo, vec2,
};

use super::{
    brush::{Brush, pixels_under},
    magnifier::{bars, name_of},
    pixels::{Picture, WHOLE, number},
    size_class,
    state::{RunState, Selection},
};
use crate::{
    numbers::argmax,
    worker::{Command, ModelInfo},
};

/// Seconds between two requests to the model.
const PAUSE_SECS: f64 = 0.2;
/// The maximum length of the canvas's longer side, in points.
const SIDE: f32 = 196.0;
/// The radius of the brush, as a fraction of the image's longer side.
const RADIUS: f32 = 0.085;
/// The background is black, as in the images of clothes and digits.
const BACKGROUND: f32 = -1.0;

/// The state of the canvas, kept between frames.
#[derive(Default)]
pub(super) struct Canvas {
    /// The shape (C, H, W) of the image.
    shape: [usize; 3],
    image: Vec<f32>,
    /// Drawings for models with other image shapes. They return together with such a model.
    others: Vec<([usize; 3], Vec<f32>)>,
    picture: Picture,
    brush: Brush,
    /// Whether the image has changed since the last request to the model.
    is_changed: bool,
    asked_at: Option<f64>,
    asked: Option<Arc<[f32]>>,
    /// The last start image that was copied to the canvas.
    taken: Option<Arc<[f32]>>,
}

impl Canvas {
    /// Draws the canvas, its buttons and the model's prediction.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        run: &mut RunState,
        model: &ModelInfo,
        selection: Option<Selection>,
    ) {
        if model.is_planar() {
            ui.weak("Drawing needs a model of images; this one has points in the plane.");
            return;
        }
        self.follow(model.shape);
        self.take_start_image(run);
        ui.label(match size_class::is_small(ui.ctx()) {
            true => "Draw with a finger: the model says at once what it sees.",
            false => "Draw with the mouse; right-drag erases. The model says at once what it sees.",
        });
        // Above the canvas, so that it is in sight in a low window too.
        self.verdict(ui, run, model);
        self.draw(ui, model.shape);
        self.ask(ui, run);
        self.buttons(ui, run, selection);
        self.answer(ui, run, model);
    }

    /// Switches to the drawing for images of this shape, and stores the current one.
    fn follow(&mut self, shape: [usize; 3]) {
        if self.shape == shape {
            return;
        }
        let Self { shape: old, image, mut others, .. } = std::mem::take(self);
        others.push((old, image));
        let kept = others.iter().position(|other| other.0 == shape);
        let image = kept.map(|index| others.swap_remove(index).1);
        let is_changed = image.is_some();
        let image = image.unwrap_or_else(|| vec![BACKGROUND; shape.iter().product()]);
        *self = Self { shape, image, others, is_changed, ..Self::default() };
    }

    /// Copies an image that was dropped on the window to the canvas, so that the user can draw on it.
    fn take_start_image(&mut self, run: &RunState) {
        let Some(image) = run.start_image.as_ref().filter(|i| i.len() == self.image.len()) else {
            return;
        };
        if !self.taken.as_ref().is_some_and(|taken| Arc::ptr_eq(taken, image)) {
            self.image = image.to_vec();
            self.is_changed = true;
            self.taken = Some(image.clone());
        }
    }

    fn draw(&mut self, ui: &mut Ui, shape: [usize; 3]) {
        let [_, h, w] = shape;
        let longer = h.max(w) as f32;
        let ppp = ui.pixels_per_point();
        // A whole number of physical pixels, so that all squares have the same size.
        let room = (ui.available_width() - 2.0).min(SIDE) * ppp;
        let factor = (room / longer).floor().max(1.0) / ppp;
        let size = vec2(w as f32, h as f32) * factor;
        let (rect, response) = ui.allocate_exact_size(size + vec2(2.0, 2.0), Sense::drag());
        response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, "Canvas to draw on"));
        let rect = Rect::from_min_size(rect.min + vec2(1.0, 1.0), size);
        let erases = ui.input(|input| input.pointer.button_down(PointerButton::Secondary));
        let (radius, area) = (RADIUS * longer, h * w);
        for at in self.brush.stroke(&response, rect, [h, w]) {
            self.is_changed = true;
            for (pixel, distance) in pixels_under(at, radius, [h, w]) {
                // Full strength in the middle, softer towards the edge.
                let paint = 1.0 - 2.0 * (distance / radius).powi(3);
                for value in self.image[pixel..].iter_mut().step_by(area) {
                    *value = if erases { BACKGROUND } else { value.max(paint) };
                }
            }
        }
        let texture = self.picture.texture(ui.ctx(), &self.image, shape);
        ui.painter().image(texture, rect, WHOLE, Color32::WHITE);
        let stroke = ui.visuals().widgets.inactive.fg_stroke;
        ui.painter().rect_stroke(rect, 0.0, stroke, egui::StrokeKind::Outside);
        Brush::show(ui, &response, rect, radius * factor);
    }

    /// Asks the model to classify the image, a few times a second while the image changes.
    fn ask(&mut self, ui: &Ui, run: &mut RunState) {
        if !self.is_changed {
            return;
        }
        let now = ui.input(|input| input.time);
        let rest = self.asked_at.map_or(0.0, |asked_at| asked_at + PAUSE_SECS - now);
        if rest > 0.0 {
            ui.request_repaint_after_secs(rest as f32);
            return;
        }
        let image: Arc<[f32]> = self.image.clone().into();
        run.ask(Command::Classify(image.clone()));
        self.asked = Some(image);
        self.asked_at = Some(now);
        self.is_changed = false;
    }

    fn buttons(&mut self, ui: &mut Ui, run: &mut RunState, selection: Option<Selection>) {
        let is_empty = self.image.iter().all(|&value| value == BACKGROUND);
        let first = "Draw something first.";
        ui.horizontal_wrapped(|ui| {
            let clear = ui.add_enabled(!is_empty, Button::new("Clear"));
            if clear.on_disabled_hover_text("Nothing is drawn yet.").clicked() {
                self.image.fill(BACKGROUND);
                (self.asked, self.is_changed) = (None, false);
            }
            let hover = match run.lacks_noise() {
                true => "Restart every chain of every lane from this image. Without noise they stay identical.",
                false => "Restart every chain of every lane from this image.",
            };
            let start = ui
                .add_enabled(!is_empty, Button::new("Start all chains from it"))
                .on_hover_text(hover)
                .on_disabled_hover_text(first);
            if start.clicked() {
                let image: Arc<[f32]> = self.image.clone().into();
                self.taken = Some(image.clone());
                run.start_from(image);
            }
            let reason = if is_empty { first } else { "Click a chain first." };
            let put = ui
                .add_enabled(
                    !is_empty && selection.is_some(),
                    Button::new("Replace this chain's image"),
                )
                .on_hover_text("The selected chain continues from this image.")
                .on_disabled_hover_text(reason);
            if let (true, Some(Selection { lane, chain })) = (put.clicked(), selection) {
                let image = self.image.clone().into();
                run.ask(Command::Replace { lane, chain, image, is_fixed: Vec::new() });
                run.look_at(run.last_step());
            }
        });
    }

    /// Draws what the model sees, in one line with a fixed place, so that the canvas stays where it is.
    fn verdict(&self, ui: &mut Ui, run: &RunState, model: &ModelInfo) {
        let class = self.asked.as_ref().and(run.classified.as_ref());
        let class = class.and_then(|seen| Some((seen, argmax(&seen.probabilities)?)));
        let Some((seen, class)) = class else {
            ui.add(Label::new(RichText::new("The answer appears here.").weak()).truncate());
            return;
        };
        let (name, p) = (name_of(&model.class_names, class), seen.probabilities[class]);
        let text = format!("The model sees {name} (p = {p:.2}).");
        ui.add(Label::new(&text).truncate()).on_hover_text(&text);
    }

    fn answer(&self, ui: &mut Ui, run: &RunState, model: &ModelInfo) {
        let (Some(classified), Some(_)) = (&run.classified, &self.asked) else { return };
        let Some(class) = argmax(&classified.probabilities) else { return };
        let rank =
            run.rank_of(classified.energy).map_or_else(String::new, |rank| format!(": {rank}."));
        ui.label(format!("Energy {}{rank}", number(classified.energy)))
            .on_hover_text("Lower means more likely to the model.");
        bars(ui, model, &classified.probabilities, 5, Some(class as u32));
    }
}

/// Draws a texture as an image of that size, with a name for screen readers.
pub(super) fn image(ui: &mut Ui, texture: egui::TextureId, size: egui::Vec2, name: &str) {
    let image = Image::from_texture((texture, size)).fit_to_exact_size(size);
    ui.add(image.alt_text(name)).on_hover_text(name);
}
