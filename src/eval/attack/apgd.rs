//! Auto-PGD, an attack without a step size to choose: gradient ascent with momentum, whose steps halve where they no
//! longer help.
//!
//! # Source
//! Croce & Hein, arXiv:2003.01690, algorithm 1. Where the paper leaves a choice, it is that of the authors' program,
//! since published robust accuracies come from there: the whole numbers of steps between two checkpoints are rounded
//! down, a share of exactly ρ counts as too few increases, and at the first checkpoint only the increases matter. Unlike
//! in that program, the first step counts as an increase only if the loss is larger than at the start, as in the paper.

use burn::tensor::{Bool, Int, Tensor};

use super::Seen;
use crate::pgd::{Ball, choose, without};

/// α: the share of a step that follows the gradient; the rest repeats the step before.
const GRADIENT_SHARE: f64 = 0.75;
/// ρ: the share of steps since the last checkpoint that must increase the loss; otherwise steps halve.
const RISING_SHARE: f64 = 0.75;
/// The share of all steps before the first checkpoint.
const FIRST_STRETCH: f64 = 0.22;
/// How much shorter each stretch between two checkpoints is than the one before, as a share of all steps.
const STRETCH_CUT: f64 = 0.03;
/// The shortest stretch, as a share of all steps.
const SHORTEST_STRETCH: f64 = 0.06;
/// Keeps the difference of logits ratio finite where all logits are equal.
const TINY: f32 = 1e-12;

/// The difference of logits ratio, `-(z_label - max of the other z) / (z_1st - z_3rd)`, of logits z (N, classes) and
/// labels (N, 1), shape (N, 1). The indices 1st and 3rd order the logits from the largest. It is above 0 where the image
/// is misclassified, and multiplying all logits by a number does not change it. It needs three classes.
pub(super) fn difference_of_logits_ratio(logits: Tensor<2>, labels: Tensor<2, Int>) -> Tensor<2> {
    let mut rest = logits.clone().detach().without_autodiff();
    let mut next_largest = || {
        let largest = rest.clone().argmax(1);
        rest = without(rest.clone(), largest.clone());
        largest
    };
    let [first, second, third] = std::array::from_fn(|_| next_largest());
    let is_right = first.clone().equal(labels.clone());
    let rival = first.clone().mask_where(is_right, second);
    let of = |classes: Tensor<2, Int>| logits.clone().gather(1, classes);
    (of(rival) - of(labels)) / (of(first) - of(third)).add_scalar(TINY)
}

/// The numbers of steps after which the attack checks whether its steps still help.
fn checkpoints(num_steps: usize) -> Vec<usize> {
    let share = |share: f64| ((share * num_steps as f64) as usize).max(1);
    let (cut, shortest) = (share(STRETCH_CUT), share(SHORTEST_STRETCH));
    let mut stretch = share(FIRST_STRETCH);
    let mut checkpoints = Vec::new();
    let mut at = stretch;
    while at <= num_steps {
        checkpoints.push(at);
        stretch = stretch.saturating_sub(cut).max(shortest);
        at += stretch;
    }
    checkpoints
}

/// A place that the attack has visited: images (N, C, H, W), the loss (N) and its gradient there.
#[derive(Clone)]
struct Place {
    x: Tensor<4>,
    loss: Tensor<1>,
    gradient: Tensor<4>,
}

impl Place {
    /// For each image, the better of two places.
    fn or(self, other: &Self) -> Self {
        let is_better = other.loss.clone().greater(self.loss.clone());
        Self {
            x: choose(&is_better, other.x.clone(), self.x),
            loss: choose(&is_better, other.loss.clone(), self.loss),
            gradient: choose(&is_better, other.gradient.clone(), self.gradient),
        }
    }
}

