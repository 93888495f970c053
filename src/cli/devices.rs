//! The command `jempp devices`: lists the graphics adapters, and checks whether one computes what the CPU computes.

use clap::Args;

use super::{device_row, open_device, say_opening, tune::TuneArgs};
use crate::{
    bench::DeviceCheck,
    device::{self, AdapterSummary},
    kernel_choices::Tuning,
    say::say,
};

#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    /// Compare every kernel and two networks on this adapter with the CPU, and measure its rates: an adapter's index,
    /// name or graphics API, auto or gpu, or all. Default: the best adapter, even if it is a software one. Exit status 1 if
    /// something differs.
    #[arg(long, value_name = "ADAPTER", num_args = 0..=1, default_missing_value = "auto")]
    check: Option<String>,
    /// Print the list as JSON; with --check, a list of one result per adapter.
    #[arg(long)]
    json: bool,
}

/// Lists the adapters, or checks those that are asked for.
pub(super) fn run(args: &DevicesArgs) -> anyhow::Result<()> {
    let adapters = pollster::block_on(device::list());
    let Some(wanted) = &args.check else { return list(&adapters, args.json) };
    let checks = wanted_adapters(wanted, &adapters)?
        .iter()
        .map(|adapter| check(adapter, args.json))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&checks)?);
    }
    conclude(&checks)
}

fn list(adapters: &[AdapterSummary], json: bool) -> anyhow::Result<()> {
    if json {
        say!("{}", serde_json::to_string_pretty(adapters)?);
        return Ok(());
    }
    for adapter in adapters {
        say!("{adapter}");
    }
    say!("cpu  CPU back end (always there)");
    say!("auto takes: {}", open_device("auto")?.description);
    Ok(())
}

/// The adapters to check, as [`device::open`] takes them.
fn wanted_adapters(wanted: &str, adapters: &[AdapterSummary]) -> anyhow::Result<Vec<String>> {
    let Some(first) = adapters.first() else {
        anyhow::bail!(
            "no graphics adapter found, so there is nothing to check. Install the driver of your GPU (on Linux its \
             Vulkan driver); until then, everything runs on the CPU"
        );
    };
    if wanted == "cpu" {
        anyhow::bail!(
            "the CPU needs no check: adapters are compared with it. --check takes one that `jempp devices` lists"
        );
    }
    Ok(match wanted {
        "all" => adapters.iter().map(|adapter| adapter.index.to_string()).collect(),
        // `auto` would take the CPU in place of a software adapter.
        "auto" if !adapters.iter().any(AdapterSummary::is_hardware) => {
            vec![first.index.to_string()]
        }
        _ => vec![wanted.to_string()],
    })
}

fn check(adapter: &str, json: bool) -> anyhow::Result<DeviceCheck> {
    let device = TuneArgs::default().open(adapter, Tuning::On)?;
    // With --json, print nothing but JSON.
    if !json && !device.is_cpu() {
        say_opening(&[
            ("Check", "every kernel and two networks, compared with the CPU".to_string()),
            device_row(&device),
        ]);
    }
    let check = DeviceCheck::run(&device)?;
    if !json {
        say!("\n{}", check.to_string().trim_end());
    }
    Ok(check)
}

/// `Ok` if every checked adapter agrees with the CPU.
///
/// # Errors
/// The first adapter that differs, with what differs.
pub fn conclude(checks: &[DeviceCheck]) -> anyhow::Result<()> {
    Ok(checks.iter().try_for_each(DeviceCheck::verdict)?)
}
