//! Pictures of samples: grids of images, scatter plots of points, animations. Also reads the user's pictures as start
//! images.

mod animation;
mod fitted;
mod read;

use std::{
    io::{Cursor, Write},
    path::Path,
};

use image::{
    Delay, DynamicImage, Frame, ImageFormat, Rgb, RgbImage,
    codecs::gif::{GifEncoder, Repeat},
};

use crate::files::write_atomically;

pub use animation::gif_of;
pub(crate) use fitted::{Fitted, Header, fitted, header, is_gray};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use read::is_picture;
pub use read::item_of;
pub(crate) use read::{load_item, starts_like_picture};

/// Why a picture could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The encoder or decoder failed.
    #[error("cannot {action} picture {path}: {source}")]
    Image {
        /// The action that failed: "read" or "encode".
        action: &'static str,
        /// The path of the file.
        path: String,
        /// The error of the encoder or decoder.
        source: image::ImageError,
    },
    /// The file does not have a known picture format.
    #[error("{0} is not a picture: PNG, JPEG, GIF, WebP and BMP are read")]
    Unknown(String),
    /// The picture has a known format that jempp does not read.
    #[error("{path} has the format {format}, which jempp does not read: save it as PNG or JPEG")]
    Format {
        /// The path of the file.
        path: String,
        /// The usual file extension of this format.
        format: &'static str,
    },
    /// The file ends before the picture is complete.
    #[error("picture {0} is cut off: its end is missing")]
    Cut(String),
    /// The picture has no pixels or too many.
    #[error(
        "picture {path} is {height}×{width} pixels (height×width); from 1×1 pixel to 256 MiB unpacked (89 million colour \
         pixels) are read"
    )]
    Size {
        /// The path of the file.
        path: String,
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
    },
    /// The operating system refused an action.
    #[error("cannot {action} picture {path}: {source}")]
    Io {
        /// The action that failed: "read" or "write".
        action: &'static str,
        /// The path of the file.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
}

/// The usual file extensions of pictures that can be read.
pub const ENDINGS: &[&str] = &["png", "jpg", "jpeg", "gif", "webp", "bmp"];

/// The background colour behind and between drawn items.
pub(crate) const BACKGROUND: Rgb<u8> = Rgb([24, 24, 28]);
/// How long the last frame of an animation is shown, in milliseconds.
const LAST_FRAME_MILLIS: u32 = 1000;
/// The side of a scatter plot, in pixels.
const SCATTER_SIDE: u32 = 512;
/// The minimum side of a drawn image, in pixels; smaller images are enlarged by an integer factor.
const CELL_SIDE: u32 = 56;
/// The colours of Okabe and Ito, which colour-blind people can distinguish too.
const CLASS_COLOURS: [[u8; 3]; 8] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
    [200, 200, 200],
];

/// Draws items: images as a grid of `columns`, row by row; points in the plane as a scatter plot coloured by label.
///
/// # Shapes
/// `values`: (N, C, H, W) flattened in [-1, 1], with `shape` = (C, H, W).
pub fn draw(values: &[f32], labels: &[u32], shape: [usize; 3], columns: usize) -> RgbImage {
    if shape[1] * shape[2] == 1 { scatter(values, labels) } else { grid(values, shape, columns) }
}

/// The 8-bit pixel for a value in [-1, 1].
pub(crate) fn byte(value: f32) -> u8 {
    ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8
}

fn grid(values: &[f32], shape: [usize; 3], columns: usize) -> RgbImage {
    let items: Vec<&[f32]> = values.chunks(shape.iter().product()).collect();
    let rows: Vec<&[&[f32]]> = items.chunks(columns).collect();
    sheet(&rows, shape, columns)
}

