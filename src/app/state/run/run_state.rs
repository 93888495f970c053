//! The open model and its chains: the settings, the record, and the choice of what is shown.

use std::{cell::RefCell, ops::Range, sync::Arc};

use super::overlay::Overlay;
use crate::{
    app::{record::Record, state::requests::Requests, words},
    config::{LaneConfig, MAX_SEED, ViewConfig, ViewState},
    worker::{Command, LaneImages, LaneNumbers, ModelInfo, References, RunRequest, Step},
};

/// One chain of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The index of the lane from the left, starting at 0.
    pub lane: usize,
    /// The index of the chain, row by row, starting at 0.
    pub chain: usize,
}

/// Whether the real images to compare with were requested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    Yes,
    /// They were requested, and something was refused before they came, for this reason.
    Refused(String),
}

/// The model's answer for an image that it was asked to classify.
#[derive(Clone, Debug)]
pub struct Classified {
    /// The image (C, H, W).
    pub image: Arc<[f32]>,
    /// The energy of the image.
    pub energy: f32,
    /// The class probabilities p(y|x).
    pub probabilities: Vec<f32>,
}

/// The settings of the chains: which run, how long and how fast. [`ViewConfig`] explains each value.
#[derive(Clone, Debug, PartialEq)]
pub struct RunSettings {
    /// The name of a bundled model, or the path of a checkpoint.
    pub model: String,
    /// The seed of starts and noise.
    pub seed: u64,
    /// The number of chains per class, which are the columns of the grid.
    pub per_class: usize,
    /// The classes shown, which are the rows of the grid. Empty means all classes.
    pub classes: Vec<u32>,
    /// The number of steps M after which play stops.
    pub num_steps: usize,
    /// The maximum number of steps per second; 0 means no limit.
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
    /// The settings of the chains.
    pub settings: RunSettings,
    /// The rule of each lane. Once a model is open, there is at least one.
    pub lanes: Vec<LaneConfig>,
    /// The open model.
    pub model: Option<ModelInfo>,
    /// Why no model is open, if none can be had.
    pub why_not: Option<String>,
    /// The model that the worker was asked for and has not answered for, and the one to ask for after it.
    pub(super) on_way: RefCell<[Option<String>; 2]>,
    /// The model that was asked for because its chains sample.
    pub(super) sampler_asked: Option<String>,
    /// Real images to compare the chains with.
    pub references: Option<References>,
    pub(super) references_asked: Asked,
    /// Whether the worker was told to read the gradients of the chains.
    are_gradients_asked: bool,
    /// The record of the run since its start.
    pub record: Option<Record>,
    /// Whether the worker is computing steps.
    pub is_running: bool,
    /// The step at which the present run stops; `None` for step M, wherever that is.
    pub(super) end: Option<u64>,
    /// The recent number of steps per second.
    pub steps_per_sec: f64,
    /// The recorded step that is shown; `None` follows the run.
    pub looking_at: Option<u64>,
    /// The progress from one recorded step to the next in a replay, from 0 to 1; `None` if there is no replay.
    pub(super) replay: Option<f64>,
    /// The only class whose row is shown; `None` shows all rows. The chains of the other rows run on.
    pub only: Option<u32>,
    /// The selected chain.
    pub selected: Option<Selection>,
    /// The quantity that is drawn over the chains.
    pub overlay: Option<Overlay>,
    /// The explanation of the comparison that is shown.
    pub comparison: Option<&'static str>,
    /// The start image, which was drawn or dropped on the window.
    pub start_image: Option<Arc<[f32]>>,
    /// The answer for the last image that was classified.
    pub classified: Option<Classified>,
    /// The number of restarts and branches so far.
    pub num_beginnings: u64,
    /// The number of the last [`Command::Run`].
    pub(super) run_number: u64,
    /// The names of the checkpoints that were opened from bytes.
    pub(super) attached: Vec<String>,
    /// What the recorded run was started with, and, once a restart is requested, the run before it.
    pub(super) setup: Option<Setup>,
    pub(super) leaving: Option<Setup>,
    /// The run that can be brought back, and the record of the one that is coming back.
    pub(super) past: Option<PastRun>,
    pub(super) returning: Option<Record>,
    /// What a person should be told about the last request.
    pub(super) notes: Vec<&'static str>,
    pub(super) requests: Requests,
}

