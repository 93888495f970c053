//! Reports on their way to the window.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use web_time::Instant;

use super::{
    Event,
    platform::{ReportSender, Reserved},
};

/// Steps that follow each other faster than this travel together, or a window that draws five times a
/// second would hold up a worker that does thousands of steps.
const BATCH_INTERVAL: Duration = Duration::from_millis(4);
/// Reports in a batch, at most.
const MAX_BATCH: usize = 32;

/// Reports that travel together. On their way they count against what the worker may send ahead.
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
    /// When the last batch went.
    last: Cell<Instant>,
}

/// The window is gone.
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

    /// Sends what has waited.
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
