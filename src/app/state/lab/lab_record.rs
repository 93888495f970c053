//! The window's record of the lab, as numbers without pictures.

use std::sync::Arc;

use super::{
    curve::Curve,
    lane_record::LaneRecord,
    undo::PastRun,
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
    pub(super) sent: Option<LabState>,
    /// Whether another run was asked for, which has not started yet.
    pub(super) is_leaving: bool,
    /// The run that can be brought back, and the one that is coming back.
    pub(super) past: Option<PastRun>,
    pub(super) returning: Option<PastRun>,
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
        if is_reset || self.sent.as_ref().is_some_and(|sent| state.begins_anew_after(sent)) {
            self.leave();
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
        let past = self.past.take();
        *self = Self { num_surfaces, num_starts, past, ..Self::default() };
    }

    /// Handles a refused request. If nothing is shown yet, nothing is running either.
    pub(in crate::app) fn refused(&mut self, reason: &str) {
        self.is_slicing = false;
        self.stay();
        if self.surface.is_none() {
            self.is_running = false;
            self.is_learning = false;
            self.why_not = Some(reason.to_string());
        }
    }

    /// Records that the worker shows this state, whatever it was asked to show.
    pub(in crate::app) fn set_shown(&mut self, state: &LabState) {
        self.sent = Some(state.clone());
        self.stay();
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
        let Some(surface) = &self.surface else { return };
        for (lane, rule) in self.lanes.iter_mut().zip(&state.rules) {
            // Of the density that the chains sample, whichever they are compared with.
            let of = (rule.sampler.inverse_temperature(), self.num_surfaces);
            if lane.outside_of != Some(of) {
                lane.outside_of = Some(of);
                lane.outside = of.0.map_or(0.0, |beta| outside(surface, beta));
            }
        }
        for (index, (lane, &beta)) in self.lanes.iter_mut().zip(&wanted).enumerate() {
            if self.compared_at.get(index) == Some(&beta) {
                continue;
            }
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
                let target = self.sent.as_ref().map(|state| state.config.target);
                self.valleys = match target {
                    Some(LabTarget::Model | LabTarget::Learned) => Vec::new(),
                    _ => valleys::valleys(&surface),
                };
                self.surface = Some(surface);
                self.lanes.iter_mut().for_each(|lane| lane.begin_window(self.step));
                self.num_surfaces += 1;
                if self.is_learning {
                    // The density changes during training, and the curve shows how the chains follow it.
                    self.compare_anew();
                } else {
                    self.compared_at.clear();
                    self.compare_with_sent();
                }
            }
            LabUpdate::Started(labels) => {
                self.is_leaving = false;
                let lane = |labels| LaneRecord { labels, ..LaneRecord::default() };
                self.lanes = labels.into_iter().map(lane).collect();
                self.apart = Curve::default();
                self.step = 0;
                self.num_starts += 1;
                self.compared_at.clear();
                self.compare_with_sent();
            }
            LabUpdate::Frame(frame) if self.returned(&frame) => {}
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

    /// Compares with the exact densities anew, and keeps the curves of the distances to them.
    pub(super) fn compare_anew(&mut self) {
        let curves: Vec<Curve> = self.lanes.iter().map(|l| l.variation.clone()).collect();
        self.compared_at.clear();
        self.compare_with_sent();
        for (lane, curve) in self.lanes.iter_mut().zip(curves) {
            lane.variation = curve;
        }
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

/// The mass of p^β outside the plane; 0 if the density is defined only within it, or not known.
fn outside(surface: &LabSurface, beta: f64) -> f64 {
    match surface.around.is_empty() {
        true => 0.0,
        false => surface.masses(beta).map_or(0.0, |cells| cells.outside),
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
mod tests;
