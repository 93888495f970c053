//! The command `jempp sweep`: many training runs from one file, one after another, several at once, or one of them as a
//! task of a queue.

mod file;
mod plan;
mod work;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

use self::plan::{Plan, Run};
use super::check_printed;
use crate::{
    checkpoint,
    counts::{counted, grouped},
    device,
    files::{self, FolderLock, LOCK_NAME},
    results_folder::some_of,
    run_folder::{self, record::Record},
    say::{complain, say},
    signals,
};

/// The largest number of runs at once.
const MAX_JOBS: usize = 256;
/// The number of failed runs that an error names.
const MAX_NAMED: usize = 5;

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// TOML file of the sweep: preset, data, seeds, [set] for all runs, [grid] for every combination, [[run]] for single ones.
    file: PathBuf,
    /// Folder of all runs [default: sweeps/ and the name of the file].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Number of runs at once.
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "task")]
    jobs: usize,
    /// Do this one run, counted from 0, as in --task $SLURM_ARRAY_TASK_ID.
    #[arg(long, value_name = "I")]
    task: Option<usize>,
    /// Do runs again that failed, as --task always does.
    #[arg(long, conflicts_with = "task")]
    retry: bool,
    /// Print the runs and where each stands, and start none.
    #[arg(long, conflicts_with_all = ["task", "retry", "jobs", "device"])]
    list: bool,
    /// Compute device of every run: auto, gpu, cpu, or an adapter's index, name or graphics API, as in vulkan. With
    /// --jobs, a name may stand for several adapters, which the runs take in turn; or a list names one for each of the
    /// runs at once, as in 0,1.
    #[arg(long, default_value = "auto")]
    device: String,
}

/// Where a run stands.
#[derive(Debug, PartialEq)]
enum Standing {
    New,
    Begun,
    Done,
    Failed(String),
    /// Another jempp, which is named, trains it now.
    Elsewhere(String),
    /// Its record cannot be read or is of other settings, and a task of another run need not know.
    Unknown,
}

/// A sweep and its folder.
struct Sweep {
    plan: Plan,
    out: PathBuf,
}

/// Does what a sweep's file asks for.
pub(super) fn run(args: &SweepArgs) -> anyhow::Result<()> {
    ensure!((1..=MAX_JOBS).contains(&args.jobs), "--jobs takes 1 to {MAX_JOBS}");
    let plan = Plan::read(&args.file)?;
    let stem = args.file.file_stem().unwrap_or_default();
    let out = args.out.clone().unwrap_or_else(|| Path::new("sweeps").join(stem));
    let sweep = Sweep { plan, out };
    let standings = sweep.standings(args.task)?;
    sweep.check_folder()?;
    if args.list {
        for (index, (run, standing)) in sweep.plan.runs.iter().zip(&standings).enumerate() {
            let words = match standing {
                Standing::New => "not begun".into(),
                Standing::Begun => "begun, not at its end".into(),
                Standing::Done => "done".into(),
                Standing::Failed(reason) => format!("failed: {reason}"),
                Standing::Elsewhere(holder) => format!("being trained by another jempp ({holder})"),
                Standing::Unknown => "not known".into(),
            };
            say!("{index}  {}  {words}", run.name);
        }
        return check_printed();
    }
    let is_due = |standing: &Standing| match standing {
        Standing::Done | Standing::Unknown => false,
        Standing::Failed(_) => args.retry,
        Standing::New | Standing::Begun | Standing::Elsewhere(_) => true,
    };
    let chosen: Vec<&Run> = match args.task {
        Some(task) => {
            let run =
                sweep.plan.runs.get(task).with_context(|| match sweep.plan.runs.len() - 1 {
                    0 => "--task takes only 0, as this sweep has one run".to_string(),
                    last => format!("--task takes 0 to {last} for this sweep"),
                })?;
            if standings[task] == Standing::Done {
                say!("{} is done.", run.name);
                return Ok(());
            }
            vec![run]
        }
        None => {
            let all = || sweep.plan.runs.iter().zip(&standings);
            for (run, standing) in all().filter(|(_, standing)| !is_due(standing)) {
                if let Standing::Failed(reason) = standing {
                    complain!("{}: failed: {reason}", run.name);
                }
            }
            all().filter(|(_, standing)| is_due(standing)).map(|(run, _)| run).collect()
        }
    };
    let devices = match chosen.is_empty() {
        true => Vec::new(),
        false => devices_of(&args.device, args.jobs)?,
    };
    files::create_dir(&sweep.out)
        .with_context(|| format!("cannot make the folder {}", sweep.out.display()))?;
    if let Err(error) = signals::stop_flag() {
        complain!("warning: Ctrl-C will not save before it stops the runs: {error}");
    }
    sweep.work(&chosen, args.jobs, &devices)?;
    sweep.conclude(args.task)
}

