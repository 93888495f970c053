//! What the window knows of the chains of one rule.

use super::curve::Curve;
use crate::{
    diagnostics::{
        self, DoesNotApply,
        cells::{Cells, NoMasses},
    },
    worker::lab::{LabLaneFrame, NUM_TRACED},
};

/// Steps of which traces are kept.
pub(super) const MAX_TRACE: usize = 10_000;
/// Steps between two computations of R̂ and ESS, as a share of the steps so far; at least these.
const DIAGNOSE_EVERY: usize = 20;
/// An energy beyond this is no energy of anything in the plane: the chain has exploded.
const EXPLODED: f32 = 1e6;
/// Of which lag autocorrelations are shown, at most.
pub(in crate::app) const MAX_LAG: usize = 200;

/// Whether the chains of a rule agree, in x0.
#[derive(Clone, Debug)]
pub(in crate::app) struct Agreement {
    pub r_hat: Result<f64, DoesNotApply>,
    pub ess: Result<f64, DoesNotApply>,
    /// By lag, pooled over chains.
    pub autocorrelation: Vec<f64>,
}

/// What is known of the chains of one rule.
#[derive(Clone, Debug, Default)]
pub(in crate::app) struct LaneRecord {
    /// The class of each chain.
    pub labels: Vec<u8>,
    /// Where the chains are.
    pub now: Option<LabLaneFrame>,
    /// Mean energy before each step.
    pub energy: Curve,
    /// Total variation to the exact density.
    pub variation: Curve,
    /// The exact density that the rule is compared with, once the energy is known.
    pub exact: Option<Result<Cells, NoMasses>>,
    /// What chance alone makes of the total variation.
    pub floor: f64,
    /// (x0, x1, energy) of each traced chain, step by step.
    pub traces: Vec<Vec<[f32; 3]>>,
    /// The step at which the traces begin.
    pub first_traced: u64,
    pub agreement: Option<Agreement>,
    /// Why the chains have nothing to agree on, where that is so.
    pub(super) has_no_law: Option<DoesNotApply>,
    pub(super) diagnosed_at: usize,
}

impl LaneRecord {
    /// How many chains have left the plane and its surroundings.
    pub(in crate::app) fn num_lost(&self) -> usize {
        let x = self.now.as_ref().map_or(&[][..], |now| &now.x);
        let is_lost = |point: &&[f32]| {
            point.iter().any(|value| !value.is_finite() || value.abs() > diagnostics::cells::EXTENT)
        };
        x.chunks_exact(2).filter(is_lost).count()
    }

    /// Whether the energies left all bounds.
    pub(in crate::app) fn is_exploded(&self) -> bool {
        let energy = self.now.as_ref().map_or(0.0, |now| now.mean_energy);
        !energy.is_finite() || energy > EXPLODED
    }

    /// The exact density that the rule is compared with, where there is one.
    pub(in crate::app) fn exact(&self) -> Option<&Cells> {
        self.exact.as_ref()?.as_ref().ok()
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
