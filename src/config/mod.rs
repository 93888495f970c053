//! The configuration of a run: defaults, ranges, help texts, presets and validation.
//!
//! A run is configured in layers, and a later layer replaces an earlier one: defaults, a preset, a TOML file and single
//! assignments `section.key=value`. The URL of the web page uses the same keys.

mod error;
mod together;
#[macro_use]
mod fields;
#[cfg(feature = "gui")]
mod lab;
#[cfg(feature = "gui")]
mod link;
mod presets;
mod sections;
mod size;
mod used;
#[cfg(feature = "gui")]
mod view;
mod words;

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub use error::ConfigError;
pub(crate) use error::syntax;
use error::{all_keys, read_alone, unknown_key, wrong_type};
use fields::Value as _;
pub use fields::{Field, MAX_SEED};
#[cfg(feature = "gui")]
pub use lab::*;
pub use presets::{AUTO, PRESETS, Preset};
pub use sections::*;
pub use size::ImageSize;
#[cfg(feature = "gui")]
pub(crate) use view::MAX_LANES;
#[cfg(feature = "gui")]
pub use view::{LaneConfig, Tab, ViewConfig, ViewStart, ViewState};
use words::MAX_ECHO;
pub use words::{meant, nearest, shortened};

/// A key that has different values in two configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The key with its section, as in `sampler.step_size`.
    pub key: String,
    /// Its value in this configuration, as in a TOML file.
    pub here: String,
    /// Its value in the other configuration, as in a TOML file.
    pub there: String,
}

/// Help and range of the seed, the only key outside a section.
const SEED: Field = Field {
    name: "seed",
    help: " Seed of weights, data order, augmentation and chains.",
    range: None,
    slider: None,
};

/// The configuration of a run: every number that decides how a model is trained, sampled and measured.
///
/// Start from a [preset](RunConfig::preset), then replace single keys, by name or as fields. `jempp config` and
/// [`RunConfig::to_commented_toml`] print every key with its default, its range and its meaning.
///
/// ```
/// # fn main() -> Result<(), jempp::config::ConfigError> {
/// use jempp::{RunConfig, config::SamplerKind};
///
/// let mut config = RunConfig::preset("fashion-quick")?
///     .with_assignment("sampler.kind=sgld")?
///     .with_toml("[optimizer]\nlearning_rate = 0.001")?;
/// config.training.epochs = 3;
/// config.validate()?;
/// assert_eq!(config.sampler.kind, SamplerKind::Sgld);
///
/// let error = config.with_assignment("sampler.stepsize=1").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "unknown key `sampler.stepsize`; did you mean `sampler.step_size`?"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of weights, data order, augmentation and chains.
    pub seed: u64,
    /// Data set and batches.
    pub data: DataConfig,
    /// Architecture, norm and split of the network.
    pub model: ModelConfig,
    /// The Gaussian of each class that chains start from.
    pub class_centers: ClassCentersConfig,
    /// The sampler of the Langevin chains, and where they start.
    pub sampler: SamplerConfig,
    /// How many chains the replay buffer keeps between training steps, and how often a chain gets a new start.
    pub replay_buffer: ReplayBufferConfig,
    /// The weights of the terms of the loss.
    pub objective: ObjectiveConfig,
    /// The optimiser of the weights and its schedule.
    pub optimizer: OptimizerConfig,
    /// The length of the run, and when evaluations and checkpoints happen.
    pub training: TrainingConfig,
    /// When a training step counts as diverged, and how often the run recovers.
    pub divergence: DivergenceConfig,
    /// What `jempp eval` measures.
    pub eval: EvalConfig,
}

impl RunConfig {
    /// This configuration with the keys of a TOML text replaced. Each key is checked alone; [`RunConfig::validate`]
    /// checks the keys together, because more layers may follow.
    ///
    /// # Errors
    /// A text that is not TOML, an unknown key, a value of the wrong type or out of range.
    pub fn with_toml(&self, text: &str) -> Result<Self, ConfigError> {
        let layer: Table = text.parse().map_err(|error| syntax(text, &error))?;
        let mut assignments = Vec::new();
        for (key, value) in layer {
            let is_section = SECTIONS.iter().any(|(section, _)| *section == key);
            match value {
                Value::Table(section) if is_section || !section.is_empty() && key != "seed" => {
                    assignments.extend(section.into_iter().map(|(k, v)| (format!("{key}.{k}"), v)))
                }
                value => assignments.push((key, value)),
            }
        }
        self.with(assignments)
    }

