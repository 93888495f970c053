//! How well a network classifies a data set: accuracy, calibration error and mean energy, as training measures them
//! after an epoch. The full report of `jempp eval` is the room `eval`.

mod tally;

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

use crate::{
    data::Dataset,
    device::{ReadError, read},
    energy::energy_of_logits,
    model::{Network, Pass},
};

pub use tally::{NUM_BINS, ReliabilityBin, Tally, predicted};

/// Accuracy, calibration and mean energy of a network on a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// The share of images that are classified correctly.
    pub accuracy: f64,
    /// Expected calibration error: the mean distance of confidence max p(y|x) from accuracy over 20
    /// equally wide bins, weighted by the number of their images (Guo et al., arXiv:1706.04599).
    pub calibration_error: f64,
    /// Mean energy of the images.
    pub mean_energy: f64,
}

/// Accuracy, calibration and mean energy of `network`, with batch norm on its running statistics.
///
/// # Errors
/// The device failed.
pub async fn accuracy(
    network: &Network,
    dataset: &Dataset,
    device: &Device,
) -> Result<Accuracy, ReadError> {
    match accuracy_unless(&|| false, network, dataset, device).await? {
        Some(accuracy) => Ok(accuracy),
        None => unreachable!("nothing stops it"),
    }
}

/// Measures as [`accuracy`] does, or gives `None` once `stop` says so between two batches.
///
/// # Errors
/// The device failed.
pub async fn accuracy_unless(
    stop: &dyn Fn() -> bool,
    network: &Network,
    dataset: &Dataset,
    device: &Device,
) -> Result<Option<Accuracy>, ReadError> {
    let network = network.valid().freeze();
    let [c, h, w] = dataset.shape;
    let (mut tally, mut energy) = (Tally::default(), 0.0f64);
    let at_once = network.images_at_once([h, w], Pass::Forward);
    for first in (0..dataset.len()).step_by(at_once) {
        if stop() {
            return Ok(None);
        }
        let indices = first..(first + at_once).min(dataset.len());
        let values = dataset.gather(indices.clone());
        let data = TensorData::new(values, [indices.len(), c, h, w]);
        let logits = network.logits(Tensor::<4>::from_data(data, device));
        let (logits, energies) = read((logits.clone(), energy_of_logits(logits))).await?;
        // One by one: the sum must not depend on how many come at once.
        energies.iter().for_each(|&e| energy += f64::from(e));
        tally.add(&logits, &dataset.labels[indices], dataset.num_classes());
    }
    Ok(Some(Accuracy {
        accuracy: tally.accuracy(),
        calibration_error: tally.calibration_error(),
        mean_energy: energy / dataset.len().max(1) as f64,
    }))
}
