//! The quality of samples, from what a judge said to each image.

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::SHOWN_PER_CLASS;
use crate::{
    accuracy::predicted,
    config::EvalConfig,
    data::spread,
    eval::{
        metrics::{
            Moments, frechet, frechet_distance, inception_like, precision_recall, proportion,
        },
        results::{JudgeInfo, Nearest, SampleSet, Samples},
    },
    picture,
};

/// A sample counts as copied if it is closer to a training image than all but this share of the test images.
const COPIED: f64 = 0.01;

/// What a judge said to training images and to sets of images.
#[derive(Serialize, Deserialize)]
pub(in crate::eval) struct JudgeSeen {
    /// The name of the judge, and the SHA-256 of its file.
    pub(super) name: String,
    pub(super) sha256: String,
    /// Features (N, features) of the training images.
    pub(super) reference: Vec<f32>,
    pub(super) reference_labels: Vec<u32>,
    /// The first set holds test images, the second fresh chains.
    pub(super) sets: Vec<JudgedSet>,
}

/// What a judge said to a set of images.
#[derive(Serialize, Deserialize)]
pub(super) struct JudgedSet {
    pub(super) name: String,
    pub(super) protocol: String,
    /// The class of each image's row.
    pub(super) labels: Vec<u32>,
    /// The features (N, features) of the judge.
    pub(super) features: Vec<f32>,
    /// p(y|x) (N, classes) of the judge.
    pub(super) probabilities: Vec<f64>,
    /// The distance of each image to the nearest training image.
    pub(super) distances: Vec<f32>,
    /// The images of the picture.
    pub(super) shown: Vec<Shown>,
}

/// An image beside the training image that is nearest to it.
#[derive(Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) class: u32,
    pub(super) image: Vec<f32>,
    pub(super) near: Vec<f32>,
}

impl JudgedSet {
    fn join(&mut self, part: Self) {
        self.labels.extend(part.labels);
        self.features.extend(part.features);
        self.probabilities.extend(part.probabilities);
        self.distances.extend(part.distances);
        self.shown.extend(part.shown);
    }

    /// The number of images that the judge assigns to the class of their row.
    fn agreement(&self, num_classes: usize) -> usize {
        let rows = self.probabilities.chunks(num_classes).zip(&self.labels);
        rows.filter(|(row, label)| predicted(row) == **label as usize).count()
    }
}

/// The moments of the features of one class; none of a single image, which has no covariance.
fn moments_of(
    features: &[f32],
    labels: &[u32],
    class: u32,
    num_features: usize,
) -> Option<Moments> {
    let rows = features.chunks(num_features).zip(labels).filter(|(_, label)| **label == class);
    let own: Vec<f32> = rows.flat_map(|(row, _)| row).copied().collect();
    (own.len() >= 2 * num_features).then(|| Moments::of(&own, num_features))
}

impl JudgeSeen {
    /// Appends what the judge said to a further part of the images.
    pub(super) fn join(&mut self, part: Self) {
        self.reference.extend(part.reference);
        self.reference_labels.extend(part.reference_labels);
        self.sets.iter_mut().zip(part.sets).for_each(|(whole, part)| whole.join(part));
    }

    /// The quality of every set, of images with the given shape (C, H, W).
    pub(in crate::eval) fn results(
        &self,
        config: &EvalConfig,
        num_classes: usize,
        shape: [usize; 3],
    ) -> Samples {
        let num_reference = self.reference_labels.len();
        let num_features = self.reference.len() / num_reference.max(1);
        let whole = Moments::of(&self.reference, num_features);
        let of_reference =
            |class| moments_of(&self.reference, &self.reference_labels, class, num_features);
        let by_class: Vec<Option<Moments>> = (0..num_classes as u32).map(of_reference).collect();
        let num_pixels = shape.iter().product::<usize>();
        let per_pixel = |distance: f32| f64::from(distance) / (num_pixels as f64).sqrt();
        let (mut found, mut test_accuracy, mut threshold) = (Vec::new(), 0.0, 0.0);
        for set in &self.sets {
            let mut distances: Vec<f64> = set.distances.iter().map(|&d| per_pixel(d)).collect();
            let count = distances.len();
            let agreement = set.agreement(num_classes);
            distances.sort_by(f64::total_cmp);
            if found.is_empty() {
                // The first set holds the test images.
                test_accuracy = agreement as f64 / count as f64;
                threshold = distances[(COPIED * count as f64) as usize];
            }
            let near = distances.partition_point(|&distance| distance < threshold);
            let peers = spread(num_reference, count)
                .flat_map(|i| &self.reference[i * num_features..(i + 1) * num_features])
                .copied()
                .collect::<Vec<f32>>();
            let (precision, recall) =
                precision_recall(&peers, &set.features, num_features, config.num_neighbors);
            let class_distance = |(class, reference): (usize, &Option<Moments>)| {
                let own = moments_of(&set.features, &set.labels, class as u32, num_features)?;
                Some(frechet_distance(&own, reference.as_ref()?))
            };
            found.push(SampleSet {
                name: set.name.clone(),
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
                protocol: set.protocol.clone(),
            });
        }
        let (name, sha256) = (self.name.clone(), self.sha256.clone());
        let judge = JudgeInfo { name, sha256, accuracy: test_accuracy, num_features };
        Samples { judge, num_reference, sets: found }
    }

    /// Draws the first fresh chains of every class in a row, with the nearest training image below each.
    pub(in crate::eval) fn picture(&self, num_classes: usize, shape: [usize; 3]) -> RgbImage {
        let num_pixels = shape.iter().product::<usize>();
        let shown: Vec<&Shown> = self.sets.iter().flat_map(|set| &set.shown).collect();
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for class in 0..num_classes as u32 {
            let row = || shown.iter().filter(|shown| shown.class == class).take(SHOWN_PER_CLASS);
            let own: Vec<f32> = row().flat_map(|shown| &shown.image).copied().collect();
            let near: Vec<f32> = row().flat_map(|shown| &shown.near).copied().collect();
            for mut line in [own, near] {
                line.resize(SHOWN_PER_CLASS * num_pixels, -1.0);
                values.extend(line);
                labels.extend([class; SHOWN_PER_CLASS]);
            }
        }
        picture::draw(&values, &labels, shape, SHOWN_PER_CLASS)
    }
}
