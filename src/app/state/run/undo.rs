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
        let returned = self.returning.take_if(|record| record.images.last_step() == Some(step));
        if let Some(mut record) = returned {
            record.limit(false);
            self.record = Some(record);
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

    /// Puts back what the recorded run was started with, because the worker refused to start another one.
    pub(super) fn put_back(&mut self) {
        let Some(setup) = self.leaving.take() else { return };
        self.reset_display();
        self.setup = Some(setup.clone());
        Setup { settings: self.settings, lanes: self.lanes, start_image: self.start_image } = setup;
    }

    /// Keeps the recorded run with all its length, before a branch discards its later steps. Both share the images.
    pub(super) fn keep_whole(&mut self) {
        if let (Some(setup), Some(record)) = (&self.setup, &self.record) {
            self.past = Some(PastRun::new(setup.clone(), record.clone()));
        }
    }

    /// Keeps the recorded run, if it has moved, before another one replaces it.
    pub(super) fn keep_past(&mut self) {
        let setup = self.leaving.take().or_else(|| self.setup.clone());
        let record = self.record.take().filter(|record| record.images.last_step() > Some(0));
        if let (Some(setup), Some(record)) = (setup, record) {
            self.past = Some(PastRun::new(setup, record));
        }
    }
}

impl PastRun {
    /// A run that is replaced. Of a long one, fewer steps are kept, so that both records together stay within their limit.
    fn new(setup: Setup, mut record: Record) -> Self {
        record.limit(true);
        Self { setup, record }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{
        app::{
            record::{Record, history_mib},
            state::{Requests, RunState},
        },
        config::{LaneConfig, ViewState},
        worker::{LaneImages, LaneNumbers, LaneStep, RunRequest, Step},
    };

    /// The memory of both records, in bytes.
    fn num_bytes(run: &RunState) -> usize {
        let past = run.past.as_ref().map(|past| &past.record);
        past.into_iter().chain(&run.record).map(Record::num_bytes).sum()
    }

    #[test]
    fn a_run_and_the_one_before_it_stay_within_the_limit_together() {
        let (sender, _receiver) = std::sync::mpsc::channel();
        let mut run = RunState::new(&ViewState::default(), Requests::new(sender));
        let most = history_mib() << 20;
        // 1 MiB. All steps share these images, so that the test itself needs little memory.
        let x: Arc<[f32]> = vec![0.0; 1 << 18].into();
        let begin = |run: &mut RunState| {
            run.begin_setup();
            let lanes = vec![LaneConfig::default()];
            run.started(RunRequest { seed: 0, labels: vec![0], lanes, image: None }, false);
        };
        let step = |run: &mut RunState, step: u64| {
            let numbers = LaneNumbers { energy: vec![0.0], ..LaneNumbers::default() };
            let images = LaneImages { x: x.clone(), gradient: vec![], proximal_radius: None };
            run.stepped(Step { step, lanes: vec![LaneStep { images, numbers }] });
            assert!(num_bytes(run) <= most, "{} of {most} bytes", num_bytes(run));
        };
        begin(&mut run);
        (0..1000).for_each(|at| step(&mut run, at));
        assert!(num_bytes(&run) > most / 4);
        begin(&mut run);
        (0..1000).for_each(|at| step(&mut run, at));
        let past = run.past.take().unwrap();
        let steps = past.record.images.entries();
        assert_eq!((steps[0].0, steps[steps.len() - 1].0), (0, 999));
        assert!(steps.len() > 10, "{} steps", steps.len());

        // Once it is back, it has room for more.
        run.returning = Some(past.record);
        (999..5000).for_each(|at| step(&mut run, at));
        assert!(run.returning.is_none() && num_bytes(&run) > most / 4);
        assert_eq!(run.record.unwrap().images.entries()[0].0, 0);
    }
}
