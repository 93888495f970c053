//! The works themselves.

use std::str::FromStr;

use serde::Serialize;

use crate::{config::Norm, device::ComputeDevice};

/// Langevin steps of a batch of chains through one network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepWork {
    /// Name in reports.
    pub name: String,
    /// Network, as in `model.arch`.
    pub arch: String,
    /// Norm, as in `model.norm`.
    pub norm: Norm,
    /// Chains.
    pub batch_size: usize,
    /// Channels of the images.
    pub channels: usize,
    /// Height and width of the images.
    pub image_size: usize,
}

/// Something to time.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Steps of chains.
    Steps(StepWork),
    /// W4: whole training iterations, `cnn-base` on the embedded images, batch 64: JEM++ with M = 10
    /// against JEM with K = 20.
    Training,
}

impl Work {
    const NAMES: [&str; 5] = ["W1", "W2", "W3", "W3-batch-norm", "W4"];

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Steps(work) => &work.name,
            Self::Training => Self::NAMES[4],
        }
    }

    /// Every fixed work, or the two that a program imitating a GPU does within a minute.
    pub fn fixed(device: &ComputeDevice) -> Vec<Self> {
        let count = if device.is_software_adapter() { 2 } else { Self::NAMES.len() };
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
            "W1" => steps("cnn-base", Norm::None, 64, 1, 28),
            "W2" => steps("cnn-tiny", Norm::None, 64, 1, 8),
            "W3" => steps("wrn-16-4", Norm::None, 16, 3, 32),
            "W3-batch-norm" => steps("wrn-16-4", Norm::Batch, 16, 3, 32),
            "W4" => Ok(Self::Training),
            _ => Err(format!("no work `{name}`; there are {}", Self::NAMES.join(", "))),
        }
    }
}