    /// This configuration with one `key=value` replaced; the value is TOML or a bare word.
    ///
    /// # Errors
    /// The errors of [`RunConfig::with_toml`], and a text without `=`.
    pub fn with_assignment(&self, assignment: &str) -> Result<Self, ConfigError> {
        let parts = assignment.split_once('=').map(|(key, text)| (key.trim(), text.trim()));
        let Some((key, text)) = parts.filter(|(key, _)| !key.is_empty()) else {
            return Err(ConfigError::Invalid(format!(
                "`{}` is not an assignment; write section.key=value, as in sampler.step_size=0.2",
                shortened(assignment, MAX_ECHO)
            )));
        };
        let parsed =
            format!("value = {text}").parse::<Table>().ok().filter(|table| table.len() == 1);
        let value = parsed.and_then(|mut table| table.remove("value"));
        let value = value.unwrap_or_else(|| Value::String(text.to_string()));
        self.with([(key.to_string(), value)])
    }

    fn with(&self, values: impl IntoIterator<Item = (String, Value)>) -> Result<Self, ConfigError> {
        let mut tree = self.to_table();
        for (key, value) in values {
            let (section, name) = key.split_once('.').unwrap_or(("", &key));
            let place = match section {
                "" => Some(&mut tree),
                _ => tree.get_mut(section).and_then(Value::as_table_mut),
            };
            let place = place.and_then(|section| section.get_mut(name));
            let Some(place) = place.filter(|place| !place.is_table()) else {
                return Err(unknown_key(&key));
            };
            // `learning_rate = 1` is a whole number in TOML and means 1.0; -0.0 is 0.0.
            let value = match (&*place, value) {
                (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
                (_, Value::Float(number)) => Value::Float(number + 0.0),
                (_, value) => value,
            };
            // Read the key alone, so that the error is about this key.
            read_alone(&key, value.clone())
                .map_err(|error| wrong_type(&key, place, &value, &error))?;
            *place = value;
        }
        let config = RunConfig::deserialize(tree)
            .map_err(|error| ConfigError::Invalid(error.message().to_string()))?;
        config.check_keys()?;
        Ok(config)
    }

    fn to_table(&self) -> Table {
        match Table::try_from(self) {
            Ok(table) => table,
            Err(error) => unreachable!("a configuration is always a TOML table: {error}"),
        }
    }

    /// The keys whose values differ between this configuration and `other`, with both values.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let (here, there) = (self.to_table(), other.to_table());
        let differs = |key: String| {
            let value = |tree: &Table| match key.split_once('.') {
                Some((section, name)) => tree.get(section)?.get(name).map(Value::to_string),
                None => tree.get(&key).map(Value::to_string),
            };
            let [here, there] = [&here, &there].map(|tree| value(tree).unwrap_or_default());
            (here != there).then_some(Difference { key, here, there })
        };
        all_keys().into_iter().filter_map(differs).collect()
    }

    /// All keys and values as TOML text, which [`RunConfig::with_toml`] reads back.
    ///
    /// # Panics
    /// Panics for a whole number of 2^63 or more, which TOML cannot hold and [`RunConfig::validate`] refuses.
    pub fn to_toml(&self) -> String {
        self.to_table().to_string()
    }

    /// All keys and values as TOML text, with a comment above each key that gives its meaning and range. Use it as a
    /// template for a configuration file.
    ///
    /// # Panics
    /// Panics in the same case as [`RunConfig::to_toml`].
    pub fn to_commented_toml(&self) -> String {
        let tree = self.to_table();
        let mut text = format!("#{}\nseed = {}\n", SEED.help, self.seed);
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

    /// Whether batch norm takes statistics from a batch at any time of the run.
    pub(crate) fn gathers_statistics(&self) -> bool {
        match self.model.norm {
            Norm::Batch => true,
            Norm::Frozen => self.training.classifier_epochs > 0,
            Norm::None | Norm::Group => false,
        }
    }

    /// Checks the whole configuration: every number against its range, the length of texts and lists, and that the keys
    /// are compatible. Training, sampling and measuring call it first.
    ///
    /// # Errors
    /// The first key that is out of range or too long; or keys that are not compatible, with settings that are.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_keys()?;
        self.check_together()
    }

    /// Checks every key alone. Use it while more layers may still follow; [`RunConfig::validate`] also checks the keys
    /// together.
    pub(crate) fn check_keys(&self) -> Result<(), ConfigError> {
        let Self {
            seed,
            data,
            model,
            class_centers,
            sampler,
            replay_buffer,
            objective,
            optimizer,
            training,
            divergence,
            eval,
        } = self;
        seed.check(&SEED, "")?;
        data.check("data.")?;
        model.check("model.")?;
        class_centers.check("class_centers.")?;
        sampler.check("sampler.")?;
        replay_buffer.check("replay_buffer.")?;
        objective.check("objective.")?;
        optimizer.check("optimizer.")?;
        training.check("training.")?;
        divergence.check("divergence.")?;
        eval.check("eval.")
    }

    /// The configuration of a preset, for example `fashion-quick` or `paper-cifar10`; [`PRESETS`] lists all.
    ///
    /// # Errors
    /// No preset has that name; the error names the closest one and lists all presets.
    pub fn preset(name: &str) -> Result<Self, ConfigError> {
        Self::default().with_preset(name)
    }

