//! The binary version of CIFAR: records of one or two labels and 3·32·32 bytes.

use std::path::{Path, PathBuf};

use super::{DataError, check_labels, input::Input};
use crate::{
    data::{
        Dataset,
        sets::{CIFAR10_CLASSES, owned},
    },
    files,
};

/// The files of CIFAR-10; the test part is last.
pub(super) const FILES_10: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
/// The files of CIFAR-100.
pub(super) const FILES_100: [&str; 2] = ["train.bin", "test.bin"];
/// The optional file of the archive with the names of the 100 classes, one per line.
const NAMES: &str = "fine_label_names.txt";
/// Limit on the images of one file: the total number of CIFAR images.
const MOST_IMAGES: usize = 60_000;
const PIXELS: usize = 3 * 32 * 32;

#[derive(Clone, Copy)]
struct Layout {
    label_bytes: usize,
    label_at: usize,
}

/// The possible names of each of these files: plain or gzipped.
pub(super) fn files(names: &[&str]) -> Vec<Vec<String>> {
    names.iter().map(|name| vec![name.to_string(), format!("{name}.gz")]).collect()
}

/// Reads the training and test part of CIFAR-10 from [`FILES_10`], images (3, 32, 32).
pub(super) fn load_10(files: &[PathBuf]) -> Result<(Dataset, Dataset), DataError> {
    load(files, Layout { label_bytes: 1, label_at: 0 }, &owned(&CIFAR10_CLASSES))
}

/// Reads the training and test part of CIFAR-100 from [`FILES_100`], images (3, 32, 32), with fine labels.
pub(super) fn load_100(files: &[PathBuf]) -> Result<(Dataset, Dataset), DataError> {
    // Without the file of names, classes are called by number.
    let names = files[0].parent().and_then(|dir| class_names(&dir.join(NAMES)));
    let names = names.unwrap_or_else(|| (0..100).map(|class| format!("class {class}")).collect());
    load(files, Layout { label_bytes: 2, label_at: 1 }, &names)
}

fn class_names(path: &Path) -> Option<Vec<String>> {
    let text = files::read_at_most(path, 1 << 16).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<String> = lines.map(Into::into).collect();
    (names.len() == 100).then_some(names)
}

fn load(
    files: &[PathBuf],
    layout: Layout,
    names: &[String],
) -> Result<(Dataset, Dataset), DataError> {
    let [train @ .., _] = files else { unreachable!("there are at least two files") };
    Ok((load_part(train, layout, names)?, load_part(&files[train.len()..], layout, names)?))
}

fn load_part(files: &[PathBuf], layout: Layout, names: &[String]) -> Result<Dataset, DataError> {
    let record = layout.label_bytes + PIXELS;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in files {
        let bytes = Input::open(path)?.read_all((MOST_IMAGES * record) as u64)?;
        if bytes.is_empty() || bytes.len() % record != 0 {
            let expected = (bytes.len() / record + 1) * record;
            let found = bytes.len().to_string();
            return Err(DataError::Length { path: path.clone(), expected, found });
        }
        let first = labels.len();
        for item in bytes.chunks(record) {
            labels.push(u32::from(item[layout.label_at]));
            pixels.extend_from_slice(&item[layout.label_bytes..]);
        }
        check_labels(path, &labels[first..], names.len())?;
    }
    Dataset::from_bytes(pixels, labels, [3, 32, 32], names.to_vec())
}
