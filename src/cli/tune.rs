//! The option `--tune`: whether the fastest kernels of a GPU are measured.

use anyhow::ensure;
use clap::{Args, ValueEnum};

use crate::{
    device::{self, ComputeDevice},
    kernel_choices::Tuning,
    say::complain,
};

/// The option of every command that computes on a GPU.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(super) struct TuneArgs {
    /// How a GPU's kernels are chosen: on, again or off. `on` takes the fastest: kernels for new layers are timed
    /// once, in about two seconds, and the choice is kept in the cache folder. `again` times all of them again. `off`
    /// times nothing and goes by the GPU's vendor [default: on; `train --resume` uses the choices in the cache and times
    /// nothing].
    #[arg(long, value_name = "WHEN", hide_possible_values = true)]
    tune: Option<Tune>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tune {
    Off,
    On,
    Again,
}

impl TuneArgs {
    /// Opens the device `wanted`, and chooses its kernels as the option says, or else by `default`.
    pub(super) fn open(self, wanted: &str, default: Tuning) -> anyhow::Result<ComputeDevice> {
        self.open_nth(wanted, 0, default)
    }

    /// As [`Self::open`], for one of the programs that share this computer, from 0.
    pub(super) fn open_nth(
        self,
        wanted: &str,
        nth: usize,
        default: Tuning,
    ) -> anyhow::Result<ComputeDevice> {
        self.start(wanted, default)?;
        let device = pollster::block_on(device::open_nth(wanted, nth))?;
        if self.tune.is_some() && (device.is_cpu() || device.is_software_adapter()) {
            complain!(
                "warning: --tune is not used: it is for GPUs, and this is the {}",
                device.description
            );
        }
        Ok(device)
    }

    /// Chooses the kernels of the device `wanted`, which is opened later.
    pub(super) fn start(self, wanted: &str, default: Tuning) -> anyhow::Result<()> {
        ensure!(
            self.tune.is_none() || wanted != "cpu",
            "--tune is not used: it is for GPUs, and --device is cpu"
        );
        let tuning = match self.tune {
            None => default,
            Some(Tune::Off) => Tuning::Off,
            Some(Tune::On) => Tuning::On,
            Some(Tune::Again) => Tuning::Again,
        };
        tuning.start(|sentence| complain!("warning: {sentence}"));
        Ok(())
    }
}
