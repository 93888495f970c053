//! The state of the window, and what its buttons and keys do to it. Nothing here draws.

mod playback;
mod reports;
mod rules;

use std::{collections::VecDeque, sync::Arc};

use super::{lab::record::LabRecord, lessons::Reading, record::Record, words::shown};
use crate::{
    config::{LabTarget, LabView, LaneConfig, MAX_SEED, ViewStart, ViewState},
    worker::{
        Command, LaneImages, LaneNumbers, ModelInfo, References, RunRequest, TrainingNews,
        lab::LabCommand,
    },
};

pub use crate::config::Tab;

/// Messages at a time, at most, and characters of one.
const MAX_NOTICES: usize = 5;
const MAX_NOTICE: usize = 400;

/// What is laid over the chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// The chains as they are.
    #[default]
    Images,
    /// The energy gradient.
    Gradient,
    /// The change since the start.
    Change,
    /// Which gradient components were clamped.
    Clamped,
}

/// One chain of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Lane from the left, from 0.
    pub lane: usize,
    /// Chain, row by row, from 0.
    pub chain: usize,
}

/// An image that the model was asked about.
#[derive(Clone, Debug)]
pub struct Classified {
    /// The image (C, H, W).
    pub image: Arc<[f32]>,
    /// Its energy.
    pub energy: f32,
    /// p(y|x).
    pub probabilities: Vec<f32>,
}

/// A message that goes by itself.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What it says.
    pub text: String,
    /// Whether something was refused.
    pub is_problem: bool,
    /// Seconds left.
    pub secs_left: f32,
}

/// Everything the window shows.
pub struct Viewer {
    /// What a link carries. Once a model is open there is at least one lane.
    pub view: ViewState,
    /// The open model.
    pub model: Option<ModelInfo>,
    /// What computes, and whether it is the CPU back end.
    pub device: Option<(String, bool)>,
    /// A file on its way, and the bytes of it that are here.
    pub loading: Option<(String, u64)>,
    /// Files for the person to keep that wait to be handed over.
    pub downloads: Vec<(String, Vec<u8>)>,
    /// Models that travel with the program.
    pub bundled: Vec<String>,
    /// The run since its start.
    pub record: Option<Record>,
    /// Whether the worker is computing steps.
    pub is_running: bool,
    /// The recorded step that is looked at; `None` follows the run.
    pub looking_at: Option<u64>,
    /// Fraction of a recorded step until the next one while the past is played.
    replay: Option<f64>,
    /// The selected chain.
    pub selected: Option<Selection>,
    /// What is laid over the chains.
    pub overlay: Overlay,
    /// Real images.
    pub references: Option<References>,
    /// Whether they were asked for.
    are_references_asked: bool,
    /// Names of the files that came as bytes.
    attached: Vec<String>,
    /// The image that was drawn or dropped.
    pub start_image: Option<Arc<[f32]>>,
    /// The last image asked about.
    pub classified: Option<Classified>,
    /// News that the training tab has not taken in yet.
    pub training_news: VecDeque<TrainingNews>,
    /// Messages that go by themselves.
    pub notices: Vec<Notice>,
    /// Why the worker stopped, if it did.
    pub failure: Option<String>,
    /// What has to be known from the start, until somebody says that it is.
    pub warning: Option<String>,
    /// Steps per second of late.
    pub steps_per_sec: f64,
    /// Whether a model is being trained, so that its weights change.
    pub is_training: bool,
    /// How often a record began or went on from its past.
    pub num_beginnings: u64,
    /// The number of the last run.
    run: u64,
    /// What the comparison on show is about.
    pub lesson: Option<&'static str>,
    /// What is known of the lab.
    pub lab: LabRecord,
    /// Whether the lab is to run as soon as it is there.
    lab_plays: bool,
    /// A folder of lessons of one's own.
    pub lesson_folder: Option<std::path::PathBuf>,
    /// The lesson that is being read.
    pub(super) reading: Reading,
    outbox: Vec<Command>,
}

