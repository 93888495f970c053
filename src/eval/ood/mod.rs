//! Detection of out-of-distribution images.
//!
//! # Source
//! The scores are those of JEM (arXiv:1912.03263, section 5.3).

mod sets;

use std::path::PathBuf;

use super::{
    EvalError, Progress,
    frozen_model::{FrozenModel, Scores},
    metrics::separation,
    results::{Ood, OodSet, Score, Separation},
};
use crate::{
    accuracy::predicted,
    config::RunConfig,
    data::{Dataset, spread},
    energy::log_density,
    numbers::softmax_rows,
};
use sets::ImageSet;

/// The number of bins of the energy histograms.
const NUM_BINS: usize = 40;
/// The share of test image energies on either side that may lie outside the inner bins.
const TAIL: f64 = 0.005;

/// The test images and the out-of-distribution sets, all loaded before any long work.
pub(super) struct OodImages {
    inside: Vec<f32>,
    sets: Vec<ImageSet>,
    left_out: Vec<(String, String)>,
}

impl OodImages {
    /// Collects test images, the out-of-distribution sets and the images of `paths`.
    ///
    /// # Errors
    /// A path that holds no images of the model's size, or that is given twice.
    pub(super) fn new(
        config: &RunConfig,
        test: &Dataset,
        paths: &[PathBuf],
        seed: u64,
    ) -> Result<Self, EvalError> {
        let count = config.eval.num_ood;
        if !paths.is_empty() && test.shape[1] * test.shape[2] == 1 {
            return Err(EvalError::Ood(
                "out-of-distribution images were named, but this is a model of points in the plane"
                    .into(),
            ));
        }
        let indices: Vec<usize> = spread(test.len(), count).collect();
        let inside = test.gather(indices.iter().copied());
        let (mut sets, left_out) = sets::other_datasets(config.data.dataset, test.shape, count);
        sets.extend(sets::made(test, &indices, &inside, seed));
        sets.extend(sets::of_paths(paths, test.shape, count, &sets)?);
        Ok(Self { inside, sets, left_out })
    }

    /// The number of times that [`ood`] reports progress: one more than the number of sets.
    pub(super) fn num_steps(&self) -> usize {
        self.sets.len() + 1
    }

    /// The first `count` images of each set, flattened, and the names of the sets.
    pub(super) fn examples(&self, count: usize, num_pixels: usize) -> (Vec<f32>, Vec<&str>) {
        let first = |set: &ImageSet| {
            let mut values = set.values[..set.values.len().min(count * num_pixels)].to_vec();
            values.resize(count * num_pixels, -1.0);
            values
        };
        (self.sets.iter().flat_map(first).collect(), self.sets.iter().map(|s| &*s.name).collect())
    }
}

/// Measures how well each score separates the test images from each set.
///
/// # Errors
/// The evaluation is to stop.
pub(super) fn ood(
    subject: &FrozenModel,
    images: OodImages,
    num_classes: usize,
    num_resamples: usize,
    seed: u64,
    progress: &mut Progress,
) -> Result<Ood, EvalError> {
    let inside = subject.scores(&images.inside, &mut || progress.check())?;
    progress.step()?;
    let energy_edges = edges(&inside.energies);
    let energy_counts = histogram(&inside.energies, &energy_edges);
    let inside_scores = in_order(&inside, num_classes);
    let mut sets = Vec::with_capacity(images.sets.len());
    for set in images.sets {
        let found = subject.scores(&set.values, &mut || progress.check())?;
        let scores = in_order(&found, num_classes).into_iter().zip(&inside_scores);
        let scores: Vec<Separation> = scores
            .map(|((score, outside), (_, inside))| {
                separation(score, inside, &outside, num_resamples, seed)
            })
            .collect();
        progress.step()?;
        sets.push(OodSet {
            name: set.name,
            what: set.what,
            is_own: set.is_own,
            num_out: found.energies.len(),
            mean_energy: found.energies.iter().sum::<f64>() / found.energies.len() as f64,
            energy_counts: histogram(&found.energies, &energy_edges),
            scores,
        });
    }
    Ok(Ood {
        num_in: inside.energies.len(),
        energy_edges,
        energy_counts,
        sets,
        left_out: images.left_out,
    })
}

/// Every score of every image; higher scores mean more like the data.
fn in_order(scores: &Scores, num_classes: usize) -> [(Score, Vec<f64>); 3] {
    let confidences: Vec<f64> = softmax_rows(&scores.logits, num_classes);
    let confidences = confidences.chunks(num_classes).map(|row| row[predicted(row)]);
    [
        (Score::LogPX, scores.energies.iter().copied().map(log_density).collect()),
        (Score::MaxProbability, confidences.collect()),
        (Score::ApproximateMass, scores.gradient_norms.iter().map(|norm| -norm).collect()),
    ]
}

/// The edges of equal bins: one third of them covers the test images' energies, the others extend by the same width
/// on either side. Images beyond them are counted in the outer bins.
fn edges(energies: &[f64]) -> Vec<f64> {
    let mut sorted = energies.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    let (low, high) = (at(TAIL), at(1.0 - TAIL));
    let width = (high - low).max(1e-6 * low.abs().max(1.0));
    let edge = |index: usize| low - width + 3.0 * width * index as f64 / NUM_BINS as f64;
    (0..=NUM_BINS).map(edge).collect()
}

fn histogram(values: &[f64], edges: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; edges.len() - 1];
    for value in values {
        let above = edges.partition_point(|edge| edge <= value);
        counts[above.clamp(1, edges.len() - 1) - 1] += 1;
    }
    counts
}
