//! CIFAR's binary version: records of one or two labels and 3·32·32 bytes.

use std::path::Path;

use super::{CIFAR10_CLASSES, DataError, check_labels, owned, read_named};
use crate::data::Dataset;

#[derive(Clone, Copy)]
struct Layout {
    label_bytes: usize,
    label_at: usize,
}

/// Training and test part of CIFAR-10, images (3, 32, 32).
pub(super) fn load_10(dir: &Path) -> Result<(Dataset, Dataset), DataError> {
    let train: Vec<String> = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
    let train: Vec<&str> = train.iter().map(String::as_str).collect();
    let classes = owned(&CIFAR10_CLASSES);
    let layout = Layout { label_bytes: 1, label_at: 0 };
    Ok((
        load_part(dir, &train, layout, classes.clone())?,
        load_part(dir, &["test_batch.bin"], layout, classes)?,
    ))
}

/// Training and test part of CIFAR-100, images (3, 32, 32), fine labels.
pub(super) fn load_100(dir: &Path) -> Result<(Dataset, Dataset), DataError> {
    let classes: Vec<String> = match read_named(dir, &["fine_label_names.txt"]) {
        Ok((_, text)) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect()
        }
        // The names are an extra of the archive; the numbers serve as well.
        Err(_) => Vec::new(),
    };
    let classes = if classes.len() == 100 {
        classes
    } else {
        (0..100).map(|class| format!("class {class}")).collect()
    };
    let layout = Layout { label_bytes: 2, label_at: 1 };
    Ok((
        load_part(dir, &["train.bin"], layout, classes.clone())?,
        load_part(dir, &["test.bin"], layout, classes)?,
    ))
}

fn load_part(
    dir: &Path,
    files: &[&str],
    layout: Layout,
    class_names: Vec<String>,
) -> Result<Dataset, DataError> {
    const PIXELS: usize = 3 * 32 * 32;
    let record = layout.label_bytes + PIXELS;
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let (path, bytes) = read_named(dir, &[file, &format!("{file}.gz")])?;
        if bytes.is_empty() || bytes.len() % record != 0 {
            let expected = (bytes.len() / record + 1) * record;
            return Err(DataError::Length { path, expected, found: bytes.len() });
        }
        let first = labels.len();
        for item in bytes.chunks(record) {
            labels.push(u32::from(item[layout.label_at]));
            pixels.extend_from_slice(&item[layout.label_bytes..]);
        }
        check_labels(&path, &labels[first..], class_names.len())?;
    }
    Ok(Dataset::from_bytes(pixels, labels, [3, 32, 32], class_names))
}
