//! The model cards of the bundled models: made by the program, with the figures of their results files.

use std::{collections::BTreeSet, fs, path::PathBuf};

use jempp::{
    bundled::{BUNDLED_JUDGES, BUNDLED_MODELS, BundledModel},
    checkpoint::Checkpoint,
    config::{DataConfig, DatasetName},
    eval::{
        read_results,
        results::{Fid, FidNetwork, FidSet, Results},
    },
    model_card::{Subject, card, is_untouched},
};
use serde_json::{Map, Value, json};

/// The names of bundled models with a results file, and the file in docs/results.
const RESULTS: [(&str, &str); 5] = [
    ("fashion", "showcase.json"),
    ("fashion-sampler", "fashion-sampler.json"),
    ("fashion-classifier", "classifier.json"),
    ("cifar10-jpeg", "cifar10-jpeg.json"),
    ("cifar10-jpeg-classifier", "cifar10-jpeg-classifier.json"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn results_of(model: &BundledModel) -> Option<Results> {
    let (_, file) = RESULTS.iter().find(|(name, _)| *name == model.name)?;
    Some(read_results(&root().join("docs/results").join(file)).unwrap())
}

/// Where the card of a model is, and what the program writes there.
fn made(model: &BundledModel) -> (PathBuf, String) {
    let (folder, licenses): (_, &[&str]) = match model.name.split('-').next() {
        Some("mnist") => ("assets/mnist", &["cc-by-sa-3.0"]),
        Some("cifar10") => ("assets/cifar10-jpeg", &["mit", "apache-2.0"]),
        _ => ("assets", &["mit", "apache-2.0"]),
    };
    // `--model` takes the bundled models, and no judge.
    let option = match model.name.ends_with("-judge") {
        true => format!("--checkpoint {}", model.file),
        false => format!("--model {}", model.name),
    };
    let text = card(&Subject {
        name: model.name,
        file: model.file,
        option: &option,
        checkpoint: &model.load().unwrap(),
        data_name: model.name.starts_with("cifar10-jpeg").then_some("CIFAR-10, JPEG mirror"),
        licenses: &licenses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        results: results_of(model).as_ref(),
    });
    (root().join(folder).join(format!("{}.md", model.name)), text)
}

fn models() -> impl Iterator<Item = &'static BundledModel> {
    BUNDLED_MODELS.iter().chain(BUNDLED_JUDGES)
}

/// Reads the YAML that cards use: maps, lists and scalars, each level indented by two spaces.
fn yaml(text: &str) -> Value {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let (mut indent, mut rest) = (line.len() - line.trim_start().len(), line.trim_start());
        // `- key: value` is a dash, and below it the key two spaces further in.
        while let Some(item) = rest.strip_prefix("- ") {
            lines.push((indent, "-".into()));
            (indent, rest) = (indent + 2, item);
        }
        lines.push((indent, rest.into()));
    }
    let (value, rest) = block(&lines, 0);
    assert!(rest.is_empty(), "{rest:?}");
    value
}

fn block(mut lines: &[(usize, String)], indent: usize) -> (Value, &[(usize, String)]) {
    let (mut map, mut list) = (Map::new(), Vec::new());
    while let Some((found, line)) = lines.first().filter(|line| line.0 >= indent) {
        assert_eq!(*found, indent, "{line}");
        lines = &lines[1..];
        let inner = lines;
        let mut below = || {
            let (value, rest) = block(inner, indent + 2);
            lines = rest;
            value
        };
        if line == "-" {
            list.push(below());
        } else if let Some(key) = line.strip_suffix(':') {
            assert!(map.insert(key.into(), below()).is_none(), "{key} twice");
        } else if let Some((key, text)) = line.split_once(": ").filter(|_| !line.starts_with('"')) {
            assert!(map.insert(key.into(), scalar(text)).is_none(), "{key} twice");
        } else {
            return (scalar(line), lines);
        }
    }
    assert!(map.is_empty() || list.is_empty());
    (if list.is_empty() { Value::Object(map) } else { Value::Array(list) }, lines)
}