/// Another seed.
pub(super) fn next_seed(seed: u64) -> u64 {
    if seed < MAX_SEED { seed + 1 } else { 0 }
}

impl Viewer {
    /// A window that begins with this view; its model is still to come.
    pub fn new(view: ViewState) -> Self {
        let outbox = vec![Command::Open(view.view.model.clone())];
        let mut viewer = Self {
            view,
            model: None,
            device: None,
            loading: None,
            downloads: Vec::new(),
            bundled: Vec::new(),
            record: None,
            is_running: false,
            looking_at: None,
            replay: None,
            selected: None,
            overlay: Overlay::default(),
            references: None,
            are_references_asked: false,
            attached: Vec::new(),
            start_image: None,
            classified: None,
            training_news: VecDeque::new(),
            notices: Vec::new(),
            failure: None,
            warning: None,
            steps_per_sec: 0.0,
            is_training: false,
            num_beginnings: 0,
            run: 0,
            lesson: None,
            lab: LabRecord::default(),
            lab_plays: false,
            lesson_folder: None,
            reading: Reading::default(),
            outbox,
        };
        viewer.begin_lesson();
        match viewer.shows_plane() {
            true => viewer.prepare_lab(viewer.view.view.play),
            false => viewer.is_running = viewer.view.view.play,
        }
        viewer
    }

    /// Whether the chains on show are the lab's, and not the open model's.
    pub fn shows_plane(&self) -> bool {
        self.view.view.tab == Tab::Lab && self.view.lab.config.view == LabView::Plane
    }

    /// Lets the lab run, and learn, once it shows the state that is set up now; or lets it rest.
    pub fn prepare_lab(&mut self, plays: bool) {
        self.lab_plays = plays;
        self.lab.tracked = None;
        self.lab.reset();
        for command in self.lab.rest() {
            self.send(Command::Lab(command));
        }
    }

    /// Whether all that the window is to show is there, or why it is not.
    pub fn is_settled(&self) -> bool {
        let is_there = match self.shows_plane() {
            true => self.lab.surface.is_some() || self.lab.why_not.is_some(),
            false => self.shown_images().is_some(),
        };
        is_there || self.failure.is_some()
    }

    /// Keeps the lab as the view wants it.
    pub fn follow_lab(&mut self) {
        let is_open = self.shows_plane();
        if is_open && self.is_running && self.record.is_some() {
            // They would run unseen, and take the time of those that are seen.
            self.pause();
        }
        if self.view.lab.config.target != LabTarget::Learned {
            for rule in &mut self.view.lab.rules {
                if rule.start == ViewStart::Buffer {
                    rule.start = ViewStart::ClassCenters;
                }
            }
            if std::mem::take(&mut self.lab.is_learning) {
                self.send(Command::Lab(LabCommand::Learn(false)));
            }
        }
        for command in self.lab.sync(&self.view.lab, is_open) {
            self.send(Command::Lab(command));
        }
        if is_open && std::mem::take(&mut self.lab_plays) {
            if self.view.lab.config.target == LabTarget::Learned {
                self.toggle_learning();
            }
            self.toggle_lab();
        }
    }

    /// Asks the worker for something.
    pub fn send(&mut self, command: Command) {
        self.outbox.push(command);
    }

