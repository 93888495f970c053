//! What the worker reports, and what follows from it.

use super::Viewer;
use crate::{
    app::state::{Classified, TRAINING_AFTER_FAILURE},
    worker::{Event, TrainingNews, lab::LabNews},
};

impl Viewer {
    /// Takes in what the worker reports.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Device { description, is_cpu, bundled } => {
                self.session.failure = None;
                self.session.bundled = bundled;
                self.session.device = Some((description, is_cpu));
            }
            Event::Loading { name, num_bytes } => self.session.loading = Some((name, num_bytes)),
            Event::Opened(model) => {
                self.session.loading = None;
                let [left_out, changed] = self.run.opened(*model);
                left_out.into_iter().for_each(|text| self.session.complain(text));
                changed.into_iter().for_each(|text| self.session.notify(text));
            }
            Event::Started(request) => self.run.started(request, self.training.is_running),
            Event::Step(step) => self.run.stepped(*step),
            Event::Paused(run_number) => self.run.paused(run_number),
            Event::Lanes(lanes) => self.run.lanes = lanes,
            Event::References(references) => {
                self.session.loading = None;
                self.run.references = Some(references);
            }
            Event::Classified { image, energy, probabilities } => {
                self.run.classified = Some(Classified { image, energy, probabilities });
            }
            Event::Training(news) => self.training.take(*news),
            Event::Lab(news) => {
                if let LabNews::Refused(reason) = &*news {
                    self.session.complain(reason);
                }
                self.lab.take(*news);
            }
            Event::Lesson { number, text } => {
                let problem = self.lesson.take(number, &text);
                problem.into_iter().for_each(|text| self.session.complain(text));
            }
            Event::File { name, bytes } => self.session.downloads.push((name, bytes)),
            Event::Saved(path) => self.session.notify(format!("Saved {}.", path.display())),
            Event::Refused(reason) => {
                self.session.complain(reason);
                self.session.loading = None;
                self.run.refused(self.session.bundled.first());
            }
            Event::Failed(reason) => self.failed(&reason),
        }
    }

    /// The worker failed, and with it all that it did.
    fn failed(&mut self, reason: &str) {
        self.run.is_running = false;
        // Nobody is there to be asked to stop.
        self.lab.record.rest();
        if self.training.is_running {
            self.training.take(TrainingNews::Failed(format!("{reason}; {TRAINING_AFTER_FAILURE}")));
        }
        self.session.fail(reason);
    }
}
