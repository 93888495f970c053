//! Start of a new training run, and resumption of a stopped run.

use std::{ops::ControlFlow, path::Path};

use burn::module::Module;
use web_time::Instant;

use super::{RunDescription, Training, TrainingError, TrainingEvent};
use crate::{
    checkpoint::Checkpoint,
    config::{ConfigError, Norm, RunConfig},
    data::{self, Dataset, Splits},
    device::ComputeDevice,
    files,
    run_folder::RunFolder,
    trainer::Trainer,
};

impl Training {
    /// Starts a new run in the folder `out`: reads the data, estimates the class centres and saves a first checkpoint.
    ///
    /// # Errors
    /// The data or the configuration is not valid, or the folder exists.
    pub async fn start(
        config: RunConfig,
        out: &Path,
        device: &ComputeDevice,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<Self, TrainingError> {
        config.validate()?;
        RunFolder::check_free(out)?;
        data::prepare(&config.data).await?;
        let splits = data::load(&config.data, config.seed)?;
        Self::start_on(splits, config, out, device, on_event).await
    }

    /// As [`Training::start`], on a data set that was read before with the section `data` of `config`.
    ///
    /// # Errors
    /// As [`Training::start`].
    pub async fn start_on(
        splits: Splits,
        mut config: RunConfig,
        out: &Path,
        device: &ComputeDevice,
        on_event: &mut dyn FnMut(TrainingEvent),
    ) -> Result<Self, TrainingError> {
        config.validate()?;
        RunFolder::check_free(out)?;
        make_absolute(&mut config);
        splits.settle(&mut config.data);
        let warnings = splits.warnings().to_vec();
        let mut description = RunDescription::of(&config, &splits);
        let toml = config.to_toml();
        let (trainer, cut) =
            Trainer::new_with(config, splits.train, &device.device, &mut |done, of| {
                on_event(TrainingEvent::Preparing { done, of });
                ControlFlow::Continue(())
            })?;
        description.network = describe_network(&trainer);
        description.memory = trainer.demand().to_string();
        on_event(TrainingEvent::Ready(Box::new(description.clone())));
        // The folder is created last, so that a run that cannot start leaves none behind.
        let folder = RunFolder::create(out)?;
        let mut run = Self::of(description, trainer, folder, [splits.validation, splits.test]);
        run.notes.extend(warnings);
        run.notes.extend(cut.map(|cut| cut.to_string()));
        // A run that diverges at once still leaves a checkpoint to inspect and resume.
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

    /// Resumes the run in `path`. Its configuration stays, except for what `change` may replace: the data folder, the
    /// settings of the sampler and the objective, the numbers of the optimiser, the length of the run and the
    /// divergence bounds. Nothing in the folder changes unless all of this succeeds.
    ///
    /// # Errors
    /// As [`Training::start`]; also, the folder holds no run or is in use, or `change` replaces a fixed setting.
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
        description.memory = trainer.demand().to_string();
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
        let config = trainer.config();
        let notes = norm_of_parts(config).into_iter().chain(unused_flip(config)).collect();
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
            notes,
        }
    }
}

/// A note if batch norm takes its statistics from parts of the batch.
fn norm_of_parts(config: &RunConfig) -> Option<String> {
    let (part, batch) = (config.data.micro_batch, config.data.batch_size);
    let is_of_batch = match config.model.norm {
        Norm::Batch => true,
        Norm::Frozen => config.training.classifier_epochs > 0,
        Norm::None | Norm::Group => false,
    };
    (is_of_batch && (1..batch).contains(&part)).then(|| {
        format!(
            "data.micro_batch = {part}: batch norm takes its statistics from {part} images or chains instead of {batch}, \
             so the run differs from one with the whole batch; model.norm = group would not"
        )
    })
}

/// A note if mirroring is wanted for a data set whose images lose their class by it.
fn unused_flip(config: &RunConfig) -> Option<String> {
    let dataset = config.data.dataset;
    (config.data.horizontal_flip && !data::may_flip(dataset)).then(|| {
        format!(
            "data.horizontal_flip = true is not used: a mirrored item of {} may be of another class or of none",
            data::name(dataset)
        )
    })
}

/// Describes the network of a run in one line.
fn describe_network(trainer: &Trainer) -> String {
    format!("{}, {} weights", trainer.config().model.describe(), trainer.network().num_params())
}

/// Makes the path of the data folder absolute, so that it works from any working folder.
fn make_absolute(config: &mut RunConfig) {
    if config.data.dir.is_empty() {
        return;
    }
    // If the working folder is not known, the path stays unchanged.
    if let Ok(dir) = std::path::absolute(&config.data.dir)
        && let Some(dir) = dir.to_str()
    {
        config.data.dir = dir.to_string();
    }
}

/// A note if `config.toml` was edited after the run wrote it.
fn edits_of(folder: &RunFolder, config: &RunConfig) -> Option<String> {
    /// Size limit; a configuration is a few kilobytes.
    const MAX_BYTES: u64 = 1 << 20;
    let path = folder.config();
    let text = String::from_utf8(files::read_at_most(&path, MAX_BYTES).ok()?).ok()?;
    let edits = RunConfig::default().with_toml(&text).ok()?.differences(config);
    let edits: Vec<String> =
        edits.iter().map(|edit| format!("{} = {}", edit.key, edit.here)).collect();
    (!edits.is_empty()).then(|| {
        format!(
            "{} says {}, but a resumed run uses the settings in its checkpoint: give such keys again to change them",
            path.display(),
            edits.join(", ")
        )
    })
}

/// Checks that a resumed run changes only settings that may change.
fn check_same_run(before: &RunConfig, after: &RunConfig) -> Result<(), TrainingError> {
    /// The sections whose settings may change between sessions.
    const FREE: [&str; 6] =
        ["sampler.", "objective.", "optimizer.", "training.", "divergence.", "eval."];
    let is_free = |key: &str| {
        let is_section_free = FREE.iter().any(|section| key.starts_with(section));
        let is_data_free = ["data.dir", "data.micro_batch"].contains(&key);
        is_data_free || is_section_free && key != "optimizer.kind"
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
