//! The command line of the program: its commands and their entry points.

#[allow(dead_code, reason = "how much of it is used depends on the features")]
mod absent;
mod advice;
mod bench;
mod data;
pub mod devices;
mod eval;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(feature = "fetch")]
mod fetch_model;
#[cfg(feature = "fetch")]
mod fetched;
#[cfg(feature = "pytorch")]
mod interop;
mod merge;
mod opening;
mod pack;
mod parts;
mod processes;
mod progress;
mod ranks;
#[cfg(feature = "report")]
mod report;
mod sample;
mod settings;
mod steps;
mod sweep;
mod train;
mod tune;
mod used;
#[cfg(feature = "gui")]
mod view;

use std::io::Write as _;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::{
    config::{AUTO, PRESETS, RunConfig},
    counts::counted,
    device::{self, ComputeDevice},
    say::{self, complain, say},
    signals,
};
#[cfg(not(feature = "pytorch"))]
use absent::interop;
#[cfg(not(feature = "report"))]
use absent::report;
#[cfg(not(feature = "gui"))]
use absent::view;
#[cfg(not(feature = "fetch"))]
use absent::{fetch, fetch_model, fetched};

/// Joint energy-based models (JEM++) on any GPU: train a classifier that is also a generative model,
/// and watch its Langevin chains turn class centres into images.
#[derive(Debug, Parser)]
#[command(
    name = "jempp",
    version,
    after_help = "Examples:
  jempp                                     open the window; with no display, train and sample (minutes)
  jempp train --preset toy-two-moons --out runs/moons
  jempp train --data ~/pictures/mushrooms --out runs/mushrooms
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
    /// Train a model and write its checkpoints and measurements to a folder.
    #[command(after_help = "Examples:
  jempp train --preset fashion-quick --out runs/first
  jempp train --data ~/pictures/mushrooms --out runs/mushrooms
  jempp train --preset fashion-showcase --data ~/fashion-mnist --out runs/full --seed 3
  jempp train --preset fashion-quick --out runs/sgld --set sampler.kind=sgld --set sampler.noise_std=0.01
  jempp train --resume runs/first")]
    Train(train::TrainArgs),
    /// Do many training runs from one file: a grid or a list of settings, times seeds; run the command again to continue.
    #[command(after_help = "FILE, as an example:
  preset = \"fashion-quick\"
  seeds = [0, 1, 2]
  [set]                       # for all runs
  training.epochs = 4
  [grid]                      # every combination
  optimizer.learning_rate = [1e-3, 1e-4]
  sampler.kind = [\"sgld\", \"pyld\"]

[[run]] with a name lists single settings. Each run has its folder, its log and its record in the sweep's folder.

Examples:
  jempp sweep rates.toml
  jempp sweep rates.toml --jobs 2 --out sweeps/rates-cpu --device cpu
  jempp sweep rates.toml --list
  jempp sweep rates.toml --task $SLURM_ARRAY_TASK_ID")]
    Sweep(sweep::SweepArgs),
    /// Compare training runs: a page with curves, tables and samples, and the same as CSV, LaTeX, SVG and PNG.
    #[command(
        after_help = "Runs that differ only in their seed make one setting: its curves get a band, its figures a spread.
A run may still be going.

Examples:
  jempp report runs/first
  jempp report runs/first runs/sgld --name JEM++ --name SGLD --out compared
  jempp report sweeps/rates --out rates"
    )]
    Report(report::ReportArgs),
    /// Draw samples from a bundled or trained model: grid.png, chains.gif and traces.csv.
    #[command(after_help = "Examples:
  jempp sample
  jempp sample --model mnist --class 3 --class 8 --steps 200
  jempp sample --checkpoint runs/first/checkpoint.safetensors --out runs/first-samples
  jempp sample --out runs/bags --class Bag --per-class 16 --steps 200
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
    /// Make the whole results of `jempp sample` or `jempp eval` from the parts that `--shard` made.
    #[command(
        after_help = "All parts must be present and must belong together: one model, seed, version, data and settings. The files
are those of the whole command: the same samples, numbers and intervals. Only seconds, device and command differ.

