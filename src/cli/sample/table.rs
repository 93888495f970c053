//! A CSV table that is written to disk while a job runs, in whole lines.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::results_folder::ResultsError;

/// Rows are buffered in memory up to this number of bytes, or for this time.
const MOST_WAITING: usize = 1 << 16;
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A CSV file that is written during a job.
pub(super) struct Table {
    file: File,
    path: PathBuf,
    waiting: String,
    /// The number of bytes in the file, all in whole lines.
    written: u64,
    last_write: Instant,
}

impl Table {
    /// Creates the file with its header line.
    ///
    /// # Errors
    /// The file exists already, or cannot be written.
    pub(super) fn new(path: PathBuf, head: &str) -> Result<Self, ResultsError> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(ResultsError::io(&path))?;
        let waiting = format!("{head}\n");
        let mut table = Self { file, path, waiting, written: 0, last_write: Instant::now() };
        table.flush()?;
        Ok(table)
    }

    /// Appends a text to the current row.
    pub(super) fn add(&mut self, text: fmt::Arguments) {
        // Writing to a string in memory cannot fail.
        let _ = fmt::Write::write_fmt(&mut self.waiting, text);
    }

    /// Ends the current row.
    pub(super) fn end_row(&mut self) {
        self.waiting.push('\n');
    }

    /// Writes the buffered rows, if they are large or old enough.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn keep(&mut self) -> Result<(), ResultsError> {
        match self.waiting.len() >= MOST_WAITING || self.last_write.elapsed() >= LONGEST_WAIT {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes all buffered rows, which must be complete.
    ///
    /// # Errors
    /// The rows cannot be written; the file then contains none of them.
    pub(super) fn flush(&mut self) -> Result<(), ResultsError> {
        if let Err(error) = self.file.write_all(self.waiting.as_bytes()) {
            // If the disk is full, no half line may stay in the file.
            let _ = self.file.set_len(self.written);
            return Err(ResultsError::io(&self.path)(error));
        }
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        self.last_write = Instant::now();
        Ok(())
    }

    /// Writes all buffered rows and flushes the file to the disk.
    ///
    /// # Errors
    /// The rows cannot be written.
    pub(super) fn finish(mut self) -> Result<PathBuf, ResultsError> {
        self.flush()?;
        self.file.sync_all().map_err(ResultsError::io(&self.path))?;
        Ok(self.path)
    }
}
