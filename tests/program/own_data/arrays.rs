//! Arrays of numpy and IDX files.

use std::{fs, io::Write, path::Path};

use image::ImageFormat;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{counts, load, load_with, picture, refused, renamed, save};

/// An array in numpy's format.
pub(super) fn npy(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|dim| format!("{dim}, ")).collect();
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let len = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), data].concat()
}

pub(super) fn npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut archive = ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in arrays {
        archive.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap();
}

/// `count` images of `size` bytes, all different.
pub(super) fn bytes(count: usize, size: usize) -> Vec<u8> {
    (0..count * size).map(|at| (at * 37 % 251) as u8).collect()
}

pub(super) fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Labels 0, 1, 0, 1 … as bytes.
pub(super) fn labels(count: usize) -> Vec<u8> {
    npy("|u1", &[count], &(0..count).map(|item| (item % 2) as u8).collect::<Vec<u8>>())
}

#[test]
fn images_with_labels_are_read_from_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    npz(
        &path,
        &[("x", npy("|u1", &[24, 9, 7], &bytes(24, 63))), ("y", labels(24)), ("note", labels(1))],
    );
    let found = load(&path);
    assert_eq!(
        (found.train.shape, counts(&found.train), counts(&found.test)),
        ([1, 9, 7], vec![10; 2], vec![2; 2])
    );
    let said = found.describe();
    assert!(
        said.contains("(numpy archive)") && said.contains("values are bytes, 0 to 255"),
        "{said}"
    );
    assert!(said.contains("other arrays (note)"), "{said}");
    let said = load_with(&path, &["data.size=28"]).unwrap_err();
    assert!(
        said.contains(
            "its images are 9x7 and data.size is 28x28; only pictures in folders are scaled"
        ),
        "{said}"
    );
}

#[test]
fn channels_may_be_first_or_last_and_parts_may_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let (last, first) = (dir.path().join("last.npz"), dir.path().join("first.npz"));
    let text = |count: usize| {
        let names: Vec<u8> = (0..count)
            .flat_map(|item| ["Ä  ", "bee"][item % 2].chars())
            .flat_map(|letter| (letter as u32).to_le_bytes())
            .collect();
        npy("<U3", &[count, 1], &names)
    };
    let image = bytes(4, 8 * 6 * 3);
    let turned: Vec<u8> = image
        .chunks(8 * 6 * 3)
        .flat_map(|image| (0..3).flat_map(move |k| image.iter().skip(k).step_by(3).copied()))
        .collect();
    for (path, shape, image) in [(&last, [4, 8, 6, 3], &image), (&first, [4, 3, 8, 6], &turned)] {
        npz(
            path,
            &[
                ("train_images", npy("|u1", &shape, image)),
                ("train_labels", text(4)),
                ("val_images", npy("|u1", &shape, image)),
                ("val_labels", text(4)),
                ("test_images", npy("|u1", &shape, image)),
                ("test_labels", text(4)),
            ],
        );
    }
    let [last, first] = [load(&last), load(&first)];
    assert_eq!(last.train.class_names, ["bee", "Ä"]);
    assert_eq!((last.train.len(), last.validation.len(), last.test.len()), (4, 4, 4));
    assert_eq!((last.train.shape, first.train.shape), ([3, 8, 6], [3, 8, 6]));
    assert_eq!(last.train.gather(0..4), first.train.gather(0..4));
    assert!(
        last.warnings()
            .iter()
            .any(|warning| warning.contains("4 test items are training items too"))
    );
}

