//! `jempp sweep`: many runs from one file, which is done once however often it is called.

use std::{fs, path::Path};

use crate::run::{fails, jempp, succeeds, text};

const MOONS: &str = "preset = \"toy-two-moons\"\nseeds = [0, 1]\n[set]\ntraining.epochs = 1\n[grid]\n\
                     optimizer.learning_rate = [1e-3, 1e-4]\n";

/// A sweep of one run, which takes about a second.
pub(crate) fn one(seed: u32) -> String {
    format!("preset = \"toy-two-moons\"\nseeds = [{seed}]\n[set]\ntraining.epochs = 1\n")
}

pub(crate) fn folder(content: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rates.toml"), content).unwrap();
    dir
}

fn config_of(dir: &Path, run: &str) -> String {
    fs::read_to_string(dir.join("sweeps/rates").join(run).join("config.toml")).unwrap()
}

#[test]
fn every_combination_is_trained_once() {
    let dir = folder(MOONS);
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(listed.contains("2  learning_rate-0.001-seed-1  not begun"), "{listed}");
    // Listing makes nothing.
    assert!(!dir.path().join("sweeps").exists());

    let said = succeeds(dir.path(), &["sweep", "rates.toml", "--device", "cpu", "--jobs", "2"]);
    assert!(said.contains("4 of 4 runs are done, in sweeps/rates."), "{said}");
    let config = config_of(dir.path(), "learning_rate-0.0001-seed-1");
    assert!(config.contains("learning_rate = 0.0001") && config.contains("seed = 1"), "{config}");
    assert_ne!(config, config_of(dir.path(), "learning_rate-0.0001-seed-0"));

    let again = succeeds(dir.path(), &["sweep", "rates.toml", "--device", "cpu"]);
    assert!(!again.contains("begins") && again.contains("4 of 4 runs are done"), "{again}");

    // Other settings under the same name are not mixed with these.
    let other = MOONS.replace("epochs = 1", "epochs = 2");
    fs::write(dir.path().join("rates.toml"), other).unwrap();
    let said = fails(dir.path(), &["sweep", "rates.toml", "--device", "cpu"]);
    let words = "was made with other settings: training.epochs was 1 and is 2 now; choose another folder with --out";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_task_of_a_queue_does_its_own_run() {
    let dir = folder(MOONS);
    let task = |number| ["sweep", "rates.toml", "--device", "cpu", "--task", number];
    let said = succeeds(dir.path(), &task("3"));
    assert!(said.contains("1 of 4 runs is done, in sweeps/rates."), "{said}");
    assert!(said.contains("3 are left to other tasks, or to the same command without"), "{said}");
    config_of(dir.path(), "learning_rate-0.0001-seed-1");
    assert!(succeeds(dir.path(), &task("3")).contains("is done"));
    let said = fails(dir.path(), &task("4"));
    assert!(said.contains("--task takes 0 to 3"), "{said}");
}

#[test]
fn runs_at_once_take_devices_of_a_list_in_turn() {
    let dir = folder(MOONS);
    let sweep = |device, jobs| ["sweep", "rates.toml", "--device", device, "--jobs", jobs];
    let said = fails(dir.path(), &sweep("cpu,cpu", "1"));
    assert!(said.contains("names 2 devices, and 1 run is done at once: give --jobs 2"), "{said}");
    let said = fails(dir.path(), &sweep("cpu,nosuch", "2"));
    assert!(said.contains("no such adapter: `nosuch`"), "{said}");
    assert!(!dir.path().join("sweeps").exists());
    let said = succeeds(dir.path(), &sweep("cpu, cpu", "2"));
    assert!(said.contains("4 of 4 runs are done"), "{said}");
    for run in ["learning_rate-0.001-seed-0", "learning_rate-0.0001-seed-0"] {
        let log = dir.path().join("sweeps/rates").join(format!("{run}.log"));
        let log = fs::read_to_string(log).unwrap();
        assert!(log.contains("CPU back end"), "{log}");
    }
}

#[test]
fn a_run_that_fails_is_listed_and_the_others_go_on() {
    let dir = folder(
        "preset = \"toy-two-moons\"\n[set]\ntraining.epochs = 1\n[[run]]\nname = \"bad\"\ndata.dataset = \"mnist\"\n\
         data.dir = \"nowhere\"\nmodel.arch = \"cnn-small\"\n[[run]]\nname = \"good\"\n",
    );
    let said = fails(dir.path(), &["sweep", "rates.toml", "--device", "cpu"]);
    assert!(said.contains("1 failed: bad-seed-0") && said.contains("--retry"), "{said}");
    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(listed.contains("bad-seed-0  failed: ") && listed.contains("nowhere"), "{listed}");
    assert!(!listed.contains("failed: error"), "{listed}");
    assert!(listed.contains("good-seed-0  done"), "{listed}");
    // A failed run is done again only when asked for.
    let output = jempp(dir.path(), &["sweep", "rates.toml", "--device", "cpu"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(&output.stdout).contains("begins"), "{}", text(&output.stdout));
    let before = fs::metadata(dir.path().join("sweeps/rates/bad-seed-0.log")).unwrap().len();
    fails(dir.path(), &["sweep", "rates.toml", "--device", "cpu", "--retry"]);
    assert!(fs::metadata(dir.path().join("sweeps/rates/bad-seed-0.log")).unwrap().len() > before);
    // A task answers for its own run alone, and is done again.
    let task = |number| ["sweep", "rates.toml", "--device", "cpu", "--task", number];
    let said = fails(dir.path(), &task("0"));
    assert!(said.contains("bad-seed-0 failed; the same command does it again"), "{said}");
    fs::remove_file(dir.path().join("sweeps/rates/good-seed-0.json")).unwrap();
    fs::remove_dir_all(dir.path().join("sweeps/rates/good-seed-0")).unwrap();
    let said = succeeds(dir.path(), &task("1"));
    assert!(said.contains("1 is left to other tasks"), "{said}");
}

#[test]
fn a_run_that_another_jempp_trains_is_left_to_it() {
    let dir = folder(MOONS);
    succeeds(dir.path(), &["sweep", "rates.toml", "--device", "cpu", "--task", "0"]);
    let (sweep, name) = (dir.path().join("sweeps/rates"), "learning_rate-0.001-seed-0");
    let record = sweep.join(format!("{name}.json"));
    let done = fs::read_to_string(&record).unwrap();
    let begun = done.replace("\"is_done\": true", "\"is_done\": false");
    assert_ne!(begun, done);
    fs::write(&record, &begun).unwrap();
    // As a process holds the folder of its run.
    let lock = sweep.join(name).join(".jempp-lock");
    fs::write(&lock, "{\"pid\":77,\"host\":\"there\"}").unwrap();
    let held = fs::File::options().read(true).write(true).open(&lock).unwrap();
    held.lock().unwrap();

    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(listed.contains(&format!("0  {name}  being trained by another jempp (process 77 on")));
    for (more, done) in [(&["--task", "0"][..], "0 of 4 runs are"), (&[], "3 of 4 runs are")] {
        let all = [&["sweep", "rates.toml", "--device", "cpu"][..], more].concat();
        let said = succeeds(dir.path(), &all);
        let left = format!("{name}: is being trained by another jempp (process 77 on there, ");
        assert!(said.contains(&left) && said.contains("; left to it"), "{said}");
        assert!(said.contains(done) && said.contains("1 is being trained by another"), "{said}");
        assert!(!said.contains("1 is left"), "{said}");
        assert_eq!(fs::read_to_string(&record).unwrap(), begun, "its record stays");
    }
    drop(held);
    let said = succeeds(dir.path(), &["sweep", "rates.toml", "--device", "cpu"]);
    assert!(said.contains("4 of 4 runs are done"), "{said}");
}

#[test]
fn a_run_that_another_sweep_is_about_to_train_is_left_to_it() {
    let dir = folder(&one(0));
    let sweep = dir.path().join("sweeps/rates");
    fs::create_dir_all(&sweep).unwrap();
    // As a sweep holds a run from before its start until its end is noted.
    let lock = sweep.join(".seed-0.jempp-lock");
    fs::write(&lock, "{\"pid\":77,\"host\":\"there\"}").unwrap();
    let held = fs::File::options().read(true).write(true).open(&lock).unwrap();
    held.lock().unwrap();

    let listed = succeeds(dir.path(), &["sweep", "rates.toml", "--list"]);
    assert!(
        listed.contains("0  seed-0  being trained by another jempp (process 77 on"),
        "{listed}"
    );
    for more in [&["--task", "0"][..], &[]] {
        let all = [&["sweep", "rates.toml", "--device", "cpu"][..], more].concat();
        let said = succeeds(dir.path(), &all);
        let left = "seed-0: is being trained by another jempp (process 77 on there, ";
        assert!(said.contains(left) && said.contains("; left to it"), "{said}");
        assert!(said.contains("1 is being trained by another"), "{said}");
        assert!(!sweep.join("seed-0").exists() && !sweep.join("seed-0.json").exists());
    }
    drop(held);
    let said = succeeds(dir.path(), &["sweep", "rates.toml", "--device", "cpu"]);
    assert!(said.contains("1 of 1 run is done"), "{said}");
    assert!(!lock.exists());
}

#[test]
fn a_sweep_takes_a_new_folder_or_that_of_a_sweep() {
    let dir = folder(&one(0));
    let mine = dir.path().join("mine");
    fs::create_dir(&mine).unwrap();
    for name in ["notes.txt", "made-by.json"] {
        fs::write(mine.join(name), "{}").unwrap();
    }
    let to = |out| ["sweep", "rates.toml", "--device", "cpu", "--out", out];
    let said = fails(dir.path(), &to("mine"));
    let words = "mine is not the folder of a sweep, and it holds made-by.json, notes.txt: choose another folder with --out";
    assert!(said.contains(words), "{said}");
    assert_eq!(fs::read_dir(&mine).unwrap().count(), 2);
    assert!(fails(dir.path(), &to("mine/notes.txt")).contains("notes.txt is a file"));
    // Other runs may join those of a sweep.
    let said = succeeds(dir.path(), &to("runs"));
    assert!(said.contains("1 of 1 run is done, in runs."), "{said}");
    assert!(fails(dir.path(), &to("runs/seed-0")).contains("is not the folder of a sweep"));
    let said = fails(dir.path(), &["sweep", "rates.toml", "--out", "runs", "--task", "1"]);
    assert!(said.contains("--task takes only 0"), "{said}");
    fs::write(dir.path().join("rates.toml"), one(1)).unwrap();
    succeeds(dir.path(), &to("runs"));
    assert!(dir.path().join("runs/seed-1/config.toml").exists());
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_anything_starts() {
    for (content, words) in [
        ("[grid]\noptimizer.learning_rat = [1]", "did you mean `optimizer.learning_rate`"),
        ("[grid]\noptimizer.learning_rate = [1e-3, -1]", "out of range"),
        (
            "sets = 1",
            "did you mean `set`? A sweep has preset, data, seeds, [set], [grid] and [[run]]",
        ),
        (
            "seeds = \"0-3\"",
            "`seeds` must be a list of whole numbers, 0 or more, as in seeds = [0, 1]",
        ),
        ("[grid]\noptimizer.learning_rate = [1e-3, 0.001]", "`grid` has 0.001 twice"),
        (
            "[set]\nsampler.kind = \"sgld\"\n[grid]\nsampler.inner_step_size = [1, 2]",
            "`sampler.inner_step_size` is not used by the sampler sgld",
        ),
        (
            "preset = \"toy-two-moons\"\n[set]\ndata.num_points = 100\ndata.batch_size = 4000",
            "data.batch_size = 4000 is more than the 100 training images; set it to 100 or less",
        ),
        ("preset = \"fashon-quick\"", "did you mean `fashion-quick`"),
        ("data = \"\"", "`data` must be a text, the path of the data, as in data = \"pictures\""),
    ] {
        let dir = folder(content);
        let said = fails(dir.path(), &["sweep", "rates.toml"]);
        assert!(said.contains(words) && said.contains("rates.toml"), "{content}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{said}");
        assert!(!dir.path().join("sweeps").exists());
    }
    let dir = folder(MOONS);
    assert!(fails(dir.path(), &["sweep", "nothing.toml"]).contains("nothing.toml"));
    let said = fails(dir.path(), &["sweep", "rates.toml", "--device", "nope"]);
    assert!(said.contains("no such adapter: `nope`"), "{said}");
    assert!(said.contains("--device takes one of these, or auto"), "{said}");
    assert!(!dir.path().join("sweeps").exists());
    // A folder that a person made is not touched.
    let mine = dir.path().join("sweeps/rates/learning_rate-0.001-seed-0");
    fs::create_dir_all(&mine).unwrap();
    fs::write(mine.join("notes.txt"), "mine").unwrap();
    let said = fails(dir.path(), &["sweep", "rates.toml", "--device", "cpu"]);
    assert!(said.contains("not from a sweep"), "{said}");
    assert_eq!(fs::read(mine.join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn nothing_is_written_into_the_data_of_a_run() {
    for (content, out) in [
        ("preset = \"auto\"\ndata = \"pics\"\n", "pics/sweep"),
        ("data = \"pics\"\n", "pics"),
        ("[set]\ndata.dir = \"pics\"\n", "other/../pics/sweep"),
        ("[grid]\ndata.dir = [\"other\", \"pics\"]\n", "pics/sweep"),
        ("[[run]]\nname = \"a\"\ndata.dir = \"pics\"\n", "pics/sweep"),
    ] {
        let dir = folder(content);
        for class in ["pics/cat", "pics/dog", "other/cat"] {
            fs::create_dir_all(dir.path().join(class)).unwrap();
        }
        let said = fails(dir.path(), &["sweep", "rates.toml", "--device", "cpu", "--out", out]);
        let words =
            format!("{out} lies in the data folder pics, where what is written becomes data");
        assert!(said.contains(&words), "{content}: {said}");
        assert_eq!(fs::read_dir(dir.path().join("pics")).unwrap().count(), 2, "{content}");
    }
}
