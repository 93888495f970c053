//! The elements that the sections share: models, tables, figures and legends.

use maud::{Markup, html};

use super::{
    Picture,
    ink::{Dash, Ink, Look, Shape},
    text::{NOTHING, Unit},
};
use crate::eval::{
    Part,
    results::{Estimate, Results},
};

/// A model on the page.
#[derive(Clone, Debug)]
pub(super) struct Model<'a> {
    /// The index of the model, which sets its colour.
    pub(super) index: usize,
    /// The label of the model: its name, with more of its path if several models have that name.
    pub(super) label: String,
    /// The results of its evaluation.
    pub(super) results: &'a Results,
}

impl<'a> Model<'a> {
    /// Makes the models of a list of results.
    pub(super) fn all(results: &'a [Results]) -> Vec<Self> {
        let models = results.iter().zip(labels(results)).enumerate();
        models.map(|(index, (results, label))| Self { index, label, results }).collect()
    }

    /// The style of the model's curves.
    pub(super) fn look(&self) -> Look {
        Look::of_model(self.index)
    }
}

/// The labels of the models: their names. Models of the same name get as much of their paths as needed to distinguish
/// them, or a number if the paths are equal.
fn labels(results: &[Results]) -> Vec<String> {
    let name = |index: usize| results[index].model.name.as_str();
    let mut labels = Vec::<String>::with_capacity(results.len());
    for index in 0..results.len() {
        let others =
            (0..results.len()).filter(|&other| other != index && name(other) == name(index));
        let others: Vec<Vec<&str>> = others.map(|other| folders(&results[other])).collect();
        let own = folders(&results[index]);
        let tail = |folders: &[&str], count: usize| {
            folders[folders.len().saturating_sub(count)..].join("/")
        };
        let is_alone =
            |count: &usize| others.iter().all(|other| tail(other, *count) != tail(&own, *count));
        let label = match (1..=own.len()).find(is_alone) {
            _ if others.is_empty() => name(index).to_string(),
            Some(count) if own.last() == Some(&name(index)) => tail(&own, count),
            Some(count) => format!("{} ({})", name(index), tail(&own, count)),
            None => name(index).to_string(),
        };
        let earlier = labels.iter().filter(|other| **other == label).count();
        labels.push(match earlier {
            0 => label,
            earlier => format!("{label} ({})", earlier + 1),
        });
    }
    labels
}

/// The components of a model's path, without the file name that every run's checkpoint has.
fn folders(results: &Results) -> Vec<&str> {
    let path = results.model.path.as_deref().unwrap_or_default();
    let parts = path
        .split(['/', '\\'])
        .filter(|part| !matches!(*part, "" | "." | "checkpoint.safetensors"));
    parts.collect()
}

/// The models that have results for a part, each with them.
pub(super) fn with<'m, 'a, T>(
    models: &'m [Model<'a>],
    part: impl Fn(&'a Results) -> Option<&'a T>,
) -> Vec<(&'m Model<'a>, &'a T)> {
    models.iter().filter_map(|model| part(model.results).map(|part| (model, part))).collect()
}

/// All different items, in the order of their first occurrence.
pub(super) fn union<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for item in items {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

/// A table in a box that scrolls.
pub(super) fn table(caption: &str, head: Markup, body: Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table { caption { (caption) } thead { (head) } tbody { (body) } }
        }
    }
}

/// A table with one column per model; each row has a heading and its cells.
pub(super) fn by_model(
    caption: &str,
    models: &[&Model],
    rows: impl IntoIterator<Item = (Markup, Vec<Markup>)>,
) -> Markup {
    let head = html! {
        tr { td {} @for model in models { th scope="col" { (name_of(model)) } } }
    };
    let body = html! {
        @for (name, cells) in rows {
            tr { th scope="row" { (name) } @for cell in cells { td { (cell) } } }
        }
    };
    table(caption, head, body)
}

