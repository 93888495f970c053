//! Helpers that run the program.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::{
    path::Path,
    process::{Command, Output},
};

/// A program that stops when it is asked to, although the tests themselves may ignore signals: those of a shell's
/// background job ignore Ctrl-C, and what they start would inherit it.
pub(crate) fn hears_signals(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    // SAFETY: `signal` may be called between fork and exec.
    unsafe {
        use std::os::unix::process::CommandExt;
        command.pre_exec(|| {
            for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
                libc::signal(signal, libc::SIG_DFL);
            }
            Ok(())
        });
    }
    command
}

pub(crate) fn jempp(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jempp"))
        .args(arguments)
        .env("JEMPP_CACHE", dir.join("cache"))
        .current_dir(dir)
        .output()
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a command that must fail; returns its one error line.
pub(crate) fn fails(dir: &Path, arguments: &[&str]) -> String {
    let output = jempp(dir, arguments);
    let stderr = text(&output.stderr);
    let code = output.status.code();
    assert!(matches!(code, Some(1 | 2)), "{arguments:?} ended with {code:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    let ours: Vec<&&str> = lines.iter().filter(|line| !line.contains("XDG_RUNTIME_DIR")).collect();
    assert_eq!(ours.len(), 1, "one line: {stderr}");
    ours[0].to_string()
}

pub(crate) fn succeeds(dir: &Path, arguments: &[&str]) -> String {
    let output = jempp(dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The arguments that train a small model of two moons in the folder `run`, in about a second.
pub(crate) const QUICK: [&str; 13] = [
    "train",
    "--preset",
    "toy-two-moons",
    "--out",
    "run",
    "--device",
    "cpu",
    "--epochs",
    "2",
    "--set",
    "data.num_points=1000",
    "--set",
    "replay_buffer.replay_buffer_size=256",
];
