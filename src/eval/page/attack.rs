//! The section about adversarial attacks.

use maud::{Markup, html};

use super::parts::{Model, item_words, legend_of_models, name_of, notes, shape_of, with};
use crate::counts::{counted, grouped};
use crate::eval::{
    results::{Attack, AttackCurve, AttackKind, BallNorm, Defence, Estimate},
    shown_radius,
};
use crate::page::{
    ink::{Dash, Ink, Look, Shape},
    parts::{figure, legend, table, union},
    plot::{Axis, Mark, Panel},
    text::{NOTHING, Unit, clause, plain},
};

/// All defences: name, explanation, and the style of the curve.
const DEFENCES: [(Defence, &str, &str, Dash, Shape); 5] = [
    (
        Defence::None,
        Defence::None.name(),
        "The classifier as it is, attacked through its own gradient.",
        Dash::Solid,
        Shape::Disc,
    ),
    (
        Defence::RefinedUnaware,
        Defence::RefinedUnaware.name(),
        "Sampler steps refine the input before it is classified. The attack targets the bare classifier and does not \
         know about them, so this curve says little about safety.",
        Dash::Broken(2, 4),
        Shape::Ring,
    ),
    (
        Defence::RefinedBpda,
        Defence::RefinedBpda.name(),
        "The attacker knows about the refinement, averages over its noise, and uses the classifier's gradient at the \
         refined input as the gradient at the input (arXiv:1802.00420).",
        Dash::Broken(5, 4),
        Shape::Square,
    ),
    (
        Defence::RefinedThrough,
        Defence::RefinedThrough.name(),
        "The attacker averages over the noise and differentiates through the sampler's steps.",
        Dash::Broken(14, 4),
        Shape::Triangle,
    ),
    (
        Defence::RefinedWorst,
        Defence::RefinedWorst.name(),
        "An input counts only if none of the attacks above fools it. This is an upper bound for refinement.",
        Dash::Broken(9, 4),
        Shape::Diamond,
    ),
];

/// All kinds of attacks, with what they do.
const KINDS: [(AttackKind, &str); 3] = [
    (
        AttackKind::Pgd,
        "Projected gradient descent on the cross entropy, with steps of a fixed size, from random points of the ball \
         (arXiv:1706.06083).",
    ),
    (
        AttackKind::ApgdCe,
        "Auto-PGD on the cross entropy: with momentum, and steps that halve where they no longer help (arXiv:2003.01690).",
    ),
    (
        AttackKind::ApgdDlr,
        "Auto-PGD on the difference of logits ratio, which also finds a direction where the classifier is so sure that the \
         gradient of the cross entropy vanishes (arXiv:2003.01690).",
    ),
];

/// The radius of a perturbation of the models' data as text, with its norm and unit.
pub(super) fn ball(models: &[Model], norm: BallNorm, radius: f64) -> String {
    let shape = shape_of(models);
    let shown = plain(shown_radius(norm, radius, shape));
    match (norm, shape) {
        (_, [_, 1, 1]) => format!("{}, ε = {shown} in x", norm.name()),
        (BallNorm::Linf, _) => format!("L∞, ε = {shown}/255"),
        (BallNorm::L2, _) => format!("L2, ε = {shown}"),
    }
}

/// The unit of the radii of a norm, as they are shown for items of the shape (C, H, W).
fn unit(norm: BallNorm, shape: [usize; 3]) -> &'static str {
    match (norm, shape) {
        (_, [_, 1, 1]) => "in units of x",
        (BallNorm::Linf, _) => "in 255ths of the pixel range",
        (BallNorm::L2, _) => "with pixels from 0 to 1",
    }
}

/// A small and a large radius of a norm, from the first model that was attacked.
pub(super) fn shown_radii(models: &[Model], norm: BallNorm) -> Vec<f64> {
    let attacks = with(models, |results| results.attack.as_ref());
    let curve = attacks.iter().find_map(|(_, attack)| curve_of(attack, norm, Defence::None));
    let points = curve.map_or(&[][..], |curve| &curve.points);
    let radii: Vec<f64> =
        points.iter().map(|point| point.0).filter(|radius| *radius > 0.0).collect();
    match radii.len() {
        0 => Vec::new(),
        len => union([radii[(len - 1) / 3], radii[2 * (len - 1) / 3]]),
    }
}

/// The accuracy at a radius, if it was measured there.
pub(super) fn accuracy_at(
    attack: &Attack,
    norm: BallNorm,
    defence: Defence,
    radius: f64,
) -> Option<&Estimate> {
    let mut points = curve_of(attack, norm, defence)?.points.iter();
    points.find(|point| point.0 == radius).map(|(_, accuracy)| accuracy)
}

