//! Standard streams that are closed, full or without a reader.

use std::{fs::OpenOptions, process::Command};

use super::{
    bounded::{ended, every, surround},
    inputs::TRAIN,
};

/// Shell redirections that replace the standard streams.
const CLOSED: [&str; 6] = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>&1", "| true"];

fn in_shell(dir: &std::path::Path, words: &str, streams: &str) -> Command {
    let mut command = Command::new("bash");
    let script = format!("set -o pipefail; \"$JEMPP\" {words} {streams}");
    command.args(["-c", &script]).env("JEMPP", env!("CARGO_BIN_EXE_jempp"));
    surround(&mut command, dir);
    command.current_dir(dir);
    command
}

#[test]
fn results_do_not_depend_on_being_able_to_print() {
    let jobs = [
        (TRAIN.join(" "), "run/checkpoint.safetensors"),
        ("sample --model two-moons --device cpu --steps 2 --out s".into(), "s/grid.png"),
        ("eval accuracy --model two-moons --device cpu --out e".into(), "e/results.json"),
        ("export --model two-moons --out x.safetensors".into(), "x.safetensors"),
        ("import small.pt --device cpu --out i.safetensors".into(), "i.safetensors"),
    ];
    let cases = CLOSED.iter().flat_map(|streams| jobs.iter().map(move |job| (streams, job)));
    let name = |(streams, (words, _)): &(&&str, &(String, &str))| format!("{words} {streams}");
    every(cases, name, |(streams, (words, result))| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(super::golden("none.pt"), dir.path().join("small.pt")).unwrap();
        let ended = ended(&mut in_shell(dir.path(), words, streams));
        assert!(ended.status.success(), "{ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        assert!(dir.path().join(result).is_file(), "{result}");
    });
}

#[test]
fn what_only_prints_does_not_panic_where_nobody_reads() {
    for words in
        ["config", "devices", "devices --json", "--help", "train --help", "nonsense", "pack"]
    {
        for streams in CLOSED {
            let dir = tempfile::tempdir().unwrap();
            let ended = ended(&mut in_shell(dir.path(), words, streams));
            assert!(!ended.stderr.contains("panicked"), "{words} {streams}: {}", ended.stderr);
            // Exit status 101 means a panic in Rust, 134 an abort.
            let code = ended.status.code();
            assert!(matches!(code, Some(0..=2)), "{words} {streams}: {:?}", ended.status);
        }
    }
}

#[test]
fn a_full_disk_under_results_is_one_line() {
    for words in [
        "pack --checkpoint two-moons.safetensors --out /dev/full",
        "export --model two-moons --out /dev/full",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("two-moons.safetensors");
        std::fs::write(file, super::packed_file().to_bytes()).unwrap();
        super::refused(dir.path(), &words.split(' ').collect::<Vec<_>>());
    }
    // `/dev/full` is still a device.
    assert!(OpenOptions::new().write(true).open("/dev/full").is_ok());
}
