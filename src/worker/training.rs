//! A training run: epochs, evaluations, checkpoints, recoveries around the trainer. It reports what
//! happens as events and knows nothing of who listens.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use burn::tensor::Transaction;
use serde_json::{Map, Value, json};
use web_time::Instant;

use super::JobError;
use crate::{
    checkpoint::Checkpoint,
    config::{ConfigError, OptimizerConfig, RunConfig},
    data::{self, Dataset},
    device::{self, ComputeDevice},
    divergence::Divergence,
    eval::{self, Accuracy},
    files,
    objective::TERM_NAMES,
    picture,
    run_folder::{RunFolder, RunFolderError},
    trainer::{Recovery, StepReport, Trainer},
};

/// Chains per class in a sample grid.
const GRID_COLUMNS: usize = 10;

/// What happens in a training run.
#[derive(Clone, Debug)]
pub enum TrainingEvent {
    /// Steps are about to begin.
    Started {
        /// Steps done in an earlier session.
        step: u64,
        /// Steps of the whole run.
        num_steps: u64,
    },
    /// A step was done.
    Step(StepReport),
    /// An epoch was evaluated and its sample grid written.
    Evaluated {
        /// Steps done.
        step: u64,
        /// Which epoch ended.
        epoch: u64,
        /// On the test set.
        test: Accuracy,
        /// On the held-out part of the training set, where there is one.
        validation: Option<Accuracy>,
        /// The sample grid.
        grid: PathBuf,
    },
    /// A step diverged and the run returned to its last good state.
    Recovered {
        /// What happened.
        divergence: Divergence,
        /// Where the run is now.
        recovery: Recovery,
    },
    /// The run ended or was stopped; everything is saved.
    Finished {
        /// Whether all epochs were done.
        is_complete: bool,
        /// Steps done.
        step: u64,
        /// Accuracy of the last evaluation.
        test_accuracy: Option<f64>,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
}

/// A run in memory and in its folder.
pub struct Training {
    trainer: Trainer,
    folder: RunFolder,
    validation: Dataset,
    test: Dataset,
    last_save: Instant,
}

impl Training {
    /// A new run in `out`.
    ///
    /// # Errors
    /// Bad data or configuration, an existing folder.
    pub async fn start(
        config: RunConfig,
        out: &Path,
        device: &ComputeDevice,
    ) -> Result<Self, JobError> {
        config.check()?;
        RunFolder::check_free(out)?;
        data::prepare(&config.data).await?;
        let splits = data::load(&config.data, config.seed)?;
        let toml = config.to_toml();
        let trainer = Trainer::new(config, splits.train, &device.device)?;
        // Last, so that a run that cannot begin leaves no folder behind.
        let folder = RunFolder::create(out, &toml)?;
        let (validation, test) = (splits.validation, splits.test);
        let run = Self { trainer, folder, validation, test, last_save: Instant::now() };
        // A run that diverges at once still leaves something to look at and resume.
        run.save().await?;
        Ok(run)
    }

