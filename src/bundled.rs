//! Pretrained models that are embedded in the program.

use std::path::Path;

#[cfg(not(target_arch = "wasm32"))]
use crate::config::DatasetName;
use crate::{
    assets,
    checkpoint::{Checkpoint, CheckpointError},
    config::{meant, nearest},
};

/// A bundled model, with its preset and its file.
#[derive(Clone, Copy, Debug)]
pub struct BundledModel {
    /// The name of the model on the command line and in links.
    pub name: &'static str,
    /// The name that people read: the data, and how the model was trained.
    pub title: &'static str,
    /// The preset of its training run.
    pub preset: &'static str,
    /// The name of its file in [`crate::assets`].
    pub file: &'static str,
}

/// The names of the bundled models of images whose chains sample at a temperature, for as long as they run: of digits, and of garments.
/// Those of the others descend.
pub const SAMPLER: &str = "mnist-sampler";
const SAMPLER_OF_GARMENTS: &str = "fashion-sampler";

/// The name of the bundled model whose chains sample that is nearest to a data set, by the name of that.
pub fn sampler_for(dataset: &str) -> &'static str {
    if dataset.starts_with("fashion") { SAMPLER_OF_GARMENTS } else { SAMPLER }
}

/// Every bundled model; the first is the default. `docs/showcase.md` describes how they were made. Those of CIFAR-10 were
/// trained on a mirror whose images are JPEGs, which lose some detail; their names say so.
pub const BUNDLED_MODELS: &[BundledModel] = &[
    BundledModel {
        name: "fashion",
        title: "Fashion-MNIST (JEM++)",
        preset: "fashion-showcase",
        file: "fashion.safetensors",
    },
    BundledModel {
        name: SAMPLER_OF_GARMENTS,
        title: "Fashion-MNIST (chains that sample)",
        preset: "fashion-sampler",
        file: "fashion-sampler.safetensors",
    },
    BundledModel {
        name: "mnist",
        title: "MNIST digits (JEM++)",
        preset: "mnist-showcase",
        file: "mnist.safetensors",
    },
    BundledModel {
        name: SAMPLER,
        title: "MNIST digits (chains that sample)",
        preset: "mnist-sampler",
        file: "mnist-sampler.safetensors",
    },
    BundledModel {
        name: "cifar10-jpeg",
        title: "CIFAR-10 JPEG (JEM++)",
        preset: "cifar10-showcase",
        file: "cifar10-jpeg.safetensors",
    },
    BundledModel {
        name: "fashion-classifier",
        title: "Fashion-MNIST (plain classifier)",
        preset: "fashion-classifier",
        file: "fashion-classifier.safetensors",
    },
    BundledModel {
        name: "cifar10-jpeg-classifier",
        title: "CIFAR-10 JPEG (plain classifier)",
        preset: "cifar10-classifier",
        file: "cifar10-jpeg-classifier.safetensors",
    },
    BundledModel {
        name: "two-moons",
        title: "Two moons (JEM++)",
        preset: "toy-two-moons",
        file: "two-moons.safetensors",
    },
    BundledModel {
        name: "two-moons-classifier",
        title: "Two moons (plain classifier)",
        preset: "two-moons-classifier",
        file: "two-moons-classifier.safetensors",
    },
];

/// The classifiers whose features `jempp eval` uses to measure samples. `docs/results.md` describes how they were made.
#[cfg(not(target_arch = "wasm32"))]
pub const BUNDLED_JUDGES: &[BundledModel] = &[
    BundledModel {
        name: "fashion-judge",
        title: "Fashion-MNIST (feature classifier)",
        preset: "fashion-judge",
        file: "fashion-judge.safetensors",
    },
    BundledModel {
        name: "mnist-judge",
        title: "MNIST digits (feature classifier)",
        preset: "mnist-judge",
        file: "mnist-judge.safetensors",
    },
    BundledModel {
        name: "cifar10-jpeg-judge",
        title: "CIFAR-10 JPEG (feature classifier)",
        preset: "cifar10-judge",
        file: "cifar10-jpeg-judge.safetensors",
    },
];

/// The judge (feature classifier) for samples of a data set, if there is one.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn judge_of(dataset: DatasetName) -> Option<BundledModel> {
    let name = match dataset {
        DatasetName::FashionMnist | DatasetName::FashionMnistEmbedded => "fashion-judge",
        DatasetName::Mnist => "mnist-judge",
        DatasetName::Cifar10 => "cifar10-jpeg-judge",
        _ => return None,
    };
    BUNDLED_JUDGES.iter().find(|judge| judge.name == name).copied()
}

impl BundledModel {
    /// The content of the file; empty until the file is loaded.
    pub fn bytes(&self) -> &'static [u8] {
        assets::get(self.file).unwrap_or_default()
    }

    /// Decodes the packed model. The file must be loaded first.
    ///
    /// # Errors
    /// The file is not loaded, or cannot be read; a test makes sure that it can.
    pub fn load(&self) -> Result<Checkpoint, CheckpointError> {
        // Without the file, the error says that an empty file is too short for a checkpoint.
        Checkpoint::from_bytes(self.bytes(), Path::new(self.name))
    }
}

/// The title of a bundled model, or `None` if no bundled model has this name.
pub fn title_of(name: &str) -> Option<&'static str> {
    BUNDLED_MODELS.iter().find(|model| model.name == name).map(|model| model.title)
}

/// There is no bundled model with this name.
#[derive(Debug, thiserror::Error)]
#[error("no bundled model `{name}`{} There are: {all}", meant(.nearest.as_deref()))]
pub struct NoSuchModel {
    /// The name that was given.
    pub name: String,
    /// The bundled model with the most similar name, if one is similar.
    pub nearest: Option<String>,
    /// The names of all bundled models.
    pub all: String,
}

/// Finds the bundled model with this name.
///
/// # Errors
/// There is no such model.
pub fn find(name: &str) -> Result<BundledModel, NoSuchModel> {
    let found = BUNDLED_MODELS.iter().find(|model| model.name == name);
    let names: Vec<&str> = BUNDLED_MODELS.iter().map(|model| model.name).collect();
    found.copied().ok_or_else(|| NoSuchModel {
        name: name.to_string(),
        nearest: nearest(name, names.iter().copied()).map(ToString::to_string),
        all: names.join(", "),
    })
}
