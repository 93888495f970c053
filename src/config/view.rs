//! The state of the viewer as one value: a link carries it, a session restores it and the controls edit it.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{ConfigError, Field, LabConfig, LabState, LabView, Norm, SamplerConfig, default_rule};

/// The largest number of lanes side by side.
pub(crate) const MAX_LANES: usize = 3;

choices! {
    /// Where the viewer's chains start.
    ViewStart {
        /// A draw from the Gaussian of the chain's class (JEM++): chains start near the data.
        ClassCenters,
        /// Uniform noise on [-1, 1] (JEM): chains start far from the data.
        Uniform,
        /// Images of the test set. With a good model, they change little.
        Data,
        /// Chains of the training run's replay buffer.
        Buffer,
        /// The image that was drawn or dropped on the window.
        Image,
    }
}

choices! {
    /// The tab in the middle of the window.
    Tab {
        /// The chains of the open model.
        Chains,
        /// Plots and diagnostics of the chains.
        Plots,
        /// The training run: its settings and its progress.
        Train,
        /// The lab: chains on a 2-D energy.
        Lab,
    }
}

section! {
    /// What the window shows, and how the chains run.
    ViewConfig {
        /// The open tab: chains, plots, train or lab.
        tab: Tab = Tab::Chains;
        /// The open lesson, 1 to 8; 0 means none.
        lesson: usize = 0, in 0 ..= 8;
        /// The step of the lesson, starting at 1.
        lesson_step: usize = 1, in 1 ..= 99;
        /// Bundled model (fashion, fashion-sampler, mnist, mnist-sampler, cifar10-jpeg, fashion-classifier, cifar10-jpeg-classifier, two-moons, two-moons-classifier), or the path of a checkpoint.
        model: String = "fashion".to_string();
        /// Seed of starts and noise: the same seed gives the same chains.
        seed: u64 = 0;
        /// Chains per class, the columns of the grid.
        per_class: usize = 10, in 1 ..= 32, slider 1 ..= 32;
        /// Classes shown, the rows of the grid; an empty list means all.
        classes: Vec<u32> = Vec::new();
        /// Number M of steps after which play stops. Each step needs one full gradient, a step of mala two.
        num_steps: usize = 100, in 1 ..= 100000, slider 1 ..= 2000;
        /// Whether the chains run at once; in the lab, also whether training starts at once.
        play: bool = false;
        /// Largest number of steps per second; 0 means no limit.
        max_steps_per_sec: f64 = 0.0, in 0.0 ..= 1000.0, slider 0.0 ..= 60.0;
    }
}

/// The rule of one lane: how its chains start and move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaneConfig {
    /// The sampler that moves the chains of the lane.
    pub sampler: SamplerConfig,
    /// Where the chains of the lane start.
    pub start: ViewStart,
    /// Whether the chain of class y follows p(x|y) instead of p(x).
    pub is_conditional: bool,
    /// `model.split`: number of pieces of the network in `first_layer`.
    pub split: usize,
    /// `model.norm`: the normalisation of the activations during sampling.
    pub norm: Norm,
}

impl LaneConfig {
    /// Whether chains of the lane have the noise of the data: the sampler adds it, and only chains from the replay buffer have it
    /// from their start.
    pub(crate) fn has_noise(&self, is_start: bool) -> bool {
        let is_moved = !is_start && self.sampler.noise_std > 0.0;
        self.sampler.denoise_step > 0.0 && (is_moved || self.start == ViewStart::Buffer)
    }
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

/// The whole state of the viewer, which a link carries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewState {
    /// The open tab and model, the chains, and the number of steps.
    pub view: ViewConfig,
    /// One to three rules; an empty list means the rule that the model was trained with.
    pub lanes: Vec<LaneConfig>,
    /// The settings of the lab, and its rules.
    pub lab: LabState,
}

impl ViewState {
    /// Whether it shows the lab's plane, and not the chains of a model.
    pub fn shows_plane(&self) -> bool {
        self.view.tab == Tab::Lab && self.lab.config.view == LabView::Plane
    }

    /// The query of a link, without `?`. Keys of `view` have no prefix, and neither have those of the first lane, such as
    /// `sampler.kind`; further lanes have the prefix `lane2.` and `lane3.`. The lab and its first rule have the prefix
    /// `lab.`, its second rule `lab2.`. Keys with their default value are left out.
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
        put("", table_of(&self.view), &table_of(&ViewConfig::default()), false);
        let defaults = table_of(&LaneConfig::default());
        for (index, lane) in self.lanes.iter().enumerate() {
            // A lane with only default values must still appear in the query, and so must the first lane.
            put(&lane_prefix(index), table_of(lane), &defaults, *lane == LaneConfig::default());
        }
        put("lab.", table_of(&self.lab.config), &table_of(&LabConfig::default()), false);
        let defaults = table_of(&default_rule());
        for (index, rule) in self.lab.rules.iter().enumerate() {
            put(
                &rule_prefix(index),
                table_of(rule),
                &defaults,
                index > 0 && *rule == default_rule(),
            );
        }
        query.finish()
    }

    /// Checks every number against its range.
    ///
    /// # Errors
    /// The first number that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.view.check("")?;
        self.lab.config.check("lab.")?;
        let lanes = self.lanes.iter().enumerate().map(|(index, lane)| (lane_prefix(index), lane));
        let rules =
            self.lab.rules.iter().enumerate().map(|(index, rule)| (rule_prefix(index), rule));
        for (prefix, rule) in lanes.chain(rules) {
            rule.sampler.check(&format!("{prefix}sampler."))?;
        }
        Ok(())
    }
}

pub(super) fn table_of(value: &impl Serialize) -> Table {
    match Table::try_from(value) {
        Ok(table) => table,
        Err(error) => unreachable!("a configuration is always a TOML table: {error}"),
    }
}

/// Every value of the table with its full key.
pub(super) fn flat(table: Table) -> Vec<(String, Value)> {
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

/// The prefix of the keys of a lane.
pub(super) fn lane_prefix(lane: usize) -> String {
    match lane {
        0 => String::new(),
        lane => format!("lane{}.", lane + 1),
    }
}

/// The prefix of the keys of a rule of the lab.
pub(super) fn rule_prefix(rule: usize) -> String {
    match rule {
        0 => "lab.".into(),
        rule => format!("lab{}.", rule + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_any_length_of_the_window_is_one_of_the_sampler() {
        let range = |field: &crate::config::Field| field.range;
        let of_window = range(ViewConfig::field("num_steps"));
        assert_eq!(of_window, range(SamplerConfig::field("num_steps")));
    }
}
