//! The official file formats: IDX (plain or gzipped) and CIFAR's binary version.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;

use super::Dataset;
use crate::config::DatasetName;

/// Why a data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A data set that lives in files was asked for without a folder.
    #[error("data set `{dataset}` is read from files; name their folder with --data DIR")]
    NoDir {
        /// The data set.
        dataset: String,
    },
    /// None of the names a file may have exists.
    #[error("missing data file: none of {names} in {dir}")]
    Missing {
        /// The names looked for.
        names: String,
        /// The folder looked in.
        dir: PathBuf,
    },
    /// The operating system refused the read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not what its name says.
    #[error("{path} is not {expected}: {found}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The format looked for.
        expected: &'static str,
        /// What stands there instead.
        found: String,
    },
    /// The file is too short or too long.
    #[error("{path} is truncated or corrupt: expected {expected} bytes, found {found}")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes its header (or its format) promises, after unpacking.
        expected: usize,
        /// Bytes that are there, after unpacking.
        found: usize,
    },
    /// A label past the number of classes.
    #[error(
        "{path} is corrupt: label {label} at item {index}, but there are {num_classes} classes"
    )]
    Label {
        /// The file.
        path: PathBuf,
        /// The label found.
        label: u32,
        /// Which item.
        index: usize,
        /// How many classes the data set has.
        num_classes: usize,
    },
    /// Images and labels do not pair up.
    #[error("{images} holds {num_images} images but {labels} holds {num_labels} labels")]
    Count {
        /// The image file.
        images: PathBuf,
        /// Images in it.
        num_images: usize,
        /// The label file.
        labels: PathBuf,
        /// Labels in it.
        num_labels: usize,
    },
    /// Images of two sizes, or of none.
    #[error(
        "the training images have shape {train:?} and the test images {test:?} (C, H, W); they must be \
         equal and not empty"
    )]
    Shapes {
        /// Of the training part.
        train: [usize; 3],
        /// Of the test part.
        test: [usize; 3],
    },
    /// Nothing would be left to train on.
    #[error("data.num_validation = {num_validation} leaves nothing of {num_train} training images")]
    TooMuchValidation {
        /// Images to hold out.
        num_validation: usize,
        /// Images there are.
        num_train: usize,
    },
    /// Not one whole batch.
    #[error("data.batch_size = {batch_size} is more than the {num_train} training images")]
    BatchTooLarge {
        /// Images per step.
        batch_size: usize,
        /// Images there are.
        num_train: usize,
    },
}

const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

macro_rules! embedded {
    ($($name:literal),*) => {
        &[$(($name, include_bytes!(concat!("../../assets/fashion-mnist/", $name)).as_slice())),*]
    };
}

/// 5,000 + 1,000 Fashion-MNIST images; made by `assets/make_fashion_mnist.py`.
const EMBEDDED: &[(&str, &[u8])] = embedded!(
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz"
);

/// Where bytes come from: a folder, or the program itself.
enum Source<'a> {
    Folder(&'a Path),
    Embedded,
}

/// Whether the data set lives in files of the person's own.
pub(super) fn needs_dir(dataset: DatasetName) -> bool {
    use DatasetName::{Cifar10, Cifar100, FashionMnist, Mnist};
    matches!(dataset, FashionMnist | Mnist | Cifar10 | Cifar100)
}

/// The data set's name as `--dataset` takes it.
pub(super) fn cli_name(dataset: DatasetName) -> String {
    match toml::Value::try_from(dataset) {
        Ok(toml::Value::String(name)) => name,
        _ => unreachable!("a data set's name is a word"),
    }
}

/// Names of the classes, where they are known without the files.
pub(super) fn class_names(dataset: DatasetName) -> Option<Vec<String>> {
    use DatasetName::{Cifar10, Cifar100, FashionMnist, FashionMnistEmbedded, Mnist};
    let names = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    match dataset {
        FashionMnistEmbedded | FashionMnist => names(&FASHION_CLASSES),
        Mnist => Some((0..10).map(|digit| digit.to_string()).collect()),
        Cifar10 => names(&CIFAR10_CLASSES),
        Cifar100 => Some((0..100).map(|class| format!("class {class}")).collect()),
        _ => None,
    }
}

