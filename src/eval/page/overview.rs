//! The summary: what was evaluated, and the main numbers.

use maud::{Markup, html};

use super::{
    alike, attack,
    parts::{Model, by_model, estimates, item_words, name_of},
};
use crate::counts::{counted, grouped};
use crate::eval::results::{BallNorm, Defence, Results, Score};
use crate::page::{
    parts::union,
    text::{NOTHING, Unit},
};

/// One sentence about what the page shows.
pub(super) fn subtitle(models: &[Model]) -> Markup {
    let Some((first, others)) = models.split_first() else {
        return html! { p { "Nothing was evaluated." } };
    };
    let data = &first.results.data;
    let [item, items] = item_words(models).map(|word| format!("test {word}"));
    html! {
        p.lead {
            (data.dataset) ", " (counted(data.num_test, &item, &items)) ", "
            (counted(first.results.model.num_weights, "weight", "weights")) ", "
            (counted(first.results.model.num_steps as usize, "training step", "training steps")) "."
            @if !others.is_empty() {
                " Compared with "
                @for (index, other) in others.iter().enumerate() {
                    @if index > 0 { @if index + 1 == others.len() { " and " } @else { ", " } }
                    (other.label)
                }
                "."
            }
        }
    }
}

/// A table of the main numbers of every model.
pub(super) fn summary(models: &[Model]) -> Markup {
    let all: Vec<&Model> = models.iter().collect();
    let mut rows = Vec::new();
    let mut row = |name: String, unit, find: &dyn Fn(&Results) -> Option<&_>| {
        if all.iter().any(|model| find(model.results).is_some()) {
            rows.push(estimates(
                html! { (name) },
                unit,
                all.iter().map(|model| find(model.results)),
            ));
        }
    };
    row("Accuracy".into(), Unit::Percent, &|r| r.accuracy.as_ref().map(|part| &part.accuracy));
    row("Expected calibration error, as trained".into(), Unit::Percent, &|r| {
        r.calibration.as_ref().map(|part| &part.plain.expected)
    });
    row("Expected calibration error, calibrated after training".into(), Unit::Percent, &|r| {
        let calibrated = r.calibration.as_ref()?.calibrated.as_ref()?;
        Some(&calibrated.errors.expected)
    });
    row("Negative log likelihood, nats".into(), Unit::Decimals(3), &|r| {
        r.calibration.as_ref().map(|part| &part.plain.nll)
    });
    let sets = models.iter().filter_map(|model| model.results.ood.as_ref());
    for set in union(sets.flat_map(|ood| ood.sets.iter().map(|set| set.name.as_str()))) {
        row(format!("AUROC of log p(x), {set}"), Unit::Decimals(3), &|r| {
            let set = r.ood.as_ref()?.sets.iter().find(|other| other.name == set)?;
            let found = set.scores.iter().find(|found| found.score == Score::LogPX)?;
            Some(&found.auroc)
        });
    }
    // Accuracies under other attacks stand in rows of their own.
    let attacks = union(models.iter().filter_map(|model| model.results.attack_name()));
    for &(norm, _) in BallNorm::ALL {
        for radius in attack::shown_radii(models, norm) {
            let ball = attack::ball(models, norm, radius);
            for defence in [Defence::None, Defence::RefinedWorst] {
                let refined = defence.of_figure().unwrap_or_default();
                for name in &attacks {
                    row(format!("Accuracy under {name}, {ball}{refined}"), Unit::Percent, &|r| {
                        let is_it = r.attack_name().as_ref() == Some(name);
                        let attack = r.attack.as_ref().filter(|_| is_it)?;
                        attack::accuracy_at(attack, norm, defence, radius)
                    });
                }
            }
        }
    }
    let sets = models.iter().filter_map(|model| model.results.samples.as_ref());
    let names = sets.flat_map(|samples| {
        samples.sets.iter().enumerate().map(|(index, set)| (set.name.as_str(), index == 0))
    });
    // The values of real test images stand below the values to compare with them.
    let (floors, others): (Vec<_>, Vec<_>) = union(names).into_iter().partition(|name| name.1);
    for (set, is_floor) in others.into_iter().chain(floors) {
        let floor = if is_floor { ", the floor" } else { "" };
        row(format!("Fréchet distance, {set}{floor}"), Unit::Digits, &|r| {
            let mut sets = r.samples.as_ref()?.sets.iter();
            Some(&sets.find(|other| other.name == set)?.frechet)
        });
    }
    let sets = models.iter().filter_map(|model| model.results.fid.as_ref());
    for set in union(sets.flat_map(|fid| fid.sets.iter().skip(1).map(|set| set.name.as_str()))) {
        let of = |model: &&Model| {
            let mut sets = model.results.fid.iter().flat_map(|fid| &fid.sets);
            let found = sets.find(|other| other.name == set);
            let text = found.map_or_else(
                || NOTHING.to_string(),
                |found| {
                    format!(
                        "{} with {}",
                        Unit::Digits.text(found.fid),
                        counted(found.count, "image", "images")
                    )
                },
            );
            html! { (text) }
        };
        rows.push((html! { "FID, " (set) }, all.iter().map(of).collect()));
    }
    html! {
        @if rows.is_empty() {
            p { "No part was measured." }
        } @else {
            (by_model("The main numbers, with 95\u{a0}% intervals in brackets", &all, rows))
            p.note {
                "An interval says how far the number would move with other " (item_words(models)[1]) " of the same kind; it does not say how "
                "far it would move with another training run."
                @if models.len() > 1 { " " (alike::items(models)) }
            }
            (alike::warning(models))
        }
    }
}

/// A table of the models, their data and the device.
pub(super) fn facts(models: &[Model]) -> Markup {
    type Fact = (&'static str, fn(&Results) -> Markup);
    let facts: [Fact; 11] = [
        ("Data set", |r| html! { (r.data.dataset) }),
        ("Items", |r| {
            let subset = if r.data.is_embedded { "the embedded subset" } else { "the full set" };
            html! { (grouped(r.data.num_test)) " test, " (grouped(r.data.num_train)) " training to compare with; " (subset) }
        }),
        ("Shape of an item, classes", |r| {
            let [c, h, w] = r.data.shape;
            html! { (c) " × " (h) " × " (w) ", " (r.data.class_names.len()) }
        }),
        ("Network", |r| html! { (r.config.model.arch) }),
        ("Weights", |r| html! { (grouped(r.model.num_weights)) }),
        ("Trained on", |r| match r.model.num_train {
            Some(count) => html! { (counted(count, "item", "items")) },
            None => html! { "unknown" },
        }),
        ("Training steps", |r| html! { (grouped(r.model.num_steps as usize)) }),
        ("SHA-256 of the file", |r| html! { code.hash { (r.model.sha256) } }),
        ("Device", |r| html! { (r.device) }),
        ("Seed", |r| html! { (r.seed) }),
        ("jempp", |r| html! { (r.jempp) }),
    ];
    html! {
        div.scroll tabindex="0" role="region" aria-label="What was evaluated" {
            table.facts {
                caption { "What was evaluated" }
                @if models.len() > 1 {
                    thead { tr { td {} @for model in models { th scope="col" { (name_of(model)) } } } }
                }
                tbody {
                    @for (name, fact) in facts {
                        tr { th scope="row" { (name) } @for model in models { td { (fact(model.results)) } } }
                    }
                }
            }
        }
    }
}
