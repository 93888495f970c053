//! The window's record of the lab, as numbers without pictures.

use std::sync::Arc;

use super::{
    curve::Curve,
    lane_record::LaneRecord,
    valleys::{self, Valley},
};
use crate::{
    config::{LabReference, LabState, LabTarget, LaneConfig},
    diagnostics::{self, cells::NoMasses},
    worker::lab::{LabCommand, LabFrame, LabSurface, LabUpdate, LearningFrame, Slice},
};

/// The record of training in the lab.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct LearningRecord {
    pub step: u64,
    pub gaps: Curve,
    pub cross_entropy: Curve,
    pub buffer: Vec<f32>,
    /// Why training stopped, if it diverged.
    pub diverged: Option<String>,
}

impl LearningRecord {
    fn take(&mut self, frame: LearningFrame) {
        if frame.step < self.step {
            *self = Self::default();
        }
        let first = frame.step - frame.gaps.len() as u64;
        for (index, (gap, loss)) in frame.gaps.iter().zip(&frame.cross_entropies).enumerate() {
            let step = (first + index as u64 + 1) as f64;
            self.gaps.push(step, f64::from(*gap));
            self.cross_entropy.push(step, f64::from(*loss));
        }
        self.step = frame.step;
        self.buffer = frame.buffer;
    }
}

/// Everything that the window has received from the lab.
#[derive(Debug, Default)]
pub struct LabRecord {
    /// The last state that the worker was asked to show.
    sent: Option<LabState>,
    /// Whether chains are running.
    pub is_running: bool,
    /// Whether a network is being trained.
    pub is_learning: bool,
    /// The number of steps of the chains since their start.
    pub step: u64,
    /// The records of the rules, from left to right.
    pub(in crate::app) lanes: Vec<LaneRecord>,
    /// The mean distance between the chains of two rules that have the same number.
    pub(in crate::app) apart: Curve,
    /// The energies over the plane.
    pub surface: Option<LabSurface>,
    /// The number of surfaces so far, which tells the pictures of them when to change.
    pub num_surfaces: u64,
    /// The valleys of a formula's energy; empty for a network, whose classes are not valleys.
    pub(in crate::app) valleys: Vec<Valley>,
    /// The number of starts of the chains so far.
    pub num_starts: u64,
    /// The training points and their classes.
    pub data: (Vec<f32>, Vec<u8>),
    pub(in crate::app) learning: LearningRecord,
    /// The energy of the image model around a chain's path.
    pub slice: Option<Slice>,
    /// Whether a slice was requested and has not arrived yet.
    pub is_slicing: bool,
    /// The selected chain, whose every step the worker reports.
    pub tracked: Option<usize>,
    /// Whether the next commands must restart the chains and training.
    is_reset: bool,
    /// The β of each rule that the exact densities were computed with.
    compared_at: Vec<Option<f64>>,
    /// Why nothing is shown, if the worker refused the first request.
    pub(in crate::app) why_not: Option<String>,
}

impl LabRecord {
    /// The commands that make the worker show `state`.
    pub(in crate::app) fn sync(&mut self, state: &LabState, is_open: bool) -> Vec<LabCommand> {
        if !is_open {
            return self.stop_all();
        }
        let is_reset = std::mem::take(&mut self.is_reset);
        if self.sent.as_ref() == Some(state) && !is_reset {
            return Vec::new();
        }
        self.sent = Some(state.clone());
        self.why_not = None;
        self.compare(state);
        let mut commands = vec![LabCommand::Set(Box::new(state.clone()))];
        if is_reset {
            if state.config.target == LabTarget::Learned {
                commands.push(LabCommand::StartOver(state.config.seed));
            }
            commands.push(LabCommand::Restart);
        }
        commands
    }

    /// Records that chains and training stop. Returns the commands that stop those that are running.
    pub(in crate::app) fn stop_all(&mut self) -> Vec<LabCommand> {
        let mut commands = Vec::new();
        if std::mem::take(&mut self.is_running) {
            commands.push(LabCommand::Pause);
        }
        if std::mem::take(&mut self.is_learning) {
            commands.push(LabCommand::Learn(false));
        }
        commands
    }

    /// Makes the next [`Self::sync`] set up everything again, with the chains at their starts.
    pub(in crate::app) fn reset(&mut self) {
        self.is_reset = true;
    }

