//! Windows of every size with unusual models and names: nothing may crash the window.

mod input;

use crate::scripted::{self, Scripted};
use egui_kittest::{Harness, kittest::Queryable};
use half::f16;
use jempp::{
    app::{App, Link, Overlay, Selection, Tab, Viewer},
    config::{LabTarget, LabView, LaneConfig, RunConfig, ViewState, default_rule},
    worker::{
        Event, LaneImages, LaneNumbers, LaneStep, ModelInfo, RunRequest, Step, TrainingPoint,
        TrainingUpdate,
        lab::{LabFrame, LabLaneFrame, LabMove, LabSurface, LabUpdate, Slice},
    },
};

/// Widths and heights, from zero to more than a screen has. Sizes such as 440 × 300 once crashed the window.
const SIZES: [[f32; 2]; 48] = [
    [1.0, 1.0],
    [2.0, 900.0],
    [900.0, 2.0],
    [16.0, 16.0],
    [40.0, 700.0],
    [60.0, 40.0],
    [64.0, 64.0],
    [100.0, 90.0],
    [120.0, 60.0],
    [150.0, 400.0],
    [180.0, 30.0],
    [200.0, 150.0],
    [200.0, 4000.0],
    [240.0, 320.0],
    [260.0, 100.0],
    [300.0, 299.0],
    [320.0, 240.0],
    [320.0, 568.0],
    [360.0, 640.0],
    [390.0, 844.0],
    [400.0, 120.0],
    [420.0, 380.0],
    [440.0, 300.0],
    [440.0, 420.0],
    [448.0, 447.0],
    [449.0, 300.0],
    [450.0, 300.0],
    [480.0, 40.0],
    [480.0, 360.0],
    [500.0, 499.0],
    [529.0, 500.0],
    [560.0, 250.0],
    [599.0, 598.0],
    [600.0, 479.0],
    [600.0, 480.0],
    [601.0, 481.0],
    [620.0, 700.0],
    [640.0, 480.0],
    [667.0, 375.0],
    [700.0, 100.0],
    [800.0, 600.0],
    [844.0, 390.0],
    [1000.0, 480.0],
    [1001.0, 3000.0],
    [1280.0, 800.0],
    [2560.0, 1440.0],
    [4000.0, 200.0],
    [4000.0, 2500.0],
];

struct Window {
    harness: Harness<'static, App>,
    worker: Scripted,
}

impl Window {
    fn with(app: impl FnOnce(Link) -> App) -> Self {
        let (worker, link) = Scripted::new();
        let harness =
            Harness::builder().with_size([1280.0, 800.0]).allow_missing_glyphs().build_ui_state(
                |ui, app: &mut App| {
                    app.drain(ui.ctx());
                    app.show(ui);
                },
                app(link),
            );
        let mut window = Self { harness, worker };
        window.pass(3, 0);
        window
    }

    fn new(view: ViewState) -> Self {
        Self::with(|link| App::new(link, view))
    }

    fn pass(&mut self, frames: usize, steps_each: usize) {
        for _ in 0..frames {
            self.harness.step();
            self.worker.work(steps_each);
        }
        self.harness.step();
    }

    fn viewer(&mut self) -> &mut Viewer {
        self.harness.state_mut().viewer_mut()
    }

    fn say(&mut self, events: impl IntoIterator<Item = Event>) {
        events.into_iter().for_each(|event| self.worker.say(event));
        self.pass(1, 0);
    }

    /// Draws frames at every size.
    fn at_every_size(&mut self) {
        for size in SIZES {
            self.harness.set_size(size.into());
            // A layout that depends on the previous frame is stable in the second frame.
            self.harness.step();
            self.harness.step();
        }
        self.harness.set_size([1280.0, 800.0].into());
        self.harness.step();
    }

    fn has(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }
}

fn lanes(count: usize) -> ViewState {
    ViewState { lanes: vec![LaneConfig::default(); count], ..ViewState::default() }
}

