//! Finds the imports of every module of the crate in any form: any `use` tree, and any path in an expression, a type,
//! an attribute or the body of a macro, under any `cfg`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::{ItemUse, UseTree};

use super::tokens::{are_colons, is_attribute, is_punct, name_of, texts_of};

/// The crate's own name, which its binary uses to import it.
const OURS: &str = "jempp";
/// Words that may stand before a path that begins with `::`; after any other word, `::` continues a path.
const BEFORE_A_PATH: [&str; 15] = [
    "as", "break", "dyn", "else", "for", "if", "impl", "in", "let", "match", "mut", "ref",
    "return", "where", "while",
];

/// The target of an import.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// A module or item of this crate, by its path from the root.
    Inside(Vec<String>),
    /// Another crate, by its name.
    Crate(String),
}

/// One import with its source and target. (Line numbers would need a feature of proc-macro2, see `Cargo.toml`.)
#[derive(Clone, Debug)]
pub(super) struct Import {
    /// The importing module, by its path from the root.
    pub from: Vec<String>,
    /// The target of the import.
    pub to: Target,
    /// The path of the file.
    pub place: String,
}

/// The modules of a crate and their imports.
#[derive(Debug, Default)]
pub(super) struct House {
    /// Every module, including inline ones and those with `#[path]`, by its path from the root.
    pub modules: BTreeSet<Vec<String>>,
    /// All imports.
    pub imports: Vec<Import>,
    /// The items that the root re-exports, with the paths they come from.
    given_out: BTreeMap<String, Vec<String>>,
    /// Problems that hide imports: a file that no module declares, or another name for the crate's root.
    pub faults: Vec<String>,
}

impl House {
    /// Resolves a path from the root: a name that the root re-exports is replaced by the path it comes from.
    pub(super) fn origin<'a>(&'a self, path: &'a [String]) -> &'a [String] {
        path.first().and_then(|name| self.given_out.get(name)).map_or(path, Vec::as_slice)
    }
}

/// A path as it is written in the code.
#[derive(Clone, Default)]
struct Written {
    segments: Vec<String>,
    is_in_use: bool,
    is_glob: bool,
    /// The name after `as`.
    alias: Option<String>,
}

/// The module that contains the tokens.
#[derive(Clone)]
struct Place {
    file: String,
    module: Vec<String>,
    /// The folder with the files of its child modules.
    folder: String,
}

/// Reads a crate: `files` by their paths, the `roots` with the module path at which each begins, and the names of all
/// `crates` that it may import.
pub(super) fn read(
    files: &BTreeMap<String, String>,
    roots: &[(&str, &[&str])],
    crates: &BTreeSet<String>,
) -> House {
    let mut reader = Reader { files, crates, house: House::default(), seen: BTreeSet::new() };
    for (file, module) in roots {
        let module: Vec<String> = module.iter().map(ToString::to_string).collect();
        reader.file(file, module, parent_of(file));
    }
    for file in files.keys().filter(|file| !reader.seen.contains(*file)) {
        reader.house.faults.push(format!("{file}: no `mod` leads to this file"));
    }
    reader.house
}

struct Reader<'a> {
    files: &'a BTreeMap<String, String>,
    crates: &'a BTreeSet<String>,
    house: House,
    seen: BTreeSet<String>,
}

