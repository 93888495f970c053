//! A training run from start to end: epochs, evaluations, checkpoints and recoveries, built on the trainer. It reports
//! its progress as events and does not depend on their receiver.

mod alike;
mod begin;
mod error;
mod evaluation;
mod event;
#[cfg(not(target_arch = "wasm32"))]
mod follow;
#[cfg(not(target_arch = "wasm32"))]
mod health;
#[cfg(not(target_arch = "wasm32"))]
mod run;

use std::time::Duration;

use serde_json::{Map, Value, json};
use web_time::Instant;

use crate::{
    checkpoint::{Best, CheckpointError, Counters},
    config::RunConfig,
    data::Dataset,
    run_folder::RunFolder,
    trainer::{Divergence, StepError, StepReport, Trainer},
};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use alike::check_same_settings;
pub use error::TrainingError;
pub use event::{Calibration, DataStatistics, RunDescription, TrainingEvent};
#[cfg(not(target_arch = "wasm32"))]
pub use run::{resume, train, train_on};

/// Limit on consecutive failed saves, for example because of a full disk, before a run stops.
const MAX_FAILED_SAVES: u32 = 10;
/// The size of a checkpoint up to which the time between two of them is the configured one, in bytes.
const LIGHT_CHECKPOINT: u64 = 32 << 20;

/// A training run, in memory and in its folder. Call [`Training::advance`] until [`Training::is_complete`], then
/// [`Training::finish`]; [`train`] and [`resume`] do all of that.
pub struct Training {
    description: RunDescription,
    trainer: Trainer,
    folder: RunFolder,
    validation: Dataset,
    test: Dataset,
    last_save: Instant,
    /// The step of the checkpoint in the folder.
    saved_step: u64,
    /// The size of the checkpoint of this session, in bytes; 0 before the first.
    saved_bytes: u64,
    num_failed_saves: u32,
    /// Whether the last write of the metrics failed.
    is_log_waiting: bool,
    /// Notes for the user before the first step.
    notes: Vec<String>,
}

impl Training {
    /// The configuration, data and network of the run, to show to the user.
    pub fn description(&self) -> &RunDescription {
        &self.description
    }

    /// The state in memory: network, optimiser and chains.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// The folder in which the run keeps its files.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The number of training steps of the whole run.
    pub fn num_steps(&self) -> u64 {
        self.trainer.steps_per_epoch() * self.trainer.config().training.epochs as u64
    }

    /// Reports the first step of the session and the warnings from the start.
    pub(crate) fn announce(&self, on_event: &mut dyn FnMut(TrainingEvent)) {
        let step = self.trainer.counters().step;
        on_event(TrainingEvent::Started { step, num_steps: self.num_steps() });
        if !self.folder.is_exclusive() {
            on_event(TrainingEvent::Warning(format!(
                "the file system of {} has no locks: nothing keeps a second jempp from training there too",
                self.folder.path().display()
            )));
        }
        self.notes.iter().cloned().map(TrainingEvent::Warning).for_each(on_event);
    }

    /// Whether all steps are done, and evaluated if an evaluation is due; or the run has ended early.
    pub fn is_complete(&self) -> bool {
        let Counters { step, best, evaluated_step, .. } = *self.trainer.counters();
        let is_evaluated = evaluated_step == Some(step);
        let has_ended = step >= self.num_steps() || is_evaluated && self.ends_early(step, best);
        has_ended && !self.is_evaluation_due()
    }

    /// Whether a run ends at an evaluated step because its validation accuracy has not risen since `best` for long enough.
    fn ends_early(&self, step: u64, best: Option<Best>) -> bool {
        let patience = self.trainer.config().training.early_stop_epochs as u64;
        let Some(best) = best else { return false };
        let num_epochs = step.saturating_sub(best.step) / self.trainer.steps_per_epoch();
        patience > 0 && num_epochs >= patience
    }

    /// The time between two checkpoints.
    fn checkpoint_interval(&self) -> Duration {
        let secs = self.trainer.config().training.checkpoint_every_secs;
        interval(secs, self.saved_bytes)
    }

