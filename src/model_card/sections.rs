//! The sections of a card that people read.

use super::{Figure, Subject, UNKNOWN, facts};
use crate::{
    checkpoint::Checkpoint,
    config::{DatasetName, GapLoss, Norm, RunConfig, SECTIONS},
    counts::{counted, grouped},
    data,
    eval::results::{Defence, Results},
};

/// Keys that say nothing about the model: where files are, when they are written, and how an evaluation measures.
const ASIDE: [&str; 4] =
    ["data.dir", "training.checkpoint_every_secs", "training.max_memory_mib", "eval."];
/// The address of the program.
const HOME: &str = env!("CARGO_PKG_REPOSITORY");

/// All sections, from the title to the citation.
pub(super) fn all(subject: &Subject, figures: &[Figure]) -> String {
    [
        format!("# {}", subject.name),
        what_it_is(subject),
        format!("## Data\n\n{}", about_data(subject)),
        format!("## Recipe\n\n{}", recipe(subject.checkpoint)),
        format!("## Figures\n\n{}", measured(subject, figures)),
        format!("## Limits\n\n{}", bullets(limits(subject))),
        format!("## How to open it\n\n{}", how_to_open(subject)),
        format!("## Citation\n\n{}", citation(subject)),
    ]
    .join("\n\n")
}

fn what_it_is(subject: &Subject) -> String {
    let checkpoint = subject.checkpoint;
    let RunConfig { model, objective, .. } = &checkpoint.config;
    let trained_for = (
        facts::classifies(&checkpoint.config),
        objective.needs_chains(),
        objective.attacks_images(),
    );
    let kind = match trained_for {
        (true, true, false) => {
            "A joint energy-based model: one network that classifies its inputs and is also a generative model. Its logits \
             f(x) give p(y|x) = softmax f(x) and an energy E(x) = -log-sum-exp f(x); Langevin chains on this energy are its \
             samples."
        }
        (true, true, true) => {
            "A joint energy-based model with adversarial training: one network that was trained to classify its inputs, also \
             under small attacks, and is a generative model too. Its logits f(x) give p(y|x) = softmax f(x) and an energy \
             E(x) = -log-sum-exp f(x); Langevin chains on this energy are its samples."
        }
        (true, false, true) => {
            "A classifier with adversarial training: p(y|x) = softmax f(x), where f(x) are its logits."
        }
        (true, false, false) => {
            "A plain classifier: p(y|x) = softmax f(x), where f(x) are its logits."
        }
        (false, true, _) => {
            "An energy-based model: its energy is E(x) = -log-sum-exp f(x), where f(x) are the outputs of its network, one for \
             each class. Langevin chains on this energy are its samples."
        }
        (false, false, _) => {
            "A network with an energy E(x) = -log-sum-exp f(x), where f(x) are its outputs, one for each class. It was trained \
             neither to classify nor to sample."
        }
    };
    let num_weights: usize =
        checkpoint.sampling_weights().values().map(|tensor| tensor.values.len()).sum();
    let averaged = match checkpoint.config.optimizer.ema_decay > 0.0 {
        true => ", the exponential moving average of those in training",
        false => "",
    };
    let licence = match subject.licenses {
        [] => format!("The licence of the model is {UNKNOWN}: whoever publishes it decides."),
        licenses => format!("Licence of the model: {}.", licenses.join(" or ")),
    };
    format!(
        "{kind}\n\nThe network is {}, with {} weights{averaged}. It was trained with [jempp]({HOME}). Its p(y|x) is {}. {licence}",
        model.describe(),
        grouped(num_weights),
        checkpoint.calibration()
    )
}

fn about_data(subject: &Subject) -> String {
    let Checkpoint { config, class_names, input_shape: [c, h, w], .. } = subject.checkpoint;
    let facts = facts::of(config.data.dataset, subject.data_name);
    let input = match (*c, *h, *w) {
        (2, 1, 1) => "points (x, y)".to_string(),
        (c, h, w) => format!("images of {h}×{w} pixels with {}", counted(c, "channel", "channels")),
    };
    let names: Vec<String> = class_names.iter().map(plain).collect();
    format!(
        "{}: {input}, scaled to [-1, 1], in {}: {}. {} {}",
        facts.title,
        counted(class_names.len(), "class", "classes"),
        names.join(", "),
        trained_on(subject.checkpoint),
        facts.licence
    )
}

