//! Computing while other threads of Python run: without the interpreter's lock, with an ear for Ctrl-C, and so that no
//! panic leaves the library.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use pyo3::{PyTypeInfo, prelude::*};

use crate::errors::{Error, exception};

/// How often a long computation asks whether Ctrl-C was pressed.
const PATIENCE: Duration = Duration::from_millis(50);

/// Computes without the interpreter's lock.
///
/// # Errors
/// The library's error; a panic of it; this process is the fork of one that computed.
pub(crate) fn compute<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, jempp::Error> + Send,
) -> PyResult<T> {
    compute_or::<T, Error>(py, work)
}

/// As [`compute`], with another exception for an error of which no exception speaks.
pub(crate) fn compute_or<T: Send, Other: PyTypeInfo>(
    py: Python<'_>,
    work: impl FnOnce() -> Result<T, jempp::Error> + Send,
) -> PyResult<T> {
    check_process()?;
    match py.detach(|| catch_unwind(AssertUnwindSafe(work))) {
        Ok(result) => result.map_err(exception::<Other>),
        Err(panic) => Err(Error::new_err(format!(
            "a defect of jempp, which would like to hear of it: {}",
            message(&*panic)
        ))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

/// Checks that this process has the threads that compute: a fork has none of those of its parent, and would wait for them
/// without end.
fn check_process() -> PyResult<()> {
    /// The process that computed first.
    static FIRST: AtomicU32 = AtomicU32::new(0);
    let this = process::id();
    match FIRST.compare_exchange(0, this, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if first != this => Err(Error::new_err(
            "this process was forked from one that used jempp, and lacks its threads: start processes with \
             multiprocessing.get_context(\"spawn\"), or load models only after the fork",
        )),
        _ => Ok(()),
    }
}

/// Asks from time to time whether Ctrl-C was pressed, and keeps what Python raises then.
pub(crate) struct Interrupt {
    asked: Instant,
    raised: Option<PyErr>,
}

impl Interrupt {
    pub(crate) fn new() -> Self {
        Self { asked: Instant::now(), raised: None }
    }

    /// Whether to stop. Call it between the pieces of a computation, without the interpreter's lock.
    pub(crate) fn is_wanted(&mut self) -> bool {
        if self.raised.is_none() && self.asked.elapsed() > PATIENCE {
            self.raised = Python::attach(|py| py.check_signals()).err();
            self.asked = Instant::now();
        }
        self.raised.is_some()
    }

    /// Raises what was kept.
    ///
    /// # Errors
    /// `KeyboardInterrupt`, or what the program's own handler of a signal raised.
    pub(crate) fn raise(self) -> PyResult<()> {
        self.raised.map_or(Ok(()), Err)
    }
}
