//! The one configuration tree: defaults, ranges, help texts, presets and validation.
//!
//! A run is configured in layers, later ones winning: defaults, `--preset NAME`, `--config FILE`
//! (TOML) and `--set section.key=value`. The same keys serve the web page's URL.

#[macro_use]
mod fields;
mod lab;
mod presets;
mod sections;
mod view;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use fields::Field;
pub use lab::*;
pub use presets::{PRESETS, Preset};
pub use sections::*;
pub use view::{LaneConfig, MAX_LANES, MAX_SEED, Tab, ViewConfig, ViewStart, ViewState};

/// What is wrong with a configuration and what to write instead.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// No key of that name.
    #[error("unknown key `{key}`; did you mean `{nearest}`?")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The valid key closest to it.
        nearest: String,
    },
    /// A number outside its range.
    #[error("`{key}` = {value} is out of range; it must lie in [{low}, {high}]")]
    OutOfRange {
        /// The full key.
        key: String,
        /// The value given.
        value: f64,
        /// Smallest allowed value.
        low: f64,
        /// Largest allowed value.
        high: f64,
    },
    /// A value of the wrong type, or a word that is none of the choices.
    #[error("{0}")]
    Invalid(String),
    /// No preset of that name.
    #[error("unknown preset `{name}`; did you mean `{nearest}`? There are: {all}")]
    UnknownPreset {
        /// The name as written.
        name: String,
        /// The preset closest to it.
        nearest: String,
        /// Every preset.
        all: String,
    },
}

/// Everything that decides a run's results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of weights, data order, augmentation and chains.
    pub seed: u64,
    /// Data set and batches.
    pub data: DataConfig,
    /// Network.
    pub model: ModelConfig,
    /// Gaussian per class that chains start from.
    pub class_centers: ClassCentersConfig,
    /// Langevin chains.
    pub sampler: SamplerConfig,
    /// Persistent chains.
    pub replay_buffer: ReplayBufferConfig,
    /// Loss terms.
    pub objective: ObjectiveConfig,
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// Length of the run and what is written when.
    pub training: TrainingConfig,
    /// Watch on divergence.
    pub divergence: DivergenceConfig,
    /// What `jempp eval` measures.
    pub eval: EvalConfig,
}

/// The candidate spelled most like `word`.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> &'a str {
    candidates
        .into_iter()
        .max_by(|a, b| similarity(word, a).total_cmp(&similarity(word, b)))
        .unwrap_or_default()
}

fn similarity(word: &str, candidate: &str) -> f64 {
    // `step_size` for `sampler.step_size` must win over a longer common stretch elsewhere.
    let last = candidate.rsplit('.').next().unwrap_or(candidate);
    strsim::jaro_winkler(word, candidate).max(strsim::jaro_winkler(word, last))
}

fn all_keys() -> Vec<String> {
    let sections = SECTIONS.iter();
    let keys = sections.flat_map(|(section, fields)| {
        fields.iter().map(move |field| format!("{section}.{}", field.name))
    });
    std::iter::once("seed".to_string()).chain(keys).collect()
}

impl RunConfig {
    /// This configuration with the keys of a TOML text replaced.
    ///
    /// # Errors
    /// A text that is no TOML, an unknown key, a value of the wrong type or out of range.
    pub fn with_toml(&self, text: &str) -> Result<Self, ConfigError> {
        let layer: Table = text.parse().map_err(|error| ConfigError::Invalid(one_line(&error)))?;
        let mut assignments = Vec::new();
        for (key, value) in layer {
            match value {
                Value::Table(section) => {
                    assignments.extend(section.into_iter().map(|(k, v)| (format!("{key}.{k}"), v)))
                }
                value => assignments.push((key, value)),
            }
        }
        self.with(assignments)
    }

    /// This configuration with one `key=value` replaced, the value in TOML or a bare word.
    ///
    /// # Errors
    /// As [`RunConfig::with_toml`], and a text without `=`.
    pub fn with_assignment(&self, assignment: &str) -> Result<Self, ConfigError> {
        let (key, text) = assignment.split_once('=').ok_or_else(|| {
            ConfigError::Invalid(format!(
                "`{assignment}` is no assignment; write section.key=value, as in sampler.step_size=0.2"
            ))
        })?;
        let parsed = format!("value = {text}").parse::<Table>();
        let value = parsed.ok().and_then(|mut table| table.remove("value"));
        let value = value.unwrap_or_else(|| Value::String(text.trim().to_string()));
        self.with([(key.trim().to_string(), value)])
    }

