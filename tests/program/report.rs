//! `jempp report`: training runs beside each other.

use std::{fmt::Write, fs, path::Path};

use jempp::RunConfig;

use crate::run::{QUICK, fails, jempp, succeeds, text};

/// Writes the folder of a run as training does: two epochs of 50 steps, with these test accuracies.
fn write_run(dir: &Path, name: &str, assignments: &[&str], accuracies: [f64; 2]) {
    let mut config = RunConfig::preset("toy-two-moons").unwrap();
    for assignment in ["training.epochs=2"].iter().chain(assignments) {
        config = config.with_assignment(assignment).unwrap();
    }
    let mut metrics = String::new();
    for (epoch, accuracy) in (1..=2).zip(accuracies) {
        for step in 50 * (epoch - 1) + 1..=50 * epoch {
            let loss = accuracy / step as f64;
            writeln!(
                metrics,
                r#"{{"step":{step},"epoch":{epoch},"loss":{loss},"gap":0.5,"p_x_y":0.0,"elapsed_secs":{step}.5}}"#
            )
            .unwrap();
        }
        let step = 50 * epoch;
        writeln!(
            metrics,
            r#"{{"step":{step},"epoch":{epoch},"test_accuracy":{accuracy},"test_calibration_error":0.01}}"#
        )
        .unwrap();
    }
    let run = dir.join(name);
    fs::create_dir_all(run.join("samples")).unwrap();
    fs::write(run.join("config.toml"), config.to_toml()).unwrap();
    fs::write(run.join("metrics.jsonl"), metrics).unwrap();
    image::RgbImage::new(4, 4).save(run.join("samples/epoch-0002.png")).unwrap();
}

/// Two settings of two seeds each.
fn write_sweep(dir: &Path) {
    for (rate, seed, last) in [(0.1, 0, 0.91), (0.1, 1, 0.90), (0.2, 0, 0.80), (0.2, 1, 0.84)] {
        let settings = [format!("optimizer.learning_rate={rate}"), format!("seed={seed}")];
        let settings = settings.each_ref().map(String::as_str);
        write_run(dir, &format!("sweeps/rates/rate-{rate}-seed-{seed}"), &settings, [0.5, last]);
    }
}

