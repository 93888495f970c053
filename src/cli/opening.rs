//! Shared parts of the commands: the model option, the lines printed before the work, and the output folder.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::Args;

use super::fetched;
use crate::{
    bundled::{self, BUNDLED_MODELS, BundledModel},
    checkpoint::{self, Checkpoint},
    files,
    results_folder::{Destination, some_of},
    say::{complain, say},
    shard::Shard,
};

/// The options that select the model.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Checkpoint of a run, a run folder, a packed model, or the address of one, as in hf:OWNER/NAME or https://…/FILE
    /// [default: the first bundled model].
    #[arg(long, value_name = "FILE")]
    pub(super) checkpoint: Option<PathBuf>,
    /// Bundled model: fashion, fashion-sampler, mnist, mnist-sampler, cifar10-jpeg, fashion-classifier, cifar10-jpeg-classifier, two-moons or two-moons-classifier.
    #[arg(long, value_name = "NAME", value_parser = bundled::find, conflicts_with = "checkpoint")]
    pub(super) model: Option<BundledModel>,
}

impl ModelArgs {
    /// Reads the model: the bytes of its file, and the checkpoint that they hold.
    pub(super) fn load_file(&self) -> anyhow::Result<(Vec<u8>, Checkpoint)> {
        Ok(match &self.checkpoint {
            Some(path) => Checkpoint::read(&fetched::local(path)?)?,
            None => {
                let model = self.model.unwrap_or(BUNDLED_MODELS[0]);
                (model.bytes().to_vec(), model.load()?)
            }
        })
    }

    /// The path that was given with `--checkpoint`.
    pub(super) fn path(&self) -> Option<&Path> {
        self.checkpoint.as_deref()
    }

    /// The name of the model in results: the name of the bundled model, of the run folder, or of the file.
    pub(super) fn name(&self) -> String {
        match &self.checkpoint {
            Some(path) => checkpoint::name_of(path),
            None => self.model.unwrap_or(BUNDLED_MODELS[0]).name.to_string(),
        }
    }
}

/// The options for the output folder.
#[derive(Debug, Default, Args)]
pub(super) struct OutArgs {
    /// New or empty folder for the results [default: runs/samples for samples and runs/eval for an evaluation, with
    /// a number added if that folder is taken; a part has its own folder, as in runs/samples-1-of-2 for --shard 1/2].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace all results of jempp in the folder.
    #[arg(long)]
    force: bool,
}

impl OutArgs {
    /// The output folder. Without `--out`, the whole of a job is written to `default`, or to the first free name with a
    /// number. A part of a job has one folder, which its name tells, so that the same command finds it again.
    pub(super) fn destination(&self, default: &str, shard: Option<Shard>) -> Destination {
        match (&self.out, shard) {
            (Some(path), _) => Destination::at(path, self.force),
            (None, Some(shard)) => {
                let folder = format!("{default}-{}-of-{}", shard.number(), shard.count());
                Destination::at(Path::new(&folder), self.force)
            }
            (None, None) if self.force => Destination::at(Path::new(default), true),
            (None, None) => Destination::beside(Path::new(default)),
        }
    }
}

/// Says where the results are, of which `file` is one, if another job took the folder that was named before the work.
pub(super) fn say_moved(out: &Destination, file: &Path) {
    let folder = files::folder_of(file);
    if folder != out.path {
        say!(
            "Another jempp took {}, so the results are in {}.",
            out.path.display(),
            folder.display()
        );
    }
}

/// Checks that a file does not have the ending of another format than the one that is written, `own`.
pub(super) fn check_ending(path: &Path, own: &str) -> anyhow::Result<()> {
    const KNOWN: [&str; 26] = [
        "bin",
        "bmp",
        "ckpt",
        "csv",
        "gif",
        "h5",
        "html",
        "jpeg",
        "jpg",
        "json",
        "md",
        "npy",
        "npz",
        "onnx",
        "pdf",
        "pickle",
        "pkl",
        "png",
        "pt",
        "pth",
        "safetensors",
        "svg",
        "tif",
        "tiff",
        "toml",
        "webp",
    ];
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    ensure!(
        ending == own || !KNOWN.contains(&ending.as_str()),
        "{} has the ending of another format than the .{own} that is written: name it {}",
        path.display(),
        path.with_extension(own).display()
    );
    Ok(())
}

/// Says where a part is and what makes a whole of it.
pub(super) fn say_part(shard: Shard, folder: &Path) {
    say!("Part {shard}: {}", folder.display());
    let when = match shard.count() {
        1 => "There is no other part".to_string(),
        count => format!("When all {count} parts are done"),
    };
    say!("{when}: jempp merge OUT PART...");
}

/// The command line, for the results. The folder of the data is left out, because it is different on every machine.
pub(super) fn command() -> String {
    let mut words = vec!["jempp".to_string()];
    // A path may contain bytes that are not text.
    for arg in std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()) {
        let is_folder = words.last().is_some_and(|last| last == "--data");
        words.push(match arg.split_once('=') {
            _ if is_folder => "DIR".into(),
            Some(("--data", _)) => "--data=DIR".into(),
            _ if arg.contains([' ', '[', '\'']) => format!("'{}'", arg.replace('\'', r"'\''")),
            _ => arg,
        });
    }
    words.join(" ")
}

/// The rows that name the model and the size of its network.
pub(super) fn model_rows(
    model: &ModelArgs,
    checkpoint: &Checkpoint,
) -> Vec<(&'static str, String)> {
    let from = match model.path() {
        Some(path) => path.display().to_string(),
        None => format!("{}, inside the program", model.name()),
    };
    vec![("Model", from), network_row(checkpoint)]
}

/// The row that describes the network of a checkpoint and its size.
pub(super) fn network_row(checkpoint: &Checkpoint) -> (&'static str, String) {
    let (model, [c, h, w]) = (&checkpoint.config.model, checkpoint.input_shape);
    let weights = checkpoint.sampling_weights().values();
    let num_weights: usize = weights.map(|tensor| tensor.values.len()).sum();
    let text = format!(
        "{}, {}, inputs {c}×{h}×{w}, {num_weights} weights",
        model.describe(),
        match checkpoint.class_names.len() {
            1 => "1 class".to_string(),
            count => format!("{count} classes"),
        }
    );
    ("Network", text)
}

/// The row that says how p(y|x) is calibrated.
pub(super) fn calibration_row(checkpoint: &Checkpoint) -> (&'static str, String) {
    ("p(y|x)", checkpoint.calibration())
}

/// Prints the warnings of the data that a command reads.
pub(super) fn complain_of_data(warnings: &[String]) {
    for warning in warnings {
        complain!("warning: {warning}");
    }
}

/// The row that names the output folder, and the files in it that are kept.
pub(super) fn writes_row(out: &Destination, kept: &[String]) -> (&'static str, String) {
    let folder = out.path.display();
    let text = match (out.replaces, kept.is_empty()) {
        (false, _) => folder.to_string(),
        (true, true) => format!("{folder}, earlier results there are replaced"),
        (true, false) => {
            format!(
                "{folder}, earlier results there are replaced; not ours, so kept: {}",
                some_of(kept)
            )
        }
    };
    ("Writes", text)
}
