//! IDX files with any number of classes, any shape and any compression.

use std::{fs, path::Path};

use super::{config, gz, idx_file, load, refused, twice, write_set};
use crate::run::succeeds;
use jempp::data;

const IMAGES: &str = "train-images-idx3-ubyte";

fn set(train: &[u8], test: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_set(dir.path(), 9, train, test);
    dir
}

#[test]
fn a_gzip_of_several_members_is_read_and_zeros_behind_it_are_passed_over() {
    let dir = set(&twice(0, 9), &twice(0, 9));
    let whole = fs::read(dir.path().join(IMAGES)).unwrap();
    let plain = load("mnist", dir.path()).unwrap().train;
    fs::remove_file(dir.path().join(IMAGES)).unwrap();
    let packed = dir.path().join(format!("{IMAGES}.gz"));
    let (first, second) = whole.split_at(whole.len() / 3);
    let members = [gz(first), gz(&[]), gz(second)].concat();
    for file in [members.clone(), [&members[..], &[0; 700]].concat()] {
        fs::write(&packed, file).unwrap();
        let found = load("mnist", dir.path()).unwrap().train;
        assert_eq!(found.gather(0..20), plain.gather(0..20));
    }
    let refuse = |file: &[u8]| {
        fs::write(&packed, file).unwrap();
        let said = refused("mnist", dir.path());
        assert!(said.contains("train-images-idx3-ubyte.gz"), "{said}");
        said
    };
    let said = refuse(&[&members[..], b"garbage"].concat());
    assert!(said.contains("after its end there are bytes that are not gzip"), "{said}");
    refuse(&[&members[..], &[0, 0, 0, 7]].concat());
    refuse(&members[..members.len() - 30]);
    refuse(&gz(first));
    let said = refuse(&[gz(&whole), gz(b"more")].concat());
    assert!(said.contains(&format!("expected {} bytes, found more", whole.len())), "{said}");
}

#[test]
fn a_file_is_read_no_further_than_its_beginning_promises() {
    let dir = set(&twice(0, 9), &twice(0, 9));
    let images = dir.path().join(IMAGES);
    let promise = |dims: &[u32]| {
        fs::write(&images, idx_file(dims, &[0; 500])).unwrap();
        refused("mnist", dir.path())
    };
    let said = promise(&[u32::MAX, u32::MAX, u32::MAX]);
    assert!(
        said.contains("its beginning promises") && said.contains("at most 2147483648"),
        "{said}"
    );
    assert!(promise(&[60_000, 28, 28]).contains("expected 47040016 bytes, found 516"));
    // Many zeros after a header that states a small size, and zeros without a header.
    let zeros = [idx_file(&[20, 8, 8], &[]), vec![0; 64 << 20]].concat();
    fs::write(&images, gz(&zeros)).unwrap();
    assert!(refused("mnist", dir.path()).contains("expected 1296 bytes, found more"));
    fs::write(&images, gz(&vec![0; 64 << 20])).unwrap();
    assert!(refused("mnist", dir.path()).contains("it begins with [00, 00, 00, 00]"));
    fs::write(&images, gz(&idx_file(&[2_000_000, 28, 28], &[0; 500]))).unwrap();
    assert!(refused("mnist", dir.path()).contains("expected 1568000016 bytes, found at most"));
}

#[test]
fn classes_are_the_labels_that_are_there() {
    let classes = |dataset: &str, labels: Vec<u8>| {
        let dir = set(&labels, &labels);
        let found = load(dataset, dir.path()).unwrap();
        assert_eq!(found.train.num_classes(), found.test.num_classes());
        assert!(found.train.labels.iter().all(|&l| (l as usize) < found.train.num_classes()));
        (found.train.class_names.clone(), found.describe())
    };
    let (names, said) = classes("mnist", twice(0, 25));
    assert_eq!((names.len(), names[25].as_str()), (26, "25"));
    assert!(said.contains("26 classes (0, 1, 2"), "{said}");
    let (names, _) = classes("fashion-mnist", twice(1, 26));
    assert_eq!((names.len(), names[0].as_str(), names[25].as_str()), (26, "1", "26"));
    let (names, said) = classes("mnist", twice(0, 2));
    assert_eq!(names, ["0", "1", "2"]);
    assert!(said.contains("3 classes (0, 1, 2)"), "{said}");
    let (names, said) = classes("mnist", vec![3; 20]);
    assert_eq!(names, ["3"]);
    assert!(said.contains("1 class (3; any answer is right, so accuracy means nothing)"), "{said}");
    let (names, said) = classes("fashion-mnist", twice(0, 9));
    assert_eq!(names[9], "Ankle boot");
    assert!(said.contains(", 10 classes;"), "{said}");
    let (names, said) = classes("fashion-mnist", vec![8, 8, 9, 9]);
    assert_eq!(names, ["Bag", "Ankle boot"]);
    assert!(said.contains("2 classes (Bag, Ankle boot)"), "{said}");
}

