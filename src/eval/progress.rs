//! How far an evaluation is, and whether it is to stop.

use super::EvalError;

/// How far the evaluation is: a part, and how many of how many steps of it are done; and whether it is to stop.
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

    /// A part begins, which takes `total` steps.
    pub(super) fn begin(&mut self, part: &'static str, total: usize) {
        (self.part, self.done, self.total) = (part, 0, total);
        (self.report)(part, 0, total);
    }

    /// One more step is done.
    ///
    /// # Errors
    /// The evaluation is to stop.
    pub(super) fn step(&mut self) -> Result<(), EvalError> {
        self.done += 1;
        (self.report)(self.part, self.done, self.total);
        self.check()
    }

    /// Looks between two pieces of work whether to go on.
    ///
    /// # Errors
    /// The evaluation is to stop.
    pub(super) fn check(&self) -> Result<(), EvalError> {
        if self.is_stopped() { Err(EvalError::Stopped) } else { Ok(()) }
    }

    /// Whether the evaluation is to stop.
    pub(super) fn is_stopped(&self) -> bool {
        (self.stop)()
    }
}
