//! Reads the state of the viewer from a link, key by key: one bad key does not spoil the others.

use serde::Deserialize;
use toml::Value;

use super::{
    ConfigError, Field, LabConfig, LabState, LaneConfig, MAX_LANES, MAX_RULES, SamplerConfig,
    ViewConfig, ViewState, default_rule,
    error::must_be,
    nearest,
    view::{flat, lane_prefix, rule_prefix, table_of},
    words::{MAX_ECHO, shortened},
};

/// The largest number of characters of the text about what was left out of a link.
const MAX_PROBLEMS: usize = 400;

impl ViewState {
    /// Reads the state from a query; `?` or a whole address may come before it.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type or out of range.
    pub fn from_query(query: &str) -> Result<Self, ConfigError> {
        let (state, mut problems) = read(query);
        if problems.is_empty() { Ok(state) } else { Err(problems.remove(0)) }
    }

    /// Reads what can be used of a link that other programs may have changed: unknown keys and bad values are left out.
    /// Returns beside the state what was left out, in words.
    pub fn from_link(query: &str) -> (Self, Option<String>) {
        let (state, problems) = read(query);
        let (unknown, bad): (Vec<_>, Vec<_>) =
            problems.iter().partition(|error| matches!(error, ConfigError::UnknownKey { .. }));
        let keys: Vec<String> = unknown.iter().filter_map(|error| error.key()).collect();
        let mut parts: Vec<String> = bad.iter().map(ToString::to_string).collect();
        if !keys.is_empty() {
            let what = if keys.len() == 1 { "an unknown key" } else { "unknown keys" };
            parts.push(format!("{what}: {}", keys.join(", ")));
        }
        let text = format!("Ignored in the link: {}", parts.join("; "));
        (state, (!parts.is_empty()).then(|| shortened(&text, MAX_PROBLEMS)))
    }
}

/// Reads a query, which `?` or a whole address may precede. Returns the state, and what could not be used.
fn read(query: &str) -> (ViewState, Vec<ConfigError>) {
    let query = query.rsplit_once('?').map_or(query, |(_, query)| query);
    let mut draft = Draft {
        view: ViewConfig::default(),
        lab: LabConfig::default(),
        lanes: Vec::new(),
        rules: vec![default_rule()],
    };
    let problems = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(key, text)| draft.set(&key, &text).err())
        .collect();
    let Draft { view, lab, lanes, rules } = draft;
    (ViewState { view, lanes, lab: LabState { config: lab, rules } }, problems)
}

/// The state as far as it has been read. Every value in it is valid.
struct Draft {
    view: ViewConfig,
    lab: LabConfig,
    lanes: Vec<LaneConfig>,
    rules: Vec<LaneConfig>,
}

impl Draft {
    /// Sets the value of a key, or leaves everything as it is.
    fn set(&mut self, key: &str, text: &str) -> Result<(), ConfigError> {
        if let Some((index, name)) = split_prefix(key, rule_prefix, MAX_RULES) {
            if index == 0 && LabConfig::FIELDS.iter().any(|field| field.name == name) {
                self.lab = changed(&self.lab, LabConfig::FIELDS, key, name, text)?;
                return Ok(());
            }
            let rule = changed_rule(self.rules.get(index), default_rule, key, name, text)?;
            put(&mut self.rules, index, rule, default_rule);
            return Ok(());
        }
        let (index, name) = split_prefix(key, lane_prefix, MAX_LANES).unwrap_or((0, key));
        if index == 0 && ViewConfig::FIELDS.iter().any(|field| field.name == name) {
            self.view = changed(&self.view, ViewConfig::FIELDS, key, name, text)?;
            return Ok(());
        }
        let lane = changed_rule(self.lanes.get(index), LaneConfig::default, key, name, text)?;
        put(&mut self.lanes, index, lane, LaneConfig::default);
        Ok(())
    }
}

fn put(rules: &mut Vec<LaneConfig>, index: usize, rule: LaneConfig, default: fn() -> LaneConfig) {
    rules.resize_with(rules.len().max(index + 1), default);
    rules[index] = rule;
}

