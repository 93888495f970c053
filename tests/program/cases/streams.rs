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

/// Commands whose result is what they print.
const PRINTING: [&str; 8] = [
    "config",
    "config --preset toy-rings",
    "devices",
    "devices --json",
    "data points.csv --json",
    "sweep rates.toml --list",
    "--help",
    "train --help",
];

#[test]
fn what_only_prints_fails_where_nothing_can_be_written_and_not_where_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("points.csv"), "0,0,a\n1,1,b\n0,1,a\n1,0,b\n").unwrap();
    std::fs::write(dir.path().join("rates.toml"), "seeds = [0, 1]\n").unwrap();
    let status = |words: &str, streams: &str| {
        let ended = ended(&mut in_shell(dir.path(), words, streams));
        assert!(!ended.stderr.contains("panicked"), "{words} {streams}: {}", ended.stderr);
        (ended.status.code(), ended.stderr)
    };
    for words in PRINTING {
        for streams in CLOSED {
            let expected = i32::from(streams.contains("full"));
            let (code, said) = status(words, streams);
            assert_eq!(code, Some(expected), "{words} {streams}: {said}");
        }
        let (code, said) = status(words, ">/dev/full");
        let is_error =
            |line: &&str| line.starts_with("error: ") && !line.contains("XDG_RUNTIME_DIR");
        let errors: Vec<&str> = said.lines().filter(is_error).collect();
        assert_eq!(code, Some(1), "{words}: {said}");
        assert!(
            errors.len() == 1 && errors[0].starts_with("error: cannot write to stdout: No space"),
            "{words}: {said}"
        );
    }
    for words in ["nonsense", "pack"] {
        for streams in CLOSED {
            assert_eq!(status(words, streams).0, Some(2), "{words} {streams}");
        }
    }
}

#[test]
fn a_run_whose_log_is_full_says_so_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let ended = ended(&mut in_shell(dir.path(), &TRAIN.join(" "), ">/dev/full"));
    assert!(ended.status.success(), "{ended:?}");
    let told =
        ended.stderr.matches("warning: not all could be written to stdout: No space").count();
    assert_eq!(told, 1, "{}", ended.stderr);
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
