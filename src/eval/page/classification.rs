//! The section about accuracy on the test images.

use maud::{Markup, html};

use super::parts::{Model, by_model, estimates, item_words, name_of, with};
use crate::counts::grouped;
use crate::eval::results::Classification;
use crate::page::{
    parts::{table, union},
    text::Unit,
};

/// The largest number of classes for which the whole confusion matrix is shown.
const MOST_CLASSES: usize = 20;
/// The number of confusions that are listed for more classes.
const NUM_LISTED: usize = 20;

/// The section: accuracy by class, and which classes are confused.
pub(super) fn section(models: &[Model]) -> Markup {
    let found = with(models, |results| results.accuracy.as_ref());
    let [item, items] = item_words(models);
    let shown: Vec<&Model> = found.iter().map(|(model, _)| *model).collect();
    let total = estimates(
        html! { "all classes" },
        Unit::Percent,
        found.iter().map(|(_, part)| Some(&part.accuracy)),
    );
    let names = union(shown.iter().flat_map(|model| &model.results.data.class_names));
    let by_class = names.into_iter().map(|name| {
        let of_class = found.iter().map(|(model, part)| {
            let names = &model.results.data.class_names;
            part.by_class.get(names.iter().position(|other| other == name)?)?.as_ref()
        });
        estimates(html! { (name) }, Unit::Percent, of_class)
    });
    let rows = std::iter::once(total).chain(by_class);
    html! {
        p {
            "A test " (item) " is classified correctly if the class of its largest logit is its label. The energy is "
            "E(x) = −log Σ" sub { "y" } " exp f(x)[y] of the logits f(x), so log p(x) is −E(x) up to a constant that "
            "differs from model to model: energies of two models cannot be compared. Their mean over the test " (items) " is "
            @for (index, (model, part)) in found.iter().enumerate() {
                @if index > 0 { ", " }
                (Unit::Decimals(2).estimate(&part.mean_energy))
                @if models.len() > 1 { " for " (model.label) }
            }
            "."
        }
        (by_model("Share classified correctly, with 95\u{a0}% intervals", &shown, rows))
        div.matrices {
            @for (model, part) in &found {
                div {
                    @if models.len() > 1 { h3 { (name_of(model)) } }
                    (confusions(model, part, items))
                }
            }
        }
        p.note {
            "A confusion is given as the percentage of the " (items) " of a class, the row's, that are classified as another, "
            "the column's; an empty cell is none. Shades follow the square root, so that rare confusions are visible."
        }
    }
}

fn confusions(model: &Model, part: &Classification, items: &str) -> Markup {
    let name = |class: usize| match model.results.data.class_names.get(class) {
        Some(name) => name.clone(),
        None => class.to_string(),
    };
    let matrix = &part.confusion;
    if matrix.len() <= MOST_CLASSES {
        return matrix_of(matrix, name, items);
    }
    let cells = matrix.iter().enumerate().flat_map(|(row, counts)| {
        let total = counts.iter().sum::<usize>().max(1) as f64;
        let cells = counts.iter().enumerate().filter(move |&(column, _)| column != row);
        cells.map(move |(column, &count)| (count as f64 / total, row, column))
    });
    let mut wrong: Vec<_> = cells.filter(|cell| cell.0 > 0.0).collect();
    // A stable sort: confusions of equal share stay in the order of the classes.
    wrong.sort_by(|a, b| b.0.total_cmp(&a.0));
    table(
        "The most frequent confusions",
        html! { tr { th scope="col" { "Label" } th scope="col" { "Predicted as" } th scope="col" { "Share" } } },
        html! {
            @for &(share, row, column) in wrong.iter().take(NUM_LISTED) {
                tr {
                    th scope="row" { (name(row)) }
                    td { (name(column)) }
                    td { (Unit::Percent.text(share)) }
                }
            }
        },
    )
}

fn matrix_of(matrix: &[Vec<usize>], name: impl Fn(usize) -> String, items: &str) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Confusion matrix" {
            table.heat {
                caption { "Confusion matrix" }
                thead {
                    tr {
                        td {}
                        @for column in 0..matrix.len() { th scope="col" { span { (name(column)) } } }
                    }
                }
                tbody {
                    @for (row, counts) in matrix.iter().enumerate() {
                        tr {
                            th scope="row" { (name(row)) }
                            @for &number in counts { (cell(number, counts.iter().sum(), items)) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(number: usize, total: usize, items: &str) -> Markup {
    let share = number as f64 / total.max(1) as f64;
    let text = match (number, (100.0 * share).round()) {
        (0, _) => String::new(),
        (_, 0.0) => "<1".to_string(),
        (_, percent) => percent.to_string(),
    };
    let shade = (100.0 * share.sqrt()).round();
    // Use light text on dark cells, so that it is readable.
    let class = if shade > 60.0 { "dark" } else { "light" };
    html! {
        td class=(class) style={ "--shade:" (shade) "%" } title={ (grouped(number)) " " (items) } { (text) }
    }
}
