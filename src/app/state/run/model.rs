//! Opening a model, and the effect on the chains.

use std::sync::Arc;

use super::run_state::{Asked, RunSettings, RunState};
use crate::{
    app::words,
    bundled,
    config::{LaneConfig, ViewConfig, ViewStart},
    worker::{Command, ModelInfo},
};

/// The number of classes that are shown by default if a model has many.
const MAX_DEFAULT_CLASSES: usize = 10;
/// The steps of a run of a model whose chains sample: they change slowly, and go on changing.
const SAMPLER_STEPS: usize = 2000;
/// The maximum length of a class name, in characters, and of the reason why no model is open.
const MAX_NAME: usize = 32;
const MAX_REASON: usize = 400;

impl RunState {
    /// Loads another model by its name or path. While one loads, only the last one that is asked for waits.
    pub fn open(&self, name: impl Into<String>) {
        self.load(name.into());
    }

    fn load(&self, name: String) {
        let mut on_way = self.on_way.borrow_mut();
        let [asked, next] = &mut *on_way;
        match asked {
            Some(asked) => *next = (*asked != name).then_some(name),
            None => {
                *asked = Some(name.clone());
                self.ask(Command::Open(name));
            }
        }
    }

    /// Whether a model that was asked for is on its way.
    pub(in crate::app) fn is_opening(&self) -> bool {
        self.on_way.borrow()[0].is_some()
    }

    /// Notes that the worker answered the request for a model, and asks for the next one. Returns whether there is one.
    fn answered(&self) -> bool {
        let [_, next] = self.on_way.take();
        let is_next = next.is_some();
        next.into_iter().for_each(|name| self.load(name));
        is_next
    }

    /// Whether the settings are those of a link or a run that came after the request for this model, and that has another
    /// one, which is on its way.
    fn is_outdated(&self, model: &str) -> bool {
        let on_way = self.on_way.borrow();
        let [asked, next] = &*on_way;
        let last = next.as_ref().or(asked.as_ref());
        last.is_some_and(|last| *last == self.settings.model && last != model)
    }

    /// Loads the bundled model whose chains sample, and plays.
    pub(in crate::app) fn open_sampler(&mut self) {
        let dataset = self.model.as_ref().map(|model| model.dataset.as_str());
        let name = bundled::sampler_for(dataset.unwrap_or_default());
        self.sampler_asked = Some(name.to_string());
        self.open(name);
    }

    /// Loads the chosen model once more, which could not be loaded before.
    pub(in crate::app) fn open_again(&mut self) {
        self.why_not = None;
        self.open(self.settings.model.clone());
    }

    /// Loads a model from the bytes of a checkpoint.
    pub(crate) fn open_bytes(&mut self, name: &str, bytes: Arc<[u8]>) {
        // Another file with the same name is another model, so it needs another name.
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let numbered = (2..).map(|number| format!("{stem} ({number}).{ending}"));
        let mut names = std::iter::once(name.to_string()).chain(numbered);
        let Some(name) = names.find(|name| !self.attached.contains(name)) else { return };
        self.note_bytes_of(&name);
        self.ask(Command::Attach { name: name.clone(), bytes });
        self.open(name);
    }

    /// Notes that the worker has a checkpoint of this name as bytes.
    pub(crate) fn note_bytes_of(&mut self, name: &str) {
        self.attached.push(name.to_string());
    }

    /// Discards everything that belongs to the open model, before another one is loaded.
    fn leave_model(&mut self) {
        self.pause();
        self.keep_past();
        // Whatever was coming back gives way to what is asked for now.
        self.returning = None;
        self.sampler_asked = None;
        // Later reports on the old chains belong to no run.
        self.run_number += 1;
        self.model = None;
        self.setup = None;
        self.references = None;
        self.classified = None;
        self.start_image = None;
    }

    /// Shows the state of a link, as if the window had been opened with it. Returns a message about what was
    /// left out.
    pub(in crate::app) fn show(
        &mut self,
        view: &ViewConfig,
        lanes: Vec<LaneConfig>,
    ) -> Option<String> {
        // A model on its way takes the place of the open one.
        let is_other_model = self.on_way.borrow()[0].is_some()
            || self.model.as_ref().is_none_or(|model| model.name != view.model);
        self.settings = RunSettings::from(view);
        self.lanes = lanes;
        if is_other_model {
            // As at the start of the window, the lanes of the link apply.
            self.leave_model();
            self.is_running = view.play;
            self.open(view.model.clone());
            return None;
        }
        self.pause();
        let mut left_out = None;
        if let Some(model) = self.model.clone() {
            left_out = self.keep_known_classes(model.class_names.len());
            if self.lanes.is_empty() {
                self.lanes = vec![model.lane()];
            }
        }
        self.is_running = view.play;
        self.restart();
        left_out
    }

