//! The worker on the event loop of a web worker: between steps, it lets the browser deliver messages.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::{Future, poll_fn},
    path::PathBuf,
    pin::pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use web_time::Instant;

use super::{
    Command, Event,
    outbox::{Outbox, WindowGone},
    service::{Stop, serve_window},
};
use crate::{browser, files};

/// The largest number of batches of events that the page has not seen. If the page is slow, the worker waits, so that
/// memory does not grow.
const MAX_PENDING_BATCHES: usize = 8;
/// The largest time that messages wait while steps are computed.
const MAX_MESSAGE_WAIT: Duration = Duration::from_millis(4);

/// The entry point for commands and acknowledgements from the page.
#[derive(Clone, Default)]
pub struct Port(Rc<RefCell<Queue>>);

#[derive(Default)]
struct Queue {
    commands: VecDeque<Command>,
    num_pending: usize,
    waker: Option<Waker>,
}

impl Port {
    /// Adds a command from the page.
    pub fn command(&self, command: Command) {
        self.0.borrow_mut().commands.push_back(command);
        self.wake();
    }

    /// Records that the page has seen `count` batches of events.
    pub fn seen(&self, count: usize) {
        let mut queue = self.0.borrow_mut();
        queue.num_pending = queue.num_pending.saturating_sub(count);
        drop(queue);
        self.wake();
    }

    fn wake(&self) {
        // Release the queue before waking, because the woken task may use it at once.
        let waker = self.0.borrow_mut().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Waits until `look` finds a value in the queue.
    async fn wait_for<T>(&self, mut look: impl FnMut(&mut Queue) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut queue = self.0.borrow_mut();
            match look(&mut queue) {
                Some(found) => Poll::Ready(found),
                None => {
                    queue.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// Serves the page until it is closed. `device` is a name for [`crate::device::open`]; `report` sends events to the
/// page. After a failure, the page starts another web worker.
pub fn serve(device: String, report: impl Fn(Vec<Event>) + 'static) -> Port {
    let port = Port::default();
    let report: Rc<dyn Fn(Vec<Event>)> = Rc::new(report);
    let loading = report.clone();
    browser::on_progress(move |name, num_bytes| {
        loading(vec![Event::Loading { name: name.to_string(), num_bytes }]);
    });
    let mut inbox = Inbox { port: port.clone(), last_read: Instant::now() };
    let out = Outbox::new(ReportSender { port: port.clone(), report });
    wasm_bindgen_futures::spawn_local(async move {
        if let Err(Stop::Failed(reason)) = serve_window(&device, &mut inbox, &out).await {
            // If the page is closed, nobody needs this event, so ignore the error.
            let _ = out.send(Event::Failed(reason)).await;
        }
    });
    port
}

/// The receiver of commands from the page.
pub(super) struct Inbox {
    port: Port,
    last_read: Instant,
}

impl Inbox {
    /// The next command, if one has arrived.
    pub(super) async fn try_next(&mut self) -> Result<Option<Command>, WindowGone> {
        if self.last_read.elapsed() >= MAX_MESSAGE_WAIT {
            browser::pause(0.0).await;
            self.last_read = Instant::now();
        }
        Ok(self.port.0.borrow_mut().commands.pop_front())
    }

    /// Waits for the next command; `None` after the time `wait`.
    pub(super) async fn next(
        &mut self,
        wait: Option<Duration>,
    ) -> Result<Option<Command>, WindowGone> {
        let mut command = pin!(self.port.wait_for(|queue| queue.commands.pop_front()));
        let Some(wait) = wait else { return Ok(Some(command.await)) };
        let mut timer = pin!(browser::pause(wait.as_secs_f64() * 1e3));
        let found = poll_fn(|context| {
            if let Poll::Ready(command) = command.as_mut().poll(context) {
                return Poll::Ready(Some(command));
            }
            timer.as_mut().poll(context).map(|()| None)
        });
        Ok(found.await)
    }
}

/// Nothing is reserved here, because the page counts the batches that it has seen.
pub(super) type Reserved = ();

/// The sender of events to the page.
pub(super) struct ReportSender {
    port: Port,
    report: Rc<dyn Fn(Vec<Event>)>,
}

impl ReportSender {
    pub(super) async fn send(&self, batch: Vec<Event>) -> Result<(), WindowGone> {
        (self.report)(batch);
        self.port.0.borrow_mut().num_pending += 1;
        self.port.wait_for(|queue| (queue.num_pending < MAX_PENDING_BATCHES).then_some(())).await;
        Ok(())
    }

    /// Sends an event once it is there. Nothing waits for it, and the page need not have seen what came before.
    pub(super) fn send_later(&self, event: impl Future<Output = Event> + 'static) {
        let report = self.report.clone();
        wasm_bindgen_futures::spawn_local(async move { report(vec![event.await]) });
    }
}

/// The event for a file that was written: here it contains the file, for the user to download.
pub(super) fn saved(path: PathBuf) -> Event {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Event::File { name, bytes: files::take(&path).unwrap_or_default() }
}
