//! End-to-end tests of `jempp sample --diagnose`, also with bad input.

use std::{fs, path::Path};

use crate::run::{QUICK, fails, succeeds};
use jempp::checkpoint::Checkpoint;
use jempp::diagnostics::{kolmogorov_smirnov, mean_and_std, nested_r_hat, report};
use serde_json::Value;

const MODEL: [&str; 5] =
    ["sample", "--device", "cpu", "--checkpoint", "run/checkpoint.safetensors"];

/// A folder with a small model of two moons in `run`.
fn with_model() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    dir
}

fn diagnosed(dir: &Path, out: &str, more: &[&str]) -> (Value, String) {
    let said = succeeds(dir, &[&MODEL, &["--diagnose", "--out", out][..], more].concat());
    let json = fs::read(dir.join(out).join("diagnostics.json")).unwrap();
    (serde_json::from_slice(&json).unwrap(), said)
}

/// Reads the names of the summaries, and the draws of every chain for each of them.
fn draws(dir: &Path, out: &str) -> (Vec<String>, Vec<Vec<Vec<f64>>>) {
    let table = fs::read_to_string(dir.join(out).join("draws.csv")).unwrap();
    let mut lines = table.lines();
    let names: Vec<String> = lines.next().unwrap().split(',').map(String::from).collect();
    assert_eq!(names[..2], ["chain", "draw"]);
    let mut draws = vec![Vec::<Vec<f64>>::new(); names.len() - 2];
    for line in lines {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        let (chain, draw) = (cells[0] as usize, cells[1] as usize);
        for (summary, &value) in draws.iter_mut().zip(&cells[2..]) {
            if draw == 0 {
                summary.push(Vec::new());
            }
            assert!(chain < summary.len() && summary[chain].len() == draw, "rows in order");
            summary[chain].push(value);
        }
    }
    (names[2..].to_vec(), draws)
}

const WARM: [&str; 8] = [
    "--sampler",
    "sgld",
    "--set",
    "sampler.step_size=0.0005",
    "--set",
    "sampler.noise_std=0.0316",
    "--steps",
    "60",
];

#[test]
fn numbers_are_those_of_the_draws() {
    let dir = with_model();
    let more = [&WARM[..], &["--warmup", "20", "--per-class", "6", "--chains-per-start", "3"]];
    let (found, said) = diagnosed(dir.path(), "out", &more.concat());
    let (names, draws) = draws(dir.path(), "out");
    let all = [
        "energy",
        "max_probability",
        "entropy",
        "gradient_norm",
        "distance",
        "clamp_rate",
        "saturation",
        "class_axis_1",
    ];
    assert_eq!(names, all);
    assert_eq!(found["num_chains"], 12);
    assert_eq!((&found["warmup"], &found["num_draws"]), (&20.into(), &40.into()));
    let superchains: Vec<usize> = (0..12).map(|chain| chain / 3).collect();
    for (name, draws) in names.iter().zip(&draws) {
        assert!(draws.len() == 12 && draws.iter().all(|chain| chain.len() == 40));
        let numbers = &found["summaries"][name];
        if name == "distance" {
            let reason = numbers["split_r_hat"]["does_not_apply"].as_str().unwrap();
            assert!(reason.contains("its own start"), "{reason}");
            continue;
        }
        let Ok(r_hat) = report(draws).split_r_hat else {
            assert!(["clamp_rate", "saturation"].contains(&name.as_str()), "{name}");
            assert!(numbers["split_r_hat"]["does_not_apply"].is_string());
            continue;
        };
        let near = |key: &str, expected: f64| {
            let found = numbers[key].as_f64().unwrap();
            assert!((found / expected - 1.0).abs() < 1e-9, "{name} {key}: {found}, {expected}");
        };
        near("split_r_hat", r_hat);
        near("ess_bulk", report(draws).ess_bulk.unwrap());
        near("ess_tail", report(draws).ess_tail.unwrap());
        near("integrated_time", report(draws).integrated_time.unwrap());
        near("nested_r_hat", nested_r_hat(draws, &superchains).unwrap());
    }
    assert!(said.contains("bulk ESS") && said.contains("the 3 chains of a start"), "{said}");
}

