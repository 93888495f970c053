//! The report of an evaluation: its content, and that unusual results do not break it.

use jempp::{
    accuracy::ReliabilityBin,
    config::RunConfig,
    eval::{Part, Picture, page::page, results::*},
};

const CLASSES: [&str; 3] = ["Trouser", "Coat", "Bag"];

fn estimate(value: f64) -> Estimate {
    Estimate { value, low: value - 0.02, high: value + 0.01 }
}

fn classification() -> Classification {
    Classification {
        accuracy: Estimate { value: 0.912, low: 0.9009, high: 0.9231 },
        by_class: vec![Some(estimate(0.9)), Some(estimate(0.8)), None],
        confusion: vec![vec![90, 10, 0], vec![1, 399, 0], vec![0, 5, 95]],
        mean_energy: estimate(-7.25),
    }
}

fn calibration() -> Calibration {
    let errors = CalibrationErrors {
        expected: estimate(0.031),
        maximum: estimate(0.21),
        brier: estimate(0.14),
        nll: estimate(0.287),
    };
    let bin = |index| match index {
        0 => ReliabilityBin::default(),
        index => {
            ReliabilityBin { count: 10 * index, confidence: 0.2 * index as f64, accuracy: 0.5 }
        }
    };
    let bins: Vec<ReliabilityBin> = (0..5).map(bin).collect();
    Calibration {
        plain: errors,
        scaled: errors,
        temperatures: [1.25, 1.3],
        scaled_bins: bins.clone(),
        calibrated: Some(Calibrated { temperature: 1.32, errors, bins: bins.clone() }),
        bins,
    }
}

fn ood() -> Ood {
    let separation = |score| Separation {
        score,
        auroc: Estimate { value: 0.873, low: 0.861, high: 0.884 },
        false_positives_at_95: estimate(0.4),
        roc: vec![(0.0, 0.0), (0.1, 0.7), (1.0, 1.0)],
    };
    let set = |name: &str| OodSet {
        is_own: false,
        name: name.into(),
        what: "every pixel uniform".into(),
        num_out: 100,
        mean_energy: 2.5,
        energy_counts: vec![0, 40, 60],
        scores: vec![separation(Score::LogPX), separation(Score::MaxProbability)],
    };
    Ood {
        noise_std: 0.0,
        num_in: 100,
        energy_edges: vec![-2.0, -1.0, 0.0, 1.0],
        energy_counts: vec![10, 80, 10],
        sets: vec![set("noise"), set("digits")],
        left_out: vec![("letters".into(), "not at hand".into())],
    }
}

fn attack() -> Attack {
    let points = |last| vec![(0.0, estimate(0.9)), (1.0, estimate(0.5)), (4.0, estimate(last))];
    let curve = |norm, defence| AttackCurve {
        norm,
        defence,
        num_images: 50,
        points: points(0.02),
        by_attack: vec![
            AttackStage { attack: AttackKind::Pgd, points: points(0.35) },
            AttackStage { attack: AttackKind::ApgdCe, points: points(0.02) },
        ],
    };
    let curves = [BallNorm::Linf, BallNorm::L2].into_iter().flat_map(|norm| {
        [Defence::None, Defence::RefinedBpda, Defence::RefinedWorst].map(|d| curve(norm, d))
    });
    Attack {
        curves: curves.collect(),
        refinement: "5 full steps".into(),
        left_out: vec![("APGD-DLR".into(), "there are two classes".into())],
    }
}

fn samples() -> Samples {
    let set = |name: &str, distance: f64| SampleSet {
        name: name.into(),
        protocol: "spread evenly".into(),
        count: 1000,
        frechet: Estimate { value: distance, low: distance - 0.1, high: distance + 0.1 },
        frechet_by_class: vec![Some(distance), Some(2.0 * distance), None],
        inception_like: estimate(2.8),
        class_agreement: estimate(0.9),
        precision: estimate(0.8),
        recall: estimate(0.7),
        nearest: Nearest { median: 0.2, share_copied: 0.01 },
    };
    Samples {
        judge: JudgeInfo {
            name: "judge".into(),
            sha256: "cd".repeat(32),
            accuracy: 0.93,
            num_features: 64,
        },
        num_reference: 5000,
        sets: vec![set("test images", 0.5), set("fresh chains", 4.25)],
    }
}

