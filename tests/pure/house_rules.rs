//! Project rules other than import rules: names that may be used only in certain files.

use std::fs;

use crate::architecture::sources;
use proc_macro2::{TokenStream, TokenTree};

/// The files of `src`, `cpu/src` and `python/src` that satisfy `is_meant` and contain these `tokens` in sequence.
fn files_with(tokens: &[&str], is_meant: impl Fn(&str) -> bool) -> Vec<String> {
    let has = |text: &str| {
        let words = words_of(text.parse().unwrap());
        words.windows(tokens.len()).any(|window| window == tokens)
    };
    let files = [sources("src"), sources("cpu/src"), sources("python/src")]
        .into_iter()
        .flatten()
        .filter(|(file, text)| is_meant(file) && has(text));
    files.map(|(file, _)| file).collect()
}

/// All tokens of some code in order, including those in macros; brackets are given by their names.
fn words_of(tokens: TokenStream) -> Vec<String> {
    let words = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => {
            let mut inside = words_of(group.stream());
            inside.insert(0, format!("{:?}", group.delimiter()));
            inside
        }
        token => vec![token.to_string()],
    });
    words.collect()
}

#[test]
fn what_is_printed_goes_through_say_which_outlives_a_closed_pipe() {
    for name in ["print", "println", "eprint", "eprintln"] {
        let found = files_with(&[name, "!"], |file| file != "src/say.rs");
        assert!(found.is_empty(), "use say! and complain! instead of {name}!: {found:?}");
    }
}

#[test]
fn only_the_program_and_its_commands_speak_to_a_person() {
    let may_speak = |file: &str| {
        file.starts_with("src/cli") || ["src/say.rs", "src/signals.rs"].contains(&file)
    };
    for name in ["say", "complain"] {
        let found = files_with(&[name, "!"], |file| !may_speak(file));
        assert!(found.is_empty(), "{name}! is for src/cli: {found:?}");
    }
}

#[test]
fn the_cpu_twins_import_nothing_so_that_each_is_read_beside_a_shader_and_nothing_else() {
    let is_twin = |file: &str| file.starts_with("cpu/src/reference/") && !file.ends_with("/mod.rs");
    for word in ["use", "crate", "super"] {
        let found = files_with(&[word], is_twin);
        assert!(found.is_empty(), "a twin stands alone, without {word}: {found:?}");
    }
}

#[test]
fn the_window_clamps_by_fit_for_bounds_that_come_from_a_window_may_cross() {
    let found = files_with(&[".", "clamp", "Parenthesis"], |file| file.starts_with("src/app/"));
    assert!(
        found.is_empty(),
        "clamp panics where bounds cross; use fit of src/app/fit.rs: {found:?}"
    );
}

#[test]
fn the_colours_of_lanes_stand_for_lanes_which_training_has_none_of() {
    for name in ["LANES", "lane_color"] {
        let found = files_with(&[name], |file| file.starts_with("src/app/training/"));
        assert!(found.is_empty(), "take a colour that is no lane's, not {name}: {found:?}");
    }
}

#[test]
fn random_streams_are_made_in_one_file() {
    // The crate in `cpu` is given its streams, and makes some only in its tests.
    let may_make = |file: &str| file == "src/streams.rs" || file.starts_with("cpu/");
    for tokens in [["stream", ":"].as_slice(), &["seed_from_u64"], &["from_seed"]] {
        let found = files_with(tokens, |file| !may_make(file));
        assert!(found.is_empty(), "take a stream of src/streams.rs, not {tokens:?}: {found:?}");
    }
}

#[test]
fn the_rules_find_what_breaks_them() {
    let text = "fn f() { if x { say!(\"{}\", a.clamp(0, 1)) } }";
    let words = words_of(text.parse().unwrap());
    let has = |tokens: &[&str]| words.windows(tokens.len()).any(|window| window == tokens);
    assert!(has(&["say", "!"]) && has(&[".", "clamp", "Parenthesis"]) && !has(&["complain", "!"]));
    assert!(fs::metadata("src/app/fit.rs").is_ok() && fs::metadata("src/say.rs").is_ok());
}

#[test]
fn the_container_is_built_of_all_that_cargo_reads() {
    let manifest: toml::Table = fs::read_to_string("Cargo.toml").unwrap().parse().unwrap();
    let ignore = fs::read_to_string(".dockerignore").unwrap();
    let is_sent = |path: &str| ignore.lines().any(|line| line.strip_prefix('!') == Some(path));
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let members = members.iter().map(|member| member.as_str().unwrap().to_string());
    let benches = manifest["bench"].as_array().unwrap();
    let benches =
        benches.iter().map(|bench| format!("benches/{}.rs", bench["name"].as_str().unwrap()));
    let others = ["Cargo.toml", "Cargo.lock", "src", "assets", "shaders", "tests"];
    for path in members.chain(benches).chain(others.map(String::from)) {
        assert!(is_sent(&path), "cargo reads {path}, so .dockerignore must let it through");
    }
}
