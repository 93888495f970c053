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
    outbox::{Outbox, WindowGone},
    service::{Stop, serve_window},
};

/// Batches of reports on their way. A window that does not look makes the worker wait, not the memory grow.
const MAX_PENDING_BATCHES: usize = 64;
/// Bytes of them. One batch may always go, whatever its size.
const MAX_PENDING_BYTES: usize = 64 << 20;
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
    silence_worker_panics();
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name(THREAD_NAME.into()).spawn(move || {
        let (sender_of_events, events) = sync_channel(MAX_PENDING_BATCHES);
        let budget = Arc::new(SendBudget::new(MAX_PENDING_BYTES));
        let out =
            Outbox::new(ReportSender { events: sender_of_events, budget, wake: Box::new(wake) });
        match sender.send(events) {
            Ok(()) => pollster::block_on(serve(&device, &mut Inbox(inbox), &out)),
            Err(_) => Ok(()),
        }
    })?;
    let events = receiver.recv().map_err(std::io::Error::other)?;
    Ok(Worker { commands, events, thread })
}

/// Keeps panics of the worker off the terminal: they become a banner in the window.
fn silence_worker_panics() {
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
        match stop_reason(|| pollster::block_on(serve_window(device, inbox, out))) {
            Stop::WindowGone => return Ok(()),
            Stop::Unsaved(reason) => return Err(reason),
            Stop::Failed(reason) => {
                out.send(Event::Failed(reason.clone())).await.map_err(|_| reason)?;
            }
        }
        loop {
            match inbox.next(None).await {
                Ok(Some(Command::Retry)) => break,
                Ok(_) => {}
                Err(WindowGone) => return Ok(()),
            }
        }
    }
}

/// Why work stopped, a panic of the device's driver included.
fn stop_reason(work: impl FnOnce() -> Result<(), Stop>) -> Stop {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => Stop::WindowGone,
        Ok(Err(stop)) => stop,
        Err(panic) => Stop::Failed(format!("the device failed: {}", panic_text(panic.as_ref()))),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
    // What follows the first line is for programmers.
    text.lines().next().unwrap_or(text).to_string()
}

/// Commands from the window. Waiting blocks the thread, which has nothing else to do.
pub(super) struct Inbox(Receiver<Command>);

impl Inbox {
    /// A command that is here already.
    pub(super) async fn try_next(&mut self) -> Result<Option<Command>, WindowGone> {
        match self.0.try_recv() {
            Ok(command) => Ok(Some(command)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(WindowGone),
        }
    }

    /// The next command, or `None` after so long.
    pub(super) async fn next(
        &mut self,
        wait: Option<Duration>,
    ) -> Result<Option<Command>, WindowGone> {
        let Some(wait) = wait else { return self.0.recv().map(Some).map_err(|_| WindowGone) };
        match self.0.recv_timeout(wait) {
            Ok(command) => Ok(Some(command)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(WindowGone),
        }
    }
}

/// What is said of a file that was written.
pub(super) fn saved(path: PathBuf) -> Event {
    Event::Saved(path)
}

/// Bytes of reports that the window has not taken yet.
struct SendBudget {
    most: usize,
    bytes: Mutex<usize>,
    freed: Condvar,
}

impl SendBudget {
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
    fn reserve(self: &Arc<Self>, bytes: usize) -> Reserved {
        let mut taken = self.lock();
        while !self.has_room(*taken, bytes) {
            taken = self.freed.wait(taken).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *taken += bytes;
        Reserved { budget: self.clone(), bytes }
    }
}

/// The bytes of one batch, until it is taken or the window is gone.
pub(super) struct Reserved {
    budget: Arc<SendBudget>,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        *self.budget.lock() -= self.bytes;
        self.budget.freed.notify_one();
    }
}

/// Reports to the window.
pub(super) struct ReportSender {
    events: SyncSender<Batch>,
    budget: Arc<SendBudget>,
    wake: Box<dyn Fn() + Send>,
}

impl ReportSender {
    pub(super) async fn send(&self, events: Vec<Event>) -> Result<(), WindowGone> {
        let reserved = self.budget.reserve(events.iter().map(Event::num_bytes).sum());
        self.events.send(Batch::reserved(events, reserved)).map_err(|_| WindowGone)?;
        (self.wake)();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_reason() {
        let reason = |work: fn() -> Result<(), Stop>| match stop_reason(work) {
            Stop::Failed(reason) => Some(reason),
            _ => None,
        };
        let lost = reason(|| panic!("parent device is lost\nbacktrace"));
        assert_eq!(lost.as_deref(), Some("the device failed: parent device is lost"));
        let full = reason(|| panic!("out of memory: {} GiB", 3));
        assert_eq!(full.as_deref(), Some("the device failed: out of memory: 3 GiB"));
        assert_eq!(reason(|| Err(Stop::WindowGone)), None);
        assert_eq!(
            reason(|| Err(Stop::Failed("no adapter".into()))).as_deref(),
            Some("no adapter")
        );
    }

    #[test]
    fn large_reports_wait_for_the_window_one_by_one() {
        let budget = Arc::new(SendBudget::new(100));
        let large = budget.reserve(400);
        assert!(!budget.has_room(*budget.lock(), 1), "only one that is larger than the bound");
        drop(large);
        let (first, second) = (budget.reserve(60), budget.reserve(40));
        assert!(!budget.has_room(*budget.lock(), 1));
        drop((first, second));
        assert_eq!(*budget.lock(), 0);
        // What nobody takes is no longer on its way once the window is gone.
        let (sender, receiver) = sync_channel(4);
        let batch = Batch::reserved(Vec::new(), budget.reserve(60));
        assert!(sender.send(batch).is_ok());
        drop(receiver);
        assert_eq!(*budget.lock(), 0);
    }
}
