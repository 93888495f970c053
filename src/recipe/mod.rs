//! The recipe that fits a data set and a device: which network, which batches, and how long a run is.
//!
//! [`choose`] is what a run on a person's own data uses if no preset is named. It needs no files: facts about the data go in,
//! and a configuration comes out. All its values are plain ones that are stored with the run, so that a resumed run
//! chooses nothing. The objective and the sampler are those of the bundled models, which do not diverge
//! (docs/showcase.md).

mod pace;
#[cfg(test)]
mod tests;

use burn::tensor::Device;

use crate::{
    config::{ConfigError, DatasetName, RunConfig},
    counts::{counted, grouped},
    data::{self, Splits},
    kernels::max_binding_bytes,
    memory::Demand,
};
pub use pace::{Pace, seconds_per_step};

/// The share of training items in a batch of a small set: an eighth.
const BATCHES_PER_EPOCH: usize = 8;
/// Sets with fewer images, times channels, get the smallest network.
const FEW_IMAGES: usize = 10_000;
/// Sets of at least so many images get the objective and the sampler of the bundled models, and on a GPU, in colour, the
/// largest of the three networks.
const MANY_IMAGES: usize = 10_000;

/// The most weights from the positions of an image to its classes; larger images get a network that averages over them.
const MAX_HEAD: usize = 2_000_000;

/// The facts about a data set that decide its recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataFacts {
    /// The shape (C, H, W) of an item; (2, 1, 1) for a point in the plane.
    pub shape: [usize; 3],
    /// The number of training items.
    pub num_train: usize,
    /// The number of classes.
    pub num_classes: usize,
    /// Whether a mirrored image is known to keep its class. It is not known of anyone's own images: letters, digits and
    /// signs lose their meaning.
    pub may_flip: bool,
}

impl DataFacts {
    /// The facts about a data set that was read as `dataset`.
    pub fn of(splits: &Splits, dataset: DatasetName) -> Self {
        Self {
            shape: splits.train.shape,
            num_train: splits.train.len(),
            num_classes: splits.train.num_classes(),
            may_flip: dataset != DatasetName::Custom && data::may_flip(dataset),
        }
    }

    fn is_points(&self) -> bool {
        self.shape[1] * self.shape[2] == 1
    }

    fn num_pixels(&self) -> usize {
        self.shape.iter().product()
    }

    /// The data in words, as in `1,297 grey images of 8×8 in 10 classes`.
    fn describe(&self) -> String {
        let [c, h, w] = self.shape;
        let kind = match (self.is_points(), c) {
            (true, _) => "points".to_string(),
            (false, 1) => format!("grey images of {h}×{w}"),
            (false, _) => format!("colour images of {h}×{w}"),
        };
        let classes = if self.num_classes == 1 { "class" } else { "classes" };
        format!("{} {kind} in {} {classes}", grouped(self.num_train), self.num_classes)
    }
}

/// Chooses the configuration of a run on a data set with these facts. `given` replaces the keys that a person has set:
/// they win, and what depends on them follows them. Without any, it is `Ok`. [`Pace::fit`] then fits the length of the run
/// to the speed of the device.
///
/// # Errors
/// What `given` refuses.
pub fn choose<E: From<ConfigError>>(
    facts: &DataFacts,
    device: &Device,
    given: &dyn Fn(RunConfig) -> Result<RunConfig, E>,
) -> Result<RunConfig, E> {
    let base = if facts.is_points() { of_points(facts)? } else { of_images(facts, device)? };
    let config = given(base)?;
    let config = given(within_memory(config, facts, device))?;
    let epochs = epochs_of(facts, &config, num_updates(facts));
    with_epochs(config, facts, epochs, given)
}

/// `config` with `epochs`, and with warm-up, decay and evaluations that fit that length; keys of `given` win.
fn with_epochs<E>(
    mut config: RunConfig,
    facts: &DataFacts,
    epochs: usize,
    given: &dyn Fn(RunConfig) -> Result<RunConfig, E>,
) -> Result<RunConfig, E> {
    config.training.epochs = epochs;
    let mut config = given(config)?;
    let epochs = config.training.epochs;
    let num_steps = epochs * steps_per_epoch(facts, &config);
    let most = if facts.is_points() { 50 } else { 500 };
    config.optimizer.warmup_steps = (num_steps / 8).min(most);
    if facts.is_points() {
        config.optimizer.decay_epochs = [60, 84].map(|percent| epochs * percent / 100).to_vec();
        config.optimizer.decay_epochs.retain(|&epoch| epoch > 0);
    }
    config.training.eval_every_epochs = (epochs / 10).max(1);
    given(config)
}

/// The recipe of the 2-D densities.
fn of_points(facts: &DataFacts) -> Result<RunConfig, ConfigError> {
    let mut config = RunConfig::base_of_points()?;
    config.data.batch_size = batch_size(facts.num_train, 16..=256);
    // Data may be thinner than the step of a chain, or lie on a line: noise of the width of a step keeps the run stable.
    config.data.input_noise_std = 0.03;
    config.replay_buffer.replay_buffer_size = 2000.max(20 * facts.num_classes);
    Ok(config)
}

