//! The slice of the image model: pictures along the path of a chain, and the image under the pointer.

use crate::app::Window;
use egui_kittest::kittest::Queryable;
use jempp::{app::Tab, config::LabView};

fn slice(size: [f32; 2], num_steps: usize) -> Window {
    let mut window = Window::open(size, Default::default());
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(num_steps / 5, 5);
    let viewer = window.harness.state_mut().viewer_mut();
    viewer.run.pause();
    viewer.session.tab = Tab::Lab;
    viewer.lab.settings.config.view = LabView::Slice;
    window.pass(4, 0);
    window
}

#[test]
fn pictures_stand_along_the_path_and_the_image_under_the_pointer_is_shown() {
    for size in [[1280.0, 800.0], [800.0, 600.0], [390.0, 844.0]] {
        let mut window = slice(size, 60);
        assert_eq!(window.viewer().run.last_step(), 60);
        let label = "Energy on the plane through a chain's path";
        let square = window.harness.get_by_label_contains(label).rect();
        let seen = "Pictures: start: E = 60.000, now: E = 0.000, 10, 20";
        assert!(window.has(seen), "{size:?}");
        assert!(!window.has("The image under the pointer"));
        window.harness.hover_at(square.center());
        window.pass(2, 0);
        let seen = window.harness.get_by_label_contains("The image under the pointer").rect();
        assert!(window.has("here: E = 0."), "the middle of the bowl");
        // It is not under the pointer itself.
        assert!(!seen.contains(square.center()), "{size:?}");
    }
}
