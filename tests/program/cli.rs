//! The command line: commands, exit status and error messages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::run::{QUICK, fails, succeeds, text};
use flate2::{Compression, write::GzEncoder};

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
    assert!(set("sampler.step_size").contains("is no assignment"));

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
fn a_stored_data_folder_is_found_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    write_mnist(&data);
    succeeds(dir.path(), &ON_MNIST);
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let resume = ["train", "--resume", "../run", "--device", "cpu", "--epochs", "2"];
    succeeds(&elsewhere, &resume);
    fs::rename(&data, dir.path().join("moved")).unwrap();
    let said = fails(dir.path(), &["train", "--resume", "run", "--device", "cpu"]);
    assert!(said.contains("comes from the run that goes on"), "{said}");
    assert!(said.contains("--data DIR"), "{said}");
    let moved = ["train", "--resume", "run", "--device", "cpu", "--data", "moved"];
    succeeds(dir.path(), &moved);
}

#[test]
fn nothing_is_measured_without_test_images() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    write_mnist(&data);
    fs::write(data.join("t10k-images.idx3-ubyte"), idx(&[0, 8, 8], &[])).unwrap();
    fs::write(data.join("t10k-labels-idx1-ubyte.gz"), gz(&idx(&[0], &[]))).unwrap();
    let said = succeeds(dir.path(), &ON_MNIST);
    assert!(said.contains("no test images") && !said.contains("test accuracy"), "{said}");
    let metrics = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let last = metrics.lines().last().unwrap();
    assert!(last.contains("validation_accuracy") && !last.contains("test_"), "{last}");
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
    assert!(sample(&["--class", "9"]).contains("the model has classes 0 to 1"));
    assert!(sample(&["--start", "mars"]).contains("none of class-centers, uniform, data, buffer"));
    fs::write(dir.path().join("x.png"), b"no picture").unwrap();
    assert!(sample(&["--start", "x.png"]).contains("cannot start from a picture"));
    assert!(sample(&["--sampler", "gibbs"]).contains("sampler.kind"));
    let other = sample(&["--start", "data", "--set", "data.dataset=fashion-mnist-embedded"]);
    assert!(other.contains("the model was trained on inputs of shape [2, 1, 1]"), "{other}");
    assert!(sample(&["--per-class", "5000"]).contains("--per-class"));
}

fn idx(dims: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(payload);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes a tiny data set in MNIST's format: 40 training and 20 test images of 8×8.
fn write_mnist(dir: &Path) {
    for (part, count) in [("train", 40u32), ("t10k", 20)] {
        let pixels: Vec<u8> = (0..count * 64).map(|at| (at * 7 % 256) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|item| (item % 10) as u8).collect();
        // One file is plain, one is gzipped, one has the dot that some mirrors use.
        fs::write(dir.join(format!("{part}-images.idx3-ubyte")), idx(&[count, 8, 8], &pixels))
            .unwrap();
        fs::write(dir.join(format!("{part}-labels-idx1-ubyte.gz")), gz(&idx(&[count], &labels)))
            .unwrap();
    }
}

const ON_MNIST: [&str; 17] = [
    "train",
    "--preset",
    "mnist-showcase",
    "--data",
    "data",
    "--out",
    "run",
    "--epochs",
    "1",
    "--device",
    "cpu",
    "--set",
    "data.batch_size=10",
    "--set",
    "data.num_validation=10",
    "--set",
    "sampler.num_steps=1",
];

#[test]
fn official_files_are_read_plain_and_gzipped() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    write_mnist(&data);
    succeeds(dir.path(), &ON_MNIST);
    let metrics = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 3 + 1, "three steps of ten images, one evaluation");
    assert!(metrics.lines().last().unwrap().contains("validation_accuracy"));
}

#[test]
fn fetched_files_are_found_without_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache/mnist");
    fs::create_dir_all(&cache).unwrap();
    let anywhere: Vec<&str> =
        ON_MNIST.into_iter().filter(|word| !["--data", "data"].contains(word)).collect();
    let said = fails(dir.path(), &anywhere);
    assert!(said.contains("get them with `jempp fetch mnist`"), "{said}");
    write_mnist(dir.path());
    for (part, kind) in
        [("train-images", 3), ("train-labels", 1), ("t10k-images", 3), ("t10k-labels", 1)]
    {
        let name = format!("{part}-idx{kind}-ubyte");
        assert!(fails(dir.path(), &anywhere).contains("jempp fetch mnist"), "not all there");
        let packed = dir.path().join(format!("{name}.gz"));
        let written =
            if kind == 3 { dir.path().join(format!("{part}.idx3-ubyte")) } else { packed };
        fs::copy(written, cache.join(name)).unwrap();
    }
    succeeds(dir.path(), &anywhere);
}

