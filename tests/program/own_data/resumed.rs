//! What a resumed run says of data that has changed.

use std::fs;

use image::ImageFormat;

use super::{class, picture, save};
use crate::{
    files::checkpoint_file::CheckpointFile,
    run::{jempp, succeeds, text},
};

#[test]
fn a_resumed_run_says_which_parts_of_its_data_have_changed() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    for part in ["train", "val", "test"] {
        for name in ["a", "b"] {
            class(&set.join(part), name, 12, 8, 8);
        }
    }
    let settings = [
        "data.batch_size=8",
        "sampler.num_steps=1",
        "replay_buffer.replay_buffer_size=24",
        "class_centers.max_components=2",
    ];
    let mut train =
        vec!["train", "--data", "set", "--out", "run", "--device", "cpu", "--epochs", "1"];
    train.extend(settings.iter().flat_map(|setting| ["--set", *setting]));
    succeeds(dir.path(), &train);
    let resume = |epochs: &str| {
        let words = ["train", "--resume", "run", "--epochs", epochs, "--device", "cpu"];
        let output = jempp(dir.path(), &words);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        said
    };
    // Another picture in a part.
    let change = |part: &str, shade: u8| {
        let path = set.join(part).join("a/0.png");
        save(&picture([shade; 3], 8, 8, 0), &path, ImageFormat::Png);
    };
    let (begin, chosen) =
        ("the data is not the one that this run began with", "chosen by the seed");
    let said = resume("2");
    assert!(!said.contains(begin), "{said}");
    change("val", 201);
    let said = resume("3");
    let what = "in these parts: validation. Accuracies on the validation part, by which the best model is kept";
    assert!(said.contains(begin) && said.contains(what) && !said.contains(chosen), "{said}");
    change("train", 202);
    change("test", 203);
    let said = resume("4");
    assert!(said.contains("in these parts: training, validation, test."), "{said}");
    assert!(said.contains(what.split_once(". ").unwrap().1) && said.contains(chosen), "{said}");
    // A checkpoint of an earlier jempp has no checksum of the validation part. Such a program refuses counters that have.
    let path = dir.path().join("run/checkpoint.safetensors");
    let mut file = CheckpointFile::read(&fs::read(&path).unwrap());
    let known = file.run.as_object_mut().unwrap().remove("validation_checksum");
    assert!(known.is_some_and(|sum| sum.is_u64()));
    assert!(file.run["counters"]["data"].get("validation").is_none());
    fs::write(&path, file.to_bytes()).unwrap();
    let said = resume("5");
    assert!(said.contains("in these parts: training, test. If the test part"), "{said}");
    // From then on, the run knows it.
    change("val", 204);
    let said = resume("6");
    assert!(said.contains("in these parts: training, validation, test."), "{said}");
}
