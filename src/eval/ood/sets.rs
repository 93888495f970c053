//! Out-of-distribution images: other data sets, generated images, and images of the user.

use std::{fs, path::PathBuf};

use image::{ImageBuffer, Luma, imageops};
use rand::RngExt;

use crate::{
    config::{DataConfig, DatasetName},
    data::{self, Dataset, Loose, item_words, spread},
    eval::EvalError,
    streams,
};

/// The standard deviation of the Gaussian blur that smooths noise, in pixels.
const SMOOTHING: f32 = 1.5;
/// The standard deviation of smoothed noise, in units of x.
const SMOOTHED_STD: f32 = 0.5;
/// The name of the set of means of two classes.
const INTERPOLATED: &str = "interpolated";

/// Images of one kind, (N, C, H, W) in [-1, 1], flattened.
pub(super) struct ImageSet {
    pub(super) name: String,
    /// How the images were made or where they are stored.
    pub(super) what: String,
    /// Whether the user supplied the images.
    pub(super) is_own: bool,
    pub(super) values: Vec<f32>,
}

impl ImageSet {
    fn new(name: &str, what: impl Into<String>, values: Vec<f32>) -> Self {
        Self { name: name.to_string(), what: what.into(), is_own: false, values }
    }
}

/// Test images of the other data sets of the same shape, and the data sets that are not available, each with the
/// reason.
pub(super) fn other_datasets(
    own: DatasetName,
    shape: [usize; 3],
    count: usize,
) -> (Vec<ImageSet>, Vec<(String, String)>) {
    let own =
        if own == DatasetName::FashionMnistEmbedded { DatasetName::FashionMnist } else { own };
    let (mut sets, mut left_out) = (Vec::new(), Vec::new());
    for dataset in data::official_of_shape(shape).filter(|&other| other != own) {
        let name = data::name(dataset);
        let config = DataConfig { dataset, batch_size: 1, ..DataConfig::default() };
        match data::load_at_hand(&config, 0) {
            Ok(splits) => {
                let test = splits.test;
                if test.is_empty() {
                    left_out.push((name, "it has no test images".into()));
                    continue;
                }
                let what = format!("{} of its {} test images", count.min(test.len()), test.len());
                sets.push(ImageSet::new(&name, what, test.gather(spread(test.len(), count))));
            }
            Err(error) => left_out.push((name, error.to_string())),
        }
    }
    (sets, left_out)
}

/// Loads the images of files and folders. `taken` holds the sets whose names are already used.
///
/// # Errors
/// A path that cannot be read, holds no images, holds images of another size, or is given twice.
pub(super) fn of_paths(
    paths: &[PathBuf],
    shape: [usize; 3],
    count: usize,
    taken: &[ImageSet],
) -> Result<Vec<ImageSet>, EvalError> {
    let taken: Vec<&str> = taken.iter().map(|set| set.name.as_str()).collect();
    let names = names_of(paths, &taken)?;
    let set_of = |(path, name): (&PathBuf, String)| {
        let Loose { values, description } = data::load_images(path, shape, count)?;
        Ok(ImageSet { is_own: true, ..ImageSet::new(&name, description, values) })
    };
    paths.iter().zip(names).map(set_of).collect()
}

/// A name for every path: its last component, and as many components before it as needed to make it unique and
/// different from `taken`.
fn names_of(paths: &[PathBuf], taken: &[&str]) -> Result<Vec<String>, EvalError> {
    // Resolve paths such as `.` and `a/../b`, so that they have names too; a path that does not exist gives an error
    // when it is read.
    let whole: Vec<PathBuf> =
        paths.iter().map(|path| fs::canonicalize(path).unwrap_or_else(|_| path.clone())).collect();
    let last = |path: &PathBuf, count: usize| {
        let parts: Vec<_> = path.iter().collect();
        let parts: PathBuf = parts[parts.len().saturating_sub(count)..].iter().collect();
        parts.to_string_lossy().into_owned()
    };
    let name_of = |(index, path): (usize, &PathBuf)| {
        let others = || whole.iter().enumerate().filter(|&(other, _)| other != index);
        if others().any(|(_, other)| other == path) {
            return Err(EvalError::Ood(format!(
                "the out-of-distribution images include {} twice",
                path.display()
            )));
        }
        let is_free = |&count: &usize| {
            let name = last(path, count);
            !taken.contains(&name.as_str()) && others().all(|(_, other)| last(other, count) != name)
        };
        let count = (1..=path.iter().count()).find(is_free).unwrap_or(usize::MAX);
        Ok(last(path, count))
    };
    whole.iter().enumerate().map(name_of).collect()
}

