//! What the lab shows, as one value.

use serde::{Deserialize, Serialize};

use super::{DatasetName, Field, LaneConfig, SamplerConfig, SamplerKind, StepSchedule, ViewStart};

/// Most rules side by side in the lab.
pub const MAX_RULES: usize = 2;
/// Most Gaussians of a painted density.
pub const MAX_DABS: usize = 128;

choices! {
    /// Whose energy the lab's chains walk on.
    LabTarget {
        /// One Gaussian, longer than it is wide: the narrow direction bounds the step size.
        Gaussian,
        /// Three Gaussians of different weight and width.
        Mixture,
        /// A ring: a valley without an end.
        Ring,
        /// A valley that is bent, after Haario et al.
        Banana,
        /// Two interleaved half circles.
        TwoMoons,
        /// Eight narrow Gaussians on a circle.
        EightGaussians,
        /// Neal's funnel: its neck is too narrow for the step that its mouth needs.
        Funnel,
        /// The density that you paint.
        Painted,
        /// A trained network, `lab.model`.
        Model,
        /// The network that the lab is training.
        Learned,
    }
}

choices! {
    /// What the chains' histogram is compared with.
    LabReference {
        /// p(x), the model as it is.
        Model,
        /// p(x)^β with β = 2α/σ², what the rule would sample with small steps.
        Tempered,
    }
}

choices! {
    /// What the plane shows.
    LabView {
        /// Points in the plane on a 2-D energy.
        Plane,
        /// The energy of the image model on the plane through a chain's path.
        Slice,
    }
}

section! {
    /// The lab.
    LabConfig {
        /// What the plane shows: plane or slice.
        view: LabView = LabView::Plane;
        /// Whose energy it is: gaussian, mixture, ring, banana, two-moons, eight-gaussians, funnel, painted, model or learned.
        target: LabTarget = LabTarget::TwoMoons;
        /// Bundled 2-D model, for the target `model`: two-moons or two-moons-classifier.
        model: String = "two-moons".to_string();
        /// Factor on the widths of an analytic density.
        width: f64 = 1.0, in 0.2 ..= 5.0, slider 0.5 ..= 3.0;
        /// Painted density: x and y of every dab, in hundredths.
        painted: Vec<i32> = Vec::new();
        /// Chains.
        num_chains: usize = 1000, in 1 ..= 10000, slider 1 ..= 10000;
        /// Seed of starts and noise: the same seed gives the same chains.
        seed: u64 = 0;
        /// Steps per second at most; 0 is as fast as it goes.
        max_steps_per_sec: f64 = 30.0, in 0.0 ..= 1000.0, slider 0.0 ..= 120.0;
        /// Stop after so many steps; 0 goes on.
        num_steps: usize = 0, in 0 ..= 1000000;
        /// Where all chains begin if they begin from a point: x and y, in hundredths.
        point: Vec<i32> = Vec::new();
        /// What the chains are compared with: model, p(x), or tempered, p(x)^β.
        reference: LabReference = LabReference::Tempered;
        /// Lines of equal energy.
        contours: bool = true;
        /// Traces of where chains have been.
        trails: bool = true;
        /// Arrows: one step along −∂E/∂x, and what the clamp leaves of it.
        arrows: bool = false;
        /// Colour by the most probable class instead of by energy.
        decisions: bool = false;
        /// Data set to learn: two-moons, eight-gaussians, spiral, rings, checkerboard or pinwheel.
        learn_data: DatasetName = DatasetName::TwoMoons;
        /// Weight of the p(x) term; 0 trains a plain classifier.
        learn_weight: f64 = 1.0, in 0.0 ..= 10.0, slider 0.0 ..= 3.0;
        /// Learning rate.
        learn_rate: f64 = 0.002, in 0.00001 ..= 0.2, slider 0.0001 ..= 0.05;
        /// K: steps of the chains for each training step.
        learn_chain_steps: usize = 20, in 1 ..= 200, slider 1 ..= 50;
        /// α of these steps.
        learn_step_size: f64 = 0.00025, in 0.00001 ..= 1.0, slider 0.00001 ..= 0.05;
        /// σ of these steps.
        learn_noise_std: f64 = 0.02236, in 0.0 ..= 1.0, slider 0.0 ..= 0.2;
    }
}

/// The lab with its rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LabState {
    /// Energy, chains and view of the lab.
    pub config: LabConfig,
    /// One to [`MAX_RULES`] rules.
    pub rules: Vec<LaneConfig>,
}

impl Default for LabState {
    fn default() -> Self {
        Self { config: LabConfig::default(), rules: vec![default_rule()] }
    }
}

/// The rule that the lab begins with: temperature 1, a step that the narrowest valley bears.
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

impl LabConfig {
    /// The point that chains may begin from; the centre if none was set.
    pub fn start_point(&self) -> [f32; 2] {
        match self.point[..] {
            [x, y] => [x as f32 / 100.0, y as f32 / 100.0],
            _ => [0.0, 0.0],
        }
    }

    /// Centres of the dabs of the painted density, at most [`MAX_DABS`].
    pub fn dabs(&self) -> impl Iterator<Item = [f32; 2]> {
        let pairs = self.painted.chunks_exact(2).take(MAX_DABS);
        pairs.map(|pair| [pair[0] as f32 / 100.0, pair[1] as f32 / 100.0])
    }

    /// Help of one key, as people read it.
    pub fn help(name: &str) -> &'static str {
        Self::field(name).help.trim()
    }
}
