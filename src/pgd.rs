//! Projected gradient ascent (the PGD attack) within a ball around each image: what an evaluation attacks with, and what
//! adversarial training trains on.
//!
//! # Source
//! Madry et al., arXiv:1706.06083.

use burn::tensor::{Bool, Int, Tensor, activation::softmax};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{
    config::BallNorm,
    energy::{JointEnergy, joined, rows},
};

/// The step size is this factor times the radius over the number of steps, so that the steps can cross the ball
/// (Madry et al.).
const STEP_SHARE: f64 = 2.5;

/// Subtracted from a logit to remove it from a log-sum-exp.
const FAR_BELOW: f32 = 1e6;

/// A ball around an image, in units of x, intersected with the box [-1, 1].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ball {
    norm: BallNorm,
    radius: f64,
}

impl Ball {
    /// `epsilon` is in the unit of the norm.
    pub(crate) fn new(norm: BallNorm, epsilon: f64) -> Self {
        // x has a range of 2 where pixels have a range of 1.
        let radius = match norm {
            BallNorm::Linf => 2.0 * epsilon / 255.0,
            BallNorm::L2 => 2.0 * epsilon,
        };
        Self { norm, radius }
    }

    /// Random offsets within the ball for each of `count` images of `num_pixels`, about uniform.
    pub(crate) fn draw(
        &self,
        count: usize,
        num_pixels: usize,
        random: &mut ChaCha8Rng,
    ) -> Vec<f32> {
        let radius = self.radius as f32;
        let mut offsets: Vec<f32> =
            (0..count * num_pixels).map(|_| radius * random.random_range(-1.0..=1.0f32)).collect();
        if self.norm == BallNorm::L2 {
            for offset in offsets.chunks_mut(num_pixels) {
                // A random direction, which is not exactly uniform, times a length that fills the ball uniformly.
                let norm = offset.iter().map(|v| v * v).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
                let length = radius * random.random::<f32>().powf(1.0 / num_pixels as f32);
                offset.iter_mut().for_each(|v| *v *= length / norm);
            }
        }
        offsets
    }

    /// The radius in units of x.
    pub(crate) fn radius(&self) -> f64 {
        self.radius
    }

    /// Projects `x` onto the ball around `center` and onto the box. A pixel of `center` beyond the box, which noise on training
    /// images makes, may stay there.
    pub(crate) fn project(&self, x: Tensor<4>, center: &Tensor<4>) -> Tensor<4> {
        let offset = x - center.clone();
        let offset = match self.norm {
            BallNorm::Linf => offset.clamp(-self.radius, self.radius),
            BallNorm::L2 => {
                let norm = norms(&offset).clamp_min(f32::MIN_POSITIVE);
                let factor = norm.recip().mul_scalar(self.radius).clamp_max(1.0);
                offset * factor
            }
        };
        let (low, high) = (center.clone().clamp_max(-1.0), center.clone().clamp_min(1.0));
        (center.clone() + offset).max_pair(low).min_pair(high)
    }

    /// The direction of steepest ascent in this norm, of length 1.
    pub(crate) fn direction(&self, gradient: Tensor<4>) -> Tensor<4> {
        match self.norm {
            BallNorm::Linf => gradient.sign(),
            BallNorm::L2 => {
                let norm = norms(&gradient).clamp_min(f32::MIN_POSITIVE);
                gradient / norm
            }
        }
    }

    /// The step of steepest ascent in this norm, for one of `num_steps` steps.
    fn ascent(&self, gradient: Tensor<4>, num_steps: usize) -> Tensor<4> {
        self.direction(gradient).mul_scalar(STEP_SHARE * self.radius / num_steps as f64)
    }
}

/// The Euclidean norm of each image of (N, C, H, W), shape (N, 1, 1, 1).
fn norms(x: &Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    x.clone().square().reshape([n, c * h * w]).sum_dim(1).sqrt().reshape([n, 1, 1, 1])
}

/// A function of images x (N, C, H, W) and the step number. It returns the gradient of the loss, and p(y|x) (N,
/// classes) if images that are already misclassified are to stay unchanged.
pub(crate) type Slope<'a> = &'a dyn Fn(&Tensor<4>, u32) -> (Tensor<4>, Option<Tensor<2>>);

/// Attacks images (N, C, H, W) from `start`, within `ball` around `center`.
pub(crate) fn ascend(
    slope: Slope,
    ball: &Ball,
    center: &Tensor<4>,
    start: Tensor<4>,
    labels: &Tensor<1, Int>,
    num_steps: usize,
) -> Tensor<4> {
    let mut x = ball.project(start, center);
    for step in 0..num_steps {
        let (gradient, probabilities) = slope(&x, step as u32);
        let mut climb = ball.ascent(gradient, num_steps);
        if let Some(probabilities) = probabilities {
            let predicted = probabilities.argmax(1).squeeze_dim::<1>(1);
            let is_right = predicted.equal(labels.clone()).float();
            climb = climb * is_right.reshape([-1, 1, 1, 1]);
        }
        x = ball.project(x + climb, center);
    }
    x
}

