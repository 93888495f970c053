//! The loss of one training step as a function of the network.

use burn::tensor::{Int, Tensor};

use super::near_data::Probes;
use crate::{
    config::ObjectiveConfig,
    model::Network,
    objective::{ModelSide, Objective, ObjectiveInput, ProbeSide, objective},
};

/// The loss of one step as a function of the network.
pub(super) struct Loss {
    pub(super) inputs: Inputs,
    /// The weights of its terms.
    pub(super) weights: ObjectiveConfig,
    /// The number of images that pass at a time; 0 means all.
    pub(super) micro_batch: usize,
}

/// The inputs of the loss of one step, besides the network. Images have shape (N, C, H, W).
pub(super) struct Inputs {
    pub(super) x_data: Tensor<4>,
    pub(super) x_augmented: Option<Tensor<4>>,
    pub(super) labels_data: Tensor<1, Int>,
    pub(super) x_high: Option<Tensor<4>>,
    pub(super) probes: Option<Probes>,
    pub(super) compares: bool,
    pub(super) model: Option<(Tensor<4>, Tensor<1, Int>)>,
}

impl Inputs {
    /// Computes the loss of `network`. Only the images of the cross entropy update its running statistics: evaluation,
    /// which uses these, classifies images, and chains may be far from images.
    ///
    /// Differs from JEMPP: there every pass updates them, also that of the chains; the pass of the cross entropy is
    /// last, so with a momentum of 0.9 chains and images of p(x) keep 10 %. Here these 10 % belong to earlier images.
    pub(super) fn objective(&self, network: &Network, weights: &ObjectiveConfig) -> Objective {
        let aside = network.aside();
        let x_data = self.x_data.clone();
        let (logits_data, logits_augmented) = match self.x_augmented.clone() {
            Some(x_augmented) => (aside.logits(x_data), Some(network.logits(x_augmented))),
            None => (network.logits(x_data), None),
        };
        let input = ObjectiveInput {
            logits_data,
            logits_augmented,
            labels_data: self.labels_data.clone(),
            logits_high: self.x_high.clone().map(|x| aside.logits(x)),
            probes: self.probes.clone().map(|Probes { ends, factor }| {
                let logits = ends.map(|x| aside.logits(x.autodiff()));
                ProbeSide { logits, factor }
            }),
            compares: self.compares,
            model: self.model.clone().map(|(x, labels)| {
                let logits = aside.logits(x);
                ModelSide { logits, labels }
            }),
        };
        objective(weights, input)
    }
}
