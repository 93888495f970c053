//! The work of a sweep: runs as processes, several at once, and how each of them ended.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use indicatif::HumanDuration;

use super::{super::progress, Standing, Sweep, obstacle, plan::Run};
use crate::{
    checkpoint,
    files::{self, FolderLock, LockError},
    ranks::launch,
    run_folder::record::Record,
    say::{complain, one_line, say},
    signals,
};

/// The last bytes of a log in which a run says how it ended.
const MAX_LAST_BYTES: u64 = 1 << 16;
/// The time between two looks at the runs.
const PAUSE: Duration = Duration::from_millis(100);

/// A run that is being done.
struct Job<'a> {
    run: &'a Run,
    child: Child,
    started: Instant,
    /// Its place among the runs at once.
    slot: usize,
    /// The length of its log when it started.
    log_begin: u64,
    /// Keeps other sweeps from the run until its end is noted.
    _claim: FolderLock,
}

impl Sweep {
    /// Does runs, `jobs` at once, which take the devices in turn. A request to stop is passed on to all of them, and each
    /// saves.
    ///
    /// # Errors
    /// A record cannot be read or written. Then no other run begins, and those that have begun save and stop.
    pub(super) fn work(
        &self,
        runs: &[&Run],
        jobs: usize,
        devices: &[String],
    ) -> anyhow::Result<()> {
        let count = runs.len();
        let mut waiting = runs.iter().enumerate();
        let mut going: Vec<Job> = Vec::new();
        let mut trouble: Option<anyhow::Error> = None;
        let mut has_passed_on = false;
        loop {
            while going.len() < jobs
                && trouble.is_none()
                && !signals::is_requested()
                && let Some((index, run)) = waiting.next()
            {
                let slot = free_slot(&going.iter().map(|job| job.slot).collect::<Vec<_>>());
                match self.begin(run, &format!("{}/{count}", index + 1), slot, devices) {
                    Ok(job) => going.extend(job),
                    Err(error) => trouble = Some(error),
                }
            }
            if going.is_empty() {
                return trouble.map_or(Ok(()), Err);
            }
            let is_over = trouble.is_some() || signals::is_requested();
            if is_over && !std::mem::replace(&mut has_passed_on, true) {
                if let Some(error) = &trouble {
                    let error = one_line(error);
                    complain!("warning: {error}; the runs that have begun save and stop");
                }
                going.iter().for_each(|job| stop(&job.child));
            }
            let mut left = Vec::new();
            for mut job in going {
                let ended = match job.child.try_wait() {
                    Ok(Some(status)) => self.end(&job, status),
                    Ok(None) => {
                        left.push(job);
                        continue;
                    }
                    Err(error) => Err(error).context("cannot wait for a run"),
                };
                match ended {
                    Err(error) if trouble.is_some() => complain!("warning: {}", one_line(&error)),
                    Err(error) => trouble = Some(error),
                    Ok(()) => {}
                }
            }
            going = left;
            std::thread::sleep(PAUSE);
        }
    }

