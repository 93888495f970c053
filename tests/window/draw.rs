//! Drawing one's own data in the window: the pad, the classes, and a model that is trained on them.

use std::time::Duration;

use crate::scripted::Scripted;
use egui::{Event as Input, Modifiers, PointerButton, accesskit::Role, pos2};
use egui_kittest::{Harness, kittest::Queryable};
use jempp::{
    app::{App, Tab},
    config::{DataConfig, DatasetName, ViewState},
    data::{OwnFile, drawn::DrawnSet},
    worker::{self, Command, Event, TrainingUpdate},
};

const DESKTOP: [f32; 2] = [1280.0, 800.0];
const TALL: [f32; 2] = [390.0, 844.0];
const FLAT: [f32; 2] = [844.0, 390.0];

struct Window {
    harness: Harness<'static, App>,
    worker: Scripted,
}

impl Window {
    /// A window that shows the panel for drawing.
    fn new(size: [f32; 2]) -> Self {
        let (worker, link) = Scripted::new();
        let harness = Harness::builder().with_size(size).with_max_steps(8).build_ui_state(
            |ui, app: &mut App| {
                app.drain(ui.ctx());
                app.show(ui);
            },
            App::new(link, ViewState::default()),
        );
        let mut window = Self { harness, worker };
        window.pass(3);
        window.harness.state_mut().viewer_mut().session.tab = Tab::Train;
        window.pass(1);
        window.press("Draw your own data");
        window
    }

    fn pass(&mut self, frames: usize) {
        for _ in 0..frames {
            self.harness.step();
            self.worker.work(0);
        }
        self.harness.step();
    }

    fn press(&mut self, label: &str) {
        // As a screen reader does, because on a phone a button may be further down.
        self.harness.get_by_role_and_label(Role::Button, label).click_accesskit();
        self.pass(2);
    }

    fn has(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    /// Draws a stroke through points of the unit square on the pad, all within one frame, as where frames are slow.
    fn stroke(&mut self, pad: &str, points: &[[f32; 2]]) {
        let rect = self.harness.get_by_role_and_label(Role::Canvas, pad).rect();
        let at =
            |[x, y]: [f32; 2]| pos2(rect.left() + x * rect.width(), rect.top() + y * rect.height());
        let button = |pos, pressed| Input::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        self.harness.event(Input::PointerMoved(at(points[0])));
        self.pass(1);
        // In a browser, a finger presses twice: as a pointer and as a touch.
        self.harness.event(button(at(points[0]), true));
        self.harness.event(button(at(points[0]), true));
        for &point in &points[1..] {
            self.harness.event(Input::PointerMoved(at(point)));
        }
        self.pass(1);
        self.harness.event(button(at(points[points.len() - 1]), false));
        self.pass(1);
    }

    fn draw(&mut self, points: &[[f32; 2]]) {
        self.stroke("Pad to draw on", points);
    }

    /// The names of the classes with the number of drawings of each.
    fn counts(&self) -> Vec<(String, usize)> {
        let drawn = &self.harness.state().viewer().training.drawn;
        drawn.classes().iter().map(|class| (class.name.clone(), class.drawings.len())).collect()
    }

    /// The list of files and the run that the worker was asked for last.
    fn asked(&self) -> Option<(Vec<OwnFile>, Command)> {
        let mut given = None;
        self.worker.asked.iter().find_map(|command| match command {
            Command::GiveData { files, .. } => {
                given = Some(files.clone());
                None
            }
            Command::Train { .. } => Some((given.clone()?, command.clone())),
            _ => None,
        })
    }
}

const CROSS: [[[f32; 2]; 2]; 2] = [[[0.2, 0.2], [0.8, 0.8]], [[0.8, 0.2], [0.2, 0.8]]];

#[test]
fn three_drawings_of_each_class_are_enough_to_train() {
    for size in [DESKTOP, TALL, FLAT] {
        let mut window = Window::new(size);
        assert!(window.has("Draw 3 of circle, or remove that class."));
        for class in ["circle", "cross", "zigzag"] {
            window.press(&format!("Draw {class}"));
            for nth in 0..3 {
                for line in CROSS {
                    window.draw(&line.map(|[x, y]| [x, y * (0.7 + 0.1 * nth as f32)]));
                }
                window.press("Next");
            }
        }
        let three = ["circle", "cross", "zigzag"].map(|name| (name.to_string(), 3));
        assert_eq!(window.counts(), three);
        let drawing = &window.harness.state().viewer().training.drawn.classes()[0].drawings[0];
        assert_eq!(drawing.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2], "two strokes");
        assert!(window.has("Press Train, or draw more"));
        window.press("▶ Train");
        while window.asked().is_none() {
            window.pass(1);
        }
        let Some((files, Command::Train { config, out })) = window.asked() else { unreachable!() };
        assert_eq!(config.data.dataset, DatasetName::Custom);
        assert_eq!(config.data.dir, "drawings");
        assert!(out.starts_with("runs"), "{}", out.display());
        assert!(files.iter().any(|file| file.name.starts_with("train/zigzag/")));
        assert!(files.iter().any(|file| file.name.starts_with("test/circle/")));
    }
}

