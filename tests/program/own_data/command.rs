//! The command `jempp data`.

use std::fs;

use super::class;
use crate::run::{fails, jempp, succeeds, text};

#[test]
fn it_says_what_a_run_would_make_of_the_data() {
    let dir = tempfile::tempdir().unwrap();
    class(&dir.path().join("set"), "ünï", 12, 20, 10);
    class(&dir.path().join("set"), "b", 6, 12, 12);
    fs::write(dir.path().join("set/b/cut.png"), "x").unwrap();
    let output = jempp(dir.path(), &["data", "set", "--out", "sheet.png", "--set", "data.fit=pad"]);
    let (said, warned) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{warned}");
    for row in [
        "Data:     custom from set (folder of classes)\n",
        "Files:    10×20 (12), 12×12 (6), height×width\n",
        "Network:  sees grey images of 10×10\n",
        "Parts:    15 training and 3 test items\n",
        "Classes:  2: b (6), ünï (12)\n",
        "Choice:   size 10x10: the smallest side of all images\n",
        "Skipped:  1 image that cannot be read: b/cut.png is not a picture",
        "Contact sheet: sheet.png, rows from the top: b, ünï\n",
    ] {
        assert!(said.contains(row), "{row}: {said}");
    }
    assert!(
        warned.contains("warning: 1 class has fewer than 10 training items (b: 5)"),
        "{warned}"
    );
    // Ten columns of the larger class, two rows; each image is enlarged six times.
    let sheet = image::open(dir.path().join("sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (10 * 62 + 2, 2 * 62 + 2));
    let said = fails(dir.path(), &["data", "set", "--out", "sheet.png"]);
    assert!(said.contains("sheet.png already exists") && said.contains("--force"), "{said}");
    succeeds(dir.path(), &["data", "set", "--out", "sheet.png", "--force"]);
}

#[test]
fn one_of_many_is_singular_and_a_missing_test_part_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..21 {
        class(&dir.path().join("set"), &number.to_string(), 1, 8, 8);
    }
    let said = succeeds(dir.path(), &["data", "set"]);
    for row in [
        "Parts:    21 training and 0 test items\n",
        ", 19 (1) and 1 other\n",
        "Choice:   no test part there, and too few items for one: a class with 3 items gives one test item\n",
    ] {
        assert!(said.contains(row), "{row}: {said}");
    }
}

#[test]
fn the_json_holds_all_of_it() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..30 {
        class(&dir.path().join("set"), &number.to_string(), 6, 8, 8);
    }
    let json = succeeds(dir.path(), &["data", "set", "--json"]);
    let facts: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(facts["classes"].as_array().unwrap().len(), 30);
    assert_eq!(facts["classes"][29]["name"], "29");
    assert_eq!(facts["classes"][29]["test"], 1);
    assert_eq!(facts["shape"], serde_json::json!([1, 8, 8]));
    assert_eq!(facts["sizes"], serde_json::json!([[[8, 8], 180]]));
    assert!(facts["warnings"][0].as_str().unwrap().contains("30 classes have fewer than 10"));
}

#[test]
fn an_option_that_nothing_uses_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    class(&dir.path().join("set"), "a", 6, 8, 8);
    let said = fails(dir.path(), &["data", "set", "--set", "sampler.num_steps=3"]);
    assert!(
        said.contains("`sampler.num_steps` is not used: data is read with data.size"),
        "{said}"
    );
    let said = fails(dir.path(), &["data", "set", "--set", "data.frame=[0, 0, 1]"]);
    assert!(said.contains("it holds images, and data.frame is for points"), "{said}");
    let train = ["train", "--preset", "fashion-quick", "--out", "run", "--set", "data.size=8"];
    let said = fails(dir.path(), &train);
    assert!(said.contains("`data.size` is not used: it is for your own data"), "{said}");
    assert!(fails(dir.path(), &["data", "set", "--force"]).contains("required"));
    let said = fails(dir.path(), &["data", "set", "--set", "data.size=2"]);
    assert!(said.contains("it must be auto, a side of 4 to 256 pixels"), "{said}");
    let said = fails(dir.path(), &["data", "set", "--out", "set"]);
    assert!(said.contains("set is a folder where a file is needed"), "{said}");
    let quick = ["--preset", "fashion-quick", "--dataset", "custom", "--device", "cpu"];
    let said =
        fails(dir.path(), &[&["train", "--data", "set", "--out", "run"], &quick[..]].concat());
    assert!(said.contains("data.batch_size = 32 is more than the 5 training images"), "{said}");
    assert!(said.contains("--set data.batch_size=5"), "{said}");
}

#[test]
fn nothing_is_written_into_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    for name in ["a", "b"] {
        class(&set, name, 12, 8, 8);
    }
    let picture = || fs::read(set.join("a/0.png")).unwrap();
    let before = picture();
    for line in [
        "data set --force --out set/a/0.png",
        "data set --out set/a/sheet.png",
        "data set --out set/new/../a/sheet.png",
        "train --device cpu --data set --out set/run",
        "train --device cpu --data set --preset fashion-quick --out set/run",
        "sample --device cpu --model mnist --start data --data set --out set/samples --set data.dataset=custom",
        "eval accuracy --device cpu --model mnist --data set --out set/eval --set data.dataset=custom",
        "eval ood --device cpu --model mnist --ood set --out set/eval",
    ] {
        let said = fails(dir.path(), &line.split(' ').collect::<Vec<_>>());
        assert!(said.contains("lies in the data folder set"), "{line}: {said}");
        assert!(said.contains("outside that folder. The option is --out"), "{line}: {said}");
    }
    // Where the data is the working folder, so is the default folder.
    let own = ["eval", "accuracy", "--model", "mnist", "--set", "data.dataset=custom"];
    let said = fails(&set, &[&own[..], &["--data", "."]].concat());
    assert!(said.contains("runs/eval lies in the data folder ."), "{said}");
    assert_eq!(picture(), before);
    let count = |folder: &std::path::Path| fs::read_dir(folder).unwrap().count();
    assert_eq!((count(&set), count(&set.join("a"))), (2, 12));
}
