//! The chains of the replay buffer as they are shown.

use burn::{module::Module, tensor::Tensor};

use super::Trainer;
use crate::energy::{Energy, JointEnergy, denoised, joined, parts_of, rows};

impl Trainer {
    /// The chains in these slots of the replay buffer, which have these classes, shape (slots, C, H, W): without noise if
    /// `sampler.denoise_step` is above 0.
    pub(crate) fn shown_chains(&self, slots: &[u32], labels: &[u32]) -> Tensor<4> {
        let [c, h, w] = self.input_shape;
        let chains = self.buffer.chains_in(slots).reshape([slots.len(), c, h, w]);
        let step = self.config.sampler.denoise_step;
        if step == 0.0 || slots.is_empty() {
            return chains;
        }
        let network = self.evaluated_network().valid().freeze();
        // As many at a time as in training, so that they fit in memory as the chains of training do.
        let parts = parts_of(slots.len(), self.config.data.batch_size);
        joined(parts.map(|part| {
            let is_conditional = self.config.objective.p_x_y_weight > 0.0;
            let energy = JointEnergy::of_chains(&network, is_conditional, &labels[part.clone()])
                .with_micro_batch(self.config.data.micro_batch);
            let x = rows(&chains, part);
            denoised(x.clone(), energy.gradient(x).gradient, step)
        }))
    }
}
