//! A folder of pictures with a folder for each class.

use std::{fs, path::Path};

use image::{DynamicImage, ImageFormat, RgbImage};

use super::{class, counts, load, load_with, picture, refused, save};
use crate::run::{fails, jempp, succeeds, text};

/// Settings of a run of a few seconds.
pub(super) const SMALL: [&str; 12] = [
    "--device",
    "cpu",
    "--epochs",
    "1",
    "--set",
    "data.batch_size=8",
    "--set",
    "sampler.num_steps=1",
    "--set",
    "replay_buffer.replay_buffer_size=24",
    "--set",
    "class_centers.max_components=2",
];

#[test]
fn a_folder_is_a_class_and_numbers_are_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["10", "9", "2"] {
        class(dir.path(), name, 6, 8, 8);
    }
    let found = load(dir.path());
    assert_eq!(found.train.class_names, ["2", "9", "10"]);
    assert_eq!((counts(&found.train), counts(&found.test)), (vec![5; 3], vec![1; 3]));
    let said = found.describe();
    assert!(
        said.contains(
            "(folder of classes): 15 training and 3 test images of 8×8, 3 classes (2, 9, 10)"
        ),
        "{said}"
    );
    assert!(said.contains("size 8x8: all images have it; grey: all images are"), "{said}");
    assert!(said.contains("a sixth of each class became one, chosen by seed 0"), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn parts_are_found_and_the_use_of_val_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("unpacked/set");
    for (part, count) in [("Train", 7), ("test", 2)] {
        for name in ["a", "b"] {
            class(&root.join(part), name, count, 8, 8);
        }
    }
    let found = load(dir.path());
    assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (14, 0, 4));
    assert!(found.describe().contains("all of it is in its folder unpacked/set"));
    class(&root.join("valid"), "a", 3, 8, 8);
    let found = load(dir.path());
    assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (14, 3, 4));
    assert!(found.describe().contains("valid/ is the validation part"), "{}", found.describe());
    let said = load_with(dir.path(), &["data.num_validation=2"]).unwrap_err();
    assert!(said.contains("a validation part of its own; set data.num_validation = 0"), "{said}");
    fs::remove_dir_all(root.join("test")).unwrap();
    let found = load(dir.path());
    assert_eq!((found.train.len(), found.validation.len(), found.test.len()), (14, 0, 3));
    let said = found.describe();
    assert!(said.contains("the validation part is the test part, as there is no other"), "{said}");
    assert!(!said.contains("a sixth"), "{said}");
}

/// A folder `train` of pictures is a class, as in {train, car}.
#[test]
fn a_class_may_be_called_train() {
    let dir = tempfile::tempdir().unwrap();
    class(dir.path(), "train", 6, 8, 8);
    class(dir.path(), "car", 6, 8, 8);
    class(dir.path(), "car/old", 6, 8, 8);
    let found = load(dir.path());
    assert_eq!(found.train.class_names, ["car", "train"]);
    assert_eq!(counts(&found.train), [10, 5]);
    let said = found.describe();
    assert!(said.contains("train/ is a class: it has no class folders in it"), "{said}");
    assert!(said.contains("1 folder in a class is merged into it (car/old)"), "{said}");
}

