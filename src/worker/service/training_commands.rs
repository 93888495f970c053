//! The training run of the worker: its steps, its events, and the update of the chains' weights.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use web_time::Instant;

use super::{Served, Service, Stop, refusal};
use crate::{
    checkpoint::Checkpoint,
    config::{ConfigError, DataConfig, RunConfig},
    files,
    recipe::{self, DataFacts, Pace},
    run_folder::RunFolder,
    training::{Training, TrainingError, TrainingEvent},
    worker::{
        Event, Inspected, JobError, Recipe, TrainingPoint, TrainingUpdate, open_model::OpenModel,
        own_data, platform,
    },
};

/// The time between two updates of the chains' weights during training.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(500);
/// The time between two reports of the replay buffer during training.
const BUFFER_INTERVAL: Duration = Duration::from_secs(1);
/// The time between two evaluations of real images during training.
const REFERENCE_INTERVAL: Duration = Duration::from_secs(15);

/// The active training run, with the times of its last reports.
pub(super) struct ActiveTraining {
    run: Training,
    last_follow: Instant,
    last_buffer: Instant,
    last_reference: Instant,
    begin: Instant,
    steps: u64,
}

impl Service<'_> {
    /// Looks what is in a data set, and which recipe fits it.
    pub(super) async fn inspect_data(&mut self, config: DataConfig, seed: u64) -> Served {
        let dir = config.dir.clone();
        let splits = self.own_data.load_at_hand(&config, seed);
        let report = splits.as_ref().map_err(ToString::to_string).and_then(|splits| {
            own_data::report(splits, &config).map_err(|error| error.to_string())
        });
        let inspected = Inspected { dir: dir.clone(), result: report };
        self.out.send(Event::Inspected(Box::new(inspected))).await?;
        let Ok(splits) = splits else { return Ok(()) };
        // The window should show what was found while the recipe is timed.
        self.out.flush().await?;
        let facts = DataFacts::of(&splits, config.dataset);
        drop(splits);
        let event = match self.recipe(&config, seed, &facts).await {
            Ok(recipe) => Event::Recipe(Box::new(Recipe { dir, ..recipe })),
            // The window waits for the recipe, so the reason takes its place.
            Err(error) => {
                let result = Err(refusal(error)?);
                Event::Inspected(Box::new(Inspected { dir, result }))
            }
        };
        Ok(self.out.send(event).await?)
    }

    /// The recipe that fits a data set, with the time that a run will take.
    async fn recipe(
        &self,
        data: &DataConfig,
        seed: u64,
        facts: &DataFacts,
    ) -> Result<Recipe, JobError> {
        let given = |mut config: RunConfig| -> Result<RunConfig, ConfigError> {
            config.data.dataset = data.dataset;
            config.data.dir.clone_from(&data.dir);
            config.data.size = data.size;
            config.data.fit = data.fit;
            config.data.color = data.color;
            config.data.frame.clone_from(&data.frame);
            config.seed = seed;
            Ok(config)
        };
        let device = &self.device.device;
        let config = recipe::choose(facts, device, &given)?;
        // Two runs at a time would measure each other.
        let (config, secs) = match self.training.is_some() {
            true => (config, None),
            false => {
                let secs = recipe::seconds_per_step(&config, facts, device).await?;
                let (config, pace) = Pace::fit(config, facts, secs, &given)?;
                (config, Some(pace.secs()))
            }
        };
        let about = recipe::describe(&config, facts, device);
        Ok(Recipe { dir: String::new(), config: Box::new(config), about, secs })
    }

    pub(super) async fn train_new(&mut self, config: RunConfig, folder: PathBuf) -> Served {
        let run = self.start_training(config, &folder).await;
        self.train(run, folder).await
    }

    /// Starts a run. Files that the window gave are kept in its folder, if it has one.
    async fn start_training(
        &mut self,
        mut config: RunConfig,
        folder: &Path,
    ) -> Result<Training, JobError> {
        if !self.own_data.holds(&config.data) {
            return Ok(Training::start(config, folder, &self.device, &mut |_| {}).await?);
        }
        config.validate()?;
        RunFolder::check_new(folder, config.data.own_path()).map_err(TrainingError::from)?;
        let splits = self.own_data.load(&config.data, config.seed)?;
        // In a browser, a run has no folder.
        let kept = cfg!(not(target_arch = "wasm32"))
            .then(|| (config.data.dir.clone(), folder.join("data.zip")));
        if let Some((_, archive)) = &kept {
            config.data.dir = archive.display().to_string();
        }
        let run = Training::start_on(splits, config, folder, &self.device, &mut |_| {}).await?;
        #[cfg(not(target_arch = "wasm32"))]
        if let Some((name, archive)) = &kept {
            self.own_data.save(name, archive)?;
        }
        Ok(run)
    }

    /// Trains this run, or reports why not. The window waits for one or the other.
    async fn train(&mut self, run: Result<Training, JobError>, folder: PathBuf) -> Served {
        let opened = async {
            let run = run?;
            let path = run.folder().checkpoint().display().to_string();
            let checkpoint = run.trainer().checkpoint().await?;
            let model = OpenModel::of(path, checkpoint, &self.device.device)?;
            Ok::<_, JobError>((run, model))
        };
        let (run, model) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                let reason = error.to_string();
                // An active run is another one, and continues.
                self.report_training(match self.training.is_some() {
                    true => TrainingUpdate::Recovered {
                        message: format!("another run did not start: {reason}"),
                    },
                    false => TrainingUpdate::Failed(reason),
                })
                .await?;
                // The window has this reason now; only a failed device is another matter.
                refusal(error)?;
                return Ok(());
            }
        };
        self.pause_training().await?;
        let step = run.trainer().counters().step;
        let config = Box::new(run.trainer().config().clone());
        let num_steps = run.num_steps();
        let memory = run.description().memory.clone();
        let checkpoint = model.checkpoint();
        let (class_names, shape) = (checkpoint.class_names.clone(), checkpoint.input_shape);
        self.show_model(model).await?;
        // The data of a run is at hand.
        self.references_wanted = true;
        let started =
            TrainingUpdate::Started { folder, config, step, num_steps, memory, class_names, shape };
        self.report_training(started).await?;
        let now = Instant::now();
        self.training = Some(ActiveTraining {
            run,
            last_follow: now,
            last_buffer: now,
            last_reference: now,
            begin: now,
            steps: 0,
        });
        Ok(())
    }

    pub(super) async fn resume_training(&mut self, folder: PathBuf) -> Served {
        // Only one owner can have a run open, and that may be this worker.
        if self.training.as_ref().is_some_and(|training| training.run.folder().path() == folder) {
            self.pause_training().await?;
        }
        let run = self.take_up(&folder).await;
        self.train(run, folder).await
    }

    /// Resumes the run in this folder.
    async fn take_up(&mut self, folder: &Path) -> Result<Training, JobError> {
        let paused = self.paused_training.take_if(|run| run.folder().path() == folder);
        if let Some(run) = paused {
            return Ok(run);
        }
        #[cfg(target_arch = "wasm32")]
        return Err(JobError::Request(
            "in a browser, only the run that was paused last on this page can be resumed".into(),
        ));
        #[cfg(not(target_arch = "wasm32"))]
        Ok(Training::resume(folder, Ok, &self.device, &mut |_| {}).await?)
    }

    async fn report_training(&self, update: TrainingUpdate) -> Result<(), Stop> {
        Ok(self.out.send(Event::Training(Box::new(update))).await?)
    }

    pub(super) async fn advance_training(&mut self) -> Result<(), Stop> {
        let Some(training) = &mut self.training else { return Ok(()) };
        training.steps += 1;
        let steps_per_sec = training.steps as f64 / training.begin.elapsed().as_secs_f64();
        let mut updates = Vec::new();
        let mut collect = |event| updates.extend(update_of(event, steps_per_sec));
        let result = training.run.advance(&|| false, &mut collect).await;
        if training.last_buffer.elapsed() >= BUFFER_INTERVAL {
            training.last_buffer = Instant::now();
            let (x, labels) = training.run.buffer_grid().await?;
            updates.push(TrainingUpdate::Buffer { x, labels });
        }
        // An evaluation that has begun is finished first.
        if training.last_reference.elapsed() >= REFERENCE_INTERVAL
            && let Some(model) = self.model.as_mut().filter(|model| !model.has_references_left())
        {
            training.last_reference = Instant::now();
            model.evaluate_references();
        }
        if training.last_follow.elapsed() >= FOLLOW_INTERVAL {
            training.last_follow = Instant::now();
            if let Some(model) = &mut self.model
                && let Err(error) = model.follow(training.run.trainer())
            {
                self.out.send(Event::Refused(refusal(error)?)).await?;
            }
        }
        let is_complete = training.run.is_complete();
        for update in updates {
            self.report_training(update).await?;
        }
        if let Err(error) = result {
            let mut failed = self.training.take();
            if error.leaves_run_whole()
                && let Some(failed) = &mut failed
            {
                let _ = failed.run.finish(&mut |_| {}).await;
            }
            if let Some(failed) = failed
                && let Some(model) = &mut self.model
                && let Ok(checkpoint) = failed.run.trainer().checkpoint().await
                && let Err(error) = model.adopt(checkpoint)
            {
                self.out.send(Event::Refused(refusal(error)?)).await?;
            }
            return self.report_training(TrainingUpdate::Failed(error.to_string())).await;
        }
        if is_complete { self.pause_training().await } else { Ok(()) }
    }

    /// Saves and pauses the training run, if there is one.
    pub(super) async fn pause_training(&mut self) -> Result<(), Stop> {
        let Some(mut training) = self.training.take() else { return Ok(()) };
        let mut updates = Vec::new();
        let mut collect = |event| updates.extend(update_of(event, 0.0));
        let result = training.run.finish(&mut collect).await;
        if let Some(model) = &mut self.model
            && let Ok(checkpoint) = training.run.trainer().checkpoint().await
            && let Err(error) = model.adopt(checkpoint)
        {
            self.out.send(Event::Refused(refusal(error)?)).await?;
        }
        if cfg!(target_arch = "wasm32") && !training.run.is_complete() {
            self.paused_training = Some(training.run);
        }
        for update in updates {
            self.report_training(update).await?;
        }
        match result {
            Ok(_) => Ok(()),
            Err(error) => self.report_training(TrainingUpdate::Failed(error.to_string())).await,
        }
    }

    /// Saves the open model, or, if that is what is wanted, the one that was trained last.
    pub(super) async fn save(&self, path: PathBuf, wants_trained: bool) -> Served {
        self.model_to_save(&path, wants_trained).await?.save(&path)?;
        Ok(self.out.send(platform::saved(path)).await?)
    }

    async fn model_to_save(
        &self,
        path: &Path,
        wants_trained: bool,
    ) -> Result<Checkpoint, JobError> {
        if files::exists(path) {
            return Err(JobError::Request(format!(
                "{} already exists; nothing is ever overwritten. Choose another name",
                path.display()
            )));
        }
        let checkpoint: Checkpoint = match (&self.training, &self.trained, &self.model) {
            // A model in training is the open one.
            (Some(training), ..) => training.run.trainer().checkpoint().await?,
            (None, Some(trained), Some(model)) if wants_trained && !model.is_trained() => {
                trained.clone()
            }
            (None, _, Some(model)) => model.checkpoint().clone(),
            (None, _, None) => return Err(JobError::Request("no model is open".into())),
        };
        // A packed model is written in half precision; a GPU in a browser always produces one.
        if checkpoint.is_packed() && !checkpoint.fits_half_precision() {
            return Err(JobError::Request(
                "the model's weights are too large for half precision, in which it would be saved"
                    .into(),
            ));
        }
        Ok(checkpoint)
    }

    /// Saves the training run after the window was closed.
    pub(super) async fn save_training(&mut self) -> Result<(), Stop> {
        let Some(mut training) = self.training.take() else { return Ok(()) };
        training.run.finish(&mut |_| {}).await.map(drop).map_err(|error| {
            let folder = training.run.folder().path().display();
            Stop::Unsaved(format!(
                "the training run in {folder} could not be saved: {error}. Its last checkpoint is still there"
            ))
        })
    }
}

