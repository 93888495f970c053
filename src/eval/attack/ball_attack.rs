//! One kind of attack within balls of one norm, on a model with one defence.

use burn::tensor::{Int, Tensor};
use jempp_cpu::reference::NoiseKey;
use serde::{Deserialize, Serialize};

use super::{Images, Plan, Seen, apgd, radii};
use crate::{
    device::read_now,
    eval::{
        EvalError, Progress,
        metrics::proportion,
        results::{AttackKind, BallNorm, Defence, Estimate},
    },
    pgd::{Ball, ascend, ascend_to_highest, log_odds},
    streams,
};

/// The images that withstand attacks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) num_images: usize,
    /// The indices of the images that are still classified correctly, in order: without an attack, then at each radius.
    at: Vec<Vec<usize>>,
}

impl Standing {
    /// The points (ε, accuracy) at 0 and at each radius.
    pub(super) fn points(&self, radii: &[f64]) -> Vec<(f64, Estimate)> {
        let share = |standing: &Vec<usize>| proportion(standing.len(), self.num_images);
        let radii = std::iter::once(0.0).chain(radii.iter().copied());
        radii.zip(self.at.iter().map(share)).collect()
    }

    /// Keeps only the images that withstand both attacks.
    pub(super) fn and(mut self, other: &Self) -> Self {
        for (own, others) in self.at.iter_mut().zip(&other.at) {
            own.retain(|image| others.binary_search(image).is_ok());
        }
        self
    }
}

/// The result of an attack.
pub(super) struct Outcome {
    pub(super) standing: Standing,
    /// The first images without an attack, then at each radius: each (images, C, H, W), flattened.
    columns: Vec<Vec<f32>>,
    num_pixels: usize,
}

impl Outcome {
    /// The images to show, (images, 1 + radii, C, H, W), flattened.
    pub(super) fn shown(&self) -> Vec<f32> {
        let num_shown = self.columns.first().map_or(0, |column| column.len() / self.num_pixels);
        let row = |row: usize| {
            let place = row * self.num_pixels..(row + 1) * self.num_pixels;
            self.columns.iter().flat_map(move |column| column[place.clone()].iter().copied())
        };
        (0..num_shown).flat_map(row).collect()
    }
}

/// A kind of attack within balls of one norm on a model with one defence.
pub(super) struct BallAttack<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) defence: Defence,
    pub(super) norm: BallNorm,
    pub(super) kind: AttackKind,
    /// The number of random starts at any radius by the kinds of attack before this one.
    pub(super) first_round: usize,
}

