//! Data sets in the files of MNIST and CIFAR: what the program reads, and what it says of files that are not whole.

use std::{fs, path::Path};

use super::{gz, idx_file};
use crate::run::{fails, succeeds};

/// Writes a tiny data set in MNIST's format: 40 training and 20 test images of 8×8.
fn write_mnist(dir: &Path) {
    for (part, count) in [("train", 40u32), ("t10k", 20)] {
        let pixels: Vec<u8> = (0..count * 64).map(|at| (at * 7 % 256) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|item| (item % 10) as u8).collect();
        // One file is plain, one is gzipped, one has the dot that some mirrors use.
        fs::write(dir.join(format!("{part}-images.idx3-ubyte")), idx_file(&[count, 8, 8], &pixels))
            .unwrap();
        fs::write(
            dir.join(format!("{part}-labels-idx1-ubyte.gz")),
            gz(&idx_file(&[count], &labels)),
        )
        .unwrap();
    }
}

const ON_MNIST: [&str; 17] = [
    "train",
    "--preset",
    "mnist-showcase",
    "--data",
    "data",
    "--out",
    "run",
    "--epochs",
    "1",
    "--device",
    "cpu",
    "--set",
    "data.batch_size=10",
    "--set",
    "data.num_validation=10",
    "--set",
    "sampler.num_steps=1",
];

#[test]
fn official_files_are_read_plain_and_gzipped() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    write_mnist(&data);
    succeeds(dir.path(), &ON_MNIST);
    let metrics = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 3 + 1, "three steps of ten images, one evaluation");
    assert!(metrics.lines().last().unwrap().contains("validation_accuracy"));
}

#[test]
fn fetched_files_are_found_without_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache/mnist");
    fs::create_dir_all(&cache).unwrap();
    let anywhere: Vec<&str> =
        ON_MNIST.into_iter().filter(|word| !["--data", "data"].contains(word)).collect();
    let said = fails(dir.path(), &anywhere);
    assert!(said.contains("get them with `jempp fetch mnist`"), "{said}");
    write_mnist(dir.path());
    for (part, kind) in
        [("train-images", 3), ("train-labels", 1), ("t10k-images", 3), ("t10k-labels", 1)]
    {
        let name = format!("{part}-idx{kind}-ubyte");
        assert!(fails(dir.path(), &anywhere).contains("jempp fetch mnist"), "not all there");
        let packed = dir.path().join(format!("{name}.gz"));
        let written =
            if kind == 3 { dir.path().join(format!("{part}.idx3-ubyte")) } else { packed };
        fs::copy(written, cache.join(name)).unwrap();
    }
    succeeds(dir.path(), &anywhere);
}

#[test]
fn cifar_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let batches = dir.path().join("data/cifar-10-batches-bin");
    fs::create_dir_all(&batches).unwrap();
    let records = |count: usize, labels: &[u8]| -> Vec<u8> {
        (0..count)
            .flat_map(|item| {
                let label = labels.iter().map(move |&coarse| coarse.max((item % 10) as u8));
                label.chain((0..3072).map(move |at| ((at + 31 * item) % 256) as u8))
            })
            .collect()
    };
    for file in [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ] {
        fs::write(batches.join(format!("{file}.bin")), records(20, &[0])).unwrap();
    }
    let arguments = [
        "train",
        "--preset",
        "jem-cifar10",
        "--data",
        "data",
        "--out",
        "run",
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--set",
        "data.batch_size=50",
        "--set",
        "data.num_validation=0",
        "--set",
        "sampler.num_steps=1",
        "--set",
        "model.arch=wrn-10-1",
        "--set",
        "class_centers.max_components=4",
        "--set",
        "replay_buffer.replay_buffer_size=50",
    ];
    succeeds(dir.path(), &arguments);

    // In CIFAR-100 the coarse label comes before the fine one.
    let folder = dir.path().join("cifar-100-binary");
    fs::create_dir_all(&folder).unwrap();
    let hundred: Vec<u8> = (0..200usize)
        .flat_map(|item| {
            [(item % 20) as u8, (item % 100) as u8]
                .into_iter()
                .chain((0..3072).map(move |at| ((at + 7 * item) % 256) as u8))
        })
        .collect();
    fs::write(folder.join("train.bin"), &hundred).unwrap();
    fs::write(folder.join("test.bin"), &hundred[..3074 * 100]).unwrap();
    let config = jempp::config::RunConfig::default()
        .with_assignment("data.dataset=cifar100")
        .unwrap()
        .with_assignment(&format!("data.dir='{}'", dir.path().display()))
        .unwrap();
    let splits = jempp::data::load(&config.data, 0).unwrap();
    assert_eq!(
        (splits.train.len(), splits.test.len(), splits.train.num_classes()),
        (200, 100, 100)
    );
    assert_eq!(splits.train.labels[57], 57);
    assert_eq!(splits.train.gather([0])[1], 1.0 / 127.5 - 1.0);

    fs::write(folder.join("test.bin"), &hundred[..1000]).unwrap();
    let error = jempp::data::load(&config.data, 0).unwrap_err().to_string();
    assert!(
        error.contains("test.bin") && error.contains("expected 3074 bytes, found 1000"),
        "{error}"
    );
}

