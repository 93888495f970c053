//! End-to-end tests of `jempp eval`, also with bad input.

use std::{collections::HashSet, fs, path::Path};

use crate::run::{QUICK, fails, succeeds};
use jempp::{
    accuracy, bundled,
    checkpoint::Checkpoint,
    config::RunConfig,
    data, device,
    eval::results::{self, AttackKind, BallNorm, Defence, Results, Score},
};
use pollster::block_on;

/// Small settings for every part of the evaluation, each with its part; an empty name stands for all parts.
const LITTLE: [(&str, &str); 12] = [
    ("", "eval.num_resamples=100"),
    ("ood", "eval.num_ood=30"),
    ("attack", "eval.num_attacked=20"),
    ("attack", "eval.num_attacked_refined=6"),
    ("attack", "eval.linf_radii=[4, 64]"),
    ("attack", "eval.l2_radii=[0.5]"),
    ("attack", "eval.attack_steps=4"),
    ("attack", "eval.attack_restarts=1"),
    ("attack", "eval.refine_steps=2"),
    ("attack", "eval.attack_through_sampler=true"),
    ("samples", "eval.num_samples=40"),
    ("samples", "eval.sample_steps=20"),
];

/// The arguments of an evaluation with small settings for the requested parts.
fn little<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let is_asked = |part: &str| match more.first() {
        Some(&first @ ("ood" | "attack" | "samples")) => part == first,
        Some(&"calibration") => part.is_empty(),
        _ => true,
    };
    let settings = LITTLE.iter().filter(|(part, _)| is_asked(part));
    let settings = settings.flat_map(|(_, setting)| ["--set", setting]);
    ["eval", "--device", "cpu"].into_iter().chain(settings).chain(more.iter().copied()).collect()
}

fn results(dir: &Path, folder: &str) -> Results {
    serde_json::from_slice(&fs::read(dir.join(folder).join("results.json")).unwrap()).unwrap()
}

#[test]
fn a_model_with_held_out_images_names_its_temperature_and_any_other_says_that_it_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let train = |out: &str, held_out: &str| {
        let spiral =
            ["train", "--device", "cpu", "--preset", "toy-spiral", "--epochs", "30", "--out", out];
        let fast =
            ["objective.p_x_weight=0", "data.num_points=1000", "training.eval_every_epochs=30"];
        let sets = fast.into_iter().chain([held_out]).flat_map(|set| ["--set", set]);
        succeeds(dir.path(), &spiral.into_iter().chain(sets).collect::<Vec<_>>())
    };
    let said = train("held", "data.num_validation=300");
    let name = "p(y|x) is calibrated after training, T = ";
    let place = said.find(name).unwrap_or_else(|| panic!("{said}")) + name.len();
    let temperature = &said[place..place + 4];
    assert!(said.contains("fitted on 300 held-out items"), "{said}");
    let of = |run: &str| {
        let more = ["calibration", "--checkpoint", run, "--out", &format!("{run}-eval")];
        succeeds(dir.path(), &little(&more))
    };
    let said = of("held");
    for part in [
        format!("p(y|x):   calibrated after training, T = {temperature}"),
        "expected calibration error, as trained".into(),
        format!("calibrated after training, T = {temperature}"),
        "with temperatures fitted on test points".into(),
    ] {
        assert!(said.contains(&part), "{part}: {said}");
    }
    let stored = results(dir.path(), "held-eval").calibration.unwrap().calibrated.unwrap();
    assert_eq!(format!("{:.2}", stored.temperature), temperature);
    let page = fs::read_to_string(dir.path().join("held-eval/report.html")).unwrap();
    assert!(page.contains("calibrated after training"));
    let packed = ["pack", "--checkpoint", "held", "--out", "held.safetensors"];
    assert!(
        succeeds(dir.path(), &packed)
            .contains(&format!("calibrated after training, T = {temperature}"))
    );

    let said = train("none", "data.num_validation=0");
    assert!(said.contains("no items are held out to calibrate it (data.num_validation)"), "{said}");
    let said = of("none");
    assert!(said.contains("no temperature was fitted on held-out images"), "{said}");
    assert!(!said.contains("calibrated after training"), "{said}");
}

