//! References in the documents exist: relative links and their headings, repository paths in backticks, and code
//! names in the developer documents.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

/// Folders without documents of this project.
const SKIPPED: [&str; 5] = ["target", "node_modules", "dist", ".git", "runs"];
/// Links that work only on the repository's GitHub page.
const ON_GITHUB: [&str; 2] = ["../../releases", "../../issues"];
/// Top-level folders: a word in backticks that begins with one of them is a path.
const TOP: [&str; 12] = [
    ".ci/",
    ".github/",
    "assets/",
    "benches/",
    "docs/",
    "examples/",
    "fuzz/",
    "python/",
    "shaders/",
    "src/",
    "tests/",
    "web/",
];
/// Paths that commands create.
const MADE: [&str; 3] = ["fuzz/corpus", "fuzz/artifacts", "web/dist"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the repository with its text.
fn documents() -> BTreeMap<PathBuf, String> {
    fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    collect(&path, found);
                }
            } else if name.ends_with(".md") {
                found.insert(path.clone(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(&root(), &mut found);
    found
}

/// The text without fenced code blocks; the order of lines stays the same.
fn prose(markdown: &str) -> String {
    let mut is_code = false;
    let lines = markdown.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The contents of all code spans in single backticks.
fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The target of every Markdown link outside backticks.
fn link_targets(text: &str) -> Vec<String> {
    let plain: String = text.split('`').step_by(2).collect();
    let ends = plain.split("](").skip(1);
    ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_string()).collect()
}

/// The anchors of a document's headings, as GitHub generates them.
fn anchors(markdown: &str) -> Vec<String> {
    let prose = prose(markdown);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// The path `folder/target` with its `..` resolved.
fn resolved(folder: &Path, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// The broken links of a document in `folder`.
fn broken_links(folder: &Path, path: &Path, markdown: &str) -> Vec<String> {
    let is_elsewhere = |target: &String| {
        ["http://", "https://", "mailto:", "?"].iter().any(|start| target.starts_with(start))
            || ON_GITHUB.contains(&target.as_str())
    };
    let targets = link_targets(&prose(markdown)).into_iter().filter(|target| !is_elsewhere(target));
    targets
        .filter_map(|target| {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() { path.to_path_buf() } else { resolved(folder, file) };
            if !file.exists() {
                return Some(format!("links to {target}, which is not there"));
            }
            if anchor.is_empty() {
                return None;
            }
            let text =
                if file == path { markdown.into() } else { fs::read_to_string(&file).unwrap() };
            let has_heading = anchors(&text).iter().any(|known| known == anchor);
            (!has_heading).then(|| format!("links to {target}, which has no such heading"))
        })
        .collect()
}

/// The repository paths in backticks that do not exist.
fn missing_paths(markdown: &str) -> Vec<String> {
    let prose = prose(markdown);
    let is_path = |span: &&str| {
        TOP.iter().any(|top| span.starts_with(top))
            && !span.contains("NAME")
            && !span.contains(['*', '<', ' ', '…', '{', '$', '?'])
            && !MADE.iter().any(|made| span.starts_with(made))
    };
    let paths = prose.lines().flat_map(code_spans).filter(is_path);
    paths
        .filter(|path| !root().join(path).exists())
        .map(|path| format!("names {path}, which is not there"))
        .collect()
}

/// For table rows `| [file](file) | text |`: the identifiers in backticks that the file does not contain.
fn missing_names(markdown: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for row in markdown.lines().filter(|line| line.trim_start().starts_with("| [")) {
        let Some(file) = link_targets(row).into_iter().find(|target| target.contains('.')) else {
            continue;
        };
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        let known: BTreeSet<&str> = words(&text).collect();
        for span in code_spans(row).filter(|span| is_name(span)) {
            if !known.contains(last_word(span)) {
                missing.push(format!("finds {span} in {file}, which does not contain it"));
            }
        }
    }
    missing
}

/// Whether a code span is an identifier or a path of identifiers.
fn is_name(span: &str) -> bool {
    !span.is_empty() && span.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':')
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn last_word(name: &str) -> &str {
    words(name).last().unwrap_or_default()
}

/// Every word in the repository's code.
fn words_of_code() -> BTreeSet<String> {
    fn collect(path: &Path, found: &mut BTreeSet<String>) {
        if path.is_dir() {
            let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
            let entries = entries
                .filter(|entry| !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped));
            entries.for_each(|entry| collect(&entry.path(), found));
        } else if !path.ends_with("tests/pure/links.rs")
            && let Ok(text) = fs::read_to_string(path)
        {
            found.extend(words(&text).map(Into::into));
        }
    }
    let mut found = BTreeSet::new();
    for part in ["src", "cpu", "python", "tests", "shaders", "web", ".ci", "check.sh", "Cargo.toml"]
    {
        collect(&root().join(part), &mut found);
    }
    found
}

/// The names of types, constants and functions in backticks that no code contains.
fn unknown_names(markdown: &str, code: &BTreeSet<String>) -> Vec<String> {
    let prose = prose(markdown);
    let looks_like_code = |span: &&str| {
        is_name(span) && (span.contains('_') || span.starts_with(|c: char| c.is_uppercase()))
    };
    let names = prose.lines().flat_map(code_spans).filter(looks_like_code);
    names
        .filter(|name| !name.contains("NAME") && !code.contains(last_word(name)))
        .map(|name| format!("speaks of {name}, which no code contains"))
        .collect()
}

#[test]
fn documents_point_at_what_exists() {
    let (mut faults, code) = (Vec::new(), words_of_code());
    for (path, text) in documents() {
        let mut found = broken_links(path.parent().unwrap(), &path, &text);
        // The changelog may name paths that no longer exist.
        if !path.ends_with("CHANGELOG.md") {
            found.extend(missing_paths(&text));
        }
        if path.ends_with("ARCHITECTURE.md") || path.ends_with("CONTRIBUTING.md") {
            found.extend(missing_names(&text));
            found.extend(unknown_names(&text, &code));
        }
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        faults.extend(found.into_iter().map(|fault| format!("{name} {fault}")));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_library_documents_every_feature() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let features = manifest["features"].as_table().unwrap();
    let defaults = features["default"].as_array().unwrap();
    let is_default = |name: &str| defaults.iter().any(|feature| feature.as_str() == Some(name));
    let expected = features.keys().filter(|name| *name != "default");
    let expected = expected.map(|name| (name.clone(), is_default(name)));

    let library = read("src/lib.rs");
    let rows = library.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let documented = rows.filter_map(|row| {
        let (name, rest) = row.split_once("` |")?;
        let (_, by_default) = rest.trim_end_matches([' ', '|']).rsplit_once('|')?;
        Some((name.to_string(), by_default.trim() == "yes"))
    });
    assert_eq!(documented.collect::<BTreeMap<_, _>>(), expected.collect());
}

#[test]
fn releases_carry_the_licences_that_dependencies_may_have() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (deny, about): (toml::Table, toml::Table) =
        (read("deny.toml").parse().unwrap(), read(".github/notices/about.toml").parse().unwrap());
    let licenses = &deny["licenses"];
    assert_eq!(about["accepted"], licenses["allow"]);
    assert_eq!(about["targets"], deny["graph"]["targets"]);
    let exceptions = licenses["exceptions"].as_array().unwrap();
    for exception in exceptions {
        let name = exception["crate"].as_str().unwrap();
        assert_eq!(about[name]["accepted"], exception["allow"], "{name}");
    }
    let of_crates = about.values().filter(|value| value.is_table()).count();
    assert_eq!(of_crates, exceptions.len());
}

#[test]
fn planted_faults_are_found() {
    let root = root();
    let links = |text: &str| broken_links(&root, &root.join("README.md"), text).len();
    assert_eq!(
        links("[a](Cargo.toml) [b](docs/../LICENSE-MIT) [c](https://x.y) [d](?lesson=1)"),
        0
    );
    assert_eq!(links("[a](no-such-file.md)"), 1);
    assert_eq!(links("## Some Thing: it's\n[a](#some-thing-its) [b](#other)"), 1);
    assert_eq!(links("```\n[a](no-such-file.md)\n```"), 0);
    assert_eq!(missing_paths("`src/lib.rs`, `src/nowhere.rs`, `tests/*/x`, `other/y`").len(), 1);
    let row = "| [src/lib.rs](src/lib.rs) | `config` and `no_such_name` |";
    assert_eq!(missing_names(row).len(), 1);
    let code = BTreeSet::from(["Sampler".to_string(), "at_step".to_string()]);
    let text = "`Sampler::at_step`, `Sampler`, `word`, `a b`, `No::such_thing`";
    assert_eq!(unknown_names(text, &code).len(), 1);
}
