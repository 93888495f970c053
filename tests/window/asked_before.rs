//! What was asked for last is what is shown, however late the worker answers what was asked before.

use std::collections::VecDeque;

use crate::{
    app::Window,
    kept::{self, start_training},
    scripted,
};
use egui::{Key, Modifiers};
use jempp::{
    app::Viewer,
    config::{LaneConfig, SamplerKind, ViewState},
    worker::{Command, Event, ModelInfo, RunRequest, TrainingUpdate},
};

/// A link with a model, classes and lanes of its own.
const LINK: &str = "model=mnist&classes=3,5&sampler.kind=sgld&lane2.start=uniform";

fn view(link: &str) -> ViewState {
    ViewState::from_query(link).unwrap()
}

fn model(name: &str) -> ModelInfo {
    let mut model = ModelInfo { name: name.into(), ..scripted::model() };
    if name.starts_with("small") {
        model.class_names.truncate(2);
    }
    model
}

/// The state of a window, and what its worker was asked for and has not answered.
struct Asked {
    viewer: Viewer,
    models: VecDeque<String>,
    request: Option<RunRequest>,
}

impl Asked {
    /// A window that begins with a link. Its first model is not there yet.
    fn new(link: &str) -> Self {
        let mut viewer = Viewer::new(view(link));
        viewer.take(Event::Device {
            description: String::new(),
            is_cpu: true,
            bundled: vec!["fashion".into()],
        });
        Self { viewer, models: VecDeque::new(), request: None }
    }

    fn go_to(&mut self, link: &str) {
        self.viewer.go_to(view(link));
    }

    /// Takes the commands that the window has sent.
    fn hear(&mut self) {
        for command in self.viewer.take_commands() {
            match command {
                Command::Open(name) => self.models.push_back(name),
                Command::Restart(request) => self.request = Some(request),
                _ => {}
            }
        }
    }

    /// Answers the oldest request for a model. Returns whether there was one.
    fn answer(&mut self) -> bool {
        self.hear();
        let Some(name) = self.models.pop_front() else { return false };
        self.viewer.take(match name.starts_with("gone") {
            true => Event::Refused(format!("no file `{name}`")),
            false => Event::Opened(Box::new(model(&name))),
        });
        self.hear();
        true
    }

    fn answer_all(&mut self) {
        while self.answer() {}
    }

    /// Checks that the model, the classes and the lanes of a link are shown, and that its chains were asked for.
    fn shows(&self, link: &str, what: &str) {
        let (now, wanted) = (self.viewer.view(), view(link));
        let open = self.viewer.run.model.as_ref().map(|model| model.name.clone());
        assert_eq!(open, Some(wanted.view.model.clone()), "{what}");
        assert_eq!(now.view.model, wanted.view.model, "{what}");
        assert_eq!(now.view.classes, wanted.view.classes, "{what}");
        assert_eq!(now.lanes, wanted.lanes, "{what}");
        let mut request = self.request.clone().unwrap();
        request.labels.dedup();
        assert_eq!(request.labels, wanted.view.classes, "{what}");
        assert_eq!(request.lanes.len(), wanted.lanes.len(), "{what}");
    }
}

#[test]
fn the_last_of_several_links_is_shown_as_a_whole() {
    let other = "model=fashion&classes=7&sampler.kind=pyld";
    let sequences: [&[&str]; 8] = [
        &[LINK],
        &["model=small&classes=1", LINK],
        &["model=gone&classes=1", LINK],
        &[LINK, "model=gone", LINK],
        &[LINK, "model=small", other],
        &["model=small", "model=gone", other],
        &[LINK, other, LINK],
        &["model=small", LINK, "model=mnist&classes=2&sampler.kind=sgld&sampler.noise_std=1"],
    ];
    for links in sequences {
        // The first model of the window is there, or on its way, or cannot be had.
        for (first, is_there) in [("", true), ("", false), ("model=gone", false)] {
            // Each link comes after this many answers to what was asked for before.
            for num_answers in 0..3 {
                let what = format!("{first} {is_there} {links:?} {num_answers}");
                let mut asked = Asked::new(first);
                if is_there {
                    asked.answer_all();
                }
                for link in links {
                    asked.hear();
                    for _ in 0..num_answers {
                        asked.answer();
                    }
                    asked.go_to(link);
                }
                asked.answer_all();
                asked.shows(links[links.len() - 1], &what);
            }
        }
    }
}

