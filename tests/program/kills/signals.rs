//! Requests to stop by signals from terminals, launchers and schedulers.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    RUN, STEPS_PER_EPOCH, begin,
    bounded::{Started, ended, surround},
    logged_steps, resume, saved_steps, wait_for_steps,
};

/// Options for a run that does not end by itself and saves nothing before it is asked to stop.
const LONG: &str = "--epochs 100000 --set training.eval_every_epochs=100000";

/// Checks that all steps done are saved.
fn assert_all_is_saved(dir: &Path) {
    let run = dir.join("run");
    assert!(saved_steps(&run) > 0);
    assert_eq!(saved_steps(&run), logged_steps(&run), "the last step is in the checkpoint");
    // The run resumes from there.
    let done = saved_steps(&run) / STEPS_PER_EPOCH + 1;
    ended(&mut resume(dir, &format!("--epochs {done}"))).success();
    assert_eq!(logged_steps(&run), done * STEPS_PER_EPOCH);
}

#[test]
fn a_request_to_stop_saves_and_shows_in_the_exit_status() {
    for (signal, status) in [
        (libc::SIGINT, 130),
        (libc::SIGTERM, 143),
        (libc::SIGHUP, 129),
        // A queue sends it before a time limit.
        (libc::SIGUSR1, 128 + libc::SIGUSR1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let running = Started::new(&mut begin(dir.path(), LONG));
        wait_for_steps(&dir.path().join("run"), 3);
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.status.code(), Some(status), "{ended:?}");
        assert_all_is_saved(dir.path());
    }
}

/// `timeout -s INT` signals its child and then its process group; a launcher forwards the signals that it receives.
#[test]
fn a_request_that_comes_twice_is_one() {
    for pause in [0, 50, 300] {
        let dir = tempfile::tempdir().unwrap();
        let running = Started::new(&mut begin(dir.path(), LONG));
        wait_for_steps(&dir.path().join("run"), 3);
        running.signal(libc::SIGINT);
        sleep(Duration::from_millis(pause));
        running.signal(libc::SIGINT);
        let ended = running.wait();
        assert_eq!(ended.status.code(), Some(130), "{ended:?}");
        assert_all_is_saved(dir.path());
    }
}

/// Under `nohup` and in the background of a shell, signals are ignored from the start.
#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = begin(dir.path(), LONG);
    // SAFETY: `signal` may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            libc::signal(libc::SIGINT, libc::SIG_IGN);
            Ok(())
        });
    }
    let run = dir.path().join("run");
    let running = Started::new(&mut command);
    wait_for_steps(&run, 3);
    running.signal(libc::SIGHUP);
    running.signal(libc::SIGINT);
    let so_far = fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().count();
    wait_for_steps(&run, so_far + 20);
    assert!(running.is_running());
    running.signal(libc::SIGTERM);
    assert_eq!(running.wait().status.code(), Some(143));
    assert_all_is_saved(dir.path());
}

/// `jempp train 2>&1 | tee log` and Ctrl-C: `tee` ends at once, so nothing reads the messages about the save.
#[test]
fn ctrl_c_on_a_pipe_saves() {
    for streams in
        ["2>&1 | tee log", "2>&1 | head -n 1", "2>&1 | cat >/dev/full", ">/dev/full 2>&1"]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Command::new("bash");
        let script = format!("\"$JEMPP\" {RUN} --out run {LONG} {streams}");
        shell.args(["-c", &script]).env("JEMPP", env!("CARGO_BIN_EXE_jempp"));
        surround(&mut shell, dir.path());
        let shell = Started::new(shell.current_dir(dir.path()).process_group(0));
        let group = shell.pid();
        wait_for_steps(&dir.path().join("run"), 3);
        // Like a terminal, signals the whole foreground process group.
        // SAFETY: `kill` accesses no memory.
        unsafe { libc::kill(-group, libc::SIGINT) };
        shell.wait();
        let deadline = Instant::now() + Duration::from_secs(30);
        // SAFETY: signal 0 is not delivered to any process.
        while unsafe { libc::kill(-group, 0) } == 0 {
            assert!(Instant::now() < deadline, "{streams}: somebody stays");
            sleep(Duration::from_millis(10));
        }
        eprintln!("{streams}");
        assert_all_is_saved(dir.path());
    }
}

#[test]
fn a_long_job_of_samples_keeps_what_it_has_when_it_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let words = "sample --model two-moons --device cpu --per-class 2 --steps 1000000 --out s";
    let mut command = super::jempp(dir.path(), &super::words(words));
    let running = Started::new(&mut command);
    sleep(Duration::from_millis(1500));
    running.signal(libc::SIGINT);
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(130), "{ended:?}");
    let traces = fs::read_to_string(dir.path().join("s/traces.csv")).unwrap();
    let columns = traces.lines().next().unwrap().split(',').count();
    assert!(traces.lines().count() > 1 && traces.ends_with('\n'));
    assert!(traces.lines().all(|line| line.split(',').count() == columns), "whole lines");
}