    /// Whether the epoch that has just ended must still be evaluated.
    fn is_evaluation_due(&self) -> bool {
        let (step, per_epoch) = (self.trainer.counters().step, self.trainer.steps_per_epoch());
        let every = self.trainer.config().training.eval_every_epochs as u64;
        let is_epoch_end = step > 0 && step.is_multiple_of(per_epoch);
        let is_wanted = (step / per_epoch).is_multiple_of(every) || step == self.num_steps();
        is_epoch_end && is_wanted && self.trainer.counters().evaluated_step != Some(step)
    }

    /// Does one step, and what is due after it: an evaluation, a checkpoint or a recovery. If an earlier evaluation was
    /// interrupted, the call only repeats that. If `stop` returns true, the current step is dropped, or the evaluation
    /// is left to a later call; the run is then unchanged.
    ///
    /// # Errors
    /// A divergence that recoveries do not fix (the last good state is saved), or files that cannot be written for a
    /// long time.
    pub async fn advance(
        &mut self,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        let begin = Instant::now();
        if !self.is_evaluation_due() {
            match self.trainer.step_unless(stop).await {
                Ok(Some(report)) => {
                    self.count_time(begin);
                    self.log_step(&report, on_event)?;
                    on_event(TrainingEvent::Step(report));
                }
                Ok(None) => return Ok(()),
                Err(StepError::Diverged(divergence)) => self.recover(divergence, on_event).await?,
                Err(error) => return Err(error.into()),
            }
        }
        let begin = Instant::now();
        if self.is_evaluation_due() {
            // An evaluation may take long, and the program may be killed during it.
            if self.last_save.elapsed() >= self.checkpoint_interval() / 2 {
                self.save_or_wait(on_event).await?;
            }
            self.evaluate(stop, on_event).await?;
        }
        if self.last_save.elapsed() >= self.checkpoint_interval() {
            self.save_or_wait(on_event).await?;
        }
        self.count_time(begin);
        Ok(())
    }

    fn count_time(&mut self, begin: Instant) {
        self.trainer.counters_mut().elapsed_secs += begin.elapsed().as_secs_f64();
    }

    async fn save(&mut self) -> Result<(), TrainingError> {
        self.last_save = Instant::now();
        self.folder.check_owned()?;
        let checkpoint = self.trainer.checkpoint().await?;
        // If the last update broke the weights, the next step detects it; the file stays unchanged.
        if checkpoint.is_finite() {
            self.check_weights().await?;
            checkpoint.save(&self.folder.checkpoint())?;
            self.saved_step = checkpoint.counters.step;
            self.saved_bytes = checkpoint.num_bytes();
        }
        Ok(())
    }

    /// Checks that the weights, which are about to be saved, are those of all ranks.
    ///
    /// # Errors
    /// They differ, or can no longer be compared.
    async fn check_weights(&self) -> Result<(), TrainingError> {
        if self.trainer.is_compared() {
            return Ok(());
        }
        if self.trainer.ranks().is_over() {
            let step = self.trainer.counters().step;
            return Err(TrainingError::Uncompared { step, saved: self.saved_step });
        }
        Ok(self.trainer.compare_on_all().await?)
    }

