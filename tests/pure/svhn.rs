//! The MATLAB files of SVHN, intact and damaged.
use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::ZlibEncoder};
use jempp::{
    config::{DatasetName, RunConfig},
    data::{self, Dataset},
};

/// MATLAB's codes for array classes and for storage types.
const DOUBLES: u8 = 6;
const BYTES: u8 = 9;
const UINT8: u32 = 2;
const FLOAT64: u32 = 9;

/// A data element: type, length and bytes, padded to a multiple of eight.
fn element(kind: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = [kind.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(8), 0);
    out
}

/// An array of `class` whose values are stored as `kind`.
fn array(name: &str, class: u8, dims: &[i32], kind: u32, values: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
    let parts = [
        element(6, &[class, 0, 0, 0, 0, 0, 0, 0]),
        element(5, &dims),
        element(1, name.as_bytes()),
        element(kind, values),
    ];
    element(14, &parts.concat())
}

fn compressed(element: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(element).unwrap();
    let packed = encoder.finish().unwrap();
    [&15u32.to_le_bytes(), &(packed.len() as u32).to_le_bytes(), packed.as_slice()].concat()
}

fn mat(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut header = b"MATLAB 5.0 MAT-file".to_vec();
    header.resize(124, b' ');
    header.extend([0, 1, b'I', b'M']);
    header.extend(elements.concat());
    header
}

/// The value of image `n`, channel `c`, row `y`, column `x`.
fn pixel(n: usize, c: usize, y: usize, x: usize) -> u8 {
    (7 * n + 50 * c + 3 * y + x) as u8
}

fn images(count: usize) -> Vec<u8> {
    let at = |at: usize| pixel(at / 3072, at / 1024 % 3, at % 32, at / 32 % 32);
    let dims = [32, 32, 3, count as i32];
    // MATLAB omits a last dimension of 1.
    let dims = if count == 1 { &dims[..3] } else { &dims };
    array("X", BYTES, dims, UINT8, &(0..3072 * count).map(at).collect::<Vec<_>>())
}

fn labels(labels: &[u8]) -> Vec<u8> {
    array("y", BYTES, &[labels.len() as i32, 1], UINT8, labels)
}

fn load(dir: &Path) -> Result<data::Splits, String> {
    let config = RunConfig::default()
        .with_toml(&format!(
            "data = {{ dataset = 'svhn', dir = '{}', batch_size = 1 }}",
            dir.display()
        ))
        .unwrap();
    data::load(&config.data, 0).map_err(|error| error.to_string())
}

/// Loads `train` together with an intact test file.
fn load_train(train: &[u8]) -> Result<Dataset, String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train_32x32.mat"), train).unwrap();
    fs::write(dir.path().join("test_32x32.mat"), mat(&[images(1), labels(&[10])])).unwrap();
    load(dir.path()).map(|splits| splits.train)
}

fn refused(train: &[u8]) -> String {
    let said = load_train(train).unwrap_err();
    assert!(said.contains("train_32x32.mat"), "{said}");
    said
}

fn check(train: &Dataset) {
    assert_eq!((train.len(), train.shape), (3, [3, 32, 32]));
    assert_eq!(train.labels, [1, 0, 9], "label 10 is the digit 0");
    assert_eq!(train.class_names[9], "9");
    let values = train.gather([1]);
    for (c, y, x) in [(0, 0, 1), (1, 1, 0), (2, 31, 5)] {
        let expected = f32::from(pixel(1, c, y, x)) / 127.5 - 1.0;
        assert_eq!(values[1024 * c + 32 * y + x], expected, "{c} {y} {x}");
    }
}

#[test]
fn plain_and_compressed_files_are_read() {
    let (x, y) = (images(3), labels(&[1, 10, 9]));
    check(&load_train(&mat(&[x.clone(), y.clone()])).unwrap());
    check(&load_train(&mat(&[compressed(&x), compressed(&y)])).unwrap());
    // In the official files, y is an array of doubles stored as bytes.
    let doubles = array("y", DOUBLES, &[3, 1], UINT8, &[1, 10, 9]);
    check(&load_train(&mat(&[compressed(&x), compressed(&doubles)])).unwrap());
    let values: Vec<u8> = [1.0f64, 0.0, 9.0].iter().flat_map(|label| label.to_le_bytes()).collect();
    check(&load_train(&mat(&[array("y", DOUBLES, &[1, 3], FLOAT64, &values), x])).unwrap());
    assert!(!data::may_flip(DatasetName::Svhn));
}

