//! How long a run will take, from the time of a few real training steps.

use std::time::Duration;

use burn::tensor::Device;
use web_time::Instant;

use super::{DataFacts, epochs_of, steps_per_epoch, with_epochs};
use crate::{
    config::RunConfig,
    data::Dataset,
    trainer::{StepError, Trainer, TrainerError},
};

/// Steps before the timed ones: a GPU compiles and chooses its kernels.
const NUM_WARM: usize = 2;
/// Limits on the timed steps: their number, and the time after which no other begins.
const NUM_TIMED: u32 = 10;
const TIMED: Duration = Duration::from_millis(800);
/// A chosen run is not longer than this, unless it would have fewer updates than [`MIN_UPDATES`].
const MAX_SECS: f64 = 1800.0;
const MIN_UPDATES: usize = 1000;
/// The share of a run's time that evaluations, sample pictures and checkpoints take.
const OVERHEAD: f64 = 1.1;

/// The pace of a run and its length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The time of a training step, in seconds.
    pub secs_per_step: f64,
    /// The number of training steps of the run.
    pub num_steps: usize,
}

impl Pace {
    /// The estimate of the time of the whole run, in seconds.
    pub fn secs(&self) -> f64 {
        self.secs_per_step * self.num_steps as f64 * OVERHEAD
    }

    /// The pace of `config`, and `config` with fewer epochs if it would take longer than half an hour; keys of `given`
    /// win.
    ///
    /// # Errors
    /// What `given` refuses.
    pub fn fit<E>(
        config: RunConfig,
        facts: &DataFacts,
        secs_per_step: f64,
        given: &dyn Fn(RunConfig) -> Result<RunConfig, E>,
    ) -> Result<(RunConfig, Self), E> {
        let pace = |config: &RunConfig| Self {
            secs_per_step,
            num_steps: config.training.epochs * steps_per_epoch(facts, config),
        };
        let whole = pace(&config);
        if whole.secs() <= MAX_SECS {
            return Ok((config, whole));
        }
        let affordable = (MAX_SECS / OVERHEAD / secs_per_step) as usize;
        let epochs = affordable / steps_per_epoch(facts, &config);
        let least = epochs_of(facts, &config, MIN_UPDATES);
        let epochs = epochs.max(least).min(config.training.epochs);
        let config = with_epochs(config, facts, epochs, given)?;
        let pace = pace(&config);
        Ok((config, pace))
    }
}

/// The configuration whose steps are timed in place of this one's: an epoch is one step, and the steps after the first one are the longest
/// of the run, with chains that have the full length of a curriculum.
pub(super) fn timed(mut config: RunConfig) -> RunConfig {
    (config.data.num_validation, config.data.num_train) = (0, 0);
    let training = &mut config.training;
    training.classifier_epochs = training.classifier_epochs.min(1);
    config.sampler.num_steps = config.sampler.num_steps.max(training.max_chain_steps);
    config
}

/// Measures the time of a training step with this configuration on this device, in seconds: a few steps of a trainer
/// that is thrown away, on items of the same shape.
///
/// # Errors
/// The configuration does not fit the data or the device.
pub async fn seconds_per_step(
    config: &RunConfig,
    facts: &DataFacts,
    device: &Device,
) -> Result<f64, TrainerError> {
    let num_items = config.data.batch_size.max(facts.num_classes);
    let num_values = num_items * facts.num_pixels();
    // Any values take the same time; these are spread over the whole range.
    let values = (0..num_values).map(|index| (index as f32 * 0.618).fract() * 2.0 - 1.0).collect();
    let labels = (0..num_items).map(|item| (item % facts.num_classes) as u32).collect();
    let names = (0..facts.num_classes).map(|class| class.to_string()).collect();
    let items = Dataset::from_floats(values, labels, facts.shape, names)?;
    let mut config = timed(config.clone());
    config.class_centers.max_components = 1;
    config.replay_buffer.replay_buffer_size = num_items;
    let mut trainer = Trainer::new(config, items, device)?;
    for _ in 0..NUM_WARM {
        step(&mut trainer).await?;
    }
    let begin = Instant::now();
    let mut num_timed = 0;
    while num_timed == 0 || num_timed < NUM_TIMED && begin.elapsed() < TIMED {
        step(&mut trainer).await?;
        num_timed += 1;
    }
    Ok(begin.elapsed().as_secs_f64() / f64::from(num_timed))
}

/// One step, whatever it does to the weights.
async fn step(trainer: &mut Trainer) -> Result<(), TrainerError> {
    match trainer.step().await {
        Err(StepError::Read(error)) => Err(error.into()),
        Ok(_) | Err(StepError::Diverged(_) | StepError::OutOfNoise | StepError::Ranks(_)) => Ok(()),
    }
}
