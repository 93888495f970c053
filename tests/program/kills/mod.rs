//! Runs that are killed, interrupted, started twice or denied resources: nothing saved is lost, and a resumed run ends
//! with the same result as an undisturbed one.
//!
//! `JEMPP_KILLS=60` sets the number of kills; `JEMPP_SEED=7` changes their moments.
mod resumed;
mod signals;
mod surroundings;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::bounded::{self, jempp};
use ciborium::Value as Cbor;
use jempp::checkpoint::Checkpoint;
use safetensors::SafeTensors;

/// A run of about a second: few points, small steps.
const RUN: &str = "train --device cpu --preset toy-two-moons --seed 5 --set data.num_points=320 \
                   --set data.batch_size=32 --set sampler.num_steps=1 \
                   --set replay_buffer.replay_buffer_size=64 --set optimizer.ema_decay=0.9";
/// The number of training steps in an epoch of that run.
const STEPS_PER_EPOCH: u64 = 10;

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// The command that starts the run in the folder `run`, with more options.
fn begin(dir: &Path, more: &str) -> Command {
    jempp(dir, &words(&format!("{RUN} --out run {more}")))
}

/// The command that resumes the run.
fn resume(dir: &Path, more: &str) -> Command {
    jempp(dir, &words(&format!("train --device cpu --resume run {more}")))
}

/// The number of steps in the checkpoint.
fn saved_steps(run: &Path) -> u64 {
    Checkpoint::load(&run.join("checkpoint.safetensors")).unwrap().counters.step
}

/// The number of training steps in the metrics, after checking that lines are complete, in order and unique.
fn logged_steps(run: &Path) -> u64 {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a whole line"));
    let steps = lines.filter(|line: &serde_json::Value| line["loss"].is_number());
    let steps: Vec<u64> = steps.map(|line| line["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>(), "complete and unique");
    steps.len() as u64
}

/// Waits until the run has done this many steps.
fn wait_for_steps(run: &Path, steps: usize) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let done =
        || fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
    while done() < steps {
        assert!(Instant::now() < deadline, "no {steps} steps in {}", run.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Tensors by name: type or shape, and bytes.
type Tensors = BTreeMap<String, (String, Vec<u8>)>;

/// The tensors of a checkpoint, including those of its optimiser.
fn tensors(run: &Path) -> Tensors {
    let bytes = fs::read(run.join("checkpoint.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found = Tensors::new();
    for (name, view) in file.tensors() {
        match name.as_str() {
            "optimizer" => found.extend(optimizer_tensors(view.data())),
            _ => {
                let kind = format!("{:?} {:?}", view.dtype(), view.shape());
                found.insert(name, (kind, view.data().to_vec()));
            }
        }
    }
    found
}

/// The tensors of an optimiser record, which may be in any order. The record has a CBOR header, whose length follows
/// six bytes, and then the values, up to its end.
fn optimizer_tensors(record: &[u8]) -> Tensors {
    let field = |value: &Cbor, name: &str| {
        let entries = value.as_map().unwrap().iter();
        let mut found = entries.filter(|(key, _)| key.as_text() == Some(name));
        found.next().unwrap().1.clone()
    };
    let number = |value: &Cbor| usize::try_from(value.as_integer().unwrap()).unwrap();
    let head: Cbor = ciborium::from_reader(&record[10..]).unwrap();
    let tensors = field(&head, "tensors").into_map().unwrap().into_iter().map(|(name, tensor)| {
        let ends: Vec<usize> =
            field(&tensor, "data_offsets").as_array().unwrap().iter().map(number).collect();
        (name.into_text().unwrap(), format!("{:?}", field(&tensor, "shape")), ends)
    });
    let tensors: Vec<_> = tensors.collect();
    assert!(!tensors.is_empty());
    let last = tensors.iter().map(|(_, _, ends)| ends[1]).max().unwrap();
    let values = &record[record.len() - last..];
    let whole = tensors.into_iter().map(|(name, shape, ends)| {
        (format!("optimizer.{name}"), (shape, values[ends[0]..ends[1]].to_vec()))
    });
    whole.collect()
}

/// Checks that two runs ended with equal results: every tensor, every step, and the same files.
pub(crate) fn assert_alike(run: &Path, whole: &Path) {
    let (found, expected) = (tensors(run), tensors(whole));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in &expected {
        assert!(found[name] == *expected, "tensor `{name}` differs");
    }
    assert_eq!(logged_steps(run), logged_steps(whole));
    assert_eq!(names_in(run), names_in(whole), "nothing is left over");
}

/// Every file of a run, except the lock file, which stays.
fn names_in(run: &Path) -> Vec<String> {
    let paths = bounded::everything_in(run).into_keys();
    let names = paths.map(|path| path.strip_prefix(run).unwrap().display().to_string());
    names.filter(|name| !name.ends_with("lock")).collect()
}

/// Whether strace is installed; prints a note if not.
fn has_strace() -> bool {
    let is_here =
        Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    if !is_here {
        eprintln!("SKIPPED: strace is not here, which fails and kills inside system calls");
    }
    is_here
}

/// The command under strace, with the fault injection `inject` on these system calls.
fn traced(command: &Command, calls: &str, inject: &str) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
    traced.arg(format!("trace={calls}")).arg("-e").arg(format!("inject={calls}:{inject}"));
    traced.arg(command.get_program()).args(command.get_args());
    let dir = command.get_current_dir().unwrap().to_path_buf();
    bounded::surround(&mut traced, &dir);
    traced.current_dir(dir);
    traced
}
