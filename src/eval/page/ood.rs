//! The section about out-of-distribution images.

use maud::{Markup, html};

use super::parts::{Model, item_words, legend_of_models, name_of, notes, with};
use crate::counts::counted;
use crate::eval::results::{Ood, OodSet, Score};
use crate::page::{
    ink::{Dash, Ink, Look, Shape},
    parts::{figure, legend, table, union},
    plot::{Axis, Mark, Panel, Point},
    text::{NOTHING, Unit, clause, fixed},
};

type Found<'m, 'a> = [(&'m Model<'a>, &'a Ood)];

/// The section: areas under the ROC curve, energy histograms and ROC curves.
pub(super) fn section(models: &[Model]) -> Markup {
    let found = with(models, |results| results.ood.as_ref());
    let words = item_words(models);
    let [item, items] = words;
    let sets =
        union(found.iter().flat_map(|(_, ood)| ood.sets.iter().map(|set| set.name.as_str())));
    let shown: Vec<&Model> = found.iter().map(|(model, _)| *model).collect();
    let curves = sets.iter().map(|set| roc(&found, set).markup());
    let left_out = found.iter().flat_map(|(model, ood)| {
        let sets = ood.left_out.iter();
        sets.map(|(set, reason)| (*model, format!("{set} was left out: {}.", clause(reason))))
    });
    html! {
        p {
            "A score that is higher for the data than for other " (items) " can tell them apart. Three are tried: "
            (name_of_score(Score::LogPX)) " up to a constant, which an energy-based model adds; the confidence "
            (name_of_score(Score::MaxProbability)) ", which any classifier has; and the approximate mass "
            (name_of_score(Score::ApproximateMass)) " (arXiv:1912.03263)."
        }
        p {
            "AUROC is how often a test " (item) " has a higher score than one of the set: 0.5 is guessing, and below it "
            "the score prefers the others. FPR@95 is the share of the set that passes for data when 95\u{a0}% of the "
            "test " (items) " pass; lower is better."
        }
        (separations(&found, &sets, words))
        (notes(left_out, found.len()))
        @for (model, ood) in &found {
            @if models.len() > 1 { h3 { (name_of(model)) } }
            (histograms(model, ood, items))
        }
        (figure(curves, legend_of_models(&shown), html! {
            "ROC curves of log p(x): share of the test data kept over share of the set taken for data, for every "
            "threshold. The grey diagonal is guessing."
        }))
    }
}

fn name_of_score(score: Score) -> &'static str {
    match score {
        Score::LogPX => "log p(x)",
        Score::MaxProbability => "max p(y|x)",
        Score::ApproximateMass => "−‖∂ log p(x)/∂x‖",
    }
}

fn set_of<'a>(ood: &'a Ood, name: &str) -> Option<&'a OodSet> {
    ood.sets.iter().find(|set| set.name == name)
}

fn separations(found: &Found, sets: &[&str], [item, items]: [&str; 2]) -> Markup {
    let scores = [Score::LogPX, Score::MaxProbability, Score::ApproximateMass];
    let what = |name: &str| {
        let set = found.iter().find_map(|(_, ood)| set_of(ood, name))?;
        Some(format!("{}; {}", set.what, counted(set.num_out, item, items)))
    };
    let value = |ood: &Ood, name: &str, score: Score| {
        let set = set_of(ood, name)?;
        set.scores.iter().find(|found| found.score == score).cloned()
    };
    let head = html! {
        tr { td rowspan="2" {} @for (model, _) in found { th scope="colgroup" colspan="2" { (name_of(model)) } } }
        tr { @for _ in found { th scope="col" { "AUROC" } th scope="col" { "FPR@95" } } }
    };
    let body = html! {
        @for name in sets {
            tr.group {
                th scope="rowgroup" colspan=(1 + 2 * found.len()) {
                    (name) @if let Some(what) = what(name) { span.what { (what) } }
                }
            }
            @for score in scores {
                @if found.iter().any(|(_, ood)| value(ood, name, score).is_some()) {
                    tr {
                        th.inner scope="row" { (name_of_score(score)) }
                        @for (_, ood) in found {
                            @match value(ood, name, score) {
                                Some(separation) => {
                                    td { (Unit::Decimals(3).estimate(&separation.auroc)) }
                                    td { (Unit::Percent.estimate(&separation.false_positives_at_95)) }
                                }
                                None => { td { (NOTHING) } td { (NOTHING) } }
                            }
                        }
                    }
                }
            }
        }
    };
    let num_in = union(found.iter().map(|(_, ood)| ood.num_in));
    let [item, items] = [item, items].map(|word| format!("test {word}"));
    let num_in: Vec<String> =
        num_in.into_iter().map(|number| counted(number, &item, &items)).collect();
    let caption = format!(
        "How well a score separates {} from a set, with 95\u{a0}% intervals",
        num_in.join(" or ")
    );
    table(&caption, head, body)
}

