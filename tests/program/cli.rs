//! The command line: commands, exit status and error messages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::run::{QUICK, fails, jempp, succeeds, text};

fn train(dir: &Path) -> PathBuf {
    let arguments: Vec<&str> =
        QUICK.into_iter().chain(["--set", "training.eval_every_epochs=1"]).collect();
    succeeds(dir, &arguments);
    dir.join("run")
}

#[test]
fn train_and_sample_keep_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let run = train(dir.path());
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for term in [
        "step",
        "loss",
        "energy_data",
        "energy_model",
        "cross_entropy",
        "gap",
        "gradient_norm",
        "clamp_rate",
    ] {
        assert!(lines[0][term].is_number(), "{term}");
    }
    assert_eq!(lines.iter().filter(|line| line["test_accuracy"].is_number()).count(), 2);
    for file in ["config.toml", "checkpoint.safetensors", "samples/epoch-0002.png"] {
        assert!(run.join(file).is_file(), "{file}");
    }

    succeeds(
        dir.path(),
        &[
            "sample",
            "--checkpoint",
            "run/checkpoint.safetensors",
            "--out",
            "s",
            "--steps",
            "6",
            "--seed",
            "3",
            "--per-class",
            "5",
            "--device",
            "cpu",
        ],
    );
    let traces = fs::read_to_string(dir.path().join("s/traces.csv")).unwrap();
    assert_eq!(traces.lines().count(), 1 + 7 * 2 * 5, "seven states of ten chains");
    let gif = fs::read(dir.path().join("s/chains.gif")).unwrap();
    assert!(gif.starts_with(b"GIF89a"));
    assert!(image::open(dir.path().join("s/grid.png")).is_ok());

    for start in ["uniform", "data", "buffer"] {
        succeeds(
            dir.path(),
            &[
                "sample",
                "--checkpoint",
                "run/checkpoint.safetensors",
                "--out",
                start,
                "--start",
                start,
                "--steps",
                "2",
                "--class",
                "1",
                "--device",
                "cpu",
                "--sampler",
                "sgld",
                "--set",
                "sampler.step_size=0.01",
                "--conditional",
            ],
        );
        assert!(dir.path().join(start).join("grid.png").is_file());
    }
}

#[test]
fn one_seed_gives_one_sample() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path());
    let traces = |out: &str, seed: &str| {
        succeeds(
            dir.path(),
            &[
                "sample",
                "--checkpoint",
                "run/checkpoint.safetensors",
                "--out",
                out,
                "--force",
                "--steps",
                "3",
                "--seed",
                seed,
                "--device",
                "cpu",
            ],
        );
        fs::read_to_string(dir.path().join(out).join("traces.csv")).unwrap()
    };
    assert_eq!(traces("a", "1"), traces("b", "1"));
    assert_ne!(traces("c", "2"), traces("d", "1"));
}

#[test]
fn devices_and_bench_print_json() {
    let dir = tempfile::tempdir().unwrap();
    let devices: serde_json::Value =
        serde_json::from_str(&succeeds(dir.path(), &["devices", "--json"])).unwrap();
    assert!(devices.is_array());
    let bench = succeeds(
        dir.path(),
        &[
            "bench",
            "--json",
            "--device",
            "cpu",
            "--arch",
            "cnn-small",
            "--batch-size",
            "2",
            "--image-size",
            "8",
            "--repetitions",
            "1",
        ],
    );
    let bench: serde_json::Value = serde_json::from_str(&bench).unwrap();
    let steps = &bench["steps"][0];
    assert_eq!(steps["work"]["arch"], "cnn-small");
    for part in ["gradient_ms", "step_ms", "gflops"] {
        assert!(steps[part].as_f64().unwrap() > 0.0, "{part}: {bench}");
    }
    assert!(bench["ceilings"]["fma_gflops"].as_f64().unwrap() > 0.0);
}

