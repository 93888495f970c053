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
//! The ranks of a run do the same with their rows of the batch, and exchange the logits between the steps 1 and 2: see
//! `among.rs`.
//!
//! # Source
//! Gao et al., arXiv:2101.06983 (gradient cache).

use std::ops::Range;

use burn::{
    module::Module,
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Gradients, Tensor},
};

use super::loss::Loss;
use crate::{
    energy::{joined, parts_of, rows},
    model::Network,
    objective::{ModelSide, Objective, ObjectiveInput, ProbeSide, objective},
};

/// The images of one kind that the loss depends on, and their logits.
pub(super) struct Side {
    /// The images (N, C, H, W).
    x: Tensor<4>,
    /// Whether their pass updates the running statistics of batch norm.
    is_classified: bool,
    /// The logits with their graph, if it is kept.
    with_graph: Option<Tensor<2>>,
    /// The logits (N, classes), without a graph.
    pub(super) logits: Tensor<2>,
}

impl Loss {
    /// The loss of `network` and its gradients, in one pass or in parts of `data.micro_batch` images. The images of the
    /// cross entropy update the running statistics of batch norm.
    pub(super) fn gradients(&self, network: &Network) -> (Objective, GradientsParams) {
        if self.micro_batch == 0 {
            let objective = self.inputs.objective(network, &self.weights);
            let gradients = objective.loss.backward();
            return (objective, GradientsParams::from_grads(gradients, network));
        }
        let sides = self.forward(network);
        let logits: Vec<_> = sides.iter().map(|side| leaf(side.logits.clone())).collect();
        let factor = self.inputs.probes.as_ref().map(|probes| probes.factor.clone());
        let objective = self.objective_of(&logits, factor);
        let of_logits = objective.loss.backward();
        let gradients = self.backward(network, sides, &logits, &of_logits, None);
        (objective, gradients)
    }

    fn size(&self) -> usize {
        if self.micro_batch == 0 { usize::MAX } else { self.micro_batch }
    }

    /// Passes all images through the network: the data, the same as the cross entropy sees them, the chains, the images with a high
    /// energy, the ends of the probes; what the loss does not need is left out. Only a pass of all images at once keeps its graph.
    pub(super) fn forward(&self, network: &Network) -> Vec<Side> {
        let inputs = &self.inputs;
        let is_split = inputs.x_augmented.is_some();
        let ends = inputs.probes.iter().flat_map(|probes| probes.ends.clone());
        let sides = [
            Some((inputs.x_data.clone(), !is_split)),
            inputs.x_augmented.clone().map(|x| (x, true)),
            inputs.model.as_ref().map(|(x, _)| (x.clone(), false)),
            inputs.x_high.clone().map(|x| (x, false)),
        ];
        let sides = sides.into_iter().flatten().chain(ends.map(|x| (x.autodiff(), false)));
        let aside = network.aside();
        let still = aside.clone().no_grad();
        let pass = |(x, is_classified): (Tensor<4>, bool)| {
            if self.micro_batch == 0 {
                let network = if is_classified { network } else { &aside };
                let logits = network.logits(x.clone());
                let value = logits.clone().without_autodiff();
                return Side { x, is_classified, with_graph: Some(logits), logits: value };
            }
            let parts = parts_of(x.dims()[0], self.size());
            let logits = parts.map(|part| still.logits(rows(&x, part)).without_autodiff());
            let logits = joined(logits);
            Side { x, is_classified, with_graph: None, logits }
        };
        sides.map(pass).collect()
    }

    /// The loss of the logits of all sides, in the order of [`Self::forward`], each (N, classes).
    pub(super) fn objective_of(
        &self,
        logits: &[Tensor<2>],
        factor: Option<Tensor<1>>,
    ) -> Objective {
        let inputs = &self.inputs;
        let mut rest = logits.iter().cloned();
        let mut next = || match rest.next() {
            Some(logits) => logits,
            None => unreachable!("every side has logits"),
        };
        let logits_data = next();
        let logits_augmented = inputs.x_augmented.as_ref().map(|_| next());
        let model = inputs.model.as_ref();
        let model = model.map(|(_, labels)| ModelSide { logits: next(), labels: labels.clone() });
        let logits_high = inputs.x_high.as_ref().map(|_| next());
        let probes = factor.map(|factor| ProbeSide { logits: [next(), next()], factor });
        let input = ObjectiveInput {
            logits_data,
            logits_augmented,
            labels_data: inputs.labels_data.clone(),
            logits_high,
            probes,
            compares: inputs.compares,
            model,
        };
        objective(&self.weights, input)
    }

    /// The gradients of the weights, from those of the loss by the `logits` that it was computed of. `own` are the rows of
    /// these sides among the rows of the logits; all, if there is none.
    pub(super) fn backward(
        &self,
        network: &Network,
        sides: Vec<Side>,
        logits: &[Tensor<2>],
        of_logits: &Gradients,
        own: Option<Range<usize>>,
    ) -> GradientsParams {
        let aside = network.aside();
        let (mut sum, mut whole) = (GradientsAccumulator::new(), None::<Tensor<1>>);
        for (side, logits) in sides.into_iter().zip(logits) {
            // The loss does not depend on this side if its weights are 0.
            let Some(gradient) = logits.grad(of_logits) else { continue };
            let gradient = match own.clone() {
                Some(own) => rows(&gradient, own),
                None => gradient,
            };
            if let Some(logits) = side.with_graph {
                let loss = (logits * gradient.autodiff()).sum();
                whole = Some(match whole {
                    Some(sum) => sum + loss,
                    None => loss,
                });
                continue;
            }
            let network_of_side = if side.is_classified { network } else { &aside };
            for part in parts_of(side.x.dims()[0], self.size()) {
                let logits = network_of_side.logits(rows(&side.x, part.clone()));
                let loss = (logits * rows(&gradient, part).autodiff()).sum();
                let gradients = GradientsParams::from_grads(loss.backward(), network);
                sum.accumulate(network, gradients);
            }
        }
        match whole {
            Some(loss) => GradientsParams::from_grads(loss.backward(), network),
            None => sum.grads(),
        }
    }
}

/// Logits as the start of a graph.
pub(super) fn leaf(logits: Tensor<2>) -> Tensor<2> {
    logits.autodiff().require_grad()
}
