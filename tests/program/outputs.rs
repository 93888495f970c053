//! The output of the commands: no file is replaced without permission, a stopped job leaves valid files, and every
//! given option is used.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use crate::run::{QUICK, fails, hears_signals, jempp, succeeds, text};
use jempp::{
    bundled,
    eval::results::Results,
    results_folder::{Job, MADE_BY, MadeBy},
};
use serde_json::Value;

/// The arguments for two chains of points with three steps.
const SAMPLE: [&str; 9] =
    ["sample", "--model", "two-moons", "--device", "cpu", "--steps", "3", "--per-class", "1"];
const EVAL: [&str; 6] = ["eval", "accuracy", "--model", "two-moons", "--device", "cpu"];

fn sample<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SAMPLE[..], more].concat()
}

fn eval<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&EVAL[..], more].concat()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn made_by(folder: &Path) -> MadeBy {
    serde_json::from_slice(&fs::read(folder.join(MADE_BY)).unwrap()).unwrap()
}

fn results(folder: &Path) -> Results {
    serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap()
}

#[test]
fn kernels_are_chosen_on_a_gpu_only() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [sample(&["--tune", "again"]), eval(&["--tune", "off"])] {
        let said = fails(dir.path(), &arguments);
        assert!(said.contains("--tune is not used"), "{said}");
    }
    let said = text(&jempp(dir.path(), &sample(&["--tune", "never"])).stderr);
    assert!(said.contains("off") && said.contains("again"), "{said}");
}

#[test]
fn results_are_replaced_as_a_whole_and_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let diagnosed = ["--diagnose", "--steps", "12", "--out", "out"];
    let steps = SAMPLE.iter().filter(|word| !["--steps", "3"].contains(word)).copied();
    succeeds(dir.path(), &steps.chain(diagnosed).collect::<Vec<_>>());
    let all = ["chains.gif", "diagnostics.json", "draws.csv", "grid.png", MADE_BY, "traces.csv"];
    assert_eq!(names(&out), all);
    let found = made_by(&out);
    assert!(found.finished && found.job == Job::Sample && found.model == "two-moons", "{found:?}");
    assert!(found.command.starts_with("jempp sample --model two-moons"), "{}", found.command);
    let before = fs::read(out.join("traces.csv")).unwrap();

    for again in [sample(&["--out", "out"]), eval(&["--out", "out"])] {
        let said = fails(dir.path(), &again);
        let what = "out holds the results of `jempp sample` with the model two-moons";
        assert!(said.contains(what) && said.contains("--force"), "{said}");
    }
    // A command that cannot start also replaces nothing.
    let said = fails(dir.path(), &sample(&["--out", "out", "--force", "--class", "7"]));
    assert!(said.contains("by number 0 to 1"), "{said}");
    let said = fails(dir.path(), &eval(&["--out", "out", "--force", "--compare", "none.json"]));
    assert!(said.contains("none.json"), "{said}");
    assert_eq!(fs::read(out.join("traces.csv")).unwrap(), before);
    assert_eq!(names(&out), all);

    fs::write(out.join("notes.txt"), "mine").unwrap();
    let said = succeeds(dir.path(), &sample(&["--out", "out", "--force"]));
    assert!(said.contains("kept: notes.txt"), "{said}");
    assert_eq!(names(&out), ["chains.gif", "grid.png", MADE_BY, "notes.txt", "traces.csv"]);
    succeeds(dir.path(), &eval(&["--out", "out", "--force"]));
    assert_eq!(names(&out), [MADE_BY, "notes.txt", "report.html", "results.json"]);
}