fn scalar(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| {
        assert!(!text.contains([':', '#', '"', '\'', '{', '[']), "{text}");
        Value::from(text)
    })
}

fn front_matter(card: &str) -> Value {
    let rest = card.strip_prefix("---\n").unwrap();
    yaml(&rest[..rest.find("\n---\n").unwrap() + 1])
}

#[test]
fn cards_in_assets_are_those_that_the_program_writes() {
    for model in models() {
        let (path, text) = made(model);
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "{} is another card than the program writes: UPDATE_SNAPSHOTS=1 cargo test --release --test pure model_card",
            path.display()
        );
        assert!(is_untouched(&found));
        assert!(!is_untouched(&found.replacen("## Data", "## Our data", 1)));
        assert!(!is_untouched(&format!("{found}\nMore.\n")));
    }
}

#[test]
fn the_front_matter_has_the_fields_of_hugging_face() {
    for model in models() {
        let front = front_matter(&made(model).1);
        let keys: BTreeSet<&str> = front.as_object().unwrap().keys().map(String::as_str).collect();
        for key in ["license", "library_name", "tags", "datasets", "metrics", "model-index"] {
            assert!(keys.contains(key), "{}: {key}", model.name);
        }
        assert_eq!(front["library_name"], "jempp");
        assert_eq!(front["model-index"][0]["name"], model.name);
        let results = front["model-index"][0]["results"].as_array().unwrap();
        assert!(!results.is_empty());
        for result in results {
            assert!(result["task"]["type"].is_string() && result["dataset"]["type"].is_string());
            for metric in result["metrics"].as_array().unwrap() {
                assert!(metric["type"].is_string() && metric["value"].is_number(), "{metric}");
                assert!(front["metrics"].as_array().unwrap().contains(&metric["type"]), "{metric}");
            }
        }
    }
    let front = |name| front_matter(&made(models().find(|model| model.name == name).unwrap()).1);
    assert_eq!(front("fashion")["license"], json!(["mit", "apache-2.0"]));
    assert_eq!(front("fashion")["datasets"], json!(["zalando-datasets/fashion_mnist"]));
    assert_eq!(front("mnist")["license"], "cc-by-sa-3.0");
}

#[test]
fn the_figures_are_those_of_the_results_file() {
    for model in models() {
        let Some(results) = results_of(model) else { continue };
        let (_, text) = made(model);
        let front = front_matter(&text);
        let metrics: Vec<&Value> = front["model-index"][0]["results"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|result| result["metrics"].as_array().unwrap())
            .collect();
        let has = |kind: &str, name: &str, value: f64| {
            let is_it = |metric: &&&Value| {
                metric["type"] == kind && metric["name"].as_str().unwrap().starts_with(name)
            };
            let found: Vec<_> =
                metrics.iter().filter(is_it).map(|metric| &metric["value"]).collect();
            assert_eq!(found, [&json!(value)], "{}: {name}", model.name);
        };
        let accuracy = results.accuracy.as_ref().unwrap().accuracy;
        has("accuracy", "accuracy", accuracy.value);
        let shown =
            [accuracy.value, accuracy.low, accuracy.high].map(|x| format!("{:.1}", 100.0 * x));
        let [value, low, high] = shown;
        assert!(text.contains(&format!("| accuracy | {value} % [{low}, {high}] |")), "{text}");
        let calibration = results.calibration.as_ref().unwrap();
        let ece = "expected_calibration_error";
        has(ece, "expected calibration error with", calibration.scaled.expected.value);
        for set in &results.ood.as_ref().unwrap().sets {
            let name = format!("AUROC of log p(x), test images against {}", set.name);
            has("roc_auc", &name, set.scores[0].auroc.value);
        }
        for curve in &results.attack.as_ref().unwrap().curves {
            // Files without stages are of a version that had no other attack than PGD.
            let attack = match curve.by_attack.len() {
                0 | 1 => "PGD (20 steps)",
                _ => "the worst of PGD, APGD-CE and APGD-DLR (20 steps)",
            };
            if curve.defence == jempp::eval::results::Defence::None {
                for (radius, accuracy) in curve.points.iter().filter(|point| point.0 > 0.0) {
                    let unit = if curve.norm.name() == "L2" { "" } else { "/255" };
                    let name = format!(
                        "accuracy under {attack}, {} ε = {radius}{unit} (",
                        curve.norm.name()
                    );
                    has("robust_accuracy", &name, accuracy.value);
                }
            }
        }
        for set in &results.samples.as_ref().unwrap().sets {
            let row = format!("{} |", set.name)
                .replace("fresh chains |", "fresh chains after 100 steps |");
            let value = format!("{:.3} [{:.3}", set.frechet.value, set.frechet.low);
            assert!(text.contains(&format!("{row} {value}")), "{row} {value}");
            if set.name != "test images" {
                // Counts are written with a comma, as in 2,000.
                let count = format!("{},{:03}", set.count / 1000, set.count % 1000);
                let name = format!("Fréchet distance of {count} fresh chains");
                has("frechet_distance", &name, set.frechet.value);
            }
        }
    }
}

