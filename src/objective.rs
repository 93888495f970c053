//! The named terms of the loss.
//!
//! ```text
//! loss = p_x_weight · gap_loss(mean E(x_data) - mean E(x_model)) + p_y_given_x_weight · cross_entropy
//!      + p_x_y_weight · (mean E(x_data, y) - mean E(x_model, y'))
//!      + energy_l2_weight · (mean E(x_data)² + mean E(x_model)²)
//! ```
//!
//! # Source
//! arXiv:1912.03263, section 4. The L2 term is common in EBM teaching code. The softplus of the gap is ours: at
//! a gap of 0 it is the linear term at half its weight.
//!
//! Differs from JEMPP: the p(x) term and the cross entropy look at one batch of images, which spares a forward pass;
//! there at two, drawn apart, the second of labelled images alone. And the p(x, y) term takes the chains that the p(x)
//! term has, each for the class of its slot; there it draws others, of the classes in the batch.

use burn::tensor::{
    Int, Tensor,
    activation::{log_softmax, softplus},
};

use crate::{
    config::{GapLoss, ObjectiveConfig},
    energy::{class_energy_of_logits, energy_of_logits},
};

/// Logits and labels of one training step, with their graphs.
pub struct ObjectiveInput {
    /// Logits of the data, shape (N, classes).
    pub logits_data: Tensor<2>,
    /// Logits of the same data augmented, shape (N, classes), where only the cross entropy sees it so
    /// (SADA-JEM, arXiv:2209.07959).
    pub logits_augmented: Option<Tensor<2>>,
    /// Labels of the data, shape (N).
    pub labels_data: Tensor<1, Int>,
    /// Logits of the chains, shape (M, classes); absent when nothing is sampled.
    pub model: Option<ModelSide>,
}

/// The chains' side of the objective.
pub struct ModelSide {
    /// Logits of the chains, shape (M, classes).
    pub logits: Tensor<2>,
    /// The classes the chains belong to, shape (M).
    pub labels: Tensor<1, Int>,
}

/// The loss and its terms, unweighted, each of shape (1).
pub struct Objective {
    /// What is minimised.
    pub loss: Tensor<1>,
    /// In the order of [`TERM_NAMES`].
    pub terms: [Tensor<1>; 6],
}

/// Names of the logged terms. The last is the share of the batch classified rightly, no part of the loss.
pub const TERM_NAMES: [&str; 6] =
    ["energy_data", "energy_model", "cross_entropy", "p_x_y", "energy_l2", "train_accuracy"];

/// The loss of one step.
pub fn objective(config: &ObjectiveConfig, input: ObjectiveInput) -> Objective {
    let ObjectiveInput { logits_data, logits_augmented, labels_data, model } = input;
    let energy_data = energy_of_logits(logits_data.clone());
    let mean_data = energy_data.clone().mean();
    let zero = mean_data.clone().detach().zeros_like();

    let logits_classified = logits_augmented.unwrap_or_else(|| logits_data.clone());
    let picked = log_softmax(logits_classified.clone(), 1)
        .gather(1, labels_data.clone().unsqueeze_dim::<2>(1))
        .squeeze_dim::<1>(1);
    let cross_entropy = picked.mean().neg();
    let predicted = logits_classified.detach().argmax(1).squeeze_dim::<1>(1);
    let train_accuracy = predicted.equal(labels_data.clone()).float().mean();

    let mut loss = cross_entropy.clone().mul_scalar(config.p_y_given_x_weight);
    let (mut mean_model, mut p_x_y, mut energy_l2) = (zero.clone(), zero.clone(), zero);
    if let Some(model) = model {
        let energy_model = energy_of_logits(model.logits.clone());
        mean_model = energy_model.clone().mean();
        let gap = mean_data.clone() - mean_model.clone();
        let gap = match config.gap_loss {
            GapLoss::Linear => gap,
            GapLoss::Softplus => softplus(gap, 1.0),
        };
        loss = loss + gap.mul_scalar(config.p_x_weight);
        if config.p_x_y_weight > 0.0 {
            p_x_y = class_energy_of_logits(logits_data, labels_data).mean()
                - class_energy_of_logits(model.logits, model.labels).mean();
            loss = loss + p_x_y.clone().mul_scalar(config.p_x_y_weight);
        }
        if config.energy_l2_weight > 0.0 {
            energy_l2 = energy_data.square().mean() + energy_model.square().mean();
            loss = loss + energy_l2.clone().mul_scalar(config.energy_l2_weight);
        }
    }
    Objective {
        loss,
        terms: [mean_data, mean_model, cross_entropy, p_x_y, energy_l2, train_accuracy],
    }
}