#[test]
fn everything_is_measured_and_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    // The images that are embedded in the program, read from files.
    let secret = dir.path().join("secret");
    fs::create_dir(&secret).unwrap();
    for file in fs::read_dir("assets/fashion-mnist").unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), secret.join(file.file_name())).unwrap();
    }
    let said = succeeds(dir.path(), &little(&["--out", "a", "--data", "secret"]));
    assert!(said.contains("accuracy at L∞ ε, refined, worst of these"), "{said}");
    let found = results(dir.path(), "a");

    // The accuracy must equal that of the trainer.
    let packed = bundled::BUNDLED_MODELS[0].load().unwrap();
    let network = packed.network(&device::cpu()).unwrap();
    let test = data::load(&RunConfig::default().data, 0).unwrap().test;
    let plain = block_on(accuracy::accuracy(&network, &test, &device::cpu())).unwrap();
    let accuracy = found.accuracy.as_ref().unwrap();
    assert_eq!(accuracy.accuracy.value, plain.accuracy);
    assert!((accuracy.mean_energy.value - plain.mean_energy).abs() < 1e-4);
    assert_eq!(accuracy.confusion.iter().flatten().sum::<usize>(), 1000);
    let calibration = found.calibration.as_ref().unwrap();
    assert!((calibration.plain.expected.value - plain.calibration_error).abs() < 1e-6);

    let ood = found.ood.as_ref().unwrap();
    let names: Vec<&str> = ood.sets.iter().map(|set| set.name.as_str()).collect();
    let made =
        ["uniform noise", "smoothed noise", "constant", "interpolated", "upside down", "inverted"];
    assert_eq!(names, made);
    assert!(ood.left_out[0].1.contains("jempp fetch mnist"), "{:?}", ood.left_out);
    assert_eq!(ood.energy_counts.iter().sum::<usize>(), 30);
    let noise = &ood.sets[0].scores;
    assert_eq!(noise[0].score, Score::LogPX);
    // The energy separates uniform noise from garments clearly.
    assert!(noise[0].auroc.value > 0.99, "{:?}", noise[0].auroc);

    let curves = &found.attack.as_ref().unwrap().curves;
    let curve = |norm, defence| {
        let wanted = |curve: &&results::AttackCurve| curve.norm == norm && curve.defence == defence;
        curves.iter().find(wanted).unwrap()
    };
    assert_eq!(curves.len(), 10);
    let bare = curve(BallNorm::Linf, Defence::None);
    assert_eq!((bare.num_images, bare.points.len()), (20, 3));
    // A perturbation of a quarter of the pixel range hides any garment.
    assert!(bare.points[0].1.value > 0.7 && bare.points[2].1.value < 0.3, "{bare:?}");
    for curve in curves {
        assert!(curve.points.is_sorted_by(|a, b| a.0 < b.0 && a.1.value >= b.1.value), "{curve:?}");
    }
    // Each attack leaves at most what those before it left, and the last stage is the curve.
    let kinds = [AttackKind::Pgd, AttackKind::ApgdCe, AttackKind::ApgdDlr];
    for curve in curves {
        let stages = curve.by_attack.iter();
        assert_eq!(stages.map(|stage| stage.attack).collect::<Vec<_>>(), kinds, "{curve:?}");
        assert_eq!(curve.by_attack[2].points, curve.points);
        for pair in curve.by_attack.windows(2) {
            let mut points = pair[0].points.iter().zip(&pair[1].points);
            assert!(points.all(|(weaker, both)| weaker.1.value >= both.1.value), "{curve:?}");
        }
    }
    assert!(said.contains("PGD, then APGD-CE, then APGD-DLR; at most "), "{said}");
    assert!(said.contains("  PGD and APGD-CE  "), "{said}");
    let worst = curve(BallNorm::Linf, Defence::RefinedWorst);
    for defence in [Defence::RefinedUnaware, Defence::RefinedBpda, Defence::RefinedThrough] {
        let points = worst.points.iter().zip(&curve(BallNorm::Linf, defence).points);
        assert!(points.into_iter().all(|(worst, other)| worst.1.value <= other.1.value));
    }

    let samples = found.samples.as_ref().unwrap();
    let sets: Vec<(&str, usize)> =
        samples.sets.iter().map(|s| (s.name.as_str(), s.count)).collect();
    assert_eq!(sets, [("test images", 40), ("fresh chains", 40)]);
    assert_eq!((samples.num_reference, samples.judge.num_features), (5000, 128));
    // Another judge would change the distances, and docs/results.md reports those of this file.
    let judge = "f5de7736ca0002d947264d939d21536c5c00a51fee3478ea2bf17d9214c8b78a";
    assert_eq!(samples.judge.sha256, judge);
    // Forty images are too few for distances, but enough to check that most chains became garments.
    for set in &samples.sets {
        assert!(set.class_agreement.value > 0.6 && set.precision.value > 0.6, "{set:?}");
        assert!(set.nearest.median > 0.1 && set.nearest.share_copied < 0.2, "{set:?}");
    }

    let page = fs::read_to_string(dir.path().join("a/report.html")).unwrap();
    assert!(page.contains("upside down") && page.contains("data:image/png;base64,"));

    // Repeats the evaluation in a second folder, compared with the first.
    let more = ["--out", "b", "--data", "secret", "--compare", "a/results.json"];
    succeeds(dir.path(), &little(&more));
    let mut again = results(dir.path(), "b");
    again.seconds.clone_from(&found.seconds);
    again.command.clone_from(&found.command);
    assert_eq!(again, found);
}

