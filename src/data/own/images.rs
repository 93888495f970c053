//! Images of any size and format from a list of files, brought to one size.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use jempp_cpu::parallel::*;

use super::{
    MAX_ITEMS, MAX_TOTAL_BYTES, Reason,
    items::{Gathered, Items, some_of},
    layout::{Labelled, Layout, Part, layout},
    named::{Files, NamedFile},
};
use crate::{
    config::{DataConfig, ImageColor, ImageFit, ImageSize},
    counts::counted,
    data::Values,
    picture::{self, Header},
};

/// Limit on the bytes of one file.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Limit on the pixels of one image, before it is decoded: 32 megapixels.
const MAX_PIXELS: usize = 32 << 20;
/// Images with more pixels are decoded one at a time, so that few of them are in memory.
const LARGE_PIXELS: usize = 4 << 20;
/// The sides that are chosen for images of different sizes.
const CHOSEN_SIDES: std::ops::RangeInclusive<usize> = 8..=32;
/// The smallest side of an image that a network takes.
const MIN_SIDE: usize = 4;

/// Reads the images of a folder with one folder per class.
///
/// # Errors
/// There is no image, or a limit is exceeded.
pub(super) fn read(found: Files, config: &DataConfig) -> Result<Gathered, Reason> {
    let Layout { class_names, files, mut choices, mut skipped } = layout(found)?;
    if files.len() > MAX_ITEMS {
        return Err(format!("it holds {} images; at most {MAX_ITEMS} are read", files.len()));
    }
    let reader = Reader::new(config);
    let mut broken = Vec::new();
    let (mut images, mut headers) = (Vec::new(), Vec::new());
    let read: Vec<_> =
        (0..files.len()).into_par_iter().map(|at| reader.header(&files[at].file)).collect();
    for (image, header) in files.into_iter().zip(read) {
        match header {
            Ok(header) => {
                images.push(image);
                headers.push(header);
            }
            Err(reason) => broken.push(reason),
        }
    }
    if images.is_empty() {
        return Err(no_image(&broken));
    }
    let sizes = sizes_of(&headers);
    let (size, chosen) = size_of(config.size, &sizes);
    choices.push(chosen);
    let is_gray = match config.color {
        ImageColor::Gray => true,
        ImageColor::Rgb => false,
        ImageColor::Auto => !reader.has_colour.load(Ordering::Relaxed),
    };
    if config.color == ImageColor::Auto {
        let why = if is_gray { "grey: all images are" } else { "colour: some images have it" };
        choices.push(why.to_string());
    }
    say_changes(&headers, size, config.fit, &mut choices);
    let channels = if is_gray { 1 } else { 3 };
    let total = images.len().saturating_mul(channels * size[0] * size[1]);
    if total as u64 > MAX_TOTAL_BYTES {
        return Err(format!(
            "its {} images of {}×{} take {} MiB; at most {} MiB are read. Choose a smaller data.size",
            images.len(),
            size[0],
            size[1],
            total >> 20,
            MAX_TOTAL_BYTES >> 20
        ));
    }
    let [mut train, mut validation, mut test] = [const { Vec::new() }; 3];
    let mut large = Vec::new();
    for (image, header) in images.into_iter().zip(&headers) {
        if header.size[0] * header.size[1] > 64 * size[0] * size[1] {
            large.push(image.file.name.clone());
        }
        match image.part {
            Part::Train => train.push(image),
            Part::Validation => validation.push(image),
            Part::Test => test.push(image),
        }
    }
    let mut decoded = |part: Vec<Labelled>| reader.decode(part, size, channels, &mut broken);
    let (train, validation, test) = (decoded(train), decoded(validation), decoded(test));
    if train.len() == 0 {
        return Err(no_image(&broken));
    }
    let num_clear = reader.num_clear.load(Ordering::Relaxed);
    if num_clear > 0 {
        let what = counted(num_clear, "image with transparency is", "images with transparency are");
        choices.push(format!("{what} placed on black, or on white if the image is dark"));
    }
    if !broken.is_empty() {
        let what = counted(broken.len(), "image", "images");
        skipped.push(format!("{what} that cannot be read: {}", some_of(&broken)));
    }
    let settings = DataConfig {
        size: ImageSize::Fixed(size),
        color: if is_gray { ImageColor::Gray } else { ImageColor::Rgb },
        ..config.clone()
    };
    let mut gathered = Gathered::new(class_names, [channels, size[0], size[1]], train, settings);
    gathered.validation = (validation.len() > 0).then_some(validation);
    gathered.test = (test.len() > 0).then_some(test);
    if !large.is_empty() {
        gathered.warnings.push(format!(
            "{} more than 64 times the pixels that are used ({}); smaller copies would be read faster",
            counted(large.len(), "image has", "images have"),
            some_of(&large)
        ));
    }
    Ok(Gathered { choices, skipped, sizes, ..gathered })
}

