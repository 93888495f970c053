//! Folders of parts under the names that people give them, and classes whose names only look like parts.

use std::path::Path;

use jempp::{
    config::RunConfig,
    data::{self, OwnContent, OwnFile, Splits},
};

use super::{class, counts, folders::SMALL, load, refused};
use crate::run::{fails, jempp, succeeds, text};

/// Writes folders of three pictures each.
fn folders(root: &Path, names: &[&str]) {
    names.iter().for_each(|name| class(root, name, 3, 8, 8));
}

fn warnings(splits: &Splits) -> String {
    splits.warnings().join("\n")
}

#[test]
fn parts_are_found_in_many_spellings() {
    for (train, held_out) in [
        ("trainset", "testset"),
        ("train_set", "test-set"),
        ("TrainImages", "TestImages"),
        ("training_set", "validation_data"),
        ("train2017", "val2017"),
        ("train-1", "test"),
        ("1_train", "2_test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("Training/train", "Training/test"),
        ("train/images", "test/images"),
        ("outer/trainset", "outer/testset"),
        ("cats_and_dogs_train", "cats_and_dogs_validation"),
        ("my_train", "my_test"),
        ("my_train", "test"),
        ("train", "dev"),
        ("train", "eval"),
        ("train", "hold_out"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("set");
        let mut list = Vec::new();
        for (part, count) in [(train, 4), (held_out, 2)] {
            for name in ["cat", "dog"] {
                class(&root, &format!("{part}/{name}"), count, 8, 8);
                list.extend((0..count).map(|item| format!("{part}/{name}/{item}.png")));
            }
        }
        let list = list.into_iter().map(|name| {
            let content = OwnContent::Path(root.join(&name));
            OwnFile { name, content }
        });
        let list: Vec<OwnFile> = list.collect();
        let zip = dir.path().join("set.zip");
        data::save_zip(&list, &zip).unwrap();
        let mut config = RunConfig::default();
        config.data.batch_size = 1;
        let dropped = data::load_files("drop", &list, &config.data, 0).unwrap();
        for found in [load(&root), load(&zip), dropped] {
            let said = found.describe();
            assert_eq!(found.train.class_names, ["cat", "dog"], "{said}");
            assert_eq!(counts(&found.train), [4, 4], "{said}");
            assert_eq!(counts(&found.test), [2, 2], "{said}");
            assert!(!said.contains("merged"), "{said}");
        }
    }
}

/// The pictures that nobody labelled, as in a set of natural scenes that many people use.
#[test]
fn pictures_that_are_left_out_beside_parts_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    folders(root, &["seg_train/seg_train/sea", "seg_test/seg_test/sea", "seg_pred/seg_pred"]);
    let found = load(root);
    assert_eq!((found.train.len(), found.test.len()), (3, 3));
    let said = found.describe();
    assert!(said.contains("seg_train/ is the training part; seg_test/ is the test part"), "{said}");
    let said = warnings(&found);
    assert!(
        said.contains("left out: 3 pictures outside the folders of the parts (seg_pred/seg_pred/"),
        "{said}"
    );
    let dir = tempfile::tempdir().unwrap();
    folders(dir.path(), &["train/a", "train/b", "test"]);
    let found = load(dir.path());
    assert_eq!(counts(&found.train), [2, 2], "the test part has no class folders");
    let said = warnings(&found);
    assert!(said.contains("left out: 3 pictures in no folder of a class (test/0.png"), "{said}");
}

#[test]
fn classes_that_only_look_like_parts_are_classes() {
    for (names, classes) in [
        (&["trains", "testudo", "valley"][..], &["testudo", "trains", "valley"][..]),
        (&["trains/a", "testudo/b", "valley/c"], &["testudo", "trains", "valley"]),
        (&["train", "car", "plane"], &["car", "plane", "train"]),
        (&["valid", "invalid"], &["invalid", "valid"]),
        (&["bullet_train", "test_tube", "beaker"], &["beaker", "bullet_train", "test_tube"]),
        (&["bullet_train/old", "car/bmw", "car/vw"], &["bullet_train", "car"]),
        (&["train/valid", "train/invalid", "test/valid", "test/invalid"], &["invalid", "valid"]),
        (&["car/images", "train/images"], &["car", "train"]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        folders(dir.path(), names);
        let found = load(dir.path());
        assert_eq!(found.train.class_names, classes, "{}", found.describe());
    }
}

#[test]
fn what_may_be_a_part_or_a_class_is_refused_with_what_would_do() {
    let no_part = "folders in it like a training part, but what is beside it is no part";
    for (names, what) in [
        (
            &["train/steam", "train/electric", "car/bmw", "car/vw", "plane/jet"][..],
            "train/ has folders in it like a training part, but what is beside it is no part (car/, plane/); name a held-out \
             part `test` and move other pictures away or, if train/ is a class, give it another name",
        ),
        (&["train/steam", "train/electric", "car", "plane"], no_part),
        (&["train/cat", "train/dog", "unseen/cat", "unseen/dog"], no_part),
        (&["my_train/cat", "my_train/dog", "unseen/cat", "unseen/dog"], no_part),
        (&["bullet_train/day", "bullet_train/night", "car"], no_part),
        (&["cat", "dog", "my_test/cat", "my_test/dog"], "but beside it is no train/ with folders"),
        (
            &["train", "test", "car"],
            "train/ and test/ have no class folders in them: put one folder per class into each, or, if these are classes, \
             give them other names",
        ),
        (&["my_train", "my_test"], "my_train/ and my_test/ have no class folders in them"),
        (&["trainA", "trainB", "testA", "testB"], "trainA/, trainB/, testA/ and testB/ have no"),
        (&["train/images", "val/images"], "train/ and val/ have no class folders in them"),
        (
            &["fold1_train/a", "fold1_test/a", "fold2_train/a", "fold2_test/a"],
            "fold1_test/ and fold2_test/ may both be the test part; keep one there, or put the pictures of both into one",
        ),
        (
            &["train/train/cat", "train/val/cat", "test/cat"],
            "train/train/ and train/val/ in train/ look like parts in a part; put all parts beside each other",
        ),
        (&["test_images/cat", "test_images/dog"], "it holds a test part only"),
        (&["cats_and_dogs_test/cat", "cats_and_dogs_test/dog"], "it holds a test part only"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        folders(dir.path(), names);
        let said = refused(dir.path());
        assert!(said.contains(what), "{names:?}: {said}");
    }
}

#[test]
fn folders_in_classes_that_look_like_classes_are_warned_of() {
    for (names, suspects) in [
        (&["a/cat", "a/dog", "b/cat", "b/dog"][..], "(a/cat, a/dog, b/cat and 1 more)"),
        (&["cat", "dog", "more/cat", "more/dog"], "(more/cat, more/dog)"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        folders(dir.path(), names);
        let said = warnings(&load(dir.path()));
        let what = format!("folders in classes look like classes themselves {suspects}; if they");
        assert!(said.contains(&what), "{names:?}: {said}");
    }
    for names in [&["cat/images", "dog/images"][..], &["cat/old", "dog/new", "dog"]] {
        let dir = tempfile::tempdir().unwrap();
        folders(dir.path(), names);
        let said = warnings(&load(dir.path()));
        assert!(!said.contains("look like classes"), "{names:?}: {said}");
    }
}

#[test]
fn a_test_part_alone_is_measured_on_and_not_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["cat", "cow", "dog"] {
        class(&dir.path().join("set"), name, 12, 8, 8);
    }
    let train = [&["train", "--data", "set", "--out", "run"], &SMALL[..]].concat();
    succeeds(dir.path(), &train);
    let eval = |set: &str| {
        let out = format!("eval-{set}");
        let data = ["--data", set, "--checkpoint", "run", "--out", &out, "--device", "cpu"];
        jempp(dir.path(), &[&["eval", "accuracy"], &data[..]].concat())
    };
    for (set, names) in [
        ("test", &["test/cat", "test/dog"][..]),
        ("images", &["test_images/cat", "test_images/dog"]),
        ("val", &["outer/val/cat", "outer/val/cow"]),
        // The model knows the cow, whatever is to train on there.
        ("both", &["train/cat", "train/dog", "test/cat", "test/cow"]),
    ] {
        folders(&dir.path().join(set), names);
        let said = fails(dir.path(), &["data", set]);
        let what = match set {
            "both" => "class `cow` has test items, but no training items",
            "val" => "it holds a validation part only; name the training part `train`",
            _ => "it holds a test part only; name the training part `train`",
        };
        assert!(said.contains(what), "{set}: {said}");
        let output = eval(set);
        let (said, warned) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{set}: {warned}");
        assert!(said.contains("run, 6 test images of custom"), "{set}: {said}");
        let num_train = if set == "both" { 6 } else { 0 };
        assert!(said.contains(&format!("{num_train} training and 6 test images")), "{set}: {said}");
        assert_eq!(warned.contains("training items"), set == "both", "{set}: {warned}");
    }
    folders(&dir.path().join("other"), &["test/cat", "test/bird"]);
    let output = eval("other");
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("bird"), "{said}");
}
