//! The chains at the centre of the window and what is said about them, by accessible labels, with a scripted worker.

use crate::app::Window;
use egui::{Key, accesskit::Role};
use egui_kittest::kittest::Queryable;
use jempp::{
    app::{App, LastRun, Overlay, Selection, Tab},
    config::{RunConfig, SamplerKind, ViewStart, ViewState},
    worker::{Command, Event, TrainingPoint, TrainingUpdate},
};

/// A window of this size, to which the harness adds a margin.
fn window(size: [f32; 2], link: &str) -> Window {
    let mut window =
        Window::open(size.map(|side| side + 16.0), ViewState::from_query(link).unwrap());
    window.pass(2, 0);
    window
}

fn app(window: &mut Window) -> &mut App {
    window.harness.state_mut()
}

fn cell(window: &Window, class: &str, chain: usize) -> egui::Rect {
    window.harness.get_by_label(&format!("{class}, chain {chain}, lane 1")).rect()
}

fn train(window: &mut Window, steps: u64) {
    train_by(window, "fashion-quick", steps);
}

fn train_by(window: &mut Window, preset: &str, steps: u64) {
    window.worker.say(Event::Training(Box::new(TrainingUpdate::Started {
        folder: "runs/fashion-quick-window".into(),
        config: Box::new(RunConfig::preset(preset).unwrap()),
        step: 0,
        num_steps: 2028,
        memory: String::new(),
        class_names: vec!["a".into(), "b".into()],
        shape: [1, 2, 2],
    })));
    for step in 1..=steps {
        window.worker.say(Event::Training(Box::new(TrainingUpdate::Step(TrainingPoint {
            step,
            loss: 2.0,
            cross_entropy: 1.5,
            gap: 0.1,
            gradient_norm: 1.0,
            clamp_rate: 0.0,
            steps_per_sec: 7.0,
        }))));
    }
    window.pass(3, 0);
}

#[test]
fn ten_by_ten_chains_fill_the_centre() {
    let window = window([1280.0, 800.0], "");
    let first = cell(&window, "T-shirt/top", 1);
    let pitch = cell(&window, "T-shirt/top", 2).left() - first.left();
    assert!(pitch >= 62.0, "{pitch}");
    // Garments of 28 pixels are enlarged twice, with a frame around them.
    assert_eq!(first.width(), 56.0 + 4.0);
    let last = cell(&window, "Ankle boot", 10);
    assert!(last.right() - first.left() > 610.0 && last.bottom() - first.top() > 610.0);
}

#[test]
fn one_class_wraps_and_the_arrows_follow_its_lines() {
    let mut window = window([1280.0, 800.0], "classes=2");
    let (first, second) = (cell(&window, "Pullover", 1), cell(&window, "Pullover", 2));
    let last = cell(&window, "Pullover", 10);
    assert!(second.left() > first.right(), "{first} {second}");
    assert!(last.top() > first.bottom(), "{first} {last}");
    assert!(first.width() > 130.0, "{}", first.width());
    window.click("Pullover, chain 1, lane 1");
    assert_eq!(window.viewer().run.selected.unwrap().chain, 0);
    window.harness.get_by_label("Pullover, chain 1, lane 1").focus();
    window.harness.step();
    window.harness.key_press(Key::ArrowDown);
    window.pass(1, 0);
    let below = window.viewer().run.selected.unwrap().chain;
    let rect = cell(&window, "Pullover", below + 1);
    assert_eq!(rect.left(), first.left(), "chain {below}");
    assert!(rect.top() > first.bottom(), "chain {below}");
}

#[test]
fn the_verdict_says_in_words_how_far_the_chains_are() {
    for size in [[1280.0, 800.0], [800.0, 600.0], [2560.0, 1440.0], [390.0, 844.0]] {
        let mut window = window(size, "");
        assert!(window.has("Step 0 · median energy"), "{size:?}");
        window.harness.state_mut().viewer_mut().run.play();
        window.pass(60, 3);
        assert!(window.has("Step 100 · median energy 2."), "{size:?}");
        assert!(window.has("of 100 show their row's class"), "{size:?}");
        assert!(window.has("descent, not sampling: σ = 0"), "{size:?}");
    }
}

