//! The state of the lab as one value.

use serde::{Deserialize, Serialize};

use super::{DatasetName, Field, LaneConfig, SamplerConfig, SamplerKind, StepSchedule, ViewStart};

/// The largest number of rules side by side in the lab.
pub(crate) const MAX_RULES: usize = 2;
/// The largest number of Gaussians of a painted density.
pub const MAX_DABS: usize = 128;

choices! {
    /// The density whose energy the chains of the lab sample.
    LabTarget {
        /// One long and narrow Gaussian: its narrow direction limits the step size.
        Gaussian,
        /// Three Gaussians of different weights and widths.
        Mixture,
        /// A ring: a closed valley of low energy.
        Ring,
        /// The banana of Haario et al.: a bent valley.
        Banana,
        /// Two interleaved half circles.
        TwoMoons,
        /// Eight narrow Gaussians on a circle.
        EightGaussians,
        /// Neal's funnel: a step size that is right for the wide mouth is too large for the narrow neck.
        Funnel,
        /// A density that you paint with the pointer.
        Painted,
        /// A trained network, the one that `lab.model` names.
        Model,
        /// The network that the lab is training.
        Learned,
    }
}

choices! {
    /// The density that the histogram of the chains is compared with.
    LabReference {
        /// p(x), the density of the model.
        Model,
        /// p(x)^β with β = 2α/σ², the density that the sampler follows with small steps.
        Tempered,
    }
}

choices! {
    /// The content of the plane.
    LabView {
        /// The chains as points on a 2-D energy.
        Plane,
        /// The energy of the image model on the plane through a chain's path.
        Slice,
    }
}

section! {
    /// The settings of the lab.
    LabConfig {
        /// What the plane shows: plane or slice.
        view: LabView = LabView::Plane;
        /// The density whose energy is shown: gaussian, mixture, ring, banana, two-moons, eight-gaussians, funnel, painted, model or learned.
        target: LabTarget = LabTarget::TwoMoons;
        /// The bundled 2-D model for the target `model`: two-moons or two-moons-classifier.
        model: String = "two-moons".to_string();
        /// Factor on the widths of the density, if it is given by a formula.
        width: f64 = 1.0, in 0.2 ..= 5.0, slider 0.5 ..= 3.0;
        /// The painted density: x and y of each brush dab, in hundredths.
        painted: Vec<i32> = Vec::new();
        /// Number of chains.
        num_chains: usize = 1000, in 1 ..= 10000, slider 1 ..= 10000;
        /// Seed of starts and noise: the same seed gives the same chains.
        seed: u64 = 0;
        /// Largest number of steps per second; 0 means no limit.
        max_steps_per_sec: f64 = 30.0, in 0.0 ..= 1000.0, slider 0.0 ..= 120.0;
        /// Number of steps after which the chains stop; 0 means never.
        num_steps: usize = 0, in 0 ..= 1000000;
        /// The point that all chains start from, if they start from a point: x and y, in hundredths.
        point: Vec<i32> = Vec::new();
        /// The density that the chains are compared with: model is p(x), tempered is p(x)^β.
        reference: LabReference = LabReference::Tempered;
        /// Whether lines of equal energy are drawn.
        contours: bool = true;
        /// Whether the paths of the chains are drawn.
        trails: bool = true;
        /// Whether arrows are drawn: one step along −∂E/∂x, and the same step with the gradient clipped.
        arrows: bool = false;
        /// Whether the plane is coloured by the most probable class instead of by energy.
        decisions: bool = false;
        /// The data set to train on: two-moons, eight-gaussians, spiral, rings, checkerboard or pinwheel.
        learn_data: DatasetName = DatasetName::TwoMoons;
        /// Weight of the p(x) term of the loss; 0 trains a plain classifier.
        learn_weight: f64 = 1.0, in 0.0 ..= 10.0, slider 0.0 ..= 3.0;
        /// Learning rate of the optimiser.
        learn_rate: f64 = 0.002, in 0.00001 ..= 0.2, slider 0.0001 ..= 0.05;
        /// Number K of chain steps per training step.
        learn_chain_steps: usize = 20, in 1 ..= 200, slider 1 ..= 50;
        /// Step size α of the chain steps during training.
        learn_step_size: f64 = 0.00025, in 0.00001 ..= 1.0, slider 0.00001 ..= 0.05;
        /// Standard deviation σ of the noise in the chain steps during training.
        learn_noise_std: f64 = 0.02236, in 0.0 ..= 1.0, slider 0.0 ..= 0.2;
    }
}

/// The settings of the lab with its rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabState {
    /// The energy, the chains and the view of the lab.
    pub config: LabConfig,
    /// One or two rules: how the chains start and move.
    pub rules: Vec<LaneConfig>,
}

impl Default for LabState {
    fn default() -> Self {
        Self { config: LabConfig::default(), rules: vec![default_rule()] }
    }
}

/// The rule that the lab starts with: temperature 1, and a step size that is stable in the narrowest valley.
pub fn default_rule() -> LaneConfig {
    LaneConfig {
        sampler: SamplerConfig {
            kind: SamplerKind::Sgld,
            step_size: 0.0005,
            noise_std: 0.0316,
            proximal_radius: 20.0,
            inner_step_size: 0.0001,
            num_inner_steps: 5,
            step_schedule: StepSchedule::Constant,
            ..SamplerConfig::default()
        },
        start: ViewStart::Uniform,
        ..LaneConfig::default()
    }
}

impl LabState {
    /// Whether the chains begin at their starts when this state follows `before`: if their energy has another source, or their
    /// number, their seed or their starts differ.
    pub fn begins_anew_after(&self, before: &Self) -> bool {
        let (old, new) = (&before.config, &self.config);
        let starts = |state: &Self| -> Vec<_> {
            let point = |start| (start == ViewStart::Image).then(|| state.config.point.clone());
            state.rules.iter().map(|rule| (rule.start, point(rule.start))).collect()
        };
        new.has_other_source_than(old)
            || (old.num_chains, old.seed) != (new.num_chains, new.seed)
            || starts(before) != starts(self)
    }
}

impl LabConfig {
    /// Whether the energy comes from another formula, network or data set.
    pub fn has_other_source_than(&self, before: &Self) -> bool {
        (before.target, &before.model) != (self.target, &self.model)
            || self.target == LabTarget::Learned && before.learn_data != self.learn_data
    }

    /// The point that chains may start from; the centre if none was set.
    pub fn start_point(&self) -> [f32; 2] {
        match self.point[..] {
            [x, y] => [x as f32 / 100.0, y as f32 / 100.0],
            _ => [0.0, 0.0],
        }
    }

    /// The centres of the dabs of the painted density, at most [`MAX_DABS`].
    pub fn dabs(&self) -> impl Iterator<Item = [f32; 2]> {
        let pairs = self.painted.chunks_exact(2).take(MAX_DABS);
        pairs.map(|pair| [pair[0] as f32 / 100.0, pair[1] as f32 / 100.0])
    }

    /// The help text of one key, without surrounding spaces.
    pub fn help(name: &str) -> &'static str {
        Self::field(name).help.trim()
    }
}
