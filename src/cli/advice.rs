//! Advice after an error: the command-line options that help.
//!
//! The errors of the library speak of folders, fields and configuration keys. Only this module translates them into
//! options of the command line.

use std::{error::Error, fmt};

use clap::CommandFactory;

use super::Cli;
#[cfg(feature = "fetch")]
use crate::data::fetch::FetchError;
#[cfg(feature = "pytorch")]
use crate::interop::InteropError;
use crate::{
    bench::Differs, chains::ChainError, checkpoint::CheckpointError, convergence::ConvergenceError,
    data::DataError, device::DeviceError, eval::EvalError, model::ModelError,
    results_folder::ResultsError, run_folder::RunFolderError, starts::StartError,
    trainer::TrainerError, training::TrainingError,
};

/// Configuration keys that have their own option: the key, the option, and its value.
const KEYS: [(&str, &str, &str); 2] =
    [("data.dir", "data", "PATH"), ("data.dataset", "dataset", "NAME")];

/// A sentence that names the options that fix an error; `None` if no option does. `command` is the name of the command
/// that failed.
pub(super) fn advice(error: &anyhow::Error, command: Option<&str>) -> Option<String> {
    let command = Command(command);
    error.chain().find_map(|cause| command.on(cause))
}

/// The name of the command that failed.
#[derive(Clone, Copy)]
struct Command<'a>(Option<&'a str>);

impl Command<'_> {
    fn on(self, cause: &(dyn Error + 'static)) -> Option<String> {
        let found: Option<String> = None;
        #[cfg(feature = "fetch")]
        let found = found.or_else(|| self.fetch(cause.downcast_ref()?));
        #[cfg(feature = "pytorch")]
        let found = found.or_else(|| self.interop(cause.downcast_ref()?));
        found
            .or_else(|| self.results(cause.downcast_ref()?))
            .or_else(|| run_folder(cause.downcast_ref()?))
            .or_else(|| checkpoint(cause.downcast_ref()?))
            .or_else(|| self.device(cause.downcast_ref()?))
            .or_else(|| differs(cause.downcast_ref()?))
            .or_else(|| convergence(cause.downcast_ref()?))
            .or_else(|| self.data(cause.downcast_ref()?))
            .or_else(|| self.start(cause.downcast_ref()?))
            .or_else(|| self.chains(cause.downcast_ref()?))
            .or_else(|| self.training(cause.downcast_ref()?))
            .or_else(|| self.eval(cause.downcast_ref()?))
    }

    fn device(self, error: &DeviceError) -> Option<String> {
        let option = if self.0 == Some("devices") { "--check" } else { "--device" };
        match error {
            DeviceError::NoGpu(_) | DeviceError::Unknown { .. } => {
                Some(format!("{option} takes one of these, or auto"))
            }
            DeviceError::Open { .. } => None,
        }
    }

    /// The options for the configuration keys that a text names.
    fn keys(self, text: &impl fmt::Display) -> Option<String> {
        let text = text.to_string();
        let named = KEYS.iter().filter(|(key, ..)| text.contains(key));
        let options = named.map(|(key, option, value)| match self.has(option) {
            true => format!("{key} is the option --{option} {value}"),
            false => format!("{key} is set with --set {key}={value}"),
        });
        let options: Vec<String> = options.collect();
        (!options.is_empty()).then(|| options.join(", "))
    }

    fn has(self, option: &str) -> bool {
        let all = Cli::command();
        let command = self.0.and_then(|name| all.find_subcommand(name));
        command.is_some_and(|command| {
            command.get_arguments().any(|argument| argument.get_long() == Some(option))
        })
    }

    fn data(self, error: &DataError) -> Option<String> {
        match error {
            DataError::BatchTooLarge { num_train, .. } => {
                Some(format!("The option is --set data.batch_size={num_train}"))
            }
            _ => self.keys(error),
        }
    }

    #[cfg(feature = "fetch")]
    fn fetch(self, error: &FetchError) -> Option<String> {
        match error {
            FetchError::Mirrors { .. } if self.0 == Some("fetch") => {
                Some("Training takes that folder as --data DIR".into())
            }
            FetchError::Busy { .. } => Some("--out DIR names another folder".into()),
            FetchError::Foreign { .. } => {
                Some("Choose another --out, or add --force to replace it".into())
            }
            _ => None,
        }
    }

    #[cfg(feature = "pytorch")]
    fn interop(self, error: &InteropError) -> Option<String> {
        match error {
            InteropError::OtherArch { found, .. } => {
                Some(format!("Use --arch {found}, or leave --arch out"))
            }
            InteropError::OtherClasses { .. } => Some("The option is --dataset NAME".into()),
            InteropError::Safetensors { path } => {
                Some(format!("Commands take it as --checkpoint {}", path.display()))
            }
            InteropError::Data(error) => self.data(error),
            InteropError::Checkpoint(error) => checkpoint(error),
            _ => None,
        }
    }

    fn start(self, error: &StartError) -> Option<String> {
        match error {
            StartError::Checkpoint(error) => checkpoint(error),
            StartError::Data(error) => self.data(error),
            _ => None,
        }
    }

    fn chains(self, error: &ChainError) -> Option<String> {
        match error {
            ChainError::Checkpoint(error) => checkpoint(error),
            ChainError::Start(error) => self.start(error),
            ChainError::NoSuchClass { .. } => {
                Some("--class takes one of these names, or its number".into())
            }
            ChainError::UnevenStarts { .. } => {
                Some("The options are --per-class and --chains-per-start".into())
            }
            ChainError::TooManyParts { .. } => {
                Some("The option is --shard I/N, with a smaller N".into())
            }
            ChainError::CoupledParts => Some("The option is --set model.norm=frozen".into()),
            ChainError::TooMuchNoise { .. } => Some("The option is --per-class".into()),
            ChainError::Config(_) | ChainError::Read(_) => None,
        }
    }

    fn training(self, error: &TrainingError) -> Option<String> {
        match error {
            TrainingError::Data(error) => self.data(error),
            TrainingError::RunFolder(error) => run_folder(error),
            TrainingError::Checkpoint(error)
            | TrainingError::Trainer(TrainerError::Checkpoint(error)) => checkpoint(error),
            TrainingError::Unsaved { folder, .. } => {
                Some(format!("The option is --resume {}", folder.display()))
            }
            TrainingError::Trainer(TrainerError::Model(ModelError::Input {
                found: [_, 1, 1],
                ..
            })) => Some("For points in the plane, leave --preset out or add --preset auto".into()),
            TrainingError::StoredData { .. } => self.keys(error),
            TrainingError::OtherRun(_) => Some("--out DIR names a new run's folder".into()),
            TrainingError::TooFewEpochs { epochs, done, .. } => Some(format!(
                "Instead of --epochs {epochs} give more than {done}, or leave the option out"
            )),
            _ => None,
        }
    }

    fn results(self, error: &ResultsError) -> Option<String> {
        let out = if self.0 == Some("merge") { "OUT" } else { "--out" };
        Some(match error {
            ResultsError::Taken { .. } => {
                format!("Choose another {out}, or add --force to replace them")
            }
            ResultsError::NotOurs { own, .. } => {
                format!(
                    "Choose another {out}, or add --force, which replaces no file there but {own}"
                )
            }
            ResultsError::Exists(_) => {
                format!("Choose another {out}, or add --force to replace it")
            }
            ResultsError::Busy(_) | ResultsError::NoFile(_) | ResultsError::Input(_) => {
                format!("Choose another {out}")
            }
            ResultsError::NoFolder(_) => format!("Name a folder with {out}"),
            ResultsError::Folder(_) => format!("Name a file with {out}"),
            ResultsError::WithinData(_) => format!("The option is {out}"),
            ResultsError::Io { .. } => return None,
        })
    }

    fn eval(self, error: &EvalError) -> Option<String> {
        match error {
            EvalError::Data(error) => self.data(error),
            EvalError::Checkpoint(error) => checkpoint(error),
            EvalError::Results(error) => self.results(error),
            EvalError::NoJudge { .. } => Some("The option is --judge FILE".into()),
            EvalError::Ood(_) => Some("The option is --ood PATH".into()),
            EvalError::OtherData { .. } => Some("The option is --compare FILE".into()),
            _ => None,
        }
    }
}

