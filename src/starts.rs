//! The starts of sampled chains: noise, class centres, test images, the replay buffer or a picture.

use std::{ops::Range, path::PathBuf, sync::Arc};

use burn::tensor::{Device, Tensor, TensorData};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    config::StartKind,
    data::{self, DataError},
    picture::{self, PictureError},
    replay_buffer::Start,
    streams,
};

/// The reason why chains cannot start as requested.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The checkpoint holds no chains or belongs to other data, or the chains need too much memory.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The data of the model cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The picture cannot be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A class has no test images.
    #[error("a class has no test image to start from")]
    NoTestImage,
    /// The image has another shape than the model's inputs.
    #[error("the image has another size than the model's")]
    OtherSize,
    /// There are more or fewer images than starts.
    #[error(
        "{num_values} values are not one image of {num_pixels} values for each of {num_starts} starts"
    )]
    OtherCount {
        /// The number of values in all images.
        num_values: usize,
        /// The number of values of an image of the model.
        num_pixels: usize,
        /// The number of starts of the whole run.
        num_starts: usize,
    },
    /// A model of points cannot start from a picture.
    #[error("a model of points in the plane cannot start from a picture")]
    Points,
}

/// The kind of starts for sampled chains.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleStart {
    /// New random starts of this kind.
    Fresh(StartKind),
    /// Test images of each chain's class.
    Data,
    /// Chains of the checkpoint's replay buffer.
    Buffer,
    /// The picture in this file, for all chains.
    File(PathBuf),
    /// This image (C, H, W) in [-1, 1], for all chains.
    Image(Arc<[f32]>),
    /// An image (C, H, W) in [-1, 1] for each start, one after the other.
    Images(Arc<[f32]>),
}

/// Draws the start of each chain from the checkpoint, its data or a picture. There is one chain per label, which is
/// its class; shape (N, C, H, W). The same `seed` gives the same starts.
///
/// # Errors
/// Starts that the checkpoint or its data does not have, more chains than fit in memory.
pub fn draw(
    checkpoint: &Checkpoint,
    start: &SampleStart,
    labels: &[u32],
    seed: u64,
    device: &Device,
) -> Result<Tensor<4>, StartError> {
    draw_part(checkpoint, start, labels, 0..labels.len(), seed, device)
}

/// Draws the starts `part` of those of [`draw`].
///
/// # Errors
/// As [`draw`].
pub(crate) fn draw_part(
    checkpoint: &Checkpoint,
    start: &SampleStart,
    labels: &[u32],
    part: Range<usize>,
    seed: u64,
    device: &Device,
) -> Result<Tensor<4>, StartError> {
    checkpoint.check_memory(part.len(), device)?;
    let nth_of_class = nth_of_class(labels)[part.clone()].to_vec();
    let num_starts = labels.len();
    let labels = &labels[part.clone()];
    let [c, h, w] = checkpoint.input_shape;
    let num_pixels = c * h * w;
    let values = match start {
        SampleStart::Fresh(kind) => {
            let centers = checkpoint.class_centers.to_device(checkpoint.input_shape, device);
            let noise = streams::CHAIN_STARTS.key(seed, 0).from_chain(part.start as u32);
            return Ok(Start::new(*kind, &centers).draw(labels, noise, device));
        }
        SampleStart::Data => {
            let splits = data::load_at_hand(&checkpoint.config.data, checkpoint.config.seed)?;
            let test = splits.in_classes(&checkpoint.class_names).test;
            checkpoint.check_data(&test)?;
            let mut of_class: Vec<Vec<usize>> = vec![Vec::new(); test.num_classes()];
            for (index, &label) in test.labels.iter().enumerate() {
                of_class[label as usize].push(index);
            }
            let pick = labels.iter().zip(nth_of_class).map(|(&label, nth)| {
                let indices = &of_class[label as usize];
                indices.get((nth + seed as usize) % indices.len().max(1)).copied()
            });
            let indices: Option<Vec<usize>> = pick.collect();
            test.gather(indices.ok_or(StartError::NoTestImage)?)
        }
        SampleStart::Buffer if !checkpoint.has_buffer() => {
            return Err(CheckpointError::Packed.into());
        }
        SampleStart::Buffer => {
            let buffer = &checkpoint.replay_buffer;
            let (capacity, num_classes) = (buffer.shape[0], checkpoint.class_names.len());
            let rows = labels.iter().zip(nth_of_class).map(|(&label, nth)| {
                let first = (label as usize * capacity).div_ceil(num_classes);
                let last = ((label as usize + 1) * capacity).div_ceil(num_classes);
                first + (nth + seed as usize) % (last - first).max(1)
            });
            rows.flat_map(|row| &buffer.values[row * num_pixels..(row + 1) * num_pixels])
                .copied()
                .collect()
        }
        SampleStart::Image(image) if image.len() == num_pixels => image.repeat(labels.len()),
        SampleStart::Image(_) => return Err(StartError::OtherSize),
        SampleStart::Images(images) if images.len() == num_starts * num_pixels => {
            images[part.start * num_pixels..part.end * num_pixels].to_vec()
        }
        SampleStart::Images(images) => {
            let num_values = images.len();
            return Err(StartError::OtherCount { num_values, num_pixels, num_starts });
        }
        SampleStart::File(_) if h * w == 1 => return Err(StartError::Points),
        SampleStart::File(path) => {
            picture::load_item(path, checkpoint.input_shape)?.repeat(labels.len())
        }
    };
    Ok(Tensor::from_data(TensorData::new(values, [labels.len(), c, h, w]), device))
}

/// For each label, the number of equal labels before it.
fn nth_of_class(labels: &[u32]) -> Vec<usize> {
    let mut seen = std::collections::HashMap::new();
    let count = |&label| {
        let nth = seen.entry(label).or_insert(0);
        *nth += 1;
        *nth - 1
    };
    labels.iter().map(count).collect()
}

/// The distance of each chain of `num_pixels` values from its start, ‖x - x_0‖; both are (N, D), flattened.
pub(crate) fn distances(x: &[f32], start: &[f32], num_pixels: usize) -> Vec<f32> {
    let distance = |(now, then): (&[f32], &[f32])| {
        now.iter().zip(then).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
    };
    x.chunks(num_pixels).zip(start.chunks(num_pixels)).map(distance).collect()
}
