//! Checkpoints with a valid checksum but invalid content. Every command that reads checkpoints must refuse them.

use std::fs;

use super::{
    Taker,
    bounded::{every, refused},
    inputs::{packed_file, run_in, wrong_checkpoints},
    taker,
};

const READERS: [Taker; 9] = [
    taker("sample --device cpu --steps 0 --out out --checkpoint {}"),
    taker("sample --device cpu --steps 0 --out out --start buffer --checkpoint {}"),
    taker("sample --device cpu --steps 0 --out out --model two-moons --judge {}"),
    taker("eval accuracy --device cpu --out out --checkpoint {}"),
    taker("eval samples --device cpu --out out --set eval.num_samples=2 --judge {}"),
    taker("pack --out out.safetensors --checkpoint {}"),
    taker("export --out out.safetensors --checkpoint {}"),
    taker("view --device cpu --checkpoint {}"),
    taker("train --device cpu --resume run"),
];

#[test]
fn a_right_checksum_over_wrong_things_is_refused_by_every_command() {
    every(
        wrong_checkpoints(),
        |(what, _)| what.to_string(),
        |(what, file)| {
            let dir = tempfile::tempdir().unwrap();
            let path = run_in(dir.path(), "run", &file);
            every(
                &READERS,
                |reader| format!("{what}: {}", reader.words),
                |reader| {
                    let said = refused(dir.path(), &reader.with(&path));
                    assert!(said.contains("checkpoint"), "which file it is: {said}");
                },
            );
        },
    );
}

#[test]
fn flipped_bits_and_cut_files_are_found_by_the_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let whole = packed_file().to_bytes();
    let path = dir.path().join("c.safetensors");
    let pack = ["pack", "--checkpoint", "c.safetensors", "--out", "out.safetensors"];
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        refused(dir.path(), &pack);
        fs::write(&path, &whole[..at]).unwrap();
        refused(dir.path(), &pack);
    }
    let mut longer = whole;
    longer.push(0);
    fs::write(&path, &longer).unwrap();
    refused(dir.path(), &pack);
}

/// Class names come from untrusted files: control characters for the terminal are printed as escapes.
#[test]
fn class_names_do_not_steer_the_terminal() {
    let names = ["\u{1b}[2J\u{1b}]0;mine\u{7}", "\u{202e}b\ra"];
    let dir = tempfile::tempdir().unwrap();
    let mut file = packed_file();
    file.run["class_names"] = serde_json::json!(names);
    let path = run_in(dir.path(), "run", &file);
    for reader in &READERS[..READERS.len() - 1] {
        refused(dir.path(), &reader.with(&path));
    }
}

#[test]
fn a_pytorch_file_names_import_and_a_run_folder_opens() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::copy(super::golden("none.pt"), dir.join("last.pt")).unwrap();
    let sample = taker("sample --device cpu --steps 0 --per-class 1 --out out --checkpoint {}");
    let said = refused(dir, &sample.with("last.pt"));
    assert!(said.contains("jempp import"), "{said}");
    run_in(dir, "run", &super::inputs::run_file());
    crate::bounded::works(dir, &sample.with("run"));
    let resume =
        ["train", "--device", "cpu", "--resume", "run/checkpoint.safetensors", "--epochs", "2"];
    crate::bounded::works(dir, &resume);
}
