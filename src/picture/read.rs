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
/// Limit on what is unpacked beside the pixels, and on a frame that is larger than its picture.
const MAX_BESIDE: u64 = 16 << 20;
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
    let whole = whole(format, bytes);
    let (bytes, largest_frame) = whole.ok_or_else(|| PictureError::Cut(name()))?;
    let refused = |source| image_error("read", path, source);
    let mut limits = Limits::no_limits();
    // The decoder of PNG takes up to three times the bytes of a text. It also unpacks the colour profile, which may be a
    // thousand times as large as in the file; without one that is too large, it still reads the picture.
    limits.max_alloc = Some(3 * bytes.len() as u64 + MAX_BESIDE);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || decoder.total_bytes() > MAX_BYTES {
        return Err(PictureError::Size { path: name(), width, height });
    }
    // The frame of a GIF or a WebP may be larger than the picture. Only the decoder of GIF looks at the limit.
    limits.max_alloc = Some(decoder.total_bytes().max(MAX_BESIDE));
    limits.clone().reserve(largest_frame).map_err(refused)?;
    decoder.set_limits(limits).map_err(refused)?;
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

/// The bytes of a picture without what follows it, and the number of bytes that its largest frame takes, or `None` if the
/// end is missing. Checked are only formats whose decoders fill in missing data, or make room before they check.
fn whole(format: ImageFormat, bytes: &[u8]) -> Option<(&[u8], u64)> {
    match format {
        ImageFormat::Jpeg => jpeg_ends(bytes).then_some((bytes, 0)),
        ImageFormat::WebP => whole_webp(bytes),
        _ => Some((bytes, 0)),
    }
}

/// As [`whole`], of a WebP. Its decoder makes room for a chunk before it knows that the chunk is there, and for the pixels
/// of a lossy frame before it compares the frame with the picture.
fn whole_webp(bytes: &[u8]) -> Option<(&[u8], u64)> {
    // A WebP file has eight bytes, then the number of bytes that bytes 4 to 7 state.
    let len = u32::from_le_bytes(*bytes.get(4..)?.first_chunk::<4>()?) as usize;
    let bytes = bytes.get(..len.saturating_add(8))?;
    let mut rest = bytes.get(12..)?;
    let mut num_pixels = 0u64;
    while let Some(([kind @ .., a, b, c, d], body)) = rest.split_first_chunk::<8>() {
        let len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let chunk = body.get(..len)?;
        if kind == b"VP8 "
            && let Some([a, b, c, d]) = chunk.get(6..10)
        {
            let side = |bytes| u64::from(u16::from_le_bytes(bytes) & 0x3fff);
            num_pixels = num_pixels.max(side([*a, *b]) * side([*c, *d]));
        }
        // The chunks of a frame follow the 16 bytes of its own.
        let skipped = if kind == b"ANMF" { 16 } else { len + len % 2 };
        rest = body.get(skipped..).unwrap_or_default();
    }
    Some((bytes, 3 * num_pixels))
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
