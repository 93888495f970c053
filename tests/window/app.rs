//! The window, tested by its accessible labels, with a scripted worker.

use crate::scripted::{self, Scripted};
use egui_kittest::{Harness, kittest::Queryable};
use jempp::{
    app::{App, Selection, Tab, Viewer},
    config::{SamplerKind, ViewStart, ViewState},
    worker::{Command, Event, TrainingPoint, TrainingUpdate},
};

/// A window of some size with its worker, with the model loaded and the chains at their starts.
pub(crate) struct Window {
    pub(crate) harness: Harness<'static, App>,
    pub(crate) worker: Scripted,
}

impl Window {
    pub(crate) fn open(size: [f32; 2], view: ViewState) -> Self {
        let (worker, link) = Scripted::new();
        let harness = Harness::builder().with_size(size).with_max_steps(8).build_ui_state(
            |ui, app: &mut App| {
                app.drain(ui.ctx());
                app.show(ui);
            },
            App::new(link, view),
        );
        let mut window = Self { harness, worker };
        window.pass(3, 0);
        window
    }

    pub(crate) fn new() -> Self {
        Self::open([1280.0, 800.0], ViewState::default())
    }

    /// Draws `frames` frames, with `steps_each` steps of the worker between two.
    pub(crate) fn pass(&mut self, frames: usize, steps_each: usize) {
        for _ in 0..frames {
            self.harness.step();
            self.worker.work(steps_each);
        }
        self.harness.step();
    }

    pub(crate) fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.harness.step();
        self.harness.step();
    }

    pub(crate) fn viewer(&self) -> &Viewer {
        self.harness.state().viewer()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    /// The request of the last restart.
    pub(crate) fn last_request(&self) -> jempp::worker::RunRequest {
        let requests = self.worker.asked.iter().rev().filter_map(|command| match command {
            Command::Restart(request) => Some(request.clone()),
            _ => None,
        });
        requests.into_iter().next().unwrap()
    }
}

const PLAY: &str = "▶ Play";
const PAUSE: &str = "⏸ Pause";

#[test]
fn play_runs_to_m_and_pause_stops() {
    let mut window = Window::new();
    assert_eq!(window.viewer().run.last_step(), 0);
    window.click(PLAY);
    window.pass(10, 3);
    let step = window.viewer().run.last_step();
    assert!((25..40).contains(&step), "{step}");
    window.click(PAUSE);
    window.pass(5, 3);
    let stopped = window.viewer().run.last_step();
    window.pass(5, 3);
    assert_eq!(window.viewer().run.last_step(), stopped);
    window.click(PLAY);
    window.pass(60, 3);
    assert_eq!(window.viewer().run.last_step(), 100);
    assert!(!window.viewer().run.is_playing());
}

#[test]
fn restarts_and_pauses_that_cross_on_the_way_leave_no_doubt() {
    let mut window = Window::new();
    window.click(PLAY);
    window.pass(2, 2);
    // Pause and restart before the worker has answered.
    window.harness.key_press(egui::Key::Space);
    window.harness.step();
    window.harness.key_press(egui::Key::R);
    window.harness.step();
    window.pass(4, 2);
    assert!(!window.viewer().run.is_playing());
    assert_eq!(window.viewer().run.last_step(), 0, "paused at the starts");
    // The end of one run must not stop the next run.
    window.click(PLAY);
    window.worker.say(Event::Paused(1));
    window.pass(3, 2);
    assert!(window.viewer().run.is_playing());
    window.harness.key_press(egui::Key::R);
    window.pass(3, 2);
    assert!(window.viewer().run.is_playing() && window.viewer().run.last_step() > 2);
}