#[test]
fn a_part_of_a_models_classes_keeps_their_places() {
    let dir = set(&[7, 7, 2], &[2, 7]);
    let names: Vec<String> = (0..10).map(|digit: u8| digit.to_string()).collect();
    let found = load("mnist", dir.path()).unwrap().in_classes(&names);
    assert_eq!((found.train.class_names, found.test.labels), (names, vec![2, 7]));
    let other = ["a".to_string()];
    let found = load("mnist", dir.path()).unwrap().in_classes(&other);
    assert_eq!((found.train.class_names.len(), found.test.labels), (2, vec![0, 1]));
}

#[test]
fn labels_of_the_test_part_alone_are_named() {
    let dir = set(&[0, 1, 1, 0], &[0, 5, 1, 7, 5]);
    let said = refused("mnist", dir.path());
    assert!(
        said.contains("t10k-labels-idx1-ubyte holds labels that no training image has (5, 7)"),
        "{said}"
    );
}

#[test]
fn no_test_images_are_none() {
    let dir = set(&twice(0, 9), &[]);
    let found = load("mnist", dir.path()).unwrap();
    assert!(found.test.is_empty());
    assert!(
        found.describe().contains("20 training images of 8×8, no test images"),
        "{}",
        found.describe()
    );
    // The stated size of absent images does not matter.
    for dims in [&[0, 0, 0][..], &[0, 4, 0, 3], &[0, u32::MAX, u32::MAX, 3]] {
        fs::write(dir.path().join("t10k-images-idx3-ubyte"), idx_file(dims, &[])).unwrap();
        assert_eq!(load("mnist", dir.path()).unwrap().test.shape, [1, 8, 8]);
    }
    let dir = set(&[], &[]);
    assert!(refused("mnist", dir.path()).contains("`mnist` holds no training images"));
}