/// How many items the model was trained on, as a sentence; if the number is not known, what its settings say of them.
fn trained_on(checkpoint: &Checkpoint) -> String {
    let RunConfig { data, .. } = &checkpoint.config;
    if checkpoint.counters.step == 0 {
        return "Which items it was trained on is unknown.".into();
    }
    // How many points are drawn is a setting.
    let drawn =
        data::is_density(data.dataset).then(|| data.num_points.saturating_sub(data.num_validation));
    let place = match data.dataset {
        DatasetName::FashionMnistEmbedded => " inside jempp",
        _ => "",
    };
    let held_out = counted(data.num_validation, "held-out item", "held-out items");
    let (items, others) = match checkpoint.num_train().or(drawn) {
        Some(count) => (
            counted(count, "training item", "training items"),
            format!("; beside them, training had {held_out}"),
        ),
        None => ("all training items".into(), format!(" except {held_out}")),
    };
    let others = if data.num_validation > 0 { others } else { String::new() };
    format!("It was trained on {items}{place}{others}.")
}

fn recipe(checkpoint: &Checkpoint) -> String {
    let Checkpoint { config, counters, .. } = checkpoint;
    let length = match counters.step {
        0 => "How long it was trained is unknown: the checkpoint counts no training step of jempp."
            .to_string(),
        steps => format!(
            "{} training steps of {}, in {} of computing, with {} from divergence. The machine is unknown.",
            grouped(steps as usize),
            counted(config.data.batch_size, "item", "items"),
            duration(counters.elapsed_secs),
            match counters.num_recoveries {
                0 => "no recovery".to_string(),
                1 => "1 recovery".to_string(),
                more => format!("{more} recoveries"),
            }
        ),
    };
    format!(
        "{length} The main settings, and all others that differ from the defaults of jempp {}; `jempp config` says what each \
         means:\n\n```toml\n{}\n```",
        env!("CARGO_PKG_VERSION"),
        settings(config).join("\n")
    )
}

/// The main settings and those that are not the defaults, as lines of TOML that `jempp train` reads.
fn settings(config: &RunConfig) -> Vec<String> {
    let mut main = vec!["data.dataset", "data.batch_size", "model.arch", "model.norm"];
    main.extend(["objective.p_x_weight", "objective.p_y_given_x_weight"]);
    main.extend(["optimizer.kind", "optimizer.learning_rate", "training.epochs"]);
    if config.objective.needs_chains() {
        main.extend(["sampler.kind", "sampler.num_steps", config.sampler.step_size_key()]);
        main.extend(["sampler.noise_std", "sampler.start", "objective.gap_loss"]);
    }
    let changed: Vec<String> =
        RunConfig::default().differences(config).into_iter().map(|found| found.key).collect();
    let is_told = |key: &String| {
        let is_aside = ASIDE.iter().any(|aside| key.starts_with(aside));
        !is_aside && (main.contains(&key.as_str()) || changed.contains(key))
    };
    let values: toml::Table = config.to_toml().parse().unwrap_or_default();
    let keys = SECTIONS.iter().flat_map(|(section, fields)| {
        fields.iter().map(move |field| (*section, field.name, format!("{section}.{}", field.name)))
    });
    let line = |(section, name, key): (&str, &str, String)| {
        let value = values.get(section)?.get(name)?;
        is_told(&key).then(|| format!("{key} = {value}"))
    };
    std::iter::once(format!("seed = {}", config.seed)).chain(keys.filter_map(line)).collect()
}

