//! The quality of the chains as images, measured in the features of a classifier that was not trained on them.
//!
//! The Fréchet distance and the score are those of Heusel et al. (arXiv:1706.08500) and Salimans et al.
//! (arXiv:1606.03498) with other features than theirs: compare them only with the values of the real test images in
//! the same report.

mod generated;
mod judged;

use std::path::PathBuf;

use burn::tensor::Device;
use half::f16;
use serde::{Deserialize, Serialize};

use super::{
    EvalError, Progress,
    fid::{self, FidJudge},
    frozen_model::FrozenModel,
    metrics::nearest_distances,
    results::Fid,
};
use crate::{
    bundled,
    checkpoint::{self, Checkpoint},
    config::EvalConfig,
    data::{Dataset, Splits, item_words, spread},
    files::{file_name, sha256},
    model::HostTensor,
    numbers::softmax_rows,
    shard::Shard,
};
use judged::{JudgeSeen, JudgedSet, Shown};

/// The number of chains of each class in the picture.
const SHOWN_PER_CLASS: usize = 10;

/// What is wrong with a model that judges its own chains.
pub(crate) const OWN_JUDGE: &str = "the judge is the model itself: its chains follow its own energy, so its view of them says little. Train another \
     classifier of the same data as the judge: another seed, objective.p_x_weight = 0 and objective.energy_l2_weight = 0";

/// Whether two models have the same weights for sampling, up to the rounding of a packed model.
pub(crate) fn is_same_model(one: &Checkpoint, other: &Checkpoint) -> bool {
    fn rounded(tensor: &HostTensor) -> impl Iterator<Item = f16> {
        tensor.values.iter().map(|&value| f16::from_f32(value))
    }
    let (one, other) = (one.sampling_weights(), other.sampling_weights());
    let is_in_other = |(name, tensor)| {
        other.get(name).is_some_and(|other: &HostTensor| rounded(tensor).eq(rounded(other)))
    };
    one.len() == other.len() && one.iter().all(is_in_other)
}

/// The classifier that supplies features and judges the images.
pub(super) struct Judge {
    subject: FrozenModel,
    name: String,
    sha256: String,
}

impl Judge {
    /// Loads the judge from the file `path`, or the bundled judge of the model's data. `None` if no other bundled judge has
    /// the model's inputs and classes.
    ///
    /// # Errors
    /// The file cannot be read, or its classifier belongs to other data or is the model itself.
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
        let checked = model.check_judge(&checkpoint).map_err(EvalError::from).and_then(|()| {
            match is_same_model(model, &checkpoint) {
                true => Err(EvalError::Request(OWN_JUDGE.into())),
                false => Ok(()),
            }
        });
        match checked {
            Err(_) if path.is_none() => return Ok(None),
            checked => checked?,
        }
        let subject = FrozenModel::new(&checkpoint, device)?;
        Ok(Some(Self { subject, name, sha256: sha256(&bytes) }))
    }

    /// The SHA-256 of the judge's file, in hexadecimal.
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Judges images and compares them with the training images `reference`; `are_shown` says whether some of them are
    /// shown in the picture.
    ///
    /// # Errors
    /// The evaluation is to stop; the judge's features are not finite.
    fn see(
        &self,
        images: Images,
        reference: &Dataset,
        all: &[f32],
        are_shown: bool,
        progress: &Progress,
    ) -> Result<JudgedSet, EvalError> {
        let Images { name, protocol, values, labels, first } = images;
        let (num_classes, num_pixels) = (reference.num_classes(), reference.num_pixels());
        let [features, logits] = self.subject.features(&values, &mut || progress.check())?;
        if features.iter().any(|feature| !feature.is_finite()) {
            return Err(EvalError::Request(format!(
                "the judge's features of the {name} are not finite: the chains diverge, or its weights are broken"
            )));
        }
        let nearest = nearest_distances(&values, all, num_pixels);
        // The classes come in turn, so this is the number of images of the class before it.
        let is_shown = |row: &usize| are_shown && (first + row) / num_classes < SHOWN_PER_CLASS;
        let shown = (0..labels.len()).filter(is_shown).map(|row| Shown {
            class: labels[row],
            image: values[row * num_pixels..(row + 1) * num_pixels].to_vec(),
            near: reference.gather([nearest[row].1]),
        });
        Ok(JudgedSet {
            shown: shown.collect(),
            name: name.to_string(),
            protocol,
            labels,
            features,
            probabilities: softmax_rows(&logits, num_classes),
            distances: nearest.into_iter().map(|(distance, _)| distance).collect(),
        })
    }
}

/// Images (N, C, H, W), flattened, each with the class of its row: a set, or the part of a set that begins with its image
/// `first`.
struct Images {
    name: &'static str,
    protocol: String,
    values: Vec<f32>,
    labels: Vec<u32>,
    first: usize,
}

/// What measures the quality of samples: at least one of two networks.
#[derive(Clone, Copy)]
pub(super) struct Judges<'a> {
    /// A classifier of the same data.
    pub(super) judge: Option<&'a Judge>,
    /// The network of FID.
    pub(super) fid: Option<&'a FidJudge>,
}