    /// Handles that the worker opened a model, which may be one that was asked for before, or that of a training run.
    /// Returns messages for the user: what was left out, and what had to be changed.
    pub(in crate::app) fn opened(&mut self, model: ModelInfo) -> [Option<String>; 2] {
        let name = model.name.clone();
        let told = match self.is_outdated(&name) {
            true => [None, None],
            false => self.begin_with(model),
        };
        let is_answer = self.on_way.borrow()[0].as_ref() == Some(&name);
        if is_answer {
            self.answered();
        }
        told
    }

    /// Stores a model that the worker opened, and starts its chains.
    fn begin_with(&mut self, mut model: ModelInfo) -> [Option<String>; 2] {
        for name in &mut model.class_names {
            *name = words::shown(name, MAX_NAME);
        }
        self.why_not = None;
        let is_sampler = self.sampler_asked.take_if(|name| *name == model.name).is_some();
        // Without an open model, the settings are those of the model that was asked for with them.
        let is_other = self.settings.model != model.name
            || self.model.as_ref().is_some_and(|old| old.name != model.name);
        let is_returning = self.is_returning_to(&model.name);
        let num_classes = model.class_names.len();
        self.settings.model.clone_from(&model.name);
        if is_other {
            self.keep_past();
            self.references = None;
            self.classified = None;
            self.only = None;
            self.selected = None;
            self.comparison = None;
        }
        if is_other && !is_returning {
            self.settings.classes.clear();
            self.start_image = None;
            let sampler = &model.sampler;
            if is_sampler && sampler.noise_std > 0.0 && sampler.denoise_step > 0.0 {
                self.settings.num_steps = self.settings.num_steps.max(SAMPLER_STEPS);
            }
        }
        let left_out = self.keep_known_classes(num_classes);
        if self.settings.classes.is_empty() && num_classes > MAX_DEFAULT_CLASSES {
            self.settings.classes = (0..MAX_DEFAULT_CLASSES as u32).collect();
        }
        if is_other && !is_returning || self.lanes.is_empty() {
            self.lanes = vec![model.lane()];
        }
        let has_image = self.start_image.is_some();
        let mut changed = None;
        for lane in &mut self.lanes {
            let cannot_start = lane.start == ViewStart::Image && !has_image
                || lane.start == ViewStart::Buffer && !model.has_buffer;
            if cannot_start {
                lane.start = ViewStart::ClassCenters;
                changed = Some(
                    "The chosen start is not available here. The chains start from class centres."
                        .to_string(),
                );
            }
        }
        self.references_asked = if self.references.is_some() { Asked::Yes } else { Asked::No };
        self.model = Some(model);
        self.is_running |= is_sampler;
        match is_returning {
            true => self.return_to_past(),
            false => self.restart(),
        }
        [left_out, changed]
    }

    /// Removes the rows of classes that the model does not have, and duplicate rows. Returns a message about
    /// the unknown classes.
    fn keep_known_classes(&mut self, num_classes: usize) -> Option<String> {
        let mut rows: Vec<u32> = Vec::new();
        let mut unknown = Vec::new();
        for &class in &self.settings.classes {
            match (class as usize) < num_classes {
                true if !rows.contains(&class) => rows.push(class),
                true => {}
                false => unknown.push(class.to_string()),
            }
        }
        self.settings.classes = rows;
        let last = num_classes.saturating_sub(1);
        (!unknown.is_empty()).then(|| {
            format!("The model's classes are 0 to {last}; left out: {}.", unknown.join(", "))
        })
    }

    /// Stays with the open model, although another one was asked for. Returns whether a later request follows instead.
    pub(in crate::app) fn stay(&mut self) -> bool {
        let is_next = self.answered();
        if !is_next {
            self.sampler_asked = None;
            self.give_up_undo();
        }
        is_next
    }

    /// Handles a refused request. If nothing is shown yet, shows a bundled model or the model's default rule. Returns
    /// whether a bundled model takes the place of the one that was asked for.
    pub(in crate::app) fn refused(&mut self, reason: &str, bundled: Option<&String>) -> bool {
        if self.stay() {
            return false;
        }
        if self.references_asked == Asked::Yes && self.references.is_none() {
            self.references_asked = Asked::Refused(words::shown(reason, MAX_REASON));
        }
        match (&self.model, bundled) {
            (None, Some(name)) if self.settings.model != *name => {
                self.settings.model.clone_from(name);
                // The rules of the link belong to the model that cannot be had.
                self.lanes.clear();
                self.open(name);
                return true;
            }
            (None, _) => self.why_not = Some(words::shown(reason, MAX_REASON)),
            (Some(model), _) if self.record.is_none() && self.lanes != [model.lane()] => {
                self.lanes = vec![model.lane()];
                self.restart();
            }
            // The model's own rule is refused too: something else about the run is wrong.
            (Some(_), _) if self.record.is_none() => {
                self.pause();
                self.why_not = Some(words::shown(reason, MAX_REASON));
            }
            (Some(_), _) => self.put_back(),
        }
        false
    }
}