fn measured(subject: &Subject, figures: &[Figure]) -> String {
    let rows: Vec<String> = figures
        .iter()
        .map(|figure| format!("| {} | {} |", plain(&figure.name), figure.shown()))
        .collect();
    let table = match rows.is_empty() {
        true => String::new(),
        false => format!("\n\n| what | value |\n|---|---:|\n{}", rows.join("\n")),
    };
    let Some(results) = subject.results else {
        return format!(
            "No evaluation was given when this card was written, so most figures are unknown. `jempp eval {}` measures \
             them.{table}",
            subject.option
        );
    };
    let judge = results.samples.as_ref().map(|samples| {
        format!(
            " Fréchet distances are taken to {} training images in the {} features of the classifier {} (accuracy {:.1} %), \
             so they are not FID; those of real test images are what real images reach.",
            grouped(samples.num_reference),
            samples.judge.num_features,
            plain(&samples.judge.name),
            100.0 * samples.judge.accuracy
        )
    });
    let fid = results.fid.as_ref().map(|fid| {
        format!(
            " FID is taken in the features of the Inception network in {} (SHA-256 {}). Fewer images give a larger FID; \
             published values mostly use 50,000.",
            plain(&fid.network.name),
            fid.network.sha256
        )
    });
    let attack = results.attack.as_ref().map(|attack| {
        let eval = &results.config.eval;
        let refined = match attack.curves.iter().any(|curve| curve.defence == Defence::RefinedWorst)
        {
            true => format!(
                " Refined means: {}. Refined images are attacked with and without knowledge of this.",
                plain(&attack.refinement)
            ),
            false => String::new(),
        };
        format!(
            " Attacks take {} each ({}); an image counts as correct only if all of them fail.{refined}",
            counted(eval.attack_steps, "step", "steps"),
            attack.names()
        )
    });
    let packing = match subject.checkpoint.is_packed() {
        true => "",
        false => " They were measured before the weights were rounded to half precision.",
    };
    format!(
        "Measured by jempp {} on {} test items ({}). Brackets hold 95 % intervals: how much a figure would change with other \
         test images, not with another training run.{packing}{}{}{}{}{table}\n\n{}The command was:\n\n```\n{}\n```",
        results.jempp,
        grouped(results.data.num_test),
        results.device,
        other_settings(subject.checkpoint, results),
        judge.unwrap_or_default(),
        fid.unwrap_or_default(),
        attack.unwrap_or_default(),
        missing(results),
        results.command.replace(['`', '\n'], " ")
    )
}

/// The settings of an evaluation that are not those of the model, as a sentence.
fn other_settings(checkpoint: &Checkpoint, results: &Results) -> String {
    let is_read = |key: &str| match key.split_once('.') {
        Some(("sampler", _)) => true,
        // Results do not hold the folder.
        Some(("data", name)) => name != "dir",
        _ => ["model.norm", "model.split"].contains(&key),
    };
    let found = checkpoint.config.differences(&results.config);
    let settings = found.into_iter().filter(|difference| is_read(&difference.key));
    let settings: Vec<String> =
        settings.map(|difference| format!("`{} = {}`", difference.key, difference.there)).collect();
    match settings.is_empty() {
        true => String::new(),
        false => format!(
            " It was measured with other settings than those above: {}.",
            settings.join(", ")
        ),
    }
}

/// The parts of an evaluation that were not measured, as a sentence.
fn missing(results: &Results) -> String {
    let parts = [
        ("accuracy", results.accuracy.is_none()),
        ("calibration", results.calibration.is_none()),
        ("out-of-distribution detection", results.ood.is_none()),
        ("attacks", results.attack.is_none()),
        ("samples", results.samples.is_none() && results.fid.is_none()),
    ];
    let names: Vec<&str> =
        parts.iter().filter(|(_, is_out)| *is_out).map(|(name, _)| *name).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!("Not measured: {}. ", names.join(", ")),
    }
}

