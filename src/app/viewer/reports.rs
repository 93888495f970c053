//! What the worker reports, and what follows from it.

use super::{Classified, Viewer};
use crate::{
    app::{record::Record, words::shown},
    config::ViewStart,
    worker::{Event, ModelInfo, TrainingNews, lab::LabNews},
};

/// Classes shown of a model that has many.
const MAX_DEFAULT_CLASSES: usize = 10;
/// Characters of the reason of a failure, at most.
const MAX_FAILURE: usize = 400;
/// Characters of a class's name, at most.
const MAX_NAME: usize = 32;
/// What becomes of a training run when the worker fails.
const AFTER_FAILURE: &str = match cfg!(target_arch = "wasm32") {
    true => "the run is lost: in a browser it lives in the memory that failed",
    false => "go on from the run's last checkpoint",
};

impl Viewer {
    /// Takes in what the worker reports.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Device { description, is_cpu, bundled } => {
                self.failure = None;
                self.bundled = bundled;
                self.device = Some((description, is_cpu));
            }
            Event::Loading { name, num_bytes } => self.loading = Some((name, num_bytes)),
            Event::Opened(model) => {
                self.loading = None;
                self.opened(*model);
            }
            Event::Started(request) => {
                let mut record = Record::new(request);
                record.weights_change = self.is_training;
                self.record = Some(record);
                self.looking_at = None;
                self.replay = None;
                self.num_beginnings += 1;
            }
            Event::Step(step) => {
                if let Some(record) = &mut self.record {
                    record.push(*step);
                }
            }
            // One of an earlier run says nothing of this one.
            Event::Paused(run) if run == self.run => self.is_running = false,
            Event::Paused(_) => {}
            Event::Lanes(lanes) => self.view.lanes = lanes,
            Event::References(references) => {
                self.loading = None;
                self.references = Some(references);
            }
            Event::Classified { image, energy, probabilities } => {
                self.classified = Some(Classified { image, energy, probabilities });
            }
            Event::Training(news) => {
                match &*news {
                    TrainingNews::Started { .. } => self.is_training = true,
                    TrainingNews::Stopped { .. } | TrainingNews::Failed(_) => {
                        self.is_training = false
                    }
                    _ => {}
                }
                self.training_news.push_back(*news);
            }
            Event::Lab(news) => {
                match &*news {
                    LabNews::Refused(reason) => self.complain(reason),
                    LabNews::Kept { shown, refused } if self.view.lab == **refused => {
                        self.view.lab.clone_from(shown);
                    }
                    // Something else was chosen meanwhile, and the answer to that decides.
                    LabNews::Kept { .. } => return,
                    _ => {}
                }
                self.lab.take(*news);
            }
            Event::Lesson { number, text } => self.take_lesson(number, &text),
            Event::File { name, bytes } => self.downloads.push((name, bytes)),
            Event::Saved(path) => self.notify(format!("Saved {}.", path.display())),
            Event::Refused(reason) => self.refused(reason),
            Event::Failed(reason) => {
                self.is_running = false;
                self.lab.rest();
                if std::mem::take(&mut self.is_training) {
                    let news = format!("{reason}; {AFTER_FAILURE}");
                    self.training_news.push_back(TrainingNews::Failed(news));
                }
                // What follows a failure says less than the first word of it.
                self.failure.get_or_insert_with(|| shown(&reason, MAX_FAILURE));
            }
        }
    }

    /// Says so; where nothing is shown yet, shows something that can be.
    fn refused(&mut self, reason: String) {
        self.complain(reason);
        self.loading = None;
        match (&self.model, self.bundled.first()) {
            (None, Some(name)) if self.view.view.model != *name => {
                let name = name.clone();
                self.view.view.model.clone_from(&name);
                self.open(name);
            }
            (Some(model), _) if self.record.is_none() && self.view.lanes != [model.lane()] => {
                self.view.lanes = vec![model.lane()];
                self.restart();
            }
            _ => {}
        }
    }

    /// Takes nothing for granted of a worker that failed: what it had in memory is gone.
    pub fn forget(&mut self) {
        self.failure = None;
        self.device = None;
        self.model = None;
        self.record = None;
        self.selected = None;
        self.lab.forget();
        self.reading.ask_again();
    }

    /// Leaves out the rows of classes that the model does not have, and says which; a class has one row.
    pub(in crate::app) fn keep_known_classes(&mut self, num_classes: usize) {
        let mut rows: Vec<u32> = Vec::new();
        let mut unknown = Vec::new();
        for &class in &self.view.view.classes {
            match (class as usize) < num_classes {
                true if !rows.contains(&class) => rows.push(class),
                true => {}
                false => unknown.push(class.to_string()),
            }
        }
        self.view.view.classes = rows;
        if !unknown.is_empty() {
            let last = num_classes.saturating_sub(1);
            self.complain(format!(
                "The model's classes are 0 to {last}; left out: {}.",
                unknown.join(", ")
            ));
        }
    }

    fn opened(&mut self, mut model: ModelInfo) {
        for name in &mut model.class_names {
            *name = shown(name, MAX_NAME);
        }
        let is_other = self.model.as_ref().is_some_and(|old| old.name != model.name);
        let num_classes = model.class_names.len();
        self.view.view.model.clone_from(&model.name);
        if is_other {
            self.view.view.classes.clear();
            self.references = None;
            self.classified = None;
            self.start_image = None;
            self.record = None;
            self.selected = None;
            self.lesson = None;
        }
        self.keep_known_classes(num_classes);
        if self.view.view.classes.is_empty() && num_classes > MAX_DEFAULT_CLASSES {
            self.view.view.classes = (0..MAX_DEFAULT_CLASSES as u32).collect();
        }
        if is_other || self.view.lanes.is_empty() {
            self.view.lanes = vec![model.lane()];
        }
        let has_image = self.start_image.is_some();
        let mut is_changed = false;
        for lane in &mut self.view.lanes {
            let cannot_start = lane.start == ViewStart::Image && !has_image
                || lane.start == ViewStart::Buffer && !model.has_buffer;
            if cannot_start {
                lane.start = ViewStart::ClassCenters;
                is_changed = true;
            }
        }
        if is_changed {
            self.notify("What the chains started from is not here: they start from class centres.");
        }
        self.are_references_asked = self.references.is_some();
        self.model = Some(model);
        self.restart();
    }
}
