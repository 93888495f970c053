//! The recipes in docs/scale.md, with scripts in the place of Slurm's own programs.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

use jempp::checkpoint::Checkpoint;

use crate::{
    bounded::{Ended, Started, ended, surround},
    sweep::folder,
};

/// Does what `srun` does with one task, and notes its words and its process.
const SRUN: &str = "#!/bin/sh
echo \"$@\" >> srun.log
echo $$ > srun.pid
while [ \"${1#-}\" != \"$1\" ]; do shift; done
exec \"$@\"
";
/// Notes its words.
const SCONTROL: &str = "#!/bin/sh
echo \"$@\" >> scontrol.log
";

/// The first block of code under a heading of docs/scale.md.
fn recipe(heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scale.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, part) = text.split_once(&format!("\n### {heading}\n")).unwrap();
    part.split("```").nth(1).unwrap().trim_start().to_string()
}

/// A computer of a cluster, with a folder to work in.
struct Computer<'a>(&'a Path);

impl<'a> Computer<'a> {
    fn new(dir: &'a Path) -> Self {
        let programs = dir.join("bin");
        fs::create_dir(&programs).unwrap();
        for (name, text) in [("srun", SRUN), ("scontrol", SCONTROL)] {
            let path = programs.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_jempp"), programs.join("jempp")).unwrap();
        Self(dir)
    }

    /// A command with a variable of the queue.
    fn command(&self, words: &[&str], (name, value): (&str, &str)) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.0);
        surround(&mut command, self.0);
        let paths = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{paths}", self.0.join("bin").display()));
        command.env(name, value);
        command
    }

    /// A script as a job of Slurm.
    fn job(&self, script: &str, variable: (&str, &str)) -> Command {
        fs::write(self.0.join("job.sh"), script).unwrap();
        self.command(&["bash", "job.sh"], variable)
    }

    fn log_of(&self, program: &str) -> String {
        fs::read_to_string(self.0.join(format!("{program}.log"))).unwrap_or_default()
    }

    fn run(&self) -> PathBuf {
        self.0.join("runs/paper")
    }

    /// The number of lines in the metrics of the run.
    fn num_lines(&self) -> usize {
        let metrics = fs::read(self.run().join("metrics.jsonl")).unwrap_or_default();
        metrics.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// Runs a job until its run has done some more steps, and then sends that a signal.
    fn job_with_signal(&self, script: &str, signal: libc::c_int) -> Ended {
        let before = self.num_lines();
        let job = Started::new(&mut self.job(script, ("SLURM_JOB_ID", "7")));
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.num_lines() < before + 5 {
            assert!(Instant::now() < deadline, "no steps");
            sleep(Duration::from_millis(20));
        }
        let process = fs::read_to_string(self.0.join("srun.pid")).unwrap();
        // SAFETY: it sends a signal to a process of this test.
        unsafe { libc::kill(process.trim().parse().unwrap(), signal) };
        job.wait()
    }
}

#[test]
fn a_job_of_slurm_saves_before_its_end_and_goes_on_in_the_next() {
    const SMALL: &str = "--preset toy-two-moons --device cpu --epochs 100000 --set data.num_points=1000 \
                         --set replay_buffer.replay_buffer_size=256 \
                         --set training.eval_every_epochs=100000";
    let dir = tempfile::tempdir().unwrap();
    let computer = Computer::new(dir.path());
    let script = recipe("Slurm: one run on several nodes");
    let large = "--preset paper-cifar10 --data ~/cifar10";
    assert!(script.contains(large), "{script}");
    let script = script.replace(large, SMALL);
    let saved = || Checkpoint::load(&computer.run()).unwrap().counters.step;

    let first = computer.job_with_signal(&script, libc::SIGUSR1);
    assert_eq!(first.status.code(), Some(138), "{first:?}");
    assert_eq!(computer.log_of("scontrol"), "requeue 7\n");
    let steps = saved();

    // A signal that comes from somebody else ends the job.
    let second = computer.job_with_signal(&script, libc::SIGTERM);
    assert_eq!(second.status.code(), Some(143), "{second:?}");
    assert!(saved() > steps, "it is resumed: {second:?}");

    fs::write(computer.run().join("checkpoint.safetensors"), "broken").unwrap();
    let failed = ended(&mut computer.job(&script, ("SLURM_JOB_ID", "7")));
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert_eq!(computer.log_of("scontrol"), "requeue 7\n", "only once");

    let said = computer.log_of("srun");
    let started: Vec<&str> = said.lines().collect();
    let begin = "--mpi=pmix --kill-on-bad-exit=1 jempp train";
    assert_eq!(started.len(), 3, "{said}");
    assert!(started[0].starts_with(&format!("{begin} --preset")), "{said}");
    let resumed = format!("{begin} --resume runs/paper");
    assert_eq!(started[1..], [&resumed, &resumed]);
}

#[test]
fn tasks_of_an_array_and_of_an_indexed_job_each_do_a_run_of_a_sweep() {
    let dir = folder("preset = \"toy-two-moons\"\nseeds = [0, 1]\n[set]\ntraining.epochs = 1\n");
    let computer = Computer::new(dir.path());

    let script = recipe("Slurm: an array of runs");
    let task = ended(&mut computer.job(&script, ("SLURM_ARRAY_TASK_ID", "1")));
    assert!(task.status.success(), "{task:?}");
    assert!(task.stdout.contains("1 of 2 runs is done"), "{task:?}");
    assert_eq!(computer.log_of("srun"), "jempp sweep rates.toml --task 1\n");

    let job = recipe("Kubernetes: an indexed job");
    for line in [
        "apiVersion: batch/v1",
        "kind: Job",
        "completionMode: Indexed",
        // Without it, there is no limit for each index.
        "restartPolicy: Never",
        "backoffLimitPerIndex: 3",
    ] {
        assert!(job.lines().any(|other| other.trim() == line), "{line}: {job}");
    }
    let words = job.lines().find_map(|line| line.trim().strip_prefix("command: ")).unwrap();
    let words: Vec<&str> = serde_json::from_str(words).unwrap();
    let pod = ended(&mut computer.command(&words, ("JOB_COMPLETION_INDEX", "0")));
    assert!(pod.status.success(), "{pod:?}");
    assert!(pod.stdout.contains("2 of 2 runs are done"), "{pod:?}");
}
