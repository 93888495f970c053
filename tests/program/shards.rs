//! `--shard` and `jempp merge`: parts of a job make the files of the whole.

use std::{collections::BTreeMap, ffi::OsString, fs, path::Path};

use jempp::eval::results::Results;
use serde_json::Value;

use crate::run::{QUICK, fails, succeeds, text};

const SAMPLE: [&str; 13] = [
    "sample",
    "--device",
    "cpu",
    "--checkpoint",
    "run",
    "--per-class",
    "5",
    "--steps",
    "40",
    "--seed",
    "3",
    "--set",
    "sampler.noise_std=0.05",
];

/// A folder with a small model of two moons in `run`.
fn with_model() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    dir
}

/// Runs a command as a whole into `whole`, in `count` parts, and merges the parts into `merged`, not in their order.
fn both(dir: &Path, command: &[&str], count: usize) -> [String; 2] {
    let run = |more: &[&str]| succeeds(dir, &[command, more].concat());
    let whole = run(&["--out", "whole"]);
    let names: Vec<String> = (1..=count).map(|number| format!("part{number}")).collect();
    for (number, name) in (1..=count).zip(&names) {
        let said = run(&["--shard", &format!("{number}/{count}"), "--out", name]);
        assert!(said.contains(&format!("Part {number}/{count}: {name}")), "{said}");
        assert!(said.contains("jempp merge OUT PART..."), "{said}");
    }
    let parts = names.iter().rev().map(String::as_str);
    let merged = succeeds(dir, &["merge", "merged"].into_iter().chain(parts).collect::<Vec<_>>());
    [whole, merged]
}

fn bytes(dir: &Path, folder: &str, file: &str) -> Vec<u8> {
    fs::read(dir.join(folder).join(file)).unwrap()
}

fn assert_same_files(dir: &Path, names: &[&str]) {
    for name in names {
        let is_same = bytes(dir, "whole", name) == bytes(dir, "merged", name);
        assert!(is_same, "{name} differs");
    }
    let list = |folder: &str| {
        let entries = fs::read_dir(dir.join(folder)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(list("whole"), list("merged"));
}

const TABLES: [&str; 3] = ["traces.csv", "grid.png", "chains.gif"];

#[test]
fn samples_in_parts_are_those_of_the_whole() {
    let dir = with_model();
    // Ten chains of two values: the parts begin at chains 3 and 6, in the middle of the four values of a block.
    let [whole, merged] = both(dir.path(), &SAMPLE, 3);
    assert_same_files(dir.path(), &TABLES);
    assert_eq!(whole[whole.find("Rows from").unwrap()..].replace("whole", "merged"), merged);
    let made_by: Value =
        serde_json::from_slice(&bytes(dir.path(), "merged", "made-by.json")).unwrap();
    assert_eq!(made_by["finished"], true);
    assert_eq!(made_by["command"], "jempp merge merged part3 part2 part1");
    let traces = text(&bytes(dir.path(), "part2", "traces.csv"));
    assert!(
        traces.lines().nth(1).unwrap().starts_with("0,3,0,"),
        "its chains have their own numbers"
    );
}

#[test]
fn mala_other_starts_and_a_judge_are_the_same_in_parts() {
    let dir = with_model();
    let more = ["--sampler", "mala", "--start", "uniform", "--judge", "run", "--class", "1"];
    both(dir.path(), &[&SAMPLE[..], &more].concat(), 2);
    assert_same_files(dir.path(), &TABLES);
    for (nth, start) in ["data", "buffer"].into_iter().enumerate() {
        for folder in ["whole", "merged", "part1", "part2"] {
            fs::rename(dir.path().join(folder), dir.path().join(format!("{folder}-{nth}")))
                .unwrap();
        }
        let more = ["--sampler", "normalized-gradient", "--start", start, "--conditional"];
        both(dir.path(), &[&SAMPLE[..], &more].concat(), 2);
        assert_same_files(dir.path(), &TABLES);
    }
}

#[test]
fn chains_without_the_noise_of_their_data_are_the_same_in_parts() {
    let dir = with_model();
    let more = ["--set", "sampler.denoise_step=0.5", "--judge", "run"];
    both(dir.path(), &[&SAMPLE[..], &more].concat(), 3);
    assert_same_files(dir.path(), &TABLES);
    // The step does something.
    let with = bytes(dir.path(), "whole", "grid.png");
    let plain = [&SAMPLE[..], &["--judge", "run", "--out", "plain"]].concat();
    succeeds(dir.path(), &plain);
    assert_ne!(bytes(dir.path(), "plain", "grid.png"), with);
}

#[test]
fn pictures_in_parts_are_those_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let sample = ["sample", "--device", "cpu", "--per-class", "2", "--steps", "3"];
    both(dir.path(), &sample, 3);
    assert_same_files(dir.path(), &TABLES);
}

#[test]
fn a_diagnosis_of_parts_is_that_of_the_whole() {
    let dir = with_model();
    let more = ["--diagnose", "--warmup", "12", "--chains-per-start", "5"];
    let [whole, merged] = both(dir.path(), &[&SAMPLE[..], &more].concat(), 3);
    assert_same_files(dir.path(), &[&TABLES[..], &["draws.csv"]].concat());
    let [whole_json, merged_json] = ["whole", "merged"].map(|folder| {
        let bytes = bytes(dir.path(), folder, "diagnostics.json");
        let mut json: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(json["secs"].take().is_number());
        for summary in json["summaries"].as_object_mut().unwrap().values_mut() {
            summary["ess_per_sec"].take();
        }
        json
    });
    assert_eq!(whole_json, merged_json);
    assert!(merged_json["summaries"]["energy"]["split_r_hat"].is_number(), "{merged_json}");
    assert!(merged_json["short_run"]["summaries"]["energy"].is_object(), "{merged_json}");
    assert!(whole.contains("Short run of") && merged.contains("Short run of"), "{merged}");
}

/// Small settings for the evaluation; the last two are for its part `samples`.
const LITTLE: [&str; 10] = [
    "eval.num_resamples=100",
    "eval.num_ood=25",
    "eval.num_attacked=9",
    "eval.num_attacked_refined=4",
    "eval.linf_radii=[4,64]",
    "eval.l2_radii=[0.5]",
    "eval.attack_steps=3",
    "eval.refine_steps=2",
    "eval.num_samples=50",
    "eval.sample_steps=4",
];

/// The arguments of an evaluation with the first of these settings.
fn eval<'a>(num_settings: usize, more: &[&'a str]) -> Vec<&'a str> {
    let settings = LITTLE[..num_settings].iter().flat_map(|setting| ["--set", setting]);
    ["eval", "--device", "cpu"].into_iter().chain(settings).chain(more.iter().copied()).collect()
}

