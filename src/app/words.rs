//! Formatting of names and messages from outside, and short names of rules.

use super::fit::fit;
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

/// The address of a model on the Hugging Face Hub whose file lies at this place in the cache; `None` for other files.
pub(super) fn hub_address(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split(['/', '\\']).collect();
    let at = parts.windows(2).rposition(|pair| *pair == ["models", "huggingface.co"])?;
    match parts[at + 2..] {
        [owner, name, "resolve", revision, ref file @ ..] if !file.is_empty() => {
            let version = if revision == "main" { String::new() } else { format!("@{revision}") };
            let file = if *file == ["model.safetensors"] { Vec::new() } else { file.to_vec() };
            let file: String = file.iter().map(|part| format!("/{part}")).collect();
            Some(format!("hf:{owner}/{name}{version}{file}"))
        }
        _ => None,
    }
}

/// A number with at most four digits that count: `0.03162` for √(2 · 0.0005).
pub(super) fn rounded(value: f64) -> String {
    const MAX_DECIMALS: f64 = 12.0;
    let size = value.abs();
    if size == 0.0 || !(1e-9..1e9).contains(&size) {
        return value.to_string();
    }
    let decimals = fit(3.0 - size.log10().floor(), 0.0, MAX_DECIMALS) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// A short name of a rule, such as `PYLD, N = 5`.
pub(super) fn lane_name(lane: &LaneConfig) -> String {
    let sampler = &lane.sampler;
    let step = rounded(sampler.step_size);
    match sampler.kind {
        SamplerKind::Sgld => format!("SGLD, α = {step}"),
        SamplerKind::ProximalSgld => format!("Proximal SGLD, α = {step}"),
        SamplerKind::Pyld => {
            let inner = rounded(sampler.inner_step_size);
            format!("PYLD, N = {}, α = {inner}", sampler.num_inner_steps)
        }
        SamplerKind::NormalizedGradient => format!("Normalised gradient, α = {step}"),
        SamplerKind::Mala => format!("MALA, α = {step}"),
    }
}

/// The names of the lanes of a comparison: the rule of each, and what differs between them. No two are equal.
pub(super) fn lane_names(lanes: &[LaneConfig]) -> Vec<String> {
    if lanes.len() < 2 {
        return lanes.iter().map(lane_name).collect();
    }
    let names = names_with(lanes, rounded);
    let same = |names: &[String], nth: usize| (0..nth).find(|&first| names[first] == names[nth]);
    if !(1..names.len()).any(|nth| same(&names, nth).is_some()) {
        return names;
    }
    // Values may differ in digits that are not shown.
    let names = names_with(lanes, |value| value.to_string());
    let told = |nth: usize| match same(&names, nth) {
        Some(first) => format!("{}, same as lane {}", names[nth], first + 1),
        None => names[nth].clone(),
    };
    (0..names.len()).map(told).collect()
}

fn names_with(lanes: &[LaneConfig], number: fn(f64) -> String) -> Vec<String> {
    let features: Vec<Vec<String>> = lanes.iter().map(|lane| features(lane, number)).collect();
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
fn features(lane: &LaneConfig, number: fn(f64) -> String) -> Vec<String> {
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
    let decay = |shape: &str| format!("{shape} decay to {} α", number(sampler.final_step_factor));
    let schedule = match sampler.step_schedule {
        StepSchedule::Constant => "constant α".into(),
        StepSchedule::Linear => decay("linear"),
        StepSchedule::Cosine => decay("cosine"),
    };
    vec![
        kind.into(),
        only(is_pyld, format!("N = {}", sampler.num_inner_steps)),
        format!("α = {}", number(alpha)),
        format!("σ = {}", number(sampler.noise_std)),
        only(clamps, format!("r = {}", number(sampler.proximal_radius))),
        schedule,
        only(sampler.denoise_step > 0.0, format!("denoised by {}", number(sampler.denoise_step))),
        start.into(),
        (if lane.is_conditional { "p(x|y)" } else { "p(x)" }).into(),
        format!("split {}", lane.split),
        format!("{:?} norm", lane.norm).to_lowercase(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Norm;

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
    fn no_two_lanes_have_the_same_name() {
        let mut lanes = vec![LaneConfig::default(); 3];
        let same = ["PYLD", "PYLD, same as lane 1", "PYLD, same as lane 1"];
        assert_eq!(lane_names(&lanes), same);
        // With constant steps, the factor at the end has no meaning.
        lanes[2].sampler.final_step_factor = 0.5;
        assert_eq!(lane_names(&lanes), same);
        lanes[1].sampler.step_schedule = StepSchedule::Linear;
        lanes[2].sampler.step_schedule = StepSchedule::Cosine;
        let decays =
            ["PYLD, constant α", "PYLD, linear decay to 0.1 α", "PYLD, cosine decay to 0.5 α"];
        assert_eq!(lane_names(&lanes), decays);
        lanes[2].sampler.step_schedule = StepSchedule::Linear;
        assert_eq!(lane_names(&lanes[1..]), [decays[1], "PYLD, linear decay to 0.5 α"]);
        let changes: [fn(&mut LaneConfig); 5] = [
            |lane| lane.sampler.denoise_step = 2.0,
            |lane| lane.sampler.proximal_radius = 2.0,
            |lane| lane.is_conditional = true,
            |lane| lane.split = 2,
            |lane| lane.norm = Norm::Frozen,
        ];
        for change in changes {
            let mut lanes = vec![LaneConfig::default(); 2];
            change(&mut lanes[1]);
            let names = lane_names(&lanes);
            assert!(names[0] != names[1] && !names[1].contains("same as"), "{names:?}");
        }
    }

    #[test]
    fn a_model_of_the_hub_is_known_by_its_place_in_the_cache() {
        let cache = "/home/ada/.cache/jempp/models/huggingface.co";
        let address = |file: &str| hub_address(&format!("{cache}/{file}"));
        let said = |file: &str| address(file).unwrap_or_default();
        assert_eq!(said("ada/letters/resolve/main/model.safetensors"), "hf:ada/letters");
        assert_eq!(said("ada/letters/resolve/v1/model.safetensors"), "hf:ada/letters@v1");
        assert_eq!(
            said("ada/letters/resolve/main/small/a.safetensors"),
            "hf:ada/letters/small/a.safetensors"
        );
        let windows =
            r"C:\Users\ada\jempp\models\huggingface.co\ada\b\resolve\main\model.safetensors";
        assert_eq!(hub_address(windows).as_deref(), Some("hf:ada/b"));
        for other in ["fashion", "/home/ada/models/mine.safetensors", "a/models/huggingface.co/b"] {
            assert_eq!(hub_address(other), None, "{other}");
        }
        assert_eq!(address("ada/letters/resolve/main"), None);
    }

    #[test]
    fn a_number_in_a_name_has_at_most_four_digits() {
        let shown =
            [0.0, 1.0, 0.2, 0.000125, 0.03162277660168379, 5.25, 12345.678, -0.5, 1e-12, 100.0];
        let shown = shown.map(rounded);
        let expected = ["0", "1", "0.2", "0.000125", "0.03162", "5.25", "12346", "-0.5"];
        assert_eq!(shown[..8], expected);
        assert_eq!((shown[8].as_str(), shown[9].as_str()), ("0.000000000001", "100"));
        let mut lanes = vec![LaneConfig::default(); 2];
        lanes[1].sampler.noise_std = 0.03162277660168379;
        assert_eq!(lane_names(&lanes)[1], "PYLD, σ = 0.03162");
        // What differs is told, however little it is.
        lanes[0].sampler.noise_std = 0.03162277660168378;
        let names = lane_names(&lanes);
        assert!(
            names[0] != names[1] && names[0].starts_with("PYLD, σ = 0.0316227766"),
            "{names:?}"
        );
    }

    #[test]
    fn a_name_is_one_line_of_some_length() {
        assert_eq!(shown("T-shirt/top", 32), "T-shirt/top");
        assert_eq!(shown("a\n\tb \u{1b}[31mred", 32), "a b \\u{1b}[31mred");
        assert!(shown(&"x".repeat(10_000), 32).chars().count() <= 35);
    }
}
