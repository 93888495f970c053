//! The one configuration tree: defaults, ranges, help texts, presets and validation.
//!
//! A run is configured in layers, later ones winning: defaults, `--preset NAME`, `--config FILE`
//! (TOML) and `--set section.key=value`. The same keys serve the web page's URL.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

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

/// Help and range of one key.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name within its section.
    pub name: &'static str,
    /// What it does, with its unit.
    pub help: &'static str,
    /// Smallest and largest allowed value of a number.
    pub range: Option<(f64, f64)>,
}

macro_rules! section {
    ($(#[doc = $section_doc:literal])* $section:ident {
        $($(#[doc = $doc:literal])* $field:ident: $type:ty = $default:expr
            $(, in $low:literal ..= $high:literal)?;)*
    }) => {
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $section { $($(#[doc = $doc])* pub $field: $type,)* }

        impl Default for $section {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $section {
            /// Help and range of every key of this section.
            pub const FIELDS: &'static [Field] = &[$(Field {
                name: stringify!($field),
                help: concat!($($doc),*),
                range: section!(@range $($low, $high)?),
            },)*];
        }
    };
    (@range) => { None };
    (@range $low:literal, $high:literal) => { Some(($low as f64, $high as f64)) };
}

macro_rules! choices {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[doc = $variant_doc])* $variant,)* }
    };
}

choices! {
    /// Which images (or points) are modelled.
    DatasetName {
        /// 5,000 + 1,000 Fashion-MNIST images that travel inside the program.
        FashionMnistEmbedded,
        /// Fashion-MNIST, IDX files.
        FashionMnist,
        /// MNIST, IDX files.
        Mnist,
        /// CIFAR-10, binary version.
        Cifar10,
        /// CIFAR-100, binary version, fine labels.
        Cifar100,
        /// Two interleaved half circles.
        TwoMoons,
        /// Eight Gaussians on a circle.
        EightGaussians,
        /// Two intertwined spirals.
        Spiral,
        /// Four concentric rings.
        Rings,
        /// The dark and the light squares of a checkerboard.
        Checkerboard,
        /// Five curved blades.
        Pinwheel,
    }
}

choices! {
    /// What normalises activations.
    Norm {
        /// Nothing: chains are independent; JEM's choice.
        None,
        /// Statistics of the current batch, while sampling too: JEM++'s choice; couples the chains of a batch.
        Batch,
        /// Batch norm with its running statistics: for diagnostics on a trained network.
        Frozen,
        /// Group norm: chains stay independent.
        Group,
    }
}

choices! {
    /// Update rule of a chain.
    SamplerKind {
        /// x ← x - α ∇E + σ ξ, no clamp (JEM).
        Sgld,
        /// Gradient clamped to the proximal radius, x kept in [-1, 1].
        ProximalSgld,
        /// JEM++: `num_inner_steps` steps through the first layer per full gradient.
        Pyld,
    }
}

choices! {
    /// Where new chains start.
    StartKind {
        /// A draw from the class's Gaussian (JEM++).
        ClassCenters,
        /// Uniform noise on [-1, 1] (JEM).
        Uniform,
    }
}

choices! {
    /// Optimiser of the weights.
    OptimizerKind {
        /// Stochastic gradient descent with momentum.
        Sgd,
        /// Adam.
        Adam,
    }
}

section! {
    /// Data set and batches.
    DataConfig {
        /// Data set: fashion-mnist-embedded, fashion-mnist, mnist, cifar10, cifar100, two-moons, eight-gaussians, spiral, rings, checkerboard or pinwheel.
        dataset: DatasetName = DatasetName::FashionMnistEmbedded;
        /// Folder with the official files; not needed for the embedded set and the 2-D densities.
        dir: String = String::new();
        /// Images per training step; also chains per step.
        batch_size: usize = 64, in 1 ..= 4096;
        /// Training images held out for validation.
        num_validation: usize = 0, in 0 ..= 50000;
        /// Reflect-pad by this many pixels, then crop back at random; 0 is off.
        crop_padding: usize = 0, in 0 ..= 16;
        /// Mirror images at random; wrong for digits and SVHN.
        horizontal_flip: bool = false;
        /// Standard deviation of Gaussian noise added to training inputs, in units of x.
        input_noise_std: f64 = 0.03, in 0.0 ..= 1.0;
        /// Points drawn for a 2-D density.
        num_points: usize = 5000, in 16 ..= 1000000;
    }
}