#[test]
fn parts_never_become_classes_unsaid() {
    for (folders, what) in [
        (
            &["train", "test"][..],
            "train/ and test/ have no class folders in them: put one folder per class into each",
        ),
        (&["train"], "train/ has no class folders in it: put one folder per class into it"),
        (
            &["set/train", "set/val", "set/test"],
            "set/train/, set/val/ and set/test/ have no class folders in them",
        ),
        (&["train", "test/a"], "train/ has no class folders in it"),
        (&["test/a", "test/b"], "it holds a test part only; name the training part `train`"),
        (&["test/a", "val/a"], "it holds a validation and a test part only"),
        (
            &["a", "b", "test/a", "test/b"],
            "test/ has folders in it like a part, but beside it is no train/ with folders of classes",
        ),
        (
            &["a/train", "a/test", "b/train", "b/test"],
            "a/test/ is a part inside a class; put the parts outside, as in train/a/ and test/a/",
        ),
        (&["train/a/test", "train/b"], "train/a/test/ is a part inside a class"),
        (
            &["a/training", "a/test_set", "b/training", "b/test_set"],
            "a/test_set/ is a part inside a class; put the parts outside, as in train/a/ and test_set/a/",
        ),
        (&["a/train", "a/val_images", "b/train"], "a/val_images/ is a part inside a class"),
        (&["a/photos/train", "a/photos/test", "b"], "a/photos/test/ is a part inside a class"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        folders.iter().for_each(|folder| class(dir.path(), folder, 3, 8, 8));
        let said = refused(dir.path());
        assert!(said.contains(what), "{folders:?}: {said}");
    }
}

#[test]
fn other_names_of_parts_and_merged_folders_are_said() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["train_images/a", "train_images/b", "Test-Set/a", "Test-Set/b"] {
        class(dir.path(), folder, 6, 8, 8);
    }
    let found = load(dir.path());
    assert_eq!((found.train.len(), found.test.len()), (12, 12));
    let said = found.describe();
    assert!(
        said.contains("train_images/ is the training part; Test-Set/ is the test part"),
        "{said}"
    );
    let dir = tempfile::tempdir().unwrap();
    for folder in ["animals/cat", "animals/dog", "cars/bmw", "cars"] {
        class(dir.path(), folder, 6, 8, 8);
    }
    let said = load(dir.path()).describe();
    assert!(
        said.contains(
            "3 folders in classes are merged into them (animals/cat, animals/dog, cars/bmw)"
        ),
        "{said}"
    );
}

/// A Mac and a zip may store é as two characters.
#[test]
fn names_that_differ_only_in_how_accents_are_stored_are_one_class() {
    let dir = tempfile::tempdir().unwrap();
    for (part, name) in [("train", "caf\u{e9}"), ("test", "cafe\u{301}")] {
        class(&dir.path().join(part), name, 6, 8, 8);
        class(&dir.path().join(part), "b", 6, 8, 8);
    }
    let found = load(dir.path());
    assert_eq!(found.train.class_names, ["b", "caf\u{e9}"]);
    assert_eq!((counts(&found.train), counts(&found.test)), (vec![6, 6], vec![6, 6]));
    let said = found.describe();
    assert!(said.contains("how accents are stored are one class (caf\u{e9})"), "{said}");
}

#[test]
fn pictures_with_unusual_endings_are_told_by_their_content() {
    let dir = tempfile::tempdir().unwrap();
    class(dir.path(), "a", 6, 8, 8);
    for (salt, name) in
        ["cat.jpg_large", "cat.png!d", "photo 2.1", "none", "notes.txt"].iter().enumerate()
    {
        let picture = picture([90; 3], 8, 8, 40 + salt as u32);
        save(&picture, &dir.path().join("a").join(name), ImageFormat::Png);
    }
    let found = load(dir.path());
    assert_eq!(found.train.len() + found.test.len(), 10);
    let said = found.describe();
    assert!(said.contains("1 file that is not a picture (a/notes.txt)"), "{said}");
}

