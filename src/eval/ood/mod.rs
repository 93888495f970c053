//! Detection of out-of-distribution images.
//!
//! # Source
//! The scores are those of JEM (arXiv:1912.03263, section 5.3).

mod sets;

use std::{ops::Range, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    EvalError, Picture, Progress,
    frozen_model::{FrozenModel, Scores},
    metrics::separation,
    results::{Ood, OodSet, Score, Separation},
};
use crate::{
    accuracy::predicted,
    config::RunConfig,
    data::{Dataset, add_shared_noise, spread},
    energy::log_density,
    files::sha256,
    numbers::softmax_rows,
    shard::Shard,
};
use sets::ImageSet;

/// The number of bins of the energy histograms.
const NUM_BINS: usize = 40;
/// The share of test image energies on either side that may lie outside the inner bins.
const TAIL: f64 = 0.005;

/// The noise that data and chains had in training: its standard deviation, 0 for none, and the seed of the evaluation.
struct SharedNoise {
    std: f64,
    seed: u64,
}

/// The test images and the out-of-distribution sets, all loaded before any long work.
pub(super) struct OodImages {
    noise: SharedNoise,
    inside: Vec<f32>,
    sets: Vec<ImageSet>,
    left_out: Vec<(String, String)>,
}

impl OodImages {
    /// Collects test images, the out-of-distribution sets and the images of `paths`. `shared_noise` is the standard deviation of
    /// the noise that data and chains had in training, 0 for none.
    ///
    /// # Errors
    /// A path that holds no images of the model's size, or that is given twice.
    pub(super) fn new(
        config: &RunConfig,
        test: &Dataset,
        paths: &[PathBuf],
        shared_noise: f64,
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
        let (mut sets, mut left_out) = sets::other_datasets(config.data.dataset, test.shape, count);
        let (made, missing) = sets::made(test, &indices, &inside, seed);
        sets.extend(made);
        left_out.extend(missing);
        sets.extend(sets::of_paths(paths, test.shape, count, &sets)?);
        let noise = SharedNoise { std: shared_noise, seed };
        Ok(Self { noise, inside, sets, left_out })
    }

    /// The number of times that [`see`] reports progress: one more than the number of sets.
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

/// What the model says to the test images and to those of every set, or to a part of them.
#[derive(Serialize, Deserialize)]
pub(super) struct OodSeen {
    /// The standard deviation of the noise on the images whose energies are taken; 0 for none.
    noise_std: f64,
    inside: Scores,
    sets: Vec<SetSeen>,
    left_out: Vec<(String, String)>,
    /// Examples of every set.
    pub(super) picture: Option<Picture>,
}

/// What the model says to the images of a set.
#[derive(Serialize, Deserialize)]
struct SetSeen {
    name: String,
    what: String,
    is_own: bool,
    scores: Scores,
}

impl OodImages {
    /// The checksum of the images of each set, by its name, for the check that parts have the same images.
    pub(super) fn checksums(&self) -> serde_json::Value {
        let of_set = |set: &ImageSet| {
            let sum = sha256(bytemuck::cast_slice(&set.values));
            (set.name.clone(), serde_json::Value::from(sum))
        };
        serde_json::Value::Object(self.sets.iter().map(of_set).collect())
    }
}

/// Shows a part of the images to the model.
///
/// # Errors
/// The evaluation is to stop.
pub(super) fn see(
    subject: &FrozenModel,
    images: OodImages,
    shard: Shard,
    progress: &mut Progress,
) -> Result<OodSeen, EvalError> {
    let mut scores = |values: &[f32]| {
        let rows = shard.range(values.len() / subject.num_pixels());
        let own = &values[rows.start * subject.num_pixels()..rows.end * subject.num_pixels()];
        let found = scores_with_noise(subject, own, &images.noise, rows, progress)?;
        progress.step()?;
        Ok::<Scores, EvalError>(found)
    };
    let inside = scores(&images.inside)?;
    let mut sets = Vec::with_capacity(images.sets.len());
    for ImageSet { name, what, is_own, values } in images.sets {
        let scores = scores(&values)?;
        sets.push(SetSeen { name, what, is_own, scores });
    }
    Ok(OodSeen {
        noise_std: images.noise.std,
        inside,
        sets,
        left_out: images.left_out,
        picture: None,
    })
}

/// The scores of images. If data and chains had the same noise in training, the energies and their gradients are those of images
/// with it, which the energy learnt, and the logits those of the images themselves. `rows` are the places of the images in their
/// set.
///
/// # Errors
/// The evaluation is to stop.
fn scores_with_noise(
    subject: &FrozenModel,
    values: &[f32],
    noise: &SharedNoise,
    rows: Range<usize>,
    progress: &Progress,
) -> Result<Scores, EvalError> {
    if noise.std == 0.0 {
        return subject.scores(values, &mut || progress.check());
    }
    let mut noisy = values.to_vec();
    add_shared_noise(&mut noisy, noise.std, rows, noise.seed);
    let logits = subject.logits(values, &mut || progress.check())?;
    Ok(Scores { logits, ..subject.scores(&noisy, &mut || progress.check())? })
}

impl OodSeen {
    /// Appends what was seen of a further part of the images, whose sets are the same.
    pub(super) fn join(&mut self, part: Self) {
        self.inside.join(part.inside);
        for (whole, part) in self.sets.iter_mut().zip(part.sets) {
            whole.scores.join(part.scores);
        }
        self.picture = self.picture.take().or(part.picture);
    }

    /// How well each score separates the test images from each set.
    pub(super) fn results(&self, num_classes: usize, num_resamples: usize, seed: u64) -> Ood {
        let energy_edges = edges(&self.inside.energies);
        let inside_scores = in_order(&self.inside, num_classes);
        let of_set = |set: &SetSeen| {
            let scores = in_order(&set.scores, num_classes).into_iter().zip(&inside_scores);
            let scores: Vec<Separation> = scores
                .map(|((score, outside), (_, inside))| {
                    separation(score, inside, &outside, num_resamples, seed)
                })
                .collect();
            let energies = &set.scores.energies;
            OodSet {
                name: set.name.clone(),
                what: set.what.clone(),
                is_own: set.is_own,
                num_out: energies.len(),
                mean_energy: energies.iter().sum::<f64>() / energies.len() as f64,
                energy_counts: histogram(energies, &energy_edges),
                scores,
            }
        };
        Ood {
            noise_std: self.noise_std,
            num_in: self.inside.energies.len(),
            energy_counts: histogram(&self.inside.energies, &energy_edges),
            sets: self.sets.iter().map(of_set).collect(),
            energy_edges,
            left_out: self.left_out.clone(),
        }
    }
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