    fn with(&self, values: impl IntoIterator<Item = (String, Value)>) -> Result<Self, ConfigError> {
        let mut tree = self.to_table();
        let keys = all_keys();
        for (key, value) in values {
            if !keys.contains(&key) {
                let nearest = nearest(&key, keys.iter().map(String::as_str)).to_string();
                return Err(ConfigError::UnknownKey { key, nearest });
            }
            let place = match key.split_once('.') {
                Some((section, name)) => {
                    tree.get_mut(section).and_then(Value::as_table_mut).zip(Some(name))
                }
                None => Some((&mut tree, key.as_str())),
            };
            let Some((section, name)) = place else { continue };
            // `learning_rate = 1` is a whole number in TOML and means 1.0.
            let value = match (&section[name], value) {
                (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
                (_, value) => value,
            };
            section.insert(name.to_string(), value.clone());
            RunConfig::deserialize(tree.clone()).map_err(|error| {
                ConfigError::Invalid(format!("`{key}` cannot be {value}: {}", one_line(&error)))
            })?;
        }
        let config =
            RunConfig::deserialize(tree).map_err(|error| ConfigError::Invalid(one_line(&error)))?;
        config.validate()?;
        Ok(config)
    }

    fn to_table(&self) -> Table {
        match Table::try_from(self) {
            Ok(table) => table,
            Err(error) => unreachable!("a configuration is always a TOML table: {error}"),
        }
    }

    /// The whole tree as TOML.
    pub fn to_toml(&self) -> String {
        self.to_table().to_string()
    }

    /// The whole tree as TOML, every key under its help and range.
    pub fn to_commented_toml(&self) -> String {
        let tree = self.to_table();
        let mut text = format!(
            "# Seed of weights, data order, augmentation and chains.\nseed = {}\n",
            self.seed
        );
        for (section, fields) in SECTIONS {
            text += &format!("\n[{section}]\n");
            for field in *fields {
                let range = match field.range {
                    Some((low, high)) => format!(" [{low} to {high}]"),
                    None => String::new(),
                };
                let value = &tree[*section][field.name];
                text += &format!("#{}{range}\n{} = {value}\n", field.help, field.name);
            }
        }
        text
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// The first number out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let tree = self.to_table();
        for (section, fields) in SECTIONS {
            for field in *fields {
                field.check(&format!("{section}."), &tree[*section][field.name])?;
            }
        }
        Ok(())
    }

    /// Checks what only whole configurations can be checked for: what MALA needs.
    ///
    /// # Errors
    /// Keys that do not go together.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.sampler.kind != SamplerKind::Mala {
            return Ok(());
        }
        let (sampler, is_scheduled) =
            (&self.sampler, self.sampler.step_schedule != StepSchedule::Constant);
        let wrong = if sampler.noise_std == 0.0 || is_scheduled && sampler.final_step_factor == 0.0
        {
            "sampler.kind = mala accepts and rejects noisy steps: set sampler.noise_std above 0, to √(2 · \
             sampler.step_size) for temperature 1, and sampler.final_step_factor above 0"
        } else if self.model.norm == Norm::Batch {
            "sampler.kind = mala compares energies of one chain, which batch norm mixes with the others: set \
             model.norm = frozen, its running statistics"
        } else {
            return Ok(());
        };
        Err(ConfigError::Invalid(wrong.into()))
    }

    /// The preset of that name.
    ///
    /// # Errors
    /// No such preset.
    pub fn preset(name: &str) -> Result<Self, ConfigError> {
        match PRESETS.iter().find(|preset| preset.name == name) {
            Some(preset) => preset
                .layers
                .iter()
                .try_fold(RunConfig::default(), |config, layer| config.with_toml(layer)),
            None => {
                let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
                Err(ConfigError::UnknownPreset {
                    name: name.to_string(),
                    nearest: nearest(name, names.iter().copied()).to_string(),
                    all: names.join(", "),
                })
            }
        }
    }
}

impl ObjectiveConfig {
    /// Whether a term looks at chains, which are drawn only then.
    pub fn needs_chains(&self) -> bool {
        self.p_x_weight > 0.0 || self.p_x_y_weight > 0.0 || self.energy_l2_weight > 0.0
    }
}

impl SamplerConfig {
    /// What a whole step amounts to, in x² per unit of energy: α, of PYLD N·α.
    pub fn whole_step_size(&self) -> f64 {
        match self.kind {
            SamplerKind::Pyld => self.inner_step_size * self.num_inner_steps as f64,
            _ => self.step_size,
        }
    }

    /// β = 2α/σ² of the law p^β that small steps sample; infinite without noise.
    pub fn inverse_temperature(&self) -> f64 {
        2.0 * self.whole_step_size() / (self.noise_std * self.noise_std)
    }
}

fn one_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    // A TOML error draws the offending line; its place and its reason are what fits in one.
    let lines = text.lines().filter(|line| !line.contains('|'));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}