#[test]
fn every_format_is_read_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let formats = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Bmp,
    ];
    for (number, format) in formats.into_iter().enumerate() {
        let picture = RgbImage::from_pixel(8, 8, image::Rgb([200, 60, 20]));
        save(&picture, &dir.path().join(format!("red/ä {number}.jpg")), format);
    }
    let kinds: [(&str, DynamicImage); 4] = [
        (
            "grey",
            DynamicImage::ImageLuma8(image::ImageBuffer::from_pixel(8, 8, image::Luma([200]))),
        ),
        (
            "grey 16",
            DynamicImage::ImageLuma16(image::ImageBuffer::from_pixel(
                8,
                8,
                image::Luma([200 * 257]),
            )),
        ),
        (
            "colour 16",
            DynamicImage::ImageRgb16(image::ImageBuffer::from_pixel(
                8,
                8,
                image::Rgb([200 * 257; 3]),
            )),
        ),
        (
            "clear",
            DynamicImage::ImageRgba8(image::ImageBuffer::from_pixel(
                8,
                8,
                image::Rgba([200, 200, 200, 255]),
            )),
        ),
    ];
    for (name, picture) in kinds {
        fs::create_dir_all(dir.path().join("white")).unwrap();
        picture.save(dir.path().join(format!("white/{name}.png"))).unwrap();
    }
    let found = load(dir.path());
    assert_eq!(found.train.len() + found.test.len(), 9);
    assert!(found.describe().contains("colour: some images have it"), "{}", found.describe());
    assert!(!found.describe().contains("transparency"), "nothing shines through");
    for (part, index) in [(&found.train, 0), (&found.train, 4), (&found.test, 0)] {
        let expected = [[200, 60, 20], [200; 3]][part.labels[index] as usize];
        let image = part.gather([index]);
        for (channel, expected) in expected.into_iter().enumerate() {
            let value = (image[channel * 64] + 1.0) * 127.5;
            assert!((value - f32::from(expected as u8)).abs() < 6.0, "{value} {expected}");
        }
    }
}

#[test]
fn rotation_transparency_and_animations_are_handled_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("set/train/a");
    fs::create_dir_all(&folder).unwrap();
    let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/cases/inputs/pictures");
    for name in ["exif6.jpg", "alpha-white.png"] {
        fs::copy(inputs.join(name), folder.join(name)).unwrap();
    }
    let frames = [[250, 0, 0], [0, 0, 250]].map(|colour| picture(colour, 20, 20, 0));
    fs::write(folder.join("moving.gif"), jempp::picture::gif_of(&frames, 100).unwrap()).unwrap();
    save(&picture([9; 3], 20, 20, 0), &dir.path().join("set/test/a/0.png"), ImageFormat::Png);
    let found = load_with(&dir.path().join("set"), &["data.size=16"]).unwrap();
    let said = found.describe();
    assert!(said.contains("1 animation: only the first frame is used"), "{said}");
    assert!(said.contains("1 image with transparency is placed on black, or on white"), "{said}");
    assert_eq!((found.train.len(), found.test.len()), (3, 1));
    // Sorted by name: alpha-white.png, exif6.jpg, moving.gif.
    let images: Vec<Vec<f32>> = (0..3).map(|item| found.train.gather([item])).collect();
    let red = |image: &[f32], at: usize| {
        image[at] > 0.3 && image[256 + at] < 0.0 && image[512 + at] < 0.0
    };
    assert!(red(&images[1], 17) && !red(&images[1], 14 * 16 + 14), "red at the top left");
    assert!(red(&images[2], 136), "the first frame");
}

#[test]
fn the_size_is_chosen_or_given_and_always_said() {
    let dir = tempfile::tempdir().unwrap();
    let size = |settings: &[&str]| {
        let found = load_with(dir.path(), settings).unwrap();
        (found.train.shape, found.describe())
    };
    class(dir.path(), "a", 6, 30, 20);
    let (shape, said) = size(&[]);
    assert_eq!(shape, [1, 20, 30], "one size is kept, square or not");
    assert!(said.contains("size 20x30: all images have it"), "{said}");
    class(dir.path(), "b", 6, 27, 41);
    let (shape, said) = size(&[]);
    assert_eq!(shape, [1, 20, 20]);
    assert!(said.contains("size 20x20: the smallest side of all images"), "{said}");
    assert!(said.contains("12 images of another shape are cut to the centre"), "{said}");
    let (shape, said) = size(&["data.size=27", "data.fit=pad"]);
    assert_eq!(shape, [1, 27, 27]);
    assert!(
        said.contains("size 27x27: as data.size says") && said.contains("are padded"),
        "{said}"
    );
    assert_eq!(size(&["data.size=[64, 10]"]).0, [1, 64, 10]);
    fs::remove_dir_all(dir.path().join("a")).unwrap();
    fs::remove_dir_all(dir.path().join("b")).unwrap();
    class(dir.path(), "c", 6, 100, 50);
    let (shape, said) = size(&[]);
    assert_eq!(shape, [1, 32, 32]);
    assert!(said.contains("images are larger, and 32 is the most that is chosen"), "{said}");
    class(dir.path(), "d", 6, 3, 5);
    let (shape, said) = size(&[]);
    assert_eq!(shape, [1, 8, 8]);
    assert!(said.contains("the smallest side of an image is 3, and 8 is the least"), "{said}");
}