#[test]
fn a_drawing_joins_its_class_after_a_pause_and_an_undo_takes_it_back() {
    let mut window = Window::new(DESKTOP);
    window.draw(&CROSS[0]);
    assert_eq!(window.counts()[0].1, 0, "the drawing may go on");
    window.pass(120);
    assert_eq!(window.counts()[0].1, 1);
    window.press("Undo");
    assert_eq!(window.counts()[0].1, 0);
    window.pass(120);
    assert_eq!(window.counts()[0].1, 0, "it waits on the pad");
    window.draw(&CROSS[1]);
    window.press("Next");
    let strokes = &window.harness.state().viewer().training.drawn.classes()[0].drawings[0];
    assert_eq!(strokes.len(), 2, "what came back was drawn on");
    // A tap is a dot, and clearing can be undone too.
    window.draw(&[[0.5, 0.5]]);
    window.press("Clear");
    window.press("Undo");
    window.press("Next");
    assert_eq!(window.counts()[0].1, 2);
    window.press("Delete drawing 1 of circle");
    assert_eq!(window.counts()[0].1, 1);
    window.press("Undo");
    assert_eq!(window.counts()[0].1, 2);
}

#[test]
fn classes_are_renamed_added_and_removed() {
    let mut window = Window::new(DESKTOP);
    let rename = |window: &mut Window, class: usize, text: &str| {
        let label = format!("Name of class {class}");
        window.harness.get_by_role_and_label(Role::TextInput, &label).focus();
        window.pass(1);
        window.harness.key_press_modifiers(Modifiers::COMMAND, egui::Key::A);
        window.harness.event(Input::Text(text.into()));
        window.harness.key_press(egui::Key::Enter);
        window.pass(2);
    };
    let names = |window: &Window| -> Vec<String> {
        window.counts().into_iter().map(|(name, _)| name).collect()
    };
    rename(&mut window, 2, "cat");
    assert_eq!(names(&window), ["circle", "cat", "zigzag"]);
    rename(&mut window, 1, "cat");
    assert!(window.has("There is already a class cat."));
    assert_eq!(names(&window), ["circle", "cat", "zigzag"]);
    window.press("Add a class");
    assert_eq!(names(&window), ["circle", "cat", "zigzag", "class 4"]);
    window.press("Remove circle");
    assert_eq!(names(&window), ["cat", "zigzag", "class 4"]);
    for _ in 0..3 {
        window.press("Undo");
    }
    assert_eq!(names(&window), ["circle", "cross", "zigzag"]);
}

#[test]
fn examples_become_a_model_whose_chains_have_their_names() {
    let mut window = Window::new(DESKTOP);
    window.press("Fill with examples");
    assert_eq!(window.counts(), ["face", "house", "star"].map(|name| (name.to_string(), 10)));
    window.press("▶ Train");
    while window.asked().is_none() {
        window.pass(1);
    }
    let Some((files, Command::Train { config, out })) = window.asked() else { unreachable!() };
    // The real worker trains in a folder of this test.
    let worker = worker::spawn("cpu".into(), || {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = config.data.dir.clone();
    worker.commands.send(Command::GiveData { name, files }).unwrap();
    worker.commands.send(Command::Train { config, out: folder.path().join("run") }).unwrap();
    let (mut num_steps, mut num_buffers) = (0, 0);
    while num_steps < 2 || num_buffers == 0 {
        for event in worker.events.recv_timeout(Duration::from_secs(60)).unwrap() {
            let Event::Training(mut update) = event else { continue };
            match &mut *update {
                TrainingUpdate::Started { folder, .. } => folder.clone_from(&out),
                TrainingUpdate::Step(_) => num_steps += 1,
                TrainingUpdate::Buffer { x, labels } => {
                    assert_eq!(x.len(), labels.len() * 24 * 24);
                    num_buffers += 1;
                }
                TrainingUpdate::Failed(reason) => panic!("{reason}"),
                _ => {}
            }
            window.worker.say(Event::Training(update));
        }
    }
    worker.commands.send(Command::PauseTraining).unwrap();
    window.pass(2);
    assert!(window.has("one row per class: face, house, star"));
    assert!(window.has("⏸ Stop"));
    // The drawings are still there after a look at another tab.
    window.harness.state_mut().viewer_mut().session.tab = Tab::Chains;
    window.pass(2);
    window.harness.state_mut().viewer_mut().session.tab = Tab::Train;
    window.pass(2);
    assert!(window.has("Delete drawing 10 of star"));
    let checkpoint = folder.path().join("checkpoint.safetensors");
    let stopped = TrainingUpdate::Stopped { is_complete: true, checkpoint, temperature: None };
    window.worker.say(Event::Training(Box::new(stopped)));
    window.pass(2);
    window.press("Open the model");
    assert_eq!(window.harness.state().viewer().session.tab, Tab::Chains);
}

#[test]
fn drawings_are_saved_as_a_file() {
    let mut window = Window::new(DESKTOP);
    let folder = tempfile::tempdir().unwrap();
    window.harness.state_mut().save_to(folder.path().to_path_buf());
    window.press("Fill with examples");
    window.press("Save the drawings…");
    let file = folder.path().join("drawings.zip");
    while !window.has("Saved") {
        window.pass(1);
    }
    let saved = DrawnSet::from_zip(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(saved.classes, window.harness.state().viewer().training.drawn.classes());
    let config = DataConfig {
        dataset: DatasetName::Custom,
        dir: file.display().to_string(),
        ..DataConfig::default()
    };
    let splits = jempp::data::load(&config, 0).unwrap();
    assert_eq!((splits.train.len(), splits.test.len()), (480, 48));
    assert_eq!(splits.train.class_names, ["face", "house", "star"]);
}