#[test]
fn colour_images_are_read_and_other_kinds_are_named() {
    let dir = set(&[0, 1], &[0, 1]);
    let write = |dims: &[u32], bytes: &[u8]| {
        for part in ["train", "t10k"] {
            fs::write(dir.path().join(format!("{part}-images-idx3-ubyte")), idx_file(dims, bytes))
                .unwrap();
        }
    };
    let pixel = |n: usize, c: usize, y: usize, x: usize| (100 * n + 50 * c + 6 * y + x) as u8;
    let all = |order: fn(usize, usize, usize) -> [usize; 3], dims: [usize; 3]| -> Vec<u8> {
        let size: usize = dims.iter().product();
        (0..2 * size)
            .map(|at| {
                let (n, at) = (at / size, at % size);
                let [c, y, x] =
                    order(at / (dims[1] * dims[2]), at / dims[2] % dims[1], at % dims[2]);
                pixel(n, c, y, x)
            })
            .collect()
    };
    let first = all(|c, y, x| [c, y, x], [3, 5, 6]);
    write(&[2, 3, 5, 6], &first);
    let planes = load("mnist", dir.path()).unwrap();
    assert_eq!(planes.train.shape, [3, 5, 6]);
    assert!(planes.describe().contains("colour images of 5×6"), "{}", planes.describe());
    write(&[2, 5, 6, 3], &all(|y, x, c| [c, y, x], [5, 6, 3]));
    let found = load("mnist", dir.path()).unwrap();
    assert_eq!(found.train.shape, [3, 5, 6]);
    assert_eq!(found.train.gather(0..2), planes.train.gather(0..2));

    write(&[2, 3, 5, 3], &[0; 90]);
    assert!(refused("mnist", dir.path()).contains("its shape [2, 3, 5, 3] is neither"));
    write(&[2, 4, 5, 6], &[0; 240]);
    assert!(refused("mnist", dir.path()).contains("of one or three channels"));
    for dims in [&[2, 5, 0][..], &[2, 0, 6], &[2, 5, 0, 3], &[2, 3, 0, 6]] {
        write(dims, &[]);
        let said = refused("mnist", dir.path());
        let what = format!(
            "train-images-idx3-ubyte is not an IDX file of images: its shape {dims:?} holds nothing"
        );
        assert!(said.contains(&what), "{said}");
    }
    write(&[2, 90], &[0; 180]);
    assert!(refused("mnist", dir.path()).contains("it has 2 dimensions instead of 3"));
    write(&[2, 1, 1], &[0; 2]);
    assert!(refused("mnist", dir.path()).contains("larger than one pixel"));
    for (kind, name) in [(9, "signed bytes"), (12, "32-bit integers"), (13, "32-bit floats")] {
        let mut file = idx_file(&[2, 5, 6], &[0; 240]);
        file[2] = kind;
        fs::write(dir.path().join(IMAGES), file).unwrap();
        let said = refused("mnist", dir.path());
        assert!(
            said.contains(&format!("its elements are {name}; unsigned bytes are read")),
            "{said}"
        );
    }
}

/// Trains for a short time on the data in `data`.
fn train(dir: &Path, dataset: &str, more: &[&str]) -> String {
    let _ = fs::remove_dir_all(dir.join("run"));
    let settings =
        ["data.batch_size=4", "sampler.num_steps=1", "replay_buffer.replay_buffer_size=64"];
    let settings = settings.iter().chain(more).flat_map(|setting| ["--set", setting]);
    let start = ["train", "--preset", "mnist-showcase", "--dataset", dataset, "--data", "data"];
    let end =
        ["--set", "data.num_validation=0", "--epochs", "1", "--device", "cpu", "--out", "run"];
    let all: Vec<&str> = start.into_iter().chain(settings).chain(end).collect();
    succeeds(dir, &all)
}

#[test]
fn one_class_three_letters_and_no_test_images_are_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    write_set(&data, 5, &[3; 20], &[3; 5]);
    train(dir.path(), "mnist", &[]);
    train(dir.path(), "mnist", &["sampler.start=uniform", "objective.p_x_weight=0"]);
    let settings = ["eval.num_ood=4", "eval.num_resamples=100", "eval.num_samples=4"];
    let settings = settings.iter().flat_map(|setting| ["--set", setting]);
    let eval =
        ["eval", "--checkpoint", "run/checkpoint.safetensors", "--device", "cpu", "--out", "out"];
    let said = succeeds(dir.path(), &eval.into_iter().chain(settings).collect::<Vec<_>>());
    assert!(said.contains("attack left out: ") && said.contains("samples left out: "), "{said}");
    write_set(&data, 5, &twice(0, 2), &twice(0, 2));
    train(dir.path(), "fashion-mnist", &[]);
    // One of many letters has only one image.
    let mut letters = twice(1, 26);
    letters.push(27);
    write_set(&data, 5, &letters, &twice(1, 26));
    train(dir.path(), "mnist", &[]);
    write_set(&data, 5, &twice(0, 9), &[]);
    train(dir.path(), "mnist", &[]);
}

#[test]
fn a_validation_part_may_take_the_only_image_of_a_class() {
    let dir = set(&[0, 1, 0, 1, 2, 0], &[0, 1, 2]);
    let mut config = config("mnist", dir.path());
    config.num_validation = 1;
    let found = data::load(&config, 0).unwrap();
    assert_eq!((found.train.len(), found.validation.len(), found.train.num_classes()), (5, 1, 3));
    assert!(
        found.describe().contains("5 training, 1 validation and 3 test images"),
        "{}",
        found.describe()
    );
}
