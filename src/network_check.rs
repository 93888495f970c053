//! Compares energies and input gradients of whole networks on one device with those of the CPU back end. The command that
//! checks devices and the page use these comparisons.

use burn::tensor::Device;

use crate::{
    config::{ModelConfig, Norm},
    device,
    energy::{Energy, JointEnergy},
    kernel_check::Comparison,
    kernels,
    model::{ModelError, Network},
    streams,
};

/// The networks that are compared: architecture, norm, number of images, and shape of an image. They have every layer:
/// strides, shortcuts, batch normalisation, both kernel sizes.
const NETWORKS: [(&str, Norm, usize, [usize; 3]); 2] =
    [("cnn-base", Norm::None, 8, [1, 28, 28]), ("wrn-16-4", Norm::Batch, 4, [3, 32, 32])];
/// A page compares only the first: a software adapter takes minutes for the other there.
const NUM_NETWORKS: usize = if cfg!(target_arch = "wasm32") { 1 } else { NETWORKS.len() };
const NUM_CLASSES: usize = 10;
/// The largest difference of an energy, as a share of 1 + its size.
const ENERGY_ERROR: f32 = 1e-4;
/// The largest root mean square of the differences of a gradient, as a share of that of the gradient. An activation
/// within rounding of zero may have either slope, so a few pixels may differ by more than rounding.
const GRADIENT_ERROR: f32 = 1e-2;

/// Compares networks with random weights, two of them or in a page one. Calls `seen` with each comparison as soon as it is made.
///
/// # Errors
/// A network cannot be built.
pub async fn check_all(
    device: &Device,
    mut seen: impl FnMut(&Comparison),
) -> Result<Vec<Comparison>, ModelError> {
    let mut all = Vec::new();
    for (arch, norm, batch_size, shape) in NETWORKS.into_iter().take(NUM_NETWORKS) {
        let config = ModelConfig { arch: arch.to_string(), norm, ..ModelConfig::default() };
        let found = check(&config, batch_size, shape, device).await?;
        all.extend(found.into_iter().inspect(&mut seen));
    }
    Ok(all)
}

/// Compares one network.
async fn check(
    config: &ModelConfig,
    batch_size: usize,
    shape: [usize; 3],
    device: &Device,
) -> Result<Vec<Comparison>, ModelError> {
    let [channels, height, width] = shape;
    let mut results = Vec::new();
    for device in [device, &device::cpu()] {
        let network = Network::new(config, shape, NUM_CLASSES, 0, device)?;
        let noise = streams::UNUSED.key(0, 0);
        let x = kernels::uniform_start([batch_size, channels, height, width], noise, device);
        let found = JointEnergy::new(&network).gradient(x);
        match device::read((found.energy, found.gradient)).await {
            Ok(values) => results.push(values),
            Err(error) => return Ok(vec![Comparison::failed(&config.arch, error.to_string())]),
        }
    }
    let (found, expected) = (&results[0], &results[1]);
    let mut energies = Comparison::new(&config.arch, "energies, relative", ENERGY_ERROR);
    energies.add_relative(&found.0, &expected.0);
    let mut gradients = Comparison::new(&config.arch, "input gradients, relative", GRADIENT_ERROR);
    let differences: Vec<f32> = found.1.iter().zip(&expected.1).map(|(a, b)| a - b).collect();
    gradients.add_difference(norm_of(&differences) / norm_of(&expected.1), expected.1.len());
    Ok(vec![energies, gradients])
}

/// The Euclidean norm.
fn norm_of(values: &[f32]) -> f32 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt() as f32
}
