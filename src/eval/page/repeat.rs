//! The section that says how to repeat the evaluation.

use maud::{Markup, html};
use serde::Serialize;

use super::parts::{Model, by_model, name_of};
use crate::page::{
    parts::union,
    text::{NOTHING, fixed},
};
use crate::{
    config::{EvalConfig, SamplerConfig},
    eval::results::Results,
};

/// The sections of the configuration that an evaluation reads.
#[derive(Serialize)]
struct Read<'a> {
    eval: &'a EvalConfig,
    sampler: &'a SamplerConfig,
}

/// The section with commands, configurations, seeds and times.
pub(super) fn section(models: &[Model]) -> Markup {
    html! {
        p {
            "Everything drawn at random comes from the seed. The same file, data, seed, version and device should give the same "
            "numbers; another device may differ in the last digits."
        }
        @for model in models {
            @if models.len() > 1 { h3 { (name_of(model)) } }
            pre { code { (model.results.command) } }
            p { "Seed " (model.results.seed) ", jempp " (model.results.jempp) ", " (model.results.device) "." }
            details {
                summary { "Configuration of the evaluation and of the sampler" }
                pre { code { (configuration(model.results)) } }
            }
        }
        (seconds(models))
    }
}

fn configuration(results: &Results) -> String {
    let read = Read { eval: &results.config.eval, sampler: &results.config.sampler };
    toml::to_string(&read).unwrap_or_else(|error| format!("# cannot be written: {error}"))
}

fn seconds(models: &[Model]) -> Markup {
    let all: Vec<&Model> = models.iter().collect();
    let parts =
        union(models.iter().flat_map(|model| model.results.seconds.iter().map(|(part, _)| part)));
    let of = |model: &Model, part: &str| {
        let mut seconds = model.results.seconds.iter();
        seconds.find(|(name, _)| name == part).map(|(_, seconds)| *seconds)
    };
    let rows = parts.iter().map(|part| {
        let cells = all.iter().map(|model| match of(model, part) {
            Some(seconds) => html! { (fixed(seconds, 1)) },
            None => html! { (NOTHING) },
        });
        (html! { (part) }, cells.collect())
    });
    html! {
        @if !parts.is_empty() { (by_model("Seconds that each part took", &all, rows)) }
    }
}