/// A model with these classes and this input shape.
fn model(class_names: Vec<String>, shape: [usize; 3]) -> ModelInfo {
    ModelInfo { name: "other".into(), class_names, shape, ..scripted::model() }
}

/// Opens such a model, with one chain per class in every lane.
fn open(window: &mut Window, model: ModelInfo, values: &[f32]) {
    let labels: Vec<u32> = (0..model.class_names.len() as u32).collect();
    let (count, size) = (labels.len(), model.shape.iter().product::<usize>());
    let lanes = window.viewer().run.lanes.len();
    let lane = |step: u64| {
        let x: Vec<f32> =
            values.iter().copied().cycle().skip(step as usize).take(count * size).collect();
        let of_chains: Vec<f32> = values.iter().copied().cycle().take(count).collect();
        let numbers = LaneNumbers {
            energy: of_chains.clone(),
            gradient_norm: of_chains.clone(),
            clamp_rate: of_chains.clone(),
            saturation: of_chains.clone(),
            distance: of_chains.clone(),
            probabilities: vec![f16::from_f32(1.0 / count as f32); count * count],
            acceptance: of_chains,
            ..LaneNumbers::default()
        };
        let gradient = x.iter().map(|&value| f16::from_f32(value)).collect();
        LaneStep {
            images: LaneImages { x: x.into(), gradient, proximal_radius: Some(1.0) },
            numbers,
        }
    };
    let request =
        RunRequest { seed: 0, labels, lanes: window.viewer().run.lanes.clone(), image: None };
    let steps = (0..4)
        .map(|step| Event::Step(Box::new(Step { step, lanes: vec![lane(step); lanes.max(1)] })));
    let opened = Event::Opened(Box::new(model));
    window.say([opened]);
    window.say([Event::Started(request)].into_iter().chain(steps));
}

/// The lab with chains of `num_rules` rules on this energy.
fn lab(num_rules: usize, energy: &[f32]) -> Window {
    let mut view = ViewState::default();
    view.view.tab = Tab::Lab;
    view.lab.rules = vec![default_rule(); num_rules];
    view.lab.config.arrows = true;
    let mut window = Window::new(view);
    let side = 36;
    let energy: Vec<f32> = energy.iter().copied().cycle().take(side * side).collect();
    let surface = LabSurface {
        energy: energy.clone().into(),
        around: [].into(),
        classes: vec![0; side * side],
        num_classes: 2,
    };
    let frame = |step| LabFrame {
        step,
        lanes: vec![
            LabLaneFrame {
                x: energy.iter().take(40).copied().collect(),
                mean_energy: energy[0],
                clamp_rate: energy[1],
                acceptance: None,
                traces: energy.iter().take(60).copied().collect(),
                tracked: Some(LabMove {
                    chain: 0,
                    from: [energy[0]; 2],
                    gradient: [energy[1], energy[2]],
                    noise: [energy[0]; 2],
                    noise_std: energy[1].abs(),
                    proximal_radius: Some(1.0),
                    is_normalized: energy[0] > 0.0,
                    has_inner_steps: false,
                    to: [energy[2]; 2],
                    step_size: 0.1,
                    accepted: None,
                }),
            };
            num_rules
        ],
    };
    let frames = (0..5).map(|step| LabUpdate::Frame(frame(step)));
    let slice = Slice {
        energy: energy.clone().into(),
        range: [[-1.0, 1.0], [0.0, 0.0]],
        path: vec![0.0, 0.5, energy[0], energy[1]],
        path_energy: vec![1.0, energy[2]],
        explained: [0.5, f32::NAN],
        origin: vec![energy[0]; 784],
        axes: [vec![energy[1]; 784], vec![energy[2]; 784]],
    };
    let updates = [LabUpdate::Surface(surface), LabUpdate::Started(vec![vec![0; 20]; num_rules])];
    let updates = updates.into_iter().chain(frames).chain([LabUpdate::Slice(slice)]);
    window.viewer().lab.record.tracked = Some(0);
    window.say(updates.map(|update| Event::Lab(Box::new(update))));
    window
}

