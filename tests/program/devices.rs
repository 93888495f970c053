//! `jempp devices --check`, and the script that measures a machine with a GPU.

use std::process::Command;

use crate::run::{fails, succeeds, text};

#[test]
fn a_check_without_an_adapter_says_that_the_cpu_computes() {
    let dir = tempfile::tempdir().unwrap();
    // An empty driver list hides every adapter from the Vulkan loader.
    let output = Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(["devices", "--check"])
        .env("VK_DRIVER_FILES", "/nonexistent.json")
        .env("VK_ICD_FILENAMES", "/nonexistent.json")
        .current_dir(dir.path())
        .output()
        .unwrap();
    if cfg!(target_os = "linux") {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("no graphics adapter found") && said.contains("CPU"), "{said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
    }
}

#[test]
fn only_adapters_that_are_there_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    if succeeds(dir.path(), &["devices", "--json"]).trim() == "[]" {
        return;
    }
    let said = fails(dir.path(), &["devices", "--check", "Voodoo 2"]);
    assert!(said.contains("no such adapter: `Voodoo 2`"), "{said}");
    assert!(said.contains("--check takes one of these"), "{said}");
    let said = fails(dir.path(), &["devices", "--check", "cpu"]);
    assert!(said.contains("the CPU needs no check"), "{said}");
}

#[cfg(unix)]
mod script {
    use std::{
        fs,
        os::unix::fs::PermissionsExt,
        path::Path,
        process::{Command, Output},
    };

    use crate::run::text;

    /// Runs `benches/device.sh --short` with a program that prints its arguments, and fails with the first of them
    /// that is `failing`.
    fn measure(dir: &Path, failing: &str, arguments: &[&str]) -> Output {
        let program = dir.join("jempp");
        let script =
            format!("#!/bin/sh\necho \"called with $*\"\n[ \"$1\" != {failing} ] || exit 3\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Command::new("sh")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/device.sh"))
            .args(["--short", "--device", "0"])
            .args(arguments)
            .arg("./jempp")
            .current_dir(dir)
            .output()
            .unwrap()
    }

    #[test]
    fn the_script_goes_on_after_a_part_that_fails_and_writes_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let output = measure(dir.path(), "bench", &["--out", "report.txt"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report = fs::read_to_string(dir.path().join("report.txt")).unwrap();
        for call in ["devices --check 0", "bench --device 0 --works W2", "train --preset"] {
            assert!(report.contains(&format!("called with {call}")), "{call}: {report}");
        }
        assert!(
            report.lines().any(|line| line.starts_with("W2: FAILED after ")
                && line.ends_with(" s with exit status 3")),
            "{report}"
        );
        assert!(report.contains("fashion-showcase: done"), "{report}");
        let mut files: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        files.sort();
        assert_eq!(files, ["jempp", "report.txt"]);
    }

    #[test]
    fn the_script_replaces_no_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("report.txt"), "mine").unwrap();
        let output = measure(dir.path(), "nothing", &["--out", "report.txt"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains("report.txt exists"), "{}", text(&output.stderr));
        assert_eq!(fs::read(dir.path().join("report.txt")).unwrap(), b"mine");
    }
}