/// Reads images on all threads.
struct Reader {
    /// Whether an image with colour was found. Then others need not be looked at.
    has_colour: AtomicBool,
    looks_for_colour: bool,
    /// The number of decoded images with transparent pixels.
    num_clear: AtomicUsize,
    keeps_whole: bool,
    /// Held while a large image is decoded.
    one_large: Mutex<()>,
}

impl Reader {
    fn new(config: &DataConfig) -> Self {
        Self {
            has_colour: AtomicBool::new(false),
            looks_for_colour: config.color == ImageColor::Auto,
            num_clear: AtomicUsize::new(0),
            keeps_whole: config.fit == ImageFit::Pad,
            one_large: Mutex::new(()),
        }
    }

    /// The header of an image.
    ///
    /// # Errors
    /// The name of the image, and why it cannot be read.
    fn header(&self, file: &NamedFile) -> Result<Header, String> {
        let (bytes, path) = (content(file)?, Path::new(&file.name));
        let header = picture::header(&bytes, path).map_err(|error| reason(&error))?;
        let [height, width] = header.size;
        let num_pixels = height.saturating_mul(width);
        if num_pixels > MAX_PIXELS {
            return Err(format!(
                "{} has {height}×{width} pixels, and at most {} megapixels are read",
                file.name,
                MAX_PIXELS >> 20
            ));
        }
        let may_have_colour =
            self.looks_for_colour && !header.is_gray && !self.has_colour.load(Ordering::Relaxed);
        if may_have_colour
            && !self.one_at_a_time(num_pixels, || picture::is_gray(&bytes, path)).unwrap_or(true)
        {
            self.has_colour.store(true, Ordering::Relaxed);
        }
        Ok(header)
    }

    /// The images of one part at one size; what cannot be read is left out and told in `broken`.
    fn decode(
        &self,
        part: Vec<Labelled>,
        size: [usize; 2],
        channels: usize,
        broken: &mut Vec<String>,
    ) -> Items {
        let num_values = channels * size[0] * size[1];
        let mut values = vec![0; part.len() * num_values];
        let read: Vec<Result<bool, String>> = values
            .par_chunks_mut(num_values)
            .enumerate()
            .map(|(at, out)| self.image(&part[at].file, size, out))
            .collect();
        let is_broken: Vec<bool> = read.iter().map(Result::is_err).collect();
        self.num_clear.fetch_add(
            read.iter().filter(|image| matches!(image, Ok(true))).count(),
            Ordering::Relaxed,
        );
        broken.extend(read.into_iter().filter_map(Result::err));
        let labels = part.iter().map(|image| image.class).collect();
        let names = part.into_iter().map(|image| image.file.name).collect();
        let mut items = Items { values: Values::Bytes(values), labels, names };
        if is_broken.contains(&true) {
            items.take(&is_broken);
        }
        items
    }

    /// Writes the pixels of an image to `out`, channel by channel. Returns whether it has transparent pixels.
    fn image(&self, file: &NamedFile, size: [usize; 2], out: &mut [u8]) -> Result<bool, String> {
        let (bytes, path) = (content(file)?, Path::new(&file.name));
        let refused = |error| reason(&error);
        let [height, width] = picture::header(&bytes, path).map_err(refused)?.size;
        let (picture, is_clear) = self
            .one_at_a_time(height.saturating_mul(width), || {
                picture::fitted(&bytes, path, size, self.keeps_whole)
            })
            .map_err(refused)?;
        let num_pixels = size[0] * size[1];
        match out.len() / num_pixels {
            1 => {
                let gray = image::DynamicImage::from(picture).into_luma8();
                out.copy_from_slice(&gray);
            }
            _ => {
                for (at, pixel) in picture.pixels().enumerate() {
                    (0..3).for_each(|k| out[k * num_pixels + at] = pixel.0[k]);
                }
            }
        }
        Ok(is_clear)
    }

