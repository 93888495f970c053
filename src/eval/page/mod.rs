//! The report of an evaluation: a single HTML page that needs no other file.

mod alike;
mod attack;
mod calibration;
mod classification;
mod fid;
mod ood;
mod overview;
mod parts;
mod repeat;
mod samples;

use maud::{Markup, PreEscaped, html};

use super::{Part, Picture, results::Results};
use crate::page::{self, Section, parts::union, text::clause};
use parts::{Model, pictures_of};

/// Returns the report as HTML. The first of `results` is the evaluated model; the others are compared with it.
/// `pictures` belong to the first.
pub fn page(results: &[Results], pictures: &[Picture]) -> String {
    let models = Model::all(results);
    let title = match results.first() {
        Some(first) => format!("Evaluation of {}", first.model.name),
        None => "Evaluation".to_string(),
    };
    let of = |id: &str, title: &str, body| Section { id: id.into(), title: title.into(), body };
    let summary = html! { (overview::summary(&models)) (overview::facts(&models)) };
    let mut sections = vec![of("summary", "Summary", summary)];
    sections.extend(Part::ALL.into_iter().filter_map(|part| {
        section(part, &models, pictures).map(|body| of(part.name(), title_of(part), body))
    }));
    sections.push(of("repeat", "How to repeat it", repeat::section(&models)));
    page::page(&title, &overview::subtitle(&models), &sections)
}

fn title_of(part: Part) -> &'static str {
    match part {
        Part::Accuracy => "Classification",
        Part::Calibration => "Calibration",
        Part::Ood => "Out-of-distribution detection",
        Part::Attack => "Attacks",
        Part::Samples => "Samples",
    }
}

fn has(results: &Results, part: Part) -> bool {
    match part {
        Part::Accuracy => results.accuracy.is_some(),
        Part::Calibration => results.calibration.is_some(),
        Part::Ood => results.ood.is_some(),
        Part::Attack => results.attack.is_some(),
        Part::Samples => results.samples.is_some() || results.fid.is_some(),
    }
}

/// The section of a part for all models; `None` if the part was not requested for any model.
fn section(part: Part, models: &[Model], pictures: &[Picture]) -> Option<Markup> {
    let is_there = models.iter().any(|model| has(model.results, part));
    let missing: Vec<Markup> = models
        .iter()
        .filter(|model| !has(model.results, part))
        .filter_map(|model| {
            let mut left_out = model.results.left_out.iter();
            let reason = left_out.find(|(name, _)| name == part.name()).map(|(_, reason)| reason);
            // A note about a part that was not requested is only useful if another model has that part.
            (is_there || reason.is_some()).then(|| {
                let reason = reason.map_or("not asked for", |reason| clause(reason));
                html! { p.note { "Not measured for " (model.label) ": " (reason) "." } }
            })
        })
        .collect();
    (is_there || !missing.is_empty()).then(|| {
        html! {
            @if is_there {
                @match part {
                    Part::Accuracy => (classification::section(models)),
                    Part::Calibration => (calibration::section(models)),
                    Part::Ood => (ood::section(models)),
                    Part::Attack => (attack::section(models)),
                    Part::Samples => (samples::section(models)),
                }
            }
            @for note in union(missing.into_iter().map(|note| note.into_string())) { (PreEscaped(note)) }
            (pictures_of(part, pictures, models))
        }
    })
}
