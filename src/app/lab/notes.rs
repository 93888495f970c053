//! Notes that lie on the plane, or beside a small one, so that none of them moves it when it comes or goes: what is drawn, and what
//! went wrong.

use egui::{Align2, Color32, FontId, Pos2, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use crate::app::{pixels::SMALL, theme};

/// The distance of notes from the edges of the plane and from each other.
const GAP: f32 = 4.0;

/// A text on the plane.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Note {
    pub text: String,
    /// Whether it tells of something that went wrong.
    pub is_problem: bool,
}

impl Note {
    /// A note that tells of nothing wrong.
    pub(super) fn plain(text: String) -> Self {
        Self { text, is_problem: false }
    }
}

/// Draws notes at the left edge of a plane: `down` from `top` points below its upper edge on, and `up` from its lower edge on
/// upwards.
pub(super) fn ui(ui: &Ui, plane: Rect, lane: usize, top: f32, down: &[Note], up: &[Note]) {
    let mut at = plane.left_top() + vec2(GAP, top);
    for (nth, note) in down.iter().enumerate() {
        at.y += show(ui, plane, (Align2::LEFT_TOP, at), [lane, nth], note) + GAP;
    }
    let mut at = plane.left_bottom() + vec2(GAP, -GAP);
    for (nth, note) in up.iter().enumerate() {
        let id = [lane, down.len() + nth];
        at.y -= show(ui, plane, (Align2::LEFT_BOTTOM, at), id, note) + GAP;
    }
}

/// Draws a note with its anchor at this place. Returns its height.
fn show(
    ui: &Ui,
    plane: Rect,
    (anchor, at): (Align2, Pos2),
    [lane, nth]: [usize; 2],
    note: &Note,
) -> f32 {
    let painter = ui.painter_at(plane);
    let width = (plane.width() - 2.0 * GAP).max(1.0);
    let font = FontId::proportional(SMALL);
    let text = painter.layout(note.text.clone(), font, Color32::WHITE, width);
    let rect = anchor.anchor_size(at, text.size());
    let fill = if note.is_problem { theme::BROKEN } else { Color32::from_black_alpha(150) };
    painter.rect_filled(rect.expand(2.0), 2.0, fill);
    let response = ui.interact(rect, ui.scope_id().with(("note", lane, nth)), Sense::empty());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &note.text));
    painter.galley(rect.min, text, Color32::WHITE);
    rect.height()
}
