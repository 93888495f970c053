//! Import of a PyTorch checkpoint as a checkpoint of jempp.

use std::path::{Path, PathBuf};

use burn::tensor::Device;

use super::{
    InteropError,
    arch::Found,
    centers::{self, Centers},
    file::{PytorchFile, Reading, read, wrong_shape},
    names::Place,
};
use crate::{
    checkpoint::{Checkpoint, CheckpointError, Counters},
    class_centers::ClassCentersData,
    config::{ConfigError, DatasetName, RunConfig, StartKind},
    data::{self, Dataset},
    device::read_now,
    model::{HostTensor, Network, weights_of, with_weights},
    optimizer,
    replay_buffer::{ReplayBuffer, Start},
};

/// The default side of an image if no chain gives it: that of CIFAR and SVHN.
const SIDE: usize = 32;
/// The number of principal axes of a class centre estimated from a few chains instead of thousands of images.
const COMPONENTS_OF_CHAINS: usize = 16;

/// Limit on the values of an image, four channels of 64×64; the official code's networks pool 32×32.
const MAX_PIXELS: usize = 4 * 64 * 64;
/// Limit on the values in the means of the class centres: four times a thousand classes of such images.
const MAX_CENTERS: usize = 1 << 26;
/// Limit on the values in a buffer of fresh chains: the paper's 10,000 chains of 3×32×32.
const MAX_FRESH: usize = 10_000 * 3 * SIDE * SIDE;

/// The options of an import that are not in the file.
#[derive(Clone, Debug, Default)]
pub struct ImportRequest {
    /// The expected architecture, for example `wrn-28-10`.
    pub arch: Option<String>,
    /// The data set of the training; the default is CIFAR-10, or CIFAR-100 for 100 classes.
    pub dataset: Option<DatasetName>,
    /// The folder with the files of that data set, used to estimate class centres from real images.
    pub data: Option<PathBuf>,
}

/// An imported model.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The model, ready for sampling and training.
    pub checkpoint: Checkpoint,
    /// The data from which its class centres were estimated.
    pub centers: Centers,
    /// Whether the replay buffer comes from the file; otherwise it holds fresh chains.
    pub has_chains: bool,
    /// The tensors left out because the classifier does not use them.
    pub unused: Vec<String>,
    /// How the network was found in the file.
    pub reading: Reading,
}

/// Reads a checkpoint of the official code of JEM++ as a run before its first step, with the settings of the paper.
///
/// The network is detected from names and shapes. The optimiser starts with empty state, and class centres are
/// estimated anew ([`Centers`]), because the file holds neither. The replay buffer is used unchanged. At first it has
/// equal blocks of slots, one per class, but JEMPP re-initialises slots from random classes, so after training the
/// block of a slot says little about its class. A buffer that is missing or has fewer chains than classes is replaced
/// by fresh chains.
///
/// Differs from JEMPP: when training resumes, chains no longer enter the running statistics of batch norm, which keep
/// the paper's momentum of 0.9.
///
/// # Errors
/// The file is not such a checkpoint; a tensor is missing, has another shape, is not finite or does not belong to the
/// network; or the data set does not fit.
pub fn import(
    path: &Path,
    request: &ImportRequest,
    device: &Device,
) -> Result<Imported, InteropError> {
    let mut file = PytorchFile::open(path)?;
    let found = Found::of(&file)?;
    if let Some(asked) = request.arch.clone().filter(|arch| *arch != found.arch()) {
        return Err(InteropError::OtherArch { asked, found: found.arch() });
    }
    let (shape, mut chains) = chains(&file, found)?;
    chains.take_if(|chains| chains.shape[0] < found.num_classes.max(2));

    check_size(found, shape)?;
    let mut config = config(found, request, shape, chains.as_ref())?;
    let network = Network::new(&config.model, shape, found.num_classes, config.seed, device)?;
    let weights = Place::all(&pollster::block_on(weights_of(&network))?)?
        .into_iter()
        .map(|place| {
            let values = file.take(&place.name, &place.pytorch_shape())?;
            let tensor = place.tensor_of(&values);
            Ok((place.path, tensor))
        })
        .collect::<Result<_, InteropError>>()?;
    let unused = file.leftovers()?;
    let network = with_weights(network, weights)?;

    let train = train(&config, request)?;
    let class_names = class_names(found, request, config.data.dataset, train.as_ref())?;
    let (class_centers, centers) = match (&train, &chains) {
        (Some(train), _) => {
            (ClassCentersData::estimate(train, &config.class_centers)?, Centers::Images)
        }
        (None, Some(chains)) => {
            config.class_centers.max_components = COMPONENTS_OF_CHAINS;
            let section = &config.class_centers;
            let centers =
                centers::of_chains(&network, chains, shape, &class_names, section, device)?;
            (centers, Centers::Chains)
        }
        (None, None) => {
            config.sampler.start = StartKind::Uniform;
            let num_pixels = shape.iter().product();
            (centers::of_nothing(found.num_classes, num_pixels), Centers::Nothing)
        }
    };
    let has_chains = chains.is_some();
    let replay_buffer = match chains {
        Some(chains) => chains,
        None => {
            let start = Start::new(config.sampler.start, &class_centers.to_device(shape, device));
            let section = &config.replay_buffer;
            let buffer =
                ReplayBuffer::new(section, found.num_classes, shape, &start, config.seed, device);
            let chains = buffer.chains();
            HostTensor { shape: chains.dims().to_vec(), values: read_now(chains)? }
        }
    };
    config.check_keys()?;
    let optimizer = optimizer::build(&config.optimizer)
        .into_bytes()
        .map_err(|error| InteropError::Serialise(format!("the optimiser: {error}")))?
        .to_vec();
    let checkpoint = Checkpoint {
        config,
        counters: Counters { learning_rate_factor: 1.0, ..Counters::default() },
        class_names,
        input_shape: shape,
        weights: pollster::block_on(weights_of(&network))?,
        averaged_weights: None,
        optimizer,
        replay_buffer,
        class_centers,
    };
    let invalid = |flaw| CheckpointError::Invalid { path: path.to_path_buf(), flaw };
    checkpoint.validate().map_err(invalid)?;
    if let Some(train) = &train {
        checkpoint.check_data(train)?;
    }
    Ok(Imported { checkpoint, centers, has_chains, unused, reading: file.reading })
}