fn file(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn seeds_of_a_setting_become_a_mean_and_a_spread() {
    let dir = tempfile::tempdir().unwrap();
    write_sweep(dir.path());
    let said = succeeds(dir.path(), &["report", "sweeps/rates", "--out", "out"]);
    assert!(said.contains("Report: out/report.html"), "{said}");

    let settings = file(dir.path(), "out/settings.csv");
    let rows: Vec<Vec<&str>> = settings.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|cell| *cell == name).unwrap();
    let number = |row: usize, name: &str| rows[row][column(name)].parse::<f64>().unwrap();
    assert_eq!((rows.len(), rows[1][0], rows[2][1]), (3, "learning_rate = 0.1", "2"));
    // As pandas: groupby("setting")["test_accuracy"].agg(["mean", "std"]).
    for (row, mean, std) in [(1, 0.905, 0.007_071_067_811_865), (2, 0.82, 0.028_284_271_247_461)] {
        assert!((number(row, "test_accuracy_mean") - mean).abs() < 1e-12);
        assert!((number(row, "test_accuracy_std") - std).abs() < 1e-12);
        assert!(
            number(row, "test_accuracy_low") < mean && mean < number(row, "test_accuracy_high")
        );
    }
    let runs = file(dir.path(), "out/runs.csv");
    assert!(runs.starts_with("run,setting,seed,optimizer.learning_rate,steps,"), "{runs}");
    assert!(
        runs.contains("\nrate-0.1-seed-1,learning_rate = 0.1,1,0.1,100,100.5,0,0.9,"),
        "{runs}"
    );
    let tex = file(dir.path(), "out/settings.tex");
    assert!(
        tex.contains("learning\\_rate = 0.1 & 2 & $90.5 \\pm 0.7$ & $1.0 \\pm 0.0$ \\\\"),
        "{tex}"
    );

    let page = file(dir.path(), "out/report.html");
    for words in [
        "rate-0.2-seed-1",
        "optimizer.learning_rate",
        "90.5\u{a0}% ± 0.7\u{a0}%",
        "Test accuracy over the steps of training, of learning_rate = 0.1; learning_rate = 0.2",
        "data:image/png;base64,",
        "one standard deviation",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // The page needs no other file, and a term that is off has no curve.
    assert!(!page.contains("src=\"http") && !page.contains("<script") && !page.contains("p(x, y)"));
    assert!(!dir.path().join("out/curve-p_x_y.svg").exists());
    let svg = file(dir.path(), "out/curve-test_accuracy.svg");
    assert!(svg.starts_with("<svg xmlns") && svg.contains("<polygon") && svg.contains("step"));
    // A file of its own names what its lines are.
    for words in ["Test accuracy", "learning_rate = 0.1", "learning_rate = 0.2"] {
        assert!(svg.contains(&format!("\n{words}\n")), "{words}: {svg}");
    }
    let png = image::open(dir.path().join("out/curve-test_accuracy.png")).unwrap().to_rgb8();
    let dark = png.pixels().filter(|pixel| pixel.0.iter().all(|value| *value < 128)).count();
    assert!(png.width() == 1520 && dark > 500, "letters are drawn: {dark} dark pixels");
}

#[test]
fn a_run_that_is_going_on_is_shown_as_far_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path(), "going", &[], [0.5, 0.6]);
    let path = dir.path().join("going/metrics.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let half: String = whole.lines().take(70).map(|line| format!("{line}\n")).collect();
    // A recovery repeats steps; a line is odd; the last one is being written.
    let tail = "{\"step\":60,\"num_recoveries\":1}\n{\"step\":61,\"epoch\":2,\"loss\":7.0}\nodd\n{\"step\":62,\"ep";
    fs::write(&path, half + tail).unwrap();
    let output = jempp(dir.path(), &["report", "going"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("note: going: 1 line of its metrics could not be read"), "{said}");
    assert!(said.contains("Not at the end of training: going."), "{said}");
    let page = file(dir.path(), "report/report.html");
    assert!(page.contains("1 of 2 (not at its end)"), "{page}");
    let runs = file(dir.path(), "report/runs.csv");
    assert!(runs.lines().nth(1).unwrap().starts_with("going,going,0,61,69.5,1,0.5,"), "{runs}");
    // Another report does not replace it.
    let said = succeeds(dir.path(), &["report", "going"]);
    assert!(said.contains("report-2/report.html"), "{said}");
}

#[test]
fn runs_of_different_data_are_never_in_one_table() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path(), "moons", &[], [0.5, 0.6]);
    write_run(dir.path(), "rings", &["data.dataset=rings"], [0.7, 0.8]);
    let output = jempp(
        dir.path(),
        &["report", "moons", "rings", "--out", "out", "--name", "A", "--name", "B <i>"],
    );
    let said = text(&output.stderr);
    assert!(said.contains("different data, two-moons and rings"), "{said}");
    let page = file(dir.path(), "out/report.html");
    assert!(page.contains("Curves: two-moons") && page.contains("Curves: rings"));
    assert!(page.contains("B &lt;i&gt;") && !page.contains("B <i>"));
    assert!(
        file(dir.path(), "out/runs.csv").contains("\nA,")
            && file(dir.path(), "out/runs-2.csv").contains("\nB <i>,")
    );
    // Once more into the same folder: only what a report writes is replaced.
    let mine = [
        "notes.txt",
        "runs-of-mine.csv",
        "runs-3.csv",
        "runs-2024.csv",
        "curve.svg",
        "curve-mine.svg",
        "curve-loss-edited-by-me.svg",
    ];
    for name in mine {
        fs::write(dir.path().join("out").join(name), "mine").unwrap();
    }
    let said = fails(dir.path(), &["report", "moons", "--out", "out"]);
    assert!(said.contains("the results of `jempp report` with the runs A, B"), "{said}");
    succeeds(dir.path(), &["report", "moons", "--out", "out", "--force"]);
    assert!(!dir.path().join("out/runs-2.csv").exists());
    for name in mine {
        assert_eq!(file(dir.path(), &format!("out/{name}")), "mine");
    }
    // An earlier version did not record the names of its files.
    let record = dir.path().join("out/made-by.json");
    let mut made_by: serde_json::Value =
        serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    assert!(made_by.as_object_mut().unwrap().remove("files").is_some());
    fs::write(&record, made_by.to_string()).unwrap();
    succeeds(dir.path(), &["report", "rings", "--out", "out", "--force"]);
    for name in ["notes.txt", "runs-of-mine.csv", "runs-2024.csv", "curve-loss-edited-by-me.svg"] {
        assert_eq!(file(dir.path(), &format!("out/{name}")), "mine");
    }
}