    /// Discards the state of a failed worker.
    pub(in crate::app) fn forget(&mut self) {
        // Pictures use these numbers to recognise new surfaces and new starts, so they must not repeat.
        let (num_surfaces, num_starts) = (self.num_surfaces, self.num_starts);
        *self = Self { num_surfaces, num_starts, ..Self::default() };
    }

    /// Handles a refused request. If nothing is shown yet, nothing is running either.
    pub(in crate::app) fn refused(&mut self, reason: &str) {
        self.is_slicing = false;
        if self.surface.is_none() {
            self.is_running = false;
            self.is_learning = false;
            self.why_not = Some(reason.to_string());
        }
    }

    /// Records that the worker shows this state, whatever it was asked to show.
    pub(in crate::app) fn set_shown(&mut self, state: &LabState) {
        self.sent = Some(state.clone());
        self.compare(state);
    }

    /// Recomputes the exact densities if β or the energy changed.
    fn compare(&mut self, state: &LabState) {
        for (lane, rule) in self.lanes.iter_mut().zip(&state.rules) {
            lane.has_no_law = diagnostics::applicability(rule.sampler.noise_std, false, false);
            lane.set_sampler(&rule.sampler, self.step);
        }
        let beta = |rule: &LaneConfig| match state.config.reference {
            LabReference::Model => Some(1.0),
            LabReference::Tempered => rule.sampler.inverse_temperature(),
        };
        let wanted: Vec<Option<f64>> =
            state.rules.iter().take(self.lanes.len()).map(beta).collect();
        if wanted == self.compared_at {
            return;
        }
        let Some(surface) = &self.surface else { return };
        for (lane, &beta) in self.lanes.iter_mut().zip(&wanted) {
            let count = lane.labels.len();
            lane.exact = Some(beta.map_or(Err(NoMasses::UnknownLaw), |beta| surface.masses(beta)));
            let masses = lane.exact().and(beta).and_then(|beta| valleys::masses(surface, beta));
            lane.masses = masses.unwrap_or_default();
            lane.floor = lane.exact().map_or(0.0, |cells| cells.expected_total_variation(count));
            // Distances to another density belong to a new curve.
            lane.variation = Curve::default();
        }
        self.compared_at = wanted;
    }

    /// Processes an update from the worker.
    pub(in crate::app) fn take(&mut self, update: LabUpdate) {
        match update {
            LabUpdate::Surface(surface) => {
                let is_learning = self.is_learning;
                let target = self.sent.as_ref().map(|state| state.config.target);
                self.valleys = match target {
                    Some(LabTarget::Model | LabTarget::Learned) => Vec::new(),
                    _ => valleys::valleys(&surface),
                };
                self.surface = Some(surface);
                self.lanes.iter_mut().for_each(|lane| lane.begin_window(self.step));
                self.num_surfaces += 1;
                self.compared_at.clear();
                let curves: Vec<Curve> = self.lanes.iter().map(|l| l.variation.clone()).collect();
                self.compare_with_sent();
                if is_learning {
                    // The density changes during training, and the curve shows how the chains follow it.
                    for (lane, curve) in self.lanes.iter_mut().zip(curves) {
                        lane.variation = curve;
                    }
                }
            }
            LabUpdate::Started(labels) => {
                let lane = |labels| LaneRecord { labels, ..LaneRecord::default() };
                self.lanes = labels.into_iter().map(lane).collect();
                self.apart = Curve::default();
                self.step = 0;
                self.num_starts += 1;
                self.compared_at.clear();
                self.compare_with_sent();
            }
            LabUpdate::Frame(LabFrame { step, lanes }) => {
                self.step = step;
                if let [first, second] = lanes.as_slice() {
                    self.apart.push(step as f64, mean_distance(&first.x, &second.x));
                }
                for (lane, frame) in self.lanes.iter_mut().zip(lanes) {
                    lane.take(step, frame);
                }
            }
            LabUpdate::Refused(reason) => self.refused(&reason),
            LabUpdate::Kept { shown, .. } => self.set_shown(&shown),
            LabUpdate::Stopped => {
                self.is_running = false;
                self.is_learning &= self.surface.is_some();
            }
            LabUpdate::Data { points, labels } => {
                self.data = (points, labels);
                self.learning = LearningRecord::default();
            }
            LabUpdate::Learning(frame) => self.learning.take(frame),
            LabUpdate::Diverged(why) => {
                self.is_learning = false;
                self.learning.diverged = Some(why);
            }
            LabUpdate::Slice(slice) => {
                self.slice = Some(slice);
                self.is_slicing = false;
            }
        }
    }

