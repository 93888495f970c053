//! What the worker is to be asked at the end of a frame.

use std::sync::mpsc::Sender;

use crate::worker::Command;

/// The way to the worker, which every part of the state has. Commands go out in the order in which they were asked
/// for.
#[derive(Clone, Debug)]
pub(in crate::app) struct Requests(Sender<Command>);

impl Requests {
    /// Requests that end in this channel.
    pub(in crate::app) fn new(sender: Sender<Command>) -> Self {
        Self(sender)
    }

    /// Asks the worker for something.
    pub(super) fn send(&self, command: Command) {
        // The receiver is part of the same `Viewer`: it is gone only when nobody asks any more.
        let _ = self.0.send(command);
    }
}
