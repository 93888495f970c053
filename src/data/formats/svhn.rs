//! The cropped digits of SVHN: MATLAB v5 files that hold the arrays X and y.

use std::{
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use flate2::read::ZlibDecoder;
use matfile::{Array, MatFile, NumericData};

use super::{DataError, input::Input};
use crate::data::Dataset;

const EXPECTED: &str = "one of SVHN's files of 32×32 digits";
const SIDE: usize = 32;
/// The names of the two files: training part and test part.
pub(super) const FILES: [&str; 2] = ["train_32x32.mat", "test_32x32.mat"];
/// Limit on the bytes of one file, and of one decompressed element: the training part, the larger of the two, takes 182
/// MB compressed and 225 MB decompressed.
const MOST: u64 = 512 << 20;
/// The number of bytes before the first element, and in the tag of an element.
const HEADER: usize = 128;
const TAG: usize = 8;
/// The element types that a file may contain.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Reads the training and test part, images (3, 32, 32).
///
/// # Source
/// Netzer et al., "Reading Digits in Natural Images with Unsupervised Feature Learning", 2011;
/// format 2 of <http://ufldl.stanford.edu/housenumbers/>.
pub(super) fn load(
    files: &[PathBuf],
    class_names: &[String],
) -> Result<(Dataset, Dataset), DataError> {
    Ok((load_part(&files[0], class_names)?, load_part(&files[1], class_names)?))
}

fn load_part(path: &Path, class_names: &[String]) -> Result<Dataset, DataError> {
    let bytes = Input::open(path)?.read_all(MOST)?;
    let files = parse(path, &bytes)?;
    drop(bytes);
    let pixels = pixels(path, array(path, &files, "X")?)?;
    let labels = labels(path, array(path, &files, "y")?)?;
    let num_images = pixels.len() / (3 * SIDE * SIDE);
    if num_images != labels.len() {
        let num_labels = labels.len();
        return Err(DataError::Count {
            images: path.to_path_buf(),
            num_images,
            labels: path.to_path_buf(),
            num_labels,
        });
    }
    Dataset::from_bytes(pixels, labels, [3, SIDE, SIDE], class_names.to_vec())
}

fn format_error(path: &Path, found: String) -> DataError {
    DataError::Format { path: path.to_path_buf(), expected: EXPECTED, found }
}

/// Parses the elements of a MATLAB v5 file one by one.
///
/// matfile treats a truncated element as the end of the file and writes to stdout and stderr about unknown data. So
/// lengths and types are checked, and elements decompressed, before the bytes reach it.
fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<MatFile>, DataError> {
    let short = |expected| DataError::Length {
        path: path.to_path_buf(),
        expected,
        found: bytes.len().to_string(),
    };
    let header = bytes.get(..HEADER).ok_or_else(|| short(HEADER))?;
    if header[HEADER - 4..] != [0, 1, b'I', b'M'] {
        let found = format!("its header ends with {:02x?}, not as MATLAB v5's", &header[124..]);
        return Err(format_error(path, found));
    }
    let mut files = Vec::new();
    let mut at = HEADER;
    while at < bytes.len() {
        let tag = bytes.get(at..at + TAG).ok_or_else(|| short(at + TAG))?;
        let (kind, len) = read_tag(tag);
        let end = (at + TAG).saturating_add(len);
        let body = bytes.get(at + TAG..end).ok_or_else(|| short(end))?;
        let unpacked: Box<dyn Read> = match kind {
            MATRIX => Box::new(tag.chain(body)),
            COMPRESSED => Box::new(unpack(path, body)?),
            other => {
                let found = format!("an element of type {other} stands at byte {at}");
                return Err(format_error(path, found));
            }
        };
        // matfile is alpha software: on unknown bytes its length arithmetic can panic when overflow checks are on.
        let parsed = catch_unwind(AssertUnwindSafe(|| MatFile::parse(header.chain(unpacked))))
            .map_err(|_| "the lengths inside do not fit".to_string())
            .and_then(|parsed| {
                parsed.map_err(|error| match std::error::Error::source(&error) {
                    Some(source) => source.to_string(),
                    None => error.to_string(),
                })
            });
        files.push(parsed.map_err(|reason| {
            format_error(path, format!("the element at byte {at} is damaged: {reason}"))
        })?);
        at = if kind == MATRIX { end.next_multiple_of(TAG) } else { end };
    }
    Ok(files)
}

/// The type and length of an element.
fn read_tag(tag: &[u8]) -> (u32, usize) {
    let word = |at: usize| u32::from_le_bytes([tag[at], tag[at + 1], tag[at + 2], tag[at + 3]]);
    (word(0), word(4) as usize)
}

/// The matrix in a compressed element, decompressed.
fn unpack<'a>(path: &Path, packed: &'a [u8]) -> Result<impl Read + 'a, DataError> {
    let mut unpacked = ZlibDecoder::new(packed);
    let mut tag = [0; TAG];
    unpacked
        .read_exact(&mut tag)
        .map_err(|error| format_error(path, format!("a compressed element is damaged: {error}")))?;
    let (kind, len) = read_tag(&tag);
    if kind != MATRIX {
        return Err(format_error(path, format!("an element of type {kind} is compressed")));
    }
    if len as u64 > MOST {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            found: format!("a compressed element states {len} bytes"),
            most: MOST.to_string(),
        });
    }
    // Read one byte more than stated: zlib checks its checksum only at its end.
    Ok(std::io::Cursor::new(tag).chain(unpacked.take(len as u64 + 1)))
}

