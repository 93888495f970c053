//! Small windows, in which not all chains can be seen at once: their cells, and how the others come into view.

use crate::app::Window;
use egui::{
    Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, Rect, TouchPhase, accesskit::Role,
    vec2,
};
use egui_kittest::kittest::Queryable;
use jempp::config::ViewState;

/// The smallest side of a cell in which a garment can be recognized.
const LEAST: f32 = 24.0;
const LOW: [f32; 2] = [400.0, 300.0];

fn window(size: [f32; 2]) -> Window {
    let mut window = Window::open(size, ViewState::default());
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(20, 3);
    window.harness.state_mut().viewer_mut().run.pause();
    window.pass(2, 0);
    window
}

fn name(class: &str, chain: usize) -> String {
    format!("{class}, chain {chain}, lane 1")
}

/// The cells of which at least a part is in view.
fn cells(window: &Window) -> Vec<Rect> {
    let found = window.harness.query_all_by_label_contains(", lane 1");
    found.map(|cell| cell.rect()).collect()
}

/// The number of chains that the window says it shows, if it does not show all.
fn num_said(window: &Window) -> Option<usize> {
    let said = |count: &usize| {
        let text = format!("{count} of 100 chains shown: scroll for more");
        window.harness.query_by_label(&text).is_some()
    };
    (0..=100).find(said)
}

/// Whether the whole cell of a chain is above the transport and below the menu.
fn is_in_view(window: &Window, class: &str, chain: usize) -> bool {
    let menu = window.harness.get_by_role_and_label(Role::Button, "Menu");
    let top = menu.rect().bottom();
    let bottom = window.harness.get_by_label("recorded steps").rect().top();
    let cell = window.harness.query_by_label(&name(class, chain)).map(|cell| cell.rect());
    cell.is_some_and(|cell| cell.top() >= top && cell.bottom() <= bottom)
}

#[test]
fn cells_are_large_enough_for_a_garment_and_the_window_says_how_many_it_shows() {
    let sizes = [LOW, [440.0, 300.0], [640.0, 360.0], [844.0, 390.0], [390.0, 844.0]];
    for size in sizes {
        let window = window(size);
        let cells = cells(&window);
        for cell in &cells {
            assert!(cell.width() >= LEAST && cell.height() >= LEAST, "{cell} at {size:?}");
        }
        match num_said(&window) {
            None => assert_eq!(cells.len(), 100, "{size:?}"),
            Some(num_said) => {
                // A row at the edge may be seen in part.
                let num_partly = cells.len() - num_said;
                assert!(num_said >= 40 && num_partly <= 10, "{num_said} at {size:?}");
            }
        }
        assert_eq!(num_said(&window).is_none(), size[1] > size[0], "{size:?}");
    }
}

#[test]
fn the_other_chains_come_into_view() {
    let mut window = window(LOW);
    let last = "Ankle boot";
    assert!(is_in_view(&window, "T-shirt/top", 1) && !is_in_view(&window, last, 1));
    let num_before = num_said(&window);
    window.harness.hover_at(cells(&window)[0].center());
    window.harness.step();
    window.harness.event(Event::MouseWheel {
        unit: MouseWheelUnit::Point,
        delta: vec2(0.0, -400.0),
        phase: TouchPhase::Move,
        source: MouseWheelSource::Unknown,
        modifiers: Modifiers::NONE,
    });
    window.pass(30, 0);
    assert!(!is_in_view(&window, "T-shirt/top", 1) && is_in_view(&window, last, 1));
    assert!(num_said(&window).is_some());
    // The names of the rows are beside their cells.
    let row = window.harness.get_by_label(&format!("Only {last}")).rect();
    let cell = window.harness.get_by_label(&name(last, 1)).rect();
    assert!((row.center().y - cell.center().y).abs() < 3.0, "{row} {cell}");
    // One row alone has the space.
    window.click(&format!("Only {last}"));
    window.pass(3, 0);
    assert_eq!(window.viewer().run.shown_classes(), [9]);
    assert!(num_said(&window).is_none() && is_in_view(&window, last, 10));
    window.harness.key_press(Key::A);
    window.pass(3, 0);
    assert_eq!(num_said(&window), num_before);
}

#[test]
fn the_selected_chain_is_in_view() {
    let mut window = window(LOW);
    // Its panel takes space from the chains.
    window.click(&name("T-shirt/top", 10));
    window.pass(4, 0);
    assert_eq!(window.viewer().run.selected.unwrap().chain, 9);
    assert!(window.has("Close this panel"));
    for role in [Role::Button, Role::Label, Role::Image, Role::Canvas] {
        for node in window.harness.query_all_by_role(role) {
            assert!(node.rect().right() <= LOW[0], "{node:?} at {}", node.rect());
        }
    }
    let cell = window.harness.get_by_label(&name("T-shirt/top", 10)).rect();
    assert!(cell.width() >= 19.0 && cell.right() < 0.6 * LOW[0], "{cell}");
    // The keys move on to chains that were not in view.
    window.harness.get_by_label(&name("T-shirt/top", 10)).focus();
    window.pass(3, 0);
    for _ in 0..9 {
        window.harness.key_press(Key::ArrowDown);
        window.pass(3, 0);
    }
    assert_eq!(window.viewer().run.selected.unwrap().chain, 99);
    assert!(is_in_view(&window, "Ankle boot", 10));
}