#[test]
fn the_range_of_floats_is_told_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    for (low, high, said) in [
        (0.0, 1.0, "values are read as 0 to 1"),
        (-1.0, 1.0, "values are read as -1 to 1"),
        (-1e-4, 1.0, "values are read as 0 to 1"),
        (0.0, 1.0001, "values are read as 0 to 1"),
        (0.0, 255.0, "values are read as 0 to 255"),
    ] {
        let values = (0..12 * 16).map(|at| low + (high - low) * (at % 16) as f32 / 15.0);
        npz(&path, &[("x", npy("<f4", &[12, 4, 4], &floats(values))), ("y", labels(12))]);
        let found = load(&path);
        assert!(found.describe().contains(said), "{}", found.describe());
        let image = found.train.gather([0]);
        let is_near = |value: f32, wanted: f32| (value - wanted).abs() < 1e-3;
        assert!(is_near(image[0], -1.0) && is_near(image[15], 1.0), "{image:?}");
    }
    let values = (0..12 * 16).map(|at| -0.1 + 1.1 * (at % 16) as f32 / 15.0);
    npz(&path, &[("x", npy("<f4", &[12, 4, 4], &floats(values))), ("y", labels(12))]);
    let warnings = load(&path).warnings().join("\n");
    assert!(
        warnings.contains("the images have no dark places: values are read as -1 to 1"),
        "{warnings}"
    );
    let values = (0..12 * 16).map(|at| (at % 17) as f32);
    npz(&path, &[("x", npy("<f4", &[12, 4, 4], &floats(values))), ("y", labels(12))]);
    let warnings = load(&path).warnings().join("\n");
    assert!(
        warnings
            .contains("the images are dark: values are read as 0 to 255, and the largest is 16"),
        "{warnings}"
    );
}

#[test]
fn labels_that_differ_only_in_how_accents_are_stored_are_one_class() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    let names: Vec<u8> = ["e\u{301}", "\u{e9}\0", "e\0"]
        .into_iter()
        .flat_map(str::chars)
        .flat_map(|letter| (letter as u32).to_le_bytes())
        .collect();
    npz(&path, &[("x", npy("|u1", &[3, 5, 5], &bytes(3, 25))), ("y", npy("<U2", &[3], &names))]);
    let found = load(&path);
    assert_eq!(found.train.class_names, ["e", "\u{e9}"]);
    let said = found.describe();
    assert!(said.contains("how accents are stored are one class (\u{e9})"), "{said}");
}

/// Times in seconds and places on a map are large numbers that differ in their last digits.
#[test]
fn points_of_large_numbers_keep_their_differences() {
    let dir = tempfile::tempdir().unwrap();
    let (path, table) = (dir.path().join("set.npz"), dir.path().join("set.csv"));
    let point = |item: usize| [1.7e9 + 5.0 * item as f64, 1e9 + 2.5 * (item % 3) as f64];
    let x: Vec<u8> = (0..12).flat_map(point).flat_map(f64::to_le_bytes).collect();
    npz(&path, &[("x", npy("<f8", &[12, 2], &x)), ("y", labels(12))]);
    let lines = (0..12).map(|item| format!("{},{},{}\n", point(item)[0], point(item)[1], item % 2));
    fs::write(&table, lines.collect::<String>()).unwrap();
    let [array, table] = [load(&path), load(&table)];
    assert_eq!(array.train.gather(0..10), table.train.gather(0..10));
    assert_eq!(array.warnings().len(), 1, "few of each class: {:?}", array.warnings());
}

#[test]
fn a_single_array_has_its_labels_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("faces.npy");
    fs::write(&path, npy("|u1", &[12, 5, 5], &bytes(12, 25))).unwrap();
    let said = refused(&path);
    assert!(said.contains("its labels are missing: faces-labels.npy or y.npy beside it"), "{said}");
    for name in ["y.npy", "faces-labels.npy"] {
        fs::write(dir.path().join(name), labels(12)).unwrap();
        assert!(load(&path).describe().contains(&format!("labels from {name}")));
        let said = refused(&dir.path().join(name));
        assert!(said.contains("it holds labels; name the file of images"), "{said}");
    }
}

#[test]
fn a_folder_of_arrays_is_read_like_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("x_train.npy", npy("|u1", &[12, 5, 5], &bytes(12, 25))),
        ("y_train.npy", labels(12)),
        ("x_test.npy", npy("|u1", &[4, 5, 5], &bytes(4, 25))),
        ("y_test.npy", labels(4)),
        ("mean.npy", labels(1)),
        ("readme.txt", b"about this".to_vec()),
    ] {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    let found = load(dir.path());
    assert_eq!((found.train.len(), found.test.len()), (12, 4));
    let said = found.describe();
    assert!(said.contains("(numpy arrays)") && said.contains("other arrays (mean)"), "{said}");
    assert!(said.contains("1 other file (readme.txt)"), "{said}");
    fs::remove_file(dir.path().join("y_test.npy")).unwrap();
    let said = refused(dir.path());
    assert!(said.contains("x_test.npy has no labels beside it"), "{said}");
}

