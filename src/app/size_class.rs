//! The definition of a small window, such as on a phone, and the sizes of controls for touch.

use egui::{
    TextStyle, Ui, Vec2,
    style::{Spacing, default_text_styles},
    vec2,
};

use super::pixels;

/// A window narrower or lower than this, in points, is small.
const SMALL: Vec2 = vec2(600.0, 480.0);
/// The minimum height of a control for touch.
pub(super) const TOUCH: f32 = 36.0;

/// Whether the window is small.
pub(super) fn is_small(ctx: &egui::Context) -> bool {
    let size = ctx.content_rect().size();
    size.x < SMALL.x || size.y < SMALL.y
}

/// Makes all controls large enough for touch, including menus and lists, or restores their normal size. The smallest text
/// has the size of notes.
pub(super) fn fit_style(ui: &mut Ui, is_small: bool) {
    let usual = Spacing::default();
    let height = if is_small { TOUCH } else { usual.interact_size.y };
    let style = ui.ctx().global_style();
    let small = style.text_styles.get(&TextStyle::Small).map(|font| font.size);
    if style.spacing.interact_size.y == height && small == Some(pixels::SMALL) {
        return;
    }
    ui.ctx().all_styles_mut(|style| {
        style.spacing = usual.clone();
        style.text_styles = default_text_styles();
        if let Some(small) = style.text_styles.get_mut(&TextStyle::Small) {
            small.size = pixels::SMALL;
        }
        if is_small {
            style.spacing.interact_size.y = height;
            style.spacing.icon_width = 20.0;
            style.spacing.icon_width_inner = 12.0;
        }
    });
    ui.set_style(ui.ctx().global_style());
}
