//! An animation whose frames are all known: one palette for all of them, and of each frame only what has changed.
//!
//! A frame of its own palette and all its pixels, as [`super::Animation`] writes it without knowing the later frames,
//! takes several times as much space.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use gif::{Encoder, EncodingError, Frame, Repeat};
use image::{Rgb, RgbImage};

use super::LAST_FRAME_MILLIS;

/// The number of colours of a palette beside the transparent one.
const MAX_COLORS: usize = 255;
/// The number of colours of plain areas among them.
const MAX_PLAIN: usize = 8;
/// The transparent colour, which keeps what the frames before have drawn.
const KEEP: u8 = 255;
/// Colours whose channels differ by at most this look alike: in general, and in noise, where a pixel differs from those
/// beside it by [`NOISE`].
const TOLERANCE: u8 = 6;
const TOLERANCE_IN_NOISE: u8 = 16;
const NOISE: u8 = 40;

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
    let mut painter = Painter::new(&colors, width as usize * height as usize);
    for (nth, frame) in frames.iter().enumerate() {
        let before = nth.checked_sub(1).map(|before| &frames[before]);
        let is_last = nth + 1 == frames.len();
        let millis = if is_last { LAST_FRAME_MILLIS } else { frame_millis };
        let mut part = painter.paint(frame, before);
        part.delay = u16::try_from(millis / 10).unwrap_or(u16::MAX);
        encoder.write_frame(&part)?;
    }
    drop(encoder);
    Ok(bytes)
}

/// Chooses the colours of pixels: for each one that nobody tells from it and that makes the file small.
struct Painter<'a> {
    colors: &'a [[u8; 3]],
    /// What is shown at each pixel; `None` before the first frame.
    shown: Vec<Option<u8>>,
    /// The number of the nearest colour, for each colour of the palette and for each shade that was looked up.
    nearest: HashMap<[u8; 3], u8>,
    /// For each colour of the palette, itself and those that look like it, the most alike first.
    alike: Vec<Vec<u8>>,
}

impl<'a> Painter<'a> {
    fn new(colors: &'a [[u8; 3]], num_pixels: usize) -> Self {
        let alike = colors.iter().map(|color| {
            let apart = |other: &u8| difference(*color, colors[usize::from(*other)]);
            let numbers = 0..colors.len() as u8;
            let mut alike: Vec<u8> =
                numbers.filter(|other| apart(other) <= TOLERANCE_IN_NOISE).collect();
            alike.sort_by_key(apart);
            alike
        });
        let (alike, shown) = (alike.collect(), vec![None; num_pixels]);
        let nearest = colors.iter().zip(0..).map(|(color, number)| (*color, number)).collect();
        Self { colors, shown, nearest, alike }
    }

    /// The part of a frame that looks different from what is shown, with [`KEEP`] for pixels that do not.
    fn paint(&mut self, frame: &RgbImage, before: Option<&RgbImage>) -> Frame<'static> {
        let mut old = before.map(RgbImage::pixels);
        let shown =
            self.shown.iter().map(|shown| shown.map(|shown| self.colors[usize::from(shown)]));
        // What may differ from a pixel unseen; 0 where it is the same as before.
        let mut most = vec![0; self.shown.len()];
        let pixels = frame.enumerate_pixels().zip(shown).zip(&mut most);
        let stays = pixels.map(|(((x, y, pixel), shown), most)| {
            if old.as_mut().and_then(Iterator::next).is_some_and(|old| old == pixel) {
                return true;
            }
            *most = tolerance(frame, x, y);
            shown.is_some_and(|shown| difference(shown, pixel.0) <= *most)
        });
        let stays: Vec<bool> = stays.collect();
        let width = frame.width() as usize;
        let [columns, rows] = bounds(&stays, width);
        let mut phrases = Phrases::new();
        let mut buffer = Vec::with_capacity(columns.len() * rows.len());
        for row in rows.clone() {
            for column in columns.clone() {
                let at = row * width + column;
                if stays[at] && most[at] == 0 {
                    buffer.push(phrases.choose(std::iter::once(KEEP)));
                    continue;
                }
                let number = self.nearest(frame[(column as u32, row as u32)].0);
                let color = self.colors[usize::from(number)];
                let is_alike =
                    |other: &u8| difference(color, self.colors[usize::from(*other)]) <= most[at];
                let alike = self.alike[usize::from(number)].iter().copied();
                let alike = alike.take_while(is_alike);
                let keep = stays[at].then_some(KEEP);
                let chosen = phrases.choose(keep.into_iter().chain(alike));
                if chosen != KEEP {
                    self.shown[at] = Some(chosen);
                }
                buffer.push(chosen);
            }
        }
        let short = |value: usize| u16::try_from(value).unwrap_or(0);
        Frame {
            left: short(columns.start),
            top: short(rows.start),
            width: short(columns.len()),
            height: short(rows.len()),
            transparent: Some(KEEP),
            buffer: buffer.into(),
            ..Frame::default()
        }
    }

    fn nearest(&mut self, color: [u8; 3]) -> u8 {
        if let Some(number) = self.nearest.get(&color) {
            return *number;
        }
        let (colors, color) = (self.colors, shade(color));
        *self.nearest.entry(color).or_insert_with(|| {
            let best = (0..colors.len()).min_by_key(|nth| distance(colors[*nth], color));
            best.unwrap_or(0) as u8
        })
    }
}

