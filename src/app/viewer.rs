//! The whole state of the window: its parts, and what concerns several of them. This module draws nothing.

use std::sync::mpsc::{Receiver, channel};

use super::{
    state::{
        Classified, Lab, OpenLesson, Requests, RunState, Session, TRAINING_AFTER_FAILURE, Training,
    },
    words,
};
use crate::{
    config::{Tab, ViewConfig, ViewState},
    worker::{Command, Event, TrainingUpdate, lab::LabUpdate},
};

/// What is said when a lesson was closed.
const LESSON_CLOSED: &str =
    "The lesson's settings stay. For your own, choose Back to my settings in the menu Lessons.";

/// The whole state of the window.
pub struct Viewer {
    /// The open model and its chains.
    pub run: RunState,
    /// The lab: its settings and its record.
    pub lab: Lab,
    /// The state of training.
    pub training: Training,
    /// The open lesson and the step that is read.
    pub lesson: OpenLesson,
    /// The open tab, the device, and messages.
    pub session: Session,
    /// Whether nothing plays by itself.
    is_calm: bool,
    /// Whether a model was trained here and not saved since.
    has_unsaved_model: bool,
    /// The commands that the parts have sent for the worker.
    requests: Receiver<Command>,
}

impl Viewer {
    /// Creates the state of a window that begins with this view, before its model is loaded.
    pub fn new(view: ViewState) -> Self {
        let (sender, receiver) = channel();
        let requests = Requests::new(sender);
        let mut viewer = Self {
            run: RunState::new(&view, requests.clone()),
            training: Training::new(requests.clone()),
            lesson: OpenLesson::new(&view, requests.clone()),
            session: Session::new(&view.view),
            lab: Lab::new(view.lab, requests),
            is_calm: false,
            has_unsaved_model: false,
            requests: receiver,
        };
        viewer.run.open(viewer.run.settings.model.clone());
        viewer.play_when_ready(viewer.session.play);
        viewer
    }

    /// The state that a link contains.
    pub fn view(&self) -> ViewState {
        let settings = self.run.settings.clone();
        ViewState {
            view: ViewConfig {
                tab: self.session.tab,
                lesson: self.lesson.number,
                lesson_step: self.lesson.step,
                model: settings.model,
                seed: settings.seed,
                per_class: settings.per_class,
                classes: settings.classes,
                num_steps: settings.num_steps,
                play: self.session.play,
                max_steps_per_sec: settings.max_steps_per_sec,
            },
            lanes: self.run.lanes.clone(),
            lab: self.lab.settings.clone(),
        }
    }

    /// Returns the commands sent since the last call.
    pub fn take_commands(&mut self) -> Vec<Command> {
        self.requests.try_iter().collect()
    }

