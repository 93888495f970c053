//! Commands that this program was built without. They are still known: each says what it lacks and how to get it.

use std::ffi::OsString;

use clap::{Args, Command};

/// A command that needs a feature, the feature, what that is in words, and whether this program has it.
const COMMANDS: [(&str, &str, &str, bool); 4] = [
    ("view", "gui", "the window", cfg!(feature = "gui")),
    ("fetch", "fetch", "downloads", cfg!(feature = "fetch")),
    ("import", "pytorch", "PyTorch's formats", cfg!(feature = "pytorch")),
    ("export", "pytorch", "PyTorch's formats", cfg!(feature = "pytorch")),
];

/// Whatever is typed after such a command.
#[derive(Debug, Default, Args)]
pub(super) struct AbsentArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Says in the list of commands which of them are not built in.
pub(super) fn mark(cli: Command) -> Command {
    let absent = COMMANDS.iter().filter(|(.., is_built_in)| !is_built_in);
    absent.fold(cli, |cli, (name, feature, ..)| {
        cli.mut_subcommand(name, |command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            command
                .about(format!("{about} (not in this jempp: built without the feature {feature})"))
        })
    })
}

/// What is absent, and how to get it.
pub(super) fn refusal(what: &str, feature: &str) -> String {
    format!(
        "this jempp was built without {what}; build it with `cargo build --release --features {feature}`, or \
         install it with `cargo install jempp --features {feature}`"
    )
}

/// What the command answers.
///
/// # Errors
/// Always.
fn refuse(command: &str) -> anyhow::Result<()> {
    match COMMANDS.iter().find(|(name, ..)| *name == command) {
        Some((_, feature, what, _)) => anyhow::bail!("{}", refusal(what, feature)),
        None => unreachable!("`{command}` needs no feature"),
    }
}

/// In place of `cli/view`.
#[cfg(not(feature = "gui"))]
pub(super) mod view {
    pub(in crate::cli) type ViewArgs = super::AbsentArgs;

    pub(in crate::cli) fn run(_: &ViewArgs) -> anyhow::Result<()> {
        super::refuse("view")
    }
}

/// In place of `cli/fetch.rs`.
#[cfg(not(feature = "fetch"))]
pub(super) mod fetch {
    pub(in crate::cli) type FetchArgs = super::AbsentArgs;

    pub(in crate::cli) fn run(_: &FetchArgs) -> anyhow::Result<()> {
        super::refuse("fetch")
    }
}

/// In place of `cli/interop.rs`.
#[cfg(not(feature = "pytorch"))]
pub(super) mod interop {
    pub(in crate::cli) type ImportArgs = super::AbsentArgs;
    pub(in crate::cli) type ExportArgs = super::AbsentArgs;

    pub(in crate::cli) fn import(_: &ImportArgs) -> anyhow::Result<()> {
        super::refuse("import")
    }

    pub(in crate::cli) fn export(_: &ExportArgs) -> anyhow::Result<()> {
        super::refuse("export")
    }
}
