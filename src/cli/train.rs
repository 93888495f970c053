//! The command `jempp train`, and the job that `jempp` without a command does without a window.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use indicatif::HumanDuration;

use super::{
    device_row, memory_row,
    progress::{Progress, during},
    ranks, sample, say_opening, settings,
    tune::TuneArgs,
    used,
};
use crate::{
    checkpoint,
    config::{AUTO, ConfigError, DatasetName, RunConfig},
    data,
    device::ComputeDevice,
    files,
    kernel_choices::Tuning,
    ranks::Ranks,
    recipe::{self, DataFacts, Pace},
    run_folder::RunFolder,
    say::{complain, say},
    signals,
    tensorboard::EventFile,
    training::{self, TrainingError, TrainingEvent},
};

/// The default folder of a run.
const DEFAULT_RUN: &str = "runs/fashion-quick";
/// The preset of a run whose data is not named.
const DEFAULT_PRESET: &str = "fashion-quick";
/// The size limit of a configuration file, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    /// Preset to start from; `jempp config` lists them. `auto` chooses the recipe that fits the data and the device
    /// [default: auto with --data alone, otherwise fashion-quick].
    #[arg(long, conflicts_with = "resume")]
    preset: Option<String>,
    /// Folder of the new run: it does not exist yet, or is empty.
    #[arg(long, required_unless_present = "resume", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Resume the run in this folder (or of this checkpoint.safetensors) exactly where it stopped.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Seed of weights, data order and chains.
    #[arg(long, conflicts_with = "resume", value_parser = settings::seed)]
    seed: Option<u64>,
    /// Compute device: auto, gpu, cpu, or an adapter's index, name or graphics API, as in vulkan. With several
    /// ranks (mpirun), a name may stand for several adapters, which they take in turn; or a list names one for each rank of a computer, as in 0,1,cpu.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    tune: TuneArgs,
    /// Number of epochs, passes over the training set.
    #[arg(long, value_parser = settings::count::<usize>)]
    epochs: Option<usize>,
    /// Your own images or points: a folder with one folder of pictures per class, a zip, .npz, .npy, IDX or CSV file; or,
    /// with a data set named, the folder with its official files [default: where `jempp fetch` puts them].
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Data set; the names are those of data.dataset [default with --data: custom, unless the preset names one].
    #[arg(long, conflicts_with = "resume")]
    dataset: Option<String>,
    /// TOML file with any keys of the configuration.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Set one configuration key, as in sampler.step_size=0.2; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
    #[command(flatten)]
    watch: WatchArgs,
}

/// When a call ends before its run does, and what else it writes.
#[derive(Debug, Default, Args)]
struct WatchArgs {
    /// Stop once the run has done this many steps; it is saved, and --resume continues it.
    #[arg(long, value_name = "N", value_parser = settings::count::<u64>)]
    max_steps: Option<u64>,
    /// Stop after this time, as in 90s, 30m or 8h; the run is saved, and --resume continues it.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_time: Option<Duration>,
    /// Also write an event file for TensorBoard into the run's folder: all measurements, and the sample grids.
    #[arg(long)]
    tensorboard: bool,
}

impl TrainArgs {
    /// Whether the recipe is chosen from the data.
    fn is_auto(&self) -> bool {
        match &self.preset {
            Some(name) => name == AUTO,
            None => {
                let is_named =
                    self.dataset.is_some() || self.config.is_some() || self.sets("data.dataset");
                self.names_files() && !is_named
            }
        }
    }

    /// Checks that all ranks begin in the same way: in each, they exchange other things.
    ///
    /// # Errors
    /// A rank does not begin as rank 0.
    fn check_alike(&self, ranks: &Ranks) -> anyhow::Result<()> {
        let own = match (&self.resume, self.is_auto()) {
            (Some(_), _) => "resumes a run",
            (None, true) => "starts a new run with the recipe that fits its data",
            (None, false) => "starts a new run",
        };
        ranks.check_same(own, |first, own| {
            (first != own).then(|| {
                format!("it {own}, and rank 0 {first}: start all ranks with the same options")
            })
        })?;
        Ok(())
    }

    fn sets(&self, wanted: &str) -> bool {
        settings::keys(&self.assignments).any(|key| key == wanted)
    }

    fn names_files(&self) -> bool {
        self.data.is_some() || self.sets("data.dir")
    }

