//! The optimiser of the weights and its learning-rate schedule.

use burn::{
    grad_clipping::GradientClippingConfig,
    optim::{
        AdamConfig, ModuleOptimizer, SgdConfig, decay::WeightDecayConfig, momentum::MomentumConfig,
    },
};

use crate::config::{OptimizerConfig, OptimizerKind};

/// The learning rate of a step: linear warm-up, then a factor at each decay epoch.
pub(crate) fn learning_rate(config: &OptimizerConfig, step: u64, steps_per_epoch: u64) -> f64 {
    let epoch = step / steps_per_epoch;
    let decays = config.decay_epochs.iter().filter(|&&at| epoch >= at as u64).count();
    let warmup = ((step + 1) as f64 / config.warmup_steps.max(1) as f64).min(1.0);
    config.learning_rate * warmup * config.decay_factor.powi(decays as i32)
}

/// The optimiser of a configuration, with PyTorch's conventions where burn's defaults differ.
pub(crate) fn build(config: &OptimizerConfig) -> ModuleOptimizer {
    let decay =
        (config.weight_decay > 0.0).then(|| WeightDecayConfig::new(config.weight_decay as f32));
    let clip = (config.gradient_clip_norm > 0.0)
        .then_some(GradientClippingConfig::Norm(config.gradient_clip_norm as f32));
    match config.kind {
        OptimizerKind::Adam => AdamConfig::new()
            .with_beta_1(config.momentum as f32)
            // PyTorch's, which published recipes presume; burn's default is 1e-5.
            .with_epsilon(1e-8)
            .with_weight_decay(decay)
            .with_grad_clipping(clip)
            .init(),
        OptimizerKind::Sgd => {
            // PyTorch's momentum, which the recipe's learning rate presumes, has no dampening.
            let momentum = MomentumConfig::new().with_momentum(config.momentum).with_dampening(0.0);
            SgdConfig::new()
                .with_momentum((config.momentum > 0.0).then_some(momentum))
                .with_weight_decay(decay)
                .with_gradient_clipping(clip)
                .init()
        }
    }
}