fn fid() -> Fid {
    let set = |name: &str, fid| FidSet { name: name.into(), count: 1000, fid };
    Fid {
        network: FidNetwork {
            name: "inception.safetensors".into(),
            sha256: "ef".repeat(32),
            source_sha256: None,
            is_original: false,
        },
        num_reference: 5000,
        sets: vec![set("test images", 10.25), set("fresh chains", 36.5)],
    }
}

fn results(name: &str) -> Results {
    Results {
        format: FORMAT,
        jempp: "0.1.0".into(),
        command: format!("jempp eval {name} --seed 3"),
        seed: 3,
        device: "CPU".into(),
        model: EvaluatedModel {
            name: name.into(),
            path: None,
            sha256: "ab".repeat(32),
            num_steps: 1234,
            num_train: Some(4321),
            num_weights: 567_890,
        },
        data: DataInfo {
            dataset: "fashion-mnist".into(),
            is_embedded: true,
            num_train: 5000,
            num_test: 1000,
            test_sha256: Some("12".repeat(32)),
            shape: [1, 28, 28],
            class_names: CLASSES.map(String::from).to_vec(),
        },
        config: RunConfig::default(),
        accuracy: Some(classification()),
        calibration: Some(calibration()),
        ood: Some(ood()),
        attack: Some(attack()),
        samples: Some(samples()),
        fid: Some(fid()),
        left_out: Vec::new(),
        seconds: vec![("accuracy".into(), 1.25), ("ood".into(), 12.0)],
    }
}

/// Results with the parts whose bits are set.
fn with_parts(name: &str, bits: u32) -> Results {
    let mut results = results(name);
    let is_set = |part: usize| bits & (1 << part) != 0;
    results.accuracy = results.accuracy.filter(|_| is_set(0));
    results.calibration = results.calibration.filter(|_| is_set(1));
    results.ood = results.ood.filter(|_| is_set(2));
    results.attack = results.attack.filter(|_| is_set(3));
    results.samples = results.samples.filter(|_| is_set(4));
    results.fid = results.fid.filter(|_| is_set(4));
    results
}

fn pictures() -> Vec<Picture> {
    let picture = |part| Picture {
        part,
        title: "Some images".into(),
        caption: "Nothing was picked.".into(),
        png: b"PNG".to_vec(),
    };
    vec![picture(Part::Attack), picture(Part::Samples)]
}