fn run_folder(error: &RunFolderError) -> Option<String> {
    Some(match error {
        RunFolderError::Exists(path) => {
            format!("The options are --out DIR and --resume {}", path.display())
        }
        RunFolderError::Taken { .. } | RunFolderError::WithinData(_) => {
            "The option is --out DIR".into()
        }
        RunFolderError::Lost(path) => format!("The option is --resume {}", path.display()),
        _ => return None,
    })
}

fn checkpoint(error: &CheckpointError) -> Option<String> {
    Some(match error {
        CheckpointError::Pytorch(path) => {
            format!("Type: jempp import {} --out NEW.safetensors", path.display())
        }
        CheckpointError::OtherJudge { .. } => "The option is --judge FILE".into(),
        _ => return None,
    })
}

fn differs(_: &Differs) -> Option<String> {
    Some(format!(
        "Please report it with this output: {}/issues/new?template=gpu.yml. Until the fault is fixed, compute with \
         --device cpu",
        env!("CARGO_PKG_REPOSITORY")
    ))
}

fn convergence(error: &ConvergenceError) -> Option<String> {
    Some(match error {
        ConvergenceError::TooFewChains { .. } => {
            "--diagnose takes more of them, with --per-class or more classes".into()
        }
        ConvergenceError::TooFewDraws { .. } => "Set --steps higher or --warmup lower".into(),
        ConvergenceError::NoShortSteps => "Set --short above 0".into(),
        ConvergenceError::NotShorter { .. } => "Set --steps higher or --short lower".into(),
        ConvergenceError::ClassCenters(_) | ConvergenceError::Read(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(error: impl Error + Send + Sync + 'static, command: &str) -> String {
        advice(&anyhow::Error::from(error), Some(command)).unwrap_or_default()
    }

    fn no_dir() -> DataError {
        DataError::NoDir { dataset: "mnist".into() }
    }

    #[test]
    fn the_option_is_named_however_deep_the_error_lies() {
        for found in [
            on(no_dir(), "train"),
            on(TrainingError::Data(no_dir()), "train"),
            on(ChainError::Start(StartError::Data(no_dir())), "sample"),
            on(EvalError::Data(no_dir()), "eval"),
        ] {
            assert!(found.contains("--data PATH"), "{found}");
        }
    }

    #[test]
    fn a_command_is_told_of_no_option_that_it_lacks() {
        let wrong = |_: &str| DataError::OtherSet {
            dir: "kmnist".into(),
            dataset: "mnist".into(),
            other: "fashion-mnist".into(),
            advice: "choose data.dataset = fashion-mnist".into(),
        };
        assert!(on(wrong("train"), "train").contains("--dataset NAME"));
        assert!(on(wrong("sample"), "sample").contains("--set data.dataset=NAME"));
        assert_eq!(advice(&anyhow::anyhow!("data.dir is wrong"), None), None);
    }
}
