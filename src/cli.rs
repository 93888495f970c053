//! The commands of the program, one thin function each.

mod bench;
mod diagnosis;
mod eval;
mod fetch;
mod interop;
mod pack;
mod sample;
mod view;

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{ConfigError, PRESETS, RunConfig},
    device::{self, ComputeDevice},
    progress::Progress,
    run_folder::RunFolder,
    say::{self, complain, say},
    signals, worker,
};

/// Where a run goes when nobody says.
const DEFAULT_RUN: &str = "runs/fashion-quick";

/// Joint energy-based models (JEM++) on any GPU: train a classifier that is also a generative model,
/// and watch its Langevin chains turn class centres into images.
#[derive(Debug, Parser)]
#[command(
    name = "jempp",
    version,
    after_help = "Examples:
  jempp                                     open the window; with no display, train and sample (minutes)
  jempp train --preset toy-two-moons --out runs/moons
  jempp fetch mnist
  jempp sample --checkpoint runs/moons/checkpoint.safetensors --out runs/moons-samples
  jempp devices"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open the window: watch, steer and compare chains, train models.
    #[command(after_help = "Examples:
  jempp view
  jempp view --model mnist --play
  jempp view --checkpoint runs/first/checkpoint.safetensors
  jempp view '?model=fashion&sampler.kind=sgld&sampler.step_size=5'")]
    View(view::ViewArgs),
    /// Train a model.
    #[command(after_help = "Examples:
  jempp train --preset fashion-quick --out runs/first
  jempp train --preset fashion-showcase --data ~/fashion-mnist --out runs/full --seed 3
  jempp train --preset fashion-quick --out runs/sgld --set sampler.kind=sgld --set sampler.noise_std=0.01
  jempp train --resume runs/first")]
    Train(TrainArgs),
    /// Draw samples from a model, bundled or trained: grid.png, chains.gif and traces.csv.
    #[command(after_help = "Examples:
  jempp sample
  jempp sample --model mnist --class 3 --class 8 --steps 200
  jempp sample --checkpoint runs/first/checkpoint.safetensors --out runs/first-samples
  jempp sample --out runs/bags --class 8 --per-class 16 --steps 200
  jempp sample --out runs/mine --start photo.png --sampler proximal-sgld --set sampler.step_size=0.5
  jempp sample --diagnose --steps 500 --set sampler.noise_std=0.01 --set sampler.step_schedule=constant")]
    Sample(sample::SampleArgs),
    /// Measure a model: accuracy, calibration, out-of-distribution detection, robustness, sample quality.
    #[command(after_help = "Examples:
  jempp eval
  jempp eval accuracy calibration --checkpoint runs/first/checkpoint.safetensors
  jempp eval --model fashion-classifier --out runs/eval-classifier
  jempp eval --compare runs/eval-classifier/results.json
  jempp eval ood --ood ~/photos --ood t10k-images-idx3-ubyte
  jempp eval attack --set eval.num_attacked=1000 --set eval.linf_radii=[4,8]")]
    Eval(eval::EvalArgs),
    /// Make a small file of a trained model: weights and class centres in half precision.
    #[command(after_help = "Examples:
  jempp pack --checkpoint runs/first/checkpoint.safetensors --out first.safetensors
  jempp sample --checkpoint first.safetensors")]
    Pack(pack::PackArgs),
    /// Download a data set and check it; where a download broke, the same command goes on.
    #[command(after_help = "Environment:
  JEMPP_CACHE   folder for all data sets, instead of jempp in the user's cache folder
  JEMPP_MIRROR  address of a mirror of your own, used alone: <address>/<DATASET>/<file>

