//! Inpainting: the user paints over a part of an image, and the chain fills it in while the rest is held fixed.

use egui::{Color32, Mesh, Rect, Response, Shape, Slider, Ui};

use super::{
    brush::{Brush, pixels_under},
    state::{RunState, Selection},
};
use crate::{
    config::SamplerKind,
    worker::{Command, ModelInfo},
};

/// The colour of the paint.
const PAINT: Color32 = Color32::from_rgb(204, 121, 167);

/// The state of the section, kept between frames.
pub(super) struct Inpaint {
    /// Whether the section is open, so that the mouse paints.
    pub(super) is_open: bool,
    is_painted: Vec<bool>,
    /// The radius of the brush, in pixels of the image.
    radius: f32,
    brush: Brush,
    /// The chain that the paint belongs to.
    of: Option<Selection>,
    /// The chain whose unpainted pixels are held, and the number of the record in which this began.
    held: Option<(Selection, u64)>,
}

impl Default for Inpaint {
    fn default() -> Self {
        Self {
            is_open: false,
            is_painted: Vec::new(),
            radius: 4.0,
            brush: Brush::default(),
            of: None,
            held: None,
        }
    }
}

impl Inpaint {
    /// Clears the paint if another chain is selected, and the held pixels after a restart.
    pub(super) fn follow(&mut self, run: &RunState, selection: Selection, model: &ModelInfo) {
        let area = model.shape[1] * model.shape[2];
        if self.of != Some(selection) || self.is_painted.len() != area {
            self.is_painted = vec![false; area];
        }
        self.of = Some(selection);
        if self.held.is_some_and(|(_, beginning)| beginning != run.num_beginnings) {
            self.held = None;
        }
    }

    /// Handles strokes over the image drawn over `rect`, and draws the paint.
    pub(super) fn paint(&mut self, ui: &Ui, response: &Response, rect: Rect, shape: [usize; 3]) {
        let [_, h, w] = shape;
        for at in self.brush.stroke(response, rect, [h, w]) {
            self.held = None;
            for (pixel, _) in pixels_under(at, self.radius, [h, w]) {
                self.is_painted[pixel] = true;
            }
        }
        // While the part is being filled in, only its outline is drawn, so that it stays visible.
        let is_shown = |x: usize, y: usize| {
            let is_painted = |x: usize, y: usize| self.is_painted[y * w + x];
            let is_inside = x > 0 && y > 0 && x + 1 < w && y + 1 < h;
            let is_deep = is_inside
                && is_painted(x - 1, y)
                && is_painted(x + 1, y)
                && is_painted(x, y - 1)
                && is_painted(x, y + 1);
            is_painted(x, y) && (self.held.is_none() || !is_deep)
        };
        let mut mesh = Mesh::default();
        let pixel = rect.size() / egui::vec2(w as f32, h as f32);
        for y in 0..h {
            for x in (0..w).filter(|&x| is_shown(x, y)) {
                let min = rect.min + egui::vec2(x as f32, y as f32) * pixel;
                let square = Rect::from_min_size(min, pixel);
                mesh.add_colored_rect(square, PAINT.gamma_multiply(0.6));
            }
        }
        ui.painter().add(Shape::mesh(mesh));
        Brush::show(ui, response, rect, self.radius * pixel.x);
    }

    /// Draws the controls of inpainting, and starts it.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        run: &mut RunState,
        selection: Selection,
        model: &ModelInfo,
    ) {
        if let Some(reason) = refusal(run, selection, model) {
            ui.weak(reason);
            return;
        }
        ui.label(
            "Paint over a part of the image above. The chain fills it in; the rest stays as it is.",
        );
        if run.looking_at.is_some() {
            ui.weak("You are viewing an earlier step; this acts on the newest one.");
        }
        ui.horizontal(|ui| {
            let label = ui.label("brush");
            ui.spacing_mut().slider_width = (ui.available_width() - 50.0).max(40.0);
            let slider = Slider::new(&mut self.radius, 1.0..=10.0).fixed_decimals(0);
            ui.add(slider).labelled_by(label.id).on_hover_text("Radius of the brush in pixels.");
        });
        let is_any = self.is_painted.contains(&true);
        ui.horizontal_wrapped(|ui| {
            let fill = egui::Button::new("Let the chain fill it");
            let fill = ui
                .add_enabled(is_any, fill)
                .on_hover_text(
                    "Resets the painted part to the chain's start, freezes the rest, and plays.",
                )
                .on_disabled_hover_text("Paint over a part of the image first.");
            if fill.clicked() {
                self.fill(run, selection, model);
            }
            let release =
                ui.button("Release all pixels").on_hover_text("Every pixel may change again.");
            if release.clicked()
                && let Some(image) = live_image(run, selection, model)
            {
                let Selection { lane, chain } = selection;
                let image = image.into();
                run.ask(Command::Replace { lane, chain, image, is_fixed: Vec::new() });
                self.held = None;
                self.is_painted.fill(false);
            }
            if ui.add_enabled(is_any, egui::Button::new("Clear the mask")).clicked() {
                self.is_painted.fill(false);
            }
        });
        if self.held.is_some_and(|(held, _)| held == selection) {
            ui.weak("Pixels outside the outline are frozen.");
        }
    }

    fn fill(&mut self, run: &mut RunState, selection: Selection, model: &ModelInfo) {
        let Some(mut image) = live_image(run, selection, model) else { return };
        let area = model.shape[1] * model.shape[2];
        let starts = run.start_images().and_then(|lanes| lanes.get(selection.lane));
        let from = selection.chain * image.len();
        let Some(start) = starts.and_then(|lane| lane.x.get(from..from + image.len())) else {
            return;
        };
        for (at, (value, start)) in image.iter_mut().zip(start).enumerate() {
            if self.is_painted[at % area] {
                *value = *start;
            }
        }
        let is_fixed = self.is_painted.iter().map(|is_painted| !is_painted).collect();
        let Selection { lane, chain } = selection;
        run.ask(Command::Replace { lane, chain, image: image.into(), is_fixed });
        let last = run.last_step();
        self.held = Some((selection, run.num_beginnings));
        // At a step of the past, play would only replay the record.
        run.look_at(last);
        run.play();
    }
}

/// Why this chain cannot be inpainted, if it cannot.
fn refusal(run: &RunState, selection: Selection, model: &ModelInfo) -> Option<&'static str> {
    let lane = run.lanes.get(selection.lane);
    if model.is_planar() {
        Some("A point in the plane has no part to fill in.")
    } else if lane.is_some_and(|lane| lane.sampler.kind == SamplerKind::Mala) {
        Some(
            "Not with MALA: it accepts or rejects whole images, and frozen pixels would break that. Choose \
             another sampler.",
        )
    } else {
        None
    }
}

/// The image of the chain at the last step.
pub(super) fn live_image(
    run: &RunState,
    selection: Selection,
    model: &ModelInfo,
) -> Option<Vec<f32>> {
    let (_, lanes) = run.record.as_ref()?.images.entries().last()?;
    let size: usize = model.shape.iter().product();
    let from = selection.chain * size;
    Some(lanes.get(selection.lane)?.x.get(from..from + size)?.to_vec())
}
