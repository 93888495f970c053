//! Health checks of a training run: warnings for a run that ends without an error but also without a useful model.

use std::{
    collections::VecDeque,
    mem::{Discriminant, discriminant},
};

use super::{RunDescription, TrainingEvent};
use crate::{
    accuracy::Accuracy,
    config::{GapLoss, RunConfig},
    sampler::Sampler,
    trainer::StepReport,
};

/// The number of recent steps that are averaged, because single steps vary too much.
const WINDOW: usize = 20;
/// The number of steps before a warning about the chains, because early chains come from an untrained network.
const MIN_STEPS: u64 = 50;
/// The number of steps before a warning about learning during the run: a slow start is not a fault.
const MIN_STEPS_OF_LEARNING: u64 = 500;
/// A warning that was given fewer than this many steps before the end is not given again there.
const MIN_STEPS_BETWEEN: u64 = 500;
/// An accuracy within this many standard deviations of the majority share counts as chance.
const NUM_DEVIATIONS: f64 = 3.0;
/// A mean gradient norm below this counts as zero. Those of useful models are between 0.1 and 10.
const MIN_GRADIENT_NORM: f64 = 1e-7;
/// A share of pixels at the border of the box above this means that the step size is too large.
const MAX_SATURATION: f64 = 0.95;
/// Chains whose pixels move by less than this in a training step count as stuck at their start; a pixel has a range of
/// 2.
const MIN_MOVE: f64 = 1e-4;
/// Limit on the gap between the energies of chains and data. Gaps of useful models are within 2 (docs/showcase.md).
const MAX_GAP: f64 = 20.0;

/// A problem that makes a run useless.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Problem {
    /// The energy does not depend on the image.
    Dead,
    /// The accuracy is no better than that of always predicting the most frequent class.
    AtChance { accuracy: f64, majority: f64 },
    /// The cross entropy did not decrease from its first value.
    NoProgress { now: f64, first: f64 },
    /// The share of the chains' pixels at the border of the box is too high; given with that of the data.
    Saturated { chains: f64, data: f64 },
    /// The chains hardly move; `distance` is how far a pixel moves in a training step.
    Motionless { distance: f64 },
    /// The gap, mean E(x_data) - mean E(x_model), is too large.
    Apart { gap: f64 },
}

/// The state of a training run that the health checks need, collected from its events.
pub(super) struct Health {
    run: RunDescription,
    recent: VecDeque<StepReport>,
    /// The mean cross entropy of the first steps, if this session did them.
    first: Option<f64>,
    test: Option<Accuracy>,
    /// The warnings given so far, with the step of each.
    told: Vec<(Discriminant<Problem>, u64)>,
}

impl Health {
    pub(super) fn new(run: RunDescription) -> Self {
        let recent = VecDeque::with_capacity(WINDOW + 1);
        Self { run, recent, first: None, test: None, told: Vec::new() }
    }

    /// Records one event of the run.
    pub(super) fn observe(&mut self, event: &TrainingEvent) {
        match event {
            TrainingEvent::Step(report) => {
                // The epochs of the classifier alone tell nothing of the chains after them.
                let has_chains = self.has_chains(report);
                if self.recent.back().is_some_and(|last| self.has_chains(last) != has_chains) {
                    self.recent.clear();
                }
                self.recent.push_back(report.clone());
                if self.recent.len() > WINDOW {
                    self.recent.pop_front();
                }
                if report.step == WINDOW as u64 {
                    self.first = self.mean(|report| report.terms.cross_entropy);
                }
            }
            TrainingEvent::Evaluated { test, .. } => self.test = *test,
            TrainingEvent::Recovered { .. } => self.recent.clear(),
            _ => {}
        }
    }

    /// The problems that appeared during the run since the last call, in words.
    pub(super) fn new_warnings(&mut self) -> Vec<String> {
        let mut problems = self.problems(MIN_STEPS_OF_LEARNING);
        problems.retain(|problem| self.told_at(problem).is_none());
        let step = self.last_step();
        self.told.extend(problems.iter().map(|problem| (discriminant(problem), step)));
        problems.into_iter().map(|problem| self.describe(problem)).collect()
    }

