//! Stopping, saving and owning a run: signals, kills, closed pipes, full disks, two processes.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::run::{QUICK, fails, hears_signals, succeeds, text};
use jempp::checkpoint::Checkpoint;

/// A command that takes longer counts as hung; the tests need less than a tenth of this.
const PATIENCE: Duration = Duration::from_secs(120);

/// The arguments [`QUICK`] for this many epochs, with more settings.
fn quick(epochs: &str, settings: &[&str]) -> Vec<String> {
    let mut arguments = QUICK.map(String::from).to_vec();
    let place = arguments.iter().position(|word| word == "--epochs").unwrap() + 1;
    arguments[place] = epochs.into();
    arguments.extend(settings.iter().flat_map(|set| ["--set".into(), set.to_string()]));
    arguments
}

/// The arguments of a run that does not end by itself.
fn endless() -> Vec<String> {
    quick("100000", &["training.eval_every_epochs=1000"])
}

fn program(dir: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jempp"));
    command.args(arguments).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null());
    hears_signals(&mut command);
    command
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "waited for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    wait_until("the program's end", || child.try_wait().unwrap().is_some());
    child.wait().unwrap()
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

fn num_lines(run: &Path) -> usize {
    let metrics = fs::read(run.join("metrics.jsonl")).unwrap_or_default();
    metrics.iter().filter(|&&byte| byte == b'\n').count()
}

/// The metrics without their times.
fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("elapsed_secs");
        line
    };
    text.lines().map(line).collect()
}

fn checkpoint(run: &Path) -> Checkpoint {
    Checkpoint::load(&run.join("checkpoint.safetensors")).unwrap()
}

/// Checks that the folder holds only the files of a run.
fn check_tidy(run: &Path) {
    let mut names: Vec<String> = fs::read_dir(run)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "samples")
        .collect();
    names.sort();
    assert_eq!(names, ["checkpoint.safetensors", "config.toml", "metrics.jsonl"]);
}

/// Checks that every step done is in the checkpoint.
fn check_saved(run: &Path) {
    let last = metrics(run).last().unwrap()["step"].as_u64().unwrap();
    assert_eq!(checkpoint(run).counters.step, last);
    check_tidy(run);
}

#[test]
fn a_signal_saves_and_is_told_in_the_exit_status() {
    for (name, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run");
        let mut child = program(dir.path(), &endless()).spawn().unwrap();
        wait_until("some steps", || num_lines(&run) > 10);
        // Launchers signal a process group and its child; the second signal counts as part of the first.
        signal(&child, name);
        signal(&child, name);
        assert_eq!(ended(&mut child).code(), Some(status), "{name}");
        check_saved(&run);
    }
}

#[test]
fn a_run_outlives_those_who_listen() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut command = program(dir.path(), &endless());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("Writes:") {
        assert!(out.read_line(&mut said).unwrap() > 0, "{said}");
    }
    for row in ["Data:", "Network:", "Device:", "Writes:   run"] {
        assert!(said.contains(row), "{row} {said}");
    }
    drop((out, child.stderr.take()));
    wait_until("some steps", || num_lines(&run) > 10);
    signal(&child, "INT");
    assert_eq!(ended(&mut child).code(), Some(130));
    check_saved(&run);
}

#[test]
fn a_full_pipe_does_not_keep_a_run_from_being_saved() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    // Most of the pipe is full from the start, and nothing reads it.
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b' '; 14 * 4096]).unwrap();
    let arguments = quick("100000", &["training.eval_every_epochs=1", "data.batch_size=250"]);
    let mut command = program(dir.path(), &arguments);
    let mut child = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    wait_until("some steps", || num_lines(&run) > 0);
    let (mut before, mut since) = (0, Instant::now());
    wait_until("a full pipe", || {
        let lines = num_lines(&run);
        if lines != before {
            (before, since) = (lines, Instant::now());
        }
        since.elapsed() > Duration::from_secs(1)
    });
    signal(&child, "TERM");
    assert_eq!(ended(&mut child).code(), Some(143));
    check_saved(&run);
    drop(reader);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_under_the_log_costs_only_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = program(dir.path(), &quick("2", &[]));
    let mut child = command.stdout(full()).stderr(full()).spawn().unwrap();
    assert_eq!(ended(&mut child).code(), Some(0));
    check_saved(&dir.path().join("run"));
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut arguments = vec!["-c".into(), "trap '' HUP; exec \"$0\" \"$@\"".into()];
    arguments.push(env!("CARGO_BIN_EXE_jempp").to_string());
    arguments.extend(endless());
    let mut command = Command::new("sh");
    command.args(arguments).current_dir(dir.path()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_until("some steps", || num_lines(&run) > 10);
    signal(&child, "HUP");
    let before = num_lines(&run);
    wait_until("more steps", || num_lines(&run) > before + 10);
    assert!(child.try_wait().unwrap().is_none(), "it goes on");
    signal(&child, "TERM");
    assert_eq!(ended(&mut child).code(), Some(143));
}

#[test]
fn a_request_to_stop_is_heard_within_a_step() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let arguments = quick("2", &["sampler.num_steps=100000", "sampler.noise_std=0.01"]);
    let mut child = program(dir.path(), &arguments).spawn().unwrap();
    wait_until("the beginning", || run.join("config.toml").is_file());
    signal(&child, "INT");
    assert_eq!(ended(&mut child).code(), Some(130));
    assert_eq!(checkpoint(&run).counters.step, num_lines(&run) as u64, "no step is half done");
}

