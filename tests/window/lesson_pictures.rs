//! The pictures of the lessons in `docs/images`, drawn from the same states as in the window, so that print and screen
//! agree. `UPDATE_LESSON_PICTURES=1` makes them anew: look at them before you commit them.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use egui_kittest::Harness;
use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::png};
use jempp::{
    app::{App, Link, Tab},
    config::ViewState,
    lessons::{Lesson, TITLES},
    worker::{self, Worker},
};

/// The maximum size of a picture file, in bytes.
const MAX_BYTES: u64 = 60_000;
/// The states that the pictures were made from.
const STATES: &str = "tests/snapshots/lesson-pictures.txt";

/// The step of each lesson that has a picture, the step of the chains that it shows, and its size in points.
const PICTURES: [(usize, usize, [f32; 2]); TITLES.len()] = [
    (3, 300, [380.0, 400.0]),
    (2, 400, [400.0, 430.0]),
    (2, 400, [380.0, 400.0]),
    (1, 6, [640.0, 350.0]),
    (2, 60, [420.0, 350.0]),
    (2, 400, [380.0, 400.0]),
    (3, 5, [360.0, 350.0]),
    (1, 1500, [380.0, 400.0]),
];

fn path(number: usize) -> PathBuf {
    format!("docs/images/lesson-{number}.png").into()
}

/// The link of the state that a step of a lesson sets up.
fn link(number: usize) -> String {
    let text = fs::read_to_string(format!("assets/lessons/{number}.md")).unwrap();
    let (step, ..) = PICTURES[number - 1];
    Lesson::parse(&text).steps[step - 1].state().unwrap().into()
}

/// Every state with the number of its lesson, a line each.
fn states() -> String {
    let state = |number: usize| {
        let (step, at, _) = PICTURES[number - 1];
        format!("lesson {number}, step {step}, after {at} steps: {}\n", link(number))
    };
    (1..=TITLES.len()).map(state).collect()
}

#[test]
fn each_lesson_has_a_picture_of_its_state_in_print() {
    if std::env::var("UPDATE_LESSON_PICTURES").is_ok() {
        (1..=TITLES.len()).for_each(make);
        fs::write(STATES, states()).unwrap();
    }
    let guides = ["docs/teaching.md", "docs/teaching.ko.md"];
    for number in 1..=TITLES.len() {
        let size = fs::metadata(path(number)).unwrap().len();
        assert!(size <= MAX_BYTES, "lesson {number}: {size} bytes");
        for guide in guides {
            let name = format!("](images/lesson-{number}.png)");
            assert!(fs::read_to_string(guide).unwrap().contains(&name), "{guide}: {name}");
        }
    }
    let made_from = fs::read_to_string(STATES).unwrap();
    let hint =
        "a lesson has another state than its picture: run this test with UPDATE_LESSON_PICTURES=1";
    assert_eq!(made_from, states(), "{hint}");
}

/// Plays the state of a lesson and writes its picture.
fn make(number: usize) {
    let (_, num_steps, size) = PICTURES[number - 1];
    let mut view = ViewState::from_query(&link(number)).unwrap();
    view.lab.config.num_steps = num_steps;
    view.lab.config.max_steps_per_sec = 0.0;
    view.view.num_steps = num_steps;
    view.view.max_steps_per_sec = 0.0;
    let is_lab = view.view.tab == Tab::Lab;
    let Worker { commands, events, .. } = worker::spawn("cpu".into(), || {}).unwrap();
    let app = App::new(Link { commands, events }, view);
    let mut harness = Harness::builder().with_size([1280.0, 800.0]).build_ui_state(
        |ui, app: &mut App| {
            app.drain(&ui.ctx().clone());
            app.show(ui);
        },
        app,
    );
    let begin = Instant::now();
    loop {
        harness.step();
        std::thread::sleep(Duration::from_millis(10));
        let viewer = harness.state().viewer();
        let step = if is_lab { viewer.lab.record.step } else { viewer.run.last_step() };
        if step >= num_steps as u64 {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(300), "lesson {number}: step {step}");
    }
    let ctx = harness.ctx.clone();
    let picture = harness.state_mut().for_print(&ctx, size).unwrap();
    fs::write(path(number), small_png(&picture)).unwrap();
}

/// Encodes a picture as a PNG of few colours, which compress well, and of fewer shades if that is not enough.
fn small_png(picture: &RgbImage) -> Vec<u8> {
    let gif = jempp::picture::gif_of(std::slice::from_ref(picture), 100).unwrap();
    let mut picture = image::load_from_memory(&gif).unwrap().to_rgb8();
    for keep in [0xff, 0xf8, 0xf0] {
        picture.pixels_mut().flat_map(|pixel| &mut pixel.0).for_each(|value| *value &= keep);
        let mut bytes = Vec::new();
        let (best, filter) = (png::CompressionType::Best, png::FilterType::NoFilter);
        png::PngEncoder::new_with_quality(&mut bytes, best, filter)
            .write_image(&picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)
            .unwrap();
        if bytes.len() as u64 <= MAX_BYTES {
            return bytes;
        }
    }
    panic!("the picture is too large for {MAX_BYTES} bytes");
}
