//! The ranks other than 0 of a run: they train as rank 0 orders, and own no folder.

use std::{ops::ControlFlow, path::Path};

use super::{
    RunDescription, TrainingError, TrainingEvent,
    begin::{Prepared, check_same_start, describe, settle},
};
use crate::{
    checkpoint::Checkpoint,
    config::{ConfigError, RunConfig},
    data::{self, Splits},
    device::ComputeDevice,
    trainer::Trainer,
};

// Each function does the exchanges of its namesake in `begin.rs`, in the same order.

/// Follows a run that rank 0 starts, to its end.
pub(super) async fn start(
    config: RunConfig,
    device: &ComputeDevice,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    let prepared = async {
        config.validate()?;
        data::prepare(&config.data).await?;
        data::load(&config.data, config.seed).map_err(TrainingError::from)
    };
    let splits = device.ranks.agree(prepared.await)?;
    start_on(splits, config, device, stop, on_event).await
}

/// As [`start`], on a data set that was read before.
pub(super) async fn start_on(
    splits: Splits,
    mut config: RunConfig,
    device: &ComputeDevice,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    let ranks = &device.ranks;
    ranks.agree(config.validate().map_err(TrainingError::from))?;
    settle(&mut config, &splits);
    check_same_start(ranks, &config, &splits)?;
    let description = RunDescription::of(&config, &splits);
    let go_on = &mut |_, _| ControlFlow::Continue(());
    let made = Trainer::new_with(config, splits.train, &device.device, ranks, go_on);
    let (trainer, _) = ranks.agree(made.map_err(TrainingError::from))?;
    follow(trainer, description, stop, on_event).await
}

/// Follows a run that rank 0 resumes, to its end.
pub(super) async fn resume(
    path: &Path,
    change: impl FnOnce(RunConfig) -> Result<RunConfig, ConfigError>,
    device: &ComputeDevice,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    let ranks = &device.ranks;
    let bytes = ranks.bytes_of_first(|| Ok::<_, TrainingError>(Vec::new()))?;
    let prepared = match Checkpoint::from_bytes(&bytes, path) {
        Ok(checkpoint) => Prepared::of(checkpoint, change).await,
        Err(error) => Err(error.into()),
    };
    let Prepared { checkpoint, splits, .. } = ranks.agree(prepared)?;
    check_same_start(ranks, &checkpoint.config, &splits)?;
    let description = RunDescription::of(&checkpoint.config, &splits);
    let made = Trainer::resume_among(checkpoint, splits.train, &device.device, ranks);
    let trainer = ranks.agree(made.map_err(TrainingError::from))?;
    follow(trainer, description, stop, on_event).await
}

async fn follow(
    mut trainer: Trainer,
    mut description: RunDescription,
    stop: &dyn Fn() -> bool,
    on_event: &mut dyn FnMut(TrainingEvent),
) -> Result<bool, TrainingError> {
    trainer.compare_weights().await?;
    describe(&mut description, &trainer);
    on_event(TrainingEvent::Ready(Box::new(description)));
    // Rank 0 creates the folder.
    trainer.ranks().agree(Ok::<_, TrainingError>(()))?;
    Ok(trainer.follow(stop).await?)
}
