//! The choice of the folder from which a data set is read.

use std::{fs, path::Path};

use super::{config, load, mark, refused, twice, write_set};
use crate::run::fails;
use jempp::data;

fn ten(dir: &Path, mark: u8) {
    write_set(dir, mark, &twice(0, 9), &twice(0, 9));
}

fn root() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("sets");
    fs::create_dir(&root).unwrap();
    (dir, root)
}

#[test]
fn each_set_is_read_from_the_folder_of_its_name_and_the_rest_is_said() {
    let (_keep, root) = root();
    ten(&root.join("FashionMNIST/raw"), 1);
    ten(&root.join("KMNIST/raw"), 2);
    ten(&root.join("MNIST/raw"), 3);
    let digits = load("mnist", &root).unwrap();
    assert_eq!(mark(&digits), 3);
    let said = digits.describe();
    assert!(
        said.starts_with(&format!("mnist from {}/MNIST/raw: 20 training", root.display())),
        "{said}"
    );
    assert!(
        said.contains("20 test images of 8×8, 10 classes; read train-images-idx3-ubyte"),
        "{said}"
    );
    assert!(said.contains("FashionMNIST/raw (named for fashion-mnist)"), "{said}");
    assert!(said.contains("KMNIST/raw (named for KMNIST)"), "{said}");
    assert_eq!(said.lines().count(), 1);
    assert_eq!(mark(&load("fashion-mnist", &root).unwrap()), 1);
    // A folder that the user named directly is read even if its data set is not supported by name.
    assert_eq!(mark(&load("mnist", &root.join("KMNIST")).unwrap()), 2);
}

#[test]
fn a_folder_named_for_another_set_is_refused() {
    let (_keep, root) = root();
    ten(&root.join("fashion-mnist"), 1);
    for dir in [root.clone(), root.join("fashion-mnist")] {
        let said = refused("mnist", &dir);
        assert!(said.contains("is named for data set `fashion-mnist`, not `mnist`"), "{said}");
        assert!(said.contains("choose data.dataset = fashion-mnist, or rename"), "{said}");
    }
    ten(&root.join("emnist"), 2);
    fs::remove_dir_all(root.join("fashion-mnist")).unwrap();
    let said = refused("mnist", &root);
    assert!(
        said.contains("is named for data set `EMNIST`")
            && said.contains("name that folder in data.dir"),
        "{said}"
    );
}

#[test]
fn several_folders_are_named_and_none_is_guessed() {
    let (_keep, root) = root();
    for (name, mark) in [("copy", 1), ("old", 2)] {
        ten(&root.join(name), mark);
    }
    let said = refused("mnist", &root);
    assert!(said.contains("holds `mnist` more than once"), "{said}");
    assert!(said.contains("sets/copy, ") && said.contains("sets/old."), "{said}");
    assert_eq!(mark(&load("mnist", &root.join("old")).unwrap()), 2);
    // The folder that the user named, or one named after the data set, is preferred.
    ten(&root.join("mnist"), 3);
    assert_eq!(mark(&load("mnist", &root).unwrap()), 3);
    ten(&root, 4);
    let found = load("mnist", &root).unwrap();
    assert_eq!(mark(&found), 4);
    assert!(found.describe().contains("old (holds such files too)"), "{}", found.describe());
}

#[test]
fn files_of_several_folders_are_never_mixed() {
    let (_keep, root) = root();
    ten(&root.join("a"), 1);
    ten(&root.join("b"), 2);
    for part in ["images-idx3", "labels-idx1"] {
        fs::remove_file(root.join(format!("a/t10k-{part}-ubyte"))).unwrap();
    }
    let found = load("mnist", &root).unwrap();
    assert_eq!(mark(&found), 2);
    assert!(found.describe().contains("a (not complete)"), "{}", found.describe());
    fs::remove_file(root.join("b/train-labels-idx1-ubyte")).unwrap();
    let said = refused("mnist", &root);
    assert!(said.contains("never mixed"), "{said}");
    assert!(said.contains("a lacks t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte;"), "{said}");
    assert!(said.contains("b lacks train-labels-idx1-ubyte"), "{said}");
    fs::remove_dir_all(root.join("a")).unwrap();
    let said = refused("mnist", &root);
    assert!(
        said.contains("none of train-labels-idx1-ubyte, train-labels-idx1-ubyte.gz in"),
        "{said}"
    );
}

