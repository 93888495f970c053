//! The best model of a run, an early end by the validation part, and runs on a part of the training set.

use std::{fs, path::Path};

use jempp::checkpoint::Checkpoint;
use serde_json::Value;

use crate::run::{fails, succeeds};

/// A classifier of points that soon no longer gets better.
const RUN: &str = "train --device cpu --preset toy-spiral --out run --set data.num_points=1000 \
                   --set data.batch_size=50 --set objective.p_x_weight=0 \
                   --set training.eval_every_epochs=1";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The step and the accuracy of every evaluation on the validation part.
fn validated(dir: &Path) -> Vec<(u64, f64)> {
    let text = fs::read_to_string(dir.join("run/metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter_map(|line| Some((line["step"].as_u64()?, line["validation_accuracy"].as_f64()?)))
        .collect()
}

#[test]
fn a_run_ends_when_its_validation_accuracy_no_longer_rises_and_keeps_the_best_model() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let run = format!("{RUN} --epochs 1000 --set data.num_validation=300");
    let said = succeeds(dir, &words(&format!("{run} --set training.early_stop_epochs=2")));
    assert!(said.contains("The run ended early: its validation accuracy has not risen"), "{said}");
    let found = validated(dir);
    assert!(found.len() >= 3 && found.len() < 900, "{found:?}");
    let most = found.iter().map(|(_, accuracy)| *accuracy).fold(0.0, f64::max);
    let best = found.iter().position(|(_, accuracy)| *accuracy == most).unwrap();
    assert_eq!(best, found.len() - 3, "two epochs after the best: {found:?}");
    let line = format!("Best: step {}, validation accuracy {:.1} %", found[best].0, 100.0 * most);
    assert!(said.contains(&line), "{line}: {said}");
    assert!(said.contains("p(y|x) is calibrated after training"), "{said}");

    // The best model is that of its step, packed, with a temperature of its own.
    let model = Checkpoint::load(&dir.join("run/best.safetensors")).unwrap();
    assert!(model.is_packed() && model.counters.temperature.is_some());
    assert_eq!(model.counters.step, found[best].0);
    let last = Checkpoint::load(&dir.join("run")).unwrap();
    assert_eq!(last.counters.best, model.counters.best);
    assert_ne!(last.weights, model.weights);
    succeeds(
        dir,
        &words("sample --device cpu --checkpoint run/best.safetensors --out drawn --steps 2"),
    );

    // Resumed as it is, the run is over; with another number it goes on.
    let said = succeeds(dir, &words("train --device cpu --resume run"));
    assert!(said.contains("The run ended early"), "{said}");
    assert_eq!(validated(dir), found);
    let next = found.last().unwrap().0 / (found[0].0) + 2;
    let more = format!(
        "train --device cpu --resume run --epochs {next} --set training.early_stop_epochs=0"
    );
    let said = succeeds(dir, &words(&more));
    assert!(!said.contains("ended early"), "{said}");
    assert_eq!(validated(dir).len(), found.len() + 2);
}

#[test]
fn an_early_end_needs_a_validation_part() {
    let dir = tempfile::tempdir().unwrap();
    let said = fails(dir.path(), &words(&format!("{RUN} --set training.early_stop_epochs=2")));
    assert!(said.contains("training.early_stop_epochs needs images that are held out"), "{said}");
    assert!(said.contains("set data.num_validation"), "{said}");
    assert!(!dir.path().join("run").exists());
    succeeds(dir.path(), &words(&format!("{RUN} --epochs 1")));
    assert!(!dir.path().join("run/best.safetensors").exists());
    let resumed = "train --device cpu --resume run --set training.early_stop_epochs=2 --epochs 3";
    assert!(fails(dir.path(), &words(resumed)).contains("set data.num_validation"));
    // The name that others use leads to the key.
    let said = fails(dir.path(), &words(&format!("{RUN} --set training.patience=2")));
    assert!(said.contains("training.early_stop_epochs"), "{said}");
}

#[test]
fn a_run_uses_a_part_of_the_training_set() {
    let dir = tempfile::tempdir().unwrap();
    let part = format!("{RUN} --epochs 1 --set data.num_validation=300 --set data.num_train=200");
    let said = succeeds(dir.path(), &words(&part));
    assert!(said.contains("200 training, 300 validation and 200 test points"), "{said}");
    assert!(said.contains("200 of 700 training points are used, chosen by seed 0"), "{said}");
    let saved = Checkpoint::load(&dir.path().join("run")).unwrap();
    assert_eq!(saved.counters.step, 200 / saved.config.data.batch_size as u64);
    let said =
        fails(dir.path(), &words("train --device cpu --resume run --set data.num_train=100"));
    assert!(said.contains("data.num_train = 100 (the run has 200)"), "{said}");
    let said = fails(dir.path(), &words(&part.replace("=200", "=701").replace("run", "other")));
    assert!(said.contains("data.num_train = 701 is more than the 700 training images"), "{said}");
}

#[test]
fn a_classifier_has_a_best_model_although_it_names_epochs_of_the_classifier_alone() {
    let dir = tempfile::tempdir().unwrap();
    let all = format!(
        "{RUN} --epochs 3 --set data.num_validation=300 --set training.classifier_epochs=3"
    );
    let said = succeeds(dir.path(), &words(&all));
    assert!(said.contains("Best: step "), "{said}");
    assert!(dir.path().join("run/best.safetensors").exists());
}