/// A bundled model and its results, to be changed.
fn of(name: &str) -> (Checkpoint, Results) {
    let model = models().find(|model| model.name == name).unwrap();
    (model.load().unwrap(), results_of(model).unwrap())
}

fn card_of(checkpoint: &Checkpoint, results: Option<&Results>) -> String {
    card(&Subject {
        name: "model",
        file: "model.safetensors",
        option: "--checkpoint model.safetensors",
        checkpoint,
        licenses: &[],
        data_name: None,
        results,
    })
}

#[test]
fn a_card_counts_what_the_model_was_trained_on_and_not_what_it_was_measured_with() {
    let said = |num_train, change: fn(&mut DataConfig)| {
        let (mut checkpoint, mut results) = of("fashion");
        (results.data.num_train, results.data.num_test) = (5000, 1000);
        results.data.is_embedded = true;
        checkpoint.counters.num_train = num_train;
        change(&mut checkpoint.config.data);
        let text = card_of(&checkpoint, Some(&results));
        let section = text.split("## Data\n\n").nth(1).unwrap().split("\n\n").next().unwrap();
        assert!(!section.contains("5,000") && !section.contains("1,000"), "{section}");
        let from = section.find("It was trained on").unwrap();
        section[from..].split(". ").next().unwrap().to_string()
    };
    let all = "It was trained on all training items";
    assert_eq!(said(None, |_| ()), all);
    let held_out: fn(&mut DataConfig) = |data| data.num_validation = 2000;
    assert_eq!(said(None, held_out), format!("{all} except 2,000 held-out items"));
    let counted =
        "It was trained on 58,000 training items; beside them, training had 2,000 held-out items";
    assert_eq!(said(Some(58_000), held_out), counted);
    let chosen: fn(&mut DataConfig) = |data| data.num_train = 320;
    assert_eq!(said(None, chosen), "It was trained on 320 training items");
    let embedded: fn(&mut DataConfig) = |data| data.dataset = DatasetName::FashionMnistEmbedded;
    assert_eq!(said(Some(4900), embedded), "It was trained on 4,900 training items inside jempp");
    assert_eq!(said(None, embedded), format!("{all} inside jempp"));

    let (mut imported, _) = of("fashion");
    imported.counters.step = 0;
    assert!(card_of(&imported, None).contains("Which items it was trained on is unknown."));
    let (_, points) = made(models().find(|model| model.name == "two-moons").unwrap());
    assert!(points.contains("It was trained on 5,000 training items."), "{points}");
}