    /// Saves the run. If the disk is full for a while, the run continues and only the older checkpoint remains.
    async fn save_or_wait(
        &mut self,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        match self.save().await {
            Ok(()) => self.num_failed_saves = 0,
            Err(error @ TrainingError::Checkpoint(CheckpointError::Io { .. })) => {
                self.num_failed_saves += 1;
                if self.num_failed_saves == MAX_FAILED_SAVES {
                    return Err(self.unsaved(error));
                }
                on_event(TrainingEvent::Warning(format!(
                    "{error}. The file there is whole, as of step {}; the run continues and tries again",
                    self.saved_step
                )));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The error of a failed save, with the step of the checkpoint that is still valid.
    fn unsaved(&self, error: TrainingError) -> TrainingError {
        match error {
            TrainingError::Checkpoint(error @ CheckpointError::Io { .. }) => {
                let folder = self.folder.path().to_path_buf();
                TrainingError::Unsaved { error: error.into(), step: self.saved_step, folder }
            }
            other => other,
        }
    }

    /// Saves the run and reports its progress. Returns whether the run is complete.
    ///
    /// # Errors
    /// The checkpoint or the metrics cannot be written.
    pub async fn finish(
        &mut self,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<bool, TrainingError> {
        let mut is_complete = self.is_complete();
        if !self.trainer.checkpoint().await?.is_finite() {
            // There is no next step that could detect the divergence.
            self.trainer.return_on_all()?;
            is_complete = false;
        }
        self.save().await.map_err(|error| self.unsaved(error))?;
        self.folder.flush()?;
        let counters = self.trainer.counters();
        on_event(TrainingEvent::Finished {
            is_complete,
            ended_early: is_complete && counters.step < self.num_steps(),
            step: counters.step,
            best: counters.best.map(|best| (best, self.folder.best())),
            test_accuracy: counters.test_accuracy,
            evaluated_step: counters.evaluated_step,
            calibration: is_complete.then(|| Calibration {
                num_held_out: self.validation.len(),
                is_classifier: self.trainer.config().objective.p_y_given_x_weight > 0.0,
                temperature: counters.temperature,
            }),
            checkpoint: self.folder.checkpoint(),
        });
        Ok(is_complete)
    }

    /// Reports a warning and writes it to the metrics.
    ///
    /// # Errors
    /// As [`Training::advance`].
    pub(crate) fn warn(
        &mut self,
        warning: String,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        let step = self.trainer.counters().step;
        self.log(json!({ "step": step, "warning": warning }), on_event)?;
        on_event(TrainingEvent::Warning(warning));
        Ok(())
    }

    /// Adds a line to the metrics. If they cannot be written, the line waits in memory, and one warning is given.
    fn log(
        &mut self,
        line: Value,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        let Value::Object(line) = line else { return Ok(()) };
        let result = self.folder.log(line);
        let was_waiting = std::mem::replace(&mut self.is_log_waiting, result.is_err());
        match result {
            Err(error) if self.folder.is_choked() => Err(error.into()),
            Err(error) if !was_waiting => {
                on_event(TrainingEvent::Warning(format!(
                    "{error}. The run continues; its metrics wait in memory until they can be written"
                )));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn log_step(
        &mut self,
        report: &StepReport,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        let mut line = Map::new();
        line.insert("step".into(), report.step.into());
        line.insert("epoch".into(), report.epoch.into());
        let elapsed = ("elapsed_secs", self.trainer.counters().elapsed_secs);
        for (name, value) in report.named().chain([elapsed]) {
            line.insert(name.into(), value.into());
        }
        self.log(Value::Object(line), on_event)
    }

    async fn recover(
        &mut self,
        divergence: Divergence,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), TrainingError> {
        let num_recoveries = self.trainer.counters().num_recoveries;
        let step = self.trainer.counters().step;
        let Some(recovery) = self.trainer.recover() else {
            self.save().await.map_err(|error| self.unsaved(error))?;
            let checkpoint = self.folder.checkpoint();
            let RunConfig { objective, sampler, .. } = self.trainer.config();
            let keys = match objective.needs_chains() {
                true => format!("optimizer.learning_rate or {}", sampler.step_size_key()),
                false => "optimizer.learning_rate".into(),
            };
            return Err(TrainingError::Diverged { divergence, num_recoveries, checkpoint, keys });
        };
        let line = json!({
            "step": recovery.step,
            "diverged_at_step": step,
            "divergence": divergence.to_string(),
            "num_recoveries": recovery.num_recoveries,
            "learning_rate_factor": recovery.learning_rate_factor,
        });
        self.log(line, on_event)?;
        on_event(TrainingEvent::Recovered { divergence, recovery });
        Ok(())
    }
}

/// The time between two checkpoints of this size: large ones are rarer, so that they do not fill and wear the disk.
fn interval(secs: f64, bytes: u64) -> Duration {
    Duration::from_secs_f64(secs * (bytes as f64 / LIGHT_CHECKPOINT as f64).max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_checkpoint_is_written_more_rarely() {
        assert_eq!(interval(60.0, 0), Duration::from_secs(60));
        assert_eq!(interval(60.0, 32 << 20), Duration::from_secs(60));
        assert_eq!(interval(60.0, 128 << 20), Duration::from_secs(240));
        assert_eq!(interval(0.0, 128 << 20), Duration::ZERO);
    }
}
