//! The open lesson: its text, and which of its steps has been set up.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use super::requests::Requests;
use crate::{
    app::{fit::fit, words},
    config::{ViewConfig, ViewState},
    lessons::{Lesson, LessonStep, MAX_STEPS},
    worker::Command,
};

/// The open lesson.
#[derive(Debug)]
pub struct OpenLesson {
    /// The number of the lesson, starting at 1, or 0 for none.
    pub number: usize,
    /// The current step, starting at 1.
    pub step: usize,
    /// A folder with the user's own lessons.
    pub folder: Option<PathBuf>,
    /// Whether the answer of the step is shown.
    pub(in crate::app) is_answer_open: bool,
    /// The numbers of the lessons that were read to their end.
    pub finished: BTreeSet<usize>,
    /// Whether the last lesson was finished just now, so that the closing words are shown.
    pub(in crate::app) has_ended: bool,
    /// The number and the text of the lesson that was received last.
    text: Option<(usize, Arc<Lesson>)>,
    /// The number of the lesson that was requested last.
    asked: usize,
    /// Why the text of the open lesson did not come.
    pub(in crate::app) why_not: Option<String>,
    /// The lesson and the step that were set up last.
    set_up: (usize, usize),
    /// What was shown before the first of the lessons was opened.
    before: Option<Box<ViewState>>,
    /// Whether a lesson was open in the last frame.
    was_open: bool,
    /// Whether the user asked for what was shown before.
    is_going_back: bool,
    /// Whether the chains of the open step run once it is set up, if a link or a person asked for that before.
    pub(in crate::app) plays: Option<bool>,
    requests: Requests,
}

impl OpenLesson {
    /// Opens the lesson of a link. If the link names only a lesson, the lesson sets up its own state.
    pub(in crate::app) fn new(view: &ViewState, requests: Requests) -> Self {
        let ViewConfig { lesson, lesson_step, play, .. } = view.view;
        let is_bare = Self::is_bare(view);
        Self {
            number: lesson,
            step: lesson_step,
            folder: None,
            is_answer_open: false,
            finished: BTreeSet::new(),
            has_ended: false,
            text: None,
            asked: 0,
            why_not: None,
            // The link has its own state beside the lesson, so the lesson must not replace it.
            set_up: if is_bare { (0, 0) } else { (lesson, lesson_step) },
            before: None,
            was_open: lesson > 0,
            is_going_back: false,
            plays: (is_bare && play).then_some(true),
            requests,
        }
    }

    /// Whether a link only opens a lesson, and perhaps lets its chains run, so that the lesson sets up its own state.
    pub(in crate::app) fn is_bare(view: &ViewState) -> bool {
        let ViewConfig { lesson, lesson_step, model, play, .. } = view.view.clone();
        let mut bare = ViewState::default();
        bare.view = ViewConfig { lesson, lesson_step, model, play, ..bare.view };
        lesson > 0 && *view == bare
    }

    /// Opens a lesson at a step and sets up the state of that step. 0 closes the lesson.
    pub fn open(&mut self, number: usize, step: usize) {
        self.number = number;
        self.step = step;
        self.has_ended = false;
        self.set_up = (0, 0);
        self.plays = None;
        self.ask_again();
        if self.folder.is_some() {
            // The user may be editing the text, so it is read again.
            self.text = None;
        }
    }

    /// Opens a lesson at a step whose state is set up already.
    pub(in crate::app) fn go_to(&mut self, number: usize, step: usize) {
        self.open(number, step);
        self.set_up = (number, step);
        self.is_answer_open = false;
    }

    /// Whether a lesson was opened, and none before it, since [`Self::follow`] was called last.
    pub(in crate::app) fn is_opening(&self) -> bool {
        self.number > 0 && !self.was_open
    }

    /// Keeps what is `shown` when a lesson is opened. Returns whether the lesson was closed since the last call, so that
    /// its settings are still there and those from before can come back.
    pub(in crate::app) fn follow(&mut self, shown: Option<ViewState>) -> bool {
        if let Some(mut before) = shown.filter(|_| self.is_opening()) {
            before.view = ViewConfig { lesson: 0, lesson_step: 1, play: false, ..before.view };
            self.before = Some(Box::new(before));
        }
        let is_open = self.number > 0;
        let was_open = std::mem::replace(&mut self.was_open, is_open);
        was_open && !is_open && self.before.is_some()
    }