    /// Begins a run, unless another sweep of this folder came before this one. A run that cannot start has failed.
    fn begin<'a>(
        &self,
        run: &'a Run,
        place: &str,
        slot: usize,
        devices: &[String],
    ) -> anyhow::Result<Option<Job<'a>>> {
        let path = self.claim_path(run);
        let claim = match FolderLock::take_file(path.clone()) {
            Ok(claim) => claim,
            Err(LockError::Held(holder)) => {
                say_left(run, &holder);
                return Ok(None);
            }
            Err(LockError::Io(error)) => {
                return Err(error).with_context(|| format!("cannot write {}", path.display()));
            }
        };
        if self.is_left_to_another(run)? {
            return Ok(None);
        }
        say!("[{place}] {} begins", run.name);
        match self.start(run, device_of(slot, devices)) {
            Ok((child, log_begin)) => {
                let started = Instant::now();
                Ok(Some(Job { run, child, started, slot, log_begin, _claim: claim }))
            }
            Err(error) => self.fail(run, one_line(&error), Duration::ZERO).map(|()| None),
        }
    }

    /// Whether another jempp trains a run, or has done it; if so, says it.
    fn is_left_to_another(&self, run: &Run) -> anyhow::Result<bool> {
        match self.standing(run)? {
            Standing::Elsewhere(holder) => say_left(run, &holder),
            Standing::Done => say!("{}: was done by another jempp", run.name),
            Standing::New | Standing::Begun | Standing::Failed(_) | Standing::Unknown => {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Starts a run, or resumes it. Nothing that is in its folder is removed. Returns its process, and the length of its log
    /// before.
    fn start(&self, run: &Run, device: &str) -> anyhow::Result<(Child, u64)> {
        let program = std::env::current_exe().context("cannot find the program jempp itself")?;
        let folder = self.folder(run);
        if let Some(why) = obstacle(&folder) {
            bail!("{why}");
        }
        let mut command = Command::new(program);
        // A task of a queue may itself be one of several processes; its runs are not.
        for name in launch::variables() {
            command.env_remove(name);
        }
        command.arg("train");
        if files::is_file(&checkpoint::file_in(&folder)) {
            command.arg("--resume").arg(&folder);
        } else {
            command.arg("--preset").arg(&self.plan.preset).arg("--out").arg(&folder);
            command.arg("--seed").arg(run.seed.to_string());
            if let Some(data) = &self.plan.data {
                command.arg("--data").arg(data);
            }
            for (key, value) in &run.settings {
                command.arg("--set").arg(format!("{key}={value}"));
            }
        }
        command.arg("--device").arg(device);
        // The record is written first, because it marks the folder as that of a sweep.
        self.note(run, &self.record(run))?;
        let path = self.log(run);
        let (log_begin, errors, log) =
            open_log(&path).with_context(|| format!("cannot write {}", path.display()))?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        Ok((command.spawn().context("cannot start a run")?, log_begin))
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
        let error = said.lines().rev().find_map(|line| line.strip_prefix("error: "));
        let is_stopped = signals::is_requested() || signals::has_stopped(status);
        if is_done {
            say!("{}: done in {}", run.name, HumanDuration(took));
        } else if is_stopped && error.is_none() {
            say!("{}: stopped, to be continued", run.name);
        } else if status.success() {
            say!("{}: ended before its last step; the same command continues it", run.name);
        } else {
            let reason = error.map_or_else(
                || {
                    let log = self.log(run);
                    format!("it ended without an error message ({status}); see {}", log.display())
                },
                str::to_string,
            );
            return self.fail(run, reason, took);
        }
        let record = Record { secs: took.as_secs_f64(), is_done, ..self.record(run) };
        self.note(run, &record)
    }

    /// Says and notes that a run failed.
    fn fail(&self, run: &Run, reason: String, took: Duration) -> anyhow::Result<()> {
        complain!("{}: failed: {reason}", run.name);
        let secs = took.as_secs_f64();
        let record = Record { failure: Some(reason), secs, ..self.record(run) };
        self.note(run, &record)
    }

    /// Writes the record of a run.
    fn note(&self, run: &Run, record: &Record) -> anyhow::Result<()> {
        let path = self.record_path(run);
        record.write(&path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What a run printed, beside its folder.
    fn log(&self, run: &Run) -> PathBuf {
        self.out.join(format!("{}.log", run.name))
    }

    /// The last lines that a run printed since it was started; none if its log cannot be read.
    fn last_said(&self, job: &Job) -> String {
        let read = || {
            let (mut file, len) = files::open(&self.log(job.run))?;
            file.seek(SeekFrom::Start(job.log_begin.max(len.saturating_sub(MAX_LAST_BYTES))))?;
            let mut bytes = Vec::new();
            file.take(MAX_LAST_BYTES).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(bytes)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }
}

/// Says that another jempp trains a run.
fn say_left(run: &Run, holder: &str) {
    say!("{}: is being trained by another jempp ({holder}); left to it", run.name);
}

/// The first place among the runs at once that is free.
fn free_slot(taken: &[usize]) -> usize {
    (0..taken.len()).find(|slot| !taken.contains(slot)).unwrap_or(taken.len())
}

/// The device of a place among the runs at once.
fn device_of(slot: usize, devices: &[String]) -> &str {
    devices.get(slot % devices.len().max(1)).map_or("auto", String::as_str)
}

/// Opens a log to add to it: its length, and the file for errors and for everything else.
fn open_log(path: &Path) -> std::io::Result<(u64, File, File)> {
    let log = File::options().append(true).create(true).open(path)?;
    Ok((log.metadata()?.len(), log.try_clone()?, log))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_at_once_take_the_devices_in_turn() {
        let devices = ["0", "1", "cpu"].map(String::from);
        let found: Vec<&str> = (0..5).map(|slot| device_of(slot, &devices)).collect();
        assert_eq!(found, ["0", "1", "cpu", "0", "1"]);
        assert_eq!(device_of(3, &devices[..1]), "0");
        // A run takes the place of one that has ended.
        assert_eq!([free_slot(&[]), free_slot(&[0, 2]), free_slot(&[1, 0])], [0, 1, 2]);
    }
}