impl BallAttack<'_> {
    /// Attacks the images at every radius. An image that was fooled in a ball counts as fooled in every larger ball,
    /// which contains it, and is not attacked again; neither is one that an attack `before` fooled in this ball. With
    /// refinement, one wrong prediction is enough, even if its noise was the cause.
    ///
    /// # Errors
    /// The evaluation is to stop.
    pub(super) fn run(
        &self,
        images: Images,
        before: Option<&Outcome>,
        num_shown: usize,
        progress: &mut Progress,
    ) -> Result<Outcome, EvalError> {
        let Plan { subject, config, .. } = *self.plan;
        let (num_images, num_pixels) = (images.labels.len(), subject.num_pixels());
        let place = |image: usize| image * num_pixels..(image + 1) * num_pixels;
        let num_shown = num_shown.min(num_images);
        let mut columns = vec![images.first(num_shown).values.to_vec()];
        let keep = |standing: &mut Vec<usize>, predicted: &[u32]| {
            let mut predicted = predicted.iter();
            standing.retain(|&image| predicted.next() == Some(&images.labels[image]));
        };
        let mut standing: Vec<usize> = match before {
            Some(before) => before.standing.at[0].clone(),
            None => {
                let mut all = (0..num_images).collect();
                keep(&mut all, &self.predict(images.values, 0, progress)?);
                all
            }
        };
        let mut history = vec![standing.clone()];
        let restarts = self.kind.restarts(config);
        for (index, &radius) in radii(config, self.norm).iter().enumerate() {
            let ball = Ball::new(self.norm, radius);
            let mut column = columns[index].clone();
            if let Some(before) = before {
                standing.retain(|&image| {
                    let is_standing = before.standing.at[index + 1].binary_search(&image).is_ok();
                    if !is_standing && image < num_shown {
                        let fooled = &before.columns[index + 1][place(image)];
                        column[place(image)].copy_from_slice(fooled);
                    }
                    is_standing
                });
            }
            for restart in 0..restarts {
                let round = (self.first_round + index * restarts + restart) as u32;
                let (values, labels) = pick(images, &standing, num_pixels);
                let attacked =
                    self.attacked(&ball, &values, &labels, restart == 0, round, progress)?;
                let is_shown = |(image, _): &(&usize, &[f32])| **image < num_shown;
                for (image, item) in
                    standing.iter().zip(attacked.chunks(num_pixels)).filter(is_shown)
                {
                    column[place(*image)].copy_from_slice(item);
                }
                keep(&mut standing, &self.predict(&attacked, 1 + round, progress)?);
                progress.step()?;
            }
            columns.push(column);
            history.push(standing.clone());
        }
        Ok(Outcome { standing: Standing { num_images, at: history }, columns, num_pixels })
    }

    /// Attacks the images in batches and returns the attacked images.
    ///
    /// # Errors
    /// The evaluation is to stop.
    fn attacked(
        &self,
        ball: &Ball,
        values: &[f32],
        labels: &[u32],
        is_first: bool,
        round: u32,
        progress: &Progress,
    ) -> Result<Vec<f32>, EvalError> {
        let Plan { subject, config, seed, .. } = *self.plan;
        let num_pixels = subject.num_pixels();
        let mut attacked = Vec::with_capacity(values.len());
        let batches = values.chunks(subject.batch_size() * num_pixels);
        for (batch, (values, labels)) in
            batches.zip(labels.chunks(subject.batch_size())).enumerate()
        {
            let counter = (u64::from(round) << 32) | batch as u64;
            let mut random = streams::ATTACK_STARTS.rng(seed, counter);
            let offsets = ball.draw(labels.len(), num_pixels, &mut random);
            let center = subject.upload(values);
            let mut start = center.clone() + subject.upload(&offsets);
            let labels = subject.labels(labels);
            let num_steps = config.attack_steps;
            // No two rounds share a noise.
            let first = round.wrapping_mul(num_steps as u32 + 1);
            let stream = streams::ATTACKER.nth(2 * batch as u32);
            let see = |x: &Tensor<4>, step: u32| {
                if progress.is_stopped() {
                    // Finish quickly: the result is thrown away.
                    return nothing(x);
                }
                let step = first.wrapping_add(step);
                self.see(x, &labels, stream.key(seed, step))
            };
            if self.defence.is_adaptive() && is_first {
                // An attacker who knows about the refinement can start from the result of the unaware attack.
                let bare = |x: &Tensor<4>, _| {
                    if progress.is_stopped() {
                        return (x.zeros_like(), None);
                    }
                    (subject.loss_gradient(x.clone(), &labels, log_odds).gradient, None)
                };
                start = ascend(&bare, ball, &center, start, &labels, num_steps);
            }
            let x = match self.kind {
                AttackKind::Pgd if self.defence.is_adaptive() => {
                    let slope = |x: &Tensor<4>, step: u32| {
                        let Seen { gradient, loss, .. } = see(x, step);
                        (gradient, loss)
                    };
                    ascend_to_highest(&slope, ball, &center, start, num_steps)
                }
                AttackKind::Pgd => {
                    let slope = |x: &Tensor<4>, step: u32| {
                        let Seen { gradient, probabilities, .. } = see(x, step);
                        (gradient, probabilities)
                    };
                    ascend(&slope, ball, &center, start, &labels, num_steps)
                }
                _ => apgd::ascend(&see, ball, &center, start, &labels, num_steps),
            };
            progress.check()?;
            attacked.extend(read_now(x)?);
        }
        Ok(attacked)
    }

    /// What the attacker sees at images x (N, C, H, W): predictions only if images that are already fooled are to stay
    /// as they are.
    fn see(&self, x: &Tensor<4>, labels: &Tensor<1, Int>, noise: NoiseKey) -> Seen {
        let Plan { subject, refinement, .. } = *self.plan;
        let loss = self.kind.loss();
        match (self.defence, refinement) {
            (Defence::RefinedBpda, Some(refinement)) => {
                refinement.gradient_bpda(subject, x, labels, loss, noise)
            }
            (Defence::RefinedThrough, Some(refinement)) => {
                refinement.gradient_through(subject, x, labels, loss, noise)
            }
            (defence, _) => {
                let found = subject.loss_gradient(x.clone(), labels, loss);
                // An attacker who does not know about the refinement cannot know when an image is fooled.
                let knows = defence != Defence::RefinedUnaware;
                Seen {
                    loss: found.loss,
                    gradient: found.gradient,
                    probabilities: knows.then_some(found.probabilities),
                }
            }
        }
    }

    /// The classes that the defended model predicts, with different noise in every `round`.
    ///
    /// # Errors
    /// The evaluation is to stop.
    fn predict(
        &self,
        values: &[f32],
        round: u32,
        progress: &Progress,
    ) -> Result<Vec<u32>, EvalError> {
        let Plan { subject, refinement, seed, .. } = *self.plan;
        let mut predicted = Vec::new();
        let batches = values.chunks(subject.batch_size() * subject.num_pixels());
        for (batch, values) in batches.enumerate() {
            progress.check()?;
            let x = subject.upload(values);
            let noise = streams::DEFENDER.nth(2 * batch as u32).key(seed, round);
            let probabilities = match (self.defence, refinement) {
                (Defence::None, _) | (_, None) => subject.probabilities(x),
                (_, Some(refinement)) => refinement.probabilities(subject, &x, noise),
            };
            let classes = read_now(probabilities.argmax(1).float())?;
            predicted.extend(classes.into_iter().map(|class| class as u32));
        }
        Ok(predicted)
    }
}

/// What is seen where nothing can be learnt: a loss and a gradient of 0.
fn nothing(x: &Tensor<4>) -> Seen {
    let loss = Tensor::zeros([x.dims()[0]], &x.device());
    Seen { loss, gradient: x.zeros_like(), probabilities: None }
}

/// The images at `indices` and their labels.
fn pick(images: Images, indices: &[usize], num_pixels: usize) -> (Vec<f32>, Vec<u32>) {
    let values = indices.iter().flat_map(|&i| &images.values[i * num_pixels..(i + 1) * num_pixels]);
    (values.copied().collect(), indices.iter().map(|&i| images.labels[i]).collect())
}