#[test]
fn what_the_model_sees_in_a_drawing_is_in_sight_in_a_low_window() {
    let window = window([800.0, 600.0], "");
    let answer = window.harness.get_by_label("The answer appears here.").rect();
    let canvas = window.harness.get_by_label("Canvas to draw on").rect();
    let below = window.harness.get_by_label_contains("Step 0 · median energy").rect();
    assert!(answer.bottom() <= canvas.top(), "{answer} {canvas}");
    assert!(answer.bottom() < below.top(), "{answer} {below}");
}

#[test]
fn the_verdict_on_each_lane_is_whole_at_every_width() {
    for width in (700..2000).step_by(60) {
        for num_lanes in 1..=3 {
            let mut window = window([width as f32, 800.0], "");
            let mut lane = window.viewer().run.lanes[0].clone();
            lane.sampler.kind = SamplerKind::Sgld;
            (lane.sampler.step_size, lane.sampler.noise_std) = (5.0, 0.01);
            let lanes = vec![lane; num_lanes];
            window.harness.state_mut().viewer_mut().run.compare("", lanes, 20);
            window.harness.state_mut().viewer_mut().run.play();
            window.pass(30, 3);
            let texts: Vec<egui::Rect> = (1..=num_lanes)
                .map(|lane| match num_lanes {
                    1 => "Step 20 · median energy".to_string(),
                    _ => format!("Lane {lane}, step 20 · median energy"),
                })
                .map(|text| window.harness.get_by_label_contains(&text).rect())
                .collect();
            let below = window.harness.get_by_label("⏮ Step back").rect().top();
            let what = format!("{width} × 800, {num_lanes} lanes: {texts:?}");
            let is_apart = texts.windows(2).all(|pair| pair[0].bottom() <= pair[1].top() + 0.5);
            assert!(is_apart && texts[num_lanes - 1].bottom() < below, "{what}");
            let chains = window.harness.get_by_label("Ankle boot, chain 1, lane 1").rect();
            assert!(texts[0].top() > chains.bottom() + 4.0, "{what}");
        }
    }
}

#[test]
fn at_its_end_the_run_can_go_on_or_be_judged() {
    let mut window = window([1280.0, 800.0], "");
    window.click("▶ Play");
    window.pass(10, 3);
    // Before the end, the button is there but does nothing.
    window.click("100 more");
    window.pass(60, 3);
    assert_eq!(window.viewer().run.last_step(), 100);
    window.click("100 more");
    window.pass(60, 3);
    assert_eq!(window.viewer().run.last_step(), 200);
    window.click("Does it converge?");
    window.pass(2, 0);
    assert_eq!(window.viewer().session.tab, Tab::Plots);
    // What answers the question is in sight at once.
    window.pass(60, 0);
    let answer = window.harness.get_by_label("R-hat along the run").rect();
    assert!(answer.top() > 0.0 && answer.bottom() < 500.0, "{answer}");
    // Without noise there is nothing to converge to, and the plot says so.
    assert!(window.has("R-hat along the run") && window.has("No R-hat: "));
    // So a model is offered whose chains sample, and it plays.
    let asked = window.worker.asked.len();
    assert!(!window.has("Denoised"));
    window.click("Open chains that sample");
    window.pass(1, 0);
    let of_sampler =
        |command: &Command| matches!(command, Command::Open(name) if name == "fashion-sampler");
    assert!(window.worker.asked[asked..].iter().any(of_sampler));
    window.pass(60, 3);
    let run = &window.viewer().run;
    assert!(run.is_playing() && run.settings.num_steps == 2000);
    assert!(run.last_step() > 100 && run.lanes[0].sampler.noise_std == 0.05);
    // The noise of its data is removed from what is shown, and this is said.
    assert!(run.shown_overlay() == Overlay::Denoised);
    window.click("Chains");
    window.pass(2, 0);
    assert!(window.has("Denoised") && window.has("Shown without the noise of the data"));
    window.click("Plots");
    window.pass(2, 0);
    assert!(!window.has("Open chains that sample") && !window.has("No R-hat: "));
    window.click("Undo");
    window.pass(10, 1);
    assert_eq!(
        (window.viewer().run.lanes[0].sampler.noise_std, window.viewer().run.last_step()),
        (0.0, 200)
    );
    assert!(window.viewer().run.shown_overlay() == Overlay::Images);
}

