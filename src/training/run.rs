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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checkpoint::Checkpoint, ranks::threads};

    #[test]
    fn weights_that_differ_between_ranks_are_not_saved() {
        let changes = [
            "data.num_points=320",
            "data.batch_size=60",
            "replay_buffer.replay_buffer_size=128",
            "training.checkpoint_every_secs=10000",
        ];
        let config = RunConfig::preset("toy-two-moons").unwrap();
        let config = changes.iter().try_fold(config, |config, set| config.with_assignment(set));
        let (config, dir) = (config.unwrap(), tempfile::tempdir().unwrap());
        let out = dir.path().join("run");
        let said: Vec<String> = std::thread::scope(|scope| {
            let (config, out) = (&config, &out);
            let start = |ranks| {
                scope.spawn(move || {
                    let mut device = ComputeDevice::cpu("CPU back end");
                    device.ranks = ranks;
                    let ended = train(config.clone(), out, &device, &|| false, &mut |_| {});
                    ended.unwrap_err().to_string()
                })
            };
            let started: Vec<_> =
                threads::group_with_wrong_sums(2).into_iter().map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(said[0].starts_with("rank 1: after step 5 its weights differ"), "{said:?}");
        assert_eq!(said[0], said[1]);
        assert_eq!(Checkpoint::load(&out).unwrap().counters.step, 0, "it stays as it was");
    }
}