    /// The problems at the end of the run, in words, without those that were just told.
    pub(super) fn final_warnings(&self) -> Vec<String> {
        let mut problems = self.problems(MIN_STEPS);
        let is_fresh = |step| self.last_step() < step + MIN_STEPS_BETWEEN;
        problems.retain(|problem| !self.told_at(problem).is_some_and(is_fresh));
        problems.into_iter().map(|problem| self.describe(problem)).collect()
    }

    /// The step at which a problem of this kind was told.
    fn told_at(&self, problem: &Problem) -> Option<u64> {
        let kind = discriminant(problem);
        self.told.iter().find(|told| told.0 == kind).map(|told| told.1)
    }

    /// The last step that was observed; 0 before the first.
    fn last_step(&self) -> u64 {
        self.recent.back().map_or(0, |report| report.step)
    }

    /// The mean of a number over the last steps; `None` until there are enough steps.
    fn mean(&self, number: impl Fn(&StepReport) -> f64) -> Option<f64> {
        let sum: f64 = self.recent.iter().map(number).sum();
        (self.recent.len() == WINDOW).then_some(sum / WINDOW as f64)
    }

    fn problems(&self, min_steps_of_learning: u64) -> Vec<Problem> {
        let step = self.last_step();
        if step < MIN_STEPS {
            return Vec::new();
        }
        let has_chains = self.recent.back().is_some_and(|report| self.has_chains(report));
        let is_dead = |norm: f64| has_chains && norm < MIN_GRADIENT_NORM;
        if self.mean(|report| report.gradient_norm).is_some_and(is_dead) {
            // This problem explains all others.
            return vec![Problem::Dead];
        }
        let mut found = Vec::new();
        if step >= min_steps_of_learning {
            found.extend(self.at_chance().or_else(|| self.no_progress()));
        }
        if has_chains {
            found.extend(self.saturated());
            found.extend(self.motionless());
            let gap = self.mean(|report| report.gap).filter(|gap| gap.abs() > MAX_GAP);
            found.extend(gap.map(|gap| Problem::Apart { gap }));
        }
        found
    }

    /// Whether chains were sampled in a step.
    fn has_chains(&self, report: &StepReport) -> bool {
        let RunConfig { objective, training, .. } = &self.run.config;
        objective.needs_chains() && report.epoch > training.classifier_epochs as u64
    }

    fn learns_classes(&self) -> bool {
        let objective = &self.run.config.objective;
        objective.p_y_given_x_weight > 0.0
    }

    fn at_chance(&self) -> Option<Problem> {
        let (accuracy, data) = (self.test?.accuracy, self.run.data_statistics);
        let majority = data.majority_share;
        let deviation = (majority * (1.0 - majority) / data.num_judged as f64).sqrt();
        // A few items may all be right by chance; then only an accuracy below that of the most frequent class tells.
        let bound = majority + NUM_DEVIATIONS * deviation;
        let bound = if bound < 1.0 { bound } else { majority };
        let is_chance = majority < 1.0 && accuracy <= bound;
        (self.learns_classes() && is_chance).then_some(Problem::AtChance { accuracy, majority })
    }

    fn no_progress(&self) -> Option<Problem> {
        let (now, first) = (self.mean(|report| report.terms.cross_entropy)?, self.first?);
        (self.learns_classes() && now >= first).then_some(Problem::NoProgress { now, first })
    }

    fn saturated(&self) -> Option<Problem> {
        let (chains, data) =
            (self.mean(|report| report.saturation)?, self.run.data_statistics.saturation);
        // Digit images also have many black pixels at the border.
        let bound = MAX_SATURATION.max((1.0 + data) / 2.0);
        (chains > bound).then_some(Problem::Saturated { chains, data })
    }