fn limits(subject: &Subject) -> Vec<String> {
    let Checkpoint { config, .. } = subject.checkpoint;
    let mut found = Vec::new();
    let objective = &config.objective;
    if objective.needs_chains() {
        found.push("Energies give log p(x) only up to a constant that nobody knows.".to_string());
        if objective.p_x_weight > 0.0 && objective.gap_loss == GapLoss::Logistic {
            found.push(
                "Its loss was the logistic one, which tells data from chains by the sign of E. Where it does so for certain, E is \
                 nearly flat: it says where data lie, and hardly how frequent they are there. The p(x) of this energy need not \
                 be that of the data."
                    .into(),
            );
        }
        found.push(match config.sampler.inverse_temperature() {
            None => "Its sampler steps along normalised gradients; which density the chains then follow is unknown.".into(),
            Some(beta) if beta.is_infinite() => {
                "Its sampler adds no noise: chains run downhill in energy. They do not sample p(x).".into()
            }
            Some(beta) if config.sampler.denoise_step > 0.0 => format!(
                "Its chains were trained to follow the density of images with noise of standard deviation {}, at a low \
                 temperature: energies are -log p(x) divided by β = {beta:.0}, up to a constant.",
                config.data.input_noise_std
            ),
            Some(beta) if (beta - 1.0).abs() > 0.05 => {
                format!("With its sampler, chains aim at p(x)^β with β = {beta:.3}, not at p(x).")
            }
            Some(_) => "Its sampler aims at p(x) itself; whether chains reach it is not part of this card.".into(),
        });
        if config.sampler.denoise_step > 0.0 {
            found.push(
                "Its chains have noise, as its training data had. Pictures of them are made without it, by one step down the \
                 energy."
                    .into(),
            );
        }
    } else if objective.needs_energies() {
        found.push(
            "Its energy was only shaped near the data, by a penalty or by attacks; no chains were used. Chains on it need not \
             look like the data."
                .into(),
        );
    } else {
        found.push("Its energy was not trained: chains on it do not look like the data.".into());
    }
    if config.model.norm == Norm::Batch {
        found.push("Batch norm takes the statistics of the batch while sampling, so chains depend on each other.".into());
    }
    if subject.results.is_some_and(|results| results.attack.is_some()) {
        found.push(
            "Accuracy under attack is an upper bound: a stronger attack may find more.".into(),
        );
    }
    found.push(
        "It is one training run with one seed. How much another run would differ is unknown."
            .into(),
    );
    found.push(
        "The file also holds the mean and the main directions of variation of each class of its training data. Whoever has \
         the file has these."
            .into(),
    );
    found.push("Weights and class centres are stored in half precision.".into());
    found.push("Unknown: how it behaves on any other data than what the figures name.".into());
    found
}

fn how_to_open(subject: &Subject) -> String {
    let commands = [
        ("view", "its chains, in a window"),
        ("sample", "pictures of its chains"),
        ("eval", "measures it"),
    ];
    let line = |(command, what)| {
        let command = format!("jempp {command} {}", subject.option);
        format!("{command:width$}  # {what}", width = "jempp sample ".len() + subject.option.len())
    };
    format!(
        "```\n{}\n```\n\nIn Rust: `jempp::Model::load`. `{}` is a safetensors file: Python reads its tensors with \
         `safetensors.numpy.load_file`, and the entry `config` of its metadata is the whole configuration. [jempp]({HOME}) \
         says how to install the program.",
        commands.map(line).join("\n"),
        subject.file
    )
}

fn citation(subject: &Subject) -> String {
    let config = &subject.checkpoint.config;
    let facts = facts::of(config.data.dataset, subject.data_name);
    let data = facts.paper.map(|paper| format!("data: {paper}"));
    let program = format!("program: jempp, <{HOME}>; its CITATION.cff says how to cite it");
    let papers = facts::papers(config).into_iter().map(ToString::to_string);
    bullets(papers.chain(data).chain([program]).collect())
}

fn bullets(lines: Vec<String>) -> String {
    lines.into_iter().map(|line| format!("* {line}")).collect::<Vec<_>>().join("\n")
}

/// A name as plain text in a table of Markdown.
fn plain(name: impl AsRef<str>) -> String {
    let mut text = String::new();
    for character in name.as_ref().chars() {
        match character {
            c if c.is_control() => text.push(' '),
            c if "\\`*_[]<>|#".contains(c) => text.extend(['\\', c]),
            c => text.push(c),
        }
    }
    text
}

/// A time in a unit that suits it.
fn duration(secs: f64) -> String {
    match secs {
        secs if secs < 90.0 => format!("{secs:.0} seconds"),
        secs if secs < 5400.0 => format!("{:.0} minutes", secs / 60.0),
        secs => format!("{:.1} hours", secs / 3600.0),
    }
}
