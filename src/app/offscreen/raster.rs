//! Triangles to pixels, on the CPU.

use egui::{Color32, ColorImage, Mesh, Pos2, Rect, epaint::Vertex};
use image::{Rgb, RgbImage};

/// The pixels of a picture while it is drawn.
pub(super) struct Canvas {
    size: [usize; 2],
    pixels_per_point: f32,
    pixels: Vec<Color32>,
}

impl Canvas {
    /// A black picture of this many pixels.
    pub(super) fn new(size: [usize; 2], pixels_per_point: f32) -> Self {
        Self { size, pixels_per_point, pixels: vec![Color32::BLACK; size[0] * size[1]] }
    }

    /// The finished picture.
    pub(super) fn into_image(self) -> RgbImage {
        let [width, _] = self.size;
        RgbImage::from_fn(width as u32, self.size[1] as u32, |x, y| {
            let [r, g, b, _] = self.pixels[y as usize * width + x as usize].to_array();
            Rgb([r, g, b])
        })
    }

    /// Draws the triangles of a mesh within `clip`, which is in points. The pixels of a crisp texture stay sharp when they
    /// are enlarged.
    pub(super) fn draw(&mut self, mesh: &Mesh, texture: &ColorImage, is_crisp: bool, clip: Rect) {
        for triangle in mesh.indices.chunks_exact(3) {
            let corner = |nth: usize| mesh.vertices.get(triangle[nth] as usize);
            if let (Some(a), Some(b), Some(c)) = (corner(0), corner(1), corner(2)) {
                self.triangle([a, b, c], texture, is_crisp, clip);
            }
        }
    }

    fn triangle(
        &mut self,
        corners: [&Vertex; 3],
        texture: &ColorImage,
        is_crisp: bool,
        clip: Rect,
    ) {
        let ppp = self.pixels_per_point;
        let mut corners = corners.map(|vertex| (vertex.pos * ppp, vertex));
        let mut area = edge(corners[0].0, corners[1].0, corners[2].0);
        if area < 0.0 {
            corners.swap(1, 2);
            area = -area;
        }
        if !area.is_finite() || area == 0.0 {
            return;
        }
        let places = corners.map(|corner| corner.0);
        let [width, height] = texture.size.map(|side| side as f32);
        let texels =
            corners.map(|(_, vertex)| Pos2::new(vertex.uv.x * width, vertex.uv.y * height));
        let is_crisp = is_crisp && area >= edge(texels[0], texels[1], texels[2]).abs();
        let bounds = Rect::from_points(&places).intersect(clip * ppp);
        let most = self.size.map(|side| side as f32);
        let from = [bounds.min.x, bounds.min.y].map(|low| low.floor().max(0.0) as usize);
        let to = [bounds.max.x.min(most[0]), bounds.max.y.min(most[1])]
            .map(|high| high.ceil().max(0.0) as usize);
        // A pixel on the line between two triangles belongs to one of them.
        let owns = [1, 2, 0].map(|from| {
            let along = places[(from + 1) % 3] - places[from];
            along.y < 0.0 || along.y == 0.0 && along.x > 0.0
        });
        for y in from[1]..to[1].min(self.size[1]) {
            for x in from[0]..to[0].min(self.size[0]) {
                let at = Pos2::new(x as f32 + 0.5, y as f32 + 0.5);
                let shares =
                    [1, 2, 0].map(|from| edge(places[from], places[(from + 1) % 3], at) / area);
                let is_inside = |nth: usize| shares[nth] > 0.0 || shares[nth] == 0.0 && owns[nth];
                if !(0..3).all(is_inside) || !(clip * ppp).contains(at) {
                    continue;
                }
                let mut color = [0.0f32; 4];
                let mut uv = [0.0f32; 2];
                for (share, (_, vertex)) in shares.iter().zip(&corners) {
                    let tint = vertex.color.to_array();
                    color
                        .iter_mut()
                        .zip(tint)
                        .for_each(|(sum, part)| *sum += share * f32::from(part));
                    uv[0] += share * vertex.uv.x;
                    uv[1] += share * vertex.uv.y;
                }
                let sample = if is_crisp { nearest(texture, uv) } else { sample(texture, uv) };
                let pixel = &mut self.pixels[y * self.size[0] + x];
                let above: [f32; 4] = std::array::from_fn(|k| color[k] * sample[k] / 255.0);
                let below = pixel.to_array();
                let mixed = |k: usize| above[k] + f32::from(below[k]) * (1.0 - above[3] / 255.0);
                let [r, g, b] = [0, 1, 2].map(|k| mixed(k).round() as u8);
                *pixel = Color32::from_rgb(r, g, b);
            }
        }
    }
}