#[test]
fn chains_that_sample_open_and_play_only_with_consent_during_a_training() {
    let mut window = window([1280.0, 800.0], "");
    window.click("▶ Play");
    window.pass(60, 3);
    window.click("Does it converge?");
    window.pass(60, 0);
    train(&mut window, 3);
    let num_runs = |window: &Window| {
        let asked = window.worker.asked.iter();
        asked.filter(|command| matches!(command, Command::Run { .. })).count()
    };
    let before = num_runs(&window);
    window.click("Open chains that sample");
    window.pass(2, 0);
    assert!(window.has("pauses the training."));
    window.click("Keep training");
    window.pass(2, 3);
    let run = &window.viewer().run;
    assert!(!run.is_playing() && run.last_step() == 100 && num_runs(&window) == before);
    // A person who only opens them later does not ask for a long run.
    window.viewer().run.open("fashion-sampler");
    window.pass(2, 0);
    window.click("Pause training and open");
    window.pass(4, 3);
    let run = &window.viewer().run;
    assert_eq!(run.model.as_ref().unwrap().name, "fashion-sampler");
    assert!(!run.is_playing() && run.settings.num_steps == 100);
}

#[test]
fn a_number_beyond_its_slider_stays_while_it_is_drawn() {
    let mut window = window([1280.0, 800.0], "sampler.kind=pyld&sampler.num_inner_steps=100");
    window.pass(2, 0);
    assert!(window.harness.query_by_role_and_label(Role::Slider, "inner steps N").is_some());
    let number = |window: &Window| window.viewer().run.lanes[0].sampler.num_inner_steps;
    assert_eq!(number(&window), 100);
    let is_other = |command: &Command| matches!(command, Command::SetLanes(_));
    assert!(!window.worker.asked.iter().any(is_other));
    // A number that a person types is kept within what is allowed.
    app(&mut window).viewer_mut().run.lanes[0].sampler.num_inner_steps = 5000;
    window.pass(2, 0);
    assert_eq!(number(&window), 1000);
}

#[test]
fn noise_stays_removed_after_a_restart_and_undo_unless_a_person_chose_to_see_it() {
    let mut window = window([1280.0, 800.0], "");
    let sampler = &mut window.harness.state_mut().viewer_mut().run.lanes[0].sampler;
    (sampler.denoise_step, sampler.noise_std) = (5.0, 0.05);
    window.harness.key_press(Key::R);
    window.pass(10, 3);
    let restart_and_undo = |window: &mut Window| {
        window.harness.key_press(Key::R);
        window.pass(10, 3);
        assert!(window.viewer().run.shown_overlay() == Overlay::Denoised);
        window.harness.key_press_modifiers(egui::Modifiers::COMMAND, Key::Z);
        window.pass(10, 1);
        assert!(window.viewer().run.shown_overlay() == Overlay::Denoised);
    };
    // Starts have no noise, and nothing is said of it.
    assert!(!window.has("Shown without the noise of the data"));
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(60, 3);
    assert!(window.has("Shown without the noise of the data"));
    restart_and_undo(&mut window);
    window.click("Images");
    window.pass(2, 0);
    assert!(window.viewer().run.shown_overlay() == Overlay::Images);
    assert!(!window.has("Shown without the noise of the data"));
}