#[test]
fn diagnosed_chains_are_the_same_chains() {
    let dir = with_model();
    for kind in ["sgld", "proximal-sgld", "pyld", "normalized-gradient", "mala"] {
        let step = if kind == "pyld" { "sampler.inner_step_size=0.0001" } else { WARM[3] };
        let more = ["--sampler", kind, "--steps", "12", "--set", step, "--set", WARM[5], "--force"];
        let plain = [&MODEL[..], &["--out", "plain"], &more].concat();
        succeeds(dir.path(), &plain);
        let (_, said) = diagnosed(dir.path(), "out", &more);
        let traces = |out: &str| fs::read(dir.path().join(out).join("traces.csv")).unwrap();
        assert!(traces("plain") == traces("out"), "{kind}");
        assert_eq!(said.contains("no formula is known"), kind == "normalized-gradient", "{said}");
    }
}

#[test]
fn superchains_are_chains_that_began_alike() {
    let dir = with_model();
    let superchains = |out: &str, more: &[&str]| {
        let (found, _) = diagnosed(dir.path(), out, &[&WARM[..], more].concat());
        let nested = found["summaries"]["energy"]["nested_r_hat"].clone();
        (found["superchains"].as_str().unwrap().to_string(), nested)
    };
    let (said, nested) = superchains("class", &[]);
    assert!(said == "the chains of a class" && nested.is_number(), "{said}: {nested}");
    let (said, nested) = superchains("single", &["--start", "uniform"]);
    assert!(said == "every chain by itself" && nested.is_number(), "{said}: {nested}");
    let (said, nested) = superchains("one", &["--class", "1"]);
    let reason = nested["does_not_apply"].as_str().unwrap();
    assert!(said == "the chains of a class" && reason.contains("2 different starts"), "{reason}");
    let (_, nested) = superchains("starts", &["--class", "1", "--chains-per-start", "5"]);
    assert!(nested.is_number(), "{nested}");

    // All chains start from one picture, made by a bundled model.
    let images = ["sample", "--device", "cpu", "--per-class", "1", "--steps", "8"];
    succeeds(dir.path(), &[&images[..], &["--class", "1", "--out", "picture"]].concat());
    let noisy = ["--start", "picture/grid.png", "--set", "sampler.noise_std=0.01"];
    succeeds(dir.path(), &[&images[..], &noisy, &["--diagnose", "--out", "all"]].concat());
    let json = fs::read(dir.path().join("all/diagnostics.json")).unwrap();
    let found: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(found["superchains"], "all chains, which leave one picture");
    // Distances are measured from the common start.
    assert!(found["summaries"]["distance"]["split_r_hat"].is_number(), "{found}");
    assert!(found["summaries"]["distance"]["nested_r_hat"]["does_not_apply"].is_string());
}

#[test]
fn draws_are_the_steps_after_the_warm_up() {
    let dir = with_model();
    let more = [&WARM[..], &["--warmup", "50", "--per-class", "2"]].concat();
    diagnosed(dir.path(), "out", &more);
    let energies = &draws(dir.path(), "out").1[0];
    let traces = fs::read_to_string(dir.path().join("out/traces.csv")).unwrap();
    let mut of_traces = vec![Vec::new(); 4];
    for line in traces.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[0].parse::<usize>().unwrap() > 50 {
            of_traces[cells[1].parse::<usize>().unwrap()].push(cells[3].parse::<f32>().unwrap());
        }
    }
    let energies: Vec<Vec<f32>> =
        energies.iter().map(|chain| chain.iter().map(|&value| value as f32).collect()).collect();
    assert_eq!(energies, of_traces);
}

