//! The progress of an evaluation and the request to stop it.

use super::EvalError;

/// Reports how many steps of the current part are done, and passes on the request to stop.
pub(super) struct Progress<'a> {
    part: &'static str,
    done: usize,
    total: usize,
    report: &'a mut dyn FnMut(&'static str, usize, usize),
    stop: &'a dyn Fn() -> bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(
        report: &'a mut dyn FnMut(&'static str, usize, usize),
        stop: &'a dyn Fn() -> bool,
    ) -> Self {
        Self { part: "", done: 0, total: 0, report, stop }
    }

    /// Starts a part of `total` steps.
    pub(super) fn begin(&mut self, part: &'static str, total: usize) {
        (self.part, self.done, self.total) = (part, 0, total);
        (self.report)(part, 0, total);
    }

    /// Counts one more step as done and reports it.
    ///
    /// # Errors
    /// [`EvalError::Stopped`] if the evaluation was asked to stop.
    pub(super) fn step(&mut self) -> Result<(), EvalError> {
        self.done += 1;
        (self.report)(self.part, self.done, self.total);
        self.check()
    }

    /// Checks between two pieces of work whether to continue.
    ///
    /// # Errors
    /// [`EvalError::Stopped`] if the evaluation was asked to stop.
    pub(super) fn check(&self) -> Result<(), EvalError> {
        if self.is_stopped() { Err(EvalError::Stopped) } else { Ok(()) }
    }

    /// Whether the evaluation was asked to stop.
    pub(super) fn is_stopped(&self) -> bool {
        (self.stop)()
    }
}
