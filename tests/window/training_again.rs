//! What is asked for while something else is under way: a second start of a training run, a model to save beside the one that was
//! trained, and other chains during an animation.

use std::path::Path;

use egui_kittest::kittest::Queryable;
use jempp::{
    app::Tab,
    worker::{Command, Event, TrainingUpdate},
};

use crate::{
    app::Window,
    kept::{played, start_training},
};

/// The number of training runs that the worker was asked for.
fn num_starts(window: &Window) -> usize {
    let is_start = |command: &&Command| matches!(command, Command::Train { .. });
    window.worker.asked.iter().filter(is_start).count()
}

/// Shows the tab Train.
fn show_training(window: &mut Window) {
    window.harness.state_mut().viewer_mut().session.tab = Tab::Train;
    window.pass(2, 0);
}

/// Lets a quarter of a minute of the window's time pass.
fn wait(window: &mut Window) {
    let time = |window: &Window| window.harness.ctx.input(|input| input.time);
    let begin = time(window);
    while time(window) < begin + 15.0 {
        window.pass(10, 0);
    }
}

fn say(window: &mut Window, event: Event) {
    window.worker.say(event);
    window.pass(2, 0);
}

#[test]
fn a_run_is_asked_for_once_however_long_its_start_takes() {
    let mut window = Window::new();
    show_training(&mut window);
    for num_asked in 1..=3 {
        window.click("▶ Start");
        window.pass(2, 0);
        assert!(window.has("starting…"));
        wait(&mut window);
        window.click("▶ Start");
        window.pass(2, 0);
        assert!(window.has("starting…"));
        assert_eq!(num_starts(&window), num_asked);
        // A failure is an answer too, be it of the run or of the worker.
        match num_asked {
            1 => {
                let failed = TrainingUpdate::Failed("no memory".into());
                say(&mut window, Event::Training(Box::new(failed)));
            }
            _ => {
                say(&mut window, Event::Failed("the device is lost".into()));
                assert!(!window.has("starting…"));
                window.harness.state_mut().viewer_mut().session.failure = None;
                window.pass(2, 0);
            }
        }
        assert!(!window.has("starting…"));
    }
}

#[test]
fn a_run_on_drawings_is_asked_for_once_too() {
    let mut window = Window::new();
    show_training(&mut window);
    window.click("Draw your own data");
    window.pass(2, 0);
    window.harness.get_by_label("Fill with examples").click_accesskit();
    window.pass(2, 0);
    window.click("▶ Train");
    while num_starts(&window) == 0 {
        window.pass(1, 0);
    }
    wait(&mut window);
    window.click("▶ Train");
    window.pass(1, 0);
    assert!(!window.has("Making pictures"));
    assert_eq!(num_starts(&window), 1);
    // While it starts, no other run can be asked for either.
    window.click("Back");
    window.pass(2, 0);
    window.click("▶ Start");
    window.pass(2, 0);
    assert_eq!(num_starts(&window), 1);
}

#[test]
fn the_menu_saves_the_open_model_and_the_training_tab_the_one_that_was_trained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.safetensors");
    let mut window = Window::new();
    window.harness.state_mut().save_to(folder.path().to_path_buf());
    start_training(&mut window);
    let stopped = TrainingUpdate::Stopped {
        is_complete: true,
        checkpoint: "runs/x/checkpoint.safetensors".into(),
        temperature: None,
    };
    say(&mut window, Event::Training(Box::new(stopped)));
    let last = |window: &Window| {
        let is_save =
            |command: &&Command| matches!(command, Command::Save(_) | Command::SaveOpen(_));
        window.worker.asked.iter().rev().find(is_save).cloned()
    };
    assert!(last(&window).is_none());
    window.click("Save");
    window.click("Model (safetensors)");
    window.pass(2, 0);
    assert!(matches!(last(&window), Some(Command::SaveOpen(path)) if path == file));
    show_training(&mut window);
    window.click("Save model…");
    window.pass(2, 0);
    assert!(matches!(last(&window), Some(Command::Save(path)) if path == file));
}

/// The number of frames of an animation, once it is written.
fn frames_of(path: &Path) -> usize {
    for _ in 0..400 {
        if path.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let gif = image::codecs::gif::GifDecoder::new(file).unwrap();
    image::AnimationDecoder::into_frames(gif).count()
}

/// A window that draws an animation of all recorded steps of its chains to a folder, and their number.
fn filming(folder: &Path) -> (Window, usize) {
    let mut window = played();
    window.harness.state_mut().save_to(folder.to_path_buf());
    window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::G);
    window.pass(1, 0);
    let length = window.viewer().run.last_step() as usize + 1;
    assert!((15..=30).contains(&length) && window.has(&format!("Drawing {length} frames.")));
    (window, length)
}

#[test]
fn an_animation_is_whole_although_the_chains_are_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut window, length) = filming(folder.path());
    window.harness.key_press(egui::Key::R);
    window.pass(2, 0);
    assert_eq!(window.viewer().run.last_step(), 0);
    let file = folder.path().join("chains.gif");
    assert!(!file.exists(), "it is still being drawn");
    window.pass(length, 0);
    assert_eq!(frames_of(&file), length);
    assert!(!window.has("ended early"));
    assert_eq!(window.viewer().run.last_step(), 0);
}

#[test]
fn an_animation_that_other_chains_end_says_how_many_frames_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let (mut window, length) = filming(folder.path());
    window.harness.key_press(egui::Key::N);
    window.pass(3, 0);
    let count = frames_of(&folder.path().join("chains.gif"));
    assert!(0 < count && count < length, "{count} of {length}");
    assert!(window.has(&format!("ended early: {count} of {length} frames are saved.")));
}

#[test]
fn an_animation_without_a_frame_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = played();
    window.harness.state_mut().save_to(folder.path().to_path_buf());
    window.click("Save");
    window.harness.get_by_label_contains("Animation (GIF)").click();
    window.harness.step();
    let mut request = window.last_request();
    request.seed += 1;
    say(&mut window, Event::Started(request));
    assert!(window.has("ended early: 0 of "));
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