/// The event for the window, from an event of the training run.
fn update_of(event: TrainingEvent, steps_per_sec: f64) -> Option<TrainingUpdate> {
    Some(match event {
        TrainingEvent::Preparing { .. }
        | TrainingEvent::Ready(_)
        | TrainingEvent::Started { .. } => return None,
        TrainingEvent::Step(report) => TrainingUpdate::Step(TrainingPoint {
            step: report.step,
            loss: report.loss,
            cross_entropy: report.terms.cross_entropy,
            gap: report.gap,
            gradient_norm: report.gradient_norm,
            clamp_rate: report.clamp_rate,
            steps_per_sec,
        }),
        TrainingEvent::Evaluated { step, test, .. } => {
            TrainingUpdate::Evaluated { step, test_accuracy: test?.accuracy }
        }
        TrainingEvent::Warning(message) => TrainingUpdate::Recovered { message },
        TrainingEvent::Recovered { divergence, recovery } => TrainingUpdate::Recovered {
            message: format!(
                "{divergence}; back to step {}, learning rate × {:.3}",
                recovery.step, recovery.learning_rate_factor
            ),
        },
        TrainingEvent::Finished { is_complete, checkpoint, calibration, .. } => {
            let temperature = calibration.and_then(|calibration| calibration.temperature);
            TrainingUpdate::Stopped { is_complete, checkpoint, temperature }
        }
    })
}
