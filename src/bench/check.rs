//! The check of a graphics adapter: whether it computes what the CPU computes, and how fast.

use std::{fmt, time::Instant};

use serde::Serialize;

use super::{BenchError, Ceilings, KernelChoices, StepWork, Works, millis};
use crate::{
    device::{AdapterSummary, ComputeDevice},
    kernel_check::{self, Comparison, Extent},
    network_check,
};

/// What an adapter computes next to the CPU, and its speed.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceCheck {
    /// The version of this program.
    pub version: &'static str,
    /// The operating system and the processor type that the program was built for.
    pub system: String,
    /// The adapter, its driver and its limits.
    pub adapter: AdapterSummary,
    /// Whether every comparison agrees.
    pub agrees: bool,
    /// Kernels compared with their CPU twins, then networks with the CPU back end.
    pub comparisons: Vec<Comparison>,
    /// The peak rates of the adapter.
    pub ceilings: Ceilings,
    /// The fastest energy gradient of W1, in milliseconds.
    pub gradient_ms: f64,
    /// The rate of that gradient, in 10⁹ operations per second.
    pub gradient_gflops: f64,
    /// The variants of the kernels that computed the layers of the networks.
    pub kernels: KernelChoices,
    /// The duration of the check, in seconds.
    pub secs: f64,
}

/// An adapter computes something else than the CPU.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "`{adapter}` differs from the CPU in {num_differing} of {num_compared} comparisons: {names}"
)]
pub struct Differs {
    /// The name of the adapter.
    pub adapter: String,
    /// The kernels and networks that differ, separated by commas.
    pub names: String,
    /// The number of comparisons that differ.
    pub num_differing: usize,
    /// The number of all comparisons.
    pub num_compared: usize,
}

impl DeviceCheck {
    /// Compares every kernel and two networks on an adapter with the CPU, and measures its rates. This takes seconds on
    /// a GPU and less than a minute on a software adapter.
    ///
    /// # Errors
    /// The device is the CPU back end, with which adapters are compared, or a network cannot be built.
    pub fn run(device: &ComputeDevice) -> Result<Self, BenchError> {
        let kernels = kernel_check::check_all(&device.device, Extent::Full, |_| ());
        Self::of(|| pollster::block_on(kernels), device)
    }

    /// Does the same as [`DeviceCheck::run`] with comparisons of other kernels.
    ///
    /// # Errors
    /// The same errors as [`DeviceCheck::run`].
    pub fn of(
        kernels: impl FnOnce() -> Vec<Comparison>,
        device: &ComputeDevice,
    ) -> Result<Self, BenchError> {
        let begin = Instant::now();
        let adapter = device.adapter().ok_or(BenchError::NothingToCheck)?.clone();
        let mut comparisons = kernels();
        let networks = network_check::check_all(&device.device, |_| ());
        comparisons.extend(pollster::block_on(networks)?);
        let ceilings = Ceilings::measure(device);
        let works = Works::new(&StepWork::w1(), device)?;
        let gradient_ms = fastest_millis(|| works.gradient());
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            adapter,
            agrees: comparisons.iter().all(|comparison| comparison.agrees),
            comparisons,
            ceilings,
            gradient_ms,
            gradient_gflops: works.gradient_gflop / gradient_ms * 1e3,
            kernels: KernelChoices::so_far(device),
            secs: begin.elapsed().as_secs_f64(),
        })
    }

    /// `Ok` if every comparison agrees.
    ///
    /// # Errors
    /// The kernels and networks that differ.
    pub fn verdict(&self) -> Result<(), Differs> {
        let differing: Vec<&str> =
            self.comparisons.iter().filter(|c| !c.agrees).map(|c| c.name.as_str()).collect();
        if differing.is_empty() {
            return Ok(());
        }
        let num_differing = differing.len();
        let mut names = differing;
        names.dedup();
        Err(Differs {
            adapter: self.adapter.name.clone(),
            names: names.join(", "),
            num_differing,
            num_compared: self.comparisons.len(),
        })
    }
}

/// The milliseconds of the fastest of three runs, after one that compiles.
fn fastest_millis(work: impl Fn()) -> f64 {
    work();
    (0..3).map(|_| millis(&work)).fold(f64::INFINITY, f64::min)
}

impl fmt::Display for DeviceCheck {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "jempp {} for {}", self.version, self.system)?;
        writeln!(f, "{}\n", self.adapter)?;
        writeln!(f, "{}", Comparison::HEADING)?;
        for comparison in &self.comparisons {
            writeln!(f, "{comparison}")?;
        }
        let Ceilings { fma_gflops, copy_gb_per_s } = self.ceilings;
        writeln!(f, "\nfused multiply-adds    {fma_gflops:>10.1} GFLOP/s")?;
        writeln!(f, "copy                   {copy_gb_per_s:>10.1} GB/s")?;
        writeln!(
            f,
            "energy gradient of W1  {:>10.1} GFLOP/s, {:.0} % of the multiply-adds ({:.2} ms)",
            self.gradient_gflops,
            100.0 * self.gradient_gflops / fma_gflops,
            self.gradient_ms
        )?;
        write!(f, "{}", self.kernels)?;
        let num_agreeing = self.comparisons.iter().filter(|comparison| comparison.agrees).count();
        writeln!(
            f,
            "\n{num_agreeing} of {} comparisons agree; {:.1} s",
            self.comparisons.len(),
            self.secs
        )
    }
}