#[test]
fn a_link_gives_way_only_to_a_model_that_a_person_chooses_after_it() {
    for (menu, link) in [
        ("small", LINK),
        ("gone", LINK),
        // The open model is also that of the link.
        ("small", "model=fashion&classes=4&sampler.kind=sgld"),
        ("gone", "model=fashion&classes=4&sampler.kind=sgld"),
    ] {
        let mut asked = Asked::new("");
        asked.answer_all();
        asked.viewer.run.open(menu);
        asked.hear();
        asked.go_to(link);
        asked.answer_all();
        asked.shows(link, &format!("{menu}, {link}"));
        // A model that a person chooses after a link has the rule that it was trained with.
        asked.go_to("model=gone");
        asked.viewer.run.open("small");
        asked.answer_all();
        let run = &asked.viewer.run;
        assert_eq!(run.settings.model, "small");
        assert!(run.settings.classes.is_empty() && run.lanes == [model("small").lane()]);
    }
}

#[test]
fn a_link_whose_model_cannot_be_had_gives_way_to_a_built_in_one() {
    let mut asked = Asked::new("");
    asked.answer_all();
    asked.go_to(LINK);
    asked.go_to("model=gone&sampler.kind=sgld");
    asked.answer_all();
    let viewer = &asked.viewer;
    assert_eq!(viewer.run.model.as_ref().unwrap().name, "fashion");
    assert_eq!(viewer.run.lanes, [model("fashion").lane()]);
    assert!(viewer.session.warning.as_ref().unwrap().contains("is shown instead"));
}

#[test]
fn the_model_of_a_training_opens_unasked_but_not_in_place_of_a_link() {
    let trained = || Event::Opened(Box::new(model("runs/x/model.safetensors")));
    let mut asked = Asked::new("");
    asked.answer_all();
    asked.viewer.take(trained());
    assert_eq!(asked.viewer.run.settings.model, "runs/x/model.safetensors");
    asked.go_to(LINK);
    asked.viewer.take(trained());
    asked.answer_all();
    asked.shows(LINK, "the training began before the link's model was there");
    // Where no model could be had, that of a training is one.
    let mut asked = Asked::new("sampler.kind=sgld");
    asked.hear();
    asked.viewer.take(Event::Refused("no connection".into()));
    assert!(asked.viewer.run.why_not.is_some());
    asked.viewer.take(trained());
    let run = &asked.viewer.run;
    assert!(run.model.is_some() && run.why_not.is_none());
    assert_eq!(run.lanes, [model("fashion").lane()], "the link's rules are for another model");
}

#[test]
fn reports_on_the_chains_before_leave_a_link_alone() {
    let mut asked = Asked::new("");
    asked.answer_all();
    asked.go_to(LINK);
    asked.hear();
    let request = asked.request.clone().unwrap();
    asked.viewer.take(Event::Lanes(vec![LaneConfig::default()]));
    asked.viewer.take(Event::Started(request));
    assert!(asked.viewer.run.record.is_none());
    asked.answer_all();
    asked.shows(LINK, "after reports on the chains before");
}

#[test]
fn a_link_waits_for_the_question_about_the_training() {
    for answer in ["Keep training", "Pause training and open"] {
        let mut window = Window::new();
        start_training(&mut window);
        window.viewer().run.open("small");
        window.pass(2, 0);
        window.harness.state_mut().viewer_mut().go_to(view(LINK));
        window.pass(2, 0);
        window.click(answer);
        window.pass(4, 0);
        let (now, wanted) = (window.viewer().view(), view(LINK));
        assert!(window.viewer().run.model.is_some(), "{answer}");
        assert_eq!((now.view.model, now.view.classes), (wanted.view.model, wanted.view.classes));
        assert_eq!(now.lanes, wanted.lanes, "{answer}");
    }
}

