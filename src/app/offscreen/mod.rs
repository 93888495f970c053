//! Drawing a part of the window again, off screen and at any resolution, to save it as a picture.

mod raster;
mod svg;

use std::collections::HashMap;

use egui::{
    CentralPanel, ClippedPrimitive, ColorImage, Context, FontDefinitions, ImageData, RawInput,
    Rect, TextureId, Theme, Ui, Vec2, epaint::ClippedShape,
};
use image::RgbImage;

use super::contrast;

/// The number of passes. Layouts settle in the first two; the diagnostics of the plots take one for each lane.
const NUM_PASSES: usize = 8;

/// A drawing of a part of the window, with everything that is needed to save it.
pub(super) struct Drawing {
    size: Vec2,
    pixels_per_point: f32,
    shapes: Vec<ClippedShape>,
    primitives: Vec<ClippedPrimitive>,
    textures: HashMap<TextureId, ColorImage>,
}

impl Drawing {
    /// Draws `contents` in a space of `size` points, with the fonts of `ctx`.
    pub(super) fn new(
        ctx: &Context,
        size: Vec2,
        pixels_per_point: f32,
        theme: Theme,
        mut contents: impl FnMut(&mut Ui),
    ) -> Self {
        let fonts: FontDefinitions = ctx.fonts(|fonts| fonts.definitions().clone());
        let apart = Context::default();
        apart.set_fonts(fonts);
        apart.set_theme(theme);
        contrast::apply(&apart);
        let mut textures = HashMap::new();
        let mut output = egui::FullOutput::default();
        for pass in 0..NUM_PASSES {
            let mut input = RawInput {
                screen_rect: Some(Rect::from_min_size(egui::Pos2::ZERO, size)),
                max_texture_side: Some(8192),
                // The diagnostics are updated twice a second.
                time: Some(pass as f64),
                ..RawInput::default()
            };
            let viewport = input.viewports.entry(input.viewport_id).or_default();
            viewport.native_pixels_per_point = Some(pixels_per_point);
            output = apart.run_ui(input, |ui| {
                CentralPanel::default().show(ui, &mut contents);
            });
            for (id, deltas) in &output.textures_delta.set {
                for delta in deltas {
                    let ImageData::Color(image) = &delta.image;
                    match (delta.pos, textures.get_mut(id)) {
                        (Some(at), Some(whole)) => put(whole, at, image),
                        _ => drop(textures.insert(*id, ColorImage::clone(image))),
                    }
                }
            }
        }
        let primitives = apart.tessellate(output.shapes.clone(), pixels_per_point);
        Self { size, pixels_per_point, shapes: output.shapes, primitives, textures }
    }

    /// The drawing as pixels.
    pub(super) fn pixels(&self) -> RgbImage {
        let [width, height] =
            [self.size.x, self.size.y].map(|side| (side * self.pixels_per_point).round() as usize);
        let mut canvas = raster::Canvas::new([width, height], self.pixels_per_point);
        for primitive in &self.primitives {
            if let egui::epaint::Primitive::Mesh(mesh) = &primitive.primitive
                && let Some(texture) = self.textures.get(&mesh.texture_id)
            {
                canvas.draw(mesh, texture, primitive.clip_rect);
            }
        }
        canvas.into_image()
    }

    /// The drawing as vector graphics. Textured surfaces are left out, so it is for plots.
    pub(super) fn svg(&self) -> String {
        svg::document(self.size, &self.shapes)
    }
}

/// Replaces the part of an image at `at`.
fn put(whole: &mut ColorImage, [left, top]: [usize; 2], part: &ColorImage) {
    let ([width, _], [part_width, _]) = (whole.size, part.size);
    for (y, row) in part.pixels.chunks_exact(part_width.max(1)).enumerate() {
        let from = (top + y) * width + left;
        if let Some(place) = whole.pixels.get_mut(from..from + part_width) {
            place.copy_from_slice(row);
        }
    }
}