#[test]
fn every_command_has_help_with_examples() {
    let dir = tempfile::tempdir().unwrap();
    let commands =
        ["train", "sample", "pack", "fetch", "import", "export", "devices", "bench", "config"];
    for command in commands {
        assert!(succeeds(dir.path(), &[command, "--help"]).contains("Examples:"), "{command}");
    }
    let config = succeeds(dir.path(), &["config"]);
    assert!(config.contains("proximal_radius = 1.0") && config.contains("fashion-quick"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_ends_the_program_quietly() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jempp"));
    let piped = command.arg("config").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
}

#[test]
fn bad_configurations_name_the_key_and_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let set = |assignment: &str| fails(dir.path(), &["train", "--out", "x", "--set", assignment]);
    let said = set("sampler.stepsize=1");
    assert!(
        said.contains("unknown key `sampler.stepsize`; did you mean `sampler.step_size`?"),
        "{said}"
    );
    let said = set("sampler.num_steps=0");
    assert!(
        said.contains("`sampler.num_steps` = 0 is out of range") && said.contains("[1, 100000]"),
        "{said}"
    );
    let said = set("sampler.kind=langevin");
    assert!(said.contains("sampler.kind") && said.contains("proximal-sgld"), "{said}");
    let said = set("sampler.step_size=fast");
    assert!(said.contains("`sampler.step_size` cannot be"), "{said}");
    assert!(set("sampler.step_size").contains("is not an assignment"));

    let said = fails(dir.path(), &["train", "--out", "x", "--preset", "fashion-quik"]);
    assert!(said.contains("did you mean `fashion-quick`?"), "{said}");
    let said = fails(dir.path(), &["train", "--out", "x", "--config", "none.toml"]);
    assert!(said.contains("none.toml"), "{said}");
    fs::write(dir.path().join("bad.toml"), "[sampler]\nnois_std = 1\n").unwrap();
    let said = fails(dir.path(), &["train", "--out", "x", "--config", "bad.toml"]);
    assert!(said.contains("bad.toml") && said.contains("`sampler.noise_std`"), "{said}");
    fs::write(dir.path().join("bad.toml"), "[sampler\n").unwrap();
    let said = fails(dir.path(), &["train", "--out", "x", "--config", "bad.toml"]);
    assert!(said.contains("line 1"), "{said}");
    assert!(!dir.path().join("x").exists(), "nothing was begun");
}

#[test]
fn devices_that_are_not_there_are_answered_with_those_that_are() {
    let dir = tempfile::tempdir().unwrap();
    // An empty driver list hides every adapter from the Vulkan loader.
    let output = Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(["train", "--out", "x", "--device", "gpu"])
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .current_dir(dir.path())
        .output()
        .unwrap();
    if cfg!(target_os = "linux") {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("no hardware GPU found. There is: cpu"), "{said}");
    }
    let said = fails(dir.path(), &["train", "--out", "x", "--device", "Voodoo 2"]);
    assert!(said.contains("no such adapter") && said.contains("cpu (the CPU back end)"), "{said}");
}

#[test]
fn a_run_resumes_where_there_is_no_graphics_adapter() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path());
    // burn restores an optimiser on its default device, which is an adapter.
    let output = Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(["train", "--resume", "run", "--epochs", "3", "--device", "cpu"])
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .env_remove("BURN_DEVICE")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn an_edited_configuration_is_told_of_whether_or_not_it_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let config = train(dir.path()).join("config.toml");
    let written = fs::read_to_string(&config).unwrap();
    for (epochs, edited, expected) in [
        ("3", "[sampler\n".to_string(), "config.toml cannot be used (not valid TOML at line 1"),
        (
            "4",
            "[sampler]\nkind = 'hmc'\n".into(),
            "config.toml cannot be used (`sampler.kind` cannot",
        ),
        ("5", written.replace("batch_size = 256", "batch_size = 128"), "config.toml says "),
    ] {
        assert_ne!(edited, written);
        fs::write(&config, &edited).unwrap();
        let resume = ["train", "--resume", "run", "--epochs", epochs, "--device", "cpu"];
        let output = jempp(dir.path(), &resume);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(said.contains("the settings in its checkpoint: give"), "{said}");
    }
}

#[test]
fn a_run_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path());
    let before = fs::read(dir.path().join("run/metrics.jsonl")).unwrap();
    let arguments: Vec<&str> = QUICK.into_iter().chain(["--set", "seed=5"]).collect();
    let said = fails(dir.path(), &arguments);
    assert!(said.contains("run already exists") && said.contains("--resume run"), "{said}");
    assert_eq!(fs::read(dir.path().join("run/metrics.jsonl")).unwrap(), before);
    let said = fails(dir.path(), &["train", "--resume", "nowhere"]);
    assert!(said.contains("nowhere holds no run to resume"), "{said}");
}

