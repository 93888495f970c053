//! How the user's data sets and pictures are read, refused and described.

mod folders;
mod idx;
mod loose;
mod official;
mod pictures;

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use jempp::{
    config::DataConfig,
    data::{self, Splits},
};

/// The bytes of an IDX file of unsigned bytes.
fn idx_file(dims: &[u32], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    file.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    file.extend(bytes);
    file
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes the four files of a set in MNIST's format: images of 8×8 whose first pixel is `mark`, with these labels.
fn write_set(dir: &Path, mark: u8, train: &[u8], test: &[u8]) {
    fs::create_dir_all(dir).unwrap();
    for (part, labels) in [("train", train), ("t10k", test)] {
        let count = labels.len() as u32;
        let mut pixels: Vec<u8> = (0..count * 64).map(|at| (at * 7 % 251) as u8).collect();
        pixels.chunks_mut(64).for_each(|image| image[0] = mark);
        fs::write(dir.join(format!("{part}-images-idx3-ubyte")), idx_file(&[count, 8, 8], &pixels))
            .unwrap();
        fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), idx_file(&[count], labels))
            .unwrap();
    }
}

/// The labels from `from` to `to`, each twice.
fn twice(from: u8, to: u8) -> Vec<u8> {
    (from..=to).chain(from..=to).collect()
}

fn config(dataset: &str, dir: &Path) -> DataConfig {
    let text =
        format!("data = {{ dataset = '{dataset}', dir = '{}', batch_size = 1 }}", dir.display());
    jempp::config::RunConfig::default().with_toml(&text).unwrap().data
}

fn load(dataset: &str, dir: &Path) -> Result<Splits, String> {
    data::load(&config(dataset, dir), 0).map_err(|error| error.to_string())
}

fn refused(dataset: &str, dir: &Path) -> String {
    load(dataset, dir).map(|splits| splits.describe()).unwrap_err()
}

/// The first byte of the first image.
fn mark(splits: &Splits) -> u8 {
    ((splits.train.gather([0])[0] + 1.0) * 127.5).round() as u8
}
