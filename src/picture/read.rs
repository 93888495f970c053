//! Reading of the user's pictures: of any size, rotated, transparent or truncated.
//!
//! The orientation tag of a camera is applied. Transparent areas become black, the background of the bundled data sets,
//! or white if the visible part is darker than middle grey, so that it can be seen.

#[cfg(not(target_arch = "wasm32"))]
use std::{fs::File, io::Read};
use std::{io::Cursor, path::Path};

use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Pixel, Rgb, RgbImage, Rgba,
    imageops::{self, FilterType},
    metadata::Orientation,
};

use super::{PictureError, image_error};
use crate::files;

/// Limit on the bytes of one file and on the decoded size of its pixels: 89 million pixels of three bytes.
pub(crate) const MAX_BYTES: u64 = 256 << 20;
/// The number of bytes at the start of a file that identify its format.
#[cfg(not(target_arch = "wasm32"))]
const START_BYTES: u64 = 16;

/// Reads a picture file as one item (C, H, W) in [-1, 1], scaled to that size.
///
/// # Errors
/// The file cannot be read, or is not a picture, too large or incomplete.
pub(crate) fn load_item(path: &Path, shape: [usize; 3]) -> Result<Vec<f32>, PictureError> {
    let bytes = files::read_at_most(path, MAX_BYTES).map_err(|source| PictureError::Io {
        action: "read",
        path: path.display().to_string(),
        source,
    })?;
    item_of(&bytes, path, shape)
}

/// As `load_item`, but from the bytes of a file; error messages call the file `path`.
///
/// # Errors
/// The bytes are not a picture, or a picture that is too large or incomplete.
pub fn item_of(bytes: &[u8], path: &Path, [c, h, w]: [usize; 3]) -> Result<Vec<f32>, PictureError> {
    let (picture, orientation) = decode(bytes, path)?;
    // The picture is rotated after scaling, because the small picture takes less work.
    let (width, height) = if is_turned(orientation) { (h, w) } else { (w, h) };
    let picture = laid_on_ground(picture);
    let picture = imageops::resize(&picture, width as u32, height as u32, FilterType::Triangle);
    let picture = turned(picture, orientation);
    let scaled = |byte: u8| f32::from(byte) / 127.5 - 1.0;
    Ok(if c == 3 {
        let plane = |k: usize| picture.pixels().map(move |pixel| scaled(pixel.0[k]));
        (0..3).flat_map(plane).collect()
    } else {
        picture.pixels().map(|pixel| scaled(pixel.to_luma().0[0])).collect()
    })
}

/// Decodes the pixels as stored in the file, whatever its name, and the rotation to apply.
pub(super) fn decode(
    bytes: &[u8],
    path: &Path,
) -> Result<(DynamicImage, Orientation), PictureError> {
    let mut decoder = decoder_of(bytes, path)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let refused = |source| image_error("read", path, source);
    Ok((DynamicImage::from_decoder(decoder).map_err(refused)?, orientation))
}

/// Opens the pixels of a picture file, whatever its name, without decoding them.
pub(super) fn decoder_of<'a>(
    bytes: &'a [u8],
    path: &Path,
) -> Result<impl ImageDecoder + 'a, PictureError> {
    let name = || path.display().to_string();
    let format = format_of(bytes).ok_or_else(|| PictureError::Unknown(name()))?;
    if !format.reading_enabled() {
        return Err(PictureError::Format { path: name(), format: format.extensions_str()[0] });
    }
    if !is_whole(format, bytes) {
        return Err(PictureError::Cut(name()));
    }
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(2 * MAX_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|source| image_error("read", path, source))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || decoder.total_bytes() > MAX_BYTES {
        return Err(PictureError::Size { path: name(), width, height });
    }
    Ok(decoder)
}

/// Whether height and width change places when the orientation is applied.
pub(super) fn is_turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Whether a file starts like a picture that can be read, whatever its name.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn is_picture(path: &Path) -> bool {
    let mut start = Vec::new();
    path.is_file()
        && File::open(path).is_ok_and(|file| file.take(START_BYTES).read_to_end(&mut start).is_ok())
        && starts_like_picture(&start)
}

/// Whether the first bytes of a file are those of a picture that can be read.
pub(crate) fn starts_like_picture(start: &[u8]) -> bool {
    format_of(start).is_some_and(|format| format.reading_enabled())
}

/// The picture format, detected from the first bytes.
pub(super) fn format_of(bytes: &[u8]) -> Option<ImageFormat> {
    image::guess_format(bytes).ok()
}

/// Whether the file is complete, for formats whose decoders fill in missing data.
fn is_whole(format: ImageFormat, bytes: &[u8]) -> bool {
    match format {
        ImageFormat::Jpeg => jpeg_ends(bytes),
        // A WebP file has eight bytes, then the number of bytes that bytes 4 to 7 state.
        ImageFormat::WebP => match bytes.get(4..8) {
            Some(len) => {
                let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]);
                bytes.len() as u64 >= 8 + u64::from(len)
            }
            None => false,
        },
        _ => true,
    }
}

/// Whether the markers of a JPEG lead to its end marker.
fn jpeg_ends(bytes: &[u8]) -> bool {
    const END: u8 = 0xd9;
    let mut at = 2;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&b| b == 0xff)) {
        at += found + 1;
        match bytes.get(at..) {
            Some([END, ..]) => return true,
            // A byte of image data, a fill byte, or a marker without a length.
            Some([0 | 1 | 0xd0..=0xd8 | 0xff, ..]) => {}
            Some([_, high, low, ..]) => at += 1 + usize::from(u16::from_be_bytes([*high, *low])),
            _ => return false,
        }
    }
    false
}

/// Applies the orientation. `DynamicImage` has a version for every pixel type, which is too large for the web build.
pub(super) fn turned(picture: RgbImage, orientation: Orientation) -> RgbImage {
    let mirrored = |picture| imageops::flip_horizontal(&picture);
    match orientation {
        Orientation::NoTransforms => picture,
        Orientation::Rotate90 => imageops::rotate90(&picture),
        Orientation::Rotate180 => imageops::rotate180(&picture),
        Orientation::Rotate270 => imageops::rotate270(&picture),
        Orientation::FlipHorizontal => mirrored(picture),
        Orientation::FlipVertical => mirrored(imageops::rotate180(&picture)),
        Orientation::Rotate90FlipH => mirrored(imageops::rotate90(&picture)),
        Orientation::Rotate270FlipH => mirrored(imageops::rotate270(&picture)),
    }
}

/// Removes transparency: the background is black, or white if the visible part is dark.
pub(super) fn laid_on_ground(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let (mut light, mut visible) = (0u64, 0u64);
    for pixel in picture.pixels() {
        let alpha = u64::from(pixel.0[3]);
        light += alpha * u64::from(pixel.to_luma().0[0]);
        visible += alpha;
    }
    let ground = if 2 * light < 255 * visible { 255 } else { 0 };
    let over_ground = |pixel: &Rgba<u8>| {
        let [red, green, blue, alpha] = pixel.0.map(u32::from);
        let mixed = |channel| ((alpha * channel + (255 - alpha) * ground + 127) / 255) as u8;
        Rgb([red, green, blue].map(mixed))
    };
    let mut opaque = RgbImage::new(picture.width(), picture.height());
    for (to, from) in opaque.pixels_mut().zip(picture.pixels()) {
        *to = over_ground(from);
    }
    opaque
}
