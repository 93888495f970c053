//! Counts of confidences and correct predictions, for the accuracy and the calibration errors.

use serde::{Deserialize, Serialize};

use crate::numbers::{argmax, softmax};

/// The number of bins of the calibration error, as in JEM (arXiv:1912.03263).
pub(crate) const NUM_BINS: usize = 20;

/// The class of the largest logit or probability in a row; the last one of equal values; 0 if the row has no number.
pub fn predicted<T: PartialOrd>(row: &[T]) -> usize {
    argmax(row).unwrap_or(0)
}

/// One bin of a reliability diagram: the images whose confidence lies in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// The number of images in the bin.
    pub count: usize,
    /// Their mean confidence; 0 if there are none.
    pub confidence: f64,
    /// The share of them that are classified correctly; 0 if there are none.
    pub accuracy: f64,
}

/// The number of images by confidence, and how many of them are classified correctly.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Per bin: the sum of confidences, the number of hits and the number of items.
    bins: [(f64, usize, usize); NUM_BINS],
}

impl Tally {
    /// The tally of logits (N, classes) and their labels.
    pub fn of(logits: &[f32], labels: &[u32], num_classes: usize) -> Self {
        let mut tally = Self::default();
        tally.add(logits, labels, num_classes);
        tally
    }

    /// Counts further logits (N, classes) with their labels.
    pub fn add(&mut self, logits: &[f32], labels: &[u32], num_classes: usize) {
        for (row, &label) in logits.chunks(num_classes).zip(labels) {
            let best = predicted(row);
            self.count(softmax(row)[best], best == label as usize, 1);
        }
    }

    /// Counts an item `times` times, with its confidence max p(y|x) and whether its predicted class is the label.
    pub fn count(&mut self, confidence: f64, is_hit: bool, times: usize) {
        let bin = ((confidence * NUM_BINS as f64) as usize).min(NUM_BINS - 1);
        self.bins[bin].0 += confidence * times as f64;
        self.bins[bin].1 += times * usize::from(is_hit);
        self.bins[bin].2 += times;
    }

    fn len(&self) -> usize {
        self.bins.iter().map(|bin| bin.2).sum()
    }

    /// The share of images that are classified correctly.
    pub fn accuracy(&self) -> f64 {
        let hits: usize = self.bins.iter().map(|bin| bin.1).sum();
        hits as f64 / self.len().max(1) as f64
    }

    /// The expected calibration error: the mean difference between confidence max p(y|x) and accuracy over 20 equally
    /// wide bins, weighted by the number of their items (Guo et al., arXiv:1706.04599).
    pub fn calibration_error(&self) -> f64 {
        let off: f64 = self.bins.iter().map(|bin| (bin.0 - bin.1 as f64).abs()).sum();
        off / self.len().max(1) as f64
    }

    /// The maximum calibration error: the largest of these differences.
    pub fn maximum_error(&self) -> f64 {
        let off = |bin: &(f64, usize, usize)| (bin.0 - bin.1 as f64).abs() / bin.2.max(1) as f64;
        self.bins.iter().map(off).fold(0.0, f64::max)
    }

    /// The bins, from confidence 0 to 1.
    pub fn reliability(&self) -> Vec<ReliabilityBin> {
        let bin = |&(confidence, hits, count): &(f64, usize, usize)| {
            let share = |sum: f64| sum / count.max(1) as f64;
            ReliabilityBin { count, confidence: share(confidence), accuracy: share(hits as f64) }
        };
        self.bins.iter().map(bin).collect()
    }
}