#[test]
fn what_cannot_be_decoded_has_no_say_in_the_size() {
    let dir = tempfile::tempdir().unwrap();
    class(dir.path(), "a", 6, 64, 64);
    let noise = RgbImage::from_fn(9, 9, |x, y| {
        image::Rgb([x * x * 31 + y, y * 57 + x, x * y * 13].map(|value| (value % 251) as u8))
    });
    let cut = dir.path().join("a/cut.png");
    save(&noise, &cut, ImageFormat::Png);
    assert_eq!(load(dir.path()).train.shape[1..], [9, 9]);
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let found = load(dir.path());
    let said = found.describe();
    assert_eq!(found.train.shape[1..], [32, 32], "{said}");
    assert!(said.contains("1 image that cannot be read: a/cut.png"), "{said}");
    assert_eq!(found.facts().sizes, [([64, 64], 6)]);
}

#[test]
fn a_few_small_pictures_that_set_the_size_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    class(dir.path(), "a", 12, 64, 64);
    save(&picture([9; 3], 1, 1, 0), &dir.path().join("a/pixel.png"), ImageFormat::Png);
    let warned = |settings: &[&str]| load_with(dir.path(), settings).unwrap().warnings().join("\n");
    let said = warned(&[]);
    assert!(
        said.contains(
            "1 image is much smaller than most and sets the size of all (a/pixel.png); leave out what is too small, or set \
             data.size"
        ),
        "{said}"
    );
    assert!(!warned(&["data.size=16"]).contains("much smaller"));
}

/// A camera or a microscope stores 10 or 12 bits in files of 16.
#[test]
fn pictures_of_16_bits_that_use_fewer_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("a")).unwrap();
    let warned = |factor: u16| {
        for item in 0..6u16 {
            let level =
                |x: u32, y: u32| image::Luma([(64 * item + 8 * y as u16 + x as u16) * factor]);
            let picture = DynamicImage::ImageLuma16(image::ImageBuffer::from_fn(8, 8, level));
            picture.save(dir.path().join(format!("a/{item}.png"))).unwrap();
        }
        load(dir.path()).warnings().join("\n")
    };
    let said = warned(10);
    assert!(
        said.contains(
            "the images of 16 bits are dark: values are read as 0 to 65535, and the largest is 3830; save them times 17"
        ),
        "{said}"
    );
    assert!(!warned(100).contains("dark"));
}

#[test]
fn the_centre_is_cut_out_or_all_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    // Three squares side by side: dark, bright, dark.
    let bars = RgbImage::from_fn(24, 8, |x, _| {
        image::Rgb([if (8..16).contains(&x) { 255 } else { 55 }; 3])
    });
    save(&bars, &dir.path().join("a/0.png"), ImageFormat::Png);
    let pixels = |settings: &[&str]| -> Vec<i32> {
        let found = load_with(dir.path(), settings).unwrap();
        found.train.gather([0]).iter().map(|x| ((x + 1.0) * 127.5).round() as i32).collect()
    };
    assert!(pixels(&["data.size=8"]).iter().all(|&pixel| pixel == 255));
    let padded = pixels(&["data.size=24", "data.fit=pad"]);
    assert_eq!(padded[12 * 24 + 4], 55);
    assert_eq!(padded[12 * 24 + 12], 255);
    assert!((60..200).contains(&padded[0]), "the mean of the border, not {}", padded[0]);
}

