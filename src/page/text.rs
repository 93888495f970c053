//! Formatting of numbers for people.

use maud::{Markup, html};

/// The text in place of a missing number.
pub(crate) const NOTHING: &str = "–";

/// The format of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A percentage; the value is a fraction of 1.
    Percent,
    /// A fixed number of decimals.
    Decimals(usize),
    /// About three significant digits.
    Digits,
}

impl Unit {
    /// `value` without its unit, with the precision that suits `scale`.
    fn bare(self, value: f64, scale: f64) -> String {
        match self {
            Self::Percent => fixed(100.0 * value, 1),
            Self::Decimals(decimals) => fixed(value, decimals),
            Self::Digits => match scale.abs() {
                large if large >= 100.0 => fixed(value, 0),
                large if large >= 10.0 => fixed(value, 1),
                large if large >= 1.0 => fixed(value, 2),
                _ => fixed(value, 3),
            },
        }
    }

    /// `value` with its unit.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => NOTHING.to_string(),
            Self::Percent => format!("{}\u{a0}%", self.bare(value, value)),
            _ => self.bare(value, value),
        }
    }

    /// A number with its interval: the value, the low and the high end.
    pub(crate) fn estimate(self, estimate: impl Into<[f64; 3]>) -> Markup {
        let [value, low, high] = estimate.into();
        html! {
            (self.text(value))
            @if value.is_finite() && low.is_finite() && high.is_finite() {
                " " span.interval { "[" (self.bare(low, value)) ", " (self.bare(high, value)) "]" }
            }
        }
    }
}

/// `value` with this number of decimals and a typographic minus sign.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NOTHING.to_string();
    }
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().any(|digit| ('1'..='9').contains(&digit)) => {
            format!("\u{2212}{digits}")
        }
        Some(zero) => zero.to_string(),
        None => text,
    }
}

/// `value` in its shortest exact form.
pub(crate) fn plain(value: f64) -> String {
    if value.is_finite() { value.to_string().replace('-', "\u{2212}") } else { NOTHING.to_string() }
}

/// A reason without its final full stop, for use within a sentence.
pub(crate) fn clause(reason: &str) -> &str {
    reason.trim_end().trim_end_matches('.')
}
