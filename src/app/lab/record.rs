//! What the window knows of the lab: numbers, no picture.

use std::sync::Arc;

use crate::{
    config::{LabReference, LabState, LabTarget},
    diagnostics::{self, DoesNotApply, cells::Cells},
    worker::lab::{
        LabCommand, LabFrame, LabLaneFrame, LabNews, LabSurface, LearningFrame, NUM_TRACED, Slice,
    },
};

/// Steps of which traces are kept.
const MAX_TRACE: usize = 10_000;
/// Points of a curve; then every second goes.
const MAX_POINTS: usize = 2000;
/// Steps between two computations of R̂ and ESS, as a share of the steps so far; at least these.
const DIAGNOSE_EVERY: usize = 20;
/// An energy beyond this is no energy of anything in the plane: the chain has exploded.
const EXPLODED: f32 = 1e6;

/// Of which lag autocorrelations are shown, at most.
pub(crate) const MAX_LAG: usize = 200;

/// A curve over steps, thinned out as it grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Curve {
    points: Vec<[f64; 2]>,
    /// Every how many-th point is taken, and how many were left out since the last.
    stride: usize,
    skipped: usize,
}

impl Curve {
    fn push(&mut self, step: f64, value: f64) {
        self.skipped += 1;
        if self.skipped < self.stride {
            return;
        }
        self.skipped = 0;
        self.points.push([step, value]);
        if self.points.len() > MAX_POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride = 2 * self.stride.max(1);
        }
    }

    /// Step, value.
    pub(crate) fn points(&self) -> &[[f64; 2]] {
        &self.points
    }

    /// The newest value.
    pub(crate) fn last(&self) -> Option<f64> {
        self.points.last().map(|point| point[1])
    }
}

/// Whether the chains of a rule agree, in x0.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    pub r_hat: Result<f64, DoesNotApply>,
    pub ess: Result<f64, DoesNotApply>,
    /// By lag, pooled over chains.
    pub autocorrelation: Vec<f64>,
}

/// What is known of the chains of one rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct LaneRecord {
    /// The class of each chain.
    pub labels: Vec<u8>,
    /// Where the chains are.
    pub now: Option<LabLaneFrame>,
    /// Mean energy before each step.
    pub energy: Curve,
    /// Total variation to the exact density.
    pub variation: Curve,
    /// The exact density that the rule is compared with, while there is one.
    pub exact: Option<Cells>,
    /// What chance alone makes of the total variation.
    pub floor: f64,
    /// (x0, x1, energy) of each traced chain, step by step.
    pub traces: Vec<Vec<[f32; 3]>>,
    /// The step at which the traces begin.
    pub first_traced: u64,
    pub agreement: Option<Agreement>,
    diagnosed_at: usize,
}

impl LaneRecord {
    /// Chains in the plane with its surroundings, and all chains.
    pub(crate) fn num_lost(&self) -> usize {
        let x = self.now.as_ref().map_or(&[][..], |now| &now.x);
        let is_lost = |point: &&[f32]| {
            point.iter().any(|value| !value.is_finite() || value.abs() > diagnostics::cells::EXTENT)
        };
        x.chunks_exact(2).filter(is_lost).count()
    }

    /// Whether the energies left all bounds.
    pub(crate) fn is_exploded(&self) -> bool {
        let energy = self.now.as_ref().map_or(0.0, |now| now.mean_energy);
        !energy.is_finite() || energy > EXPLODED
    }

    fn take(&mut self, step: u64, frame: LabLaneFrame) {
        let width = 3 * NUM_TRACED.min(frame.x.len() / 2);
        for row in frame.traces.chunks_exact(width.max(1)) {
            self.traces.resize_with(width / 3, Vec::new);
            for (trace, values) in self.traces.iter_mut().zip(row.chunks_exact(3)) {
                trace.push([values[0], values[1], values[2]]);
            }
        }
        let length = self.traces.first().map_or(0, Vec::len);
        if length > MAX_TRACE {
            let dropped = length - MAX_TRACE / 2;
            self.traces.iter_mut().for_each(|trace| drop(trace.drain(..dropped)));
            self.first_traced += dropped as u64;
            self.diagnosed_at = 0;
        }
        if step > 0 {
            self.energy.push((step - 1) as f64, f64::from(frame.mean_energy));
        }
        if let Some(exact) = &self.exact {
            self.variation.push(step as f64, exact.total_variation(&frame.x));
        }
        self.now = Some(frame);
        let length = self.traces.first().map_or(0, Vec::len);
        if length >= self.diagnosed_at + DIAGNOSE_EVERY.max(self.diagnosed_at / 8) {
            self.diagnosed_at = length;
            self.diagnose();
        }
    }

