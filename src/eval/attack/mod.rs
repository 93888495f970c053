//! The accuracy under adversarial attacks, with and without refinement.
//!
//! Refinement changes an image before it is classified, so an attack on the classifier alone can fail. Such a defence
//! must be measured with an attacker who knows about it and averages over its noise (Athalye et al.,
//! arXiv:1802.00420).

mod apgd;
mod ball_attack;
mod refine;

use burn::tensor::Tensor;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{
    EvalError, Picture, Progress,
    frozen_model::FrozenModel,
    results::{Attack, AttackCurve, AttackKind, AttackStage, BallNorm, Defence},
};
use crate::{
    config::{EvalConfig, RunConfig, SamplerKind},
    data::Dataset,
    pgd::{AttackLoss, Ball},
    shard::Shard,
    streams,
};
use ball_attack::{BallAttack, Outcome, Standing};

pub(super) use refine::Refinement;

/// The smallest number of classes for which the loss of APGD-DLR is defined.
const FEWEST_CLASSES_OF_DLR: usize = 3;

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

/// What an attacker sees at images x (N, C, H, W).
struct Seen {
    /// The loss that the attack climbs, shape (N).
    loss: Tensor<1>,
    /// The gradient that the attacker follows, shape (N, C, H, W).
    gradient: Tensor<4>,
    /// p(y|x), shape (N, classes), if the attacker knows what the defended model predicts.
    probabilities: Option<Tensor<2>>,
}

impl AttackKind {
    /// The number of random starts for each image.
    fn restarts(self, config: &EvalConfig) -> usize {
        match self {
            Self::Pgd => config.attack_restarts,
            _ => config.apgd_restarts,
        }
    }

    /// The number of gradients for each image and start.
    fn num_gradients(self, config: &EvalConfig, is_adaptive: bool) -> usize {
        match self {
            Self::Pgd if !is_adaptive => config.attack_steps,
            // Also where the last step led.
            _ => config.attack_steps + 1,
        }
    }

    fn loss(self) -> AttackLoss {
        match self {
            Self::ApgdDlr => apgd::difference_of_logits_ratio,
            _ => crate::pgd::log_odds,
        }
    }
}

impl Defence {
    /// Whether the attacker knows about the refinement.
    fn is_adaptive(self) -> bool {
        matches!(self, Self::RefinedBpda | Self::RefinedThrough)
    }
}

/// The attacks that run on a model with this number of classes, in their order.
fn kinds(config: &EvalConfig, num_classes: usize) -> Vec<AttackKind> {
    let is_possible =
        |kind: &AttackKind| *kind != AttackKind::ApgdDlr || num_classes >= FEWEST_CLASSES_OF_DLR;
    config.attack.members().iter().copied().filter(is_possible).collect()
}

/// The reason why an attack that was asked for cannot run, with its name.
pub(super) fn left_out(config: &EvalConfig, num_classes: usize) -> Vec<(String, String)> {
    let kinds = kinds(config, num_classes);
    let missing = config.attack.members().iter().filter(|kind| !kinds.contains(kind));
    let reason = format!(
        "its loss compares the largest and the third largest logit, but the model has {num_classes} classes"
    );
    missing.map(|kind| (kind.name().to_string(), reason.clone())).collect()
}

/// The attacks on refined images.
fn on_refined(config: &EvalConfig, can_differentiate: bool) -> Vec<Defence> {
    if config.refine_steps == 0 {
        return Vec::new();
    }
    let mut attacks = vec![Defence::RefinedUnaware, Defence::RefinedBpda];
    if config.attack_through_sampler && can_differentiate {
        attacks.push(Defence::RefinedThrough);
    }
    attacks
}

fn num_radii(config: &EvalConfig) -> usize {
    BallNorm::ALL.iter().map(|&(norm, _)| radii(config, norm).len()).sum()
}

/// Attacks that do not depend on others: those within balls of one norm, on a model with one defence. Each attacks only
/// the images that withstood those before, and its noise depends on the place of an image among them, so its images cannot
/// be divided among processes; but the units can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    norm: BallNorm,
    defence: Defence,
}

/// The attacks of a part of an evaluation: every n-th of all, the most costly ones last.
fn units(config: &EvalConfig, can_differentiate: bool, shard: Shard) -> Vec<Unit> {
    let defences = [Defence::None].into_iter().chain(on_refined(config, can_differentiate));
    let of_defence = |defence| BallNorm::ALL.iter().map(move |&(norm, _)| Unit { norm, defence });
    defences.flat_map(of_defence).skip(shard.number() - 1).step_by(shard.count()).collect()
}

/// The number of times that [`Plan::see`] reports progress.
pub(super) fn num_steps(
    config: &EvalConfig,
    refinement: Option<&Refinement>,
    num_classes: usize,
    shard: Shard,
) -> usize {
    let kinds = kinds(config, num_classes);
    let num_starts: usize = kinds.iter().map(|kind| kind.restarts(config)).sum();
    let can_differentiate = refinement.is_some_and(Refinement::can_differentiate);
    let units = units(config, can_differentiate, shard);
    units.iter().map(|unit| radii(config, unit.norm).len() * num_starts).sum()
}