/// The recipe of the bundled models, for images of this size and number.
fn of_images(facts: &DataFacts, device: &Device) -> Result<RunConfig, ConfigError> {
    let mut config = RunConfig::base_of_images()?;
    let [channels, height, width] = facts.shape;
    // The small networks have weights for each position, a quarter of the pixels.
    let num_head = height.div_ceil(4) * width.div_ceil(4) * facts.num_classes * 96;
    let is_large = channels == 3 && facts.num_train >= MANY_IMAGES && is_gpu(device);
    let arch = match facts.num_train * channels {
        _ if num_head > MAX_HEAD || is_large => "cnn-base",
        count if count < FEW_IMAGES => "cnn-small",
        _ => "cnn-medium",
    };
    config.model.arch = arch.into();
    config.data.batch_size = batch_size(facts.num_train, 16..=64);
    // A shift by one pixel moves much of a small image.
    config.data.crop_padding = match height.min(width) {
        ..16 => 0,
        16..48 => 1,
        _ => 2,
    };
    config.data.horizontal_flip = facts.may_flip;
    config.class_centers.max_components = (1280 / facts.num_classes.max(1)).clamp(8, 64);
    if facts.num_train < MANY_IMAGES {
        // A small set is soon known by heart. More and smaller steps of the chains keep up with that, and leave no speckles
        // around the sharp edges of letters and icons; a stronger p(x) goes on learning when the classes are known.
        config.sampler.num_steps = 10;
        config.sampler.inner_step_size = 0.1;
        config.objective.p_x_weight = 1.0;
        // It holds the gap d within about 2, also where the chains stay behind.
        config.objective.energy_l2_weight = 0.05;
        config.divergence.max_abs_gap = 5.0;
    }
    config.replay_buffer.replay_buffer_size = buffer_size(facts, config.data.batch_size);
    Ok(config)
}

fn is_gpu(device: &Device) -> bool {
    max_binding_bytes(device).is_some()
}

/// The largest power of two in `range` that leaves a small set some batches in an epoch; never more than there are
/// items.
fn batch_size(num_train: usize, range: std::ops::RangeInclusive<usize>) -> usize {
    let wanted = (num_train / BATCHES_PER_EPOCH).max(1);
    let power = 1 << wanted.ilog2();
    power.clamp(*range.start(), *range.end()).min(num_train.max(1))
}

/// Chains in the replay buffer: several of each class, and few enough that each moves often in a short run.
fn buffer_size(facts: &DataFacts, batch_size: usize) -> usize {
    let wanted = (facts.num_train / 6).max(20 * facts.num_classes);
    wanted.clamp(500, 5000).max(facts.num_classes).max(batch_size)
}

/// The number of weight updates after which a model of so many items is good, as tried on small and large sets.
fn num_updates(facts: &DataFacts) -> usize {
    match facts.is_points() {
        true => (1000 + facts.num_train / 100).min(4000),
        false => (1500 + facts.num_train / 15).min(5000),
    }
}

fn steps_per_epoch(facts: &DataFacts, config: &RunConfig) -> usize {
    (facts.num_train / config.data.batch_size.max(1)).max(1)
}

fn epochs_of(facts: &DataFacts, config: &RunConfig, num_updates: usize) -> usize {
    num_updates.div_ceil(steps_per_epoch(facts, config)).clamp(1, 100_000)
}

/// `config` with a smaller buffer, smaller class centres and parts of a batch, as far as the memory demands it.
fn within_memory(mut config: RunConfig, facts: &DataFacts, device: &Device) -> RunConfig {
    let fits = |config: &RunConfig| {
        let DataFacts { shape, num_classes, num_train, .. } = *facts;
        // What is wrong for another reason is refused later, with that reason.
        Demand::of_training(config, shape, num_classes, num_train, device)
            .map_or(true, |demand| demand.check(config).is_ok())
    };
    let least_buffer = config.data.batch_size.max(facts.num_classes).max(500);
    while !fits(&config) {
        let buffer = &mut config.replay_buffer.replay_buffer_size;
        let axes = &mut config.class_centers.max_components;
        let part = &mut config.data.micro_batch;
        if *buffer > least_buffer {
            *buffer = (*buffer / 2).max(least_buffer);
        } else if *axes > 1 {
            *axes /= 2;
        } else if *part != 1 {
            let whole = config.data.batch_size;
            *part = (if *part == 0 { whole } else { *part }).div_ceil(2);
        } else {
            break;
        }
    }
    config
}

/// The recipe in words: what the data are, and what was chosen for them or set by a person.
pub fn describe(config: &RunConfig, facts: &DataFacts, device: &Device) -> String {
    let place = if is_gpu(device) { "a GPU" } else { "the CPU" };
    let per_epoch = steps_per_epoch(facts, config);
    let RunConfig { data, model, replay_buffer, training, .. } = config;
    let mut line = format!(
        "for {} on {place}: {}, batches of {}, {} ({} steps), {} chains",
        facts.describe(),
        model.arch,
        data.batch_size,
        counted(training.epochs, "epoch", "epochs"),
        grouped(training.epochs * per_epoch),
        grouped(replay_buffer.replay_buffer_size),
    );
    if !facts.is_points() {
        line += &match data.crop_padding {
            0 => ", images not shifted".to_string(),
            pixels => format!(", images shifted by up to {}", counted(pixels, "pixel", "pixels")),
        };
        line += match data.horizontal_flip {
            true => " and mirrored",
            false => {
                " and not mirrored (set data.horizontal_flip=true if mirrored ones keep their class)"
            }
        };
    }
    line
}
