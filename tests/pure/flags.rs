//! Texts of the library name folders, fields and keys; only the commands name command-line options.

use crate::architecture::sources;

/// Folders and files whose texts may quote whole commands, such as `jempp view --model mnist`: the texts of the
/// window and the web page, and the first page of the documentation.
const MAY_QUOTE_COMMANDS: [&str; 3] = ["src/app/", "src/web/", "src/lib.rs"];

/// All command-line options in a file, including its comments, that may not be there.
fn flags(file: &str, text: &str) -> Vec<String> {
    if file.starts_with("src/cli") {
        return Vec::new();
    }
    let may_quote = MAY_QUOTE_COMMANDS.iter().any(|place| file.starts_with(place));
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (at, _) in line.match_indices("--") {
            let name: String = line[at + 2..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
                .collect();
            let rest = &line[at + 2 + name.len()..];
            let is_flag = name.starts_with(|c: char| c.is_ascii_lowercase())
                && !line[..at].ends_with(|c: char| c == '-' || c.is_alphanumeric());
            // A variable of a style sheet, as in `--shade: 3`.
            let is_style = rest.starts_with(':');
            let is_quoted =
                may_quote && ["jempp ", "cargo "].iter().any(|c| line[..at].contains(c));
            if is_flag && !is_style && !is_quoted {
                found.push(format!("{file}:{}: --{name}", number + 1));
            }
        }
    }
    found
}

#[test]
fn nothing_but_the_commands_names_an_option_of_the_command_line() {
    let found: Vec<String> =
        sources("src").iter().flat_map(|(file, text)| flags(file, text)).collect();
    assert!(
        found.is_empty(),
        "say it in the library's own terms, and name the option in src/cli/advice.rs: {found:#?}"
    );
}

#[test]
fn an_option_is_found_wherever_it_hides() {
    let found = |file: &str, text: &str| flags(file, text).len();
    assert_eq!(found("src/data/error.rs", "#[error(\"name it with --data DIR\")]"), 1);
    assert_eq!(found("src/chains/mod.rs", "format!(\n\"--class {class}: --judge-by {x}\")"), 2);
    assert_eq!(found("src/device.rs", "/// Position in the list, which `--device` takes."), 1);
    assert_eq!(found("src/eval/job.rs", "\"`jempp eval --judge FILE`\""), 1);
    assert_eq!(found("src/app/files.rs", "\"or use --model\""), 1);

    assert_eq!(found("src/cli/advice.rs", "\"Choose another --out\""), 0);
    assert_eq!(found("src/app/files.rs", "\"start `jempp view --checkpoint FILE`.\""), 0);
    assert_eq!(found("src/eval/page/text.rs", "style={ \"--shade:\" (shade) }"), 0);
    assert_eq!(found("src/model/mod.rs", "i--; // ---- a--b <-- -->"), 0);
}