#[test]
fn a_run_has_one_owner_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut child = program(dir.path(), &endless()).spawn().unwrap();
    wait_until("some steps", || num_lines(&run) > 10);
    let said = fails(dir.path(), &["train", "--resume", "run", "--device", "cpu"]);
    assert!(said.contains("run is in use by another jempp"), "{said}");
    assert!(said.contains(&format!("process {} on ", child.id())), "{said}");
    assert!(fails(dir.path(), &["train", "--out", "run"]).contains("already exists"));
    // Commands that only read the run still work.
    let sample = ["sample", "--checkpoint", "run/checkpoint.safetensors", "--steps", "1"];
    succeeds(dir.path(), &[&sample[..], &["--out", "s", "--device", "cpu"]].concat());
    child.kill().unwrap();
    ended(&mut child);
    // A killed owner does not block other processes.
    let mut next = program(dir.path(), &["train", "--resume", "run"].map(String::from));
    let mut next = next.spawn().unwrap();
    let before = num_lines(&run);
    wait_until("more steps", || num_lines(&run) > before + 10);
    signal(&next, "INT");
    assert_eq!(ended(&mut next).code(), Some(130));
    check_saved(&run);
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    fs::create_dir(&whole).unwrap();
    fs::create_dir(&parts).unwrap();
    let settings = ["training.checkpoint_every_secs=0.02", "training.eval_every_epochs=3"];
    let begin = quick("40", &settings);
    assert!(ended(&mut program(&whole, &begin).spawn().unwrap()).success());

    let run = parts.join("run");
    let go_on = ["train", "--resume", "run", "--device", "cpu"].map(String::from);
    let arguments = || match run.join("checkpoint.safetensors").is_file() {
        true => go_on.to_vec(),
        false => begin.clone(),
    };
    let mut random = 0x9e37_79b9_u64;
    for kill in 0..6 {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let (more, pause) = (random >> 33 & 63, random >> 40 & 15);
        let mut child = program(&parts, &arguments()).spawn().unwrap();
        // The first run is killed while it starts.
        if kill > 0 {
            let from = num_lines(&run);
            wait_until("some steps", || {
                num_lines(&run) > from + more as usize || child.try_wait().unwrap().is_some()
            });
        }
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        ended(&mut child);
    }
    assert!(ended(&mut program(&parts, &arguments()).spawn().unwrap()).success());

    let (a, b) = (checkpoint(&whole.join("run")), checkpoint(&run));
    assert_eq!(a.weights, b.weights);
    assert_eq!(a.replay_buffer, b.replay_buffer);
    assert_eq!(a.class_centers, b.class_centers);
    assert_eq!(a.counters.test_accuracy, b.counters.test_accuracy);
    assert_eq!(metrics(&whole.join("run")), metrics(&run));
    check_tidy(&run);
}

#[test]
fn what_killed_writes_left_goes_and_other_files_stay() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    succeeds(dir.path(), &QUICK);
    for name in [".checkpoint.safetensors.jempp-tmp-a1b2c3", "samples/.epoch-0002.png.jempp-tmp-x"]
    {
        fs::write(run.join(name), b"half").unwrap();
    }
    fs::write(run.join(".notes.jempp-tmp-a1"), b"mine").unwrap();
    succeeds(dir.path(), &["train", "--resume", "run", "--device", "cpu"]);
    assert!(!run.join(".checkpoint.safetensors.jempp-tmp-a1b2c3").exists());
    assert!(!run.join("samples/.epoch-0002.png.jempp-tmp-x").exists());
    assert!(run.join(".notes.jempp-tmp-a1").exists());
}

#[test]
fn links_and_modes_stay_as_a_person_set_them() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let masked = format!("umask 077; exec {} {}", env!("CARGO_BIN_EXE_jempp"), QUICK.join(" "));
    let output = Command::new("sh").args(["-c", &masked]).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    for file in ["config.toml", "checkpoint.safetensors", "metrics.jsonl"] {
        assert_eq!(mode(&run.join(file)), 0o600, "{file}");
    }
    let (link, disk): (PathBuf, PathBuf) =
        (run.join("checkpoint.safetensors"), dir.path().join("disk.safetensors"));
    fs::rename(&link, &disk).unwrap();
    symlink(&disk, &link).unwrap();
    fs::set_permissions(&disk, fs::Permissions::from_mode(0o640)).unwrap();
    succeeds(dir.path(), &["train", "--resume", "run", "--device", "cpu", "--epochs", "3"]);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(mode(&disk), 0o640);
    check_saved(&run);
}

#[test]
fn a_disk_that_is_full_from_the_start_leaves_no_folder() {
    let dir = tempfile::tempdir().unwrap();
    // A limit on the size of written files simulates a full disk.
    let limited = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} {}",
        env!("CARGO_BIN_EXE_jempp"),
        QUICK.join(" ")
    );
    let output =
        Command::new("bash").args(["-c", &limited]).current_dir(dir.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cannot write checkpoint"), "{}", text(&output.stderr));
    assert!(!dir.path().join("run").exists());
}
