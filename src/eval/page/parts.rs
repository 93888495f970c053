//! The elements that the sections share: models and tables by model.

use maud::{Markup, html};

use super::Picture;
use crate::{
    data,
    eval::{
        Part,
        results::{Estimate, Results},
    },
    page::{
        ink::Look,
        parts::{key, legend, picture, table, union},
        text::{NOTHING, Unit},
    },
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

/// The shape (C, H, W) of an item of the models' data, which is the same for all models of a page.
pub(super) fn shape_of(models: &[Model]) -> [usize; 3] {
    models.first().map(|model| model.results.data.shape).unwrap_or_default()
}

/// What an item of the models' data is called, one and several.
pub(super) fn item_words(models: &[Model]) -> [&'static str; 2] {
    data::item_words(shape_of(models))
}

/// The models that have results for a part, each with them.
pub(super) fn with<'m, 'a, T>(
    models: &'m [Model<'a>],
    part: impl Fn(&'a Results) -> Option<&'a T>,
) -> Vec<(&'m Model<'a>, &'a T)> {
    models.iter().filter_map(|model| part(model.results).map(|part| (model, part))).collect()
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

/// The legend of models; empty if the page has only one model.
pub(super) fn legend_of_models(models: &[&Model]) -> Markup {
    html! {
        @if models.iter().any(|model| model.index > 0) {
            (legend(models.iter().map(|model| (model.look(), model.label.clone()))))
        }
    }
}

/// The pictures of a part; they belong to the first model.
pub(super) fn pictures_of(part: Part, pictures: &[Picture], models: &[Model]) -> Markup {
    html! {
        @for one in pictures.iter().filter(|picture| picture.part == part) {
            @let whose = if models.len() > 1 { format!(", {}", models[0].label) } else { String::new() };
            (picture(&one.png, &format!("{}{whose}", one.title), &one.caption))
        }
    }
}
