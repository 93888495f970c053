//! The shapes of a drawing as SVG.

use std::fmt::Write;

use egui::{
    Color32, Pos2, Rect, Shape, Vec2,
    epaint::{ClippedShape, ColorMode},
};

/// A document with these shapes. Text stays text, so that it can be searched and edited.
pub(super) fn document(size: Vec2, shapes: &[ClippedShape]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" \
         font-family=\"sans-serif\">\n",
        size.x, size.y
    );
    let whole = Rect::from_min_size(Pos2::ZERO, size);
    for (number, ClippedShape { clip_rect, shape, .. }) in shapes.iter().enumerate() {
        let clip = clip_rect.intersect(whole);
        if !clip.is_positive() || matches!(shape, Shape::Noop) {
            continue;
        }
        let (min, extent) = (clip.min, clip.size());
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(
            svg,
            "<clipPath id=\"c{number}\"><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"/></clipPath>\
             <g clip-path=\"url(#c{number})\">",
            min.x, min.y, extent.x, extent.y
        );
        draw(&mut svg, shape);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

/// A colour as the value of the attribute `name`, with its opacity.
fn paint(name: &str, color: Color32) -> String {
    if color.a() == 0 {
        return format!("{name}=\"none\"");
    }
    let [r, g, b, a] = color.to_srgba_unmultiplied();
    format!("{name}=\"#{r:02x}{g:02x}{b:02x}\" {name}-opacity=\"{:.2}\"", f32::from(a) / 255.0)
}

fn line(width: f32, color: Color32) -> String {
    if width == 0.0 {
        return "stroke=\"none\"".into();
    }
    format!("{} stroke-width=\"{width}\"", paint("stroke", color))
}

fn list(points: &[Pos2]) -> String {
    let finite = points.iter().filter(|at| at.x.is_finite() && at.y.is_finite());
    finite.map(|at| format!("{:.2},{:.2}", at.x, at.y)).collect::<Vec<_>>().join(" ")
}

fn draw(svg: &mut String, shape: &Shape) {
    let _ = match shape {
        Shape::Vec(shapes) => {
            shapes.iter().for_each(|shape| draw(svg, shape));
            Ok(())
        }
        Shape::Circle(circle) => writeln!(
            svg,
            "<circle cx=\"{:.2}\" cy=\"{:.2}\" r=\"{:.2}\" {} {}/>",
            circle.center.x,
            circle.center.y,
            circle.radius,
            paint("fill", circle.fill),
            line(circle.stroke.width, circle.stroke.color)
        ),
        Shape::LineSegment { points, stroke } => {
            writeln!(
                svg,
                "<polyline points=\"{}\" {}/>",
                list(points),
                line(stroke.width, stroke.color)
            )
        }
        Shape::Path(path) => {
            let color = match path.stroke.color {
                ColorMode::Solid(color) => color,
                ColorMode::UV(_) => Color32::GRAY,
            };
            let name = if path.closed { "polygon" } else { "polyline" };
            let (fill, stroke) = (paint("fill", path.fill), line(path.stroke.width, color));
            writeln!(svg, "<{name} points=\"{}\" {fill} {stroke}/>", list(&path.points))
        }
        Shape::Rect(shape) => writeln!(
            svg,
            "<rect x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{:.2}\" {} {}/>",
            shape.rect.min.x,
            shape.rect.min.y,
            shape.rect.width().max(0.0),
            shape.rect.height().max(0.0),
            paint("fill", shape.fill),
            line(shape.stroke.width, shape.stroke.color)
        ),
        Shape::Text(text) => {
            for row in &text.galley.rows {
                let words: String = row.row.glyphs.iter().map(|glyph| glyph.chr).collect();
                let Some(glyph) = row.row.glyphs.first() else { continue };
                let section = text.galley.job.sections.first();
                let color = section.map_or(text.fallback_color, |section| section.format.color);
                let color = text.override_text_color.unwrap_or(color);
                let color = if color == Color32::PLACEHOLDER { text.fallback_color } else { color };
                let size = section.map_or(12.0, |section| section.format.font_id.size);
                let at = text.pos + row.pos.to_vec2() + glyph.pos.to_vec2();
                let _ = writeln!(
                    svg,
                    "<text transform=\"translate({:.2} {:.2}) rotate({:.1})\" font-size=\"{size}\" {}>{}</text>",
                    at.x,
                    at.y,
                    text.angle.to_degrees(),
                    paint("fill", color),
                    escaped(&words)
                );
            }
            Ok(())
        }
        Shape::Mesh(mesh) if mesh.texture_id == egui::TextureId::default() => {
            for triangle in mesh.indices.chunks_exact(3) {
                let corners = [0, 1, 2].map(|nth| mesh.vertices.get(triangle[nth] as usize));
                let [Some(a), Some(b), Some(c)] = corners else { continue };
                let points = list(&[a.pos, b.pos, c.pos]);
                let _ = writeln!(svg, "<polygon points=\"{points}\" {}/>", paint("fill", a.color));
            }
            Ok(())
        }
        _ => Ok(()),
    };
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
