//! Own data that is damaged, huge, hidden, linked or contradictory.

use std::{fs, path::Path};

use image::ImageFormat;

use super::{class, counts, load, load_with, picture, refused, save};

#[test]
fn what_cannot_be_read_is_named_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    class(root, "a", 6, 20, 20);
    class(root, "b", 6, 20, 20);
    let whole = |name: &str| fs::read(root.join(name)).unwrap();
    let jpeg = root.join("a/whole.jpg");
    save(&picture([90; 3], 20, 20, 40), &jpeg, ImageFormat::Jpeg);
    let bytes = fs::read(&jpeg).unwrap();
    fs::write(root.join("a/cut.jpg"), &bytes[..bytes.len() / 2]).unwrap();
    let bytes = whole("a/0.png");
    fs::write(root.join("a/cut.png"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(root.join("a/empty.png"), "").unwrap();
    fs::write(root.join("a/text.gif"), "no picture").unwrap();
    fs::write(root.join("a/notes.txt"), "no picture").unwrap();
    let found = load(root);
    assert_eq!(counts(&found.train).iter().sum::<usize>() + found.test.len(), 13);
    let said = found.describe();
    assert!(said.contains("4 images that cannot be read: "), "{said}");
    assert!(said.contains("a/cut.jpg is cut off") && said.contains("and 1 more"), "{said}");
    assert!(said.contains("1 file that is not a picture (a/notes.txt)"), "{said}");
}

/// The pixels of a picture that is too large are never made: the file holds none.
#[test]
fn a_huge_picture_is_refused_by_its_header() {
    let dir = tempfile::tempdir().unwrap();
    class(dir.path(), "a", 6, 20, 20);
    let mut bytes = fs::read(dir.path().join("a/0.png")).unwrap();
    bytes[16..24].copy_from_slice(&[0, 0, 0x1f, 0x40, 0, 0, 0x1f, 0x40]);
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.finalize().to_be_bytes());
    fs::write(dir.path().join("a/huge.png"), bytes).unwrap();
    let said = load(dir.path()).describe();
    assert!(
        said.contains(
            "a/huge.png has 8000×8000 pixels (height×width), and at most 32 megapixels are read"
        ),
        "{said}"
    );
}

#[test]
fn hidden_files_and_empty_classes_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    class(root, "a", 6, 8, 8);
    class(root, "b", 6, 8, 8);
    for name in ["a/._0.png", "a/Thumbs.db", ".DS_Store", "b/desktop.ini"] {
        fs::write(root.join(name), "x").unwrap();
    }
    fs::create_dir_all(root.join("__MACOSX/a")).unwrap();
    fs::create_dir_all(root.join("c")).unwrap();
    fs::create_dir_all(root.join("d")).unwrap();
    fs::write(root.join("d/0.png"), "x").unwrap();
    save(&picture([1; 3], 8, 8, 0), &root.join("loose.png"), ImageFormat::Png);
    let found = load(root);
    assert_eq!(found.train.class_names, ["a", "b"]);
    let said = found.describe();
    assert!(said.contains("5 hidden files"), "{said}");
    assert!(said.contains("2 empty classes (c, d)"), "{said}");
    assert!(said.contains("1 picture in no folder of a class (loose.png)"), "{said}");
}

#[test]
fn only_folders_beside_classes_are_empty_classes() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    class(&set, "a", 6, 8, 8);
    class(&set, "b", 6, 8, 8);
    fs::create_dir_all(set.join("c")).unwrap();
    fs::create_dir_all(dir.path().join("notes/old")).unwrap();
    let said = load(dir.path()).describe();
    assert!(said.contains("1 empty class (c)"), "{said}");
    let parts = tempfile::tempdir().unwrap();
    for folder in ["Train/a", "Train/b", "TEST/a", "TEST/b", "extra/foo"] {
        class(parts.path(), folder, 6, 8, 8);
    }
    let said = load(parts.path()).describe();
    assert!(said.contains("6 pictures outside the folders of the parts"), "{said}");
    assert!(!said.contains("empty class"), "{said}");
    fs::create_dir_all(parts.path().join("TEST/c")).unwrap();
    let said = load(parts.path()).describe();
    assert!(said.contains("1 empty class (c)"), "{said}");
}

#[cfg(unix)]
#[test]
fn links_are_followed_within_the_folder_only() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("set");
    class(&root, "a", 6, 8, 8);
    class(&root, "b", 6, 8, 8);
    class(dir.path(), "secret", 1, 8, 8);
    symlink("../b/0.png", root.join("a/inside.png")).unwrap();
    symlink(dir.path().join("secret/0.png"), root.join("a/outside.png")).unwrap();
    symlink(dir.path().join("secret"), root.join("c")).unwrap();
    symlink("/dev/zero", root.join("a/zero.png")).unwrap();
    symlink("nowhere", root.join("a/dead.png")).unwrap();
    symlink("..", root.join("b/up")).unwrap();
    let found = load(&root);
    assert_eq!(found.train.len() + found.test.len(), 13);
    let said = found.describe();
    assert!(said.contains("3 links that lead out of the folder"), "{said}");
    assert!(
        said.contains("2 links that lead nowhere, or to a folder that is read already"),
        "{said}"
    );
    // The folder itself may be named by a link.
    symlink(&root, dir.path().join("link")).unwrap();
    assert_eq!(load(&dir.path().join("link")).train.len(), found.train.len());
}

