//! The way through the lessons.

use crate::{app::Window, scripted::Scripted};
use egui::{Rect, Shape};
use egui_kittest::{Harness, kittest::Queryable};
use jempp::{
    app::App,
    config::ViewState,
    lessons::{Lesson, LessonStep, TITLES},
    worker::{Command, Event},
};

const SIZES: [[f32; 2]; 4] = [[400.0, 300.0], [800.0, 600.0], [1280.0, 800.0], [390.0, 844.0]];

/// Opens a lesson of the program at a step.
fn open(window: &mut Window, number: usize, step: usize) {
    window.harness.state_mut().viewer_mut().lesson.open(number, step);
    window.pass(1, 0);
    give(window, number);
}

/// The text of a lesson of the program.
fn text_of(number: usize) -> String {
    std::fs::read_to_string(format!("assets/lessons/{number}.md")).unwrap()
}

/// Gives the window the text of a lesson.
fn give(window: &mut Window, number: usize) {
    window.worker.say(Event::Lesson { number, text: text_of(number) });
    window.pass(3, 1);
}

/// A frame in another page.
fn embedded(size: [f32; 2]) -> Window {
    let (worker, link) = Scripted::new();
    let harness = Harness::builder().with_size(size).with_max_steps(8).build_ui_state(
        |ui, app: &mut App| {
            app.drain(ui.ctx());
            app.show(ui);
        },
        App::embedded(link, ViewState::default(), "./index.html?"),
    );
    let mut window = Window { harness, worker };
    window.pass(3, 0);
    window
}

/// The places of the buttons for the way back and on.
fn places(window: &Window) -> [Rect; 2] {
    let names = ["Next ▶", "Next lesson ▶", "✔ Finish"];
    let next = names.iter().find_map(|name| window.harness.query_by_label(name)).unwrap();
    [window.harness.get_by_label("◀ Back").rect(), next.rect()]
}

#[test]
fn the_way_back_and_on_has_one_place_in_every_step_of_every_lesson() {
    for size in SIZES {
        let mut window = Window::open(size, ViewState::default());
        open(&mut window, 1, 1);
        let first = places(&window);
        assert!(Rect::from_min_size(egui::Pos2::ZERO, size.into()).contains_rect(first[1]));
        for number in 1..=TITLES.len() {
            open(&mut window, number, 1);
            for step in 1..=4 {
                window.harness.state_mut().viewer_mut().lesson.open(number, step);
                window.pass(3, 2);
                assert_eq!(places(&window), first, "lesson {number}, step {step}, at {size:?}");
            }
        }
    }
}

#[test]
fn a_banner_leaves_the_way_back_and_on_where_it_is() {
    for size in SIZES {
        let mut window = Window::open(size, ViewState::default());
        open(&mut window, 1, 1);
        let before = places(&window);
        window.harness.state_mut().viewer_mut().session.warning = Some("A warning.".into());
        window.pass(3, 0);
        assert!(window.has("A warning."), "{size:?}");
        assert_eq!(places(&window), before, "{size:?}");
    }
}

#[test]
fn next_and_back_go_through_all_lessons() {
    let mut window = Window::open([1280.0, 800.0], ViewState::default());
    open(&mut window, 1, 1);
    let at = |window: &Window| (window.viewer().lesson.number, window.viewer().lesson.step);
    let mut seen = vec![at(&window)];
    while window.harness.query_by_label("✔ Finish").is_none() {
        let [_, next] = places(&window);
        // The same point each time, as with a hand that stays where it is.
        window.harness.hover_at(next.center());
        let name = ["Next ▶", "Next lesson ▶"];
        let name = name.into_iter().find(|name| window.harness.query_by_label(name).is_some());
        window.click(name.unwrap());
        let (number, _) = at(&window);
        give(&mut window, number);
        seen.push(at(&window));
        assert!(seen.len() < 40);
    }
    assert_eq!(seen.last().unwrap().0, TITLES.len());
    window.click("✔ Finish");
    assert!(window.has("That was the last lesson"));
    // Back leads from the closing words to the last step, and from there to the first.
    for expected in seen.iter().rev() {
        window.click("◀ Back");
        let (number, _) = at(&window);
        give(&mut window, number);
        assert_eq!(at(&window), *expected);
    }
    window.click("◀ Back");
    assert_eq!(at(&window), (1, 1));
}

