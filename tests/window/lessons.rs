//! The way through the lessons.

use crate::app::Window;
use egui::Rect;
use egui_kittest::kittest::Queryable;
use jempp::{config::ViewState, lessons::TITLES, worker::Event};

const SIZES: [[f32; 2]; 4] = [[400.0, 300.0], [800.0, 600.0], [1280.0, 800.0], [390.0, 844.0]];

/// Opens a lesson of the program at a step.
fn open(window: &mut Window, number: usize, step: usize) {
    window.harness.state_mut().viewer_mut().lesson.open(number, step);
    window.pass(1, 0);
    give(window, number);
}

/// Gives the window the text of a lesson.
fn give(window: &mut Window, number: usize) {
    let text = std::fs::read_to_string(format!("assets/lessons/{number}.md")).unwrap();
    window.worker.say(Event::Lesson { number, text });
    window.pass(3, 1);
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
