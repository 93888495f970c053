//! One spelling for names that look the same: an accented letter is stored as one character or as two, by the system that
//! wrote the name.

use std::{borrow::Cow, cmp::Ordering};

/// The name with each accented letter as one character where there is one: Unicode's form NFC.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn composed(name: &str) -> Cow<'_, str> {
    icu_normalizer::ComposingNormalizerBorrowed::new_nfc().normalize(name)
}

/// The name with each accented letter as one character where there is one: Unicode's form NFC, which a browser knows.
#[cfg(target_arch = "wasm32")]
pub(super) fn composed(name: &str) -> Cow<'_, str> {
    match name.is_ascii() {
        true => Cow::Borrowed(name),
        false => Cow::Owned(js_sys::JsString::from(name).normalize("NFC").into()),
    }
}

/// The order of two names by their letters, and then by how the accents in them are stored.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    match a.is_ascii() && b.is_ascii() {
        true => a.cmp(b),
        false => composed(a).cmp(&composed(b)).then_with(|| a.cmp(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_order_however_accents_are_stored() {
        let stored = ["Zebra", "a", "\u{c4}pfel", "\u{c9}clair", "\u{f6}l", "\u{ac00}\u{b098}"];
        let apart = [
            "Zebra",
            "a",
            "A\u{308}pfel",
            "E\u{301}clair",
            "o\u{308}l",
            "\u{1100}\u{1161}\u{1102}\u{1161}",
        ];
        // The order of names whose accents are stored with their letters is that of their bytes.
        assert!(stored.is_sorted());
        assert!(!apart.is_sorted() && apart.is_sorted_by(|a, b| compare(a, b).is_lt()));
        for (a, b) in stored.into_iter().zip(apart) {
            assert_eq!(composed(b), a);
            // No two names are equal, so that their order does not depend on where they stood before.
            assert_eq!(compare(a, b), a.cmp(b));
        }
    }
}