#[test]
fn a_resumed_run_may_go_on_longer_but_stays_the_same_run() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path());
    let go_on = ["train", "--resume", "run", "--device", "cpu", "--epochs", "3"];
    let said = succeeds(dir.path(), &[&go_on[..], &["--set", "sampler.num_steps=5"]].concat());
    assert!(said.contains("epoch 3"), "{said}");
    let config = fs::read_to_string(dir.path().join("run/config.toml")).unwrap();
    assert!(config.contains("epochs = 3") && config.contains("num_steps = 5"), "{config}");
    for change in ["seed=4", "data.dataset=rings", "model.split=2", "optimizer.kind=sgd"] {
        let said = fails(dir.path(), &[&go_on[..], &["--set", change]].concat());
        let (key, value) = change.split_once('=').unwrap();
        assert!(said.contains(&format!("{key} = ")) && said.contains(value), "{change}: {said}");
        assert!(said.contains("(the run has "), "{change}: {said}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("run/config.toml")).unwrap(), config);
}

#[test]
fn a_resume_that_cannot_be_done_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = train(dir.path());
    let files = ["config.toml", "checkpoint.safetensors", "metrics.jsonl"];
    let read = || files.map(|file| fs::read(run.join(file)).unwrap());
    let before = read();
    let resume = |path: &str, more: &[&str]| {
        fails(dir.path(), &[&["train", "--resume", path, "--device", "cpu"], more].concat())
    };
    let said = resume("run", &["--epochs", "1"]);
    assert!(said.contains("--epochs 1") && said.contains("has trained 2 epochs"), "{said}");
    let said = resume("run", &["--set", "data.batch_size=32", "--set", "data.num_validation=5"]);
    assert!(said.contains("data.batch_size = 32 (the run has "), "{said}");
    assert!(said.contains("data.num_validation = 5 (the run has 0)"), "{said}");
    let said = resume("run/config.toml", &[]);
    assert!(said.contains("it is a file"), "{said}");
    assert!(resume(".", &[]).contains("there are runs in it: ./run"));
    assert!(resume("run", &["--preset", "toy-rings"]).contains("cannot be used with"));
    assert!(read() == before);
    // The checkpoint identifies its run, and a complete run stays unchanged.
    let said = succeeds(
        dir.path(),
        &["train", "--resume", "run/checkpoint.safetensors", "--device", "cpu"],
    );
    assert!(said.contains("are done already"), "{said}");
    assert_eq!([&before[0], &before[2]], [&read()[0], &read()[2]]);
}

#[test]
fn a_run_that_cannot_begin_leaves_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> = QUICK.into_iter().chain(["--set", "model.arch=resnet"]).collect();
    assert!(fails(dir.path(), &arguments).contains("unknown model.arch"));
    let arguments: Vec<&str> =
        QUICK.into_iter().chain(["--set", "model.arch=wrn-10-99999999999"]).collect();
    assert!(fails(dir.path(), &arguments).contains("the width 1 to 64"));
    train(dir.path());
}

#[test]
fn bad_checkpoints_are_named_with_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = train(dir.path()).join("checkpoint.safetensors");
    let whole = fs::read(&path).unwrap();
    let sample = || {
        fails(dir.path(), &["sample", "--checkpoint", "run/checkpoint.safetensors", "--out", "s"])
    };

    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let said = sample();
    let (expected, found) = (whole.len(), whole.len() - 100);
    assert!(said.contains(&format!("expected {expected} bytes, found {found}")), "{said}");

    let mut flipped = whole.clone();
    let middle = whole.len() / 2;
    flipped[middle] ^= 0x40;
    fs::write(&path, flipped).unwrap();
    let said = sample();
    assert!(said.contains("corrupt: CRC-32"), "{said}");
    let mut counted = whole.clone();
    let at = whole.windows(8).position(|window| window == b"\\\"step\\\"").unwrap();
    let digit = (at..).find(|&at| whole[at].is_ascii_digit()).unwrap();
    counted[digit] ^= 1;
    fs::write(&path, counted).unwrap();
    let said = sample();
    assert!(said.contains("corrupt: CRC-32"), "the counters are covered too: {said}");
    let said = fails(dir.path(), &["train", "--resume", "run"]);
    assert!(said.contains("corrupt: CRC-32"), "{said}");

    fs::write(&path, b"PK\x03\x04 something else entirely").unwrap();
    assert!(sample().contains("is a file of PyTorch"));
    fs::write(&path, b"").unwrap();
    assert!(sample().contains("expected 8 bytes, found 0"));
    fs::remove_file(&path).unwrap();
    assert!(sample().contains("cannot read checkpoint run/checkpoint.safetensors"));
}

#[test]
fn bundled_models_sample_without_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let quick = ["--steps", "2", "--per-class", "1", "--device", "cpu"];
    let said = succeeds(dir.path(), &[&["sample"][..], &quick].concat());
    assert!(said.contains("Rows from the top: T-shirt/top, Trouser"), "{said}");
    assert!(dir.path().join("runs/samples/grid.png").is_file());
    let said = fails(dir.path(), &["sample", "--model", "fashon"]);
    assert!(said.contains("did you mean `fashion`?"), "{said}");
    let said = fails(dir.path(), &[&["sample", "--start", "buffer"][..], &quick].concat());
    assert!(said.contains("packed model"), "{said}");
}