Examples:
  jempp fetch mnist
  jempp fetch cifar10 --out ~/cifar10
  JEMPP_MIRROR=http://mirror.example/data jempp fetch svhn")]
    Fetch(fetch::FetchArgs),
    /// Read a PyTorch checkpoint of the official code of JEM++, without running anything in it.
    #[command(after_help = "Examples:
  jempp import last_ckpt.pt --out runs/jempp/checkpoint.safetensors
  jempp import svhn.pt --out svhn.safetensors --arch wrn-28-10 --device cpu
  jempp import last_ckpt.pt --out runs/jempp/checkpoint.safetensors --dataset cifar10 --data ~/cifar10
  jempp train --resume runs/jempp --data ~/cifar10 --set optimizer.learning_rate=0.001")]
    Import(interop::ImportArgs),
    /// Write a model's tensors under PyTorch's names, in PyTorch's layouts.
    #[command(after_help = "Examples:
  jempp export --checkpoint runs/first/checkpoint.safetensors --out model.safetensors
  jempp export --safetensors --no-buffer --out fashion.safetensors
  python3 -c \"from safetensors.torch import load_file; print(load_file('model.safetensors').keys())\"")]
    Export(interop::ExportArgs),
    /// List the graphics adapters and what `auto` takes.
    #[command(after_help = "Examples:
  jempp devices
  jempp devices --json")]
    Devices {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Time one energy gradient and one step of each sampler.
    #[command(after_help = "Examples:
  jempp bench
  jempp bench --works W1,W4 --repetitions 20
  jempp bench --device 0 --arch wrn-16-4 --batch-size 16 --json")]
    Bench(bench::BenchArgs),
    /// List the presets and every configuration key with its default, range and meaning.
    #[command(after_help = "Examples:
  jempp config
  jempp config --preset paper-cifar10")]
    Config {
        /// Show the values of this preset.
        #[arg(long)]
        preset: Option<String>,
    },
}

#[derive(Debug, Args)]
struct TrainArgs {
    /// Named configuration to begin with; `jempp config` lists them.
    #[arg(long, default_value = "fashion-quick", conflicts_with = "resume")]
    preset: String,
    /// Folder of the new run; must not exist.
    #[arg(long, required_unless_present = "resume", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Go on with the run in this folder, exactly where it stopped.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Seed of weights, data order and chains.
    #[arg(long, conflicts_with = "resume")]
    seed: Option<u64>,
    /// Compute device: auto, gpu, cpu, or an adapter's index or name.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Passes over the training set.
    #[arg(long)]
    epochs: Option<usize>,
    /// Folder with the data set's official files [default: where `jempp fetch` puts them].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Data set, as in data.dataset.
    #[arg(long, conflicts_with = "resume")]
    dataset: Option<String>,
    /// TOML file with any of the configuration's keys.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// One key, as in sampler.step_size=0.2; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

impl TrainArgs {
    /// `config` with the single keys of the command line replaced.
    fn apply(&self, mut config: RunConfig) -> Result<RunConfig, ConfigError> {
        let direct = [
            self.seed.map(|seed| format!("seed={seed}")),
            self.epochs.map(|epochs| format!("training.epochs={epochs}")),
            self.dataset.as_ref().map(|name| format!("data.dataset={name}")),
        ];
        for assignment in direct.iter().flatten().chain(&self.assignments) {
            config = config.with_assignment(assignment)?;
        }
        if let Some(dir) = &self.data {
            config.data.dir = dir.display().to_string();
        }
        Ok(config)
    }
}

/// Runs the command line that the program was started with; returns its exit status.
pub fn main() -> u8 {
    match run(Cli::parse()) {
        // What was asked to stop and has saved still tells so.
        Ok(()) => signals::exit_status().unwrap_or(0),
        Err(error) => {
            complain!("error: {}", say::one_line(&error));
            1
        }
    }
}

/// Runs the command line.
///
/// # Errors
/// Whatever stopped the command, in one line for a person.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => main_job(),
        Some(Command::View(args)) => view::run(&args),
        Some(Command::Train(args)) => train(args),
        Some(Command::Sample(args)) => sample::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Pack(args)) => pack::run(&args),
        Some(Command::Fetch(args)) => fetch::run(&args),
        Some(Command::Import(args)) => interop::import(&args),
        Some(Command::Export(args)) => interop::export(&args),
        Some(Command::Devices { json }) => devices(json),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Config { preset }) => config(preset.as_deref()),
    }
}

/// The window; where there is none, the job that needs none.
fn main_job() -> anyhow::Result<()> {
    let Err(error) = view::run(&view::ViewArgs::default()) else { return Ok(()) };
    say!("{error:#}.");
    say!(
        "The window needs a display (on Linux an X or Wayland session, over ssh `ssh -X`) and a Vulkan, Metal or \
         DX12 driver (a software one will do: mesa-vulkan-drivers); then `jempp` opens it. Going on without."
    );
    quick()
}