    /// Computes the diagnostics that are due. Called once per frame: chains that run as fast as possible bring more
    /// steps between two frames than could be diagnosed one by one.
    pub(in crate::app) fn diagnose(&mut self) {
        let step = self.step;
        self.lanes.iter_mut().for_each(|lane| lane.diagnose_if_due(step));
    }

    fn compare_with_sent(&mut self) {
        if let Some(state) = self.sent.take() {
            self.compare(&state);
            self.sent = Some(state);
        }
    }

    /// The total variation distance of each rule's chains to the exact density, if there is one.
    pub(crate) fn total_variations(&self) -> Vec<Option<f64>> {
        self.lanes.iter().map(|lane| lane.variation.last()).collect()
    }

    /// The energy at a point of the plane, if it is known.
    pub(in crate::app) fn energy_at(&self, point: [f32; 2]) -> Option<f32> {
        let surface = self.surface.as_ref()?;
        let side = surface.energy.len().isqrt();
        let place = point.map(|v| (v / diagnostics::cells::EXTENT + 1.0) * 0.5 * side as f32);
        let is_in = place.iter().all(|v| (0.0..side as f32).contains(v));
        is_in.then(|| surface.energy[place[1] as usize * side + place[0] as usize])
    }

    /// The number of training steps done.
    pub fn learning_step(&self) -> u64 {
        self.learning.step
    }

    /// The energies over the plane, for pictures.
    pub(in crate::app) fn energies(&self) -> Option<Arc<[f32]>> {
        self.surface.as_ref().map(|surface| surface.energy.clone())
    }
}

