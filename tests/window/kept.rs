//! What the window must not lose, move or leave unsaid.

use crate::{app::Window, scripted::Scripted};
use egui_kittest::kittest::Queryable;
use jempp::{
    app::Tab,
    config::ViewStart,
    worker::{Command, Event, TrainingUpdate},
};

/// The number of restarts that the worker was asked for.
fn num_restarts(worker: &Scripted) -> usize {
    worker.asked.iter().filter(|command| matches!(command, Command::Restart(_))).count()
}

/// A window whose chains have made some steps and pause.
pub(crate) fn played() -> Window {
    let mut window = Window::new();
    window.click("▶ Play");
    window.pass(5, 4);
    window.click("⏸ Pause");
    window.pass(2, 0);
    window
}

/// Says that a training run has begun.
pub(crate) fn start_training(window: &mut Window) {
    let config = jempp::config::RunConfig::preset("fashion-quick").unwrap();
    window.worker.say(Event::Training(Box::new(TrainingUpdate::Started {
        folder: "runs/x".into(),
        config: Box::new(config),
        step: 0,
        num_steps: 10,
        memory: String::new(),
        class_names: jempp::data::class_names(jempp::config::DatasetName::FashionMnist).unwrap(),
        shape: [1, 28, 28],
    })));
    window.pass(2, 0);
}

#[test]
fn every_tab_is_drawn_at_every_size() {
    let sizes = [
        [200.0, 150.0],
        [320.0, 568.0],
        [400.0, 300.0],
        [449.0, 300.0],
        [480.0, 160.0],
        [599.0, 479.0],
        [640.0, 480.0],
        [800.0, 600.0],
        [1280.0, 800.0],
        [3840.0, 2160.0],
    ];
    let mut window = played();
    window.harness.state_mut().viewer_mut().session.tab = Tab::Chains;
    for size in sizes {
        window.harness.set_size(size.into());
        for tab in [Tab::Chains, Tab::Plots, Tab::Train, Tab::Lab] {
            window.harness.state_mut().viewer_mut().session.tab = tab;
            window.pass(2, 1);
        }
        // With a chain selected, a sheet or a panel opens.
        let selection = jempp::app::Selection { lane: 0, chain: 3 };
        window.harness.state_mut().viewer_mut().run.selected = Some(selection);
    }
}

#[test]
fn a_row_filter_leaves_the_run_alone() {
    let mut window = played();
    let (before, step) = (num_restarts(&window.worker), window.viewer().run.last_step());
    window.harness.key_press(egui::Key::Num3);
    window.pass(2, 0);
    assert_eq!(window.viewer().run.shown_classes(), [2]);
    assert_eq!(window.viewer().run.shown_chains(), (20..30).collect::<Vec<_>>());
    let cells = |window: &Window| window.harness.query_all_by_label_contains(", lane 1").count();
    assert_eq!(cells(&window), 10);
    window.harness.key_press(egui::Key::A);
    window.pass(2, 0);
    assert_eq!(cells(&window), 100);
    window.harness.key_press(egui::Key::Num0);
    window.pass(2, 0);
    assert_eq!(window.viewer().run.shown_classes(), [9], "the tenth row");
    assert_eq!(num_restarts(&window.worker), before);
    assert_eq!(window.viewer().run.last_step(), step);
}

#[test]
fn a_digit_key_means_the_class_of_that_name() {
    let mut window = Window::new();
    let model = window.harness.state_mut().viewer_mut().run.model.as_mut().unwrap();
    model.class_names = (0..10).map(|digit| digit.to_string()).collect();
    for (key, class) in [(egui::Key::Num7, 7), (egui::Key::Num0, 0)] {
        window.harness.key_press(key);
        window.pass(1, 0);
        assert_eq!(window.viewer().run.shown_classes(), [class]);
    }
    // A digit whose class has no row is not the number of a row.
    let run = &mut window.harness.state_mut().viewer_mut().run;
    run.settings.classes = vec![1, 3];
    run.restart();
    window.pass(2, 0);
    for (key, classes) in [(egui::Key::Num2, &[1, 3][..]), (egui::Key::Num3, &[3])] {
        window.harness.key_press(key);
        window.pass(1, 0);
        assert_eq!(window.viewer().run.shown_classes(), classes);
    }
}

#[test]
fn the_last_run_comes_back() {
    for change in [egui::Key::R, egui::Key::N] {
        let mut window = played();
        let (step, request) = (window.viewer().run.last_step(), window.last_request());
        let images = window.viewer().run.shown_images().unwrap().1[0].x.clone();
        let entries =
            |window: &Window| window.viewer().run.record.as_ref().unwrap().images.entries().len();
        let num_entries = entries(&window);
        window.harness.key_press(change);
        window.pass(3, 0);
        assert_eq!(window.viewer().run.last_step(), 0);
        assert!(window.viewer().run.can_undo());
        window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z);
        window.pass(3, 0);
        assert_eq!(window.viewer().run.last_step(), step);
        assert_eq!(window.last_request(), request);
        assert_eq!(entries(&window), num_entries, "the whole record is back");
        assert_eq!(window.viewer().run.settings.seed, request.seed);
        assert!(window.viewer().run.shown_images().unwrap().1[0].x.len() == images.len());
        let branched = window.worker.asked.iter().rev().find_map(|command| match command {
            Command::Branch { step, x, .. } => Some((*step, x[0].clone())),
            _ => None,
        });
        assert!(branched.unwrap() == (step, images), "the worker's chains are there again");
    }
}

