//! The elements of a page: tables, legends, figures and pictures.

use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{Markup, html};

use super::ink::{Dash, Ink, Look, Shape};

/// All different items, in the order of their first occurrence.
pub(crate) fn union<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all = Vec::new();
    for item in items {
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

/// A table in a box that scrolls.
pub(crate) fn table(caption: &str, head: Markup, body: Markup) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table { caption { (caption) } thead { (head) } tbody { (body) } }
        }
    }
}

/// A small drawing of a style, for a legend.
pub(crate) fn key(look: &Look) -> Markup {
    let ink = look.ink.hex();
    let dashes = match look.dash {
        Dash::Nothing => None,
        Dash::Solid => Some("none".to_string()),
        Dash::Broken(stroke, gap) => Some(format!("{stroke} {gap}")),
    };
    html! {
        svg.key aria-hidden="true" viewBox="0 0 30 12" {
            @if let Some(dashes) = dashes {
                line x1="1" y1="6" x2="29" y2="6" stroke=(ink) stroke-width="2" stroke-dasharray=(dashes) {}
            }
            @match look.shape {
                Shape::Nothing => {},
                Shape::Disc => circle cx="15" cy="6" r="4" fill=(ink) {},
                Shape::Ring => circle cx="15" cy="6" r="4" fill=(Ink::Paper.hex()) stroke=(ink) stroke-width="2" {},
                Shape::Square => rect x="11.4" y="2.4" width="7.2" height="7.2" fill=(ink) {},
                Shape::Triangle => polygon points="15,1 19.5,8.7 10.5,8.7" fill=(ink) {},
                Shape::Diamond => polygon points="15,1 20,6 15,11 10,6" fill=(ink) {},
            }
        }
    }
}

/// A legend: each style with its meaning.
pub(crate) fn legend(entries: impl IntoIterator<Item = (Look, String)>) -> Markup {
    html! {
        ul.legend {
            @for (look, text) in entries { li { (key(&look)) (text) } }
        }
    }
}

/// A figure of panels with the legend above and the caption below; nothing without panels.
pub(crate) fn figure(
    panels: impl IntoIterator<Item = Markup>,
    legend: Markup,
    caption: Markup,
) -> Markup {
    let mut panels = panels.into_iter().peekable();
    html! {
        @if panels.peek().is_some() {
            figure {
                (legend)
                div.panels { @for panel in panels { div { (panel) } } }
                figcaption { (caption) }
            }
        }
    }
}

/// A PNG inside the page, with its title and a caption below it.
pub(crate) fn picture(png: &[u8], title: &str, caption: &str) -> Markup {
    html! {
        figure {
            img alt=(title) src={ "data:image/png;base64," (STANDARD.encode(png)) };
            figcaption { strong { (title) "." } " " (caption) }
        }
    }
}