Examples:
  jempp sample --shard 1/2 --out part1
  jempp sample --shard 2/2 --out part2
  jempp merge runs/samples part1 part2"
    )]
    Merge(merge::MergeArgs),
    /// Write a trained model to a small file, weights and class centres in half precision, with a model card beside it.
    #[command(after_help = "Examples:
  jempp pack --checkpoint runs/first/checkpoint.safetensors --out first.safetensors
  jempp pack --checkpoint runs/first --out first.safetensors --results runs/eval/results.json --license mit
  jempp sample --checkpoint first.safetensors")]
    Pack(pack::PackArgs),
    /// Look at your own data before training on it: sizes, classes, what is skipped, warnings, a contact sheet.
    #[command(
        after_help = "PATH is a folder with one folder of pictures per class, perhaps in train/ and test/; a .npz or .npy
file; an IDX file or a folder of them; or a table x,y,label of points in the plane.

Examples:
  jempp data ~/pictures/mushrooms
  jempp data ~/pictures/mushrooms --out sheet.png --set data.size=48 --set data.fit=pad
  jempp data digits.npz --json
  jempp train --data ~/pictures/mushrooms --out runs/mushrooms"
    )]
    Data(data::DataArgs),
    /// Download a data set and check it; run the command again to resume a broken download.
    #[command(after_help = "Environment:
  JEMPP_CACHE   folder for all data sets and for choices of kernels, instead of jempp in the user's cache folder
  JEMPP_MIRROR  address of your own mirror, the only source: <address>/<DATASET>/<file>
  HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY  a proxy, and the hosts that are reached without it
  SSL_CERT_FILE, SSL_CERT_DIR  trusted certificates instead of the system's, as a proxy may need

Examples:
  jempp fetch mnist
  jempp fetch cifar10 --out ~/cifar10
  JEMPP_MIRROR=http://mirror.example/data jempp fetch svhn")]
    Fetch(fetch::FetchArgs),
    /// Download a model that someone shares, from the Hugging Face Hub or any address, and show its SHA-256.
    #[command(after_help = "Environment:
  JEMPP_CACHE   folder for models, instead of jempp in the user's cache folder
  HF_ENDPOINT   address of a mirror of the Hugging Face Hub

Examples:
  jempp fetch-model hf:OWNER/NAME
  jempp fetch-model https://host.example/garments.safetensors#sha256=…
  jempp view --checkpoint hf:OWNER/NAME          fetches it too, the first time")]
    FetchModel(fetch_model::FetchModelArgs),
    /// Import a PyTorch checkpoint of the official JEM++ code, without running any code in it.
    #[command(after_help = "Examples:
  jempp import last_ckpt.pt --out runs/jempp/checkpoint.safetensors
  jempp import svhn.pt --out svhn.safetensors --arch wrn-28-10 --device cpu
  jempp import last_ckpt.pt --out runs/jempp/checkpoint.safetensors --dataset cifar10 --data ~/cifar10
  jempp train --resume runs/jempp --data ~/cifar10 --set optimizer.learning_rate=0.001")]
    Import(interop::ImportArgs),
    /// Export a model: its tensors with PyTorch's names and layouts, or its network as an ONNX file.
    #[command(after_help = "Examples:
  jempp export --checkpoint runs/first/checkpoint.safetensors --out model.safetensors
  jempp export --safetensors --no-buffer --out fashion.safetensors
  jempp export --checkpoint runs/first --out model.onnx
  python3 -c \"from safetensors.torch import load_file; print(load_file('model.safetensors').keys())\"")]
    Export(interop::ExportArgs),
    /// List the graphics adapters and the one that `auto` selects, or check one.
    #[command(after_help = "Examples:
  jempp devices
  jempp devices --check
  jempp devices --check 1 --json
  jempp devices --check all > check.txt")]
    Devices(devices::DevicesArgs),
    /// Time energy gradients, proximal and PYLD steps, and training iterations on this machine.
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

/// The commands whose result is what they print.
const PRINTING: [&str; 4] = ["config", "data", "devices", "bench"];

/// Parses and runs the command line of this process; returns the exit status.
pub fn main() -> u8 {
    let parsed = command().try_get_matches();
    match parsed.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches))) {
        Ok((cli, matches)) => {
            let command = matches.subcommand_name();
            let is_part = matches
                .subcommand()
                .is_some_and(|(_, given)| given.try_contains_id("shard").unwrap_or(false));
            let checked = processes::check_single(command, is_part);
            exit_status(checked.and_then(|()| run(cli)), command)
        }
        Err(error) => unparsed(&error),
    }
}