section! {
    /// Network.
    ModelConfig {
        /// Architecture: cnn-small, mlp or wrn-<depth>-<width>.
        arch: String = "cnn-small".to_string();
        /// Normalisation: none, batch, frozen or group (WideResNet).
        norm: Norm = Norm::None;
        /// How many leading pieces of the network form `first_layer`, the part that PYLD's inner steps go through. 1 is the bare first convolution, which is affine.
        split: usize = 1, in 1 ..= 64;
    }
}

section! {
    /// Gaussian per class that chains start from.
    ClassCentersConfig {
        /// Share of each class's variance that its principal axes must hold; the rest becomes a residual per pixel.
        explained_variance: f64 = 0.95, in 0.0 ..= 1.0;
        /// Most principal axes kept per class.
        max_components: usize = 128, in 1 ..= 4096;
    }
}

section! {
    /// Langevin chains.
    SamplerConfig {
        /// Update rule: sgld, proximal-sgld or pyld.
        kind: SamplerKind = SamplerKind::Pyld;
        /// Full gradient evaluations per chain and training step (K of SGLD, M of PYLD).
        num_steps: usize = 10, in 1 ..= 100000;
        /// Step size α of sgld and proximal-sgld, in x² per unit of energy.
        step_size: f64 = 1.0, in 0.0 ..= 1e6;
        /// Standard deviation σ of the noise actually added per step, in units of x. The chain targets p^β with β = 2α/σ².
        noise_std: f64 = 0.0, in 0.0 ..= 10.0;
        /// Bound r on each gradient component, in energy per unit of x.
        proximal_radius: f64 = 1.0, in 1e-6 ..= 1e6;
        /// Inner steps N of pyld through the first layer.
        num_inner_steps: usize = 5, in 1 ..= 1000;
        /// Step size α of one inner step of pyld.
        inner_step_size: f64 = 0.2, in 0.0 ..= 1e6;
        /// Where fresh chains start: class-centers or uniform.
        start: StartKind = StartKind::ClassCenters;
    }
}

section! {
    /// Persistent chains.
    ReplayBufferConfig {
        /// Chains kept, the same number per class.
        replay_buffer_size: usize = 10000, in 1 ..= 1000000;
        /// Share of a batch that starts afresh.
        reinit_prob: f64 = 0.05, in 0.0 ..= 1.0;
    }
}

section! {
    /// Loss terms.
    ObjectiveConfig {
        /// Weight of mean E(x_data) - mean E(x_model).
        p_x_weight: f64 = 1.0, in 0.0 ..= 1000.0;
        /// Weight of the cross entropy of p(y|x).
        p_y_given_x_weight: f64 = 1.0, in 0.0 ..= 1000.0;
        /// Weight of the class-conditional term mean E(x_data, y) - mean E(x_model, y).
        p_x_y_weight: f64 = 0.0, in 0.0 ..= 1000.0;
        /// Weight of mean E(x_data)² + mean E(x_model)².
        energy_l2_weight: f64 = 0.0, in 0.0 ..= 1000.0;
    }
}

