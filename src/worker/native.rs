//! The worker as a thread, which does all work on the device.

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

/// The largest number of batches of events in the channel. If the window does not take them, the worker waits, so that
/// memory does not grow.
const MAX_PENDING_BATCHES: usize = 64;
/// The largest number of bytes of these batches. One batch is always allowed, whatever its size.
const MAX_PENDING_BYTES: usize = 64 << 20;
const THREAD_NAME: &str = "jempp-worker";

/// A running worker thread, with the ends of its two channels.
pub struct Worker {
    /// The channel for commands to the worker.
    pub commands: Sender<Command>,
    /// The channel for events from the worker, in batches.
    pub events: Receiver<Batch>,
    /// The thread. It ends when one of the channels is dropped, after a training run is saved: join it before the
    /// process ends. Its error says why something could not be saved.
    pub thread: JoinHandle<Result<(), String>>,
}

/// Starts a worker on a new thread. `device` is a name for [`crate::device::open`]; `wake` is called after every batch
/// of events.
///
/// # Errors
/// The operating system cannot create a thread.
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

/// Does not print panics of the worker thread on the terminal, because the window shows them.
fn silence_worker_panics() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some(THREAD_NAME) {
            others(info);
        }
    }));
}

/// Serves the window until it is closed. After a failure, waits for the command to retry. The error is a failure that
/// happened after the window was closed.
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

/// Runs `work` and returns why it stopped; a panic, for example of the driver, counts as a failure.
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
    // Only the first line is for users.
    text.lines().next().unwrap_or(text).to_string()
}

/// The receiver of commands from the window. Waiting blocks the thread.
pub(super) struct Inbox(Receiver<Command>);

impl Inbox {
    /// The next command, if one has arrived.
    pub(super) async fn try_next(&mut self) -> Result<Option<Command>, WindowGone> {
        match self.0.try_recv() {
            Ok(command) => Ok(Some(command)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(WindowGone),
        }
    }

    /// Waits for the next command; `None` after the time `wait`.
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

/// The event for a file that was written.
pub(super) fn saved(path: PathBuf) -> Event {
    Event::Saved(path)
}

/// A limit on the bytes of events that the window has not taken yet.
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

    /// Whether `bytes` more bytes fit into the limit.
    fn has_room(&self, taken: usize, bytes: usize) -> bool {
        taken == 0 || taken.saturating_add(bytes) <= self.most
    }

    /// Waits until `bytes` more bytes fit into the limit, and reserves them.
    fn reserve(self: &Arc<Self>, bytes: usize) -> Reserved {
        let mut taken = self.lock();
        while !self.has_room(*taken, bytes) {
            taken = self.freed.wait(taken).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        *taken += bytes;
        Reserved { budget: self.clone(), bytes }
    }
}

/// The reserved bytes of one batch, until the window takes or drops it.
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

/// The sender of events to the window.
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
        // Batches that nobody takes are released when the window is closed.
        let (sender, receiver) = sync_channel(4);
        let batch = Batch::reserved(Vec::new(), budget.reserve(60));
        assert!(sender.send(batch).is_ok());
        drop(receiver);
        assert_eq!(*budget.lock(), 0);
    }
}