#[test]
fn what_is_no_run_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path(), "first", &[], [0.5, 0.6]);
    write_run(dir.path(), "other/first", &["seed=3"], [0.5, 0.6]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    write_run(dir.path(), "new", &[], [0.5, 0.6]);
    fs::write(dir.path().join("new/metrics.jsonl"), "").unwrap();
    write_run(dir.path(), "later", &[], [0.5, 0.6]);
    fs::write(dir.path().join("later/config.toml"), "[sampler]\nspeed = 1\n").unwrap();
    write_run(dir.path(), "odd", &[], [0.5, 0.6]);
    fs::write(dir.path().join("odd/metrics.jsonl"), "step 1\nstep 2\n").unwrap();
    fs::create_dir(dir.path().join("bare")).unwrap();
    for name in ["checkpoint.safetensors", "metrics.jsonl"] {
        fs::write(dir.path().join("bare").join(name), "x").unwrap();
    }
    for (arguments, words) in [
        (vec!["nowhere"], "nowhere holds no training run: there is no such folder"),
        (vec!["first", "empty"], "empty holds no training run: it is empty"),
        (vec!["file"], "it is a file"),
        (vec!["new"], "new has no metrics yet"),
        (vec!["odd"], "odd/metrics.jsonl holds no step that can be read"),
        (
            vec!["bare"],
            "bare holds no training run: it has no config.toml; there is checkpoint.safetensors, metrics.jsonl",
        ),
        (
            vec!["later"],
            "later/config.toml is not a configuration of this jempp: unknown key `sampler.speed`",
        ),
        (vec!["first", "./first"], "./first is given twice"),
        (
            vec!["first", "other/first", "--name", "A"],
            "each run needs one name, in the order first, other/first; runs: 2, names: 1",
        ),
        (
            vec!["first", "other/first", "--name", "A", "--name", "A"],
            "two runs are named A: give each a name of its own",
        ),
        (vec!["first", "--name", " "], "--name needs"),
    ] {
        let arguments: Vec<&str> =
            ["report", "--out", "out"].into_iter().chain(arguments).collect();
        let said = fails(dir.path(), &arguments);
        assert!(said.contains(words), "{said}");
        assert!(!dir.path().join("out").exists(), "nothing is written");
    }
    // Two folders of the same name.
    succeeds(dir.path(), &["report", "first", "other/first", "--out", "out"]);
    let runs = file(dir.path(), "out/runs.csv");
    assert!(runs.contains("other/first,"), "{runs}");
}

#[test]
fn a_run_without_a_step_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["new", "first", "odd"] {
        write_run(dir.path(), name, &[], [0.5, 0.6]);
    }
    fs::remove_file(dir.path().join("new/metrics.jsonl")).unwrap();
    fs::write(dir.path().join("odd/metrics.jsonl"), "step 1\nstep 2\n").unwrap();
    let names = ["--name", "A", "--name", "B", "--name", "C"];
    let output = jempp(
        dir.path(),
        &[&["report", "new", "first", "odd", "--out", "out"][..], &names].concat(),
    );
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let page = file(dir.path(), "out/report.html");
    for words in [
        "new has no metrics yet: its training has written no step; this run is left out.",
        "odd/metrics.jsonl holds no step that can be read",
    ] {
        assert!(said.contains(&format!("note: {words}")) && page.contains(words), "{said}");
    }
    let runs = file(dir.path(), "out/runs.csv");
    assert!(runs.lines().count() == 2 && runs.contains("\nB,"), "{runs}");
}

/// Writes what a sweep records of a run beside its folder.
fn write_record(dir: &Path, run: &str, failure: Option<&str>) {
    let record = serde_json::json!({
        "settings": [], "seed": 0, "preset": "toy-two-moons", "data": null, "is_done": false,
        "failure": failure, "secs": 1.0,
    });
    let path = dir.join(format!("{run}.json"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, record.to_string()).unwrap();
}

#[test]
fn runs_of_a_sweep_that_failed_or_left_nothing_are_named() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["q/late-seed-0", "q/ok-seed-0", "q/odd-seed-0"] {
        write_run(dir.path(), name, &[], [0.5, 0.6]);
    }
    fs::write(dir.path().join("q/odd-seed-0/metrics.jsonl"), "").unwrap();
    write_record(dir.path(), "q/bad-seed-0", Some("no data in nosuch"));
    write_record(dir.path(), "q/late-seed-0", Some("the training diverged."));
    write_record(dir.path(), "q/new-seed-0", None);
    write_record(dir.path(), "q/odd-seed-0", Some("no memory"));
    write_record(dir.path(), "q/ok-seed-0", None);
    fs::write(dir.path().join("q/notes.json"), "{}").unwrap();
    let output = jempp(dir.path(), &["report", "q", "--out", "out"]);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let page = file(dir.path(), "out/report.html");
    for words in [
        "q/bad-seed-0 failed: no data in nosuch; this run is left out.",
        "q/new-seed-0 holds no training run: there is no such folder; this run is left out.",
        "q/odd-seed-0 failed: no memory; this run is left out.",
        "late-seed-0 failed: the training diverged.",
    ] {
        assert!(said.contains(&format!("note: {words}\n")) && page.contains(words), "{said}");
    }
    assert_eq!(said.matches("failed").count(), 3, "{said}");
    assert!(!said.contains("notes"), "{said}");
    // Where nothing else is there, the error says why.
    write_record(dir.path(), "none/bad-seed-0", Some("no data in nosuch"));
    let said = fails(dir.path(), &["report", "none"]);
    let words = "none holds no training run: none/bad-seed-0 failed: no data in nosuch";
    assert!(said.contains(words), "{said}");
}

