//! Formatting of names and messages from outside, and short names of rules.

use crate::{
    config::{LaneConfig, SamplerKind},
    say,
};

/// Removes characters that a label cannot show, and the middle of a text longer than `most` characters. Use
/// this for names from files and for messages from drivers.
pub(super) fn shown(text: &str, most: usize) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    say::shortened(&say::plain(&line.join(" ")), most)
}

/// A short name of a rule, such as `PYLD, N = 5`.
pub(super) fn lane_name(lane: &LaneConfig) -> String {
    let sampler = &lane.sampler;
    match sampler.kind {
        SamplerKind::Sgld => format!("SGLD, α = {}", sampler.step_size),
        SamplerKind::ProximalSgld => format!("Proximal SGLD, α = {}", sampler.step_size),
        SamplerKind::Pyld => {
            format!("PYLD, N = {}, α = {}", sampler.num_inner_steps, sampler.inner_step_size)
        }
        SamplerKind::NormalizedGradient => {
            format!("Normalised gradient, α = {}", sampler.step_size)
        }
        SamplerKind::Mala => format!("MALA, α = {}", sampler.step_size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_some_length() {
        assert_eq!(shown("T-shirt/top", 32), "T-shirt/top");
        assert_eq!(shown("a\n\tb \u{1b}[31mred", 32), "a b \\u{1b}[31mred");
        assert!(shown(&"x".repeat(10_000), 32).chars().count() <= 35);
    }
}