    /// What a new run starts from, before a preset. If files are named, but nothing later names a data set, they are
    /// the user's own.
    fn base(&self) -> RunConfig {
        let mut base = RunConfig::default();
        if self.names_files() {
            base.data.dataset = DatasetName::Custom;
        }
        base
    }

    /// The configuration file with its name, if there is one.
    fn file(&self) -> anyhow::Result<Option<(String, String)>> {
        let Some(path) = &self.config else { return Ok(None) };
        let name = path.display().to_string();
        let bytes = files::read_at_most(path, MAX_CONFIG_BYTES)
            .with_context(|| format!("cannot read {name}"))?;
        let text = String::from_utf8(bytes)
            .ok()
            .with_context(|| format!("{name} is not text in UTF-8, as TOML must be"))?;
        Ok(Some((name, text)))
    }

    /// `config` with the keys of the configuration file and of the command line replaced.
    fn given(
        &self,
        config: RunConfig,
        file: Option<&(String, String)>,
    ) -> anyhow::Result<RunConfig> {
        let config = match file {
            Some((name, text)) => config.with_toml(text).context(name.clone())?,
            None => config,
        };
        Ok(self.apply(config)?)
    }

    /// `config` with the single keys of the command line replaced.
    fn apply(&self, config: RunConfig) -> Result<RunConfig, ConfigError> {
        let direct = [
            self.seed.map(|seed| ("--seed", format!("seed={seed}"))),
            self.epochs.map(|epochs| ("--epochs", format!("training.epochs={epochs}"))),
            self.dataset.as_ref().map(|name| ("--dataset", format!("data.dataset={name}"))),
            self.data.as_deref().map(settings::data_dir).transpose()?,
        ];
        let options: Vec<_> = direct.into_iter().flatten().collect();
        settings::apply(config, &options, &self.assignments)
    }

    /// The keys that are given and that all ranks must be given, in words.
    fn given_keys(&self, file: Option<&(String, String)>) -> String {
        let options = [
            (self.seed.is_some(), "seed"),
            (self.epochs.is_some(), "training.epochs"),
            (self.dataset.is_some(), "data.dataset"),
        ];
        let options = options.into_iter().filter(|(is_given, _)| *is_given).map(|(_, key)| key);
        let mut keys = file.map(|(_, text)| used::keys_of_file(text)).unwrap_or_default();
        keys.extend(options.chain(settings::keys(&self.assignments)).map(str::to_string));
        keys.retain(|key| !Ranks::may_differ(key));
        keys.sort();
        keys.dedup();
        match keys.is_empty() {
            true => "no keys".into(),
            false => keys.join(", "),
        }
    }

    /// Checks that a run with this configuration uses every key of the command line and of the configuration file.
    fn check_used(
        &self,
        config: &RunConfig,
        file: Option<&(String, String)>,
    ) -> anyhow::Result<()> {
        if let Some((name, text)) = file {
            let mut keys = used::keys_of_file(text).into_iter();
            keys.try_for_each(|key| used::check(config, &key)).context(name.clone())?;
        }
        settings::keys(&self.assignments).try_for_each(|key| used::check(config, key))?;
        Ok(())
    }
}

/// Starts or resumes a training run.
pub(super) fn run(args: TrainArgs) -> anyhow::Result<()> {
    let ranks = ranks::join()?;
    let result = args.check_alike(&ranks).and_then(|()| match &args.resume {
        Some(path) => resume(&args, path, &ranks),
        None => start(&args, &ranks),
    });
    if result.is_ok()
        && let Some(spent) = ranks.spent()
    {
        say!("Exchanges: {}.", ranks::in_exchanges(&spent));
    }
    let is_complete = ranks::leave(&ranks, result)?;
    if is_complete {
        signals::work_is_done();
    }
    Ok(())
}

/// Resumes a run; returns whether it ran to its end.
fn resume(args: &TrainArgs, path: &Path, ranks: &Ranks) -> anyhow::Result<bool> {
    let device = ranks::open(args.tune, &args.device, Tuning::Kept, ranks)?;
    let change = |config| {
        let config = args.apply(config)?;
        settings::keys(&args.assignments).try_for_each(|key| used::check(&config, key))?;
        Ok(config)
    };
    follow(path, &device, &[], &args.watch, |stop, on_event| {
        training::resume(path, change, &device, stop, on_event)
    })
}