#[test]
fn a_model_that_is_gone_gives_way_to_a_bundled_one() {
    let link = "model=gone.safetensors&sampler.kind=sgld&sampler.step_size=5";
    let view = ViewState::from_query(link).unwrap();
    let (worker, link) = Scripted::new();
    let mut viewer = Viewer::new(view);
    drop((worker, link));
    assert!(
        matches!(&viewer.take_commands()[..], [Command::Open(name)] if name == "gone.safetensors")
    );
    viewer.take(Event::Device {
        description: String::new(),
        is_cpu: true,
        bundled: vec!["fashion".into()],
    });
    viewer.take(Event::Refused("no file `gone.safetensors`".into()));
    assert!(matches!(&viewer.take_commands()[..], [Command::Open(name)] if name == "fashion"));
    assert!(viewer.run.lanes.is_empty(), "the link's rules belong to the other model");
    // A message that disappears would leave nobody a reason for the other model.
    let warning = viewer.session.warning.clone().unwrap();
    assert!(warning.contains("gone.safetensors") && warning.contains("is shown instead"));
    assert!(viewer.session.notices.is_empty());
    // A start that the model does not support is replaced by its default.
    viewer.take(Event::Opened(Box::new(scripted::model())));
    viewer.run.lanes[0].start = ViewStart::Data;
    viewer.take_commands();
    viewer.take(Event::Refused("a class has no test image to start from".into()));
    let asked = viewer.take_commands();
    assert!(
        matches!(&asked[..], [Command::Restart(request)] if request.lanes[0].start == ViewStart::ClassCenters)
    );
}

#[test]
fn a_failure_ends_a_training_run_in_the_window() {
    let mut window = Window::new();
    let config = jempp::config::RunConfig::preset("fashion-quick").unwrap();
    let update = TrainingUpdate::Started {
        folder: "runs/x".into(),
        config: Box::new(config),
        step: 0,
        num_steps: 10,
        memory: String::new(),
        class_names: jempp::data::class_names(jempp::config::DatasetName::FashionMnist).unwrap(),
        shape: [1, 28, 28],
    };
    window.worker.say(Event::Training(Box::new(update)));
    window.harness.state_mut().viewer_mut().session.tab = Tab::Train;
    window.pass(2, 0);
    assert!(window.viewer().training.is_running);
    window.worker.say(Event::Failed("the device was lost".into()));
    window.pass(2, 0);
    assert!(!window.viewer().training.is_running);
    assert!(window.has("continue from the run's last checkpoint"));
    assert_eq!(window.harness.query_all_by_label_contains("the device was lost").count(), 1);
}

#[test]
fn why_a_training_failed_is_told_once() {
    for (tab, has_begun) in
        [(Tab::Train, true), (Tab::Train, false), (Tab::Chains, true), (Tab::Chains, false)]
    {
        let mut window = Window::new();
        window.harness.state_mut().viewer_mut().session.tab = tab;
        if has_begun {
            let config = jempp::config::RunConfig::preset("fashion-quick").unwrap();
            window.worker.say(Event::Training(Box::new(TrainingUpdate::Started {
                folder: "runs/x".into(),
                config: Box::new(config),
                step: 0,
                num_steps: 10,
                memory: String::new(),
                class_names: vec!["a".into(), "b".into()],
                shape: [1, 28, 28],
            })));
        }
        window.pass(2, 0);
        let failed = TrainingUpdate::Failed("no memory is left".into());
        window.worker.say(Event::Training(Box::new(failed)));
        window.pass(2, 0);
        let told = window.harness.query_all_by_label_contains("no memory is left").count();
        assert_eq!(told, 1, "{tab:?}, begun: {has_begun}");
    }
}

#[test]
fn steps_back_and_forward_replay_what_was() {
    let mut window = Window::new();
    window.click("Step ⏭");
    window.pass(2, 1);
    window.click("Step ⏭");
    window.pass(2, 1);
    assert_eq!(window.viewer().run.last_step(), 2);
    let image = |window: &Window| window.viewer().run.shown_images().unwrap().1[0].x.clone();
    let newest = image(&window);
    window.click("⏮ Step back");
    assert_eq!(window.viewer().run.shown_step(), 1);
    assert!(image(&window) != newest);
    let asked = window.worker.asked.len();
    window.click("Step ⏭");
    assert_eq!(window.viewer().run.shown_step(), 2);
    assert!(image(&window) == newest);
    window.pass(1, 1);
    // Past steps come from the record, not from the worker.
    assert_eq!(window.worker.asked.len(), asked);
}

