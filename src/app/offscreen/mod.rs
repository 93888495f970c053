//! Drawing a part of the window again, off screen and at any resolution, to save it as a picture.

mod raster;
mod svg;

use std::{collections::HashMap, sync::Arc};

use egui::{
    CentralPanel, ClippedPrimitive, ColorImage, Context, FontDefinitions, ImageData, RawInput,
    Rect, TextureFilter, TextureId, Theme, Ui, Vec2, epaint::ClippedShape,
};
use image::RgbImage;

use super::contrast;

/// The number of passes of a first drawing, and of each later one. Layouts settle in two passes; the diagnostics of the
/// plots take one for each lane.
const NUM_PASSES: [usize; 2] = [8, 2];

/// A texture, and whether its pixels stay sharp when they are enlarged.
#[derive(Clone)]
struct Texture {
    image: Arc<ColorImage>,
    is_crisp: bool,
}

/// A place apart from the window where a part of it is drawn, once or several times.
pub(super) struct Studio {
    ctx: Context,
    size: Vec2,
    pixels_per_point: f32,
    textures: HashMap<TextureId, Texture>,
    /// The textures that the last pass freed.
    gone: Vec<TextureId>,
    num_passes: usize,
}

impl Studio {
    /// A space of `size` points, with the fonts of `ctx`.
    pub(super) fn new(ctx: &Context, size: Vec2, pixels_per_point: f32, theme: Theme) -> Self {
        let fonts: FontDefinitions = ctx.fonts(|fonts| fonts.definitions().clone());
        let apart = Context::default();
        apart.set_fonts(fonts);
        apart.set_theme(theme);
        contrast::apply(&apart);
        Self {
            ctx: apart,
            size,
            pixels_per_point,
            textures: HashMap::new(),
            gone: Vec::new(),
            num_passes: 0,
        }
    }

    /// Draws `contents`.
    pub(super) fn draw(&mut self, mut contents: impl FnMut(&mut Ui)) -> Drawing {
        let (mut shapes, mut gone) = (Vec::new(), std::mem::take(&mut self.gone));
        for _ in 0..NUM_PASSES[usize::from(self.num_passes > 0)] {
            let mut input = RawInput {
                screen_rect: Some(Rect::from_min_size(egui::Pos2::ZERO, self.size)),
                max_texture_side: Some(8192),
                // The diagnostics are updated twice a second.
                time: Some(self.num_passes as f64),
                ..RawInput::default()
            };
            self.num_passes += 1;
            let viewport = input.viewports.entry(input.viewport_id).or_default();
            viewport.native_pixels_per_point = Some(self.pixels_per_point);
            let output = self.ctx.run_ui(input, |ui| {
                CentralPanel::default().show(ui, &mut contents);
            });
            for (id, deltas) in &output.textures_delta.set {
                for delta in deltas {
                    let ImageData::Color(image) = &delta.image;
                    match (delta.pos, self.textures.get_mut(id)) {
                        (Some(at), Some(whole)) => put(Arc::make_mut(&mut whole.image), at, image),
                        _ => {
                            let is_crisp = delta.options.magnification == TextureFilter::Nearest;
                            let texture = Texture { image: image.clone(), is_crisp };
                            self.textures.insert(*id, texture);
                        }
                    }
                }
            }
            shapes = output.shapes;
            // Textures are freed after the pass, whose shapes may still use them.
            gone.iter().for_each(|id| drop(self.textures.remove(id)));
            gone = output.textures_delta.free.iter().copied().collect();
        }
        self.gone = gone;
        let primitives = self.ctx.tessellate(shapes.clone(), self.pixels_per_point);
        let (size, pixels_per_point) = (self.size, self.pixels_per_point);
        Drawing { size, pixels_per_point, shapes, primitives, textures: self.textures.clone() }
    }
}

/// A drawing of a part of the window, with everything that is needed to save it.
pub(super) struct Drawing {
    size: Vec2,
    pixels_per_point: f32,
    shapes: Vec<ClippedShape>,
    primitives: Vec<ClippedPrimitive>,
    textures: HashMap<TextureId, Texture>,
}

impl Drawing {
    /// The drawing as pixels.
    pub(super) fn pixels(&self) -> RgbImage {
        let [width, height] =
            [self.size.x, self.size.y].map(|side| (side * self.pixels_per_point).round() as usize);
        let mut canvas = raster::Canvas::new([width, height], self.pixels_per_point);
        for primitive in &self.primitives {
            if let egui::epaint::Primitive::Mesh(mesh) = &primitive.primitive
                && let Some(texture) = self.textures.get(&mesh.texture_id)
            {
                canvas.draw(mesh, &texture.image, texture.is_crisp, primitive.clip_rect);
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
