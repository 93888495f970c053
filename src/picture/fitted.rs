//! Pictures of any size and shape as images of a data set: what a file holds, and its pixels at one size.

use std::{io::Cursor, path::Path};

use gif::DecodeOptions;
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageFormat, Rgb, RgbImage,
    imageops::{self, FilterType},
    metadata::Orientation,
};

use super::{
    PictureError,
    read::{decode, decoder_of, format_of, is_turned, laid_on_ground, turned},
};

/// What a picture file says about its pixels, read without decoding them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Height and width in pixels, as the picture is seen: with the rotation of a camera applied.
    pub(crate) size: [usize; 2],
    /// Whether the pixels are stored as grey values. Other pixels may be grey too.
    pub(crate) is_gray: bool,
    /// Whether there is more than one frame.
    pub(crate) is_animated: bool,
}

/// Reads the header of a picture from the bytes of its file; error messages call the file `path`.
///
/// # Errors
/// The bytes are not a picture, or a picture that is too large or incomplete.
pub(crate) fn header(bytes: &[u8], path: &Path) -> Result<Header, PictureError> {
    let mut decoder = decoder_of(bytes, path)?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let size = match is_turned(orientation) {
        true => [width, height],
        false => [height, width],
    };
    Ok(Header {
        size: size.map(|side| side as usize),
        is_gray: matches!(color, ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16),
        is_animated: is_animated(bytes),
    })
}

/// Whether a picture has more than one frame. No frame is decoded, because the size of the picture is not checked yet.
fn is_animated(bytes: &[u8]) -> bool {
    match format_of(bytes) {
        Some(ImageFormat::Gif) => {
            let mut options = DecodeOptions::new();
            options.skip_frame_decoding(true);
            options
                .read_info(Cursor::new(bytes))
                .is_ok_and(|mut gif| (0..2).all(|_| matches!(gif.next_frame_info(), Ok(Some(_)))))
        }
        // The chunk that a WebP of more than one picture begins with has a bit for it.
        Some(ImageFormat::WebP) => {
            matches!(bytes.get(12..21), Some([b'V', b'P', b'8', b'X', .., flags]) if flags & 2 > 0)
        }
        Some(ImageFormat::Png) => is_animated_png(bytes),
        _ => false,
    }
}

/// Whether a chunk before the pixels of a PNG says that it is animated.
fn is_animated_png(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some(([a, b, c, d, kind @ ..], body)) = rest.split_first_chunk::<8>() {
        match kind {
            b"acTL" => return true,
            b"IDAT" => return false,
            // A chunk ends with four bytes of a checksum.
            _ => {
                let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
                rest = body.get(len.saturating_add(4)..).unwrap_or_default();
            }
        }
    }
    false
}

/// Whether every pixel of a picture is grey.
///
/// # Errors
/// As [`header`]; also, the pixels cannot be decoded.
pub(crate) fn is_gray(bytes: &[u8], path: &Path) -> Result<bool, PictureError> {
    let (picture, _) = decode(bytes, path)?;
    Ok(laid_on_ground(picture).pixels().all(|Rgb([r, g, b])| r == g && g == b))
}

/// The pixels of a picture at one size, and what is only in its file.
pub(crate) struct Fitted {
    pub(crate) picture: RgbImage,
    /// Whether the file has transparent pixels.
    pub(crate) is_clear: bool,
    /// The largest value in a file of 16 bits a value; `None` for other files.
    pub(crate) largest_of_16_bits: Option<u16>,
}

