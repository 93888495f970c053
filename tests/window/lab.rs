//! The lab in its window.

use std::time::{Duration, Instant};

use egui_kittest::{Harness, kittest::Queryable};
use jempp::{
    app::{App, Link},
    config::{LabTarget, ViewState},
    worker::{self, Worker},
};

/// The window with a real worker.
struct Window {
    harness: Harness<'static, App>,
}

impl Window {
    fn open(query: &str) -> Self {
        let Worker { commands, events, .. } = worker::spawn("cpu".into(), || {}).unwrap();
        let app = App::new(Link { commands, events }, ViewState::from_query(query).unwrap());
        let harness = Harness::builder().with_size([1280.0, 800.0]).build_ui_state(
            |ui, app: &mut App| {
                app.drain(&ui.ctx().clone());
                app.show(ui);
            },
            app,
        );
        Self { harness }
    }

    fn wait(&mut self, what: &str, is_so: impl Fn(&Harness<'_, App>) -> bool) {
        let begin = Instant::now();
        while !is_so(&self.harness) {
            assert!(begin.elapsed() < Duration::from_secs(120), "{what}");
            self.harness.step();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&App) -> bool) {
        self.wait(what, |harness| is_so(harness.state()));
    }

    fn until_said(&mut self, text: &str) {
        self.wait(text, |harness| harness.query_by_label_contains(text).is_some());
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.harness.step();
        self.harness.step();
    }
}

#[test]
fn the_window_plays_the_lab_and_a_lesson() {
    let mut window = Window::open("tab=lab&lab.num_chains=200&lab.max_steps_per_sec=0");
    window.until("the surface", |app| app.viewer().lab.record.surface.is_some());
    window.until("the model", |app| app.viewer().run.model.is_some());
    window.harness.step();
    window.click("▶ Play");
    window.until("steps", |app| app.viewer().lab.record.step > 20);
    window.click("⏸ Pause");
    assert!(!window.harness.state().viewer().lab.record.is_running);
    assert!(window.harness.query_by_label_contains("Total variation to p(x)^β").is_some());
    // The lab keeps its state when the user leaves the tab and returns.
    let step = window.harness.state().viewer().lab.record.step;
    window.click("Chains");
    window.click("Lab");
    window.harness.step();
    assert!(window.harness.state().viewer().lab.record.step >= step);

    window.harness.state_mut().viewer_mut().lesson.open(4, 3);
    window.until("the lesson's chains", |app| {
        let viewer = app.viewer();
        viewer.lab.record.is_running
            && viewer.lab.settings.rules.len() == 2
            && viewer.lab.record.step > 5
    });
    assert!(window.harness.query_by_label("Bias, and how to remove it").is_some());
    window.harness.state_mut().viewer_mut().lesson.open(4, 2);
    window.until("the question", |app| app.viewer().lab.settings.rules.len() == 1);
    window.harness.step();
    assert!(window.harness.query_by_label_contains("0.0162").is_none());
    window.click("Show the answer");
    assert!(window.harness.query_by_label_contains("0.0162").is_some());
    window.click("✖");
    assert_eq!(window.harness.state().viewer().lesson.number, 0);
}

#[test]
fn a_network_learns_in_the_window() {
    let mut window = Window::open("lesson=8");
    window.until("learning", |app| {
        app.viewer().lab.record.learning_step() > 3 && app.viewer().lab.record.step > 3
    });
    assert!(!app_data(window.harness.state()).is_empty());
    window.click("⏸ Stop learning");
    assert!(!window.harness.state().viewer().lab.record.is_learning);
}

#[test]
fn what_is_refused_leaves_the_window_with_what_there_is() {
    let mut window = Window::open("tab=lab&lab.target=ring&lab.num_chains=20");
    window.until("the surface", |app| app.viewer().lab.record.surface.is_some());
    let lab = window.harness.state().viewer().lab.settings.clone();
    let viewer = window.harness.state_mut().viewer_mut();
    viewer.lab.settings.config.target = LabTarget::Model;
    viewer.lab.settings.config.model = "fashion".into();
    window.until("the old state", |app| app.viewer().lab.settings == lab);
    window.until_said("a model of images, not of points");
    window.click("Step ⏭");
    window.until("a step", |app| app.viewer().lab.record.step == 1);
}

#[test]
fn a_link_to_nothing_says_so_and_another_choice_goes_on() {
    let mut window = Window::open("tab=lab&lab.target=model&lab.model=fashion&play=true");
    window.until("the rest", |app| {
        !app.viewer().lab.record.is_running && app.viewer().run.model.is_some()
    });
    window.until_said("There is nothing to show");
    window.click("▶ Play");
    window.until("the rest", |app| !app.viewer().lab.record.is_running);
    window.harness.state_mut().viewer_mut().lab.settings.config.target = LabTarget::Gaussian;
    window.until("the surface", |app| app.viewer().lab.record.surface.is_some());
    window.harness.step();
    window.click("▶ Play");
    window.until("steps", |app| app.viewer().lab.record.step > 3);
}

#[test]
fn a_lesson_with_another_model_plays_beside_chains_that_ran() {
    let mut window = Window::open("model=two-moons&seed=7&play=true");
    window.until("chains", |app| app.viewer().run.last_step() > 3);
    // The plane does not change the settings of the open model's chains.
    window.harness.state_mut().viewer_mut().lesson.open(3, 1);
    window.until("the lab", |app| app.viewer().lab.record.step > 3);
    assert_eq!(window.harness.state().viewer().run.settings.seed, 7);
    window.click("Chains");
    window.harness.state_mut().viewer_mut().run.play();
    window.until("chains again", |app| app.viewer().run.is_running);
    window.harness.state_mut().viewer_mut().lesson.open(5, 2);
    window.until("garments", |app| {
        let viewer = app.viewer();
        let name = viewer.run.model.as_ref().map(|model| model.name.as_str());
        name == Some("fashion") && viewer.run.is_running && viewer.run.last_step() > 1
    });
}

fn app_data(app: &App) -> &[f32] {
    &app.viewer().lab.record.data.0
}