#[test]
fn what_is_beside_an_array_or_archive_in_a_zip_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (inner, path) = (dir.path().join("set.npz"), dir.path().join("set.zip"));
    let array = || npy("|u1", &[12, 5, 5], &bytes(12, 25));
    npz(&inner, &[("x", array()), ("y", labels(12))]);
    let said = |name: &str, bytes: Vec<u8>, labels_of_it: &str| {
        let mut archive = ZipWriter::new(fs::File::create(&path).unwrap());
        for (name, bytes) in [
            (name, bytes),
            (labels_of_it, labels(12)),
            ("a/y.npy", labels(12)),
            ("a/b-labels.npy", labels(12)),
            ("readme.txt", b"about this".to_vec()),
        ] {
            archive.start_file(name, SimpleFileOptions::default()).unwrap();
            archive.write_all(&bytes).unwrap();
        }
        archive.finish().unwrap();
        load(&path).describe()
    };
    let words = said("a/set.npz", fs::read(&inner).unwrap(), "y.npy");
    assert!(
        words.contains("4 other files (a/b-labels.npy, a/y.npy, readme.txt and 1 more)"),
        "{words}"
    );
    let words = said("a/faces.npy", array(), "a/faces-labels.npy");
    assert!(words.contains("labels from faces-labels.npy"), "{words}");
    assert!(words.contains("3 other files (a/b-labels.npy, a/y.npy, readme.txt)"), "{words}");
}

/// Folders, arrays and IDX files have one rule for what is missing.
#[test]
fn a_part_that_is_empty_or_missing_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    let part = |name: &str, count: usize| {
        let x = npy("|u1", &[count, 5, 5], &bytes(count, 25));
        [(format!("x_{name}"), x), (format!("y_{name}"), labels(count))]
    };
    let said = |parts: &[[(String, Vec<u8>); 2]]| {
        let arrays: Vec<(&str, Vec<u8>)> =
            parts.iter().flatten().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
        npz(&path, &arrays);
        let found = load(&path);
        ([found.train.len(), found.validation.len(), found.test.len()], found.describe())
    };
    let (counts, words) = said(&[part("train", 12), part("test", 0)]);
    assert_eq!(counts, [10, 0, 2]);
    assert!(words.contains("the test part there is empty; no test part there: a sixth"), "{words}");
    let (counts, words) = said(&[part("train", 12), part("val", 4)]);
    assert_eq!(counts, [12, 0, 4]);
    assert!(
        words.contains("the validation part is the test part, as there is no other"),
        "{words}"
    );
    let (counts, words) = said(&[part("train", 4)]);
    assert_eq!(counts, [4, 0, 0]);
    assert!(words.contains("no test part there, and too few items for one"), "{words}");
}

