//! The data sets by name: how each is read, and what is known of it before that.

use super::Density;
use crate::config::DatasetName;

/// The classes of Fashion-MNIST.
pub(super) const FASHION_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
/// The classes of CIFAR-10.
pub(super) const CIFAR10_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// The classes of data sets of digits.
pub(super) const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Where a data set comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Source {
    /// It is drawn from a formula.
    Drawn(Density),
    /// It is inside the program.
    Embedded,
    /// It is read from files with official names and formats.
    Official,
    /// It is read from the user's own files, whatever their names.
    Own,
}

/// What is known of a data set before it is read.
pub(super) struct Set {
    pub(super) source: Source,
    /// The shape (C, H, W) of its items.
    pub(super) shape: Option<[usize; 3]>,
    /// The names of its classes.
    pub(super) class_names: Option<Vec<String>>,
    /// Whether a mirrored image keeps its class.
    pub(super) may_flip: bool,
}

impl Set {
    /// What is known of this data set.
    pub(super) fn of(dataset: DatasetName) -> Self {
        let images = |source, shape, names: &[&str], may_flip| Self {
            source,
            shape: Some(shape),
            class_names: Some(owned(names)),
            may_flip,
        };
        let drawn = |density| Self {
            source: Source::Drawn(density),
            shape: Some([2, 1, 1]),
            class_names: None,
            may_flip: false,
        };
        let (grey, colour) = ([1, 28, 28], [3, 32, 32]);
        match dataset {
            DatasetName::FashionMnistEmbedded => {
                images(Source::Embedded, grey, &FASHION_CLASSES, true)
            }
            DatasetName::FashionMnist => images(Source::Official, grey, &FASHION_CLASSES, true),
            DatasetName::Mnist => images(Source::Official, grey, &DIGITS, false),
            DatasetName::Cifar10 => images(Source::Official, colour, &CIFAR10_CLASSES, true),
            DatasetName::Cifar100 => Self {
                class_names: Some((0..100).map(|class| format!("class {class}")).collect()),
                ..images(Source::Official, colour, &[], true)
            },
            DatasetName::Svhn => images(Source::Official, colour, &DIGITS, false),
            DatasetName::TwoMoons => drawn(Density::TwoMoons),
            DatasetName::EightGaussians => drawn(Density::EightGaussians),
            DatasetName::Spiral => drawn(Density::Spiral),
            DatasetName::Rings => drawn(Density::Rings),
            DatasetName::Checkerboard => drawn(Density::Checkerboard),
            DatasetName::Pinwheel => drawn(Density::Pinwheel),
            // The user knows whether mirrored images keep their class.
            DatasetName::Custom => {
                Self { source: Source::Own, shape: None, class_names: None, may_flip: true }
            }
        }
    }
}

/// The name of the data set as a value of the key `data.dataset`.
pub fn name(dataset: DatasetName) -> String {
    match toml::Value::try_from(dataset) {
        Ok(toml::Value::String(name)) => name,
        _ => unreachable!("a data set's name is a word"),
    }
}

/// The class names of a data set, if they are known without its files.
pub fn class_names(dataset: DatasetName) -> Option<Vec<String>> {
    Set::of(dataset).class_names
}

/// Whether a mirrored image of this data set keeps its class.
pub fn may_flip(dataset: DatasetName) -> bool {
    Set::of(dataset).may_flip
}

/// Whether the items of this data set are points drawn from a 2-D density.
pub fn is_density(dataset: DatasetName) -> bool {
    matches!(Set::of(dataset).source, Source::Drawn(_))
}

/// The data sets with official files whose images have the shape (C, H, W).
pub(crate) fn official_of_shape(shape: [usize; 3]) -> impl Iterator<Item = DatasetName> {
    official().filter(move |&dataset| Set::of(dataset).shape == Some(shape))
}

/// The data sets that are read from official files.
pub(super) fn official() -> impl Iterator<Item = DatasetName> {
    let all = DatasetName::ALL.iter().map(|(dataset, _)| *dataset);
    all.filter(|&dataset| Set::of(dataset).source == Source::Official)
}

/// The names as owned texts.
pub(super) fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}
