//! The gradients of the loss with respect to the weights: of the whole batch in one pass, or in parts that need less
//! memory.
//!
//! The loss is a function of all logits of the batch, and not always a mean over images: the softplus of a gap of means is
//! not. So a batch in parts takes three steps:
//!
//! 1. All parts pass through the network without a graph, which gives all logits.
//! 2. The loss of all logits, and its gradients ∂L/∂logits.
//! 3. Each part passes again, now with a graph, and the gradient of `Σ logits · ∂L/∂logits` is added up.
//!
//! The sum is the gradient of the whole batch, up to rounding, unless batch norm takes its statistics from each part.
//!
//! # Source
//! Gao et al., arXiv:2101.06983 (gradient cache).

use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::Tensor,
};

use super::step::Loss;
use crate::{
    energy::{joined, parts_of, rows},
    model::Network,
    objective::{ModelSide, Objective, ObjectiveInput, ProbeSide, objective},
};

impl Loss {
    /// The loss of `network` and its gradients, in one pass or in parts of `data.micro_batch` images. The images of the
    /// cross entropy update the running statistics of batch norm.
    pub(super) fn gradients(&self, network: &Network) -> (Objective, GradientsParams) {
        match self.micro_batch {
            0 => {
                let objective = self.inputs.objective(network, &self.weights);
                let gradients = objective.loss.backward();
                (objective, GradientsParams::from_grads(gradients, network))
            }
            size => self.gradients_in_parts(network, size),
        }
    }

    fn gradients_in_parts(&self, network: &Network, size: usize) -> (Objective, GradientsParams) {
        let Self { inputs, weights, .. } = self;
        let parts = |x: &Tensor<4>| parts_of(x.dims()[0], size);
        let still = network.aside().no_grad();
        let logits_of = |x: &Tensor<4>| {
            let logits = parts(x).map(|part| still.logits(rows(x, part)).without_autodiff());
            joined(logits).autodiff().require_grad()
        };
        let logits_data = logits_of(&inputs.x_data);
        let logits_augmented = inputs.x_augmented.as_ref().map(logits_of);
        let model = inputs
            .model
            .as_ref()
            .map(|(x, labels)| ModelSide { logits: logits_of(x), labels: labels.clone() });
        let logits_model = model.as_ref().map(|side| side.logits.clone());
        let logits_high = inputs.x_high.as_ref().map(logits_of);
        let ends = inputs
            .probes
            .as_ref()
            .map(|probes| probes.ends.each_ref().map(|x| x.clone().autodiff()));
        let logits_of_ends = ends.as_ref().map(|ends| ends.each_ref().map(logits_of));
        let probes = inputs.probes.as_ref().zip(logits_of_ends.clone());
        let probes =
            probes.map(|(probes, logits)| ProbeSide { logits, factor: probes.factor.clone() });
        let objective = objective(
            weights,
            ObjectiveInput {
                logits_data: logits_data.clone(),
                logits_augmented: logits_augmented.clone(),
                labels_data: inputs.labels_data.clone(),
                logits_high: logits_high.clone(),
                probes,
                compares: inputs.compares,
                model,
            },
        );
        let of_logits = objective.loss.backward();

        let aside = network.aside();
        let for_data = if logits_augmented.is_some() { &aside } else { network };
        let sides = [
            Some((for_data, &inputs.x_data, logits_data)),
            inputs
                .x_augmented
                .as_ref()
                .zip(logits_augmented)
                .map(|(x, logits)| (network, x, logits)),
            inputs.model.as_ref().zip(logits_model).map(|((x, _), logits)| (&aside, x, logits)),
            inputs.x_high.as_ref().zip(logits_high).map(|(x, logits)| (&aside, x, logits)),
        ];
        let ends = ends.iter().flatten().zip(logits_of_ends.into_iter().flatten());
        let ends = ends.map(|(x, logits)| (&aside, x, logits));
        let mut sum = GradientsAccumulator::new();
        for (network_of_side, x, logits) in sides.into_iter().flatten().chain(ends) {
            // The loss does not depend on this side if its weights are 0.
            let Some(gradient) = logits.grad(&of_logits) else { continue };
            for part in parts(x) {
                let logits = network_of_side.logits(rows(x, part.clone()));
                let loss = (logits * rows(&gradient, part).autodiff()).sum();
                let gradients = GradientsParams::from_grads(loss.backward(), network);
                sum.accumulate(network, gradients);
            }
        }
        (objective, sum.grads())
    }
}