fn curve_of(attack: &Attack, norm: BallNorm, defence: Defence) -> Option<&AttackCurve> {
    attack.curves.iter().find(|curve| curve.norm == norm && curve.defence == defence)
}

/// The section: curves, their explanation, and the numbers.
pub(super) fn section(models: &[Model]) -> Markup {
    let found = with(models, |results| results.attack.as_ref());
    let shown: Vec<&Model> = found.iter().map(|(model, _)| *model).collect();
    let is_used = |defence| found.iter().any(|(_, attack)| uses(attack, defence));
    let is_run = |kind| found.iter().any(|(_, attack)| attack.kinds().contains(&kind));
    let ([item, _], shape) = (item_words(models), shape_of(models));
    let bare = BallNorm::ALL.iter().filter_map(|&(norm, _)| {
        let curves = found.iter().filter_map(|(model, attack)| {
            Some((curve_of(attack, norm, Defence::None)?, model.look()))
        });
        Some(panel(norm, curves.collect(), shape)?.markup())
    });
    let value = if matches!(shape, [_, 1, 1]) { "coordinate" } else { "pixel" };
    html! {
        p {
            "An attacker changes a test " (item) " within a ball of radius ε so that it is misclassified. The worst result "
            "counts: a test " (item) " is correct only if all attacks from all starts fail. The L∞ norm is the largest change "
            "of a " (value) " " (unit(BallNorm::Linf, shape)) ", the L2 norm the Euclidean length of the change "
            (unit(BallNorm::L2, shape)) ". What is misclassified without an attack counts as fooled."
        }
        dl {
            @for (kind, meaning) in KINDS.into_iter().filter(|row| is_run(row.0)) {
                dt { (kind.name()) } dd { (meaning) }
            }
        }
        dl {
            @for (_, name, meaning, ..) in DEFENCES.into_iter().filter(|row| is_used(row.0)) {
                dt { (name) } dd { (meaning) }
            }
        }
        p {
            @if DEFENCES.iter().any(|row| row.0 != Defence::None && is_used(row.0)) {
                "A defence is worth no more than its lowest curve, since the attacker chooses the attack. "
            }
            "A stronger attack can push any curve lower: what holds here is an upper bound, not a proof."
        }
        (notes(found.iter().map(|(model, attack)| (*model, protocol(model, attack))), found.len()))
        @if found.len() > 1 {
            h3 { "Without a defence" }
            (figure(bare, legend_of_models(&shown), html! {
                "Accuracy over ε without a defence, with 95\u{a0}% intervals shaded. " (ABOUT_AXIS)
            }))
        }
        @for (model, attack) in &found {
            @if models.len() > 1 { h3 { (name_of(model)) } }
            @let has_defence = attack.curves.iter().any(|curve| curve.defence != Defence::None);
            @if found.len() == 1 || has_defence { (defences(model, attack)) }
            @for (norm, _) in BallNorm::ALL.iter().copied() { (numbers(attack, norm, shape)) }
        }
    }
}

fn protocol(model: &Model, attack: &Attack) -> String {
    let eval = &model.results.config.eval;
    let refinement = match attack.curves.iter().any(|curve| curve.defence != Defence::None) {
        true => format!("; refinement: {}", attack.refinement),
        false => String::new(),
    };
    let each: Vec<String> = attack
        .kinds()
        .into_iter()
        .map(|kind| {
            let starts = match kind {
                AttackKind::Pgd => eval.attack_restarts,
                _ => eval.apgd_restarts,
            };
            format!("{} from {}", kind.name(), counted(starts, "random start", "random starts"))
        })
        .collect();
    let steps = counted(eval.attack_steps, "step", "steps");
    let left_out: String = attack
        .left_out
        .iter()
        .map(|(name, reason)| format!(" {name} left out: {}.", clause(reason)))
        .collect();
    format!("{steps} each; {}{refinement}.{left_out}", each.join(", "))
}

const ABOUT_AXIS: &str =
    "The axis of ε is logarithmic except near its start, so that it includes 0.";

fn uses(attack: &Attack, defence: Defence) -> bool {
    attack.curves.iter().any(|curve| curve.defence == defence)
}