#[test]
fn a_card_says_what_the_loss_trained() {
    let (mut checkpoint, results) = of("fashion");
    let text = card_of(&checkpoint, Some(&results));
    assert!(
        text.contains("classifies its inputs")
            && text.contains("chains on this energy are its samples")
    );
    checkpoint.config.objective.adversarial_radius = 0.5;
    let text = card_of(&checkpoint, Some(&results));
    assert!(
        text.contains("was trained to classify its inputs, also under small attacks"),
        "{text}"
    );
    assert!(text.contains("- adversarial-training\n") && text.contains("arXiv:1706.06083"));

    let objective = &mut checkpoint.config.objective;
    (objective.p_y_given_x_weight, objective.adversarial_gap_weight) = (0.0, 1.0);
    let text = card_of(&checkpoint, Some(&results));
    assert!(text.contains("\n# model\n\nAn energy-based model: "), "{text}");
    assert!(text.contains("Its p(y|x) is not trained: the loss has no cross entropy."), "{text}");
    // What was measured stays for people; for programs it is no result of a classifier.
    assert!(text.contains("\n| accuracy | 91.1 % "), "{text}");
    for wrong in ["classifies", "small attacks", "1706.06083", "temperature was fitted on held-out"]
    {
        assert!(!text.contains(wrong), "{wrong}: {text}");
    }
    let front = front_matter(&text);
    assert_eq!(front["tags"], json!(["energy-based-model", "langevin-dynamics"]));
    assert_eq!(front["metrics"], json!(["frechet_distance"]));
    assert_eq!(front["pipeline_tag"], "unconditional-image-generation");
    let results = front["model-index"][0]["results"].as_array().unwrap();
    let tasks: Vec<&Value> = results.iter().map(|result| &result["task"]["type"]).collect();
    assert_eq!(tasks, ["unconditional-image-generation"]);
}

#[test]
fn a_card_names_the_settings_of_its_figures_that_are_not_those_of_the_model() {
    let (mut checkpoint, mut results) = of("fashion");
    // The folder is private, and results do not hold it.
    checkpoint.config.data.dir = "/home/me".into();
    results.config.eval.sample_steps = 3;
    assert!(!card_of(&checkpoint, Some(&results)).contains("other settings"));
    for change in ["sampler.start=uniform", "sampler.noise_std=0.5", "data.dataset=mnist"] {
        results.config = results.config.with_assignment(change).unwrap();
    }
    let text = card_of(&checkpoint, Some(&results));
    let named =
        text.split("It was measured with other settings than those above: ").nth(1).unwrap();
    for part in
        ["`sampler.start = \"uniform\"`", "`sampler.noise_std = 0.5`", "`data.dataset = \"mnist\"`"]
    {
        assert!(named.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_fid_is_named_with_what_it_can_be_compared_with() {
    let (checkpoint, mut results) = of("fashion");
    let mut front_and_text = |num_reference, is_original| {
        let set = |name: &str, fid| FidSet { name: name.into(), count: 1000, fid };
        let network = FidNetwork {
            name: "inception.safetensors".into(),
            sha256: "ef".repeat(32),
            source_sha256: None,
            is_original,
        };
        let sets = vec![set("test images", 10.0), set("fresh chains", 60.0)];
        results.fid = Some(Fid { network, num_reference, sets });
        let text = card_of(&checkpoint, Some(&results));
        (front_matter(&text), text)
    };
    let has_fid = |front: &Value| front["metrics"].as_array().unwrap().contains(&json!("fid"));
    let (front, text) = front_and_text(5000, true);
    assert!(!has_fid(&front));
    for part in [
        "| FID of 1,000 fresh chains after 100 steps to 5,000 training images | 60.000 |"
            .to_string(),
        format!("the Inception network in inception.safetensors (SHA-256 {})", "ef".repeat(32)),
        "Fewer images give a larger FID".to_string(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    assert!(has_fid(&front_and_text(60_000, true).0));
    assert!(!has_fid(&front_and_text(60_000, false).0));
}

#[test]
fn an_accuracy_of_earlier_weights_is_named_so_and_is_no_result_of_the_model() {
    let (mut checkpoint, _) = of("fashion");
    let name = "accuracy on the test set, as training measured it";
    checkpoint.counters.step = 83;
    for (evaluated_step, after, is_listed) in
        [(Some(62), " after 62 of its 83 steps", false), (Some(83), "", true), (None, "", true)]
    {
        checkpoint.counters.evaluated_step = evaluated_step;
        let text = card_of(&checkpoint, None);
        assert!(text.contains(&format!("| {name}{after} | 91.1 % |")), "{text}");
        let results = &front_matter(&text)["model-index"][0]["results"];
        assert_eq!(!results.as_array().unwrap().is_empty(), is_listed, "{text}");
    }
}