    fn one_at_a_time<T>(&self, num_pixels: usize, work: impl FnOnce() -> T) -> T {
        let is_large = num_pixels > LARGE_PIXELS;
        let _turn = is_large.then(|| self.one_large.lock());
        work()
    }
}

/// The bytes of an image file.
fn content(file: &NamedFile) -> Result<Vec<u8>, String> {
    let bytes = file.read(MAX_FILE_BYTES).map_err(|error| format!("{}: {error}", file.name))?;
    match bytes.is_empty() {
        true => Err(format!("{} is empty", file.name)),
        false => Ok(bytes),
    }
}

/// The error and its causes in one line.
fn reason(error: &picture::PictureError) -> String {
    error.to_string().trim_start_matches("cannot read picture ").replace('\n', " ")
}

fn no_image(broken: &[String]) -> Reason {
    format!(
        "no image in it can be read: {}. It should hold PNG, JPEG, GIF, WebP or BMP files in one folder per class",
        some_of(broken)
    )
}

/// The sizes of the images with the number of each, the most frequent first.
fn sizes_of(headers: &[Header]) -> Vec<([usize; 2], usize)> {
    let mut counts = BTreeMap::new();
    for header in headers {
        *counts.entry(header.size).or_insert(0) += 1;
    }
    let mut sizes: Vec<_> = counts.into_iter().collect();
    sizes.sort_by_key(|&(size, count)| (std::cmp::Reverse(count), size));
    sizes
}

/// The size at which images are used, and why, in words.
fn size_of(wanted: ImageSize, sizes: &[([usize; 2], usize)]) -> ([usize; 2], String) {
    let (low, high) = (*CHOSEN_SIDES.start(), *CHOSEN_SIDES.end());
    let smallest = sizes.iter().map(|(size, _)| size[0].min(size[1])).min().unwrap_or(high);
    match (wanted, sizes) {
        (ImageSize::Fixed(size), _) => {
            (size, format!("size {}: as data.size says", ImageSize::Fixed(size)))
        }
        (ImageSize::Auto, [(size, _)])
            if size.iter().all(|side| (MIN_SIDE..=high).contains(side)) =>
        {
            (*size, format!("size {}: all images have it", ImageSize::Fixed(*size)))
        }
        (ImageSize::Auto, _) => {
            let side = smallest.clamp(low, high);
            let why = match smallest {
                _ if smallest < low => {
                    format!("the smallest side of an image is {smallest}, and {low} is the least")
                }
                _ if smallest > high => format!(
                    "images are larger, and {high} is the most that is chosen; data.size takes more"
                ),
                _ => "the smallest side of all images".into(),
            };
            ([side, side], format!("size {}: {why}", ImageSize::Fixed([side, side])))
        }
    }
}

/// Says what happens to images of another shape and to animations.
fn say_changes(headers: &[Header], size: [usize; 2], fit: ImageFit, choices: &mut Vec<String>) {
    let num_of = |is: &dyn Fn(&Header) -> bool| headers.iter().filter(|header| is(header)).count();
    let is_other = |header: &Header| header.size[0] * size[1] != header.size[1] * size[0];
    let num_other = num_of(&is_other);
    if num_other > 0 {
        let what = counted(num_other, "image of another shape is", "images of another shape are");
        choices.push(match fit {
            ImageFit::Crop => format!("{what} cut to the centre (data.fit = pad keeps all of it)"),
            ImageFit::Pad => format!("{what} padded with the mean colour of the border"),
        });
    }
    let num_moving = num_of(&|header| header.is_animated);
    if num_moving > 0 {
        let what = counted(num_moving, "animation", "animations");
        choices.push(format!("{what}: only the first frame is used"));
    }
}