/// Histograms of the energies of the test data and of each set, for one model: energies of different models cannot
/// be compared.
fn histograms(model: &Model, ood: &Ood, items: &str) -> Markup {
    let data = Look { ink: Ink::Data, dash: Dash::Nothing, shape: Shape::Square };
    let set = Look { ink: Ink::Model(model.index), dash: Dash::Solid, shape: Shape::Nothing };
    let panels = ood.sets.iter().filter_map(|other| Some(histogram(ood, other, set)?.markup()));
    figure(
        panels,
        legend([(data, format!("test {items}")), (set, "the set named above a panel".to_string())]),
        html! {
            "Energies E(x) = −log p(x) + constant, so more likely " (items) " are further left. Each histogram is scaled to "
            "its own highest bin; the outer bins also count the " (items) " beyond them."
            @if ood.noise_std > 0.0 {
                " The energy learnt " (items) " with noise (" (fixed(ood.noise_std, 2)) "), so all " (items) " here have it."
            }
        },
    )
}

fn histogram(ood: &Ood, set: &OodSet, look: Look) -> Option<Panel> {
    let edges = &ood.energy_edges;
    let (low, high) = (*edges.first()?, *edges.last()?);
    let heights = |counts: &[usize]| {
        let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
        let bins = edges.windows(2).zip(counts);
        bins.map(|(bin, &count)| (bin[0], bin[1], count as f64 / most)).collect::<Vec<_>>()
    };
    let steps = heights(&set.energy_counts);
    let outline: Vec<Point> =
        steps.iter().flat_map(|&(from, to, height)| [(from, height), (to, height)]).collect();
    let around = std::iter::once((low, 0.0)).chain(outline).chain([(high, 0.0)]);
    Some(Panel {
        title: set.name.clone(),
        alt: format!(
            "Energies of the test data and of {}, whose mean is {}.",
            set.name,
            fixed(set.mean_energy, 2)
        ),
        x: Axis::linear("energy", low, high),
        y: Axis::with_ticks("", 0.0, 1.05, []),
        height: 200,
        marks: vec![
            Mark::Bars(heights(&ood.energy_counts), Ink::Data),
            Mark::Line(around.collect(), look),
        ],
        keys: Vec::new(),
    })
}

fn roc(found: &Found, set: &str) -> Panel {
    let diagonal = Look { ink: Ink::Data, dash: Dash::Solid, shape: Shape::Nothing };
    let mut marks = vec![Mark::Line(vec![(0.0, 0.0), (1.0, 1.0)], diagonal)];
    for (model, ood) in found {
        let scores = set_of(ood, set).into_iter().flat_map(|set| &set.scores);
        for separation in scores.filter(|separation| separation.score == Score::LogPX) {
            marks.push(Mark::Line(separation.roc.clone(), model.look()));
        }
    }
    Panel {
        title: set.to_string(),
        alt: format!("ROC curve of log p(x), test data against {set}."),
        x: Axis::shares("of the set taken for data"),
        y: Axis::shares("of the test data kept"),
        height: 300,
        marks,
        keys: Vec::new(),
    }
}
