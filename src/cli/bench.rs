//! The command `jempp bench`: times energy gradients, sampler steps and training iterations.

use clap::Args;

use super::{device_row, memory_row, say_opening, tune::TuneArgs};
use crate::{
    bench::{self, StepWork, Work},
    config::Norm,
    counts::counted,
    device::ComputeDevice,
    kernel_choices::Tuning,
    say::say,
};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Compute device: auto, gpu, cpu, or an adapter's index, name or graphics API, as in vulkan.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    tune: TuneArgs,
    /// Fixed workloads to time, comma-separated: W1, W2, W3, W3-batch-norm, W4, W5, W5-training. Default: W1 to W4,
    /// or W1 and W2 on a software adapter.
    #[arg(long, value_delimiter = ',', conflicts_with = "arch")]
    works: Vec<Work>,
    /// Time steps through this network instead; the names are those of model.arch.
    #[arg(long)]
    arch: Option<String>,
    /// Number of chains, with --arch.
    #[arg(long, requires = "arch", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch_size: u16,
    /// Height and width of the images, with --arch.
    #[arg(long, requires = "arch", default_value_t = 28, value_parser = clap::value_parser!(u16).range(4..=512))]
    image_size: u16,
    /// Timed repetitions of each measurement.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..))]
    repetitions: u16,
    /// Print the timings as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark and prints the timings.
pub(super) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let device = args.tune.open(&args.device, Tuning::On)?;
    let works = works(args, &device);
    // With --json, print nothing but JSON.
    if !args.json {
        let names: Vec<&str> = works.iter().map(Work::name).collect();
        let repetitions = counted(args.repetitions.into(), "repetition", "repetitions");
        say_opening(&[
            ("Works", format!("{}, {repetitions} of each part", names.join(", "))),
            device_row(&device),
            memory_row(bench::demand(&works, &device)?),
        ]);
    }
    let report = bench::run(&works, args.repetitions.into(), &device)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say!("{}", report.to_string().trim_end());
    }
    Ok(())
}

fn works(args: &BenchArgs, device: &ComputeDevice) -> Vec<Work> {
    let Some(arch) = &args.arch else {
        return if args.works.is_empty() { Work::fixed(device) } else { args.works.clone() };
    };
    vec![Work::Steps(StepWork {
        name: "steps".to_string(),
        arch: arch.clone(),
        norm: Norm::None,
        batch_size: args.batch_size.into(),
        channels: if arch.starts_with("wrn") { 3 } else { 1 },
        image_size: args.image_size.into(),
    })]
}
