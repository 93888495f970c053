//! The terms of the training loss.
//!
//! ```text
//! loss = p_x_weight · gap_loss + p_y_given_x_weight · cross_entropy
//!      + p_x_y_weight · (mean E(x_data, y) - mean E(x_model, y'))
//!      + energy_l2_weight · (mean E(x_data)² + mean E(x_model)²)
//!      + gradient_penalty_weight · ½ mean ‖∂E/∂x_data‖²
//!      + adversarial_gap_weight · (mean E(x_high) - mean E(x_data))
//!
//! gap_loss = d = mean E(x_data) - mean E(x_model)                   linear
//!            softplus(d)                                            softplus
//!            mean softplus(E(x_data)) + mean softplus(-E(x_model))  logistic
//! ```
//!
//! # Source
//! arXiv:1912.03263, section 4. The L2 term is common in EBM teaching code. The softplus of the gap is an addition of
//! jempp: at a gap of 0 it equals the linear term at half its weight. The logistic form is the energy loss of DAT
//! (arXiv:2510.13872), the cross entropy of a discriminator whose logit is -E: its gradient never exceeds 1 per image.
//! DAT's code has half of this sum, so its weight 1 is a p_x_weight of 0.5 here.
//! The gradient penalty is R1 (Mescheder et al., arXiv:1801.04406); the adversarial gap is EB-JDAT's (arXiv:2505.19459).
//!
//! Differs from JEMPP: the p(x) term and the cross entropy use the same batch of images, which saves a forward pass;
//! JEMPP draws two batches, the second of labelled images only. The p(x, y) term uses the chains of the p(x) term, each
//! with the class of its slot; JEMPP draws other chains, with the classes of the batch.

use burn::tensor::{
    Int, Tensor, Transaction,
    activation::{log_softmax, softplus},
};

use crate::{
    config::{GapLoss, ObjectiveConfig},
    device::{Arrived, ReadError, Readable},
    energy::{class_energy_of_logits, energy_of_logits},
};

/// Logits and labels of one training step, with their autodiff graphs.
pub struct ObjectiveInput {
    /// Logits of the data, shape (N, classes).
    pub logits_data: Tensor<2>,
    /// Logits of the same data as the cross entropy sees them, shape (N, classes), if it sees others than the energies: augmented
    /// (SADA-JEM, arXiv:2209.07959), or without noise.
    pub logits_augmented: Option<Tensor<2>>,
    /// Labels of the data, shape (N).
    pub labels_data: Tensor<1, Int>,
    /// Logits (N, classes) of images next to the data with a high energy, if the adversarial gap counts.
    pub logits_high: Option<Tensor<2>>,
    /// The probes of the gradient penalty, if it counts.
    pub probes: Option<ProbeSide>,
    /// Whether energies of data and chains are compared one by one, for a curriculum.
    pub compares: bool,
    /// Logits and labels of the chains; absent if no chains are sampled.
    pub model: Option<ModelSide>,
}

/// Two images for each image of the data, on a line along the gradient g of its energy: x + h g/‖g‖ and x - h g/‖g‖.
pub struct ProbeSide {
    /// Logits of both, each (N, classes).
    pub logits: [Tensor<2>; 2],
    /// ‖g‖ / 2h, shape (N).
    pub factor: Tensor<1>,
}

/// The inputs of the objective from the chains.
pub struct ModelSide {
    /// Logits of the chains, shape (M, classes).
    pub logits: Tensor<2>,
    /// The classes of the chains, shape (M).
    pub labels: Tensor<1, Int>,
}

/// The loss and its terms, unweighted, each of shape (1).
pub struct Objective {
    /// The loss that the optimiser minimises.
    pub loss: Tensor<1>,
    /// The terms of the loss.
    pub terms: Terms<Tensor<1>>,
}

