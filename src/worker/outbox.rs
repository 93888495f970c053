//! The queue of events to the window, which sends them in batches.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use web_time::Instant;

use super::{
    Event,
    platform::{ReportSender, Reserved},
};

/// Events within this time are sent in one batch. Otherwise a window that draws five times per second would slow down a
/// worker that does thousands of steps.
const BATCH_INTERVAL: Duration = Duration::from_millis(4);
/// The largest number of events in a batch.
const MAX_BATCH: usize = 32;

/// Events that are sent together. Until the window takes them, their bytes count against the limit of the worker.
pub struct Batch {
    events: Vec<Event>,
    _reserved: Option<Reserved>,
}

impl Batch {
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn reserved(events: Vec<Event>, reserved: Reserved) -> Self {
        Self { events, _reserved: Some(reserved) }
    }
}

impl From<Vec<Event>> for Batch {
    fn from(events: Vec<Event>) -> Self {
        Self { events, _reserved: None }
    }
}

impl IntoIterator for Batch {
    type Item = Event;
    type IntoIter = std::vec::IntoIter<Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

pub(super) struct Outbox {
    sender: ReportSender,
    batch: RefCell<Vec<Event>>,
    /// The time at which the last batch was sent.
    last: Cell<Instant>,
}

/// The error when the window is closed.
pub(super) struct WindowGone;

impl Outbox {
    pub(super) fn new(sender: ReportSender) -> Self {
        Self { sender, batch: RefCell::default(), last: Cell::new(Instant::now()) }
    }

    pub(super) async fn send(&self, event: Event) -> Result<(), WindowGone> {
        let may_wait =
            matches!(event, Event::Step(_)) && self.last.get().elapsed() < BATCH_INTERVAL;
        let count = {
            let mut batch = self.batch.borrow_mut();
            batch.push(event);
            batch.len()
        };
        if may_wait && count < MAX_BATCH { Ok(()) } else { self.flush().await }
    }

    /// Sends an event once it is there. In a browser, where it waits for the server, the worker does other things meanwhile.
    pub(super) async fn send_later(
        &self,
        event: impl Future<Output = Event> + 'static,
    ) -> Result<(), WindowGone> {
        #[cfg(target_arch = "wasm32")]
        {
            self.sender.send_later(event);
            Ok(())
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            self.send(event.await).await
        }
    }

    /// Sends the events that are waiting.
    pub(super) async fn flush(&self) -> Result<(), WindowGone> {
        let batch = self.batch.take();
        if batch.is_empty() {
            return Ok(());
        }
        self.sender.send(batch).await?;
        self.last.set(Instant::now());
        Ok(())
    }
}