fn changed_rule(
    old: Option<&LaneConfig>,
    default: fn() -> LaneConfig,
    key: &str,
    name: &str,
    text: &str,
) -> Result<LaneConfig, ConfigError> {
    let old = old.cloned().unwrap_or_else(default);
    changed(&old, SamplerConfig::FIELDS, key, name, text)
}

/// A copy of a section with another value of the key `name`, which the link calls `key`.
fn changed<T: serde::Serialize + for<'de> Deserialize<'de> + Checked>(
    section: &T,
    fields: &[Field],
    key: &str,
    name: &str,
    text: &str,
) -> Result<T, ConfigError> {
    let mut table = table_of(section);
    let place = match name.split_once('.') {
        Some((inner, name)) => table.get_mut(inner).and_then(|inner| inner.get_mut(name)),
        None => table.get_mut(name).filter(|value| !value.is_table()),
    };
    let Some(place) = place else { return Err(unknown(key)) };
    let old = std::mem::replace(place, Value::Boolean(false));
    *place = value_of(&old, text);
    let section = T::deserialize(table).map_err(|error| {
        let name = name.rsplit('.').next().unwrap_or(name);
        let range = fields.iter().find(|field| field.name == name).and_then(|field| field.range);
        let must_be = must_be(&old, range, &error, "1,2");
        // A link may come from anybody: what it says stays on one line.
        let text = shortened(&text.escape_debug().to_string(), MAX_ECHO);
        ConfigError::Invalid(format!("`{key}` cannot be `{text}`: it must be {must_be}"))
    })?;
    section.checked(key.strip_suffix(name).unwrap_or_default())?;
    Ok(section)
}

/// A section whose numbers can be checked against their ranges.
trait Checked {
    fn checked(&self, prefix: &str) -> Result<(), ConfigError>;
}

impl Checked for ViewConfig {
    fn checked(&self, prefix: &str) -> Result<(), ConfigError> {
        self.check(prefix)
    }
}

impl Checked for LabConfig {
    fn checked(&self, prefix: &str) -> Result<(), ConfigError> {
        self.check(prefix)
    }
}

impl Checked for LaneConfig {
    fn checked(&self, prefix: &str) -> Result<(), ConfigError> {
        self.sampler.check(&format!("{prefix}sampler."))
    }
}

/// A text read as the type of the old value; the text itself if it cannot be.
fn value_of(old: &Value, text: &str) -> Value {
    let word = || Value::String(text.to_string());
    match old {
        Value::Integer(_) => text.parse().map_or_else(|_| word(), Value::Integer),
        Value::Float(_) => text.parse().map_or_else(|_| word(), |x: f64| Value::Float(x + 0.0)),
        Value::Boolean(_) => text.parse().map_or_else(|_| word(), Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').filter(|item| !item.is_empty());
            let read = |item: &str| item.parse().map_or_else(|_| word(), Value::Integer);
            Value::Array(items.map(read).collect())
        }
        _ => word(),
    }
}

/// The index of the prefix that a key has, of `count` prefixes without the empty one, and the name after it.
fn split_prefix(key: &str, prefix: fn(usize) -> String, count: usize) -> Option<(usize, &str)> {
    (0..count)
        .filter(|&index| !prefix(index).is_empty())
        .find_map(|index| key.strip_prefix(&prefix(index)).map(|name| (index, name)))
}

fn unknown(key: &str) -> ConfigError {
    let rule = flat(table_of(&LaneConfig::default())).into_iter().map(|(name, _)| name);
    let names: Vec<String> = match key.starts_with("lab") {
        true => {
            let lab = table_of(&LabConfig::default());
            rule.chain(lab.keys().cloned()).map(|name| format!("lab.{name}")).collect()
        }
        false => rule.chain(table_of(&ViewConfig::default()).keys().cloned()).collect(),
    };
    let nearest = nearest(key, names.iter().map(String::as_str)).map(ToString::to_string);
    // A link may come from anybody: escape its keys, so that they stay on one line.
    ConfigError::UnknownKey { key: key.escape_debug().to_string(), nearest }
}