#[test]
fn chains_and_plots_are_drawn_at_every_size() {
    for (count, overlay) in [(1, Overlay::Images), (2, Overlay::Denoised), (3, Overlay::Clamped)] {
        let mut window = Window::new(lanes(count));
        window.viewer().run.lanes[0].sampler.denoise_step = 2.0;
        window.viewer().run.play();
        window.pass(4, 4);
        window.viewer().run.overlay = Some(overlay);
        for tab in [Tab::Chains, Tab::Plots] {
            window.viewer().session.tab = tab;
            window.at_every_size();
            // With an open sheet or an open panel of the chain, while the window is resized.
            window.viewer().run.selected = Some(Selection { lane: count - 1, chain: 12 });
            window.at_every_size();
            window.viewer().run.selected = None;
        }
    }
}

#[test]
fn sheets_stay_open_at_every_size() {
    for name in ["Controls", "Chain", "Energies"] {
        let mut window = Window::new(lanes(2));
        window.harness.set_size([390.0, 844.0].into());
        window.pass(2, 2);
        let role = egui::accesskit::Role::Button;
        window.harness.get_by_role_and_label(role, name).click();
        window.pass(2, 2);
        window.at_every_size();
    }
}

#[test]
fn points_in_the_plane_are_drawn_at_every_size() {
    for values in [&[0.2, -0.7, 0.9][..], &[f32::NAN, f32::INFINITY, -3e38, 3e38, 0.0]] {
        let mut window = Window::new(lanes(2));
        open(&mut window, model(vec!["a".into(), "b".into()], [2, 1, 1]), values);
        window.viewer().run.lanes[0].sampler.denoise_step = 2.0;
        for overlay in [Overlay::Change, Overlay::Denoised] {
            for tab in [Tab::Chains, Tab::Plots] {
                window.viewer().session.tab = tab;
                window.viewer().run.overlay = Some(overlay);
                window.at_every_size();
            }
        }
    }
}

#[test]
fn training_and_the_lab_are_drawn_at_every_size() {
    let mut window = Window::new(ViewState::default());
    window.viewer().session.tab = Tab::Train;
    window.at_every_size();
    let config = RunConfig::preset("fashion-quick").unwrap();
    let point = |step, loss| TrainingPoint {
        step,
        loss,
        cross_entropy: loss,
        gap: loss,
        gradient_norm: loss,
        clamp_rate: loss,
        steps_per_sec: loss,
    };
    let updates = [
        TrainingUpdate::Started {
            folder: "runs/x".into(),
            config: Box::new(config),
            step: 0,
            num_steps: 10,
            memory: String::new(),
            class_names: jempp::data::class_names(jempp::config::DatasetName::FashionMnist)
                .unwrap(),
            shape: [1, 28, 28],
        },
        TrainingUpdate::Step(point(1, 1.0)),
        TrainingUpdate::Step(point(2, f64::NAN)),
        TrainingUpdate::Step(point(3, f64::INFINITY)),
        TrainingUpdate::Buffer { x: vec![f32::NAN; 784 * 30], labels: (0..30).collect() },
    ];
    window.say(updates.map(|update| Event::Training(Box::new(update))));
    window.at_every_size();
    for (num_rules, energy) in
        [(1, &[0.0, 1.0, 5.0][..]), (2, &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38, -3e38])]
    {
        let mut window = lab(num_rules, energy);
        window.at_every_size();
        window.viewer().lab.settings.config.decisions = true;
        window.viewer().lab.settings.config.target = LabTarget::Learned;
        window.at_every_size();
        window.viewer().lab.settings.config.view = LabView::Slice;
        window.viewer().run.play();
        window.pass(2, 2);
        window.at_every_size();
    }
}

