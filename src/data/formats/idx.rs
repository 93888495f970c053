//! IDX, the format of MNIST and Fashion-MNIST, plain or gzipped.
//!
//! # Source
//! The header as on <http://yann.lecun.com/exdb/mnist/>: two zero bytes, the element type, the number of dimensions,
//! and every dimension as a big-endian four-byte integer.

use std::path::Path;
#[cfg(not(target_arch = "wasm32"))]
use std::path::PathBuf;

use super::input::Input;
use crate::{
    assets,
    data::{DataError, Dataset, Values},
};

/// The files of the embedded data set: training images and labels, then test images and labels.
pub(in crate::data) const EMBEDDED_FILES: [&str; 4] = [
    "fashion-mnist/train-images-idx3-ubyte.gz",
    "fashion-mnist/train-labels-idx1-ubyte.gz",
    "fashion-mnist/t10k-images-idx3-ubyte.gz",
    "fashion-mnist/t10k-labels-idx1-ubyte.gz",
];

/// The codes of the element types that are read.
const BYTES: u8 = 8;
const SIGNED_BYTES: u8 = 9;
const SHORTS: u8 = 11;
const INTS: u8 = 12;

const IMAGES: &str = "an IDX file of images";
const LABELS: &str = "an IDX file of labels";

/// The possible names of the same four files in a folder: plain or gzipped, with grey or colour images.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn files() -> Vec<Vec<String>> {
    let names = |(part, dims): (&str, &[u32])| {
        // Some mirrors replaced the hyphen by a dot.
        let plain = dims
            .iter()
            .flat_map(|dims| ["-", "."].map(|dot| format!("{part}{dot}idx{dims}-ubyte")));
        plain.flat_map(|name| [name.clone(), format!("{name}.gz")]).collect()
    };
    let images: &[u32] = &[3, 4];
    let parts = [
        ("train-images", images),
        ("train-labels", &[1]),
        ("t10k-images", images),
        ("t10k-labels", &[1]),
    ];
    parts.into_iter().map(names).collect()
}

/// Reads the training and test part from the four files, images (C, H, W).
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn load(files: &[PathBuf], known: &[&str]) -> Result<(Dataset, Dataset), DataError> {
    let inputs = files.iter().map(|path| Input::open(path)).collect::<Result<_, _>>()?;
    load_inputs(inputs, known)
}

/// Reads the training and test part of the embedded data set.
pub(super) fn load_embedded(known: &[&str]) -> Result<(Dataset, Dataset), DataError> {
    let open = |name: &&'static str| match assets::get(name) {
        Some(bytes) => Input::of_bytes(Path::new(name), bytes),
        None => Err(DataError::Missing {
            names: name.to_string(),
            dir: "the program".into(),
            hint: String::new(),
        }),
    };
    load_inputs(EMBEDDED_FILES.iter().map(open).collect::<Result<_, _>>()?, known)
}

fn load_inputs(inputs: Vec<Input>, known: &[&str]) -> Result<(Dataset, Dataset), DataError> {
    let Ok([train_images, train_labels, test_images, test_labels]) = <[Input; 4]>::try_from(inputs)
    else {
        unreachable!("there are four files")
    };
    let test_path = test_labels.path.clone();
    let train = Part::read(train_images, train_labels)?;
    let test = Part::read(test_images, test_labels)?;
    // The classes are the distinct labels of the training part, whatever their number and values.
    let mut labels = train.labels.clone();
    labels.sort_unstable();
    labels.dedup();
    let mut unknown: Vec<u8> =
        test.labels.iter().copied().filter(|label| labels.binary_search(label).is_err()).collect();
    unknown.sort_unstable();
    unknown.dedup();
    if !unknown.is_empty() && !train.labels.is_empty() {
        let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
        return Err(DataError::UnknownLabels { path: test_path, labels: unknown.join(", ") });
    }
    let is_known = labels.iter().all(|&label| usize::from(label) < known.len());
    let name = |&label: &u8| match is_known {
        true => known[usize::from(label)].to_string(),
        false => label.to_string(),
    };
    let names: Vec<String> = labels.iter().map(name).collect();
    Ok((train.into_dataset(&labels, &names), test.into_dataset(&labels, &names)))
}

/// Images and labels as stored in the files.
pub(in crate::data) struct Part {
    pub(in crate::data) shape: [usize; 3],
    pub(in crate::data) pixels: Vec<u8>,
    pub(in crate::data) labels: Vec<u8>,
}

impl Part {
    /// Reads a file of images and the file of their labels.
    ///
    /// # Errors
    /// A file cannot be read, or is no such IDX file, or their numbers differ.
    pub(in crate::data) fn read(images: Input, labels: Input) -> Result<Self, DataError> {
        let (images_path, labels_path) = (images.path.clone(), labels.path.clone());
        let (num_images, shape, pixels) = parse_images(images)?;
        let (dims, labels) = parse_labels(labels)?;
        if num_images != dims[0] {
            return Err(DataError::Count {
                images: images_path,
                num_images,
                labels: labels_path,
                num_labels: dims[0],
            });
        }
        Ok(Self { shape, pixels, labels })
    }

