//! Training of a whole run in one call.

use std::path::Path;

use super::{Training, TrainingError, TrainingEvent, follow, health::Health};
use crate::{
    config::{ConfigError, RunConfig},
    data::Splits,
    device::ComputeDevice,
    ranks::Order,
};

/// Starts a new run in the folder `out` and trains it until it is complete or `stop` returns true. Returns whether it
/// is complete.
///
/// # Errors
/// As [`Training::start`]; also a divergence that recoveries do not fix, and files that cannot be written.
pub fn train(
    config: RunConfig,
    out: &Path,
    device: &ComputeDevice,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    pollster::block_on(async {
        if device.ranks.follows() {
            return follow::start(config, device, stop, on_event).await;
        }
        let training = Training::start(config, out, device, on_event).await?;
        run(training, stop, on_event).await
    })
}

/// As [`train`], on a data set that was read before with the section `data` of `config`.
///
/// # Errors
/// As [`train`].
pub fn train_on(
    splits: Splits,
    config: RunConfig,
    out: &Path,
    device: &ComputeDevice,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    pollster::block_on(async {
        if device.ranks.follows() {
            return follow::start_on(splits, config, device, stop, on_event).await;
        }
        let training = Training::start_on(splits, config, out, device, on_event).await?;
        run(training, stop, on_event).await
    })
}

/// Resumes the run in `path` and trains it until it is complete or `stop` returns true. Returns whether it is complete.
/// See [`Training::resume`].
///
/// # Errors
/// As [`Training::resume`]; also a divergence that recoveries do not fix, and files that cannot be written.
pub fn resume(
    path: &Path,
    change: impl FnOnce(RunConfig) -> Result<RunConfig, ConfigError>,
    device: &ComputeDevice,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    pollster::block_on(async {
        if device.ranks.follows() {
            return follow::resume(path, change, device, stop, on_event).await;
        }
        let training = Training::resume(path, change, device, on_event).await?;
        run(training, stop, on_event).await
    })
}

/// Trains, and tells the other ranks how it ended.
async fn run(
    training: Training,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    let ranks = training.trainer().ranks().clone();
    let is_stopping = || stop() || ranks.is_stopping();
    let result = run_to_end(training, &is_stopping, on_event).await;
    // After an error of several ranks, nobody waits for an order.
    let _ = ranks.order(if result.is_ok() { Order::Leave } else { Order::Fail });
    result
}

async fn run_to_end(
    mut training: Training,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    training.announce(on_event);
    let mut health = Health::new(training.description().clone());
    while !training.is_complete() && !stop() {
        let mut watch = |event| {
            health.observe(&event);
            on_event(event);
        };
        if let Err(error) = training.advance(stop, &mut watch).await {
            if error.leaves_run_whole() {
                let _ = training.finish(&mut |_| {}).await;
            }
            return Err(error);
        }
        for warning in health.new_warnings() {
            training.warn(warning, on_event)?;
        }
    }
    let is_complete = training.finish(on_event).await?;
    for warning in health.final_warnings() {
        training.warn(warning, on_event)?;
    }
    Ok(is_complete)
}
