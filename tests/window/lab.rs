//! The lab in its window.

use std::time::{Duration, Instant};

use crate::app;
use egui::{Key, Modifiers, Shape, TextureId, accesskit::Role};
use egui_kittest::{Harness, kittest::Queryable};
use jempp::{
    app::{App, Link, Tab},
    config::{LabTarget, ViewState, default_rule},
    worker::{
        self, Command, Event, Worker,
        lab::{LabCommand, LabFrame, LabLaneFrame, LabSurface, LabUpdate},
    },
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

fn tell(window: &mut app::Window, update: LabUpdate) {
    window.worker.say(Event::Lab(Box::new(update)));
    window.pass(1, 0);
}

fn frame(step: u64, num_rules: usize, x: &[f32]) -> LabUpdate {
    let lane = LabLaneFrame {
        x: x.to_vec(),
        mean_energy: 1.0,
        clamp_rate: 0.0,
        acceptance: None,
        traces: Vec::new(),
        tracked: None,
    };
    LabUpdate::Frame(LabFrame { step, lanes: vec![lane; num_rules] })
}

/// A window without a real worker, whose lab has a flat energy and chains of each rule at these places.
fn scripted(num_rules: usize, x: &[f32]) -> app::Window {
    let mut view = ViewState::from_query("tab=lab").unwrap();
    view.lab.rules = vec![default_rule(); num_rules];
    let mut window = app::Window::open([1280.0, 800.0], view);
    tell(
        &mut window,
        LabUpdate::Surface(LabSurface {
            energy: vec![0.0f32; 36 * 36].into(),
            around: [].into(),
            classes: vec![0; 36 * 36],
            num_classes: 1,
        }),
    );
    tell(&mut window, LabUpdate::Started(vec![vec![0; x.len() / 2]; num_rules]));
    tell(&mut window, frame(1, num_rules, x));
    window
}

/// Places of chains, all over the plane.
fn places(num_chains: usize) -> Vec<f32> {
    (0..2 * num_chains).map(|nth| 1.4 * (nth as f32 * 1.7).sin()).collect()
}

/// The number of chains that are drawn on each plane: of rectangles with a texture in each mesh. The energy and the trails are
/// one rectangle each.
fn num_drawn(shape: &Shape, found: &mut Vec<usize>) {
    match shape {
        Shape::Vec(shapes) => shapes.iter().for_each(|shape| num_drawn(shape, found)),
        Shape::Mesh(mesh) if mesh.texture_id != TextureId::default() && mesh.vertices.len() > 4 => {
            found.push(mesh.vertices.len() / 4);
        }
        _ => {}
    }
}

#[test]
fn many_chains_are_drawn_as_a_sample_of_which_the_plane_tells() {
    for (num_chains, expected) in [(100, 100), (1500, 1500), (10_000, 1500)] {
        for num_rules in [1, 2] {
            let mut window = scripted(num_rules, &places(num_chains));
            window.harness.state_mut().viewer_mut().lab.record.tracked = Some(num_chains - 1);
            window.pass(1, 0);
            let mut found = Vec::new();
            for clipped in &window.harness.output().shapes {
                num_drawn(&clipped.shape, &mut found);
            }
            assert_eq!(found, vec![expected; num_rules], "{num_chains}");
            let is_told = window.has("1,500 of 10,000 chains drawn");
            assert_eq!(is_told, num_chains > 1500, "{num_chains}");
            assert!(window.has("low energy = likely") && window.has("at the edges"));
        }
    }
}

#[test]
fn chains_that_leave_do_not_move_the_plane() {
    let mut x = places(40);
    let mut window = scripted(1, &x);
    let plane =
        |window: &app::Window| window.harness.get_by_label("Energy and chains of lane 1").rect();
    let (before, said) = (plane(&window), "⚠ 1 of 40 chains have left the plane.");
    assert!(!window.has(said));
    x[0] = 9.0;
    tell(&mut window, frame(2, 1, &x));
    assert!(window.has(said));
    assert_eq!(plane(&window), before);
}

#[test]
fn a_number_beyond_its_slider_stays_while_it_is_drawn() {
    let link = "tab=lab&lab.target=learned&lab.learn_chain_steps=200&lab.sampler.kind=pyld\
                &lab.sampler.num_inner_steps=100";
    let view = ViewState::from_query(link).unwrap();
    let mut window = app::Window::open([1280.0, 800.0], view.clone());
    window.pass(2, 0);
    for name in ["chain steps K", "inner steps N"] {
        assert!(window.harness.query_by_role_and_label(Role::Slider, name).is_some(), "{name}");
    }
    assert_eq!(window.viewer().lab.settings, view.lab);
}

#[test]
fn a_second_lane_has_a_name_of_its_own() {
    let x = places(40);
    let mut window = scripted(1, &x);
    window.click("Compare with another sampler");
    assert_eq!(window.viewer().lab.settings.rules.len(), 2);
    tell(&mut window, LabUpdate::Started(vec![vec![0; 40]; 2]));
    tell(&mut window, frame(1, 2, &x));
    assert!(window.has("1: SGLD") && window.has("2: SGLD, same as lane 1"));
}

#[test]
fn an_animation_lets_paused_chains_run_and_plots_have_none() {
    let mut window = scripted(1, &places(40));
    assert!(!window.viewer().lab.record.is_running);
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::G);
    window.pass(1, 0);
    assert!(window.viewer().lab.record.is_running);
    assert!(window.has("Recording the next 60 steps of the lab."));
    let plays = |command: &Command| matches!(command, Command::Lab(LabCommand::Play));
    assert!(window.worker.asked.iter().any(plays));

    let mut window = app::Window::new();
    window.harness.state_mut().viewer_mut().session.tab = Tab::Plots;
    window.pass(1, 0);
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::G);
    window.pass(1, 0);
    assert!(window.has("Plots are not saved as an animation."));
}