#[test]
fn chains_without_noise_are_not_shown_as_if_it_were_removed() {
    let mut window = window([1280.0, 800.0], "");
    let mut lane = window.viewer().run.lanes[0].clone();
    (lane.sampler.denoise_step, lane.sampler.noise_std) = (5.0, 0.0);
    app(&mut window).viewer_mut().run.set_lane(0, lane.clone());
    app(&mut window).viewer_mut().run.play();
    window.pass(5, 2);
    let is_offered = |window: &Window| window.harness.query_by_label("Denoised").is_some();
    assert!(!is_offered(&window) && !window.has("without the noise of the data"));
    assert!(window.viewer().run.shown_overlay() == Overlay::Images);
    lane.sampler.noise_std = 0.05;
    app(&mut window).viewer_mut().run.set_lane(0, lane);
    window.pass(3, 1);
    assert!(is_offered(&window) && window.has("Shown without the noise of the data"));
}

#[test]
fn clipping_is_spoken_of_only_where_a_sampler_clips() {
    for (kind, clips) in [(SamplerKind::Sgld, false), (SamplerKind::ProximalSgld, true)] {
        let mut window = window([1280.0, 800.0], "");
        let mut lane = window.viewer().run.lanes[0].clone();
        lane.sampler.kind = kind;
        let run = &mut app(&mut window).viewer_mut().run;
        run.set_lane(0, lane);
        run.selected = Some(Selection { lane: 0, chain: 3 });
        run.overlay = Some(Overlay::Clamped);
        run.restart();
        window.pass(4, 0);
        assert_eq!(window.harness.query_by_label("Clipped").is_some(), clips, "{kind:?}");
        assert_eq!(window.has("gradient clipped"), clips, "{kind:?}");
        assert_eq!(window.viewer().run.shown_overlay() == Overlay::Clamped, clips, "{kind:?}");
    }
}

#[test]
fn an_animation_without_noise_has_the_steps_that_can_be_drawn_so() {
    let mut window = window([1280.0, 800.0], "");
    let run = &mut window.harness.state_mut().viewer_mut().run;
    let sampler = &mut run.lanes[0].sampler;
    (sampler.denoise_step, sampler.noise_std) = (5.0, 0.05);
    run.overlay = Some(Overlay::Images);
    window.worker.lacks_gradients = true;
    window.harness.key_press(Key::R);
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(6, 1);
    window.worker.lacks_gradients = false;
    window.harness.state_mut().viewer_mut().run.overlay = None;
    window.pass(6, 1);
    window.harness.state_mut().viewer_mut().run.pause();
    window.pass(2, 0);
    let run = &window.viewer().run;
    assert!(run.shown_overlay() == Overlay::Denoised);
    let steps = run.record.as_ref().unwrap().images.entries();
    let read = steps.iter().filter(|(step, lanes)| *step == 0 || !lanes[0].gradient.is_empty());
    let (all, read) = (steps.len(), read.count());
    assert!(2 < read && read < all - 2, "{read} of {all}");
    window.click("Save");
    window.pass(2, 0);
    assert!(window.has(&format!("Animation (GIF), {read} frames")));
}

#[test]
fn the_first_start_explains_three_words_and_offers_three_ways() {
    for size in [[1280.0, 800.0], [390.0, 844.0], [400.0, 300.0]] {
        for way in ["Play", "Lesson 1, five minutes", "Draw your own"] {
            let mut window = window(size, "");
            assert!(!window.has("An energy"));
            app(&mut window).welcome();
            window.pass(2, 0);
            for word in ["An energy", "A chain", "A start"] {
                assert!(window.has(word), "{word}");
            }
            window.click(way);
            window.pass(2, 1);
            assert!(!window.has("An energy"), "{way} at {size:?}");
            let viewer = window.viewer();
            let done = match way {
                "Play" => viewer.run.is_playing(),
                "Draw your own" => viewer.session.tab == Tab::Train,
                _ => viewer.lesson.number == 1,
            };
            assert!(done, "{way} at {size:?}");
        }
    }
}

