//! The loop around the trainer: epochs, evaluations, checkpoints, recoveries. It reports what happens
//! as events and knows nothing of who listens.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    config::{ConfigError, OptimizerConfig, RunConfig},
    data::{self, DataError, Dataset},
    device::ComputeDevice,
    divergence::Divergence,
    eval::{self, Accuracy},
    objective::TERM_NAMES,
    picture::{self, PictureError},
    run_folder::{RunFolder, RunFolderError},
    trainer::{Recovery, StepReport, Trainer, TrainerError},
};

/// Chains per class in a sample grid.
const GRID_COLUMNS: usize = 10;

/// Why a job ended without its result.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run's parts.
    #[error(transparent)]
    Trainer(#[from] TrainerError),
    /// The run folder.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Weights that do not fit the network.
    #[error(transparent)]
    Weights(#[from] crate::model::WeightsError),
    /// A picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// Training diverged more often than it may.
    #[error(
        "training diverged: {divergence}. Gave up after {num_recoveries} recoveries; the last good \
         state is saved in {checkpoint}. Try a smaller optimizer.learning_rate or sampler.step_size"
    )]
    Diverged {
        /// What happened last.
        divergence: Divergence,
        /// Recoveries before.
        num_recoveries: usize,
        /// Where the last good state is.
        checkpoint: PathBuf,
    },
    /// A change of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A request that the model cannot serve.
    #[error("{0}")]
    Request(String),
}

/// What happens in a training run.
#[derive(Clone, Debug)]
pub enum Event {
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

/// Starts a new run in `out` and trains it to its end or until `stop` is set.
///
/// # Errors
/// Bad data or configuration, an existing folder, a divergence that recoveries do not cure.
pub fn train(
    config: RunConfig,
    out: &Path,
    device: &ComputeDevice,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(Event),
) -> Result<(), JobError> {
    config.check()?;
    RunFolder::check_free(out)?;
    let splits = data::load(&config.data, config.seed)?;
    let toml = config.to_toml();
    let trainer = Trainer::new(config, splits.train, &device.device)?;
    // Last, so that a run that cannot begin leaves no folder behind.
    let folder = RunFolder::create(out, &toml)?;
    let (validation, test) = (splits.validation, splits.test);
    Job { trainer, folder, validation, test, stop, on_event }.run()
}

/// Goes on with the run in `path`, with its own configuration but for what `change` replaces: the
/// data's folder, the sampler, the objective, the optimiser's numbers, the length, the watch on
/// divergence.
///
/// # Errors
/// As [`train`], a folder without a run, and a change of what the run is made of.
pub fn resume(
    path: &Path,
    change: impl FnOnce(RunConfig) -> Result<RunConfig, ConfigError>,
    device: &ComputeDevice,
    stop: &AtomicBool,
    on_event: &mut dyn FnMut(Event),
) -> Result<(), JobError> {
    let file = RunFolder::checkpoint_of(path);
    if !file.is_file() {
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
    let splits = data::load(&kept.data, kept.seed)?;
    let step = checkpoint.counters.step;
    let trainer = Trainer::resume(checkpoint, splits.train, &device.device)?;
    let folder = RunFolder::resume(path, step)?;
    folder.write_config(&kept.to_toml())?;
    let (validation, test) = (splits.validation, splits.test);
    Job { trainer, folder, validation, test, stop, on_event }.run()
}

struct Job<'a> {
    trainer: Trainer,
    folder: RunFolder,
    validation: Dataset,
    test: Dataset,
    stop: &'a AtomicBool,
    on_event: &'a mut dyn FnMut(Event),
}

impl Job<'_> {
    fn run(mut self) -> Result<(), JobError> {
        let training = self.trainer.config().training.clone();
        let steps_per_epoch = self.trainer.steps_per_epoch();
        let num_steps = steps_per_epoch * training.epochs as u64;
        (self.on_event)(Event::Started { step: self.trainer.counters().step, num_steps });
        let interval = Duration::from_secs_f64(training.checkpoint_every_secs);
        let (mut last_save, mut last_step) = (Instant::now(), Instant::now());
        if self.trainer.counters().step == 0 {
            // A run that diverges at once still leaves something to look at and resume.
            self.save()?;
        }
        while self.trainer.counters().step < num_steps {
            if self.stop.load(Ordering::Relaxed) {
                return self.finish(false);
            }
            match self.trainer.step() {
                Ok(report) => {
                    self.trainer.counters_mut().elapsed_secs += last_step.elapsed().as_secs_f64();
                    last_step = Instant::now();
                    self.log_step(&report)?;
                    let is_epoch_end = report.step % steps_per_epoch == 0;
                    (self.on_event)(Event::Step(report.clone()));
                    let is_due = report.epoch % training.eval_every_epochs as u64 == 0
                        || report.step == num_steps;
                    if is_epoch_end && is_due {
                        self.evaluate(&report)?;
                    }
                }
                Err(divergence) => self.recover(divergence)?,
            }
            if last_save.elapsed() >= interval {
                self.save()?;
                last_save = Instant::now();
            }
        }
        self.finish(true)
    }

    fn save(&mut self) -> Result<(), JobError> {
        let checkpoint = self.trainer.checkpoint()?;
        // If the last update broke the weights, the next step will notice; the file stays as it is.
        match checkpoint.is_finite() {
            true => Ok(checkpoint.save(&self.folder.checkpoint())?),
            false => Ok(()),
        }
    }

    fn finish(mut self, mut is_complete: bool) -> Result<(), JobError> {
        if !self.trainer.checkpoint()?.is_finite() {
            // There is no next step.
            self.trainer.return_to_good_state();
            is_complete = false;
        }
        self.save()?;
        let counters = self.trainer.counters();
        (self.on_event)(Event::Finished {
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

    fn evaluate(&mut self, report: &StepReport) -> Result<(), JobError> {
        let accuracy_on =
            |set| eval::accuracy(self.trainer.evaluated_network(), set, self.trainer.device());
        let test = accuracy_on(&self.test);
        let validation = (!self.validation.is_empty()).then(|| accuracy_on(&self.validation));
        self.trainer.counters_mut().test_accuracy = Some(test.accuracy);
        let grid = self.folder.sample_grid(report.epoch);
        let (values, labels) = self.buffer_grid();
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
        (self.on_event)(Event::Evaluated { epoch: report.epoch, test, validation, grid });
        Ok(())
    }

    /// The first chains of every class, row by row; for points, all of them.
    fn buffer_grid(&self) -> (Vec<f32>, Vec<u32>) {
        let [capacity, num_pixels] = self.trainer.buffer().chains().dims();
        let Ok(chains) = self.trainer.buffer().chains().into_data().try_into_vec::<f32>() else {
            unreachable!("chains are f32")
        };
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

    fn recover(&mut self, divergence: Divergence) -> Result<(), JobError> {
        let num_recoveries = self.trainer.counters().num_recoveries;
        let step = self.trainer.counters().step;
        let Some(recovery) = self.trainer.recover() else {
            self.save()?;
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
        (self.on_event)(Event::Recovered { divergence, recovery });
        Ok(())
    }
}
