//! A person's own data on the training tab, with the real worker on the CPU back end.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use egui_kittest::{Harness, kittest::Queryable};
use jempp::{
    app::{App, Link, Tab, Viewer},
    config::ViewState,
    worker::{self, Command, Event, TrainingUpdate},
};

#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        fs::read(&self.0).map_err(|error| error.to_string())
    }
}

/// The variable that names a folder for pictures of the window.
const PHOTOGRAPHS: &str = "JEMPP_PHOTOGRAPHS";

struct Window {
    harness: Harness<'static, App>,
}

impl Window {
    fn open(size: [f32; 2]) -> Self {
        let worker = worker::spawn("cpu".into(), || {}).unwrap();
        let link = Link { commands: worker.commands, events: worker.events };
        let view = ViewState::from_query("tab=train&model=two-moons&per_class=1").unwrap();
        let mut builder = Harness::builder().with_size(size).with_max_steps(8);
        // The list of models has no name while the first of them is loaded, which takes a few frames here.
        builder = builder.with_accessibility_check(false);
        if std::env::var_os(PHOTOGRAPHS).is_some() {
            builder = builder.wgpu();
        }
        let harness = builder.build_ui_state(
            |ui, app: &mut App| {
                app.drain(ui.ctx());
                app.show(ui);
            },
            App::new(link, view),
        );
        let mut window = Self { harness };
        window.until("a model", |viewer| viewer.run.model.is_some());
        window
    }

    fn drop(&mut self, paths: &[PathBuf]) {
        for path in paths {
            self.harness.input_mut().dropped_files.push(Arc::new(Dropped(path.clone())));
        }
        self.harness.step();
        self.harness.step();
    }

    /// Saves a picture of the window for people to look at, if a folder for it is named.
    fn photograph(&mut self, name: &str) {
        if let Some(folder) = std::env::var_os(PHOTOGRAPHS) {
            let picture = self.harness.render().unwrap();
            picture.save(Path::new(&folder).join(format!("{name}.png"))).unwrap();
        }
    }

    fn viewer(&self) -> &Viewer {
        self.harness.state().viewer()
    }

    fn has(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Viewer) -> bool) {
        let begin = Instant::now();
        while !is_so(self.viewer()) {
            assert!(begin.elapsed() < Duration::from_secs(90), "{what}: not within 90 s");
            std::thread::sleep(Duration::from_millis(20));
            self.harness.step();
        }
        self.harness.step();
    }

    fn until_shown(&mut self, text: &str) {
        let begin = Instant::now();
        while !self.has(text) {
            let notices: Vec<_> = self.viewer().session.notices.iter().map(|n| &n.text).collect();
            assert!(
                begin.elapsed() < Duration::from_secs(90),
                "{text}: not within 90 s; {notices:?}"
            );
            std::thread::sleep(Duration::from_millis(20));
            self.harness.step();
        }
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.harness.step();
        self.harness.step();
    }

    /// Trains the data that is shown in a new folder until its chains are shown; then the run is paused.
    fn train(&mut self) {
        self.until_shown("about ");
        self.click("▶ Train on this");
        self.until("a run", |viewer| viewer.training.is_running);
        self.until_shown("chains of the replay buffer");
    }
}

/// Writes grey pictures with stripes of a class into a folder.
fn pictures(folder: &Path, count: u32, [width, height]: [u32; 2], slant: u32) -> Vec<PathBuf> {
    fs::create_dir_all(folder).unwrap();
    let paths: Vec<PathBuf> = (0..count).map(|n| folder.join(format!("{n}.png"))).collect();
    for (n, path) in paths.iter().enumerate() {
        let picture = image::GrayImage::from_fn(width, height, |x, y| {
            image::Luma([if (x + slant * y + n as u32).is_multiple_of(5) {
                230
            } else {
                20 + n as u8
            }])
        });
        picture.save(path).unwrap();
    }
    paths
}

