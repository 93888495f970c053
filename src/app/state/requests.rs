//! The queue of commands to send to the worker at the end of a frame.

use std::sync::mpsc::Sender;

use crate::worker::Command;

/// The sending end of the command queue, which every part of the state holds. Commands keep the order in which
/// they were sent.
#[derive(Clone, Debug)]
pub(in crate::app) struct Requests(Sender<Command>);

impl Requests {
    /// Creates the sending end for this channel.
    pub(in crate::app) fn new(sender: Sender<Command>) -> Self {
        Self(sender)
    }

    /// Adds a command for the worker.
    pub(super) fn send(&self, command: Command) {
        // The receiver belongs to the same `Viewer`, so it exists as long as any sender is used.
        let _ = self.0.send(command);
    }
}