impl Reader<'_> {
    fn file(&mut self, file: &str, module: Vec<String>, folder: String) {
        self.seen.insert(file.to_string());
        let Some(text) = self.files.get(file) else {
            self.house.faults.push(format!("{file}: there is no such file"));
            return;
        };
        match text.parse() {
            Ok(tokens) => self.module(tokens, &Place { file: file.to_string(), module, folder }),
            Err(error) => self.house.faults.push(format!("{file}: {error}")),
        }
    }

    fn fault(&mut self, place: &Place, what: &str) {
        self.house.faults.push(format!("{}: {what}", place.file));
    }

    fn module(&mut self, tokens: TokenStream, place: &Place) {
        self.house.modules.insert(place.module.clone());
        self.tokens(tokens, place);
    }

    /// Finds imports in any tokens: a file, a block, the body of a macro, the inside of an attribute.
    fn tokens(&mut self, tokens: TokenStream, place: &Place) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut paths = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Group(group) => {
                    if is_attribute(&tokens[..at]) {
                        if place.module.is_empty() && group.stream().to_string() == "macro_use" {
                            self.fault(
                                place,
                                "#[macro_use] imports without a path; give the macro one",
                            );
                        }
                        let texts = texts_of(group);
                        let named = texts.iter().filter(|(name, _)| name == "path");
                        paths.extend(named.map(|(_, text)| text.clone()));
                        // Derived code calls functions that attributes name in quotes.
                        for (_, text) in texts.iter().filter(|(name, _)| name != "doc") {
                            self.tokens(text.parse().unwrap_or_default(), place);
                        }
                    }
                    self.tokens(group.stream(), place);
                    at + 1
                }
                TokenTree::Ident(ident) => match name_of(ident).as_str() {
                    "use" if !tokens.get(at + 1).is_some_and(|next| is_punct(next, '<')) => {
                        self.use_statement(&tokens, at, place)
                    }
                    "mod" => self.declaration(&tokens, at, std::mem::take(&mut paths), place),
                    "extern" => self.extern_crate(&tokens, at, place),
                    "include" if tokens.get(at + 1).is_some_and(|next| is_punct(next, '!')) => {
                        self.fault(place, "include! brings code that no room declares; use `mod`");
                        at + 1
                    }
                    name if self.begins_path(name, &tokens, at) => {
                        self.path(&tokens, at, Written::default(), place)
                    }
                    _ => at + 1,
                },
                _ => at + 1,
            };
        }
    }

    /// Reads `mod name;` or `mod name { … }`; `paths` are those of its `#[path]` attributes.
    fn declaration(
        &mut self,
        tokens: &[TokenTree],
        at: usize,
        paths: Vec<String>,
        place: &Place,
    ) -> usize {
        let Some(TokenTree::Ident(name)) = tokens.get(at + 1) else { return at + 1 };
        let name = name_of(name);
        let mut module = place.module.clone();
        module.push(name.clone());
        let folder = format!("{}/{name}", place.folder);
        match tokens.get(at + 2) {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                self.module(group.stream(), &Place { file: place.file.clone(), module, folder });
                at + 3
            }
            Some(token) if is_punct(token, ';') => {
                let named = paths.iter().map(|path| format!("{}/{path}", parent_of(&place.file)));
                let usual = [format!("{folder}.rs"), format!("{folder}/mod.rs")];
                let here = |file: &String| self.files.contains_key(file);
                let found: Vec<String> =
                    named.map(|path| plain(&path)).chain(usual).filter(here).collect();
                if found.is_empty() {
                    self.fault(place, &format!("`mod {name}` leads to no file"));
                }
                for file in found {
                    let is_mod = file.ends_with("/mod.rs");
                    let folder = match is_mod {
                        true => parent_of(&file),
                        false => file.trim_end_matches(".rs").to_string(),
                    };
                    self.file(&file, module.clone(), folder);
                }
                at + 3
            }
            _ => at + 2,
        }
    }

    /// Reads `extern crate name as other;`.
    fn extern_crate(&mut self, tokens: &[TokenTree], at: usize, place: &Place) -> usize {
        let word = |offset: usize| match tokens.get(at + offset) {
            Some(TokenTree::Ident(ident)) => name_of(ident),
            _ => String::new(),
        };
        if word(1) != "crate" {
            return at + 1;
        }
        let name = word(2);
        let segments = vec![if name == "self" { "crate".to_string() } else { name }];
        if segments[0] != "crate" || word(4) != OURS {
            self.resolve(Written { segments, is_in_use: true, ..Written::default() }, place);
        }
        at + 3
    }

    /// Reads `use …;`.
    fn use_statement(&mut self, tokens: &[TokenTree], at: usize, place: &Place) -> usize {
        let rest = &tokens[at..];
        let end = at + rest.iter().position(|token| is_punct(token, ';')).unwrap_or(rest.len() - 1);
        // In a macro, the root is `$crate`.
        let whole = tokens[at..=end].iter().filter(|token| !is_punct(token, '$')).cloned();
        match syn::parse2::<ItemUse>(whole.collect()) {
            Ok(item) => self.tree(&item.tree, &mut Vec::new(), place),
            // A macro pattern is not valid Rust, but its paths are still paths.
            Err(_) => self.tokens(tokens[at + 1..=end].iter().cloned().collect(), place),
        }
        end + 1
    }

    fn tree(&mut self, tree: &UseTree, prefix: &mut Vec<String>, place: &Place) {
        let mut end = |ident: Option<&Ident>, alias: Option<&Ident>| {
            let mut segments = prefix.clone();
            segments.extend(ident.map(name_of));
            let (is_glob, alias) = (ident.is_none(), alias.map(name_of));
            self.resolve(Written { segments, is_in_use: true, is_glob, alias }, place);
        };
        match tree {
            UseTree::Name(name) => end(Some(&name.ident), None),
            UseTree::Rename(name) => end(Some(&name.ident), Some(&name.rename)),
            UseTree::Glob(_) => end(None, None),
            UseTree::Path(path) => {
                prefix.push(name_of(&path.ident));
                self.tree(&path.tree, prefix, place);
                prefix.pop();
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, prefix, place);
                }
            }
        }
    }

    /// Whether the word at `at` begins a path that leads out of its module.
    fn begins_path(&self, name: &str, tokens: &[TokenTree], at: usize) -> bool {
        let is_root = ["crate", "super", "self", OURS].contains(&name);
        let goes_on = at >= 2
            && are_colons(tokens, at - 2)
            && match at.checked_sub(3).map(|before| &tokens[before]) {
                Some(TokenTree::Ident(word)) => !BEFORE_A_PATH.contains(&name_of(word).as_str()),
                Some(TokenTree::Punct(punct)) => punct.as_char() == '>',
                _ => false,
            };
        !goes_on && are_colons(tokens, at + 1) && (is_root || self.crates.contains(name))
    }

    /// Reads a path outside a `use` statement that begins at `at`; returns where it ends.
    fn path(
        &mut self,
        tokens: &[TokenTree],
        mut at: usize,
        mut written: Written,
        place: &Place,
    ) -> usize {
        loop {
            match tokens.get(at) {
                Some(TokenTree::Ident(ident)) => written.segments.push(name_of(ident)),
                Some(token) if is_punct(token, '*') => written.is_glob = true,
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for entry in inner.split(|token| is_punct(token, ',')) {
                        self.path(entry, 0, written.clone(), place);
                    }
                    return at + 1;
                }
                _ => break,
            }
            at += 1;
            if written.is_glob || !are_colons(tokens, at) {
                break;
            }
            at += 2;
        }
        self.resolve(written, place);
        at
    }

    /// Finds the target of a path.
    fn resolve(&mut self, written: Written, place: &Place) {
        let Written { segments, is_in_use, is_glob, alias } = written;
        let Some(first) = segments.first() else { return };
        let written = segments.join("::");
        let spot = place.file.clone();
        let is_in_root = place.module.is_empty() && is_in_use;
        let mut found = match first.as_str() {
            "crate" | OURS => Vec::new(),
            "self" => place.module.clone(),
            "super" => parent(&place.module),
            name if self.crates.contains(name) => {
                let to = Target::Crate(name.to_string());
                self.house.imports.push(Import { from: place.module.clone(), to, place: spot });
                return;
            }
            // In the file of the root, the names of rooms are in scope.
            name if is_in_root => vec![name.to_string()],
            _ => return,
        };
        for segment in &segments[1..] {
            match segment.as_str() {
                "self" => {}
                "super" => found = parent(&found),
                name => found.push(name.to_string()),
            }
        }
        if found.is_empty() {
            let what = match (is_glob, is_in_use) {
                (true, _) => "a glob of the crate's root imports every room",
                (_, true) => "another name for the crate's root hides what is imported through it",
                _ => "this path of a macro cannot be followed",
            };
            self.fault(place, &format!("{what} (`{written}`)"));
            return;
        }
        if is_in_root && let Some(name) = alias.as_ref().or(found.last()) {
            self.house.given_out.insert(name.clone(), found.clone());
        }
        let (from, to) = (place.module.clone(), Target::Inside(found));
        self.house.imports.push(Import { from, to, place: spot });
    }
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

fn parent_of(file: &str) -> String {
    Path::new(file).parent().map(|folder| folder.display().to_string()).unwrap_or_default()
}

/// A path without `..` and `.`.
fn plain(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