/// Checks that must hold for any page.
fn check(page: &str) {
    for foreign in ["src=\"http", "http://", "https://", "<link", "<script", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(!page.contains("NaN"));
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("a tag that ends");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or_default();
        match name {
            "!DOCTYPE" | "meta" | "img" => {}
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name)),
            _ if tag.ends_with('/') => {}
            _ => open.push(name),
        }
        let is_number = matches!(name, "td" | "text" | "span");
        assert!(!is_number || !["inf", "-inf"].contains(&text.trim()), "{text}");
        for attribute in ["points=", "cx=", "y1=", "height="] {
            assert!(!tag.contains(&format!("{attribute}\"inf")), "{tag}");
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn every_part_of_one_model() {
    let page = page(&[results("fashion")], &pictures());
    check(&page);
    for text in [
        "Evaluation of fashion",
        "91.2\u{a0}% <span class=\"interval\">[90.1, 92.3]</span>",
        "0.873 <span class=\"interval\">[0.861, 0.884]</span>",
        "4.25 <span class=\"interval\">[4.15, 4.35]</span>",
        "\u{2212}7.25",
        "567,890",
        "<th class=\"inner\" scope=\"row\">PGD alone</th>",
        "PGD from 2 random starts, APGD-CE from 1 random start",
        "APGD-DLR left out: there are two classes.",
        "36.5 with 1,000 images",
        "The FID of inception.safetensors cannot be compared with published values",
        "the embedded subset",
        &"ab".repeat(32),
        "AUROC of log p(x), digits",
        "Accuracy under the worst of PGD and APGD-CE (20 steps), L∞, ε = 1/255<",
        "L∞, ε = 1/255, refined first, worst of all these attacks<",
        "4,321 items",
        "letters was left out: not at hand.",
        "refined, worst of these attacks",
        "The Fréchet distance here is not FID",
        "Fréchet distance, test images, the floor",
        "jempp eval fashion --seed 3",
        "num_attacked = ",
        "[sampler]",
        "data:image/png;base64,UE5H",
        "Nothing was picked.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("<img").count(), 2);
    assert!(page.matches("<svg role=\"img\" aria-label=").count() >= 10);
    for table in page.split("<table").skip(1) {
        assert!(table.contains("<caption>") && table.contains("scope="));
    }
}

#[test]
fn every_subset_of_parts() {
    let ids = ["accuracy", "calibration", "ood", "attack", "samples"];
    for bits in 0..32 {
        let alone = page(&[with_parts("fashion", bits)], &[]);
        check(&alone);
        for (part, id) in ids.into_iter().enumerate() {
            let is_there = alone.contains(&format!("<section id=\"{id}\">"));
            assert_eq!(is_there, bits & (1 << part) != 0, "{id} of {bits:b}");
        }
        let models = [results("whole"), with_parts("some", bits), results("third")];
        let together = page(&models, &pictures());
        check(&together);
        assert_eq!(together.contains("not asked for"), bits != 31, "{bits:b}");
    }
}

#[test]
fn three_models_of_different_data() {
    let mut other = results("second");
    other.data.class_names[1] = "Sandal".into();
    other.data.num_test = 10_000;
    let mut third = results("fashion");
    (third.samples, third.fid) = (None, None);
    third.left_out.push(("samples".into(), "no classifier judges them".into()));
    if let (Some(ood), Some(attack)) = (&mut third.ood, &mut third.attack) {
        ood.sets.remove(0);
        attack.curves[0].points.remove(1);
        attack.curves.truncate(2);
    }
    if let Some(samples) = &mut other.samples {
        samples.judge.sha256 = "ef".repeat(32);
    }
    let page = page(&[results("fashion"), other, third], &[]);
    check(&page);
    for text in [
        "Compared with second and fashion (2).",
        "not measured on the same test images",
        "Not measured for fashion (2): no classifier judges them.",
        "The judges differ",
        "Sandal",
        "–",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn models_that_were_measured_differently_are_named_so() {
    let of = |change: fn(&mut Results)| {
        let mut pair = [results("first"), results("second")];
        change(&mut pair[1]);
        let page = page(&pair, &[]);
        check(&page);
        page
    };
    let (same, unlike) =
        ("The models were measured on the same test images", "Measured differently");
    let page = of(|_| ());
    assert!(page.contains(same) && !page.contains(unlike));
    // Other images of the same data set, as many and of the same size.
    let page = of(|second| second.data.test_sha256 = Some("34".repeat(32)));
    assert!(page.contains("not measured on the same test images") && !page.contains(same));
    let page = of(|second| second.data.test_sha256 = None);
    assert!(page.contains("Whether these are the same test images is unknown"));
    assert!(!page.contains(same) && !page.contains("not measured on the same test images"));

    let chains: fn(&mut Results) = |second| {
        (second.config.eval.num_samples, second.config.eval.sample_steps) = (30, 2);
    };
    let named = "Measured differently: eval.num_samples (1000; 30), eval.sample_steps (100; 2). ";
    assert!(of(chains).contains(named));
    // Settings of what only one of them measured, or of what neither used, compare nothing.
    let page = of(|second| {
        (second.config.eval.num_samples, second.config.eval.num_resamples) = (30, 200);
        (second.samples, second.fid) = (None, None);
        second.config.sampler.step_size *= 2.0;
    });
    assert!(!page.contains(unlike));
    let page = of(|second| {
        second.seed = 4;
        second.config.sampler.noise_std = 0.5;
        second.attack.iter_mut().flat_map(|attack| &mut attack.curves).for_each(|curve| {
            curve.by_attack.clear();
        });
    });
    let named =
        "Measured differently: seed (3; 4), attacks (PGD and APGD-CE; PGD), sampler.noise_std (";
    assert!(page.contains(named));
    // Unlike attacks have rows of their own.
    for row in [
        "Accuracy under PGD (20 steps), L2, ",
        "Accuracy under the worst of PGD and APGD-CE (20 steps), L2, ",
    ] {
        assert!(page.contains(row), "{row}");
    }
}

#[test]
fn names_are_escaped() {
    let evil = "<script>alert(1)</script>\"&'";
    let mut results = results(evil);
    results.device = evil.into();
    results.data.class_names[0] = evil.into();
    results.left_out.push((evil.into(), evil.into()));
    if let Some(ood) = &mut results.ood {
        ood.sets[0].name = evil.into();
        ood.left_out[0] = (evil.into(), evil.into());
    }
    if let Some(samples) = &mut results.samples {
        samples.sets[1].name = evil.into();
        samples.judge.name = evil.into();
    }
    if let Some(fid) = &mut results.fid {
        (fid.network.name, fid.sets[1].name) = (evil.into(), evil.into());
    }
    let mut pictures = pictures();
    pictures[0].caption = evil.into();
    let page = page(&[results.clone(), results], &pictures);
    check(&page);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

#[test]
fn what_is_empty_or_not_finite_does_no_harm() {
    check(&page(&[], &pictures()));
    let mut nothing = results("nothing");
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0] {
        let estimate = Estimate { value: bad, low: bad, high: bad };
        if let Some(part) = &mut nothing.accuracy {
            (part.accuracy, part.mean_energy) = (estimate, estimate);
            (part.by_class, part.confusion) = (Vec::new(), vec![vec![0; 3]; 3]);
        }
        if let Some(part) = &mut nothing.calibration {
            part.bins = vec![ReliabilityBin { count: 1, confidence: bad, accuracy: bad }];
            (part.plain.nll, part.temperatures) = (estimate, [bad; 2]);
            part.scaled_bins = Vec::new();
        }
        if let Some(part) = &mut nothing.ood {
            part.energy_edges = vec![bad, bad];
            (part.energy_counts, part.sets[0].energy_counts) = (vec![0], Vec::new());
            (part.sets[0].scores[0].roc, part.sets[0].mean_energy) = (vec![(bad, bad)], bad);
            part.sets[1].scores.clear();
        }
        if let Some(part) = &mut nothing.attack {
            part.curves[0].points = vec![(bad, estimate)];
            part.curves[1].points.clear();
        }
        if let Some(part) = &mut nothing.fid {
            part.sets[1].fid = bad;
        }
        if let Some(part) = &mut nothing.samples {
            (part.sets[1].frechet, part.sets[1].frechet_by_class) = (estimate, vec![Some(bad)]);
            part.sets[0].frechet_by_class.clear();
            part.sets[0].nearest.median = bad;
        }
        check(&page(std::slice::from_ref(&nothing), &[]));
    }
    if let (Some(ood), Some(samples)) = (&mut nothing.ood, &mut nothing.samples) {
        (ood.energy_edges, ood.sets, samples.sets) = (Vec::new(), Vec::new(), Vec::new());
    }
    nothing.data.class_names.clear();
    check(&page(&[nothing], &[]));
}

#[test]
fn many_classes_are_listed_by_their_confusions() {
    let mut results = results("many");
    results.data.class_names = (0..100).map(|class| format!("class {class}")).collect();
    if let Some(part) = &mut results.accuracy {
        part.confusion = vec![vec![1; 100]; 100];
        part.confusion[7][42] = 50;
    }
    let page = page(&[results], &[]);
    check(&page);
    assert!(page.contains("The most frequent confusions"));
    assert!(page.contains("<th scope=\"row\">class 7</th><td>class 42</td>"));
    assert!(page.len() < 1 << 20);
}
