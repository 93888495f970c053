//! Images of any size and format from a list of files, brought to one size.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use jempp_cpu::parallel::*;

use super::{
    MAX_ITEMS, MAX_TOTAL_BYTES, Reason,
    items::{Gathered, Items, some_of},
    layout::{Labelled, Layout, layout},
    named::{Files, NamedFile},
    parts::Part,
};
use crate::{
    config::{DataConfig, ImageColor, ImageFit, ImageSize},
    counts::counted,
    data::Values,
    picture::{self, Fitted, Header},
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
    let Layout { class_names, files, mut choices, mut skipped, warnings } = layout(found)?;
    if files.len() > MAX_ITEMS {
        return Err(format!("it holds {} images; at most {MAX_ITEMS} are read", files.len()));
    }
    let has = Part::ALL.map(|part| files.iter().any(|file| file.part == part));
    let reader = Reader::new(config);
    let mut broken = Vec::new();
    let mut images: Vec<Image> = Vec::new();
    let read: Vec<_> =
        (0..files.len()).into_par_iter().map(|at| reader.header(&files[at].file)).collect();
    for (labelled, header) in files.into_iter().zip(read) {
        match header {
            Ok(header) => images.push((labelled, header)),
            Err(reason) => broken.push(reason),
        }
    }
    let is_gray = match config.color {
        ImageColor::Gray => true,
        ImageColor::Rgb => false,
        ImageColor::Auto => !reader.has_colour.load(Ordering::Relaxed),
    };
    let channels = if is_gray { 1 } else { 3 };
    let (size, decoded) = loop {
        if images.is_empty() {
            return Err(no_image(&broken));
        }
        let (size, _) = size_of(config.size, &sizes_of(&images));
        check_total(images.len(), size, channels)?;
        let decoded = Part::ALL.map(|part| reader.decode(&images, part, size, channels));
        let num_before = images.len();
        let mut reasons: HashMap<String, String> = HashMap::new();
        for part in &decoded {
            reasons.extend(part.broken.iter().cloned());
        }
        images.retain(|(image, _)| match reasons.remove(&image.file.name) {
            Some(reason) => {
                broken.push(reason);
                false
            }
            None => true,
        });
        // What cannot be decoded has no say in the size.
        if images.len() == num_before || size_of(config.size, &sizes_of(&images)).0 == size {
            break (size, decoded);
        }
    };
    let sizes = sizes_of(&images);
    choices.push(size_of(config.size, &sizes).1);
    if config.color == ImageColor::Auto {
        let why = if is_gray { "grey: all images are" } else { "colour: some images have it" };
        choices.push(why.to_string());
    }
    say_changes(&images, size, config.fit, &mut choices);
    let num_clear: usize = decoded.iter().map(|part| part.num_clear).sum();
    let largest = decoded.iter().filter_map(|part| part.largest_of_16_bits).max();
    let [train, validation, test] = decoded.map(|part| part.items);
    if has[0] && train.len() == 0 {
        return Err(no_image(&broken));
    }
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
    gathered.validation = has[1].then_some(validation);
    gathered.test = has[2].then_some(test);
    gathered.warnings.extend(warnings);
    if config.size == ImageSize::Auto {
        gathered.warnings.extend(shrunk(&images, size));
    }
    gathered.warnings.extend(largest.and_then(dark));
    let is_large = |(_, header): &&Image| header.size[0] * header.size[1] > 64 * size[0] * size[1];
    let large = names_of(images.iter().filter(is_large));
    if !large.is_empty() {
        gathered.warnings.push(format!(
            "{} more than 64 times the pixels that are used ({}); smaller copies would be read faster",
            counted(large.len(), "image has", "images have"),
            some_of(&large)
        ));
    }
    Ok(Gathered { choices, skipped, sizes, ..gathered })
}

/// A file of an image, and what it says about its pixels.
type Image = (Labelled, Header);

fn names_of<'a>(images: impl Iterator<Item = &'a Image>) -> Vec<String> {
    images.map(|(image, _)| image.file.name.clone()).collect()
}

/// Checks the bytes of all images together.
///
/// # Errors
/// They are more than are read.
fn check_total(count: usize, size: [usize; 2], channels: usize) -> Result<(), Reason> {
    let total = count.saturating_mul(channels * size[0] * size[1]);
    match total as u64 > MAX_TOTAL_BYTES {
        true => Err(format!(
            "its {count} images of {}×{} take {} MiB; at most {} MiB are read. Choose a smaller data.size",
            size[0],
            size[1],
            total >> 20,
            MAX_TOTAL_BYTES >> 20
        )),
        false => Ok(()),
    }
}

