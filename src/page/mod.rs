//! Pages of figures: each a single HTML file that needs no other file and no script.

pub(crate) mod ink;
pub(crate) mod parts;
pub(crate) mod plot;
pub(crate) mod text;

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A section of a page.
pub(crate) struct Section {
    /// Its name in the address, as in `page.html#summary`.
    pub(crate) id: String,
    /// The heading.
    pub(crate) title: String,
    /// What is below the heading.
    pub(crate) body: Markup,
}

/// A whole page as HTML: a title, what is below it, and sections with links to them.
pub(crate) fn page(title: &str, lead: &Markup, sections: &[Section]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(include_str!("style.css"))) (PreEscaped(ink::dark_rules())) }
            }
            body {
                header {
                    h1 { (title) }
                    (lead)
                    nav aria-label="Sections" {
                        @for Section { id, title, .. } in sections { a href={ "#" (id) } { (title) } }
                    }
                }
                main {
                    @for Section { id, title, body } in sections {
                        section id=(id) { h2 { (title) } (body) }
                    }
                }
            }
        }
    };
    page.into_string()
}
