//! Projected gradient ascent on a classifier's loss (the PGD attack) within a ball around each image.
//!
//! # Source
//! Madry et al., arXiv:1706.06083.

use burn::tensor::{Int, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::eval::results::BallNorm;

/// The step size is this factor times the radius over the number of steps, so that the steps can cross the ball
/// (Madry et al.).
const STEP_SHARE: f64 = 2.5;

/// A ball around an image, in units of x, intersected with the box [-1, 1].
#[derive(Clone, Copy, Debug)]
pub(super) struct Ball {
    norm: BallNorm,
    radius: f64,
}

impl Ball {
    /// `epsilon` is in the unit of the norm.
    pub(super) fn new(norm: BallNorm, epsilon: f64) -> Self {
        // x has a range of 2 where pixels have a range of 1.
        let radius = match norm {
            BallNorm::Linf => 2.0 * epsilon / 255.0,
            BallNorm::L2 => 2.0 * epsilon,
        };
        Self { norm, radius }
    }

    /// Random offsets within the ball for each of `count` images of `num_pixels`, about uniform.
    pub(super) fn draw(
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

    /// Projects `x` onto the ball around `center` and onto the box.
    fn project(&self, x: Tensor<4>, center: &Tensor<4>) -> Tensor<4> {
        let offset = x - center.clone();
        let offset = match self.norm {
            BallNorm::Linf => offset.clamp(-self.radius, self.radius),
            BallNorm::L2 => {
                let norm = norms(&offset).clamp_min(f32::MIN_POSITIVE);
                let factor = norm.recip().mul_scalar(self.radius).clamp_max(1.0);
                offset * factor
            }
        };
        (center.clone() + offset).clamp(-1.0, 1.0)
    }

    /// The step of steepest ascent in this norm, for one of `num_steps` steps.
    fn ascent(&self, gradient: Tensor<4>, num_steps: usize) -> Tensor<4> {
        let direction = match self.norm {
            BallNorm::Linf => gradient.sign(),
            BallNorm::L2 => {
                let norm = norms(&gradient).clamp_min(f32::MIN_POSITIVE);
                gradient / norm
            }
        };
        direction.mul_scalar(STEP_SHARE * self.radius / num_steps as f64)
    }
}

/// The Euclidean norm of each image of (N, C, H, W), shape (N, 1, 1, 1).
fn norms(x: &Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    x.clone().square().reshape([n, c * h * w]).sum_dim(1).sqrt().reshape([n, 1, 1, 1])
}

/// A function of images x (N, C, H, W) and the step number. It returns the gradient of the loss, and p(y|x) (N,
/// classes) if images that are already misclassified are to stay unchanged.
pub(super) type Slope<'a> = &'a dyn Fn(&Tensor<4>, u32) -> (Tensor<4>, Option<Tensor<2>>);

/// Attacks images (N, C, H, W) from `start`, within `ball` around `center`.
pub(super) fn ascend(
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
