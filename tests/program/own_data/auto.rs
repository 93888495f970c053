//! The recipe that the data decides: `--data PATH` alone.

use std::{fs, path::Path};

use super::class;
use crate::run::{fails, succeeds};

fn points(dir: &Path) {
    let lines: String = (0..120)
        .map(|item| {
            let angle = f64::from(item) / 10.0;
            let name = ["in", "out"][item as usize % 2];
            format!("{:.3};{:.3};{name}\n", 50.0 + angle.cos(), 9.0 * angle.sin())
        })
        .collect();
    fs::write(dir.join("points.csv"), lines).unwrap();
}

fn images(dir: &Path) {
    class(&dir.join("set"), "a", 20, 12, 12);
    class(&dir.join("set"), "b", 20, 12, 12);
}

fn config_of(dir: &Path, run: &str) -> toml::Table {
    fs::read_to_string(dir.join(run).join("config.toml")).unwrap().parse().unwrap()
}

#[test]
fn points_alone_are_trained() {
    let dir = tempfile::tempdir().unwrap();
    points(dir.path());
    let train =
        ["train", "--data", "points.csv", "--out", "run", "--device", "cpu", "--epochs", "1"];
    let said = succeeds(dir.path(), &train);
    assert!(
        said.contains("Recipe:   for 100 points in 2 classes on the CPU: mlp, batches"),
        "{said}"
    );
    assert!(said.contains("1 epoch (6 steps)"), "{said}");
    let [time, first] = ["Time:     about ", "Writes:"].map(|row| said.find(row).unwrap());
    assert!(time < first, "{said}");
    succeeds(dir.path(), &["train", "--resume", "run", "--device", "cpu", "--epochs", "2"]);
}

#[test]
fn what_is_chosen_is_stored_as_plain_values_and_a_given_key_wins() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path());
    fs::write(dir.path().join("mine.toml"), "[sampler]\nnum_steps = 2\n").unwrap();
    let train = [
        "train",
        "--preset",
        "auto",
        "--data",
        "set",
        "--out",
        "run",
        "--device",
        "cpu",
        "--epochs",
        "1",
        "--set",
        "data.batch_size=11",
        "--set",
        "sampler.final_step_factor=0.2",
        "--config",
        "mine.toml",
    ];
    let said = succeeds(dir.path(), &train);
    assert!(said.contains("for 34 grey images of 12×12 in 2 classes"), "{said}");
    assert!(said.contains("batches of 11, 1 epoch (3 steps)"), "{said}");
    let config = config_of(dir.path(), "run");
    assert_eq!(config["data"]["dataset"].as_str(), Some("custom"));
    assert_eq!(config["data"]["batch_size"].as_integer(), Some(11));
    assert_eq!(config["data"]["size"].as_str(), Some("12x12"));
    assert_eq!(config["data"]["horizontal_flip"].as_bool(), Some(false));
    assert_eq!(config["sampler"]["num_steps"].as_integer(), Some(2));
    assert_eq!(config["objective"]["gap_loss"].as_str(), Some("softplus"));
    // The stored values make the same run, without another choice.
    let again = ["train", "--config", "run/config.toml", "--out", "again", "--device", "cpu"];
    let said = succeeds(dir.path(), &again);
    assert!(!said.contains("Recipe:"), "{said}");
    assert_eq!(config_of(dir.path(), "again"), config);
}

#[test]
fn a_named_set_has_a_recipe_too_and_the_seed_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let train = [
        "train",
        "--preset",
        "auto",
        "--dataset",
        "two-moons",
        "--out",
        "run",
        "--device",
        "cpu",
        "--epochs",
        "1",
        "--seed",
        "3",
        "--set",
        "data.num_points=200",
    ];
    let said = succeeds(dir.path(), &train);
    assert!(said.contains("for 200 points in 2 classes"), "{said}");
    assert_eq!(config_of(dir.path(), "run")["seed"].as_integer(), Some(3));
}

#[test]
fn what_nothing_uses_is_refused_before_the_run() {
    let dir = tempfile::tempdir().unwrap();
    images(dir.path());
    let refused = |more: &[&str]| {
        let all = [&["train", "--data", "set", "--out", "run", "--device", "cpu"], more].concat();
        let said = fails(dir.path(), &all);
        assert!(!dir.path().join("run").exists(), "{more:?}");
        said
    };
    let said = refused(&["--set", "sampler.step_size=1"]);
    assert!(said.contains("`sampler.step_size` is not used by the sampler pyld"), "{said}");
    let said = refused(&["--set", "data.batch_size=100"]);
    assert!(said.contains("data.batch_size = 100 is more than the 34 training images"), "{said}");
    let said = refused(&["--preset", "automatic"]);
    assert!(said.contains("auto, fashion-quick"), "{said}");
    let said = fails(dir.path(), &["config", "--preset", "auto"]);
    assert!(said.contains("`auto` is chosen from the data when a run starts"), "{said}");
    fs::create_dir(dir.path().join("run")).unwrap();
    fs::write(dir.path().join("run/mine.txt"), "x").unwrap();
    let said = fails(dir.path(), &["train", "--data", "set", "--out", "run", "--device", "cpu"]);
    assert!(said.contains("run already exists and is not a run"), "{said}");
}

#[test]
fn settings_of_own_data_are_refused_for_other_sets_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    for (text, key) in [
        ("[data]\nsize = 8\n", "data.size"),
        ("data.fit = 'pad'\n", "data.fit"),
        ("data.color = 'gray'\n", "data.color"),
        ("data.frame = [0.0, 0.0, 1.0]\n", "data.frame"),
    ] {
        fs::write(dir.path().join("file.toml"), text).unwrap();
        let train = ["train", "--config", "file.toml", "--out", "run", "--device", "cpu"];
        let said = fails(dir.path(), &train);
        assert!(said.contains(&format!("`{key}` is not used: it is for your own data")), "{said}");
    }
    // A file with every key at its default says nothing of own data.
    let all = succeeds(dir.path(), &["config", "--preset", "toy-two-moons"]);
    fs::write(dir.path().join("file.toml"), all).unwrap();
    let train =
        ["train", "--config", "file.toml", "--out", "run", "--device", "cpu", "--epochs", "1"];
    succeeds(dir.path(), &train);
}
