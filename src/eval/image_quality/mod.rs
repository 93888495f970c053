//! The quality of the chains as images, measured in the features of a classifier that was not trained on them.
//!
//! The Fréchet distance and the score are those of Heusel et al. (arXiv:1706.08500) and Salimans et al.
//! (arXiv:1606.03498) with other features than theirs: compare them only with the values of the real test images in
//! the same report.

mod generated;

use std::path::PathBuf;

use burn::tensor::Device;
use image::RgbImage;

use super::{
    EvalError, Progress,
    fid::{self, FidJudge},
    frozen_model::FrozenModel,
    metrics::{
        Moments, frechet, frechet_distance, inception_like, nearest_distances, precision_recall,
        proportion,
    },
    results::{Fid, JudgeInfo, Nearest, SampleSet, Samples},
};
use crate::{
    accuracy::predicted,
    bundled,
    checkpoint::{self, Checkpoint},
    config::EvalConfig,
    data::{Dataset, Splits, spread},
    files::{file_name, sha256},
    numbers::softmax_rows,
    picture,
};

/// A sample counts as copied if it is closer to a training image than all but this share of the test images.
const COPIED: f64 = 0.01;
/// The number of chains of each class in the picture.
const SHOWN_PER_CLASS: usize = 10;

/// The classifier that supplies features and judges the images.
pub(super) struct Judge {
    subject: FrozenModel,
    name: String,
    sha256: String,
}

impl Judge {
    /// Loads the judge from the file `path`, or the bundled judge of the model's data. `None` if no bundled judge has
    /// the model's inputs and classes.
    ///
    /// # Errors
    /// The file cannot be read, or its classifier belongs to other data.
    pub(super) fn open(
        path: Option<&PathBuf>,
        model: &Checkpoint,
        device: &Device,
    ) -> Result<Option<Self>, EvalError> {
        let (name, bytes, checkpoint) = match path {
            Some(path) => {
                let (bytes, checkpoint) = Checkpoint::read(path)?;
                (file_name(&checkpoint::file_at(path)), bytes, checkpoint)
            }
            None => match bundled::judge_of(model.config.data.dataset) {
                Some(judge) => (judge.name.to_string(), judge.bytes().to_vec(), judge.load()?),
                None => return Ok(None),
            },
        };
        match model.check_judge(&checkpoint) {
            Err(_) if path.is_none() => return Ok(None),
            checked => checked?,
        }
        let subject = FrozenModel::new(&checkpoint, device)?;
        Ok(Some(Self { subject, name, sha256: sha256(&bytes) }))
    }

    fn judged(
        &self,
        images: Images,
        num_classes: usize,
        progress: &Progress,
    ) -> Result<Judged, EvalError> {
        let [features, logits] = self.subject.features(&images.values, &mut || progress.check())?;
        Ok(Judged { images, features, probabilities: softmax_rows(&logits, num_classes) })
    }
}

/// Images (N, C, H, W), flattened, each with the class of its row.
struct Images {
    name: &'static str,
    protocol: String,
    values: Vec<f32>,
    labels: Vec<u32>,
}

/// Images with the judge's features (N, features) and p(y|x) (N, classes).
struct Judged {
    images: Images,
    features: Vec<f32>,
    probabilities: Vec<f64>,
}

impl Judged {
    fn agreement(&self, num_classes: usize) -> usize {
        let rows = self.probabilities.chunks(num_classes).zip(&self.images.labels);
        rows.filter(|(row, label)| predicted(row) == **label as usize).count()
    }

    /// The features of the images of one class.
    fn of_class(&self, class: u32, num_features: usize) -> Vec<f32> {
        let rows = self.features.chunks(num_features).zip(&self.images.labels);
        rows.filter(|(_, label)| **label == class).flat_map(|(row, _)| row).copied().collect()
    }
}

/// What measures the quality of samples: at least one of two networks.
#[derive(Clone, Copy)]
pub(super) struct Judges<'a> {
    /// A classifier of the same data.
    pub(super) judge: Option<&'a Judge>,
    /// The network of FID.
    pub(super) fid: Option<&'a FidJudge>,
}