#[test]
fn parts_of_different_shapes_or_ranges_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    let small = || npy("<f4", &[4, 5, 5], &floats((0..100).map(|at| at as f32 / 99.0)));
    let whole = || npy("|u1", &[4, 5, 5], &bytes(4, 25));
    let narrow = || npy("|u1", &[4, 5, 4], &bytes(4, 20));
    for (train, test, what) in [
        (
            small(),
            whole(),
            "values of the training part are read as 0 to 1, and those of the test part are bytes, 0 to 255; save all parts \
             in one range",
        ),
        (
            whole(),
            small(),
            "values of the training part are bytes, 0 to 255, and those of the test part are read as 0 to 1",
        ),
        (
            whole(),
            narrow(),
            "its parts have images of shape [1, 5, 5] and [1, 5, 4] (C, H, W); all need the same",
        ),
    ] {
        npz(
            &path,
            &[("x_train", train), ("y_train", labels(4)), ("x_test", test), ("y_test", labels(4))],
        );
        let said = refused(&path);
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn arrays_that_cannot_be_used_are_refused_with_what_would_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("set.npz");
    let good = || npy("|u1", &[4, 5, 5], &bytes(4, 25));
    let nan = floats((0..100).map(|at| if at == 7 { f32::NAN } else { 0.5 }));
    for (x, y, what) in [
        (npy("<f4", &[4, 5, 5], &nan), labels(4), "x holds 1 value that is not a finite number"),
        (
            npy("<f4", &[4, 5, 5], &floats((0..100).map(|at| at as f32 * 9.0))),
            labels(4),
            "scale them",
        ),
        (good(), labels(3), "the training part has 4 items and 3 labels"),
        (good(), npy("|O", &[4], &[0; 32]), "never unpickled"),
        (good(), npy("<f4", &[4], &floats([0.0, 1.0, 0.5, 1.0])), "label 2 is 0.5"),
        (good(), npy("|u1", &[4, 3], &[0; 12]), "argmax"),
        (good(), npy("|S2", &[4], b"M\xfcM\xf6M\xfcM\xf6"), "y.npy: label 0 is not in UTF-8"),
        (npy("|u1", &[4, 25], &bytes(4, 25)), labels(4), "x.reshape"),
        (
            npy("<f4", &[4, 3], &floats((0..12).map(|at| at as f32 / 2.0 - 3.0))),
            labels(4),
            "x has shape [4, 3]; images are (N, H, W)",
        ),
        (
            npy("|u1", &[1, 5, 5], &bytes(1, 25)),
            npy("<U1", &[1], &[0; 4]),
            "label 0 of the training part is empty",
        ),
        (npy("|u1", &[0, 5, 5], &[]), labels(1), "the training part has 0 items and 1 label"),
        (npy("|u1", &[4, 5, 5, 4], &bytes(4, 100)), labels(4), "save x without alpha"),
        (
            npy("|u1", &[4, 5, 5], &bytes(3, 25)),
            labels(4),
            "x.npy: it is truncated: 75 of 100 bytes are there",
        ),
        (npy("|u1", &[4000, 5000, 5000], &[]), labels(4), "MiB that are read"),
        (npy("|b1", &[9999, 300, 300], &[]), labels(4), "MiB that are read, with 4 bytes for each"),
        (
            npy("|u1", &[4, 2, 9], &bytes(4, 18)),
            labels(4),
            "its images are 2x9; images have sides of 4 to 256 pixels",
        ),
    ] {
        npz(&path, &[("x", x), ("y", y)]);
        let said = refused(&path);
        assert!(said.contains(what), "{said}");
    }
    npz(&path, &[("pictures", good())]);
    assert!(
        refused(&path).contains("it has the arrays pictures.npy; name images and labels x and y")
    );
    npz(&path, &[("x", good())]);
    assert!(refused(&path).contains("x.npy has no labels beside it"));
    npz(&path, &[("x", good()), ("images", good()), ("y", labels(4))]);
    assert!(refused(&path).contains("x.npy and images.npy are both the training part"));
    npz(&path, &[("x", good()), ("z", good()), ("y", labels(4))]);
    fs::write(&path, renamed(fs::read(&path).unwrap(), b"z.npy", b"x.npy")).unwrap();
    assert!(refused(&path).contains("two of its files have the name x.npy"));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    assert!(refused(&path).contains("the archive is damaged"));
}

/// 1.5 GiB of zeros in a small archive.
#[cfg(unix)]
#[test]
fn a_zip_bomb_is_refused_by_its_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.npz");
    for shape in [[2_000_000, 28, 28], [4, 5, 5]] {
        let mut archive = ZipWriter::new(fs::File::create(&path).unwrap());
        archive.start_file("x.npy", SimpleFileOptions::default()).unwrap();
        archive.write_all(&npy("|u1", &shape, &[])).unwrap();
        let zeros = vec![0; 1 << 20];
        (0..1500).for_each(|_| archive.write_all(&zeros).unwrap());
        archive.start_file("y.npy", SimpleFileOptions::default()).unwrap();
        archive.write_all(&labels(4)).unwrap();
        archive.finish().unwrap();
        let said = crate::bounded::refused(dir.path(), &["data", "bomb.npz"]);
        assert!(
            said.contains("at most 1000000 are read") || said.contains("more bytes follow"),
            "{said}"
        );
    }
}

