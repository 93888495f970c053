//! The presentation mode for the lecture hall: larger text, no panels, and a ring around the pointer.

use egui::{Color32, Context, Id, Key, LayerId, Order, Stroke, Ui};

use super::fit::fit;

/// The enlargement of everything.
const ZOOM: f32 = 1.5;
/// The radius of the ring, in points.
const RADIUS: f32 = 20.0;

/// The presentation mode.
#[derive(Default)]
pub(super) struct Presentation {
    /// The zoom factor to return to, while the mode is on.
    before: Option<f32>,
    /// Whether a frame was drawn yet.
    has_begun: bool,
}

/// Where the zoom factor to return to is kept with egui's own memory, which keeps the zoom of a window that was closed.
fn kept() -> Id {
    Id::unique("zoom before the presentation")
}

impl Presentation {
    /// Whether the mode is on.
    pub(super) fn is_on(&self) -> bool {
        self.before.is_some()
    }

    /// Switches the mode on or off.
    pub(super) fn toggle(&mut self, ctx: &Context) {
        self.before = match self.before {
            Some(before) => {
                ctx.set_zoom_factor(before);
                ctx.data_mut(|data| data.remove::<f32>(kept()));
                None
            }
            None => {
                let before = ctx.zoom_factor();
                ctx.set_zoom_factor(before * ZOOM);
                ctx.data_mut(|data| data.insert_persisted(kept(), before));
                Some(before)
            }
        };
    }

    /// Draws the button that ends the presentation, because phones and tablets have no keys.
    pub(super) fn end_button(&mut self, ui: &mut Ui) {
        if ui.button("End presentation").clicked() {
            self.toggle(ui.ctx());
        }
    }

    /// Ends a presentation during which the window was closed.
    fn begin(&mut self, ctx: &Context) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        if let Some(before) = ctx.data_mut(|data| data.get_persisted::<f32>(kept())) {
            ctx.set_zoom_factor(fit(before, 0.2, 5.0));
            ctx.data_mut(|data| data.remove::<f32>(kept()));
        }
    }

    /// Handles the keys: P switches the mode, and Escape leaves it. Draws the ring.
    pub(super) fn ui(&mut self, ctx: &Context) {
        self.begin(ctx);
        let is_typing = ctx.text_edit_focused();
        let pressed =
            |key: Key| ctx.input(|input| input.key_pressed(key) && input.modifiers.is_none());
        if !is_typing && (pressed(Key::P) || self.is_on() && pressed(Key::Escape)) {
            self.toggle(ctx);
        }
        if let (true, Some(at)) = (self.is_on(), ctx.input(|input| input.pointer.hover_pos())) {
            let painter =
                ctx.layer_painter(LayerId::new(Order::Tooltip, Id::unique("pointer ring")));
            painter.circle_stroke(at, RADIUS, Stroke::new(5.0, Color32::from_black_alpha(150)));
            painter.circle_stroke(at, RADIUS, Stroke::new(2.5, Color32::from_rgb(240, 228, 66)));
        }
    }
}
