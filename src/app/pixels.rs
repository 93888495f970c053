//! Conversions of values to colours and of numbers to text, and a texture for one image, which is rebuilt only
//! when its values change.

use egui::{Color32, ColorImage, Context, Rect, TextureHandle, TextureId, TextureOptions, pos2};

use super::fit::fit;

/// Enlarged pixels stay sharp, and reduced ones are averaged.
pub(super) const CRISP: TextureOptions = TextureOptions {
    magnification: egui::TextureFilter::Nearest,
    minification: egui::TextureFilter::Linear,
    wrap_mode: egui::TextureWrapMode::ClampToEdge,
    mipmap_mode: None,
};

/// The font size of captions, legends and names, in points. egui's own small text is hard to read.
pub(super) const SMALL: f32 = 11.0;

/// The texture coordinates of a whole texture.
pub(super) const WHOLE: Rect = Rect { min: pos2(0.0, 0.0), max: pos2(1.0, 1.0) };

/// Converts a value in [-1, 1] to a brightness. NaN becomes black.
fn byte(value: f32) -> u8 {
    ((fit(value, -1.0, 1.0) + 1.0) * 127.5).round() as u8
}

/// The colour of pixel `at` of an item (C, H, W) with `area` = H · W.
pub(super) fn color(item: &[f32], area: usize, at: usize) -> Color32 {
    if item.len() == 3 * area {
        let channel = |k: usize| byte(item[k * area + at]);
        Color32::from_rgb(channel(0), channel(1), channel(2))
    } else {
        Color32::from_gray(byte(item[at]))
    }
}

/// Formats a number with three decimals, or with an exponent if three decimals are not enough.
pub(super) fn number(value: f32) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "not finite".into()
    } else if size != 0.0 && !(1e-3..1e5).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

/// Formats a fraction as a percentage.
pub(super) fn percent(share: f32) -> String {
    if share.is_finite() { format!("{:.0} %", 100.0 * share) } else { "not finite".into() }
}

/// The image itself, or every second, third, … pixel of it if it exceeds the maximum texture size.
pub(super) fn within_texture(ctx: &Context, image: ColorImage) -> ColorImage {
    let most = ctx.input(|input| input.max_texture_side).max(1);
    let [w, h] = image.size;
    let every = w.max(h).div_ceil(most);
    if every <= 1 {
        return image;
    }
    let rows = (0..h).step_by(every);
    let pixels = rows.flat_map(|y| (0..w).step_by(every).map(move |x| y * w + x));
    let pixels = pixels.map(|at| image.pixels[at]).collect();
    ColorImage::new([w.div_ceil(every), h.div_ceil(every)], pixels)
}

/// Writes an image to a texture, which the first call creates.
pub(super) fn renew(
    texture: &mut Option<TextureHandle>,
    ctx: &Context,
    name: &str,
    image: ColorImage,
) -> TextureId {
    let image = within_texture(ctx, image);
    match texture {
        Some(texture) => {
            texture.set(image, TextureOptions::LINEAR);
            texture.id()
        }
        None => texture.insert(ctx.load_texture(name, image, TextureOptions::LINEAR)).id(),
    }
}

/// One image as a texture.
#[derive(Default)]
pub(super) struct Picture {
    texture: Option<TextureHandle>,
    values: Vec<f32>,
}

impl Picture {
    /// The texture of an item (C, H, W).
    pub(super) fn texture(
        &mut self,
        ctx: &Context,
        values: &[f32],
        [_, h, w]: [usize; 3],
    ) -> TextureId {
        // Compared by their bits, because NaN equals nothing, and the image would be uploaded at every frame.
        let is_same = self.values.len() == values.len()
            && self.values.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
        if let Some(texture) = self.texture.as_ref().filter(|_| is_same) {
            return texture.id();
        }
        self.values = values.to_vec();
        let pixels = (0..h * w).map(|at| color(values, h * w, at)).collect();
        let image = within_texture(ctx, ColorImage::new([w, h], pixels));
        let texture = ctx.load_texture("picture", image, CRISP);
        self.texture.insert(texture).id()
    }
}
