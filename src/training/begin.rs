//! Start of a new training run, and resumption of a stopped run.

use std::{ops::ControlFlow, path::Path};

use burn::module::Module;
use web_time::Instant;

use super::{RunDescription, Training, TrainingError, TrainingEvent, alike::check_same_settings};
use crate::{
    checkpoint::Checkpoint,
    config::{ConfigError, RunConfig},
    data::{self, DataError, Dataset, Splits},
    device::ComputeDevice,
    files,
    ranks::{RankError, Ranks},
    run_folder::{RunFolder, RunFolderError},
    trainer::Trainer,
};

/// The note of a run that is resumed on data of which these parts have changed, if any has.
fn other_data(changed: &[&str]) -> Option<String> {
    let of_validation = changed.contains(&"validation").then_some(
        ". Accuracies on the validation part, by which the best model is kept and a run may end early, are of other images \
         than before",
    );
    let of_others = changed.iter().any(|part| *part != "validation").then_some(
        ". If the test part is chosen by the seed, it may now hold images that the model has learned from; a folder `test` of \
         its own stays apart",
    );
    (!changed.is_empty()).then(|| {
        format!(
            "the data is not the one that this run began with: items were added, removed or changed in these parts: {}{}{}",
            changed.join(", "),
            of_validation.unwrap_or_default(),
            of_others.unwrap_or_default()
        )
    })
}

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
        let prepared = async {
            config.validate()?;
            RunFolder::check_new(out, config.data.own_path())?;
            data::prepare(&config.data).await?;
            data::load(&config.data, config.seed).map_err(TrainingError::from)
        };
        let splits = device.ranks.agree(prepared.await)?;
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
        let ranks = &device.ranks;
        let checked = config.validate().map_err(TrainingError::from);
        let checked = checked.and_then(|()| Ok(RunFolder::check_new(out, config.data.own_path())?));
        ranks.agree(checked.and_then(|()| check_early_stop(&config, &splits)))?;
        settle(&mut config, &splits);
        check_same_start(ranks, &config, &splits)?;
        let warnings = splits.warnings().to_vec();
        let mut description = RunDescription::of(&config, &splits);
        let checksums = splits.checksums();
        let toml = config.to_toml();
        let made =
            Trainer::new_with(config, splits.train, &device.device, ranks, &mut |done, of| {
                on_event(TrainingEvent::Preparing { done, of });
                ControlFlow::Continue(())
            });
        let (trainer, cut) = ranks.agree(made.map_err(TrainingError::from))?;
        trainer.compare_weights().await?;
        describe(&mut description, &trainer);
        on_event(TrainingEvent::Ready(Box::new(description.clone())));
        let started = async {
            // The folder is created last, so that a run that cannot start leaves none behind.
            let folder = RunFolder::create(out)?;
            let parts = [splits.validation, splits.test];
            let mut run = Self::of(description, trainer, folder, parts, warnings);
            run.trainer.counters_mut().data = checksums;
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
        };
        ranks.agree(started.await)
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
        let ranks = &device.ranks;
        let mut opened = None;
        // The other ranks get the state from rank 0, and need no file.
        ranks.bytes_of_first(|| {
            let folder = RunFolder::open(path)?;
            let (bytes, checkpoint) = Checkpoint::read(&folder.checkpoint())?;
            opened = Some((folder, checkpoint));
            Ok::<_, TrainingError>(bytes)
        })?;
        let Some((folder, checkpoint)) = opened else { return Err(RankError::Gone.into()) };
        let prepared = Prepared::of(checkpoint, change).await.and_then(|prepared| {
            let data = &prepared.checkpoint.config.data;
            if data.dir != prepared.before.data.dir {
                files::check_outside(path, data.own_path()).map_err(RunFolderError::from)?;
            }
            Ok(prepared)
        });
        let Prepared { before, checkpoint, splits } = ranks.agree(prepared)?;
        check_same_start(ranks, &checkpoint.config, &splits)?;
        let config = checkpoint.config.clone();
        let warnings = splits.warnings().to_vec();
        let mut description = RunDescription::of(&config, &splits);
        let counters = checkpoint.counters.clone();
        let checksums = splits.checksums();
        let made = Trainer::resume_among(checkpoint, splits.train, &device.device, ranks);
        let trainer = ranks.agree(made.map_err(TrainingError::from))?;
        trainer.compare_weights().await?;
        describe(&mut description, &trainer);
        let resumed = async {
            let parts = [splits.validation, splits.test];
            let mut run = Self::of(description, trainer, folder, parts, warnings);
            if config.training.epochs < before.training.epochs && counters.step > run.num_steps() {
                return Err(TrainingError::TooFewEpochs {
                    epochs: config.training.epochs,
                    done: counters.step / run.trainer.steps_per_epoch(),
                    step: counters.step,
                });
            }
            run.notes.extend(edits_of(&run.folder, &before));
            if let Some(now) = checksums {
                let before = counters.data.unwrap_or(now);
                run.notes.extend(other_data(&before.changed(now)));
                run.trainer.counters_mut().data = Some(before.completed(now));
            }
            on_event(TrainingEvent::Ready(Box::new(run.description.clone())));
            run.folder.rewind(&counters)?;
            if config != before {
                run.save().await?;
            }
            if config != before || !files::is_file(&run.folder.config()) {
                run.folder.write_config(&config.to_toml())?;
            }
            Ok(run)
        };
        ranks.agree(resumed.await)
    }

    fn of(
        description: RunDescription,
        trainer: Trainer,
        folder: RunFolder,
        [validation, test]: [Dataset; 2],
        warnings: Vec<String>,
    ) -> Self {
        let config = trainer.config();
        let of_ranks = norm_of_ranks(config, trainer.ranks());
        let notes = norm_of_parts(config).into_iter().chain(of_ranks);
        let notes = notes.chain(unused_flip(config)).chain(warnings).collect();
        Self {
            description,
            saved_step: trainer.counters().step,
            saved_bytes: 0,
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

/// A checkpoint to resume, with the settings of the new session, and its data.
pub(super) struct Prepared {
    /// The settings of the session before.
    before: RunConfig,
    /// The state, with the settings of the new session.
    pub(super) checkpoint: Checkpoint,
    pub(super) splits: Splits,
}

impl Prepared {
    /// Applies the changes of a new session to a checkpoint, and reads its data.
    pub(super) async fn of(
        mut checkpoint: Checkpoint,
        change: impl FnOnce(RunConfig) -> Result<RunConfig, ConfigError>,
    ) -> Result<Self, TrainingError> {
        let before = checkpoint.config.clone();
        let mut config = change(before.clone())?;
        config.validate()?;
        check_same_run(&before, &config)?;
        data::prepare(&config.data).await?;
        let splits = data::load(&config.data, config.seed).map_err(|source| {
            if let DataError::BatchTooLarge { batch_size, num_train } = source {
                return TrainingError::TooLittleData { batch_size, num_train };
            }
            match config.data.dir == before.data.dir && !before.data.dir.is_empty() {
                true => TrainingError::StoredData {
                    dir: before.data.dir.clone(),
                    source: source.into(),
                },
                false => source.into(),
            }
        })?;
        check_early_stop(&config, &splits)?;
        make_absolute(&mut config);
        checkpoint.config = config;
        Ok(Self { before, checkpoint, splits })
    }
}

/// The settings that a new run keeps.
pub(super) fn settle(config: &mut RunConfig, splits: &Splits) {
    make_absolute(config);
    splits.settle(&mut config.data);
}

/// Checks that there are images to end a run early by, if it may.
fn check_early_stop(config: &RunConfig, splits: &Splits) -> Result<(), TrainingError> {
    match config.training.early_stop_epochs > 0 && splits.validation.is_empty() {
        true => Err(TrainingError::NoValidation),
        false => Ok(()),
    }
}

/// Checks that all ranks start with the same settings and the same data.
pub(super) fn check_same_start(
    ranks: &Ranks,
    config: &RunConfig,
    splits: &Splits,
) -> Result<(), RankError> {
    if ranks.is_alone() {
        return Ok(());
    }
    check_same_settings(ranks, config)?;
    ranks.check_same(&fingerprint(&splits.train), |first, own| {
        (first != own)
            .then(|| format!("its training set is another one: {own} here, and {first} on rank 0"))
    })
}

/// The number of items of a data set, and a hash of it.
fn fingerprint(set: &Dataset) -> String {
    format!("{} items with the hash {:08x}", set.len(), set.checksum())
}

/// A note if batch norm takes its statistics from the images of each rank.
fn norm_of_ranks(config: &RunConfig, ranks: &Ranks) -> Option<String> {
    let share = config.data.batch_size / ranks.size();
    (!ranks.is_alone() && config.gathers_statistics()).then(|| match config.model.sync_batch_norm {
        true => format!(
            "batch norm takes the statistics of chains from the {share} of each rank, so the run depends on the number of \
             ranks; those of an update are of all {} images",
            config.data.batch_size
        ),
        false => format!(
            "batch norm takes its statistics from the {share} images or chains of each rank instead of {}, so the run \
             depends on the number of ranks; model.sync_batch_norm = true shares those of an update, and model.norm = group \
             has none",
            config.data.batch_size
        ),
    })
}

/// A note if batch norm takes its statistics from parts of the batch.
fn norm_of_parts(config: &RunConfig) -> Option<String> {
    let (part, batch) = (config.data.micro_batch, config.data.batch_size);
    (config.gathers_statistics() && (1..batch).contains(&part)).then(|| {
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

/// Describes the network of a run, and the memory that it needs, in one line each.
pub(super) fn describe(description: &mut RunDescription, trainer: &Trainer) {
    let (model, num_weights) = (trainer.config().model.describe(), trainer.network().num_params());
    description.network = format!("{model}, {num_weights} weights");
    description.memory = trainer.demand().to_string();
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

/// A note if `config.toml` was edited after the run wrote it, whether or not it is still valid.
fn edits_of(folder: &RunFolder, config: &RunConfig) -> Option<String> {
    /// Size limit; a configuration is a few kilobytes.
    const MAX_BYTES: u64 = 1 << 20;
    let path = folder.config();
    let text = files::read_at_most(&path, MAX_BYTES).ok()?;
    let edited = RunConfig::default().with_toml(&String::from_utf8_lossy(&text));
    let edits = match edited {
        Ok(edited) => edited.differences(config),
        Err(error) => {
            return Some(format!(
                "{} cannot be used ({error}), so the resumed run uses the settings in its checkpoint: give keys again to change \
                 them",
                path.display()
            ));
        }
    };
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
