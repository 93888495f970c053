//! The command `jempp train`, and the job that `jempp` without a command does without a window.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{
    device_row, memory_row, progress::Progress, sample, say_opening, settings, tune::TuneArgs,
};
use crate::{
    checkpoint,
    config::{ConfigError, DatasetName, RunConfig},
    device::ComputeDevice,
    files,
    kernel_choices::Tuning,
    say::{complain, say},
    signals,
    training::{self, TrainingError, TrainingEvent},
};

/// The default folder of a run.
const DEFAULT_RUN: &str = "runs/fashion-quick";
/// The size limit of a configuration file, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// Preset to start from; `jempp config` lists them.
    #[arg(long, default_value = "fashion-quick", conflicts_with = "resume")]
    preset: String,
    /// Folder of the new run; must not exist.
    #[arg(long, required_unless_present = "resume", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Resume the run in this folder (or of this checkpoint.safetensors) exactly where it stopped.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Seed of weights, data order and chains.
    #[arg(long, conflicts_with = "resume")]
    seed: Option<u64>,
    /// Compute device: auto, gpu, cpu, or an adapter's index or name.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    tune: TuneArgs,
    /// Number of epochs, passes over the training set.
    #[arg(long)]
    epochs: Option<usize>,
    /// Your own images or points: a folder with one folder of pictures per class, or a .npz, .npy, IDX or CSV file; or,
    /// with a data set named, the folder with its official files [default: where `jempp fetch` puts them].
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Data set; the names are those of data.dataset [default with --data: custom, unless the preset names one].
    #[arg(long, conflicts_with = "resume")]
    dataset: Option<String>,
    /// TOML file with any keys of the configuration.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Set one configuration key, as in sampler.step_size=0.2; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

impl TrainArgs {
    /// The configuration that a new run starts from: the preset, with the configuration file applied. If files are
    /// named, but neither of the two names a data set, they are the user's own.
    fn begin(&self) -> anyhow::Result<RunConfig> {
        let mut base = RunConfig::default();
        if self.data.is_some() || settings::keys(&self.assignments).any(|key| key == "data.dir") {
            base.data.dataset = DatasetName::Custom;
        }
        let preset = base.with_preset(&self.preset)?;
        let Some(path) = &self.config else { return Ok(preset) };
        let name = path.display().to_string();
        let bytes = files::read_at_most(path, MAX_CONFIG_BYTES)
            .with_context(|| format!("cannot read {name}"))?;
        let text = String::from_utf8(bytes)
            .ok()
            .with_context(|| format!("{name} is no text in UTF-8, as TOML must be"))?;
        preset.with_toml(&text).context(name)
    }

    /// `config` with the single keys of the command line replaced.
    fn apply(&self, config: RunConfig) -> Result<RunConfig, ConfigError> {
        let direct = [
            self.seed.map(|seed| ("--seed", format!("seed={seed}"))),
            self.epochs.map(|epochs| ("--epochs", format!("training.epochs={epochs}"))),
            self.dataset.as_ref().map(|name| ("--dataset", format!("data.dataset={name}"))),
            self.data.as_deref().map(settings::data_dir).transpose()?,
        ];
        let options: Vec<_> = direct.into_iter().flatten().collect();
        let config = settings::apply(config, &options, &self.assignments)?;
        for key in settings::keys(&self.assignments) {
            settings::check_sampler_key(key, &config.sampler)?;
            settings::check_data_key(key, &config.data)?;
        }
        Ok(config)
    }
}

/// Starts or resumes a training run.
pub(super) fn run(args: TrainArgs) -> anyhow::Result<()> {
    let is_complete = match &args.resume {
        Some(path) => {
            let device = args.tune.open(&args.device, Tuning::Kept)?;
            let change = |config| args.apply(config);
            follow(path, &device, |stop, on_event| {
                training::resume(path, change, &device, stop, on_event)
            })?
        }
        None => {
            let config = args.apply(args.begin()?)?;
            let out = args.out.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_RUN));
            let device = args.tune.open(&args.device, Tuning::On)?;
            follow(&out, &device, |stop, on_event| {
                training::train(config, &out, &device, stop, on_event)
            })?
        }
    };
    if is_complete {
        signals::work_is_done();
    }
    Ok(())
}

/// The main job without a window: trains the quick preset, or resumes it, then samples.
pub(super) fn quick() -> anyhow::Result<()> {
    let out = Path::new(DEFAULT_RUN);
    let checkpoint = checkpoint::file_in(out);
    let is_resumed = checkpoint.is_file();
    let tuning = if is_resumed { Tuning::Kept } else { Tuning::On };
    let device = TuneArgs::default().open("auto", tuning)?;
    let is_complete = if is_resumed {
        say!("Going on with the run in {}.", out.display());
        follow(out, &device, |stop, on_event| training::resume(out, Ok, &device, stop, on_event))?
    } else {
        say!(
            "Training JEM++ on 5,000 Fashion-MNIST images; about two minutes on two recent CPU cores."
        );
        say!("Ctrl-C saves and exits; the same command resumes the run.");
        let config = RunConfig::preset("fashion-quick")?;
        follow(out, &device, |stop, on_event| {
            training::train(config, out, &device, stop, on_event)
        })?
    };
    match is_complete && !signals::is_requested() {
        true => sample::of_run(&checkpoint, &device),
        false => Ok(()),
    }
}

/// Runs a training job and shows its progress; returns whether it ran to its end.
fn follow(
    folder: &Path,
    device: &ComputeDevice,
    job: impl FnOnce(&dyn Fn() -> bool, &mut dyn FnMut(TrainingEvent)) -> Result<bool, TrainingError>,
) -> anyhow::Result<bool> {
    let mut progress = Progress::new();
    let mut on_event = |event| {
        if let TrainingEvent::Ready(run) = &event {
            say_opening(&[
                ("Data", run.data.clone()),
                ("Network", run.network.clone()),
                device_row(device),
                memory_row(&run.memory),
                ("Writes", folder.display().to_string()),
            ]);
            // Before this point there was nothing to save, and a signal ended the program at once.
            if let Err(error) = signals::stop_flag() {
                complain!("warning: Ctrl-C will not save before it stops the run: {error}");
            }
        }
        progress.show(&event);
    };
    Ok(job(&signals::is_requested, &mut on_event)?)
}
