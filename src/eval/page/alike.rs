//! Whether the models of a page were measured alike: on the same test items, and in the same way.

use maud::{Markup, html};

use super::parts::{Model, item_words};
use crate::{
    config::SECTIONS,
    eval::results::{Attack, AttackKind, Defence, Results},
    page::{parts::union, text::NOTHING},
};

/// What is known about the test items of the models.
pub(super) fn items(models: &[Model]) -> String {
    let [_, items] = item_words(models);
    let data = || models.iter().map(|model| &model.results.data);
    let sums = union(data().filter_map(|data| data.test_sha256.as_ref()));
    let are_other = sums.len() > 1 || union(data().map(|data| data.num_test)).len() > 1;
    let are_known = data().all(|data| data.test_sha256.is_some());
    match (are_other, are_known) {
        (true, _) => format!(
            "The models were not measured on the same test {items}: their numbers cannot be compared directly."
        ),
        (false, true) => format!(
            "The models were measured on the same test {items}, so two of them can differ by more than chance although \
             their intervals overlap."
        ),
        (false, false) => format!(
            "Whether these are the same test {items} is unknown, because results of earlier versions do not say which they \
             are. If they are not, the numbers cannot be compared directly."
        ),
    }
}

/// A warning about what was measured with different settings; nothing if the settings are the same.
pub(super) fn warning(models: &[Model]) -> Markup {
    let found = differences(models);
    html! {
        @if !found.is_empty() {
            p.note {
                "Measured differently: " (found.join(", ")) ". Numbers that depend on this do not compare the models alone."
            }
        }
    }
}

/// The settings that differ between the models whose numbers depend on them, each with its value for every model.
fn differences(models: &[Model]) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |name: &str, of: &dyn Fn(&Results) -> Option<String>| {
        let values: Vec<Option<String>> = models.iter().map(|model| of(model.results)).collect();
        if union(values.iter().flatten()).len() > 1 {
            let shown = values.iter().map(|value| value.as_deref().unwrap_or(NOTHING));
            found.push(format!("{name} ({})", shown.collect::<Vec<_>>().join("; ")));
        }
    };
    compare("seed", &|r| {
        let is_random = r.ood.is_some() || r.attack.is_some() || has_samples(r);
        is_random.then(|| r.seed.to_string())
    });
    compare("attacks", &|r| r.attack.as_ref().map(Attack::names));
    compare("judge", &|r| {
        let judge = &r.samples.as_ref()?.judge;
        Some(format!("{}, SHA-256 {:.12}…", judge.name, judge.sha256))
    });
    compare("network of FID", &|r| {
        let network = &r.fid.as_ref()?.network;
        Some(format!("{}, SHA-256 {:.12}…", network.name, network.sha256))
    });
    for (section, fields) in SECTIONS.iter().filter(|(name, _)| ["eval", "sampler"].contains(name))
    {
        for field in *fields {
            compare(&format!("{section}.{}", field.name), &|r| {
                depend_on(r, section, field.name).then(|| value(r, section, field.name))?
            });
        }
    }
    found
}

/// The value of a setting as text.
fn value(results: &Results, section: &str, name: &str) -> Option<String> {
    let config = serde_json::to_value(&results.config).ok()?;
    let value = config.get(section)?.get(name)?;
    Some(value.as_str().map_or_else(|| value.to_string(), ToString::to_string))
}

fn has_samples(results: &Results) -> bool {
    results.samples.is_some() || results.fid.is_some()
}

/// Whether any number of these results depends on a setting. `eval.attack` is not one of those, because the attacks that ran
/// have a line of their own; nor is the number of resamples, because a bootstrap interval hardly depends on it.
fn depend_on(results: &Results, section: &str, name: &str) -> bool {
    let attack = results.attack.as_ref();
    let has_run = |is_it: &dyn Fn(AttackKind) -> bool| {
        attack.is_some_and(|attack| attack.kinds().into_iter().any(is_it))
    };
    let is_refined = attack
        .is_some_and(|attack| attack.curves.iter().any(|curve| curve.defence != Defence::None));
    match (section, name) {
        ("eval", "attack" | "num_resamples") | ("sampler", "num_steps") => false,
        ("eval", "num_ood") => results.ood.is_some(),
        ("eval", "num_samples" | "sample_steps") => has_samples(results),
        ("eval", "num_neighbors") => results.samples.is_some(),
        ("eval", "fid_reference") => results.fid.is_some(),
        ("eval", "attack_restarts") => has_run(&|kind| kind == AttackKind::Pgd),
        ("eval", "apgd_restarts") => has_run(&|kind| kind != AttackKind::Pgd),
        (
            "eval",
            "refine_steps"
            | "refine_noise_std"
            | "refine_draws"
            | "attack_draws"
            | "num_attacked_refined"
            | "attack_through_sampler",
        ) => is_refined,
        ("eval", _) => attack.is_some(),
        ("sampler", _) => {
            let is_used = results.config.sampler.check_used(&format!("sampler.{name}")).is_ok();
            // Refinement starts at the image and has its own noise.
            let refines = is_refined && !matches!(name, "start" | "noise_std");
            is_used && (has_samples(results) || refines)
        }
        _ => false,
    }
}
