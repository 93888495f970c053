//! What the window says in words: the text for screen readers, and where a link or the browser's buttons lead.

use crate::{app::Window, scripted::Scripted};
use egui::{Event as Input, Key, Modifiers, Pos2, RawInput, Rect, vec2};
use jempp::{
    app::{App, Guide, Tab},
    config::ViewState,
    worker::{
        Command, Event, TrainingPoint, TrainingUpdate,
        lab::{LabCommand, LabFrame, LabLaneFrame, LabSurface, LabUpdate},
    },
};

const LESSON: &str = "# Noise\n\n## What it does\n\nA **chain** moves.\n\nWhy?\n\n> Because of *noise*.\n\n## More\n\nText.";

fn window(link: &str) -> Window {
    Window::open([1280.0, 800.0], ViewState::from_query(link).unwrap())
}

fn give_lesson(window: &mut Window, number: usize) {
    window.worker.say(Event::Lesson { number, text: LESSON.into() });
    window.pass(2, 0);
}

#[test]
fn the_chains_and_the_lesson_are_told_in_words() {
    let mut window = window("");
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(60, 3);
    let spoken = window.harness.state_mut().spoken();
    assert_eq!(spoken.title, "chains of Fashion-MNIST (JEM++)");
    assert!(spoken.now.starts_with("Step 100 · median energy"), "{}", spoken.now);
    assert!(spoken.now.contains("of 100 show their row's class"), "{}", spoken.now);

    window.harness.state_mut().viewer_mut().lesson.open(3, 1);
    give_lesson(&mut window, 3);
    let spoken = window.harness.state_mut().spoken();
    assert_eq!(spoken.title, "lesson 3 of 8, Noise: What it does");
    assert_eq!(spoken.paragraphs, ["A chain moves.", "Why?"]);
    // In the page it is folded, whatever the window shows.
    assert_eq!(spoken.answer, ["Because of noise."]);
    window.click("Show the answer");
    let shown = window.harness.state_mut().spoken();
    assert_eq!((shown.paragraphs, shown.answer), (spoken.paragraphs, spoken.answer));

    window.worker.say(Event::Failed("the device was lost".into()));
    window.pass(1, 0);
    assert!(window.harness.state_mut().spoken().now.contains("the device was lost"));
}

/// An energy that is 0 everywhere.
fn flat_surface() -> LabUpdate {
    LabUpdate::Surface(LabSurface {
        energy: vec![0.0f32; 36 * 36].into(),
        around: [].into(),
        classes: vec![0; 36 * 36],
        num_classes: 1,
    })
}

fn say_lab(window: &mut Window, update: LabUpdate) {
    window.worker.say(Event::Lab(Box::new(update)));
    window.pass(1, 0);
}

#[test]
fn the_chains_of_the_lab_are_told_in_words() {
    let mut window = window("tab=lab");
    say_lab(&mut window, flat_surface());
    say_lab(&mut window, LabUpdate::Started(vec![vec![0; 40]]));
    let place = |nth: usize| (nth as f32 * 0.7).sin();
    let frame = |step: u64, first: f32| {
        let mut x: Vec<f32> = (0..80).map(place).collect();
        x[0] = first;
        // Chains that jump at random agree.
        let trace = |nth: usize| ((nth * nth % 10_007) as f32 * 12.9898).sin();
        let traces = (0..100 * 32 * 3).map(|nth| trace(nth + 9600 * step as usize)).collect();
        let (mean_energy, clamp_rate) = (1.25, 0.0);
        let lane =
            LabLaneFrame { x, mean_energy, clamp_rate, acceptance: None, traces, tracked: None };
        LabUpdate::Frame(LabFrame { step: 100 * step, lanes: vec![lane] })
    };
    for step in 1..=4 {
        say_lab(&mut window, frame(step, 0.5));
    }
    let spoken = window.harness.state_mut().spoken();
    assert_eq!(spoken.line, "Step 400, mean energy 1.250.");
    assert_eq!(spoken.events, ["The chains rest at step 400."]);
    let now = spoken.now;
    assert!(now.starts_with("Step 400. Lane 1: mean energy 1.250, total variation 0."), "{now}");
    assert!(now.contains(", R-hat 1.") || now.contains(", R-hat 0.99"), "{now}");
    say_lab(&mut window, frame(5, 9.0));
    let now = window.harness.state_mut().spoken().now;
    assert!(now.ends_with(". 1 of 40 chains have left the plane."), "{now}");
    assert!(!now.contains("R-hat"), "{now}");
}

