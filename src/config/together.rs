//! Checks of keys that depend on each other.

use super::{ConfigError, ModelConfig, Norm, RunConfig, SamplerKind, StepSchedule};

impl RunConfig {
    /// Checks that the keys are compatible.
    ///
    /// # Errors
    /// The first keys that are not, with settings that are.
    pub(super) fn check_together(&self) -> Result<(), ConfigError> {
        self.check_norm()?;
        self.check_adversary()?;
        self.check_stages()?;
        self.check_mala()
    }

    /// Checks that there are statistics of batch norm for the ranks to share.
    fn check_norm(&self) -> Result<(), ConfigError> {
        let ModelConfig { norm, sync_batch_norm, .. } = &self.model;
        if !sync_batch_norm || matches!(norm, Norm::Batch | Norm::Frozen) {
            return Ok(());
        }
        Err(ConfigError::Invalid(
            "model.sync_batch_norm shares the statistics of batch norm between ranks, and there are none: set model.norm = batch, \
             or model.sync_batch_norm = false"
                .into(),
        ))
    }

    /// Checks that the radius of adversarial training and the terms that need it are set together.
    fn check_adversary(&self) -> Result<(), ConfigError> {
        let section = &self.objective;
        let (is_attacked, has_gap) =
            (section.adversarial_radius > 0.0, section.adversarial_gap_weight > 0.0);
        let wrong = if has_gap && !is_attacked {
            "objective.adversarial_gap_weight compares images with others within objective.adversarial_radius, which is 0: \
             set it too, to 0.5 with objective.adversarial_norm = l2"
        } else if is_attacked && !has_gap && section.p_y_given_x_weight == 0.0 {
            "objective.adversarial_radius changes the images of the cross entropy, whose weight \
             objective.p_y_given_x_weight is 0: set that above 0, or the radius to 0"
        } else {
            return Ok(());
        };
        Err(ConfigError::Invalid(wrong.into()))
    }

    /// Checks that a curriculum has chains and begins below its end, and that the epochs of the classifier alone have a
    /// loss and leave some for the rest.
    fn check_stages(&self) -> Result<(), ConfigError> {
        let Self { objective, sampler, training, .. } = self;
        let (first, last) = (sampler.num_steps, training.max_chain_steps);
        let (alone, all) = (training.classifier_epochs, training.epochs);
        let wrong = if last > 0 && !objective.needs_chains() {
            format!(
                "training.max_chain_steps = {last} is a curriculum of chains, and no term of the loss needs chains: set it to 0, \
                 or objective.p_x_weight above 0"
            )
        } else if last > 0 && last < first {
            format!(
                "training.max_chain_steps = {last} is below sampler.num_steps = {first}, with which the curriculum begins: set \
                 a lower sampler.num_steps, or training.max_chain_steps = 0 for no curriculum"
            )
        } else if alone > 0 && objective.p_y_given_x_weight == 0.0 {
            format!(
                "training.classifier_epochs = {alone} trains with the cross entropy alone, whose weight \
                 objective.p_y_given_x_weight is 0: set that above 0, or training.classifier_epochs = 0"
            )
        } else if alone >= all && objective.needs_energies() {
            format!(
                "training.classifier_epochs = {alone} leaves none of training.epochs = {all} for the energy: set fewer, or more \
                 training.epochs"
            )
        } else {
            return Ok(());
        };
        Err(ConfigError::Invalid(wrong))
    }

    /// Checks that MALA has noise, and that the energy of a chain does not depend on other chains.
    fn check_mala(&self) -> Result<(), ConfigError> {
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
}
