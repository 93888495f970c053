//! The state of training in the window.

mod drawn;
mod last_run;
mod own_data;
mod training_record;

use std::collections::VecDeque;

use super::requests::Requests;
use crate::worker::{Command, TrainingUpdate};

pub(crate) use drawn::Drawings;
pub(in crate::app) use drawn::extend;
pub use last_run::LastRun;
pub(crate) use own_data::OwnData;
pub(in crate::app) use own_data::{Chosen, Dropped};
pub(in crate::app) use training_record::{
    Phase, TrainingRecord, duration_text, smooth, usual_range,
};

/// The state of training, as reported by the worker.
#[derive(Debug)]
pub struct Training {
    /// Whether a model is being trained, so that its weights change.
    pub is_running: bool,
    /// The record of the training run.
    pub(in crate::app) record: TrainingRecord,
    /// The person's own data set to train on.
    pub(crate) own: OwnData,
    /// The data set that a person draws.
    pub drawn: Drawings,
    /// The run of the last session that was not over.
    pub last_run: Option<LastRun>,
    /// Whether the worker was asked to start or continue a run, and has not answered yet.
    pub(in crate::app) is_asked: bool,
    /// Updates that the training tab has not processed yet.
    updates: VecDeque<TrainingUpdate>,
    requests: Requests,
}

impl Training {
    /// The state before any training.
    pub(in crate::app) fn new(requests: Requests) -> Self {
        Self {
            is_running: false,
            record: TrainingRecord::default(),
            own: OwnData::new(requests.clone()),
            drawn: Drawings::new(requests.clone()),
            last_run: None,
            is_asked: false,
            updates: VecDeque::new(),
            requests,
        }
    }

    /// The number of training steps done by the run that the window follows.
    pub fn step(&self) -> u64 {
        self.record.step
    }

    /// Sends a command to the worker.
    pub(in crate::app) fn ask(&self, command: Command) {
        self.requests.send(command);
    }

    /// Asks the worker to start or continue a run. Until it answers, no other run should be asked for.
    pub(in crate::app) fn begin(&mut self, command: Command) {
        self.is_asked = true;
        self.ask(command);
    }

    /// Processes an update from the worker.
    pub(in crate::app) fn take(&mut self, update: TrainingUpdate) {
        // It is the answer, or of an active run, beside which no other one can be asked for.
        self.is_asked = false;
        match &update {
            TrainingUpdate::Started { config, .. } => {
                self.is_running = true;
                self.last_run = None;
                self.own.was_used(&config.data.dir);
            }
            TrainingUpdate::Stopped { .. } | TrainingUpdate::Failed(_) => self.is_running = false,
            _ => {}
        }
        self.updates.push_back(update);
    }

    /// The oldest update that the training tab has not processed yet.
    pub(in crate::app) fn next_update(&mut self) -> Option<TrainingUpdate> {
        self.updates.pop_front()
    }
}
