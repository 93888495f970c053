//! Class centres for an imported model, because JEMPP stores its own in separate files.

use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

use super::InteropError;
use crate::{
    class_centers::ClassCentersData,
    config::ClassCentersConfig,
    data::Dataset,
    device::{ReadError, read_now},
    model::{HostTensor, Network, Pass},
    numbers::argmax,
};

/// Limit on the chains used to estimate centres; WRN-28-10 classifies 15 to 25 per second on two cores.
const MAX_CHAINS: usize = 500;
/// Limit on the chains of the mixture that is used for a class with fewer than two chains.
const MAX_MIXED: usize = 64;

/// The data from which class centres were estimated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Centers {
    /// The training images.
    Images,
    /// The chains of the replay buffer, each assigned to the class that the network predicts.
    Chains,
    /// No data: every class has mean 0 and the variance of uniform noise on [-1, 1].
    Nothing,
}

/// Estimates the class Gaussians from chains (N, D), which are images of shape (C, H, W), picked evenly from the
/// buffer.
///
/// A chain is assigned to the class with the largest logit, with batch norm in inference mode. A class with fewer than
/// two chains gets the Gaussian of the mixture of all.
///
/// # Errors
/// A covariance has no eigendecomposition, or the device failed.
pub(super) fn of_chains(
    network: &Network,
    chains: &HostTensor,
    shape: [usize; 3],
    class_names: &[String],
    config: &ClassCentersConfig,
    device: &Device,
) -> Result<ClassCentersData, InteropError> {
    let (capacity, num_pixels) = (chains.shape[0], chains.shape[1]);
    let count = capacity.min(MAX_CHAINS);
    let picked: Vec<&[f32]> = (0..count)
        .map(|i| i * capacity / count * num_pixels)
        .map(|at| &chains.values[at..at + num_pixels])
        .collect();
    let classes = classify(network, &picked, shape, device)?;
    let mixed: Vec<&[f32]> = picked.iter().step_by(count.div_ceil(MAX_MIXED)).copied().collect();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for class in 0..class_names.len() {
        let own = picked.iter().zip(&classes).filter(|&(_, &found)| found == class);
        let own: Vec<&[f32]> = own.map(|(chain, _)| *chain).collect();
        let members = if own.len() < 2 { &mixed } else { &own };
        values.extend(members.iter().flat_map(|chain| *chain));
        labels.extend(vec![class as u32; members.len()]);
    }
    let chains = Dataset::unchecked(values, labels, shape, class_names.to_vec());
    Ok(ClassCentersData::estimate(&chains, config)?)
}

fn classify(
    network: &Network,
    images: &[&[f32]],
    [c, h, w]: [usize; 3],
    device: &Device,
) -> Result<Vec<usize>, ReadError> {
    let network = network.valid().freeze();
    let mut classes = Vec::with_capacity(images.len());
    for batch in images.chunks(network.images_at_once([h, w], Pass::Forward)) {
        let data = TensorData::new(batch.concat(), [batch.len(), c, h, w]);
        let logits = read_now(network.logits(Tensor::<4>::from_data(data, device)))?;
        let num_classes = logits.len() / batch.len();
        classes.extend(logits.chunks(num_classes).map(|row| argmax(row).unwrap_or(0)));
    }
    Ok(classes)
}

/// Class Gaussians with the mean and variance of uniform noise on [-1, 1], for every class.
pub(super) fn of_nothing(num_classes: usize, num_pixels: usize) -> ClassCentersData {
    let len = num_classes * num_pixels;
    ClassCentersData {
        mean: vec![0.0; len],
        factor: vec![0.0; len],
        residual_std: vec![1.0 / 3.0f32.sqrt(); len],
        dims: [num_classes, 1, num_pixels],
    }
}