#[test]
fn messages_and_what_runs_are_events_and_numbers_are_not() {
    let mut window = window("");
    let spoken = |window: &mut Window| window.harness.state_mut().spoken();
    assert_eq!(spoken(&mut window).events, ["The chains rest at step 0."]);
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(20, 1);
    let early = spoken(&mut window);
    window.pass(10, 1);
    let late = spoken(&mut window);
    assert_eq!(early.events, ["The chains run."]);
    assert!(early.events == late.events && early.now != late.now, "{}", late.now);
    let line = &late.line;
    assert!(line.starts_with("Step ") && line.contains(", median energy "), "{line}");
    assert!(!line.contains("row's class"), "{line}");

    let viewer = window.harness.state_mut().viewer_mut();
    viewer.run.pause();
    viewer.session.complain("There is no space.");
    window.pass(2, 0);
    let rest = format!("The chains rest at step {}.", window.viewer().run.shown_step());
    assert_eq!(spoken(&mut window).events, ["There is no space.", &rest]);

    window.worker.say(Event::Failed("the device was lost".into()));
    window.pass(1, 0);
    assert_eq!(spoken(&mut window).failure, "Stopped: the device was lost.");
}

#[test]
fn why_nothing_is_shown_is_told_in_words() {
    let mut window = window("");
    let run = &mut window.harness.state_mut().viewer_mut().run;
    (run.model, run.record) = (None, None);
    window.worker.say(Event::Refused("cannot load fashion.safetensors".into()));
    window.pass(2, 0);
    let spoken = window.harness.state_mut().spoken();
    assert_eq!(spoken.now, "No model is open: cannot load fashion.safetensors.");
    assert_eq!(spoken.events, [spoken.now]);
    window.harness.state_mut().viewer_mut().session.tab = Tab::Lab;
    window.pass(2, 0);
    say_lab(&mut window, LabUpdate::Refused("no such network".into()));
    let now = window.harness.state_mut().spoken().now;
    assert_eq!(now, "There is nothing to show: no such network.");
}

#[test]
fn a_step_that_a_lesson_does_not_have_becomes_its_last() {
    let mut window = window("lesson=3&lesson_step=99");
    give_lesson(&mut window, 3);
    assert_eq!(window.viewer().view().view.lesson_step, 2);
}

const STILL: &str = "# Rings\n\n## What stands\n\n[Show](?tab=lab&lab.target=ring)\n\nText.";
const MOVING: &str =
    "# Rings\n\n## What moves\n\n[Show](?tab=lab&lab.target=ring&play=true)\n\nText.";

/// Opens a link, at the start or in an open window, then gives the text of its lesson. Returns whether the lab's chains run.
fn plays(
    link: &str,
    text: &str,
    is_start: bool,
    prepare: impl Fn(&mut jempp::app::Viewer),
) -> bool {
    let mut window = window(if is_start { link } else { "" });
    let viewer = window.harness.state_mut().viewer_mut();
    if !is_start {
        viewer.go_to(ViewState::from_query(link).unwrap());
    }
    prepare(viewer);
    assert!(!viewer.lesson.is_set_up());
    window.worker.say(Event::Lesson { number: 3, text: text.into() });
    window.pass(3, 0);
    let viewer = window.viewer();
    assert!(viewer.lesson.is_set_up());
    assert_eq!((viewer.session.tab, viewer.lesson.number), (Tab::Lab, 3), "{link}");
    assert!(viewer.view().to_query().contains("lab.target=ring"));
    viewer.lab.record.is_running
}

