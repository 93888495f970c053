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
    let _ = ranks.order(match result {
        Ok(true) => Order::Leave,
        Ok(false) => Order::Pause,
        Err(_) => Order::Fail,
    });
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
            if error.leaves_run_whole()
                && let Err(unsaved @ TrainingError::Uncompared { .. }) =
                    training.finish(&mut |_| {}).await
            {
                on_event(TrainingEvent::Warning(unsaved.to_string()));
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
    use std::cell::Cell;

    use super::*;
    use crate::{
        checkpoint::Checkpoint,
        ranks::{
            Ranks,
            threads::{self, Fault},
        },
    };

    /// How a run of two ranks ended of which the last had a fault.
    struct Ended {
        /// The error of each rank.
        errors: Vec<String>,
        /// The warnings that rank 0 gave.
        warnings: Vec<String>,
        /// The step of the checkpoint.
        saved: u64,
    }

    /// What one rank says: its error, and its warnings.
    fn on_rank(
        config: &RunConfig,
        out: &Path,
        ranks: Ranks,
        max_steps: u64,
    ) -> (String, Vec<String>) {
        let mut device = ComputeDevice::cpu("CPU back end");
        device.ranks = ranks;
        let (done, mut warnings) = (Cell::new(0), Vec::new());
        let stop = || done.get() >= max_steps;
        let mut on_event = |event: TrainingEvent| match event {
            TrainingEvent::Step(report) => done.set(report.step),
            TrainingEvent::Warning(warning) => warnings.push(warning),
            _ => {}
        };
        let ended = train(config.clone(), out, &device, &stop, &mut on_event);
        (ended.unwrap_err().to_string(), warnings)
    }

    /// Trains with five steps an epoch until the fault shows; rank 0 is asked to stop after `max_steps`.
    fn with_fault(fault: Fault, checkpoint_every_secs: f64, max_steps: u64) -> Ended {
        let changes = [
            "data.num_points=320",
            "data.batch_size=60",
            "replay_buffer.replay_buffer_size=128",
            // A wrong gradient shows in the next weights, as not with Adam.
            "optimizer.kind=sgd",
            "optimizer.learning_rate=0.01",
        ];
        let every = format!("training.checkpoint_every_secs={checkpoint_every_secs}");
        let changes = changes.into_iter().chain([every.as_str()]);
        let config = RunConfig::preset("toy-two-moons").unwrap();
        let config = changes.fold(config, |config, set| config.with_assignment(set).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let ended: Vec<_> = std::thread::scope(|scope| {
            let (config, out) = (&config, &out);
            let start = |ranks| scope.spawn(move || on_rank(config, out, ranks, max_steps));
            let started: Vec<_> = threads::group_with(fault, 2).into_iter().map(start).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        Ended {
            saved: Checkpoint::load(&out).unwrap().counters.step,
            warnings: ended[0].1.clone(),
            errors: ended.into_iter().map(|(error, _)| error).collect(),
        }
    }

    #[test]
    fn weights_that_differ_between_ranks_are_never_saved() {
        for (every, max_steps, step) in [
            // They are compared at the end of an epoch, before a save after some time, and before the last one.
            (10_000.0, u64::MAX, 5),
            (0.0, u64::MAX, 1),
            (10_000.0, 3, 3),
        ] {
            let Ended { errors, saved, .. } = with_fault(Fault::WrongSums, every, max_steps);
            let words = format!("rank 1: after step {step} its weights differ");
            assert!(errors[0].starts_with(&words), "{words}: {errors:?}");
            assert_eq!(errors[0], errors[1]);
            assert_eq!(saved, 0, "the checkpoint stays as it was");
        }
    }

    #[test]
    fn after_the_loss_of_a_rank_only_weights_that_were_compared_are_saved() {
        for (fault, saved, lost) in [
            (Fault::GoneInSum(3), 0, Some(3)),
            // Step 5 ends an epoch.
            (Fault::GoneInSum(5), 5, None),
            (Fault::GoneInSum(7), 0, Some(7)),
            // The comparison itself fails, after the step and before its line of the metrics.
            (Fault::GoneInAgreement(5), 0, Some(5)),
        ] {
            let Ended { errors, mut warnings, saved: found } =
                with_fault(fault, 10_000.0, u64::MAX);
            assert_eq!(errors, ["a rank of the run is gone"; 2], "{fault:?}");
            assert_eq!(found, saved, "{fault:?}");
            warnings.retain(|text| text.contains("is not saved"));
            let words = |step: u64| {
                format!(
                    "what came after step 0 is not saved: the ranks parted before their weights were compared at step {step}, so \
                     nobody knows whether these are right"
                )
            };
            assert_eq!(warnings, lost.map(words).into_iter().collect::<Vec<_>>(), "{fault:?}");
        }
    }

    #[test]
    fn a_save_after_some_time_compares_the_weights_and_the_run_goes_on() {
        let ended = with_fault(Fault::GoneInSum(3), 0.0, u64::MAX);
        assert_eq!(ended.saved, 3, "what was compared at step 3 was saved");
        assert!(!ended.warnings.iter().any(|text| text.contains("is not saved")));
    }
}
