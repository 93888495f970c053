//! The window's record of the chains of one rule in the lab.

use super::curve::Curve;
use crate::{
    config::SamplerConfig,
    counts::grouped,
    diagnostics::{
        self, DoesNotApply,
        cells::{Cells, EXTENT, NoMasses},
    },
    worker::lab::{LabLaneFrame, NUM_TRACED},
};

/// The maximum number of steps in the traces.
pub(super) const MAX_TRACE: usize = 10_000;
/// R̂ and ESS are computed again after this many steps, or after an eighth of the steps so far, whichever
/// is more.
const DIAGNOSE_EVERY: usize = 20;
/// Energies in the plane are never larger than this, so a chain beyond it has exploded.
const EXPLODED: f32 = 1e6;
/// No chain is expected beyond this value: exact masses are known up to here.
const FAR: f32 = 3.0 * EXTENT;
/// The maximum lag of the autocorrelation.
pub(in crate::app) const MAX_LAG: usize = 200;

/// Convergence diagnostics of the coordinate x0 for the chains of a rule.
#[derive(Clone, Debug)]
pub(in crate::app) struct Agreement {
    pub r_hat: Result<f64, DoesNotApply>,
    pub ess: Result<f64, DoesNotApply>,
    /// The autocorrelation by lag, pooled over chains.
    pub autocorrelation: Vec<f64>,
}

/// The record of the chains of one rule.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct LaneRecord {
    /// The class of each chain.
    pub labels: Vec<u8>,
    /// The current positions of the chains.
    pub now: Option<LabLaneFrame>,
    /// The mean energy before each step.
    pub energy: Curve,
    /// The total variation distance to the exact density.
    pub variation: Curve,
    /// The exact density to compare the rule with, once the energy is known.
    pub exact: Option<Result<Cells, NoMasses>>,
    /// The exact probability of each class of squares; empty if there is no density to compare with.
    pub masses: Vec<f64>,
    /// The expected total variation of exact samples, which is due to chance alone.
    pub floor: f64,
    /// The share of exact draws from the density that the chains sample that would lie outside the plane; 0 if not known.
    pub(super) outside: f64,
    /// The β and the number of the surface that this share belongs to.
    pub(super) outside_of: Option<(Option<f64>, u64)>,
    /// (x0, x1, energy) of each traced chain at each step.
    pub traces: Vec<Vec<[f32; 3]>>,
    /// The step at which the traces begin.
    pub first_traced: u64,
    /// The step at which the sampler or the energy last changed. Draws from before belong to another distribution.
    pub unchanged_since: u64,
    /// The sampler that the chains have used since then.
    pub(super) sampler: Option<SamplerConfig>,
    pub agreement: Option<Agreement>,
    /// Split R̂ of x0 along the run, each over the later half of the steps since the last change. A step at which it did
    /// not apply has NaN.
    pub r_hat: Curve,
    /// Why the chains have no common stationary distribution, if they have none.
    pub(super) has_no_law: Option<DoesNotApply>,
    pub(super) diagnosed_at: usize,
}

/// The largest number of chains outside the plane that is no sign of trouble, where `expected` exact draws would be there:
/// twice as many, for steps that are too long spread wider, and five standard deviations more, for chance.
fn most_outside(expected: f64) -> f64 {
    2.0 * expected + 5.0 * expected.sqrt()
}

impl LaneRecord {
    /// The number of chains that are outside the plane.
    pub(in crate::app) fn num_lost(&self) -> usize {
        self.num_beyond(EXTENT)
    }

    /// The number of chains with a coordinate beyond `extent`, or with one that is not a number.
    fn num_beyond(&self, extent: f32) -> usize {
        let x = self.now.as_ref().map_or(&[][..], |now| &now.x);
        let is_in = |point: &[f32]| point.iter().all(|value| value.abs() <= extent);
        x.chunks_exact(2).filter(|point| !is_in(point)).count()
    }

    /// Whether more chains are outside the plane than draws from the density would be.
    fn has_lost(&self) -> bool {
        let expected = self.outside * self.labels.len() as f64;
        self.num_lost() as f64 > most_outside(expected) || self.num_beyond(FAR) > 0
    }

    /// How many of the chains are outside the plane, as in `5 of 2,000`.
    fn lost_of_all(&self) -> String {
        format!("{} of {}", grouped(self.num_lost()), grouped(self.labels.len()))
    }

