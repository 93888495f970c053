//! The worker as a thread. All work on the device happens on it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        mpsc::{
            Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
        },
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    Batch, Command, Event,
    outbox::{Gone, Outbox},
    service::{Stop, attend},
};

/// Batches of reports on their way. A window that does not look makes the worker wait, not the memory grow.
const MAX_UNSEEN: usize = 64;
/// And bytes of them. One batch may always go, whatever its size.
const MAX_UNSEEN_BYTES: usize = 64 << 20;
const THREAD_NAME: &str = "jempp-worker";

/// A running worker, and the two ends of the channels to it.
pub struct Worker {
    /// What it is asked.
    pub commands: Sender<Command>,
    /// What it reports, some at a time.
    pub events: Receiver<Batch>,
    /// Ends when either of the others is dropped, once a training run is saved: join it before the
    /// process ends. It tells why something could not be saved.
    pub thread: JoinHandle<Result<(), String>>,
}

/// Starts a worker on a thread of its own. `device` is as [`crate::device::open`] takes it; `wake` is called after every
/// report.
///
/// # Errors
/// The operating system gives no thread.
pub fn spawn(device: String, wake: impl Fn() + Send + 'static) -> std::io::Result<Worker> {
    let (commands, inbox) = channel();
    hush_panics();
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name(THREAD_NAME.into()).spawn(move || {
        let (wire, events) = sync_channel(MAX_UNSEEN);
        let underway = Arc::new(Underway::new(MAX_UNSEEN_BYTES));
        let out = Outbox::new(Wire { events: wire, underway, wake: Box::new(wake) });
        match sender.send(events) {
            Ok(()) => pollster::block_on(serve(&device, &mut Inbox(inbox), &out)),
            Err(_) => Ok(()),
        }
    })?;
    let events = receiver.recv().map_err(std::io::Error::other)?;
    Ok(Worker { commands, events, thread })
}

/// A panic of the worker becomes a banner; nobody needs it on the terminal as well.
fn hush_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some(THREAD_NAME) {
            others(info);
        }
    }));
}

/// Serves until the window is gone; after a failure, until it is told to try again. What went wrong once nobody
/// was there to be told is the error.
async fn serve(device: &str, inbox: &mut Inbox, out: &Outbox) -> Result<(), String> {
    loop {
        match stop_of(|| pollster::block_on(attend(device, inbox, out))) {
            Stop::Gone => return Ok(()),
            Stop::Unsaved(reason) => return Err(reason),
            Stop::Failed(reason) => {
                out.say(Event::Failed(reason.clone())).await.map_err(|_| reason)?;
            }
        }
        loop {
            match inbox.next(None).await {
                Ok(Some(Command::Retry)) => break,
                Ok(_) => {}
                Err(Gone) => return Ok(()),
            }
        }
    }
}

/// Why work stopped, a panic of the device's driver included.
fn stop_of(work: impl FnOnce() -> Result<(), Stop>) -> Stop {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => Stop::Gone,
        Ok(Err(stop)) => stop,
        Err(panic) => Stop::Failed(format!("the device failed: {}", message_of(panic.as_ref()))),
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    // What follows the first line is for programmers.
    text.lines().next().unwrap_or(text).to_string()
}

/// Commands from the window. Waiting blocks the thread, which has nothing else to do.
pub(super) struct Inbox(Receiver<Command>);

impl Inbox {
    /// A command that is here already.
    pub(super) async fn arrived(&mut self) -> Result<Option<Command>, Gone> {
        match self.0.try_recv() {
            Ok(command) => Ok(Some(command)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Gone),
        }
    }

    /// The next command, or `None` after so long.
    pub(super) async fn next(&mut self, wait: Option<Duration>) -> Result<Option<Command>, Gone> {
        let Some(wait) = wait else { return self.0.recv().map(Some).map_err(|_| Gone) };
        match self.0.recv_timeout(wait) {
            Ok(command) => Ok(Some(command)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Gone),
        }
    }
}

/// What is said of a file that was written.
pub(super) fn saved(path: PathBuf) -> Event {
    Event::Saved(path)
}

/// Bytes of reports that the window has not taken yet.
struct Underway {
    most: usize,
    bytes: Mutex<usize>,
    freed: Condvar,
}

impl Underway {
    fn new(most: usize) -> Self {
        Self { most, bytes: Mutex::new(0), freed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.bytes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether so many more may go.
    fn has_room(&self, taken: usize, bytes: usize) -> bool {
        taken == 0 || taken.saturating_add(bytes) <= self.most
    }

    /// Waits until so many more may go.
    fn hold(self: &Arc<Self>, bytes: usize) -> Hold {
        let mut taken = self.lock();
        while !self.has_room(*taken, bytes) {
            taken = self.freed.wait(taken).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *taken += bytes;
        Hold { underway: self.clone(), bytes }
    }
}

/// The bytes of one batch, until it is taken or the window is gone.
pub(super) struct Hold {
    underway: Arc<Underway>,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        *self.underway.lock() -= self.bytes;
        self.underway.freed.notify_one();
    }
}

/// Reports to the window.
pub(super) struct Wire {
    events: SyncSender<Batch>,
    underway: Arc<Underway>,
    wake: Box<dyn Fn() + Send>,
}

impl Wire {
    pub(super) async fn send(&self, events: Vec<Event>) -> Result<(), Gone> {
        let hold = self.underway.hold(events.iter().map(Event::num_bytes).sum());
        self.events.send(Batch::held(events, hold)).map_err(|_| Gone)?;
        (self.wake)();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_reason() {
        let reason = |work: fn() -> Result<(), Stop>| match stop_of(work) {
            Stop::Failed(reason) => Some(reason),
            _ => None,
        };
        let lost = reason(|| panic!("parent device is lost\nbacktrace"));
        assert_eq!(lost.as_deref(), Some("the device failed: parent device is lost"));
        let full = reason(|| panic!("out of memory: {} GiB", 3));
        assert_eq!(full.as_deref(), Some("the device failed: out of memory: 3 GiB"));
        assert_eq!(reason(|| Err(Stop::Gone)), None);
        assert_eq!(
            reason(|| Err(Stop::Failed("no adapter".into()))).as_deref(),
            Some("no adapter")
        );
    }

    #[test]
    fn large_reports_wait_for_the_window_one_by_one() {
        let underway = Arc::new(Underway::new(100));
        let large = underway.hold(400);
        assert!(!underway.has_room(*underway.lock(), 1), "only one that is larger than the bound");
        drop(large);
        let (first, second) = (underway.hold(60), underway.hold(40));
        assert!(!underway.has_room(*underway.lock(), 1));
        drop((first, second));
        assert_eq!(*underway.lock(), 0);
        // What nobody takes is no longer on its way once the window is gone.
        let (sender, receiver) = sync_channel(4);
        let held = Batch::held(Vec::new(), underway.hold(60));
        assert!(sender.send(held).is_ok());
        drop(receiver);
        assert_eq!(*underway.lock(), 0);
    }
}
