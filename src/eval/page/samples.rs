//! The section about the quality of the samples.

use maud::{Markup, html};

use super::{
    fid,
    parts::{Model, item_words, name_of, notes, with},
};
use crate::counts::{counted, grouped};
use crate::eval::{
    Part,
    results::{Estimate, SampleSet, Samples, is_weak_judge, weak_judge},
};
use crate::page::{
    ink::{Dash, Look, Shape},
    parts::{figure, legend, table, union},
    plot::{Axis, Mark, Panel, Point},
    text::{NOTHING, Unit, clause},
};

type Found<'m, 'a> = [(&'m Model<'a>, &'a Samples)];

/// The section: what a judge of the same data measures, and FID.
pub(super) fn section(models: &[Model]) -> Markup {
    html! {
        @if models.iter().any(|model| model.results.samples.is_some()) { (judged(models)) }
        (notes(models.iter().flat_map(small), models.len()))
        (fid::subsection(models))
    }
}

/// Distances, scores, and their limits.
fn judged(models: &[Model]) -> Markup {
    let found = with(models, |results| results.samples.as_ref());
    let words = item_words(models);
    let [item, items] = words;
    let judges = union(found.iter().map(|(_, samples)| samples.judge.sha256.as_str()));
    html! {
        p {
            "Samples are compared with training " (items) " in the features of a separate classifier, the judge. "
            strong { "The Fréchet distance here is not FID" } ": FID takes the features of one Inception network that "
            "everyone uses; here they are those of a small classifier of the same data. The number can be compared with "
            "the floor beside it, which is what unseen real " (items) " have, and with numbers of the same judge, but "
            "not with published FIDs. It decreases as sets grow, so sets of equal size should be compared."
        }
        (notes(found.iter().map(|(model, samples)| (*model, judge(samples, words))), found.len()))
        (notes(found.iter().filter_map(|(model, samples)| Some((*model, weak(model, samples)?))), found.len()))
        @if judges.len() > 1 {
            p.note { "The judges differ: Fréchet distances and scores of these models cannot be compared." }
        }
        (numbers(&found, models.len() > 1, items))
        (protocols(&found))
        dl {
            dt { "Fréchet distance" }
            dd { "Between Gaussians fitted to the features of the set and of the reference (arXiv:1706.08500), with a "
                "jackknife interval. Lower is better; a value near the floor is as good as real " (items) "." }
            dt { "Inception-like score" }
            dd { "exp of the mean divergence of the judge's p(y|x) from their mean (arXiv:1606.03498), between 1 and the "
                "number of classes: high if the judge is sure of each " (item) " and the classes are even." }
            dt { "Precision, recall" }
            dd { "Share of the set within the manifold of as many reference " (items) ", and share of these within the "
                "manifold of the set (arXiv:1904.06991): how good the " (items) " are, and how many kinds there are." }
            dt { "Class agreement" }
            dd { "Share of the set that the judge sees as the class it was drawn for." }
            dt { "Nearest training " (item) }
            dd { "Median distance to it, as root mean square of the differences. “Copies” is the share closer to a training "
                (item) " than 99 % of the test " (items) " are: 1 % is what unseen real " (items) " have, much more would be "
                "memorisation." }
        }
        (by_class(&found, items))
    }
}

fn numbers(found: &Found, is_named: bool, items: &str) -> Markup {
    type Measure = (&'static str, Unit, fn(&SampleSet) -> &Estimate);
    let measures: [Measure; 5] = [
        ("Fréchet distance", Unit::Digits, |set| &set.frechet),
        ("Inception-like score", Unit::Decimals(2), |set| &set.inception_like),
        ("Precision", Unit::Percent, |set| &set.precision),
        ("Recall", Unit::Percent, |set| &set.recall),
        ("Class agreement", Unit::Percent, |set| &set.class_agreement),
    ];
    let head = html! {
        tr {
            th scope="col" { "Set" } th scope="col" { "Number" }
            @for (name, ..) in measures { th scope="col" { (name) } }
            th scope="col" { "Nearest" } th scope="col" { "Copies" }
        }
    };
    let body = html! {
        @for (model, samples) in found {
            @if is_named {
                tr.group { th scope="rowgroup" colspan="9" { (name_of(model)) } }
            }
            @for (index, set) in samples.sets.iter().enumerate() {
                tr {
                    th.inner[is_named] scope="row" { (set.name) @if index == 0 { ", the floor" } }
                    td { (grouped(set.count)) }
                    @for (_, unit, measure) in measures { td.stacked { (unit.estimate(measure(set))) } }
                    td { (Unit::Decimals(3).text(set.nearest.median)) }
                    td { (Unit::Percent.text(set.nearest.share_copied)) }
                }
            }
        }
    };
    let caption = format!("Samples compared with real {items}, with 95\u{a0}% intervals");
    table(&caption, head, body)
}

fn judge(samples: &Samples, [item, items]: [&str; 2]) -> String {
    let judge = &samples.judge;
    format!(
        "The judge is {}, SHA-256 {}, accuracy on these test {items} {}, {}; the reference is {}.",
        judge.name,
        judge.sha256,
        Unit::Percent.text(judge.accuracy),
        counted(judge.num_features, "feature", "features"),
        counted(samples.num_reference, &format!("training {item}"), &format!("training {items}")),
    )
}

/// Notes about what is left out of the samples.
fn small<'m, 'a>(model: &'m Model<'a>) -> impl Iterator<Item = (&'m Model<'a>, String)> {
    let is_part = |name: &str| Part::ALL.iter().any(|part| part.name() == name);
    let sets = model.results.left_out.iter().filter(move |(name, _)| !is_part(name));
    sets.map(move |(name, reason)| (model, format!("{name} left out: {}.", clause(reason))))
}

/// A warning if the judge is weak.
fn weak(model: &Model, samples: &Samples) -> Option<String> {
    let accuracy = samples.judge.accuracy;
    let num_classes = model.results.data.class_names.len();
    is_weak_judge(accuracy, num_classes).then(|| format!("{}.", weak_judge(accuracy)))
}

/// Notes about where the sets come from.
fn protocols(found: &Found) -> Markup {
    let lines = found.iter().flat_map(|(model, samples)| {
        let sets = samples.sets.iter();
        sets.map(|set| (*model, format!("{}: {}.", set.name, set.protocol)))
    });
    notes(lines, found.len())
}

/// The Fréchet distance of every class, one panel per set, with the values of real test items for comparison.
fn by_class(found: &Found, items: &str) -> Markup {
    let classes = union(found.iter().flat_map(|(model, _)| &model.results.data.class_names));
    let row = |class: usize| (classes.len() - 1 - class) as f64;
    let dots = |model: &Model, set: &SampleSet| -> Vec<Point> {
        let names = &model.results.data.class_names;
        let places = names.iter().map(|name| classes.iter().position(|other| *other == name));
        let found = places.zip(&set.frechet_by_class);
        found.filter_map(|(class, &distance)| Some((distance?, row(class?)))).collect()
    };
    let names = found.iter().flat_map(|(_, samples)| samples.sets.iter().skip(1));
    let names = union(names.map(|set| set.name.as_str()));
    let all = || found.iter().flat_map(|(_, samples)| &samples.sets);
    let distances = all().flat_map(|set| set.frechet_by_class.iter().copied().flatten());
    let most = distances.filter(|distance| distance.is_finite()).fold(0.0, f64::max);
    let panel = |name: &&str| {
        let mut marks = Vec::new();
        for (model, samples) in found {
            let look = Look { dash: Dash::Nothing, ..model.look() };
            if let Some(floor) = samples.sets.first() {
                marks.push(Mark::Dots(dots(model, floor), Look { shape: Shape::Ring, ..look }));
            }
            if let Some(set) = samples.sets.iter().skip(1).find(|set| set.name == *name) {
                marks.push(Mark::Dots(dots(model, set), look));
            }
        }
        let ticks = classes.iter().enumerate().map(|(class, name)| (row(class), short(name)));
        Panel {
            title: name.to_string(),
            alt: format!("Fréchet distance of every class: {name}, and the floor."),
            x: Axis::linear("Fréchet distance", 0.0, if most > 0.0 { most * 1.03 } else { 1.0 }),
            y: Axis::with_ticks("", -0.6, classes.len() as f64 - 0.4, ticks),
            height: 70 + 21 * classes.len() as i32,
            marks,
            keys: Vec::new(),
        }
        .markup()
    };
    let panels = names.iter().map(panel);
    let looks = found.iter().flat_map(|(model, samples)| {
        let of = if found.len() > 1 { format!("{}: ", model.label) } else { String::new() };
        let look = Look { dash: Dash::Nothing, ..model.look() };
        let floor = samples.sets.first().map(|set| set.name.clone()).unwrap_or(NOTHING.into());
        [
            (look, format!("{of}the set named above a panel")),
            (Look { shape: Shape::Ring, ..look }, format!("{of}{floor}, the floor")),
        ]
    });
    html! {
        @if !classes.is_empty() {
            (figure(panels, legend(looks), html! {
                "Fréchet distance by class: the " (items) " of a row's class against the training " (items) " of that class. "
                "With fewer " (items) " in each, these distances are larger than those of whole sets."
            }))
        }
    }
}

/// The name of a class, shortened if it would take too much room in the figure.
fn short(name: &str) -> String {
    match name.char_indices().nth(16) {
        Some(_) => name.chars().take(15).chain(['…']).collect(),
        None => name.to_string(),
    }
}