    /// Whether what was shown before the lessons can come back.
    pub(in crate::app) fn has_before(&self) -> bool {
        self.before.is_some()
    }

    /// Asks for what was shown before the lessons.
    pub fn go_back(&mut self) {
        self.is_going_back = true;
    }

    /// What was shown before the lessons, once it was asked for. The lesson is closed.
    pub(in crate::app) fn leave(&mut self) -> Option<ViewState> {
        let is_asked = std::mem::take(&mut self.is_going_back);
        let before = self.before.take_if(|_| is_asked)?;
        self.go_to(0, 1);
        self.was_open = false;
        Some(*before)
    }

    /// Notes that the open lesson was read to its end, and opens the next one or the closing words.
    pub(in crate::app) fn finish(&mut self, num_lessons: usize) {
        self.finished.insert(self.number);
        match self.number < num_lessons {
            true => self.open(self.number + 1, 1),
            false => self.has_ended = true,
        }
    }

    /// Makes [`Self::fetch`] request the text again, which may not have arrived.
    pub(in crate::app) fn ask_again(&mut self) {
        self.asked = 0;
        self.why_not = None;
    }

    /// Requests the text of the open lesson from the worker, if it is missing.
    pub(in crate::app) fn fetch(&mut self) {
        if self.number > 0 && self.text().is_none() && self.asked != self.number {
            self.asked = self.number;
            let (number, folder) = (self.number, self.folder.clone());
            self.requests.send(Command::Lesson { number, folder });
        }
    }

    /// Stores the text of a lesson. Returns a problem with it, if there is one.
    pub(in crate::app) fn take(&mut self, number: usize, text: &str) -> Option<String> {
        let mut lesson = Lesson::parse(text);
        let count = lesson.steps.len();
        lesson.steps.truncate(MAX_STEPS);
        if number == self.number {
            // A link may name a step that does not exist.
            let step = fit(self.step, 1, lesson.steps.len());
            if self.set_up == (number, self.step) {
                self.set_up.1 = step;
            }
            self.step = step;
        }
        self.text = Some((number, Arc::new(lesson)));
        (count > MAX_STEPS).then(|| {
            format!("Lesson {number} has {count} steps; only the first {MAX_STEPS} are shown.")
        })
    }

    /// Notes why the text of a lesson did not come. Only the open one needs it.
    pub(in crate::app) fn refused(&mut self, number: usize, reason: &str) {
        if number == self.number && self.text().is_none() {
            self.why_not = Some(words::shown(reason, 400));
        }
    }

    /// The text of the open lesson, once it has arrived.
    pub(in crate::app) fn text(&self) -> Option<&Arc<Lesson>> {
        self.text
            .as_ref()
            .filter(|text| self.number > 0 && text.0 == self.number)
            .map(|text| &text.1)
    }

    /// The title of the open lesson, once its text has arrived.
    pub fn title(&self) -> Option<&str> {
        Some(self.text()?.title.as_str())
    }

    /// Whether the open step is not set up yet.
    pub(in crate::app) fn will_set_up(&self) -> bool {
        self.number > 0 && self.set_up != (self.number, self.step)
    }

    /// Whether the text of the open step is there and its state is set up, or no lesson is open.
    pub fn is_set_up(&self) -> bool {
        self.number == 0 || self.text().is_some() && !self.will_set_up()
    }

    /// The query of the link that the open step sets up. Returned once each time the step is opened.
    pub(in crate::app) fn state_to_set_up(&mut self) -> Option<String> {
        if self.text().is_none() || !self.will_set_up() {
            return None;
        }
        self.set_up = (self.number, self.step);
        self.is_answer_open = false;
        Some(self.open_step()?.state()?.to_string())
    }

    /// The open step, once the text has arrived.
    pub(in crate::app) fn open_step(&self) -> Option<&LessonStep> {
        let steps = &self.text()?.steps;
        steps.get(fit(self.step, 1, steps.len()).saturating_sub(1))
    }
}
