//! Own data in zip archives and in lists of files.

use std::{
    fs,
    io::{Cursor, Write},
    path::Path,
};

use jempp::{
    config::RunConfig,
    data::{self, OwnContent, OwnFile},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{class, counts, load, refused, renamed};
use crate::run::{fails, jempp, succeeds, text};

/// The files below a folder, with their names in it.
fn files_in(root: &Path, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        match entry.path().is_dir() {
            true => files.extend(files_in(&entry.path(), &format!("{name}/"))),
            false => files.push((name, fs::read(entry.path()).unwrap())),
        }
    }
    files
}

fn zip(files: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(name.as_str(), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Two classes of six grey pictures.
fn two_classes(root: &Path) -> Vec<(String, Vec<u8>)> {
    class(&root.join("set"), "cat", 6, 8, 8);
    class(&root.join("set"), "dog", 6, 8, 8);
    let mut files = files_in(&root.join("set"), "");
    files.sort();
    files
}

fn listed(files: &[(String, Vec<u8>)]) -> Vec<OwnFile> {
    let file = |(name, bytes): &(String, Vec<u8>)| OwnFile {
        name: name.clone(),
        content: OwnContent::Bytes(bytes.as_slice().into()),
    };
    files.iter().map(file).collect()
}

fn load_list(files: &[OwnFile]) -> Result<data::Splits, String> {
    let mut config = RunConfig::default();
    config.data.batch_size = 1;
    data::load_files("drop", files, &config.data, 0).map_err(|error| error.to_string())
}

#[test]
fn a_zip_and_a_list_give_what_the_folder_gives() {
    let dir = tempfile::tempdir().unwrap();
    let files = two_classes(dir.path());
    let folder = load(&dir.path().join("set"));
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let path = dir.path().join(format!("{method}.zip"));
        fs::write(&path, zip(&files, method)).unwrap();
        let packed = load(&path);
        assert_eq!(packed.train.gather(0..10), folder.train.gather(0..10));
        assert_eq!(
            (&packed.train.labels, &packed.test.labels),
            (&folder.train.labels, &folder.test.labels)
        );
        assert!(packed.describe().contains("(folder of classes in a zip archive)"));
    }
    // The list may name its outer folder, and files on the disk as well as bytes.
    let mut list = listed(&files);
    list.iter_mut().for_each(|file| file.name = format!("my set/{}", file.name));
    list[0].content = OwnContent::Path(dir.path().join("set").join(&files[0].0));
    let found = load_list(&list).unwrap();
    assert_eq!(found.train.class_names, ["cat", "dog"]);
    assert_eq!(found.train.len() + found.test.len(), 12);
    // What is saved is read as it was.
    let saved = dir.path().join("saved.zip");
    data::save_zip(&list, &saved).unwrap();
    assert_eq!(load(&saved).train.gather(0..10), found.train.gather(0..10));
}

#[test]
fn other_kinds_of_data_come_in_zips_and_lists_too() {
    let dir = tempfile::tempdir().unwrap();
    let table: String = (0..40)
        .map(|n| format!("{},{},{}\n", n % 7, n % 5, if n < 20 { "up" } else { "down" }))
        .collect();
    let files = [("points/moons.csv".to_string(), table.into_bytes())];
    fs::write(dir.path().join("a.zip"), zip(&files, CompressionMethod::Deflated)).unwrap();
    let found = load(&dir.path().join("a.zip"));
    assert_eq!(
        (found.train.shape, &found.train.class_names[..]),
        ([2, 1, 1], &["down".to_string(), "up".into()][..])
    );
    assert_eq!(load_list(&listed(&files)).unwrap().train.labels, found.train.labels);
    let idx = |dims: &[u32], bytes: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| dim.to_be_bytes()).collect();
        [&[0, 0, 8, (dims.len() / 4) as u8][..], &dims, bytes].concat()
    };
    let images: Vec<u8> = (0..12 * 20).map(|n| (n * 5 % 251) as u8).collect();
    let files = [
        ("train-images".to_string(), idx(&[12, 4, 5], &images)),
        ("train-labels".to_string(), idx(&[12], &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1])),
        ("classes.txt".to_string(), b"zero\none\n".to_vec()),
    ];
    fs::write(dir.path().join("b.zip"), zip(&files, CompressionMethod::Deflated)).unwrap();
    let found = load(&dir.path().join("b.zip"));
    assert_eq!((found.train.shape, counts(&found.train)), ([1, 4, 5], vec![5, 5]));
    assert_eq!(load_list(&listed(&files)).unwrap().train.class_names, ["zero", "one"]);
}

#[test]
fn what_does_not_belong_into_a_zip_is_left_out_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = two_classes(dir.path());
    let picture = files[0].1.clone();
    for name in [
        "../../cat/up.png",
        "/etc/root.png",
        "cat/../../up.png",
        "__MACOSX/cat/._0.png",
        "cat/.hidden.png",
        "1/2/3/4/5/6/7/8/9/10.png",
    ] {
        files.push((name.into(), picture.clone()));
    }
    files.push(("cat/inner.zip".into(), zip(&files[..2], CompressionMethod::Stored)));
    let plain = zip(&files, CompressionMethod::Stored);
    let mut archive = ZipWriter::new_append(Cursor::new(plain)).unwrap();
    archive.add_symlink("cat/link.png", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let mut bytes = archive.finish().unwrap().into_inner();
    fs::write(dir.path().join("odd.zip"), &bytes).unwrap();
    let found = load(&dir.path().join("odd.zip"));
    assert_eq!(found.train.len() + found.test.len(), 12);
    let said = found.describe();
    for what in [
        "2 hidden files",
        "3 files whose names lead out of the archive",
        "1 file more than 8 folders deep",
        "1 link",
        "1 file that is not a picture (cat/inner.zip)",
    ] {
        assert!(said.contains(what), "{what}: {said}");
    }
    assert!(!dir.path().join("up.png").exists());
    // An entry that says it is encrypted, in both of its headers.
    let name = b"dog/5.png";
    let places: Vec<usize> =
        (0..bytes.len() - name.len()).filter(|&at| bytes[at..].starts_with(name)).collect();
    for at in places {
        for (mark, name_at, flags) in [(b"PK\x03\x04", 30, 6), (b"PK\x01\x02", 46, 8)] {
            if at >= name_at && bytes[at - name_at..].starts_with(mark) {
                bytes[at - name_at + flags] |= 1;
            }
        }
    }
    fs::write(dir.path().join("locked.zip"), &bytes).unwrap();
    let said = load(&dir.path().join("locked.zip")).describe();
    assert!(said.contains("1 file under a password (dog/5.png)"), "{said}");
}

