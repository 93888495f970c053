//! The figures of a card: the same values for the front matter and for the table.

use super::{Subject, facts, yaml::Yaml};
use crate::{
    checkpoint::{Checkpoint, Counters},
    config::{BallNorm, DatasetName},
    counts::{counted, grouped},
    data::{self, item_words},
    eval::{
        results::{Estimate, Fid, Results, Score},
        shown_radius,
    },
};

/// The name that an evaluation gives to new chains.
const FRESH: &str = "fresh chains";

/// What a figure measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Task {
    Classification,
    Generation,
}

/// A measured number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// None for a value that is no result of the model: of real test images, of earlier weights, or of a task without training.
    task: Option<Task>,
    /// The kind of number, as a word for programs.
    pub(super) metric: &'static str,
    /// What it is, for people.
    pub(super) name: String,
    pub(super) value: f64,
    /// The ends of its 95 % interval, if that is known.
    pub(super) interval: Option<[f64; 2]>,
    /// Whether it is a share or an error of probabilities, which is shown in %.
    is_share: bool,
}

impl Figure {
    /// Whether it is a result of the model, for the front matter.
    pub(super) fn is_listed(&self) -> bool {
        self.task.is_some()
    }

    /// The value with its interval, for people.
    pub(super) fn shown(&self) -> String {
        let number = |value: f64| match self.is_share {
            true => format!("{:.1}", 100.0 * value),
            false => format!("{value:.3}"),
        };
        let unit = if self.is_share { " %" } else { "" };
        let interval =
            self.interval.map(|ends| format!(" [{}, {}]", number(ends[0]), number(ends[1])));
        format!("{}{unit}{}", number(self.value), interval.unwrap_or_default())
    }
}

/// The figures of a model: those of an evaluation or, without one, the accuracy that its training measured.
pub(super) fn figures(checkpoint: &Checkpoint, results: Option<&Results>) -> Vec<Figure> {
    let classification = facts::classifies(&checkpoint.config).then_some(Task::Classification);
    let Some(results) = results else {
        let Counters { step, test_accuracy, evaluated_step, .. } = checkpoint.counters;
        // Early versions did not store the step.
        let earlier = evaluated_step.filter(|evaluated| *evaluated != step);
        let when = earlier.map(|evaluated| {
            let [evaluated, all] = [evaluated, step].map(|steps| grouped(steps as usize));
            format!(" after {evaluated} of its {all} steps")
        });
        let figure = |value| Figure {
            task: classification.filter(|_| earlier.is_none()),
            metric: "accuracy",
            name: format!(
                "accuracy on the test set, as training measured it{}",
                when.unwrap_or_default()
            ),
            value,
            interval: None,
            is_share: true,
        };
        return test_accuracy.map(figure).into_iter().collect();
    };
    let mut found = Vec::new();
    let mut add = |task, metric, name: String, is_share, estimate: Estimate| {
        let Estimate { value, low, high } = estimate;
        found.push(Figure { task, metric, name, value, interval: Some([low, high]), is_share });
    };
    if let Some(part) = &results.accuracy {
        add(classification, "accuracy", "accuracy".into(), true, part.accuracy);
    }
    if let Some(part) = &results.calibration {
        let fitted = " with temperatures fitted on test images".to_string();
        let calibrated = part.calibrated.as_ref().map(|calibrated| {
            let when = format!(" as calibrated after training, T = {:.2}", calibrated.temperature);
            (&calibrated.errors, when)
        });
        let all = [(&part.plain, String::new()), (&part.scaled, fitted)];
        for (errors, when) in all.into_iter().chain(calibrated) {
            let name = format!("expected calibration error{when}");
            add(classification, "expected_calibration_error", name, true, errors.expected);
            let name = format!("negative log likelihood in nats{when}");
            add(classification, "negative_log_likelihood", name, false, errors.nll);
        }
    }
    let with_noise = match results.ood.as_ref().map_or(0.0, |part| part.noise_std) {
        0.0 => String::new(),
        std => format!(", all with noise of {std}"),
    };
    for set in results.ood.iter().flat_map(|part| &part.sets) {
        let log_p_x = set.scores.iter().find(|separation| separation.score == Score::LogPX);
        if let Some(separation) = log_p_x {
            let name = format!("AUROC of log p(x), test images against {}{with_noise}", set.name);
            add(classification, "roc_auc", name, false, separation.auroc);
        }
    }
    let attack = results.attack_name().unwrap_or_default();
    let shape = results.data.shape;
    let [_, items] = item_words(shape);
    for curve in results.attack.iter().flat_map(|part| &part.curves) {
        let Some(defence) = curve.defence.of_figure() else { continue };
        for (radius, accuracy) in curve.points.iter().filter(|(radius, _)| *radius > 0.0) {
            let radius = shown_radius(curve.norm, *radius, shape);
            let unit = match (curve.norm, shape) {
                (_, [_, 1, 1]) => " in x",
                (BallNorm::Linf, _) => "/255",
                (BallNorm::L2, _) => "",
            };
            let (norm, count) = (curve.norm.name(), grouped(curve.num_images));
            let name = format!(
                "accuracy under {attack}, {norm} ε = {radius}{unit}{defence} ({count} {items})"
            );
            add(classification, "robust_accuracy", name, true, *accuracy);
        }
    }
    let sets = results.samples.iter().flat_map(|part| &part.sets);
    for (index, set) in sets.enumerate() {
        // The first set holds the real test images.
        let task = (index > 0).then_some(Task::Generation);
        let steps = after_steps(results, &set.name);
        let name = format!("Fréchet distance of {} {}{steps}", grouped(set.count), set.name);
        add(task, "frechet_distance", name, false, set.frechet);
    }
    found.extend(results.fid.iter().flat_map(|part| fids(part, results)));
    found
}