#[test]
fn a_run_is_packed_once_and_sampled() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path());
    let pack = ["pack", "--checkpoint", "run/checkpoint.safetensors", "--out", "small.safetensors"];
    assert!(succeeds(dir.path(), &pack).contains("Packed model: small.safetensors"));
    assert!(fails(dir.path(), &pack).contains("already exists"));
    let size = |path: &str| fs::metadata(dir.path().join(path)).unwrap().len();
    assert!(size("small.safetensors") < size("run/checkpoint.safetensors") / 2);
    let sample = ["sample", "--checkpoint", "small.safetensors", "--steps", "2", "--device", "cpu"];
    succeeds(dir.path(), &sample);
    let mala = ["--sampler", "mala", "--set", "sampler.step_size=1e-4"];
    let silent = ["--set", "sampler.noise_std=0"];
    let said = fails(dir.path(), &[&sample[..], &mala, &silent].concat());
    assert!(said.contains("set sampler.noise_std above 0"), "{said}");
    let noise = ["--set", "sampler.noise_std=0.01414"];
    succeeds(dir.path(), &[&sample[..], &mala, &noise, &["--out", "mala"]].concat());
    let traces = fs::read_to_string(dir.path().join("mala/traces.csv")).unwrap();
    let acceptance = |line: &str| line.split(',').nth(7).unwrap().parse::<f64>().ok();
    let probabilities: Vec<f64> = traces.lines().skip(1).filter_map(acceptance).collect();
    assert_eq!(
        probabilities.len(),
        2 * 20,
        "two steps of twenty chains; the last state is not left"
    );
    assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
    assert!(probabilities.iter().sum::<f64>() / probabilities.len() as f64 > 0.5);

    let judge = ["--judge", "run/checkpoint.safetensors", "--start", "data"];
    succeeds(dir.path(), &[&sample[..], &judge, &["--out", "judged"]].concat());
    let traces = fs::read_to_string(dir.path().join("judged/traces.csv")).unwrap();
    for line in traces.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[7], "", "no acceptance without MALA");
        assert!(["0", "1"].contains(&fields[8]), "{line}");
        assert!((0.5..=1.0).contains(&fields[9].parse::<f64>().unwrap()), "{line}");
    }
    let said = fails(dir.path(), &["sample", "--judge", "run/checkpoint.safetensors"]);
    assert!(said.contains("judge classifies inputs of shape [2, 1, 1]"), "{said}");
    assert!(said.contains("--judge FILE"), "{said}");
}

#[test]
fn bad_sampling_requests_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    train(dir.path());
    let sample = |more: &[&str]| {
        let mut arguments =
            vec!["sample", "--checkpoint", "run/checkpoint.safetensors", "--out", "s"];
        arguments.extend(more);
        fails(dir.path(), &arguments)
    };
    assert!(sample(&["--class", "9"]).contains("by number 0 to 1"));
    assert!(sample(&["--start", "mars"]).contains("none of class-centers, uniform, data, buffer"));
    fs::write(dir.path().join("x.png"), b"no picture").unwrap();
    assert!(sample(&["--start", "x.png"]).contains("cannot start from a picture"));
    assert!(sample(&["--sampler", "gibbs"]).contains("sampler.kind"));
    let other = sample(&["--start", "data", "--set", "data.dataset=fashion-mnist-embedded"]);
    assert!(other.contains("the model was trained on inputs of shape [2, 1, 1]"), "{other}");
    assert!(sample(&["--per-class", "5000"]).contains("--per-class"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let run = train(dir.path());
    let checkpoint = run.join("checkpoint.safetensors");
    let before = fs::read(&checkpoint).unwrap();
    // A limit on the size of written files simulates a full disk: the write fails midway.
    let program = env!("CARGO_BIN_EXE_jempp");
    let config = run.join("config.toml");
    let longer = fs::read_to_string(&config).unwrap();
    assert!(longer.contains("epochs = 2"));
    let output = Command::new("bash")
        .args([
            "-c",
            &format!("trap '' XFSZ; ulimit -f 64; exec {program} train --resume run --device cpu"),
        ])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot write checkpoint run/checkpoint.safetensors"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(fs::read(&checkpoint).unwrap(), before, "the last good checkpoint is whole");
    let left: Vec<_> = fs::read_dir(&run).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "no temporary file stays: {left:?}");
}