#[test]
fn restarts_during_a_training_leave_alone_what_comes_back() {
    let mut window = played();
    let step = window.viewer().run.last_step();
    window.harness.key_press(egui::Key::R);
    window.pass(3, 0);
    start_training(&mut window);
    window.click("▶ Play");
    window.pass(3, 1);
    window.click("⏸ Pause");
    window.pass(2, 0);
    let later = window.viewer().run.last_step();
    assert!(0 < later && later < step, "{later} {step}");
    // The worker starts the chains once more by itself, to show the weights of now.
    let request = window.last_request();
    window.worker.say(Event::Started(request));
    window.pass(2, 0);
    window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z);
    window.pass(4, 0);
    assert_eq!(window.viewer().run.last_step(), step);
}

#[test]
fn nothing_to_bring_back_is_said() {
    let mut window = Window::new();
    window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z);
    window.pass(2, 0);
    assert!(window.has("There is no earlier run to bring back."));
}

#[test]
fn an_undo_says_where_it_has_no_effect() {
    let mut window = played();
    window.harness.key_press(egui::Key::R);
    window.pass(3, 0);
    for (tab, said) in [
        (Tab::Lab, "There is no earlier run to bring back."),
        (Tab::Train, "For drawings and data, use the button Undo"),
    ] {
        window.harness.state_mut().viewer_mut().session.tab = tab;
        window.pass(2, 0);
        window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z);
        window.pass(2, 0);
        assert!(window.has(said), "{tab:?}");
        assert!(window.viewer().run.can_undo());
    }
}

#[test]
fn a_run_comes_back_while_another_model_loads() {
    for by_key in [true, false] {
        let mut window = played();
        let (step, request) = (window.viewer().run.last_step(), window.last_request());
        window.harness.state_mut().viewer_mut().set_up("?model=mnist-sampler");
        // The worker has not answered yet.
        window.harness.step();
        assert!(window.viewer().run.model.is_none() && window.viewer().run.record.is_none());
        match by_key {
            true => window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z),
            false => window.click("Undo"),
        }
        window.pass(6, 0);
        let run = &window.viewer().run;
        assert_eq!(run.model.as_ref().unwrap().name, "fashion");
        assert_eq!((run.last_step(), window.last_request()), (step, request));
    }
}

#[test]
fn a_model_that_would_pause_the_training_asks_first() {
    let mut window = Window::new();
    start_training(&mut window);
    let num_opened = |window: &Window| {
        window.worker.asked.iter().filter(|command| matches!(command, Command::Open(_))).count()
    };
    let before = num_opened(&window);
    for (answer, is_opened) in [("Keep training", 0), ("Pause training and open", 1)] {
        window.viewer().run.open("mnist");
        window.pass(2, 0);
        assert!(window.has("Opening MNIST digits (JEM++) pauses the training."));
        window.click(answer);
        window.pass(2, 0);
        assert_eq!(num_opened(&window) - before, is_opened, "{answer}");
    }
}

#[test]
fn an_undo_that_would_pause_the_training_can_be_declined() {
    let mut window = played();
    let before = window.last_request();
    let mut other = window.viewer().run.model.clone().unwrap();
    other.name = "mnist".into();
    window.worker.say(Event::Opened(Box::new(other)));
    window.pass(2, 0);
    let run = &mut window.harness.state_mut().viewer_mut().run;
    run.settings.seed = 77;
    run.restart();
    window.pass(2, 0);
    start_training(&mut window);
    let settings = window.viewer().run.settings.clone();
    assert_ne!(settings.seed, before.seed);
    for _ in 0..2 {
        window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z);
        window.pass(2, 0);
        assert!(window.has("Opening Fashion-MNIST (JEM++) pauses the training."));
        window.click("Keep training");
        window.pass(2, 0);
        assert_eq!(window.viewer().run.settings, settings, "what is shown is what runs");
        assert!(window.viewer().run.can_undo(), "the run before can still come back");
    }
    window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::Z);
    window.pass(2, 0);
    window.click("Pause training and open");
    window.pass(4, 0);
    assert_eq!(window.last_request(), before);
}

#[test]
fn the_transport_stands_still() {
    let mut window = played();
    let labels = ["⏮ Step back", "▶ Play", "Step ⏭", "⟲ Restart", "New seed"];
    let places = |window: &Window| labels.map(|label| window.harness.get_by_label(label).rect());
    let before = places(&window);
    window.click("⏮ Step back");
    window.pass(2, 0);
    assert!(window.viewer().run.looking_at.is_some());
    assert_eq!(places(&window), before, "at a step of the past");
    window.worker.say(Event::Refused("a notice".into()));
    window.pass(2, 0);
    assert_eq!(places(&window), before, "with a notice");
}