/// Attacks images (N, C, H, W) whose predictions the attacker cannot know, as [`ascend`] does, and returns for each image the place
/// where its loss was highest, the start included: a step along a gradient with noise may also lead away. `slope` takes x and the
/// number of the evaluation, of which there are `num_steps` + 1, and returns the gradient and the loss (N).
pub(crate) fn ascend_to_highest(
    slope: &dyn Fn(&Tensor<4>, u32) -> (Tensor<4>, Tensor<1>),
    ball: &Ball,
    center: &Tensor<4>,
    start: Tensor<4>,
    num_steps: usize,
) -> Tensor<4> {
    let mut x = ball.project(start, center);
    let (mut gradient, mut highest) = slope(&x, 0);
    let mut found = x.clone();
    for step in 1..=num_steps {
        x = ball.project(x + ball.ascent(gradient, num_steps), center);
        let loss;
        (gradient, loss) = slope(&x, step as u32);
        let is_higher = loss.clone().greater(highest.clone());
        found = choose(&is_higher, x.clone(), found);
        highest = choose(&is_higher, loss, highest);
    }
    found
}

/// Values of each image of a batch from `yes` where `mask` (N) is true, otherwise from `no`.
pub(crate) fn choose<const D: usize>(
    mask: &Tensor<1, Bool>,
    yes: Tensor<D>,
    no: Tensor<D>,
) -> Tensor<D> {
    let dims = no.dims();
    let column = std::array::from_fn(|axis| if axis == 0 { dims[0] } else { 1 });
    no.mask_where(mask.clone().reshape::<D, _>(column).expand(dims), yes)
}

/// A loss that an attack on a classifier climbs, as a function of logits (N, classes) and labels (N, 1); shape (N, 1).
pub(crate) type AttackLoss = fn(Tensor<2>, Tensor<2, Int>) -> Tensor<2>;

/// The result of [`loss_gradient`].
pub(crate) struct Differentiated {
    /// The loss of each image, shape (N).
    pub(crate) loss: Tensor<1>,
    /// Its gradient with respect to the images, shape (N, C, H, W).
    pub(crate) gradient: Tensor<4>,
    /// p(y|x), shape (N, classes).
    pub(crate) probabilities: Tensor<2>,
}

/// The loss of an attack at images x (N, C, H, W), its gradient with respect to them, and p(y|x).
pub(crate) fn loss_gradient(
    energy: &JointEnergy,
    x: Tensor<4>,
    labels: &Tensor<1, Int>,
    loss: AttackLoss,
) -> Differentiated {
    let (mut losses, mut gradients, mut probabilities) = (Vec::new(), Vec::new(), Vec::new());
    for part in energy.parts(&x) {
        let labels = labels.clone().narrow(0, part.start, part.len());
        let found = loss_gradient_of_part(energy, rows(&x, part), labels, loss);
        losses.push(found.loss);
        gradients.push(found.gradient);
        probabilities.push(found.probabilities);
    }
    Differentiated {
        loss: joined(losses),
        gradient: joined(gradients),
        probabilities: joined(probabilities),
    }
}

/// [`loss_gradient`] of [`log_odds`]: what PGD climbs.
pub(crate) fn log_odds_gradient(
    energy: &JointEnergy,
    x: Tensor<4>,
    labels: &Tensor<1, Int>,
) -> Differentiated {
    loss_gradient(energy, x, labels, log_odds)
}

fn loss_gradient_of_part(
    energy: &JointEnergy,
    x: Tensor<4>,
    labels: Tensor<1, Int>,
    loss: AttackLoss,
) -> Differentiated {
    let x = x.autodiff().require_grad();
    let logits = energy.network().logits(x.clone());
    let probabilities = softmax(logits.clone().detach().without_autodiff(), 1);
    let losses = loss(logits, labels.unsqueeze_dim(1));
    let values = losses.clone().detach().without_autodiff().squeeze_dim(1);
    let mut gradients = losses.sum().backward();
    let gradient = x.grad_remove(&mut gradients);
    let gradient = gradient.unwrap_or_else(|| x.without_autodiff().zeros_like());
    Differentiated { loss: values, gradient, probabilities }
}

/// The log odds against the label, `log_sum_exp(all logits except the label's) - logit of the label`.
///
/// They are a function of the cross entropy that increases with it, and every step that depends only on the gradient's
/// direction and on which loss is larger is the same for both. But their gradient does not vanish where p(label) is
/// rounded to 1.
pub(crate) fn log_odds(logits: Tensor<2>, labels: Tensor<2, Int>) -> Tensor<2> {
    let own = logits.clone().gather(1, labels.clone());
    let others = without(logits, labels);
    let largest = others.clone().detach().max_dim(1);
    (others - largest.clone()).exp().sum_dim(1).log() + largest - own
}