    /// The recipe of the bundled models of images, without data set and network.
    ///
    /// # Errors
    /// None; the recipe is a constant text.
    pub(crate) fn base_of_images() -> Result<Self, ConfigError> {
        Self::default().with_toml(presets::SHOWCASE)
    }

    /// The recipe of the 2-D densities, without data set.
    ///
    /// # Errors
    /// None; the recipe is a constant text.
    pub(crate) fn base_of_points() -> Result<Self, ConfigError> {
        Self::default().with_toml(presets::TOY)
    }

    /// This configuration with the keys of a preset replaced.
    ///
    /// # Errors
    /// As [`RunConfig::preset`].
    pub(crate) fn with_preset(self, name: &str) -> Result<Self, ConfigError> {
        match PRESETS.iter().find(|preset| preset.name == name) {
            Some(preset) => {
                preset.layers.iter().try_fold(self, |config, layer| config.with_toml(layer))
            }
            None if name == AUTO => Err(ConfigError::Invalid(format!(
                "`{AUTO}` is chosen from the data when a run starts, and no values are known before: name the data of the run"
            ))),
            None => {
                let presets = PRESETS.iter().map(|preset| preset.name);
                let names: Vec<&str> = std::iter::once(AUTO).chain(presets).collect();
                Err(ConfigError::UnknownPreset {
                    name: name.to_string(),
                    nearest: nearest(name, names.iter().copied()).map(ToString::to_string),
                    all: names.join(", "),
                })
            }
        }
    }
}

impl DataConfig {
    /// The same data set with all of its training items, none held out or left out.
    pub(crate) fn whole(&self) -> Self {
        Self { num_validation: 0, num_train: 0, batch_size: 1, ..self.clone() }
    }

    /// The path of the user's own data set, in which whatever is written becomes data; empty for all others, which are read
    /// by the names of their files.
    pub(crate) fn own_path(&self) -> &Path {
        match self.dataset {
            DatasetName::Custom => Path::new(&self.dir),
            _ => Path::new(""),
        }
    }
}

impl ObjectiveConfig {
    /// Whether any term of the loss, besides the cross entropy, takes energies of the data.
    pub(crate) fn needs_energies(&self) -> bool {
        self.needs_chains()
            || self.gradient_penalty_weight > 0.0
            || self.adversarial_gap_weight > 0.0
    }

    /// The same terms without those of energies: what the epochs of `training.classifier_epochs` train with.
    pub(crate) fn of_classifier(&self) -> Self {
        Self {
            p_x_weight: 0.0,
            p_x_y_weight: 0.0,
            energy_l2_weight: 0.0,
            gradient_penalty_weight: 0.0,
            adversarial_gap_weight: 0.0,
            ..self.clone()
        }
    }

    /// Whether the cross entropy is taken at adversarial images.
    pub(crate) fn attacks_images(&self) -> bool {
        self.adversarial_radius > 0.0 && self.p_y_given_x_weight > 0.0
    }

    /// Whether any term of the loss needs chains. A training step samples chains only if this is true.
    pub(crate) fn needs_chains(&self) -> bool {
        self.p_x_weight > 0.0 || self.p_x_y_weight > 0.0 || self.energy_l2_weight > 0.0
    }
}

impl RunConfig {
    /// The standard deviation of the noise that data and chains both had in training, in units of x; 0 if chains are without it.
    pub(crate) fn shared_noise(&self) -> f64 {
        if self.sampler.denoise_step > 0.0 { self.data.input_noise_std } else { 0.0 }
    }

    /// The step that removes the noise of the data from an image before its class is read; 0 if the classifier saw this noise in
    /// training.
    pub(crate) fn class_denoise_step(&self) -> f64 {
        if self.data.classify_noisy { 0.0 } else { self.sampler.denoise_step }
    }
}

impl SamplerConfig {
    /// The step size of one whole step, in x² per unit of energy: α, or N·α for PYLD.
    pub(crate) fn whole_step_size(&self) -> f64 {
        match self.kind {
            SamplerKind::Pyld => self.inner_step_size * self.num_inner_steps as f64,
            _ => self.step_size,
        }
    }

    /// The configuration key that sets the step size of this sampler.
    pub(crate) fn step_size_key(&self) -> &'static str {
        match self.kind {
            SamplerKind::Pyld => "sampler.inner_step_size",
            _ => "sampler.step_size",
        }
    }

    /// The inverse temperature β = 2α/σ² of the density p^β that small steps sample; infinite without noise. `None` for
    /// normalised gradients, whose invariant density is not known.
    pub fn inverse_temperature(&self) -> Option<f64> {
        let beta = 2.0 * self.whole_step_size() / (self.noise_std * self.noise_std);
        (self.kind != SamplerKind::NormalizedGradient).then_some(beta)
    }
}