fn results(dir: &Path, folder: &str) -> Results {
    serde_json::from_slice(&bytes(dir, folder, "results.json")).unwrap()
}

fn assert_same_results(dir: &Path) {
    let (whole, mut merged) = (results(dir, "whole"), results(dir, "merged"));
    assert!(merged.command.starts_with("jempp merge merged "), "{}", merged.command);
    merged.command.clone_from(&whole.command);
    let parts = |results: &Results| -> Vec<String> {
        results.seconds.iter().map(|(part, _)| part.clone()).collect()
    };
    assert_eq!(parts(&whole), parts(&merged));
    merged.seconds.clone_from(&whole.seconds);
    assert_eq!(merged, whole);
}

#[test]
fn an_evaluation_in_parts_is_that_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let command = eval(10, &["--seed", "5", "--set", "data.batch_size=16"]);
    let [whole, merged] = both(dir.path(), &command, 3);
    assert_same_results(dir.path());
    let results = results(dir.path(), "merged");
    assert!(results.ood.is_some() && results.attack.is_some() && results.samples.is_some());
    let begin =
        |said: &str| said.find("fashion, 1000 test images").unwrap_or_else(|| panic!("{said}"));
    assert_eq!(whole[begin(&whole)..].replace("whole", "merged"), merged[begin(&merged)..]);
    if cfg!(feature = "report") {
        let pictures = |folder: &str| -> Vec<String> {
            let page = text(&bytes(dir.path(), folder, "report.html"));
            let rests = page.split("data:image/png;base64,").skip(1);
            rests.map(|rest| rest.split_once('"').unwrap().0.into()).collect()
        };
        assert!(pictures("whole").len() >= 4);
        assert!(pictures("whole").iter().all(|picture| picture.len() > 200), "whole pictures");
        assert_eq!(pictures("whole"), pictures("merged"));
    }
}