    /// On the later half of the traces.
    fn diagnose(&mut self) {
        let draws: Vec<Vec<f64>> = self
            .traces
            .iter()
            .map(|trace| trace[trace.len() / 2..].iter().map(|v| f64::from(v[0])).collect())
            .collect();
        self.agreement = Some(Agreement {
            r_hat: diagnostics::split_r_hat(&draws),
            ess: diagnostics::ess_bulk(&draws),
            autocorrelation: diagnostics::joint_autocorrelation(&draws, MAX_LAG)
                .unwrap_or_default(),
        });
    }
}

/// What is known of what is being learned.
#[derive(Clone, Debug, Default)]
pub(crate) struct LearningRecord {
    pub step: u64,
    pub gaps: Curve,
    pub cross_entropy: Curve,
    pub buffer: Vec<f32>,
    /// Why it stopped, if it went wrong.
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

/// All that the window knows of the lab.
#[derive(Debug, Default)]
pub struct LabRecord {
    /// What the worker was asked to show last.
    sent: Option<LabState>,
    /// Whether chains are running.
    pub is_running: bool,
    /// Whether a network is learning.
    pub is_learning: bool,
    /// Steps of the chains since their start.
    pub step: u64,
    /// Rules, from the left.
    pub(crate) lanes: Vec<LaneRecord>,
    /// Energies over the plane.
    pub surface: Option<LabSurface>,
    /// Counts surfaces, so that pictures of them know when to change.
    pub num_surfaces: u64,
    /// Counts starts of the chains.
    pub num_starts: u64,
    /// Points that are learned from, and their classes.
    pub data: (Vec<f32>, Vec<u8>),
    pub(crate) learning: LearningRecord,
    /// The energy of the image model around a chain's path.
    pub slice: Option<Slice>,
    /// Whether one is on its way.
    pub is_slicing: bool,
    /// The selected chain.
    pub tracked: Option<usize>,
    /// Whether chains are to begin anew, and learning too.
    is_reset: bool,
    /// β of each rule that the exact densities are of.
    compared_at: Vec<Option<f64>>,
}

impl LabRecord {
    /// What is to be asked so that the worker shows `state`.
    pub(crate) fn sync(&mut self, state: &LabState, is_open: bool) -> Vec<LabCommand> {
        if !is_open {
            return self.rest();
        }
        let is_reset = std::mem::take(&mut self.is_reset);
        if self.sent.as_ref() == Some(state) && !is_reset {
            return Vec::new();
        }
        self.sent = Some(state.clone());
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

    /// Stops whatever runs.
    pub(crate) fn rest(&mut self) -> Vec<LabCommand> {
        let mut commands = Vec::new();
        if std::mem::take(&mut self.is_running) {
            commands.push(LabCommand::Pause);
        }
        if std::mem::take(&mut self.is_learning) {
            commands.push(LabCommand::Learn(false));
        }
        commands
    }

    /// Has the worker set up everything anew, chains at their starts included.
    pub(crate) fn reset(&mut self) {
        self.is_reset = true;
    }

    /// Forgets what a worker that failed had in memory.
    pub(crate) fn forget(&mut self) {
        // Pictures tell surfaces and starts apart by their numbers.
        let (num_surfaces, num_starts) = (self.num_surfaces, self.num_starts);
        *self = Self { num_surfaces, num_starts, ..Self::default() };
    }

    /// Something asked for was refused: where nothing is there yet, nothing runs either.
    pub(crate) fn refused(&mut self) {
        self.is_slicing = false;
        if self.surface.is_none() {
            self.is_running = false;
            self.is_learning = false;
        }
    }

    /// β of p^β that each rule is compared with; `None` where there is nothing to compare with.
    fn reference(state: &LabState, rule: usize) -> Option<f64> {
        let beta = match state.config.reference {
            LabReference::Model => 1.0,
            LabReference::Tempered => state.rules.get(rule)?.sampler.inverse_temperature(),
        };
        beta.is_finite().then_some(beta)
    }

    /// Makes the exact densities anew where β or the energy changed.
    fn compare(&mut self, state: &LabState) {
        let count = self.lanes.len();
        let wanted: Vec<_> = (0..count).map(|rule| Self::reference(state, rule)).collect();
        if wanted == self.compared_at {
            return;
        }
        let Some(surface) = &self.surface else { return };
        for (lane, beta) in self.lanes.iter_mut().zip(&wanted) {
            let count = lane.labels.len();
            lane.exact = beta.and_then(|beta| Cells::of_energy(&surface.energy, beta));
            lane.floor =
                lane.exact.as_ref().map_or(0.0, |cells| cells.expected_total_variation(count));
            // Distances to another density are another curve.
            lane.variation = Curve::default();
        }
        self.compared_at = wanted;
    }

    /// Takes in what the worker tells.
    pub(crate) fn take(&mut self, news: LabNews) {
        match news {
            LabNews::Surface(surface) => {
                let is_learning = self.is_learning;
                self.surface = Some(surface);
                self.num_surfaces += 1;
                self.compared_at.clear();
                let curves: Vec<Curve> = self.lanes.iter().map(|l| l.variation.clone()).collect();
                self.compare_with_sent();
                if is_learning {
                    // The density moves under the chains, and the curve shows how they follow.
                    for (lane, curve) in self.lanes.iter_mut().zip(curves) {
                        lane.variation = curve;
                    }
                }
            }
            LabNews::Started(labels) => {
                let lane = |labels| LaneRecord { labels, ..LaneRecord::default() };
                self.lanes = labels.into_iter().map(lane).collect();
                self.step = 0;
                self.num_starts += 1;
                self.compared_at.clear();
                self.compare_with_sent();
            }
            LabNews::Frame(LabFrame { step, lanes }) => {
                self.step = step;
                for (lane, frame) in self.lanes.iter_mut().zip(lanes) {
                    lane.take(step, frame);
                }
            }
            LabNews::Refused(_) => self.refused(),
            LabNews::Stopped => self.is_running = false,
            LabNews::Data { points, labels } => {
                self.data = (points, labels);
                self.learning = LearningRecord::default();
            }
            LabNews::Learning(frame) => self.learning.take(frame),
            LabNews::Diverged(why) => {
                self.is_learning = false;
                self.learning.diverged = Some(why);
            }
            LabNews::Slice(slice) => {
                self.slice = Some(slice);
                self.is_slicing = false;
            }
        }
    }

    fn compare_with_sent(&mut self) {
        if let Some(state) = self.sent.take() {
            self.compare(&state);
            self.sent = Some(state);
        }
    }

    /// Total variation of each rule's chains to the exact density, where there is one.
    pub fn total_variations(&self) -> Vec<Option<f64>> {
        self.lanes.iter().map(|lane| lane.variation.last()).collect()
    }

    /// The energy at a point of the plane, where one is known.
    pub(crate) fn energy_at(&self, point: [f32; 2]) -> Option<f32> {
        let surface = self.surface.as_ref()?;
        let side = surface.energy.len().isqrt();
        let place = point.map(|v| (v / diagnostics::cells::EXTENT + 1.0) * 0.5 * side as f32);
        let is_in = place.iter().all(|v| (0.0..side as f32).contains(v));
        is_in.then(|| surface.energy[place[1] as usize * side + place[0] as usize])
    }

    /// Energies over the plane, for pictures.
    pub(crate) fn energies(&self) -> Option<Arc<[f32]>> {
        self.surface.as_ref().map(|surface| surface.energy.clone())
    }
}
