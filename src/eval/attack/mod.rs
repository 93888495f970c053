//! The accuracy under adversarial attacks, with and without refinement.
//!
//! Refinement changes an image before it is classified, so an attack on the classifier alone can fail. Such a defence
//! must be measured with an attacker who knows about it and averages over its noise (Athalye et al.,
//! arXiv:1802.00420).

mod refine;

use burn::tensor::{Int, Tensor};
use rand::seq::SliceRandom;

use super::{
    EvalError, Progress,
    frozen_model::FrozenModel,
    metrics::proportion,
    results::{Attack, AttackCurve, BallNorm, Defence},
};
use jempp_cpu::reference::NoiseKey;

use crate::{
    config::EvalConfig,
    data::Dataset,
    device::read_now,
    pgd::{Ball, Differentiated, ascend},
    streams,
};

pub(super) use refine::Refinement;

/// Images to attack, (N, C, H, W) flattened, with their labels.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    pub(super) values: &'a [f32],
    pub(super) labels: &'a [u32],
}

impl Images<'_> {
    fn first(&self, count: usize) -> Self {
        let count = count.min(self.labels.len());
        let num_pixels = self.values.len() / self.labels.len();
        Self { values: &self.values[..count * num_pixels], labels: &self.labels[..count] }
    }
}

/// The columns of a picture: an image, then the image attacked without defence at each radius of one norm.
pub(super) struct Attacked {
    pub(super) norm: BallNorm,
    /// The values (images, 1 + radii, C, H, W), flattened.
    pub(super) values: Vec<f32>,
    pub(super) columns: usize,
}

/// The attacks on refined images.
fn on_refined(config: &EvalConfig, refinement: Option<&Refinement>) -> Vec<Defence> {
    let Some(refinement) = refinement else { return Vec::new() };
    let mut attacks = vec![Defence::RefinedUnaware, Defence::RefinedBpda];
    if config.attack_through_sampler && refinement.can_differentiate() {
        attacks.push(Defence::RefinedThrough);
    }
    attacks
}

/// The number of times that [`attack`] reports progress.
pub(super) fn num_steps(config: &EvalConfig, refinement: Option<&Refinement>) -> usize {
    let num_radii: usize = BallNorm::ALL.iter().map(|&(norm, _)| radii(config, norm).len()).sum();
    (1 + on_refined(config, refinement).len()) * num_radii * config.attack_restarts
}

/// Draws random test images to attack, with their labels. The attacks on refined images use the first of them.
pub(super) fn choose(test: &Dataset, config: &EvalConfig, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut indices: Vec<usize> = (0..test.len()).collect();
    indices.shuffle(&mut streams::ATTACKED_IMAGES.rng(seed, 0));
    indices.truncate(config.num_attacked.max(config.num_attacked_refined));
    let labels = indices.iter().map(|&index| test.labels[index]).collect();
    (test.gather(indices), labels)
}

/// The radii of a norm.
pub(super) fn radii(config: &EvalConfig, norm: BallNorm) -> &[f64] {
    match norm {
        BallNorm::Linf => &config.linf_radii,
        BallNorm::L2 => &config.l2_radii,
    }
}

/// The accuracy as a function of ε for every norm and defence, and `num_shown` attacked images of each norm.
///
/// # Errors
/// The evaluation is to stop.
pub(super) fn attack(
    subject: &FrozenModel,
    refinement: Option<&Refinement>,
    images: Images,
    config: &EvalConfig,
    seed: u64,
    num_shown: usize,
    progress: &mut Progress,
) -> Result<(Attack, Vec<Attacked>), EvalError> {
    let (mut curves, mut shown) = (Vec::new(), Vec::new());
    for &(norm, _) in BallNorm::ALL {
        let mut run = |defence, count| {
            let attack = BallAttack { subject, refinement, defence, norm, config, seed };
            attack.run(images.first(count), num_shown, progress)
        };
        let bare = run(Defence::None, config.num_attacked)?;
        curves.push(bare.curve(norm, Defence::None, config));
        shown.push(Attacked { norm, values: bare.shown, columns: 1 + radii(config, norm).len() });

        let mut worst: Option<Outcome> = None;
        for defence in on_refined(config, refinement) {
            let outcome = run(defence, config.num_attacked_refined)?;
            curves.push(outcome.curve(norm, defence, config));
            worst = Some(match worst {
                None => outcome,
                Some(worst) => worst.and(outcome),
            });
        }
        curves.extend(worst.map(|worst| worst.curve(norm, Defence::RefinedWorst, config)));
    }
    let refinement = refinement.map_or_else(|| "none".to_string(), |r| r.words().to_string());
    Ok((Attack { curves, refinement }, shown))
}