#[test]
fn of_very_many_draws_some_are_kept() {
    let dir = with_model();
    let more = [&WARM[..6], &["--steps", "600", "--per-class", "500", "--short", "5"]].concat();
    let (found, said) = diagnosed(dir.path(), "out", &more);
    // 300,000 values of each summary are more than the limit of 2^18.
    assert_eq!((&found["steps_per_draw"], &found["num_draws"]), (&2.into(), &150.into()));
    assert!(said.contains("one of every 2 steps is diagnosed"), "{said}");
    let table = fs::read_to_string(dir.path().join("out/draws.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 150 * 1000);
    let draws = |line: &str| line.split(',').nth(1).unwrap().parse::<usize>().unwrap();
    assert_eq!(draws(table.lines().nth(1).unwrap()), 1);
    assert_eq!(draws(table.lines().last().unwrap()), 299, "the last draw is kept");
}

#[test]
fn a_short_run_is_the_beginning_of_a_long_one() {
    let dir = with_model();
    let more = [&WARM[..], &["--short", "15", "--per-class", "4"]].concat();
    let (found, _) = diagnosed(dir.path(), "out", &more);
    let traces = fs::read_to_string(dir.path().join("out/traces.csv")).unwrap();
    let energies = |step: &str| -> Vec<f64> {
        let rows = traces.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let energy = |row: Vec<&str>| f64::from(row[3].parse::<f32>().unwrap());
        rows.filter(|row| row[0] == step).map(energy).collect()
    };
    let ends = &found["short_run"]["summaries"]["energy"];
    for (end, step) in [("short", "15"), ("long", "60")] {
        let (mean, std) = mean_and_std(&energies(step)).unwrap();
        let near = |key: &str, expected: f64| {
            let found = ends[end][key].as_f64().unwrap();
            assert!((found - expected).abs() < 1e-5, "{end} {key}: {found}, {expected}");
        };
        near("mean", mean);
        near("std", std);
    }
    let expected = kolmogorov_smirnov(&energies("15"), &energies("60")).unwrap();
    assert_eq!(ends["short_long"]["ks"], expected.distance);
    assert_eq!(ends["short_long"]["critical"], expected.critical);
    let summaries = &found["short_run"]["summaries"];
    assert!(summaries["distance"]["short_long"]["does_not_apply"].is_string());
}

#[test]
fn acceptance_falls_with_the_step() {
    let dir = with_model();
    let acceptance = |out: &str, step: &str, noise: &str, kind: &str| {
        let set = [format!("sampler.step_size={step}"), format!("sampler.noise_std={noise}")];
        let more = ["--sampler", kind, "--steps", "40", "--set", &set[0], "--set", &set[1]];
        let (found, said) = diagnosed(dir.path(), out, &more);
        let probability = found["acceptance"]["probability"].as_f64().unwrap();
        (probability, found["acceptance"]["is_shadow"].as_bool().unwrap(), said)
    };
    // Temperature 1: σ² = 2α.
    let (small, is_shadow, said) = acceptance("small", "1e-7", "0.000447", "sgld");
    assert!(small > 0.99 && is_shadow && said.contains("Shadow acceptance"), "{small}");
    // JEM's setting, β = 20,000: at a long step, the curvature of the energy has a large effect.
    let (large, ..) = acceptance("large", "1", "0.01", "sgld");
    assert!(large < 0.6, "{large}");
    let (clamped, ..) = acceptance("clamped", "1e-7", "0.000447", "proximal-sgld");
    assert!(clamped > 0.99, "{clamped}");

    // The acceptance of MALA itself, as in its traces.
    let (real, is_shadow, said) = acceptance("mala", "0.002", "0.0632", "mala");
    assert!(!is_shadow && said.contains("MALA acceptance"), "{said}");
    let traces = fs::read_to_string(dir.path().join("mala/traces.csv")).unwrap();
    let column = |line: &str, nth: usize| line.split(',').nth(nth).unwrap().to_string();
    let steps = traces
        .lines()
        .skip(1)
        .filter(|line| (20..40).contains(&column(line, 0).parse::<usize>().unwrap()));
    let of_steps: Vec<f64> = steps.map(|line| column(line, 7).parse().unwrap()).collect();
    let mean = of_steps.iter().sum::<f64>() / of_steps.len() as f64;
    assert!((real - mean).abs() < 1e-6, "{real} and {mean}");
}

#[test]
fn what_does_not_apply_says_why() {
    let dir = with_model();
    let still = ["--steps", "20", "--set", "sampler.noise_std=0", "--short", "3"];
    let (found, said) = diagnosed(dir.path(), "still", &still);
    let reason = found["summaries"]["energy"]["split_r_hat"]["does_not_apply"].as_str().unwrap();
    assert!(reason.contains("without noise there is no distribution"), "{reason}");
    assert!(said.contains("do not apply: without noise"), "{said}");
    assert!(said.contains("Short run of 3 steps against the long one of 20"), "{said}");
    let ends = &found["short_run"]["summaries"]["energy"];
    // 200 test points; a long descent reaches lower energies than a short one.
    assert_eq!(found["short_run"]["num_test_images"], 200);
    let mean = |end: &str| ends[end]["mean"].as_f64().unwrap();
    assert!(mean("long") <= mean("short"), "{ends}");
    assert!(ends["short_long"]["ks"].is_number() && ends["test"]["mean"].is_number());
    assert!(found["short_run"]["summaries"]["distance"]["test"].is_null());
    assert_eq!(found["inverse_temperature"], "infinite");

    let brief = [&WARM[..6], &["--steps", "8"]].concat();
    let (found, said) = diagnosed(dir.path(), "brief", &brief);
    let reason = found["short_run"]["does_not_apply"].as_str().unwrap();
    assert!(reason.contains("no longer than the 20 steps of a run in training"), "{reason}");
    assert!(said.contains("not compared with short ones"), "{said}");
    let beta = found["inverse_temperature"].as_f64().unwrap();
    assert!((beta - 1.0).abs() < 0.01 && said.contains("β = 2α/σ² = 1.00"), "{beta}: {said}");
    let falling = [&brief[..], &["--set", "sampler.step_schedule=cosine"]].concat();
    let (found, said) = diagnosed(dir.path(), "falling", &falling);
    assert!(said.contains("the step size falls") && found["caveats"][0].is_string(), "{said}");

    let conditional = [&WARM[..], &["--conditional"]].concat();
    let (found, _) = diagnosed(dir.path(), "conditional", &conditional);
    let reason = found["summaries"]["energy"]["ess_bulk"]["does_not_apply"].as_str().unwrap();
    assert!(reason.contains("every class has its own distribution"), "{reason}");
    let one = [&conditional[..], &["--class", "1"]].concat();
    let (found, _) = diagnosed(dir.path(), "one", &one);
    assert!(found["summaries"]["energy"]["ess_bulk"].is_number(), "{found}");
}

#[test]
fn a_diagnosis_that_cannot_be_is_refused_before_any_work() {
    let dir = with_model();
    let refused = |more: &[&str]| {
        let error =
            fails(dir.path(), &[&MODEL[..], &["--diagnose", "--out", "never"], more].concat());
        assert!(!dir.path().join("never").exists(), "{error}");
        error
    };
    assert!(refused(&["--steps", "6"]).contains("6 steps less a warm-up of 3 leave 3"));
    assert!(refused(&["--steps", "9", "--warmup", "20"]).contains("leave 0"));
    assert!(refused(&["--class", "0", "--per-class", "1"]).contains("at least 2"));
    assert!(refused(&["--chains-per-start", "3"]).contains("cannot be shared out"));
    assert!(refused(&["--steps", "20", "--short", "20"]).contains("no shorter than the run of 20"));
    let error = fails(dir.path(), &[&MODEL[..], &["--warmup", "3"]].concat());
    assert!(error.contains("required arguments were not provided"), "{error}");
}

#[test]
fn a_model_of_a_curriculum_and_of_the_logistic_loss_is_diagnosed_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let curriculum = [
        "objective.gap_loss=logistic",
        "sampler.num_steps=1",
        "training.max_chain_steps=3",
        "training.grow_at_auc=0.5",
        "sampler.start=uniform",
        "replay_buffer.reinit_prob=1",
        "data.batch_size=32",
    ];
    let sets: Vec<&str> = curriculum.iter().flat_map(|set| ["--set", set]).collect();
    succeeds(dir.path(), &[&QUICK[..], &sets].concat());
    let checkpoint = Checkpoint::load(&dir.path().join("run")).unwrap();
    let num_steps = checkpoint.counters.chain_steps(&checkpoint.config);
    assert!(num_steps > 1, "the curriculum has grown");
    let (found, said) = diagnosed(dir.path(), "out", &WARM);
    assert_eq!(found["short_run"]["num_steps"].as_u64(), Some(num_steps as u64), "{said}");
    assert!(said.contains("says where data lie, and hardly how frequent"), "{said}");
    let metrics = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"chain_steps\":"), "{metrics}");
    let card = succeeds(
        dir.path(),
        &["pack", "--checkpoint", "run/checkpoint.safetensors", "--out", "model.safetensors"],
    );
    let card = card + &fs::read_to_string(dir.path().join("model.md")).unwrap();
    assert!(card.contains("The p(x) of this energy need not be that of the data"), "{card}");
}
