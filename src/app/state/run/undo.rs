//! Bringing the last run back after a restart, a new seed, another model or a branch.

use super::{
    playback::branch_to,
    run_state::{PastRun, RunState, Setup},
};
use crate::{app::record::Record, worker::Command};

impl RunState {
    /// Whether there is a run to bring back.
    pub fn can_undo(&self) -> bool {
        self.past.is_some()
    }

    /// Brings the last run back: its settings, its record and its last step. The run that it replaces can be brought
    /// back in the same way. Returns whether there was one.
    pub fn undo(&mut self) -> bool {
        let Some(PastRun { setup, record }) = self.past.take() else { return false };
        self.pause();
        let is_same_model = self.model.as_ref().is_some_and(|m| m.name == setup.settings.model);
        Setup { settings: self.settings, lanes: self.lanes, start_image: self.start_image } = setup;
        self.reset_display();
        self.returning = Some(record);
        match is_same_model {
            true => self.return_to_past(),
            false => self.open(self.settings.model.clone()),
        }
        true
    }

    /// Whether the run that is coming back needs this model.
    pub(super) fn is_returning_to(&self, model: &str) -> bool {
        self.returning.is_some() && self.settings.model == model
    }

    /// Stays with the open model and its run, after an undo needed another model. The run can still be brought back.
    pub(super) fn give_up_undo(&mut self) {
        let model = self.model.as_ref().map(|model| model.name.clone());
        let Some(record) = self.returning.take() else { return };
        if model.as_ref() == Some(&self.settings.model) {
            return;
        }
        let setup = self.current_setup();
        self.past = Some(PastRun { setup, record });
        // Without an open model, there is nothing to stay with.
        let Some(model) = model else { return };
        match self.setup.clone() {
            Some(Setup { settings, lanes, start_image }) => {
                (self.settings, self.lanes, self.start_image) = (settings, lanes, start_image);
            }
            None => self.settings.model = model,
        }
    }

    fn current_setup(&self) -> Setup {
        Setup {
            settings: self.settings.clone(),
            lanes: self.lanes.clone(),
            start_image: self.start_image.clone(),
        }
    }

    /// Starts the chains of the run that comes back, and moves them to its last step.
    pub(super) fn return_to_past(&mut self) {
        let returning = self.returning.take();
        self.restart();
        self.returning = returning;
        let last = |record: &Record| branch_to(record, record.images.last_step()?);
        if let Some(branch) = self.returning.as_ref().and_then(last) {
            self.ask(branch);
            self.ask(Command::SetLanes(self.lanes_to_run()));
        }
    }

    /// Takes the record of the run that comes back, once its chains have arrived at its last step.
    pub(super) fn returned(&mut self, step: u64) {
        let is_there = |record: &Record| record.images.last_step() == Some(step);
        if self.returning.as_ref().is_some_and(is_there) {
            self.record = self.returning.take();
        }
    }

    /// Notes what the run that starts now is started with.
    pub(super) fn begin_setup(&mut self) {
        let before = self.setup.replace(self.current_setup());
        // Of two restarts in a row, the first one replaced the run that is recorded.
        self.leaving = self.leaving.take().or(before);
    }

    /// Notes a change of the rules or of their length, which belongs to the run that is recorded.
    pub(super) fn change_setup(&mut self) {
        if let Some(setup) = &mut self.setup {
            setup.lanes.clone_from(&self.lanes);
            setup.settings.num_steps = self.settings.num_steps;
        }
    }

    /// Keeps the recorded run as it is, before a branch discards its later steps. Both share the images.
    pub(super) fn keep_whole(&mut self) {
        if let (Some(setup), Some(record)) = (&self.setup, &self.record) {
            self.past = Some(PastRun { setup: setup.clone(), record: record.clone() });
        }
    }

    /// Keeps the recorded run, if it has moved, before another one replaces it.
    pub(super) fn keep_past(&mut self) {
        let setup = self.leaving.take().or_else(|| self.setup.clone());
        let record = self.record.take().filter(|record| record.images.last_step() > Some(0));
        if let (Some(setup), Some(record)) = (setup, record) {
            self.past = Some(PastRun { setup, record });
        }
    }
}