    /// Goes on with the run in `path`, with its own configuration but for what `change` replaces: the
    /// data's folder, the sampler, the objective, the optimiser's numbers, the length, the watch on
    /// divergence.
    ///
    /// # Errors
    /// As [`Training::start`], a folder without a run, and a change of what the run is made of.
    pub async fn resume(
        path: &Path,
        change: impl FnOnce(RunConfig) -> Result<RunConfig, ConfigError>,
        device: &ComputeDevice,
    ) -> Result<Self, JobError> {
        let file = RunFolder::checkpoint_of(path);
        if !files::is_file(&file) {
            return Err(RunFolderError::NoRun(path.to_path_buf()).into());
        }
        let mut checkpoint = Checkpoint::load(&file)?;
        let before = std::mem::take(&mut checkpoint.config);
        checkpoint.config = change(before.clone())?;
        checkpoint.config.check()?;
        let after = &checkpoint.config;
        let mut kept = RunConfig {
            sampler: after.sampler.clone(),
            objective: after.objective.clone(),
            optimizer: OptimizerConfig { kind: before.optimizer.kind, ..after.optimizer.clone() },
            training: after.training.clone(),
            divergence: after.divergence.clone(),
            ..before
        };
        kept.data.dir = after.data.dir.clone();
        if kept != *after {
            return Err(JobError::Request(
                "a resumed run keeps its seed, data set, batches, network, class centres, replay buffer and \
                 kind of optimiser; data.dir, sampler.*, objective.*, training.*, divergence.* and the \
                 optimiser's numbers may change"
                    .into(),
            ));
        }
        data::prepare(&kept.data).await?;
        let splits = data::load(&kept.data, kept.seed)?;
        let step = checkpoint.counters.step;
        let trainer = Trainer::resume(checkpoint, splits.train, &device.device)?;
        let folder = RunFolder::resume(path, step)?;
        folder.write_config(&kept.to_toml())?;
        let (validation, test) = (splits.validation, splits.test);
        Ok(Self { trainer, folder, validation, test, last_save: Instant::now() })
    }

