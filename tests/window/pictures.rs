//! Screenshots of the window, compared with `tests/snapshots`. `UPDATE_SNAPSHOTS=1` replaces the stored ones:
//! check them before you commit them.

use crate::scripted::Scripted;
use egui::Theme;
use egui_kittest::{Harness, SnapshotOptions};
use jempp::{
    app::{App, Selection, Tab},
    config::{RunConfig, SamplerKind, ViewState},
    worker::{Event, TrainingPoint, TrainingUpdate},
};

/// The picture contains the memory in use, and drivers draw the edges of letters differently.
fn tolerance() -> SnapshotOptions {
    SnapshotOptions::new().threshold(2.0).max_failed_pixels(800)
}

/// Whether there is a device to draw with. If not, prints a message.
fn can_draw() -> bool {
    let is_there = !pollster::block_on(jempp::device::list()).is_empty();
    if !is_there {
        assert!(
            std::env::var("REQUIRE_GPU").is_err(),
            "REQUIRE_GPU is set, but there is no adapter"
        );
        eprintln!("SKIPPED: no graphics adapter to draw with");
    }
    is_there
}

fn picture(
    name: &str,
    size: [f32; 2],
    theme: Theme,
    view: ViewState,
    set_up: impl FnOnce(&mut App, &Scripted),
) {
    if !can_draw() {
        return;
    }
    let (mut worker, link) = Scripted::new();
    let mut harness = Harness::builder().with_size(size).with_theme(theme).wgpu().build_ui_state(
        |ui, app: &mut App| {
            app.drain(ui.ctx());
            app.show(ui);
        },
        App::new(link, view),
    );
    let pass = |harness: &mut Harness<App>, worker: &mut Scripted, frames: usize| {
        for _ in 0..frames {
            harness.step();
            worker.work(10);
        }
    };
    pass(&mut harness, &mut worker, 4);
    harness.state_mut().viewer_mut().run.play();
    pass(&mut harness, &mut worker, 14);
    set_up(harness.state_mut(), &worker);
    // Several frames, for content that is computed over several frames.
    for _ in 0..8 {
        pass(&mut harness, &mut worker, 2);
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    harness.snapshot_options(name, &tolerance());
}

#[test]
fn chains_with_one_selected() {
    picture("chains", [1280.0, 800.0], Theme::Dark, ViewState::default(), |app, _| {
        app.viewer_mut().run.selected = Some(Selection { lane: 0, chain: 12 });
    });
}

#[test]
fn two_lanes_of_which_one_explodes() {
    let mut lanes = vec![jempp::config::LaneConfig::default(); 2];
    lanes[0].sampler.kind = SamplerKind::Sgld;
    lanes[0].sampler.step_size = 100.0;
    lanes[1].sampler.kind = SamplerKind::ProximalSgld;
    let mut view = ViewState { lanes, ..ViewState::default() };
    view.view.per_class = 6;
    picture("compare", [1280.0, 800.0], Theme::Light, view, |_, _| {});
}

#[test]
fn plots_in_a_small_window() {
    picture("plots", [800.0, 600.0], Theme::Dark, ViewState::default(), |app, _| {
        app.viewer_mut().session.tab = Tab::Plots;
    });
}

#[test]
fn training_in_a_small_window() {
    picture("train", [800.0, 600.0], Theme::Light, ViewState::default(), |app, worker| {
        app.viewer_mut().session.tab = Tab::Train;
        let say = |update| worker.say(Event::Training(Box::new(update)));
        say(TrainingUpdate::Started {
            folder: "runs/fashion-quick-window".into(),
            config: Box::new(RunConfig::preset("fashion-quick").unwrap()),
            step: 0,
            num_steps: 2028,
            memory: String::new(),
            class_names: jempp::data::class_names(jempp::config::DatasetName::FashionMnist)
                .unwrap(),
            shape: [1, 28, 28],
        });
        for step in 1..=400 {
            let wave = (step as f64 / 7.0).sin();
            say(TrainingUpdate::Step(TrainingPoint {
                step,
                loss: 2.3 * (-(step as f64) / 150.0).exp() + 0.1 * wave,
                cross_entropy: 2.2 * (-(step as f64) / 120.0).exp(),
                gap: 0.3 * wave,
                gradient_norm: 1.0 - (-(step as f64) / 50.0).exp(),
                clamp_rate: 0.0,
                steps_per_sec: 20.0,
            }));
        }
    });
}