#[test]
fn going_on_from_the_past_hands_back_the_recorded_chains() {
    let mut window = Window::new();
    window.click(PLAY);
    window.pass(5, 4);
    window.click(PAUSE);
    window.pass(2, 0);
    let last = window.viewer().run.last_step();
    window.harness.state_mut().viewer_mut().run.look_at(7);
    window.pass(2, 0);
    assert!(window.has("viewing step 7 of "));
    let recorded = window.viewer().run.shown_images().unwrap().1[0].x.clone();
    window.click("Continue from here");
    window.pass(1, 0);
    let branched = window.worker.asked.iter().find_map(|command| match command {
        Command::Branch { step, x, .. } => Some((*step, x[0].clone())),
        _ => None,
    });
    assert!(branched.unwrap() == (7, recorded));
    assert_eq!(window.viewer().run.last_step(), 7);
    // The steps that were dropped come back, and so does the branch.
    for expected in [last, 7] {
        window.click("Undo");
        window.pass(3, 0);
        assert_eq!(window.viewer().run.last_step(), expected);
    }
}

#[test]
fn keys_do_what_the_help_says() {
    let mut window = Window::new();
    window.harness.key_press(egui::Key::Space);
    window.pass(5, 2);
    assert!(window.viewer().run.last_step() > 5);
    window.harness.key_press(egui::Key::Space);
    window.pass(3, 2);
    assert!(!window.viewer().run.is_playing());
    let last = window.viewer().run.last_step();
    window.harness.key_press(egui::Key::ArrowLeft);
    window.pass(1, 0);
    assert_eq!(window.viewer().run.shown_step(), last - 1);
    window.harness.key_press(egui::Key::ArrowRight);
    window.pass(1, 0);
    assert_eq!(window.viewer().run.shown_step(), last);
    window.harness.key_press(egui::Key::N);
    window.pass(2, 0);
    assert_eq!(window.last_request().seed, 1);
    window.harness.key_press(egui::Key::R);
    window.pass(2, 0);
    assert_eq!(window.last_request().seed, 1);
    window.harness.key_press(egui::Key::Num3);
    window.pass(2, 0);
    assert_eq!(window.viewer().run.shown_classes(), [2], "the third row");
    window.harness.key_press(egui::Key::Num3);
    window.pass(2, 0);
    assert_eq!(window.viewer().run.shown_classes().len(), 10);
    window.harness.event(egui::Event::Text("?".into()));
    window.pass(1, 0);
    assert!(window.has("restart with a new seed"));
}

#[test]
fn controls_reach_the_worker_while_it_runs() {
    let mut window = Window::new();
    window.click(PLAY);
    window.pass(2, 1);
    let slider =
        window.harness.get_by_role_and_label(egui::accesskit::Role::Slider, "proximal radius r");
    slider.focus();
    window.harness.step();
    window.harness.key_press(egui::Key::ArrowRight);
    window.pass(2, 1);
    let radius = window.worker.asked.iter().rev().find_map(|command| match command {
        Command::SetLanes(lanes) => Some(lanes[0].sampler.proximal_radius),
        _ => None,
    });
    assert!(radius.unwrap() > 1.0, "{radius:?}");
    // The schedule of the rule depends on the M of the run.
    assert_eq!(window.last_request().lanes[0].sampler.num_steps, 100);
    assert!(window.has("2Nα/σ² = ∞"));
    assert!(window.has("Here PYLD equals Proximal SGLD with step size N·α = 1."));
}

#[test]
fn a_comparison_opens_with_one_click_and_says_its_point() {
    // High enough to show all controls without scrolling.
    let mut window = Window::open([1280.0, 1300.0], ViewState::default());
    window.click("SGLD vs. Proximal SGLD: step size too large");
    window.pass(10, 4);
    let request = window.last_request();
    assert_eq!(request.lanes.len(), 2);
    assert_eq!(request.lanes[0].sampler.kind, SamplerKind::Sgld);
    assert_eq!(request.lanes[1].sampler.kind, SamplerKind::ProximalSgld);
    assert_eq!(request.lanes[0].sampler.step_size, request.lanes[1].sampler.step_size);
    assert!(window.viewer().run.last_step() > 20, "it plays at once");
    assert!(window.has("The proximal step"));
    window.click("Starts: noise vs. class centres");
    window.pass(2, 1);
    let request = window.last_request();
    assert_eq!(request.lanes[0].start, ViewStart::Uniform);
    assert_eq!(request.lanes[1].start, ViewStart::ClassCenters);
    assert_eq!(request.lanes[0].sampler, request.lanes[1].sampler);
    window.click("Reset to the model's sampler");
    window.pass(2, 1);
    assert_eq!(window.last_request().lanes.len(), 1);
}

