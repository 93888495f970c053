//! The accuracy, calibration error and mean energy of a network on a data set, as training measures them after an
//! epoch. The module `eval` makes the full report of `jempp eval`.

mod tally;
mod temperature;

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

pub use tally::{ReliabilityBin, Tally, predicted};
pub use temperature::fit_temperature;
use temperature::is_determined;

/// The accuracy, calibration error and mean energy of a network on a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// The share of images that are classified correctly.
    pub accuracy: f64,
    /// The expected calibration error: the mean difference between confidence max p(y|x) and accuracy over 20 equally
    /// wide bins, weighted by the number of their images (Guo et al., arXiv:1706.04599).
    pub calibration_error: f64,
    /// The mean energy of the images.
    pub mean_energy: f64,
}

/// Measures `network` on a data set; batch norm uses its running statistics.
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

/// Measures like [`accuracy`], but returns `None` if `stop` returns true between two batches.
///
/// # Errors
/// The device failed.
pub(crate) async fn accuracy_unless(
    stop: &dyn Fn() -> bool,
    network: &Network,
    dataset: &Dataset,
    device: &Device,
) -> Result<Option<Accuracy>, ReadError> {
    let (mut tally, mut energy) = (Tally::default(), 0.0f64);
    let mut add = |logits: &[f32], energies: &[f32], labels: &[u32]| {
        // Add them one by one, so that the sum does not depend on the batch size.
        energies.iter().for_each(|&e| energy += f64::from(e));
        tally.add(logits, labels, dataset.num_classes());
    };
    let is_done = for_each_batch(stop, network, dataset, device, &mut add).await?;
    Ok(is_done.then(|| Accuracy {
        accuracy: tally.accuracy(),
        calibration_error: tally.calibration_error(),
        mean_energy: energy / dataset.len().max(1) as f64,
    }))
}

/// The temperature that fits p(y|x) of `network` best to a data set that it was not trained on; see [`fit_temperature`].
/// `None` if the data determines none: for example if all of a few images are classified correctly, the colder the better, or if there is
/// only one class; or if `stop` returns true between two batches.
///
/// # Errors
/// The device failed.
pub(crate) async fn temperature(
    stop: &dyn Fn() -> bool,
    network: &Network,
    dataset: &Dataset,
    device: &Device,
) -> Result<Option<f64>, ReadError> {
    let mut all = Vec::with_capacity(dataset.len() * dataset.num_classes());
    let mut add = |logits: &[f32], _: &[f32], _: &[u32]| all.extend_from_slice(logits);
    if !for_each_batch(stop, network, dataset, device, &mut add).await? {
        return Ok(None);
    }
    let temperature = fit_temperature(&all, &dataset.labels, dataset.num_classes());
    Ok(Some(temperature).filter(|temperature| is_determined(*temperature)))
}

/// What is done with the logits (N, classes), energies (N) and labels (N) of a batch.
type Visit<'a> = dyn FnMut(&[f32], &[f32], &[u32]) + 'a;

/// Gives logits (N, classes), energies (N) and labels (N) of a data set to `visit`, batch by batch; batch norm uses its
/// running statistics. Returns false if `stop` returned true between two batches.
async fn for_each_batch(
    stop: &dyn Fn() -> bool,
    network: &Network,
    dataset: &Dataset,
    device: &Device,
    visit: &mut Visit<'_>,
) -> Result<bool, ReadError> {
    let network = network.valid().freeze();
    let [c, h, w] = dataset.shape;
    let at_once = network.images_at_once([h, w], Pass::Forward);
    for first in (0..dataset.len()).step_by(at_once) {
        if stop() {
            return Ok(false);
        }
        let indices = first..(first + at_once).min(dataset.len());
        let values = dataset.gather(indices.clone());
        let data = TensorData::new(values, [indices.len(), c, h, w]);
        let logits = network.logits(Tensor::<4>::from_data(data, device));
        let (logits, energies) = read((logits.clone(), energy_of_logits(logits))).await?;
        visit(&logits, &energies, &dataset.labels[indices]);
    }
    Ok(true)
}
