//! The command `jempp report`: training runs beside each other, as a page, tables and curves.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;

use super::{
    opening::{command, say_moved, writes_row},
    say_opening,
};
use crate::{
    results_folder::{Destination, Job},
    run_report::Report,
    say::{complain, say},
};

/// The folder that is written without `--out`.
const OUT: &str = "report";

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Folders of training runs, or of sweeps, which stand for all their runs.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder for the report [default: report, or the first free one of report-2, report-3, …].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What a run is called; once for each run, in the same order [default: the names of their folders].
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Replace an earlier report in the folder.
    #[arg(long, requires = "out")]
    force: bool,
}

/// Reads the runs and writes the report.
pub(super) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    ensure!(
        args.names.iter().all(|name| !name.trim().is_empty()),
        "--name needs at least one letter"
    );
    let out = match &args.out {
        Some(path) => Destination::at(path, args.force),
        None => Destination::beside(Path::new(OUT)),
    };
    let kept = out.check(Job::Report)?;
    let report = Report::read(&args.runs, &args.names)?;
    say_opening(&[("Runs", report.names().join(", ")), writes_row(&out, &kept)]);
    for note in report.notes() {
        complain!("note: {note}");
    }
    let written = report.write(&out, command())?;
    say_moved(&out, &written[0]);
    say!("Report: {}, and {} files beside it", written[0].display(), written.len() - 1);
    Ok(())
}
