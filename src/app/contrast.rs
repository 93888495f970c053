//! The contrast of text with what is behind it.

use egui::{Color32, Context, Theme, Ui};

/// The lowest contrast between text and what is behind it (WCAG 2, level AA).
const MIN_CONTRAST: f32 = 4.5;

/// The greys of text and of weak text in each theme.
const TEXT: [(Theme, [u8; 2]); 2] = [(Theme::Dark, [190, 150]), (Theme::Light, [50, 90])];

/// Makes all text readable, in both themes.
pub(super) fn apply(ctx: &Context) {
    for (theme, [text, weak]) in TEXT {
        let weak = Some(Color32::from_gray(weak));
        if ctx.style_of(theme).visuals.weak_text_color == weak {
            continue;
        }
        ctx.style_mut_of(theme, |style| {
            style.visuals.weak_text_color = weak;
            style.visuals.widgets.noninteractive.fg_stroke.color = Color32::from_gray(text);
            if theme == Theme::Light {
                style.visuals.hyperlink_color = Color32::from_rgb(0, 95, 170);
            }
        });
    }
}

/// A colour as near to `color` as text of it can be read on a panel.
pub(super) fn readable(ui: &Ui, color: Color32) -> Color32 {
    readable_on(ui.visuals().panel_fill, color)
}

fn readable_on(ground: Color32, color: Color32) -> Color32 {
    let towards = if luminance(ground) < 0.18 { Color32::WHITE } else { Color32::BLACK };
    let mixed = |nth: u8| color.lerp_to_gamma(towards, f32::from(nth) / 20.0);
    (0..20).map(mixed).find(|&mixed| contrast(mixed, ground) >= MIN_CONTRAST).unwrap_or(towards)
}

/// The contrast between two colours, from 1 to 21 (WCAG 2).
fn contrast(a: Color32, b: Color32) -> f32 {
    let [a, b] = [luminance(a), luminance(b)];
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(color: Color32) -> f32 {
    let linear = |channel: u8| {
        let share = f32::from(channel) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::theme;

    #[test]
    fn text_can_be_read_in_both_themes() {
        let ctx = Context::default();
        apply(&ctx);
        for of in [Theme::Dark, Theme::Light] {
            let visuals = ctx.style_of(of).visuals.clone();
            let grounds = [visuals.panel_fill, visuals.window_fill, visuals.extreme_bg_color];
            let plain =
                [visuals.text_color(), visuals.weak_text_color(), visuals.strong_text_color()];
            for ground in grounds {
                let others = [visuals.hyperlink_color, theme::warning_in(visuals.dark_mode)];
                for text in plain.into_iter().chain(others) {
                    let contrast = contrast(text, ground);
                    assert!(contrast >= MIN_CONTRAST, "{of:?}: {text:?} on {ground:?}: {contrast}");
                }
                for color in theme::LANES.into_iter().chain(theme::CLASSES) {
                    assert!(
                        contrast(readable_on(ground, color), ground) >= MIN_CONTRAST,
                        "{color:?}"
                    );
                }
            }
            let widgets = &visuals.widgets;
            let states = [&widgets.inactive, &widgets.hovered, &widgets.active, &widgets.open];
            let buttons = states.map(|state| (state.text_color(), state.weak_bg_fill));
            // Selected tabs, and buttons that are filled to stand out.
            let selection = &visuals.selection;
            let chosen = [selection.stroke.color, visuals.strong_text_color()];
            let chosen = chosen.map(|text| (text, selection.bg_fill));
            for (text, ground) in buttons.into_iter().chain(chosen) {
                let contrast = contrast(text, ground);
                assert!(contrast >= MIN_CONTRAST, "{of:?}: {text:?} on {ground:?}: {contrast}");
            }
        }
        for banner in [theme::SLOW, theme::BROKEN] {
            let contrast = contrast(Color32::WHITE, banner);
            assert!(contrast >= MIN_CONTRAST, "{banner:?}: {contrast}");
        }
    }
}