fn array<'a>(path: &Path, files: &'a [MatFile], name: &str) -> Result<&'a Array, DataError> {
    files.iter().find_map(|file| file.find_by_name(name)).ok_or_else(|| {
        let names = files.iter().flat_map(MatFile::arrays).map(Array::name);
        let found: String = names.map(|name| format!(", but {name}")).collect();
        format_error(path, format!("it has no whole array {name} of numbers{found}"))
    })
}

/// The bytes of the images, (N, 3, 32, 32), from X, whose index is y + 32·x + 1024·c + 3072·n.
fn pixels(path: &Path, array: &Array) -> Result<Vec<u8>, DataError> {
    let NumericData::UInt8 { real: columns, .. } = array.data() else {
        return Err(format_error(path, "X is not an array of bytes".into()));
    };
    let size = array.size();
    // MATLAB drops a last dimension of 1.
    let fits = matches!(size[..], [SIDE, SIDE, 3] | [SIDE, SIDE, 3, _])
        && size.iter().fold(1usize, |n, &dim| n.saturating_mul(dim)) == columns.len();
    if !fits {
        return Err(format_error(path, format!("X has shape {size:?}, not [32, 32, 3, N]")));
    }
    let mut rows = vec![0; columns.len()];
    for (from, to) in columns.chunks(SIDE * SIDE).zip(rows.chunks_mut(SIDE * SIDE)) {
        for (at, pixel) in to.iter_mut().enumerate() {
            *pixel = from[at / SIDE + SIDE * (at % SIDE)];
        }
    }
    Ok(rows)
}

/// The classes from y: 1 to 9, and 10 for the digit 0, which some copies store as 0.
fn labels(path: &Path, array: &Array) -> Result<Vec<u32>, DataError> {
    if array.size().iter().filter(|&&dim| dim != 1).count() > 1 {
        return Err(format_error(path, format!("y has shape {:?}, not [N, 1]", array.size())));
    }
    let class = |(item, label): (usize, f64)| match label {
        10.0 => Ok(0),
        0.0..=9.0 if label.fract() == 0.0 => Ok(label as u32),
        _ => Err(format_error(path, format!("label {label} at item {item} is not from 1 to 10"))),
    };
    numbers(array.data()).into_iter().enumerate().map(class).collect()
}

fn numbers(data: &NumericData) -> Vec<f64> {
    macro_rules! convert {
        ($($kind:ident)*) => {
            match data {
                $(NumericData::$kind { real, .. } => real.iter().map(|&x| x as f64).collect(),)*
            }
        };
    }
    convert!(Int8 UInt8 Int16 UInt16 Int32 UInt32 Int64 UInt64 Single Double)
}
