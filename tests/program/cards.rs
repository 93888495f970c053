//! Model cards: `jempp pack` writes one beside every packed model, and keeps those that a person edited.

use std::fs;

use serde_json::Value;

use crate::run::{QUICK, fails, succeeds};

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
    let said = with(&["--results", "eval/made-by.json"]);
    assert!(said.contains("holds no results of `jempp eval`"), "{said}");
    assert!(with(&["--results", "nowhere.json"]).contains("cannot read nowhere.json"));
    assert!(with(&["--license", "My licence"]).contains("as in apache-2.0"));
    assert!(
        !dir.path().join("moons.safetensors").exists() && !dir.path().join("moons.md").exists()
    );
}
