//! Formatting of names and messages from outside, and short names of rules.

use crate::{
    bundled,
    config::{LaneConfig, SamplerKind, StepSchedule, ViewStart},
    say,
};

/// Removes characters that a label cannot show, and the middle of a text longer than `most` characters. Use
/// this for names from files and for messages from drivers.
pub(super) fn shown(text: &str, most: usize) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    say::shortened(&say::plain(&line.join(" ")), most)
}

/// The name of a model for people: the title of a bundled model, or the file's name.
pub(super) fn model_name(name: &str, most: usize) -> String {
    bundled::title_of(name).map_or_else(|| shown(name, most), str::to_string)
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

/// The names of the lanes of a comparison: the rule of each, and what differs between them.
pub(super) fn lane_names(lanes: &[LaneConfig]) -> Vec<String> {
    if lanes.len() < 2 {
        return lanes.iter().map(lane_name).collect();
    }
    let features: Vec<Vec<String>> = lanes.iter().map(features).collect();
    let differs = |nth: usize| features.iter().any(|other| other[nth] != features[0][nth]);
    let name = |features: &Vec<String>| {
        let (kind, rest) =
            features.split_first().map_or(("", &[][..]), |(kind, rest)| (kind, rest));
        let rest = rest.iter().enumerate();
        let told = rest.filter(|(nth, text)| !text.is_empty() && differs(nth + 1));
        let parts = std::iter::once(kind.to_string()).chain(told.map(|(_, text)| text.clone()));
        parts.collect::<Vec<_>>().join(", ")
    };
    features.iter().map(name).collect()
}

/// The features of a rule, in the same order for every rule, from its kind on. One that the rule lacks is empty.
fn features(lane: &LaneConfig) -> Vec<String> {
    let sampler = &lane.sampler;
    let is_pyld = sampler.kind == SamplerKind::Pyld;
    let clamps = is_pyld || sampler.kind == SamplerKind::ProximalSgld;
    let only = |applies: bool, text: String| if applies { text } else { String::new() };
    let kind = match sampler.kind {
        SamplerKind::Sgld => "SGLD",
        SamplerKind::ProximalSgld => "Proximal SGLD",
        SamplerKind::Pyld => "PYLD",
        SamplerKind::NormalizedGradient => "Normalised gradient",
        SamplerKind::Mala => "MALA",
    };
    let alpha = if is_pyld { sampler.inner_step_size } else { sampler.step_size };
    let start = match lane.start {
        ViewStart::ClassCenters => "from class centres",
        ViewStart::Uniform => "from noise",
        ViewStart::Data => "from data",
        ViewStart::Buffer => "from the replay buffer",
        ViewStart::Image => "from one point",
    };
    let schedule = match sampler.step_schedule {
        StepSchedule::Constant => "constant steps",
        _ => "shrinking steps",
    };
    vec![
        kind.into(),
        only(is_pyld, format!("N = {}", sampler.num_inner_steps)),
        format!("α = {alpha}"),
        format!("σ = {}", sampler.noise_std),
        only(clamps, format!("r = {}", sampler.proximal_radius)),
        schedule.into(),
        start.into(),
        (if lane.is_conditional { "p(x|y)" } else { "p(x)" }).into(),
        format!("split {}", lane.split),
        format!("{:?} norm", lane.norm).to_lowercase(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_named_by_what_differs() {
        let mut lanes = vec![LaneConfig::default(); 2];
        lanes[1].start = ViewStart::Uniform;
        assert_eq!(lane_names(&lanes), ["PYLD, from class centres", "PYLD, from noise"]);
        lanes[1].start = ViewStart::ClassCenters;
        lanes[1].sampler.num_inner_steps += 5;
        let names = lane_names(&lanes);
        assert!(names[0].starts_with("PYLD, N = ") && names[0] != names[1], "{names:?}");
        lanes[0].sampler.kind = SamplerKind::Sgld;
        lanes[1].sampler.kind = SamplerKind::ProximalSgld;
        let names = lane_names(&lanes);
        assert!(names[0].starts_with("SGLD") && names[1].starts_with("Proximal SGLD"));
        assert_eq!(lane_names(&lanes[..1]), [lane_name(&lanes[0])]);
    }

    #[test]
    fn a_name_is_one_line_of_some_length() {
        assert_eq!(shown("T-shirt/top", 32), "T-shirt/top");
        assert_eq!(shown("a\n\tb \u{1b}[31mred", 32), "a b \\u{1b}[31mred");
        assert!(shown(&"x".repeat(10_000), 32).chars().count() <= 35);
    }
}
