//! Model cards: the text beside a model file that says what the model is, in the form of Hugging Face. The front matter is
//! YAML, for programs; the sections below it are for people.
//!
//! A card says only what the checkpoint and an evaluation hold. It says of everything else that it is unknown.
//!
//! # Source
//! Mitchell et al., arXiv:1810.03993; <https://huggingface.co/docs/hub/model-cards>.

mod facts;
mod figures;
mod sections;
mod yaml;

use crate::{checkpoint::Checkpoint, eval::results::Results, files::sha256};
use figures::{Figure, figures};
use yaml::Yaml;

/// The licence of a model that nobody has named one for, in the words of Hugging Face.
const UNKNOWN: &str = "unknown";
/// The start of the last line of a card.
const SIGNATURE: &str = "<!-- Written by jempp ";

/// What a card is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The name of the model: that of its file without the extension.
    pub name: &'a str,
    /// The name of its file.
    pub file: &'a str,
    /// The option of the commands that names this model.
    pub option: &'a str,
    /// The model that was packed.
    pub checkpoint: &'a Checkpoint,
    /// The licences that the user may choose from, as Hugging Face writes them (`mit`, `cc-by-sa-3.0`); none if unknown.
    pub licenses: &'a [String],
    /// What the user calls the data, if that is not the official data set.
    pub data_name: Option<&'a str>,
    /// An evaluation of `checkpoint`, if there is one.
    pub results: Option<&'a Results>,
}

/// Writes the card of a model.
pub fn card(subject: &Subject) -> String {
    let figures = figures(subject.checkpoint, subject.results);
    let front = front_matter(subject, &figures);
    let text = format!("---\n{front}---\n\n{}\n\n", sections::all(subject, &figures));
    format!(
        "{text}{SIGNATURE}{}; SHA-256 of the text above: {} -->\n",
        env!("CARGO_PKG_VERSION"),
        sha256(text.as_bytes())
    )
}

/// Whether a card is as jempp wrote it. Cards that a person has edited or written are not.
pub fn is_untouched(card: &str) -> bool {
    let Some(start) = card.rfind(SIGNATURE) else { return false };
    let (text, signature) = card.split_at(start);
    signature.trim_end().ends_with(&format!("{} -->", sha256(text.as_bytes())))
}

/// Whether a text can be the name of a licence on Hugging Face.
pub fn is_license(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    !name.is_empty() && name.len() <= 64 && name.chars().all(is_plain)
}

/// The front matter without its lines of dashes.
fn front_matter(subject: &Subject, figures: &[Figure]) -> String {
    let config = &subject.checkpoint.config;
    let facts = facts::of(config.data.dataset, subject.data_name);
    let licenses: Vec<Yaml> = subject.licenses.iter().map(Yaml::text).collect();
    let license = match licenses.as_slice() {
        [] => Yaml::text(UNKNOWN),
        [one] => one.clone(),
        _ => Yaml::List(licenses),
    };
    let mut metrics: Vec<&str> = Vec::new();
    for figure in figures.iter().filter(|figure| figure.is_listed()) {
        if !metrics.contains(&figure.metric) {
            metrics.push(figure.metric);
        }
    }
    let list = |words: Vec<&str>| Yaml::List(words.into_iter().map(Yaml::text).collect());
    let mut entries = vec![
        ("license", license),
        ("library_name", Yaml::text("jempp")),
        ("tags", list(facts::tags(config))),
        ("datasets", list(facts.hub.into_iter().collect())),
        ("metrics", list(metrics)),
    ];
    if subject.checkpoint.input_shape[1] > 1
        && let Some(tag) = facts::pipeline_tag(config)
    {
        entries.push(("pipeline_tag", Yaml::text(tag)));
    }
    entries.push((
        "model-index",
        Yaml::List(vec![Yaml::Map(vec![
            ("name", Yaml::text(subject.name)),
            ("results", Yaml::List(figures::by_task(subject, figures))),
        ])]),
    ));
    Yaml::Map(entries).to_string()
}
