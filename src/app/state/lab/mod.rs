//! The lab: what is set up in it, and what the worker told of it.

mod curve;
mod lab_record;
mod lane_record;

use super::{requests::Requests, run::next_seed};
use crate::{
    config::{LabState, LabTarget, LabView, ViewStart},
    worker::{
        Command,
        lab::{LabCommand, LabNews},
    },
};

pub(in crate::app) use self::{
    curve::Curve,
    lane_record::{Agreement, LaneRecord, MAX_LAG},
};
pub use lab_record::LabRecord;

/// The lab: what is set up in it, and what is known of it.
#[derive(Debug)]
pub struct Lab {
    /// What is set up: an energy, its chains, and what is drawn of them.
    pub settings: LabState,
    /// What the worker told.
    pub record: LabRecord,
    /// Whether the chains are to run as soon as the lab shows what is set up.
    plays: bool,
    requests: Requests,
}

impl Lab {
    /// A lab in this state, of which nothing is known yet.
    pub(in crate::app) fn new(settings: LabState, requests: Requests) -> Self {
        Self { settings, record: LabRecord::default(), plays: false, requests }
    }

    /// Whether chains in the plane are to be shown, and not a slice of the image model.
    pub fn is_plane(&self) -> bool {
        self.settings.config.view == LabView::Plane
    }

    /// Asks the worker's lab for something.
    pub(in crate::app) fn ask(&self, command: LabCommand) {
        self.requests.send(Command::Lab(command));
    }

    /// Lets the lab run, and learn, once it shows what is set up now; or lets it rest.
    pub fn prepare(&mut self, plays: bool) {
        self.plays = plays;
        self.record.tracked = None;
        self.record.reset();
        for command in self.record.stop_all() {
            self.ask(command);
        }
    }

    /// Keeps the worker's lab as it is set up. `is_open` says whether its plane is on show.
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
        if is_open && std::mem::take(&mut self.plays) {
            if self.settings.config.target == LabTarget::Learned {
                self.toggle_learning();
            }
            self.toggle();
        }
    }

    /// Takes in what the worker tells.
    pub(in crate::app) fn take(&mut self, news: LabNews) {
        match &news {
            LabNews::Kept { shown, refused } if self.settings == **refused => {
                self.settings.clone_from(shown);
            }
            // Something else was chosen meanwhile, and the answer to that decides.
            LabNews::Kept { .. } => return,
            _ => {}
        }
        self.record.take(news);
    }

    /// Lets the chains run, or stops them.
    pub fn toggle(&mut self) {
        self.record.is_running = !self.record.is_running;
        self.ask(if self.record.is_running { LabCommand::Play } else { LabCommand::Pause });
    }

    /// Moves the chains one step on.
    pub fn step(&mut self) {
        if self.record.is_running {
            self.toggle();
        }
        self.ask(LabCommand::Step);
    }

    /// Starts the chains again, with the same starts and the same noise.
    pub fn restart(&mut self) {
        match self.record.surface.is_some() {
            true => self.ask(LabCommand::Restart),
            // What was asked before was refused.
            false => self.record.reset(),
        }
    }

    /// Takes other starts and other noise; what is learned keeps its weights until it starts over.
    pub fn reseed(&mut self) {
        let seed = &mut self.settings.config.seed;
        *seed = next_seed(*seed);
    }

    /// Lets the network learn, or stops it.
    pub fn toggle_learning(&mut self) {
        self.record.is_learning = !self.record.is_learning;
        self.record.learning.diverged = None;
        self.ask(LabCommand::Learn(self.record.is_learning));
    }

    /// Learns anew, from other random weights.
    pub(in crate::app) fn learn_anew(&mut self) {
        self.reseed();
        self.record.learning.diverged = None;
        self.ask(LabCommand::StartOver(self.settings.config.seed));
    }

    /// Has every step of this chain told, or of none.
    pub(in crate::app) fn track(&mut self, chain: Option<usize>) {
        self.record.tracked = chain;
        if let Some(chain) = chain {
            self.ask(LabCommand::Track(chain));
        }
    }
}