/// Training and test part of an image set.
pub(super) fn load(dataset: DatasetName, dir: &Path) -> Result<(Dataset, Dataset), DataError> {
    let digits = || (0..10).map(|digit| digit.to_string()).collect::<Vec<_>>();
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    match dataset {
        DatasetName::FashionMnistEmbedded => idx(&Source::Embedded, names(&FASHION_CLASSES)),
        DatasetName::FashionMnist => idx(&Source::Folder(dir), names(&FASHION_CLASSES)),
        DatasetName::Mnist => idx(&Source::Folder(dir), digits()),
        DatasetName::Cifar10 => {
            let train: Vec<String> = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
            let train: Vec<&str> = train.iter().map(String::as_str).collect();
            let classes = names(&CIFAR10_CLASSES);
            let layout = CifarLayout { label_bytes: 1, label_at: 0 };
            Ok((
                cifar(dir, &train, layout, classes.clone())?,
                cifar(dir, &["test_batch.bin"], layout, classes)?,
            ))
        }
        DatasetName::Cifar100 => {
            let classes: Vec<String> = match read_named(dir, &["fine_label_names.txt"]) {
                Ok((_, text)) => {
                    let text = String::from_utf8_lossy(&text).into_owned();
                    text.lines()
                        .map(str::trim)
                        .filter(|line| !line.is_empty())
                        .map(Into::into)
                        .collect()
                }
                // The names are an extra of the archive; the numbers serve as well.
                Err(_) => Vec::new(),
            };
            let classes = if classes.len() == 100 {
                classes
            } else {
                (0..100).map(|class| format!("class {class}")).collect()
            };
            let layout = CifarLayout { label_bytes: 2, label_at: 1 };
            Ok((
                cifar(dir, &["train.bin"], layout, classes.clone())?,
                cifar(dir, &["test.bin"], layout, classes)?,
            ))
        }
        _ => unreachable!("2-D densities are drawn, not read"),
    }
}

/// Bytes of a file found in `dir` or one level below (where archives unpack to), unpacked.
fn read_named(dir: &Path, names: &[&str]) -> Result<(PathBuf, Vec<u8>), DataError> {
    let mut folders = vec![dir.to_path_buf()];
    if let Ok(entries) = fs::read_dir(dir) {
        let mut below: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        below.sort();
        folders.extend(below);
    }
    let candidates = folders.iter().flat_map(|folder| names.iter().map(move |n| folder.join(n)));
    let Some(path) = candidates.into_iter().find(|path| path.is_file()) else {
        return Err(DataError::Missing { names: names.join(", "), dir: dir.to_path_buf() });
    };
    let bytes = fs::read(&path).map_err(|source| DataError::Io { path: path.clone(), source })?;
    unpack(path, bytes)
}

fn unpack(path: PathBuf, bytes: Vec<u8>) -> Result<(PathBuf, Vec<u8>), DataError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok((path, bytes));
    }
    let mut unpacked = Vec::new();
    match GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked) {
        Ok(_) => Ok((path, unpacked)),
        Err(error) => Err(DataError::Format {
            path,
            expected: "a whole gzip file",
            found: format!("{error}; its {} packed bytes gave {}", bytes.len(), unpacked.len()),
        }),
    }
}

fn idx(source: &Source, class_names: Vec<String>) -> Result<(Dataset, Dataset), DataError> {
    Ok((idx_part(source, "train", &class_names)?, idx_part(source, "t10k", &class_names)?))
}

fn idx_part(source: &Source, part: &str, class_names: &[String]) -> Result<Dataset, DataError> {
    let (images_path, images) = idx_file(source, &format!("{part}-images"), "idx3")?;
    let (labels_path, labels) = idx_file(source, &format!("{part}-labels"), "idx1")?;
    let ([num_images, height, width], pixels) = parse_idx::<3>(&images_path, &images)?;
    let ([num_labels], labels) = parse_idx::<1>(&labels_path, &labels)?;
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

fn idx_file(source: &Source, stem: &str, kind: &str) -> Result<(PathBuf, Vec<u8>), DataError> {
    // The hyphen became a dot in some mirrors.
    let plain = [format!("{stem}-{kind}-ubyte"), format!("{stem}.{kind}-ubyte")];
    let names: Vec<String> =
        plain.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match source {
        Source::Folder(dir) => read_named(dir, &names),
        Source::Embedded => match EMBEDDED.iter().find(|(name, _)| names.contains(name)) {
            Some((name, bytes)) => unpack(PathBuf::from(name), bytes.to_vec()),
            None => unreachable!("all four embedded files have their names above"),
        },
    }
}

/// Dimensions and payload of an IDX file of unsigned bytes with `D` dimensions.
fn parse_idx<'a, const D: usize>(
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

#[derive(Clone, Copy)]
struct CifarLayout {
    label_bytes: usize,
    label_at: usize,
}

fn cifar(
    dir: &Path,
    files: &[&str],
    layout: CifarLayout,
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

fn check_labels(path: &Path, labels: &[u32], num_classes: usize) -> Result<(), DataError> {
    match labels.iter().position(|&label| label as usize >= num_classes) {
        None => Ok(()),
        Some(index) => Err(DataError::Label {
            path: path.to_path_buf(),
            label: labels[index],
            index,
            num_classes,
        }),
    }
}