#[test]
fn wrong_content_is_named() {
    let (x, y) = (images(2), labels(&[1, 2]));
    assert!(refused(&mat(std::slice::from_ref(&x))).contains("no whole array y of numbers, but X"));
    assert!(refused(&mat(&[])).contains("no whole array X of numbers"));
    let said = refused(&mat(&[x.clone(), labels(&[1, 2, 3])]));
    assert!(said.contains("holds 2 images but") && said.contains("holds 3 labels"), "{said}");
    let said = refused(&mat(&[x.clone(), labels(&[1, 11])]));
    assert!(said.contains("label 11 at item 1 is not from 1 to 10"), "{said}");
    let halves: Vec<u8> = [1.0f64, 2.5].iter().flat_map(|label| label.to_le_bytes()).collect();
    let said = refused(&mat(&[x.clone(), array("y", DOUBLES, &[2, 1], FLOAT64, &halves)]));
    assert!(said.contains("label 2.5 at item 1"), "{said}");
    let said = refused(&mat(&[array("X", BYTES, &[32, 96, 2], UINT8, &[0; 6144]), y.clone()]));
    assert!(said.contains("X has shape [32, 96, 2], not [32, 32, 3, N]"), "{said}");
    let said = refused(&mat(&[array("X", DOUBLES, &[32, 32, 3], UINT8, &[0; 3072]), y.clone()]));
    assert!(said.contains("X is not an array of bytes"), "{said}");
    // The product of the dimensions is 0 in 32-bit arithmetic.
    let said = refused(&mat(&[array("X", BYTES, &[32, 32, 3, 1 << 22], UINT8, &[]), y.clone()]));
    assert!(said.contains("train_32x32.mat is not"), "{said}");
    let said = refused(&mat(&[element(2, b"what"), y]));
    assert!(said.contains("an element of type 2 stands at byte 128"), "{said}");
    let nested = compressed(&compressed(&x));
    assert!(refused(&mat(&[nested])).contains("an element of type 15 is compressed"));
    assert!(refused(b"PK\x03\x04").contains("expected 128 bytes, found 4"));
    assert!(refused(&[b'x'; 400]).contains("its header ends with"));
}

#[test]
fn cut_and_damaged_files_are_refused_without_panic() {
    let plain = mat(&[images(2), labels(&[1, 2])]);
    let packed = mat(&[compressed(&images(2)), compressed(&labels(&[1, 2]))]);
    let said = refused(&plain[..plain.len() / 2]);
    let expected = 128 + images(2).len();
    let found = plain.len() / 2;
    assert!(said.contains(&format!("expected {expected} bytes, found {found}")), "{said}");
    for whole in [&plain, &packed] {
        for len in (0..200).chain((200..whole.len()).step_by(97)).chain([whole.len() - 1]) {
            // This includes cuts between the arrays.
            refused(&whole[..len]);
        }
        // Any byte may be wrong: this never causes a panic, and the zlib checksum detects every changed image.
        for at in (124..400).chain((400..whole.len()).step_by(97)) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x5a;
            let _ = load_train(&damaged);
        }
    }
    let mut damaged = packed.clone();
    let body = 128 + 8 + 40;
    damaged[body] ^= 1;
    assert!(load_train(&damaged).is_err());
    // The checksum at the end of the zlib data.
    let x = compressed(&images(2));
    damaged = packed;
    damaged[128 + x.len() - 1] ^= 1;
    assert!(refused(&damaged).contains("damaged"));
}

#[test]
fn missing_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let said = load(dir.path()).unwrap_err();
    assert!(said.contains("missing data file: none of train_32x32.mat"), "{said}");
}