/// A link comes before its folder by name, and another lies in a folder that comes before it.
#[cfg(unix)]
#[test]
fn a_folder_has_its_own_name_and_not_that_of_a_link() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    for name in ["b", "c"] {
        class(dir.path(), name, 6, 8, 8);
    }
    symlink("c", dir.path().join("a")).unwrap();
    symlink("../c", dir.path().join("b/more")).unwrap();
    let found = load(dir.path());
    assert_eq!(
        (&found.train.class_names[..], found.train.len()),
        (&["b".into(), "c".into()][..], 10)
    );
    let said = found.describe();
    assert!(said.contains("2 links that lead nowhere, or to a folder that is read"), "{said}");
    assert!(!said.contains("empty class") && !said.contains("merged"), "{said}");
}

/// Both names look the same once they are text.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_in_utf8_is_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let dir = tempfile::tempdir().unwrap();
    for name in [b"M\xfcller", b"M\xf6ller"] {
        class(dir.path(), "a", 6, 8, 8);
        let name = dir.path().join(OsStr::from_bytes(name));
        fs::rename(dir.path().join("a"), name).unwrap();
    }
    let said = refused(dir.path());
    assert!(said.contains("the name `M\u{fffd}ller` in it is not in UTF-8; rename it"), "{said}");
}

#[test]
fn equal_pictures_under_two_labels_or_in_both_parts_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["train", "test"] {
        class(&dir.path().join(part), "a", 12, 8, 8);
        class(&dir.path().join(part), "b", 12, 8, 8);
    }
    for item in 0..12 {
        fs::remove_file(dir.path().join(format!("test/b/{item}.png"))).unwrap();
    }
    fs::copy(dir.path().join("train/a/3.png"), dir.path().join("train/b/odd.png")).unwrap();
    let found = load(dir.path());
    let said = found.warnings().join("\n");
    assert!(
        said.contains(
            "1 training item is the same as one of another class, as train/a/3.png (class a) and train/b/odd.png (class b)"
        ),
        "{said}"
    );
    assert!(
        said.contains("12 test items are training items too, as test/a/0.png and train/a/0.png"),
        "{said}"
    );
}

#[test]
fn a_folder_that_cannot_be_trained_on_is_refused_with_what_would() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("set");
    let said = |what: &str| {
        let said = refused(&root);
        assert!(said.contains(what), "{said}");
    };
    said("there is no such file or folder");
    fs::create_dir(&root).unwrap();
    said("there is no picture in it (it is empty); it should hold a folder for each class");
    fs::write(root.join("set.npz"), "x").unwrap();
    said("to train on set.npz, name that file");
    fs::remove_file(root.join("set.npz")).unwrap();
    fs::write(root.join("set.zip"), "x").unwrap();
    said("to train on set.zip, name that file");
    save(&picture([9; 3], 8, 8, 0), &root.join("0.png"), ImageFormat::Png);
    said("its pictures are in no folder of a class; make a folder for each class");
    fs::remove_file(root.join("0.png")).unwrap();
    let long = "x".repeat(201);
    class(&root, &long, 1, 8, 8);
    said("the folder name `xxxxxxxxxxxxxxxxxxxx…` has 201 characters; at most 200 are read");
    fs::remove_dir_all(root.join(&long)).unwrap();
    fs::create_dir(root.join("a")).unwrap();
    fs::write(root.join("a/0.png"), "x").unwrap();
    said("no image in it can be read: a/0.png is not a picture");
    fs::remove_dir_all(root.join("a")).unwrap();
    class(&root.join("train"), "a", 3, 8, 8);
    class(&root.join("test"), "z", 3, 8, 8);
    said("class `z` has test items, but no training items; add some, or leave the class out");
    fs::create_dir(root.join("train/z")).unwrap();
    fs::write(root.join("train/z/0.png"), "x").unwrap();
    said(
        "leave the class out; skipped 1 file that is not a picture (set.zip), 1 image that cannot be read: train/z/0.png",
    );
    for name in ["data_batch_1", "data_batch_2", "batches.meta"] {
        fs::create_dir_all(dir.path().join("cifar")).unwrap();
        fs::write(dir.path().join("cifar").join(name), "x").unwrap();
    }
    let said = refused(&dir.path().join("cifar"));
    assert!(
        said.contains("Python version of CIFAR-10") && said.contains("fetch cifar10"),
        "{said}"
    );
    let picture = root.join("train/a/0.png");
    assert!(refused(&picture).contains("it is a single picture; name a folder"));
    fs::write(root.join("set.zip"), b"PK\x03\x04").unwrap();
    assert!(refused(&root.join("set.zip")).contains("the archive is damaged"));
    fs::write(root.join("set.tar.gz"), b"\x1f\x8b\x08\x00").unwrap();
    let said = refused(&root.join("set.tar.gz"));
    assert!(said.contains("packed with gzip, and no IDX file of images"), "{said}");
    assert!(said.contains("unpack it and name the folder or file"), "{said}");
    let said = load_with(Path::new(""), &[]).unwrap_err();
    assert!(said.contains("name their folder or file in data.dir"), "{said}");
}
