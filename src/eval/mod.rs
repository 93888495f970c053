//! What a trained model is worth beyond its loss.

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, Transaction},
};

use crate::{data::Dataset, energy::energy_of_logits, model::Network};

const BATCH: usize = 250;

/// Accuracy and mean energy of a network on a data set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accuracy {
    /// Share of items whose largest logit is their label's.
    pub accuracy: f64,
    /// Mean energy of the items.
    pub mean_energy: f64,
}

/// Accuracy and mean energy of `network`, with batch norm on its running statistics.
pub fn accuracy(network: &Network, dataset: &Dataset, device: &Device) -> Accuracy {
    let network = network.valid().freeze();
    let [c, h, w] = dataset.shape;
    let (mut correct, mut energy) = (0usize, 0.0f64);
    for first in (0..dataset.len()).step_by(BATCH) {
        let indices = first..(first + BATCH).min(dataset.len());
        let values = dataset.gather(indices.clone());
        let data = TensorData::new(values, [indices.len(), c, h, w]);
        let logits = network.logits(Tensor::<4>::from_data(data, device));
        let read = Transaction::default()
            .register(logits.clone())
            .register(energy_of_logits(logits))
            .execute();
        let [logits, energies] = [0, 1].map(|i| read[i].iter::<f32>().collect::<Vec<f32>>());
        energy += energies.iter().map(|&e| f64::from(e)).sum::<f64>();
        let num_classes = logits.len() / indices.len();
        for (logits, index) in logits.chunks(num_classes).zip(indices) {
            let best = (0..num_classes).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            correct += usize::from(best == Some(dataset.labels[index] as usize));
        }
    }
    let count = dataset.len().max(1) as f64;
    Accuracy { accuracy: correct as f64 / count, mean_energy: energy / count }
}