/// Checks the sizes that a small file can request, because class centres and fresh chains are created, not read.
fn check_size(found: Found, shape: [usize; 3]) -> Result<(), InteropError> {
    let [c, h, w] = shape;
    let num_pixels = shape.into_iter().fold(1, usize::saturating_mul);
    if !(1..=MAX_PIXELS).contains(&num_pixels) {
        return Err(InteropError::Format(format!(
            "its images are of shape [{c}, {h}, {w}]; at most {MAX_PIXELS} numbers are taken"
        )));
    }
    if num_pixels.saturating_mul(found.num_classes) > MAX_CENTERS {
        return Err(InteropError::Format(format!(
            "it has {} classes of images of {num_pixels} numbers; their centres would have more than \
             {MAX_CENTERS}",
            found.num_classes
        )));
    }
    Ok(())
}

/// The shape (C, H, W) of an image, and the replay buffer (N, D), if there is one.
fn chains(
    file: &PytorchFile,
    found: Found,
) -> Result<([usize; 3], Option<HostTensor>), InteropError> {
    let usual = [found.channels, SIDE, SIDE];
    let Some(tensor) = &file.replay_buffer else { return Ok((usual, None)) };
    let name = "replay_buffer";
    match *tensor.shape() {
        // The official code writes this when there is no buffer.
        [0] => Ok((usual, None)),
        [num_chains, channels, height, width] if channels == found.channels => {
            let shape = [channels, height, width];
            let values = read(name, tensor)?;
            let chains = HostTensor { shape: vec![num_chains, shape.iter().product()], values };
            Ok((shape, Some(chains)))
        }
        ref other => {
            let num_chains = other.first().copied().unwrap_or(0);
            let expected = [num_chains, found.channels, SIDE, SIDE];
            Err(wrong_shape(name, &expected, other).into())
        }
    }
}

/// The settings of the paper with this network, data set and buffer.
fn config(
    found: Found,
    request: &ImportRequest,
    shape: [usize; 3],
    chains: Option<&HostTensor>,
) -> Result<RunConfig, ConfigError> {
    let mut config = RunConfig::preset("paper-cifar10")?;
    config.model.arch = found.arch();
    config.model.norm = found.norm;
    let usual = if found.num_classes == 100 { DatasetName::Cifar100 } else { DatasetName::Cifar10 };
    config.data.dataset = request.dataset.unwrap_or(usual);
    config.data.horizontal_flip &= data::may_flip(config.data.dataset);
    if let Some(dir) = &request.data {
        config.data.dir = dir.display().to_string();
    }
    let fresh = (MAX_FRESH / shape.iter().product::<usize>()).max(found.num_classes);
    let usual = config.replay_buffer.replay_buffer_size;
    let capacity = chains.map_or(usual.min(fresh), |chains| chains.shape[0]);
    config.replay_buffer.replay_buffer_size = capacity;
    // A batch takes distinct chains.
    config.data.batch_size = config.data.batch_size.min(capacity);
    Ok(config)
}

/// Reads all training images if their folder was given; the import needs all of them.
fn train(config: &RunConfig, request: &ImportRequest) -> Result<Option<Dataset>, InteropError> {
    if request.data.is_none() {
        return Ok(None);
    }
    let whole = config.data.whole();
    Ok(Some(data::load(&whole, config.seed)?.train))
}

/// The class names of the data set, or numbers if the data set is not known.
fn class_names(
    found: Found,
    request: &ImportRequest,
    dataset: DatasetName,
    train: Option<&Dataset>,
) -> Result<Vec<String>, InteropError> {
    let known = match train {
        Some(train) => Some(train.class_names.clone()),
        None => data::class_names(dataset),
    };
    match known {
        Some(names) if names.len() == found.num_classes => Ok(names),
        Some(names) if request.dataset.is_some() || train.is_some() => {
            Err(InteropError::OtherClasses {
                dataset: data::name(dataset),
                expected: names.len(),
                found: found.num_classes,
            })
        }
        _ => Ok((0..found.num_classes).map(|class| format!("class {class}")).collect()),
    }
}
