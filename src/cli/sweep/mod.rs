//! The command `jempp sweep`: many training runs from one file, one after another, several at once, or one of them as a
//! task of a queue.

mod file;
mod plan;
mod record;

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::HumanDuration;

use self::{
    plan::{Plan, Run},
    record::Record,
};
use super::progress;
use crate::{
    checkpoint,
    counts::{counted, grouped},
    device,
    files::{self, FolderLock},
    ranks::launch,
    results_folder::some_of,
    say::{complain, say},
    signals,
};

/// What a run printed, beside its folder.
const LOG: &str = "log";
/// The last bytes of a log in which a run says how it ended.
const MAX_LAST_BYTES: u64 = 1 << 16;
/// The time between two looks at the runs.
const PAUSE: Duration = Duration::from_millis(100);
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
    /// Do runs again that failed.
    #[arg(long)]
    retry: bool,
    /// Print the runs and where each stands, and start none.
    #[arg(long, conflicts_with_all = ["task", "retry"])]
    list: bool,
    /// Compute device of every run: auto, gpu, cpu, or an adapter's index or name.
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
}

/// A run that is being done.
struct Job<'a> {
    run: &'a Run,
    child: Child,
    started: Instant,
    /// The length of its log when it started.
    log_begin: u64,
}

/// A sweep and its folder.
struct Sweep {
    plan: Plan,
    out: PathBuf,
    device: String,
}

/// Does what a sweep's file asks for.
pub(super) fn run(args: &SweepArgs) -> anyhow::Result<()> {
    ensure!((1..=MAX_JOBS).contains(&args.jobs), "--jobs takes 1 to {MAX_JOBS}");
    let plan = Plan::read(&args.file)?;
    let stem = args.file.file_stem().unwrap_or_default();
    let out = args.out.clone().unwrap_or_else(|| Path::new("sweeps").join(stem));
    let sweep = Sweep { plan, out, device: args.device.clone() };
    let standings = sweep.standings()?;
    sweep.check_folder()?;
    if args.list {
        for (index, (run, standing)) in sweep.plan.runs.iter().zip(&standings).enumerate() {
            let words = match standing {
                Standing::New => "not begun".into(),
                Standing::Begun => "begun, not at its end".into(),
                Standing::Done => "done".into(),
                Standing::Failed(reason) => format!("failed: {reason}"),
                Standing::Elsewhere(holder) => format!("being trained by another jempp ({holder})"),
            };
            say!("{index}  {}  {words}", run.name);
        }
        return Ok(());
    }
    let is_due = |standing: &Standing| match standing {
        Standing::Done => false,
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
            let all = sweep.plan.runs.iter().zip(&standings);
            all.filter(|(_, standing)| is_due(standing)).map(|(run, _)| run).collect()
        }
    };
    if !chosen.is_empty() {
        device::check_name(&args.device)?;
    }
    files::create_dir(&sweep.out)
        .with_context(|| format!("cannot make the folder {}", sweep.out.display()))?;
    if let Err(error) = signals::stop_flag() {
        complain!("warning: Ctrl-C will not save before it stops the runs: {error}");
    }
    sweep.work(&chosen, args.jobs)?;
    sweep.conclude(args.task)
}

impl Sweep {
    fn folder(&self, run: &Run) -> PathBuf {
        self.out.join(&run.name)
    }

    /// A file beside the folder of a run.
    fn beside(&self, run: &Run, ending: &str) -> PathBuf {
        self.out.join(format!("{}.{ending}", run.name))
    }

    /// Where every run stands.
    ///
    /// # Errors
    /// A run of that name was done with other settings, or its record cannot be read.
    fn standings(&self) -> anyhow::Result<Vec<Standing>> {
        self.plan.runs.iter().map(|run| self.standing(run)).collect()
    }

