//! The lab: its settings, and the record of what the worker reported.

mod curve;
mod lab_record;
mod lane_record;
mod undo;
mod valleys;

use super::{requests::Requests, run::next_seed};
use crate::{
    config::{LabState, LabTarget, LabView, ViewStart},
    worker::{
        Command,
        lab::{LabCommand, LabUpdate},
    },
};

pub(in crate::app) use self::{
    curve::Curve,
    lane_record::{Agreement, LaneRecord, MAX_LAG},
    valleys::shares,
};
pub(crate) use lab_record::LabRecord;

/// The lab, with its settings and its record.
#[derive(Debug)]
pub struct Lab {
    /// The settings: the energy, the chains, and the elements to draw.
    pub settings: LabState,
    /// The record of what the worker reported.
    pub record: LabRecord,
    /// The number of setups so far, each by a lesson or a link.
    pub num_setups: u64,
    /// Whether the chains start to run as soon as the lab shows the current settings.
    plays: bool,
    requests: Requests,
}

impl Lab {
    /// Creates a lab with these settings and an empty record.
    pub(in crate::app) fn new(settings: LabState, requests: Requests) -> Self {
        Self { settings, record: LabRecord::default(), num_setups: 0, plays: false, requests }
    }

    /// Whether the lab shows chains in the plane, not a slice of the image model.
    pub(crate) fn is_plane(&self) -> bool {
        self.settings.config.view == LabView::Plane
    }

    /// Sends a command to the worker's lab.
    pub(in crate::app) fn ask(&self, command: LabCommand) {
        self.requests.send(Command::Lab(command));
    }

    /// Stops the lab, and restarts it with the current settings. If `plays`, chains and training run as soon as
    /// these are shown.
    pub fn prepare(&mut self, plays: bool) {
        self.plays = plays;
        self.num_setups += 1;
        self.record.tracked = None;
        self.record.reset();
        for command in self.record.stop_all() {
            self.ask(command);
        }
    }

    /// Sends the commands that keep the worker's lab equal to the settings. `is_open` says whether the plane is
    /// visible.
    pub(in crate::app) fn follow(&mut self, is_open: bool) {
        if self.settings.config.target != LabTarget::Learned {
            for rule in &mut self.settings.rules {
                if rule.start == ViewStart::Buffer {
                    rule.start = ViewStart::ClassCenters;
                }
            }
            if std::mem::take(&mut self.record.is_learning) {
                self.ask(LabCommand::Learn(false));
            }
        }
        for command in self.record.sync(&self.settings, is_open) {
            self.ask(command);
        }
        if is_open {
            self.record.diagnose();
        }
        if is_open && std::mem::take(&mut self.plays) {
            if self.settings.config.target == LabTarget::Learned {
                self.toggle_learning();
            }
            self.toggle();
        }
    }

    /// Processes an update from the worker.
    pub(in crate::app) fn take(&mut self, update: LabUpdate) {
        match &update {
            LabUpdate::Kept { shown, refused } if self.settings == **refused => {
                self.settings.clone_from(shown);
            }
            // The settings have changed since this request, so the answer to the newer request counts.
            LabUpdate::Kept { .. } => return,
            _ => {}
        }
        self.record.take(update);
    }

    /// Starts or stops the chains.
    pub(crate) fn toggle(&mut self) {
        self.record.is_running = !self.record.is_running;
        self.ask(if self.record.is_running { LabCommand::Play } else { LabCommand::Pause });
    }

    /// Moves the chains by one step.
    pub fn step(&mut self) {
        if self.record.is_running {
            self.toggle();
        }
        self.ask(LabCommand::Step);
    }

    /// Restarts the chains, with the same starts and the same noise.
    pub fn restart(&mut self) {
        match self.record.surface.is_some() {
            true => {
                self.record.leave();
                self.ask(LabCommand::Restart);
            }
            // The last request was refused, so everything is requested again.
            false => self.record.reset(),
        }
    }

    /// Chooses a new seed for starts and noise. A trained network keeps its weights until training restarts.
    pub fn reseed(&mut self) {
        let seed = &mut self.settings.config.seed;
        *seed = next_seed(*seed);
    }

    /// Starts or stops training.
    pub(crate) fn toggle_learning(&mut self) {
        self.record.is_learning = !self.record.is_learning;
        self.record.learning.diverged = None;
        self.ask(LabCommand::Learn(self.record.is_learning));
    }

    /// Restarts training from other random weights.
    pub(in crate::app) fn learn_anew(&mut self) {
        self.reseed();
        self.record.learning.diverged = None;
        self.ask(LabCommand::StartOver(self.settings.config.seed));
    }

    /// Selects the chain whose every step the worker reports, or none.
    pub(in crate::app) fn track(&mut self, chain: Option<usize>) {
        self.record.tracked = chain;
        if let Some(chain) = chain {
            self.ask(LabCommand::Track(chain));
        }
    }
}
