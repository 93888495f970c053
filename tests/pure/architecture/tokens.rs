//! Helper functions for tokens of Rust code.

use proc_macro2::{Group, Ident, Spacing, TokenTree};
use syn::LitStr;

/// Whether the bracket after these tokens is an attribute: it follows `#` or `#!`.
pub(super) fn is_attribute(before: &[TokenTree]) -> bool {
    match before {
        [.., sign, bang] if is_punct(bang, '!') => is_punct(sign, '#'),
        [.., sign] => is_punct(sign, '#'),
        [] => false,
    }
}

/// The string literals in an attribute, each with the word before its `=`.
pub(super) fn texts_of(group: &Group) -> Vec<(String, String)> {
    let tokens: Vec<TokenTree> = group.stream().into_iter().collect();
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(inner) => found.extend(texts_of(inner)),
            TokenTree::Literal(text) => {
                let name = at.checked_sub(2).map(|name| tokens[name].to_string());
                if let Ok(text) = syn::parse_str::<LitStr>(&text.to_string()) {
                    found.push((name.unwrap_or_default(), text.value()));
                }
            }
            _ => {}
        }
    }
    found
}

/// An identifier without the prefix of a raw identifier.
pub(super) fn name_of(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_string()
}

/// Whether a token is this punctuation character.
pub(super) fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

/// Whether the tokens at `at` are `::`.
pub(super) fn are_colons(tokens: &[TokenTree], at: usize) -> bool {
    let joint =
        |token: &TokenTree| matches!(token, TokenTree::Punct(p) if p.spacing() == Spacing::Joint);
    match (tokens.get(at), tokens.get(at + 1)) {
        (Some(first), Some(second)) => {
            is_punct(first, ':') && joint(first) && is_punct(second, ':')
        }
        _ => false,
    }
}
