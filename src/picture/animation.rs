//! An animation whose frames are all known: one palette for all of them, and of each frame only what has changed.
//!
//! A frame of its own palette and all its pixels, as [`super::Animation`] writes it without knowing the later frames,
//! takes several times as much space.

use std::collections::HashMap;

use gif::{Encoder, EncodingError, Frame, Repeat};
use image::{Rgb, RgbImage};

use super::LAST_FRAME_MILLIS;

/// The number of colours of a palette beside the transparent one.
const MAX_COLORS: usize = 255;
/// The transparent colour, which keeps what the frames before have drawn.
const KEEP: u8 = 255;
/// A pixel is drawn again once a channel differs by more than this from what is shown, which nobody sees.
const TOLERANCE: u8 = 5;
/// The number of pixels that the palette is chosen from.
const MAX_SAMPLE: usize = 60_000;

/// Encodes frames of one size as an endless GIF; the last frame is shown for one second.
///
/// # Errors
/// The frames are larger than a GIF can be.
pub fn gif_of(frames: &[RgbImage], frame_millis: u32) -> Result<Vec<u8>, EncodingError> {
    let (width, height) = frames.first().map_or((0, 0), RgbImage::dimensions);
    let side = |side: u32| {
        let too_large = |_| std::io::Error::other("a GIF is at most 65,535 pixels wide and high");
        u16::try_from(side).map_err(too_large)
    };
    let (colors, mut bytes) = (palette(frames), Vec::new());
    let mut flat: Vec<u8> = colors.iter().flatten().copied().collect();
    flat.resize(3 * (usize::from(KEEP) + 1), 0);
    let mut encoder = Encoder::new(&mut bytes, side(width)?, side(height)?, &flat)?;
    encoder.set_repeat(Repeat::Infinite)?;
    let mut nearest = Nearest { colors: &colors, known: HashMap::new() };
    // What is shown before the first frame differs from everything.
    let mut shown = vec![None; width as usize * height as usize];
    for (nth, frame) in frames.iter().enumerate() {
        let before = nth.checked_sub(1).map(|before| &frames[before]);
        let is_last = nth + 1 == frames.len();
        let millis = if is_last { LAST_FRAME_MILLIS } else { frame_millis };
        let pixels = changed(frame, before, &mut shown, &mut nearest);
        let mut part = cropped(&pixels, [width as usize, height as usize]);
        part.delay = u16::try_from(millis / 10).unwrap_or(u16::MAX);
        encoder.write_frame(&part)?;
    }
    drop(encoder);
    Ok(bytes)
}

/// The pixels of a frame as numbers of colours, with [`KEEP`] where it looks like what is shown. Updates what is shown.
fn changed(
    frame: &RgbImage,
    before: Option<&RgbImage>,
    shown: &mut [Option<u8>],
    nearest: &mut Nearest<'_>,
) -> Vec<u8> {
    let mut old = before.map(RgbImage::pixels);
    let with_shown = frame.pixels().zip(shown.iter_mut());
    let pixels = with_shown.map(|(Rgb(new), shown)| {
        if old.as_mut().and_then(Iterator::next).is_some_and(|Rgb(old)| old == new) {
            return KEEP;
        }
        let is_close = |number: u8| {
            let color = nearest.colors[usize::from(number)];
            color.iter().zip(new).all(|(a, b)| a.abs_diff(*b) <= TOLERANCE)
        };
        if shown.is_some_and(is_close) {
            return KEEP;
        }
        let number = nearest.to(*new);
        if shown.replace(number) == Some(number) { KEEP } else { number }
    });
    pixels.collect()
}

/// The smallest rectangle with all pixels that change, as a frame.
fn cropped(pixels: &[u8], [width, height]: [usize; 2]) -> Frame<'static> {
    let rows: Vec<&[u8]> = pixels.chunks(width.max(1)).collect();
    let changes = |row: &&[u8]| row.iter().any(|pixel| *pixel != KEEP);
    let top = rows.iter().position(changes).unwrap_or(0);
    let bottom = rows.iter().rposition(changes).map_or(top + 1, |row| row + 1).min(height);
    let columns = || rows[top..bottom].iter().flat_map(|row| row.iter().enumerate());
    let changed = || columns().filter(|(_, pixel)| **pixel != KEEP).map(|(column, _)| column);
    let left = changed().min().unwrap_or(0);
    let right = changed().max().map_or(left + 1, |column| column + 1).min(width);
    let buffer: Vec<u8> =
        rows[top..bottom].iter().flat_map(|row| &row[left..right]).copied().collect();
    let short = |value: usize| u16::try_from(value).unwrap_or(0);
    Frame {
        left: short(left),
        top: short(top),
        width: short(right - left),
        height: short(bottom - top),
        transparent: Some(KEEP),
        buffer: buffer.into(),
        ..Frame::default()
    }
}

