//! What the program says to a person: lines that are safe on a terminal, and that may go nowhere.
//!
//! A reader may leave (`| head`, a closed terminal), and a log's disk may be full. A run must outlive
//! that, so a line that cannot be written is dropped. Names come from files of strangers: characters that
//! would steer a terminal are shown as escapes.

use std::{fmt::Write as _, io::Write as _};

pub use crate::config::shortened;

/// Longest message of an error, in characters; the middle of a longer one is left out.
const MAX_ERROR_CHARS: usize = 1200;

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

/// Writes to standard output; what cannot be written is dropped.
pub fn to_stdout(text: std::fmt::Arguments) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(plain(&text.to_string()).as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error; what cannot be written is dropped.
pub fn to_stderr(text: std::fmt::Arguments) {
    let _ = std::io::stderr().lock().write_all(plain(&text.to_string()).as_bytes());
}

/// The text with every character escaped that would steer a terminal: control characters but for tab and
/// line feed, and marks that turn the direction of writing.
pub fn plain(text: &str) -> String {
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

/// An error and its causes in one line. A cause that the text before it tells already is left out, and so is
/// the middle of a very long line.
pub fn one_line(error: &anyhow::Error) -> String {
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
        struct Outer(#[source] std::io::Error);
        let inner = std::io::Error::other("no such\nfile");
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
