//! Whole training runs, for those who wait for them.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{JobError, Training, TrainingEvent};
use crate::{
    config::{ConfigError, RunConfig},
    device::ComputeDevice,
};

/// Starts a new run in `out` and trains it to its end or until `stop` is set.
///
/// # Errors
/// As [`Training::start`], and a divergence that recoveries do not cure.
pub fn train(
    config: RunConfig,
    out: &Path,
    device: &ComputeDevice,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<(), JobError> {
    pollster::block_on(async {
        run(Training::start(config, out, device).await?, stop, on_event).await
    })
}

/// Goes on with the run in `path` to its end or until `stop` is set; see [`Training::resume`].
///
/// # Errors
/// As [`Training::resume`], and a divergence that recoveries do not cure.
pub fn resume(
    path: &Path,
    change: impl FnOnce(RunConfig) -> Result<RunConfig, ConfigError>,
    device: &ComputeDevice,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<(), JobError> {
    pollster::block_on(async {
        run(Training::resume(path, change, device).await?, stop, on_event).await
    })
}

async fn run(
    mut training: Training,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<(), JobError> {
    training.announce(on_event);
    while !training.is_complete() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        training.advance(on_event).await?;
    }
    training.finish(on_event).await
}
