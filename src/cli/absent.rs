//! Stand-ins for commands whose feature was not built. Each one says which feature is missing and how to get it.

use std::ffi::OsString;

use clap::{Args, Command};

/// The commands that need a feature: command, feature, the feature in words, and whether it is built in.
const COMMANDS: [(&str, &str, &str, bool); 6] = [
    ("view", "gui", "the window", cfg!(feature = "gui")),
    ("report", "report", "pages of figures", cfg!(feature = "report")),
    ("fetch", "fetch", "downloads", cfg!(feature = "fetch")),
    ("fetch-model", "fetch", "downloads", cfg!(feature = "fetch")),
    ("import", "pytorch", "PyTorch's formats", cfg!(feature = "pytorch")),
    ("export", "pytorch", "PyTorch's formats", cfg!(feature = "pytorch")),
];

/// Accepts any arguments after such a command.
#[derive(Debug, Default, Args)]
pub(super) struct AbsentArgs {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// Whether `jempp train` can use several ranks, in words, for its help.
const RANKS: &str = match cfg!(feature = "mpi") {
    true => {
        "Several ranks (mpirun -n 4 jempp train …): built in; docs/scale.md tells how to use them"
    }
    false => {
        "Several ranks (mpirun -n 4 jempp train …): only in a jempp that was built with the feature mpi; see docs/scale.md"
    }
};

/// Marks the commands that are not built in, in the list of commands; the help of `train` says whether it has MPI.
pub(super) fn mark(cli: Command) -> Command {
    let cli = cli.mut_subcommand("train", |train| {
        let examples = train.get_after_help().map(ToString::to_string).unwrap_or_default();
        train.after_help(format!("{examples}\n\n{RANKS}"))
    });
    let absent = COMMANDS.iter().filter(|(.., is_built_in)| !is_built_in);
    absent.fold(cli, |cli, (name, feature, ..)| {
        cli.mut_subcommand(name, |command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            command
                .about(format!("{about} (not in this jempp: built without the feature {feature})"))
        })
    })
}

/// The message that says which feature is missing and how to get it.
pub(super) fn refusal(what: &str, feature: &str) -> String {
    format!(
        "this jempp was built without {what}; build it with `cargo build --release --features {feature}`, or \
         install it with `cargo install jempp --features {feature}`"
    )
}

/// Fails with the message for a command that is not built in.
///
/// # Errors
/// Always fails.
fn refuse(command: &str) -> anyhow::Result<()> {
    match COMMANDS.iter().find(|(name, ..)| *name == command) {
        Some((_, feature, what, _)) => anyhow::bail!("{}", refusal(what, feature)),
        None => unreachable!("`{command}` needs no feature"),
    }
}

/// Replaces `cli/view` in a build without the window.
#[cfg(not(feature = "gui"))]
pub(super) mod view {
    pub(in crate::cli) type ViewArgs = super::AbsentArgs;

    pub(in crate::cli) fn run(_: &ViewArgs) -> anyhow::Result<()> {
        super::refuse("view")
    }
}

/// Replaces `cli/report.rs` in a build without pages of figures.
#[cfg(not(feature = "report"))]
pub(super) mod report {
    pub(in crate::cli) type ReportArgs = super::AbsentArgs;

    pub(in crate::cli) fn run(_: &ReportArgs) -> anyhow::Result<()> {
        super::refuse("report")
    }
}

/// Replaces `cli/fetch.rs` in a build without downloads.
#[cfg(not(feature = "fetch"))]
pub(super) mod fetch {
    pub(in crate::cli) type FetchArgs = super::AbsentArgs;

    pub(in crate::cli) fn run(_: &FetchArgs) -> anyhow::Result<()> {
        super::refuse("fetch")
    }
}

/// Replaces `cli/fetch_model.rs` in a build without downloads.
#[cfg(not(feature = "fetch"))]
pub(super) mod fetch_model {
    pub(in crate::cli) type FetchModelArgs = super::AbsentArgs;

    pub(in crate::cli) fn run(_: &FetchModelArgs) -> anyhow::Result<()> {
        super::refuse("fetch-model")
    }
}

/// Replaces `cli/fetched.rs` in a build without downloads.
#[cfg(not(feature = "fetch"))]
pub(super) mod fetched {
    use std::path::{Path, PathBuf};

    /// The file of a model that needs no download.
    ///
    /// # Errors
    /// The model has an address.
    pub(in crate::cli) fn local(path: &Path) -> anyhow::Result<PathBuf> {
        let is_address = |text: &str| text.starts_with("hf:") || text.contains("://");
        match path.to_str().is_some_and(is_address) && !path.exists() {
            true => anyhow::bail!("{}", super::refusal("downloads", "fetch")),
            false => Ok(path.to_path_buf()),
        }
    }
}

/// Replaces `cli/interop.rs` in a build without PyTorch import and export.
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
