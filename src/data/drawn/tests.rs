//! The pictures that are made of drawings, and their file.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Cursor, Write},
};

use super::*;
use crate::{
    config::{DataConfig, DatasetName},
    data,
};

/// The drawings of each class that pictures of a part are made of, by the numbers in their names.
fn drawn(files: &[OwnFile], part: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for file in files {
        let parts: Vec<&str> = file.name.split('/').collect();
        let [own_part, class, name] = parts[..] else { panic!("{}", file.name) };
        if own_part == part {
            let drawing = name.split_once('-').unwrap().0;
            found.entry(class.into()).or_default().insert(drawing.into());
        }
    }
    found
}

#[test]
fn drawings_that_are_held_out_are_never_trained_on() {
    let mut set = DrawnSet::examples(3);
    set.classes[1].drawings.truncate(3);
    for seed in 0..20 {
        let files: Vec<OwnFile> = set.files(seed).collect();
        assert_eq!(set.files(seed).len(), files.len());
        let (train, test) = (drawn(&files, "train"), drawn(&files, "test"));
        for (class, name) in ["face", "house", "star"].into_iter().enumerate() {
            assert!(train[name].is_disjoint(&test[name]));
            let all = set.classes[class].drawings.len();
            assert_eq!(train[name].len() + test[name].len(), all);
            assert_eq!(test[name].len(), if all < 8 { 1 } else { 2 });
        }
        let num_train = files.iter().filter(|file| file.name.starts_with("train/")).count();
        assert!((NUM_TRAIN..NUM_TRAIN + 20).contains(&num_train), "{num_train}");
    }
}

#[test]
fn the_same_seed_makes_the_same_pictures() {
    let set = DrawnSet::examples(0);
    let files = |seed| set.files(seed).collect::<Vec<_>>();
    assert_eq!(files(1), files(1));
    assert_ne!(files(1), files(2));
    let contents: BTreeSet<Vec<u8>> = files(1).iter().map(bytes).collect();
    assert_eq!(contents.len(), files(1).len(), "no picture comes twice");
}

fn bytes(file: &OwnFile) -> Vec<u8> {
    match &file.content {
        OwnContent::Bytes(bytes) => bytes.to_vec(),
        OwnContent::Path(path) => panic!("{}", path.display()),
    }
}

#[test]
fn drawings_come_through_the_door_of_all_data() {
    let files: Vec<OwnFile> = DrawnSet::examples(0).files(0).collect();
    let config = DataConfig { dataset: DatasetName::Custom, ..DataConfig::default() };
    let splits = data::load_files("drawings", &files, &config, 0).unwrap();
    assert_eq!(splits.train.class_names, ["face", "house", "star"]);
    assert_eq!(splits.train.shape, [1, SIDE, SIDE]);
    assert_eq!((splits.train.len(), splits.test.len()), (480, 2 * 3 * NUM_TEST_EACH));
    assert!(splits.warnings().is_empty(), "{:?}", splits.warnings());
}

#[test]
fn a_file_of_drawings_opens_again_and_can_be_trained_on() {
    let set = DrawnSet::examples(0);
    let zip = set.to_zip().unwrap();
    assert!(zip.len() < 400_000, "{}", zip.len());
    assert_eq!(DrawnSet::from_zip(&zip).unwrap(), set);
    let content = OwnContent::Bytes(zip.into());
    let files = [OwnFile { name: "drawings.zip".into(), content }];
    let config = DataConfig { dataset: DatasetName::Custom, ..DataConfig::default() };
    let splits = data::load_files("drawings.zip", &files, &config, 0).unwrap();
    assert_eq!((splits.train.len(), splits.test.len()), (480, 48));
}

#[test]
fn what_is_no_file_of_drawings_is_refused_in_words() {
    let zip = |name: &str, text: &str| {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
        archive.finish().unwrap().into_inner()
    };
    let refusal = |bytes: &[u8]| DrawnSet::from_zip(bytes).unwrap_err().to_string();
    assert!(refusal(b"no zip").contains("not a zip archive"));
    assert!(refusal(&zip("cat/1.png", "")).contains("there is no drawings.json"));
    for (text, why) in [
        ("", "holds no drawings"),
        ("{\"classes\":[{\"name\":\"a\"}]}", "missing field `drawings`"),
        ("{\"classes\":[{\"name\":\"a/b\",\"drawings\":[]}]}", "cannot be called `a/b`"),
        ("{\"classes\":[{\"name\":\"\",\"drawings\":[]}]}", "cannot be called ``"),
        ("{\"classes\":[{\"name\":\"a\",\"drawings\":[[[]]]}]}", "a drawing of a is empty"),
        ("{\"classes\":[{\"name\":\"a\",\"drawings\":[[[[0.5,1.5]]]]}]}", "not between 0 and 1"),
        ("{\"classes\":[{\"name\":\"a\",\"drawings\":[[[[0.5,null]]]]}]}", "holds no drawings"),
        (
            "{\"classes\":[{\"name\":\"a\",\"drawings\":[]},{\"name\":\"a\",\"drawings\":[]}]}",
            "two classes have one name",
        ),
    ] {
        let refusal = refusal(&zip("drawings.json", text));
        assert!(refusal.contains(why) && !refusal.contains('\n'), "{refusal}");
    }
    let many = |count: usize, what: &str| vec![what; count].join(",");
    let points = format!(
        "{{\"classes\":[{{\"name\":\"a\",\"drawings\":[[[{}]]]}}]}}",
        many(MAX_POINTS + 1, "[0,0]")
    );
    assert!(refusal(&zip("drawings.json", &points)).contains("at most 400"));
    let drawings =
        format!("{{\"classes\":[{{\"name\":\"a\",\"drawings\":[{}]}}]}}", many(41, "[[[0,0]]]"));
    assert!(refusal(&zip("drawings.json", &drawings)).contains("41 drawings of a"));
}

#[test]
fn a_name_becomes_a_folder() {
    assert_eq!(class_name("  ../smile/y\n "), "smiley");
    assert_eq!(class_name(".hidden"), "hidden");
    assert_eq!(class_name("고양이"), "고양이");
    assert_eq!(class_name(&"x".repeat(100)).len(), MAX_NAME);
    assert_eq!(class_name(" /\\ "), "");
}

#[test]
fn it_is_said_what_is_missing() {
    let mut set = DrawnSet::examples(0);
    assert_eq!(set.problem(), None);
    set.classes[2].drawings.truncate(1);
    assert_eq!(set.problem().as_deref(), Some("Draw 2 more of star."));
    set.classes[2].drawings.clear();
    assert_eq!(set.problem().as_deref(), Some("Draw 3 of star, or remove that class."));
    set.classes.truncate(1);
    assert_eq!(set.problem().as_deref(), Some("Draw at least 2 classes."));
}