/// The phrases that GIF's compression (LZW) has met so far. It writes a phrase that it has met as one code, so a pixel
/// that continues such a phrase costs nothing.
struct Phrases {
    /// The code of each phrase continued by each colour; 0 if there is none. Codes below 256 are single colours.
    next: Vec<u16>,
    last_code: u16,
    /// The phrase that the last pixels belong to.
    current: Option<u16>,
}

impl Phrases {
    /// The largest code, after which the compression begins anew, and the largest that is not a phrase.
    const MAX_CODE: u16 = 4095;
    const NO_PHRASE: u16 = 257;

    fn new() -> Self {
        let next = vec![0; 256 * (usize::from(Self::MAX_CODE) + 1)];
        Self { next, last_code: Self::NO_PHRASE, current: None }
    }

    /// Chooses the first of these colours that continues the current phrase, or else the first of all.
    fn choose(&mut self, mut colors: impl Iterator<Item = u8> + Clone) -> u8 {
        let Some(current) = self.current else {
            let first = colors.next().unwrap_or(KEEP);
            self.current = Some(first.into());
            return first;
        };
        let place = |color: u8| 256 * usize::from(current) + usize::from(color);
        if let Some(known) = colors.clone().find(|color| self.next[place(*color)] > 0) {
            self.current = Some(self.next[place(known)]);
            return known;
        }
        let first = colors.next().unwrap_or(KEEP);
        self.last_code += 1;
        self.next[place(first)] = self.last_code;
        if self.last_code == Self::MAX_CODE {
            self.next.fill(0);
            self.last_code = Self::NO_PHRASE;
        }
        self.current = Some(first.into());
        first
    }
}

/// The columns and the rows of the smallest rectangle with all pixels that change; one pixel if none does.
fn bounds(stays: &[bool], width: usize) -> [Range<usize>; 2] {
    let changed = || stays.iter().enumerate().filter(|(_, stays)| !**stays).map(|(at, _)| at);
    let range = |values: &dyn Fn(usize) -> usize| {
        let first = changed().map(values).min().unwrap_or(0);
        first..changed().map(values).max().unwrap_or(first) + 1
    };
    [range(&|at| at % width.max(1)), range(&|at| at / width.max(1))]
}

/// The colours of all frames: each of them if they are few, or else the best of [`MAX_COLORS`].
fn palette(frames: &[RgbImage]) -> Vec<[u8; 3]> {
    let mut exact: HashSet<[u8; 3]> = HashSet::new();
    let mut all = frames.iter().flat_map(RgbImage::pixels);
    let is_few = all.all(|Rgb(color)| {
        exact.insert(*color);
        exact.len() <= MAX_COLORS
    });
    if is_few {
        let mut colors: Vec<[u8; 3]> = exact.into_iter().collect();
        colors.sort_unstable();
        return colors;
    }
    let mut colors: HashMap<[u8; 3], usize> = HashMap::new();
    // A colour is counted where it is new, so that a still background does not outweigh what moves.
    let mut before = [0; 3];
    for Rgb(color) in frames.iter().flat_map(RgbImage::pixels) {
        if *color != before {
            *colors.entry(shade(*color)).or_default() += 1;
            before = *color;
        }
    }
    // The root, so that the many shades of images do not outweigh the few colours of lines and words.
    let weighted = colors.into_iter().map(|(color, count)| (color, (count as f64).sqrt()));
    let mut weighted: Vec<Shade> = weighted.collect();
    weighted.sort_unstable_by_key(|shade| shade.0);
    let mut colors = plain(frames.first());
    colors.extend(best_of(weighted, MAX_COLORS - colors.len()));
    colors
}