#[test]
fn samples_that_are_judged_without_noise_are_the_same_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ["eval.num_samples=50", "eval.sample_steps=4", "sampler.denoise_step=0.5"];
    let sets = settings.into_iter().flat_map(|setting| ["--set", setting]);
    let command = ["eval", "samples", "--device", "cpu", "--seed", "5"];
    let command: Vec<&str> = command.into_iter().chain(sets).collect();
    both(dir.path(), &command, 3);
    assert_same_results(dir.path());
    assert!(results(dir.path(), "merged").samples.is_some());
}

#[test]
fn a_model_of_points_is_evaluated_in_more_parts_than_it_has_attacks() {
    let dir = with_model();
    let command = eval(8, &["--checkpoint", "run"]);
    both(dir.path(), &command, 9);
    assert_same_results(dir.path());
}

#[test]
fn a_part_that_was_ended_is_made_again_by_the_same_command() {
    let dir = with_model();
    let traces = || bytes(dir.path(), "part1", "traces.csv");
    let mut made = Vec::new();
    assert_made_again(dir.path(), &SAMPLE, ["40", "41"], &mut || {
        made = traces();
        fs::write(dir.path().join("part1/traces.csv"), &made[..100]).unwrap();
    });
    assert_eq!(traces(), made);
}

#[test]
fn a_part_of_an_evaluation_that_was_ended_is_made_again_by_the_same_command() {
    let dir = with_model();
    let command = eval(2, &["accuracy", "ood", "--checkpoint", "run", "--seed", "3"]);
    let settings = ["eval.num_ood=25", "eval.num_ood=26"];
    assert_made_again(dir.path(), &command, settings, &mut || ());
    // What was made again makes a whole.
    let run = |more: &[&str]| succeeds(dir.path(), &[&command[..], more].concat());
    run(&["--shard", "2/2", "--out", "part2"]);
    run(&["--out", "whole"]);
    succeeds(dir.path(), &["merge", "merged", "part1", "part2"]);
    assert_same_results(dir.path());
    // With another seed it is another part.
    let other = eval(2, &["accuracy", "ood", "--checkpoint", "run", "--seed", "4"]);
    let other = [&other[..], &["--shard", "1/2", "--out", "part1"]].concat();
    assert!(fails(dir.path(), &other).contains("nothing is replaced unasked"));
}

#[test]
fn a_part_whose_folder_is_not_named_is_made_again_in_its_place() {
    let dir = with_model();
    let accuracy = eval(1, &["accuracy", "--checkpoint", "run", "--seed", "3"]);
    for (command, name) in [(&SAMPLE[..], "runs/samples"), (&accuracy[..], "runs/eval")] {
        let part = |shard: &'static str| [command, &["--shard", shard]].concat();
        let [folder, other] = [1, 2].map(|number| format!("{name}-{number}-of-2"));
        succeeds(dir.path(), &part("1/2"));
        // One that is done stays.
        let said = succeeds(dir.path(), &part("1/2"));
        assert!(said.contains("This part was made before"), "{said}");
        assert!(said.contains(&format!("Part 1/2: {folder}\n")), "{said}");
        // One that was ended is made again.
        let record = dir.path().join(&folder).join("made-by.json");
        let done = fs::read_to_string(&record).unwrap();
        let ended = done.replace("\"finished\": true", "\"finished\": false");
        assert_ne!(ended, done);
        fs::write(&record, ended).unwrap();
        fs::remove_file(dir.path().join(&folder).join("part.bin")).unwrap();
        let said = succeeds(dir.path(), &part("1/2"));
        assert!(said.contains(&format!("Part 1/2: {folder}\n")), "{said}");
        succeeds(dir.path(), &part("2/2"));
        // As a pattern of a shell names the parts.
        succeeds(dir.path(), &["merge", &name.replace('/', "-"), &folder, &other]);
        // With another seed it is another part.
        let said = fails(dir.path(), &replaced(&part("1/2"), "3", "9"));
        assert!(said.contains("nothing is replaced unasked"), "{said}");
    }
    let entries = fs::read_dir(dir.path().join("runs")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["eval-1-of-2", "eval-2-of-2", "samples-1-of-2", "samples-2-of-2"]);
}