#[test]
fn chains_that_are_refused_do_not_run() {
    let mut asked = Asked::new("play=true");
    asked.answer_all();
    assert!(asked.viewer.run.is_running);
    asked.viewer.take(Event::Refused("there is no room for these chains".into()));
    assert!(!asked.viewer.run.is_running && asked.viewer.run.why_not.is_some());
    // The worker would go through steps without chains.
    assert!(matches!(&asked.viewer.take_commands()[..], [Command::Pause]));
}

/// A window whose chains have made some steps and pause, and their last step.
fn played() -> (Window, u64) {
    let window = kept::played();
    let step = window.viewer().run.last_step();
    assert!(step > 0);
    (window, step)
}

fn press(window: &mut Window, key: Key) {
    window.harness.key_press(key);
    window.pass(3, 0);
}

fn undo(window: &mut Window) {
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    window.pass(3, 0);
}

#[test]
fn a_run_from_before_a_training_continues_with_other_weights() {
    for is_over in [false, true] {
        let (mut window, step) = played();
        // A training that continues opens its model once more.
        let model = window.viewer().run.model.clone().unwrap();
        window.worker.say(Event::Opened(Box::new(model)));
        start_training(&mut window);
        assert_eq!(window.viewer().run.last_step(), 0);
        if is_over {
            window.worker.say(Event::Training(Box::new(TrainingUpdate::Stopped {
                is_complete: false,
                checkpoint: "runs/x/model.safetensors".into(),
                temperature: None,
            })));
            window.pass(2, 0);
            press(&mut window, Key::R);
        }
        let weights_change = |window: &Window| {
            let record = window.viewer().run.record.as_ref().unwrap();
            record.weights_change
        };
        assert_eq!(weights_change(&window), !is_over);
        undo(&mut window);
        assert_eq!(window.viewer().run.last_step(), step);
        assert!(weights_change(&window), "over: {is_over}");
    }
}

#[test]
fn a_refused_rule_is_no_part_of_the_run() {
    let mala = |window: &mut Window| {
        let run = &mut window.harness.state_mut().viewer_mut().run;
        let mut lane = run.lanes[0].clone();
        lane.sampler.kind = SamplerKind::Mala;
        window.worker.refuses = true;
        run.set_lane(0, lane);
        window.pass(3, 0);
        window.worker.refuses = false;
    };
    let kinds = |window: &Window| {
        let run = &window.viewer().run;
        let request = &run.record.as_ref().unwrap().request;
        [run.lanes[0].sampler.kind, request.lanes[0].sampler.kind]
    };
    let mut window = Window::new();
    mala(&mut window);
    assert_eq!(kinds(&window), [SamplerKind::Pyld; 2], "at the start of the run");
    let (mut window, step) = played();
    mala(&mut window);
    press(&mut window, Key::N);
    assert_eq!(window.viewer().run.last_step(), 0);
    undo(&mut window);
    assert_eq!(window.viewer().run.last_step(), step);
    assert_eq!(kinds(&window), [SamplerKind::Pyld; 2], "as it ran");
}

#[test]
fn a_refused_restart_leaves_the_settings_of_the_run() {
    let (mut window, step) = played();
    let before = window.viewer().view();
    window.worker.refuses = true;
    press(&mut window, Key::N);
    assert!(window.has("there is no room for these chains"));
    assert_eq!((window.viewer().view(), window.viewer().run.last_step()), (before.clone(), step));
    assert!(!window.viewer().run.can_undo());
    // The run that comes back is the one that there was.
    window.worker.refuses = false;
    press(&mut window, Key::N);
    assert_ne!(window.viewer().view(), before);
    undo(&mut window);
    assert_eq!((window.viewer().view(), window.viewer().run.last_step()), (before, step));
}