/// The colours of all frames: each of them if they are few, or else the best of [`MAX_COLORS`].
fn palette(frames: &[RgbImage]) -> Vec<[u8; 3]> {
    let num_pixels: usize = frames.iter().map(|frame| frame.pixels().len()).sum();
    let mut colors: HashMap<[u8; 3], usize> = HashMap::new();
    // A colour is counted where it is new, so that a still background does not outweigh what moves.
    let mut before = [0; 3];
    for Rgb(color) in frames.iter().flat_map(RgbImage::pixels) {
        if *color != before || colors.is_empty() {
            *colors.entry(*color).or_default() += 1;
            before = *color;
        }
    }
    if colors.len() <= MAX_COLORS {
        let mut colors: Vec<[u8; 3]> = colors.into_keys().collect();
        colors.sort_unstable();
        return colors;
    }
    // Each colour at least once, so that a rare one, such as that of a mark, is not lost.
    let mut colors: Vec<([u8; 3], usize)> = colors.into_iter().collect();
    colors.sort_unstable();
    let share = MAX_SAMPLE as f64 / num_pixels.max(1) as f64;
    let stride = colors.len().div_ceil(MAX_SAMPLE);
    let sample: Vec<u8> = colors
        .iter()
        .step_by(stride)
        .flat_map(|(color, count)| {
            let times = ((*count as f64 * share).round() as usize).max(1);
            std::iter::repeat_n(*color, times)
        })
        .flatten()
        .collect();
    // A GIF frame is at most 65,535 pixels wide, so the sample is a frame of one row after another.
    let width = 256;
    let rows = sample.len() / (3 * width);
    let frame = Frame::from_rgb_speed(width as u16, rows as u16, &sample[..3 * width * rows], 10);
    let found = frame.palette.unwrap_or_default();
    let mut found: Vec<[u8; 3]> = found.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
    found.sort_unstable();
    found.dedup();
    if found.len() > MAX_COLORS
        && let Some(spare) = most_alike(&found)
    {
        found.remove(spare);
    }
    found.truncate(MAX_COLORS);
    found
}

/// The number of the colour that is most like another one.
fn most_alike(colors: &[[u8; 3]]) -> Option<usize> {
    let apart = |nth: usize| {
        let others = colors.iter().enumerate().filter(|(other, _)| *other != nth);
        others.map(|(_, other)| distance(colors[nth], *other)).min()
    };
    (0..colors.len()).min_by_key(|nth| apart(*nth))
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
}

/// Finds the nearest colour of a palette, and remembers what it found.
struct Nearest<'a> {
    colors: &'a [[u8; 3]],
    known: HashMap<[u8; 3], u8>,
}

impl Nearest<'_> {
    fn to(&mut self, color: [u8; 3]) -> u8 {
        let colors = self.colors;
        *self.known.entry(color).or_insert_with(|| {
            let best = (0..colors.len()).min_by_key(|nth| distance(colors[*nth], color));
            best.unwrap_or(0) as u8
        })
    }
}

#[cfg(test)]
mod tests {
    use image::{AnimationDecoder, codecs::gif::GifDecoder};

    use super::*;

    fn decoded(bytes: &[u8]) -> Vec<image::RgbaImage> {
        let decoder = GifDecoder::new(std::io::Cursor::new(bytes)).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        frames.into_iter().map(|frame| frame.into_buffer()).collect()
    }

    /// A grey picture with a square that moves.
    fn moving(nth: u32) -> RgbImage {
        RgbImage::from_fn(40, 30, |x, y| {
            let is_in = (nth..nth + 5).contains(&x) && (10..15).contains(&y);
            if is_in { Rgb([200, 30, 10]) } else { Rgb([x as u8, x as u8, x as u8]) }
        })
    }

    #[test]
    fn few_colours_come_back_exactly_and_still_frames_cost_nothing() {
        let frames: Vec<RgbImage> = [0, 1, 2, 2, 2, 9].map(moving).into();
        let bytes = gif_of(&frames, 80).unwrap();
        let seen = decoded(&bytes);
        assert_eq!(seen.len(), frames.len());
        for (seen, frame) in seen.iter().zip(&frames) {
            assert!(seen.pixels().zip(frame.pixels()).all(|(a, b)| a.0[..3] == b.0));
        }
        let still = vec![moving(3); 50];
        let one = gif_of(&still[..1], 80).unwrap().len();
        assert!(gif_of(&still, 80).unwrap().len() < one + 50 * 40);
    }

    #[test]
    fn many_colours_look_alike() {
        let noise = |x: u32, y: u32, k: u32| (x * 7 + y * 13 + k * 29) % 64 + 2 * x + y;
        let frame = |nth: u32| {
            RgbImage::from_fn(64, 48, |x, y| {
                if x == 0 {
                    Rgb([255, 0, 0])
                } else {
                    Rgb([0, 1, 2].map(|k| noise(x, y, k + nth) as u8))
                }
            })
        };
        let frames: Vec<RgbImage> = (0..4).map(frame).collect();
        let seen = decoded(&gif_of(&frames, 80).unwrap());
        for (seen, frame) in seen.iter().zip(&frames) {
            let far = seen.pixels().zip(frame.pixels()).map(|(a, b)| {
                a.0.iter().zip(b.0).map(|(a, b)| u32::from(a.abs_diff(b))).max().unwrap()
            });
            let far: Vec<u32> = far.collect();
            let mean = far.iter().sum::<u32>() as f64 / far.len() as f64;
            assert!(mean < 12.0, "{mean}");
        }
    }

    #[test]
    fn no_frame_and_a_frame_too_large_are_no_reason_to_crash() {
        assert!(gif_of(&[], 80).is_ok());
        let error = gif_of(&[RgbImage::new(70_000, 1)], 80).unwrap_err().to_string();
        assert!(error.contains("65,535 pixels"), "{error}");
    }
}
