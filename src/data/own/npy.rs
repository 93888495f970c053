//! numpy's format of one array, `.npy`.
//!
//! # Source
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>: a magic number, the version, the length of
//! the header, and the header, which is a Python dictionary of element type, order and shape.

use std::io::Read;

use half::f16;

use super::{MAX_ITEMS, Reason};
use crate::counts::counted;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Limit on the bytes of a header; numpy itself has a lower one.
const MAX_HEADER: usize = 1 << 16;
/// Limit on the bytes of the elements of one array, in its file and as they are kept in memory.
const MAX_BYTES: u64 = 2 << 30;
/// Limit on the dimensions of an array.
const MAX_DIMS: usize = 8;
/// The number of bytes that are converted at a time, a multiple of the size of every number.
const CHUNK: usize = 1 << 16;
/// Limit on the bytes of one text in an array of labels.
const MAX_TEXT: usize = 4096;

/// An array of numbers.
#[derive(Debug, PartialEq)]
pub(super) struct Numbers {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// The elements of an array of numbers, as few kinds as data sets need.
#[derive(Debug, PartialEq)]
pub(super) enum Values {
    /// Unsigned bytes.
    Bytes(Vec<u8>),
    /// Integers of another size, or truth values.
    Integers(Vec<f32>),
    Floats(Vec<f32>),
    /// The coordinates of points: numbers of any type in the shape (N, 2). Times and places on a map need all digits.
    Points(Vec<f64>),
}

/// The type of the elements.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Unsigned,
    Signed,
    Float,
    Bool,
    /// Text of characters of four bytes.
    Unicode,
    /// Text of bytes.
    Bytes,
}

struct Header {
    kind: Kind,
    /// The bytes of one element.
    size: usize,
    is_big_endian: bool,
    shape: Vec<usize>,
}

/// Reads an array of numbers. `len` is the number of bytes that `input` can hold.
///
/// # Errors
/// The bytes are no array of numbers, are truncated, or are more than the limit.
pub(super) fn numbers(input: &mut dyn Read, len: u64) -> Result<Numbers, Reason> {
    let header = Header::read(input)?;
    let count = header.count(header.kept_size())?;
    let num_items = header.shape.first().copied().unwrap_or(0);
    if num_items > MAX_ITEMS {
        return Err(format!("it holds {num_items} items; at most {MAX_ITEMS} are read"));
    }
    header.check_length(count, len)?;
    let values = match (header.kind, header.size) {
        (Kind::Unicode | Kind::Bytes, _) => return Err("it holds texts, not numbers".into()),
        _ if header.is_of_points() => Values::Points(header.elements(input, count, |value| value)?),
        (Kind::Unsigned, 1) => {
            let mut bytes = reserved(count)?;
            let result = Read::take(&mut *input, count as u64).read_to_end(&mut bytes);
            check_read(result.map(|_| bytes.len()), count)?;
            Values::Bytes(bytes)
        }
        (Kind::Float, _) => Values::Floats(header.elements(input, count, |value| value as f32)?),
        _ => Values::Integers(header.elements(input, count, |value| value as f32)?),
    };
    check_end(input)?;
    Ok(Numbers { shape: header.shape, values })
}

/// Reads an array of labels as texts: numbers as they are written, texts without their padding.
///
/// # Errors
/// As [`numbers`]; also, the array has more than one dimension of more than 1, or a label is not a whole number.
pub(super) fn labels(input: &mut dyn Read, len: u64) -> Result<Vec<String>, Reason> {
    let header = Header::read(input)?;
    let count = header.count(header.size)?;
    if count > 0 && header.shape.iter().filter(|&&dim| dim != 1).count() > 1 {
        return Err(format!(
            "labels have shape {:?}, not [N]; for one-hot labels save y.argmax(1)",
            header.shape
        ));
    }
    if count > MAX_ITEMS {
        return Err(format!("it holds {count} labels; at most {MAX_ITEMS} are read"));
    }
    header.check_length(count, len)?;
    if header.size > MAX_TEXT || header.size == 0 {
        return Err(format!("a label takes {} bytes; 1 to {MAX_TEXT} are read", header.size));
    }
    let mut element = vec![0; header.size];
    let mut labels = Vec::new();
    for index in 0..count {
        input.read_exact(&mut element).map_err(|error| format!("it is truncated: {error}"))?;
        labels.push(header.label(&element).map_err(|found| {
            format!("label {index} is {found}; labels are whole numbers or texts")
        })?);
    }
    check_end(input)?;
    Ok(labels)
}

