//! A pad to draw strokes on, with mouse, pen or finger, and small pictures of strokes.

use egui::{
    Color32, CursorIcon, Event, Painter, PointerButton, Pos2, Rect, Role, Sense, Stroke,
    StrokeKind, Ui, Vec2, WidgetInfo, pos2,
};

use crate::data::drawn::Strokes;

/// The width of a line on the pad and on a small picture, as a fraction of the side.
const PAD_PEN: f32 = 0.045;
const SMALL_PEN: f32 = 0.08;
const PAPER: Color32 = Color32::BLACK;
const INK: Color32 = Color32::WHITE;

/// What happened on a pad, with points of the unit square.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ink {
    /// A stroke begins. In a browser, a finger says so twice: as a pointer and as a touch.
    Begin([f32; 2]),
    /// The stroke goes on to this point.
    To([f32; 2]),
    /// The stroke ends.
    End,
}

/// Draws a pad with these strokes, and returns what the pointer did since the last frame. Every move counts, not only
/// the last one of a frame, so that a fast stroke stays round where frames are slow.
pub(super) fn pad(ui: &mut Ui, side: f32, strokes: &Strokes, name: &str) -> Vec<Ink> {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Canvas, true, name));
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 4.0, PAPER);
    paint(&painter, rect, strokes, PAD_PEN);
    let edge = Stroke::new(1.0, ui.visuals().weak_text_color());
    painter.rect_stroke(rect, 4.0, edge, StrokeKind::Inside);
    if response.hovered() {
        ui.set_cursor_icon(CursorIcon::Crosshair);
    }
    let is_in_use =
        response.is_pointer_button_down_on() || response.clicked() || response.drag_stopped();
    if !is_in_use {
        return Vec::new();
    }
    let at = |at: Pos2| [(at.x - rect.left()) / side, (at.y - rect.top()) / side];
    let ink = |event: &Event| match *event {
        Event::PointerButton { pos, button: PointerButton::Primary, pressed: true, .. } => {
            rect.contains(pos).then(|| Ink::Begin(at(pos)))
        }
        Event::PointerButton { button: PointerButton::Primary, pressed: false, .. }
        | Event::PointerGone => Some(Ink::End),
        Event::PointerMoved(pos) => Some(Ink::To(at(pos))),
        _ => None,
    };
    ui.input(|input| input.events.iter().filter_map(ink).collect())
}

/// Draws strokes as a small picture.
pub(super) fn small(painter: &Painter, rect: Rect, strokes: &Strokes) {
    painter.rect_filled(rect, 3.0, PAPER);
    paint(painter, rect, strokes, SMALL_PEN);
}

/// Draws strokes with round ends and corners into a square.
fn paint(painter: &Painter, rect: Rect, strokes: &Strokes, pen: f32) {
    let width = pen * rect.width();
    let at =
        |&[x, y]: &[f32; 2]| pos2(rect.left() + x * rect.width(), rect.top() + y * rect.height());
    for stroke in strokes {
        for point in stroke {
            painter.circle_filled(at(point), 0.5 * width, INK);
        }
        for ends in stroke.windows(2) {
            painter.line_segment([at(&ends[0]), at(&ends[1])], Stroke::new(width, INK));
        }
    }
}