#[test]
fn mala_gets_the_noise_it_needs() {
    let mut window = Window::new();
    let mut lane = window.viewer().run.lanes[0].clone();
    lane.sampler.kind = SamplerKind::Mala;
    window.harness.state_mut().viewer_mut().run.set_lane(0, lane);
    window.pass(3, 0);
    let sampler = &window.viewer().run.lanes[0].sampler;
    assert!((sampler.noise_std - (2.0 * sampler.step_size).sqrt()).abs() < 1e-9);
    assert!(window.has("(temperature 1)"));
    // Its first step is short enough to be accepted, and what to do about noise is said.
    assert!(0.0 < sampler.step_size && sampler.step_size <= 1e-4, "{}", sampler.step_size);
    assert!(window.has("MALA accepts about 57 %"));
    assert!(window.has("Then lower σ, or reset to the model's sampler."));
}

#[test]
fn the_name_of_the_model_leaves_room_for_the_buttons_after_it() {
    for width in [800.0, 900.0, 1280.0] {
        let mut window = Window::open([width, 700.0], ViewState::default());
        let model = &mut window.harness.state_mut().viewer_mut().run.model;
        model.as_mut().unwrap().name = "cifar10-jpeg-classifier".into();
        window.pass(2, 0);
        assert!(window.has("Model: CIFAR-10 JPEG (plain classifier)"));
        let rect = |label| window.harness.get_by_label(label).rect();
        let [save, sun] = ["Save", "☀️"].map(rect);
        assert!(save.right() < sun.left(), "{width}: {save} {sun}");
    }
}

#[test]
fn how_much_of_a_large_model_is_read_is_shown_while_the_last_one_stays_open() {
    let mut window = Window::new();
    let read = |window: &mut Window, name: &str| {
        window.worker.say(Event::Loading { name: name.into(), num_bytes: 120_000_000 });
        window.harness.step();
        window.harness.step();
    };
    read(&mut window, "a lesson");
    assert!(!window.has("Model: loading"), "no model is on its way");
    window.viewer().run.open("large.safetensors");
    read(&mut window, "large.safetensors");
    assert!(window.has("Model: loading… 120.0 MB"));
    assert_eq!(window.viewer().run.model.as_ref().unwrap().name, "fashion");
    window.pass(3, 0);
    assert!(!window.has("Model: loading"));
    assert_eq!(window.viewer().run.model.as_ref().unwrap().name, "large.safetensors");
}

#[test]
fn exports_write_what_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::new();
    window.harness.state_mut().save_to(folder.path().to_path_buf());
    window.click(PLAY);
    window.pass(5, 4);
    window.click(PAUSE);
    window.pass(1, 0);
    let steps = window.viewer().run.last_step() + 1;
    let animation = format!("Animation (GIF), {steps} frames");
    for entry in ["Picture (PNG)", &animation, "Traces (CSV)"] {
        window.click("Save");
        window.click(entry);
    }
    // A message stays for some seconds only, so all of them are awaited together.
    let path = |name: &str| folder.path().join(name);
    let mut awaited = vec!["chains.png", "chains.gif", "traces.csv"];
    for _ in 0..2000 {
        window.pass(1, 0);
        awaited.retain(|name| !window.has(&format!("Saved {}", path(name).display())));
        if awaited.is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    assert!(awaited.is_empty(), "never saved: {awaited:?}");
    let picture = image::open(path("chains.png")).unwrap();
    assert!(picture.width() > 280 && picture.height() > 280);
    let table = std::fs::read_to_string(path("traces.csv")).unwrap();
    // The caption is a comment above the table.
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("# Fashion-MNIST (JEM++) · step "), "{}", lines[0]);
    assert!(lines[0].contains(" · PYLD, N = 5") && lines[0].ends_with(" · seed 0"));
    assert!(lines[1].starts_with("# jempp view '"));
    assert!(lines[2].starts_with("step,lane,chain,class,energy,"));
    assert_eq!(lines.len() as u64, 3 + 100 * steps);
    // The animation has the size of the picture, with the names of the classes and the caption.
    let gif = path("chains.gif");
    let decoder = image::codecs::gif::GifDecoder::new(std::io::BufReader::new(
        std::fs::File::open(&gif).unwrap(),
    ));
    let frames = image::AnimationDecoder::into_frames(decoder.unwrap()).collect_frames().unwrap();
    assert_eq!(frames.len() as u64, steps);
    let buffer = frames[0].buffer();
    assert_eq!([buffer.width(), buffer.height()], [800, 760]);
    // Frame by frame, with a palette and all pixels of each, the file would be half as large again.
    let mut bytes = Vec::new();
    let mut single = jempp::picture::Animation::new(&mut bytes, 100).unwrap();
    for frame in frames {
        let picture = image::DynamicImage::from(frame.into_buffer()).to_rgb8();
        single.push(picture).unwrap();
    }
    single.finish().unwrap();
    let size = std::fs::metadata(&gif).unwrap().len() as usize;
    assert!(3 * size < 2 * bytes.len(), "{size} bytes for {steps} frames, not {}", bytes.len());
}

