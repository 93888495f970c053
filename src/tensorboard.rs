//! Event files of TensorBoard: what a training run measures, and its sample grids, for those who watch many programs in one
//! place. `tensorboard --logdir runs` finds them in the folders of runs.
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

use prost::{Message, Oneof};

use crate::training::TrainingEvent;

/// The longest time that events wait before they are in the file.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);
/// The status of a session that starts.
const START: i32 = 1;
/// The size limit of a sample grid, in bytes.
const MAX_IMAGE_BYTES: u64 = 32 << 20;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    Session(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(oneof = "Content", tags = "2, 4")]
    content: Option<Content>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(Image),
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// The number of colours.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    png: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
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
        events.add(0, What::FileVersion("brain.Event:2".into()))?;
        if step > 0 {
            events.add(step + 1, What::Session(SessionLog { status: START }))?;
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
                let terms = report.terms.named();
                let numbers = terms.into_iter().chain([
                    ("loss", report.loss),
                    ("gap", report.gap),
                    ("gradient_norm", report.gradient_norm),
                    ("clamp_rate", report.clamp_rate),
                    ("saturation", report.saturation),
                    ("learning_rate", report.learning_rate),
                ]);
                let scalars = numbers.map(|(name, value)| scalar(&format!("train/{name}"), value));
                self.add(report.step, What::Summary(Summary { values: scalars.collect() }))?;
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
                self.add(*step, What::Summary(Summary { values }))?;
                self.file.flush()?;
            }
            TrainingEvent::Recovered { recovery, .. } => {
                self.add(recovery.step + 1, What::Session(SessionLog { status: START }))?;
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
        let event = Event { wall_time: now(), step: step as i64, what: Some(what) };
        self.file.write_all(&record(&event.encode_to_vec()))
    }
}

/// The seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn scalar(tag: &str, value: f64) -> Value {
    Value { tag: tag.into(), content: Some(Content::Scalar(value as f32)) }
}

/// A sample grid, if its file can be read.
fn picture(path: &Path) -> Option<Value> {
    let png = crate::files::read_at_most(path, MAX_IMAGE_BYTES).ok()?;
    let (width, height) = image::image_dimensions(path).ok()?;
    let image = Image { height: height as i32, width: width as i32, colorspace: 3, png };
    Some(Value { tag: "samples".into(), content: Some(Content::Image(image)) })
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
        let expected = ((crc >> 15) | (crc << 17)).wrapping_add(0xa282_ead8);
        assert_eq!(bytes[21..], expected.to_le_bytes());
    }

    #[test]
    fn a_resumed_run_tells_which_steps_are_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = EventFile::create(dir.path(), 7).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        let mut events = Vec::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            events.push(Event::decode(&rest[12..12 + length]).unwrap());
            rest = &rest[16 + length..];
        }
        assert_eq!(events[0].what, Some(What::FileVersion("brain.Event:2".into())));
        assert_eq!((events[1].step, events.len()), (8, 2));
        assert_eq!(events[1].what, Some(What::Session(SessionLog { status: START })));
        // A second file never replaces the first.
        assert_ne!(EventFile::create(dir.path(), 0).unwrap().path(), file.path());
    }
}
