//! A training run: epochs, evaluations, checkpoints, recoveries around the trainer. It reports what
//! happens as events and knows nothing of who listens.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use burn::{module::Module, tensor::Transaction};
use serde_json::{Map, Value, json};
use web_time::Instant;

use super::JobError;
use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    config::{ConfigError, Norm, RunConfig},
    data::{self, Dataset, Splits},
    device::{self, ComputeDevice},
    divergence::Divergence,
    eval::{self, Accuracy},
    files,
    objective::TERM_NAMES,
    picture,
    run_folder::RunFolder,
    trainer::{Recovery, StepReport, Trainer},
};

/// Chains per class in a sample grid.
const GRID_COLUMNS: usize = 10;
/// Saves in a row that may fail, a full disk for one, before a run gives up.
const MAX_FAILED_SAVES: u32 = 10;
/// A checkpoint so young need not be written again before an evaluation.
const FRESH: Duration = Duration::from_secs(1);

/// What a run works with.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Its configuration.
    pub config: RunConfig,
    /// The data, in one line for people.
    pub data: String,
    /// The network, in one line for people.
    pub network: String,
    /// What its numbers are to be compared with.
    pub baseline: Baseline,
}

/// What the numbers of a run are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    /// Share of the most frequent class: the accuracy of a network that always answers it.
    pub majority_share: f64,
    /// Share of the data's pixels at the border of the box.
    pub saturation: f64,
    /// Items that an accuracy is measured on.
    pub num_judged: usize,
    /// Pixels of an image, channels counted.
    pub num_pixels: usize,
}

/// What happens in a training run.
#[derive(Clone, Debug)]
pub enum TrainingEvent {
    /// Class centres are estimated: so many classes are done.
    Preparing {
        /// Classes done.
        done: usize,
        /// Classes there are.
        of: usize,
    },
    /// Data and network are ready; nothing is written yet.
    Ready(Box<Opening>),
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
        /// On the test set, where there is one.
        test: Option<Accuracy>,
        /// On the held-out part of the training set, where there is one.
        validation: Option<Accuracy>,
        /// The sample grid, unless it could not be written.
        grid: Option<PathBuf>,
    },
    /// Something that a person should know; the run goes on.
    Warning(String),
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
    opening: Opening,
    trainer: Trainer,
    folder: RunFolder,
    validation: Dataset,
    test: Dataset,
    last_save: Instant,
    /// Step of the checkpoint in the folder.
    saved_step: u64,
    num_failed_saves: u32,
    /// Whether the metrics could not be written last time.
    is_log_waiting: bool,
    /// What a person should know before the first step.
    notes: Vec<String>,
}

