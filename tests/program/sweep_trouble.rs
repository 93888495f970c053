//! Sweeps whose runs are stopped, cannot begin, or have lost their files.

use std::{
    fs,
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use jempp::checkpoint::Checkpoint;

use crate::{
    run::{fails, hears_signals, jempp, succeeds, text},
    sweep::{folder, one},
};

const SWEEP: [&str; 4] = ["sweep", "rates.toml", "--device", "cpu"];

/// A command that takes longer counts as hung; the tests need less than a tenth of this.
const PATIENCE: Duration = Duration::from_secs(120);

/// A sweep that begins in a process group of its own, as a shell starts a job, with its output kept.
fn begun(dir: &Path, more: &[&str]) -> Child {
    hears_signals(&mut Command::new(env!("CARGO_BIN_EXE_jempp")))
        .process_group(0)
        .args(SWEEP)
        .args(more)
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until a run has written steps; returns the file.
fn wait_for_steps(dir: &Path, run: &str) -> PathBuf {
    let metrics = dir.join("sweeps/rates").join(run).join("metrics.jsonl");
    let begin = Instant::now();
    while !fs::metadata(&metrics).is_ok_and(|file| file.len() > 0) {
        assert!(begin.elapsed() < PATIENCE, "no step of {run}");
        std::thread::sleep(Duration::from_millis(20));
    }
    metrics
}

/// Two runs, of this many epochs.
fn two(first: u32, second: u32) -> String {
    format!(
        "preset = \"toy-two-moons\"\n[[run]]\nname = \"a\"\ntraining.epochs = {first}\n\
         [[run]]\nname = \"b\"\ntraining.epochs = {second}\n"
    )
}

fn said(output: &Output) -> (String, String) {
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_sweep_that_is_stopped_continues_as_if_it_was_not() {
    // It takes much longer than the sweep needs to hear of the signal.
    let content =
        "preset = \"toy-two-moons\"\n[set]\ntraining.epochs = 60\n[[run]]\nname = \"a\"\n";
    let whole = folder(content);
    succeeds(whole.path(), &SWEEP);

    let dir = folder(content);
    let child = begun(dir.path(), &[]);
    wait_for_steps(dir.path(), "a-seed-0");
    // Only the sweep hears of it, as when a queue stops it, and passes it on.
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{:?}", said(&output));
    let (said, _) = said(&output);
    assert!(said.contains("stopped, to be continued"), "{said}");
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(listed.contains("begun, not at its end"), "{listed}");
    succeeds(dir.path(), &SWEEP);
    let run = |dir: &tempfile::TempDir| dir.path().join("sweeps/rates/a-seed-0");
    crate::kills::assert_alike(&run(&dir), &run(&whole));
}

/// Ctrl-C of a terminal reaches the sweep and all its runs at once, and the sweep passes it on to them as well.
#[test]
fn ctrl_c_stops_and_saves_all_runs_at_once() {
    let dir = folder(&two(10_000, 10_000));
    let child = begun(dir.path(), &["--jobs", "2"]);
    let runs = ["a-seed-0", "b-seed-0"];
    let metrics = runs.map(|run| wait_for_steps(dir.path(), run));
    // SAFETY: it sends a signal to the process group that the test made.
    unsafe { libc::kill(-(child.id() as libc::pid_t), libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{:?}", said(&output));
    let (said, complained) = said(&output);
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    for (run, metrics) in runs.into_iter().zip(metrics) {
        assert!(said.contains(&format!("{run}: stopped, to be continued")), "{said}{complained}");
        assert!(listed.contains(&format!("{run}  begun, not at its end")), "{listed}");
        // Its last step is in its checkpoint.
        let folder = dir.path().join("sweeps/rates").join(run);
        let saved = Checkpoint::load(&folder).unwrap().counters.step;
        let text = fs::read_to_string(metrics).unwrap();
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert!(saved > 0 && last["step"] == saved, "{saved} steps are saved, after {last}");
    }
}

#[test]
fn a_run_that_is_stopped_by_itself_has_not_failed_but_the_sweep_is_not_done() {
    for (more, line) in [
        (&["--jobs", "2"][..], "error: 1 is left: the same command continues"),
        (&[], "error: 1 is left: the same command continues"),
        (&["--task", "0"], "error: a-seed-0 is not at its end: the same command continues it"),
    ] {
        let dir = folder(&two(10_000, 1));
        let child = begun(dir.path(), more);
        wait_for_steps(dir.path(), "a-seed-0");
        let lock = dir.path().join("sweeps/rates/a-seed-0/.jempp-lock");
        let holder: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(lock).unwrap()).unwrap();
        Command::new("kill").args(["-INT", &holder["pid"].to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let (said, complained) = said(&output);
        // A queue must not count it as done.
        assert_eq!(output.status.code(), Some(1), "{more:?}: {complained}");
        assert!(complained.lines().any(|other| other == line), "{more:?}: {complained}");
        assert!(said.contains("a-seed-0: stopped, to be continued"), "{more:?}: {said}");
        let is_task = more.contains(&"--task");
        assert!(is_task || said.contains("b-seed-0: done"), "{more:?}: {said}");
        let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
        assert!(listed.contains("a-seed-0  begun, not at its end"), "{listed}");
    }
}

#[test]
fn several_sweeps_of_one_folder_share_its_runs() {
    let dir = folder(
        "preset = \"toy-two-moons\"\nseeds = [0, 1, 2, 3, 4, 5]\n[set]\ntraining.epochs = 1\ndata.num_points = 1000\n\
         replay_buffer.replay_buffer_size = 256\n",
    );
    let sweeps: Vec<Child> = (0..4).map(|_| begun(dir.path(), &[])).collect();
    for child in sweeps {
        let output = child.wait_with_output().unwrap();
        let (said, complained) = said(&output);
        assert_eq!(output.status.code(), Some(0), "{said}{complained}");
        assert!(!complained.contains("failed"), "{complained}");
    }
    let said = succeeds(dir.path(), &SWEEP);
    assert!(!said.contains("begins") && said.contains("6 of 6 runs are done"), "{said}");
    for seed in 0..6 {
        let log = dir.path().join(format!("sweeps/rates/seed-{seed}.log"));
        let log = fs::read_to_string(log).unwrap();
        let count = |begin: &str| log.lines().filter(|line| line.starts_with(begin)).count();
        assert_eq!((count("Trained"), count("error: ")), (1, 0), "it is trained once: {log}");
    }
}

#[test]
fn what_kept_a_run_from_starting_is_corrected_in_the_file() {
    let content = |data: &str, epochs: u32| {
        format!(
            "preset = \"toy-two-moons\"\n[set]\ntraining.epochs = {epochs}\ndata.dataset = \"custom\"\n\
             data.dir = \"{data}\"\ndata.batch_size = 20\nreplay_buffer.replay_buffer_size = 40\n"
        )
    };
    let dir = folder(&content("point.csv", 1));
    let point = |item: u32| {
        let angle = f64::from(item) / 10.0;
        format!("{:.3},{:.3},{}\n", angle.cos(), angle.sin(), ["in", "out"][item as usize % 2])
    };
    fs::write(dir.path().join("points.csv"), (0..120).map(point).collect::<String>()).unwrap();
    let change = |content: String| fs::write(dir.path().join("rates.toml"), content).unwrap();
    assert!(fails(dir.path(), &SWEEP).contains("1 failed: seed-0"));
    change(content("points.csv", 1));
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(listed.contains("seed-0  not begun"), "{listed}");
    let said = succeeds(dir.path(), &SWEEP);
    assert!(said.contains("1 of 1 run is done"), "{said}");
    // What was trained keeps its settings.
    change(content("points.csv", 2));
    let said = fails(dir.path(), &SWEEP);
    let words = "sweeps/rates/seed-0.json was made with other settings: training.epochs was 1 and is 2 now; choose another \
                 folder with --out";
    assert!(said.contains(words), "{said}");
    // The same path is that of other data in another working folder.
    change(content("points.csv", 1));
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    let sweep = ["sweep", "../rates.toml", "--device", "cpu", "--out", "../sweeps/rates"];
    let said = fails(&other, &sweep);
    assert!(said.contains("other settings: data.dir was \"/"), "{said}");
    assert!(said.contains("/points.csv\" and is \"/"), "{said}");
    assert!(said.contains("/other/points.csv\" now; choose another folder"), "{said}");
    assert!(succeeds(dir.path(), &SWEEP).contains("1 of 1 run is done"));
}

#[test]
fn what_lies_in_the_folder_of_a_run_is_never_removed() {
    let dir = folder(&one(0));
    succeeds(dir.path(), &SWEEP);
    let sweep = dir.path().join("sweeps/rates");
    let (run, record) = (sweep.join("seed-0"), sweep.join("seed-0.json"));
    let begun = fs::read_to_string(&record).unwrap().replace(": true", ": false");
    // Its checkpoint is a link to a disk that cannot be reached.
    let disk = dir.path().join("disk");
    fs::rename(run.join("checkpoint.safetensors"), &disk).unwrap();
    symlink(dir.path().join("away"), run.join("checkpoint.safetensors")).unwrap();
    fs::write(run.join("notes.txt"), "mine").unwrap();
    let names = || {
        let names = fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let (before, metrics) = (names(), fs::read(run.join("metrics.jsonl")).unwrap());
    let words = "sweeps/rates/seed-0 has no run that can go on: its checkpoint.safetensors is a link to a file that is \
                 not there; put its checkpoint back, or move the folder";
    fs::write(&record, &begun).unwrap();
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(listed.contains(&format!("seed-0  failed: {words}")), "{listed}");
    for more in [&["--task", "0"][..], &[], &["--retry"]] {
        fs::write(&record, &begun).unwrap();
        let output = jempp(dir.path(), &[&SWEEP[..], more].concat());
        let (_, complained) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{complained}");
        assert!(complained.contains(&format!("seed-0: failed: {words}")), "{complained}");
        assert_eq!(names(), before);
        assert_eq!(fs::read(run.join("metrics.jsonl")).unwrap(), metrics);
    }
    // Once the disk is there again, the run goes on.
    fs::rename(&disk, dir.path().join("away")).unwrap();
    let said = succeeds(dir.path(), &[&SWEEP[..], &["--retry"]].concat());
    assert!(said.contains("1 of 1 run is done"), "{said}");
    assert_eq!(fs::read(run.join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_run_whose_folder_is_gone_is_not_done() {
    let dir = folder(&one(0));
    succeeds(dir.path(), &SWEEP);
    fs::remove_dir_all(dir.path().join("sweeps/rates/seed-0")).unwrap();
    let words = "seed-0  failed: it was done, but its folder is not there";
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(listed.contains(words), "{listed}");
    let said = fails(dir.path(), &SWEEP);
    assert!(said.contains("1 failed: seed-0; --retry does it again"), "{said}");
    assert!(!dir.path().join("sweeps/rates/seed-0").exists());
    let said = succeeds(dir.path(), &[&SWEEP[..], &["--retry"]].concat());
    assert!(said.contains("1 of 1 run is done"), "{said}");
}

#[test]
fn a_run_that_cannot_start_has_failed_and_the_others_go_on() {
    let dir = folder(&two(1, 1));
    succeeds(dir.path(), &[&SWEEP[..], &["--task", "1"]].concat());
    fs::create_dir(dir.path().join("sweeps/rates/a-seed-0.log")).unwrap();
    let said = fails(dir.path(), &SWEEP);
    assert!(said.contains("1 failed: a-seed-0; --retry does it again"), "{said}");
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(
        listed.contains("a-seed-0  failed: cannot write sweeps/rates/a-seed-0.log"),
        "{listed}"
    );
    assert!(listed.contains("b-seed-0  done"), "{listed}");
}

#[test]
fn a_damaged_record_of_another_run_does_not_stop_a_task() {
    let dir = folder(&two(1, 1));
    let sweep = dir.path().join("sweeps/rates");
    fs::create_dir_all(&sweep).unwrap();
    fs::write(sweep.join("b-seed-0.json"), "{").unwrap();
    let task = |number| [&SWEEP[..], &["--task", number]].concat();
    for more in [task("1"), SWEEP.to_vec()] {
        let said = fails(dir.path(), &more);
        assert!(said.contains("cannot read sweeps/rates/b-seed-0.json"), "{said}");
        assert!(!sweep.join("a-seed-0").exists());
    }
    let said = succeeds(dir.path(), &task("0"));
    assert!(said.contains("1 of 2 runs is done"), "{said}");
    assert!(said.contains("1 is not known: the same command without --task says why"), "{said}");
    assert!(!said.contains("left to other tasks"), "{said}");
    assert_eq!(fs::read_to_string(sweep.join("b-seed-0.json")).unwrap(), "{");
}

#[test]
fn an_error_of_the_sweep_leaves_no_run_alone() {
    let dir = folder(&two(10_000, 60));
    let child = begun(dir.path(), &["--jobs", "2"]);
    wait_for_steps(dir.path(), "a-seed-0");
    wait_for_steps(dir.path(), "b-seed-0");
    // The end of the second run cannot be noted.
    let record = dir.path().join("sweeps/rates/b-seed-0.json");
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    let output = child.wait_with_output().unwrap();
    let (said, complained) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{complained}");
    let error = "cannot write sweeps/rates/b-seed-0.json: the path is not a regular file";
    for words in [
        format!("warning: {error}; the runs that have begun save and stop"),
        format!("error: {error}"),
    ] {
        assert!(complained.contains(&words), "{complained}");
    }
    assert!(said.contains("a-seed-0: stopped, to be continued"), "{said}");
    fs::remove_dir(&record).unwrap();
    fs::remove_dir_all(dir.path().join("sweeps/rates/b-seed-0")).unwrap();
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(listed.contains("a-seed-0  begun, not at its end"), "{listed}");
}