    fn standing(&self, run: &Run) -> anyhow::Result<Standing> {
        let (folder, path) = (self.folder(run), self.beside(run, Record::ENDING));
        if !files::exists(&path) {
            ensure!(
                !files::exists(&folder),
                "{} is there, but not from a sweep: move it, or choose another folder with --out",
                folder.display()
            );
            return Ok(Standing::New);
        }
        let record = Record::read(&path)?;
        ensure!(
            record.is_of_same_run(&self.record(run)),
            "{} was made with other settings: choose another folder with --out",
            path.display()
        );
        if record.is_done {
            return Ok(Standing::Done);
        }
        if let Some(holder) = FolderLock::holder(&folder) {
            return Ok(Standing::Elsewhere(holder));
        }
        Ok(match record.failure {
            Some(reason) => Standing::Failed(reason),
            None if checkpoint::file_in(&folder).is_file() => Standing::Begun,
            None => Standing::New,
        })
    }

    /// Checks that the sweep's folder is free, or is that of a sweep.
    fn check_folder(&self) -> anyhow::Result<()> {
        let out = self.out.display();
        ensure!(!self.out.is_file(), "{out} is a file: choose a folder with --out");
        ensure!(
            !files::is_taken(&self.out) || Record::is_in(&self.out),
            "{out} is not the folder of a sweep, and it holds {}: choose another folder with --out",
            some_of(&files::names_in(&self.out))
        );
        Ok(())
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

    /// Does runs, `jobs` at once. A request to stop is passed on to all of them, and each saves.
    fn work(&self, runs: &[&Run], jobs: usize) -> anyhow::Result<()> {
        let count = runs.len();
        let mut waiting = runs.iter().enumerate();
        let mut going: Vec<Job> = Vec::new();
        let mut has_passed_on = false;
        loop {
            while going.len() < jobs
                && !signals::is_requested()
                && let Some((index, run)) = waiting.next()
            {
                // Another sweep of this folder may have come before this one.
                if !self.is_left_to_another(run)? {
                    say!("[{}/{count}] {} begins", index + 1, run.name);
                    going.push(self.start(run)?);
                }
            }
            if going.is_empty() {
                return Ok(());
            }
            if signals::is_requested() && !std::mem::replace(&mut has_passed_on, true) {
                going.iter().for_each(|job| stop(&job.child));
            }
            let mut left = Vec::new();
            for mut job in going {
                match job.child.try_wait().context("cannot wait for a run")? {
                    Some(status) => self.end(&job, status)?,
                    None => left.push(job),
                }
            }
            going = left;
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether another jempp trains a run, or has done it; if so, says it.
    fn is_left_to_another(&self, run: &Run) -> anyhow::Result<bool> {
        match self.standing(run)? {
            Standing::Elsewhere(holder) => {
                say!("{}: is being trained by another jempp ({holder}); left to it", run.name);
            }
            Standing::Done => say!("{}: was done by another jempp", run.name),
            Standing::New | Standing::Begun | Standing::Failed(_) => return Ok(false),
        }
        Ok(true)
    }

    /// Starts a run, or resumes it.
    fn start<'a>(&self, run: &'a Run) -> anyhow::Result<Job<'a>> {
        let program = std::env::current_exe().context("cannot find the program jempp itself")?;
        let folder = self.folder(run);
        let mut command = Command::new(program);
        // A task of a queue may itself be one of several processes; its runs are not.
        for name in launch::variables() {
            command.env_remove(name);
        }
        command.arg("train");
        if checkpoint::file_in(&folder).is_file() {
            command.arg("--resume").arg(&folder);
        } else {
            // A run that ended before its first checkpoint has nothing to resume.
            if folder.is_dir() {
                std::fs::remove_dir_all(&folder)
                    .with_context(|| format!("cannot remove {}", folder.display()))?;
            }
            command.arg("--preset").arg(&self.plan.preset).arg("--out").arg(&folder);
            command.arg("--seed").arg(run.seed.to_string());
            if let Some(data) = &self.plan.data {
                command.arg("--data").arg(data);
            }
            for (key, value) in &run.settings {
                command.arg("--set").arg(format!("{key}={value}"));
            }
        }
        command.arg("--device").arg(&self.device);
        // The record is written first, because it marks the folder as that of a sweep.
        self.record(run).write(&self.beside(run, Record::ENDING))?;
        let path = self.beside(run, LOG);
        let log = || {
            let log = File::options().append(true).create(true).open(&path)?;
            Ok::<_, std::io::Error>((log.metadata()?.len(), log.try_clone()?, log))
        };
        let (log_begin, errors, log) =
            log().with_context(|| format!("cannot write {}", path.display()))?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().context("cannot start a run")?;
        Ok(Job { run, child, started: Instant::now(), log_begin })
    }

    /// Notes how a run ended.
    fn end(&self, job: &Job, status: ExitStatus) -> anyhow::Result<()> {
        let (run, took) = (job.run, job.started.elapsed());
        let said = self.last_said(job);
        // The run itself knows whether it came to its end.
        let is_done =
            status.success() && said.lines().any(|line| line.starts_with(progress::TRAINED));
        if !is_done && self.is_left_to_another(run)? {
            return Ok(());
        }
        let mut record = Record { secs: took.as_secs_f64(), is_done, ..self.record(run) };
        if is_done {
            say!("{}: done in {}", run.name, HumanDuration(took));
        } else if signals::is_requested() {
            say!("{}: stopped, to be continued", run.name);
        } else if status.success() {
            say!("{}: ended before its last step; the same command continues it", run.name);
        } else {
            let error = said.lines().rev().find_map(|line| line.strip_prefix("error: "));
            let reason = error.map_or_else(
                || {
                    let log = self.beside(run, LOG);
                    format!("it ended without an error message ({status}); see {}", log.display())
                },
                str::to_string,
            );
            complain!("{}: failed: {reason}", run.name);
            record.failure = Some(reason);
        }
        record.write(&self.beside(run, Record::ENDING))
    }

    /// The last lines that a run printed since it was started; none if its log cannot be read.
    fn last_said(&self, job: &Job) -> String {
        let read = || {
            let (mut file, len) = files::open(&self.beside(job.run, LOG))?;
            file.seek(SeekFrom::Start(job.log_begin.max(len.saturating_sub(MAX_LAST_BYTES))))?;
            let mut bytes = Vec::new();
            file.take(MAX_LAST_BYTES).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }

    /// Says where the sweep stands, after all its runs or after one `task` of it.
    ///
    /// # Errors
    /// Runs failed.
    fn conclude(&self, task: Option<usize>) -> anyhow::Result<()> {
        let standings = self.standings()?;
        let count = |is: fn(&Standing) -> bool| standings.iter().filter(|one| is(one)).count();
        let (all, done) = (standings.len(), count(|one| *one == Standing::Done));
        let failed = count(|one| matches!(one, Standing::Failed(_)));
        let elsewhere = count(|one| matches!(one, Standing::Elsewhere(_)));
        let are = |count| counted(count, "is", "are");
        let verb = if all == 1 || done == 1 { "is" } else { "are" };
        let (runs, out) = (counted(all, "run", "runs"), self.out.display());
        say!("{} of {runs} {verb} done, in {out}.", grouped(done));
        if elsewhere > 0 {
            say!("{} being trained by another jempp.", are(elsewhere));
        }
        let unfinished = all - done - elsewhere;
        if let Some(task) = task {
            let name = &self.plan.runs[task].name;
            match standings[task] {
                Standing::Failed(_) => bail!("{name} failed; the same command does it again"),
                Standing::New | Standing::Begun => {
                    say!("{name} is not at its end: the same command continues it.");
                    return Ok(());
                }
                Standing::Done => signals::work_is_done(),
                Standing::Elsewhere(_) => {}
            }
            if unfinished > 0 {
                let left = are(unfinished);
                say!("{left} left to other tasks, or to the same command without --task.");
            }
            return Ok(());
        }
        let left = unfinished - failed;
        if left > 0 {
            say!("{} left: the same command continues.", are(left));
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

/// Asks a run to save and to stop.
#[cfg(unix)]
fn stop(child: &Child) {
    if let Ok(pid) = libc::pid_t::try_from(child.id()) {
        // SAFETY: `kill` only sends a signal. The child was not waited for yet, so its number is still its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
}

/// The console passes Ctrl-C on to every process in it.
#[cfg(not(unix))]
fn stop(_: &Child) {}
