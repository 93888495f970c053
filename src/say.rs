//! Printing of messages for people: safe for any terminal, and never an error.
//!
//! A reader may exit (`| head`, a closed terminal), and the disk of a log may be full. A run must continue, so a line
//! that cannot be written is dropped; [`lost`] tells whether one was. Names may come from untrusted files, so characters
//! that control a terminal are escaped.

use std::{
    fmt::Write as _,
    io,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

pub(crate) use crate::config::shortened;

/// The largest length of an error message, in characters; the middle of a longer one is left out.
const MAX_ERROR_CHARS: usize = 1200;
/// The number of bytes that a pipe with free space accepts at once without blocking (PIPE_BUF of Linux).
#[cfg(unix)]
const MAX_AT_ONCE: usize = 4096;
/// How long one wait for a full pipe lasts, and the number of waits once the program was asked to stop.
#[cfg(unix)]
const POLL_MILLIS: i32 = 200;
#[cfg(unix)]
const MAX_POLLS: i32 = 5;

/// Whether the program was asked to stop.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

/// Whether nothing is printed, because another rank of the run prints the same.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Why a text could not be written to standard output, the first time.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Why standard output lacks a text, if it does; a reader that has left counts as one that has read enough.
pub(crate) fn lost() -> Option<&'static io::Error> {
    LOST.get()
}

/// Keeps in mind why a text could not be written to standard output.
pub(crate) fn lose(error: io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        let _ = LOST.set(error);
    }
}

/// Sets whether nothing is printed: of the ranks of a run, only one speaks.
pub(crate) fn set_silent(is_silent: bool) {
    IS_SILENT.store(is_silent, Ordering::Relaxed);
}

/// Sets whether the program was asked to stop. If so, a line waits only a moment for a slow reader, because saving is
/// more important.
pub(crate) fn set_stopping(is_stopping: bool) {
    IS_STOPPING.store(is_stopping, Ordering::Relaxed);
}

/// Prints a line on standard output, as `println!` does, but never panics.
macro_rules! say {
    () => { $crate::say::to_stdout(format_args!("\n")) };
    ($($arg:tt)*) => { $crate::say::to_stdout(format_args!("{}\n", format_args!($($arg)*))) };
}

/// Prints a line on standard error, as `eprintln!` does, but never panics.
macro_rules! complain {
    ($($arg:tt)*) => { $crate::say::to_stderr(format_args!("{}\n", format_args!($($arg)*))) };
}

pub(crate) use {complain, say};

/// Writes a text to standard output; text that cannot be written is dropped, see [`lost`].
pub(crate) fn to_stdout(text: std::fmt::Arguments) {
    if IS_SILENT.load(Ordering::Relaxed) {
        return;
    }
    if let Err(error) = write(&mut io::stdout().lock(), &plain(&text.to_string())) {
        lose(error);
    }
}

/// Writes a text to standard error; text that cannot be written is dropped.
pub(crate) fn to_stderr(text: std::fmt::Arguments) {
    if IS_SILENT.load(Ordering::Relaxed) {
        return;
    }
    let _ = write(&mut io::stderr().lock(), &plain(&text.to_string()));
}

#[cfg(unix)]
fn write(out: &mut (impl io::Write + std::os::fd::AsRawFd), text: &str) -> io::Result<()> {
    for part in text.as_bytes().chunks(MAX_AT_ONCE) {
        if !takes_more(out.as_raw_fd()) {
            return Ok(());
        }
        out.write_all(part)?;
    }
    out.flush()
}

#[cfg(not(unix))]
fn write(out: &mut impl io::Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

/// Waits until a write does not block. A write blocks on a full pipe with a slow reader, or on a terminal stopped with
/// Ctrl-S. Once the program was asked to stop, it waits only a moment, because saving is more important.
#[cfg(unix)]
fn takes_more(fd: std::os::fd::RawFd) -> bool {
    let mut asked_to_stop = 0;
    loop {
        let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
        // SAFETY: the pointer is to one entry, which this function owns.
        let num_ready = unsafe { libc::poll(&mut poll, 1, POLL_MILLIS) };
        // If there is an error or the reader is gone, the write reports it.
        if num_ready != 0 {
            return true;
        }
        asked_to_stop += i32::from(IS_STOPPING.load(Ordering::Relaxed));
        if asked_to_stop > MAX_POLLS {
            return false;
        }
    }
}

/// The text with all characters escaped that control a terminal: control characters except tab and line feed, and marks
/// that change the direction of writing.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (c.is_control() && c != '\n' && c != '\t') || turns {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// An error and its causes in one line. A cause that the text before already contains is left out, and so is the middle
/// of a very long line.
pub(crate) fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        let cause = cause.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            let _ = write!(line, ": {cause}");
        }
    }
    shortened(&line, MAX_ERROR_CHARS)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_reason_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read a.bin: {0}")]
        struct Outer(#[source] io::Error);
        let inner = io::Error::other("no such\nfile");
        let error = anyhow::Error::from(Outer(inner));
        assert_eq!(one_line(&error), "cannot read a.bin: no such file");
        let error = Err::<(), _>(error).context("while starting").unwrap_err();
        assert_eq!(one_line(&error), "while starting: cannot read a.bin: no such file");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mred\ttab\nline"), "a\\u{1b}[31mred\ttab\nline");
        assert_eq!(plain("Ω \u{202e}evil"), "Ω \\u{202e}evil");
    }

    #[test]
    fn a_long_value_is_not_echoed_whole() {
        let error = anyhow::anyhow!("unknown key `{}`; did you mean `seed`?", "x".repeat(20_000));
        let line = one_line(&error);
        assert!(line.chars().count() < MAX_ERROR_CHARS + 10);
        assert!(line.starts_with("unknown key `xxx") && line.ends_with("did you mean `seed`?"));
    }
}
