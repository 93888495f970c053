//! Numbers as a person reads them.

use maud::{Markup, html};

use crate::eval::results::Estimate;

/// What stands for a number that is not there.
pub(super) const NOTHING: &str = "–";

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A fraction of 1 as a percentage.
    Percent,
    /// With so many decimals.
    Decimals(usize),
    /// With about three digits.
    Digits,
}

impl Unit {
    /// `value` without a sign of its unit, as precise as `scale` is written.
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
    pub(super) fn text(self, value: f64) -> String {
        match self {
            _ if !value.is_finite() => NOTHING.to_string(),
            Self::Percent => format!("{}\u{a0}%", self.bare(value, value)),
            _ => self.bare(value, value),
        }
    }

    /// A number with its interval.
    pub(super) fn estimate(self, estimate: &Estimate) -> Markup {
        let Estimate { value, low, high } = *estimate;
        html! {
            (self.text(value))
            @if value.is_finite() && low.is_finite() && high.is_finite() {
                " " span.interval { "[" (self.bare(low, value)) ", " (self.bare(high, value)) "]" }
            }
        }
    }
}

/// `value` with so many decimals and a minus sign that is one.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
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

/// `value` as short as it is exact.
pub(super) fn plain(value: f64) -> String {
    if value.is_finite() { value.to_string().replace('-', "\u{2212}") } else { NOTHING.to_string() }
}

/// A reason given elsewhere, to be put in a sentence.
pub(super) fn clause(reason: &str) -> &str {
    reason.trim_end().trim_end_matches('.')
}

/// A count with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `number` of what `one` names, with its plural.
pub(super) fn counted(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {one}{plural}", count(number as u64))
}