#[test]
fn a_folder_of_other_things_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let photos = dir.path().join("photos");
    fs::create_dir(&photos).unwrap();
    for name in ["a.jpg", "b.jpg", "c.jpg", "d.jpg"] {
        fs::write(photos.join(name), "a picture").unwrap();
    }
    for arguments in [sample(&["--out", "photos"]), eval(&["--out", "photos"])] {
        let said = fails(dir.path(), &arguments);
        assert!(said.contains("it holds a.jpg, b.jpg, c.jpg and 1 more"), "{said}");
    }
    assert_eq!(names(&photos).len(), 4);
    let said = fails(dir.path(), &sample(&["--out", "photos/a.jpg"]));
    assert!(said.contains("photos/a.jpg is a file"), "{said}");
    succeeds(dir.path(), &sample(&["--out", "photos", "--force"]));
    assert_eq!(fs::read(photos.join("a.jpg")).unwrap(), b"a picture");
    // An empty folder is accepted like a missing one.
    fs::create_dir(dir.path().join("empty")).unwrap();
    succeeds(dir.path(), &eval(&["--out", "empty"]));
}

#[test]
fn the_default_folder_gets_a_number_where_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, folders) in [
        (sample(&[]), ["runs/samples", "runs/samples-2", "runs/samples-3"]),
        (eval(&[]), ["runs/eval", "runs/eval-2", "runs/eval-3"]),
    ] {
        for folder in folders {
            let said = succeeds(dir.path(), &arguments);
            assert!(said.contains(&format!("Writes:   {folder}\n")), "{said}");
            assert!(made_by(&dir.path().join(folder)).finished);
        }
    }
}

#[test]
fn single_files_follow_the_same_rule() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    let checkpoint = "run/checkpoint.safetensors";
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    for command in ["pack", "export"] {
        fs::write(dir.path().join("old"), "mine").unwrap();
        let arguments = [command, "--checkpoint", checkpoint, "--out", "old"];
        let said = fails(dir.path(), &arguments);
        assert!(said.contains("old already exists") && said.contains("--force"), "{said}");
        assert_eq!(read("old"), b"mine");
        let said = succeeds(dir.path(), &[&arguments[..], &["--force"]].concat());
        for row in ["Model:    run/", "Network:  mlp", " weights", "Writes:   old"] {
            assert!(said.contains(row), "{row}: {said}");
        }
        assert_ne!(read("old"), b"mine");
        // The state of a run must not be replaced by output made from it.
        let before = read(checkpoint);
        for named in [checkpoint, "run"] {
            let onto = [
                command,
                "--checkpoint",
                named,
                "--force",
                "--out",
                "./run/checkpoint.safetensors",
            ];
            assert!(fails(dir.path(), &onto).contains("is the file to read"));
            assert_eq!(read(checkpoint), before);
        }
    }
}

#[test]
fn a_file_gets_its_folder_and_the_ending_of_its_format() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("points.csv"), "0,0,a\n1,1,b\n0,1,a\n1,0,b\n").unwrap();
    fs::write(dir.join("two-moons.safetensors"), bundled::find("two-moons").unwrap().bytes())
        .unwrap();
    fs::create_dir(dir.join("taken")).unwrap();
    for (command, ending, others) in [
        ("export --model two-moons", "safetensors", &["pt", "json", "PTH"][..]),
        ("pack --checkpoint two-moons.safetensors", "safetensors", &["onnx", "bin"]),
        ("data points.csv", "png", &["jpg", "gif", "safetensors"]),
    ] {
        let run =
            |out: &str| jempp(dir, &command.split(' ').chain(["--out", out]).collect::<Vec<_>>());
        for other in others {
            let said = text(&run(&format!("new.{other}")).stderr);
            assert!(said.contains(&format!("name it new.{ending}")), "{command}: {said}");
        }
        let said = text(&run("taken").stderr);
        assert!(said.contains("taken is a folder where a file is needed"), "{command}: {said}");
        assert!(!said.contains("--force"), "{command}: {said}");
        let name = command.split(' ').next().unwrap();
        let out = format!("made/by/{name}/out.{ending}");
        let output = run(&out);
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        assert!(dir.join(out).is_file(), "{command}");
    }
    assert_eq!(names(dir), ["made", "points.csv", "taken", "two-moons.safetensors"]);
}