/// Starts a new run; returns whether it ran to its end.
fn start(args: &TrainArgs, ranks: &Ranks) -> anyhow::Result<bool> {
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_RUN));
    let file = ranks.agree(args.file())?;
    let given = |config| args.given(config, file.as_ref());
    let base = args.base();
    if args.is_auto() {
        let given = &|mut config: RunConfig| {
            config.data.dataset = base.data.dataset;
            given(config)
        };
        return start_auto(args, &out, given, file.as_ref(), ranks);
    }
    let preset = args.preset.as_deref().unwrap_or(DEFAULT_PRESET);
    let config = || {
        let config = given(base.with_preset(preset)?)?;
        args.check_used(&config, file.as_ref())?;
        Ok(config)
    };
    let config = ranks.agree::<_, anyhow::Error>(config())?;
    let device = ranks::open(args.tune, &args.device, Tuning::On, ranks)?;
    follow(&out, &device, &[], &args.watch, |stop, on_event| {
        training::train(config, &out, &device, stop, on_event)
    })
}

/// Starts a new run with the recipe that fits the data, and says before it begins what was chosen and how long it will
/// take; keys of `given` win. Rank 0 chooses for all.
fn start_auto(
    args: &TrainArgs,
    out: &Path,
    given: &dyn Fn(RunConfig) -> anyhow::Result<RunConfig>,
    file: Option<&(String, String)>,
    ranks: &Ranks,
) -> anyhow::Result<bool> {
    let reading = || {
        let wanted = given(RunConfig::default())?;
        let mut reading = wanted.clone();
        // The recipe chooses a batch that the data can fill, unless a batch is given.
        reading.data.batch_size = 1;
        reading.validate()?;
        if !ranks.follows() {
            RunFolder::check_new(out, reading.data.own_path())?;
        }
        Ok((wanted, reading))
    };
    let (wanted, reading) = ranks.agree::<_, anyhow::Error>(reading())?;
    // The recipe takes those of rank 0.
    training::check_same_settings(ranks, &wanted)?;
    ranks.check_same(&args.given_keys(file), |first, own| {
        (first != own).then(|| {
            format!("it is given {own}, and rank 0 {first}: give all ranks the same settings")
        })
    })?;
    let device = ranks::open(args.tune, &args.device, Tuning::On, ranks)?;
    let read = during("reading the data", || data::load(&reading.data, reading.seed));
    let splits = ranks.agree(read.map_err(anyhow::Error::from))?;
    let mut rows = Vec::new();
    let chosen = ranks.bytes_of_first(|| {
        let facts = DataFacts::of(&splits, reading.data.dataset);
        let config = recipe::choose(&facts, &device.device, given)?;
        args.check_used(&config, file)?;
        config.validate()?;
        // Each rank does its share of a step; what they exchange is not timed.
        let mut timed = config.clone();
        timed.data.batch_size = config.data.batch_size.div_ceil(ranks.size());
        let secs = during("timing a few steps", || {
            pollster::block_on(recipe::seconds_per_step(&timed, &facts, &device.device))
        })?;
        let (config, pace) = Pace::fit(config, &facts, secs, given)?;
        rows.push(("Recipe", recipe::describe(&config, &facts, &device.device)));
        rows.push(("Time", time_of(&pace)));
        Ok::<_, anyhow::Error>(config.to_toml().into_bytes())
    })?;
    let config = RunConfig::default().with_toml(&String::from_utf8_lossy(&chosen));
    let mut config = ranks.agree(config.map_err(anyhow::Error::from))?;
    // Each computer has its own memory.
    config.training.max_memory_mib = reading.training.max_memory_mib;
    follow(out, &device, &rows, &args.watch, |stop, on_event| {
        training::train_on(splits, config, out, &device, stop, on_event)
    })
}

/// The time that a run will take, in words.
fn time_of(pace: &Pace) -> String {
    let step = match pace.secs_per_step {
        secs if secs < 1.0 => format!("{:.0} ms", (1000.0 * secs).max(1.0)),
        secs => format!("{secs:.1} s"),
    };
    let whole = HumanDuration(Duration::from_secs_f64(pace.secs().max(1.0)));
    format!("about {whole} on this device, at {step} a step as just measured")
}