#[test]
fn parts_are_measured_alone_and_other_images_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("pictures");
    fs::create_dir(&pictures).unwrap();
    for name in ["one.png", "two.PNG", "three.jpg"] {
        let picture = image::RgbImage::from_pixel(40, 30, image::Rgb([200, 30, 30]));
        picture.save(pictures.join(name)).unwrap();
    }
    fs::write(pictures.join("notes.txt"), "no picture").unwrap();
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28][..], &[7; 2 * 784]].concat();
    fs::write(dir.path().join("two-ubyte"), idx).unwrap();
    let more = ["ood", "--out", "ood", "--ood", "pictures", "--ood", "two-ubyte"];
    succeeds(dir.path(), &little(&more));
    let found = results(dir.path(), "ood");
    assert!(found.accuracy.is_none() && found.attack.is_none() && found.samples.is_none());
    let sets = &found.ood.unwrap().sets;
    let own: Vec<(&str, usize)> =
        sets[sets.len() - 2..].iter().map(|set| (set.name.as_str(), set.num_out)).collect();
    assert_eq!(own, [("pictures", 3), ("two-ubyte", 2)]);
}

#[test]
fn chains_are_judged_without_the_noise_of_their_data() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let measure = |out: &str, step: &str| {
        let key = format!("sampler.denoise_step={step}");
        succeeds(path, &little(&["samples", "--out", out, "--set", &key]));
        let [test, chains] = &results(path, out).samples.unwrap().sets[..] else { panic!() };
        (test.clone(), chains.clone())
    };
    let (plain, denoised) = (measure("plain", "0"), measure("denoised", "0.5"));
    assert!(denoised.1.protocol.contains("noise removed by a step of 0.5"));
    assert!(!plain.1.protocol.contains("noise") && !denoised.0.protocol.contains("noise"));
    assert_eq!(plain.0, denoised.0, "real images are judged as they are");
    assert_ne!(plain.1.frechet, denoised.1.frechet);
    let error = refused(path, &["attack", "--set", "sampler.denoise_step=1"]);
    assert!(error.contains("`sampler.denoise_step` is not used"), "{error}");
}

