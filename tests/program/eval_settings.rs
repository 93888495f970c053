//! What the settings of `jempp eval` reach, which judge it takes, and what it calls the items of the data.

use std::{fs, path::Path};

use crate::run::{QUICK, fails, jempp, succeeds, text};
use jempp::{bundled, eval::results::Results};

/// As little work as possible for the parts that look at images with noise.
const LITTLE: [&str; 10] = [
    "eval.num_resamples=100",
    "eval.num_ood=10",
    "eval.attack=pgd",
    "eval.attack_steps=1",
    "eval.attack_restarts=1",
    "eval.num_attacked=1",
    "eval.num_attacked_refined=1",
    "eval.linf_radii=[1]",
    "eval.l2_radii=[0.1]",
    "eval.refine_steps=1",
];

fn results(dir: &Path, out: &str) -> Results {
    serde_json::from_slice(&fs::read(dir.join(out).join("results.json")).unwrap()).unwrap()
}

#[test]
fn the_step_that_removes_noise_does_not_change_what_data_and_chains_had_in_training() {
    let dir = tempfile::tempdir().unwrap();
    let model = ["--model", "fashion-sampler", "--device", "cpu"];
    let measure = |out: &str, more: &[&str]| {
        let little = LITTLE.iter().flat_map(|set| ["--set", set]).collect::<Vec<_>>();
        let parts = ["eval", "ood", "attack", "--out", out];
        succeeds(dir.path(), &[&parts[..], &model, &little[..], more].concat());
        results(dir.path(), out)
    };
    let (plain, changed) =
        (measure("plain", &[]), measure("changed", &["--set", "sampler.denoise_step=0"]));
    assert_eq!(plain.ood.as_ref().unwrap().noise_std, 0.06);
    assert_eq!(plain.ood, changed.ood);
    // The classifier of this model saw no noise in training, so refinement removes it.
    let refinement = |results: Results| results.attack.unwrap().refinement;
    let removed = "the noise of the data removed (step 1)";
    let (plain, changed) = (refinement(plain), refinement(changed));
    assert!(plain.contains(removed) && !changed.contains(removed), "{plain}; {changed}");

    let key = ["--set", "sampler.denoise_step=0"];
    let error = fails(dir.path(), &[&["eval", "ood"], &model[..], &key].concat());
    assert!(error.contains("is not used: it is for attack and samples"), "{error}");
    let bare = ["--set", "eval.refine_steps=0"];
    let error = fails(dir.path(), &[&["eval", "attack"], &model[..], &key, &bare].concat());
    assert!(error.contains("`sampler.denoise_step` is not used: it is for samples"), "{error}");
}

#[test]
fn a_model_is_not_its_own_judge() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    succeeds(dir.path(), &["pack", "--checkpoint", "run", "--out", "small.safetensors"]);
    // The same model in full and in half precision.
    for [model, judge] in
        [["run", "run"], ["run", "small.safetensors"], ["small.safetensors", "run"]]
    {
        let eval = ["eval", "samples", "--device", "cpu", "--checkpoint", model, "--judge", judge];
        let error = fails(dir.path(), &eval);
        assert!(error.contains("the judge is the model itself"), "{error}");
        assert!(error.contains("objective.p_x_weight = 0"), "{error}");
        assert!(!dir.path().join("runs").exists());
    }
    let sample = ["sample", "--device", "cpu", "--steps", "0", "--checkpoint", "run", "--judge"];
    let warns = |judge: &str, out: &str| {
        let output = jempp(dir.path(), &[&sample[..], &[judge, "--out", out]].concat());
        assert!(output.status.success(), "{output:?}");
        text(&output.stderr).contains("warning: the judge is the model itself")
    };
    assert!(warns("small.safetensors", "same"));
    fs::write(dir.path().join("other.safetensors"), bundled::find("two-moons").unwrap().bytes())
        .unwrap();
    assert!(!warns("other.safetensors", "other"));

    // There is no other bundled judge for the bundled judge.
    let judge = bundled::BUNDLED_JUDGES.iter().find(|judge| judge.name == "fashion-judge");
    fs::write(dir.path().join("judge.safetensors"), judge.unwrap().bytes()).unwrap();
    let eval = ["eval", "samples", "--device", "cpu", "--checkpoint", "judge.safetensors"];
    let error = fails(dir.path(), &eval);
    assert!(error.contains("to judge samples: train one"), "{error}");
}

#[test]
fn points_are_called_points() {
    let dir = tempfile::tempdir().unwrap();
    let little = LITTLE.iter().flat_map(|set| ["--set", set]).collect::<Vec<_>>();
    let parts = ["eval", "accuracy", "calibration", "ood", "attack", "--model", "two-moons"];
    let out = ["--device", "cpu", "--out", "moons"];
    let said = succeeds(dir.path(), &[&parts[..], &out, &little[..]].concat());
    assert!(said.contains("two-moons, 1000 test points of two-moons, with intervals"), "{said}");
    assert!(said.contains("with temperatures fitted on test points"), "{said}");
    // A radius of 1/255 of the pixel range is twice as long in x, which goes from -1 to 1.
    assert!(said.contains("0.0078: "), "{said}");
    let found = results(dir.path(), "moons");
    assert!(found.ood.unwrap().sets.iter().all(|set| !set.what.contains("image")));
    // What is left is a property of pictures in the style sheet.
    let page = fs::read_to_string(dir.path().join("moons/report.html")).unwrap();
    let page = page.replace("image-rendering", "").to_lowercase();
    assert_eq!(page.split('>').find(|text| text.contains("image")), None);
}