#[test]
fn a_class_is_named_by_its_name_or_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let sample = |class: &str, out: &str| {
        let words = format!("sample --device cpu --steps 1 --per-class 1 --out {out} --class");
        jempp(dir.path(), &words.split(' ').chain([class]).collect::<Vec<_>>())
    };
    let traces = |class: &str, out: &str| {
        let output = sample(class, out);
        assert!(output.status.success(), "{class}: {}", text(&output.stderr));
        assert!(text(&output.stdout).contains("1 (1 class × 1) from"), "{class}");
        fs::read_to_string(dir.path().join(out).join("traces.csv")).unwrap()
    };
    assert_eq!(traces("Trouser", "by-name"), traces("1", "by-number"));
    for (class, expected) in [
        ("Trousers", "did you mean `Trouser`? There are T-shirt/top, Trouser"),
        ("nothing", "the model has no such class. There are T-shirt/top"),
        ("-1", "--class -1: the model has no such class"),
        ("10", "or by number 0 to 9"),
    ] {
        let said = text(&sample(class, "out").stderr);
        assert!(said.contains(expected), "{class}: {said}");
    }
    for (line, expected) in [
        ("sample --seed -1", "from 0 to 9223372036854775807"),
        ("train --out run --seed 18446744073709551615", "from 0 to 9223372036854775807"),
        ("train --out run --epochs -1", "it must be a whole number"),
    ] {
        let said = fails(dir.path(), &line.split(' ').collect::<Vec<_>>());
        assert!(said.contains(expected) && !said.contains("unexpected"), "{line}: {said}");
    }
}

#[test]
fn an_attack_that_two_classes_do_not_allow_is_not_announced() {
    let dir = tempfile::tempdir().unwrap();
    let words = "eval attack --model two-moons --device cpu --set eval.attack=apgd-dlr";
    let output = jempp(dir.path(), &words.split(' ').collect::<Vec<_>>());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("APGD-DLR cannot run") && said.contains("take apgd-ce"), "{said}");
    assert!(!text(&output.stdout).contains("Attacks:"), "{}", text(&output.stdout));
}

fn start(dir: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jempp"));
    command.args(arguments).env("JEMPP_CACHE", dir.join("cache")).current_dir(dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    hears_signals(&mut command).spawn().unwrap()
}

/// Waits until a file is larger than `larger`, sends a signal, and waits for the end.
#[cfg(unix)]
fn stopped(mut child: Child, file: PathBuf, larger: u64, signal: &str) -> Output {
    while fs::metadata(&file).map_or(0, |found| found.len()) <= larger {
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        sleep(Duration::from_millis(20));
    }
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    child.wait_with_output().unwrap()
}

const LONG: [&str; 9] =
    ["sample", "--model", "two-moons", "--device", "cpu", "--steps", "1000000", "--out", "out"];

#[cfg(unix)]
#[test]
fn sampling_that_is_stopped_keeps_what_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let noisy = ["--diagnose", "--warmup", "2", "--set", "sampler.noise_std=0.01"];
    let child = start(dir.path(), &[&LONG[..], &noisy].concat());
    let ended = stopped(child, out.join("traces.csv"), 100_000, "-INT");
    let said = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(130), "{said}{}", text(&ended.stderr));
    let words = said.split("Stopped after ").nth(1).unwrap();
    let steps: usize = words.split(' ').next().unwrap().parse().unwrap();
    assert!(words.contains("of 1000000 steps") && steps > 0, "{said}");

    let traces = fs::read_to_string(out.join("traces.csv")).unwrap();
    assert_eq!(traces.lines().count(), 1 + 20 * (steps + 1), "every state of every chain");
    assert!(traces.ends_with('\n') && traces.lines().all(|line| line.split(',').count() == 10));
    assert!(traces.lines().last().unwrap().starts_with(&format!("{steps},19,")));
    let draws = fs::read_to_string(out.join("draws.csv")).unwrap();
    assert!(draws.ends_with('\n') && draws.lines().all(|line| line.split(',').count() == 10));
    assert!(image::open(out.join("grid.png")).is_ok());
    let gif = image::codecs::gif::GifDecoder::new(std::io::Cursor::new(
        fs::read(out.join("chains.gif")).unwrap(),
    ));
    let frames = image::AnimationDecoder::into_frames(gif.unwrap()).collect_frames().unwrap();
    assert!(!frames.is_empty());
    assert!(!made_by(&out).finished);
    assert!(!out.join("diagnostics.json").exists() && !out.join("chains.gif.part").exists());

    let said = fails(dir.path(), &sample(&["--out", "out"]));
    assert!(said.contains("out holds unfinished results of `jempp sample`"), "{said}");
    succeeds(dir.path(), &sample(&["--out", "out", "--force"]));
    assert_eq!(names(&out), ["chains.gif", "grid.png", MADE_BY, "traces.csv"]);
}