/// The colours of the largest plain areas, which the palette has exactly.
fn plain(frame: Option<&RgbImage>) -> Vec<[u8; 3]> {
    let mut counts: HashMap<[u8; 3], usize> = HashMap::new();
    for row in frame.into_iter().flat_map(RgbImage::rows) {
        let row: Vec<[u8; 3]> = row.map(|pixel| pixel.0).collect();
        for run in row.chunk_by(|a, b| a == b).filter(|run| run.len() > 2) {
            *counts.entry(run[0]).or_default() += run.len();
        }
    }
    let mut counts: Vec<([u8; 3], usize)> = counts.into_iter().collect();
    counts.sort_unstable_by_key(|(color, count)| (usize::MAX - count, *color));
    counts.into_iter().take(MAX_PLAIN).map(|(color, _)| color).collect()
}

/// The colour that stands for those that differ from it by two at most, so that there are not too many to look at.
fn shade(color: [u8; 3]) -> [u8; 3] {
    color.map(|value| value & 0xfc | 2)
}

/// A colour and its weight.
type Shade = ([u8; 3], f64);

/// Colours that one colour of the palette stands for.
struct Group {
    shades: Vec<Shade>,
    /// The mean colour.
    mean: [f64; 3],
    /// The channel in which the colours differ most, and the sum of the weighted squares of the differences there.
    widest: usize,
    error: f64,
}

impl Group {
    fn new(shades: Vec<Shade>) -> Self {
        let weight: f64 = shades.iter().map(|shade| shade.1).sum();
        let sum = |of: &dyn Fn(f64) -> f64, channel: usize| -> f64 {
            shades.iter().map(|(color, weight)| weight * of(f64::from(color[channel]))).sum()
        };
        let mean = [0, 1, 2].map(|channel| sum(&|value| value, channel) / weight);
        let errors = [0, 1, 2].map(|k| sum(&|value| (value - mean[k]).powi(2), k));
        let widest = (0..3).max_by(|a, b| errors[*a].total_cmp(&errors[*b])).unwrap_or(0);
        let error = errors[widest];
        Self { shades, mean, widest, error }
    }

    /// The colours below the mean of the widest channel, and the others.
    fn split(self) -> [Self; 2] {
        let (channel, mean) = (self.widest, self.mean[self.widest]);
        let is_below = |shade: &Shade| f64::from(shade.0[channel]) < mean;
        let (below, above) = self.shades.into_iter().partition(is_below);
        [below, above].map(Self::new)
    }
}

/// The colours that differ least from all of these, by splitting the group with the largest error again and again.
fn best_of(shades: Vec<Shade>, most: usize) -> Vec<[u8; 3]> {
    let mut groups = vec![Group::new(shades)];
    while groups.len() < most {
        let worst = (0..groups.len()).max_by(|a, b| groups[*a].error.total_cmp(&groups[*b].error));
        match worst.filter(|worst| groups[*worst].error > 0.0) {
            Some(worst) => {
                let group = groups.swap_remove(worst);
                groups.extend(group.split());
            }
            None => break,
        }
    }
    groups.iter().map(|group| group.mean.map(|value| value.round() as u8)).collect()
}

/// The difference from the colour of a pixel that nobody sees.
fn tolerance(frame: &RgbImage, x: u32, y: u32) -> u8 {
    let pixel = frame[(x, y)];
    // Two pixels alike are one pixel of an enlarged image.
    let left = [1, 2].map(|by| frame[(x.saturating_sub(by), y)]);
    let above = frame[(x, y.saturating_sub(2))];
    if x > 1 && left == [pixel; 2] {
        // In a plain area, every other shade is seen.
        0
    } else if difference(left[1].0, pixel.0).max(difference(above.0, pixel.0)) >= NOISE {
        TOLERANCE_IN_NOISE
    } else {
        TOLERANCE
    }
}

/// The largest difference of a channel.
fn difference(a: [u8; 3], b: [u8; 3]) -> u8 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(b)).max().unwrap_or(0)
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
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
            if is_in { Rgb([200, 30, 10]) } else { Rgb([6 * x as u8; 3]) }
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