/// The sizes of a page in which a lesson is read, and those of a frame in another page.
const PAGES: [[f32; 2]; 5] =
    [[320.0, 480.0], [568.0, 320.0], [667.0, 375.0], [844.0, 390.0], [1024.0, 768.0]];
const FRAMES: [[f32; 2]; 2] = [[640.0, 480.0], [360.0, 640.0]];

/// The first paragraph of a step; links are buttons of their own.
fn first_paragraph(step: &LessonStep) -> String {
    let text_of = |spans: &[jempp::lessons::Span]| -> String {
        spans.iter().filter(|span| span.link.is_none()).map(|span| span.text.as_str()).collect()
    };
    let mut texts = step.blocks.iter().map(|block| text_of(&block.spans));
    texts.find(|text| text.contains(char::is_alphanumeric)).unwrap()
}

/// The number of rows of a text that are in sight, and that of all its rows.
fn rows_in_sight(window: &Window, text: &str) -> [usize; 2] {
    let drawn = window.harness.output().shapes.iter().find_map(|drawn| match &drawn.shape {
        Shape::Text(shape) if shape.galley.text() == text => Some((drawn.clip_rect, shape)),
        _ => None,
    });
    let (clip, shape) = drawn.unwrap_or_else(|| panic!("not in sight: {text}"));
    let rows = shape.galley.rows.iter().map(|row| row.rect().translate(shape.pos.to_vec2()));
    let is_seen = |row: &Rect| row.top() > clip.top() - 1.0 && row.bottom() < clip.bottom() + 1.0;
    [rows.filter(is_seen).count(), shape.galley.rows.len()]
}

#[test]
fn the_first_lines_of_each_step_and_the_way_on_are_in_sight() {
    let pages = PAGES.map(|size| (size, Window::open(size, ViewState::default())));
    let frames = FRAMES.map(|size| (size, embedded(size)));
    for (size, mut window) in pages.into_iter().chain(frames) {
        let screen = Rect::from_min_size(egui::Pos2::ZERO, size.into());
        for number in 1..=TITLES.len() {
            open(&mut window, number, 1);
            for (index, step) in Lesson::parse(&text_of(number)).steps.iter().enumerate() {
                window.harness.state_mut().viewer_mut().lesson.open(number, index + 1);
                window.pass(3, 0);
                let what = format!("lesson {number}, step {}, at {size:?}", index + 1);
                let [seen, all] = rows_in_sight(&window, &first_paragraph(step));
                assert!(seen >= all.min(2), "{seen} of {all} lines in {what}");
                let [_, next] = places(&window);
                assert!(screen.contains_rect(next), "{next} in {what}");
            }
        }
    }
}

#[test]
fn why_a_lesson_does_not_come_stands_in_its_place() {
    let reason = "cannot load lessons/4.md: no connection";
    for size in SIZES {
        let mut window = Window::open(size, ViewState::default());
        window.harness.state_mut().viewer_mut().lesson.open(4, 1);
        window.pass(1, 0);
        window.worker.say(Event::LessonRefused { number: 4, reason: reason.into() });
        // The reason for another lesson, which was left meanwhile.
        window.worker.say(Event::LessonRefused { number: 5, reason: "lost".into() });
        window.pass(3, 0);
        assert!(window.has(reason) && !window.has("lost"), "{size:?}");
        // A notice would be gone after a while.
        assert!(window.viewer().session.notices.is_empty());
        let events = window.harness.state_mut().spoken().events;
        assert_eq!(events[0], format!("The lesson cannot be shown: {reason}."));
        let num_asked = |window: &Window| {
            let is_it = |asked: &&Command| matches!(asked, Command::Lesson { number: 4, .. });
            window.worker.asked.iter().filter(is_it).count()
        };
        assert_eq!(num_asked(&window), 1);
        window.click("Load it again");
        window.pass(2, 0);
        assert!(!window.has(reason) && num_asked(&window) == 2, "{size:?}");
        give(&mut window, 4);
        assert!(window.has("One explodes, one does not"), "{size:?}");
        assert!(!window.has("Load it again"));
    }
}
