//! The slice of the image model: pictures along the path of a chain, and the image under the pointer.

use crate::app::Window;
use egui_kittest::kittest::Queryable;
use jempp::{
    app::{Selection, Tab},
    config::LabView,
    worker::{Command, lab::LabCommand},
};

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

#[test]
fn the_slice_ends_at_the_shown_step_and_names_the_chain_as_the_grid_does() {
    let mut window = slice([1280.0, 800.0], 60);
    let run = &mut window.harness.state_mut().viewer_mut().run;
    run.selected = Some(Selection { lane: 0, chain: 12 });
    run.look_at(20);
    window.pass(4, 0);
    let path = window.worker.asked.iter().rev().find_map(|command| match command {
        Command::Lab(LabCommand::Slice { path }) => Some(path.len()),
        _ => None,
    });
    assert_eq!(path, Some(21 * 784), "from the start to step 20");
    assert!(window.has("around the path of Trouser, chain 3."));
    assert!(window.has("Pictures: start: E = 60.000, now: E = 40.000"));
}

#[test]
fn pictures_along_the_path_look_as_in_the_grid() {
    let mut window = slice([1280.0, 800.0], 20);
    let says = "They are without the noise of the data where the gradient was read";
    assert!(window.has("at the shown step.") && !window.has(says));
    let run = &mut window.harness.state_mut().viewer_mut().run;
    let sampler = &mut run.lanes[0].sampler;
    (sampler.denoise_step, sampler.noise_std) = (5.0, 0.05);
    run.selected = Some(Selection { lane: 0, chain: 3 });
    window.pass(4, 0);
    assert!(window.has(says));
}