/// A warning if a few small images make the chosen size much smaller than the others ask for.
fn shrunk(images: &[Image], [height, width]: [usize; 2]) -> Option<String> {
    /// One of so many images is a few, and by this factor a side is much smaller.
    const FEW: usize = 10;
    const MUCH: usize = 2;
    let side = |(_, header): &Image| {
        let side = header.size[0].min(header.size[1]);
        side.clamp(*CHOSEN_SIDES.start(), *CHOSEN_SIDES.end())
    };
    let mut sides: Vec<usize> = images.iter().map(side).collect();
    sides.sort_unstable();
    let usual = sides[sides.len() / FEW];
    let is_small = |image: &&Image| MUCH * side(image) <= usual;
    let small = names_of(images.iter().filter(is_small));
    (!small.is_empty() && MUCH * height.min(width) <= usual).then(|| {
        format!(
            "{} ({}); leave out what is too small, or set data.size",
            counted(
                small.len(),
                "image is much smaller than most and sets the size of all",
                "images are much smaller than most and set the size of all"
            ),
            some_of(&small)
        )
    })
}

/// A warning if the images of 16 bits are dark, as those of a camera or a microscope with 10 or 12 bits are. `largest` is
/// their largest value.
fn dark(largest: u16) -> Option<String> {
    (1..1 << 15).contains(&largest).then(|| {
        format!(
            "the images of 16 bits are dark: values are read as 0 to 65535, and the largest is {largest}; save them times {}",
            u16::MAX / largest
        )
    })
}

/// Reads images on all threads.
struct Reader {
    /// Whether an image with colour was found. Then others need not be looked at.
    has_colour: AtomicBool,
    looks_for_colour: bool,
    keeps_whole: bool,
    /// Held while a large image is decoded.
    one_large: Mutex<()>,
}

impl Reader {
    fn new(config: &DataConfig) -> Self {
        Self {
            has_colour: AtomicBool::new(false),
            looks_for_colour: config.color == ImageColor::Auto,
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
                "{} has {height}×{width} pixels (height×width), and at most {} megapixels are read",
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

    /// The images of one part at one size.
    fn decode(&self, images: &[Image], part: Part, size: [usize; 2], channels: usize) -> Decoded {
        let own = images.iter().map(|(image, _)| image).filter(|image| image.part == part);
        let own: Vec<&Labelled> = own.collect();
        let num_values = channels * size[0] * size[1];
        let mut values = vec![0; own.len() * num_values];
        let read: Vec<Result<Seen, String>> = values
            .par_chunks_mut(num_values)
            .enumerate()
            .map(|(at, out)| self.image(&own[at].file, size, out))
            .collect();
        let is_broken: Vec<bool> = read.iter().map(Result::is_err).collect();
        let num_clear = read.iter().flatten().filter(|seen| seen.is_clear).count();
        let largest_of_16_bits =
            read.iter().flatten().filter_map(|seen| seen.largest_of_16_bits).max();
        let labels = own.iter().map(|image| image.class).collect();
        let names = own.iter().map(|image| image.file.name.clone()).collect();
        let mut items = Items { values: Values::Bytes(values), labels, names };
        if is_broken.contains(&true) {
            items.take(&is_broken);
        }
        let named = own.iter().map(|image| image.file.name.clone()).zip(read);
        let broken = named.filter_map(|(name, image)| Some((name, image.err()?))).collect();
        Decoded { items, num_clear, largest_of_16_bits, broken }
    }

    /// Writes the pixels of an image to `out`, channel by channel.
    fn image(&self, file: &NamedFile, size: [usize; 2], out: &mut [u8]) -> Result<Seen, String> {
        let (bytes, path) = (content(file)?, Path::new(&file.name));
        let refused = |error| reason(&error);
        let [height, width] = picture::header(&bytes, path).map_err(refused)?.size;
        let Fitted { picture, is_clear, largest_of_16_bits } = self
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
        Ok(Seen { is_clear, largest_of_16_bits })
    }

    /// Does work on an image, alone if it is large.
    fn one_at_a_time<T>(&self, num_pixels: usize, work: impl FnOnce() -> T) -> T {
        let is_large = num_pixels > LARGE_PIXELS;
        let _turn = is_large.then(|| self.one_large.lock());
        work()
    }
}

/// What is in the file of an image, but not in its pixels at one size.
struct Seen {
    is_clear: bool,
    largest_of_16_bits: Option<u16>,
}

/// The images of a part.
struct Decoded {
    items: Items,
    /// The number of images with transparent pixels.
    num_clear: usize,
    /// The largest value of the images with 16 bits a value; `None` if there are none.
    largest_of_16_bits: Option<u16>,
    /// The names of the images that were left out, and why.
    broken: Vec<(String, String)>,
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
fn sizes_of(images: &[Image]) -> Vec<([usize; 2], usize)> {
    let mut counts = BTreeMap::new();
    for (_, header) in images {
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
fn say_changes(images: &[Image], size: [usize; 2], fit: ImageFit, choices: &mut Vec<String>) {
    let num_of =
        |is: &dyn Fn(&Header) -> bool| images.iter().filter(|(_, header)| is(header)).count();
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