/// The cost of the attacks before they run, in one line: which they are, and how many gradients of one image they take
/// if every image withstands everything.
pub fn cost_of_attacks(config: &RunConfig, test: &Dataset) -> Option<String> {
    let eval = &config.eval;
    let kinds = kinds(eval, test.num_classes());
    if kinds.is_empty() {
        return None;
    }
    // The gradients of one refinement, and of the way back through its steps: a Hessian-vector product takes two.
    let of_step = if config.sampler.kind == SamplerKind::Mala { 2 } else { 1 };
    let num_denoised = usize::from(config.class_denoise_step() > 0.0);
    let refinement = of_step * eval.refine_steps + num_denoised;
    let back = 2 * (eval.refine_steps + num_denoised);
    let draws = |count: usize| if eval.refine_noise_std > 0.0 { count } else { 1 };
    let mut total = 0;
    for defence in [Defence::None].into_iter().chain(on_refined(eval, true)) {
        // The gradients that one sight of the defended model takes, and one prediction by it.
        let is_adaptive = defence.is_adaptive();
        let sight = match defence {
            Defence::RefinedThrough => draws(eval.attack_draws) * (refinement + 1 + back),
            _ if is_adaptive => draws(eval.attack_draws) * (refinement + 1),
            _ => 1,
        };
        let (count, prediction) = match defence {
            Defence::None => (eval.num_attacked, 0),
            _ => (eval.num_attacked_refined, draws(eval.refine_draws) * refinement),
        };
        // Every image is classified before the attacks within the balls of a norm, too.
        let mut per_image = BallNorm::ALL.len() * prediction;
        for kind in &kinds {
            let per_start = kind.num_gradients(eval, is_adaptive) * sight + prediction;
            let unaware = if is_adaptive { eval.attack_steps } else { 0 };
            per_image += num_radii(eval) * (kind.restarts(eval) * per_start + unaware);
        }
        total += count.min(test.len()) * per_image;
    }
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let number = match total {
        0..100_000 => total.to_string(),
        // Rounded up, as it is an upper bound.
        _ => format!("{:.1} million", (total as f64 / 1e5).ceil() / 10.0),
    };
    Some(format!("{}; at most {number} gradients of one image", names.join(", then ")))
}

/// Draws random test images to attack, with their labels. The attacks on refined images use the first of them.
pub(super) fn choose(test: &Dataset, config: &EvalConfig, seed: u64) -> (Vec<f32>, Vec<u32>) {
    let mut indices: Vec<usize> = (0..test.len()).collect();
    indices.shuffle(&mut streams::ATTACKED_IMAGES.rng(seed, 0));
    indices.truncate(config.num_attacked.max(config.num_attacked_refined));
    let labels = indices.iter().map(|&index| test.labels[index]).collect();
    (test.gather(indices), labels)
}

/// A radius of an attack on items of the shape (C, H, W) as it is shown: in the unit of its norm, or in units of x for points,
/// which have no pixels.
pub(crate) fn shown_radius(norm: BallNorm, radius: f64, shape: [usize; 3]) -> f64 {
    match shape {
        [_, 1, 1] => (1e4 * Ball::new(norm, radius).radius()).round() / 1e4,
        _ => radius,
    }
}

/// The radii of a norm.
pub(super) fn radii(config: &EvalConfig, norm: BallNorm) -> &[f64] {
    match norm {
        BallNorm::Linf => &config.linf_radii,
        BallNorm::L2 => &config.l2_radii,
    }
}

/// How the attacks of an evaluation run.
pub(super) struct Plan<'a> {
    pub(super) subject: &'a FrozenModel,
    pub(super) refinement: Option<&'a Refinement>,
    pub(super) config: &'a EvalConfig,
    pub(super) num_classes: usize,
    pub(super) seed: u64,
}

/// Which images withstood attacks: of all of them, or of those of a part of an evaluation.
#[derive(Serialize, Deserialize)]
pub(super) struct AttackSeen {
    units: Vec<UnitSeen>,
    refinement: String,
    left_out: Vec<(String, String)>,
}

/// Which images withstood the attacks within balls of one norm, on a model with one defence.
#[derive(Serialize, Deserialize)]
struct UnitSeen {
    norm: BallNorm,
    defence: Defence,
    /// After each kind of attack and all kinds before it.
    stages: Stages,
    /// Some of the attacked images.
    picture: Option<Picture>,
}

impl AttackSeen {
    /// Adds the attacks of another part of the evaluation.
    pub(super) fn join(&mut self, part: Self) {
        self.units.extend(part.units);
    }