/// Logits (N, classes), with one in each row removed from any maximum or log-sum-exp: that of the class in `classes`
/// (N, 1).
pub(crate) fn without(logits: Tensor<2>, classes: Tensor<2, Int>) -> Tensor<2> {
    let num_classes = logits.dims()[1];
    let is_removed = classes.one_hot::<3>(num_classes).reshape([-1, num_classes as i32]).float();
    logits - is_removed.mul_scalar(FAR_BELOW)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::{device, streams};

    const NUM_PIXELS: usize = 3;

    fn tensor(values: &[f32]) -> Tensor<4> {
        let shape = [values.len() / NUM_PIXELS, 1, 1, NUM_PIXELS];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &device::cpu())
    }

    fn values(x: Tensor<4>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    fn assert_near(found: &[f32], expected: &[f32]) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn noise_of_an_image_is_not_clipped_and_no_pixel_goes_further_out() {
        let center = tensor(&[-1.2, 0.0, 1.1]);
        let ball = Ball::new(BallNorm::Linf, 25.5);
        assert_near(&values(ball.project(center.clone(), &center)), &[-1.2, 0.0, 1.1]);
        let out = tensor(&[-1.4, 0.1, 1.3]);
        assert_near(&values(ball.project(out, &center)), &[-1.2, 0.1, 1.1]);
        let inwards = tensor(&[-1.1, -0.1, 1.0]);
        assert_near(&values(ball.project(inwards, &center)), &[-1.1, -0.1, 1.0]);
    }

    #[test]
    fn an_attack_that_cannot_see_predictions_keeps_its_highest_place() {
        let center = tensor(&[0.0, 0.1, -0.1, 0.2, 0.0, 0.3]);
        let ball = Ball::new(BallNorm::Linf, 25.5);
        // The first image starts where its loss is highest, and its gradient leads away; that of the second leads up.
        let slope = |x: &Tensor<4>, _| {
            let up = tensor(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
            let signs = tensor(&[-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]);
            let loss = (x.clone() * signs).reshape([2, NUM_PIXELS]).sum_dim(1).squeeze_dim::<1>(1);
            (up, loss)
        };
        let found = ascend_to_highest(&slope, &ball, &center, center.clone(), 10);
        assert_near(&values(found), &[0.0, 0.1, -0.1, 0.4, 0.2, 0.5]);
    }

    #[test]
    fn attacks_climb_within_the_ball_and_the_box() {
        // The loss is a weighted sum of the pixels; pixel 0 of the second image starts at the edge of the box.
        let images = [0.0, 0.5, -0.2, 1.0, -0.9, 0.0];
        let center = tensor(&images);
        let labels = Tensor::zeros([2], &device::cpu());
        let slope = |x: &Tensor<4>, _| {
            let signs = tensor(&[1.0, -1.0, 0.2, 1.0, -1.0, 0.2]);
            (x.clone().zeros_like() + signs, None)
        };
        for (norm, epsilon) in [(BallNorm::Linf, 25.5), (BallNorm::L2, 0.25)] {
            let ball = Ball::new(norm, epsilon);
            let mut random = streams::ATTACK_STARTS.rng(1, 0);
            let offsets = ball.draw(2, NUM_PIXELS, &mut random);
            let length = |row: &[f32]| row.iter().map(|v| v * v).sum::<f32>().sqrt();
            for row in offsets.chunks(NUM_PIXELS) {
                match norm {
                    BallNorm::Linf => assert!(row.iter().all(|v| v.abs() <= 0.2)),
                    BallNorm::L2 => assert!(length(row) <= 0.5001),
                }
            }
            let x = values(ascend(
                &slope,
                &ball,
                &center,
                center.clone() + tensor(&offsets),
                &labels,
                20,
            ));
            assert!(x.iter().all(|value| value.abs() <= 1.0));
            let moved: Vec<f32> = x.iter().zip(&images).map(|(x, image)| x - image).collect();
            match norm {
                // A tenth of the pixel range on either side is 0.2 in x; the box limits the other pixels.
                BallNorm::Linf => assert_near(&moved, &[0.2, -0.2, 0.2, 0.0, -0.1, 0.2]),
                BallNorm::L2 => {
                    // On a sphere, convergence is slow near the end.
                    let climbed = moved[0] - moved[1] + 0.2 * moved[2];
                    assert!(climbed > 0.97 * 0.5 * 2.04f32.sqrt(), "{moved:?}");
                    assert!(length(&moved[..3]) <= 0.5001, "{moved:?}");
                    assert!(length(&moved[3..]) <= 0.5001, "{moved:?}");
                }
            }
        }
    }

    #[test]
    fn images_that_are_fooled_stay_as_they_are() {
        let center = tensor(&[0.0; 6]);
        let labels = Tensor::zeros([2], &device::cpu());
        // The first image is always predicted as class 1, the second as class 0.
        let slope = |x: &Tensor<4>, _| {
            let seen = TensorData::new(vec![0.1f32, 0.9, 0.9, 0.1], [2, 2]);
            (x.clone().ones_like(), Some(Tensor::from_data(seen, &device::cpu())))
        };
        let ball = Ball::new(BallNorm::Linf, 12.75);
        let x = values(ascend(&slope, &ball, &center, center.clone(), &labels, 4));
        assert_near(&x, &[0.0, 0.0, 0.0, 0.1, 0.1, 0.1]);
    }
}
