//! The user's own data sets: folders of pictures, arrays, IDX files and tables of points.

mod arrays;
mod auto;
mod bad;
mod command;
mod folders;
mod part_folders;
mod parts;
mod pictures;
mod points;
mod resumed;
mod zips;

use std::{fs, path::Path};

use image::{ImageFormat, Rgb, RgbImage};
use jempp::{
    config::RunConfig,
    data::{self, Splits},
};

/// Reads the user's own data at `path` with these settings.
fn load_with(path: &Path, settings: &[&str]) -> Result<Splits, String> {
    let mut config = RunConfig::default();
    for setting in ["data.dataset=custom", "data.batch_size=1"].iter().chain(settings) {
        config = config.with_assignment(setting).map_err(|error| error.to_string())?;
    }
    config.data.dir = path.display().to_string();
    data::load(&config.data, config.seed).map_err(|error| error.to_string())
}

fn load(path: &Path) -> Splits {
    load_with(path, &[]).unwrap()
}

fn refused(path: &Path) -> String {
    load_with(path, &[]).map(|splits| splits.describe()).unwrap_err()
}

/// A picture of one colour but for a gradient, so that no two are alike.
fn picture(colour: [u8; 3], width: u32, height: u32, salt: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(colour.map(|value| value.saturating_add(((x * 7 + y * 3 + salt * 11) % 23) as u8)))
    })
}

/// Writes a picture, whatever the ending of its name.
fn save(picture: &RgbImage, path: &Path, format: ImageFormat) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture.save_with_format(path, format).unwrap();
}

/// Writes `count` grey PNG pictures of a class.
fn class(root: &Path, name: &str, count: u32, width: u32, height: u32) {
    let shade = name.bytes().fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % 200;
    for item in 0..count {
        let picture = picture([shade; 3], width, height, item);
        save(&picture, &root.join(name).join(format!("{item}.png")), ImageFormat::Png);
    }
}

/// The number of items of each class in a part.
fn counts(data: &data::Dataset) -> Vec<usize> {
    (0..data.num_classes())
        .map(|class| data.labels.iter().filter(|&&label| label as usize == class).count())
        .collect()
}

/// The bytes with every place of one name holding another of the same length.
fn renamed(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
    bytes
}