/// The terms of the loss, unweighted, and the accuracy on the batch, as tensors of shape (1) or, after readback, as
/// numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms<T> {
    /// The mean energy of the data.
    pub energy_data: T,
    /// The mean energy of the chains; 0 without chains.
    pub energy_model: T,
    /// The p(x) term in the form that `gap_loss` sets; 0 without chains.
    pub p_x: T,
    /// The mean cross entropy of the labels, in nats.
    pub cross_entropy: T,
    /// The mean E(x, y) of the data minus that of the chains; 0 if its weight is 0.
    pub p_x_y: T,
    /// The sum of the mean squared energies of data and chains; 0 if its weight is 0.
    pub energy_l2: T,
    /// Half the mean squared norm of ∂E/∂x at the data; 0 if its weight is 0.
    pub gradient_penalty: T,
    /// The mean energy of images next to the data minus that of the data; 0 if its weight is 0.
    pub adversarial_gap: T,
    /// The area under the ROC curve of E, data against chains: the share of pairs in which the chain has the higher
    /// energy; 0 without a curriculum. Not part of the loss.
    pub auc: T,
    /// The share of the batch that is classified correctly; not part of the loss.
    pub train_accuracy: T,
}

impl Terms<f64> {
    /// Every term with its name in the log.
    pub fn named(&self) -> [(&'static str, f64); 10] {
        const NAMES: [&str; 10] = [
            "energy_data",
            "energy_model",
            "p_x",
            "cross_entropy",
            "p_x_y",
            "energy_l2",
            "gradient_penalty",
            "adversarial_gap",
            "auc",
            "train_accuracy",
        ];
        let values = self.values();
        std::array::from_fn(|index| (NAMES[index], values[index]))
    }
}

impl<T: Copy> Terms<T> {
    /// The values of all terms, in the order of their names in the log.
    pub(crate) fn values(&self) -> [T; 10] {
        [
            self.energy_data,
            self.energy_model,
            self.p_x,
            self.cross_entropy,
            self.p_x_y,
            self.energy_l2,
            self.gradient_penalty,
            self.adversarial_gap,
            self.auc,
            self.train_accuracy,
        ]
    }

    /// The terms with these [`Self::values`].
    pub(crate) fn of_values(values: [T; 10]) -> Self {
        let [
            energy_data,
            energy_model,
            p_x,
            cross_entropy,
            p_x_y,
            energy_l2,
            gradient_penalty,
            adversarial_gap,
            auc,
            train_accuracy,
        ] = values;
        Self {
            energy_data,
            energy_model,
            p_x,
            cross_entropy,
            p_x_y,
            energy_l2,
            gradient_penalty,
            adversarial_gap,
            auc,
            train_accuracy,
        }
    }
}

impl Readable for Terms<Tensor<1>> {
    type Host = Terms<f64>;
    type Shape = Terms<[usize; 1]>;

    fn request(self, reads: &mut Transaction) -> Self::Shape {
        Terms {
            energy_data: self.energy_data.request(reads),
            energy_model: self.energy_model.request(reads),
            p_x: self.p_x.request(reads),
            cross_entropy: self.cross_entropy.request(reads),
            p_x_y: self.p_x_y.request(reads),
            energy_l2: self.energy_l2.request(reads),
            gradient_penalty: self.gradient_penalty.request(reads),
            adversarial_gap: self.adversarial_gap.request(reads),
            auc: self.auc.request(reads),
            train_accuracy: self.train_accuracy.request(reads),
        }
    }

