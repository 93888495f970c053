//! Ranks that do not fit together, and commands that are not for several processes.

use std::{fs, process::Command};

use super::{RUN, bounded::ended, has_mpirun, mpirun, on_ranks};

/// Runs a command that jempp itself must end with an error; returns its one error line.
fn fails(command: &mut Command) -> String {
    fails_with(1, command)
}

/// Runs a command that must fail with an exit status; returns its one error line.
fn fails_with(status: i32, command: &mut Command) -> String {
    let ended = ended(command);
    assert_eq!(ended.status.code(), Some(status), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    let all = format!("{}\n{}", ended.stdout, ended.stderr);
    let errors: Vec<&str> = all.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "one line: {all}");
    errors[0].to_string()
}

#[test]
fn ranks_with_other_settings_or_without_a_device_are_refused_with_one_line() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let program = env!("CARGO_BIN_EXE_jempp");
    let both = format!(
        "-n 1 {program} {RUN} --out run : -n 1 {program} {RUN} --out run --set sampler.num_steps=6"
    );
    assert_eq!(
        fails(&mut mpirun(dir, &both)),
        "error: rank 1: sampler.num_steps = 6 here, and 20 on rank 0: give all ranks the same settings"
    );
    let ways =
        format!("-n 1 {program} {RUN} --out run : -n 1 {program} train --device cpu --resume run");
    assert_eq!(
        fails(&mut mpirun(dir, &ways)),
        "error: rank 1: it resumes a run, and rank 0 starts a new run: start all ranks with the same options"
    );
    let points: String = (0..40).map(|nth| format!("{},{},{}\n", nth, nth % 7, nth % 2)).collect();
    fs::write(dir.join("points.csv"), format!("x,y,class\n{points}")).unwrap();
    let auto = format!("-n 1 {program} train --device cpu --data points.csv --out run");
    let said = fails(&mut mpirun(dir, &format!("{auto} : {auto} --set sampler.num_steps=6")));
    assert!(said.starts_with("error: rank 1: sampler.num_steps = 6 here, and "), "{said}");
    let no_device = format!("{RUN} --out run --device cpu,nosuch").replacen("--device cpu ", "", 1);
    let said = fails(&mut on_ranks(dir, 2, &no_device));
    assert!(said.starts_with("error: rank 1: no such adapter: `nosuch`"), "{said}");
    let too_few = no_device.replace("cpu,nosuch", "cpu,cpu");
    let said = fails(&mut on_ranks(dir, 3, &too_few));
    assert!(said.contains("--device cpu,cpu names 2 devices, and there are 3 ranks"), "{said}");
    let said = fails(&mut on_ranks(dir, 7, &format!("{RUN} --out run")));
    assert!(said.contains("7 ranks cannot share it evenly: set it to 56 or 63"), "{said}");
    let said = fails(&mut on_ranks(dir, 2, &format!("{RUN} --out run --set sampler.kid=3")));
    assert!(said.contains("sampler.kid"), "{said}");
    assert!(!dir.join("run").exists(), "nothing is left behind");
    fs::create_dir(dir.join("run")).unwrap();
    fs::write(dir.join("run/notes.txt"), "mine").unwrap();
    let said = fails(&mut on_ranks(dir, 2, &format!("{RUN} --out run")));
    assert!(said.contains("already exists and is not a run"), "{said}");
    let said = fails(&mut on_ranks(dir, 2, "train --device cpu --resume nowhere"));
    assert!(said.contains("holds no run to resume"), "{said}");
}

#[test]
fn what_the_parser_refuses_is_said_once() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let said = fails_with(2, &mut on_ranks(dir.path(), 3, "train --nosuch"));
    assert!(said.contains("unexpected argument '--nosuch'"), "{said}");
    let help = super::succeeds(&mut on_ranks(dir.path(), 3, "train --help"));
    assert_eq!(help.stdout.matches("Train a model and write").count(), 1, "{help:?}");
    // What is wrong with one rank alone is said too.
    let program = env!("CARGO_BIN_EXE_jempp");
    let one = format!("-n 1 {program} {RUN} --out run : -n 1 {program} {RUN} --out run --nosuch");
    let said = fails_with(2, &mut mpirun(dir.path(), &one));
    assert!(said.contains("unexpected argument '--nosuch'"), "{said}");
    assert!(!dir.path().join("run").exists());
}

#[test]
fn only_training_is_done_by_several_processes() {
    if !has_mpirun() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (command, name) in [
        ("sample --model two-moons --device cpu --out out", "jempp sample"),
        ("eval accuracy --model two-moons --device cpu --out out", "jempp eval"),
        ("", "jempp"),
    ] {
        let said = fails(&mut on_ranks(dir.path(), 2, command));
        let words = format!(
            "mpirun of Open MPI started 2 processes, and each of them would do all of `{name}`"
        );
        assert!(said.contains(&words) && said.contains("--shard 1/2 to --shard 2/2"), "{said}");
        assert!(!dir.path().join("out").exists() && !dir.path().join("runs").exists());
    }
    // Parts of a job are for one process each.
    let program = env!("CARGO_BIN_EXE_jempp");
    let sample = "sample --model two-moons --device cpu --per-class 2 --steps 3";
    let part =
        |number: u32| format!("-n 1 {program} {sample} --shard {number}/2 --out part{number}");
    super::succeeds(&mut mpirun(dir.path(), &format!("{} : {}", part(1), part(2))));
    for number in 1..=2 {
        assert!(dir.path().join(format!("part{number}/part.bin")).exists());
    }
}