/// Lets chains begin that were asked for, at these places.
fn begin(window: &mut app::Window, x: &[f32]) {
    tell(window, LabUpdate::Started(vec![vec![0; x.len() / 2]]));
    tell(window, frame(0, 1, x));
}

fn undo(window: &mut app::Window) {
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    window.pass(1, 0);
}

#[test]
fn the_last_run_comes_back_with_its_step() {
    let (starts, moved) = (places(40), places(43)[6..].to_vec());
    for (change, new_seed) in [(Key::R, 0), (Key::N, 1)] {
        let mut window = scripted(1, &starts);
        let step = |window: &app::Window| window.viewer().lab.record.step;
        let seed = |window: &app::Window| window.viewer().lab.settings.config.seed;
        tell(&mut window, frame(7, 1, &moved));
        window.harness.key_press(change);
        window.pass(1, 0);
        begin(&mut window, &starts);
        assert_eq!((step(&window), seed(&window)), (0, new_seed));
        undo(&mut window);
        // The worker's chains are moved there too.
        let branched = window.worker.asked.iter().rev().find_map(|command| match command {
            Command::Lab(LabCommand::Branch { step, x }) => Some((*step, x.clone())),
            _ => None,
        });
        assert_eq!(branched, Some((7, vec![moved.clone()])));
        begin(&mut window, &starts);
        tell(&mut window, frame(7, 1, &moved));
        assert_eq!((step(&window), seed(&window)), (7, 0));
        // The run that gave way can come back too.
        window.click("Undo");
        assert_eq!(seed(&window), new_seed);
        begin(&mut window, &starts);
        assert_eq!(step(&window), 0);
    }
}

#[test]
fn without_an_earlier_run_an_undo_says_so() {
    let mut window = scripted(1, &places(40));
    undo(&mut window);
    assert!(window.has("There is no earlier run to bring back."));
}

#[test]
fn a_run_on_another_energy_comes_back_and_goes_on() {
    let mut window = Window::open("tab=lab&lab.num_chains=200&lab.max_steps_per_sec=0");
    window.until("the surface", |app| app.viewer().lab.record.surface.is_some());
    window.harness.step();
    window.click("▶ Play");
    window.until("steps", |app| app.viewer().lab.record.step > 20);
    window.click("⏸ Pause");
    let lab = |window: &Window| window.harness.state().viewer().lab.settings.config.clone();
    let (before, num_starts) =
        (lab(&window), window.harness.state().viewer().lab.record.num_starts);
    // The last steps of the run may still be on their way.
    window.harness.state_mut().viewer_mut().lab.step();
    window.harness.run_steps(3);
    std::thread::sleep(Duration::from_millis(500));
    window.harness.run_steps(3);
    let step = window.harness.state().viewer().lab.record.step;
    window.harness.state_mut().viewer_mut().lab.settings.config.target = LabTarget::Ring;
    window.until("another run", |app| app.viewer().lab.record.num_starts > num_starts);
    assert_eq!(window.harness.state().viewer().lab.record.step, 0);
    window.harness.step();
    window.click("Undo");
    window.until("the run before", |app| app.viewer().lab.record.step == step);
    assert_eq!(lab(&window), before);
    window.click("Step ⏭");
    window.until("the next step", |app| app.viewer().lab.record.step == step + 1);
}
