//! Models that travel inside the program.

use std::path::Path;

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    config::nearest,
};

/// A model and what it is.
#[derive(Clone, Copy, Debug)]
pub struct BundledModel {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it models.
    pub about: &'static str,
    bytes: &'static [u8],
}

/// Every bundled model; the first is the default.
pub const BUNDLED_MODELS: &[BundledModel] = &[BundledModel {
    name: "fashion",
    about: "JEM++ on Fashion-MNIST, preset fashion-showcase",
    bytes: include_bytes!("../assets/fashion.safetensors"),
}];

/// Why there is no such model.
#[derive(Debug, thiserror::Error)]
pub enum BundledError {
    /// No model of that name.
    #[error("no bundled model `{name}`; did you mean `{nearest}`? There are: {all}")]
    Unknown {
        /// The name as written.
        name: String,
        /// The model closest to it.
        nearest: String,
        /// Every model.
        all: String,
    },
    /// The file inside the program cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// The bundled model of that name.
///
/// # Errors
/// No such model.
pub fn load(name: &str) -> Result<Checkpoint, BundledError> {
    let Some(model) = BUNDLED_MODELS.iter().find(|model| model.name == name) else {
        let names: Vec<&str> = BUNDLED_MODELS.iter().map(|model| model.name).collect();
        return Err(BundledError::Unknown {
            name: name.to_string(),
            nearest: nearest(name, names.iter().copied()).to_string(),
            all: names.join(", "),
        });
    };
    Ok(Checkpoint::from_bytes(model.bytes, Path::new(model.name))?)
}