#[test]
fn lessons_are_drawn_at_every_size() {
    for (number, tab) in [(2, Tab::Lab), (4, Tab::Chains)] {
        let mut view = lanes(2);
        view.view.tab = tab;
        view.view.lesson = number;
        view.view.lesson_step = 99;
        let mut window = Window::new(view);
        let text = std::fs::read_to_string(format!("assets/lessons/{number}.md")).unwrap();
        window.say([Event::Lesson { number, text }]);
        window.at_every_size();
    }
}

#[test]
fn frames_of_other_pages_are_drawn_at_every_size() {
    for tab in [Tab::Chains, Tab::Lab] {
        let mut view = lanes(3);
        view.view.tab = tab;
        let mut window = Window::with(|link| App::embedded(link, view, "./index.html"));
        window.at_every_size();
        window.say([Event::Failed("the device was lost ".repeat(200))]);
        window.at_every_size();
    }
}

#[test]
fn names_of_strangers_keep_to_their_line() {
    let mut window = Window::new(lanes(3));
    let names = ["", "two\nlines\u{1b}[31m", &"x".repeat(50_000), "\u{202e}evil", "same", "same"];
    open(&mut window, model(names.map(String::from).to_vec(), [3, 4, 4]), &[0.5, f32::NAN]);
    window.viewer().run.selected = Some(Selection { lane: 0, chain: 2 });
    window.viewer().session.warning = Some("The last session ended early. ".repeat(20));
    window.say([Event::Refused(format!("no such thing: {}", "y".repeat(50_000)))]);
    let shown = window.viewer().run.model.clone().unwrap().class_names;
    assert_eq!(shown[1], "two lines\\u{1b}[31m");
    assert!(shown.iter().all(|name| name.chars().count() < 40), "{shown:?}");
    assert!(window.viewer().session.notices.iter().all(|notice| notice.text.chars().count() < 450));
    for tab in [Tab::Chains, Tab::Plots] {
        window.viewer().session.tab = tab;
        window.at_every_size();
    }
}

#[test]
fn an_image_larger_than_a_texture_is_drawn_from_fewer_pixels() {
    let mut window = Window::new(ViewState::default());
    window.harness.input_mut().max_texture_side = Some(1024);
    window.pass(1, 0);
    let names = (0..9).map(|class| class.to_string()).collect();
    open(&mut window, model(names, [1, 600, 430]), &[0.5, -0.5]);
    window.viewer().run.selected = Some(Selection { lane: 0, chain: 2 });
    window.pass(2, 0);
    assert!(window.has("chain 1 at step"));
}

#[test]
fn rows_of_classes_that_are_not_there_are_left_out_with_a_word() {
    let view = ViewState::from_query("classes=3,99,3,4294967295").unwrap();
    let mut window = Window::new(view);
    assert_eq!(window.viewer().run.settings.classes, [3]);
    assert!(window.has("left out: 99, 4294967295"));
    window.viewer().set_up("?classes=7,12");
    window.pass(2, 0);
    assert_eq!(window.viewer().run.settings.classes, [7]);
}

#[test]
fn a_painted_density_outlives_a_lesson() {
    let mut view = ViewState::default();
    view.view.tab = Tab::Lab;
    view.lab.config.painted = vec![10, 20, -30, 40];
    let mut window = Window::new(view);
    window.viewer().set_up("?tab=lab&lab.target=ring");
    assert_eq!(window.viewer().lab.settings.config.painted, [10, 20, -30, 40]);
    window.viewer().set_up("?tab=lab&lab.target=painted&lab.painted=1,2");
    assert_eq!(window.viewer().lab.settings.config.painted, [1, 2]);
}

#[test]
fn the_last_seed_is_followed_by_the_first() {
    let mut window = Window::new(ViewState::from_query("seed=9223372036854775807").unwrap());
    window.viewer().run.restart_with_new_seed();
    assert_eq!(window.viewer().run.settings.seed, 0);
    window.viewer().lab.settings.config.seed = i64::MAX as u64;
    window.viewer().lab.reseed();
    assert_eq!(window.viewer().lab.settings.config.seed, 0);
    assert!(ViewState::from_query("seed=9223372036854775808").is_err());
}