impl Sweep {
    fn folder(&self, run: &Run) -> PathBuf {
        self.out.join(&run.name)
    }

    /// Where every run stands, while this sweep does none; for one `task` of a queue, the others need not be known.
    ///
    /// # Errors
    /// A run of that name was done with other settings, or its record cannot be read.
    fn standings(&self, task: Option<usize>) -> anyhow::Result<Vec<Standing>> {
        let runs = self.plan.runs.iter().enumerate();
        runs.map(|(index, run)| {
            // Asked first: another sweep notes how a run ended before it lets go of it.
            let holder = FolderLock::holder_of_file(&self.claim_path(run));
            match (self.standing(run), holder) {
                (Err(_), _) if task.is_some_and(|task| task != index) => Ok(Standing::Unknown),
                (Ok(Standing::New | Standing::Begun | Standing::Failed(_)), Some(holder)) => {
                    Ok(Standing::Elsewhere(holder))
                }
                (found, _) => found,
            }
        })
        .collect()
    }

    /// Where a run stands by its record and its folder.
    fn standing(&self, run: &Run) -> anyhow::Result<Standing> {
        let (folder, path) = (self.folder(run), self.record_path(run));
        if !files::exists(&path) {
            ensure!(
                !files::exists(&folder),
                "{} is there, but not from a sweep: move it, or choose another folder with --out",
                folder.display()
            );
            return Ok(Standing::New);
        }
        let record =
            Record::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (is_there, holder) = (files::is_taken(&folder), FolderLock::holder(&folder));
        let differences = record.differences(&self.record(run));
        if !differences.is_empty() {
            ensure!(
                !is_there && holder.is_none(),
                "{} was made with other settings: {}; choose another folder with --out",
                path.display(),
                some_of(&differences)
            );
            // Nothing was trained with them, as where the sweep's file named data that is not there.
            return Ok(Standing::New);
        }
        if record.is_done && is_there {
            return Ok(Standing::Done);
        }
        if let Some(holder) = holder {
            return Ok(Standing::Elsewhere(holder));
        }
        Ok(match record.failure {
            Some(reason) => Standing::Failed(reason),
            None if record.is_done => {
                Standing::Failed("it was done, but its folder is not there".into())
            }
            None if files::is_file(&checkpoint::file_in(&folder)) => Standing::Begun,
            None => obstacle(&folder).map_or(Standing::New, Standing::Failed),
        })
    }

    /// Checks that the sweep's folder is free, or is that of a sweep, and does not lie in the data of a run.
    fn check_folder(&self) -> anyhow::Result<()> {
        let out = self.out.display();
        ensure!(!self.out.is_file(), "{out} is a file: choose a folder with --out");
        for data in &self.plan.own_data {
            files::check_outside(&self.out, data)?;
        }
        // A record of this sweep may be damaged.
        let has_record = || {
            self.plan.runs.iter().any(|run| files::exists(&self.record_path(run)))
                || Record::all_in(&self.out).next().is_some()
        };
        ensure!(
            !files::is_taken(&self.out) || has_record(),
            "{out} is not the folder of a sweep, and it holds {}: choose another folder with --out",
            some_of(&files::names_in(&self.out))
        );
        Ok(())
    }

    /// The place of the record of a run, beside its folder.
    fn record_path(&self, run: &Run) -> PathBuf {
        Record::beside(&self.folder(run))
    }

    /// The lock of the sweep that does a run, from before its start until its end is noted. The run's own lock holds for less
    /// time.
    fn claim_path(&self, run: &Run) -> PathBuf {
        self.out.join(format!(".{}{LOCK_NAME}", run.name))
    }

