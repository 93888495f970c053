//! An option that cannot be used is an error, and a misspelt one gets a suggestion.

use super::{
    bounded::{every, refused, works},
    inputs::{TRAIN, idx_set, packed_file, run_file, run_in},
};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Commands with an option that has no effect, and what the refusal must name.
const UNUSED: [(&str, &str); 14] = [
    ("train --device cpu --out r --dataset mnist --data d --set data.size=8", "data.size"),
    ("train --device cpu --out r --preset toy-two-moons --data d", "--data"),
    ("train --device cpu --out r --dataset fashion-mnist-embedded --data d", "fashion-mnist"),
    ("train --device cpu --out r --dataset spiral --preset toy-spiral --data d", "--data"),
    ("sample --device cpu --out r --model two-moons --start buffer", "buffer"),
    ("sample --device cpu --out r --model two-moons --start d/precious.png", "--start"),
    ("sample --device cpu --out r --model two-moons --data d --steps 0", "--data"),
    ("sample --device cpu --out r --steps 10 --warmup 3", "--diagnose"),
    ("eval accuracy --device cpu --out r --model two-moons --data d", "--data"),
    ("eval accuracy --device cpu --out r --model two-moons --ood d", "--ood"),
    ("bench --device cpu --batch-size 3", "--arch"),
    ("sweep rates.toml --list --device cpu", "--device"),
    ("sweep rates.toml --list --jobs 2", "--jobs"),
    ("sweep rates.toml --task 0 --retry", "--retry"),
];

#[test]
fn what_is_given_and_cannot_be_used_is_an_error() {
    every(
        UNUSED,
        |(line, _)| line.to_string(),
        |(line, names)| {
            let dir = tempfile::tempdir().unwrap();
            idx_set(&dir.path().join("d"), 20, 10, 0);
            let said = refused(dir.path(), &words(line));
            assert!(said.contains(names), "{said}");
        },
    );
}

/// Misspelt commands, with the word that was meant.
const MISSPELT: [(&str, &str); 12] = [
    ("trian --out r", "train"),
    ("train --out r --epoch 3", "--epochs"),
    ("train --out r --preset toy-two-moon", "toy-two-moons"),
    ("train --out r --dataset fasion-mnist", "fashion-mnist"),
    ("train --out r --set sampler.stepsize=1", "sampler.step_size"),
    ("train --out r --set optimizer.lr=1", "optimizer.learning_rate"),
    ("train --out r --set learning_rate=1", "optimizer.learning_rate"),
    ("sample --out r --model fasion", "fashion"),
    ("sample --out r --sampler sgdl", "sgld"),
    ("eval accuarcy --out r", "accuracy"),
    ("fetch cifar-10", "cifar10"),
    ("view ?sampler.knid=sgld", "sampler.kind"),
];

#[test]
fn what_is_misspelt_is_guessed_at() {
    every(
        MISSPELT,
        |(line, _)| line.to_string(),
        |(line, meant)| {
            let dir = tempfile::tempdir().unwrap();
            let said = refused(dir.path(), &words(line));
            assert!(said.contains(meant), "{said}");
        },
    );
}

/// Values that are not valid for their key or option.
const WRONG_VALUES: [&str; 29] = [
    "train --out r --epochs 0",
    "train --out r --epochs -1",
    "train --out r --epochs 99999999999999999999",
    "train --out r --seed -1",
    "train --out r --seed 1.5",
    "train --out r --set seed=-1",
    "train --out r --set =",
    "train --out r --set =1",
    "train --out r --set sampler=3",
    "train --out r --set sampler.kind=[1",
    "train --out r --set sampler.step_size=nan",
    "train --out r --set sampler.step_size=1e999",
    "train --out r --set data.batch_size=1e3",
    "train --out r --set optimizer.decay_epochs=[-1]",
    "train --out r --set training.epochs=9223372036854775808",
    "train --device cpu --out r --preset toy-two-moons --set model.arch=wrn-994-64",
    "train --device cpu --out r --preset toy-two-moons --set data.num_points=200",
    "train --device cpu --out r --preset toy-two-moons --set data.num_validation=50000",
    "train --device nowhere --out r",
    "train --device 99 --out r",
    "sample --out r --steps 1000001",
    "sample --out r --steps -1",
    "sample --out r --per-class 0",
    "sample --device cpu --out r --class 10",
    "sample --out r --class -1",
    "sample --out r --frames 1",
    "sample --device cpu --out r --set sampler.num_steps",
    "bench --repetitions 0",
    "fetch mnist --timeout 0",
];