/// Twice the area of the triangle, positive if its corners go clockwise on the screen.
fn edge(a: Pos2, b: Pos2, c: Pos2) -> f32 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

/// The colour of the pixel of a texture at uv in [0, 1].
fn nearest(texture: &ColorImage, uv: [f32; 2]) -> [f32; 4] {
    let [width, height] = texture.size;
    if texture.pixels.is_empty() {
        return [255.0; 4];
    }
    let place = |uv: f32, side: usize| ((uv * side as f32).max(0.0) as usize).min(side - 1);
    texture.pixels[place(uv[1], height) * width + place(uv[0], width)].to_array().map(f32::from)
}

/// The colour of a texture at uv in [0, 1], interpolated between the four nearest pixels.
fn sample(texture: &ColorImage, uv: [f32; 2]) -> [f32; 4] {
    let [width, height] = texture.size;
    if texture.pixels.is_empty() {
        return [255.0; 4];
    }
    let place = |uv: f32, side: usize| {
        let at = (uv * side as f32 - 0.5).max(0.0);
        let low = (at as usize).min(side - 1);
        (low, (low + 1).min(side - 1), at - low as f32)
    };
    let ((left, right, x), (top, bottom, y)) = (place(uv[0], width), place(uv[1], height));
    let of =
        |row: usize, column: usize| texture.pixels[row * width + column].to_array().map(f32::from);
    let [a, b, c, d] = [of(top, left), of(top, right), of(bottom, left), of(bottom, right)];
    std::array::from_fn(|k| {
        let (above, below) = (a[k] + (b[k] - a[k]) * x.min(1.0), c[k] + (d[k] - c[k]) * x.min(1.0));
        above + (below - above) * y.min(1.0)
    })
}

#[cfg(test)]
mod tests {
    use egui::{Mesh, pos2, vec2};

    use super::*;

    #[test]
    fn two_triangles_fill_a_rectangle_once() {
        let mut canvas = Canvas::new([8, 8], 2.0);
        let mut mesh = Mesh::default();
        let half = Color32::from_rgba_premultiplied(100, 0, 0, 128);
        mesh.add_colored_rect(Rect::from_min_size(pos2(1.0, 1.0), vec2(2.0, 2.0)), half);
        let white = ColorImage::filled([1, 1], Color32::WHITE);
        canvas.draw(&mesh, &white, false, Rect::EVERYTHING);
        let picture = canvas.into_image();
        for (x, y, pixel) in picture.enumerate_pixels() {
            let is_inside = (2..6).contains(&x) && (2..6).contains(&y);
            assert_eq!(pixel.0, if is_inside { [100, 0, 0] } else { [0; 3] }, "{x}, {y}");
        }
    }

    #[test]
    fn the_pixels_of_an_image_stay_sharp_when_they_are_enlarged() {
        let [dark, bright] = [Color32::from_gray(20), Color32::from_gray(220)];
        let image = ColorImage::new([2, 1], vec![dark, bright]);
        let mut mesh = Mesh::default();
        let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        let place = Rect::from_min_size(pos2(0.0, 0.0), vec2(8.0, 4.0));
        mesh.add_rect_with_uv(place, whole, Color32::WHITE);
        let greys = |is_crisp: bool| {
            let mut canvas = Canvas::new([8, 4], 1.0);
            canvas.draw(&mesh, &image, is_crisp, Rect::EVERYTHING);
            let mut greys: Vec<u8> = canvas.into_image().pixels().map(|pixel| pixel.0[0]).collect();
            greys.sort_unstable();
            greys.dedup();
            greys
        };
        assert_eq!(greys(true), [20, 220]);
        assert!(greys(false).len() > 2);
    }
}