#[test]
fn bad_data_files_are_named_with_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    let run = || fails(dir.path(), &ON_MNIST);
    assert!(run().contains("missing data file: none of train-images-idx3-ubyte"));
    write_mnist(&data);
    let images = data.join("train-images.idx3-ubyte");
    let whole = fs::read(&images).unwrap();

    fs::write(&images, &whole[..whole.len() - 5]).unwrap();
    let said = run();
    assert!(said.contains("train-images.idx3-ubyte"), "{said}");
    assert!(said.contains("expected 2576 bytes, found 2571"), "{said}");
    fs::write(&images, &whole[..7]).unwrap();
    assert!(run().contains("expected 16 bytes, found 7"));
    fs::write(&images, b"<html>not found</html>").unwrap();
    assert!(run().contains("is not an IDX file of images"));
    let packed = gz(&whole);
    fs::write(&images, &packed[..packed.len() / 2]).unwrap();
    let said = run();
    assert!(said.contains("is not a whole gzip file"), "{said}");

    fs::write(&images, &whole).unwrap();
    let test_images = data.join("t10k-images.idx3-ubyte");
    let test_whole = fs::read(&test_images).unwrap();
    fs::write(&test_images, idx_file(&[20, 4, 4], &[9; 320])).unwrap();
    assert!(run().contains("have shape [1, 8, 8] and the test images [1, 4, 4]"));
    fs::write(&test_images, test_whole).unwrap();

    let labels = data.join("train-labels-idx1-ubyte.gz");
    fs::write(&labels, gz(&idx_file(&[39], &[1; 39]))).unwrap();
    assert!(run().contains("holds 40 images but"));
    let mut wrong = [3u8; 40];
    wrong[17] = 11;
    fs::write(&labels, gz(&idx_file(&[40], &wrong))).unwrap();
    let said = run();
    assert!(
        said.contains("t10k-labels-idx1-ubyte.gz holds labels that no training image"),
        "{said}"
    );
    assert!(said.contains("(0, 1, 2, 4, 5, 6, 7, 8, 9)"), "{said}");
    let said = fails(dir.path(), &["train", "--preset", "mnist-showcase", "--out", "x"]);
    assert!(said.contains("get them with `jempp fetch mnist`"), "{said}");
    assert!(said.contains("--data PATH"), "{said}");
    assert!(!dir.path().join("run").exists(), "nothing was begun");
}

#[test]
fn a_stored_data_folder_is_found_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    write_mnist(&data);
    succeeds(dir.path(), &ON_MNIST);
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let resume = ["train", "--resume", "../run", "--device", "cpu", "--epochs", "2"];
    succeeds(&elsewhere, &resume);
    fs::rename(&data, dir.path().join("moved")).unwrap();
    let said = fails(dir.path(), &["train", "--resume", "run", "--device", "cpu"]);
    assert!(said.contains("comes from the run that is being continued"), "{said}");
    assert!(said.contains("--data PATH"), "{said}");
    let moved = ["train", "--resume", "run", "--device", "cpu", "--data", "moved"];
    succeeds(dir.path(), &moved);
}

#[test]
fn nothing_is_measured_without_test_images() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    write_mnist(&data);
    fs::write(data.join("t10k-images.idx3-ubyte"), idx_file(&[0, 8, 8], &[])).unwrap();
    fs::write(data.join("t10k-labels-idx1-ubyte.gz"), gz(&idx_file(&[0], &[]))).unwrap();
    let said = succeeds(dir.path(), &ON_MNIST);
    assert!(said.contains("no test images") && !said.contains("test accuracy"), "{said}");
    let metrics = fs::read_to_string(dir.path().join("run/metrics.jsonl")).unwrap();
    let last = metrics.lines().last().unwrap();
    assert!(last.contains("validation_accuracy") && !last.contains("test_"), "{last}");
}