/// A file dropped on the window, as on a desktop.
#[derive(Debug)]
struct Dropped(std::path::PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &std::path::Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}

#[test]
fn dropped_files_open_or_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Window::new();
    let drop_file = |window: &mut Window, name: &str| {
        let path = folder.path().join(name);
        if name.ends_with("png") && !name.starts_with("broken") {
            image::RgbImage::from_pixel(40, 30, image::Rgb([255; 3])).save(&path).unwrap();
        } else {
            std::fs::write(&path, "no such thing").unwrap();
        }
        window.harness.input_mut().dropped_files.push(std::sync::Arc::new(Dropped(path)));
        window.pass(2, 0);
    };
    // Pictures are decoded in the background.
    let wait_for = |window: &mut Window, is_there: &dyn Fn(&Window) -> bool| {
        for _ in 0..400 {
            window.pass(1, 0);
            if is_there(window) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("the picture was never decoded");
    };
    drop_file(&mut window, "white.png");
    wait_for(&mut window, &|window| window.last_request().image.is_some());
    let request = window.last_request();
    assert_eq!(request.lanes[0].start, ViewStart::Image);
    assert!(request.image.unwrap().iter().all(|&value| value == 1.0));
    // This model's sampler adds no noise.
    let is_announced = |window: &Window| {
        let notices = &window.viewer().session.notices;
        notices.iter().any(|notice| notice.text.contains("all chains of a row stay identical"))
    };
    wait_for(&mut window, &is_announced);
    drop_file(&mut window, "notes.txt");
    assert!(window.has("only checkpoints (.safetensors) and pictures"));
    drop_file(&mut window, "last_ckpt.pt");
    assert!(window.has("jempp import"));
    drop_file(&mut window, "broken.png");
    wait_for(&mut window, &|window| window.has("broken.png"));
    drop_file(&mut window, "model.safetensors");
    let opened = window.worker.asked.iter().rev().find_map(|command| match command {
        Command::Open(name) => Some(name.clone()),
        _ => None,
    });
    assert!(opened.unwrap().ends_with("model.safetensors"));
}

#[test]
fn a_failure_is_a_banner_with_a_retry() {
    let mut window = Window::new();
    assert!(window.has("No GPU found; running on the CPU."));
    window.worker.say(Event::Failed("the device was lost".into()));
    window.pass(1, 0);
    assert!(window.has("Stopped: the device was lost."));
    let asked = window.worker.asked.len();
    window.click("Try again");
    window.pass(3, 0);
    let asked = &window.worker.asked[asked..];
    assert!(
        matches!(asked, [Command::Retry, Command::Open(name), Command::Restart(_)] if name == "fashion")
    );
    assert!(!window.has("Stopped:"));
}

#[test]
fn what_is_refused_is_said() {
    let mut window = Window::new();
    window.worker.say(Event::Refused("no file `missing.safetensors`".into()));
    window.pass(1, 0);
    assert!(window.has("no file `missing.safetensors`"));
}