#[test]
fn wrong_values_are_refused_before_anything_is_made_of_them() {
    every(
        WRONG_VALUES,
        |line| line.to_string(),
        |line| {
            let dir = tempfile::tempdir().unwrap();
            refused(dir.path(), &words(line));
        },
    );
}

/// The memory that settings need is compared with a bound before it is allocated.
#[test]
fn settings_that_need_more_memory_than_there_may_be_name_the_largest() {
    let dir = tempfile::tempdir().unwrap();
    for setting in ["replay_buffer.replay_buffer_size=1000000", "data.batch_size=4096"] {
        let line = "train --device cpu --out r --dataset fashion-mnist-embedded --set \
                    training.max_memory_mib=300 --set";
        let words: Vec<&str> = words(line).into_iter().chain([setting]).collect();
        let said = refused(dir.path(), &words);
        let (key, _) = setting.split_once('=').unwrap();
        assert!(said.contains(key) && said.contains("training.max_memory_mib"), "{said}");
    }
}

/// A long value is shortened in messages.
#[test]
fn a_long_value_is_not_echoed_whole() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("sampler.kind={}", "x".repeat(20_000));
    refused(dir.path(), &["train", "--out", "r", "--set", &long]);
    let key = format!("{}=1", "k".repeat(20_000));
    refused(dir.path(), &["train", "--out", "r", "--set", &key]);
    refused(dir.path(), &["train", "--out", "r", "--set", "sampler.kind=\u{1b}[31mred"]);
    refused(dir.path(), &["sample", "--start", &"y".repeat(20_000)]);
    refused(dir.path(), &["view", &format!("?{}=1", "z".repeat(20_000))]);
}

#[test]
fn a_resume_that_refuses_names_the_key() {
    let dir = tempfile::tempdir().unwrap();
    run_in(dir.path(), "run", &run_file());
    let resume = |more: &str| {
        refused(dir.path(), &words(&format!("train --device cpu --resume run {more}")))
    };
    assert!(resume("--set data.batch_size=32").contains("data.batch_size"));
    assert!(resume("--set data.num_validation=10").contains("data.num_validation"));
    assert!(resume("--set model.arch=cnn-small").contains("model.arch"));
    assert!(resume("--set seed=4").contains("seed"));
    assert!(resume("--data nowhere").contains("--data"));
}

#[test]
fn fewer_epochs_than_are_done_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let four: Vec<&str> = TRAIN.iter().map(|word| if *word == "1" { "3" } else { word }).collect();
    works(dir.path(), &four);
    let config = || std::fs::read_to_string(dir.path().join("run/config.toml")).unwrap();
    let before = config();
    let mut command =
        super::jempp(dir.path(), &words("train --device cpu --resume run --epochs 2"));
    let ended = crate::bounded::ended(&mut command);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(config(), before);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains('3') && said.contains("--epochs"), "it says so: {said}");
}

/// A command prints its inputs before it starts.
#[test]
fn every_command_says_what_it_works_with() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("m.safetensors"), packed_file().to_bytes()).unwrap();
    for (line, said) in [
        (TRAIN.join(" "), ["two-moons", "mlp", "CPU", "run"]),
        (
            "sample --checkpoint m.safetensors --device cpu --steps 1 --out s".into(),
            ["m.safetensors", "mlp", "CPU", "s"],
        ),
        (
            "eval accuracy --checkpoint m.safetensors --device cpu --out e".into(),
            ["m.safetensors", "two-moons", "CPU", "e"],
        ),
    ] {
        let output = works(dir.path(), &words(&line));
        for word in said {
            assert!(output.contains(word), "{line}: `{word}` in\n{output}");
        }
    }
}
