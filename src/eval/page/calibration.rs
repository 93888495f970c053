//! The section about calibration.

use maud::{Markup, html};

use super::parts::{Model, item_words, legend_of_models, name_of, with};
use crate::page::{
    ink::{Dash, Ink, Look, Shape},
    parts::{figure, table},
    plot::{Axis, Mark, Panel, Point},
    text::{Unit, fixed},
};
use crate::{
    accuracy::ReliabilityBin,
    counts::grouped,
    eval::results::{Calibration, CalibrationErrors, Estimate},
};

type Bins = fn(&Calibration) -> &[ReliabilityBin];
type Found<'m, 'a> = [(&'m Model<'a>, &'a Calibration)];

/// The section: calibration errors, and reliability diagrams, as trained and with temperatures.
pub(super) fn section(models: &[Model]) -> Markup {
    let found = with(models, |results| results.calibration.as_ref());
    let [item, items] = item_words(models);
    let scaled_on = format!("Scaled on test {items}");
    let shown: Vec<&Model> = found.iter().map(|(model, _)| *model).collect();
    let plain: Bins = |part| &part.bins;
    let calibrated: Bins =
        |part| part.calibrated.as_ref().map_or(&[], |calibrated| &calibrated.bins);
    let scaled: Bins = |part| &part.scaled_bins;
    let both = |title, bins| {
        let stack = [reliability(title, &found, bins), counts(title, &found, bins, items)];
        html! { @for panel in stack { (panel.markup()) } }
    };
    let panels = [
        Some(both("As trained", plain)),
        has_calibrated(&found).then(|| both("Calibrated after training", calibrated)),
        Some(both(scaled_on.as_str(), scaled)),
    ];
    html! {
        p {
            "The confidence of a classification is max" sub { "y" } " p(y|x). It is reliable if, of all " (items) " of a "
            "confidence, that share is classified correctly. Temperature scaling divides the logits by one number, which "
            "changes no classification. A model that is calibrated after training has such a number in its checkpoint, fitted "
            "on training " (items) " that were held out. The scaling on test " (items) " shows what one number can reach at "
            "most. It is cross-fitted: the test " (items) " are halved at random, and each half is scaled by the temperature "
            "that fits the other half best, so no " (item) " helps to judge itself."
        }
        (errors(&found, items))
        dl {
            dt { "Expected calibration error" }
            dd { "The difference between confidence and accuracy in equally wide bins of confidence, averaged over the " (items) " "
                "(arXiv:1706.04599). 0 is best." }
            dt { "Maximum calibration error" }
            dd { "The largest of these differences. A bin of few " (items) " can decide it: look at the counts." }
            dt { "Brier score" }
            dd { "Mean squared distance of the predicted probabilities from the label, between 0 and 2. Takes both "
                "accuracy and calibration into account; lower is better." }
            dt { "Negative log likelihood" }
            dd { "Mean of −log p(label|x) in nats. Punishes confident errors most; lower is better." }
        }
        (figure(panels.into_iter().flatten(), legend_of_models(&shown), html! {
            "Reliability. Above: share classified correctly over mean confidence, a dot for each bin that is not empty; "
            "on the grey diagonal confidence is what it claims to be, below it the model is overconfident. Below: " (items) " "
            "in each bin, on a logarithmic axis; a dot above stands for as many " (items) " as the bar below it."
        }))
    }
}

/// Whether any model was calibrated after its training.
fn has_calibrated(found: &Found) -> bool {
    found.iter().any(|(_, part)| part.calibrated.is_some())
}

fn errors(found: &Found, items: &str) -> Markup {
    let is_wide = has_calibrated(found);
    let span = if is_wide { "3" } else { "2" };
    type Measure = (&'static str, Unit, fn(&CalibrationErrors) -> &Estimate);
    let measures: [Measure; 4] = [
        ("Expected calibration error", Unit::Percent, |errors| &errors.expected),
        ("Maximum calibration error", Unit::Percent, |errors| &errors.maximum),
        ("Brier score", Unit::Decimals(3), |errors| &errors.brier),
        ("Negative log likelihood, nats", Unit::Decimals(3), |errors| &errors.nll),
    ];
    let head = html! {
        tr { td rowspan="2" {} @for (model, _) in found { th scope="colgroup" colspan=(span) { (name_of(model)) } } }
        tr {
            @for _ in found {
                th scope="col" { "as trained" }
                @if is_wide { th scope="col" { "calibrated after training" } }
                th scope="col" { "scaled on test " (items) }
            }
        }
    };
    let body = html! {
        @for (name, unit, measure) in measures {
            tr {
                th scope="row" { (name) }
                @for (_, part) in found {
                    td { (unit.estimate(measure(&part.plain))) }
                    @if is_wide {
                        td {
                            @match &part.calibrated {
                                Some(calibrated) => (unit.estimate(measure(&calibrated.errors))),
                                None => "not calibrated",
                            }
                        }
                    }
                    td { (unit.estimate(measure(&part.scaled))) }
                }
            }
        }
        tr {
            th scope="row" { "Temperature; on test " (items) ", of each half" }
            @for (_, part) in found {
                td { "1" }
                @if is_wide {
                    td { @if let Some(calibrated) = &part.calibrated { (fixed(calibrated.temperature, 3)) } }
                }
                td { (fixed(part.temperatures[0], 3)) ", " (fixed(part.temperatures[1], 3)) }
            }
        }
    };
    table("Calibration, with 95\u{a0}% intervals", head, body)
}

fn reliability(title: &str, found: &Found, bins: Bins) -> Panel {
    let diagonal = Look { ink: Ink::Data, dash: Dash::Solid, shape: Shape::Nothing };
    let mut marks = vec![Mark::Line(vec![(0.0, 0.0), (1.0, 1.0)], diagonal)];
    for (model, part) in found {
        let bins = bins(part);
        let held = bins.iter().filter(|bin| bin.count > 0);
        let points: Vec<Point> = held.map(|bin| (bin.confidence, bin.accuracy)).collect();
        marks.push(Mark::Line(points.clone(), model.look()));
        marks.push(Mark::Dots(points, model.look()));
    }
    Panel {
        title: title.to_string(),
        alt: format!("Reliability diagram: accuracy over confidence. {title}."),
        x: Axis::shares("confidence"),
        y: Axis::shares("classified correctly"),
        height: 320,
        marks,
        keys: Vec::new(),
    }
}

/// The number of items per bin, with the bars of several models side by side.
fn counts(title: &str, found: &Found, bins: Bins, items: &str) -> Panel {
    let height = |count: usize| (1.0 + count as f64).log10();
    let all: Vec<(&Model, &[ReliabilityBin])> =
        found.iter().map(|(model, part)| (*model, bins(part))).collect();
    let most =
        all.iter().flat_map(|(_, bins)| *bins).map(|bin| bin.count).max().unwrap_or(0).max(1);
    let marks = all.iter().enumerate().map(|(place, (model, bins))| {
        let width = 1.0 / bins.len().max(1) as f64;
        let bar = width * 0.9 / all.len() as f64;
        let rows = bins.iter().enumerate().map(|(index, bin)| {
            let left = (index as f64 + 0.05) * width + place as f64 * bar;
            (left, left + bar, height(bin.count))
        });
        Mark::Bars(rows.collect(), Ink::Model(model.index))
    });
    // A tick at 1 would touch the one at 0.
    let first = if most < 10 { 0 } else { 1 };
    let decades = (first..19).map(|power| 10usize.pow(power)).take_while(|&count| count <= most);
    let ticks = std::iter::once(0).chain(decades);
    Panel {
        title: String::new(),
        alt: format!("Number of {items} in each bin of confidence. {title}."),
        x: Axis::shares("confidence"),
        y: Axis::with_ticks(
            items,
            0.0,
            height(most) * 1.05,
            ticks.map(|number| (height(number), grouped(number))),
        ),
        height: 170,
        marks: marks.collect(),
        keys: Vec::new(),
    }
}