#[cfg(unix)]
#[test]
fn what_a_killed_job_leaves_is_readable_and_goes_with_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    stopped(start(dir.path(), &LONG), out.join("traces.csv"), 100_000, "-KILL");
    let traces = fs::read_to_string(out.join("traces.csv")).unwrap();
    // The kill may truncate only the line being written.
    let whole = &traces[..traces.rfind('\n').unwrap()];
    assert!(whole.lines().all(|line| line.split(',').count() == 10));
    assert!(!made_by(&out).finished);
    succeeds(dir.path(), &sample(&["--out", "out", "--force"]));
    assert_eq!(names(&out), ["chains.gif", "grid.png", MADE_BY, "traces.csv"]);
}

#[cfg(unix)]
#[test]
fn a_folder_is_written_by_one_job_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start(dir.path(), &LONG);
    while !dir.path().join("out/traces.csv").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        sleep(Duration::from_millis(20));
    }
    let said = fails(dir.path(), &sample(&["--out", "out", "--force"]));
    assert!(said.contains("another jempp writes into out"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[cfg(unix)]
#[test]
fn an_evaluation_that_is_stopped_keeps_the_parts_that_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let long = ["eval", "accuracy", "attack", "ood", "--device", "cpu", "--out", "out"];
    let many = ["--set", "eval.attack_steps=10000", "--set", "eval.num_attacked=1000"];
    let few = ["--set", "eval.num_ood=20", "--set", "eval.num_resamples=100"];
    let child = start(dir.path(), &[&long[..], &many, &few].concat());
    // Accuracy and other image sets come first; the attack would take an hour.
    let mut child = child;
    while !fs::read_to_string(out.join("results.json")).is_ok_and(|text| text.contains("upside")) {
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        sleep(Duration::from_millis(20));
    }
    let ended = stopped(child, out.join("results.json"), 0, "-TERM");
    let said = text(&ended.stdout);
    assert_eq!(ended.status.code(), Some(143), "{said}{}", text(&ended.stderr));
    assert!(said.contains("attack left out: the evaluation was stopped"), "{said}");
    assert!(said.contains("Report:  out/report.html"), "{said}");
    let found = results(&out);
    assert!(found.accuracy.is_some() && found.ood.is_some() && found.attack.is_none());
    assert_eq!(found.left_out.len(), 1, "{:?}", found.left_out);
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("upside down") && page.contains("the evaluation was stopped"));
    assert!(!made_by(&out).finished);
}

