//! Built-in comparisons of sampling rules, which open with one click.

use crate::{
    config::{LaneConfig, SamplerConfig, SamplerKind, StepSchedule, ViewStart},
    worker::ModelInfo,
};

/// Several rules side by side that demonstrate one point.
pub(super) struct Comparison {
    /// The text of the button.
    pub name: &'static str,
    /// What the comparison shows, and why.
    pub point: &'static str,
    /// The number of chain steps (M in the papers).
    pub num_steps: usize,
    lanes: fn(&SamplerConfig) -> Vec<(SamplerConfig, ViewStart)>,
}

impl Comparison {
    /// The rules of this comparison, adapted to a model.
    pub(super) fn lanes(&self, model: &ModelInfo) -> Vec<LaneConfig> {
        let lanes = (self.lanes)(&model.sampler).into_iter();
        lanes.map(|(sampler, start)| LaneConfig { sampler, start, ..model.lane() }).collect()
    }
}

/// The built-in comparisons. They follow the claims of the JEM++ paper (arXiv:2109.09032).
pub(super) const COMPARISONS: &[Comparison] = &[
    Comparison {
        name: "SGLD against Proximal SGLD at a step too large",
        point: "Same starts, same noise, same step size, five times too large. Nothing holds SGLD (left): its \
                pixels run out of [-1, 1], where no image is, and its energy falls without end. The proximal \
                step (right) clamps the gradient at ±r and puts every pixel back into the box: it stays.",
        num_steps: 60,
        lanes: |_| {
            let rule = |kind| SamplerConfig {
                kind,
                step_size: 5.0,
                noise_std: 0.01,
                proximal_radius: 0.05,
                step_schedule: StepSchedule::Constant,
                ..SamplerConfig::default()
            };
            vec![
                (rule(SamplerKind::Sgld), ViewStart::ClassCenters),
                (rule(SamplerKind::ProximalSgld), ViewStart::ClassCenters),
            ]
        },
    },
    Comparison {
        name: "Noise against class centres",
        point: "The same rule from two starts. Chains from the Gaussian of their class (right) begin near the \
                data: in a few steps each row is its class. Chains from uniform noise (left) have far to go: \
                the bundled garments' stay noise, in dips of higher energy.",
        num_steps: 100,
        lanes: |sampler| {
            vec![(sampler.clone(), ViewStart::Uniform), (sampler.clone(), ViewStart::ClassCenters)]
        },
    },
    Comparison {
        name: "PYLD-5-10 against SGLD-50, gradient by gradient",
        point: "Both lanes do one full gradient a step, which is what costs time. PYLD (left) uses each for 10 \
                moves through the first layer, SGLD (right) for one. What PYLD reaches at step 5 takes SGLD \
                13 steps on the bundled garments; SGLD ends lower only because its pixels may leave [-1, 1]. Set the plot's axis to seconds to compare time. The first layer here is \
                affine, so the 10 moves are one proximal step of 10α.",
        num_steps: 50,
        lanes: |_| {
            let rule = SamplerConfig {
                inner_step_size: 0.2,
                num_inner_steps: 10,
                step_schedule: StepSchedule::Constant,
                ..SamplerConfig::default()
            };
            let pyld = SamplerConfig { kind: SamplerKind::Pyld, ..rule.clone() };
            let sgld =
                SamplerConfig { kind: SamplerKind::Sgld, step_size: 0.2, noise_std: 0.01, ..rule };
            vec![(pyld, ViewStart::ClassCenters), (sgld, ViewStart::ClassCenters)]
        },
    },
];