/// The mean distance between the points (N, 2) of two sets that have the same number, over those that are both in the
/// plane; NaN if there are none.
fn mean_distance(first: &[f32], second: &[f32]) -> f64 {
    let is_in = |point: &[f32]| point.iter().all(|v| v.abs() <= diagnostics::cells::EXTENT);
    let pairs = first.chunks_exact(2).zip(second.chunks_exact(2));
    let (sum, count) =
        pairs.filter(|(a, b)| is_in(a) && is_in(b)).fold((0.0, 0usize), |(sum, count), (a, b)| {
            (sum + f64::from((a[0] - b[0]).hypot(a[1] - b[1])), count + 1)
        });
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::{super::lane_record::MAX_TRACE, *};
    use crate::{diagnostics::DoesNotApply, worker::lab::LabLaneFrame};

    /// Sends frames of two chains that move in circles in the plane, ten steps per frame.
    fn frames(record: &mut LabRecord, count: u64) {
        for _ in 0..count {
            let steps = record.step..record.step + 10;
            let rows = steps.flat_map(|step| {
                let angle = step as f32;
                [angle.cos(), 0.1, 1.0, (2.0 * angle).cos(), -0.1, 3.0]
            });
            let lane = LabLaneFrame {
                x: vec![0.5, 0.1, -0.5, -0.1],
                mean_energy: 2.0,
                clamp_rate: 0.0,
                acceptance: None,
                traces: rows.collect(),
                tracked: None,
            };
            let step = record.step + 10;
            record.take(LabUpdate::Frame(LabFrame { step, lanes: vec![lane] }));
            record.diagnose();
        }
    }

    fn surface() -> LabUpdate {
        let side = diagnostics::cells::NUM_CELLS;
        LabUpdate::Surface(LabSurface {
            energy: vec![0.0; side * side].into(),
            around: [].into(),
            classes: vec![0; side * side],
            num_classes: 1,
        })
    }

    fn started() -> LabRecord {
        let mut record = LabRecord::default();
        record.sync(&LabState::default(), true);
        record.take(surface());
        record.take(LabUpdate::Started(vec![vec![0, 0]]));
        record
    }

    #[test]
    fn old_traces_go_and_the_later_ones_know_where_they_begin() {
        let mut record = started();
        frames(&mut record, MAX_TRACE as u64 / 10 + 1);
        let lane = &record.lanes[0];
        let length = lane.traces[0].len();
        assert_eq!((length, lane.traces[1].len()), (MAX_TRACE / 2, MAX_TRACE / 2));
        assert_eq!(lane.first_traced + length as u64, record.step);
        assert_eq!(lane.traces[0][0][0], (lane.first_traced as f32).cos());
    }

    #[test]
    fn without_noise_nothing_is_compared_and_the_reasons_are_known() {
        let mut record = started();
        frames(&mut record, 5);
        let lane = &record.lanes[0];
        assert!(lane.variation.last().is_some() && lane.agreement.as_ref().unwrap().r_hat.is_ok());
        let mut still = LabState::default();
        still.rules[0].sampler.noise_std = 0.0;
        record.sync(&still, true);
        frames(&mut record, 5);
        let lane = &record.lanes[0];
        assert_eq!(lane.exact, Some(Err(NoMasses::NoNoise)));
        assert_eq!(record.total_variations(), [None]);
        let agreement = lane.agreement.as_ref().unwrap();
        assert_eq!(agreement.r_hat, Err(DoesNotApply::NoNoise));
        assert!(!agreement.autocorrelation.is_empty());
    }

    #[test]
    fn r_hat_is_a_curve_with_a_gap_while_chains_are_lost() {
        let mut record = started();
        frames(&mut record, 20);
        let lane = &record.lanes[0];
        assert_eq!(lane.why_no_r_hat(), None);
        let values: Vec<f64> = lane.r_hat.points().iter().map(|point| point[1]).collect();
        assert!(values.len() >= 5 && values.iter().all(|value| value.is_finite()), "{values:?}");
        assert_eq!(values.last().copied(), lane.agreement.as_ref().unwrap().r_hat.ok());
        let before = values.len();
        let lane = &mut record.lanes[0];
        let mut frame = lane.now.clone().unwrap();
        frame.x[3] = 7.0;
        frame.traces = vec![0.5; 6 * 200];
        lane.take(400, frame);
        lane.diagnose_if_due(400);
        assert_eq!(lane.why_no_r_hat().as_deref(), Some("1 of 2 chains have left the plane"));
        let points = lane.r_hat.points();
        assert!(points.len() > before && points.last().unwrap()[1].is_nan());
    }

    #[test]
    fn the_distance_between_two_rules_counts_the_chains_that_are_in_the_plane() {
        let first = [0.0, 0.0, 1.0, 0.0, 0.5, 0.5];
        assert_eq!(mean_distance(&first, &first), 0.0);
        assert_eq!(mean_distance(&first, &[0.3, 0.4, 1.0, 0.5, f32::NAN, 0.5]), 0.5);
        assert!(mean_distance(&first, &[9.0; 6]).is_nan());
    }

    #[test]
    fn what_was_refused_is_asked_again_only_on_demand() {
        let mut record = LabRecord::default();
        let state = LabState::default();
        assert_eq!(record.sync(&state, true).len(), 1);
        record.is_running = true;
        record.refused("no such thing");
        assert_eq!((record.is_running, record.why_not.as_deref()), (false, Some("no such thing")));
        assert!(record.sync(&state, true).is_empty());
        record.reset();
        assert_eq!(record.sync(&state, true).len(), 2);
        assert_eq!(record.why_not, None);
        // The worker returned to another state by itself, which must not be requested again.
        let mut other = state.clone();
        other.config.seed = 5;
        record.set_shown(&other);
        assert!(record.sync(&other, true).is_empty());
    }

    #[test]
    fn a_change_of_the_sampler_or_the_energy_begins_a_new_comparison() {
        let mut record = started();
        frames(&mut record, 20);
        assert_eq!(record.lanes[0].unchanged_since, 0);
        assert!(record.lanes[0].agreement.is_some());
        let mut state = LabState::default();
        // Neither how many steps a run has nor how fast it goes changes what is sampled.
        state.rules[0].sampler.num_steps += 1;
        state.config.max_steps_per_sec = 7.0;
        record.sync(&state, true);
        assert_eq!(record.lanes[0].unchanged_since, 0);
        state.rules[0].sampler.noise_std *= 2.0;
        record.sync(&state, true);
        let lane = &record.lanes[0];
        assert_eq!((lane.unchanged_since, lane.traces[0].len()), (200, 200));
        assert!(lane.agreement.is_none());
        assert!(lane.r_hat.last().unwrap().is_nan(), "a gap in the curve");
        frames(&mut record, 1);
        assert!(record.lanes[0].agreement.is_none(), "ten steps are too few");
        // The draws after the change alone: the same as those of a run that began there.
        frames(&mut record, 3);
        let values = |trace: &Vec<[f32; 3]>| trace[220..].iter().map(|v| v[0].into()).collect();
        let draws: Vec<Vec<f64>> = record.lanes[0].traces.iter().map(values).collect();
        let expected = diagnostics::split_r_hat(&draws);
        assert_eq!(record.lanes[0].agreement.as_ref().unwrap().r_hat, expected);
        record.take(surface());
        assert_eq!(record.lanes[0].unchanged_since, 240);
    }
}