#[test]
fn cifar_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let batches = dir.path().join("data/cifar-10-batches-bin");
    fs::create_dir_all(&batches).unwrap();
    let records = |count: usize, labels: &[u8]| -> Vec<u8> {
        (0..count)
            .flat_map(|item| {
                let label = labels.iter().map(move |&coarse| coarse.max((item % 10) as u8));
                label.chain((0..3072).map(move |at| ((at + 31 * item) % 256) as u8))
            })
            .collect()
    };
    for file in [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ] {
        fs::write(batches.join(format!("{file}.bin")), records(20, &[0])).unwrap();
    }
    let arguments = [
        "train",
        "--preset",
        "jem-cifar10",
        "--data",
        "data",
        "--out",
        "run",
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--set",
        "data.batch_size=50",
        "--set",
        "data.num_validation=0",
        "--set",
        "sampler.num_steps=1",
        "--set",
        "model.arch=wrn-10-1",
        "--set",
        "class_centers.max_components=4",
        "--set",
        "replay_buffer.replay_buffer_size=50",
    ];
    succeeds(dir.path(), &arguments);

    // In CIFAR-100 the coarse label comes before the fine one.
    let folder = dir.path().join("cifar-100-binary");
    fs::create_dir_all(&folder).unwrap();
    let hundred: Vec<u8> = (0..200usize)
        .flat_map(|item| {
            [(item % 20) as u8, (item % 100) as u8]
                .into_iter()
                .chain((0..3072).map(move |at| ((at + 7 * item) % 256) as u8))
        })
        .collect();
    fs::write(folder.join("train.bin"), &hundred).unwrap();
    fs::write(folder.join("test.bin"), &hundred[..3074 * 100]).unwrap();
    let config = jempp::config::RunConfig::default()
        .with_assignment("data.dataset=cifar100")
        .unwrap()
        .with_assignment(&format!("data.dir='{}'", dir.path().display()))
        .unwrap();
    let splits = jempp::data::load(&config.data, 0).unwrap();
    assert_eq!(
        (splits.train.len(), splits.test.len(), splits.train.num_classes()),
        (200, 100, 100)
    );
    assert_eq!(splits.train.labels[57], 57);
    assert_eq!(splits.train.gather([0])[1], 1.0 / 127.5 - 1.0);

    fs::write(folder.join("test.bin"), &hundred[..1000]).unwrap();
    let error = jempp::data::load(&config.data, 0).unwrap_err().to_string();
    assert!(
        error.contains("test.bin") && error.contains("expected 3074 bytes, found 1000"),
        "{error}"
    );
}

#[test]
fn bad_data_files_are_named_with_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let run = || fails(dir.path(), &ON_MNIST);
    assert!(run().contains("missing data file: none of train-images-idx3-ubyte"));
    write_mnist(&data);
    let images = data.join("train-images.idx3-ubyte");
    let whole = fs::read(&images).unwrap();

    fs::write(&images, &whole[..whole.len() - 5]).unwrap();
    let said = run();
    assert!(said.contains("train-images.idx3-ubyte"), "{said}");
    assert!(said.contains("expected 2576 bytes, found 2571"), "{said}");
    fs::write(&images, &whole[..7]).unwrap();
    assert!(run().contains("expected 16 bytes, found 7"));
    fs::write(&images, b"<html>not found</html>").unwrap();
    assert!(run().contains("is not an IDX file of images"));
    let packed = gz(&whole);
    fs::write(&images, &packed[..packed.len() / 2]).unwrap();
    let said = run();
    assert!(said.contains("is not a whole gzip file"), "{said}");

    fs::write(&images, &whole).unwrap();
    let test_images = data.join("t10k-images.idx3-ubyte");
    let test_whole = fs::read(&test_images).unwrap();
    fs::write(&test_images, idx(&[20, 4, 4], &[9; 320])).unwrap();
    assert!(run().contains("have shape [1, 8, 8] and the test images [1, 4, 4]"));
    fs::write(&test_images, test_whole).unwrap();

    let labels = data.join("train-labels-idx1-ubyte.gz");
    fs::write(&labels, gz(&idx(&[39], &[1; 39]))).unwrap();
    assert!(run().contains("holds 40 images but"));
    let mut wrong = [3u8; 40];
    wrong[17] = 11;
    fs::write(&labels, gz(&idx(&[40], &wrong))).unwrap();
    let said = run();
    assert!(
        said.contains("t10k-labels-idx1-ubyte.gz holds labels that no training image"),
        "{said}"
    );
    assert!(said.contains("(0, 1, 2, 4, 5, 6, 7, 8, 9)"), "{said}");
    let said = fails(dir.path(), &["train", "--preset", "mnist-showcase", "--out", "x"]);
    assert!(said.contains("get them with `jempp fetch mnist`"), "{said}");
    assert!(said.contains("--data DIR"), "{said}");
    assert!(!dir.path().join("run").exists(), "nothing was begun");
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
