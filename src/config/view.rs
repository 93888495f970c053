//! What the viewer shows, as one value: what a link carries, a session restores and the controls edit.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{ConfigError, Field, Norm, SamplerConfig, nearest, one_line};

/// Most lanes side by side.
pub const MAX_LANES: usize = 3;

choices! {
    /// Where the viewer's chains start.
    ViewStart {
        /// A draw from the Gaussian of the chain's class (JEM++): chains begin near the data.
        ClassCenters,
        /// Uniform noise on [-1, 1] (JEM): chains begin far away.
        Uniform,
        /// Images of the test set: a good model lets them stay what they are.
        Data,
        /// Chains of the training run's replay buffer.
        Buffer,
        /// The image that was drawn or dropped on the window.
        Image,
    }
}

section! {
    /// How a run is shown.
    ViewConfig {
        /// Bundled model (fashion, mnist, fashion-classifier), or the path of a checkpoint.
        model: String = "fashion".to_string();
        /// Seed of starts and noise: the same seed gives the same chains.
        seed: u64 = 0;
        /// Chains per class, the columns of the grid.
        per_class: usize = 10, in 1 ..= 32, slider 1 ..= 32;
        /// Classes shown, the rows of the grid; none means all.
        classes: Vec<u32> = Vec::new();
        /// M: play stops after so many steps, each one full gradient.
        num_steps: usize = 100, in 1 ..= 1000000, slider 1 ..= 2000;
        /// Steps per second at most; 0 is as fast as it goes.
        max_steps_per_sec: f64 = 0.0, in 0.0 ..= 1000.0, slider 0.0 ..= 60.0;
    }
}

/// The rule of one lane: how its chains start and move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaneConfig {
    /// The update rule.
    pub sampler: SamplerConfig,
    /// Where chains start.
    pub start: ViewStart,
    /// Whether the chain of class y follows p(x|y) instead of p(x).
    pub is_conditional: bool,
    /// `model.split`: pieces of the network in `first_layer`.
    pub split: usize,
    /// `model.norm`: what normalises activations while sampling.
    pub norm: Norm,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            sampler: SamplerConfig::default(),
            start: ViewStart::ClassCenters,
            is_conditional: false,
            split: 1,
            norm: Norm::None,
        }
    }
}

/// All that a link carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewState {
    /// Model, chains and length.
    pub view: ViewConfig,
    /// One to [`MAX_LANES`] rules; none means the model's own.
    pub lanes: Vec<LaneConfig>,
}

impl ViewState {
    /// The query of a link, without `?`: `view` keys by their names, a lane's keys as `sampler.kind`
    /// after `lane2.` and `lane3.` for further lanes. What has its default is left out.
    pub fn to_query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let mut put = |prefix: &str, table: Table, defaults: &Table, keeps_all: bool| {
            for (key, value) in flat(table) {
                if keeps_all || flat(defaults.clone()).iter().all(|(k, v)| *k != key || *v != value)
                {
                    query.append_pair(&format!("{prefix}{key}"), &text_of(&value));
                }
            }
        };
        let defaults = table_of(&ViewConfig::default());
        put("", table_of(&self.view), &defaults, false);
        let defaults = table_of(&LaneConfig::default());
        for (index, lane) in self.lanes.iter().enumerate() {
            // A lane of nothing but defaults must still be there, and so must the first one.
            put(&prefix_of(index), table_of(lane), &defaults, *lane == LaneConfig::default());
        }
        query.finish()
    }

    /// The state that a query, with or without `?` or an address before it, describes.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type or out of range.
    pub fn from_query(query: &str) -> Result<Self, ConfigError> {
        let query = query.rsplit_once('?').map_or(query, |(_, query)| query);
        let mut view = table_of(&ViewConfig::default());
        let mut lanes: Vec<Table> = Vec::new();
        for (key, text) in form_urlencoded::parse(query.as_bytes()) {
            let (index, name) = split_prefix(&key);
            let is_lane = flat(table_of(&LaneConfig::default())).iter().any(|(k, _)| k == name);
            if is_lane {
                while lanes.len() <= index {
                    lanes.push(table_of(&LaneConfig::default()));
                }
                insert(&mut lanes[index], name, &text);
            } else if index == 0 && view.contains_key(name) {
                insert(&mut view, name, &text);
            } else {
                return Err(unknown(&key));
            }
        }
        let read = |error: toml::de::Error| ConfigError::Invalid(one_line(&error));
        let state = Self {
            view: ViewConfig::deserialize(view).map_err(read)?,
            lanes: lanes
                .into_iter()
                .map(|lane| LaneConfig::deserialize(lane).map_err(read))
                .collect::<Result<_, _>>()?,
        };
        state.validate()?;
        Ok(state)
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// The first number out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        in_range("", &table_of(&self.view), ViewConfig::FIELDS)?;
        for (index, lane) in self.lanes.iter().enumerate() {
            let prefix = format!("{}sampler.", prefix_of(index));
            in_range(&prefix, &table_of(&lane.sampler), SamplerConfig::FIELDS)?;
        }
        Ok(())
    }
}

fn in_range(prefix: &str, table: &Table, fields: &[Field]) -> Result<(), ConfigError> {
    fields.iter().try_for_each(|field| field.check(prefix, &table[field.name]))
}

fn table_of(value: &impl Serialize) -> Table {
    match Table::try_from(value) {
        Ok(table) => table,
        Err(error) => unreachable!("a configuration is always a TOML table: {error}"),
    }
}

/// Every value by its full key.
fn flat(table: Table) -> Vec<(String, Value)> {
    let values = table.into_iter().flat_map(|(key, value)| match value {
        Value::Table(section) => section
            .into_iter()
            .map(|(name, value)| (format!("{key}.{name}"), value))
            .collect::<Vec<_>>(),
        value => vec![(key, value)],
    });
    values.collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(","),
        value => value.to_string(),
    }
}

/// Puts a value in its place, read as what stands there.
fn insert(table: &mut Table, key: &str, text: &str) {
    let place = match key.split_once('.') {
        Some((section, name)) => table.get_mut(section).and_then(|section| section.get_mut(name)),
        None => table.get_mut(key),
    };
    let Some(place) = place else { return };
    let word = || Value::String(text.to_string());
    *place = match place {
        Value::Integer(_) => text.parse().map_or_else(|_| word(), Value::Integer),
        Value::Float(_) => text.parse().map_or_else(|_| word(), Value::Float),
        Value::Boolean(_) => text.parse().map_or_else(|_| word(), Value::Boolean),
        Value::Array(_) => {
            let items = text.split(',').filter(|item| !item.is_empty());
            let read = |item: &str| item.parse().map_or_else(|_| word(), Value::Integer);
            Value::Array(items.map(read).collect())
        }
        _ => word(),
    };
}

fn prefix_of(lane: usize) -> String {
    match lane {
        0 => String::new(),
        lane => format!("lane{}.", lane + 1),
    }
}

/// The lane that a key is about, and its name there.
fn split_prefix(key: &str) -> (usize, &str) {
    for lane in 1..MAX_LANES {
        if let Some(name) = key.strip_prefix(&prefix_of(lane)) {
            return (lane, name);
        }
    }
    (0, key)
}

fn unknown(key: &str) -> ConfigError {
    let lane = flat(table_of(&LaneConfig::default()));
    let view = table_of(&ViewConfig::default());
    let names = lane.iter().map(|(name, _)| name.as_str()).chain(view.keys().map(String::as_str));
    ConfigError::UnknownKey { key: key.to_string(), nearest: nearest(key, names).to_string() }
}
