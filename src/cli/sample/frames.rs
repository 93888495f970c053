//! The images of a part of the chains at every frame of the animation, as they are: only the merge knows the whole
//! pictures.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, Read, Write},
    path::PathBuf,
};

use crate::{
    files,
    results_folder::{FRAMES_FILE, PartFolder, PartsError, ResultsError, ResultsFolder},
};

/// Writes the images of every frame to [`FRAMES_FILE`], 4 bytes for each value.
pub(super) struct Frames {
    file: File,
    path: PathBuf,
    /// The number of frames so far.
    count: usize,
}

impl Frames {
    /// Creates the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn new(folder: &ResultsFolder) -> Result<Self, ResultsError> {
        let path = folder.file(FRAMES_FILE);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        Ok(Self { file: file.map_err(ResultsError::io(&path))?, path, count: 0 })
    }

    /// Adds the images of a frame.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn push(&mut self, values: &[f32]) -> Result<(), ResultsError> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.file.write_all(&bytes).map_err(ResultsError::io(&self.path))?;
        self.count += 1;
        Ok(())
    }

    /// Writes everything to the disk; returns the number of frames.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn finish(self) -> Result<usize, ResultsError> {
        self.file.sync_all().map_err(ResultsError::io(&self.path))?;
        Ok(self.count)
    }
}

/// Reads the frames of a part, one after the other.
pub(super) struct FramesOfPart {
    file: BufReader<File>,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl FramesOfPart {
    /// Opens the frames of a part, each with `num_values` values.
    ///
    /// # Errors
    /// The file cannot be read, or is not as long as `num_frames` frames.
    pub(super) fn open(
        part: &PartFolder,
        num_values: usize,
        num_frames: usize,
    ) -> Result<Self, PartsError> {
        let path = part.file(FRAMES_FILE);
        let (file, len) = files::open(&path).map_err(|error| PartsError::read(&path, error))?;
        let wanted = (num_values as u64).checked_mul(4 * num_frames as u64);
        if Some(len) != wanted {
            let reason = format!(
                "it has {len} bytes, which are not {num_frames} frames. Make that part again"
            );
            return Err(PartsError::read(&path, reason));
        }
        Ok(Self { file: BufReader::new(file), path, bytes: vec![0; 4 * num_values] })
    }

    /// Appends the images of the next frame to `values`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next_into(&mut self, values: &mut Vec<f32>) -> Result<(), PartsError> {
        let read = self.file.read_exact(&mut self.bytes);
        read.map_err(|error| PartsError::read(&self.path, error))?;
        let words = self.bytes.as_chunks::<4>().0;
        values.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
        Ok(())
    }
}