#[test]
fn parts_of_one_model_in_folders_of_different_names_make_a_whole() {
    let dir = with_model();
    // As on two machines.
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    let file = "checkpoint.safetensors";
    fs::copy(dir.path().join("run").join(file), copy.join(file)).unwrap();
    let run = |words: &[&str], more: &[&str]| succeeds(dir.path(), &[words, more].concat());
    run(&SAMPLE, &["--out", "whole"]);
    run(&SAMPLE, &["--shard", "1/2", "--out", "part1"]);
    run(&replaced(&SAMPLE, "run", "copy"), &["--shard", "2/2", "--out", "part2"]);
    succeeds(dir.path(), &["merge", "merged", "part1", "part2"]);
    assert_same_files(dir.path(), &TABLES);
}

#[test]
fn a_merge_that_fails_leaves_the_results_that_were_there() {
    let dir = with_model();
    let path = dir.path();
    let diagnose = ["--diagnose", "--warmup", "12", "--chains-per-start", "5"];
    for (shard, out) in [("1/2", "a"), ("2/2", "b")] {
        let part = ["--shard", shard, "--out", out];
        succeeds(path, &[&SAMPLE[..], &diagnose, &part].concat());
        // A part of an earlier jempp, without checksums of its files.
        let file = path.join(out).join("made-by.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        record["part"].as_object_mut().unwrap().remove("checksums").unwrap();
        fs::write(&file, record.to_string()).unwrap();
    }
    let merge = ["merge", "merged", "a", "b", "--force"];
    succeeds(path, &merge);
    let content = || -> BTreeMap<OsString, Vec<u8>> {
        let entries = fs::read_dir(path.join("merged")).unwrap().map(Result::unwrap);
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
    };
    let before = content();
    assert_eq!(before.len(), 6, "{:?}", before.keys());
    for name in ["traces.csv", "draws.csv"] {
        let file = path.join("b").join(name);
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let error = fails(path, &merge);
        assert!(error.contains(&format!("{name}: its rows are not those")), "{error}");
        assert!(content() == before, "{name}: {:?}", content().keys());
        fs::write(&file, whole).unwrap();
    }
    succeeds(path, &merge);
}

/// The words, with one of them replaced.
fn replaced<'a>(words: &[&'a str], from: &str, to: &'a str) -> Vec<&'a str> {
    words.iter().map(|word| if *word == from { to } else { *word }).collect()
}

/// Makes a part in the folder `part1`, and checks that the command does nothing when it is given again, but makes the part
/// again after it was killed. With the second of the `settings` in place of the first, the part is another one. `damage` leaves
/// the files as the killed process does.
fn assert_made_again(dir: &Path, command: &[&str], settings: [&str; 2], damage: &mut dyn FnMut()) {
    let part = [command, &["--shard", "1/2", "--out", "part1"]].concat();
    succeeds(dir, &part);
    let record = dir.join("part1/made-by.json");
    // What is done is not done again.
    let done = fs::read_to_string(&record).unwrap();
    let numbers = bytes(dir, "part1", "part.bin");
    let said = succeeds(dir, &part);
    assert!(said.contains("This part was made before") && said.contains("Part 1/2: part1"));
    assert_eq!(fs::read_to_string(&record).unwrap(), done);
    assert_eq!(bytes(dir, "part1", "part.bin"), numbers);
    // As a process that was killed leaves it.
    let mut killed: Value = serde_json::from_str(&done).unwrap();
    killed["finished"] = false.into();
    killed["part"].as_object_mut().unwrap().remove("checksums");
    let killed = serde_json::to_string_pretty(&killed).unwrap();
    fs::write(&record, &killed).unwrap();
    fs::remove_file(dir.join("part1/part.bin")).unwrap();
    damage();
    // Other settings, another part, or the whole job do not replace it.
    let whole = [command, &["--out", "part1"]].concat();
    for other in [replaced(&part, settings[0], settings[1]), replaced(&part, "1/2", "2/2"), whole] {
        assert_ne!(other, part);
        let error = fails(dir, &other);
        assert!(error.contains("nothing is replaced unasked"), "{error}");
    }
    // Neither does the same command while the part is being made.
    let held = fs::File::options().read(true).write(true).open(&record).unwrap();
    held.lock().unwrap();
    assert!(fails(dir, &part).contains("another jempp writes into part1 now"));
    drop(held);
    assert_eq!(fs::read_to_string(&record).unwrap(), killed);
    fs::write(dir.join("part1/notes.txt"), "mine").unwrap();
    succeeds(dir, &part);
    assert_eq!(bytes(dir, "part1", "notes.txt"), b"mine");
    assert!(dir.join("part1/part.bin").exists());
    let again: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    assert_eq!(again["finished"], true);
}