/// The result of an attack.
struct Outcome {
    num_images: usize,
    /// The indices of the images that are still classified correctly: without an attack, then at each radius.
    standing: Vec<Vec<usize>>,
    /// The images to show, (images, 1 + radii, C, H, W), flattened.
    shown: Vec<f32>,
}

impl Outcome {
    fn curve(&self, norm: BallNorm, defence: Defence, config: &EvalConfig) -> AttackCurve {
        let share = |standing: &Vec<usize>| proportion(standing.len(), self.num_images);
        let radii = std::iter::once(0.0).chain(radii(config, norm).iter().copied());
        let points = radii.zip(self.standing.iter().map(share)).collect();
        AttackCurve { norm, defence, num_images: self.num_images, points }
    }

    /// Keeps only the images that withstand both attacks.
    fn and(mut self, other: Self) -> Self {
        for (own, others) in self.standing.iter_mut().zip(&other.standing) {
            own.retain(|image| others.contains(image));
        }
        self
    }
}

/// An attack within balls of one norm on a model with one defence.
struct BallAttack<'a> {
    subject: &'a FrozenModel,
    refinement: Option<&'a Refinement>,
    defence: Defence,
    norm: BallNorm,
    config: &'a EvalConfig,
    seed: u64,
}

impl BallAttack<'_> {
    /// Attacks the images at every radius. An image that was fooled in a ball counts as fooled in every larger ball,
    /// which contains it, and is not attacked again. With refinement, one wrong prediction is enough, even if its
    /// noise was the cause.
    ///
    /// # Errors
    /// The evaluation is to stop.
    fn run(
        &self,
        images: Images,
        num_shown: usize,
        progress: &mut Progress,
    ) -> Result<Outcome, EvalError> {
        let (num_images, num_pixels) = (images.labels.len(), self.subject.num_pixels());
        let num_shown = num_shown.min(num_images);
        let mut columns = vec![images.first(num_shown).values.to_vec()];
        let mut standing: Vec<usize> = (0..num_images).collect();
        let keep = |standing: &mut Vec<usize>, predicted: &[u32]| {
            let mut predicted = predicted.iter();
            standing.retain(|&image| predicted.next() == Some(&images.labels[image]));
        };
        keep(&mut standing, &self.predict(images.values, 0, progress)?);
        let mut history = vec![standing.clone()];
        for (index, &radius) in radii(self.config, self.norm).iter().enumerate() {
            let ball = Ball::new(self.norm, radius);
            let mut column = columns[index].clone();
            for restart in 0..self.config.attack_restarts {
                let round = (index * self.config.attack_restarts + restart) as u32;
                let (values, labels) = pick(images, &standing, num_pixels);
                let attacked = self.attacked(&ball, &values, &labels, round, progress)?;
                let is_shown = |(image, _): &(&usize, &[f32])| **image < num_shown;
                for (image, item) in
                    standing.iter().zip(attacked.chunks(num_pixels)).filter(is_shown)
                {
                    column[image * num_pixels..(image + 1) * num_pixels].copy_from_slice(item);
                }
                keep(&mut standing, &self.predict(&attacked, 1 + round, progress)?);
                progress.step()?;
            }
            columns.push(column);
            history.push(standing.clone());
        }
        let row = |row: usize| {
            let place = row * num_pixels..(row + 1) * num_pixels;
            columns.iter().flat_map(move |column| column[place.clone()].iter().copied())
        };
        let shown = (0..num_shown).flat_map(row).collect();
        Ok(Outcome { num_images, standing: history, shown })
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
        round: u32,
        progress: &Progress,
    ) -> Result<Vec<f32>, EvalError> {
        let num_pixels = self.subject.num_pixels();
        let mut attacked = Vec::with_capacity(values.len());
        let batches = values.chunks(self.subject.batch_size() * num_pixels);
        for (batch, (values, labels)) in
            batches.zip(labels.chunks(self.subject.batch_size())).enumerate()
        {
            let counter = (u64::from(round) << 32) | batch as u64;
            let mut random = streams::ATTACK_STARTS.rng(self.seed, counter);
            let offsets = ball.draw(labels.len(), num_pixels, &mut random);
            let center = self.subject.upload(values);
            let mut start = center.clone() + self.subject.upload(&offsets);
            let labels = self.subject.labels(labels);
            let num_steps = self.config.attack_steps;
            let first = round.wrapping_mul(num_steps as u32);
            let stream = streams::ATTACKER.nth(2 * batch as u32);
            let slope = |x: &Tensor<4>, step: u32| {
                if progress.is_stopped() {
                    // Finish quickly: the result is thrown away.
                    return (x.zeros_like(), None);
                }
                let step = first.wrapping_add(step);
                self.slope(x, &labels, stream.key(self.seed, step))
            };
            if self.is_adaptive() && round.is_multiple_of(self.config.attack_restarts as u32) {
                // An attacker who knows about the refinement can start from the result of the unaware attack.
                let bare = |x: &Tensor<4>, _| {
                    if progress.is_stopped() {
                        return (x.zeros_like(), None);
                    }
                    (self.subject.loss_gradient(x.clone(), &labels).gradient, None)
                };
                start = ascend(&bare, ball, &center, start, &labels, num_steps);
            }
            let x = ascend(&slope, ball, &center, start, &labels, num_steps);
            progress.check()?;
            attacked.extend(read_now(x)?);
        }
        Ok(attacked)
    }

    /// Whether the attacker knows about the refinement.
    fn is_adaptive(&self) -> bool {
        matches!(self.defence, Defence::RefinedBpda | Defence::RefinedThrough)
    }

    /// The gradient that the attacker follows, and p(y|x) if images that are already fooled are to stay unchanged.
    fn slope(
        &self,
        x: &Tensor<4>,
        labels: &Tensor<1, Int>,
        noise: NoiseKey,
    ) -> (Tensor<4>, Option<Tensor<2>>) {
        let bare = || self.subject.loss_gradient(x.clone(), labels);
        match (self.defence, self.refinement) {
            (Defence::RefinedBpda, Some(refinement)) => {
                (refinement.gradient_bpda(self.subject, x, labels, noise), None)
            }
            (Defence::RefinedThrough, Some(refinement)) => {
                (refinement.gradient_through(self.subject, x, labels, noise), None)
            }
            // An attacker who does not know about the refinement cannot know when an image is fooled.
            (Defence::RefinedUnaware, _) => (bare().gradient, None),
            _ => {
                let Differentiated { gradient, probabilities } = bare();
                (gradient, Some(probabilities))
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
        let mut predicted = Vec::new();
        let batches = values.chunks(self.subject.batch_size() * self.subject.num_pixels());
        for (batch, values) in batches.enumerate() {
            progress.check()?;
            let x = self.subject.upload(values);
            let noise = streams::DEFENDER.nth(2 * batch as u32).key(self.seed, round);
            let probabilities = match (self.defence, self.refinement) {
                (Defence::None, _) | (_, None) => self.subject.probabilities(x),
                (_, Some(refinement)) => refinement.probabilities(self.subject, &x, noise),
            };
            let classes = read_now(probabilities.argmax(1).float())?;
            predicted.extend(classes.into_iter().map(|class| class as u32));
        }
        Ok(predicted)
    }
}

/// The images at `indices` and their labels.
fn pick(images: Images, indices: &[usize], num_pixels: usize) -> (Vec<f32>, Vec<u32>) {
    let values = indices.iter().flat_map(|&i| &images.values[i * num_pixels..(i + 1) * num_pixels]);
    (values.copied().collect(), indices.iter().map(|&i| images.labels[i]).collect())
}

#[cfg(test)]
mod tests;