    /// The record of a run that has not ended.
    fn record(&self, run: &Run) -> Record {
        let Plan { preset, data, .. } = &self.plan;
        Record {
            settings: run.settings.clone(),
            seed: run.seed,
            preset: preset.clone(),
            data: data.clone(),
            is_done: false,
            failure: None,
            secs: 0.0,
        }
    }

    /// Says where the sweep stands, after all its runs or after one `task` of it.
    ///
    /// # Errors
    /// Runs failed, or are not at their end although nobody asked the sweep to stop: a queue must not count them as done.
    fn conclude(&self, task: Option<usize>) -> anyhow::Result<()> {
        let standings = self.standings(task)?;
        let count = |is: fn(&Standing) -> bool| standings.iter().filter(|one| is(one)).count();
        let (all, done) = (standings.len(), count(|one| *one == Standing::Done));
        let failed = count(|one| matches!(one, Standing::Failed(_)));
        let elsewhere = count(|one| matches!(one, Standing::Elsewhere(_)));
        let unknown = count(|one| *one == Standing::Unknown);
        let are = |count| counted(count, "is", "are");
        let verb = if all == 1 || done == 1 { "is" } else { "are" };
        let (runs, out) = (counted(all, "run", "runs"), self.out.display());
        say!("{} of {runs} {verb} done, in {out}.", grouped(done));
        if elsewhere > 0 {
            say!("{} being trained by another jempp.", are(elsewhere));
        }
        if unknown > 0 {
            say!("{} not known: the same command without --task says why.", are(unknown));
        }
        let unfinished = all - done - elsewhere - unknown;
        if let Some(task) = task {
            let name = &self.plan.runs[task].name;
            match standings[task] {
                Standing::Failed(_) => bail!("{name} failed; the same command does it again"),
                Standing::New | Standing::Begun => {
                    let line = format!("{name} is not at its end: the same command continues it");
                    // A sweep that was asked to stop has an exit status that says so.
                    ensure!(signals::is_requested(), "{line}");
                    say!("{line}.");
                    return Ok(());
                }
                Standing::Done => signals::work_is_done(),
                Standing::Elsewhere(_) | Standing::Unknown => {}
            }
            if unfinished > 0 {
                let left = are(unfinished);
                say!("{left} left to other tasks, or to the same command without --task.");
            }
            return Ok(());
        }
        let left = unfinished - failed;
        if left > 0 {
            let line = format!("{} left: the same command continues", are(left));
            ensure!(failed > 0 || signals::is_requested(), "{line}");
            say!("{line}.");
        }
        if failed > 0 {
            let names = self.plan.runs.iter().zip(&standings);
            let names = names.filter(|(_, one)| matches!(one, Standing::Failed(_)));
            let names: Vec<&str> =
                names.map(|(run, _)| run.name.as_str()).take(MAX_NAMED).collect();
            let more = if failed > names.len() { ", …" } else { "" };
            let them = if failed == 1 { "it" } else { "them" };
            bail!("{failed} failed: {}{more}; --retry does {them} again", names.join(", "));
        }
        if left == 0 {
            signals::work_is_done();
        }
        Ok(())
    }
}

/// The devices that the runs at once, `jobs` of them, take in turn: those of a list, or those that one name stands for.
///
/// # Errors
/// There is no such device, or the list is longer than it can be used.
fn devices_of(wanted: &str, jobs: usize) -> anyhow::Result<Vec<String>> {
    let names: Vec<&str> = wanted.split(',').map(str::trim).collect();
    let count = names.len();
    if count == 1 && jobs > 1 {
        return Ok(device::names_in_turn(wanted)?);
    }
    ensure!(
        count <= jobs,
        "--device {wanted} names {count} devices, and {} at once: give --jobs {count}, or name fewer",
        counted(jobs, "run is done", "runs are done")
    );
    for name in &names {
        device::check_name(name)?;
    }
    Ok(names.into_iter().map(String::from).collect())
}

/// Why the run in a folder can neither go on nor begin, if so.
fn obstacle(folder: &Path) -> Option<String> {
    let found = run_folder::instead_of_run(folder)?;
    Some(format!(
        "{} has no run that can go on: {found}; put its checkpoint back, or move the folder",
        folder.display()
    ))
}