#[test]
fn parts_that_make_no_whole_are_refused() {
    let dir = with_model();
    let path = dir.path();
    let part = |out: &str, shard: &str, more: &[&str]| {
        let part = ["--shard", shard, "--out", out];
        succeeds(path, &[&SAMPLE[..], &part, more].concat());
    };
    part("a", "1/2", &[]);
    part("b", "2/2", &[]);
    part("again", "1/2", &[]);
    part("steps", "2/2", &["--frames", "7"]);
    part("third", "2/3", &[]);
    succeeds(path, &[&SAMPLE[..], &["--out", "whole"]].concat());
    succeeds(path, &["eval", "accuracy", "--device", "cpu", "--shard", "2/2", "--out", "eval"]);
    // The step size, the seed and the model are other ones.
    let with = |from: &str, to: &str| -> Vec<String> {
        SAMPLE.iter().map(|word| if *word == from { to.into() } else { word.to_string() }).collect()
    };
    for (out, words) in [
        ("noise", with("sampler.noise_std=0.05", "sampler.noise_std=0.06")),
        ("seed", with("3", "4")),
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        succeeds(path, &[&words[..], &["--shard", "2/2", "--out", out]].concat());
    }
    let other = [&QUICK[..3], &["--out", "other"], &QUICK[5..], &["--set", "seed=9"]].concat();
    succeeds(path, &other);
    let words = with("run", "other");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    succeeds(path, &[&words[..], &["--shard", "2/2", "--out", "model"]].concat());

    for (parts, expected) in [
        (&["a"][..], "of 2 parts, 2/2 is missing"),
        (&["b"], "of 2 parts, 1/2 is missing"),
        (&["a", "a"], "a is given twice"),
        (&["a", "b", "again"], "a and again both hold part 1/2"),
        (&["a", "steps"], "steps is no part of the same job as a: its frames is 7, not "),
        (&["a", "third"], "its number of parts is 3, not 2"),
        (
            &["a", "noise"],
            "noise is no part of the same job as a: its sampler.noise_std is 0.06, not 0.05",
        ),
        (&["a", "seed"], "seed is no part of the same job as a: its seed is 4, not 3"),
        (&["a", "model"], "its model is other, not run"),
        (&["a", "eval"], "its command is jempp eval, not jempp sample"),
        (&["a", "whole"], "whole holds the results of a whole job, not of a part"),
        (&["a", "run"], "run holds no results of jempp"),
        (&["a", "nothing"], "nothing holds no results of jempp"),
    ] {
        let error = fails(path, &[&["merge", "merged"], parts].concat());
        assert!(error.contains(expected), "{error} instead of {expected}");
        assert!(!path.join("merged").exists());
    }
    let error = fails(path, &["merge", "whole", "a", "b"]);
    assert!(error.contains("whole holds the results") && error.contains("another OUT"), "{error}");
    let error = fails(path, &["merge", "a", "a", "b", "--force"]);
    assert!(error.contains("a is a part: the whole needs a folder of its own"), "{error}");

    // What was damaged or changed after it was made.
    let change = |file: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let file = path.join("b").join(file);
        let kept = fs::read(&file).unwrap();
        let mut bytes = kept.clone();
        change(&mut bytes);
        fs::write(&file, bytes).unwrap();
        let error = fails(path, &["merge", "merged", "a", "b", "--force"]);
        fs::write(&file, kept).unwrap();
        error
    };
    // A single bit, or a digit of a number.
    let digit =
        |bytes: &mut Vec<u8>| *bytes.iter_mut().rfind(|byte| **byte == b'1').unwrap() = b'2';
    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
    let damages: [(&str, Damage<'_>); 5] = [
        ("part.bin", &|bytes| bytes[70] ^= 1),
        ("frames.bin", &|bytes| bytes[9] ^= 1),
        ("frames.bin", &|bytes| bytes.truncate(9)),
        ("traces.csv", &digit),
        ("traces.csv", &|bytes| bytes.truncate(300)),
    ];
    for (file, damage) in damages {
        let error = change(file, damage);
        assert!(error.contains(&format!("{file}: it is damaged")), "{error}");
        assert!(error.contains("Make that part again"), "{error}");
    }
    let error = change("made-by.json", &|bytes| {
        *bytes = text(bytes).replace("\"finished\": true", "\"finished\": false").into_bytes();
    });
    assert!(error.contains("b holds part 2/2, which is unfinished"), "{error}");
    succeeds(path, &["merge", "merged", "a", "b", "--force"]);

    // Parts of an earlier jempp have no checksums of their files, and are merged.
    for part in ["a", "b"] {
        let file = path.join(part).join("made-by.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let checksums = record["part"].as_object_mut().unwrap().remove("checksums").unwrap();
        let names: Vec<&String> = checksums.as_object().unwrap().keys().collect();
        assert_eq!(names, ["frames.bin", "traces.csv"]);
        fs::write(&file, record.to_string()).unwrap();
    }
    let error = change("frames.bin", &|bytes| bytes.truncate(9));
    assert!(error.contains("frames.bin: it has 9 bytes"), "{error}");
    let error = change("traces.csv", &|bytes| bytes.truncate(300));
    assert!(error.contains("traces.csv: its rows are not those"), "{error}");
    succeeds(path, &["merge", "merged", "a", "b", "--force"]);
}

#[test]
fn what_is_no_part_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (shard, expected) in [
        ("0/4", "parts are counted from 1 to 4"),
        ("5/4", "parts are counted from 1 to 4"),
        ("1/0", "a job has at least 1 part"),
        ("a/b", "a shard is written i/n"),
        ("3", "a shard is written i/n"),
    ] {
        for command in ["sample", "eval"] {
            let error = fails(dir.path(), &[command, "--shard", shard]);
            assert!(error.contains(expected), "{error}");
        }
    }
    let sample = ["sample", "--model", "two-moons", "--device", "cpu", "--per-class", "2"];
    let error = fails(dir.path(), &[&sample[..], &["--shard", "1/5"]].concat());
    assert!(error.contains("there are only 4 chains") && error.contains("--shard I/N"), "{error}");
    let compare = ["eval", "accuracy", "--device", "cpu", "--shard", "1/2", "--compare", "x.json"];
    assert!(fails(dir.path(), &compare).contains("--compare is not used"));
    let mut entries = fs::read_dir(dir.path()).unwrap();
    assert!(entries.all(|entry| entry.unwrap().file_name() == "cache"));
}