    fn receive(shape: Self::Shape, arrived: &mut Arrived) -> Result<Self::Host, ReadError> {
        let mut number = |shape| Tensor::<1>::receive(shape, arrived).map(|v| f64::from(v[0]));
        Ok(Terms {
            energy_data: number(shape.energy_data)?,
            energy_model: number(shape.energy_model)?,
            p_x: number(shape.p_x)?,
            cross_entropy: number(shape.cross_entropy)?,
            p_x_y: number(shape.p_x_y)?,
            energy_l2: number(shape.energy_l2)?,
            gradient_penalty: number(shape.gradient_penalty)?,
            adversarial_gap: number(shape.adversarial_gap)?,
            auc: number(shape.auc)?,
            train_accuracy: number(shape.train_accuracy)?,
        })
    }
}

/// Computes the loss of one step.
pub fn objective(config: &ObjectiveConfig, input: ObjectiveInput) -> Objective {
    let ObjectiveInput { logits_data, logits_augmented, labels_data, .. } = input;
    let ObjectiveInput { logits_high, probes, compares, model, .. } = input;
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
    let (mut mean_model, mut p_x) = (zero.clone(), zero.clone());
    let (mut p_x_y, mut energy_l2) = (zero.clone(), zero.clone());
    let (mut gradient_penalty, mut adversarial_gap, mut auc) = (zero.clone(), zero.clone(), zero);
    if let Some(logits_high) = logits_high {
        adversarial_gap = energy_of_logits(logits_high).mean() - mean_data.clone();
        loss = loss + adversarial_gap.clone().mul_scalar(config.adversarial_gap_weight);
    }
    if let Some(ProbeSide { logits: [ahead, behind], factor }) = probes {
        // Its gradient is that of half the squared norm, but its value is the whole of it.
        let slope = factor.autodiff() * (energy_of_logits(ahead) - energy_of_logits(behind));
        let slope = slope.mean();
        gradient_penalty = slope.clone().detach().mul_scalar(0.5);
        loss = loss + (slope - gradient_penalty.clone()).mul_scalar(config.gradient_penalty_weight);
    }
    if let Some(model) = model {
        let energy_model = energy_of_logits(model.logits.clone());
        mean_model = energy_model.clone().mean();
        if compares {
            let [data, chains] =
                [&energy_data, &energy_model].map(|energy| energy.clone().detach());
            let higher = chains.unsqueeze_dim::<2>(0) - data.unsqueeze_dim::<2>(1);
            // A tie counts as half.
            auc = higher.sign().mean().mul_scalar(0.5).add_scalar(0.5);
        }
        let gap = mean_data.clone() - mean_model.clone();
        p_x = match config.gap_loss {
            GapLoss::Linear => gap,
            GapLoss::Softplus => softplus(gap, 1.0),
            GapLoss::Logistic => {
                softplus(energy_data.clone(), 1.0).mean()
                    + softplus(energy_model.clone().neg(), 1.0).mean()
            }
        };
        loss = loss + p_x.clone().mul_scalar(config.p_x_weight);
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
        terms: Terms {
            energy_data: mean_data,
            energy_model: mean_model,
            p_x,
            cross_entropy,
            p_x_y,
            energy_l2,
            gradient_penalty,
            adversarial_gap,
            auc,
            train_accuracy,
        },
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::device;

    #[test]
    fn the_logistic_loss_tells_data_and_chains_apart_one_by_one() {
        let device = device::cpu();
        // With one class, the energy is minus the logit.
        let energies = |values: &[f32]| {
            let data =
                TensorData::new(values.iter().map(|energy| -energy).collect(), [values.len(), 1]);
            Tensor::<2>::from_data(data, &device)
        };
        let labels = |count: usize| Tensor::<1, Int>::zeros([count], &device);
        // Their means are equal, so a loss of the gap of means would see no difference.
        let (data, chains) = ([-3.0, 1.0], [4.0, -8.0, 1.0]);
        let config = ObjectiveConfig { gap_loss: GapLoss::Logistic, ..ObjectiveConfig::default() };
        let input = ObjectiveInput {
            logits_data: energies(&data),
            logits_augmented: None,
            labels_data: labels(2),
            logits_high: None,
            probes: None,
            compares: true,
            model: Some(ModelSide { logits: energies(&chains), labels: labels(3) }),
        };
        let found = objective(&config, input);
        let softplus = |value: f32| f64::from(value).exp().ln_1p();
        let expected = data.map(softplus).iter().sum::<f64>() / 2.0
            + chains.map(|energy| softplus(-energy)).iter().sum::<f64>() / 3.0;
        let [p_x, loss] =
            [found.terms.p_x, found.loss].map(|term| f64::from(term.into_scalar::<f32>()));
        assert!(
            (p_x - expected).abs() < 1e-5 && (loss - expected).abs() < 1e-5,
            "{p_x} {loss} {expected}"
        );
    }
}
