//! The window on a phone and in a frame of another page, tested by accessible labels, with a scripted worker.

use crate::scripted::Scripted;
use egui::accesskit;
use egui_kittest::{Harness, kittest::Queryable};
use jempp::{
    app::{App, Link, Tab, Viewer},
    config::{LaneConfig, SamplerKind, ViewState},
    worker::{Command, Event},
};

const TALL: [f32; 2] = [390.0, 844.0];
const WIDE: [f32; 2] = [844.0, 390.0];
const SHORT: [f32; 2] = [360.0, 640.0];

struct Window {
    harness: Harness<'static, App>,
    worker: Scripted,
}

impl Window {
    fn with(size: [f32; 2], app: impl FnOnce(Link) -> App) -> Self {
        let (worker, link) = Scripted::new();
        let harness = Harness::builder().with_size(size).with_max_steps(8).build_ui_state(
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

    fn new(size: [f32; 2]) -> Self {
        Self::with(size, |link| App::new(link, ViewState::default()))
    }

    fn embedded(size: [f32; 2], view: ViewState) -> Self {
        Self::with(size, |link| App::embedded(link, view, "./index.html?"))
    }

    /// Draws `frames` frames, with `steps_each` steps of the worker between two.
    fn pass(&mut self, frames: usize, steps_each: usize) {
        for _ in 0..frames {
            self.harness.step();
            self.worker.work(steps_each);
        }
        self.harness.step();
    }

    fn press(&mut self, label: &str) {
        self.harness.get_by_role_and_label(accesskit::Role::Button, label).click();
        self.pass(2, 0);
    }

    /// Moves a slider one step to the right.
    fn nudge(&mut self, label: &str) {
        self.harness.get_by_role_and_label(accesskit::Role::Slider, label).focus();
        self.harness.step();
        self.harness.key_press(egui::Key::ArrowRight);
        self.pass(2, 1);
    }

    fn viewer(&self) -> &Viewer {
        self.harness.state().viewer()
    }

    fn has(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    /// The rules that the worker received last.
    fn told(&self) -> Option<Vec<LaneConfig>> {
        self.worker.asked.iter().rev().find_map(|command| match command {
            Command::SetLanes(lanes) => Some(lanes.clone()),
            _ => None,
        })
    }
}

#[test]
fn chains_play_under_the_thumb() {
    for size in [TALL, WIDE, SHORT] {
        let mut window = Window::new(size);
        window.press("▶ Play");
        window.pass(5, 3);
        assert!(window.viewer().run.last_step() > 5);
        window.press("⏸ Pause");
        let last = window.viewer().run.last_step();
        window.press("Step forward");
        window.pass(2, 1);
        assert_eq!(window.viewer().run.last_step(), last + 1);
        window.press("Step back");
        assert_eq!(window.viewer().run.shown_step(), last);
        window.press("Jump to newest");
        assert_eq!(window.viewer().run.shown_step(), last + 1);
        window.press("Restart");
        window.pass(1, 0);
        assert_eq!(window.viewer().run.last_step(), 0);
        let labels = ["▶ Play", "Step back", "Restart", "New seed", "Controls", "Chain", "Menu"];
        for label in labels {
            let node = window.harness.get_by_role_and_label(accesskit::Role::Button, label);
            assert!(node.rect().height() >= 36.0, "{label}: {}", node.rect());
        }
        let rect = window.harness.get_by_label("recorded steps").rect();
        assert!(rect.height() >= 36.0 && rect.width() >= 80.0, "{rect}");
    }
}

#[test]
fn the_menu_brings_the_last_run_back() {
    for size in [TALL, WIDE] {
        let mut window = Window::new(size);
        window.harness.state_mut().viewer_mut().run.play();
        window.pass(5, 3);
        window.harness.state_mut().viewer_mut().run.pause();
        window.pass(2, 0);
        let step = window.viewer().run.last_step();
        assert!(step > 5);
        window.press("Restart");
        window.pass(1, 0);
        assert_eq!(window.viewer().run.last_step(), 0);
        window.press("Menu");
        window.press("Undo");
        window.pass(3, 0);
        assert_eq!(window.viewer().run.last_step(), step, "{size:?}");
    }
    // There is nothing to bring back at first.
    let mut window = Window::new(TALL);
    window.press("Menu");
    assert!(!window.has("Undo"));
}

#[test]
fn controls_open_act_and_close() {
    for size in [TALL, WIDE, SHORT] {
        let mut window = Window::new(size);
        assert!(!window.has("inner step α"));
        window.press("Controls");
        let before = window.viewer().run.lanes[0].sampler.inner_step_size;
        window.nudge("inner step α");
        let sampler = &window.viewer().run.lanes[0].sampler;
        assert!(sampler.inner_step_size > before);
        assert_eq!(window.told().unwrap()[0].sampler.inner_step_size, sampler.inner_step_size);
        // The chains stay visible above or beside the sheet.
        let chain = window.harness.get_by_label("T-shirt/top, chain 10, lane 1").rect();
        let close = window.harness.get_by_label("Close this panel").rect();
        assert!(chain.bottom() <= close.top() || chain.right() <= close.left(), "{chain} {close}");
        window.press("Close this panel");
        assert!(!window.has("inner step α"));
    }
}

#[test]
fn a_tapped_chain_is_shown_until_it_is_let_go() {
    let mut window = Window::new(TALL);
    window.press("Trouser, chain 3, lane 1");
    assert!(window.has("distance from start"));
    window.press("Close this panel");
    assert!(!window.has("distance from start"));
    assert_eq!(window.viewer().run.selected, None);
}

#[test]
fn a_phone_held_upright_has_room_for_the_questions_of_the_verdict() {
    for size in [TALL, SHORT] {
        let mut window = Window::new(size);
        window.press("▶ Play");
        window.pass(60, 3);
        assert_eq!(window.viewer().run.last_step(), 100);
        window.press("100 more");
        window.pass(60, 3);
        assert_eq!(window.viewer().run.last_step(), 200, "{size:?}");
        // The space of a sheet that a person opens comes from this row.
        window.press("Controls");
        assert!(!window.has("100 more"));
        window.press("Close this panel");
        window.press("Does it converge?");
        assert_eq!(window.viewer().session.tab, Tab::Plots);
    }
    assert!(!Window::new(WIDE).has("100 more"), "here the chains need the space");
}

#[test]
fn the_smallest_text_can_be_read() {
    for size in [TALL, WIDE, [1280.0, 800.0]] {
        let window = Window::new(size);
        let style = window.harness.ctx.global_style();
        assert_eq!(style.text_styles[&egui::TextStyle::Small].size, 11.0, "{size:?}");
    }
}

#[test]
fn turning_the_phone_keeps_what_is_open() {
    let mut window = Window::new(TALL);
    window.press("Controls");
    for (size, height) in [(WIDE, 36.0), ([1280.0, 800.0], 20.0), (TALL, 36.0)] {
        window.harness.set_size(size.into());
        window.pass(3, 0);
        assert!(window.has("inner step α"), "{size:?}");
        let style = window.harness.ctx.global_style();
        assert_eq!(style.spacing.interact_size.y, height, "{size:?}");
        assert_eq!(style.text_styles[&egui::TextStyle::Small].size, 11.0, "{size:?}");
    }
}

/// Checks that nothing extends beyond the sides, and that the controls with these labels are on the screen.
fn assert_fits(window: &Window, size: [f32; 2], labels: &[&str], what: &str) {
    let screen = egui::Rect::from_min_size(egui::Pos2::ZERO, size.into());
    use accesskit::Role::{Button, CheckBox, ComboBox, Label, Slider, SpinButton, TextInput};
    let kinds = [Button, CheckBox, ComboBox, Label, Slider, SpinButton, TextInput];
    let nodes = kinds.iter().flat_map(|&kind| window.harness.query_all_by_role(kind));
    for node in nodes {
        let rect = node.rect();
        let is_inside = rect.left() >= -0.5 && rect.right() <= screen.right() + 0.5;
        assert!(is_inside, "{node:?} at {rect} in {what}");
    }
    for label in labels {
        for node in window.harness.query_all_by_role_and_label(Button, label) {
            assert!(screen.contains_rect(node.rect()), "{label} at {} in {what}", node.rect());
        }
    }
}

#[test]
fn every_tab_fits_every_screen() {
    for size in [TALL, WIDE, SHORT, [320.0, 568.0], [667.0, 375.0]] {
        for tab in [Tab::Chains, Tab::Plots, Tab::Train, Tab::Lab] {
            let mut window = Window::new(size);
            window.harness.state_mut().viewer_mut().run.play();
            window.pass(5, 4);
            window.harness.state_mut().viewer_mut().session.tab = tab;
            window.pass(3, 0);
            let labels = ["Menu", "⏸ Pause", "Restart", "Controls", "Chain", "Energies"];
            assert_fits(&window, size, &labels, &format!("{tab:?} at {size:?}"));
            if matches!(tab, Tab::Train | Tab::Lab) {
                continue;
            }
            for sheet in ["Controls", "Chain"] {
                window.press(sheet);
                assert_fits(&window, size, &labels, &format!("{tab:?} with {sheet} at {size:?}"));
            }
        }
    }
}

#[test]
fn a_failure_takes_one_line() {
    let mut window = Window::new(TALL);
    assert!(window.has("No GPU"));
    window.worker.say(Event::Failed("the device was lost ".repeat(20)));
    window.pass(1, 0);
    let rect = window.harness.get_by_label("Try again").rect();
    assert!(rect.bottom() < 100.0, "{rect}");
    window.press("Try again");
    window.pass(3, 0);
    assert!(window.worker.asked.iter().any(|command| matches!(command, Command::Retry)));
    assert!(!window.has("Stopped:"));
}

#[test]
fn a_lesson_plays_and_its_sliders_reach_every_lane() {
    let mut lanes = vec![LaneConfig::default(); 2];
    lanes[1].sampler.kind = SamplerKind::Sgld;
    for size in [[320.0, 240.0], [480.0, 360.0], [800.0, 600.0], [360.0, 480.0]] {
        let view = ViewState { lanes: lanes.clone(), ..ViewState::default() };
        let mut window = Window::embedded(size, view);
        window.press("▶ Play");
        window.pass(5, 3);
        assert!(window.viewer().run.last_step() > 5);
        assert!(window.has("energy "));
        window.press("⏸ Pause");
        window.nudge("step size α");
        let told = window.told().unwrap();
        let step_size = told[0].sampler.inner_step_size;
        assert!(step_size > lanes[0].sampler.inner_step_size);
        assert_eq!(told[1].sampler.step_size, step_size, "SGLD has no inner steps");
        window.nudge("noise σ");
        let told = window.told().unwrap();
        assert!(told.iter().all(|lane| lane.sampler.noise_std > 0.0));
        assert_eq!(window.viewer().run.lanes.len(), 2);
        window.press("⟲ Restart");
        window.pass(1, 0);
        assert_eq!(window.viewer().run.last_step(), 0);
        assert!(!window.has("Plots") && !window.has("Menu"));
        assert_fits(&window, size, &["▶ Play", "⟲ Restart"], &format!("lesson at {size:?}"));
        let slider = window.harness.get_by_role_and_label(accesskit::Role::Slider, "noise σ");
        assert!(slider.rect().bottom() <= size[1], "{}", slider.rect());
    }
}

#[test]
fn a_lesson_opens_the_full_page_with_the_same_state() {
    let mut window = Window::embedded([480.0, 360.0], ViewState::default());
    window.nudge("noise σ");
    window.harness.get_by_label("Open in jempp").click();
    let mut url = None;
    for _ in 0..3 {
        window.harness.step();
        for command in &window.harness.output().platform_output.commands {
            if let egui::OutputCommand::OpenUrl(open) = command {
                url = Some(open.url.clone());
            }
        }
    }
    let url = url.unwrap();
    assert!(url.starts_with("./index.html?"), "{url}");
    let query = format!("https://example.org/{url}");
    assert_eq!(ViewState::from_query(&query).unwrap(), window.viewer().view());
    window.worker.say(Event::Failed("the device was lost".into()));
    window.pass(1, 0);
    window.press("Try again");
    assert!(window.worker.asked.iter().any(|command| matches!(command, Command::Retry)));
}

#[test]
fn a_finger_on_a_plot_scrolls_the_page() {
    let mut window = Window::new(TALL);
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(5, 4);
    window.harness.state_mut().viewer_mut().session.tab = Tab::Plots;
    window.pass(3, 0);
    window.press("⏸ Pause");
    let title = |window: &Window| window.harness.get_by_label("What the classifier sees").rect();
    let (before, step) = (title(&window), window.viewer().run.shown_step());
    let touch = |window: &mut Window, phase, y: f32| {
        let pos = egui::pos2(200.0, y);
        window.harness.event(egui::Event::Touch {
            device_id: egui::TouchDeviceId(0),
            id: egui::TouchId(0),
            phase,
            pos,
            force: None,
        });
        let button = |pressed| egui::Event::PointerButton {
            pos,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::NONE,
        };
        window.harness.event(match phase {
            egui::TouchPhase::Start => button(true),
            egui::TouchPhase::Move => egui::Event::PointerMoved(pos),
            _ => button(false),
        });
        window.harness.step();
    };
    let y = before.top() - 120.0;
    touch(&mut window, egui::TouchPhase::Start, y);
    for moved in 1..=10 {
        touch(&mut window, egui::TouchPhase::Move, y - 10.0 * moved as f32);
    }
    assert!(title(&window).top() < before.top() - 50.0, "{} {before}", title(&window));
    touch(&mut window, egui::TouchPhase::End, y - 100.0);
    assert_eq!(window.viewer().run.shown_step(), step);
}

#[test]
fn a_frame_has_the_text_of_its_lesson_in_a_strip() {
    let text = "# Noise\n\n## First\n\nA chain moves.\n\n> Because.\n\n## Second\n\nMore.";
    for (size, is_open_first) in [([480.0, 360.0], false), ([640.0, 560.0], true)] {
        let view = ViewState::from_query("lesson=3").unwrap();
        let mut window = Window::embedded(size, view);
        window.worker.say(Event::Lesson { number: 3, text: text.into() });
        window.pass(3, 0);
        assert_eq!(window.has("A chain moves."), is_open_first, "{size:?}");
        let closed = "⏵ 3. Noise";
        if is_open_first {
            window.press("⏷ 3. Noise");
            assert!(!window.has("A chain moves."));
        }
        window.press(closed);
        for words in ["A chain moves.", "Show the answer", "3.1"] {
            assert!(window.has(words), "{words} at {size:?}");
        }
        window.press("Next ▶");
        window.pass(2, 0);
        assert!(window.has("More.") && window.viewer().lesson.step == 2);
    }
}

#[test]
fn a_frame_without_the_text_of_its_lesson_says_why_and_plays_no_other_chains() {
    let view = ViewState::from_query("lesson=4&play=true").unwrap();
    let mut window = Window::embedded([480.0, 360.0], view);
    let reason = "cannot load lessons/4.md: no connection";
    window.worker.say(Event::LessonRefused { number: 4, reason: reason.into() });
    window.pass(5, 3);
    assert!(window.has(reason));
    assert_eq!((window.viewer().run.is_playing(), window.viewer().run.last_step()), (false, 0));
    window.press("⏷ 4. Too large a step");
    window.pass(3, 0);
    assert!(!window.has(reason), "a person folded it");
    window.press("⏵ 4. Too large a step");
    window.press("Load it again");
    let text = "# Noise\n\n## First\n\nA chain moves.";
    window.worker.say(Event::Lesson { number: 4, text: text.into() });
    window.pass(3, 0);
    assert!(window.has("A chain moves.") && !window.has(reason));
}

#[test]
fn on_a_phone_on_its_side_the_lesson_stands_beside_the_chains() {
    let text = "# Noise\n\n## First\n\nA chain moves.";
    for (size, is_beside) in [(WIDE, true), (TALL, false), ([400.0, 300.0], true)] {
        let mut window = Window::new(size);
        window.harness.state_mut().viewer_mut().lesson.open(3, 1);
        window.pass(1, 0);
        window.worker.say(Event::Lesson { number: 3, text: text.into() });
        window.pass(3, 0);
        let words = window.harness.get_by_label("A chain moves.").rect();
        let play = window.harness.get_by_label("▶ Play").rect();
        assert_eq!(words.left() > play.left() + 40.0, is_beside, "{size:?}: {words} {play}");
        assert!(words.bottom() < size[1] && words.right() <= size[0], "{size:?}: {words}");
    }
}
