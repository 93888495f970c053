//! The command `jempp merge`: makes the whole of the parts of a job.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::Args;

use super::{eval, opening::command, sample};
use crate::{
    files,
    results_folder::{Destination, Job, MadeBy, parts_in},
};

#[derive(Debug, Args)]
pub(super) struct MergeArgs {
    /// New or empty folder for the whole results.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Folders of all parts, in any order.
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
    /// Replace all results of jempp in OUT.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &MergeArgs) -> anyhow::Result<()> {
    for (index, part) in args.parts.iter().enumerate() {
        let is_same = |other: &PathBuf| files::is_same_place(part, other);
        ensure!(
            !is_same(&args.out),
            "{} is a part: the whole needs a folder of its own",
            args.out.display()
        );
        ensure!(!args.parts[..index].iter().any(is_same), "{} is given twice", part.display());
    }
    let parts = parts_in(&args.parts)?;
    let Some(first) = parts.first() else { unreachable!("an argument that is required") };
    let out = Destination::at(&args.out, args.force);
    let made_by =
        MadeBy { command: command(), finished: false, part: None, ..first.made_by.clone() };
    out.check(made_by.job)?;
    match made_by.job {
        Job::Sample => sample::merge(&parts, &out, made_by),
        Job::Eval => eval::merge(&parts, &out, made_by),
        Job::Report => bail!("`jempp report` makes no parts"),
    }
}