/// Draws rows of images, each from the left; a row may be shorter than `columns`.
///
/// # Shapes
/// Each image: (C, H, W) flattened in [-1, 1], with `shape` = (C, H, W).
pub fn sheet(rows: &[&[&[f32]]], [c, h, w]: [usize; 3], columns: usize) -> RgbImage {
    let factor = CELL_SIDE.div_ceil(h.max(w) as u32);
    let (cell_w, cell_h) = (w as u32 * factor, h as u32 * factor);
    let gap = 2;
    let mut picture = RgbImage::from_pixel(
        columns as u32 * (cell_w + gap) + gap,
        rows.len() as u32 * (cell_h + gap) + gap,
        BACKGROUND,
    );
    let places = rows.iter().enumerate().flat_map(|(row, items)| {
        items.iter().enumerate().map(move |(column, item)| (row, column, *item))
    });
    for (row, column, item) in places {
        let (left, top) = (column as u32 * (cell_w + gap) + gap, row as u32 * (cell_h + gap) + gap);
        for y in 0..cell_h {
            for x in 0..cell_w {
                let at = (y / factor) as usize * w + (x / factor) as usize;
                let channel = |k: usize| byte(item[if c == 3 { k * h * w } else { 0 } + at]);
                picture.put_pixel(left + x, top + y, Rgb([channel(0), channel(1), channel(2)]));
            }
        }
    }
    picture
}

fn scatter(values: &[f32], labels: &[u32]) -> RgbImage {
    let mut picture = RgbImage::from_pixel(SCATTER_SIDE, SCATTER_SIDE, BACKGROUND);
    let place = |value: f32| ((value + 1.0) / 2.0 * (SCATTER_SIDE - 3) as f32) as u32;
    for (point, label) in values.chunks(2).zip(labels) {
        let (x, y) = (place(point[0].clamp(-1.0, 1.0)), place(-point[1].clamp(-1.0, 1.0)));
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let colour = CLASS_COLOURS[*label as usize % CLASS_COLOURS.len()];
            picture.put_pixel(x + dx, y + dy, Rgb(colour));
        }
    }
    picture
}

/// Encodes a picture as PNG.
///
/// # Errors
/// The encoder fails.
pub(crate) fn png_of(picture: RgbImage) -> image::ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    if picture.pixels().all(|Rgb([r, g, b])| r == g && g == b) {
        DynamicImage::from(picture).to_luma8().write_to(&mut bytes, ImageFormat::Png)?;
    } else {
        picture.write_to(&mut bytes, ImageFormat::Png)?;
    }
    Ok(bytes.into_inner())
}

/// An endless GIF that is written frame by frame; the last frame is shown for one second.
pub struct Animation<W: Write> {
    encoder: GifEncoder<W>,
    frame_millis: u32,
    /// The newest frame, kept back because it may be the last.
    newest: Option<RgbImage>,
}

impl<W: Write> Animation<W> {
    /// Starts writing to `out`.
    ///
    /// # Errors
    /// The encoder fails.
    pub fn new(out: W, frame_millis: u32) -> image::ImageResult<Self> {
        let mut encoder = GifEncoder::new_with_speed(out, 10);
        encoder.set_repeat(Repeat::Infinite)?;
        Ok(Self { encoder, frame_millis, newest: None })
    }

    /// Adds a frame.
    ///
    /// # Errors
    /// The encoder fails.
    pub fn push(&mut self, frame: RgbImage) -> image::ImageResult<()> {
        let millis = self.frame_millis;
        self.newest.replace(frame).map_or(Ok(()), |frame| self.encode(frame, millis))
    }

    /// Writes the last frame and the end of the file.
    ///
    /// # Errors
    /// The encoder fails.
    pub fn finish(mut self) -> image::ImageResult<()> {
        self.newest.take().map_or(Ok(()), |frame| self.encode(frame, LAST_FRAME_MILLIS))
    }

    fn encode(&mut self, frame: RgbImage, millis: u32) -> image::ImageResult<()> {
        let delay = Delay::from_numer_denom_ms(millis, 1);
        let rgba = DynamicImage::from(frame).to_rgba8();
        self.encoder.encode_frame(Frame::from_parts(rgba, 0, 0, delay))
    }
}

/// Writes a picture as PNG.
///
/// # Errors
/// The file cannot be written.
pub fn save_png(picture: RgbImage, path: &Path) -> Result<(), PictureError> {
    write(path, &png_of(picture).map_err(|source| image_error("encode", path, source))?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), PictureError> {
    write_atomically(path, bytes).map_err(|source| PictureError::Io {
        action: "write",
        path: path.display().to_string(),
        source,
    })
}

fn image_error(action: &'static str, path: &Path, source: image::ImageError) -> PictureError {
    PictureError::Image { action, path: path.display().to_string(), source }
}