    /// The run in memory.
    pub fn trainer(&self) -> &Trainer {
        &self.trainer
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Steps of the whole run.
    pub fn num_steps(&self) -> u64 {
        self.trainer.steps_per_epoch() * self.trainer.config().training.epochs as u64
    }

    /// Says where the run stands.
    pub fn announce(&self, on_event: &mut dyn FnMut(TrainingEvent)) {
        let step = self.trainer.counters().step;
        on_event(TrainingEvent::Started { step, num_steps: self.num_steps() });
    }

    /// Whether all steps are done.
    pub fn is_complete(&self) -> bool {
        self.trainer.counters().step >= self.num_steps()
    }

    /// Does one step, and what is due after it: an evaluation, a checkpoint, a recovery.
    ///
    /// # Errors
    /// A divergence that recoveries do not cure; the last good state is saved. Files that cannot be written.
    pub async fn advance(
        &mut self,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        let begin = Instant::now();
        let result = self.trainer.step().await;
        self.count_time(begin);
        let begin = Instant::now();
        let training = self.trainer.config().training.clone();
        match result {
            Ok(report) => {
                self.log_step(&report)?;
                let is_epoch_end = report.step.is_multiple_of(self.trainer.steps_per_epoch());
                on_event(TrainingEvent::Step(report.clone()));
                let is_due = report.epoch.is_multiple_of(training.eval_every_epochs as u64)
                    || report.step == self.num_steps();
                if is_epoch_end && is_due {
                    self.evaluate(&report, on_event).await?;
                }
            }
            Err(divergence) => self.recover(divergence, on_event).await?,
        }
        if self.last_save.elapsed() >= Duration::from_secs_f64(training.checkpoint_every_secs) {
            self.save().await?;
            self.last_save = Instant::now();
        }
        self.count_time(begin);
        Ok(())
    }

    fn count_time(&mut self, begin: Instant) {
        self.trainer.counters_mut().elapsed_secs += begin.elapsed().as_secs_f64();
    }

    async fn save(&self) -> Result<(), JobError> {
        let checkpoint = self.trainer.checkpoint().await?;
        // If the last update broke the weights, the next step will notice; the file stays as it is.
        match checkpoint.is_finite() {
            true => Ok(checkpoint.save(&self.folder.checkpoint())?),
            false => Ok(()),
        }
    }

    /// Saves the run and says where it stands.
    ///
    /// # Errors
    /// The checkpoint cannot be written.
    pub async fn finish(
        &mut self,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        let mut is_complete = self.is_complete();
        if !self.trainer.checkpoint().await?.is_finite() {
            // There is no next step.
            self.trainer.return_to_good_state();
            is_complete = false;
        }
        self.save().await?;
        let counters = self.trainer.counters();
        on_event(TrainingEvent::Finished {
            is_complete,
            step: counters.step,
            test_accuracy: counters.test_accuracy,
            checkpoint: self.folder.checkpoint(),
        });
        Ok(())
    }

    fn log_step(&mut self, report: &StepReport) -> Result<(), JobError> {
        let mut line = Map::new();
        line.insert("step".into(), report.step.into());
        line.insert("epoch".into(), report.epoch.into());
        line.insert("loss".into(), report.loss.into());
        for (name, value) in TERM_NAMES.iter().zip(report.terms) {
            line.insert((*name).into(), value.into());
        }
        for (name, value) in [
            ("gap", report.gap),
            ("gradient_norm", report.gradient_norm),
            ("clamp_rate", report.clamp_rate),
            ("saturation", report.saturation),
            ("learning_rate", report.learning_rate),
            ("elapsed_secs", self.trainer.counters().elapsed_secs),
        ] {
            line.insert(name.into(), value.into());
        }
        Ok(self.folder.log(line)?)
    }

    async fn evaluate(
        &mut self,
        report: &StepReport,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        let (network, device) = (self.trainer.evaluated_network(), self.trainer.device());
        let test = eval::accuracy(network, &self.test, device).await;
        let validation = match self.validation.is_empty() {
            true => None,
            false => Some(eval::accuracy(network, &self.validation, device).await),
        };
        self.trainer.counters_mut().test_accuracy = Some(test.accuracy);
        let grid = self.folder.sample_grid(report.epoch);
        let (values, labels) = self.buffer_grid().await;
        let shape = self.test.shape;
        picture::save_png(picture::draw(&values, &labels, shape, GRID_COLUMNS), &grid)?;
        let mut line = json!({
            "step": report.step,
            "epoch": report.epoch,
            "test_accuracy": test.accuracy,
            "test_calibration_error": test.calibration_error,
            "test_energy": test.mean_energy,
        });
        if let Some(validation) = validation {
            line["validation_accuracy"] = validation.accuracy.into();
            line["validation_calibration_error"] = validation.calibration_error.into();
            line["validation_energy"] = validation.mean_energy.into();
        }
        if let Value::Object(line) = line {
            self.folder.log(line)?;
        }
        on_event(TrainingEvent::Evaluated {
            step: report.step,
            epoch: report.epoch,
            test,
            validation,
            grid,
        });
        Ok(())
    }

    /// The first chains of every class in the replay buffer, row by row; for points, all of them.
    pub async fn buffer_grid(&self) -> (Vec<f32>, Vec<u32>) {
        let chains = self.trainer.buffer().chains();
        let [capacity, num_pixels] = chains.dims();
        let chains = device::read(Transaction::default().register(chains)).await.concat();
        let num_classes = self.test.num_classes();
        let per_class = if num_pixels == 2 { capacity / num_classes } else { GRID_COLUMNS };
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for class in 0..num_classes {
            let first = (class * capacity).div_ceil(num_classes);
            let last = ((class + 1) * capacity).div_ceil(num_classes).min(first + per_class);
            for slot in first..last {
                values.extend_from_slice(&chains[slot * num_pixels..(slot + 1) * num_pixels]);
                labels.push(class as u32);
            }
        }
        (values, labels)
    }

    async fn recover(
        &mut self,
        divergence: Divergence,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        let num_recoveries = self.trainer.counters().num_recoveries;
        let step = self.trainer.counters().step;
        let Some(recovery) = self.trainer.recover() else {
            self.save().await?;
            let checkpoint = self.folder.checkpoint();
            return Err(JobError::Diverged { divergence, num_recoveries, checkpoint });
        };
        let line = json!({
            "step": recovery.step,
            "diverged_at_step": step,
            "divergence": divergence.to_string(),
            "num_recoveries": recovery.num_recoveries,
            "learning_rate_factor": recovery.learning_rate_factor,
        });
        if let Value::Object(line) = line {
            self.folder.log(line)?;
        }
        on_event(TrainingEvent::Recovered { divergence, recovery });
        Ok(())
    }
}