    /// The class of an item is the index of its label among the sorted labels.
    fn into_dataset(self, labels: &[u8], names: &[String]) -> Dataset {
        let class = |label| labels.partition_point(|&other| other < label) as u32;
        let classes = self.labels.iter().map(|&label| class(label)).collect();
        let values = Values::Bytes(self.pixels);
        Dataset { values, labels: classes, shape: self.shape, class_names: names.to_vec() }
    }
}

/// The number of dimensions of an IDX file of bytes, or of labels as wider integers; `None` for other files.
pub(in crate::data) fn num_dims(mut input: Input) -> Option<u8> {
    match input.take(4).ok()?[..] {
        [0, 0, BYTES, dims] => Some(dims),
        [0, 0, SIGNED_BYTES | SHORTS | INTS, 1] => Some(1),
        _ => None,
    }
}

/// Reads the number, shape (C, H, W) and bytes of the images in a file.
///
/// # Errors
/// The file cannot be read, or is not an IDX file of images.
#[cfg(not(target_arch = "wasm32"))]
pub(in crate::data) fn read_images(path: &Path) -> Result<(usize, [usize; 3], Vec<u8>), DataError> {
    parse_images(Input::open(path)?)
}

/// Parses images of shape (N, H, W), (N, 1, H, W), (N, 3, H, W) or with the channels last.
fn parse_images(input: Input) -> Result<(usize, [usize; 3], Vec<u8>), DataError> {
    let path = input.path.clone();
    let (dims, _, bytes) = parse(input, IMAGES, &[3, 4], &[BYTES])?;
    let wrong = |found| Err(DataError::Format { path, expected: IMAGES, found });
    // The stated size of absent images does not matter.
    if dims[0] > 0 && dims.contains(&0) {
        return wrong(format!("its shape {dims:?} holds nothing"));
    }
    match dims[..] {
        [count, h, w] => Ok((count, [1, h, w], bytes)),
        [count, c @ (1 | 3), h, w] if !matches!(w, 1 | 3) => Ok((count, [c, h, w], bytes)),
        [count, h, w, c @ (1 | 3)] if !matches!(h, 1 | 3) => {
            let size = bytes.len().checked_div(count).unwrap_or(1);
            let planes = bytes.chunks(size).flat_map(|image| {
                (0..c).flat_map(move |k| image.iter().skip(k).step_by(c).copied())
            });
            Ok((count, [c, h, w], planes.collect()))
        }
        _ => wrong(format!(
            "its shape {dims:?} is neither (N, C, H, W) nor (N, H, W, C) of one or three channels C"
        )),
    }
}

/// Parses labels from 0 to 255, as bytes or as wider integers.
fn parse_labels(input: Input) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let path = input.path.clone();
    let kinds = [BYTES, SIGNED_BYTES, SHORTS, INTS];
    let (dims, kind, bytes) = parse(input, LABELS, &[1], &kinds)?;
    let most = if kind == SIGNED_BYTES { 127 } else { 255 };
    let values = bytes.chunks_exact(size_of(kind)).map(|value| match value {
        [before @ .., last] if before.iter().all(|&byte| byte == 0) && *last <= most => Some(*last),
        _ => None,
    });
    match values.collect() {
        Some(labels) => Ok((dims, labels)),
        None => Err(DataError::Format {
            path,
            expected: LABELS,
            found: "a label in it is not from 0 to 255".into(),
        }),
    }
}

/// The number of bytes of an element of this type.
fn size_of(kind: u8) -> usize {
    match kind {
        SHORTS => 2,
        INTS => 4,
        _ => 1,
    }
}

/// Parses an IDX file into dimensions, element type and payload; `allowed` lists the valid numbers of dimensions, and
/// `kinds` the valid element types.
fn parse(
    mut input: Input,
    expected: &'static str,
    allowed: &[u8],
    kinds: &[u8],
) -> Result<(Vec<usize>, u8, Vec<u8>), DataError> {
    let path = input.path.clone();
    let wrong = |found| Err(DataError::Format { path: path.clone(), expected, found });
    let start = input.take(4)?;
    let [zero, other, kind, num_dims] = start[..] else { unreachable!("four bytes were read") };
    let name = match kind {
        BYTES => Some("unsigned bytes"),
        SIGNED_BYTES => Some("signed bytes"),
        SHORTS => Some("16-bit integers"),
        INTS => Some("32-bit integers"),
        13 => Some("32-bit floats"),
        14 => Some("64-bit floats"),
        _ => None,
    };
    let Some(name) = name.filter(|_| [zero, other] == [0, 0]) else {
        return wrong(format!(
            "it begins with {start:02x?} instead of [00, 00, 08, {:02x}]",
            allowed[0]
        ));
    };
    if !kinds.contains(&kind) {
        return wrong(format!("its elements are {name}; unsigned bytes are read"));
    }
    if !allowed.contains(&num_dims) {
        return wrong(format!("it has {num_dims} dimensions instead of {}", allowed[0]));
    }
    let dims = input.take(4 * usize::from(num_dims))?;
    let dims = dims.chunks_exact(4).map(|d| u32::from_be_bytes([d[0], d[1], d[2], d[3]]) as usize);
    let dims: Vec<usize> = dims.collect();
    let num_bytes = dims.iter().fold(size_of(kind), |product, &dim| product.saturating_mul(dim));
    let bytes = input.take(num_bytes)?;
    input.finish()?;
    Ok((dims, kind, bytes))
}