#[test]
fn a_model_of_points_is_measured_without_a_judge() {
    let dir = tempfile::tempdir().unwrap();
    succeeds(dir.path(), &QUICK);
    let model = ["--checkpoint", "run/checkpoint.safetensors"];
    let said = succeeds(dir.path(), &little(&[&model[..], &["--out", "all"]].concat()));
    assert!(
        said.contains("samples left out: the program has no classifier of two-moons"),
        "{said}"
    );
    let found = results(dir.path(), "all");
    let names: HashSet<&str> =
        found.ood.iter().flat_map(|ood| &ood.sets).map(|s| &*s.name).collect();
    assert_eq!(names, HashSet::from(["uniform noise", "interpolated"]));
    assert!(found.samples.is_none());
    let attack = found.attack.unwrap();
    assert_eq!(attack.left_out[0].0, "APGD-DLR");
    assert!(said.contains("APGD-DLR left out: its loss compares"), "{said}");

    // PGD alone leaves what it leaves before the other attacks run.
    let alone = [&["attack", "--out", "pgd", "--set", "eval.attack=pgd"], &model[..]].concat();
    succeeds(dir.path(), &little(&alone));
    let alone = results(dir.path(), "pgd").attack.unwrap();
    for (alone, both) in alone.curves.iter().zip(&attack.curves) {
        assert_eq!(alone.by_attack.len(), 1);
        assert_eq!(alone.points, both.by_attack[0].points);
        assert_eq!(both.by_attack[1].points, both.points);
    }
    let dlr = ["attack", "--out", "none", "--set", "eval.attack=apgd-dlr"];
    let error = fails(dir.path(), &[&["eval", "--device", "cpu"], &dlr[..], &model[..]].concat());
    assert!(error.contains("the model has 2 classes; take apgd-ce"), "{error}");
    let error = fails(dir.path(), &little(&[&["samples", "--out", "none"], &model[..]].concat()));
    assert!(error.contains("--judge FILE"), "{error}");
}

#[test]
fn a_gpu_finds_what_the_cpu_finds() {
    let dir = tempfile::tempdir().unwrap();
    if succeeds(dir.path(), &["devices", "--json"]).trim() == "[]" {
        assert!(
            std::env::var("REQUIRE_GPU").is_err(),
            "REQUIRE_GPU is set, but there is no adapter"
        );
        eprintln!("SKIPPED: there is no adapter");
        return;
    }
    succeeds(dir.path(), &QUICK);
    let found = ["cpu", "0"].map(|device| {
        let more = ["--checkpoint", "run/checkpoint.safetensors", "--out", device];
        let mut arguments = little(&more);
        arguments[2] = device;
        succeeds(dir.path(), &arguments);
        results(dir.path(), device)
    });
    let [cpu, gpu] = &found;
    assert_ne!(cpu.device, gpu.device);
    assert_eq!(cpu.accuracy.as_ref().unwrap().confusion, gpu.accuracy.as_ref().unwrap().confusion);
    let energies = found.iter().flat_map(|found| &found.ood.as_ref().unwrap().sets[0..1]);
    let energies: Vec<f64> = energies.map(|set| set.mean_energy).collect();
    assert!((energies[0] - energies[1]).abs() < 1e-4, "{energies:?}");
    for (cpu, gpu) in
        cpu.attack.as_ref().unwrap().curves.iter().zip(&gpu.attack.as_ref().unwrap().curves)
    {
        for (cpu, gpu) in cpu.points.iter().zip(&gpu.points) {
            assert!((cpu.1.value - gpu.1.value).abs() <= 0.2, "{cpu:?} and {gpu:?}");
        }
    }
}

