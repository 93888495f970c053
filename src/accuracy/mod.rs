//! How well a network classifies a data set: accuracy, calibration error and mean energy, as training measures them
//! after an epoch. The full report of `jempp eval` is the room `eval`.

mod probabilities;
mod tally;

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, Transaction},
};

use crate::{
    data::Dataset,
    device,
    energy::energy_of_logits,
    model::{Network, Pass},
};

pub use probabilities::{log_sum_exp, predicted, softmax, softmax_rows};
pub use tally::{NUM_BINS, ReliabilityBin, Tally};

/// Accuracy, calibration and mean energy of a network on a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Share of items whose largest logit is their label's.
    pub accuracy: f64,
    /// Expected calibration error: the mean distance of confidence max p(y|x) from accuracy over 20
    /// equally wide bins, weighted by their items (Guo et al., arXiv:1706.04599).
    pub calibration_error: f64,
    /// Mean energy of the items.
    pub mean_energy: f64,
}

/// Accuracy, calibration and mean energy of `network`, with batch norm on its running statistics.
pub async fn accuracy(network: &Network, dataset: &Dataset, device: &Device) -> Accuracy {
    match accuracy_unless(&|| false, network, dataset, device).await {
        Some(accuracy) => accuracy,
        None => unreachable!("nothing stops it"),
    }
}

/// Accuracy, calibration and mean energy as [`accuracy`] gives them, or `None` once `stop` says so between two batches.
pub async fn accuracy_unless(
    stop: &dyn Fn() -> bool,
    network: &Network,
    dataset: &Dataset,
    device: &Device,
) -> Option<Accuracy> {
    let network = network.valid().freeze();
    let [c, h, w] = dataset.shape;
    let (mut tally, mut energy) = (Tally::default(), 0.0f64);
    let at_once = network.images_at_once([h, w], Pass::Forward);
    for first in (0..dataset.len()).step_by(at_once) {
        if stop() {
            return None;
        }
        let indices = first..(first + at_once).min(dataset.len());
        let values = dataset.gather(indices.clone());
        let data = TensorData::new(values, [indices.len(), c, h, w]);
        let logits = network.logits(Tensor::<4>::from_data(data, device));
        let reads =
            Transaction::default().register(logits.clone()).register(energy_of_logits(logits));
        let read = device::read(reads).await;
        // One by one: the sum must not depend on how many come at once.
        read[1].iter().for_each(|&e| energy += f64::from(e));
        tally.add(&read[0], &dataset.labels[indices], dataset.num_classes());
    }
    Some(Accuracy {
        accuracy: tally.accuracy(),
        calibration_error: tally.calibration_error(),
        mean_energy: energy / dataset.len().max(1) as f64,
    })
}
