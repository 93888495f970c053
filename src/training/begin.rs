//! How a training run begins, and how a stopped run continues.

use std::{ops::ControlFlow, path::Path};

use burn::module::Module;
use web_time::Instant;

use super::{RunDescription, Training, TrainingError, TrainingEvent};
use crate::{
    checkpoint::Checkpoint,
    config::{ConfigError, RunConfig},
    data::{self, Dataset},
    device::ComputeDevice,
    files,
    run_folder::RunFolder,
    trainer::Trainer,
};

impl Training {
    /// Starts a new run in the folder `out`: reads the data, estimates the class centres and saves a first checkpoint.
    ///
    /// # Errors
    /// Bad data or configuration, an existing folder.
    pub async fn start(
        mut config: RunConfig,
        out: &Path,
        device: &ComputeDevice,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<Self, TrainingError> {
        config.validate()?;
        RunFolder::check_free(out)?;
        data::prepare(&config.data).await?;
        let splits = data::load(&config.data, config.seed)?;
        make_absolute(&mut config);
        let mut description = RunDescription::of(&config, &splits);
        let toml = config.to_toml();
        let (trainer, cut) =
            Trainer::new_with(config, splits.train, &device.device, &mut |done, of| {
                on_event(TrainingEvent::Preparing { done, of });
                ControlFlow::Continue(())
            })?;
        description.network = describe_network(&trainer);
        on_event(TrainingEvent::Ready(Box::new(description.clone())));
        // Last, so that a run that cannot begin leaves no folder behind.
        let folder = RunFolder::create(out)?;
        let mut run = Self::of(description, trainer, folder, [splits.validation, splits.test]);
        run.notes.extend(cut.map(|cut| cut.to_string()));
        // A run that diverges at once still leaves something to look at and resume.
        let saved = match run.save().await {
            Ok(()) => run.folder.write_config(&toml).map_err(TrainingError::from),
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

    /// Continues the run in `path`, with its own configuration but for what `change` replaces: the
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
    ) -> Result<Self, TrainingError> {
        let folder = RunFolder::open(path)?;
        let mut checkpoint = Checkpoint::load(&folder.checkpoint())?;
        let before = checkpoint.config.clone();
        let mut config = change(before.clone())?;
        config.validate()?;
        check_same_run(&before, &config)?;
        data::prepare(&config.data).await?;
        let splits = data::load(&config.data, config.seed).map_err(|source| {
            match config.data.dir == before.data.dir && !before.data.dir.is_empty() {
                true => TrainingError::StoredData {
                    dir: before.data.dir.clone(),
                    source: source.into(),
                },
                false => source.into(),
            }
        })?;
        make_absolute(&mut config);
        let mut description = RunDescription::of(&config, &splits);
        let counters = checkpoint.counters.clone();
        checkpoint.config = config.clone();
        let trainer = Trainer::resume(checkpoint, splits.train, &device.device)?;
        description.network = describe_network(&trainer);
        let mut run = Self::of(description, trainer, folder, [splits.validation, splits.test]);
        if config.training.epochs < before.training.epochs && counters.step > run.num_steps() {
            return Err(TrainingError::TooFewEpochs {
                epochs: config.training.epochs,
                done: counters.step / run.trainer.steps_per_epoch(),
                step: counters.step,
            });
        }
        run.notes.extend(edits_of(&run.folder, &before));
        on_event(TrainingEvent::Ready(Box::new(run.description.clone())));
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
        description: RunDescription,
        trainer: Trainer,
        folder: RunFolder,
        [validation, test]: [Dataset; 2],
    ) -> Self {
        Self {
            description,
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
}

/// The network of a run in one line.
fn describe_network(trainer: &Trainer) -> String {
    format!("{}, {} weights", trainer.config().model.describe(), trainer.network().num_params())
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
            "{} says {}, but a run goes on with what its checkpoint holds: such keys must be given anew when it is resumed",
            path.display(),
            edits.join(", ")
        )
    })
}

/// Checks that a run goes on as the run it is.
fn check_same_run(before: &RunConfig, after: &RunConfig) -> Result<(), TrainingError> {
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
        false => Err(TrainingError::OtherRun(fixed.join(", "))),
    }
}
