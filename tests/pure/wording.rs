//! Words and phrases that texts for people avoid. [`AVOIDED`] is the only list of them.

use std::fs;

use crate::architecture::sources;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A phrase that reads as translated, in lower case, and a better one.
const AVOIDED: &[(&str, &str)] = &[
    ("add a lane", "compare with another sampler"),
    ("as set.", "as configured"),
    ("be rid of", "remove"),
    ("believes in", "finds likely"),
    ("costs the time", "takes the time"),
    ("costs time", "takes time"),
    ("falls on a cosine", "cosine decay"),
    ("follow the row's class", "steer towards the row's class"),
    ("go on from", "continue from"),
    ("go on with", "continue"),
    ("goes on", "continues"),
    ("is no merit", "means nothing"),
    ("less that of", "minus that of"),
    ("let all move", "release all pixels"),
    ("likelier", "more likely"),
    ("model's own rule", "the model's sampler"),
    ("nobody asked", "it was never trained to"),
    ("one's own", "your own"),
    ("put into this chain", "replace this chain's image"),
    ("rightly", "correctly"),
    ("run that exists", "continue a run"),
    ("surer", "more confident"),
    ("swing around 0", "hover around 0"),
    ("the sooner", "the faster"),
    ("told apart", "separated"),
    ("wipe off", "clear"),
    ("wipes off", "erases"),
    ("with a bend between", "with a non-linearity between"),
    ("you are looking at step", "viewing step"),
];

/// Letters that the fonts of the window lack.
const NO_GLYPH: [char; 2] = ['→', '↶'];

/// The string literals of some code, and its doc comments if `with_docs`.
fn literals(tokens: TokenStream, with_docs: bool) -> Vec<String> {
    let is_doc = |group: &proc_macro2::Group| {
        group.delimiter() == Delimiter::Bracket
            && group.stream().into_iter().next().is_some_and(|first| first.to_string() == "doc")
    };
    let texts = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) if is_doc(&group) && !with_docs => Vec::new(),
        TokenTree::Group(group) => literals(group.stream(), with_docs),
        TokenTree::Literal(literal) => vec![one_line(&literal.to_string())],
        _ => Vec::new(),
    });
    texts.collect()
}

/// A text with every break of a line, and what continues a line of code, as one space.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_end_matches('\\').trim_end());
    lines.collect::<Vec<_>>().join(" ")
}

/// Whether the phrase is in the text as whole words, in small or capital letters.
fn says(text: &str, phrase: &str) -> bool {
    let text = text.to_lowercase();
    let is_edge = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
    text.match_indices(phrase).any(|(at, _)| {
        is_edge(text[..at].chars().next_back()) && is_edge(text[at + phrase.len()..].chars().next())
    })
}

/// The texts for people in the sources and in the files of the lessons, the page and the documents, with their files.
fn texts() -> Vec<(String, String)> {
    let of_code = sources("src").into_iter().flat_map(|(file, code)| {
        // The doc comments of the configuration are its help texts.
        let with_docs = file.starts_with("src/config/");
        let found = literals(code.parse().unwrap(), with_docs);
        found.into_iter().map(move |text| (file.clone(), text))
    });
    let mut files =
        vec!["README.md".to_string(), "web/index.html".to_string(), "web/lecture.html".to_string()];
    for (folder, ending) in [("assets/lessons", ".md"), ("docs", ".md"), ("web", ".js")] {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap());
        files.extend(
            names.filter(|name| name.ends_with(ending)).map(|name| format!("{folder}/{name}")),
        );
    }
    let of_files = files.into_iter().map(|file| {
        let text = one_line(&fs::read_to_string(&file).unwrap());
        (file, text)
    });
    of_code.chain(of_files).collect()
}

#[test]
fn no_text_for_people_has_a_phrase_that_reads_as_translated() {
    let texts = texts();
    assert!(texts.len() > 5_000, "only {} texts were read", texts.len());
    let mut found = Vec::new();
    for (file, text) in &texts {
        for (phrase, better) in AVOIDED {
            if says(text, phrase) {
                found.push(format!("{file}: `{phrase}`, better: `{better}`"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_window_shows_no_letter_that_its_fonts_lack() {
    for (file, text) in texts() {
        let is_shown = file.starts_with("src/app/") || file.starts_with("assets/lessons/");
        assert!(!is_shown || !text.contains(NO_GLYPH), "{file}: {text}");
    }
}

#[test]
fn a_phrase_is_found_in_any_case_over_lines_and_as_whole_words() {
    let code =
        "/// It goes on.\nfn f() { show(\"Go on \\\n    with the run in\", 'x', \"measurer\") }";
    let code: TokenStream = code.parse().unwrap();
    let texts = literals(code.clone(), false);
    assert!(texts.iter().any(|text| says(text, "go on with")), "{texts:?}");
    assert!(!texts.iter().any(|text| says(text, "surer") || says(text, "goes on")), "{texts:?}");
    assert!(literals(code, true).iter().any(|text| says(text, "goes on")));
}
