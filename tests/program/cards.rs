//! Model cards: `jempp pack` writes one beside every packed model, and keeps those that a person edited.

use std::fs;

use serde_json::Value;

use crate::run::{QUICK, fails, succeeds};
use jempp::checkpoint::Checkpoint;

const PACK: [&str; 5] = ["pack", "--checkpoint", "run", "--out", "moons.safetensors"];

#[test]
fn a_packed_model_has_a_card() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    let card = || fs::read_to_string(dir.path().join("moons.md")).unwrap();
    let said = succeeds(dir.path(), &PACK);
    assert!(said.contains("Card:     moons.md\n"), "{said}");
    let text = card();
    for part in [
        "\nlicense: unknown\n",
        "\nlibrary_name: jempp\n",
        "  - name: moons\n",
        "# moons\n",
        "data.dataset = \"two-moons\"",
        "No evaluation was given",
        "jempp sample --checkpoint moons.safetensors",
        "The licence of the model is unknown",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains(&*dir.path().to_string_lossy()), "{text}");

    // A card that jempp wrote is replaced on demand only, like the model.
    assert!(fails(dir.path(), &PACK).contains("moons.safetensors already exists"));
    fs::remove_file(dir.path().join("moons.safetensors")).unwrap();
    assert!(fails(dir.path(), &PACK).contains("moons.md already exists"));
    assert!(!dir.path().join("moons.safetensors").exists());

    let eval = [
        "eval",
        "accuracy",
        "calibration",
        "--checkpoint",
        "run",
        "--device",
        "cpu",
        "--out",
        "eval",
    ];
    succeeds(dir.path(), &eval);
    let measured = ["--results", "eval/results.json", "--license", "mit", "--force"];
    succeeds(dir.path(), &[&PACK[..], &measured].concat());
    let results = fs::read(dir.path().join("eval/results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    let accuracy = &results["accuracy"]["accuracy"];
    let [value, low, high] =
        ["value", "low", "high"].map(|key| 100.0 * accuracy[key].as_f64().unwrap());
    let text = card();
    for part in [
        "\nlicense: mit\n".to_string(),
        format!("value: {}\n", accuracy["value"]),
        format!("| accuracy | {value:.1} % [{low:.1}, {high:.1}] |"),
        "before the weights were rounded to half precision".to_string(),
        "Not measured: out-of-distribution detection, attacks, samples.".to_string(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
}

#[test]
fn a_run_on_a_part_of_its_data_says_so_on_its_card_and_on_its_page() {
    let dir = tempfile::tempdir().unwrap();
    let part = ["--set", "data.num_train=300", "--set", "data.num_validation=100"];
    succeeds(dir.path(), &[&QUICK[..], &part].concat());
    let eval = ["eval", "accuracy", "--checkpoint", "run", "--device", "cpu", "--out"];
    succeeds(dir.path(), &[&eval[..], &["first"]].concat());
    let compared = ["second", "--compare", "first/results.json"];
    succeeds(dir.path(), &[&eval[..], &compared].concat());
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let results: Value = serde_json::from_str(&read("second/results.json")).unwrap();
    assert_eq!(results["model"]["num_train"], 300);
    assert_eq!(results["data"]["num_train"], 1000);
    assert_eq!(results["data"]["test_sha256"].as_str().unwrap().len(), 64);
    let page = read("second/report.html");
    assert!(page.contains("300 items") && page.contains("1,000 training to compare with"));
    assert!(page.contains("The models were measured on the same test points"));
    assert!(!page.contains("Measured differently"));

    // A file of an earlier version does not say which points they were.
    let mut earlier: Value = serde_json::from_str(&read("first/results.json")).unwrap();
    earlier["data"].as_object_mut().unwrap().remove("test_sha256").unwrap();
    earlier["model"].as_object_mut().unwrap().remove("num_train").unwrap();
    fs::write(dir.path().join("earlier.json"), earlier.to_string()).unwrap();
    let compared = ["third", "--compare", "earlier.json"];
    succeeds(dir.path(), &[&eval[..], &compared].concat());
    assert!(
        read("third/report.html").contains("Whether these are the same test points is unknown")
    );

    succeeds(dir.path(), &[&PACK[..], &["--results", "second/results.json"]].concat());
    for file in ["run/checkpoint.safetensors", "moons.safetensors"] {
        let counters = Checkpoint::load(&dir.path().join(file)).unwrap().counters;
        assert_eq!(counters.num_train, Some(300), "{file}");
    }
    let text = read("moons.md");
    let said =
        "It was trained on 300 training items; beside them, training had 100 held-out items.";
    assert!(text.contains(said) && !text.contains("1,000"), "{text}");
}

#[test]
fn a_card_that_a_person_edited_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    let path = dir.path().join("moons.md");
    fs::write(&path, "my notes").unwrap();
    let said = succeeds(dir.path(), &PACK);
    assert!(said.contains("moons.md is kept"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "my notes");

    fs::remove_file(&path).unwrap();
    let again = [&PACK[..], &["--force"]].concat();
    succeeds(dir.path(), &again);
    let edited = fs::read_to_string(&path).unwrap().replace("plain", "simple") + "\nMore of it.\n";
    fs::write(&path, &edited).unwrap();
    let said = succeeds(dir.path(), &again);
    assert!(said.contains("moons.md is kept") && said.contains("move it away"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), edited);

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(fails(dir.path(), &again).contains("moons.md is a folder where a file is needed"));
}

#[test]
fn a_card_takes_only_figures_of_its_own_model() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    let eval = ["eval", "accuracy", "--model", "two-moons", "--device", "cpu", "--out", "eval"];
    succeeds(dir.path(), &eval);
    let with = |more: &[&str]| fails(dir.path(), &[&PACK[..], more].concat());
    let said = with(&["--results", "eval/results.json"]);
    assert!(
        said.contains("eval/results.json measures another model than run: two-moons"),
        "{said}"
    );
    assert!(said.contains("`jempp eval --checkpoint run`"), "{said}");
    // A number that no configuration can have.
    let results = fs::read(dir.path().join("eval/results.json")).unwrap();
    let mut results: Value = serde_json::from_slice(&results).unwrap();
    results["config"]["seed"] = u64::MAX.into();
    fs::write(dir.path().join("huge.json"), results.to_string()).unwrap();
    let said = with(&["--results", "huge.json"]);
    assert!(said.contains("huge.json holds no results") && said.contains("seed"), "{said}");
    let said = with(&["--results", "eval/made-by.json"]);
    assert!(said.contains("holds no results of `jempp eval`"), "{said}");
    assert!(with(&["--results", "nowhere.json"]).contains("cannot read nowhere.json"));
    assert!(with(&["--license", "My licence"]).contains("as in apache-2.0"));
    assert!(
        !dir.path().join("moons.safetensors").exists() && !dir.path().join("moons.md").exists()
    );
}