#[test]
fn grey_pictures_stored_in_colour_are_grey() {
    let dir = tempfile::tempdir().unwrap();
    class(dir.path(), "a", 6, 8, 8);
    assert_eq!(load(dir.path()).train.shape, [1, 8, 8]);
    assert_eq!(load_with(dir.path(), &["data.color=rgb"]).unwrap().train.shape, [3, 8, 8]);
    save(&picture([200, 0, 0], 8, 8, 0), &dir.path().join("a/red.png"), ImageFormat::Png);
    assert_eq!(load(dir.path()).train.shape, [3, 8, 8]);
    assert_eq!(load_with(dir.path(), &["data.color=gray"]).unwrap().train.shape, [1, 8, 8]);
}

/// The split depends on names and seed, and what was chosen is kept in the run.
#[test]
fn a_run_keeps_its_choices_and_its_test_images() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("my set é");
    class(&set, "a", 14, 12, 9);
    class(&set, "b b", 14, 12, 9);
    let train = [&["train", "--data", "my set é", "--out", "run"], &SMALL[..]].concat();
    let said = succeeds(dir.path(), &train);
    assert!(said.contains("24 training and 4 test images of 9×12, 2 classes (a, b b)"), "{said}");
    let config = fs::read_to_string(dir.path().join("run/config.toml")).unwrap();
    for line in ["dataset = \"custom\"", "size = \"9x12\"", "color = \"gray\""] {
        assert!(config.contains(line), "{config}");
    }
    let accuracy = |out: &str| {
        let eval = ["eval", "accuracy", "--checkpoint", "run", "--out", out, "--device", "cpu"];
        text(&jempp(dir.path(), &eval).stderr)
    };
    let changed = "the test part is not the one of the training run";
    assert!(!accuracy("before").contains(changed));
    // A picture of another size and colour that is added later does not change the model's inputs.
    save(&picture([250, 0, 0], 5, 5, 0), &set.join("a/new.png"), ImageFormat::Png);
    let resumed =
        jempp(dir.path(), &["train", "--resume", "run", "--epochs", "2", "--device", "cpu"]);
    let said = text(&resumed.stdout);
    assert!(said.contains("images of 9×12"), "{said}");
    let said = text(&resumed.stderr);
    assert!(said.contains("the data is not the one that this run began with"), "{said}");
    // The model may have learned from what is now tested.
    assert!(accuracy("after").contains(changed));
    let named = [
        &["eval", "accuracy", "--checkpoint", "run", "--out", "named", "--device", "cpu"][..],
        &["--data", "./my set é"],
    ];
    let said = text(&jempp(dir.path(), &named.concat()).stderr);
    assert!(said.contains(changed), "the same folder under another name: {said}");
    let eval = [
        "eval",
        "accuracy",
        "ood",
        "--checkpoint",
        "run",
        "--out",
        "e",
        "--device",
        "cpu",
        "--set",
        "eval.num_ood=2",
    ];
    let said = succeeds(dir.path(), &eval);
    assert!(said.contains("5 test images of custom"), "{said}");
    succeeds(
        dir.path(),
        &[
            "sample",
            "--checkpoint",
            "run",
            "--out",
            "s",
            "--steps",
            "1",
            "--device",
            "cpu",
            "--per-class",
            "2",
        ],
    );
    succeeds(
        dir.path(),
        &[
            "sample",
            "--checkpoint",
            "run",
            "--out",
            "t",
            "--steps",
            "1",
            "--device",
            "cpu",
            "--per-class",
            "2",
            "--start",
            "data",
        ],
    );
    // Another folder can be measured: it must have the same classes.
    class(&dir.path().join("other"), "c", 8, 12, 9);
    let said = fails(
        dir.path(),
        &[
            "eval",
            "accuracy",
            "--checkpoint",
            "run",
            "--out",
            "f",
            "--device",
            "cpu",
            "--data",
            "other",
        ],
    );
    assert!(said.contains("with classes a, b b") && said.contains("with classes c"), "{said}");
}

