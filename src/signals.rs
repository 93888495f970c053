//! Requests to stop: Ctrl-C, SIGTERM, SIGHUP.
//!
//! The first asks the work in hand to stop and save. Launchers often signal a group and its child, so what
//! comes within a second of the first is part of it. A later one only says that saving goes on; the one
//! after that leaves at once, and files already written stay whole.
//!
//! A signal that was ignored when the program started stays ignored: so `nohup` keeps a run alive.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI32, Ordering},
    },
    time::{Duration, Instant},
};

use crate::say::complain;

/// Signals closer to the first than this belong to it.
const ONE_REQUEST: Duration = Duration::from_secs(1);
/// What a shell reports of a program that a signal ended: 128 and its number.
const STATUS_BASE: i32 = 128;

/// The first signal heard; 0 before any.
static FIRST: AtomicI32 = AtomicI32::new(0);

/// The exit status that tells of the signal that asked the program to stop, if one did: 130 for Ctrl-C, 143 for
/// SIGTERM, 129 for SIGHUP.
pub fn exit_status() -> Option<u8> {
    match FIRST.load(Ordering::Relaxed) {
        0 => None,
        signal => u8::try_from(STATUS_BASE + signal).ok(),
    }
}

/// A flag that is set once the program is asked to stop. All calls give the same flag.
///
/// # Errors
/// The operating system refuses to tell.
pub fn stop_flag() -> std::io::Result<Arc<AtomicBool>> {
    static FLAG: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);
    let mut known = FLAG.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(flag) = &*known {
        return Ok(flag.clone());
    }
    let flag = Arc::new(AtomicBool::new(false));
    let mut requests = Requests { stop: flag.clone(), first: None, is_told: false };
    listen(move |signal| requests.hear(signal))?;
    *known = Some(flag.clone());
    Ok(flag)
}

/// What has been asked so far.
struct Requests {
    stop: Arc<AtomicBool>,
    first: Option<Instant>,
    /// Whether a second request was answered.
    is_told: bool,
}

impl Requests {
    fn hear(&mut self, signal: i32) {
        let first = match self.first {
            None => {
                self.first = Some(Instant::now());
                FIRST.store(signal, Ordering::Relaxed);
                self.stop.store(true, Ordering::Relaxed);
                complain!("Stopping, then saving what is done.");
                return;
            }
            Some(first) => first,
        };
        if first.elapsed() < ONE_REQUEST {
            return;
        }
        if !self.is_told {
            self.is_told = true;
            complain!("Still saving. Once more leaves at once, with what was saved before.");
            return;
        }
        std::process::exit(STATUS_BASE + signal);
    }
}

#[cfg(unix)]
fn listen(mut hear: impl FnMut(i32) + Send + 'static) -> std::io::Result<()> {
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGTERM},
        iterator::Signals,
    };
    let heard: Vec<i32> =
        [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&s| !is_ignored(s)).collect();
    let mut signals = Signals::new(heard)?;
    let wait = move || signals.forever().for_each(&mut hear);
    std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

/// Whether a signal is ignored, as `nohup` and a shell's background jobs have it.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null action changes nothing; what is in force is written to `action`, whose all-zero bytes are
    // a valid value in case it is not.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

#[cfg(windows)]
fn listen(mut hear: impl FnMut(i32) + Send + 'static) -> std::io::Result<()> {
    /// Ctrl-C's number wherever signals have numbers.
    const INTERRUPT: i32 = 2;
    ctrlc::set_handler(move || hear(INTERRUPT)).map_err(std::io::Error::other)
}