#[test]
fn a_folder_that_nothing_would_read_is_refused_with_what_would() {
    let (_keep, root) = root();
    let said = refused("fashion-mnist-embedded", &root);
    assert!(
        said.contains("`fashion-mnist-embedded` is inside the program and reads no folder"),
        "{said}"
    );
    assert!(
        said.contains("fashion-mnist, mnist, cifar10, cifar100, svhn or, for your own images or points, custom"),
        "{said}"
    );
    let said = refused("two-moons", &root);
    assert!(said.contains("`two-moons` is drawn from a formula and reads no folder"), "{said}");
    fs::write(root.join("pts.csv"), "1,2").unwrap();
    let said = refused("two-moons", &root.join("pts.csv"));
    assert!(
        said.contains("pts.csv out, which is a file, or choose data.dataset = custom"),
        "{said}"
    );
    fs::create_dir(root.join("cats")).unwrap();
    image::RgbImage::new(3, 3).save(root.join("cats/0.png")).unwrap();
    let said = refused("fashion-mnist-embedded", &root);
    let advice =
        "choose data.dataset = custom to train on the pictures there, one folder per class";
    assert!(said.contains(advice), "{said}");
    assert!(refused("mnist", &root).contains(advice));
    ten(&root.join("MNIST"), 1);
    assert!(refused("fashion-mnist-embedded", &root).contains("there fit data.dataset = mnist"));
    for arguments in [
        &["train", "--dataset", "fashion-mnist-embedded", "--data", "sets"][..],
        &["train", "--preset", "toy-two-moons", "--data", "sets/pts.csv"],
        &["train", "--preset", "toy-two-moons", "--set", "data.dir='sets'"],
    ] {
        let all = [arguments, &["--out", "run", "--device", "cpu"]].concat();
        let said = fails(root.parent().unwrap(), &all);
        assert!(said.contains("reads no folder"), "{said}");
        assert!(!root.parent().unwrap().join("run").exists());
    }
}

#[test]
fn a_model_of_the_embedded_images_is_measured_on_the_folder_that_is_given() {
    let (_keep, root) = root();
    ten(&root, 77);
    let mut config = config("fashion-mnist-embedded", &root);
    let found = data::load_at_hand(&config, 0).unwrap();
    assert_eq!(mark(&found), 77);
    assert!(found.describe().starts_with("fashion-mnist from "), "{}", found.describe());
    assert!(!data::is_embedded(&config));
    config.batch_size = 4096;
    assert!(data::load_at_hand(&config, 0).is_ok(), "no batch is trained on");
    config.dir = "nowhere".into();
    assert!(data::load_at_hand(&config, 0).is_err());
    config.dir.clear();
    let said = data::load_at_hand(&config, 0).unwrap().describe();
    assert!(
        said.starts_with("fashion-mnist-embedded, inside the program: 5000 training and 1000"),
        "{said}"
    );
}

#[test]
fn what_is_no_folder_and_what_is_packed_is_said() {
    let (_keep, root) = root();
    assert!(refused("mnist", &root.join("none")).contains("none: there is no such folder"));
    fs::write(root.join("pts.csv"), "1,2").unwrap();
    assert!(refused("mnist", &root.join("pts.csv")).contains("it is not a folder"));
    assert!(refused("mnist", Path::new("/dev/zero")).contains("it is not a folder"));
    fs::write(root.join("emnist-letters-test-images-idx3-ubyte.gz"), "").unwrap();
    let said = refused("mnist", &root);
    assert!(
        said.contains("emnist-letters-test-images-idx3-ubyte.gz there has another name"),
        "{said}"
    );
    fs::write(root.join("mnist.tar.gz"), "").unwrap();
    assert!(refused("mnist", &root).contains("mnist.tar.gz there is packed: unpack it first"));
    let python = root.join("cifar-10-batches-py");
    fs::create_dir(&python).unwrap();
    for name in ["batches.meta", "data_batch_1", "test_batch"] {
        fs::write(python.join(name), b"\x80\x03}").unwrap();
    }
    for dir in [&root, &python] {
        let said = refused("cifar10", dir);
        assert!(
            said.contains("Python version of CIFAR-10") && said.contains("jempp fetch cifar10"),
            "{said}"
        );
    }
}

#[cfg(unix)]
#[test]
fn what_has_no_end_is_no_data_file() {
    let (_keep, root) = root();
    ten(&root, 1);
    let images = root.join("train-images-idx3-ubyte");
    fs::remove_file(&images).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &images).unwrap();
    assert!(refused("mnist", &root).contains("train-images-idx3-ubyte: it is not a regular file"));
    fs::remove_file(&images).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&images).status().unwrap().success());
    assert!(refused("mnist", &root).contains("it is not a regular file"));
    fs::remove_file(&images).unwrap();
    fs::create_dir(&images).unwrap();
    assert!(refused("mnist", &root).contains("train-images-idx3-ubyte: it is a folder"));
}
