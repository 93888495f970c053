//! Training on several ranks that `mpirun` starts. It needs the feature `mpi` and the program `mpirun`; without the
//! latter, the tests say so and pass, or fail if `REQUIRE_MPI` is set.
//!
//! `JEMPP_KILLS=20` sets the number of kills; `JEMPP_SEED=7` changes their ranks and moments.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests may")]
#![cfg(unix)]

#[path = "../program/bounded.rs"]
mod bounded;
mod refused;
#[path = "../program/run.rs"]
mod run;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod stuck;
mod trouble;

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

/// Checks that three ranks ended with one error line that begins like this, and that their run in the folder `run` resumes
/// from its last checkpoint, here that of its start. Returns the rest of the line.
fn assert_given_up(dir: &Path, ended: &Ended, begin: &str) -> String {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let errors = ended.stderr.lines().filter(|line| line.starts_with("error: "));
    let errors: Vec<&str> = errors.collect();
    assert!(errors.len() == 1 && errors[0].starts_with(begin), "{ended:?}");
    succeeds(&mut on_ranks(dir, 3, "train --device cpu --resume run --epochs 2"));
    assert_eq!(logged_steps(&dir.join("run")), 2 * STEPS_PER_EPOCH);
    errors[0][begin.len()..].to_string()
}

/// Checks that three ranks were ended because this one said nothing for 3 seconds or, if it is rank 0, for 7: the patience of
/// the others in this test, and the turn of rank 1.
fn assert_silent(dir: &Path, ended: &Ended, rank: usize) {
    let line = format!("error: rank {rank} has not been heard of for ");
    let said = assert_given_up(dir, ended, &line);
    let (secs, rest) = said.split_once(' ').unwrap();
    let least = if rank == 0 { 7 } else { 3 };
    assert!((least..least + 5).contains(&secs.parse::<u64>().unwrap()), "{ended:?}");
    assert!(rest.starts_with("seconds, so all ranks end"), "{ended:?}");
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
    let exchanges = said.stdout.lines().filter(|line| line.starts_with("Exchanges: "));
    let exchanges: Vec<&str> = exchanges.collect();
    assert_eq!(exchanges.len(), 1, "{}", said.stdout);
    assert!(exchanges[0].contains(" s for sums of gradients, "), "{exchanges:?}");
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
