//! Signals that ask the program to stop: Ctrl-C, SIGTERM, SIGHUP, and SIGUSR1, which queues send before a time limit.
//!
//! The first request makes the current work stop and save. Launchers often signal a process group and its child, so
//! signals within a second of a request belong to it. A second request only prints that saving is in progress; the
//! third one exits at once, and files already written stay complete.
//!
//! A signal that was ignored when the program started stays ignored, so `nohup` keeps a run alive.

use std::{
    process::ExitStatus,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use crate::say::{complain, set_stopping};

/// Signals within this time after a request belong to it.
const ONE_REQUEST: Duration = Duration::from_secs(1);
/// The exit status for a program that a signal ended is 128 plus the signal's number, as in a shell.
const STATUS_BASE: i32 = 128;

/// The first signal received; [`NONE`] before any, [`DONE`] when all work is done.
static FIRST: AtomicI32 = AtomicI32::new(NONE);
const NONE: i32 = 0;
const DONE: i32 = -1;

/// The signals that ask the program to stop.
#[cfg(unix)]
const HEARD: [i32; 4] = {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    [SIGINT, SIGTERM, SIGHUP, SIGUSR1]
};
/// The number of Ctrl-C on systems with signal numbers.
#[cfg(not(unix))]
const HEARD: [i32; 1] = [2];

/// The exit status for the signal that stopped the work, if one did: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP, 138
/// for SIGUSR1.
pub(crate) fn exit_status() -> Option<u8> {
    match FIRST.load(Ordering::Relaxed) {
        NONE | DONE => None,
        signal => u8::try_from(STATUS_BASE + signal).ok(),
    }
}

/// Whether another process ended because it was asked to stop: with such an exit status, or at once.
pub(crate) fn has_stopped(status: ExitStatus) -> bool {
    #[cfg(unix)]
    let at_once = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    let at_once = None;
    let signal = at_once.or_else(|| status.code()?.checked_sub(STATUS_BASE));
    signal.is_some_and(|signal| HEARD.contains(&signal))
}

/// Whether the program was asked to stop.
pub(crate) fn is_requested() -> bool {
    !matches!(FIRST.load(Ordering::Relaxed), NONE | DONE)
}

/// Marks all work as done: a later request no longer changes the exit status.
pub(crate) fn work_is_done() {
    FIRST.store(DONE, Ordering::Relaxed);
    set_stopping(false);
}

/// A flag that is set when the program is asked to stop. All calls return the same flag. The first call installs the
/// signal handlers; before it, a signal ends the program at once.
///
/// # Errors
/// The operating system refuses to install a signal handler.
pub(crate) fn stop_flag() -> std::io::Result<Arc<AtomicBool>> {
    static FLAG: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
    let mut known = FLAG.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(flag) = &*known {
        return Ok(flag.clone());
    }
    let flag = Arc::new(AtomicBool::new(false));
    let (stop, mut requests) = (flag.clone(), Requests::default());
    listen(move |signal| match requests.hear(Instant::now()) {
        Answer::Stop => {
            // Set the flag before printing, because a line may have to wait until it can be written.
            let first = FIRST.compare_exchange(NONE, signal, Ordering::Relaxed, Ordering::Relaxed);
            set_stopping(first.is_ok());
            stop.store(true, Ordering::Relaxed);
            complain!("Stopping, then saving what is done.");
        }
        Answer::Patience => {
            complain!("Still saving. Another signal exits at once, with what was saved before.");
        }
        Answer::Leave => leave(STATUS_BASE + signal),
        Answer::Nothing => {}
    })?;
    *known = Some(flag.clone());
    Ok(flag)
}

/// The reaction of the program to a signal.
#[derive(Debug, PartialEq)]
enum Answer {
    Stop,
    Patience,
    Leave,
    Nothing,
}

/// The requests to stop that were received so far.
#[derive(Debug, Default)]
struct Requests {
    count: u32,
    last: Option<Instant>,
}

impl Requests {
    fn hear(&mut self, now: Instant) -> Answer {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < ONE_REQUEST) {
            return Answer::Nothing;
        }
        self.last = Some(now);
        self.count += 1;
        match self.count {
            1 => Answer::Stop,
            2 => Answer::Patience,
            _ => Answer::Leave,
        }
    }
}

/// Exits the program without waiting for locks of other threads.
fn leave(status: i32) {
    #[cfg(unix)]
    signal_hook::low_level::exit(status);
    #[cfg(not(unix))]
    std::process::exit(status);
}

#[cfg(unix)]
fn listen(mut hear: impl FnMut(i32) + Send + 'static) -> std::io::Result<()> {
    let heard: Vec<i32> = HEARD.into_iter().filter(|&signal| !is_ignored(signal)).collect();
    let mut signals = signal_hook::iterator::Signals::new(heard)?;
    let wait = move || signals.forever().for_each(&mut hear);
    std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

/// Whether a signal is ignored, as it is under `nohup` and in background jobs of a shell.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null action changes nothing. The current action is written to `action`; if it is not, its all-zero
    // bytes are a valid value too.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

#[cfg(windows)]
fn listen(mut hear: impl FnMut(i32) + Send + 'static) -> std::io::Result<()> {
    ctrlc::set_handler(move || hear(HEARD[0])).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_process_that_was_asked_to_stop_is_told_from_one_that_failed() {
        use std::os::unix::process::ExitStatusExt;
        // What `wait` gives: the number of a signal, or 256 times an exit status.
        for raw in [2, 15, 130 << 8, 143 << 8, (STATUS_BASE + HEARD[3]) << 8] {
            assert!(has_stopped(ExitStatus::from_raw(raw)), "{raw}");
        }
        for raw in [0, 9, 11, 1 << 8, 2 << 8, 15 << 8, 137 << 8] {
            assert!(!has_stopped(ExitStatus::from_raw(raw)), "{raw}");
        }
    }

    #[test]
    fn signals_within_a_second_are_one_request() {
        let (mut requests, begin) = (Requests::default(), Instant::now());
        let mut hear = |millis| requests.hear(begin + Duration::from_millis(millis));
        assert_eq!(hear(0), Answer::Stop);
        assert_eq!(hear(0), Answer::Nothing);
        assert_eq!(hear(900), Answer::Nothing);
        assert_eq!(hear(1100), Answer::Patience);
        assert_eq!(hear(1150), Answer::Nothing, "the second request may come twice too");
        assert_eq!(hear(2500), Answer::Leave);
    }
}
