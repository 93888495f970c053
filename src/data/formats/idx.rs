//! IDX, the format of MNIST and Fashion-MNIST, plain or gzipped.

use std::path::{Path, PathBuf};

use super::{DataError, check_labels, read_named, unpack};
use crate::{assets, data::Dataset};

/// The folder of the set that travels with the program.
const EMBEDDED: &str = "fashion-mnist";

/// The files of that set.
pub(in crate::data) const EMBEDDED_FILES: [&str; 4] = [
    "fashion-mnist/train-images-idx3-ubyte.gz",
    "fashion-mnist/train-labels-idx1-ubyte.gz",
    "fashion-mnist/t10k-images-idx3-ubyte.gz",
    "fashion-mnist/t10k-labels-idx1-ubyte.gz",
];

/// Where bytes come from: a folder, or the program itself.
pub(super) enum Source<'a> {
    Folder(&'a Path),
    Embedded,
}

/// Training and test part, images (1, H, W).
pub(super) fn load(
    source: &Source,
    class_names: &[String],
) -> Result<(Dataset, Dataset), DataError> {
    Ok((load_part(source, "train", class_names)?, load_part(source, "t10k", class_names)?))
}

fn load_part(source: &Source, part: &str, class_names: &[String]) -> Result<Dataset, DataError> {
    let (images_path, images) = read_file(source, &format!("{part}-images"), "idx3")?;
    let (labels_path, labels) = read_file(source, &format!("{part}-labels"), "idx1")?;
    let ([num_images, height, width], pixels) = parse::<3>(&images_path, &images)?;
    let ([num_labels], labels) = parse::<1>(&labels_path, &labels)?;
    if num_images != num_labels {
        return Err(DataError::Count {
            images: images_path,
            num_images,
            labels: labels_path,
            num_labels,
        });
    }
    let labels: Vec<u32> = labels.iter().map(|&label| u32::from(label)).collect();
    check_labels(&labels_path, &labels, class_names.len())?;
    Ok(Dataset::from_bytes(pixels.to_vec(), labels, [1, height, width], class_names.to_vec()))
}

fn read_file(source: &Source, stem: &str, kind: &str) -> Result<(PathBuf, Vec<u8>), DataError> {
    // The hyphen became a dot in some mirrors.
    let plain = [format!("{stem}-{kind}-ubyte"), format!("{stem}.{kind}-ubyte")];
    let names: Vec<String> =
        plain.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match source {
        Source::Folder(dir) => read_named(dir, &names),
        Source::Embedded => {
            let here = |name: &&str| assets::get(&format!("{EMBEDDED}/{name}"));
            let found = names.iter().find_map(|name| Some((*name, here(name)?)));
            match found {
                Some((name, bytes)) => unpack(PathBuf::from(name), bytes.to_vec()),
                None => Err(DataError::Missing { names: names.join(", "), dir: EMBEDDED.into() }),
            }
        }
    }
}

/// Dimensions (N, H, W) and bytes of a file of images.
///
/// # Errors
/// It cannot be read, or is no such file.
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::data) fn read_images(path: &Path) -> Result<([usize; 3], Vec<u8>), DataError> {
    let bytes =
        std::fs::read(path).map_err(|source| DataError::Io { path: path.to_path_buf(), source })?;
    let (path, bytes) = unpack(path.to_path_buf(), bytes)?;
    let (dims, pixels) = parse::<3>(&path, &bytes)?;
    Ok((dims, pixels.to_vec()))
}

/// Dimensions and payload of an IDX file of unsigned bytes with `D` dimensions.
fn parse<'a, const D: usize>(
    path: &Path,
    bytes: &'a [u8],
) -> Result<([usize; D], &'a [u8]), DataError> {
    let header = 4 + 4 * D;
    if bytes.len() < header {
        let (path, found) = (path.to_path_buf(), bytes.len());
        return Err(DataError::Length { path, expected: header, found });
    }
    if bytes[..4] != [0, 0, 8, D as u8] {
        return Err(DataError::Format {
            path: path.to_path_buf(),
            expected: if D == 3 { "an IDX file of images" } else { "an IDX file of labels" },
            found: format!("it begins with {:02x?} instead of {:02x?}", &bytes[..4], [0, 0, 8, D]),
        });
    }
    let dims: [usize; D] = std::array::from_fn(|d| {
        let at = 4 + 4 * d;
        u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
    });
    let expected = dims.iter().fold(1usize, |n, &dim| n.saturating_mul(dim)).saturating_add(header);
    if bytes.len() != expected {
        let (path, found) = (path.to_path_buf(), bytes.len());
        return Err(DataError::Length { path, expected, found });
    }
    Ok((dims, &bytes[header..]))
}
