//! The lesson that is open: its text, and which of its steps was set up.

use std::{path::PathBuf, sync::Arc};

use super::requests::Requests;
use crate::{
    app::fit::fit,
    config::{ViewConfig, ViewState},
    lessons::{Lesson, LessonStep, MAX_STEPS},
    worker::Command,
};

/// The lesson that is open.
#[derive(Debug)]
pub struct OpenLesson {
    /// Its number, from 1; 0 is none.
    pub number: usize,
    /// The step that is read, from 1.
    pub step: usize,
    /// A folder of lessons of one's own.
    pub folder: Option<PathBuf>,
    /// Whether the answer of the step is shown.
    pub(in crate::app) is_answer_open: bool,
    /// A number and its text, once that is here.
    text: Option<(usize, Arc<Lesson>)>,
    /// The number that was asked for.
    asked: usize,
    /// Lesson and step that were set up last.
    set_up: (usize, usize),
    requests: Requests,
}

impl OpenLesson {
    /// The lesson of a link. A link that names a lesson and nothing else sets up the lesson's own state.
    pub(in crate::app) fn new(view: &ViewState, requests: Requests) -> Self {
        let ViewConfig { lesson, lesson_step, model, .. } = view.view.clone();
        let mut bare = ViewState::default();
        bare.view = ViewConfig { lesson, lesson_step, model, ..bare.view };
        Self {
            number: lesson,
            step: lesson_step,
            folder: None,
            is_answer_open: false,
            text: None,
            asked: 0,
            // Somebody's own state beside the lesson: the text comes, the state stays.
            set_up: if *view == bare { (0, 0) } else { (lesson, lesson_step) },
            requests,
        }
    }

    /// Opens a lesson at a step and sets up what it shows; 0 closes it.
    pub fn open(&mut self, number: usize, step: usize) {
        self.number = number;
        self.step = step;
        self.set_up = (0, 0);
        self.ask_again();
        if self.folder.is_some() {
            // Somebody may be writing it.
            self.text = None;
        }
    }

    /// Asks for the text of the open lesson, which may not have come.
    pub(in crate::app) fn ask_again(&mut self) {
        self.asked = 0;
    }

    /// Asks the worker for the text of the open lesson.
    pub(in crate::app) fn fetch(&mut self) {
        if self.number > 0 && self.text().is_none() && self.asked != self.number {
            self.asked = self.number;
            let (number, folder) = (self.number, self.folder.clone());
            self.requests.send(Command::Lesson { number, folder });
        }
    }

    /// Takes the text of a lesson. Returns what is wrong with it.
    pub(in crate::app) fn take(&mut self, number: usize, text: &str) -> Option<String> {
        let mut lesson = Lesson::parse(text);
        let count = lesson.steps.len();
        lesson.steps.truncate(MAX_STEPS);
        self.text = Some((number, Arc::new(lesson)));
        (count > MAX_STEPS).then(|| {
            format!("Lesson {number} has {count} steps; only the first {MAX_STEPS} are shown.")
        })
    }

    /// The text of the open lesson, once it is here.
    pub(in crate::app) fn text(&self) -> Option<&Arc<Lesson>> {
        self.text
            .as_ref()
            .filter(|text| self.number > 0 && text.0 == self.number)
            .map(|text| &text.1)
    }

    /// The title of the open lesson, once its text is here.
    pub fn title(&self) -> Option<&str> {
        Some(self.text()?.title.as_str())
    }

    /// The state that the open step is about, once for every time that it is opened: the query of its link.
    pub(in crate::app) fn state_to_set_up(&mut self) -> Option<String> {
        let is_due = self.text().is_some() && self.set_up != (self.number, self.step);
        if !is_due {
            return None;
        }
        self.set_up = (self.number, self.step);
        self.is_answer_open = false;
        Some(self.open_step()?.state()?.to_string())
    }

    fn open_step(&self) -> Option<&LessonStep> {
        let steps = &self.text()?.steps;
        steps.get(fit(self.step, 1, steps.len()).saturating_sub(1))
    }
}
