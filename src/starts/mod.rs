//! Where chains start: noise, class centres, images of the data, kept chains or a picture.

mod summaries;

use std::{path::PathBuf, sync::Arc};

use burn::tensor::{Device, Tensor, TensorData};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    config::StartKind,
    data::{self, DataError},
    picture::{self, PictureError},
    replay_buffer::Start,
    streams,
};

pub(crate) use summaries::distances;

/// Why chains cannot start as asked.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The checkpoint holds no chains, is of other data, or so many chains need too much memory.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model's data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The picture cannot be read.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A class without test images.
    #[error("a class has no test image to start from")]
    NoTestImage,
    /// An image of another shape than the model's inputs.
    #[error("the image has another size than the model's")]
    OtherSize,
    /// A picture for a model of points.
    #[error("a model of points in the plane cannot start from a picture")]
    Points,
}

/// Where sampled chains start.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleStart {
    /// Fresh starts of a kind.
    Fresh(StartKind),
    /// Test images of each class.
    Data,
    /// Chains of the checkpoint's replay buffer.
    Buffer,
    /// One picture for all.
    File(PathBuf),
    /// One image (C, H, W) in [-1, 1] for all.
    Image(Arc<[f32]>),
}

/// One start per label, shape (N, C, H, W).
///
/// # Errors
/// A start that the checkpoint or its data cannot give, more chains than there is memory for.
pub fn starts(
    checkpoint: &Checkpoint,
    start: &SampleStart,
    labels: &[u32],
    seed: u64,
    device: &Device,
) -> Result<Tensor<4>, StartError> {
    checkpoint.check_memory(labels.len())?;
    let [c, h, w] = checkpoint.input_shape;
    let num_pixels = c * h * w;
    let values = match start {
        SampleStart::Fresh(kind) => {
            let centers = checkpoint.class_centers.to_device(checkpoint.input_shape, device);
            let noise = streams::CHAIN_STARTS.key(seed, 0);
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
            let pick = nth_of_class(labels);
            let pick = labels.iter().zip(pick).map(|(&label, nth)| {
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
            let rows = labels.iter().zip(nth_of_class(labels)).map(|(&label, nth)| {
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
        SampleStart::File(_) if h * w == 1 => return Err(StartError::Points),
        SampleStart::File(path) => {
            picture::load_item(path, checkpoint.input_shape)?.repeat(labels.len())
        }
    };
    Ok(Tensor::from_data(TensorData::new(values, [labels.len(), c, h, w]), device))
}

/// How many equal labels stand before each.
fn nth_of_class(labels: &[u32]) -> Vec<usize> {
    let mut seen = std::collections::HashMap::new();
    let count = |&label| {
        let nth = seen.entry(label).or_insert(0);
        *nth += 1;
        *nth - 1
    };
    labels.iter().map(count).collect()
}
