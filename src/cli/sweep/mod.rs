//! The command `jempp sweep`: many training runs from one file, one after another, several at once, or one of them as a
//! task of a queue.

mod plan;

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use clap::Args;
use indicatif::HumanDuration;
use serde::{Deserialize, Serialize};

use self::plan::{Plan, Run};
use crate::{
    checkpoint, files,
    ranks::launch,
    say::{complain, say},
    signals,
};

/// The file of a run's settings and of how it ended, beside its folder.
const RECORD: &str = "json";
/// What a run printed, beside its folder.
const LOG: &str = "log";
/// The size limit of a record, in bytes.
const MAX_RECORD_BYTES: u64 = 1 << 20;
/// The time between two looks at the runs.
const PAUSE: Duration = Duration::from_millis(100);
/// The largest number of runs at once.
const MAX_JOBS: usize = 256;

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

/// How a run ended, and the settings that it had.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    settings: Vec<(String, String)>,
    seed: u64,
    preset: String,
    data: Option<PathBuf>,
    /// Whether the run came to its end.
    is_done: bool,
    /// The last line that a run printed which failed.
    failure: Option<String>,
    secs: f64,
}

/// Where a run stands.
#[derive(Debug, PartialEq)]
enum Standing {
    New,
    Begun,
    Done,
    Failed(String),
}

/// A run that is being done.
struct Job<'a> {
    run: &'a Run,
    child: Child,
    started: Instant,
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
    if args.list {
        for (index, (run, standing)) in sweep.plan.runs.iter().zip(&standings).enumerate() {
            let words = match standing {
                Standing::New => "not begun".into(),
                Standing::Begun => "begun, not at its end".into(),
                Standing::Done => "done".into(),
                Standing::Failed(reason) => format!("failed: {reason}"),
            };
            say!("{index}  {}  {words}", run.name);
        }
        return Ok(());
    }
    let is_due = |standing: &Standing| match standing {
        Standing::Done => false,
        Standing::Failed(_) => args.retry,
        Standing::New | Standing::Begun => true,
    };
    let chosen: Vec<&Run> = match args.task {
        Some(task) => {
            let last = sweep.plan.runs.len() - 1;
            let run = sweep.plan.runs.get(task);
            let run = run.with_context(|| format!("--task takes 0 to {last} for this sweep"))?;
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
    files::create_dir(&sweep.out)
        .with_context(|| format!("cannot make the folder {}", sweep.out.display()))?;
    if let Err(error) = signals::stop_flag() {
        complain!("warning: Ctrl-C will not save before it stops the runs: {error}");
    }
    sweep.work(&chosen, args.jobs)?;
    sweep.conclude()
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
        let path = self.beside(run, RECORD);
        let has_begun = checkpoint::file_in(&self.folder(run)).is_file();
        if !files::exists(&path) {
            ensure!(
                !files::exists(&self.folder(run)),
                "{} is there, but not from a sweep: move it, or choose another folder with --out",
                self.folder(run).display()
            );
            return Ok(Standing::New);
        }
        let name = path.display();
        let bytes = files::read_at_most(&path, MAX_RECORD_BYTES)
            .with_context(|| format!("cannot read {name}"))?;
        let record: Record = serde_json::from_slice(&bytes)
            .ok()
            .with_context(|| format!("{name} is not a record of a sweep"))?;
        let new = self.record(run);
        let is_same = (&record.settings, record.seed, &record.preset, &record.data)
            == (&new.settings, new.seed, &new.preset, &new.data);
        ensure!(is_same, "{name} was made with other settings: choose another folder with --out");
        Ok(match record.failure {
            _ if record.is_done => Standing::Done,
            Some(reason) => Standing::Failed(reason),
            None if has_begun => Standing::Begun,
            None => Standing::New,
        })
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

    fn write(&self, run: &Run, record: &Record) -> anyhow::Result<()> {
        let path = self.beside(run, RECORD);
        let text = serde_json::to_string_pretty(record)?;
        files::write_atomically(&path, text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))
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
                say!("[{}/{count}] {} begins", index + 1, run.name);
                going.push(self.start(run)?);
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
                    Some(status) => self.end(&job, status.success())?,
                    None => left.push(job),
                }
            }
            going = left;
            std::thread::sleep(PAUSE);
        }
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
                // Another process may have begun this run just now.
                let lock = files::FolderLock::take(&folder);
                drop(lock.with_context(|| format!("{} is in use", folder.display()))?);
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
        let path = self.beside(run, LOG);
        let log = File::options().append(true).create(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let errors = log.try_clone().with_context(|| format!("cannot write {}", path.display()))?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        self.write(run, &self.record(run))?;
        let child = command.spawn().context("cannot start a run")?;
        Ok(Job { run, child, started: Instant::now() })
    }

    /// Notes how a run ended.
    fn end(&self, job: &Job, is_success: bool) -> anyhow::Result<()> {
        let (run, took) = (job.run, job.started.elapsed());
        let was_stopped = signals::is_requested() && !is_success;
        let mut record =
            Record { secs: took.as_secs_f64(), is_done: is_success, ..self.record(run) };
        if was_stopped {
            say!("{}: stopped, to be continued", run.name);
        } else if is_success {
            say!("{}: done in {}", run.name, HumanDuration(took));
        } else {
            let reason = self.last_line(run);
            complain!("{}: failed: {reason}", run.name);
            record.failure = Some(reason);
        }
        self.write(run, &record)
    }

    /// The last line that a run printed.
    fn last_line(&self, run: &Run) -> String {
        let path = self.beside(run, LOG);
        let text = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(4096)..]).into_owned();
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        last.map_or_else(|| format!("it said nothing; see {}", path.display()), str::to_string)
    }

    /// Says where the sweep stands.
    ///
    /// # Errors
    /// Runs failed.
    fn conclude(&self) -> anyhow::Result<()> {
        let standings = self.standings()?;
        let count = |is: fn(&Standing) -> bool| standings.iter().filter(|one| is(one)).count();
        let done = count(|one| *one == Standing::Done);
        let failed = count(|one| matches!(one, Standing::Failed(_)));
        let left = standings.len() - done - failed;
        say!("{done} of {} runs are done, in {}.", standings.len(), self.out.display());
        if left > 0 {
            say!("{left} are left: the same command continues.");
        }
        if failed > 0 {
            let names = self.plan.runs.iter().zip(&standings);
            let names = names.filter(|(_, one)| matches!(one, Standing::Failed(_)));
            let names: Vec<&str> = names.map(|(run, _)| run.name.as_str()).take(5).collect();
            let more = if failed > names.len() { ", …" } else { "" };
            bail!("{failed} failed: {}{more}; --retry does them again", names.join(", "));
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
