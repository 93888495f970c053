//! The commands in the documentation are valid: their names, options, keys and presets exist.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use jempp::config::RunConfig;

const COMMANDS: [&str; 16] = [
    "view",
    "train",
    "sweep",
    "report",
    "sample",
    "eval",
    "merge",
    "pack",
    "data",
    "fetch",
    "fetch-model",
    "import",
    "export",
    "devices",
    "bench",
    "config",
];

/// The help text that a command prints.
fn help_of(command: &str) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_jempp"));
    let output = { program }.args([command, "--help"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Every command after `jempp ` or `cargo run --release -- ` in a code block or between backticks.
fn typed(markdown: &str) -> Vec<String> {
    let starts = ["jempp ", "target/release/jempp ", "cargo run --release -- "];
    let mut found = Vec::new();
    let mut is_block = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
            continue;
        }
        let texts: Vec<&str> =
            if is_block { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        for text in texts.iter().flat_map(|text| text.split("&&")) {
            let text = text.split(" #").next().unwrap().trim();
            found.extend(starts.iter().find_map(|start| text.strip_prefix(start)).map(Into::into));
        }
    }
    found
}

/// The error in a command that a document shows, if there is one.
fn fault(text: &str, helps: &BTreeMap<&str, String>) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let command = *words.first()?;
    // Accepts general forms such as `jempp COMMAND --help`.
    if command.starts_with('-') || command == "COMMAND" {
        return None;
    }
    let Some(help) = helps.get(command) else { return Some(format!("there is no {command}")) };
    if help.contains("not in this jempp") {
        return None;
    }
    for (index, word) in words.iter().enumerate() {
        let value = words.get(index + 1).copied().unwrap_or_default();
        let is_example = value.contains(['…', '<']) || value.starts_with(char::is_uppercase);
        if word.starts_with("--") && !help.split_whitespace().any(|known| known == *word) {
            return Some(format!("{command} has no {word}"));
        }
        let refused = match *word {
            "--set" if !is_example => RunConfig::default().with_assignment(value).err(),
            "--preset" if !is_example => RunConfig::preset(value).err(),
            _ => None,
        };
        if let Some(refused) = refused {
            return Some(refused.to_string());
        }
    }
    None
}

#[test]
fn documents_show_commands_that_exist() {
    let helps: BTreeMap<&str, String> = COMMANDS.map(|name| (name, help_of(name))).into();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        docs.filter(|path| path.extension().is_some_and(|e| e == "md")).collect();
    files.extend(["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| root.join(name)));
    let (mut num_commands, mut faults) = (0, Vec::new());
    for file in files {
        for text in typed(&fs::read_to_string(&file).unwrap()) {
            num_commands += 1;
            let name = file.file_name().unwrap().to_str().unwrap();
            faults.extend(fault(&text, &helps).map(|fault| format!("{name}: `{text}`: {fault}")));
        }
    }
    assert!(num_commands > 50, "{num_commands}");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));

    let planted =
        ["sampel --steps 3", "sample --stepz 3", "train --set sampler.kid=3", "train --preset toy"];
    for text in planted {
        assert!(fault(text, &helps).is_some(), "{text}");
    }
}
