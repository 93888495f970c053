//! The workloads of the benchmark.

use std::str::FromStr;

use serde::Serialize;

use crate::{config::Norm, device::ComputeDevice};

/// A workload of Langevin steps: a batch of chains through one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepWork {
    /// The name in reports.
    pub name: String,
    /// The network, as in `model.arch`.
    pub arch: String,
    /// The normalisation layers, as in `model.norm`.
    pub norm: Norm,
    /// The number of chains.
    pub batch_size: usize,
    /// The number of channels of the images.
    pub channels: usize,
    /// The height and width of the images.
    pub image_size: usize,
}

impl StepWork {
    /// W1: 64 chains of 28×28 images through `cnn-base`.
    pub fn w1() -> Self {
        let (name, arch) = ("W1".to_string(), "cnn-base".to_string());
        Self { name, arch, norm: Norm::None, batch_size: 64, channels: 1, image_size: 28 }
    }
}

/// A workload of the benchmark.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Langevin steps of a batch of chains.
    Steps(StepWork),
    /// W4: whole training iterations of `cnn-base` on the embedded images with batch size 64: JEM++ with M = 10 and
    /// JEM with K = 20.
    Training,
    /// W5-training: whole training iterations of the preset `paper-cifar10` (WRN-28-10, batch size 64) on noise.
    PaperTraining,
}

impl Work {
    const NAMES: [&str; 7] = ["W1", "W2", "W3", "W3-batch-norm", "W4", "W5", "W5-training"];
    /// W5, the network of the paper, runs only if it is asked for: it needs a large GPU.
    const NUM_DEFAULT: usize = 5;

    /// The name of the workload.
    pub fn name(&self) -> &str {
        match self {
            Self::Steps(work) => &work.name,
            Self::Training => Self::NAMES[4],
            Self::PaperTraining => Self::NAMES[6],
        }
    }

    /// The fixed workloads W1 to W4, or only two on a software adapter, so that the benchmark takes less than a minute.
    pub fn fixed(device: &ComputeDevice) -> Vec<Self> {
        let count = if device.is_software_adapter() { 2 } else { Self::NUM_DEFAULT };
        Self::NAMES.iter().take(count).filter_map(|name| name.parse().ok()).collect()
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let steps = |arch: &str, norm, batch_size, channels, image_size| {
            let (name, arch) = (name.to_string(), arch.to_string());
            Ok(Self::Steps(StepWork { name, arch, norm, batch_size, channels, image_size }))
        };
        match name {
            "W1" => Ok(Self::Steps(StepWork::w1())),
            "W2" => steps("cnn-tiny", Norm::None, 64, 1, 8),
            "W3" => steps("wrn-16-4", Norm::None, 16, 3, 32),
            "W3-batch-norm" => steps("wrn-16-4", Norm::Batch, 16, 3, 32),
            "W4" => Ok(Self::Training),
            "W5" => steps("wrn-28-10", Norm::Batch, 64, 3, 32),
            "W5-training" => Ok(Self::PaperTraining),
            _ => Err(format!("no work `{name}`; there are {}", Self::NAMES.join(", "))),
        }
    }
}
