//! Ranks whose work is stuck, as in a driver that hangs, while they still give signs of life.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    LONG, RUN, assert_given_up, assert_silent, bounded::Started, has_mpirun, on_ranks, ranks_of,
    trouble::signal, wait_for_steps,
};

/// The main thread of a rank, which this thread holds as a debugger would. The other threads of the rank go on.
struct Held(libc::pid_t);

impl Held {
    /// Stops the main thread of a rank.
    fn new(running: &Started, rank: usize) -> Self {
        // While another rank is stopped for a moment, this one waits for it and is mostly asleep. Held in a call of MPI, it would
        // keep its signs of life back too.
        let other = usize::from(rank == 0);
        signal(running, other, libc::SIGSTOP);
        let held = Self(ranks_of(running.pid())[rank]);
        held.ask(libc::PTRACE_SEIZE);
        let is_held = (0..20).any(|_| {
            sleep(Duration::from_millis(50));
            held.ask(libc::PTRACE_INTERRUPT);
            held.news(0);
            let is_asleep = held.is_asleep();
            if !is_asleep {
                held.ask(libc::PTRACE_CONT);
            }
            is_asleep
        });
        signal(running, other, libc::SIGCONT);
        assert!(is_held, "rank {rank} does not wait for rank {other}");
        held
    }

    fn ask(&self, request: libc::c_uint) {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: these requests read and write no memory.
        let answer = unsafe { libc::ptrace(request, self.0, nothing, nothing) };
        assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    }

    /// The new status of the thread. Without `WNOHANG` it waits for one; with it, there may be none.
    fn news(&self, flags: libc::c_int) -> Option<libc::c_int> {
        let mut status = 0;
        // SAFETY: the pointer refers to a local variable.
        let of = unsafe { libc::waitpid(self.0, &mut status, libc::__WALL | flags) };
        assert!(of >= 0, "{}", std::io::Error::last_os_error());
        (of == self.0).then_some(status)
    }

    /// Whether the thread was stopped while it slept, as it does between its looks at an exchange that lasts.
    fn is_asleep(&self) -> bool {
        let call = fs::read_to_string(format!("/proc/{}/syscall", self.0)).unwrap();
        call.starts_with(&format!("{} ", libc::SYS_clock_nanosleep))
    }

    /// Waits until the rank has ended, of which `mpirun` only hears after this.
    fn wait(self) {
        let deadline = Instant::now() + Duration::from_secs(40);
        let has_ended = |status: libc::c_int| libc::WIFEXITED(status) || libc::WIFSIGNALED(status);
        while !self.news(libc::WNOHANG).is_some_and(has_ended) {
            assert!(Instant::now() < deadline, "the rank was not ended");
            sleep(Duration::from_millis(20));
        }
    }
}

/// Starts a run of three ranks in the folder `run`, with these variables and the others of its environment.
fn started(dir: &Path, variables: &[(&str, &str)]) -> Started {
    let mut command = on_ranks(dir, 3, &format!("{RUN} {LONG} --out run"));
    let running = Started::new(command.envs(variables.iter().copied()));
    wait_for_steps(&dir.join("run"), 3);
    running
}

#[test]
fn a_rank_whose_work_is_stuck_falls_silent_and_ends_the_run() {
    if !has_mpirun() {
        return;
    }
    for rank in [1, 0] {
        let dir = tempfile::tempdir().unwrap();
        let variables = [("JEMPP_RANK_PATIENCE", "3"), ("JEMPP_RANK_STUCK", "8")];
        let running = started(dir.path(), &variables);
        let held = Held::new(&running, rank);
        let begin = Instant::now();
        held.wait();
        let ended = running.wait();
        let took = begin.elapsed();
        // Without signs of life it would have ended within the patience.
        assert!(
            took > Duration::from_secs(9) && took < Duration::from_secs(35),
            "{took:?}: {ended:?}"
        );
        assert_silent(dir.path(), &ended, rank);
    }
}

#[test]
fn a_run_that_is_asked_to_stop_does_not_wait_long_for_a_stuck_rank() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let running = started(dir.path(), &[("JEMPP_RANK_PATIENCE", "3")]);
    let held = Held::new(&running, 1);
    let begin = Instant::now();
    running.signal(libc::SIGUSR1);
    held.wait();
    let ended = running.wait();
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(20), "{took:?}: {ended:?}");
    let line = "error: the run was asked to stop, and a rank has not answered for ";
    assert_given_up(dir.path(), &ended, line);
}