#[test]
fn the_link_shows_the_same_view() {
    let mut window = Window::new();
    window.click("PYLD vs. SGLD at equal gradients");
    window.pass(2, 1);
    let view = window.viewer().view();
    let query = view.to_query();
    assert_eq!(ViewState::from_query(&format!("https://example.org/?{query}")).unwrap(), view);
    let mut other = Window::open([1280.0, 800.0], ViewState::from_query(&query).unwrap());
    other.pass(2, 0);
    assert_eq!(other.last_request(), window.last_request());
}

#[test]
fn training_news_reach_their_tab() {
    let mut window = Window::new();
    window.harness.state_mut().viewer_mut().session.tab = Tab::Train;
    window.pass(1, 0);
    let config = jempp::config::RunConfig::preset("fashion-quick").unwrap();
    window.worker.say(Event::Training(Box::new(TrainingUpdate::Started {
        folder: "runs/fashion-quick-window".into(),
        config: Box::new(config),
        step: 0,
        num_steps: 2028,
        memory: "about 90 MiB".into(),
        class_names: jempp::data::class_names(jempp::config::DatasetName::FashionMnist).unwrap(),
        shape: [1, 28, 28],
    })));
    for step in 1..=50 {
        window.worker.say(Event::Training(Box::new(TrainingUpdate::Step(TrainingPoint {
            step,
            loss: 2.0,
            cross_entropy: 1.5,
            gap: 0.1,
            gradient_norm: 1.0,
            clamp_rate: 0.0,
            steps_per_sec: 20.0,
        }))));
    }
    window.pass(3, 0);
    assert!(window.has("50 of 2028"), "the progress is shown");
    assert!(window.has("Memory: about 90 MiB"), "and what the run needs");
    window.click("⏸ Pause training");
    window.pass(1, 0);
    assert!(window.worker.asked.iter().any(|command| matches!(command, Command::PauseTraining)));
}

#[test]
fn every_tab_fits_a_small_window() {
    for tab in [Tab::Chains, Tab::Plots, Tab::Train, Tab::Lab] {
        let mut window = Window::open([800.0, 600.0], ViewState::default());
        window.harness.state_mut().viewer_mut().session.tab = tab;
        window.pass(2, 0);
        window.click_if_there(PLAY);
        window.pass(5, 4);
        let screen = egui::Rect::from_min_size(egui::Pos2::ZERO, egui::vec2(800.0, 600.0));
        for label in ["Chains", "Plots", "Train", "Lab", "Lessons", "? Help"] {
            let rect = window.harness.get_by_label(label).rect();
            assert!(screen.contains_rect(rect), "{label} at {rect} in {tab:?}");
        }
    }
}

impl Window {
    fn click_if_there(&mut self, label: &str) {
        if let Some(node) = self.harness.query_by_label(label) {
            node.click();
        }
        self.harness.step();
    }
}

#[test]
fn probabilities_say_how_they_are_calibrated() {
    let mut window = Window::new();
    window.harness.state_mut().viewer_mut().run.selected = Some(Selection { lane: 0, chain: 12 });
    window.click(PLAY);
    window.pass(5, 4);
    assert!(!window.has("calibrated"));
    let model = &mut window.harness.state_mut().viewer_mut().run.model;
    model.as_mut().unwrap().temperature = Some(1.3249);
    window.pass(3, 0);
    assert!(window.has("calibrated after training, T = 1.32"));
}

#[test]
fn a_chain_is_selected_and_shown_closely() {
    let mut window = Window::new();
    window.harness.state_mut().viewer_mut().run.selected = Some(Selection { lane: 0, chain: 12 });
    window.click(PLAY);
    window.pass(5, 4);
    // The third chain of the second row. The scripted trousers are at 30 (1 - e^(-step / 15)).
    assert!(window.has("Trouser, chain 3 at step"));
    assert!(window.has("distance from start"));
    let step = window.viewer().run.last_step();
    let distance = window.viewer().run.shown_numbers().unwrap().1[0].distance[12];
    assert!((distance - 30.0 * (1.0 - (-(step as f32) / 15.0).exp())).abs() < 1e-3);
    assert!(window.has(&format!("{distance:.3}")));
}