/// How long the chains of a set ran, if they are new ones.
fn after_steps(results: &Results, set: &str) -> String {
    match set == FRESH {
        true => format!(" after {} steps", grouped(results.config.eval.sample_steps)),
        false => String::new(),
    }
}

/// The FID of every set of images. With weights of unknown origin it is only some Fréchet distance; and to fewer than all
/// training images of the data set it is not the number that programs may compare under the name of FID.
fn fids(part: &Fid, results: &Results) -> impl Iterator<Item = Figure> {
    let title = match part.network.is_original {
        true => "FID",
        false => "Fréchet distance (Inception weights of unknown origin)",
    };
    let is_whole = part.num_reference == results.data.num_train && !results.data.is_embedded;
    let metric = if part.network.is_original && is_whole { "fid" } else { "frechet_distance" };
    let reference = counted(part.num_reference, "training image", "training images");
    part.sets.iter().enumerate().map(move |(index, set)| Figure {
        task: (index > 0).then_some(Task::Generation),
        metric,
        name: format!(
            "{title} of {} {}{} to {reference}",
            grouped(set.count),
            set.name,
            after_steps(results, &set.name)
        ),
        value: set.fid,
        interval: None,
        is_share: false,
    })
}

/// The entries of `results` in a `model-index`: one for each task that has figures.
pub(super) fn by_task(subject: &Subject, figures: &[Figure]) -> Vec<Yaml> {
    let results = subject.results;
    let trained_on = subject.checkpoint.config.data.dataset;
    let dataset = results.map_or(trained_on, |results| results.config.data.dataset);
    let is_embedded = match results {
        Some(results) => results.data.is_embedded,
        None => dataset == DatasetName::FashionMnistEmbedded,
    };
    let facts = facts::of(dataset, subject.data_name);
    let part = if is_embedded { ", the 1,000 test images inside jempp" } else { "" };
    let own = data::name(dataset);
    let dataset = Yaml::Map(vec![
        ("name", Yaml::text(format!("{}{part}", facts.title))),
        ("type", Yaml::text(facts.hub.unwrap_or(&own))),
        ("split", Yaml::text("test")),
    ]);
    let is_image = subject.checkpoint.input_shape[1] > 1;
    let task = |task| match (task, is_image) {
        (Task::Classification, true) => "image-classification",
        (Task::Classification, false) => "tabular-classification",
        (Task::Generation, _) => "unconditional-image-generation",
    };
    let entry = |which| {
        let metrics = figures.iter().filter(|figure| figure.task == Some(which)).map(|figure| {
            Yaml::Map(vec![
                ("type", Yaml::text(figure.metric)),
                ("value", Yaml::Number(figure.value)),
                ("name", Yaml::text(&figure.name)),
            ])
        });
        let metrics: Vec<Yaml> = metrics.collect();
        let kind = Yaml::Map(vec![("type", Yaml::text(task(which)))]);
        (!metrics.is_empty()).then(|| {
            Yaml::Map(vec![
                ("task", kind),
                ("dataset", dataset.clone()),
                ("metrics", Yaml::List(metrics)),
            ])
        })
    };
    [Task::Classification, Task::Generation].into_iter().filter_map(entry).collect()
}
