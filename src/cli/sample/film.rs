//! The pictures of a sampling job, written while it runs, so that at most one is in memory.

use std::{
    fs::{self, File, OpenOptions},
    path::PathBuf,
    sync::Arc,
};

use anyhow::ensure;
use image::RgbImage;

use crate::{
    picture::{self, Animation, PictureError},
    results_folder::{ResultsError, ResultsFolder},
};

const FRAME_MILLIS: u32 = 150;

/// Writes `chains.gif`, with a temporary name until it is complete, and `grid.png`.
pub(super) struct Film {
    animation: Animation<Arc<File>>,
    file: Arc<File>,
    part: PathBuf,
    path: PathBuf,
}

impl Film {
    /// Starts the animation in a folder.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn new(folder: &ResultsFolder) -> anyhow::Result<Self> {
        let (part, path) = (folder.file("chains.gif.part"), folder.file("chains.gif"));
        let file = OpenOptions::new().write(true).create_new(true).open(&part);
        let file = Arc::new(file.map_err(ResultsError::io(&part))?);
        let animation = Animation::new(file.clone(), FRAME_MILLIS);
        let animation = animation.map_err(|source| encode_error(&path, source))?;
        Ok(Self { animation, file, part, path })
    }

    /// Adds a frame to the animation.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn push(&mut self, frame: RgbImage) -> anyhow::Result<()> {
        self.animation.push(frame).map_err(|source| encode_error(&self.path, source))
    }

    /// Completes the animation and gives the file its final name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn finish(self) -> anyhow::Result<PathBuf> {
        let Self { animation, file, part, path } = self;
        animation.finish().map_err(|source| encode_error(&path, source))?;
        file.sync_all().map_err(ResultsError::io(&part))?;
        fs::rename(&part, &path).map_err(ResultsError::io(&path))?;
        Ok(path)
    }
}

/// A picture of the current state of the chains, as a frame of a GIF.
///
/// # Errors
/// The picture is wider or higher than 65,535 pixels, the limit of a GIF.
pub(super) fn frame(
    values: &[f32],
    labels: &[u32],
    shape: [usize; 3],
    columns: usize,
) -> anyhow::Result<RgbImage> {
    let frame = picture::draw(values, labels, shape, columns);
    ensure!(
        frame.width().max(frame.height()) <= u32::from(u16::MAX),
        "a picture of these chains is {} pixels wide and {} high, an animation at most 65,535: take fewer chains with \
         --per-class",
        frame.width(),
        frame.height()
    );
    Ok(frame)
}

fn encode_error(path: &std::path::Path, source: image::ImageError) -> anyhow::Error {
    match source {
        image::ImageError::IoError(source) => ResultsError::io(path)(source).into(),
        source => {
            let path = path.display().to_string();
            PictureError::Image { action: "encode", path, source }.into()
        }
    }
}
