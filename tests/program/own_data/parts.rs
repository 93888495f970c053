//! The parts of arrays and IDX files: which file is of which part, the range that they share, and empty ones.

use std::{fs, io::Write, path::Path};

use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    arrays::{bytes, floats, labels, npy, npz},
    folders::SMALL,
    load, refused,
};
use crate::run::{fails, succeeds};

/// A training and a test part as arrays of one file each.
fn arrays() -> [(&'static str, Vec<u8>); 4] {
    [
        ("x_train.npy", npy("|u1", &[12, 5, 5], &bytes(12, 25))),
        ("y_train.npy", labels(12)),
        ("x_test.npy", npy("|u1", &[4, 5, 5], &bytes(4, 25))),
        ("y_test.npy", labels(4)),
    ]
}

#[test]
fn a_table_beside_arrays_is_told_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (set, path) = (dir.path().join("set"), dir.path().join("set.zip"));
    fs::create_dir(&set).unwrap();
    let table = b"epoch,loss\n1,2\n".to_vec();
    let mut archive = ZipWriter::new(fs::File::create(&path).unwrap());
    for (name, bytes) in arrays().into_iter().chain([("history.csv", table)]) {
        fs::write(set.join(name), &bytes).unwrap();
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(&bytes).unwrap();
    }
    archive.finish().unwrap();
    for path in [&set, &path] {
        let found = load(path);
        assert_eq!((found.train.len(), found.test.len()), (12, 4), "{path:?}");
        let said = found.describe();
        assert!(
            said.contains("(numpy arrays") && said.contains("1 other file (history.csv)"),
            "{said}"
        );
    }
    // A table in another folder, which comes before that of the arrays.
    fs::remove_file(&path).unwrap();
    fs::rename(set.join("history.csv"), dir.path().join("a.csv")).unwrap();
    let said = load(dir.path()).describe();
    assert!(said.contains("(numpy arrays") && said.contains("1 other file (a.csv)"), "{said}");
}

#[test]
fn the_part_of_an_idx_file_is_what_its_own_name_says() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("my_training_data");
    fs::create_dir(&folder).unwrap();
    idx(&folder, "train", 24, 6);
    idx(&folder, "t10k", 6, 6);
    let found = load(dir.path());
    assert_eq!((found.train.len(), found.test.len()), (24, 6), "{}", found.describe());
    // A folder still says the part of files that do not.
    let other = tempfile::tempdir().unwrap();
    for (part, count) in [("train", 24), ("test", 6)] {
        let folder = other.path().join("data").join(part);
        fs::create_dir_all(&folder).unwrap();
        idx(&folder, "digits", count, 6);
    }
    let found = load(other.path());
    assert_eq!((found.train.len(), found.test.len()), (24, 6), "{}", found.describe());
}

/// Writes images of two classes and their labels.
fn idx(folder: &Path, name: &str, count: u32, side: u32) {
    let write = |kind: &str, dims: &[u32], content: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
        let head = [0, 0, 8, (dims.len() / 4) as u8];
        let path = folder.join(format!("{name}-{kind}-ubyte"));
        fs::write(path, [&head[..], &dims, content].concat()).unwrap();
    };
    let of_items: Vec<u8> = (0..count).map(|item| (item % 2) as u8).collect();
    let size = (side * side) as usize;
    write("images-idx3", &[count, side, side], &bytes(count as usize, size));
    write("labels-idx1", &[count], &of_items);
}

/// Writes a training part of 12 images and a test part of 4.
fn of_parts(path: &Path, descr: &str, train: &[u8], test: &[u8]) {
    npz(
        path,
        &[
            ("x_train", npy(descr, &[12, 5, 5], train)),
            ("y_train", labels(12)),
            ("x_test", npy(descr, &[4, 5, 5], test)),
            ("y_test", labels(4)),
        ],
    );
}