#[test]
fn in_the_lab_nothing_of_the_hidden_chains_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = played();
    window.harness.state_mut().save_to(folder.path().to_path_buf());
    window.harness.state_mut().viewer_mut().session.tab = Tab::Lab;
    window.pass(2, 0);
    for key in [egui::Key::S, egui::Key::E] {
        window.harness.key_press_modifiers(egui::Modifiers::COMMAND, key);
        window.pass(2, 0);
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let written: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(written.is_empty(), "{written:?}");
    assert!(window.has("There is nothing to save yet."), "the lab of this test has no energy");
}

#[test]
fn pictures_show_the_view_at_several_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = played();
    window.harness.state_mut().save_to(folder.path().to_path_buf());
    let mut saved = |name: &str, scale: u8, is_light: bool| {
        let session = &mut window.harness.state_mut().viewer_mut().session;
        (session.picture.scale, session.picture.is_light) = (scale, is_light);
        window.harness.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::S);
        let path = folder.path().join(name);
        for _ in 0..400 {
            window.pass(1, 0);
            if path.exists() {
                return image::open(path).unwrap().to_rgb8();
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("{name} was never saved");
    };
    let small = saved("chains.png", 1, false);
    let large = saved("chains-2.png", 2, true);
    assert_eq!([large.width(), large.height()], [2 * small.width(), 2 * small.height()]);
    let corner = |picture: &image::RgbImage| picture.get_pixel(2, 2).0[0];
    assert!(corner(&small) < 64 && corner(&large) > 192, "dark and light");
    let mut colors: Vec<_> = small.pixels().collect();
    colors.sort_by_key(|pixel| pixel.0);
    colors.dedup();
    assert!(colors.len() > 100, "garments, frames and names: {}", colors.len());
}

#[test]
fn plots_are_saved_as_vector_graphics() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = played();
    window.harness.state_mut().save_to(folder.path().to_path_buf());
    window.harness.state_mut().viewer_mut().session.tab = Tab::Plots;
    window.pass(2, 0);
    window.click("Save");
    window.click("Drawing (SVG)");
    let path = folder.path().join("plots.svg");
    for _ in 0..400 {
        window.pass(1, 0);
        if path.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    let svg = std::fs::read_to_string(path).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("<polyline") && svg.contains("Gradient norm"));
    assert!(svg.contains("jempp view"), "the caption has the link");
}

#[test]
fn a_link_to_a_file_of_this_machine_says_so() {
    let mut window = Window::new();
    window.harness.state_mut().viewer_mut().run.settings.model =
        "/home/me/model.safetensors".into();
    window.click("Save");
    window.click("Copy link");
    assert!(window.has("It works only with the file /home/me/model.safetensors"));
}

#[test]
fn a_link_to_a_shared_model_tells_its_address() {
    let mut window = Window::new();
    window.harness.state_mut().viewer_mut().run.settings.model =
        "/home/me/.cache/jempp/models/huggingface.co/ada/letters/resolve/main/model.safetensors"
            .into();
    window.click("Save");
    window.click("Copy link");
    assert!(window.has("Open it with: jempp view --checkpoint hf:ada/letters '"));
    assert!(!window.has("send the file too"));
}

#[test]
fn a_link_says_what_chains_start_from_and_it_does_not_hold() {
    for (start, said) in [
        (ViewStart::ClassCenters, None),
        (ViewStart::Image, Some("It does not hold your image, which chains start from.")),
        (ViewStart::Buffer, Some("It does not hold the chains of the replay buffer")),
    ] {
        let mut window = Window::new();
        window.harness.state_mut().viewer_mut().run.lanes[0].start = start;
        window.click("Save");
        window.click("Copy link");
        assert_eq!(window.has("It does not hold"), said.is_some(), "{start:?}");
        assert!(said.is_none_or(|said| window.has(said)), "{start:?}");
    }
}

#[test]
fn equal_chains_without_noise_are_explained() {
    let mut window = Window::new();
    let run = &mut window.harness.state_mut().viewer_mut().run;
    run.start_image = Some(vec![0.0; 784].into());
    let mut lane = run.lanes[0].clone();
    (lane.start, lane.sampler.noise_std) = (ViewStart::Image, 0.0);
    run.set_lane(0, lane.clone());
    window.pass(2, 0);
    assert!(window.has("all chains of a row stay identical"));
    lane.sampler.noise_std = 0.01;
    window.harness.state_mut().viewer_mut().run.set_lane(0, lane);
    window.pass(2, 0);
    assert!(!window.has("all chains of a row stay identical"));
}

#[test]
fn a_rule_changed_before_the_first_step_is_the_rule_of_the_run() {
    let mut window = Window::new();
    let mut lane = window.viewer().run.lanes[0].clone();
    lane.sampler.proximal_radius = 0.5;
    window.harness.state_mut().viewer_mut().run.set_lane(0, lane);
    window.click("▶ Play");
    window.pass(5, 4);
    window.harness.state_mut().viewer_mut().session.tab = Tab::Plots;
    window.pass(6, 0);
    assert!(!window.has("The sampler was changed during the run"));
}