#[test]
fn a_class_is_shown_by_a_number_at_its_row() {
    let mut window = window([1280.0, 800.0], "");
    window.harness.state_mut().viewer_mut().run.play();
    window.pass(60, 3);
    let numbers = window.viewer().run.shown_numbers().unwrap().1[0].clone();
    let own = (0..10).filter(|&chain| numbers.prediction(chain).unwrap().0 == 0).count();
    assert!(own > 5);
    window.harness.get_by_label("Only T-shirt/top").hover();
    window.pass(60, 0);
    assert!(window.has(&format!("the model sees this class in {own} of 10")));
}

#[test]
fn lanes_are_named_by_what_differs() {
    let mut window = window([1280.0, 800.0], "");
    let mut lanes = vec![window.viewer().run.lanes[0].clone(); 2];
    lanes[1].start = ViewStart::Uniform;
    window.harness.state_mut().viewer_mut().run.compare("", lanes, 20);
    window.pass(3, 1);
    assert!(window.has("1: PYLD, from class centres") && window.has("2: PYLD, from noise"));
}

#[test]
fn training_is_in_sight_in_every_tab() {
    for size in [[1280.0, 800.0], [390.0, 844.0]] {
        let mut window = window(size, "");
        train(&mut window, 400);
        for tab in [Tab::Chains, Tab::Plots, Tab::Lab, Tab::Train] {
            app(&mut window).viewer_mut().session.tab = tab;
            window.pass(2, 0);
            assert!(window.has("Training 19 %, 4 min left"), "{tab:?} at {size:?}");
        }
    }
}

#[test]
fn the_replay_buffer_stands_first_and_beside_the_loss() {
    let mut window = window([1280.0, 800.0], "tab=train");
    train(&mut window, 50);
    let update = TrainingUpdate::Buffer { x: vec![0.5; 16], labels: vec![0, 0, 1, 1] };
    window.worker.say(Event::Training(Box::new(update)));
    window.pass(3, 0);
    let buffer = window.harness.get_by_label("Replay buffer").rect();
    let loss = window.harness.get_by_label("Loss and cross entropy").rect();
    let gap = window.harness.get_by_label("Gap d").rect();
    assert!(buffer.right() < loss.left() && (buffer.top() - loss.top()).abs() < 12.0);
    assert!(gap.top() > loss.bottom());
}

#[test]
fn a_replay_buffer_that_is_shown_without_its_noise_says_so() {
    for (preset, has_noise) in [("fashion-quick", false), ("mnist-sampler", true)] {
        let mut window = window([1280.0, 800.0], "tab=train");
        train_by(&mut window, preset, 50);
        let update = TrainingUpdate::Buffer { x: vec![0.5; 16], labels: vec![0, 0, 1, 1] };
        window.worker.say(Event::Training(Box::new(update)));
        window.pass(3, 0);
        let note = "They are shown without the noise that data and chains have in this training.";
        assert_eq!(window.harness.query_by_label(note).is_some(), has_noise, "{preset}");
    }
}

