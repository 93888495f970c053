//! Folders of pictures as data.

use std::{fs, path::Path};

use image::{Rgb, RgbImage};
use jempp::{
    data::{Loose, load_images},
    eval::results::Results,
};

use super::idx_file;
use crate::run::{fails, succeeds};

fn picture(path: &Path, level: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_pixel(12, 9, Rgb([level; 3])).save(path).unwrap();
}

fn read(dir: &Path, most: usize) -> Result<Loose, String> {
    load_images(dir, [1, 4, 4], most).map_err(|error| error.to_string())
}

#[test]
fn pictures_of_classes_are_read_and_what_is_none_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for (name, level) in
        [("cat/0.png", 10), ("cat/1.jpg", 20), ("dog/deep/0.webp", 30), ("dog/1.gif", 40)]
    {
        picture(&root.join(name), level);
    }
    // A file with the wrong extension.
    fs::copy(root.join("cat/1.jpg"), root.join("dog/lie.png")).unwrap();
    fs::copy(root.join("cat/1.jpg"), root.join("dog/none")).unwrap();
    for hidden in ["._0.png", ".DS_Store", "cat/._0.png"] {
        fs::write(root.join(hidden), "Mac OS X").unwrap();
    }
    fs::write(root.join("notes.txt"), "P1 is no picture here").unwrap();
    fs::create_dir(root.join("__MACOSX")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(root, root.join("cat/back")).unwrap();
    let found = read(root, 100).unwrap();
    assert_eq!(found.values.len(), 6 * 16);
    assert_eq!(
        found.description,
        "6 of the 6 pictures there, in 3 folders; skipped 3 hidden files, 1 file that is not a picture (notes.txt)"
    );
    assert_eq!(
        read(root, 2).unwrap().description.split(';').next().unwrap(),
        "2 of the 6 pictures there, in 3 folders"
    );
}

#[test]
fn a_broken_picture_is_left_out_by_name_and_nothing_but_broken_ones_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("val");
    picture(&root.join("a.jpg"), 200);
    let whole = fs::read(root.join("a.jpg")).unwrap();
    fs::write(root.join("b.jpg"), &whole[..whole.len() / 2]).unwrap();
    let found = read(&root, 9).unwrap();
    assert_eq!(found.values.len(), 16);
    assert!(
        found.description.starts_with("1 of the 2 pictures there; left out 1 that"),
        "{}",
        found.description
    );
    assert!(found.description.contains("b.jpg is cut off"), "{}", found.description);
    fs::remove_file(root.join("a.jpg")).unwrap();
    assert!(read(&root, 9).unwrap_err().contains("b.jpg is cut off"));
    fs::write(root.join("b.jpg"), "<html>").unwrap();
    let said = read(&root, 9).unwrap_err();
    assert!(
        said.contains("there is no image in") && said.contains("not a picture (b.jpg)"),
        "{said}"
    );
}

#[test]
fn idx_files_of_colour_are_read_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("some");
    fs::write(&file, idx_file(&[3, 4, 5, 3], &[7; 180])).unwrap();
    assert_eq!(load_images(&file, [3, 4, 5], 2).unwrap().values.len(), 120);
    let said = load_images(&file, [1, 28, 28], 2).unwrap_err().to_string();
    assert!(said.contains("shape [3, 4, 5]"), "{said}");
    assert!(read(Path::new("/dev/zero"), 1).unwrap_err().contains("it is not a regular file"));
}

#[test]
fn folders_of_one_name_are_told_apart_and_hidden_files_end_no_evaluation() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, level) in [("one/val", 1), ("two/val", 2), ("inverted", 3)] {
        picture(&dir.path().join(folder).join("p.png"), level);
        fs::write(dir.path().join(folder).join("._p.png"), "Mac OS X").unwrap();
    }
    let mut arguments = vec!["eval", "ood", "--device", "cpu", "--out", "out"];
    let settings =
        ["eval.num_ood=4", "eval.num_resamples=100", "data.dataset=fashion-mnist-embedded"];
    arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
    let folders = ["one/val", "two/val", "inverted/."];
    arguments.extend(folders.iter().flat_map(|folder| ["--ood", folder]));
    succeeds(dir.path(), &arguments);
    let results: Results =
        serde_json::from_slice(&fs::read(dir.path().join("out/results.json")).unwrap()).unwrap();
    let sets = &results.ood.unwrap().sets;
    let names: Vec<&str> = sets[sets.len() - 3..].iter().map(|set| set.name.as_str()).collect();
    let parent = dir.path().file_name().unwrap().to_string_lossy();
    assert_eq!(names, ["one/val", "two/val", &format!("{parent}/inverted")]);
    assert_eq!(sets.last().unwrap().what, "1 of the 1 picture there; skipped 1 hidden file");
    arguments.extend(["--ood", "one/../one/val"]);
    arguments[5] = "again";
    assert!(fails(dir.path(), &arguments).contains("one/val twice"));
}
