//! FID: the Fréchet distance in the features of the one Inception network that everyone uses, from a file that the user
//! supplies.
//!
//! It follows `pytorch-fid`: images as 8-bit pixels, brought to 299 × 299, 2048 features, covariances with divisor N - 1.

mod inception;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;

use super::{
    EvalError,
    metrics::{Moments, MomentsSum, frechet_distance},
    results::{Fid, FidNetwork, FidSet},
};
use crate::{
    config::RunConfig,
    data::Splits,
    device::read_now,
    files::{file_name, read_at_most, sha256},
    picture::byte,
};
use inception::Inception;

/// The SHA-256 of the file that the weights come from, `pt_inception-2015-12-05-6726825d.pth`, in hexadecimal.
pub const ORIGINAL_SHA256: &str =
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2";
/// The key of the metadata under which `tools/convert_inception.py` writes the SHA-256 of the file that it converts.
const SOURCE_KEY: &str = "source_sha256";
/// The key of the metadata for the SHA-256 of the names and values of all tensors, in the order of their names.
const TENSORS_KEY: &str = "tensors_sha256";
/// The number of features of the network.
const NUM_FEATURES: usize = 2048;
/// The number of images in one pass of the network. The largest layer then takes 88 MiB, which every GPU can bind.
const IMAGES_AT_ONCE: usize = 16;
/// The largest file of weights that is read, in bytes; the real one has 91 MiB.
const WEIGHTS_BYTES: u64 = 256 << 20;

/// A file with the weights of FID's Inception network.
#[derive(Clone, Debug)]
pub struct FidWeights {
    path: PathBuf,
    bytes: Vec<u8>,
    source_sha256: Option<String>,
    /// Whether the tensors are those that were written with `source_sha256`.
    is_unchanged: bool,
}

impl FidWeights {
    /// Reads a file that `tools/convert_inception.py` made. What it holds is checked when the evaluation begins.
    ///
    /// # Errors
    /// The file cannot be read or is no safetensors file.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let bytes = read_at_most(path, WEIGHTS_BYTES)
            .map_err(|source| EvalError::Read { path: path.to_path_buf(), source })?;
        let (_, header) = SafeTensors::read_metadata(&bytes)
            .map_err(|error| wrong(path, format!("it is not a safetensors file: {error}")))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let source_sha256 = metadata.get(SOURCE_KEY).cloned();
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| wrong(path, format!("it is not a safetensors file: {error}")))?;
        let is_unchanged = metadata.get(TENSORS_KEY) == Some(&tensors_sha256(&tensors));
        Ok(Self { path: path.to_path_buf(), bytes, source_sha256, is_unchanged })
    }

    /// The name of the file.
    pub fn name(&self) -> String {
        file_name(&self.path)
    }

    /// The cost before the evaluation, in one line: the weights, and how many images pass through the network.
    pub fn describe(&self, config: &RunConfig, splits: &Splits) -> String {
        let count = config.eval.num_samples.min(splits.test.len());
        let reference = config.eval.fid_reference.min(splits.train.len());
        format!(
            "{}; {reference} training images and up to three sets of {count} pass through Inception v3",
            self.name()
        )
    }

    /// Whether the weights say that they were converted from the file that everyone uses, and were not changed since.
    pub fn is_original(&self) -> bool {
        self.is_unchanged && self.source_sha256.as_deref() == Some(ORIGINAL_SHA256)
    }
}

/// The SHA-256 of the names and values of all tensors, in the order of their names.
fn tensors_sha256(tensors: &SafeTensors) -> String {
    let mut all = tensors.tensors();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let parts = all.iter().flat_map(|(name, tensor)| [name.as_bytes(), tensor.data()]);
    sha256(&parts.collect::<Vec<_>>().concat())
}

fn wrong(path: &Path, reason: String) -> EvalError {
    EvalError::FidWeights { path: path.to_path_buf(), reason }
}

/// The network that supplies the features.
pub(super) struct FidJudge {
    inception: Inception,
    network: FidNetwork,
    path: PathBuf,
    device: Device,
}

