//! The chains of the replay buffer as they are shown.

use burn::{module::Module, tensor::Tensor};

use super::Trainer;
use crate::energy::{Energy, JointEnergy, denoised};

impl Trainer {
    /// The chains in these slots of the replay buffer, shape (slots, C, H, W), without noise if `sampler.denoise_step` is above 0.
    pub(crate) fn shown_chains(&self, slots: &[u32]) -> Tensor<4> {
        let [c, h, w] = self.input_shape;
        let chains = self.buffer.chains_in(slots).reshape([slots.len(), c, h, w]);
        let step = self.config.sampler.denoise_step;
        if step == 0.0 {
            return chains;
        }
        let energy = JointEnergy::new(&self.evaluated_network().valid().freeze())
            .with_micro_batch(self.config.data.micro_batch);
        denoised(chains.clone(), energy.gradient(chains).gradient, step)
    }
}
