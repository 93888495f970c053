//! Kills at random moments and inside system calls.

use std::{fs, path::Path, process::Command, thread::sleep, time::Instant};

use jempp::checkpoint::Checkpoint;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    STEPS_PER_EPOCH, assert_alike, begin,
    bounded::{Started, ended},
    has_strace, logged_steps, resume, saved_steps, traced,
};

/// The default number of kills.
const KILLS: u64 = 20;
const EPOCHS: u64 = 4;
/// Options that save a checkpoint after every step, so that most kills happen during a save.
const OFTEN: &str =
    "--epochs 4 --set training.eval_every_epochs=2 --set training.checkpoint_every_secs=0";

/// The undisturbed run, and how long it took.
struct Whole {
    dir: tempfile::TempDir,
    secs: f64,
}

impl Whole {
    fn train() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let begun = Instant::now();
        ended(&mut begin(dir.path(), OFTEN)).success();
        let run = dir.path().join("run");
        assert_eq!(saved_steps(&run), EPOCHS * STEPS_PER_EPOCH);
        assert_eq!(logged_steps(&run), EPOCHS * STEPS_PER_EPOCH);
        Self { dir, secs: begun.elapsed().as_secs_f64() }
    }
}

/// The command that starts or resumes the run. A run that was killed before its first save starts again.
fn go_on(dir: &Path) -> Command {
    let run = dir.join("run");
    if run.join("checkpoint.safetensors").exists() {
        return resume(dir, "");
    }
    let _ = fs::remove_dir_all(&run);
    begin(dir, OFTEN)
}

/// Checks the state after a kill: a complete checkpoint, or none yet.
fn check_left(dir: &Path) {
    let path = dir.join("run/checkpoint.safetensors");
    if path.exists() {
        let checkpoint = Checkpoint::load(&path).expect("a whole checkpoint");
        assert!(checkpoint.counters.step <= EPOCHS * STEPS_PER_EPOCH);
    }
}

#[test]
fn killed_at_random_moments_a_run_ends_as_if_undisturbed() {
    let variable =
        |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let (kills, seed) = (variable("JEMPP_KILLS", KILLS), variable("JEMPP_SEED", 19));
    let whole = Whole::train();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut num_kills, mut num_runs) = (0, 0);
    while num_kills < kills {
        let dir = tempfile::tempdir().unwrap();
        loop {
            let running = Started::new(&mut go_on(dir.path()));
            // After the last kill, the run ends undisturbed.
            if num_kills < kills {
                sleep(moment(&mut rng, whole.secs));
                running.signal(libc::SIGKILL);
            }
            let ended = running.wait();
            match ended.status.code() {
                Some(0) => break,
                None => num_kills += 1,
                Some(_) => panic!("{ended:?}"),
            }
            check_left(dir.path());
        }
        num_runs += 1;
        assert_alike(&dir.path().join("run"), &whole.dir.path().join("run"));
    }
    println!(
        "{num_kills} kills at random moments of {num_runs} runs, all resumed to the same tensors"
    );
}

/// A random moment in the first two thirds of a run, so that steps remain to be repeated.
fn moment(rng: &mut impl Rng, secs: f64) -> std::time::Duration {
    std::time::Duration::from_secs_f64(secs * rng.random_range(0.02..0.66))
}

#[test]
fn killed_inside_write_fsync_and_rename_a_run_ends_as_if_undisturbed() {
    if !has_strace() {
        return;
    }
    let whole = Whole::train();
    for (calls, moments) in [
        ("write", [9, 30, 64]),
        ("fsync,fdatasync", [1, 4, 11]),
        ("rename,renameat,renameat2", [1, 3, 12]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut num_kills = 0;
        for moment in moments {
            let inject = format!("signal=SIGKILL:when={moment}");
            let ended = ended(&mut traced(&go_on(dir.path()), calls, &inject));
            num_kills += u64::from(!ended.status.success());
            check_left(dir.path());
        }
        assert!(num_kills > 0, "no kill inside {calls}");
        println!("{num_kills} kills inside {calls}");
        ended(&mut go_on(dir.path())).success();
        assert_alike(&dir.path().join("run"), &whole.dir.path().join("run"));
    }
}

#[test]
fn a_second_owner_is_refused_and_told_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    ended(&mut begin(dir.path(), "--epochs 1")).success();
    let first = Started::new(&mut resume(dir.path(), "--epochs 10000"));
    super::wait_for_steps(&run, 2 * STEPS_PER_EPOCH as usize);
    let config = fs::read(run.join("config.toml")).unwrap();
    for words in ["--epochs 10000", "--epochs 20 --set optimizer.learning_rate=0.0001"] {
        let said = ended(&mut resume(dir.path(), words)).refusal().to_string();
        assert!(said.contains(&first.pid().to_string()), "names the holder: {said}");
    }
    assert_eq!(fs::read(run.join("config.toml")).unwrap(), config);
    assert!(first.is_running());
    // A killed process owns nothing.
    first.signal(libc::SIGKILL);
    assert_eq!(first.wait().status.code(), None);
    let done = saved_steps(&run) / STEPS_PER_EPOCH + 2;
    ended(&mut resume(dir.path(), &format!("--epochs {done}"))).success();
    assert_eq!(saved_steps(&run), done * STEPS_PER_EPOCH);
    assert_eq!(logged_steps(&run), done * STEPS_PER_EPOCH);
}