section! {
    /// Optimiser and schedule.
    OptimizerConfig {
        /// Optimiser: sgd or adam.
        kind: OptimizerKind = OptimizerKind::Adam;
        /// Learning rate after warm-up.
        learning_rate: f64 = 1e-4, in 0.0 ..= 10.0;
        /// Momentum of sgd, β₁ of adam.
        momentum: f64 = 0.9, in 0.0 ..= 0.9999;
        /// Weight decay (L2).
        weight_decay: f64 = 0.0, in 0.0 ..= 1.0;
        /// Largest gradient norm per parameter tensor; 0 is no bound.
        gradient_clip_norm: f64 = 0.0, in 0.0 ..= 1e6;
        /// Steps over which the learning rate rises linearly from 0.
        warmup_steps: usize = 0, in 0 ..= 1000000;
        /// Epochs at whose end the learning rate is multiplied by `decay_factor`.
        decay_epochs: Vec<usize> = Vec::new();
        /// Factor of each decay.
        decay_factor: f64 = 0.2, in 0.0 ..= 1.0;
    }
}

section! {
    /// Length of the run and what is written when.
    TrainingConfig {
        /// Passes over the training set.
        epochs: usize = 10, in 1 ..= 100000;
        /// Epochs between evaluations on the test set; each also writes a sample grid.
        eval_every_epochs: usize = 1, in 1 ..= 100000;
        /// Seconds between checkpoints.
        checkpoint_every_secs: f64 = 60.0, in 0.0 ..= 86400.0;
    }
}

section! {
    /// When a step counts as diverged, and what is tried before giving up.
    DivergenceConfig {
        /// Bound on |loss|.
        max_abs_loss: f64 = 1e4, in 1e-3 ..= 1e12;
        /// Bound on |mean energy| of data and of chains.
        max_abs_energy: f64 = 1e4, in 1e-3 ..= 1e12;
        /// Bound on the smoothed gap |d|, d = mean E(x_data) - mean E(x_model).
        max_abs_gap: f64 = 100.0, in 1e-3 ..= 1e12;
        /// Bound on the mean gradient norm r along the chains.
        max_gradient_norm: f64 = 1e3, in 1e-3 ..= 1e12;
        /// Bound on the share of clamped gradient components.
        max_clamp_rate: f64 = 0.9, in 0.0 ..= 1.0;
        /// Steps between the states that a diverged run returns to.
        snapshot_every_steps: usize = 50, in 1 ..= 100000;
        /// Returns to the last good state before the run gives up.
        max_recoveries: usize = 5, in 0 ..= 1000;
        /// Factor on the learning rate at each return.
        learning_rate_cut: f64 = 0.5, in 0.01 ..= 1.0;
    }
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
}

/// Every section with its fields.
pub const SECTIONS: &[(&str, &[Field])] = &[
    ("data", DataConfig::FIELDS),
    ("model", ModelConfig::FIELDS),
    ("class_centers", ClassCentersConfig::FIELDS),
    ("sampler", SamplerConfig::FIELDS),
    ("replay_buffer", ReplayBufferConfig::FIELDS),
    ("objective", ObjectiveConfig::FIELDS),
    ("optimizer", OptimizerConfig::FIELDS),
    ("training", TrainingConfig::FIELDS),
    ("divergence", DivergenceConfig::FIELDS),
];

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
        let layer: Table =
            text.parse().map_err(|error| ConfigError::Invalid(one_line(&error)))?;
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
        let config = RunConfig::deserialize(tree)
            .map_err(|error| ConfigError::Invalid(one_line(&error)))?;
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
        let mut text = format!("# Seed of weights, data order, augmentation and chains.\nseed = {}\n", self.seed);
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
                let value = match &tree[*section][field.name] {
                    Value::Integer(whole) => *whole as f64,
                    Value::Float(number) => *number,
                    _ => continue,
                };
                if let Some((low, high)) = field.range
                    && !(low..=high).contains(&value)
                {
                    let key = format!("{section}.{}", field.name);
                    return Err(ConfigError::OutOfRange { key, value, low, high });
                }
            }
        }
        Ok(())
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

fn one_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    // A TOML error draws the offending line; its place and its reason are what fits in one.
    let lines = text.lines().filter(|line| !line.contains('|'));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
}

