//! The chains on the plane: round, translucent points with a dark rim, as one mesh with one small texture. Circles drawn one
//! by one would need fifty times as many triangles for their rims.

use egui::{Color32, ColorImage, Mesh, Painter, Pos2, Rect, TextureHandle, Vec2};

use crate::app::{
    fit::fit,
    pixels::{WHOLE, renew},
};

/// The width of the rim in screen points, and its opacity.
const RIM: f32 = 1.0;
const RIM_OPACITY: f32 = 0.6;

/// The size and the opacity of points, and the pixels per point of the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    radius: f32,
    opacity: f32,
    pixels_per_point: f32,
}

/// The texture of a point, kept between frames.
#[derive(Default)]
pub(super) struct Dots {
    texture: Option<TextureHandle>,
    drawn: Option<Look>,
}

impl Dots {
    /// Draws points of this radius and opacity at these places, in these colours.
    pub(super) fn show(
        &mut self,
        painter: &Painter,
        (radius, opacity): (f32, f32),
        points: impl Iterator<Item = (Pos2, Color32)>,
    ) {
        let look = Look { radius, opacity, pixels_per_point: painter.pixels_per_point() };
        let texture = match (&self.texture, self.drawn == Some(look)) {
            (Some(texture), true) => texture.id(),
            _ => renew(&mut self.texture, painter.ctx(), "chain", dot(look)),
        };
        self.drawn = Some(look);
        let size = Vec2::splat(num_pixels(look) as f32 / look.pixels_per_point);
        let mut mesh = Mesh::with_texture(texture);
        for (at, color) in points {
            mesh.add_rect_with_uv(Rect::from_center_size(at, size), WHOLE, color);
        }
        if !mesh.is_empty() {
            painter.add(mesh);
        }
    }
}

/// The number of pixels along a side of the picture of a point: its diameter, and one pixel on each side.
fn num_pixels(look: Look) -> usize {
    (2.0 * (look.radius + RIM) * look.pixels_per_point).ceil() as usize + 2
}

/// The picture of a white point, which takes the colour that it is drawn with; its rim stays dark.
fn dot(look: Look) -> ColorImage {
    let side = num_pixels(look);
    let pixel = |index: usize| {
        let from_middle = |at: usize| at as f32 + 0.5 - 0.5 * side as f32;
        let distance = from_middle(index % side).hypot(from_middle(index / side));
        // Smooth over one pixel.
        let within = |radius: f32| fit(radius * look.pixels_per_point - distance + 0.5, 0.0, 1.0);
        let (inner, whole) = (within(look.radius), within(look.radius + RIM));
        let white = look.opacity * inner;
        let alpha = white + RIM_OPACITY * (whole - inner);
        let [white, alpha] = [white, alpha].map(|share| (255.0 * share).round() as u8);
        Color32::from_rgba_premultiplied(white, white, white, alpha)
    };
    ColorImage::new([side, side], (0..side * side).map(pixel).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_round_and_translucent_with_a_dark_rim() {
        for pixels_per_point in [1.0, 1.5, 2.0] {
            let look = Look { radius: 3.0, opacity: 0.5, pixels_per_point };
            let image = dot(look);
            let [width, height] = image.size;
            assert_eq!(width, height);
            let at = |x: usize, y: usize| image.pixels[y * width + x].to_array();
            let middle = at(width / 2, height / 2);
            assert_eq!(middle, [128; 4], "half of the light comes through");
            assert_eq!(at(0, 0), [0; 4], "a corner is outside");
            assert_eq!(at(0, height / 2), [0; 4], "so is the edge");
            // The darkest pixels on a way from the middle are those of the rim.
            let way = (0..width / 2).map(|x| at(x, height / 2));
            let rim = way.filter(|[white, .., alpha]| *white < 30 && *alpha > 100).count();
            assert!(rim >= 1, "{pixels_per_point}: {rim}");
            let is_symmetric = (0..width).all(|x| (0..height).all(|y| at(x, y) == at(y, x)));
            assert!(is_symmetric);
        }
    }
}