impl FidJudge {
    /// Builds the network and passes one image through it, so that a wrong file is found before any long work.
    ///
    /// # Errors
    /// The file does not hold the weights of this network, or the images have neither one nor three channels.
    pub(super) fn new(
        weights: &FidWeights,
        shape: [usize; 3],
        device: &Device,
    ) -> Result<Self, EvalError> {
        let [channels, height, width] = shape;
        if !matches!(channels, 1 | 3) || height * width == 1 {
            return Err(EvalError::Request(
                "FID is for images with one or three channels, and this model has other inputs"
                    .into(),
            ));
        }
        let path = weights.path.clone();
        let inception =
            Inception::new(&weights.bytes, device).map_err(|reason| wrong(&path, reason))?;
        let network = FidNetwork {
            name: file_name(&path),
            sha256: sha256(&weights.bytes),
            source_sha256: weights.source_sha256.clone(),
            is_original: weights.is_original(),
        };
        let judge = Self { inception, network, path, device: device.clone() };
        let features = judge.features(&vec![0.0; shape.iter().product()], shape)?;
        if features.len() != NUM_FEATURES {
            let reason = format!("it has {} features instead of {NUM_FEATURES}", features.len());
            return Err(wrong(&judge.path, reason));
        }
        Ok(judge)
    }

    /// The features (N, 2048) of images (N, C, H, W) with values in [-1, 1], flattened.
    fn features(&self, values: &[f32], shape: [usize; 3]) -> Result<Vec<f32>, EvalError> {
        let [c, h, w] = shape;
        // As if the images had been saved as pictures.
        let pixels: Vec<f32> =
            values.iter().map(|&value| f32::from(byte(value)) / 127.5 - 1.0).collect();
        let x = TensorData::new(pixels, [values.len() / (c * h * w), c, h, w]);
        let x: Tensor<4> = Tensor::from_data(x, &self.device);
        let x = if c == 1 { x.repeat_dim(1, 3) } else { x };
        let features = self.inception.features(x).map_err(|reason| wrong(&self.path, reason))?;
        let features = read_now(features)?;
        if features.iter().any(|feature| !feature.is_finite()) {
            return Err(wrong(&self.path, "its features are not finite".into()));
        }
        Ok(features)
    }

    /// The moments of the features of images (N, C, H, W), flattened. Calls `go_on` after every batch.
    ///
    /// # Errors
    /// The error that `go_on` returns.
    fn moments(
        &self,
        values: &[f32],
        shape: [usize; 3],
        go_on: &mut dyn FnMut() -> Result<(), EvalError>,
    ) -> Result<Moments, EvalError> {
        let mut sum = MomentsSum::new(NUM_FEATURES);
        for batch in values.chunks(IMAGES_AT_ONCE * shape.iter().product::<usize>()) {
            sum.add(&self.features(batch, shape)?);
            go_on()?;
        }
        Ok(sum.moments())
    }

    /// The FID of sets of images to the reference images, each a name and (N, C, H, W) flattened. Calls `go_on`
    /// [`num_batches`] times for each of them, and once more for each set.
    ///
    /// # Errors
    /// Pixels that are not finite; the error that `go_on` returns.
    pub(super) fn measure<'a>(
        &self,
        reference: &[f32],
        sets: impl IntoIterator<Item = (&'a str, &'a [f32])>,
        shape: [usize; 3],
        go_on: &mut dyn FnMut() -> Result<(), EvalError>,
    ) -> Result<Fid, EvalError> {
        let count = |values: &[f32]| values.len() / shape.iter().product::<usize>();
        let whole = self.moments(reference, shape, go_on)?;
        let mut found = Vec::new();
        for (name, values) in sets {
            // As pixels, they would become black.
            if values.iter().any(|value| !value.is_finite()) {
                return Err(EvalError::Request(format!(
                    "the pixels of the {name} are not finite: the chains diverge, and FID cannot be measured"
                )));
            }
            let fid = frechet_distance(&self.moments(values, shape, go_on)?, &whole);
            found.push(FidSet { name: name.to_string(), count: count(values), fid });
            go_on()?;
        }
        let network = self.network.clone();
        Ok(Fid { network, num_reference: count(reference), sets: found })
    }
}

/// The number of batches for a number of images.
pub(super) fn num_batches(num_images: usize) -> usize {
    num_images.div_ceil(IMAGES_AT_ONCE)
}

#[cfg(test)]
mod tests;