/// The curves of a model for every defence.
fn defences(model: &Model, attack: &Attack) -> Markup {
    // The two main curves have the model's colour; the others only contribute to the worst case.
    let ink = |defence| match defence {
        Defence::None | Defence::RefinedWorst => Ink::Model(model.index),
        _ => Ink::Data,
    };
    let used = DEFENCES.into_iter().filter(|row| uses(attack, row.0));
    let looks: Vec<(Defence, &str, Look)> = used
        .map(|(defence, name, _, dash, shape)| {
            (defence, name, Look { ink: ink(defence), dash, shape })
        })
        .collect();
    let panels = BallNorm::ALL.iter().filter_map(|&(norm, _)| {
        let curves = looks
            .iter()
            .filter_map(|(defence, _, look)| Some((curve_of(attack, norm, *defence)?, *look)));
        Some(panel(norm, curves.collect(), model.results.data.shape)?.markup())
    });
    figure(
        panels,
        legend(looks.iter().map(|(_, name, look)| (*look, name.to_string()))),
        html! {
            "Accuracy over ε. The 95\u{a0}% intervals of the coloured curves are shaded, all intervals stand in the "
            "tables. " (ABOUT_AXIS)
        },
    )
}

/// A panel with the curves of one norm, for items of the shape (C, H, W); `None` without points.
fn panel(norm: BallNorm, curves: Vec<(&AttackCurve, Look)>, shape: [usize; 3]) -> Option<Panel> {
    let radii = || curves.iter().flat_map(|(curve, _)| curve.points.iter().map(|point| point.0));
    let is_radius = |radius: &f64| radius.is_finite() && *radius > 0.0;
    let smallest = radii().filter(is_radius).min_by(f64::total_cmp).unwrap_or(1.0);
    let largest = radii().filter(is_radius).max_by(f64::total_cmp).unwrap_or(1.0);
    let place = |radius: f64| (1.0 + radius / smallest).log2();
    let end = place(largest);
    let mut ticks: Vec<(f64, String)> = Vec::new();
    for radius in union(radii()) {
        // Leave out labels that would touch another one.
        if ticks.iter().all(|(at, _)| (at - place(radius)).abs() > 0.08 * end) {
            ticks.push((place(radius), plain(shown_radius(norm, radius, shape))));
        }
    }
    let mut marks = Vec::new();
    for (curve, look) in curves.iter().filter(|(_, look)| look.ink != Ink::Data) {
        let points = || curve.points.iter().map(|(radius, accuracy)| (place(*radius), accuracy));
        let around = points().map(|(at, accuracy)| (at, accuracy.low, accuracy.high));
        marks.push(Mark::Band(around.collect(), look.ink));
    }
    // Draw the first curve last, so that it is on top.
    for (curve, look) in curves.iter().rev() {
        let points: Vec<_> =
            curve.points.iter().map(|(radius, share)| (place(*radius), share.value)).collect();
        marks.extend([Mark::Line(points.clone(), *look), Mark::Dots(points, *look)]);
    }
    let title = norm.name();
    (radii().count() > 0).then(|| Panel {
        title: title.to_string(),
        alt: format!("Accuracy under attack over ε, norm {title}."),
        x: Axis::with_ticks(format!("ε {}", unit(norm, shape)), 0.0, end, ticks),
        y: Axis::shares("accuracy"),
        height: 300,
        marks,
        keys: Vec::new(),
    })
}

/// A table of the accuracies of a model, for items of the shape (C, H, W).
fn numbers(attack: &Attack, norm: BallNorm, shape: [usize; 3]) -> Markup {
    let curves = || attack.curves.iter().filter(|curve| curve.norm == norm);
    let mut radii = union(curves().flat_map(|curve| curve.points.iter().map(|point| point.0)));
    radii.sort_by(f64::total_cmp);
    let caption = format!(
        "Accuracy under attack, {}, ε {}, with 95\u{a0}% intervals",
        norm.name(),
        unit(norm, shape)
    );
    let head = html! {
        tr {
            td {}
            th scope="col" { "Attacked" }
            @for radius in &radii { th scope="col" { "ε = " (plain(shown_radius(norm, *radius, shape))) } }
        }
    };
    let cells = |points: &[(f64, Estimate)]| {
        let at = |radius: f64| points.iter().find(|point| point.0 == radius);
        html! {
            @for radius in &radii {
                td.stacked {
                    @match at(*radius) {
                        Some((_, accuracy)) => (Unit::Percent.estimate(accuracy)),
                        None => (NOTHING),
                    }
                }
            }
        }
    };
    let body = html! {
        @for (defence, name, ..) in DEFENCES {
            @if let Some(curve) = curve_of(attack, norm, defence) {
                tr {
                    th scope="row" { (name) }
                    td { (grouped(curve.num_images)) }
                    (cells(&curve.points))
                }
                // The last stage is the row above.
                @for (index, stage) in curve.by_attack.iter().enumerate().rev().skip(1).rev() {
                    tr {
                        th.inner scope="row" { (curve.name_of_stage(index)) }
                        td {}
                        (cells(&stage.points))
                    }
                }
            }
        }
    };
    html! { @if !radii.is_empty() { (table(&caption, head, body)) } }
}