#[test]
fn a_link_that_only_opens_a_lesson_is_set_up_by_the_lesson() {
    for is_start in [true, false] {
        assert!(!plays("lesson=3", STILL, is_start, |_| {}));
        assert!(plays("lesson=3&play=true", STILL, is_start, |_| {}));
        assert!(plays("lesson=3", MOVING, is_start, |_| {}));
        // What is asked for before the text has come counts.
        assert!(plays("lesson=3", STILL, is_start, |viewer| viewer.set_playing(true)));
        assert!(!plays("lesson=3", MOVING, is_start, |viewer| viewer.set_playing(false)));
        // Who wants less motion presses Play.
        assert!(!plays("lesson=3", MOVING, is_start, |viewer| viewer.set_calm(true)));
        assert!(!plays("lesson=3&play=true", STILL, is_start, |viewer| viewer.set_calm(true)));
        assert!(plays("lesson=3", STILL, is_start, |viewer| {
            viewer.set_calm(true);
            viewer.set_playing(true);
        }));
        assert!(plays("lesson=3", MOVING, is_start, |viewer| {
            viewer.set_calm(true);
            viewer.set_calm(false);
        }));
    }
}

#[test]
fn who_asks_for_less_motion_stops_what_plays() {
    let mut window = window("");
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(3, 1);
    assert!(window.viewer().is_moving());
    window.harness.state_mut().viewer_mut().set_calm(true);
    window.pass(2, 1);
    assert!(!window.viewer().is_moving());
    window.harness.state_mut().viewer_mut().set_calm(false);
    window.pass(2, 1);
    assert!(!window.viewer().is_moving(), "only a person lets it play again");

    let viewer = window.harness.state_mut().viewer_mut();
    viewer.go_to(ViewState::from_query("tab=lab&play=true").unwrap());
    window.pass(2, 0);
    say_lab(&mut window, flat_surface());
    assert!(window.viewer().lab.record.is_running);
    let num_setups = window.viewer().lab.num_setups;
    window.harness.state_mut().viewer_mut().set_calm(true);
    window.pass(2, 0);
    let lab = &window.viewer().lab;
    assert!(!lab.record.is_running && lab.num_setups == num_setups, "no chain begins anew");
    let is_pause = |command: &Command| matches!(command, Command::Lab(LabCommand::Pause));
    assert!(window.worker.asked.iter().any(is_pause));
}

#[test]
fn the_lab_plays_and_pauses_before_its_energy_is_there() {
    let mut window = window("");
    let viewer = window.harness.state_mut().viewer_mut();
    viewer.go_to(ViewState::from_query("tab=lab&lab.target=ring").unwrap());
    viewer.set_playing(true);
    window.pass(2, 0);
    let asked = window.worker.asked.iter().filter_map(|command| match command {
        Command::Lab(command) => Some(command),
        _ => None,
    });
    let asked: Vec<_> = asked.collect();
    assert!(
        matches!(asked[..], [LabCommand::Set(_), LabCommand::Restart, LabCommand::Play]),
        "{asked:?}"
    );
    let viewer = window.harness.state_mut().viewer_mut();
    viewer.go_to(ViewState::from_query("tab=lab&lab.target=ring&play=true").unwrap());
    viewer.set_playing(false);
    window.pass(2, 0);
    assert!(!window.viewer().lab.record.is_running);
}

#[test]
fn the_reason_why_no_model_opens_stays_with_a_way_to_try_again() {
    let mut window = window("");
    let run = &mut window.harness.state_mut().viewer_mut().run;
    (run.model, run.record) = (None, None);
    window.worker.say(Event::Refused("cannot load fashion.safetensors".into()));
    window.pass(2, 0);
    assert!(window.has("cannot load fashion.safetensors"));
    // A notice with the same text would lie over the button.
    assert!(window.viewer().session.notices.is_empty());
    window.click("Try again");
    window.pass(3, 0);
    assert!(window.viewer().run.model.is_some() && window.viewer().run.why_not.is_none());
}

#[test]
fn the_reason_why_no_chains_start_stays_with_a_way_to_try_again() {
    let mut window = window("");
    let run = &mut window.harness.state_mut().viewer_mut().run;
    run.record = None;
    window.worker.say(Event::Refused("there is no room for these chains".into()));
    window.pass(2, 0);
    assert!(window.has("there is no room for these chains") && !window.viewer().run.is_running);
    assert!(window.viewer().session.notices.is_empty());
    window.click("Try again");
    window.pass(3, 0);
    assert!(window.viewer().run.record.is_some() && window.viewer().run.why_not.is_none());
}