/// The error of an evaluation that must be refused before it starts.
fn refused(dir: &Path, more: &[&str]) -> String {
    let error = fails(dir, &[&["eval", "--device", "cpu", "--out", "never"], more].concat());
    assert!(!dir.join("never").exists(), "it began before it said {error}");
    error
}

#[test]
fn bad_input_is_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::create_dir(path.join("empty")).unwrap();
    let error = refused(path, &["--ood", "empty"]);
    assert!(error.contains("there is no image in empty"), "{error}");
    fs::write(path.join("weights.safetensors"), "no tensors").unwrap();
    let fid = ["samples", "--fid", "weights.safetensors"];
    let error = refused(path, &fid);
    assert!(error.contains("weights.safetensors does not hold the Inception network"), "{error}");
    assert!(refused(path, &["attack", fid[1], fid[2]]).contains("--fid is not used"));
    let error = refused(path, &["samples", "--set", "eval.fid_reference=100"]);
    assert!(error.contains("it is for FID, which --fid FILE measures"), "{error}");
    let error = refused(path, &["--set", "eval.attack=pgd", "--set", "eval.apgd_restarts=2"]);
    assert!(error.contains("it is for APGD, and eval.attack = pgd leaves that out"), "{error}");
    let error = refused(path, &["--set", "eval.attack=apgd-ce", "--set", "eval.attack_restarts=2"]);
    assert!(error.contains("set eval.apgd_restarts"), "{error}");
    let error = refused(path, &["--ood", "missing"]);
    assert!(error.contains("cannot read missing"), "{error}");
    fs::write(path.join("small"), [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 9, 9]).unwrap();
    let error = refused(path, &["--ood", "small"]);
    assert!(error.contains("shape [1, 1, 2]") && error.contains("[1, 28, 28]"), "{error}");

    // Other sizes, and other classes at the same size.
    let error = refused(path, &["--set", "data.dataset=two-moons"]);
    assert!(error.contains("the model was trained on inputs of shape [1, 28, 28]"), "{error}");
    let mnist = ["--model", "mnist", "--set", "data.dataset=fashion-mnist"];
    let error = refused(path, &mnist);
    assert!(error.contains("classes 0, 1, 2") && error.contains("T-shirt/top"), "{error}");
    let judge = path.join("judge.safetensors");
    fs::write(&judge, bundled::find("mnist").unwrap().bytes()).unwrap();
    let error = refused(path, &["samples", "--judge", "judge.safetensors"]);
    assert!(error.contains("judge classifies") && error.contains("--judge"), "{error}");

    let error = refused(path, &["--compare", "missing.json"]);
    assert!(error.contains("cannot read missing.json"), "{error}");
    fs::write(path.join("old.json"), r#"{"format": 99}"#).unwrap();
    let error = refused(path, &["--compare", "old.json"]);
    assert!(error.contains("version 99, here 1"), "{error}");

    let error = refused(path, &["--set", "eval.linf_radii=[4, 2]"]);
    assert!(error.contains("`eval.linf_radii` = [4.0, 2.0]: radii must"), "{error}");
    let error = refused(path, &["--set", "eval.num_samples=12"]);
    assert!(error.contains("`eval.num_samples` = 12 of 1000 test images are too few"), "{error}");
    let error = refused(path, &["robustness"]);
    assert!(error.contains("invalid value 'robustness'"), "{error}");
}

#[test]
fn weights_that_are_not_finite_are_refused_before_any_work() {
    let dir = tempfile::tempdir().unwrap();
    let mut broken: Checkpoint = bundled::BUNDLED_MODELS[0].load().unwrap();
    let bias = broken.weights.iter_mut().find(|(name, _)| name.ends_with("classifier.bias"));
    bias.unwrap().1.values[3] = f32::NAN;
    broken.save(&dir.path().join("nan.safetensors")).unwrap();
    let error = refused(dir.path(), &["--checkpoint", "nan.safetensors"]);
    assert!(error.contains("not a finite number"), "{error}");
}