    /// Processes a report from the worker.
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
            // Until the next model is there, these are of the one before it.
            Event::Started(_)
            | Event::Step(_)
            | Event::Lanes(_)
            | Event::References(_)
            | Event::Classified { .. }
                if self.run.model.is_none() => {}
            Event::Started(request) => self.run.started(request, self.training.is_running),
            Event::Step(step) => self.run.stepped(*step),
            Event::Paused(run_number) => self.run.paused(run_number),
            Event::Lanes(lanes) => self.run.keep_lanes(lanes),
            Event::References(references) => {
                self.session.loading = None;
                self.run.references = Some(references);
            }
            Event::Classified { image, energy, probabilities } => {
                self.run.classified = Some(Classified { image, energy, probabilities });
            }
            Event::Inspected(inspected) => self.training.own.take(*inspected),
            Event::Recipe(recipe) => self.training.own.take_recipe(*recipe),
            Event::Training(update) => {
                self.has_unsaved_model |= matches!(*update, TrainingUpdate::Step(_));
                if let TrainingUpdate::Stopped { temperature, .. } = *update
                    && let Some(model) = &mut self.run.model
                {
                    model.temperature = temperature;
                }
                self.training.take(*update);
            }
            Event::Lab(update) => {
                // Where nothing is shown yet, the reason has its place.
                let is_shown = self.session.tab == Tab::Lab && self.lab.record.surface.is_none();
                if let LabUpdate::Refused(reason) = &*update
                    && !is_shown
                {
                    self.session.complain(reason);
                }
                self.lab.take(*update);
            }
            Event::Lesson { number, text } => {
                let problem = self.lesson.take(number, &text);
                problem.into_iter().for_each(|text| self.session.complain(text));
            }
            Event::LessonRefused { number, reason } => self.lesson.refused(number, &reason),
            Event::File { name, bytes } => {
                self.has_unsaved_model &= !name.ends_with(".safetensors");
                self.session.downloads.push((name, bytes));
            }
            Event::Saved(path) => self.session.notify(format!("Saved {}.", path.display())),
            Event::Refused(reason) => {
                self.session.loading = None;
                if self.run.refused(&reason, self.session.bundled.first()) {
                    let instead = words::model_name(&self.run.settings.model, 60);
                    let problem = format!("The model cannot be opened: {reason}");
                    self.session.warn(&problem, &format!("{instead} is shown instead."));
                } else if self.run.why_not.is_none() || self.session.tab != Tab::Chains {
                    // Where nothing is shown, the reason has its place, and a notice would lie over the button.
                    self.session.complain(reason);
                }
            }
            Event::Failed(reason) => self.failed(&reason),
        }
    }

    /// Handles a failure of the worker, which ends everything that it was doing.
    fn failed(&mut self, reason: &str) {
        self.run.is_running = false;
        // The commands are dropped, because no worker can receive them.
        self.lab.record.stop_all();
        if self.training.is_running {
            // The banner says the reason.
            let text = format!("the device or the worker stopped; {TRAINING_AFTER_FAILURE}");
            self.training.take(TrainingUpdate::Failed(text));
        }
        self.session.fail(reason);
    }

    /// Whether the visible chains are the lab's, and not the open model's.
    pub(crate) fn shows_plane(&self) -> bool {
        self.session.tab == Tab::Lab && self.lab.is_plane()
    }

    /// Lets the visible chains run, or pauses them.
    pub fn set_playing(&mut self, plays: bool) {
        if self.lesson.will_set_up() {
            self.lesson.plays = Some(plays);
        }
        if self.shows_plane() {
            // The worker must know the settings first: without them, it has no chains to run.
            self.follow_lab();
            if self.lab.record.is_running != plays {
                self.lab.toggle();
            }
        } else if self.run.model.is_none() {
            self.run.is_running = plays;
        } else if !plays {
            self.run.pause();
        } else if !self.run.is_playing() {
            self.run.play();
        }
    }

    /// Restarts the visible chains from their starts. Without a model, there are none.
    pub fn restart(&mut self) {
        match self.shows_plane() {
            true => self.lab.restart(),
            false if self.run.model.is_some() => self.run.restart(),
            false => {}
        }
    }

    /// Whether there is a run of the visible chains to bring back.
    pub(crate) fn can_undo(&self) -> bool {
        if self.shows_plane() { self.lab.can_undo() } else { self.run.can_undo() }
    }

    /// Brings the last run of the visible chains back. Returns whether there was one.
    pub(crate) fn undo(&mut self) -> bool {
        if self.shows_plane() { self.lab.undo() } else { self.run.undo() }
    }

    /// Sets whether nothing plays by itself from now on, neither by a link nor by a lesson. What plays then stops.
    pub fn set_calm(&mut self, is_calm: bool) {
        self.is_calm = is_calm;
        if !is_calm {
            return;
        }
        self.lesson.plays = None;
        if self.run.model.is_some() {
            self.run.pause();
        }
        if !self.is_settled() {
            return self.play_when_ready(false);
        }
        for command in self.lab.record.stop_all() {
            self.lab.ask(command);
        }
    }

    /// Sets whether the visible chains start to run as soon as they are available.
    pub(crate) fn play_when_ready(&mut self, plays: bool) {
        let plays = plays && !self.is_calm;
        match self.shows_plane() {
            true => self.lab.prepare(plays),
            // A lesson on its way has chains of its own.
            false => self.run.is_running = plays && !self.lesson.will_set_up(),
        }
    }

    /// Whether everything that the window shows is available, or the reason why it is not.
    pub fn is_settled(&self) -> bool {
        let is_there = match self.shows_plane() {
            true => self.lab.record.surface.is_some() || self.lab.record.why_not.is_some(),
            false => self.run.shown_images().is_some(),
        };
        is_there || self.session.failure.is_some()
    }

    /// Requests what the tab, the lab and the lesson need. Called once per frame.
    pub fn follow(&mut self) {
        let needs_references = self.run.selected.is_some()
            || self.run.classified.is_some()
            || self.session.tab == Tab::Plots;
        self.run.ask_for_references(needs_references);
        self.run.ask_for_gradients();
        self.run.take_notes().into_iter().for_each(|text| self.session.complain(text));
        self.follow_lesson();
        self.follow_lab();
    }

    /// Keeps the worker's lab equal to the lab's settings.
    pub(crate) fn follow_lab(&mut self) {
        let is_open = self.shows_plane();
        if is_open && self.run.is_running && self.run.record.is_some() {
            // These chains are invisible, and would take time from the visible ones.
            self.run.pause();
        }
        self.lab.follow(is_open);
    }

    /// Requests the text of the open lesson, and sets up its step once the text has arrived.
    fn follow_lesson(&mut self) {
        if let Some(before) = self.lesson.leave() {
            self.return_to(before);
        }
        // `view` reads the lesson too, so what is shown is taken before.
        let shown = self.lesson.is_opening().then(|| self.view());
        if self.lesson.follow(shown) {
            self.session.notify(LESSON_CLOSED);
        }
        if self.session.device.is_some() {
            self.lesson.fetch();
        }
        // Wait for a model that is still loading, because it would undo the setup.
        if self.run.model.is_some()
            && let Some(state) = self.lesson.state_to_set_up()
        {
            let plays = self.lesson.plays.take().or(self.is_calm.then_some(false));
            self.set_up_playing(&state, plays);
        }
    }

    /// Shows what was there before a lesson. A run that the lesson did not touch continues.
    fn return_to(&mut self, before: ViewState) {
        let now = self.view();
        let ViewConfig { tab, play, .. } = now.view;
        let is_same_run = ViewConfig { tab, play, ..before.view.clone() } == now.view;
        if is_same_run && before.lanes == now.lanes {
            self.session.tab = before.view.tab;
            self.session.play = before.view.play;
            self.lab.settings = before.lab;
        } else if before.shows_plane() {
            // The lab alone would leave the lesson's model and lanes on the other tabs.
            let chains = ViewConfig { play: false, ..before.view.clone() };
            let left_out = self.run.show(&chains, before.lanes.clone());
            left_out.into_iter().for_each(|text| self.session.complain(text));
            self.show(before);
        } else {
            self.show(before);
        }
    }

    /// Shows the state of a link within a lesson, and keeps the lesson open.
    pub fn set_up(&mut self, link: &str) {
        self.set_up_playing(link, None);
    }

    /// Like [`Self::set_up`]; `plays` says whether the chains run, and with `None` the link does.
    fn set_up_playing(&mut self, link: &str, plays: Option<bool>) {
        match ViewState::from_query(link) {
            Ok(mut state) => {
                state.view.play = plays.unwrap_or(state.view.play);
                self.show(state);
            }
            Err(error) => {
                let text = format!("This step of the lesson cannot be set up: {error}");
                self.session.complain(text);
            }
        }
    }

    /// Shows a view of the past or of a link, with its lesson. A link that only opens a lesson is set up by the lesson.
    pub fn go_to(&mut self, mut view: ViewState) {
        view.view.play &= !self.is_calm;
        let shown = self.view();
        let ViewConfig { lesson, lesson_step, play, .. } = view.view;
        let is_bare = OpenLesson::is_bare(&view);
        match is_bare {
            true => {
                self.lesson.open(lesson, lesson_step);
                self.lesson.plays = play.then_some(true);
            }
            false => self.lesson.go_to(lesson, lesson_step),
        }
        self.lesson.follow(Some(shown));
        if !is_bare {
            self.show(view);
        }
    }

    /// Whether something that a person made would be lost with the window.
    pub fn has_unsaved(&self) -> bool {
        self.training.is_running || self.has_unsaved_model
    }

    /// Shows another state beside the open lesson, as if the window had been opened with it.
    fn show(&mut self, state: ViewState) {
        let is_lab = state.shows_plane();
        let ViewState { view, lanes, mut lab } = state;
        self.session.tab = view.tab;
        self.session.play = view.play;
        // The user's painting is kept unless the state has its own.
        if lab.config.painted.is_empty() {
            lab.config.painted = std::mem::take(&mut self.lab.settings.config.painted);
        }
        self.lab.settings = lab;
        self.run.reset_display();
        if is_lab {
            // The chains of the open model pause, and their settings stay as they are.
            self.run.pause();
            self.lab.prepare(view.play);
        } else {
            let left_out = self.run.show(&view, lanes);
            left_out.into_iter().for_each(|text| self.session.complain(text));
        }
    }

    /// Reopens the device and the model after the worker failed. Everything that the worker had in memory is lost.
    pub(crate) fn try_again(&mut self) {
        self.session.failure = None;
        self.session.device = None;
        self.run.forget();
        self.lab.record.forget();
        self.lesson.ask_again();
        self.run.ask(Command::Retry);
        self.training.own.look_again();
        self.run.open_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_carries_comes_back_whole() {
        for link in [
            "",
            "tab=plots&lesson=2&lesson_step=3&model=mnist&seed=7&per_class=2&classes=1,3&num_steps=9&play=true\
             &max_steps_per_sec=4.5&sampler.kind=sgld&start=uniform&lane2.sampler.kind=mala",
            "tab=lab&lab.target=ring&lab.num_chains=70&lab.painted=1,2&lab2.sampler.kind=mala",
        ] {
            let view = ViewState::from_query(link).unwrap();
            let viewer = Viewer::new(view.clone());
            assert_eq!(viewer.view(), view, "{link}");
            let shown = viewer.view().to_query();
            assert_eq!(ViewState::from_query(&shown).unwrap(), view, "{link}");
        }
    }

    #[test]
    fn commands_go_out_in_the_order_in_which_the_parts_asked() {
        let mut viewer = Viewer::new(ViewState::default());
        viewer.run.play();
        viewer.lab.toggle();
        viewer.run.pause();
        let commands = viewer.take_commands();
        let [Command::Open(_), Command::Run { .. }, Command::Lab(_), Command::Pause] =
            &commands[..]
        else {
            unreachable!("{commands:?}");
        };
        assert!(viewer.take_commands().is_empty());
    }

    #[test]
    fn what_was_shown_before_a_lesson_can_come_back() {
        let own = "tab=plots&model=mnist&num_steps=9&sampler.kind=sgld&lane2.sampler.kind=mala";
        let lesson = "tab=chains&model=fashion&sampler.kind=pyld&lane2.start=uniform&play=true";
        let mut viewer = Viewer::new(ViewState::from_query(own).unwrap());
        assert!(!viewer.lesson.has_before());
        let before = viewer.view();
        viewer.lesson.open(2, 1);
        viewer.follow();
        viewer.set_up(lesson);
        viewer.lesson.open(5, 2);
        viewer.follow();
        assert_ne!(viewer.view().lanes, before.lanes);
        viewer.lesson.open(0, 1);
        viewer.follow();
        assert_eq!(viewer.session.notices.last().unwrap().text, LESSON_CLOSED);
        assert_ne!(viewer.view().lanes, before.lanes, "nothing comes back unasked");
        viewer.lesson.go_back();
        viewer.follow();
        assert_eq!(viewer.view(), before);
        assert!(!viewer.lesson.has_before());
        // A lesson in the lab leaves the run alone.
        viewer.take_commands();
        viewer.lesson.open(2, 1);
        viewer.follow();
        viewer.set_up("tab=lab&lab.target=ring&play=true");
        viewer.lesson.go_back();
        viewer.follow();
        assert_eq!(viewer.view(), before);
        let is_run = |command: &Command| matches!(command, Command::Restart(_) | Command::Open(_));
        assert!(!viewer.take_commands().iter().any(is_run));
        // From the lab, the chains of the other tabs come back too.
        let own = "tab=lab&lab.target=ring&model=mnist&num_steps=9&lane2.sampler.kind=mala";
        let mut viewer = Viewer::new(ViewState::from_query(own).unwrap());
        let before = viewer.view();
        viewer.lesson.open(2, 1);
        viewer.follow();
        viewer.set_up(lesson);
        viewer.lesson.go_back();
        viewer.follow();
        assert_eq!(viewer.view(), before);
        // A window that began with a lesson has nothing from before it.
        let mut viewer = Viewer::new(ViewState::from_query("lesson=3").unwrap());
        viewer.follow();
        assert!(!viewer.lesson.has_before());
        // The browser's way back closes a lesson too, and what was before it stays known.
        viewer.go_to(before.clone());
        viewer.go_to(ViewState::from_query(&format!("lesson=3&{lesson}")).unwrap());
        assert!(viewer.lesson.has_before());
    }
}