/// The main job without a window: train the quick preset (or go on with it), then sample.
fn quick() -> anyhow::Result<()> {
    let out = Path::new(DEFAULT_RUN);
    let checkpoint = RunFolder::checkpoint_of(out);
    let device = open_device("auto")?;
    say_opening(&[device_row(&device)]);
    let (stop, bar) = (signals::stop_flag()?, Progress::new());
    let mut on_event = |event| bar.show(&event);
    if checkpoint.is_file() {
        say!("Going on with the run in {}.", out.display());
        worker::resume(out, Ok, &device, &stop, &mut on_event)?;
    } else {
        say!(
            "Training JEM++ on 5,000 Fashion-MNIST images; about two minutes on two recent CPU cores."
        );
        say!("Ctrl-C saves and leaves; the same command goes on from there.");
        worker::train(RunConfig::preset("fashion-quick")?, out, &device, &stop, &mut on_event)?;
    }
    if stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    sample::of_run(&checkpoint, &device)
}

fn train(args: TrainArgs) -> anyhow::Result<()> {
    if let Some(path) = &args.resume {
        let device = open_device(&args.device)?;
        say_opening(&[device_row(&device)]);
        let (stop, bar) = (signals::stop_flag()?, Progress::new());
        let change = |config| args.apply(config);
        return Ok(worker::resume(path, change, &device, &stop, &mut |event| bar.show(&event))?);
    }
    let mut config = RunConfig::preset(&args.preset)?;
    if let Some(path) = &args.config {
        config = config.with_file(path)?;
    }
    config = args.apply(config)?;
    let out = args.out.unwrap_or_else(|| PathBuf::from(DEFAULT_RUN));
    let device = open_device(&args.device)?;
    say_opening(&[device_row(&device)]);
    let (stop, bar) = (signals::stop_flag()?, Progress::new());
    Ok(worker::train(config, &out, &device, &stop, &mut |event| bar.show(&event))?)
}

fn devices(json: bool) -> anyhow::Result<()> {
    let adapters = pollster::block_on(device::list());
    if json {
        say!("{}", serde_json::to_string_pretty(&adapters)?);
        return Ok(());
    }
    for adapter in &adapters {
        say!(
            "{}  {} ({}, {}, {})",
            adapter.index,
            adapter.name,
            adapter.backend,
            adapter.kind,
            adapter.driver
        );
        say!(
            "   buffers to {} MiB, {} invocations per workgroup, {} workgroups per dimension",
            adapter.max_storage_buffer_bytes >> 20,
            adapter.max_invocations_per_workgroup,
            adapter.max_workgroups_per_dimension
        );
    }
    say!("cpu  CPU back end (always there)");
    say!("auto takes: {}", pollster::block_on(device::open("auto"))?.description);
    Ok(())
}

fn config(preset: Option<&str>) -> anyhow::Result<()> {
    let config = match preset {
        Some(name) => RunConfig::preset(name)?,
        None => {
            say!("# Presets:");
            for preset in PRESETS {
                say!("#   {:<20} {}", preset.name, preset.about);
            }
            say!();
            RunConfig::default()
        }
    };
    say!("{}", config.to_commented_toml().trim_end());
    Ok(())
}

fn open_device(wanted: &str) -> anyhow::Result<ComputeDevice> {
    Ok(pollster::block_on(device::open(wanted))?)
}

/// What a command works with, said before its work begins: data, network, device, where it writes.
fn say_opening(rows: &[(&str, String)]) {
    for (what, value) in rows {
        say!("{:<9} {value}", format!("{what}:"));
    }
}

/// The rows of [`say_opening`] that every computing command has.
fn device_row(device: &ComputeDevice) -> (&'static str, String) {
    let threads = match device.is_cpu() {
        true => format!(", {} threads", rayon::current_num_threads()),
        false => String::new(),
    };
    ("Device", format!("{}{threads}", device.description))
}

/// Checks that a file to write is not there yet.
fn check_free(out: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !out.exists(),
        "{} already exists; nothing is ever overwritten. Choose another --out",
        out.display()
    );
    Ok(())
}
