//! Ranks that are asked to stop one by one, killed, or stopped for good.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    LONG, RUN, STEPS_PER_EPOCH, assert_silent, bounded::Started, checkpoint, has_mpirun,
    logged_steps, numbers, on_ranks, ranks_of, succeeds, wait_for_steps,
};

/// Sends a signal to one rank of a run.
pub(crate) fn signal(running: &Started, rank: usize, signal: libc::c_int) {
    let process = ranks_of(running.pid())[rank];
    // SAFETY: it sends a signal to a process of this test.
    unsafe { libc::kill(process, signal) };
}

#[test]
fn a_signal_to_one_rank_stops_all() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for rank in [1, 0] {
        let run = dir.path().join(format!("run{rank}"));
        let words = format!("{RUN} {LONG} --out run{rank}");
        let running = Started::new(&mut on_ranks(dir.path(), 2, &words));
        wait_for_steps(&run, 3);
        signal(&running, rank, libc::SIGTERM);
        let stopped = running.wait();
        assert!(stopped.stdout.contains("Stopped"), "{stopped:?}");
        assert_eq!(checkpoint(dir.path(), &format!("run{rank}")).counters.step, logged_steps(&run));
    }
}

/// While rank 0 evaluates, the others wait for its next order. They tell it outside the exchanges.
#[test]
fn a_signal_to_a_rank_that_waits_ends_an_evaluation() {
    /// A network that takes seconds for 1,000 test images, after two short steps.
    const SLOW: &str = "train --device cpu --preset fashion-quick --set model.arch=wrn-22-4 --set data.num_train=40 \
                        --set data.batch_size=20 --set sampler.num_steps=1 --set model.norm=group \
                        --set replay_buffer.replay_buffer_size=40 --set class_centers.max_components=2";
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let running = Started::new(&mut on_ranks(dir.path(), 2, &format!("{SLOW} --out run")));
    wait_for_steps(&run, 2);
    signal(&running, 1, libc::SIGTERM);
    let stopped = running.wait();
    assert!(stopped.stdout.contains("Stopped after 2 steps"), "{stopped:?}");
    assert!(!stopped.stdout.contains("test accuracy"), "it was evaluated to its end: {stopped:?}");
    assert_eq!(checkpoint(dir.path(), "run").counters.step, 2);
}

#[test]
fn a_rank_that_is_killed_ends_the_run_within_seconds_and_the_run_resumes() {
    /// The longest time between the first new step and the kill: some epochs, evaluations and saves.
    const LONGEST: f64 = 0.8;
    if !has_mpirun() {
        return;
    }
    let variable =
        |name: &str, default| std::env::var(name).map_or(default, |value| value.parse().unwrap());
    let (num_kills, seed) = (variable("JEMPP_KILLS", 6), variable("JEMPP_SEED", 19));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let (dir, run) = (dir.path(), dir.path().join("run"));
    let often = "--epochs 100000 --set training.eval_every_epochs=1 --set training.checkpoint_every_secs=0.2";
    let mut command = on_ranks(dir, 3, &format!("{RUN} {often} --out run"));
    for kill in 0..num_kills {
        // A resumed run first drops what it did after its checkpoint.
        let so_far = logged_steps(&run);
        let running = Started::new(&mut command);
        wait_for_steps(&run, so_far + 1);
        let (rank, secs) = (rng.random_range(0..3), rng.random_range(0.0..LONGEST));
        let what = format!("kill {kill} with JEMPP_SEED={seed}: rank {rank} after {secs:.3} s");
        sleep(Duration::from_secs_f64(secs));
        let begin = Instant::now();
        signal(&running, rank, libc::SIGKILL);
        let ended = running.wait();
        assert!(!ended.status.success(), "{what}: {ended:?}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}: {:?}", begin.elapsed());
        assert!(ended.stderr.contains("exited on signal 9"), "{what}: {ended:?}");
        command = on_ranks(dir, 3, "train --device cpu --resume run");
    }
    // In the middle of an epoch. With as many ranks, an undisturbed run has the same bits there.
    let steps = logged_steps(&run) / STEPS_PER_EPOCH * STEPS_PER_EPOCH + STEPS_PER_EPOCH + 2;
    succeeds(&mut on_ranks(
        dir,
        3,
        &format!("train --device cpu --resume run --max-steps {steps}"),
    ));
    succeeds(&mut on_ranks(dir, 3, &format!("{RUN} {often} --out whole --max-steps {steps}")));
    let (found, whole) = (checkpoint(dir, "run"), checkpoint(dir, "whole"));
    assert_eq!([found.counters.step, whole.counters.step], [steps; 2]);
    assert!(numbers(&found) == numbers(&whole), "other bits after {num_kills} kills, seed {seed}");
    assert_eq!([logged_steps(&run), logged_steps(&dir.join("whole"))], [steps; 2]);
    // Another number of ranks resumes it too.
    let epochs = steps / STEPS_PER_EPOCH + 1;
    let resumed = format!("train --device cpu --resume run --epochs {epochs}");
    succeeds(&mut on_ranks(dir, 2, &resumed));
    assert_eq!(logged_steps(&run), epochs * STEPS_PER_EPOCH);
}

/// A process that is stopped lives, but says nothing more. The launcher does not notice.
#[test]
fn a_rank_that_says_nothing_ends_the_run() {
    if !has_mpirun() {
        return;
    }
    for rank in [1, 0] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = on_ranks(dir.path(), 3, &format!("{RUN} {LONG} --out run"));
        command.env("JEMPP_RANK_PATIENCE", "3");
        let running = Started::new(&mut command);
        wait_for_steps(&dir.path().join("run"), 3);
        signal(&running, rank, libc::SIGSTOP);
        let begin = Instant::now();
        let ended = running.wait();
        let took = begin.elapsed();
        assert!(
            took > Duration::from_secs(1) && took < Duration::from_secs(20),
            "{took:?}: {ended:?}"
        );
        assert_silent(dir.path(), &ended, rank);
    }
}
