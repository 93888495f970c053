//! The fonts of the page in a browser: egui's own fonts, reduced by `assets/fonts/make_fonts.py` to the
//! characters that are shown. The complete fonts are 0.7 MB after compression.

use std::sync::Arc;

use egui::{FontData, FontDefinitions, FontFamily, epaint::text::FontTweak};

/// The name, the file, and the size relative to text of the same height, as egui sets it.
const FONTS: [(&str, &[u8], f32); 3] = [
    ("Ubuntu-Light", include_bytes!("../../assets/fonts/Ubuntu-Light.ttf"), 1.0),
    ("NotoEmoji-Regular", include_bytes!("../../assets/fonts/NotoEmoji-Regular.ttf"), 0.81),
    ("emoji-icon-font", include_bytes!("../../assets/fonts/emoji-icon-font.ttf"), 0.9),
];

/// The page's fonts, in the order in which egui looks for a character.
pub(crate) fn small() -> FontDefinitions {
    let mut fonts = FontDefinitions::empty();
    for (name, bytes, scale) in FONTS {
        let tweak = FontTweak { scale, ..FontTweak::default() };
        let data = FontData::from_static(bytes).tweak(tweak);
        fonts.font_data.insert(name.to_string(), Arc::new(data));
    }
    let names = FONTS.map(|font| font.0.to_string());
    // The page uses the proportional font for monospace text too, to save a second font.
    for family in [FontFamily::Monospace, FontFamily::Proportional] {
        fonts.families.insert(family, names.to_vec());
    }
    fonts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use egui::FontId;

    use super::*;

    #[test]
    fn no_character_of_the_sources_was_cut_off() {
        fn sources(folder: &std::path::Path) -> String {
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            entries.fold(String::new(), |all, path| match path.is_dir() {
                true => all + &sources(&path),
                false => all + &std::fs::read_to_string(path).unwrap(),
            })
        }
        let text = sources(concat!(env!("CARGO_MANIFEST_DIR"), "/src").as_ref());
        let shown_with = |fonts: FontDefinitions| -> BTreeSet<char> {
            let ctx = egui::Context::default();
            ctx.set_fonts(fonts);
            ctx.begin_pass(Default::default());
            let font = FontId::proportional(12.0);
            text.chars().filter(|&c| ctx.fonts_mut(|fonts| fonts.has_glyph(&font, c))).collect()
        };
        let (whole, cut) = (shown_with(FontDefinitions::default()), shown_with(small()));
        let missing: Vec<&char> = whole.difference(&cut).collect();
        assert!(
            whole.len() > 100 && missing.is_empty(),
            "{missing:?}: run assets/fonts/make_fonts.py"
        );
    }
}
