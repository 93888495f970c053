//! What a trained model is worth beyond its loss.

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, Transaction},
};

use crate::{data::Dataset, device, energy::energy_of_logits, model::Network};

const BATCH: usize = 250;
/// Bins of the calibration error, as in JEM (arXiv:1912.03263).
const NUM_BINS: usize = 20;

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
    let network = network.valid().freeze();
    let [c, h, w] = dataset.shape;
    let (mut tally, mut energy) = (Tally::default(), 0.0f64);
    for first in (0..dataset.len()).step_by(BATCH) {
        let indices = first..(first + BATCH).min(dataset.len());
        let values = dataset.gather(indices.clone());
        let data = TensorData::new(values, [indices.len(), c, h, w]);
        let logits = network.logits(Tensor::<4>::from_data(data, device));
        let reads =
            Transaction::default().register(logits.clone()).register(energy_of_logits(logits));
        let read = device::read(reads).await;
        energy += read[1].iter().map(|&e| f64::from(e)).sum::<f64>();
        tally.add(&read[0], &dataset.labels[indices], dataset.num_classes());
    }
    Accuracy {
        accuracy: tally.accuracy(),
        calibration_error: tally.calibration_error(),
        mean_energy: energy / dataset.len().max(1) as f64,
    }
}

/// Confidences and hits, sorted into bins of confidence.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Per bin: the sum of confidences and the number of hits.
    bins: [(f64, usize); NUM_BINS],
    count: usize,
}

impl Tally {
    /// The tally of some logits (N, classes).
    pub fn of(logits: &[f32], labels: &[u32], num_classes: usize) -> Self {
        let mut tally = Self::default();
        tally.add(logits, labels, num_classes);
        tally
    }

    /// Counts further logits (N, classes) with their labels.
    pub fn add(&mut self, logits: &[f32], labels: &[u32], num_classes: usize) {
        for (logits, &label) in logits.chunks(num_classes).zip(labels) {
            let best = (0..num_classes).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            let best = best.unwrap_or_default();
            let confidence =
                1.0 / logits.iter().map(|&l| f64::from(l - logits[best]).exp()).sum::<f64>();
            let bin = ((confidence * NUM_BINS as f64) as usize).min(NUM_BINS - 1);
            self.bins[bin].0 += confidence;
            self.bins[bin].1 += usize::from(best == label as usize);
        }
        self.count += labels.len();
    }

    /// Share of hits.
    pub fn accuracy(&self) -> f64 {
        let hits: usize = self.bins.iter().map(|bin| bin.1).sum();
        hits as f64 / self.count.max(1) as f64
    }

    /// See [`Accuracy::calibration_error`].
    pub fn calibration_error(&self) -> f64 {
        let off: f64 = self.bins.iter().map(|bin| (bin.0 - bin.1 as f64).abs()).sum();
        off / self.count.max(1) as f64
    }
}
