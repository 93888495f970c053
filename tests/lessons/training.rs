//! Training runs of the viewer's worker: starts that are refused, and the images to compare with.

use std::{fs, sync::Arc};

use jempp::{
    config::{DatasetName, RunConfig},
    worker::{Command, Event, References, RunRequest, TrainingUpdate},
};

use crate::worker::Desk;

/// Waits for an update of a training run.
fn update<T>(desk: &Desk, mut wanted: impl FnMut(TrainingUpdate) -> Option<T>) -> T {
    desk.wait(|event| match event {
        Event::Training(update) => wanted(*update),
        _ => None,
    })
}

/// Pauses the run.
fn pause(desk: &Desk) {
    desk.ask(Command::PauseTraining);
    update(desk, |update| matches!(update, TrainingUpdate::Stopped { .. }).then_some(()));
}

#[test]
fn a_start_that_is_refused_leaves_the_active_run_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = RunConfig::preset("toy-two-moons").unwrap();
    config.training.epochs = 200;
    let (desk, _) = Desk::open("two-moons");
    let start = Command::Train { config: Box::new(config), out: folder.path().join("run") };
    desk.ask(start.clone());
    desk.ask(start.clone());
    let said = update(&desk, |update| match update {
        TrainingUpdate::Recovered { message } if message.contains("another run") => Some(message),
        TrainingUpdate::Failed(reason) => panic!("the active run has not failed: {reason}"),
        _ => None,
    });
    assert!(said.contains("did not start") && said.contains("already exists"), "{said}");
    update(&desk, |update| matches!(update, TrainingUpdate::Step(_)).then_some(()));
    pause(&desk);
    // Without an active run, it is a failure.
    desk.ask(start);
    let reason = update(&desk, |update| match update {
        TrainingUpdate::Failed(reason) => Some(reason),
        _ => None,
    });
    assert!(reason.contains("already exists"), "{reason}");
}

#[test]
fn the_images_to_compare_with_are_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("points.csv");
    let lines: String = (0..120)
        .map(|item| {
            let angle = f64::from(item) / 10.0;
            let name = ["in", "out"][item as usize % 2];
            format!("{:.3};{:.3};{name}\n", angle.cos(), angle.sin())
        })
        .collect();
    fs::write(&table, lines).unwrap();
    let mut config = RunConfig::preset("toy-two-moons").unwrap();
    config.data.dataset = DatasetName::Custom;
    config.data.dir = table.display().to_string();
    (config.data.batch_size, config.replay_buffer.replay_buffer_size) = (20, 40);
    config.training.epochs = 2000;
    let (desk, _) = Desk::open("two-moons");
    desk.ask(Command::Train { config: Box::new(config), out: folder.path().join("run") });
    let model = desk.wait(|event| match event {
        Event::Opened(info) => Some(*info),
        Event::Training(update) => match *update {
            TrainingUpdate::Failed(reason) => panic!("{reason}"),
            _ => None,
        },
        _ => None,
    });
    let lanes = vec![model.lane()];
    desk.ask(Command::Restart(RunRequest { seed: 0, labels: vec![0, 1], lanes, image: None }));
    let references = || -> References {
        desk.wait(|event| match event {
            Event::References(references) => Some(references),
            _ => None,
        })
    };
    let first = references();
    assert_eq!((first.train.len(), first.test_energies.len()), (100, 20));
    // From now on, the data cannot be read again.
    fs::remove_file(&table).unwrap();
    pause(&desk);
    let last = references();
    assert!(Arc::ptr_eq(&first.train, &last.train), "the same images");
    assert_ne!(first.test_energies, last.test_energies, "with the weights at the end");
}
