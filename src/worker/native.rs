//! The worker as a thread. All work on the device happens on it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::mpsc::{
        Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel,
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    Command, Event,
    outbox::{Gone, Outbox},
    service::{Stop, attend},
};

/// Batches of reports on their way. A window that does not look makes the worker wait, not the memory grow.
const MAX_UNSEEN: usize = 64;
const THREAD_NAME: &str = "jempp-worker";

/// A running worker, and the two ends of the channels to it.
pub struct Worker {
    /// What it is asked.
    pub commands: Sender<Command>,
    /// What it reports, some at a time.
    pub events: Receiver<Vec<Event>>,
    /// Ends when either of the others is dropped, once a training run is saved: join it before the
    /// process ends.
    pub thread: JoinHandle<()>,
}

/// Starts a worker on a thread of its own. `device` is as in `--device`; `wake` is called after every
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
        let out = Outbox::new(Wire { events: wire, wake: Box::new(wake) });
        if sender.send(events).is_ok() {
            pollster::block_on(serve(&device, &mut Inbox(inbox), &out));
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

/// Serves until the window is gone; after a failure, until it is told to try again.
async fn serve(device: &str, inbox: &mut Inbox, out: &Outbox) {
    loop {
        let work = || pollster::block_on(attend(device, inbox, out));
        let Some(reason) = failure_of(work) else { return };
        if out.say(Event::Failed(reason)).await.is_err() {
            return;
        }
        loop {
            match inbox.next(None).await {
                Ok(Some(Command::Retry)) => break,
                Ok(_) => {}
                Err(Gone) => return,
            }
        }
    }
}

/// Why work stopped, a panic of the device's driver included; `None` if the window is gone.
fn failure_of(work: impl FnOnce() -> Result<(), Stop>) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) | Ok(Err(Stop::Gone)) => None,
        Ok(Err(Stop::Failed(reason))) => Some(reason),
        Err(panic) => Some(format!("the device failed: {}", message_of(panic.as_ref()))),
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

/// Reports to the window.
pub(super) struct Wire {
    events: SyncSender<Vec<Event>>,
    wake: Box<dyn Fn() + Send>,
}

impl Wire {
    pub(super) async fn send(&self, batch: Vec<Event>) -> Result<(), Gone> {
        self.events.send(batch).map_err(|_| Gone)?;
        (self.wake)();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_reason() {
        let lost = failure_of(|| panic!("parent device is lost\nbacktrace"));
        assert_eq!(lost.as_deref(), Some("the device failed: parent device is lost"));
        let size = 3;
        let full = failure_of(|| panic!("out of memory: {size} GiB"));
        assert_eq!(full.as_deref(), Some("the device failed: out of memory: 3 GiB"));
        assert_eq!(failure_of(|| Err(Stop::Gone)), None);
        assert_eq!(
            failure_of(|| Err(Stop::Failed("no adapter".into()))).as_deref(),
            Some("no adapter")
        );
    }
}