#[test]
fn one_class_many_classes_and_few_images_are_trained_on() {
    for (num_classes, count) in [(1, 12), (100, 2)] {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..num_classes {
            class(&dir.path().join("set"), &format!("class {number}"), count, 9, 7);
        }
        class(&dir.path().join("set"), "class 0", 12, 9, 7);
        let buffer = "replay_buffer.replay_buffer_size=100";
        let mut train = [&["train", "--data", "set", "--out", "run"], &SMALL[..]].concat();
        let at = train.iter().position(|word| word.starts_with("replay_buffer.")).unwrap();
        train[at] = buffer;
        let output = jempp(dir.path(), &train);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        let warning = match num_classes {
            1 => "there is one class: any answer is right",
            _ => {
                "99 classes have fewer than 10 training items (class 1: 2, class 10: 2, class 11: 2 and 96 more)"
            }
        };
        assert_eq!(said.matches(warning).count(), 1, "{said}");
        succeeds(
            dir.path(),
            &[
                "sample",
                "--checkpoint",
                "run",
                "--out",
                "s",
                "--steps",
                "1",
                "--device",
                "cpu",
                "--per-class",
                "1",
            ],
        );
        succeeds(
            dir.path(),
            &[
                "eval",
                "accuracy",
                "calibration",
                "--checkpoint",
                "run",
                "--out",
                "e",
                "--device",
                "cpu",
            ],
        );
    }
}

#[test]
fn own_data_is_meant_unless_a_data_set_is_named() {
    let dir = tempfile::tempdir().unwrap();
    class(&dir.path().join("set"), "a", 12, 8, 8);
    let path = "data.dir='set'";
    fs::write(dir.path().join("named.toml"), "data.dataset = 'mnist'").unwrap();
    fs::write(dir.path().join("unnamed.toml"), "seed = 3").unwrap();
    for (words, is_own) in [
        (&["--data", "set"][..], true),
        (&["--set", path], true),
        (&["--data", "set", "--preset", "fashion-quick"], true),
        (&["--data", "set", "--preset", "mnist-showcase"], false),
        (
            &[
                "--data",
                "set",
                "--preset",
                "mnist-showcase",
                "--dataset",
                "custom",
                "--set",
                "objective.p_x_weight=0",
            ],
            true,
        ),
        (&["--data", "set", "--config", "named.toml"], false),
        (&["--data", "set", "--config", "unnamed.toml"], true),
    ] {
        let out = format!("run{}", words.join("").replace(['.', '/', '\''], ""));
        let train = [&["train", "--out", &out], words, &SMALL[..]].concat();
        let output = jempp(dir.path(), &train);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.success(), is_own, "{words:?}: {said}");
        let what = if is_own { "custom from" } else { "none of train-images-idx3-ubyte" };
        assert!(said.contains(what), "{words:?}: {said}");
    }
}

#[test]
fn a_run_is_not_resumed_on_less_data_than_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        class(&dir.path().join("set"), name, 12, 8, 8);
        class(&dir.path().join("few"), name, 3, 8, 8);
    }
    let train = ["train", "--data", "set", "--preset", "fashion-quick", "--out", "run"];
    let output = jempp(dir.path(), &[&train[..], &SMALL].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let resume = ["train", "--resume", "run", "--data", "few", "--epochs", "2", "--device", "cpu"];
    let output = jempp(dir.path(), &resume);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("data.batch_size = 8, which stays as it is"), "{said}");
    assert!(!said.contains("--set data.batch_size"), "{said}");
}