impl Training {
    /// A new run in `out`.
    ///
    /// # Errors
    /// Bad data or configuration, an existing folder.
    pub async fn start(
        mut config: RunConfig,
        out: &Path,
        device: &ComputeDevice,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<Self, JobError> {
        config.check()?;
        RunFolder::check_free(out)?;
        data::prepare(&config.data).await?;
        let splits = data::load(&config.data, config.seed)?;
        make_absolute(&mut config);
        let mut opening = Opening::of(&config, &splits);
        let toml = config.to_toml();
        let (trainer, cut) =
            Trainer::new_with(config, splits.train, &device.device, &mut |done, of| {
                on_event(TrainingEvent::Preparing { done, of });
                ControlFlow::Continue(())
            })?;
        opening.network = describe_network(&trainer);
        on_event(TrainingEvent::Ready(Box::new(opening.clone())));
        // Last, so that a run that cannot begin leaves no folder behind.
        let folder = RunFolder::create(out)?;
        let mut run = Self::of(opening, trainer, folder, [splits.validation, splits.test]);
        run.notes.extend(cut.map(|cut| cut.to_string()));
        // A run that diverges at once still leaves something to look at and resume.
        let saved = match run.save().await {
            Ok(()) => run.folder.write_config(&toml).map_err(JobError::from),
            Err(error) => Err(error),
        };
        match saved {
            Ok(()) => Ok(run),
            Err(error) => {
                run.folder.abandon();
                Err(error)
            }
        }
    }

    /// Goes on with the run in `path`, with its own configuration but for what `change` replaces: the
    /// data's folder, the sampler, the objective, the optimiser's numbers, the length, the watch on
    /// divergence. Nothing in the folder changes unless all of this succeeds.
    ///
    /// # Errors
    /// As [`Training::start`], a folder without a run or in use, and a change of what the run is made of.
    pub async fn resume(
        path: &Path,
        change: impl FnOnce(RunConfig) -> Result<RunConfig, ConfigError>,
        device: &ComputeDevice,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<Self, JobError> {
        let folder = RunFolder::open(path)?;
        let mut checkpoint = Checkpoint::load(&folder.checkpoint())?;
        let before = checkpoint.config.clone();
        let mut config = change(before.clone())?;
        config.check()?;
        check_same_run(&before, &config)?;
        data::prepare(&config.data).await?;
        let splits = data::load(&config.data, config.seed).map_err(|source| {
            match config.data.dir == before.data.dir && !before.data.dir.is_empty() {
                true => {
                    JobError::StoredData { dir: before.data.dir.clone(), source: source.into() }
                }
                false => source.into(),
            }
        })?;
        make_absolute(&mut config);
        let mut opening = Opening::of(&config, &splits);
        let counters = checkpoint.counters.clone();
        checkpoint.config = config.clone();
        let trainer = Trainer::resume(checkpoint, splits.train, &device.device)?;
        opening.network = describe_network(&trainer);
        let mut run = Self::of(opening, trainer, folder, [splits.validation, splits.test]);
        if config.training.epochs < before.training.epochs && counters.step > run.num_steps() {
            return Err(JobError::TooFewEpochs {
                epochs: config.training.epochs,
                done: counters.step / run.trainer.steps_per_epoch(),
                step: counters.step,
            });
        }
        run.notes.extend(edits_of(&run.folder, &before));
        on_event(TrainingEvent::Ready(Box::new(run.opening.clone())));
        run.folder.rewind(&counters)?;
        if config != before {
            run.save().await?;
        }
        if config != before || !files::is_file(&run.folder.config()) {
            run.folder.write_config(&config.to_toml())?;
        }
        Ok(run)
    }

    fn of(
        opening: Opening,
        trainer: Trainer,
        folder: RunFolder,
        [validation, test]: [Dataset; 2],
    ) -> Self {
        Self {
            opening,
            saved_step: trainer.counters().step,
            trainer,
            folder,
            validation,
            test,
            last_save: Instant::now(),
            num_failed_saves: 0,
            is_log_waiting: false,
            notes: Vec::new(),
        }
    }

    /// What the run works with.
    pub fn opening(&self) -> &Opening {
        &self.opening
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
        if !self.folder.is_exclusive() {
            on_event(TrainingEvent::Warning(format!(
                "the file system of {} has no locks: nothing keeps a second jempp from training there too",
                self.folder.path().display()
            )));
        }
        self.notes.iter().cloned().map(TrainingEvent::Warning).for_each(on_event);
    }

    /// Whether all steps are done, and evaluated where that is due.
    pub fn is_complete(&self) -> bool {
        self.trainer.counters().step >= self.num_steps() && !self.is_evaluation_due()
    }

    /// Whether the epoch that has just ended is to be evaluated, and is not yet.
    fn is_evaluation_due(&self) -> bool {
        let (step, per_epoch) = (self.trainer.counters().step, self.trainer.steps_per_epoch());
        let every = self.trainer.config().training.eval_every_epochs as u64;
        let is_epoch_end = step > 0 && step.is_multiple_of(per_epoch);
        let is_wanted = (step / per_epoch).is_multiple_of(every) || step == self.num_steps();
        is_epoch_end && is_wanted && self.trainer.counters().evaluated_step != Some(step)
    }

    /// Does one step, and what is due after it: an evaluation, a checkpoint, a recovery. An evaluation that was
    /// cut short earlier comes first, alone. Once `stop` says so, a step under way is dropped and an evaluation
    /// left to a later call; the run is then as it was before.
    ///
    /// # Errors
    /// A divergence that recoveries do not cure; the last good state is saved. Files that cannot be written
    /// for a long time.
    pub async fn advance(
        &mut self,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        let begin = Instant::now();
        if !self.is_evaluation_due() {
            match self.trainer.step_unless(stop).await {
                Ok(Some(report)) => {
                    self.count_time(begin);
                    self.log_step(&report, on_event)?;
                    on_event(TrainingEvent::Step(report));
                }
                Ok(None) => return Ok(()),
                Err(divergence) => self.recover(divergence, on_event).await?,
            }
        }
        let begin = Instant::now();
        if self.is_evaluation_due() {
            // It may take long, and the program may be killed meanwhile.
            if self.last_save.elapsed() >= FRESH {
                self.save_or_wait(on_event).await?;
            }
            self.evaluate(stop, on_event).await?;
        }
        let interval = self.trainer.config().training.checkpoint_every_secs;
        if self.last_save.elapsed() >= Duration::from_secs_f64(interval) {
            self.save_or_wait(on_event).await?;
        }
        self.count_time(begin);
        Ok(())
    }

    fn count_time(&mut self, begin: Instant) {
        self.trainer.counters_mut().elapsed_secs += begin.elapsed().as_secs_f64();
    }

    async fn save(&mut self) -> Result<(), JobError> {
        self.last_save = Instant::now();
        self.folder.check_owned()?;
        let checkpoint = self.trainer.checkpoint().await?;
        // If the last update broke the weights, the next step will notice; the file stays as it is.
        if checkpoint.is_finite() {
            checkpoint.save(&self.folder.checkpoint())?;
            self.saved_step = checkpoint.counters.step;
        }
        Ok(())
    }

    /// Saves; a disk that is full for a while costs the run nothing but a younger checkpoint.
    async fn save_or_wait(
        &mut self,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        match self.save().await {
            Ok(()) => self.num_failed_saves = 0,
            Err(error @ JobError::Checkpoint(CheckpointError::Io { .. })) => {
                self.num_failed_saves += 1;
                if self.num_failed_saves == MAX_FAILED_SAVES {
                    return Err(self.unsaved(error));
                }
                on_event(TrainingEvent::Warning(format!(
                    "{error}. The file there is whole, as of step {}; the run goes on and tries again",
                    self.saved_step
                )));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A failed save, with what is safe in spite of it.
    fn unsaved(&self, error: JobError) -> JobError {
        match error {
            JobError::Checkpoint(error @ CheckpointError::Io { .. }) => {
                let folder = self.folder.path().to_path_buf();
                JobError::Unsaved { error: error.into(), step: self.saved_step, folder }
            }
            other => other,
        }
    }

    /// Saves the run and says where it stands; whether it came to its end.
    ///
    /// # Errors
    /// The checkpoint or the metrics cannot be written.
    pub async fn finish(
        &mut self,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<bool, JobError> {
        let mut is_complete = self.is_complete();
        if !self.trainer.checkpoint().await?.is_finite() {
            // There is no next step.
            self.trainer.return_to_good_state();
            is_complete = false;
        }
        self.save().await.map_err(|error| self.unsaved(error))?;
        self.folder.flush()?;
        let counters = self.trainer.counters();
        on_event(TrainingEvent::Finished {
            is_complete,
            step: counters.step,
            test_accuracy: counters.test_accuracy,
            checkpoint: self.folder.checkpoint(),
        });
        Ok(is_complete)
    }

    /// Tells of something that does not stop the run, in the metrics too.
    ///
    /// # Errors
    /// As [`Training::advance`].
    pub fn warn(
        &mut self,
        warning: String,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        let step = self.trainer.counters().step;
        self.log(json!({ "step": step, "warning": warning }), on_event)?;
        on_event(TrainingEvent::Warning(warning));
        Ok(())
    }

    /// Adds a line to the metrics. Where they cannot be written it waits in memory, and that is said once.
    fn log(
        &mut self,
        line: Value,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        let Value::Object(line) = line else { return Ok(()) };
        let result = self.folder.log(line);
        let was_waiting = std::mem::replace(&mut self.is_log_waiting, result.is_err());
        match result {
            Err(error) if self.folder.is_choked() => Err(error.into()),
            Err(error) if !was_waiting => {
                on_event(TrainingEvent::Warning(format!(
                    "{error}. The run goes on; its metrics wait in memory until they can be written"
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
    ) -> Result<(), JobError> {
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
        self.log(Value::Object(line), on_event)
    }

    /// Evaluates the epoch that has just ended; nothing is recorded of it if `stop` cuts it short.
    async fn evaluate(
        &mut self,
        stop: &dyn Fn() -> bool,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<(), JobError> {
        let mut found = [None, None];
        for (found, set) in found.iter_mut().zip([&self.test, &self.validation]) {
            if set.is_empty() {
                continue;
            }
            let (network, device) = (self.trainer.evaluated_network(), self.trainer.device());
            *found = eval::accuracy_unless(stop, network, set, device).await;
            if found.is_none() {
                return Ok(());
            }
        }
        let [test, validation] = found;
        let step = self.trainer.counters().step;
        let epoch = step / self.trainer.steps_per_epoch();
        let grid = match self.save_grid(epoch).await {
            Ok(grid) => Some(grid),
            Err(error) => {
                on_event(TrainingEvent::Warning(format!("{error}. The run goes on without it")));
                None
            }
        };
        let mut line = json!({ "step": step, "epoch": epoch });
        for (set, found) in [("test", test), ("validation", validation)] {
            if let Some(found) = found {
                line[format!("{set}_accuracy")] = found.accuracy.into();
                line[format!("{set}_calibration_error")] = found.calibration_error.into();
                line[format!("{set}_energy")] = found.mean_energy.into();
            }
        }
        self.log(line, on_event)?;
        let counters = self.trainer.counters_mut();
        counters.evaluated_step = Some(step);
        counters.test_accuracy = test.map(|test| test.accuracy);
        on_event(TrainingEvent::Evaluated { step, epoch, test, validation, grid });
        Ok(())
    }

    async fn save_grid(&self, epoch: u64) -> Result<PathBuf, JobError> {
        let grid = self.folder.sample_grid(epoch)?;
        let (values, labels) = self.buffer_grid().await;
        let shape = self.test.shape;
        picture::save_png(picture::draw(&values, &labels, shape, GRID_COLUMNS), &grid)?;
        Ok(grid)
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
            self.save().await.map_err(|error| self.unsaved(error))?;
            let checkpoint = self.folder.checkpoint();
            let step_key = self.trainer.config().sampler.step_size_key();
            return Err(JobError::Diverged { divergence, num_recoveries, checkpoint, step_key });
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

impl Baseline {
    /// Of a data set: the classes of its test part, or of its training part where there is none.
    fn of(splits: &Splits) -> Self {
        /// Enough for a share to the percent.
        const NUM_LOOKED_AT: usize = 500;
        let judged = if splits.test.is_empty() { &splits.train } else { &splits.test };
        let mut counts = vec![0usize; judged.num_classes()];
        for &label in &judged.labels {
            counts[label as usize] += 1;
        }
        let most = counts.into_iter().max().unwrap_or(0);
        let values = splits.train.gather(data::spread(splits.train.len(), NUM_LOOKED_AT));
        let at_border = values.iter().filter(|value| value.abs() >= 1.0).count();
        Self {
            majority_share: most as f64 / judged.len().max(1) as f64,
            saturation: at_border as f64 / values.len().max(1) as f64,
            num_judged: judged.len(),
            num_pixels: splits.train.num_pixels(),
        }
    }
}

impl Opening {
    /// Of a run whose network is not made yet.
    fn of(config: &RunConfig, splits: &Splits) -> Self {
        Self {
            config: config.clone(),
            data: splits.describe(),
            network: String::new(),
            baseline: Baseline::of(splits),
        }
    }
}

/// The network of a run in one line.
fn describe_network(trainer: &Trainer) -> String {
    let model = &trainer.config().model;
    let norm = match model.norm {
        Norm::None => "no norm",
        Norm::Batch => "batch norm",
        Norm::Frozen => "frozen batch norm",
        Norm::Group => "group norm",
    };
    format!("{}, {norm}, {} weights", model.arch, trainer.network().num_params())
}

/// Makes the data's folder one that is found from any working folder.
fn make_absolute(config: &mut RunConfig) {
    if config.data.dir.is_empty() {
        return;
    }
    // Where the working folder is not known, the path stays as it was given.
    if let Ok(dir) = std::path::absolute(&config.data.dir)
        && let Some(dir) = dir.to_str()
    {
        config.data.dir = dir.to_string();
    }
}

/// What to say of a `config.toml` that was edited since the run wrote it.
fn edits_of(folder: &RunFolder, config: &RunConfig) -> Option<String> {
    /// A configuration is a few kilobytes.
    const MAX_BYTES: u64 = 1 << 20;
    let path = folder.config();
    let text = String::from_utf8(files::read_at_most(&path, MAX_BYTES).ok()?).ok()?;
    let edits = RunConfig::default().with_toml(&text).ok()?.differences(config);
    let edits: Vec<String> =
        edits.iter().map(|edit| format!("{} = {}", edit.key, edit.here)).collect();
    (!edits.is_empty()).then(|| {
        format!(
            "{} says {}, but a run goes on with what its checkpoint holds: give such changes with --set",
            path.display(),
            edits.join(", ")
        )
    })
}

/// Checks that a run goes on as the run it is.
fn check_same_run(before: &RunConfig, after: &RunConfig) -> Result<(), JobError> {
    /// What may be other from one session to the next.
    const FREE: [&str; 6] =
        ["sampler.", "objective.", "optimizer.", "training.", "divergence.", "eval."];
    let is_free = |key: &str| {
        let is_section_free = FREE.iter().any(|section| key.starts_with(section));
        key == "data.dir" || is_section_free && key != "optimizer.kind"
    };
    let changes = after.differences(before);
    let fixed = changes.iter().filter(|change| !is_free(&change.key));
    let fixed: Vec<String> = fixed
        .map(|change| format!("{} = {} (the run has {})", change.key, change.here, change.there))
        .collect();
    match fixed.is_empty() {
        true => Ok(()),
        false => Err(JobError::OtherRun(fixed.join(", "))),
    }
}