/// Attacks images (N, C, H, W) from `start`, within `ball` around `center`. `see` tells what the attacker sees at
/// images; it is called `num_steps` + 1 times, with the number of the call.
///
/// Each image ends where it was misclassified, if `see` tells predictions and one of them was wrong; otherwise where its
/// loss was largest.
pub(super) fn ascend(
    see: &dyn Fn(&Tensor<4>, u32) -> Seen,
    ball: &Ball,
    center: &Tensor<4>,
    start: Tensor<4>,
    labels: &Tensor<1, Int>,
    num_steps: usize,
) -> Tensor<4> {
    let (count, device) = (center.dims()[0], center.device());
    let mut fooling = Fooling { images: None, labels };
    let mut look = |x: Tensor<4>, step: usize| {
        let Seen { loss, gradient, probabilities } = see(&x, step as u32);
        fooling.keep(&x, probabilities);
        Place { x, loss, gradient }
    };
    let mut now = look(ball.project(start, center), 0);
    let mut best = now.clone();
    let mut before = now.x.clone();
    let mut step_size = Tensor::<1>::full([count], 2.0 * ball.radius(), &device);
    let mut num_rises = Tensor::<1>::zeros([count], &device);
    // What the last checkpoint saw. Nothing can have stalled before the first.
    let mut best_then = best.loss.clone();
    let mut was_halved = num_rises.clone().equal_elem(0.0);
    let checkpoints = checkpoints(num_steps);
    let mut last_check = 0;
    for step in 1..=num_steps {
        let share = if step == 1 { 1.0 } else { GRADIENT_SHARE };
        let momentum = now.x.clone() - before;
        let climb = ball.direction(now.gradient) * step_size.clone().reshape([count, 1, 1, 1]);
        let ahead = ball.project(now.x.clone() + climb, center);
        let mixed = (ahead - now.x.clone()).mul_scalar(share) + momentum.mul_scalar(1.0 - share);
        before = now.x.clone();
        let next = look(ball.project(now.x + mixed, center), step);
        num_rises = num_rises + next.loss.clone().greater(now.loss).float();
        best = best.or(&next);
        now = next;
        if checkpoints.contains(&step) {
            let enough = RISING_SHARE * (step - last_check) as f64;
            let rises_too_rarely = num_rises.lower_equal_elem(enough);
            let has_stalled = best_then.greater_equal(best.loss.clone());
            let halves = rises_too_rarely.bool_or(was_halved.bool_not().bool_and(has_stalled));
            step_size = choose(&halves, step_size.clone().div_scalar(2.0), step_size);
            // The loss of the place just left stays the one that the next step is compared with.
            now.x = choose(&halves, best.x.clone(), now.x);
            now.gradient = choose(&halves, best.gradient.clone(), now.gradient);
            (was_halved, best_then, last_check) = (halves, best.loss.clone(), step);
            num_rises = Tensor::zeros([count], &device);
        }
    }
    fooling.or(best.x)
}

/// The images that were misclassified on the way.
struct Fooling<'a> {
    /// Whether each image was misclassified (N), and the last place where it was.
    images: Option<(Tensor<1, Bool>, Tensor<4>)>,
    labels: &'a Tensor<1, Int>,
}

impl Fooling<'_> {
    fn keep(&mut self, x: &Tensor<4>, probabilities: Option<Tensor<2>>) {
        let Some(probabilities) = probabilities else { return };
        let predicted = probabilities.argmax(1).squeeze_dim::<1>(1);
        let is_fooled = predicted.not_equal(self.labels.clone());
        self.images = Some(match self.images.take() {
            None => (is_fooled, x.clone()),
            Some((was_fooled, images)) => {
                (was_fooled.bool_or(is_fooled.clone()), choose(&is_fooled, x.clone(), images))
            }
        });
    }

    /// The images that were misclassified, and `others` where none was.
    fn or(self, others: Tensor<4>) -> Tensor<4> {
        match self.images {
            None => others,
            Some((is_fooled, images)) => choose(&is_fooled, images, others),
        }
    }
}

#[cfg(test)]
mod tests;