/// The command line, in which a negative number is a value and not an unknown option.
fn command() -> clap::Command {
    let takes_numbers = |argument: clap::Arg| match argument.get_action().takes_values() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    };
    absent::mark(Cli::command()).mut_subcommands(|command| command.mut_args(takes_numbers))
}

/// Prints the help or the complaint of the parser; returns the exit status. Of several processes, only one prints.
fn unparsed(error: &clap::Error) -> u8 {
    let status = u8::try_from(error.exit_code()).unwrap_or(1);
    if status == 0 && processes::is_later_rank() {
        return status;
    }
    processes::let_first_speak();
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(lost) if !error.use_stderr() => {
            say::lose(lost);
            exit_status(Ok(()), Some(PRINTING[0]))
        }
        _ => status,
    }
}

/// The exit status for the result of a command; prints its error as one line.
pub fn exit_status(result: anyhow::Result<()>, command: Option<&str>) -> u8 {
    let prints = command.is_some_and(|command| PRINTING.contains(&command));
    let result = result.and_then(|()| match say::lost() {
        Some(error) if !prints => {
            complain!("warning: not all could be written to stdout: {error}");
            Ok(())
        }
        _ => check_printed(),
    });
    match result {
        // A command that was stopped by a signal and has saved its work returns the status of the signal.
        Ok(()) => signals::exit_status().unwrap_or(0),
        Err(error) => {
            print_error(&error, command);
            1
        }
    }
}

/// Checks that all could be printed, for what is done only to be printed.
fn check_printed() -> anyhow::Result<()> {
    match say::lost() {
        Some(error) => Err(anyhow::anyhow!("cannot write to stdout: {error}")),
        None => Ok(()),
    }
}

/// Prints an error as one line, with advice if there is some for this command.
fn print_error(error: &anyhow::Error, command: Option<&str>) {
    let line = say::one_line(error);
    match advice::advice(error, command) {
        Some(advice) => complain!("error: {}. {advice}", line.trim_end_matches('.')),
        None => complain!("error: {line}"),
    }
}

/// Runs a parsed command line.
///
/// # Errors
/// The error that stopped the command, in one line for a person.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => main_job(),
        Some(Command::View(args)) => view::run(&args),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Sweep(args)) => sweep::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Sample(args)) => sample::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Pack(args)) => pack::run(&args),
        Some(Command::Data(args)) => data::run(&args),
        Some(Command::Fetch(args)) => fetch::run(&args),
        Some(Command::FetchModel(args)) => fetch_model::run(&args),
        Some(Command::Import(args)) => interop::import(&args),
        Some(Command::Export(args)) => interop::export(&args),
        Some(Command::Devices(args)) => devices::run(&args),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Config { preset }) => config(preset.as_deref()),
    }
}

/// Opens the window; without a display, runs the job that needs none.
fn main_job() -> anyhow::Result<()> {
    let Err(error) = view::run(&view::ViewArgs::default()) else { return Ok(()) };
    say!("{error:#}.");
    match cfg!(feature = "gui") {
        true => say!(
            "The window needs a display (on Linux an X or Wayland session, over ssh `ssh -X`) and a Vulkan, Metal or \
             DX12 driver (a software one will do: mesa-vulkan-drivers); then `jempp` opens it. Continuing \
             without a window."
        ),
        false => say!("Continuing without a window."),
    }
    train::quick()
}

fn config(preset: Option<&str>) -> anyhow::Result<()> {
    let config = match preset {
        Some(name) => RunConfig::preset(name)?,
        None => {
            say!("# Presets; --data PATH names a data set's files, or your own:");
            say!(
                "#   {AUTO:<20} The recipe that fits the data and the device; what --data PATH alone takes"
            );
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

/// Prints what a command works with before its work starts: data, network, device, output folder.
fn say_opening(rows: &[(&str, String)]) {
    for (what, value) in rows {
        say!("{:<9} {value}", format!("{what}:"));
    }
}

/// The row of [`say_opening`] for the estimate of the memory that the work needs.
fn memory_row(demand: impl ToString) -> (&'static str, String) {
    ("Memory", demand.to_string())
}

/// The row of [`say_opening`] for the compute device, which every computing command prints.
fn device_row(device: &ComputeDevice) -> (&'static str, String) {
    let threads = match device.is_cpu() {
        true => format!(", {}", counted(rayon::current_num_threads(), "thread", "threads")),
        false => String::new(),
    };
    ("Device", format!("{}{threads}", device.description))
}