/// The number of times that [`measure`] reports progress.
pub(super) fn num_steps(judges: Judges, checkpoint: &Checkpoint, splits: &Splits) -> usize {
    let config = &checkpoint.config.eval;
    let count = set_size(config, &splits.test);
    let fresh = generated::num_batches(checkpoint, count) * config.sample_steps;
    let judging = if judges.judge.is_some() { 4 } else { 0 };
    let reference = config.fid_reference.min(splits.train.len());
    let fid = match judges.fid {
        Some(_) => fid::num_batches(reference) + 3 * (fid::num_batches(count) + 1),
        None => 0,
    };
    fresh + judging + fid
}

/// The number of images of each set. All sets have the same size, because the distances decrease with it.
fn set_size(config: &EvalConfig, test: &Dataset) -> usize {
    config.num_samples.min(test.len())
}

/// Checks that there are enough images for the covariances and for the manifolds.
///
/// # Errors
/// There are too few test images or training images.
pub(super) fn check(config: &EvalConfig, splits: &Splits) -> Result<(), EvalError> {
    let least = least(config, splits.test.num_classes());
    let (train, test) = (splits.train.len(), splits.test.len());
    if config.num_samples.min(test) < least {
        return Err(EvalError::Request(format!(
            "`eval.num_samples` = {} of {test} test images are too few: judging samples needs {least} of them, two per \
             class and more than `eval.num_neighbors` = {}",
            config.num_samples, config.num_neighbors
        )));
    }
    if train < least {
        return Err(EvalError::Request(format!(
            "there are {train} training images to compare samples with: judging samples needs {least}, two per class \
             and more than `eval.num_neighbors` = {}",
            config.num_neighbors
        )));
    }
    Ok(())
}

/// The smallest set that can be judged: two images per class for a covariance, one more than the neighbours for a
/// manifold, and four for an interval.
fn least(config: &EvalConfig, num_classes: usize) -> usize {
    (2 * num_classes).max(config.num_neighbors + 1).max(4)
}

/// What [`measure`] finds.
pub(super) struct Found {
    pub(super) samples: Option<Samples>,
    pub(super) fid: Option<Fid>,
    /// Fresh chains, each above the training image nearest to it.
    pub(super) picture: Option<RgbImage>,
}

/// Judges test images, fresh chains and chains of the buffer.
///
/// # Errors
/// The weights do not fit the network, or the chains are not finite.
pub(super) fn measure(
    judges: Judges,
    checkpoint: &Checkpoint,
    splits: &Splits,
    device: &Device,
    seed: u64,
    left_out: &mut Vec<(String, String)>,
    progress: &mut Progress,
) -> Result<Found, EvalError> {
    let (train, config) = (&splits.train, &checkpoint.config.eval);
    let count = set_size(config, &splits.test);
    let mut sets = vec![test_images(&splits.test, count)];
    sets.push(generated::fresh(checkpoint, config, count, device, seed, progress)?);
    let least = least(config, splits.test.num_classes());
    match generated::of_buffer(checkpoint, count, least) {
        Ok(set) => sets.extend(set),
        Err(found) => left_out.push((
            "replay buffer".into(),
            format!("it holds {found} chains, but judging samples needs {least}"),
        )),
    }
    let mut found = Found { samples: None, fid: None, picture: None };
    if let Some(judge) = judges.fid {
        let reference = train.gather(spread(train.len(), config.fid_reference));
        let sets = sets.iter().map(|set| (set.name, set.values.as_slice()));
        found.fid = Some(judge.measure(&reference, sets, train.shape, &mut || progress.step())?);
    }
    if let Some(judge) = judges.judge {
        let (samples, picture) = judge_sets(judge, sets, splits, config, progress)?;
        (found.samples, found.picture) = (Some(samples), Some(picture));
    }
    Ok(found)
}