/// Commands with an option that they cannot use, and their messages.
const UNUSED: &[(&[&str], &str)] = &[
    (&["sample", "--data", "x"], "--data is not used: the data set is read only by --start data"),
    (&["sample", "--class", "1", "--class", "1"], "--class 1 is given twice"),
    (&["sample", "--steps", "0", "--frames", "5"], "--frames is not used"),
    (
        &["sample", "--start", "p.png", "--seed", "3", "--set", "sampler.noise_std=0"],
        "--seed is not used",
    ),
    (
        &["sample", "--start", "p.png", "--diagnose", "--chains-per-start", "2"],
        "--chains-per-start is not used",
    ),
    (
        &["sample", "--sampler", "sgld", "--set", "sampler.kind=mala"],
        "sgld by --sampler and mala by --set",
    ),
    (
        &["sample", "--sampler", "sgld", "--set", "sampler.inner_step_size=1"],
        "not used by the sampler sgld",
    ),
    (&["sample", "--sampler", "pyld", "--set", "sampler.step_size=1"], "sampler.num_inner_steps"),
    (
        &["sample", "--set", "sampler.noise_std=1", "--set", "sampler.noise_std=2"],
        "is given twice: 1 by",
    ),
    (&["sample", "--set", "sampler.num_steps=5"], "are --steps"),
    (&["sample", "--set", "sampler.start=uniform"], "take --start"),
    (&["sample", "--set", "seed=5"], "is --seed"),
    (&["sample", "--set", "data.dataset=mnist"], "read only by --start data"),
    (&["sample", "--set", "training.epochs=5"], "sampling takes the keys of the section sampler"),
    (
        &["sample", "--set", "optimizer.learning_rate=1"],
        "sampling takes the keys of the section sampler",
    ),
    (&["sample", "--set", "model.arch=mlp"], "sampling takes the keys of the section sampler"),
    (&["sample", "--warmup", "3"], "--diagnose"),
    (&["eval", "accuracy", "--ood", "x"], "--ood is not used: it is for the part ood"),
    (&["eval", "accuracy", "--judge", "x"], "--judge is not used: it is for the part samples"),
    (&["eval", "accuracy", "--set", "eval.num_attacked=5"], "it is for attack, not asked for"),
    (&["eval", "ood", "--set", "sampler.noise_std=1"], "it is for samples, not asked for"),
    (
        &["eval", "--set", "optimizer.learning_rate=1"],
        "an evaluation takes the keys of the sections",
    ),
    (&["eval", "--set", "sampler.num_steps=5"], "eval.sample_steps"),
    (&["eval", "--set", "seed=5"], "is --seed"),
    (
        &["eval", "--set", "eval.refine_steps=0", "--set", "eval.refine_draws=3"],
        "nothing is refined",
    ),
    (
        &["eval", "--set", "eval.refine_noise_std=0", "--set", "eval.refine_draws=3"],
        "without noise",
    ),
    (
        &["eval", "--set", "eval.refine_noise_std=0", "--set", "eval.attack_draws=20"],
        "without noise",
    ),
    (&["eval", "--data", "x", "--set", "data.dir=y"], "x by --data and y by --set"),
    (&["eval", "--compare", "x.json", "--compare", "x.json"], "--compare x.json is given twice"),
    (&["train", "--out", "x", "--seed", "1", "--set", "seed=2"], "1 by --seed and 2 by --set"),
    (&["train", "--out", "x", "--epochs", "1", "--set", "training.epochs=2"], "is given twice"),
    (
        &["train", "--out", "x", "--dataset", "mnist", "--set", "data.dataset=svhn"],
        "is given twice",
    ),
    (&["train", "--out", "x", "--set", "sampler.step_size=1"], "not used by the sampler pyld"),
    (&["train", "--out", "x", "--set", "sampler.final_step_factor=1"], "step_schedule is constant"),
    (&["train", "--out", "x", "--set", "optimizer.sam_kind=adaptive"], "sam_radius is 0"),
    (
        &["train", "--out", "x", "--preset", "toy-rings", "--set", "data.crop_padding=1"],
        "`data.crop_padding` is not used: it is for images",
    ),
    (&["bench", "--batch-size", "3"], "--arch"),
    (&["bench", "--works", "W1", "--arch", "mlp"], "cannot be used with"),
];

#[test]
fn what_is_given_and_not_used_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    image::RgbImage::new(28, 28).save(dir.path().join("p.png")).unwrap();
    for (arguments, expected) in UNUSED {
        let output = jempp(dir.path(), arguments);
        let said = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        let began = ["runs", "x"].map(|name| dir.path().join(name).exists());
        assert_eq!(began, [false, false], "{arguments:?}");
    }
}

