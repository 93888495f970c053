//! What the device found out in an evaluation, as plain numbers of each image, and the results that are made of them. It
//! may be that of a part of the evaluation: the parts together give the results of the whole.

use serde::{Deserialize, Serialize};

use super::{
    EvalError, Part,
    attack::AttackSeen,
    image_quality::SamplesSeen,
    metrics::{calibrated, calibration, mean, proportion},
    ood::OodSeen,
    pictures::{self, Picture},
    results::{Classification, Results},
};
use crate::{accuracy::predicted, energy::energy_of_row};

/// What was found out about images.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The temperature of a model that was calibrated after training.
    pub(super) temperature: Option<f64>,
    /// Logits (N, classes) of the test images.
    pub(super) logits: Vec<f32>,
    pub(super) labels: Vec<u32>,
    pub(super) ood: Option<OodSeen>,
    pub(super) attack: Option<AttackSeen>,
    pub(super) samples: Option<SamplesSeen>,
}

impl Seen {
    /// Appends what was found out about a further part of the images.
    pub(super) fn join(&mut self, part: Self) {
        self.logits.extend(part.logits);
        self.labels.extend(part.labels);
        if let (Some(whole), Some(part)) = (&mut self.ood, part.ood) {
            whole.join(part);
        }
        if let (Some(whole), Some(part)) = (&mut self.attack, part.attack) {
            whole.join(part);
        }
        if let (Some(whole), Some(part)) = (&mut self.samples, part.samples) {
            whole.join(part);
        }
    }

    /// Computes the results of one part of the evaluation and returns its pictures. The results already describe model,
    /// data and settings.
    ///
    /// # Errors
    /// A picture cannot be drawn.
    pub(super) fn finish(
        &self,
        part: Part,
        results: &mut Results,
    ) -> Result<Vec<Picture>, EvalError> {
        let (seed, shape) = (results.seed, results.data.shape);
        let num_classes = results.data.class_names.len();
        let num_resamples = results.config.eval.num_resamples;
        let (logits, labels) = (&self.logits, &self.labels);
        let mut pictures = Vec::new();
        match part {
            Part::Accuracy => {
                results.accuracy =
                    Some(classification(labels, logits, num_classes, num_resamples, seed));
            }
            Part::Calibration => {
                let mut found = calibration(logits, labels, num_classes, num_resamples, seed);
                found.calibrated = self.temperature.map(|temperature| {
                    calibrated(logits, labels, num_classes, temperature, num_resamples, seed)
                });
                results.calibration = Some(found);
            }
            Part::Ood => {
                let Some(seen) = &self.ood else { return Ok(pictures) };
                pictures.extend(seen.picture.clone());
                results.ood = Some(seen.results(num_classes, num_resamples, seed));
            }
            Part::Attack => {
                let Some(seen) = &self.attack else { return Ok(pictures) };
                pictures = seen.pictures();
                results.attack = Some(seen.results(&results.config.eval));
            }
            Part::Samples => {
                let Some(seen) = &self.samples else { return Ok(pictures) };
                results.left_out.extend(seen.left_out.iter().cloned());
                results.fid.clone_from(&seen.fid);
                if let Some(judged) = &seen.judged {
                    let eval = &results.config.eval;
                    results.samples = Some(judged.results(eval, num_classes, shape));
                    pictures.push(pictures::of_samples(judged.picture(num_classes, shape))?);
                }
            }
        }
        Ok(pictures)
    }
}

fn classification(
    labels: &[u32],
    logits: &[f32],
    num_classes: usize,
    num_resamples: usize,
    seed: u64,
) -> Classification {
    let mut confusion = vec![vec![0; num_classes]; num_classes];
    let mut energies = Vec::with_capacity(labels.len());
    for (row, &label) in logits.chunks(num_classes).zip(labels) {
        confusion[label as usize][predicted(row)] += 1;
        energies.push(energy_of_row(row));
    }
    let hits = |class: usize| confusion[class][class];
    let by_class = (0..num_classes).map(|class| {
        let count = confusion[class].iter().sum();
        (count > 0).then(|| proportion(hits(class), count))
    });
    Classification {
        accuracy: proportion((0..num_classes).map(hits).sum(), labels.len()),
        by_class: by_class.collect(),
        mean_energy: mean(&energies, num_resamples, seed),
        confusion,
    }
}
