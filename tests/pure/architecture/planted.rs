//! A test of the architecture test: small crates with planted violations that must all be found, and valid code that
//! looks like a violation.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    house::{disagreements, rooms},
    imports::read,
};

/// The table of a crate with three layers; `low` and its twin may import no crates.
const ROOMS: &str = "
low::twin = the lowest
    crates:
low = on it
    rooms: low::twin
    crates: std
middle = above
    rooms: low
high = the highest
    rooms: low middle
";

/// A crate that obeys the table.
const LAWFUL: [(&str, &str); 6] = [
    ("src/lib.rs", "pub mod high; mod low; mod middle;"),
    ("src/low/mod.rs", "mod inner; mod twin; use std::fs; pub use twin::T; use self::twin::*;"),
    ("src/low/inner.rs", "use super::fs;"),
    ("src/low/twin.rs", "pub struct T;"),
    ("src/middle.rs", "use crate::low::T;"),
    ("src/high.rs", "use crate::{low::T, middle};"),
];

/// The violations that are found when `text` is added to `file`.
fn found(file: &str, text: &str, table: &str) -> Vec<String> {
    let mut files: BTreeMap<String, String> =
        LAWFUL.map(|(file, text)| (file.to_string(), text.to_string())).into();
    let whole = files.entry(file.to_string()).or_default();
    whole.push('\n');
    whole.push_str(text);
    let crates = ["std", "burn", "serde"].map(str::to_string);
    disagreements(&rooms(table), &read(&files, &[("src/lib.rs", &[])], &BTreeSet::from(crates)))
}

/// Adds `text` to `file` and checks that the violation is found.
#[track_caller]
fn assert_found(file: &str, text: &str, expected: &str) {
    let found = found(file, text, ROOMS);
    assert!(found.iter().any(|fault| fault.contains(expected)), "{text} is not found: {found:?}");
}

#[test]
fn imports_of_a_higher_room_are_found_in_every_form() {
    let forms = [
        // Violations in `use` trees.
        "use crate::high::Y;",
        "pub use crate::high::Y;",
        "pub(crate) use ::jempp::high::Y;",
        "use jempp::high::Y;",
        "use crate::{low::T, high::Y};",
        "use crate::{low::{T, twin::{U, V}}, high::{self, deep::{W, Z}}};",
        "use {crate::high::Y, std::fs as f};",
        "use crate::high::*;",
        "use crate::high::{self};",
        "use crate::high as low;",
        "use crate::r#high::Y;",
        "use super::high::Y;",
        "use self::super::high::Y;",
        "use super::{low::T, high::{Y}};",
        "mod a { mod b { use super::super::super::high::Y; } }",
        "mod a { use super::super::{high::Y}; }",
        "#[cfg(target_arch = \"wasm32\")] use crate::high::Y;",
        "#[cfg(test)] mod tests { use super::*; use crate::high::Y; }",
        "fn f() { use crate::high::Y; }",
        // Violations in paths elsewhere.
        "fn f() { crate::high::g(); }",
        "fn f() { let g = super::high::g; }",
        "fn f() -> u8 { return ::jempp::high::g(); }",
        "mod a { fn f() { super::super::high::g() } }",
        "struct S(Vec<crate::high::Y>);",
        "fn f<T: crate::high::Trait>() {}",
        "impl crate::high::Trait for S {}",
        "fn f() { <crate::high::Y as Clone>::clone(y) }",
        "#[derive(crate::high::Derive)] struct S;",
        "#[arg(value_parser = crate::high::parse)] struct S;",
        "#[serde(default = \"crate::high::default\")] struct S;",
        "#[serde(default = r#\"crate::high::default\"#)] struct S;",
        "#[cfg_attr(test, serde(with = \"super::high\"))] struct S;",
        // Violations in macros, whose bodies are tokens.
        "fn f() { println!(\"{}\", crate::high::Y); }",
        "fn f() { assert!([1, 2].map(|x| { vec![super::high::g(x)] }).is_empty()); }",
        "macro_rules! m { ($x:expr) => { $crate::high::g($x) }; }",
        "macro_rules! m { () => { use $crate::{low::T, high::Y}; }; }",
        "macro_rules! m { ($name:ident) => { use $crate::{low::T, high::{$name}}; }; }",
        "thread_local! { static X: crate::high::Y = const { 1 }; }",
    ];
    for form in forms {
        assert_found("src/middle.rs", form, "`middle` may not import `high`");
    }
    assert_found("src/low/inner.rs", "use super::super::high::Y;", "`low` may not import `high`");
    assert_found(
        "src/low/inner.rs",
        "use super::super::{middle::M};",
        "`low` may not import `middle`",
    );
    assert_found("src/low/twin.rs", "use super::T;", "`low::twin` may not import `low`");
    let through_the_root = "pub use high::Y; pub use high::Z as Renamed;";
    let mut files: BTreeMap<String, String> =
        LAWFUL.map(|(file, text)| (file.to_string(), text.to_string())).into();
    for name in ["Y", "Renamed"] {
        files.get_mut("src/lib.rs").unwrap().push_str(through_the_root);
        files.insert("src/middle.rs".into(), format!("use crate::{{low::T, {name}}};"));
        let house = read(&files, &[("src/lib.rs", &[])], &BTreeSet::new());
        let found = disagreements(&rooms(ROOMS), &house);
        assert!(found.iter().any(|fault| fault.contains("import `high`")), "{name}: {found:?}");
    }
}

