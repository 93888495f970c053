//! Bringing the last run of the lab back after a restart, a new seed, another energy, or other starts.

use super::{Lab, LabRecord, curve::Curve, lane_record::LaneRecord};
use crate::{
    config::{LabState, LabTarget},
    worker::lab::{LabCommand, LabFrame},
};

/// A run of the lab that another one replaced.
#[derive(Debug)]
pub(super) struct PastRun {
    settings: LabState,
    step: u64,
    lanes: Vec<LaneRecord>,
    apart: Curve,
    /// The energy that it had, as the record counts them.
    num_surfaces: u64,
}

impl PastRun {
    /// The command that moves the worker's chains to the last step of this run.
    fn branch(&self) -> LabCommand {
        let x_of = |lane: &LaneRecord| lane.now.as_ref().map(|now| now.x.clone());
        let x = self.lanes.iter().map(|lane| x_of(lane).unwrap_or_default()).collect();
        LabCommand::Branch { step: self.step, x }
    }
}

impl Lab {
    /// Whether there is a run to bring back.
    pub fn can_undo(&self) -> bool {
        self.record.past.is_some()
    }

    /// Brings the last run back: its settings, its record and its last step. The run that it replaces can be brought
    /// back in the same way. A network that is trained here stays as it is. Returns whether there was a run.
    pub fn undo(&mut self) -> bool {
        let Some(past) = self.record.past.take() else { return false };
        if self.record.is_running {
            self.toggle();
        }
        self.settings.clone_from(&past.settings);
        let is_leaving = std::mem::replace(&mut self.record.is_leaving, true);
        let recorded = if is_leaving { None } else { self.record.recorded() };
        // A run that is still coming back gives way too, and is the one to bring back then.
        self.record.past = self.record.returning.take().or(recorded);
        let mut commands = self.record.sync(&self.settings, true);
        commands.extend([LabCommand::Restart, past.branch()]);
        commands.into_iter().for_each(|command| self.ask(command));
        self.record.returning = Some(past);
        true
    }
}

impl LabRecord {
    /// Keeps the recorded run, if it has moved, because another one was asked for. Of two such requests in a row, the first one
    /// replaces it.
    pub(super) fn leave(&mut self) {
        // Whatever was coming back gives way to what is asked for now.
        self.returning = None;
        if !std::mem::replace(&mut self.is_leaving, true) && self.step > 0 {
            self.past = self.recorded().or(self.past.take());
        }
    }

    /// Stays with the recorded run, because the worker refused another one.
    pub(super) fn stay(&mut self) {
        self.returning = None;
        self.is_leaving = false;
    }

    /// The run as it is recorded now; `None` before its first frame.
    fn recorded(&self) -> Option<PastRun> {
        let settings = self.sent.clone()?;
        let is_there = !self.lanes.is_empty() && self.lanes.iter().all(|lane| lane.now.is_some());
        let (step, num_surfaces) = (self.step, self.num_surfaces);
        let (lanes, apart) = (self.lanes.clone(), self.apart.clone());
        is_there.then_some(PastRun { settings, step, lanes, apart, num_surfaces })
    }

    /// Takes the record of the run that comes back, once its chains have arrived at its last step. Returns whether they have.
    pub(super) fn returned(&mut self, frame: &LabFrame) -> bool {
        let has_begun = !self.is_leaving;
        let is_its = |run: &mut PastRun| {
            has_begun && run.step == frame.step && run.lanes.len() == frame.lanes.len()
        };
        let Some(run) = self.returning.take_if(is_its) else { return false };
        (self.step, self.lanes, self.apart) = (run.step, run.lanes, run.apart);
        let is_learned = run.settings.config.target == LabTarget::Learned;
        if is_learned && run.num_surfaces != self.num_surfaces {
            // The network has learned since: later steps follow another energy.
            let step = self.step;
            self.lanes.iter_mut().for_each(|lane| lane.begin_window(step));
        }
        // The trails begin anew: nothing moved from the starts to these positions.
        self.num_starts += 1;
        self.compare_anew();
        true
    }
}
