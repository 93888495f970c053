//! Training on several ranks that `mpirun` starts. It needs the feature `mpi` and the program `mpirun`; without the
//! latter, the tests say so and pass, or fail if `REQUIRE_MPI` is set.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]
#![cfg(unix)]

#[path = "../program/bounded.rs"]
mod bounded;
#[path = "../program/run.rs"]
mod run;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use bounded::{Ended, Started, ended, surround};
use jempp::checkpoint::Checkpoint;

/// A run whose update is smooth in the gradient, for 1 to 5 ranks.
const RUN: &str = "train --device cpu --preset toy-two-moons --seed 5 --set data.num_points=320 \
                   --set data.batch_size=60 --set replay_buffer.replay_buffer_size=128 \
                   --set optimizer.ema_decay=0.9 --set optimizer.kind=sgd \
                   --set optimizer.learning_rate=0.01";
/// The number of training steps in an epoch of that run.
const STEPS_PER_EPOCH: u64 = 5;
/// Options for a run of 20 steps.
const SHORT: &str = "--epochs 4";
/// Options for a run that does not end by itself and saves nothing before it is asked to stop.
const LONG: &str = "--epochs 100000 --set training.eval_every_epochs=100000";

/// Whether there is an `mpirun`.
fn has_mpirun() -> bool {
    let is_here = Command::new("mpirun").arg("--version").output().is_ok();
    assert!(
        is_here || std::env::var_os("REQUIRE_MPI").is_none(),
        "REQUIRE_MPI is set, but there is no mpirun"
    );
    if !is_here {
        eprintln!("SKIPPED: mpirun is not here");
    }
    is_here
}

/// `mpirun` with these words after its general options.
fn mpirun(dir: &Path, words: &str) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--bind-to", "none"]);
    command.args(words.split_whitespace()).current_dir(dir);
    surround(&mut command, dir);
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    // Its sockets have long names, and the folder of a test has one too.
    command.env("TMPDIR", "/tmp").env("RAYON_NUM_THREADS", "1");
    command
}

/// The program on `size` ranks.
fn on_ranks(dir: &Path, size: usize, arguments: &str) -> Command {
    mpirun(dir, &format!("-n {size} {} {arguments}", env!("CARGO_BIN_EXE_jempp")))
}

fn succeeds(command: &mut Command) -> Ended {
    let ended = ended(command);
    assert!(ended.status.success(), "{ended:?}");
    ended
}

/// Runs a command that must fail; returns its one error line.
fn fails(command: &mut Command) -> String {
    let ended = ended(command);
    assert!(!ended.status.success() && !ended.stderr.contains("panicked"), "{ended:?}");
    let all = format!("{}\n{}", ended.stdout, ended.stderr);
    let errors: Vec<&str> = all.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one line: {all}");
    errors[0].to_string()
}

fn checkpoint(dir: &Path, run: &str) -> Checkpoint {
    Checkpoint::load(&dir.join(run)).unwrap()
}

/// Weights, averages and chains of a checkpoint.
fn numbers(checkpoint: &Checkpoint) -> Vec<f32> {
    let weights = checkpoint.weights.iter().collect::<BTreeMap<_, _>>();
    let averaged = checkpoint.averaged_weights.iter().flatten().collect::<BTreeMap<_, _>>();
    let tensors = weights.into_values().chain(averaged.into_values());
    let tensors = tensors.chain([&checkpoint.replay_buffer]);
    tensors.flat_map(|tensor| tensor.values.clone()).collect()
}

fn assert_close(found: &Checkpoint, expected: &Checkpoint) {
    assert_eq!(found.counters.step, expected.counters.step);
    for (found, expected) in numbers(found).iter().zip(numbers(expected)) {
        assert!((found - expected).abs() < 1e-5, "{found} and {expected}");
    }
}

/// The number of training steps in the metrics, each once.
fn logged_steps(run: &Path) -> u64 {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let steps = lines.filter(|line: &serde_json::Value| line["loss"].is_number());
    let steps: Vec<u64> = steps.map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>(), "complete and unique");
    steps.len() as u64
}

fn wait_for_steps(run: &Path, steps: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while logged_steps(run) < steps {
        assert!(Instant::now() < deadline, "no {steps} steps in {}", run.display());
        sleep(Duration::from_millis(20));
    }
}