#[test]
fn a_table_for_a_paper_is_whole_before_the_first_evaluation() {
    let dir = tempfile::tempdir().unwrap();
    write_run(dir.path(), "going", &[], [0.5, 0.6]);
    let path = dir.path().join("going/metrics.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let steps: Vec<&str> = whole.lines().filter(|line| line.contains("loss")).collect();
    fs::write(&path, steps.join("\n") + "\n").unwrap();
    succeeds(dir.path(), &["report", "going", "--out", "out"]);
    let tex = file(dir.path(), "out/settings.tex");
    assert!(tex.contains("\\begin{tabular}{lr}\n"), "{tex}");
    assert!(tex.contains("\nSetting & Seeds \\\\\n"), "{tex}");
    assert!(tex.contains("\ngoing & 1 \\\\\n"), "{tex}");
}

#[test]
fn a_run_that_ended_early_is_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    for (name, patience) in [("ended", 1), ("going", 2)] {
        let settings =
            ["training.epochs=9".into(), format!("training.early_stop_epochs={patience}")];
        write_run(dir.path(), name, &settings.each_ref().map(String::as_str), [0.9, 0.8]);
        let path = dir.path().join(name).join("metrics.jsonl");
        let metrics = fs::read_to_string(&path).unwrap();
        fs::write(&path, metrics.replace("test_accuracy", "validation_accuracy")).unwrap();
    }
    let output = jempp(dir.path(), &["report", "ended", "going", "--out", "out"]);
    let said = text(&output.stderr);
    assert!(said.contains("note: Not at the end of training: going."), "{said}");
    let page = file(dir.path(), "out/report.html");
    assert_eq!(page.matches("2 of 9").count(), 2, "{page}");
    assert_eq!(page.matches("2 of 9 (not at its end)").count(), 1, "{page}");
}

#[test]
fn a_real_run_makes_a_report() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    succeeds(dir.path(), &["report", "run"]);
    let page = file(dir.path(), "report/report.html");
    for words in [
        "Training of run",
        "Test accuracy",
        "Energy gap d",
        "Gradient norm of the chains",
        "All runs have the same settings",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(dir.path().join("report/curve-gap.png").exists());
}

/// The only event file in the folder of a run whose name is not in `known`.
fn event_file(run: &Path, known: &[String]) -> (String, Vec<u8>) {
    let names = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().file_name());
    let is_new = |name: &String| name.starts_with("events.out.tfevents.") && !known.contains(name);
    let new: Vec<String> = names.map(|name| name.into_string().unwrap()).filter(is_new).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    (new[0].clone(), fs::read(run.join(&new[0])).unwrap())
}

#[test]
fn a_run_stops_when_it_was_told_to_and_fills_event_files() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let with = |more: &[&'static str]| [&QUICK, more].concat();
    let said = succeeds(dir.path(), &with(&["--max-steps", "2", "--tensorboard"]));
    assert!(said.contains("Stopped after 2 steps"), "{said}");
    let count =
        |bytes: &[u8], tag: &[u8]| bytes.windows(tag.len()).filter(|some| *some == tag).count();
    let (first, bytes) = event_file(&run, &[]);
    assert_eq!((count(&bytes, b"train/loss"), count(&bytes, b"test/accuracy")), (2, 0));

    // No time at all: nothing is done, and nothing is lost.
    let said =
        succeeds(dir.path(), &["train", "--resume", "run", "--device", "cpu", "--max-time", "0s"]);
    assert!(said.contains("Stopped after 2 steps"), "{said}");
    let said =
        succeeds(dir.path(), &["train", "--resume", "run", "--device", "cpu", "--tensorboard"]);
    assert!(said.contains("Trained 6 steps"), "{said}");
    let (_, bytes) = event_file(&run, &[first]);
    assert_eq!((count(&bytes, b"train/loss"), count(&bytes, b"test/accuracy")), (4, 1));
    assert_eq!(count(&bytes, b"samples"), 1);
    assert_eq!(
        fs::read_to_string(run.join("metrics.jsonl")).unwrap().matches("\"loss\"").count(),
        6
    );

    let said = fails(dir.path(), &["train", "--resume", "run", "--max-time", "soon"]);
    assert!(said.contains("--max-time"), "{said}");
}