/// A named configuration.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What it changes of the defaults, layer upon layer.
    pub layers: &'static [&'static str],
}

const TOY: &str = "
    data = { batch_size = 256, input_noise_std = 0.0 }
    model = { arch = 'mlp' }
    class_centers = { max_components = 2 }
    sampler = { num_steps = 10, inner_step_size = 0.002, noise_std = 0.03 }
    optimizer = { learning_rate = 1e-3, warmup_steps = 50 }
    training = { epochs = 50, eval_every_epochs = 10 }
";

/// Every preset.
pub const PRESETS: &[Preset] = &[
    Preset {
        name: "fashion-quick",
        about: "JEM++ on 5,000 embedded Fashion-MNIST images, minutes on a laptop without a GPU",
        layers: &["
            data = { batch_size = 32 }
            optimizer = { learning_rate = 1e-3, warmup_steps = 100, decay_epochs = [5, 7] }
            replay_buffer = { replay_buffer_size = 2000 }
            training = { epochs = 8 }
        "],
    },
    Preset {
        name: "fashion",
        about: "JEM++ on the full Fashion-MNIST (--data DIR), hours on a laptop",
        layers: &["
            data = { dataset = 'fashion-mnist', crop_padding = 2, horizontal_flip = true, num_validation = 5000 }
            optimizer = { learning_rate = 1e-3, warmup_steps = 500, decay_epochs = [12, 18] }
            training = { epochs = 20 }
        "],
    },
    Preset {
        name: "mnist",
        about: "JEM++ on MNIST digits (--data DIR)",
        layers: &["
            data = { dataset = 'mnist', crop_padding = 2, num_validation = 5000 }
            optimizer = { learning_rate = 1e-3, warmup_steps = 500, decay_epochs = [6, 9] }
            training = { epochs = 10 }
        "],
    },
    Preset {
        name: "paper-cifar10",
        about: "The recipe of the JEM++ paper on CIFAR-10 (--data DIR); needs a large GPU and days",
        layers: &["
            data = { dataset = 'cifar10', crop_padding = 4, horizontal_flip = true, num_validation = 5000 }
            model = { arch = 'wrn-28-10', norm = 'batch' }
            optimizer = { kind = 'sgd', learning_rate = 0.1, momentum = 0.9, weight_decay = 4e-4, warmup_steps = 1000, decay_epochs = [50, 100, 125] }
            training = { epochs = 150 }
        "],
    },
    Preset {
        name: "jem-cifar10",
        about: "The recipe of the JEM paper on CIFAR-10 (--data DIR), for comparison",
        layers: &["
            data = { dataset = 'cifar10', crop_padding = 4, horizontal_flip = true, num_validation = 5000 }
            model = { arch = 'wrn-28-10', norm = 'none' }
            sampler = { kind = 'sgld', num_steps = 20, step_size = 1.0, noise_std = 0.01, start = 'uniform' }
            optimizer = { kind = 'adam', learning_rate = 1e-4, warmup_steps = 1000, decay_epochs = [160, 180], decay_factor = 0.3 }
            training = { epochs = 200 }
        "],
    },
    toy("toy-two-moons", &[TOY, "data.dataset = 'two-moons'"]),
    toy("toy-eight-gaussians", &[TOY, "data.dataset = 'eight-gaussians'"]),
    toy("toy-spiral", &[TOY, "data.dataset = 'spiral'"]),
    toy("toy-rings", &[TOY, "data.dataset = 'rings'"]),
    toy("toy-checkerboard", &[TOY, "data.dataset = 'checkerboard'"]),
    toy("toy-pinwheel", &[TOY, "data.dataset = 'pinwheel'"]),
];

const fn toy(name: &'static str, layers: &'static [&'static str]) -> Preset {
    Preset { name, about: "JEM++ on a 2-D density, seconds", layers }
}