/// The processes of the ranks that `mpirun` has started, in their order.
fn ranks_of(mpirun: i32) -> Vec<i32> {
    let of_parent = |entry: fs::DirEntry| {
        let id: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: i32 = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
        (parent == mpirun).then_some(id)
    };
    let mut found: Vec<i32> =
        fs::read_dir("/proc").unwrap().flatten().filter_map(of_parent).collect();
    found.sort_unstable();
    found
}

#[test]
fn two_ranks_train_what_one_process_trains() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    succeeds(&mut bounded::jempp(
        dir,
        &format!("{RUN} {SHORT} --out one").split_whitespace().collect::<Vec<_>>(),
    ));
    let said = succeeds(&mut on_ranks(dir, 2, &format!("{RUN} {SHORT} --out two")));
    let ranks = "Ranks:    2, each with 30 of the 60 images and chains of a step";
    assert_eq!(said.stdout.matches(ranks).count(), 1, "{}", said.stdout);
    assert_eq!(said.stdout.matches("Writes:").count(), 1, "{}", said.stdout);
    succeeds(&mut on_ranks(dir, 2, &format!("{RUN} {SHORT} --out again")));
    succeeds(&mut on_ranks(dir, 4, &format!("{RUN} {SHORT} --out four")));
    let (one, two) = (checkpoint(dir, "one"), checkpoint(dir, "two"));
    assert_eq!(one.counters.step, 4 * STEPS_PER_EPOCH);
    assert_close(&two, &one);
    assert_close(&checkpoint(dir, "four"), &one);
    assert!(numbers(&checkpoint(dir, "again")) == numbers(&two), "the same bits, twice");
    assert_eq!(logged_steps(&dir.join("two")), 4 * STEPS_PER_EPOCH);
    assert_eq!(one.counters.test_accuracy.is_some(), two.counters.test_accuracy.is_some());
}

#[test]
fn a_signal_of_a_queue_saves_on_all_ranks_and_any_number_of_ranks_resumes() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let run = dir.join("run");
    let running = Started::new(&mut on_ranks(dir, 2, &format!("{RUN} {LONG} --out run")));
    wait_for_steps(&run, 3);
    running.signal(libc::SIGUSR1);
    let stopped = running.wait();
    assert_eq!(stopped.status.code(), Some(128 + libc::SIGUSR1), "{stopped:?}");
    let saved = checkpoint(dir, "run").counters.step;
    assert_eq!(saved, logged_steps(&run));
    let epochs = saved / STEPS_PER_EPOCH + 2;
    for (epochs, size) in [(epochs, 4), (epochs + 1, 1), (epochs + 2, 2)] {
        succeeds(&mut on_ranks(
            dir,
            size,
            &format!("train --device cpu --resume run --epochs {epochs}"),
        ));
        assert_eq!(logged_steps(&run), epochs * STEPS_PER_EPOCH);
    }
}

/// Ctrl-C reaches `mpirun` alone here. It sends SIGTERM after the time of its parameter, and SIGKILL after that time again.
#[test]
fn an_interrupt_saves_if_mpirun_gives_time_for_it() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let program = env!("CARGO_BIN_EXE_jempp");
    let words = format!("--mca odls_base_sigkill_timeout 5 -n 2 {program} {RUN} {LONG} --out run");
    let running = Started::new(&mut mpirun(dir.path(), &words));
    wait_for_steps(&run, 3);
    running.signal(libc::SIGINT);
    let stopped = running.wait();
    assert!(!stopped.status.success(), "{stopped:?}");
    let saved = checkpoint(dir.path(), "run").counters.step;
    assert!(saved >= 3, "{stopped:?}");
    assert_eq!(saved, logged_steps(&run), "{stopped:?}");
}

#[test]
fn a_signal_to_one_rank_stops_all() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let running = Started::new(&mut on_ranks(dir.path(), 2, &format!("{RUN} {LONG} --out run")));
    wait_for_steps(&dir.path().join("run"), 3);
    let ranks = ranks_of(running.pid());
    // SAFETY: it sends a signal to a process of this test.
    unsafe { libc::kill(ranks[1], libc::SIGTERM) };
    let stopped = running.wait();
    assert!(stopped.stdout.contains("Stopped"), "{stopped:?}");
    assert_eq!(checkpoint(dir.path(), "run").counters.step, logged_steps(&dir.path().join("run")));
}