#[test]
fn bad_zips_are_refused_with_what_would_do() {
    let dir = tempfile::tempdir().unwrap();
    let files = two_classes(dir.path());
    let whole = zip(&files, CompressionMethod::Deflated);
    let path = dir.path().join("bad.zip");
    let said = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).unwrap();
        let said = refused(&path);
        assert!(said.contains(what), "{what}: {said}");
    };
    said(&whole[..whole.len() / 2], "the archive is damaged");
    said(b"PK\x03\x04", "the archive is damaged");
    said(&zip(&[], CompressionMethod::Stored), "the archive is empty");
    said(b"", "the file is empty");
    let inner = [("inner.zip".to_string(), whole.clone())];
    said(&zip(&inner, CompressionMethod::Stored), "an archive in an archive");
    let loose = [("a.png".to_string(), files[0].1.clone())];
    said(&zip(&loose, CompressionMethod::Stored), "in no folder of a class");
    // A bomb: a hundred mebibytes of zeros in a tenth of one.
    let bomb = [("cat/0.bmp".to_string(), vec![0; 100 << 20])];
    let bomb = zip(&bomb, CompressionMethod::Deflated);
    assert!(bomb.len() < 200 << 10);
    said(&bomb, "zip bomb");
    // Bytes of an entry that are not what its checksum says.
    let mut damaged = zip(&files, CompressionMethod::Stored);
    let at = (0..damaged.len()).find(|&at| damaged[at..].starts_with(b"IDAT")).unwrap();
    damaged[at + 9] ^= 0xff;
    fs::write(&path, &damaged).unwrap();
    assert!(load(&path).describe().contains("1 image that cannot be read: cat/"));
    let list = listed(&[files[0].clone(), files[0].clone()]);
    assert!(load_list(&list).unwrap_err().contains("two of its files have the name cat/"));
    assert!(load_list(&[]).unwrap_err().contains("there is no picture in it"));
}

#[test]
fn names_that_are_double_or_in_another_encoding_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let whole = zip(&two_classes(dir.path()), CompressionMethod::Stored);
    let path = dir.path().join("names.zip");
    fs::write(&path, renamed(whole.clone(), b"cat/1.png", b"cat/0.png")).unwrap();
    let said = refused(&path);
    assert!(said.contains("two of its files have the name cat/0.png"), "{said}");
    fs::write(&path, renamed(whole, b"cat/", b"\xc7\xd1\xb1/")).unwrap();
    let said = load(&path).describe();
    assert!(said.contains("6 names in the archive are not in UTF-8"), "{said}");
}

#[test]
fn a_zip_of_several_tables_is_refused_and_a_note_beside_one_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let table = |name: &str| (name.to_string(), b"0,0,a\n1,1,b\n".to_vec());
    let path = dir.path().join("tables.zip");
    let note = ("readme.txt".to_string(), b"about this".to_vec());
    fs::write(&path, zip(&[table("d/a.csv"), note], CompressionMethod::Stored)).unwrap();
    let said = load(&path).describe();
    assert!(
        said.contains("table of points") && said.contains("1 other file (readme.txt)"),
        "{said}"
    );
    let several = [table("d/a.csv"), table("d/b.csv")];
    fs::write(&path, zip(&several, CompressionMethod::Stored)).unwrap();
    let said = refused(&path);
    assert!(
        said.contains(
            "it holds 2 files that may each be a data set (d/a.csv, d/b.csv); leave only one there"
        ),
        "{said}"
    );
}

#[test]
fn the_commands_take_a_zip() {
    let dir = tempfile::tempdir().unwrap();
    let files = two_classes(dir.path());
    fs::write(dir.path().join("pets.zip"), zip(&files, CompressionMethod::Deflated)).unwrap();
    let output = jempp(dir.path(), &["data", "pets.zip", "--out", "sheet.png"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert!(said.contains("custom from pets.zip (folder of classes in a zip archive)"), "{said}");
    assert!(said.contains("2: cat (6), dog (6)"), "{said}");
    let train = [
        "train",
        "--data",
        "pets.zip",
        "--out",
        "run",
        "--device",
        "cpu",
        "--set",
        "training.epochs=1",
        "--set",
        "sampler.num_steps=1",
    ];
    succeeds(dir.path(), &train);
    assert!(dir.path().join("run/checkpoint.safetensors").exists());
    // The run is resumed from the archive, and says so if it is gone.
    fs::rename(dir.path().join("pets.zip"), dir.path().join("gone.zip")).unwrap();
    let resume = ["train", "--resume", "run", "--set", "training.epochs=2", "--device", "cpu"];
    let said = fails(dir.path(), &resume);
    assert!(said.contains("pets.zip"), "{said}");
    fs::rename(dir.path().join("gone.zip"), dir.path().join("pets.zip")).unwrap();
    succeeds(dir.path(), &resume);
}