/// The seed after this one.
pub(in crate::app::state) fn next_seed(seed: u64) -> u64 {
    if seed < MAX_SEED { seed + 1 } else { 0 }
}

/// What a run was started with. Its rules follow the changes that are made while it runs.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) settings: RunSettings,
    pub(super) lanes: Vec<LaneConfig>,
    pub(super) start_image: Option<Arc<[f32]>>,
}

/// A run that another one replaced.
#[derive(Debug)]
pub(super) struct PastRun {
    pub(super) setup: Setup,
    pub(super) record: Record,
}

impl RunState {
    /// The chains of a link, before the model is loaded.
    pub(in crate::app) fn new(view: &ViewState, requests: Requests) -> Self {
        Self {
            settings: RunSettings::from(&view.view),
            lanes: view.lanes.clone(),
            model: None,
            why_not: None,
            on_way: RefCell::default(),
            sampler_asked: None,
            references: None,
            references_asked: Asked::No,
            are_gradients_asked: false,
            record: None,
            is_running: false,
            end: None,
            steps_per_sec: 0.0,
            looking_at: None,
            replay: None,
            only: None,
            selected: None,
            overlay: None,
            comparison: None,
            start_image: None,
            classified: None,
            num_beginnings: 0,
            run_number: 0,
            attached: Vec::new(),
            setup: None,
            leaving: None,
            past: None,
            returning: None,
            notes: Vec::new(),
            requests,
        }
    }

    /// How an energy compares with those of real test images, in words, if they are there.
    pub(in crate::app) fn rank_of(&self, energy: f32) -> Option<String> {
        let test = &self.references.as_ref()?.test_energies;
        // The energies of the test images belong to one set of weights.
        let is_learning = self.record.as_ref().is_some_and(|record| record.weights_change);
        if test.is_empty() || !energy.is_finite() || is_learning {
            return None;
        }
        let num_above = test.iter().filter(|&&other| energy < other).count();
        let share = 100.0 * num_above as f64 / test.len() as f64;
        let is_planar = self.model.as_ref().is_some_and(|model| model.is_planar());
        let what = if is_planar { "test points" } else { "real test images" };
        Some(format!("lower than {share:.0} % of {what}"))
    }

    /// Sends a command to the worker.
    pub(in crate::app) fn ask(&self, command: Command) {
        self.requests.send(command);
    }

    /// In a browser, requests the real images while they are needed. Called once per frame.
    pub(in crate::app) fn ask_for_references(&mut self, are_needed: bool) {
        if cfg!(target_arch = "wasm32") && self.are_references_due(are_needed) {
            self.ask(Command::LoadReferences);
        }
    }

    /// Whether to request the real images now: once, and after a refusal when they are needed anew.
    fn are_references_due(&mut self, are_needed: bool) -> bool {
        match (are_needed, &self.references_asked) {
            (true, Asked::No) => {
                self.references_asked = Asked::Yes;
                true
            }
            (false, Asked::Refused(_)) => {
                self.references_asked = Asked::No;
                false
            }
            _ => false,
        }
    }

