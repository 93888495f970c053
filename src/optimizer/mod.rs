//! The optimiser of the weights, its learning rate schedule, sharpness-aware minimisation and the average of the
//! weights.

mod average;
#[cfg(not(target_arch = "wasm32"))]
mod restored;
mod sharpness;

use burn::{
    grad_clipping::GradientClippingConfig,
    optim::{
        AdamConfig, ModuleOptimizer, SgdConfig, decay::WeightDecayConfig, momentum::MomentumConfig,
    },
};

use crate::config::{LearningRateSchedule, OptimizerConfig, OptimizerKind};

pub(crate) use average::WeightAverage;
#[cfg(not(target_arch = "wasm32"))]
use restored::RestoredOnCpu;
pub(crate) use sharpness::climb;

/// The learning rate of a step in a run of `num_epochs`: linear warm-up, then the schedule.
///
/// Differs from JEMPP: warm-up step t = 0, 1, … of W uses (t + 1)/W of the learning rate, so that every step has an
/// effect. JEMPP uses t/W, and its first step changes nothing.
pub(crate) fn learning_rate(
    config: &OptimizerConfig,
    step: u64,
    steps_per_epoch: u64,
    num_epochs: usize,
) -> f64 {
    let warmup = ((step + 1) as f64 / config.warmup_steps.max(1) as f64).min(1.0);
    let factor = match config.schedule {
        LearningRateSchedule::Steps => {
            let epoch = step / steps_per_epoch;
            let decays = config.decay_epochs.iter().filter(|&&at| epoch >= at as u64).count();
            config.decay_factor.powi(decays as i32)
        }
        LearningRateSchedule::Cosine => {
            let (first, last) = (config.warmup_steps as f64, steps_per_epoch * num_epochs as u64);
            let length = (last as f64 - first).max(1.0);
            let progress = ((step as f64 - first) / length).clamp(0.0, 1.0);
            0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
        }
    };
    config.learning_rate * warmup * factor
}

/// The optimiser of a configuration, with PyTorch's conventions where burn has other defaults. Its state can be
/// restored on a computer without a graphics adapter. The page restores none; its optimisers are burn's own, which are
/// smaller.
pub(crate) fn build(config: &OptimizerConfig) -> ModuleOptimizer {
    let decay =
        (config.weight_decay > 0.0).then(|| WeightDecayConfig::new(config.weight_decay as f32));
    let optimizer: ModuleOptimizer = match config.kind {
        OptimizerKind::Adam => {
            let adam = AdamConfig::new()
                .with_beta_1(config.momentum as f32)
                // PyTorch's default, which published recipes assume; burn's default is 1e-5.
                .with_epsilon(1e-8)
                .with_weight_decay(decay);
            #[cfg(target_arch = "wasm32")]
            let adam = adam.init();
            #[cfg(not(target_arch = "wasm32"))]
            let adam = RestoredOnCpu(adam.build()).into();
            adam
        }
        OptimizerKind::Sgd => {
            // PyTorch's momentum has no dampening, and the learning rate of the recipe assumes that.
            let momentum = MomentumConfig::new().with_momentum(config.momentum).with_dampening(0.0);
            let sgd = SgdConfig::new()
                .with_momentum((config.momentum > 0.0).then_some(momentum))
                .with_weight_decay(decay);
            #[cfg(target_arch = "wasm32")]
            let sgd = sgd.init();
            #[cfg(not(target_arch = "wasm32"))]
            let sgd = RestoredOnCpu(sgd.build()).into();
            sgd
        }
    };
    match config.gradient_clip_norm > 0.0 {
        true => {
            let clip = GradientClippingConfig::Norm(config.gradient_clip_norm as f32);
            optimizer.with_grad_clipping(clip.init())
        }
        false => optimizer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_rates_warm_up_then_follow_their_schedule() {
        let mut config = OptimizerConfig {
            learning_rate: 1.0,
            warmup_steps: 10,
            decay_epochs: vec![2, 3],
            decay_factor: 0.1,
            ..OptimizerConfig::default()
        };
        let at = |config: &OptimizerConfig, step| learning_rate(config, step, 100, 4);
        assert!((at(&config, 4) - 0.5).abs() < 1e-12);
        assert_eq!([199, 200, 300].map(|step| at(&config, step)), [1.0, 0.1, 0.1f64.powi(2)]);
        config.schedule = LearningRateSchedule::Cosine;
        assert!((at(&config, 4) - 0.5).abs() < 1e-12);
        assert!((at(&config, 205) - 0.5).abs() < 1e-12, "half way after the warm-up");
        assert!(at(&config, 399) < 1e-4 && at(&config, 399) > 0.0);
    }
}
