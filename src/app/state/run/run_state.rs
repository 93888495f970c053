//! The open model and its chains: what was chosen, what was seen of them, and which of it is looked at.

use std::sync::Arc;

use crate::{
    app::{record::Record, state::requests::Requests, words},
    config::{LaneConfig, MAX_SEED, ViewConfig, ViewState},
    worker::{Command, LaneImages, LaneNumbers, ModelInfo, References, RunRequest, Step},
};

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

/// Which chains run, how long and how fast. [`ViewConfig`] says what each value means.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSettings {
    /// Bundled model, or the path of a checkpoint.
    pub model: String,
    /// Seed of starts and noise.
    pub seed: u64,
    /// Chains per class, the columns of the grid.
    pub per_class: usize,
    /// Classes shown, the rows of the grid; none means all.
    pub classes: Vec<u32>,
    /// M: play stops after so many steps.
    pub num_steps: usize,
    /// Steps per second at most; 0 is as fast as it goes.
    pub max_steps_per_sec: f64,
}

impl From<&ViewConfig> for RunSettings {
    fn from(config: &ViewConfig) -> Self {
        Self {
            model: config.model.clone(),
            seed: config.seed,
            per_class: config.per_class,
            classes: config.classes.clone(),
            num_steps: config.num_steps,
            max_steps_per_sec: config.max_steps_per_sec,
        }
    }
}

/// The open model and its chains.
#[derive(Debug)]
pub struct RunState {
    /// Which chains run, how long and how fast.
    pub settings: RunSettings,
    /// The rule of each lane. Once a model is open there is at least one.
    pub lanes: Vec<LaneConfig>,
    /// The open model.
    pub model: Option<ModelInfo>,
    /// Real images.
    pub references: Option<References>,
    /// Whether they were asked for.
    pub(super) are_references_asked: bool,
    /// The run since its start.
    pub record: Option<Record>,
    /// Whether the worker is computing steps.
    pub is_running: bool,
    /// Steps per second of late.
    pub steps_per_sec: f64,
    /// The recorded step that is looked at; `None` follows the run.
    pub looking_at: Option<u64>,
    /// Fraction of a recorded step until the next one while the past is played.
    pub(super) replay: Option<f64>,
    /// The selected chain.
    pub selected: Option<Selection>,
    /// What is laid over the chains.
    pub overlay: Overlay,
    /// What the comparison on show is about.
    pub comparison: Option<&'static str>,
    /// The image that was drawn or dropped.
    pub start_image: Option<Arc<[f32]>>,
    /// The last image asked about.
    pub classified: Option<Classified>,
    /// How often a record began or went on from its past.
    pub num_beginnings: u64,
    /// The number of the last [`Command::Run`].
    pub(super) run_number: u64,
    /// Names of the checkpoints that came as bytes.
    pub(super) attached: Vec<String>,
    pub(super) requests: Requests,
}

/// The seed after this one.
pub(in crate::app::state) fn next_seed(seed: u64) -> u64 {
    if seed < MAX_SEED { seed + 1 } else { 0 }
}

impl RunState {
    /// The chains of a link, whose model is still to come.
    pub(in crate::app) fn new(view: &ViewState, requests: Requests) -> Self {
        Self {
            settings: RunSettings::from(&view.view),
            lanes: view.lanes.clone(),
            model: None,
            references: None,
            are_references_asked: false,
            record: None,
            is_running: false,
            steps_per_sec: 0.0,
            looking_at: None,
            replay: None,
            selected: None,
            overlay: Overlay::default(),
            comparison: None,
            start_image: None,
            classified: None,
            num_beginnings: 0,
            run_number: 0,
            attached: Vec::new(),
            requests,
        }
    }

    /// Asks the worker for something.
    pub(in crate::app) fn ask(&self, command: Command) {
        self.requests.send(command);
    }

    /// In a browser, asks once for the images to compare with.
    pub(in crate::app) fn ask_for_references(&mut self) {
        if cfg!(target_arch = "wasm32") && !self.are_references_asked {
            self.are_references_asked = true;
            self.ask(Command::LoadReferences);
        }
    }

    /// Lets go of the selected chain, the overlay and the comparison.
    pub(in crate::app) fn reset_display(&mut self) {
        self.selected = None;
        self.comparison = None;
        self.overlay = Overlay::default();
    }

    /// Forgets what a worker that failed had in memory.
    pub(in crate::app) fn forget(&mut self) {
        self.model = None;
        self.record = None;
        self.selected = None;
    }

    /// Begins the record of the chains that the worker started.
    pub(in crate::app) fn started(&mut self, request: RunRequest, weights_change: bool) {
        let mut record = Record::new(request);
        record.weights_change = weights_change;
        self.record = Some(record);
        self.looking_at = None;
        self.replay = None;
        self.num_beginnings += 1;
    }

    /// Records a step of the chains.
    pub(in crate::app) fn stepped(&mut self, step: Step) {
        if let Some(record) = &mut self.record {
            record.push(step);
        }
    }

    /// The worker paused the run of this number. One of an earlier run says nothing of this one.
    pub(in crate::app) fn paused(&mut self, run_number: u64) {
        self.is_running &= run_number != self.run_number;
    }

    /// Classes of the rows.
    pub fn classes(&self) -> Vec<u32> {
        match (&self.model, self.settings.classes.is_empty()) {
            (Some(model), true) => (0..model.class_names.len() as u32).collect(),
            _ => self.settings.classes.clone(),
        }
    }

    /// Columns and rows of the chains of all lanes; points in the plane are one square a lane.
    pub(in crate::app) fn grid_size(&self) -> [usize; 2] {
        let num_lanes = self.lanes.len().max(1);
        match &self.model {
            Some(model) if model.is_planar() => [num_lanes, 1],
            _ => [self.settings.per_class * num_lanes, self.classes().len().max(1)],
        }
    }

    /// Shows one class, or all of them if it is the only one shown.
    pub fn toggle_only_class(&mut self, class: u32) {
        let Some(model) = &self.model else { return };
        if class as usize >= model.class_names.len() {
            return;
        }
        let only = vec![class];
        self.settings.classes = if self.settings.classes == only { Vec::new() } else { only };
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
        self.lanes.get(index).map(words::lane_name).unwrap_or_default()
    }

    /// Where a chain was, step by step, thinned out to about `most` places (K, C, H, W).
    pub(in crate::app) fn path(&self, chain: Selection, most: usize) -> Vec<f32> {
        let Some(record) = &self.record else { return Vec::new() };
        let Selection { lane, chain } = chain;
        let entries = record.images.entries();
        let stride = entries.len().div_ceil(most).max(1);
        let last = entries.len().saturating_sub(1);
        let kept =
            entries.iter().enumerate().filter(|(index, _)| index % stride == 0 || *index == last);
        let images = kept.filter_map(|(_, (_, lanes))| {
            let x = &lanes.get(lane)?.x;
            let size = x.len() / record.num_chains().max(1);
            x.get(chain * size..(chain + 1) * size)
        });
        images.flatten().copied().collect()
    }
}
