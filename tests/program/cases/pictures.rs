//! Pictures as users have them.

use std::{fs, path::Path};

use super::{
    bounded::{ended, jempp, refused, works},
    inputs::{colour_model, input},
};

/// Draws the chain of `start` before its first step; returns (red, green, blue) at a relative position from 0 to 1.
fn shown(dir: &Path, model: &str, start: &str, [x, y]: [f32; 2]) -> [u8; 3] {
    let words = "sample --device cpu --steps 0 --per-class 1 --class 0 --out shown --checkpoint";
    let words: Vec<&str> = words.split(' ').chain([model, "--start", start]).collect();
    works(dir, &words);
    let picture = image::open(dir.join("shown/grid.png")).unwrap().to_rgb8();
    fs::remove_dir_all(dir.join("shown")).unwrap();
    // The picture shows one image inside a margin.
    let at = |fraction: f32, size: u32| 2 + (fraction * (size - 4) as f32) as u32;
    picture.get_pixel(at(x, picture.width()), at(y, picture.height())).0
}

#[test]
fn a_picture_that_was_turned_by_the_camera_is_turned_back() {
    let dir = tempfile::tempdir().unwrap();
    let model = colour_model(dir.path());
    let [r, g, b] = shown(dir.path(), &model, &input("pictures/exif6.jpg"), [0.2, 0.2]);
    assert!(r > 120 && g < 100 && b < 100, "red at the top left, not {r} {g} {b}");
}

#[test]
fn half_a_picture_is_refused_or_told() {
    let dir = tempfile::tempdir().unwrap();
    let model = colour_model(dir.path());
    let start = input("pictures/cut.jpg");
    let words = [
        "sample",
        "--device",
        "cpu",
        "--steps",
        "0",
        "--out",
        "s",
        "--checkpoint",
        &model,
        "--start",
        &start,
    ];
    let ended = ended(&mut jempp(dir.path(), &words));
    let said =
        if ended.status.success() { ended.stderr.clone() } else { ended.refusal().to_string() };
    assert!(said.contains("cut.jpg"), "{said}");
}

#[test]
fn what_is_transparent_does_not_hide_the_shape() {
    let dir = tempfile::tempdir().unwrap();
    let model = colour_model(dir.path());
    let path = input("pictures/alpha-white.png");
    let alpha = image::open(&path).unwrap().to_rgba8();
    let (mut seen, mut hidden) = (None, None);
    for (x, y, pixel) in alpha.enumerate_pixels() {
        let place =
            [(x as f32 + 0.5) / alpha.width() as f32, (y as f32 + 0.5) / alpha.height() as f32];
        match pixel.0[3] {
            255 => seen = seen.or(Some(place)),
            0 => hidden = hidden.or(Some(place)),
            _ => {}
        }
    }
    // Both pixels are white apart from their transparency, but they look different.
    let [seen, hidden] =
        [seen, hidden].map(|place| shown(dir.path(), &model, &path, place.unwrap()));
    let difference: i32 =
        seen.iter().zip(hidden).map(|(a, b)| (i32::from(*a) - i32::from(b)).abs()).sum();
    assert!(difference > 60, "the shape is seen: {seen:?} {hidden:?}");
}

/// The report of out-of-distribution detection with a folder of pictures.
fn ood(dir: &Path, folder: &str) -> String {
    let model = colour_model(dir);
    let words = "eval ood --device cpu --out e --set eval.num_ood=4 --set eval.num_resamples=100 --data none";
    let folder = input(folder);
    // The data of the model are a few images in the format of CIFAR-10.
    cifar(&dir.join("none"));
    let words: Vec<&str> =
        words.split(' ').chain(["--checkpoint", &model, "--ood", &folder]).collect();
    works(dir, &words);
    fs::read_to_string(dir.join("e/report.html")).unwrap()
}

/// Writes a few images in the binary version of CIFAR-10.
fn cifar(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let record = |label: u8| {
        let pixels =
            (0..3072u32).map(move |at| (at.wrapping_mul(37 + u32::from(label)) >> 3) as u8);
        std::iter::once(label).chain(pixels)
    };
    let batch: Vec<u8> = (0..10).flat_map(record).collect();
    for name in [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ] {
        fs::write(folder.join(format!("{name}.bin")), &batch).unwrap();
    }
}

#[test]
fn files_that_a_mac_leaves_are_skipped_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let said = ood(dir.path(), "ood-folders/mac");
    assert!(said.contains("4 of the 4 pictures") && said.contains("skipped 5 hidden"), "{said}");
}

#[test]
fn folders_of_classes_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let said = ood(dir.path(), "ood-folders/imagefolder");
    assert!(said.contains("imagefolder"), "{said}");
}

/// Headers that state huge sizes.
#[test]
fn a_picture_of_a_billion_pixels_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut png = fs::read(input("pictures/plain.png")).unwrap();
    let header = 12..29;
    png[16..20].copy_from_slice(&60_000u32.to_be_bytes());
    png[20..24].copy_from_slice(&60_000u32.to_be_bytes());
    let crc = crc32fast::hash(&png[header.clone()]);
    png[header.end..header.end + 4].copy_from_slice(&crc.to_be_bytes());
    fs::write(dir.path().join("big.png"), png).unwrap();
    let words = ["sample", "--device", "cpu", "--steps", "0", "--out", "s", "--start", "big.png"];
    refused(dir.path(), &words);
}
