//! The progress display of a job that counts its steps.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar};

use super::progress::style;
use crate::say::say;

/// The time between two lines without a terminal.
const PAUSE: Duration = Duration::from_secs(30);

/// A progress bar on a terminal; otherwise a line for every part of the job, and one every half minute.
pub(super) struct Steps {
    bar: ProgressBar,
    part: &'static str,
    begin: Instant,
    last_line: Instant,
}

impl Steps {
    pub(super) fn new() -> Self {
        let template = "{msg:12} [{bar:30}] {pos}/{len} {eta} left";
        let bar = ProgressBar::new(0).with_style(style(template));
        let now = Instant::now();
        Self { bar, part: "", begin: now, last_line: now }
    }

    /// Shows that `done` of `total` steps of a part are done.
    pub(super) fn show(&mut self, part: &'static str, done: usize, total: usize) {
        let is_hidden = self.bar.is_hidden();
        if part != self.part {
            let now = Instant::now();
            (self.part, self.begin, self.last_line) = (part, now, now);
            self.bar.reset();
            self.bar.set_message(part);
            match total {
                _ if !is_hidden => {}
                0 | 1 => say!("{part}"),
                _ => say!("{part}: {total} steps"),
            }
        }
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        if is_hidden && self.last_line.elapsed() >= PAUSE {
            self.last_line = Instant::now();
            let share = total.saturating_sub(done) as f64 / done.max(1) as f64;
            let left = HumanDuration(self.begin.elapsed().mul_f64(share));
            say!("{part}: {done} of {total} steps, {left} left");
        }
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