#[test]
fn idx_files_of_any_size_have_names_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, dims: &[u32], bytes: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
        let head = [0, 0, 8, (dims.len() / 4) as u8];
        fs::write(dir.path().join(name), [&head[..], &dims, bytes].concat()).unwrap();
    };
    let label: Vec<u8> = (0..24).map(|item| item % 12).collect();
    write("train-labels-idx1-ubyte", &[24], &label);
    for (height, width) in [(3, 5), (4, 300), (2, 2)] {
        write(
            "train-images-idx3-ubyte",
            &[24, height, width],
            &bytes(24, (height * width) as usize),
        );
        let said = refused(dir.path());
        let what = format!("its images are {height}x{width}; images have sides of 4 to 256 pixels");
        assert!(said.contains(&what), "{said}");
    }
    write("train-images-idx3-ubyte", &[24, 20, 30], &bytes(24, 600));
    let found = load(dir.path());
    assert_eq!((found.train.shape, found.train.num_classes()), ([1, 20, 30], 12));
    assert!(found.describe().contains("(IDX files)"), "{}", found.describe());
    let file = load(&dir.path().join("train-images-idx3-ubyte"));
    assert_eq!((file.train.len(), file.test.len()), (found.train.len(), found.test.len()));
    fs::write(dir.path().join("classes.txt"), "Null\r\neins\nzwei\n").unwrap();
    let said = refused(dir.path());
    assert!(said.contains("the labels go up to 11, and classes.txt has 3 names"), "{said}");
    let names: Vec<String> = (0..14).map(|class| format!("Nummer {class}")).collect();
    fs::write(dir.path().join("classes.txt"), names.join("\n")).unwrap();
    write("t10k-images-idx3-ubyte", &[2, 20, 30], &bytes(2, 600));
    write("t10k-labels-idx1-ubyte", &[2], &[3, 4]);
    let found = load(dir.path());
    assert_eq!((found.train.len(), found.test.len(), found.train.num_classes()), (24, 2, 12));
    assert_eq!(found.train.class_names[11], "Nummer 11");
    assert!(
        found.describe().contains("2 empty classes (Nummer 12, Nummer 13)"),
        "{}",
        found.describe()
    );
    fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
    assert!(refused(dir.path()).contains("t10k-images-idx3-ubyte has no file of labels beside it"));
}

#[test]
fn idx_files_are_found_among_many_others_which_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    fs::create_dir(&set).unwrap();
    for (name, dims, content) in [
        ("my-images-idx3-ubyte", &[24u32, 5, 6][..], bytes(24, 30)),
        ("my-labels-idx1-ubyte", &[24], (0..24).map(|item| item % 2).collect()),
    ] {
        let head = [0, 0, 8, dims.len() as u8];
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
        fs::write(set.join(name), [&head[..], &dims, &content].concat()).unwrap();
    }
    for item in 0..120 {
        fs::write(set.join(format!("a{item:03}.txt")), "note").unwrap();
    }
    fs::write(set.join("classes.txt"), "left\nright\n").unwrap();
    for path in [dir.path(), &set, &set.join("my-images-idx3-ubyte")] {
        assert_eq!(load(path).train.class_names, ["left", "right"], "{path:?}");
    }
    let said = load(dir.path()).describe();
    for what in [
        "names of classes from set/classes.txt",
        "120 other files (set/a000.txt, set/a001.txt, set/a002.txt and 117 more)",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    // A picture of the set beside it.
    save(&picture([9; 3], 8, 8, 0), &set.join("preview.png"), ImageFormat::Png);
    let said = refused(&set);
    assert!(
        said.contains(
            "named like the class; to train on my-images-idx3-ubyte, my-labels-idx1-ubyte instead, move the pictures away"
        ),
        "{said}"
    );
}

#[test]
fn idx_labels_may_be_wider_integers() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, kind: u8, dims: &[u32], bytes: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
        let head = [0, 0, kind, (dims.len() / 4) as u8];
        fs::write(dir.path().join(name), [&head[..], &dims, bytes].concat()).unwrap();
    };
    write("train-images-idx3-ubyte", 8, &[24, 6, 6], &bytes(24, 36));
    let ints = |low: i32| (0..24).flat_map(|item| (low + item % 3).to_be_bytes()).collect();
    let shorts = (0..24).flat_map(|item| (item % 3i16).to_be_bytes()).collect();
    let signed = (0..24).map(|item| item % 3).collect();
    for (kind, labels) in [(12, ints(0)), (11, shorts), (9, signed)] as [(u8, Vec<u8>); 3] {
        write("train-labels-idx1-ubyte", kind, &[24], &labels);
        let found = load(dir.path());
        assert_eq!((found.train.num_classes(), found.train.len()), (3, 21), "{kind}");
    }
    for low in [254, -1] {
        write("train-labels-idx1-ubyte", 12, &[24], &ints(low));
        let said = refused(dir.path());
        assert!(said.contains("a label in it is not from 0 to 255"), "{said}");
    }
}
