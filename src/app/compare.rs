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
        name: "SGLD vs. Proximal SGLD: step size too large",
        point: "Same starts, same noise, and the same step size, much too large. Nothing limits SGLD (lane 1): its \
                pixels can leave [-1, 1], where no image is, and its energy can fall without limit. The proximal \
                step (lane 2) clips the gradient to ±r and keeps every pixel in the box, so it stays stable.",
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
        name: "Starts: noise vs. class centres",
        point: "The model's sampler from two starts. Chains from the Gaussian of their class (lane 2) begin near \
                the data, as their class. Chains from uniform noise (lane 1) begin far away, where a model may have \
                valleys without images. Do they come to look like images, and is their energy as low?",
        num_steps: 100,
        lanes: |sampler| {
            vec![(sampler.clone(), ViewStart::Uniform), (sampler.clone(), ViewStart::ClassCenters)]
        },
    },
    Comparison {
        name: "PYLD vs. SGLD at equal gradients",
        point: "Both lanes compute one full gradient per step, and this takes most of the time. PYLD (lane 1) \
                uses each for 10 moves through the first layer, SGLD (lane 2) for one of the same size, so SGLD \
                needs several times as many steps. Its energy may end lower, because its pixels may leave \
                [-1, 1]. To compare time, set the plot's axis to seconds. The first layer here is affine, so the \
                10 moves equal one proximal step of 10α.",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_true_of_any_model() {
        for comparison in COMPARISONS {
            for of_one_model in ["Fashion", "MNIST", "CIFAR", "five times", "13 steps"] {
                assert!(!comparison.point.contains(of_one_model), "{}", comparison.name);
            }
        }
    }

    #[test]
    fn lanes_are_called_by_their_number_because_they_may_lie_below_each_other() {
        for comparison in COMPARISONS {
            let point = comparison.point;
            assert!(point.contains("(lane 1)") && point.contains("(lane 2)"), "{point}");
            assert!(!point.contains("(left)") && !point.contains("(right)"), "{point}");
        }
    }
}