/// A row for [`by_model`] with one estimate per model; a dash if a model has none.
pub(super) fn estimates<'a>(
    name: Markup,
    unit: Unit,
    found: impl IntoIterator<Item = Option<&'a Estimate>>,
) -> (Markup, Vec<Markup>) {
    let cell = |found: Option<&Estimate>| match found {
        Some(estimate) => unit.estimate(estimate),
        None => html! { (NOTHING) },
    };
    (name, found.into_iter().map(cell).collect())
}

/// A list of notes about models: a note about all `num_models` models stands once and without names.
pub(super) fn notes<'m, 'a: 'm>(
    lines: impl IntoIterator<Item = (&'m Model<'a>, String)>,
    num_models: usize,
) -> Markup {
    let lines: Vec<(&Model, String)> = lines.into_iter().collect();
    let texts = union(lines.iter().map(|(_, text)| text));
    html! {
        @if !texts.is_empty() {
            ul.note {
                @for text in texts {
                    @let named = lines.iter().filter(|(_, other)| other == text);
                    @let names: Vec<&str> = named.map(|(model, _)| model.label.as_str()).collect();
                    li { @if names.len() < num_models { (names.join(", ")) ": " } (text) }
                }
            }
        }
    }
}

/// The name of a model beside its colour.
pub(super) fn name_of(model: &Model) -> Markup {
    html! { span.model { (key(&model.look())) (model.label) } }
}

/// A small drawing of a style, for a legend.
fn key(look: &Look) -> Markup {
    let ink = look.ink.hex();
    let dashes = match look.dash {
        Dash::Nothing => None,
        Dash::Solid => Some("none".to_string()),
        Dash::Broken(stroke, gap) => Some(format!("{stroke} {gap}")),
    };
    html! {
        svg.key aria-hidden="true" viewBox="0 0 30 12" {
            @if let Some(dashes) = dashes {
                line x1="1" y1="6" x2="29" y2="6" stroke=(ink) stroke-width="2" stroke-dasharray=(dashes) {}
            }
            @match look.shape {
                Shape::Nothing => {},
                Shape::Disc => circle cx="15" cy="6" r="4" fill=(ink) {},
                Shape::Ring => circle cx="15" cy="6" r="4" fill=(Ink::Paper.hex()) stroke=(ink) stroke-width="2" {},
                Shape::Square => rect x="11.4" y="2.4" width="7.2" height="7.2" fill=(ink) {},
                Shape::Triangle => polygon points="15,1 19.5,8.7 10.5,8.7" fill=(ink) {},
                Shape::Diamond => polygon points="15,1 20,6 15,11 10,6" fill=(ink) {},
            }
        }
    }
}

/// A legend: each style with its meaning.
pub(super) fn legend(entries: impl IntoIterator<Item = (Look, String)>) -> Markup {
    html! {
        ul.legend {
            @for (look, text) in entries { li { (key(&look)) (text) } }
        }
    }
}

/// The legend of models; empty if the page has only one model.
pub(super) fn legend_of_models(models: &[&Model]) -> Markup {
    html! {
        @if models.iter().any(|model| model.index > 0) {
            (legend(models.iter().map(|model| (model.look(), model.label.clone()))))
        }
    }
}

/// A figure of panels with the legend above and the caption below; nothing without panels.
pub(super) fn figure(
    panels: impl IntoIterator<Item = Markup>,
    legend: Markup,
    caption: Markup,
) -> Markup {
    let mut panels = panels.into_iter().peekable();
    html! {
        @if panels.peek().is_some() {
            figure {
                (legend)
                div.panels { @for panel in panels { div { (panel) } } }
                figcaption { (caption) }
            }
        }
    }
}

/// The pictures of a part; they belong to the first model.
pub(super) fn pictures_of(part: Part, pictures: &[Picture], models: &[Model]) -> Markup {
    use base64::{Engine, engine::general_purpose::STANDARD};
    html! {
        @for picture in pictures.iter().filter(|picture| picture.part == part) {
            figure {
                img alt=(picture.title)
                    src={ "data:image/png;base64," (STANDARD.encode(&picture.png)) };
                figcaption {
                    strong {
                        (picture.title)
                        @if models.len() > 1 { ", " (models[0].label) }
                        "."
                    }
                    " " (picture.caption)
                }
            }
        }
    }
}