    /// What was asked since the last call.
    pub fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.outbox)
    }

    /// Tells the person something.
    pub fn notify(&mut self, text: impl AsRef<str>) {
        self.notice(text.as_ref(), false, 5.0);
    }

    /// Tells the person what is wrong.
    pub fn complain(&mut self, text: impl AsRef<str>) {
        self.notice(text.as_ref(), true, 12.0);
    }

    fn notice(&mut self, text: &str, is_problem: bool, secs_left: f32) {
        // What keeps going wrong must not pile up until it hides the window.
        let excess = (self.notices.len() + 1).saturating_sub(MAX_NOTICES);
        self.notices.drain(..excess);
        self.notices.push(Notice { text: shown(text, MAX_NOTICE), is_problem, secs_left });
    }

    /// In a browser, asks once for the images to compare with, when something of them is to be shown.
    pub fn ask_for_references(&mut self) {
        let is_shown = self.selected.is_some() || self.view.view.tab == Tab::Plots;
        if cfg!(target_arch = "wasm32") && is_shown && !self.are_references_asked {
            self.are_references_asked = true;
            self.send(Command::LoadReferences);
        }
    }

    /// Waits for another model, to which nothing of the open one is of use.
    pub(super) fn leave_model(&mut self) {
        self.pause();
        // What is still reported of its chains is of no run any more.
        self.run += 1;
        self.model = None;
        self.record = None;
        self.references = None;
        self.classified = None;
        self.start_image = None;
    }

    /// Loads another model.
    pub fn open(&mut self, name: impl Into<String>) {
        self.send(Command::Open(name.into()));
    }

    /// Loads a model from the bytes of a checkpoint.
    pub fn open_bytes(&mut self, name: &str, bytes: Arc<[u8]>) {
        // Another file of the same name is another model.
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let numbered = (2..).map(|number| format!("{stem} ({number}).{ending}"));
        let mut names = std::iter::once(name.to_string()).chain(numbered);
        let Some(name) = names.find(|name| !self.attached.contains(name)) else { return };
        self.attached.push(name.clone());
        self.send(Command::Attach { name: name.clone(), bytes });
        self.open(name);
    }

    /// Classes of the rows.
    pub fn classes(&self) -> Vec<u32> {
        match (&self.model, self.view.view.classes.is_empty()) {
            (Some(model), true) => (0..model.class_names.len() as u32).collect(),
            _ => self.view.view.classes.clone(),
        }
    }

    /// The rules with M of the run, which their schedules are laid out for.
    fn lanes_to_run(&self) -> Vec<LaneConfig> {
        let mut lanes = self.view.lanes.clone();
        for lane in &mut lanes {
            lane.sampler.num_steps = self.view.view.num_steps;
        }
        lanes
    }

    /// Starts anew with the seed of the view; what ran goes on running.
    pub fn restart(&mut self) {
        let per_class = self.view.view.per_class;
        let labels = self.classes().iter().flat_map(|&c| vec![c; per_class]).collect();
        self.looking_at = None;
        self.replay = None;
        self.send(Command::Restart(RunRequest {
            seed: self.view.view.seed,
            labels,
            lanes: self.lanes_to_run(),
            image: self.start_image.clone(),
        }));
        if self.is_running {
            self.run_until(self.view.view.num_steps as u64);
        }
    }

    /// Starts anew with another seed.
    pub fn restart_with_new_seed(&mut self) {
        self.view.view.seed = next_seed(self.view.view.seed);
        self.restart();
    }

    /// Shows one class, or all of them if it is the only one shown.
    pub fn toggle_only_class(&mut self, class: u32) {
        let Some(model) = &self.model else { return };
        if class as usize >= model.class_names.len() {
            return;
        }
        let only = vec![class];
        self.view.view.classes = if self.view.view.classes == only { Vec::new() } else { only };
        self.selected = None;
        self.restart();
    }

    /// Images of each lane at the step that is shown, with that step.
    pub fn shown_images(&self) -> Option<&(u64, Vec<LaneImages>)> {
        self.record.as_ref()?.images.at(self.shown_step())
    }

    /// Scalars of each lane at the step whose images are shown.
    pub fn shown_numbers(&self) -> Option<&(u64, Arc<Vec<LaneNumbers>>)> {
        let step = self.shown_images()?.0;
        self.record.as_ref()?.numbers.at(step)
    }

    /// Images of each lane at the start.
    pub fn start_images(&self) -> Option<&[LaneImages]> {
        Some(&self.record.as_ref()?.images.entries().first()?.1)
    }

    /// A short name of a lane's rule.
    pub fn lane_name(&self, index: usize) -> String {
        self.view.lanes.get(index).map(crate::app::lane_name).unwrap_or_default()
    }
}