#[test]
fn a_view_of_the_past_comes_back_with_its_lesson() {
    let mut window = window("");
    let plain = window.viewer().view();
    window.harness.state_mut().viewer_mut().lesson.open(3, 2);
    give_lesson(&mut window, 3);
    let lesson = window.viewer().view();
    window.harness.state_mut().viewer_mut().go_to(plain.clone());
    window.pass(2, 0);
    assert_eq!(window.viewer().view(), plain);
    window.harness.state_mut().viewer_mut().go_to(lesson.clone());
    window.pass(2, 0);
    assert_eq!(window.viewer().view(), lesson);
    let mut plots = plain;
    plots.view.tab = Tab::Plots;
    window.harness.state_mut().viewer_mut().go_to(plots);
    window.pass(2, 0);
    assert_eq!((window.viewer().session.tab, window.viewer().lesson.number), (Tab::Plots, 0));
}

#[test]
fn a_model_that_was_trained_and_not_saved_would_be_lost() {
    let mut window = window("");
    assert!(!window.viewer().has_unsaved() && !window.viewer().is_moving());
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(2, 0);
    assert!(window.viewer().is_moving() && !window.viewer().has_unsaved());
    window.worker.say(Event::Training(Box::new(TrainingUpdate::Step(TrainingPoint {
        step: 1,
        loss: 2.0,
        cross_entropy: 1.5,
        gap: 0.1,
        gradient_norm: 1.0,
        clamp_rate: 0.0,
        steps_per_sec: 7.0,
    }))));
    window.pass(2, 0);
    assert!(window.viewer().has_unsaved());
    window.worker.say(Event::File { name: "mine.safetensors".into(), bytes: vec![1, 2] });
    window.pass(2, 0);
    assert!(!window.viewer().has_unsaved());
}

#[test]
fn each_control_is_said_when_it_gets_the_focus_and_when_a_person_changes_it() {
    let (mut worker, link) = Scripted::new();
    let mut app = App::embedded(link, ViewState::default(), "./index.html?");
    let mut guide = Guide::default();
    let ctx = egui::Context::default();
    ctx.enable_accesskit();
    // What is said while a key is pressed and in the frames after it.
    let mut press = |key: Option<Key>, is_here: bool| {
        let mut said = Vec::new();
        for frame in 0..4 {
            let key = key.filter(|_| frame < 2).map(|key| Input::Key {
                key,
                physical_key: None,
                pressed: frame == 0,
                repeat: false,
                modifiers: Modifiers::NONE,
            });
            let screen_rect = Some(Rect::from_min_size(Pos2::ZERO, vec2(480.0, 360.0)));
            let events = key.into_iter().collect();
            let input = RawInput { screen_rect, events, ..RawInput::default() };
            let output = ctx.run_ui(input, |ui| {
                app.drain(ui.ctx());
                app.show(ui);
            });
            worker.work(1);
            said.extend(guide.follow(&output.platform_output, is_here).map(String::from));
        }
        said
    };
    assert!(press(None, true).is_empty() && press(None, true).is_empty());
    assert_eq!(press(Some(Key::Tab), true), ["▶ Play, button"]);
    assert_eq!(press(Some(Key::Tab), true), ["⟲ Restart, button"]);
    let slider = press(Some(Key::Tab), true);
    let is_slider =
        |said: &[String]| said.len() == 1 && said[0].starts_with("step size α, slider, ");
    assert!(is_slider(&slider), "{slider:?}");
    // Nothing happens to it.
    assert!(press(None, true).is_empty());
    let changed = press(Some(Key::ArrowRight), true);
    assert!(is_slider(&changed) && changed != slider, "{changed:?}");
    // Elsewhere in the page, and back.
    assert!(press(Some(Key::ArrowRight), false).is_empty());
    assert!(is_slider(&press(None, true)));
}