#[test]
fn models_are_called_by_their_runs() {
    let dir = tempfile::tempdir().unwrap();
    for (run, points) in [("runs/a", "1000"), ("other/a", "1010")] {
        let points = format!("data.num_points={points}");
        let train = ["train", "--preset", "toy-two-moons", "--epochs", "1", "--device", "cpu"];
        let set = ["--set", &points, "--set", "replay_buffer.replay_buffer_size=256", "--out", run];
        succeeds(dir.path(), &[&train[..], &set].concat());
    }
    let eval = |run: &str, out: &str, more: &[&str]| {
        let path = format!("{run}/checkpoint.safetensors");
        let plain = ["eval", "accuracy", "--device", "cpu", "--out", out, "--checkpoint", &path];
        succeeds(dir.path(), &[&plain[..], more].concat());
        fs::read_to_string(dir.path().join(out).join("report.html")).unwrap()
    };
    assert!(eval("runs/a", "one", &[]).contains("<h1>Evaluation of a</h1>"));
    let page = eval("other/a", "two", &["--compare", "one/results.json"]);
    assert!(page.contains("Compared with runs/a.") && page.contains("other/a</span>"), "{page}");
    let page = eval("other/a", "three", &["--name", "mine", "--compare", "one/results.json"]);
    assert!(page.contains("Compared with a.") && page.contains("mine</span>"));
    let page = eval("runs/a", "four", &["--compare", "one/results.json"]);
    assert!(page.contains("Compared with a (2)."), "nothing tells them apart");

    // The format of earlier versions.
    let path = dir.path().join("one/results.json");
    let mut old: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    old["model"]["name"] = "checkpoint.safetensors".into();
    old["model"].as_object_mut().unwrap().remove("path");
    fs::write(&path, old.to_string()).unwrap();
    let page = eval("other/a", "five", &["--compare", "one/results.json"]);
    assert!(page.contains("Compared with one."), "{page}");
}

#[test]
fn results_of_other_data_are_not_compared() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &eval(&["--out", "points"]));
    let compare = ["eval", "accuracy", "--device", "cpu", "--compare", "points/results.json"];
    let said = fails(dir.path(), &compare);
    assert!(said.contains("points/results.json is of a model of two-moons"), "{said}");
    assert!(!dir.path().join("runs").exists());
}

#[test]
fn a_weak_judge_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut judge = bundled::BUNDLED_MODELS[0].load().unwrap();
    let bias = judge.weights.iter_mut().find(|(name, _)| name.ends_with("classifier.bias"));
    // This judge predicts one class for every image.
    bias.unwrap().1.values[3] = 1e4;
    judge.save(&dir.path().join("weak.safetensors")).unwrap();
    let few = ["--set", "eval.num_samples=40", "--set", "eval.sample_steps=2"];
    let samples =
        ["eval", "samples", "--device", "cpu", "--judge", "weak.safetensors", "--out", "e"];
    let output = jempp(dir.path(), &[&samples[..], &few].concat());
    let said = text(&output.stderr);
    assert!(output.status.success() && said.contains("The judge is weak: it classifies"), "{said}");
    let page = fs::read_to_string(dir.path().join("e/report.html")).unwrap();
    assert!(page.contains("The judge is weak"));
}

#[test]
fn commands_say_what_they_work_with() {
    let dir = tempfile::tempdir().unwrap();
    let said = succeeds(dir.path(), &sample(&["--out", "s", "--start", "data"]));
    for row in [
        "Model:    two-moons, inside",
        "Network:  mlp",
        " weights\n",
        "Data:     two-moons",
        "Chains:   2 (2 classes",
        "Device:   ",
        "Writes:   s\n",
    ] {
        assert!(said.contains(row), "{row}: {said}");
    }
    let said = succeeds(dir.path(), &eval(&["--out", "e"]));
    for row in
        ["Model:    two-moons", "Network:  ", "Data:     two-moons", "Device:   ", "Writes:   e\n"]
    {
        assert!(said.contains(row), "{row}: {said}");
    }
}