#[test]
fn parts_of_one_type_share_a_range_and_an_odd_one_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    // `count` images whose values go from `low` to `high`.
    let values = |count: usize, low: f32, high: f32| {
        (0..count * 25).map(move |at| low + (high - low) * (at % 25) as f32 / 24.0)
    };
    let shorts = |count: usize, high: f32| -> Vec<u8> {
        values(count, 0.0, high).flat_map(|value| (value as u16).to_le_bytes()).collect()
    };
    of_parts(&path, "<u2", &shorts(12, 4000.0), &shorts(4, 200.0));
    let found = load(&path);
    let brightest = found.test.gather([0])[24];
    assert!((brightest - (200.0 / 32767.5 - 1.0)).abs() < 1e-6, "{brightest}");
    let said = found.warnings().join("\n");
    assert!(
        said.contains(
            "values are read as 0 to 65535, but those of the test part alone would be read as 0 to 255; if these were scaled in \
             another way, save all parts in one range"
        ),
        "{said}"
    );
    // A few images may have no value below 0.
    let part = |count, low, high| floats(values(count, low, high));
    of_parts(&path, "<f4", &part(12, -1.0, 1.0), &part(4, 0.0, 1.0));
    let found = load(&path);
    assert_eq!(found.test.gather([0])[0], 0.0);
    let said = found.warnings().join("\n");
    assert!(said.contains("test part alone would be read as 0 to 1"), "{said}");
    // Parts that agree are not warned of.
    of_parts(&path, "<f4", &part(12, 0.0, 1.0), &part(4, 0.0, 0.5));
    let said = load(&path).warnings().join("\n");
    assert!(!said.contains("alone would be"), "{said}");
    for (train, test) in [(1.0, 255.0), (255.0, 1.0)] {
        of_parts(&path, "<f4", &part(12, 0.0, train), &part(4, 0.0, test));
        let said = refused(&path);
        assert!(said.contains("are read as 0 to 255") && said.contains("save all parts"), "{said}");
    }
}

#[test]
fn a_part_without_items_has_any_shape() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    let images = || npy("|u1", &[12, 5, 5], &bytes(12, 25));
    let points = || {
        npy(
            "<f8",
            &[12, 2],
            &(0..24).flat_map(|at| f64::from(at * at).to_le_bytes()).collect::<Vec<u8>>(),
        )
    };
    for (x, nothing) in
        [(images(), &[0][..]), (images(), &[0, 9, 9]), (points(), &[0]), (points(), &[0, 3])]
    {
        npz(
            &path,
            &[
                ("x_train", x),
                ("y_train", labels(12)),
                ("x_val", npy("<f8", nothing, &[])),
                ("y_val", npy("<f8", nothing, &[])),
            ],
        );
        let found = load(&path);
        assert_eq!((found.train.len(), found.test.len()), (10, 2), "{nothing:?}");
        let said = found.describe();
        assert!(said.contains("the validation part there is empty; no test part there"), "{said}");
    }
    let none = || npy("<f8", &[0], &[]);
    npz(&path, &[("x", none()), ("y", none())]);
    assert!(refused(&path).contains("there is nothing to train on: its arrays are empty"));
    npz(
        &path,
        &[
            ("x_train", images()),
            ("y_train", labels(12)),
            ("x_test", npy("|u1", &[4, 25], &bytes(4, 25))),
            ("y_test", labels(4)),
        ],
    );
    let said = refused(&path);
    assert!(said.contains("in the test part, x has shape [4, 25]; images are (N, H, W)"), "{said}");
    let folder = dir.path().join("idx");
    fs::create_dir(&folder).unwrap();
    idx(&folder, "train", 24, 6);
    idx(&folder, "t10k", 0, 9);
    let found = load(&folder);
    assert_eq!(found.train.shape, [1, 6, 6]);
    let said = found.describe();
    assert!(said.contains("the test part there is empty; no test part there"), "{said}");
}

#[test]
fn a_test_part_alone_is_measured_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    ["set", "idx", "npy"].iter().for_each(|name| fs::create_dir(at(name)).unwrap());
    idx(&at("set"), "train", 24, 8);
    idx(&at("idx"), "t10k", 6, 8);
    let test = || [("x_test", npy("|u1", &[6, 8, 8], &bytes(6, 64))), ("y_test", labels(6))];
    npz(&at("test.npz"), &test());
    for (name, bytes) in test() {
        fs::write(at("npy").join(format!("{name}.npy")), bytes).unwrap();
    }
    let train = [&["train", "--data", "set", "--out", "run"], &SMALL[..]].concat();
    succeeds(dir.path(), &train);
    for set in ["idx", "npy", "test.npz"] {
        let said = fails(dir.path(), &["data", set]);
        assert!(said.contains("it holds a test part only"), "{set}: {said}");
        let eval = ["eval", "accuracy", "--data", set, "--checkpoint", "run", "--device", "cpu"];
        let said = succeeds(dir.path(), &[&eval[..], &["--out", &format!("eval-{set}")]].concat());
        assert!(said.contains("0 training and 6 test images"), "{set}: {said}");
    }
}