    /// What happened to the chains that are outside the plane, in words, and whether it is a problem; `None` if there are
    /// none.
    pub(in crate::app) fn absent(&self) -> Option<(String, bool)> {
        let of_all = self.lost_of_all();
        if self.is_exploded() {
            return Some((format!("The chains exploded; {of_all} have left the plane."), true));
        }
        match (self.num_lost(), self.has_lost()) {
            (0, _) => None,
            (_, true) => Some((format!("{of_all} chains have left the plane."), true)),
            (_, false) => {
                let what = "chains are outside the plane, which this density allows.";
                Some((format!("{of_all} {what}"), false))
            }
        }
    }

    /// Whether the energies have exploded.
    pub(in crate::app) fn is_exploded(&self) -> bool {
        let energy = self.now.as_ref().map_or(0.0, |now| now.mean_energy);
        !energy.is_finite() || energy > EXPLODED
    }

    /// Why there is no R̂ now, if there is none. Chains that have left would make the numbers of the others look as if
    /// all were well.
    pub(in crate::app) fn why_no_r_hat(&self) -> Option<String> {
        if self.is_exploded() {
            return Some("the chains exploded".into());
        }
        if self.has_lost() {
            return Some(format!("{} chains have left the plane", self.lost_of_all()));
        }
        self.agreement.as_ref()?.r_hat.err().map(|reason| reason.to_string())
    }

    /// The exact density to compare the rule with, if there is one.
    pub(in crate::app) fn exact(&self) -> Option<&Cells> {
        self.exact.as_ref()?.as_ref().ok()
    }

    /// Records the sampler that the chains use from `step` on.
    pub(super) fn set_sampler(&mut self, sampler: &SamplerConfig, step: u64) {
        // The length of a run does not change what is sampled.
        let sampler = SamplerConfig { num_steps: 0, ..sampler.clone() };
        let before = self.sampler.replace(sampler.clone());
        if before.is_some_and(|before| before != sampler) {
            self.begin_window(step);
        }
    }

    /// From now on, only draws after `step` are compared.
    pub(super) fn begin_window(&mut self, step: u64) {
        self.unchanged_since = step;
        self.diagnosed_at = 0;
        self.agreement = None;
        if self.r_hat.last().is_some_and(f64::is_finite) {
            self.r_hat.push(step as f64, f64::NAN);
        }
    }

    pub(super) fn take(&mut self, step: u64, frame: LabLaneFrame) {
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
        if let Some(exact) = self.exact() {
            self.variation.push(step as f64, exact.total_variation(&frame.x));
        }
        self.now = Some(frame);
    }

    /// Computes the diagnostics anew if the traces have grown enough since the last time.
    pub(super) fn diagnose_if_due(&mut self, step: u64) {
        let length = self.num_comparable();
        if length < self.diagnosed_at + DIAGNOSE_EVERY.max(self.diagnosed_at / 8) {
            return;
        }
        self.diagnosed_at = length;
        self.diagnose();
        let r_hat = self.agreement.as_ref().and_then(|agreement| agreement.r_hat.ok());
        let value = r_hat.filter(|_| self.why_no_r_hat().is_none());
        self.r_hat.push(step as f64, value.unwrap_or(f64::NAN));
    }

    /// The number of steps in the traces since the last change.
    fn num_comparable(&self) -> usize {
        let length = self.traces.first().map_or(0, Vec::len);
        length.saturating_sub(self.unchanged_since.saturating_sub(self.first_traced) as usize)
    }

    /// Computes the diagnostics from the second half of the steps since the last change.
    fn diagnose(&mut self) {
        let count = self.num_comparable().div_ceil(2);
        let x0 = |trace: &Vec<[f32; 3]>| {
            trace[trace.len() - count..].iter().map(|v| f64::from(v[0])).collect()
        };
        let draws: Vec<Vec<f64>> = self.traces.iter().map(x0).collect();
        let (r_hat, ess) = match self.has_no_law {
            Some(reason) => (Err(reason), Err(reason)),
            None => diagnostics::split_r_hat_and_ess_bulk(&draws),
        };
        self.agreement = Some(Agreement {
            r_hat,
            ess,
            autocorrelation: diagnostics::joint_autocorrelation(&draws, MAX_LAG)
                .unwrap_or_default(),
        });
    }
}