    /// The accuracy as a function of ε for every norm and defence.
    pub(super) fn results(&self, config: &EvalConfig) -> Attack {
        let mut curves = Vec::new();
        for &(norm, _) in BallNorm::ALL {
            let stages_of = |defence: Defence| {
                let is_it = |unit: &&UnitSeen| unit.norm == norm && unit.defence == defence;
                self.units.iter().find(is_it).map(|unit| &unit.stages)
            };
            let mut worst: Option<Stages> = None;
            for defence in Defence::ATTACKED {
                let Some(stages) = stages_of(defence) else { continue };
                curves.push(curve(config, norm, defence, stages));
                if defence == Defence::None {
                    continue;
                }
                worst = Some(match worst {
                    None => stages.clone(),
                    Some(worst) => {
                        let both = worst.into_iter().zip(stages);
                        both.map(|((kind, a), (_, b))| (kind, a.and(b))).collect()
                    }
                });
            }
            curves.extend(worst.map(|stages| curve(config, norm, Defence::RefinedWorst, &stages)));
        }
        Attack { curves, refinement: self.refinement.clone(), left_out: self.left_out.clone() }
    }

    /// The pictures of attacked images, one for each norm.
    pub(super) fn pictures(&self) -> Vec<Picture> {
        let of_norm = |&(norm, _): &(BallNorm, _)| {
            self.units.iter().filter(move |unit| unit.norm == norm).find_map(|u| u.picture.clone())
        };
        BallNorm::ALL.iter().filter_map(of_norm).collect()
    }
}

impl Plan<'_> {
    /// Runs the attacks of a part of the evaluation. `draw` makes a picture of `num_shown` images of each norm, attacked
    /// without a defence.
    ///
    /// # Errors
    /// The evaluation is to stop; a picture cannot be drawn.
    pub(super) fn see(
        &self,
        images: Images,
        num_shown: usize,
        shard: Shard,
        draw: &dyn Fn(&Attacked) -> Result<Option<Picture>, EvalError>,
        progress: &mut Progress,
    ) -> Result<AttackSeen, EvalError> {
        let Self { refinement, config, num_classes, .. } = *self;
        let can_differentiate = refinement.is_some_and(Refinement::can_differentiate);
        let mut seen = Vec::new();
        for Unit { norm, defence } in units(config, can_differentiate, shard) {
            let (count, num_shown) = match defence {
                Defence::None => (config.num_attacked, num_shown),
                _ => (config.num_attacked_refined, 0),
            };
            let outcomes = self.stages(norm, defence, images.first(count), num_shown, progress)?;
            let picture = match (defence, outcomes.last()) {
                (Defence::None, Some((_, outcome))) => {
                    let columns = 1 + radii(config, norm).len();
                    draw(&Attacked { norm, values: outcome.shown(), columns })?
                }
                _ => None,
            };
            let stages = outcomes.into_iter().map(|(kind, found)| (kind, found.standing)).collect();
            seen.push(UnitSeen { norm, defence, stages, picture });
        }
        let refinement = refinement.map_or_else(|| "none".to_string(), |r| r.words().to_string());
        Ok(AttackSeen { units: seen, refinement, left_out: left_out(config, num_classes) })
    }

    /// Runs every kind of attack in turn. Each attacks only the images that withstood those before, so the last
    /// outcome is that of the worst attack on each image.
    fn stages(
        &self,
        norm: BallNorm,
        defence: Defence,
        images: Images,
        num_shown: usize,
        progress: &mut Progress,
    ) -> Result<Vec<(AttackKind, Outcome)>, EvalError> {
        let mut stages: Vec<(AttackKind, Outcome)> = Vec::new();
        let mut num_rounds = 0;
        for kind in kinds(self.config, self.num_classes) {
            let attack = BallAttack { plan: self, defence, norm, kind, first_round: num_rounds };
            let before = stages.last().map(|(_, outcome)| outcome);
            let outcome = attack.run(images, before, num_shown, progress)?;
            num_rounds += radii(self.config, norm).len() * kind.restarts(self.config);
            stages.push((kind, outcome));
        }
        Ok(stages)
    }
}

/// The accuracy as a function of ε after the attacks of one norm and defence.
fn curve(config: &EvalConfig, norm: BallNorm, defence: Defence, stages: &Stages) -> AttackCurve {
    let radii = radii(config, norm);
    let by_attack: Vec<AttackStage> = stages
        .iter()
        .map(|(kind, standing)| AttackStage { attack: *kind, points: standing.points(radii) })
        .collect();
    AttackCurve {
        norm,
        defence,
        num_images: stages.last().map_or(0, |(_, standing)| standing.num_images),
        points: by_attack.last().map_or_else(Vec::new, |stage| stage.points.clone()),
        by_attack,
    }
}

/// The images that stand after each kind of attack and all kinds before it.
type Stages = Vec<(AttackKind, Standing)>;

#[cfg(test)]
mod tests;