/// The pixels of a picture at `size` = (height, width): scaled, on the ground of [`super::item_of`], with the rotation of
/// a camera applied. If its shape differs, its centre is cut out. With `keeps_whole`, it is padded instead with the mean
/// colour of its border.
///
/// # Errors
/// As [`is_gray`].
pub(crate) fn fitted(
    bytes: &[u8],
    path: &Path,
    size: [usize; 2],
    keeps_whole: bool,
) -> Result<Fitted, PictureError> {
    let (picture, orientation) = decode(bytes, path)?;
    let is_clear = picture.color().has_alpha() && !is_opaque(&picture);
    let largest_of_16_bits = largest_of_16_bits(&picture);
    // The picture is rotated after scaling, because the small picture takes less work.
    let [height, width] = match is_turned(orientation) {
        true => [size[1], size[0]],
        false => size,
    }
    .map(|side| side as u32);
    let picture = laid_on_ground(picture);
    let fitted = match picture.dimensions() {
        found if found == (width, height) => picture,
        _ if keeps_whole => padded(&picture, width, height),
        _ => cropped(&picture, width, height),
    };
    Ok(Fitted { picture: turned(fitted, orientation), is_clear, largest_of_16_bits })
}

/// Whether no pixel of a picture is transparent.
fn is_opaque(picture: &DynamicImage) -> bool {
    match picture {
        DynamicImage::ImageRgba8(pixels) => pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX),
        DynamicImage::ImageLumaA8(pixels) => pixels.pixels().all(|pixel| pixel.0[1] == u8::MAX),
        other => other.to_rgba8().pixels().all(|pixel| pixel.0[3] == u8::MAX),
    }
}

/// The largest value of a picture of 16 bits a value, whatever its transparency; `None` for other pictures.
fn largest_of_16_bits(picture: &DynamicImage) -> Option<u16> {
    match picture {
        DynamicImage::ImageLuma16(pixels) => pixels.pixels().map(|pixel| pixel.0[0]).max(),
        DynamicImage::ImageLumaA16(pixels) => pixels.pixels().map(|pixel| pixel.0[0]).max(),
        DynamicImage::ImageRgb16(pixels) => pixels.pixels().flat_map(|pixel| pixel.0).max(),
        DynamicImage::ImageRgba16(pixels) => {
            pixels.pixels().flat_map(|pixel| pixel.0.into_iter().take(3)).max()
        }
        _ => None,
    }
}

/// The largest part around the centre that has the shape of the result, scaled.
fn cropped(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = (picture.width(), picture.height());
    let scale = f64::max(f64::from(width) / f64::from(w), f64::from(height) / f64::from(h));
    let part = |side: u32, of: u32| ((f64::from(side) / scale).round() as u32).clamp(1, of);
    let (part_w, part_h) = (part(width, w), part(height, h));
    let part = imageops::crop_imm(picture, (w - part_w) / 2, (h - part_h) / 2, part_w, part_h);
    imageops::resize(&*part, width, height, FilterType::Triangle)
}

/// The whole picture, scaled, in the middle of the result.
fn padded(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = (picture.width(), picture.height());
    let scale = f64::min(f64::from(width) / f64::from(w), f64::from(height) / f64::from(h));
    let side = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most);
    let (inner_w, inner_h) = (side(w, width), side(h, height));
    let inner = imageops::resize(picture, inner_w, inner_h, FilterType::Triangle);
    let mut whole = RgbImage::from_pixel(width, height, border_colour(&inner));
    let (left, top) = ((width - inner_w) / 2, (height - inner_h) / 2);
    imageops::replace(&mut whole, &inner, left.into(), top.into());
    whole
}

/// The mean colour of the pixels at the border of a picture.
fn border_colour(picture: &RgbImage) -> Rgb<u8> {
    let (last_x, last_y) = (picture.width() - 1, picture.height() - 1);
    let (mut sum, mut count) = ([0u64; 3], 0);
    for (x, y, pixel) in picture.enumerate_pixels() {
        if x == 0 || y == 0 || x == last_x || y == last_y {
            sum.iter_mut().zip(pixel.0).for_each(|(sum, value)| *sum += u64::from(value));
            count += 1;
        }
    }
    Rgb(sum.map(|sum| ((sum + count / 2) / count) as u8))
}
