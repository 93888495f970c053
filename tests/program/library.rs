//! The library gives the same results as the program, and the examples run.

use std::{path::PathBuf, process::Command};

use jempp::{ChainSettings, ComputeDevice, Model, bundled};

use crate::run::{succeeds, text};

#[test]
fn the_library_samples_the_chains_that_the_program_samples() {
    let dir = tempfile::tempdir().unwrap();
    let arguments =
        "sample --model two-moons --device cpu --per-class 3 --steps 12 --seed 5 --out s";
    succeeds(dir.path(), &arguments.split(' ').collect::<Vec<_>>());
    let traces = std::fs::read_to_string(dir.path().join("s/traces.csv")).unwrap();
    let columns: Vec<&str> = traces.lines().next().unwrap().split(',').collect();
    let energy = columns.iter().position(|name| *name == "energy").unwrap();
    let last = traces.lines().filter(|line| line.starts_with("12,"));
    let expected: Vec<f32> =
        last.map(|line| line.split(',').nth(energy).unwrap().parse().unwrap()).collect();

    let device = ComputeDevice::open("cpu").unwrap().device;
    let model = Model::new(bundled::find("two-moons").unwrap().load().unwrap(), &device).unwrap();
    let settings =
        ChainSettings { per_class: 3, num_steps: 12, seed: 5, ..ChainSettings::default() };
    assert_eq!(model.sample_with(&settings).unwrap().energies(), expected);
    assert_eq!(model.sample(6, 12, 5).unwrap().energies(), expected);
}

/// The path of an example that `cargo test` built next to this test program; `None` if only this program was built.
fn example(name: &str) -> Option<PathBuf> {
    let here = std::env::current_exe().unwrap();
    let path = here.parent()?.parent()?.join("examples").join(name);
    let path = path.with_extension(std::env::consts::EXE_EXTENSION);
    if !path.is_file() {
        eprintln!("SKIPPED: the example {name} is not built; `cargo test --release` builds it");
        return None;
    }
    Some(path)
}

#[test]
fn the_examples_run_and_write_only_where_they_are() {
    for (name, says) in [
        ("sample_bundled", "Ankle boot"),
        ("train_two_moons", "accuracy on 1000 test points"),
        ("own_energy", "accepted in the last step"),
        ("evaluate_checkpoint", "calibration error"),
    ] {
        let Some(path) = example(name) else { continue };
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new(path).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains(says), "{name}: {}", text(&output.stdout));
    }
}
