//! Messages about features that the program was built without. A program with all features prints none.

#[cfg(any(not(feature = "gui"), not(feature = "report")))]
use std::fs;

use super::run::{fails, jempp, succeeds, text};

/// Commands that need a feature, with the feature and whether it is built in.
const COMMANDS: [(&str, &str, bool); 6] = [
    ("view", "gui", cfg!(feature = "gui")),
    ("report", "report", cfg!(feature = "report")),
    ("fetch", "fetch", cfg!(feature = "fetch")),
    ("fetch-model", "fetch", cfg!(feature = "fetch")),
    ("import", "pytorch", cfg!(feature = "pytorch")),
    ("export", "pytorch", cfg!(feature = "pytorch")),
];

#[test]
fn a_command_that_is_not_built_in_says_how_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    for (command, feature, _) in COMMANDS.into_iter().filter(|(.., is_built_in)| !is_built_in) {
        for arguments in [vec![command], vec![command, "mnist", "--out", "x", "--force"]] {
            let said = fails(dir.path(), &arguments);
            assert!(said.contains("this jempp was built without"), "{said}");
            assert!(said.contains(&format!("--features {feature}`")), "{said}");
            assert_eq!(jempp(dir.path(), &arguments).status.code(), Some(1), "{arguments:?}");
        }
    }
}

#[test]
fn the_list_of_commands_tells_which_are_not_built_in() {
    let dir = tempfile::tempdir().unwrap();
    // Whitespace is normalised, so that line breaks do not matter.
    let list = succeeds(dir.path(), &["--help"]);
    let list = list.split_whitespace().collect::<Vec<_>>().join(" ");
    for (command, feature, is_built_in) in COMMANDS {
        let mark = format!("built without the feature {feature})");
        assert_eq!(list.contains(&mark), !is_built_in, "{command}: {list}");
        let help = text(&jempp(dir.path(), &[command, "--help"]).stdout);
        assert_eq!(help.contains(&mark), !is_built_in, "{command}: {help}");
    }
}

#[cfg(not(feature = "report"))]
#[test]
fn without_its_page_an_evaluation_writes_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let eval = ["eval", "accuracy", "--model", "two-moons", "--device", "cpu", "--out", "e"];
    let said = succeeds(dir.path(), &eval);
    assert!(said.contains("Report:  none") && said.contains("--features report`"), "{said}");
    let out = dir.path().join("e");
    assert!(fs::read_to_string(out.join("results.json")).unwrap().contains("\"accuracy\""));
    assert!(!out.join("report.html").exists());
    let compare = [&eval[..7], &["f", "--compare", "e/results.json"]].concat();
    let said = fails(dir.path(), &compare);
    assert!(
        said.contains("--compare is not used") && said.contains("--features report`"),
        "{said}"
    );
    assert!(!dir.path().join("f").exists());
}

#[cfg(not(feature = "gui"))]
#[test]
fn without_a_window_the_program_alone_goes_on_to_train() {
    let dir = tempfile::tempdir().unwrap();
    // The program ends before any work if it cannot create a run.
    fs::write(dir.path().join("runs"), "").unwrap();
    let output = jempp(dir.path(), &[]);
    let said = text(&output.stdout);
    assert!(said.contains("this jempp was built without the window"), "{said}");
    assert!(said.contains("Continuing without a window."), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

#[test]
fn the_help_of_train_says_whether_it_has_several_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let help = succeeds(dir.path(), &["train", "--help"]);
    let words = match cfg!(feature = "mpi") {
        true => "built in; docs/scale.md",
        false => "only in a jempp that was built with the feature mpi",
    };
    assert!(help.contains(words), "{help}");
}

/// Each process of a launcher would train the same run.
#[cfg(not(feature = "mpi"))]
#[test]
fn without_mpi_a_program_that_was_started_several_times_trains_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (size, rank) in [
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("PMI_SIZE", "PMI_RANK"),
        ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ] {
        let of_rank = |number: &str| {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_jempp"));
            command.args(super::run::QUICK).current_dir(dir.path());
            command.env(size, "2").env(rank, number).env("PMIX_RANK", number);
            command.output().unwrap()
        };
        let (first, second) = (of_rank("0"), of_rank("1"));
        let said = text(&first.stderr);
        assert!(said.starts_with("error: ") && said.contains("started 2 processes"), "{said}");
        assert!(said.contains("built without MPI") && said.lines().count() == 1, "{said}");
        assert!(second.stderr.is_empty() && second.stdout.is_empty(), "one of them speaks");
        assert_eq!([first.status.code(), second.status.code()], [Some(1), Some(1)]);
        assert!(!dir.path().join("run").exists());
    }
}