/// The number of times that [`see`] reports progress.
pub(super) fn num_steps(
    judges: Judges,
    checkpoint: &Checkpoint,
    splits: &Splits,
    shard: Shard,
) -> usize {
    let config = &checkpoint.config.eval;
    let count = set_size(config, &splits.test);
    let num_batches = generated::num_batches(checkpoint, count);
    let fresh = shard.range(num_batches).len() * config.sample_steps;
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
    let [_, items] = item_words(splits.test.shape);
    if config.num_samples.min(test) < least {
        return Err(EvalError::Request(format!(
            "`eval.num_samples` = {} of {test} test {items} are too few: judging samples needs {least} of them, two per \
             class and more than `eval.num_neighbors` = {}",
            config.num_samples, config.num_neighbors
        )));
    }
    if train < least {
        return Err(EvalError::Request(format!(
            "there are {train} training {items} to compare samples with: judging samples needs {least}, two per class \
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

/// What measures the quality of samples found out about images, or about a part of each set of them.
#[derive(Serialize, Deserialize)]
pub(super) struct SamplesSeen {
    pub(super) judged: Option<JudgeSeen>,
    /// FID, which is measured of whole sets only.
    pub(super) fid: Option<Fid>,
    /// Sets that are missing, each with the reason.
    pub(super) left_out: Vec<(String, String)>,
}

impl SamplesSeen {
    /// Appends what was found out about a further part of each set.
    pub(super) fn join(&mut self, part: Self) {
        if let (Some(whole), Some(part)) = (&mut self.judged, part.judged) {
            whole.join(part);
        }
    }
}

/// Looks at a part of the test images, of fresh chains and of the chains of the buffer.
///
/// # Errors
/// The weights do not fit the network, or the chains are not finite.
pub(super) fn see(
    judges: Judges,
    checkpoint: &Checkpoint,
    splits: &Splits,
    device: &Device,
    seed: u64,
    shard: Shard,
    progress: &mut Progress,
) -> Result<SamplesSeen, EvalError> {
    let (train, config) = (&splits.train, &checkpoint.config.eval);
    let count = set_size(config, &splits.test);
    let mut sets = vec![test_images(&splits.test, count, shard)];
    sets.push(generated::fresh(checkpoint, config, count, device, seed, shard, progress)?);
    let least = least(config, splits.test.num_classes());
    let mut left_out = Vec::new();
    match generated::of_buffer(checkpoint, count, least, shard) {
        Ok(set) => sets.extend(set),
        Err(found) => left_out.push((
            "replay buffer".into(),
            format!("it holds {found} chains, but judging samples needs {least}"),
        )),
    }
    let denoise_step = checkpoint.config.sampler.denoise_step;
    if denoise_step > 0.0 {
        let chains = sets.split_off(1).into_iter();
        let denoised = chains
            .map(|set| generated::without_noise(set, checkpoint, denoise_step, device, progress));
        sets.extend(denoised.collect::<Result<Vec<_>, _>>()?);
    }
    let mut fid = None;
    if let Some(judge) = judges.fid {
        let reference = train.gather(spread(train.len(), config.fid_reference));
        let sets = sets.iter().map(|set| (set.name, set.values.as_slice()));
        fid = Some(judge.measure(&reference, sets, train.shape, &mut || progress.step())?);
    }
    let judged = match judges.judge {
        Some(judge) => Some(judge_sets(judge, sets, train, shard, progress)?),
        None => None,
    };
    Ok(SamplesSeen { judged, fid, left_out })
}

/// Judges a part of the training images, and sets of images, of which the first holds test images and the second fresh
/// chains.
///
/// # Errors
/// The chains are not finite.
fn judge_sets(
    judge: &Judge,
    sets: Vec<Images>,
    train: &Dataset,
    shard: Shard,
    progress: &mut Progress,
) -> Result<JudgeSeen, EvalError> {
    let all = train.gather(0..train.len());
    let rows = shard.range(train.len());
    let num_pixels = train.num_pixels();
    let own = &all[rows.start * num_pixels..rows.end * num_pixels];
    let [reference, _] = judge.subject.features(own, &mut || progress.check())?;
    let reference_labels = train.labels[rows].to_vec();
    progress.step()?;
    let mut found = Vec::with_capacity(sets.len());
    for (nth, images) in sets.into_iter().enumerate() {
        found.push(judge.see(images, train, &all, nth == 1, progress)?);
        progress.step()?;
    }
    let (name, sha256) = (judge.name.clone(), judge.sha256.clone());
    Ok(JudgeSeen { name, sha256, reference, reference_labels, sets: found })
}

/// Real test images: their values are the reference for those of the samples.
fn test_images(test: &Dataset, count: usize, shard: Shard) -> Images {
    let indices: Vec<usize> = spread(test.len(), count).collect();
    let rows = shard.range(indices.len());
    let own = &indices[rows.clone()];
    let name = match item_words(test.shape) {
        ["point", _] => "test points",
        _ => "test images",
    };
    Images {
        name,
        protocol: format!("{} of the {} {name}, spread evenly", indices.len(), test.len()),
        labels: own.iter().map(|&index| test.labels[index]).collect(),
        values: test.gather(own.iter().copied()),
        first: rows.start,
    }
}
