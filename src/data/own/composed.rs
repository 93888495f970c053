//! One spelling for names that look the same: an accented letter is stored as one character or as two, by the system that
//! wrote the name.

use std::borrow::Cow;

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
