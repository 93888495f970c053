//! Why a configuration is refused: the error, and its words for keys and values that were written wrongly.

use serde::Deserialize;
use toml::{Table, Value};

use super::{
    RunConfig, SECTIONS,
    fields::{Field, MAX_SEED},
    words::{MAX_ECHO, meant, nearest_key, shortened},
};

/// Why a configuration is refused, and what to write instead.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// A key that does not exist.
    #[error(
        "unknown key `{}`{}",
        shortened(.key, MAX_ECHO),
        meant(.nearest.as_deref()).trim_end_matches('.')
    )]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The valid key closest to it, if one is close.
        nearest: Option<String>,
    },
    /// A number outside its range.
    #[error("`{key}` = {value} is out of range; it must lie in [{low}, {high}]")]
    OutOfRange {
        /// The full key, as in `sampler.step_size`.
        key: String,
        /// The value that was given.
        value: f64,
        /// The smallest allowed value.
        low: f64,
        /// The largest allowed value.
        high: f64,
    },
    /// A text or a list that is too long.
    #[error("`{key}` is too long: at most {most} characters of a text or numbers of a list")]
    TooLong {
        /// The full key, as in `sampler.step_size`.
        key: String,
        /// The largest allowed number of characters or numbers.
        most: usize,
    },
    /// A value of the wrong type, or a word that is not one of the choices.
    #[error("{0}")]
    Invalid(String),
    /// A preset name that does not exist.
    #[error(
        "unknown preset `{}`{} There are: {all}",
        shortened(.name, MAX_ECHO),
        meant(.nearest.as_deref())
    )]
    UnknownPreset {
        /// The name as written.
        name: String,
        /// The name of the closest preset, if one is close.
        nearest: Option<String>,
        /// The names of all presets.
        all: String,
    },
}

#[cfg(feature = "gui")]
impl ConfigError {
    /// The unknown key, if that is the error, with the key that was meant if it is a mistyped one.
    pub(super) fn key(&self) -> Option<String> {
        let Self::UnknownKey { key, nearest } = self else { return None };
        let is_alike = |nearest: &&String| {
            let num_alike = key.chars().zip(nearest.chars()).take_while(|(a, b)| a == b).count();
            2 * num_alike > key.chars().count()
        };
        let meant = match nearest.as_ref().filter(is_alike) {
            Some(nearest) => format!(" (did you mean `{nearest}`?)"),
            None => String::new(),
        };
        Some(format!("`{}`{meant}", shortened(key, MAX_ECHO)))
    }
}

/// The error for an unknown key, or for a section in the place of a key.
pub(super) fn unknown_key(key: &str) -> ConfigError {
    if let Some((section, fields)) = SECTIONS.iter().find(|(section, _)| *section == key) {
        let example = fields.first().map_or("", |field| field.name);
        return ConfigError::Invalid(format!(
            "`{section}` is a section, not a key; set its keys, as in {section}.{example}"
        ));
    }
    let nearest = nearest_key(key, &all_keys());
    if nearest.is_some() {
        return ConfigError::UnknownKey { key: key.to_string(), nearest };
    }
    let own = key.split_once('.').map_or(key, |(section, _)| section);
    let known = SECTIONS.iter().find(|(section, _)| *section == own);
    let (what, names): (String, Vec<&str>) = match known {
        Some((section, fields)) => {
            (format!("{section} has the keys"), fields.iter().map(|field| field.name).collect())
        }
        None => ("the sections are".into(), SECTIONS.iter().map(|(name, _)| *name).collect()),
    };
    let key = shortened(key, MAX_ECHO);
    ConfigError::Invalid(format!("unknown key `{key}`; {what} {}", names.join(", ")))
}

/// The error for a value of the wrong type; `known` is a value of the right type.
pub(super) fn wrong_type(
    key: &str,
    known: &Value,
    value: &Value,
    error: &toml::de::Error,
) -> ConfigError {
    let range = field_of(key).and_then(|field| field.range);
    // Only an unknown word makes serde list the choices of a key.
    let of_word = match (known, value) {
        (_, Value::String(_)) => None,
        (Value::String(_), _) => read_alone(key, Value::String("?".into())).err(),
        _ => None,
    };
    let error = of_word.as_ref().unwrap_or(error);
    let must_be = must_be(known, range, error, "[1, 2]");
    let value = shortened(&value.to_string().replace('\n', " "), MAX_ECHO);
    ConfigError::Invalid(format!("`{key}` cannot be {value}: it must be {must_be}"))
}

/// What a value must be that has the type of `known`, in words; `list` is an example of a list.
pub(super) fn must_be(
    known: &Value,
    range: Option<(f64, f64)>,
    error: &toml::de::Error,
    list: &str,
) -> String {
    let range = range.map_or(String::new(), |(low, high)| format!(" from {low} to {high}"));
    match known {
        Value::Integer(_) => {
            let all = format!(" from 0 to {MAX_SEED}");
            format!("a whole number{}", if range.is_empty() { &all } else { &range })
        }
        Value::Float(_) => format!("a number{range}"),
        Value::Boolean(_) => "true or false".into(),
        Value::Array(_) => format!("a list of numbers, as in {list}"),
        // For a word that is not one of the choices, the message of serde lists the choices.
        _ => match error.message().split_once("expected ") {
            Some((_, "a string")) | None => "a text".into(),
            Some((_, choices)) => choices.replace('`', ""),
        },
    }
}

/// Reads a configuration with this key alone.
///
/// # Errors
/// The value has another type than the key, or is not one of its choices.
pub(super) fn read_alone(key: &str, value: Value) -> Result<RunConfig, toml::de::Error> {
    let alone = match key.split_once('.') {
        None => Table::from_iter([(key.to_string(), value)]),
        Some((section, name)) => {
            let section_alone = Table::from_iter([(name.to_string(), value)]);
            Table::from_iter([(section.to_string(), Value::Table(section_alone))])
        }
    };
    RunConfig::deserialize(alone)
}

fn field_of(key: &str) -> Option<&'static Field> {
    let (section, name) = key.split_once('.')?;
    let (_, fields) = SECTIONS.iter().find(|(known, _)| *known == section)?;
    fields.iter().find(|field| field.name == name)
}

/// The error of the TOML parser in one line, with its line number.
pub(crate) fn syntax(text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let reason = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    ConfigError::Invalid(format!(
        "not valid TOML at line {line}: {}",
        shortened(&reason, 2 * MAX_ECHO)
    ))
}

/// Every key of a configuration with its section, as in `sampler.step_size`.
pub(super) fn all_keys() -> Vec<String> {
    let sections = SECTIONS.iter();
    let keys = sections.flat_map(|(section, fields)| {
        fields.iter().map(move |field| format!("{section}.{}", field.name))
    });
    std::iter::once("seed".to_string()).chain(keys).collect()
}
