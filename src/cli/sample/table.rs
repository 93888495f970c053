//! A table that grows on disk while a job runs, by whole lines.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::results_folder::ResultsError;

/// Rows wait in memory until they are so many bytes, or so old.
const MOST_WAITING: usize = 1 << 16;
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A CSV file whose lines are written as they come.
pub(super) struct Table {
    file: File,
    path: PathBuf,
    waiting: String,
    /// Bytes of whole lines in the file.
    written: u64,
    last_write: Instant,
}

impl Table {
    /// A new file with its first line.
    ///
    /// # Errors
    /// It is there already, or cannot be written.
    pub(super) fn new(path: PathBuf, head: &str) -> Result<Self, ResultsError> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(ResultsError::io(&path))?;
        let waiting = format!("{head}\n");
        let mut table = Self { file, path, waiting, written: 0, last_write: Instant::now() };
        table.flush()?;
        Ok(table)
    }

    /// Appends to the last row.
    pub(super) fn add(&mut self, text: fmt::Arguments) {
        // A text in memory takes whatever comes.
        let _ = fmt::Write::write_fmt(&mut self.waiting, text);
    }

    /// Ends the last row.
    pub(super) fn end_row(&mut self) {
        self.waiting.push('\n');
    }

    /// Writes what is waiting, if it is time.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn keep(&mut self) -> Result<(), ResultsError> {
        match self.waiting.len() >= MOST_WAITING || self.last_write.elapsed() >= LONGEST_WAIT {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes all rows, which must be whole.
    ///
    /// # Errors
    /// They cannot be written; then none of them is in the file.
    pub(super) fn flush(&mut self) -> Result<(), ResultsError> {
        if let Err(error) = self.file.write_all(self.waiting.as_bytes()) {
            // Where the disk is full, half a line must not stay.
            let _ = self.file.set_len(self.written);
            return Err(ResultsError::io(&self.path)(error));
        }
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        self.last_write = Instant::now();
        Ok(())
    }

    /// Writes all rows and makes them last.
    ///
    /// # Errors
    /// They cannot be written.
    pub(super) fn finish(mut self) -> Result<PathBuf, ResultsError> {
        self.flush()?;
        self.file.sync_all().map_err(ResultsError::io(&self.path))?;
        Ok(self.path)
    }
}