#[test]
fn the_next_start_offers_to_continue_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fashion-quick-window");
    std::fs::create_dir(&path).unwrap();
    for size in [[1280.0, 800.0], [390.0, 844.0]] {
        let mut window = window(size, "");
        let run = LastRun { folder: path.clone(), step: 495, num_steps: 2028 };
        app(&mut window).viewer_mut().training.last_run = Some(run.clone());
        let text = window.viewer().memory();
        let mut next = self::window(size, "");
        app(&mut next).viewer_mut().recall(&text);
        next.pass(2, 0);
        assert!(next.has("Continue fashion-quick, step 495 of 2028?"), "{size:?}");
        next.click("Continue");
        next.pass(2, 0);
        let is_asked =
            |command: &Command| matches!(command, Command::ResumeTraining(asked) if *asked == path);
        assert!(next.worker.asked.iter().any(is_asked));
        assert_eq!(next.viewer().session.tab, Tab::Train);
        assert!(!next.has("Continue fashion-quick"));
        // A run that could not be taken up is still there.
        let busy = TrainingUpdate::Failed("the run is in use".into());
        next.worker.say(Event::Training(Box::new(busy)));
        next.pass(2, 0);
        assert!(next.has("Continue fashion-quick, step 495 of 2028?"), "{size:?}");
        assert!(next.viewer().memory().contains("\"step\":495"));
    }
    // A run whose folder is gone is forgotten, and so is a text that is no memory.
    let mut window = window([1280.0, 800.0], "");
    let gone = LastRun { folder: folder.path().join("gone"), step: 1, num_steps: 2 };
    app(&mut window).viewer_mut().training.last_run = Some(gone);
    let text = window.viewer().memory();
    app(&mut window).viewer_mut().recall(&text);
    assert_eq!(window.viewer().training.last_run, None);
    app(&mut window).viewer_mut().recall("no memory");
}

#[test]
fn a_run_that_is_over_is_not_offered_again() {
    let mut window = window([1280.0, 800.0], "");
    train(&mut window, 3);
    assert!(window.viewer().memory().contains("\"step\":3"));
    let over =
        TrainingUpdate::Stopped { is_complete: true, checkpoint: "c".into(), temperature: None };
    window.worker.say(Event::Training(Box::new(over)));
    window.pass(2, 0);
    assert!(window.viewer().memory().contains("\"run\":null"));
}

#[test]
fn a_presentation_hides_the_panels_and_enlarges_the_rest() {
    let mut window = window([1600.0, 900.0], "");
    let before = cell(&window, "Coat", 1).width();
    window.harness.key_press(Key::P);
    window.pass(4, 0);
    assert!(!window.has("? Help") && !window.has("No GPU"));
    assert!((window.harness.ctx.zoom_factor() - 1.5).abs() < 1e-3);
    assert!(window.has("Step 0 · median energy") && window.has("▶ Play"));
    assert!(cell(&window, "Coat", 1).width() * 1.5 >= before);
    window.harness.key_press(Key::Escape);
    window.pass(4, 0);
    assert!(window.has("? Help"));
    assert!((window.harness.ctx.zoom_factor() - 1.0).abs() < 1e-3);
}

#[test]
fn finished_lessons_are_ticked_and_the_last_one_has_an_end() {
    let mut window = window([1280.0, 800.0], "");
    let lesson =
        |number: usize| Event::Lesson { number, text: "# A title\n\n## One step\n\nText.".into() };
    app(&mut window).viewer_mut().lesson.open(7, 1);
    window.pass(2, 0);
    window.worker.say(lesson(7));
    window.pass(2, 0);
    window.click("Next lesson ▶");
    window.pass(2, 0);
    assert_eq!(window.viewer().lesson.number, 8);
    window.worker.say(lesson(8));
    window.pass(2, 0);
    window.click("✔ Finish");
    window.pass(1, 0);
    assert!(window.has("That was the last lesson") && window.has("You have finished 2 of 8."));
    window.click("Close the lessons");
    window.click("Lessons");
    assert!(window.has("✔ 7. ") && window.has("✔ 8. ") && !window.has("✔ 1. "));
    // They stay ticked in the next session.
    let text = window.viewer().memory();
    let mut next = self::window([1280.0, 800.0], "");
    app(&mut next).viewer_mut().recall(&text);
    next.click("Lessons");
    assert!(next.has("✔ 7. ") && !next.has("✔ 1. "));
}