/// The main job without a window: trains the quick preset, or resumes it, then samples.
pub(super) fn quick() -> anyhow::Result<()> {
    let out = Path::new(DEFAULT_RUN);
    let checkpoint = checkpoint::file_in(out);
    let is_resumed = checkpoint.is_file();
    let tuning = if is_resumed { Tuning::Kept } else { Tuning::On };
    let device = TuneArgs::default().open("auto", tuning)?;
    let is_complete = if is_resumed {
        say!("Going on with the run in {}.", out.display());
        follow(out, &device, &[], &WatchArgs::default(), |stop, on_event| {
            training::resume(out, Ok, &device, stop, on_event)
        })?
    } else {
        say!(
            "Training JEM++ on 5,000 Fashion-MNIST images; about two minutes on two recent CPU cores."
        );
        say!("Ctrl-C saves and exits; the same command resumes the run.");
        let config = RunConfig::preset(DEFAULT_PRESET)?;
        follow(out, &device, &[], &WatchArgs::default(), |stop, on_event| {
            training::train(config, out, &device, stop, on_event)
        })?
    };
    match is_complete && !signals::is_requested() {
        true => sample::of_run(&checkpoint, &device),
        false => Ok(()),
    }
}

/// Runs a training job and shows its progress, with more `rows` in the opening; returns whether it ran to its end.
fn follow(
    folder: &Path,
    device: &ComputeDevice,
    rows: &[(&str, String)],
    watch: &WatchArgs,
    job: impl FnOnce(&dyn Fn() -> bool, &mut dyn FnMut(TrainingEvent)) -> Result<bool, TrainingError>,
) -> anyhow::Result<bool> {
    let mut progress = Progress::new();
    let begin = Instant::now();
    let done = Cell::new(0);
    let is_over = || {
        watch.max_steps.is_some_and(|most| done.get() >= most)
            || watch.max_time.is_some_and(|most| begin.elapsed() >= most)
    };
    let has_board = watch.tensorboard && !device.ranks.follows();
    let mut board = has_board.then(|| Board::Waiting(folder_of(folder)));
    let mut on_event = |event| {
        match &event {
            TrainingEvent::Started { step, .. } => done.set(*step),
            TrainingEvent::Step(report) => done.set(report.step),
            _ => {}
        }
        if let TrainingEvent::Ready(run) = &event {
            let mut opening = vec![("Data", run.data.clone())];
            opening.extend_from_slice(rows);
            opening.extend([("Network", run.network.clone()), device_row(device)]);
            if !device.ranks.is_alone() {
                let batch_size = run.config.data.batch_size;
                opening.push(("Ranks", ranks::describe(&device.ranks, batch_size)));
            }
            opening.extend([memory_row(&run.memory), ("Writes", folder.display().to_string())]);
            say_opening(&opening);
            // Before this point there was nothing to save, and a signal ended the program at once.
            if let Err(error) = signals::stop_flag() {
                complain!("warning: Ctrl-C will not save before it stops the run: {error}");
            }
        }
        if let Some(problem) = board.as_mut().and_then(|board| board.take(&event)) {
            progress.show(&TrainingEvent::Warning(problem));
        }
        progress.show(&event);
    };
    Ok(job(&|| signals::is_requested() || is_over(), &mut on_event)?)
}

/// The folder of a run that is named by its folder or by its checkpoint.
fn folder_of(path: &Path) -> PathBuf {
    match path.is_file() {
        true => files::folder_of(path).to_path_buf(),
        false => path.to_path_buf(),
    }
}

/// The event file of a run, for TensorBoard.
enum Board {
    /// The run has not begun, so its folder may not be there.
    Waiting(PathBuf),
    Open(EventFile),
    /// It could not be written; the run goes on without it.
    Lost,
}

impl Board {
    /// Adds an event. Returns the warning that the file cannot be written, once.
    fn take(&mut self, event: &TrainingEvent) -> Option<String> {
        if let (Self::Waiting(folder), TrainingEvent::Started { step, .. }) = (&*self, event) {
            let (folder, step) = (folder.clone(), *step);
            match EventFile::create(&folder, step) {
                Ok(file) => *self = Self::Open(file),
                Err(error) => return Some(self.lose(&folder, &error)),
            }
        }
        let Self::Open(file) = self else { return None };
        let error = file.take(event).err()?;
        let path = file.path().to_path_buf();
        Some(self.lose(&path, &error))
    }

    fn lose(&mut self, path: &Path, error: &std::io::Error) -> String {
        *self = Self::Lost;
        format!(
            "cannot write the event file for TensorBoard, {}: {error}. The run continues without it; metrics.jsonl has the same \
             numbers",
            path.display()
        )
    }
}