/// The sets that need no other data: noise, and changed test images; and those that cannot be made, each with the reason.
/// `images` are the test images at `indices` of `test`.
pub(super) fn made(
    test: &Dataset,
    indices: &[usize],
    images: &[f32],
    seed: u64,
) -> (Vec<ImageSet>, Option<(String, String)>) {
    let ([c, h, w], count) = (test.shape, indices.len());
    let size = c * h * w;
    let mut random = streams::OOD_NOISE.rng(seed, 0);
    let noise = (0..count * size).map(|_| random.random_range(-1.0..1.0)).collect();
    let value = if h * w > 1 { "pixel" } else { "coordinate" };
    let what = format!("every {value} uniform on [-1, 1]");
    let mut sets = vec![ImageSet::new("uniform noise", what, noise)];
    if h * w > 1 {
        let what = format!(
            "uniform noise smoothed by a Gaussian of {SMOOTHING} pixels, stretched to a standard deviation of \
             {SMOOTHED_STD}, cut off at ±1"
        );
        sets.push(ImageSet::new("smoothed noise", what, smoothed(count * c, [h, w], seed)));
        let mut random = streams::OOD_CONSTANT.rng(seed, 0);
        let level = |_| vec![random.random_range(-1.0..1.0); h * w];
        let values = (0..count * c).flat_map(level).collect();
        sets.push(ImageSet::new("constant", "one value per image and channel", values));
    }
    let [_, items] = item_words(test.shape);
    let mut left_out = None;
    match interpolated(test, indices, seed) {
        Some(values) => {
            let what = format!("means of two test {items} of different classes");
            sets.push(ImageSet::new(INTERPOLATED, what, values));
        }
        None => {
            let reason = format!("it holds means of two classes, and all test {items} are of one");
            left_out = Some((INTERPOLATED.to_string(), reason));
        }
    }
    if h * w > 1 {
        let rows = |image: &[f32]| image.rchunks(w).flatten().copied().collect::<Vec<f32>>();
        let values = images.chunks(h * w).flat_map(rows).collect();
        sets.push(ImageSet::new("upside down", "the test images, flipped vertically", values));
        let values = images.iter().map(|value| -value).collect();
        sets.push(ImageSet::new("inverted", "the negatives of the test images", values));
    }
    (sets, left_out)
}

/// `count` planes (H, W) of smoothed noise.
fn smoothed(count: usize, [h, w]: [usize; 2], seed: u64) -> Vec<f32> {
    let mut random = streams::OOD_SMOOTHED.rng(seed, 0);
    let mut plane = |_| {
        let noise = (0..h * w).map(|_| random.random::<f32>()).collect();
        let noise: Option<ImageBuffer<Luma<f32>, Vec<f32>>> =
            ImageBuffer::from_raw(w as u32, h as u32, noise);
        let Some(noise) = noise else { unreachable!("as many values as pixels") };
        let plane = imageops::blur(&noise, SMOOTHING).into_raw();
        let mean = plane.iter().sum::<f32>() / plane.len() as f32;
        let variance = plane.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / plane.len() as f32;
        let factor = SMOOTHED_STD / variance.sqrt().max(f32::MIN_POSITIVE);
        plane.into_iter().map(move |v| ((v - mean) * factor).clamp(-1.0, 1.0)).collect::<Vec<_>>()
    };
    (0..count).flat_map(&mut plane).collect()
}

/// The mean of each test image in `indices` with a random one of another class; `None` if all are of one class.
fn interpolated(test: &Dataset, indices: &[usize], seed: u64) -> Option<Vec<f32>> {
    let mut random = streams::OOD_PAIRS.rng(seed, 0);
    if test.labels.iter().all(|&label| label == test.labels[0]) {
        return None;
    }
    let mut values = Vec::new();
    for &index in indices {
        let other = loop {
            let other = random.random_range(0..test.len() as u64) as usize;
            if test.labels[other] != test.labels[index] {
                break other;
            }
        };
        let pair = [index, other].map(|index| test.gather([index]));
        values.extend(pair[0].iter().zip(&pair[1]).map(|(a, b)| 0.5 * (a + b)));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made of four points with these labels.
    fn of_labels(labels: [u32; 4]) -> (Vec<ImageSet>, Option<(String, String)>) {
        let values = vec![-0.9, -0.9, -0.8, -0.8, 0.8, 0.8, 0.9, 0.9];
        let names = vec!["left".to_string(), "right".to_string()];
        let test = Dataset::from_floats(values, labels.to_vec(), [2, 1, 1], names).unwrap();
        let indices = [0, 1, 2, 3];
        made(&test, &indices, &test.gather(indices), 3)
    }

    #[test]
    fn means_are_of_two_classes_or_left_out() {
        let (sets, left_out) = of_labels([0, 0, 1, 1]);
        assert!(left_out.is_none());
        assert_eq!(sets[0].what, "every coordinate uniform on [-1, 1]");
        assert_eq!((sets.len(), &*sets[1].name), (2, "interpolated"));
        assert_eq!(sets[1].what, "means of two test points of different classes");
        // The classes are on two sides of 0, so a mean is near it, and no mean is a point of the data.
        assert!(sets[1].values.iter().all(|value| value.abs() < 0.11), "{:?}", sets[1].values);

        let (sets, left_out) = of_labels([1; 4]);
        assert_eq!(sets.len(), 1);
        let (name, reason) = left_out.unwrap();
        assert_eq!(name, "interpolated");
        assert!(reason.contains("all test points are of one"), "{reason}");
    }
}