    /// Why the real images did not come.
    pub(in crate::app) fn why_no_references(&self) -> Option<&str> {
        match &self.references_asked {
            Asked::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// What a person should be told since the last call.
    pub(in crate::app) fn take_notes(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.notes)
    }

    /// Tells the worker whether the overlay shows the gradients of the chains. Called once per frame.
    pub(in crate::app) fn ask_for_gradients(&mut self) {
        let wanted = self.shown_overlay().shows_gradients();
        if wanted != self.are_gradients_asked {
            self.are_gradients_asked = wanted;
            self.ask(Command::ReadGradients(wanted));
        }
    }

    /// Clears the selected chain, the choice of a row, the overlay and the comparison.
    pub(in crate::app) fn reset_display(&mut self) {
        self.only = None;
        self.selected = None;
        self.comparison = None;
        self.overlay = None;
    }

    /// Discards the state of a failed worker.
    pub(in crate::app) fn forget(&mut self) {
        self.model = None;
        self.on_way = RefCell::default();
        self.sampler_asked = None;
        self.record = None;
        self.returning = None;
        self.selected = None;
        self.are_gradients_asked = false;
    }

    /// Begins the record of the chains that the worker started.
    pub(in crate::app) fn started(&mut self, request: RunRequest, weights_change: bool) {
        // During a training, the worker restarts the chains by itself. What a person left stays what comes back.
        if self.leaving.is_some() {
            self.keep_past();
        }
        if weights_change
            && let Some(past) = &mut self.past
            && past.setup.settings.model == self.settings.model
        {
            // If it comes back, it continues with other weights.
            past.record.weights_change = true;
        }
        self.only = self.only.filter(|only| request.labels.contains(only));
        self.why_not = None;
        let mut record = Record::new(request);
        record.weights_change = weights_change;
        self.record = Some(record);
        self.looking_at = None;
        self.replay = None;
        self.num_beginnings += 1;
    }

    /// Adds a step of the chains to the record.
    pub(in crate::app) fn stepped(&mut self, step: Step) {
        self.returned(step.step);
        if let Some(record) = &mut self.record {
            record.push(step);
        }
    }

    /// Handles the worker's report that it paused this run. A report on an earlier run is ignored.
    pub(in crate::app) fn paused(&mut self, run_number: u64) {
        self.is_running &= run_number != self.run_number;
    }

    /// The classes of the rows that are shown.
    pub fn shown_classes(&self) -> Vec<u32> {
        let mut classes = self.classes();
        classes.retain(|&class| self.only.is_none_or(|only| only == class));
        classes
    }

    /// The chains of the rows that are shown, row by row, as indices into those of a lane.
    pub fn shown_chains(&self) -> Vec<usize> {
        let labels = self.record.as_ref().map_or(&[][..], |record| &record.request.labels);
        let is_shown = |label: u32| self.only.is_none_or(|only| only == label);
        (0..labels.len()).filter(|&chain| is_shown(labels[chain])).collect()
    }

    /// The classes of the rows whose chains run.
    pub fn classes(&self) -> Vec<u32> {
        match (&self.model, self.settings.classes.is_empty()) {
            (Some(model), true) => (0..model.class_names.len() as u32).collect(),
            _ => self.settings.classes.clone(),
        }
    }

    /// The number of columns and rows of all lanes together. Points in the plane need one square per lane.
    pub(in crate::app) fn grid_size(&self) -> [usize; 2] {
        let num_lanes = self.lanes.len().max(1);
        match &self.model {
            Some(model) if model.is_planar() => [num_lanes, 1],
            _ => [self.settings.per_class * num_lanes, self.shown_classes().len().max(1)],
        }
    }

    /// Shows the row of this class only, or all rows if it is already the only one. The chains do not notice.
    pub fn toggle_only_class(&mut self, class: u32) {
        if !self.classes().contains(&class) {
            return;
        }
        self.only = if self.only == Some(class) { None } else { Some(class) };
        let labels = self.record.as_ref().map(|record| &record.request.labels);
        let label = |chain: usize| labels.and_then(|labels| labels.get(chain));
        // A chain in a hidden row cannot be seen to be selected.
        self.selected = self
            .selected
            .filter(|s| self.only.is_none_or(|only| label(s.chain).is_none_or(|&l| l == only)));
    }

    /// Shows the row that a digit key stands for: of the class with that name, as in MNIST, or, if no class is named by
    /// a digit, the row with that number, where 0 is the tenth. The same key again shows all rows.
    pub fn toggle_row_of_digit(&mut self, digit: u32) {
        let Some(model) = &self.model else { return };
        let classes = self.classes();
        let name = digit.to_string();
        let is_named = |class: &&u32| model.class_names.get(**class as usize) == Some(&name);
        let is_digit = |name: &String| name.len() == 1 && name.bytes().all(|b| b.is_ascii_digit());
        let row = if digit == 0 { 9 } else { digit as usize - 1 };
        let found = match model.class_names.iter().any(is_digit) {
            true => classes.iter().find(is_named),
            false => classes.get(row),
        };
        if let Some(&class) = found {
            self.toggle_only_class(class);
        }
    }

    /// The images of each lane at the shown step, with that step.
    pub fn shown_images(&self) -> Option<&(u64, Vec<LaneImages>)> {
        self.record.as_ref()?.images.at(self.shown_step())
    }

    /// The scalars of each lane at the step whose images are shown.
    pub fn shown_numbers(&self) -> Option<&(u64, Arc<Vec<LaneNumbers>>)> {
        let step = self.shown_images()?.0;
        self.record.as_ref()?.numbers.at(step)
    }

    /// The images of each lane at the start.
    pub(crate) fn start_images(&self) -> Option<&[LaneImages]> {
        Some(&self.record.as_ref()?.images.entries().first()?.1)
    }

    /// A short name for a lane: its rule, and what differs from the other lanes.
    pub(crate) fn lane_name(&self, index: usize) -> String {
        words::lane_names(&self.lanes).into_iter().nth(index).unwrap_or_default()
    }

    /// The recorded image of a chain (C, H, W) at a step, or at the last recorded one before it, with its step.
    pub(in crate::app) fn image_of(&self, chain: Selection, step: u64) -> Option<(u64, &[f32])> {
        let (at, lanes) = self.record.as_ref()?.images.at(step)?;
        Some((*at, self.image_in(lanes, chain)?))
    }

    /// Where the values of a chain are among those of its lane.
    pub(super) fn values_of(&self, images: &LaneImages, chain: Selection) -> Option<Range<usize>> {
        let size = images.x.len() / self.record.as_ref()?.num_chains().max(1);
        Some(chain.chain * size..(chain.chain + 1) * size)
    }

    fn image_in<'a>(&self, lanes: &'a [LaneImages], chain: Selection) -> Option<&'a [f32]> {
        let images = lanes.get(chain.lane)?;
        images.x.get(self.values_of(images, chain)?)
    }

    /// The recorded positions of a chain up to a step, thinned out to about `most` positions (K, C, H, W).
    pub(in crate::app) fn path(&self, chain: Selection, last: u64, most: usize) -> Vec<f32> {
        let Some(record) = &self.record else { return Vec::new() };
        let entries = record.images.entries();
        let entries = &entries[..entries.partition_point(|entry| entry.0 <= last)];
        let stride = entries.len().div_ceil(most).max(1);
        let last = entries.len().saturating_sub(1);
        let kept =
            entries.iter().enumerate().filter(|(index, _)| index % stride == 0 || *index == last);
        let images = kept.filter_map(|(_, (_, lanes))| self.image_in(lanes, chain));
        images.flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_images_that_were_refused_are_asked_for_when_they_are_needed_anew() {
        let (sender, _receiver) = std::sync::mpsc::channel();
        let mut run = RunState::new(&ViewState::default(), Requests::new(sender));
        assert!(!run.are_references_due(false));
        assert!(run.are_references_due(true) && !run.are_references_due(true), "once");
        run.refused("no connection", None);
        assert_eq!(run.why_no_references(), Some("no connection"));
        // Not in every frame: a person goes away and comes back.
        assert!(!run.are_references_due(true) && !run.are_references_due(false));
        assert!(run.are_references_due(true) && !run.are_references_due(true));
        assert!(
            !run.are_references_due(false) && !run.are_references_due(true),
            "still on the way"
        );
    }
}
