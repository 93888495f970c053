//! Training iterations with the network and the recipe of the paper, on noise in place of CIFAR-10.

use std::{fmt, time::Instant};

use serde::Serialize;

use super::{BenchError, median};
use crate::{
    config::RunConfig, data::Dataset, device::ComputeDevice, kernel_check::scrambled,
    memory::Demand, trainer::Trainer,
};

/// The costs of JEM++ iterations of the preset `paper-cifar10`, in milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct PaperTraining {
    /// The first iteration, which includes the compilation of pipelines.
    pub first_ms: f64,
    /// The median of the iterations after it.
    pub step_ms: f64,
}

/// The number of images of noise, enough for the class centres and a few batches.
const NUM_IMAGES: usize = 200;
const NUM_CLASSES: usize = 10;
const SHAPE: [usize; 3] = [3, 32, 32];

fn config() -> Result<RunConfig, BenchError> {
    Ok(RunConfig::preset("paper-cifar10")?)
}

/// Estimates the memory of an iteration.
///
/// # Errors
/// The preset has no network.
pub(super) fn demand(device: &ComputeDevice) -> Result<Demand, BenchError> {
    Ok(Demand::of_training(&config()?, SHAPE, NUM_CLASSES, NUM_IMAGES, &device.device)?)
}

/// Times training iterations.
///
/// # Errors
/// The run needs more memory than allowed, or an iteration diverges.
pub(super) fn time(
    repetitions: usize,
    device: &ComputeDevice,
) -> Result<PaperTraining, BenchError> {
    let config = config()?;
    let labels = (0..NUM_IMAGES as u32).map(|image| image % NUM_CLASSES as u32).collect();
    let names = (0..NUM_CLASSES).map(|class| class.to_string()).collect();
    let noise = scrambled(NUM_IMAGES * SHAPE.iter().product::<usize>(), 1);
    let train = Dataset::from_floats(noise, labels, SHAPE, names)?;
    let mut trainer = Trainer::new(config, train, &device.device)?;
    let mut iteration = || -> Result<f64, BenchError> {
        let begin = Instant::now();
        pollster::block_on(trainer.step())?;
        device.wait(());
        Ok(begin.elapsed().as_secs_f64() * 1e3)
    };
    let first_ms = iteration()?;
    let rest = (0..repetitions).map(|_| iteration()).collect::<Result<_, _>>()?;
    Ok(PaperTraining { first_ms, step_ms: median(rest) })
}

impl fmt::Display for PaperTraining {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "W5-training: JEM++ iteration of WRN-28-10, batch 64, M = 10, in ms")?;
        writeln!(f, "  first iteration        {:>10.1}", self.first_ms)?;
        writeln!(f, "  iteration, median      {:>10.1}", self.step_ms)
    }
}
