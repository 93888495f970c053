//! Mouse strokes over an image.

use egui::{CursorIcon, Pos2, Rect, Response, Stroke, Ui, pos2};

/// The state of a brush, which may be in the middle of a stroke.
#[derive(Default)]
pub(super) struct Brush {
    last: Option<Pos2>,
}

impl Brush {
    /// The points of the stroke since the last frame, without gaps, in pixels of an image (H, W) drawn over `rect`.
    pub(super) fn stroke(
        &mut self,
        response: &Response,
        rect: Rect,
        [h, w]: [usize; 2],
    ) -> Vec<Pos2> {
        let is_down = response.is_pointer_button_down_on();
        let Some(at) = response.interact_pointer_pos().filter(|_| is_down) else {
            self.last = None;
            return Vec::new();
        };
        let scale = egui::vec2(w as f32, h as f32) / rect.size();
        let to = ((at - rect.min) * scale).to_pos2();
        let from = self.last.replace(to);
        let Some(from) = from else { return vec![to] };
        let count = ((to - from).length() * 2.0).ceil().min(4096.0) as usize;
        (1..=count).map(|nth| from + (to - from) * (nth as f32 / count as f32)).collect()
    }

    /// Draws the outline of the brush under the pointer; `radius` is in points.
    pub(super) fn show(ui: &Ui, response: &Response, rect: Rect, radius: f32) {
        let Some(at) = response.hover_pos() else { return };
        ui.set_cursor_icon(CursorIcon::Crosshair);
        let painter = ui.painter().with_clip_rect(rect.intersect(ui.clip_rect()));
        // Two outlines, black and white, so that one of them is visible on any image.
        painter.circle_stroke(at, radius + 1.0, Stroke::new(1.0, egui::Color32::BLACK));
        painter.circle_stroke(at, radius, Stroke::new(1.0, egui::Color32::WHITE));
    }
}

/// The pixels of an image (H, W) whose centres lie within `radius` of `at`, with their distances.
pub(super) fn pixels_under(
    at: Pos2,
    radius: f32,
    [h, w]: [usize; 2],
) -> impl Iterator<Item = (usize, f32)> {
    let span = move |center: f32, length: usize| {
        let low = (center - radius).floor().max(0.0) as usize;
        let high = ((center + radius).ceil().max(0.0) as usize).min(length);
        low..high.max(low)
    };
    let columns = span(at.x, w);
    span(at.y, h).flat_map(move |y| {
        columns.clone().filter_map(move |x| {
            let distance = pos2(x as f32 + 0.5, y as f32 + 0.5).distance(at);
            (distance <= radius).then_some((y * w + x, distance))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brush_stays_on_the_image() {
        let all: Vec<usize> = pixels_under(pos2(2.0, 2.0), 9.0, [4, 5]).map(|(at, _)| at).collect();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
        assert_eq!(pixels_under(pos2(-20.0, 2.0), 3.0, [4, 5]).count(), 0);
        assert_eq!(
            pixels_under(pos2(1.5, 1.5), 0.6, [4, 5]).map(|(at, _)| at).collect::<Vec<_>>(),
            [6]
        );
    }
}
