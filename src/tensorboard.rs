//! Event files of TensorBoard: what a training run measures, and its sample grids, for those who watch many programs in one
//! place. TensorBoard finds them in the folders of runs.
//!
//! # Source
//! The records of TFRecord files, and `event.proto` and `summary.proto` of TensorFlow, of which only the used fields stand
//! here.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use prost::encoding::{bytes, double, float, int32, int64, string};

use crate::training::TrainingEvent;

/// The longest time that events wait before they are in the file.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);
/// The status of a session that starts.
const START: i32 = 1;
/// The size limit of a sample grid, in bytes.
const MAX_IMAGE_BYTES: u64 = 32 << 20;

/// What an event holds.
enum What {
    FileVersion,
    /// Encoded values, [`scalar`] or [`picture`].
    Summary(Vec<Vec<u8>>),
    /// Steps from this event on are done again.
    Restart,
}

/// The fields of a message that are messages themselves are encoded like bytes.
fn nested(tag: u32, message: &Vec<u8>, into: &mut Vec<u8>) {
    bytes::encode(tag, message, into);
}

/// The message `Event`.
fn event(wall_time: f64, step: u64, what: &What) -> Vec<u8> {
    let mut message = Vec::new();
    double::encode(1, &wall_time, &mut message);
    int64::encode(2, &(step as i64), &mut message);
    match what {
        What::FileVersion => string::encode(3, &"brain.Event:2".to_string(), &mut message),
        What::Summary(values) => {
            let mut summary = Vec::new();
            values.iter().for_each(|value| nested(1, value, &mut summary));
            nested(5, &summary, &mut message);
        }
        What::Restart => {
            let mut session = Vec::new();
            int32::encode(1, &START, &mut session);
            nested(7, &session, &mut message);
        }
    }
    message
}

/// An event file that a training run adds to.
#[derive(Debug)]
pub(crate) struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
    last_flush: Instant,
}

impl EventFile {
    /// Creates a new event file in the folder of a run that goes on after `step` steps. TensorBoard drops what earlier files
    /// hold of later steps, since those are done again.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn create(folder: &Path, step: u64) -> io::Result<Self> {
        let secs = now() as u64;
        let name = |number: u32| {
            folder.join(format!("events.out.tfevents.{secs}.jempp.{}.{number}", std::process::id()))
        };
        let path = (0..).map(name).find(|path| !path.exists());
        let path = path.unwrap_or_else(|| name(0));
        let file = fs::File::create_new(&path)?;
        let mut events = Self { path, file: BufWriter::new(file), last_flush: Instant::now() };
        events.add(0, What::FileVersion)?;
        if step > 0 {
            events.add(step + 1, What::Restart)?;
        }
        events.file.flush()?;
        Ok(events)
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds what an event of a training run measured.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn take(&mut self, event: &TrainingEvent) -> io::Result<()> {
        match event {
            TrainingEvent::Step(report) => {
                let scalars =
                    report.named().map(|(name, value)| scalar(&format!("train/{name}"), value));
                self.add(report.step, What::Summary(scalars.collect()))?;
            }
            TrainingEvent::Evaluated { step, test, validation, grid, .. } => {
                let mut values = Vec::new();
                for (set, found) in [("test", test), ("validation", validation)] {
                    let Some(found) = found else { continue };
                    for (name, value) in [
                        ("accuracy", found.accuracy),
                        ("calibration_error", found.calibration_error),
                        ("energy", found.mean_energy),
                    ] {
                        values.push(scalar(&format!("{set}/{name}"), value));
                    }
                }
                values.extend(grid.as_deref().and_then(picture));
                self.add(*step, What::Summary(values))?;
                self.file.flush()?;
            }
            TrainingEvent::Recovered { recovery, .. } => {
                self.add(recovery.step + 1, What::Restart)?;
            }
            TrainingEvent::Finished { .. } => self.file.flush()?,
            _ => {}
        }
        if self.last_flush.elapsed() >= FLUSH_INTERVAL {
            self.file.flush()?;
            self.last_flush = Instant::now();
        }
        Ok(())
    }

    fn add(&mut self, step: u64, what: What) -> io::Result<()> {
        self.file.write_all(&record(&event(now(), step, &what)))
    }
}

/// The seconds since 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "events say when they were written; no result depends on it"
)]
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The message `Summary.Value` of a number.
fn scalar(tag: &str, value: f64) -> Vec<u8> {
    let mut message = Vec::new();
    string::encode(1, &tag.to_string(), &mut message);
    float::encode(2, &(value as f32), &mut message);
    message
}

/// The message `Summary.Value` of a sample grid, if its file can be read.
fn picture(path: &Path) -> Option<Vec<u8>> {
    let png = crate::files::read_at_most(path, MAX_IMAGE_BYTES).ok()?;
    let (width, height) = image::image_dimensions(path).ok()?;
    let mut image = Vec::new();
    int32::encode(1, &(height as i32), &mut image);
    int32::encode(2, &(width as i32), &mut image);
    // The number of colours.
    int32::encode(3, &3, &mut image);
    bytes::encode(4, &png, &mut image);
    let mut message = Vec::new();
    string::encode(1, &"samples".to_string(), &mut message);
    nested(4, &image, &mut message);
    Some(message)
}

/// A record of a TFRecord file: the length and the data, each with a checksum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = Vec::with_capacity(data.len() + 16);
    bytes.extend(length);
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked(data).to_le_bytes());
    bytes
}

/// The checksum of TFRecord files: CRC-32C, rotated and shifted, so that a checksum of data with checksums stays good.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_the_checksums_of_tfrecord_files() {
        // CRC-32C of "123456789" is 0xE3069283 (RFC 3720's polynomial).
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
        let bytes = record(b"123456789");
        assert_eq!(bytes.len(), 9 + 16);
        assert_eq!(bytes[..8], 9u64.to_le_bytes());
        let crc = 0xE306_9283u32;
        let expected = crc.rotate_right(15).wrapping_add(0xa282_ead8);
        assert_eq!(bytes[21..], expected.to_le_bytes());
    }

    #[test]
    fn messages_are_those_of_tensorflow() {
        // Made with tensorboard's own Event class: wall_time = 1.5, step = 3, one scalar or a session that starts.
        let loss = event(1.5, 3, &What::Summary(vec![scalar("loss", 0.5)]));
        assert_eq!(
            loss,
            [
                &[9, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F, 16, 3, 42, 13, 10, 11, 10, 4][..],
                b"loss",
                &[21, 0, 0, 0, 0x3F]
            ]
            .concat()
        );
        let restart = event(1.5, 3, &What::Restart);
        assert_eq!(restart[..11], loss[..11]);
        assert_eq!(restart[11..], [58, 2, 8, 1]);
    }

    #[test]
    fn a_resumed_run_tells_which_steps_are_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = EventFile::create(dir.path(), 7).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("brain.Event:2"));
        assert!(bytes.windows(6).any(|some| some == [16, 8, 58, 2, 8, 1]), "step 8, a restart");
        // A second file never replaces the first, and a new run restarts nothing.
        let second = EventFile::create(dir.path(), 0).unwrap();
        assert_ne!(second.path(), file.path());
        let bytes = std::fs::read(second.path()).unwrap();
        assert!(!bytes.windows(4).any(|some| some == [58, 2, 8, 1]));
    }
}