/// Judges sets of images, of which the first holds the test images and the second the fresh chains, and draws the second.
///
/// # Errors
/// The chains are not finite.
fn judge_sets(
    judge: &Judge,
    sets: Vec<Images>,
    splits: &Splits,
    config: &EvalConfig,
    progress: &mut Progress,
) -> Result<(Samples, RgbImage), EvalError> {
    let (train, num_classes) = (&splits.train, splits.test.num_classes());
    let all = |dataset: &Dataset| Images {
        name: "training images",
        protocol: String::new(),
        values: dataset.gather(0..dataset.len()),
        labels: dataset.labels.clone(),
    };
    let reference = judge.judged(all(train), num_classes, progress)?;
    let num_features = reference.features.len() / train.len();
    let whole = Moments::of(&reference.features, num_features);
    // A single image has no covariance.
    let moments_of = |judged: &Judged, class: u32| {
        let features = judged.of_class(class, num_features);
        (features.len() >= 2 * num_features).then(|| Moments::of(&features, num_features))
    };
    let by_class: Vec<Option<Moments>> =
        (0..num_classes as u32).map(|class| moments_of(&reference, class)).collect();
    progress.step()?;

    let num_pixels = train.num_pixels();
    let per_pixel = |distance: f32| f64::from(distance) / (num_pixels as f64).sqrt();
    let (mut found, mut test_accuracy, mut threshold, mut shown) = (Vec::new(), 0.0, 0.0, None);
    for images in sets {
        let set = judge.judged(images, num_classes, progress)?;
        if set.features.iter().any(|feature| !feature.is_finite()) {
            return Err(EvalError::Request(format!(
                "the judge's features of the {} are not finite: the chains diverge, or its weights are broken",
                set.images.name
            )));
        }
        let nearest = nearest_distances(&set.images.values, &reference.images.values, num_pixels);
        let mut distances: Vec<f64> = nearest.iter().map(|&(d, _)| per_pixel(d)).collect();
        if shown.is_none() && !found.is_empty() {
            shown = Some(beside_nearest(&set.images, &nearest, train));
        }
        let count = distances.len();
        let agreement = set.agreement(num_classes);
        distances.sort_by(f64::total_cmp);
        if found.is_empty() {
            // The first set holds the test images.
            test_accuracy = agreement as f64 / count as f64;
            threshold = distances[(COPIED * count as f64) as usize];
        }
        let near = distances.partition_point(|&distance| distance < threshold);
        let peers = spread(train.len(), count)
            .flat_map(|i| &reference.features[i * num_features..(i + 1) * num_features])
            .copied()
            .collect::<Vec<f32>>();
        let (precision, recall) =
            precision_recall(&peers, &set.features, num_features, config.num_neighbors);
        let class_distance = |(class, reference): (usize, &Option<Moments>)| {
            let own = moments_of(&set, class as u32)?;
            Some(frechet_distance(&own, reference.as_ref()?))
        };
        found.push(SampleSet {
            name: set.images.name.to_string(),
            count,
            frechet: frechet(&set.features, &whole, num_features),
            frechet_by_class: by_class.iter().enumerate().map(class_distance).collect(),
            inception_like: inception_like(&set.probabilities, num_classes),
            class_agreement: proportion(agreement, count),
            precision,
            recall,
            nearest: Nearest {
                median: distances[count / 2],
                share_copied: near as f64 / count as f64,
            },
            protocol: set.images.protocol,
        });
        progress.step()?;
    }
    let judge = JudgeInfo {
        name: judge.name.clone(),
        sha256: judge.sha256.clone(),
        accuracy: test_accuracy,
        num_features,
    };
    let samples = Samples { judge, num_reference: train.len(), sets: found };
    Ok((samples, shown.unwrap_or_default()))
}

/// Real test images: their values are the reference for those of the samples.
fn test_images(test: &Dataset, count: usize) -> Images {
    let indices: Vec<usize> = spread(test.len(), count).collect();
    Images {
        name: "test images",
        protocol: format!("{} of the {} test images, spread evenly", indices.len(), test.len()),
        labels: indices.iter().map(|&index| test.labels[index]).collect(),
        values: test.gather(indices),
    }
}

/// Draws the first images of every class in a row, with the nearest training image below each.
fn beside_nearest(images: &Images, nearest: &[(f32, usize)], train: &Dataset) -> RgbImage {
    let num_pixels = train.num_pixels();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for class in 0..train.num_classes() as u32 {
        let of_class = (0..images.labels.len()).filter(|&i| images.labels[i] == class);
        let row: Vec<usize> = of_class.take(SHOWN_PER_CLASS).collect();
        let near = train.gather(row.iter().map(|&index| nearest[index].1));
        let own = row.iter().flat_map(|&i| &images.values[i * num_pixels..(i + 1) * num_pixels]);
        for mut line in [own.copied().collect(), near] {
            line.resize(SHOWN_PER_CLASS * num_pixels, -1.0);
            values.extend(line);
            labels.extend([class; SHOWN_PER_CLASS]);
        }
    }
    picture::draw(&values, &labels, train.shape, SHOWN_PER_CLASS)
}