    fn motionless(&self) -> Option<Problem> {
        let section = &self.run.config.sampler;
        let sampler = Sampler::new(section);
        let norm = self.mean(|report| report.gradient_norm)?;
        let gradient = norm / (self.run.data_statistics.num_pixels as f64).sqrt();
        let gradient = match sampler {
            // A step of this length, whatever the gradient is.
            Sampler::NormalizedGradient { .. } if norm > 0.0 => {
                (self.run.data_statistics.num_pixels as f64).sqrt().recip()
            }
            _ => gradient.min(sampler.proximal_radius().map_or(f64::INFINITY, f64::from)),
        };
        let num_steps = section.num_steps as f64;
        let distance = num_steps * f64::from(sampler.length()) * gradient
            + num_steps.sqrt() * section.noise_std;
        (distance < MIN_MOVE).then_some(Problem::Motionless { distance })
    }

    fn describe(&self, problem: Problem) -> String {
        let config = &self.run.config;
        let key = config.sampler.step_size_key();
        match problem {
            Problem::Dead => {
                "the network is dead: its energy no longer depends on the image. Try a smaller \
                 optimizer.learning_rate"
                    .into()
            }
            Problem::AtChance { accuracy, majority } => format!(
                "the model has not learned to classify: its test accuracy is {:.1} %, and always answering the \
                 most frequent class gives {:.1} %. Try a smaller optimizer.learning_rate",
                100.0 * accuracy,
                100.0 * majority
            ),
            Problem::NoProgress { now, first } => format!(
                "the model has not learned: its cross entropy is {now:.3}, and was {first:.3} at first. Try a \
                 smaller optimizer.learning_rate, or a larger one if it is tiny"
            ),
            Problem::Saturated { chains, data } => format!(
                "the chains are useless: {:.0} % of their pixels are at the border of the box ({:.0} % of the \
                 data's). Try a smaller {key}{}",
                100.0 * chains,
                100.0 * data,
                match Sampler::new(&config.sampler).proximal_radius() {
                    Some(_) => ", or a smaller sampler.proximal_radius",
                    None => "",
                }
            ),
            Problem::Motionless { distance } => format!(
                "the chains stand still: a pixel moves by {distance:.0e} in a training step, and spans 2. Try a \
                 larger {key}"
            ),
            Problem::Apart { gap } => format!(
                "the chains do not reach the energies of the data: E(data) - E(model) stays at {gap:.0}. Try more \
                 sampler.num_steps, or another {key}{}",
                match config.objective.gap_loss {
                    GapLoss::Linear => ", or objective.gap_loss = softplus",
                    GapLoss::Softplus | GapLoss::Logistic => "",
                }
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::DataStatistics, *};
    use crate::objective::Terms;

    fn health(assignments: &[&str]) -> Health {
        let set = |config: RunConfig, set: &&str| config.with_assignment(set).unwrap();
        let config = assignments.iter().fold(RunConfig::default(), set);
        let data_statistics = DataStatistics {
            majority_share: 0.1,
            num_judged: 1000,
            saturation: 0.5,
            num_pixels: 784,
        };
        Health::new(RunDescription {
            config,
            data: String::new(),
            network: String::new(),
            memory: String::new(),
            data_statistics,
        })
    }

    /// Simulates the steps of a run that learns, each changed by `change`.
    fn train(health: &mut Health, num_steps: u64, change: impl Fn(&mut StepReport)) {
        for step in 1..=num_steps {
            let cross_entropy = 2.0 / step as f64;
            let mut report = StepReport {
                step,
                epoch: 1,
                loss: cross_entropy,
                terms: Terms { cross_entropy, train_accuracy: 0.5, ..Terms::default() },
                gap: 0.3,
                gradient_norm: 1.0,
                clamp_rate: 0.1,
                saturation: 0.4,
                learning_rate: 1e-3,
                chain_steps: None,
            };
            change(&mut report);
            health.observe(&TrainingEvent::Step(report));
        }
    }

    fn evaluate(health: &mut Health, accuracy: f64) {
        let test = Some(Accuracy { accuracy, calibration_error: 0.0, mean_energy: 0.0 });
        let (step, epoch, validation, grid) = (0, 1, None, None);
        health.observe(&TrainingEvent::Evaluated { step, epoch, test, validation, grid });
    }

    fn only(warnings: Vec<String>) -> String {
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        warnings.concat()
    }

    #[test]
    fn a_good_run_is_left_alone() {
        let mut health = health(&[]);
        train(&mut health, 600, |_| {});
        evaluate(&mut health, 0.85);
        assert!(health.new_warnings().is_empty() && health.final_warnings().is_empty());
    }

    #[test]
    fn a_run_at_chance_is_told_and_a_slow_start_is_not() {
        let mut health = health(&[]);
        train(&mut health, 100, |_| {});
        evaluate(&mut health, 0.12);
        assert!(health.new_warnings().is_empty(), "it may still learn");
        let said = only(health.final_warnings());
        assert!(said.contains("12.0 %") && said.contains("optimizer.learning_rate"), "{said}");
        evaluate(&mut health, 0.14);
        assert!(health.final_warnings().is_empty(), "14 % of 1,000 is more than chance");
    }

    #[test]
    fn a_handful_of_test_items_and_a_single_class_say_nothing_of_chance() {
        for (majority_share, num_judged, accuracy, is_told) in
            [(0.5, 6, 1.0, false), (0.5, 6, 0.4, true), (1.0, 40, 1.0, false)]
        {
            let mut health = health(&[]);
            let statistics = &mut health.run.data_statistics;
            (statistics.majority_share, statistics.num_judged) = (majority_share, num_judged);
            train(&mut health, 100, |_| {});
            evaluate(&mut health, accuracy);
            assert_eq!(!health.final_warnings().is_empty(), is_told, "{accuracy} of {num_judged}");
        }
    }

    #[test]
    fn a_dead_network_and_a_loss_that_does_not_fall_are_told() {
        let mut dead = health(&[]);
        train(&mut dead, 60, |report| report.gradient_norm = 0.0);
        evaluate(&mut dead, 0.1);
        assert!(only(dead.new_warnings()).contains("dead"));
        assert!(dead.new_warnings().is_empty(), "once while it lasts");
        assert!(dead.final_warnings().is_empty(), "nor again right after it");
        train(&mut dead, 600, |report| report.gradient_norm = 0.0);
        assert!(only(dead.final_warnings()).contains("dead"), "but at the end of a long run");

        let mut still = health(&[]);
        train(&mut still, 600, |report| report.terms.cross_entropy = 2.3);
        assert!(only(still.new_warnings()).contains("cross entropy"));
        // A plain classifier has no chains, and no gradient along them.
        let mut plain = health(&["objective.p_x_weight=0"]);
        train(&mut plain, 60, |report| report.gradient_norm = 0.0);
        assert!(plain.final_warnings().is_empty());
    }

    #[test]
    fn the_epochs_of_the_classifier_alone_are_no_dead_network() {
        let mut health = health(&["training.classifier_epochs=2", "training.epochs=4"]);
        train(&mut health, 60, |report| (report.epoch, report.gradient_norm) = (2, 0.0));
        assert!(health.final_warnings().is_empty());
        train(&mut health, 60, |report| (report.epoch, report.gradient_norm) = (3, 1.0));
        assert!(health.final_warnings().is_empty(), "the chains of the epoch before were none");
        train(&mut health, 60, |report| (report.epoch, report.gradient_norm) = (4, 0.0));
        assert!(only(health.final_warnings()).contains("dead"));
    }

    #[test]
    fn useless_chains_name_the_key_of_their_sampler() {
        for (kind, key) in
            [("pyld", "sampler.inner_step_size"), ("normalized-gradient", "sampler.step_size")]
        {
            let kind = format!("sampler.kind={kind}");
            let mut stuck = health(&[&kind]);
            train(&mut stuck, 60, |report| report.saturation = 1.0);
            let said = only(stuck.new_warnings());
            assert!(said.contains("border") && said.contains(key), "{said}");

            let mut still = health(&[&kind, &format!("{key}=1e-9")]);
            train(&mut still, 60, |_| {});
            let said = only(still.new_warnings());
            assert!(said.contains("stand still") && said.contains(key), "{said}");

            let mut apart = health(&[&kind]);
            train(&mut apart, 60, |report| report.gap = -40.0);
            assert!(only(apart.final_warnings()).contains("stays at -40"));
        }
    }
}