#[test]
fn other_names_for_the_root_are_found() {
    for form in [
        "use crate as c; use c::high::Y;",
        "use crate::{self as c};",
        "use super as up; fn f() { up::high::g() }",
        "use jempp as j;",
        "extern crate self as other;",
        "mod a { use super::super as up; }",
        "mod a { pub use super::super::{self as up}; }",
    ] {
        assert_found("src/middle.rs", form, "another name for the crate's root");
    }
    for form in
        ["use crate::*;", "use super::*;", "use crate::{*};", "mod a { use super::super::*; }"]
    {
        assert_found("src/middle.rs", form, "a glob of the crate's root");
    }
}

#[test]
fn crates_behind_a_wall_are_found() {
    for form in [
        "use burn::Tensor;",
        "use burn;",
        "use ::burn::Tensor as T;",
        "use {burn as b, std::fs as f};",
        "extern crate burn as b;",
        "fn f(x: burn::Tensor) {}",
        "fn f(x: &::burn::Tensor) {}",
        "fn f() { vec![burn::x()]; }",
        "#[derive(burn::Module)] struct S;",
        "#[cfg(test)] mod tests { use burn::{prelude::*}; }",
    ] {
        assert_found("src/low/mod.rs", form, "`low` may not import the crate `burn`");
    }
    assert_found("src/low/twin.rs", "fn f() { std::mem::drop(1) }", "import the crate `std`");
}

#[test]
fn files_and_rooms_that_the_table_does_not_know_are_found() {
    assert_found("src/loose.rs", "fn f() {}", "no `mod` leads to this file");
    assert_found("src/lib.rs", "mod inline {}", "`inline` is in no room");
    assert_found("src/lib.rs", "mod gone;", "`mod gone` leads to no file");
    assert_found(
        "src/middle.rs",
        "use crate::elsewhere::X;",
        "`crate::elsewhere::X` is in no room",
    );
    assert_found("src/middle.rs", "include!(\"high.rs\");", "include! brings code");
    assert_found("src/lib.rs", "#[macro_use] mod inline;", "#[macro_use] imports without a path");
    let path_of_a_macro = "macro_rules! m { ($room:ident) => { crate::$room::f() }; }";
    assert_found("src/middle.rs", path_of_a_macro, "cannot be followed");
    // A file in another folder belongs to the room that declares it.
    let part = "#[path = \"../high.rs\"] mod part;";
    assert_found("src/low/mod.rs", part, "src/high.rs: `low` may not import `middle`");
    let part = "#[cfg_attr(windows, path = \"../high.rs\")] mod part;";
    assert_found("src/low/mod.rs", part, "src/high.rs: `low` may not import `middle`");
}

#[test]
fn tables_that_are_not_true_are_found() {
    for (table, expected) in [
        ("low = a\nmiddle = b\nrooms: high low\nhigh = c\nrooms: low middle", "not below it"),
        ("low = a\nrooms: low", "not below it"),
        ("low = a\nlow = a", "twice"),
        ("low = a\nattic = b", "the house has none"),
        ("low = a\nhigh = c", "the module `middle` is in no room"),
        ("low = a\nmiddle = b\nrooms: low\nhigh = c\nrooms: low", "may not import `middle`"),
        ("low = a\nmiddle = b\nrooms: low\ncrates: burn", "`burn`, which it does not"),
        ("middle = b\nlow = a\nrooms: middle", "lets `low` import `middle`, which it does not"),
    ] {
        let found = found("src/lib.rs", "", table);
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn lawful_code_that_looks_like_a_violation_passes() {
    for text in [
        "",
        "// use crate::high::Y;\n/* crate::high::g() */",
        "/// See [`crate::high::Y`] and [`super::high`].\nfn f() {}",
        "#![doc = \"crate::high\"]",
        "const TEXT: &str = \"use crate::high::Y;\";",
        "fn f() { println!(\"crate::high::Y\"); }",
        "mod high { pub fn g() {} } fn f() { high::g(); self::high::g() }",
        "use crate::low::*; use crate::low::{self as base}; fn f() { base::g() }",
        "#[cfg(test)] mod tests { use super::*; use super::super::low::T; }",
        "pub(crate) struct S; pub(in crate::middle) struct R; mod a { pub(super) struct S; }",
        "struct S { crate_: u8, jempp: u8, high: u8 } fn f(s: S) -> u8 { s.high + s.jempp }",
        "fn f<'a>(x: &'a str) -> impl Sized + use<'a> { x }",
        "fn f(other: u8) { other::crate_high() } impl S { fn high() {} fn g() { Self::high() } }",
        "use burn::Tensor; use serde::{self, Serialize};",
    ] {
        let found = found("src/middle.rs", text, ROOMS);
        assert!(found.is_empty(), "{text} is lawful: {found:?}");
    }
    let burn = "struct S { burn: u8 } fn f(burn: u8) -> u8 { burn as u8 + inner::burn::g() }";
    assert_eq!(found("src/low/mod.rs", burn, ROOMS), Vec::<String>::new());
}