#[test]
fn loose_pictures_become_named_classes_that_train() {
    let dir = tempfile::tempdir().unwrap();
    let lines = pictures(&dir.path().join("1"), 12, [12, 8], 0);
    let slants = pictures(&dir.path().join("2"), 12, [12, 8], 1);
    let mut window = Window::open([1280.0, 800.0]);
    assert!(window.has("Drop a folder, a zip or pictures here"));
    assert!(window.has("Nothing leaves this computer"));
    window.drop(&lines);
    assert!(window.has("12 pictures. What do they show?"));
    window.photograph("waiting");
    window.harness.get_by_label("Name of the class").focus();
    window.harness.step();
    window.harness.get_by_label("Name of the class").type_text("lines");
    window.harness.step();
    window.click("Add class");
    assert!(window.has("Now drop the pictures of the next class."));
    window.until_shown("There is one class");
    window.drop(&slants[..11]);
    window.harness.get_by_label("Name of the class").focus();
    window.harness.step();
    window.harness.get_by_label("Name of the class").type_text("slants");
    window.harness.step();
    window.click("Add class");
    // Another picture for a class that is there.
    window.drop(&slants[11..]);
    assert!(window.has("1 picture. What do they show?") && window.has("or add them to"));
    window.click("slants");
    window.until_shown(
        "20 to train on and 4 to test with, in 2 classes; the model sees grey images of 8×12.",
    );
    assert!(window.has("20 training items of your data, one row per class: lines, slants"));
    let out = dir.path().join("run");
    window.until_shown("about ");
    window.photograph("two-classes");
    // The run of the test is in a folder of its own.
    let field = window.harness.get_by_label("New run folder");
    field.focus();
    window.harness.step();
    window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::A);
    window.harness.step();
    window.harness.get_by_label("New run folder").type_text(out.to_str().unwrap());
    window.harness.step();
    window.train();
    assert!(window.has("one row per class: lines, slants"));
    window.photograph("training");
    window.click("⏸ Pause training");
    window.until("a pause", |viewer| !viewer.training.is_running);
    assert!(out.join("data.zip").exists(), "the pictures stay with the run");
    let model = window.viewer().run.model.clone().unwrap();
    assert_eq!(
        (model.class_names, model.shape),
        (vec!["lines".into(), "slants".into()], [1, 8, 12])
    );
    window.click("See its chains");
    assert_eq!(window.viewer().session.tab, Tab::Chains);
    // The run goes on from the archive in its folder, without the files of the person.
    fs::remove_dir_all(dir.path().join("1")).unwrap();
    let worker = worker::spawn("cpu".into(), || {}).unwrap();
    drop(window);
    worker.commands.send(Command::ResumeTraining(out)).unwrap();
    let is_resumed = |event: Event| match event {
        Event::Training(update) => matches!(*update, TrainingUpdate::Started { .. }),
        Event::Refused(reason) => panic!("{reason}"),
        _ => false,
    };
    while !worker.events.recv_timeout(Duration::from_secs(60)).unwrap().into_iter().any(is_resumed)
    {
    }
}

#[test]
fn a_folder_and_a_zip_are_shown_and_undone() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    pictures(&set.join("a"), 6, [8, 8], 0);
    pictures(&set.join("b"), 6, [8, 8], 1);
    fs::write(set.join("b/broken.png"), "no picture").unwrap();
    let mut window = Window::open([1280.0, 800.0]);
    window.harness.state_mut().viewer_mut().session.tab = Tab::Chains;
    window.drop(std::slice::from_ref(&set));
    assert_eq!(window.viewer().session.tab, Tab::Train, "a folder can only be data");
    window.until_shown("10 to train on and 2 to test with, in 2 classes");
    assert!(window.has("⚠ 2 classes have fewer than 10 training items"));
    window.photograph("folder");
    assert!(window.has("Left out: 1 image that cannot be read: b/broken.png"));
    let zip = dir.path().join("bad.zip");
    fs::write(&zip, b"PK\x03\x04 and nothing more").unwrap();
    window.drop(&[zip]);
    window.until_shown("⚠ the archive is damaged");
    window.click("Undo");
    window.until_shown("10 to train on and 2 to test with, in 2 classes");
    window.click("Other data");
    assert!(window.has("Drop a folder, a zip or pictures here"));
    // Folders of pictures are classes of their own.
    window.drop(&[set.join("a")]);
    window.until_shown("Now drop the pictures of the next class.");
    assert!(window.has("6 pictures"));
}

#[test]
fn every_choice_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, size) in [("in/train", [8, 8]), ("in/b", [12, 8]), ("in/b/old", [8, 8])] {
        pictures(&dir.path().join("set").join(folder), 6, size, 0);
    }
    let mut window = Window::open([1280.0, 800.0]);
    window.drop(&[dir.path().join("set")]);
    window.until_shown("All of it is in its folder in.");
    assert!(window.has("Train/ is a class: it has no class folders in it."));
    assert!(window.has("1 folder in a class is merged into it (in/b/old)."));
    // The last of seven.
    assert!(window.has("No test part there: a sixth of each class became one, chosen by seed 0."));
}

#[test]
fn the_invitation_fits_a_phone() {
    let dir = tempfile::tempdir().unwrap();
    let class = pictures(&dir.path().join("a"), 3, [8, 8], 0);
    for size in [[390.0, 844.0], [844.0, 390.0]] {
        let mut window = Window::open(size);
        let node = window.harness.get_by_label_contains("Drop a folder, a zip or pictures here");
        assert!(node.rect().right() <= size[0], "{:?}", node.rect());
        window.photograph(&format!("empty-{}", size[0]));
        window.drop(&class);
        window.photograph(&format!("waiting-{}", size[0]));
        let node = window.harness.get_by_label("Add class");
        assert!(node.rect().right() <= size[0], "{:?}", node.rect());
    }
}
