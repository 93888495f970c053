//! Reports on their way to the window.

use std::{
    cell::{Cell, RefCell},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use super::Event;

/// Batches of reports on their way. A window that does not look makes the worker wait, not the memory grow.
const MAX_UNSEEN: usize = 64;
/// Steps that follow each other faster than this travel together, or a window that draws five times a
/// second would hold up a worker that does thousands of steps.
const BATCH_INTERVAL: Duration = Duration::from_millis(4);
/// Reports in a batch, at most.
const MAX_BATCH: usize = 32;
pub(super) struct Outbox {
    events: SyncSender<Vec<Event>>,
    wake: Box<dyn Fn() + Send>,
    batch: RefCell<Vec<Event>>,
    /// When the last batch went.
    last: Cell<Instant>,
}

/// The window is gone.
pub(super) struct Gone;

impl Outbox {
    /// An outbox and where its batches arrive; `wake` is called after each.
    pub(super) fn new(wake: impl Fn() + Send + 'static) -> (Self, Receiver<Vec<Event>>) {
        let (sender, events) = sync_channel(MAX_UNSEEN);
        let last = Cell::new(Instant::now());
        (Self { events: sender, wake: Box::new(wake), batch: RefCell::default(), last }, events)
    }

    pub(super) fn say(&self, event: Event) -> Result<(), Gone> {
        let may_wait =
            matches!(event, Event::Step(_)) && self.last.get().elapsed() < BATCH_INTERVAL;
        let count = {
            let mut batch = self.batch.borrow_mut();
            batch.push(event);
            batch.len()
        };
        if may_wait && count < MAX_BATCH { Ok(()) } else { self.flush() }
    }

    /// Sends what has waited.
    pub(super) fn flush(&self) -> Result<(), Gone> {
        let batch = self.batch.take();
        if batch.is_empty() {
            return Ok(());
        }
        self.events.send(batch).map_err(|_| Gone)?;
        self.last.set(Instant::now());
        (self.wake)();
        Ok(())
    }
}