#[test]
fn chains_that_influence_each_other_are_not_moved_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    for (class, name) in ["a", "b"].into_iter().enumerate() {
        let folder = dir.path().join("pictures").join(name);
        fs::create_dir_all(&folder).unwrap();
        for nth in 0..30u32 {
            let shade = |x: u32, y: u32| {
                let is_bright = (x < 4) == (class == 0);
                image::Luma([((x * 31 + y * 17 + nth * 7) % 100) as u8 + 150 * u8::from(is_bright)])
            };
            let picture = image::GrayImage::from_fn(8, 8, shade);
            picture.save(folder.join(format!("{nth}.png"))).unwrap();
        }
    }
    let train = ["train", "--data", "pictures", "--preset", "fashion-quick", "--device", "cpu"];
    let keys = [
        "model.arch=wrn-10-1",
        "model.norm=batch",
        "data.size=8",
        "data.batch_size=8",
        "replay_buffer.replay_buffer_size=16",
    ];
    let sets = keys.into_iter().flat_map(|key| ["--set", key]);
    let all = train.into_iter().chain(["--out", "run", "--epochs", "1"]).chain(sets);
    succeeds(dir.path(), &all.collect::<Vec<_>>());
    let sample = ["sample", "--checkpoint", "run", "--device", "cpu", "--per-class", "4"];
    let sample = [&sample[..], &["--steps", "3"]].concat();
    let error = fails(dir.path(), &[&sample[..], &["--shard", "1/2", "--out", "never"]].concat());
    assert!(error.contains("influence each other"), "{error}");
    assert!(error.contains("--set model.norm=frozen"), "{error}");
    assert!(!dir.path().join("never").exists());
    both(dir.path(), &[&sample[..], &["--set", "model.norm=frozen"]].concat(), 2);
    assert_same_files(dir.path(), &TABLES);
}

#[test]
fn a_single_part_is_a_part_too() {
    let dir = tempfile::tempdir().unwrap();
    let sample =
        ["sample", "--model", "two-moons", "--device", "cpu", "--per-class", "2", "--steps", "5"];
    both(dir.path(), &sample, 1);
    assert_same_files(dir.path(), &TABLES);
}