impl Header {
    fn read(input: &mut dyn Read) -> Result<Self, Reason> {
        let truncated = |error: std::io::Error| format!("its header is truncated: {error}");
        let mut start = [0; 8];
        input.read_exact(&mut start).map_err(truncated)?;
        if !start.starts_with(MAGIC) {
            return Err("it is not a numpy array: it begins differently".into());
        }
        let len = match start[6] {
            1 => {
                let mut len = [0; 2];
                input.read_exact(&mut len).map_err(truncated)?;
                usize::from(u16::from_le_bytes(len))
            }
            2 | 3 => {
                let mut len = [0; 4];
                input.read_exact(&mut len).map_err(truncated)?;
                u32::from_le_bytes(len) as usize
            }
            version => {
                return Err(format!("it has version {version} of numpy's format; 1 to 3 are read"));
            }
        };
        if len > MAX_HEADER {
            return Err(format!("its header has {len} bytes; at most {MAX_HEADER} are read"));
        }
        let mut text = vec![0; len];
        input.read_exact(&mut text).map_err(truncated)?;
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Result<Self, Reason> {
        let value = |key: &str| {
            let (_, rest) = text.split_once(&format!("'{key}'"))?;
            rest.trim_start().strip_prefix(':').map(str::trim_start)
        };
        let wrong = |what: &str| format!("its header has no valid {what}");
        let descr = value("descr").ok_or_else(|| wrong("descr"))?;
        let descr = descr.strip_prefix('\'').and_then(|rest| Some(rest.split_once('\'')?.0));
        let descr = descr.ok_or("it is an array of records; save plain arrays")?;
        if value("fortran_order").is_none_or(|order| !order.starts_with("False")) {
            return Err("it is stored column by column; save numpy.ascontiguousarray(x)".into());
        }
        let shape =
            value("shape").and_then(|rest| Some(rest.strip_prefix('(')?.split_once(')')?.0));
        let shape = shape.ok_or_else(|| wrong("shape"))?;
        let dims = shape.split(',').map(str::trim).filter(|dim| !dim.is_empty());
        let shape: Option<Vec<usize>> = dims.map(|dim| dim.parse().ok()).collect();
        let shape = shape.filter(|shape| shape.len() <= MAX_DIMS).ok_or_else(|| wrong("shape"))?;
        let (order, rest) = match descr.chars().next() {
            Some(order @ ('<' | '>' | '|' | '=')) => (order, &descr[1..]),
            _ => ('|', descr),
        };
        let letter = rest.chars().next().unwrap_or(' ');
        if letter == 'O' {
            return Err(
                "it holds Python objects, which are never unpickled; save numbers, or texts with numpy.asarray(y, str)"
                    .into(),
            );
        }
        let kind = match letter {
            'u' => Kind::Unsigned,
            'i' => Kind::Signed,
            'f' => Kind::Float,
            'b' => Kind::Bool,
            'U' => Kind::Unicode,
            'S' => Kind::Bytes,
            _ => return Err(format!("its elements are `{descr}`; numbers and texts are read")),
        };
        let size = rest.get(1..).and_then(|size| size.parse::<usize>().ok());
        let size = size.ok_or_else(|| wrong("descr"))?;
        let is_known = match kind {
            Kind::Unsigned | Kind::Signed => matches!(size, 1 | 2 | 4 | 8),
            Kind::Float => matches!(size, 2 | 4 | 8),
            Kind::Bool => size == 1,
            Kind::Unicode | Kind::Bytes => size <= MAX_TEXT,
        };
        if !is_known {
            return Err(format!("its elements are `{descr}`, which are not read"));
        }
        let size = if kind == Kind::Unicode { 4 * size } else { size };
        Ok(Self { kind, size, is_big_endian: order == '>', shape })
    }

    fn is_of_points(&self) -> bool {
        matches!(self.shape[..], [_, 2])
    }

    /// The bytes that a number takes in memory.
    fn kept_size(&self) -> usize {
        match (self.kind, self.size) {
            _ if self.is_of_points() => size_of::<f64>(),
            (Kind::Unsigned, 1) => 1,
            _ => size_of::<f32>(),
        }
    }

    /// The number of elements, each of which takes `kept_size` bytes in memory.
    fn count(&self, kept_size: usize) -> Result<usize, Reason> {
        let count = self.shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
        let size = self.size.max(kept_size);
        let fits = |&count: &usize| {
            (count as u64).checked_mul(size as u64).is_some_and(|bytes| bytes <= MAX_BYTES)
        };
        count.filter(fits).ok_or_else(|| {
            format!(
                "its shape {:?} takes more than the {} MiB that are read, with {} for each value",
                self.shape,
                MAX_BYTES >> 20,
                counted(size, "byte", "bytes")
            )
        })
    }

    /// Checks before any memory is taken that the file can hold the elements.
    fn check_length(&self, count: usize, len: u64) -> Result<(), Reason> {
        let expected = (count * self.size) as u64;
        match expected > len {
            true => Err(format!(
                "its shape {:?} takes {expected} bytes, and it holds at most {len}",
                self.shape
            )),
            false => Ok(()),
        }
    }

    fn elements<T>(
        &self,
        input: &mut dyn Read,
        count: usize,
        kept: fn(f64) -> T,
    ) -> Result<Vec<T>, Reason> {
        let mut values = reserved(count)?;
        let mut left = count * self.size;
        let mut chunk = vec![0; CHUNK.min(left)];
        while left > 0 {
            let part = &mut chunk[..CHUNK.min(left)];
            input.read_exact(part).map_err(|error| format!("it is truncated: {error}"))?;
            values.extend(part.chunks_exact(self.size).map(|element| kept(self.number(element))));
            left -= part.len();
        }
        Ok(values)
    }

    /// The bytes of an element in the order of this program, little end first, filled up to eight.
    fn ordered(&self, element: &[u8]) -> [u8; 8] {
        let mut bytes = [0; 8];
        for (at, byte) in element.iter().enumerate() {
            bytes[if self.is_big_endian { self.size - 1 - at } else { at }] = *byte;
        }
        bytes
    }

    fn number(&self, element: &[u8]) -> f64 {
        let b = self.ordered(element);
        match (self.kind, self.size) {
            (Kind::Float, 2) => f16::from_le_bytes([b[0], b[1]]).to_f64(),
            (Kind::Float, 4) => f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into(),
            (Kind::Float, _) => f64::from_le_bytes(b),
            (Kind::Signed, _) => self.integer(element) as f64,
            _ => u64::from_le_bytes(b) as f64,
        }
    }

    fn integer(&self, element: &[u8]) -> i64 {
        let unused = 64 - 8 * self.size as u32;
        // The sign is in the highest bit that is used.
        (i64::from_le_bytes(self.ordered(element)) << unused) >> unused
    }

    /// A label as text, or as what it is if it cannot be one.
    fn label(&self, element: &[u8]) -> Result<String, String> {
        match self.kind {
            Kind::Signed => Ok(self.integer(element).to_string()),
            Kind::Unsigned => Ok(u64::from_le_bytes(self.ordered(element)).to_string()),
            Kind::Bool => Ok((element[0] != 0).to_string()),
            Kind::Float => match self.number(element) {
                number if number.fract() == 0.0 && number.abs() < 1e15 => {
                    Ok((number as i64).to_string())
                }
                number => Err(number.to_string()),
            },
            Kind::Bytes => match std::str::from_utf8(element) {
                Ok(text) => Ok(text.trim_end_matches('\0').to_string()),
                Err(_) => {
                    Err("not in UTF-8 (numpy.char.decode(y, ENCODING) makes texts of such bytes)"
                        .into())
                }
            },
            Kind::Unicode => {
                let characters = element.chunks_exact(4).map(|c| {
                    let bytes = [c[0], c[1], c[2], c[3]];
                    let code = match self.is_big_endian {
                        true => u32::from_be_bytes(bytes),
                        false => u32::from_le_bytes(bytes),
                    };
                    char::from_u32(code)
                        .ok_or_else(|| format!("a text with {code:#x}, which is no character"))
                });
                let text: String = characters.collect::<Result<_, _>>()?;
                Ok(text.trim_end_matches('\0').to_string())
            }
        }
    }
}

fn reserved<T>(count: usize) -> Result<Vec<T>, Reason> {
    let mut values = Vec::new();
    match values.try_reserve_exact(count) {
        Ok(()) => Ok(values),
        Err(_) => Err(format!("there is no memory for its {count} values")),
    }
}

fn check_read(read: std::io::Result<usize>, expected: usize) -> Result<(), Reason> {
    match read {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(format!("it is truncated: {found} of {expected} bytes are there")),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}

/// Checks that the array ends here. This also makes an archive check its checksum.
fn check_end(input: &mut dyn Read) -> Result<(), Reason> {
    match input.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err("more bytes follow than its shape says".into()),
        Err(error) => Err(format!("it is damaged: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::any, test_runner::TestRunner};

    use super::*;

    fn file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let len = (header.len() as u16).to_le_bytes();
        [MAGIC, &[1, 0], &len, header.as_bytes(), data].concat()
    }

    fn read_numbers(bytes: &[u8]) -> Result<Numbers, Reason> {
        numbers(&mut &bytes[..], bytes.len() as u64)
    }

    fn read_labels(bytes: &[u8]) -> Result<Vec<String>, Reason> {
        labels(&mut &bytes[..], bytes.len() as u64)
    }

    #[test]
    fn numbers_of_every_type_are_read() {
        let one = |descr: &str, data: &[u8]| match read_numbers(&file(descr, "(1,)", data)) {
            Ok(Numbers { values: Values::Bytes(bytes), .. }) => f32::from(bytes[0]),
            Ok(Numbers { values: Values::Integers(v) | Values::Floats(v), .. }) => v[0],
            other => panic!("{descr}: {other:?}"),
        };
        assert_eq!(one("|u1", &[200]), 200.0);
        assert_eq!(one("|i1", &[0xfe]), -2.0);
        assert_eq!(one("|b1", &[1]), 1.0);
        assert_eq!(one("<i2", &[0xfe, 0xff]), -2.0);
        assert_eq!(one(">i4", &[0xff, 0xff, 0xff, 0xfe]), -2.0);
        assert_eq!(one("<u8", &[3, 0, 0, 0, 0, 0, 0, 0]), 3.0);
        assert_eq!(one("<f2", &[0, 0x3c]), 1.0);
        assert_eq!(one("<f4", &1.5f32.to_le_bytes()), 1.5);
        assert_eq!(one(">f8", &(-1.5f64).to_be_bytes()), -1.5);
    }

    #[test]
    fn points_keep_all_digits() {
        let points = [1.7e9 + 0.25, -5e14 - 1.0];
        let bytes: Vec<u8> = points.into_iter().flat_map(f64::to_le_bytes).collect();
        let found = read_numbers(&file("<f8", "(1, 2)", &bytes)).unwrap();
        assert_eq!(found.values, Values::Points(points.to_vec()));
        let found = read_numbers(&file("|u1", "(1, 2)", &[3, 200])).unwrap();
        assert_eq!(found.values, Values::Points(vec![3.0, 200.0]));
    }

    #[test]
    fn labels_are_numbers_or_texts() {
        assert_eq!(read_labels(&file("<i8", "(1, 1)", &(-5i64).to_le_bytes())).unwrap(), ["-5"]);
        assert_eq!(read_labels(&file("<f4", "(1,)", &2.0f32.to_le_bytes())).unwrap(), ["2"]);
        assert_eq!(read_labels(&file("|S3", "(2,)", b"ab\0cde")).unwrap(), ["ab", "cde"]);
        let text: Vec<u8> = "é\0".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
        assert_eq!(read_labels(&file("<U2", "(1,)", &text)).unwrap(), ["é"]);
        let long = format!("{:\0<40}", "a label of more bytes than a number has");
        assert_eq!(
            read_labels(&file("|S40", "(1,)", long.as_bytes())).unwrap(),
            [long.trim_end_matches('\0')]
        );
        for (descr, data) in [("<f4", f32::NAN.to_le_bytes()), ("<f4", 0.5f32.to_le_bytes())] {
            assert!(read_labels(&file(descr, "(1,)", &data)).unwrap_err().contains("label 0 is"));
        }
        let said = read_labels(&file("|u1", "(2, 2)", &[0, 1, 1, 0])).unwrap_err();
        assert!(said.contains("argmax"), "{said}");
        assert!(read_labels(&file("<f8", "(0, 10)", &[])).unwrap().is_empty());
        let said = read_labels(&file("|S2", "(2,)", b"abM\xfc")).unwrap_err();
        assert!(said.starts_with("label 1 is not in UTF-8 (numpy.char.decode"), "{said}");
        let said = read_labels(&file("<U1", "(1,)", &0xdcfcu32.to_le_bytes())).unwrap_err();
        assert!(said.contains("label 0 is a text with 0xdcfc, which is no character"), "{said}");
    }

    #[test]
    fn what_a_header_promises_is_checked_before_memory_is_taken() {
        let said = |bytes: &[u8]| read_numbers(bytes).unwrap_err();
        assert!(said(&file("|u1", "(3,)", &[1, 2])).contains("is truncated"));
        assert!(said(&file("|u1", "(1,)", &[1, 2])).contains("more bytes follow"));
        assert!(said(&file("<f4", "(999, 999, 99)", &[1])).contains("it holds at most"));
        let large = said(&file("<f8", "(99999, 99999, 99999)", &[1]));
        assert!(large.contains("2048 MiB that are read, with 8 bytes for each value"), "{large}");
        // Truth values take a byte each in the file, and four in memory.
        let large = said(&file("|b1", "(9999, 300, 300)", &[1]));
        assert!(large.contains("2048 MiB that are read, with 4 bytes for each value"), "{large}");
        assert!(said(&file("|u1", "(9999, 300, 300)", &[1])).contains("it holds at most"));
        assert!(said(&file("|O", "(1,)", &[1])).contains("never unpickled"));
        let columns = String::from_utf8(file("|u1", "(1,)", &[])).unwrap_or_default();
        assert!(columns.is_empty(), "the magic number is not text");
    }

    #[test]
    fn any_bytes_are_refused_or_read() {
        let bytes = proptest::collection::vec(any::<u8>(), 0..200);
        let result = TestRunner::deterministic().run(&bytes, |bytes| {
            let _ = read_numbers(&bytes);
            let _ = read_labels(&bytes);
            let _ = read_numbers(&[MAGIC, &[1, 0, 100, 0], &bytes].concat());
            Ok(())
        });
        result.unwrap();
    }
}
