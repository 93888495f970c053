//! Models that travel inside the program.

use std::path::Path;

#[cfg(not(target_arch = "wasm32"))]
use crate::config::DatasetName;
use crate::{
    assets,
    checkpoint::{Checkpoint, CheckpointError},
    config::nearest,
};

/// A model and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct BundledModel {
    /// Its name on the command line.
    pub name: &'static str,
    /// The preset it was trained with.
    pub preset: &'static str,
    /// The file that holds it, one of [`crate::assets`].
    pub file: &'static str,
}

/// Every bundled model; the first is the default. How they were made: `docs/showcase.md`.
pub const BUNDLED_MODELS: &[BundledModel] = &[
    BundledModel { name: "fashion", preset: "fashion-showcase", file: "fashion.safetensors" },
    BundledModel { name: "mnist", preset: "mnist-showcase", file: "mnist.safetensors" },
    BundledModel {
        name: "fashion-classifier",
        preset: "fashion-classifier",
        file: "fashion-classifier.safetensors",
    },
    BundledModel { name: "two-moons", preset: "toy-two-moons", file: "two-moons.safetensors" },
    BundledModel {
        name: "two-moons-classifier",
        preset: "two-moons-classifier",
        file: "two-moons-classifier.safetensors",
    },
];

/// The classifiers in whose features `jempp eval` measures samples. How they were made: `docs/results.md`.
#[cfg(not(target_arch = "wasm32"))]
pub const BUNDLED_JUDGES: &[BundledModel] = &[
    BundledModel {
        name: "fashion-judge",
        preset: "fashion-judge",
        file: "fashion-judge.safetensors",
    },
    BundledModel { name: "mnist-judge", preset: "mnist-judge", file: "mnist-judge.safetensors" },
];

/// The judge of samples of a data set, where there is one.
#[cfg(not(target_arch = "wasm32"))]
pub fn judge_of(dataset: DatasetName) -> Option<BundledModel> {
    let name = match dataset {
        DatasetName::FashionMnist | DatasetName::FashionMnistEmbedded => "fashion-judge",
        DatasetName::Mnist => "mnist-judge",
        _ => return None,
    };
    BUNDLED_JUDGES.iter().find(|judge| judge.name == name).copied()
}

impl BundledModel {
    /// The file, once it is here.
    pub fn bytes(&self) -> &'static [u8] {
        assets::get(self.file).unwrap_or_default()
    }

    /// The packed model, once its file is here.
    ///
    /// # Errors
    /// The file is not here, or cannot be read, which a test rules out.
    pub fn load(&self) -> Result<Checkpoint, CheckpointError> {
        // Nothing at all is too short for a checkpoint, which says enough.
        Checkpoint::from_bytes(self.bytes(), Path::new(self.name))
    }
}

/// No bundled model of that name.
#[derive(Debug, thiserror::Error)]
#[error("no bundled model `{name}`; did you mean `{nearest}`? There are: {all}")]
pub struct NoSuchModel {
    /// The name as written.
    pub name: String,
    /// The model closest to it.
    pub nearest: String,
    /// The names of all bundled models.
    pub all: String,
}

/// The bundled model of that name.
///
/// # Errors
/// No such model.
pub fn find(name: &str) -> Result<BundledModel, NoSuchModel> {
    let found = BUNDLED_MODELS.iter().find(|model| model.name == name);
    let names: Vec<&str> = BUNDLED_MODELS.iter().map(|model| model.name).collect();
    found.copied().ok_or_else(|| NoSuchModel {
        name: name.to_string(),
        nearest: nearest(name, names.iter().copied()).to_string(),
        all: names.join(", "),
    })
}
