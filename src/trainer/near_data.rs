//! Images next to the data, which some terms of the loss need: adversarial images, images with a high energy, and the
//! probes of the gradient penalty.

use burn::tensor::{Int, Tensor};

use super::Trainer;
use crate::{
    config::ObjectiveConfig,
    energy::{Energy, JointEnergy},
    kernels::chain_summary,
    pgd::{Ball, Slope, ascend, log_odds_gradient},
    streams,
};

/// The distance of each probe from its image, in units of x: large beside rounding, small beside a pixel's range.
pub(super) const PROBE_DISTANCE: f64 = 0.05;

/// Images next to the data of one step, each (N, C, H, W), without a graph.
pub(super) struct NearData {
    /// The images of the cross entropy within the radius of adversarial training that the classifier finds hardest.
    pub(super) attacked: Option<Tensor<4>>,
    /// Images within that radius of the data with a high energy.
    pub(super) high: Option<Tensor<4>>,
    pub(super) probes: Option<Probes>,
}

/// Two images for each image of the data, on a line along the gradient of its energy.
///
/// With `g = ∂E/∂x` held fixed and ĝ = g / ‖g‖, the weights' gradient of `½ ‖∂E/∂x‖²` is that of the derivative of E along
/// g, `‖g‖ · (E(x + h ĝ) - E(x - h ĝ)) / 2h` for a small distance h. So the penalty needs no second derivatives.
#[derive(Clone)]
pub(super) struct Probes {
    /// x + h ĝ and x - h ĝ, each (N, C, H, W).
    pub(super) ends: [Tensor<4>; 2],
    /// ‖g‖ / 2h for each image, shape (N).
    pub(super) factor: Tensor<1>,
}

impl Trainer {
    /// Finds the images next to a batch that the terms of the loss need, with the weights before the step: next to the images
    /// of the cross entropy and next to those of the energies, each (N, C, H, W), both with these labels (N).
    pub(super) fn near_data(
        &self,
        weights: &ObjectiveConfig,
        [classified, x_data]: [&Tensor<4>; 2],
        labels: &Tensor<1, Int>,
        step: u64,
    ) -> NearData {
        let has_gap = weights.adversarial_gap_weight > 0.0;
        let has_penalty = weights.gradient_penalty_weight > 0.0;
        if !weights.attacks_images() && !has_gap && !has_penalty {
            return NearData { attacked: None, high: None, probes: None };
        }
        let energy = JointEnergy::new(&self.network).with_micro_batch(self.config.data.micro_batch);
        let ball = Ball::new(weights.adversarial_norm, weights.adversarial_radius);
        let mut random = streams::TRAINING_ATTACK_STARTS.rng(self.config.seed, step);
        let mut climb = |center: &Tensor<4>, slope: &dyn Fn(&Tensor<4>) -> Tensor<4>| {
            let [n, c, h, w] = center.dims();
            let batch_size = self.config.data.batch_size;
            let offsets = ball.draw(batch_size, c * h * w, &mut random);
            let rows = self.ranks.rows(batch_size);
            let own = &offsets[rows.start * c * h * w..rows.end * c * h * w];
            let start = center.clone() + self.upload(own.to_vec(), n);
            let slope: Slope = &|x, _| (slope(x), None);
            ascend(slope, &ball, center, start, labels, weights.adversarial_steps)
        };
        let hardest = |x: &Tensor<4>| log_odds_gradient(&energy, x.clone(), labels).gradient;
        let upwards = |x: &Tensor<4>| energy.gradient(x.clone()).gradient;
        NearData {
            attacked: weights.attacks_images().then(|| climb(classified, &hardest)),
            high: has_gap.then(|| climb(x_data, &upwards)),
            probes: has_penalty.then(|| Probes::new(x_data, upwards(x_data))),
        }
    }
}

impl Probes {
    /// The probes of images x with the gradients of their energies, both (N, C, H, W).
    pub(super) fn new(x: &Tensor<4>, gradient: Tensor<4>) -> Self {
        let norm = chain_summary(x.clone(), gradient.clone(), 0.0).narrow(1, 0, 1);
        let unit = gradient / norm.clone().clamp_min(f32::MIN_POSITIVE).reshape([-1, 1, 1, 1]);
        let away = unit.mul_scalar(PROBE_DISTANCE);
        Self {
            ends: [x.clone() + away.clone(), x.clone() - away],
            factor: norm.div_scalar(2.0 * PROBE_DISTANCE).squeeze_dim(1),
        }
    }
}