/// `JEMPP_KILLS=20` sets the number of kills.
#[test]
fn a_rank_that_is_killed_ends_the_run_within_seconds_and_the_run_resumes() {
    if !has_mpirun() {
        return;
    }
    let num_kills = std::env::var("JEMPP_KILLS").map_or(4, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let often = "--set training.checkpoint_every_secs=0.2";
    let mut command = on_ranks(dir.path(), 3, &format!("{RUN} {LONG} {often} --out run"));
    for kill in 0..num_kills {
        // A resumed run first drops what it did after its checkpoint.
        let so_far = logged_steps(&run);
        let running = Started::new(&mut command);
        wait_for_steps(&run, so_far + 5 + kill % 7);
        let victim = ranks_of(running.pid())[kill as usize % 3];
        let begin = Instant::now();
        // SAFETY: it sends a signal to a process of this test.
        unsafe { libc::kill(victim, libc::SIGKILL) };
        let ended = running.wait();
        assert!(!ended.status.success(), "{ended:?}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
        assert!(ended.stderr.contains("exited on signal 9"), "{ended:?}");
        command = on_ranks(dir.path(), 3, "train --device cpu --resume run");
    }
    let epochs = checkpoint(dir.path(), "run").counters.step / STEPS_PER_EPOCH + 1;
    succeeds(&mut on_ranks(
        dir.path(),
        2,
        &format!("train --device cpu --resume run --epochs {epochs}"),
    ));
    assert_eq!(logged_steps(&run), epochs * STEPS_PER_EPOCH);
}

#[test]
fn ranks_with_other_settings_or_without_a_device_are_refused_with_one_line() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let program = env!("CARGO_BIN_EXE_jempp");
    let both = format!(
        "-n 1 {program} {RUN} --out run : -n 1 {program} {RUN} --out run --set sampler.num_steps=6"
    );
    assert_eq!(
        fails(&mut mpirun(dir, &both)),
        "error: rank 1: sampler.num_steps = 6 here, and 20 on rank 0: give all ranks the same settings"
    );
    let ways =
        format!("-n 1 {program} {RUN} --out run : -n 1 {program} train --device cpu --resume run");
    assert_eq!(
        fails(&mut mpirun(dir, &ways)),
        "error: rank 1: it resumes a run, and rank 0 starts a new run: start all ranks with the same options"
    );
    let points: String = (0..40).map(|nth| format!("{},{},{}\n", nth, nth % 7, nth % 2)).collect();
    fs::write(dir.join("points.csv"), format!("x,y,class\n{points}")).unwrap();
    let auto = format!("-n 1 {program} train --device cpu --data points.csv --out run");
    let said = fails(&mut mpirun(dir, &format!("{auto} : {auto} --set sampler.num_steps=6")));
    assert!(said.starts_with("error: rank 1: sampler.num_steps = 6 here, and "), "{said}");
    let no_device = format!("{RUN} --out run --device cpu,nosuch").replacen("--device cpu ", "", 1);
    let said = fails(&mut on_ranks(dir, 2, &no_device));
    assert!(said.starts_with("error: rank 1: no such adapter: `nosuch`"), "{said}");
    let too_few = no_device.replace("cpu,nosuch", "cpu,cpu");
    let said = fails(&mut on_ranks(dir, 3, &too_few));
    assert!(said.contains("--device cpu,cpu names 2 devices, and there are 3 ranks"), "{said}");
    let said = fails(&mut on_ranks(dir, 7, &format!("{RUN} --out run")));
    assert!(said.contains("7 ranks cannot share it evenly: set it to 56 or 63"), "{said}");
    let said = fails(&mut on_ranks(dir, 2, &format!("{RUN} --out run --set sampler.kid=3")));
    assert!(said.contains("sampler.kid"), "{said}");
    assert!(!dir.join("run").exists(), "nothing is left behind");
    fs::create_dir(dir.join("run")).unwrap();
    fs::write(dir.join("run/notes.txt"), "mine").unwrap();
    let said = fails(&mut on_ranks(dir, 2, &format!("{RUN} --out run")));
    assert!(said.contains("already exists and is not a run"), "{said}");
    let said = fails(&mut on_ranks(dir, 2, "train --device cpu --resume nowhere"));
    assert!(said.contains("holds no run to resume"), "{said}");
}