fn idx(dims: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(payload);
    bytes
}

/// Writes digit images of one grey value each, with these labels.
fn write_digits(dir: &Path, train: &[u8], test: &[u8]) {
    fs::create_dir_all(dir).unwrap();
    for (part, labels) in [("train", train), ("t10k", test)] {
        let count = labels.len() as u32;
        let pixels: Vec<u8> = labels.iter().flat_map(|label| [25 * label; 784]).collect();
        let write = |kind: &str, bytes: Vec<u8>| {
            fs::write(dir.join(format!("{part}-{kind}-ubyte")), bytes).unwrap();
        };
        write("images-idx3", idx(&[count, 28, 28], &pixels));
        write("labels-idx1", idx(&[count], labels));
    }
}

#[test]
fn there_is_no_number_where_nothing_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    let train: Vec<u8> = (0..80).map(|item| item % 10).collect();
    write_digits(
        &dir.path().join("nine"),
        &train,
        &(0..18).map(|item| item % 9).collect::<Vec<_>>(),
    );
    let eval = ["eval", "--model", "mnist", "--device", "cpu", "--set", "eval.num_resamples=100"];
    let nine = ["accuracy", "ood", "--data", "nine", "--out", "out", "--ood", "one-ubyte"];
    fs::write(dir.path().join("one-ubyte"), idx(&[1, 28, 28], &[99; 784])).unwrap();
    succeeds(dir.path(), &[&eval[..], &nine].concat());
    let found = results(&dir.path().join("out"));
    let accuracy = found.accuracy.unwrap();
    assert!(accuracy.by_class[8].is_some() && accuracy.by_class[9].is_none());
    let one = found.ood.unwrap().sets.pop().unwrap();
    assert_eq!((one.name.as_str(), one.num_out), ("one-ubyte", 1));
    // One image alone gives no information about the confidence interval.
    let auroc = one.scores[0].auroc;
    assert_eq!((auroc.low, auroc.high), (0.0, 1.0));
    // The written results can be read again.
    let again = ["accuracy", "--data", "nine", "--out", "again", "--compare", "out/results.json"];
    succeeds(dir.path(), &[&eval[..], &again].concat());

    write_digits(&dir.path().join("single"), &train, &[3]);
    let said = fails(dir.path(), &[&eval[..], &["calibration", "--data", "single"]].concat());
    assert!(said.contains("halves of the test images"), "{said}");
    let said = fails(dir.path(), &["eval", "samples", "--model", "mnist", "--data", "single"]);
    assert!(said.contains("too few"), "{said}");
    write_digits(&dir.path().join("none"), &train, &[]);
    let said = fails(dir.path(), &["eval", "--model", "mnist", "--data", "none"]);
    assert!(said.contains("no test images to evaluate on; add a test part to the data"), "{said}");
}

#[test]
fn noise_is_removed_from_the_pictures_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let run = [
        "sample",
        "--model",
        "mnist-sampler",
        "--device",
        "cpu",
        "--steps",
        "30",
        "--per-class",
        "1",
    ];
    succeeds(path, &[&run[..], &["--out", "noisy", "--set", "sampler.denoise_step=0"]].concat());
    let said = succeeds(path, &[&run[..], &["--out", "denoised"]].concat());
    assert!(said.contains("drawn without noise"), "{said}");
    let read = |folder: &str, file: &str| fs::read(path.join(folder).join(file)).unwrap();
    assert_eq!(read("noisy", "traces.csv"), read("denoised", "traces.csv"));
    // How much neighbouring pixels differ.
    let roughness = |folder: &str| {
        let picture = image::open(path.join(folder).join("grid.png")).unwrap().to_luma8();
        let pairs = picture.as_raw().windows(2).map(|pair| u64::from(pair[0].abs_diff(pair[1])));
        pairs.sum::<u64>()
    };
    assert!(4 * roughness("denoised") < 3 * roughness("noisy"));
}
