//! The commands `jempp import` and `jempp export`, which exchange models with PyTorch.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::{
    device_row,
    opening::{self, ModelArgs, check_ending},
    say_opening,
};
use crate::{
    checkpoint::file_at,
    config::{ConfigError, DatasetName, RunConfig},
    files::check_outside,
    interop::{self, Centers, ImportRequest, Imported, Reading},
    results_folder::{ResultsError, check_file, write_file},
    say::say,
};

/// The key of the weights in checkpoints of the official code.
const OFFICIAL_KEY: &str = "model_state_dict";
/// The ending of the files that hold tensors.
const SAFETENSORS: &str = "safetensors";

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// File of torch.save with the weights alone, or under `model_state_dict`, `state_dict`, `model` or `net`,
    /// optionally with `replay_buffer`.
    file: PathBuf,
    /// Checkpoint to write. If its name is checkpoint.safetensors, `jempp train --resume` can continue
    /// the training in its folder.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the checkpoint if it exists.
    #[arg(long)]
    force: bool,
    /// Required architecture, as in wrn-28-10 [default: the one that its tensors have].
    #[arg(long)]
    arch: Option<String>,
    /// Data set of the training, as in data.dataset, for the class names [default: cifar10;
    /// cifar100 if the model has 100 classes].
    #[arg(long)]
    dataset: Option<String>,
    /// Folder with the data set's official files: class centres are estimated from its images. Without it,
    /// they are estimated from the chains in the file.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Compute device: auto, gpu, cpu, or an adapter's index, name or graphics API, as in vulkan.
    #[arg(long, default_value = "auto")]
    device: String,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// File to write; one with the ending .onnx is an ONNX file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    /// Write an ONNX file: the network, from a batch of images x to their logits and energies.
    #[arg(long)]
    onnx: bool,
    /// Write a safetensors file with the tensors of PyTorch, as is the default.
    #[arg(long, conflicts_with = "onnx")]
    safetensors: bool,
    /// Leave out the replay buffer, which an ONNX file never has.
    #[arg(long, conflicts_with = "onnx")]
    no_buffer: bool,
}

impl ExportArgs {
    /// Whether an ONNX file is asked for, by its option or by the ending of the file.
    ///
    /// # Errors
    /// The option and the ending contradict each other, or another option is not used.
    fn is_onnx(&self) -> anyhow::Result<bool> {
        let ending = self.out.extension().unwrap_or_default().to_ascii_lowercase();
        if self.onnx && ending == SAFETENSORS || self.safetensors && ending == interop::ONNX {
            let format = if self.onnx { "an ONNX" } else { "a safetensors" };
            bail!(
                "{} does not have the ending of {format} file, which was asked for: give it another name",
                self.out.display()
            );
        }
        let is_onnx = self.onnx || ending == interop::ONNX;
        ensure!(
            !(is_onnx && self.no_buffer),
            "--no-buffer is not used: an ONNX file never has a replay buffer"
        );
        Ok(is_onnx)
    }
}

/// Imports a PyTorch checkpoint and says what it contains.
pub(super) fn import(args: &ImportArgs) -> anyhow::Result<()> {
    check_ending(&args.out, SAFETENSORS)?;
    check_file(&args.out, args.force, Some(&args.file))?;
    // Official data sets are read by the names of their files.
    if let (Some(data), None) = (&args.data, &args.dataset) {
        check_outside(&args.out, data).map_err(ResultsError::from)?;
    }
    let request = ImportRequest {
        arch: args.arch.clone(),
        dataset: args.dataset.as_deref().map(dataset).transpose()?,
        data: args.data.clone(),
    };
    let device = super::open_device(&args.device)?;
    let mut rows = vec![("Reads", args.file.display().to_string())];
    if let Some(data) = &args.data {
        rows.push(("Data", data.display().to_string()));
    }
    rows.extend([device_row(&device), ("Writes", args.out.display().to_string())]);
    say_opening(&rows);
    say!("A large network takes a while on a CPU.");
    let imported = interop::import(&args.file, &request, &device.device)
        .with_context(|| args.file.display().to_string())?;
    let bytes = imported.checkpoint.to_bytes();
    let bytes = bytes.with_context(|| format!("cannot write {}", args.out.display()))?;
    write_file(&args.out, &bytes, args.force)?;
    describe(&imported);
    say!("Checkpoint: {}", args.out.display());
    Ok(())
}

/// Exports the tensors or the network of a model and says how many bytes that takes.
pub(super) fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let is_onnx = args.is_onnx()?;
    check_ending(&args.out, if is_onnx { interop::ONNX } else { SAFETENSORS })?;
    check_file(&args.out, args.force, args.model.path().map(file_at).as_deref())?;
    let (_, checkpoint) = args.model.load_file()?;
    let mut rows = opening::model_rows(&args.model, &checkpoint);
    rows.push(("Writes", args.out.display().to_string()));
    say_opening(&rows);
    let bytes = match is_onnx {
        true => interop::export_onnx(&checkpoint)?,
        false => interop::export(&checkpoint, !args.no_buffer)?,
    };
    write_file(&args.out, &bytes, args.force)?;
    let what = if is_onnx { "ONNX file" } else { "Tensors" };
    say!("{what}: {} ({} bytes)", args.out.display(), bytes.len());
    Ok(())
}

fn describe(imported: &Imported) {
    let checkpoint = &imported.checkpoint;
    say!("Network: {}", opening::network_row(checkpoint).1);
    let num_chains = checkpoint.replay_buffer.shape[0];
    match imported.has_chains {
        true => say!("Replay buffer: {num_chains} chains, as in the file"),
        false => say!("Replay buffer: {num_chains} fresh starts, as the file has none to use"),
    }
    match imported.centers {
        Centers::Images => say!("Class centres: estimated from the training images"),
        Centers::Chains => say!(
            "Class centres: estimated from chains by the class the network sees in them; --data DIR takes images"
        ),
        Centers::Nothing => say!(
            "Class centres: uniform noise, as there are neither chains nor images; --data DIR takes images"
        ),
    }
    let Reading { container, prefix, num_others, num_aliases } = &imported.reading;
    if !container.is_empty() && container != OFFICIAL_KEY {
        say!("Weights: those under `{container}`, as there is no `{OFFICIAL_KEY}`");
    }
    if !prefix.is_empty() {
        say!("Names: taken without their common prefix `{prefix}`");
    }
    if *num_others > 0 {
        say!(
            "Left out, unread: {num_others} tensors outside the network, an optimiser's for example"
        );
    }
    if *num_aliases > 0 {
        say!("Left out, unread: {num_aliases} second names of tensors (`yopo`)");
    }
    if !imported.unused.is_empty() {
        say!("Left out, unused by the classifier: {} tensors", imported.unused.len());
    }
}

/// The data set with a name.
fn dataset(name: &str) -> Result<DatasetName, ConfigError> {
    let config = RunConfig::default().with_assignment(&format!("data.dataset={name}"))?;
    Ok(config.data.dataset)
}
