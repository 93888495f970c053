//! `jempp sample`.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use clap::Args;

use super::{
    device_row, diagnosis, open_device,
    opening::{self, OutArgs, command},
    say_opening, settings,
    steps::Steps,
};
use crate::{
    bundled::{self, BUNDLED_MODELS, BundledModel},
    checkpoint::Checkpoint,
    config::{RunConfig, SamplerConfig, SamplerKind, StartKind},
    data,
    device::ComputeDevice,
    eval::results::{is_weak_judge, weak_judge},
    files::sha256,
    results_folder::{Job, MadeBy},
    sampling::{self, SampleRequest, SampleStart, diagnose::DiagnoseRequest},
    say::{complain, say},
    signals,
};

const DEFAULT_SAMPLES: &str = "runs/samples";
const DEFAULT_STEPS: u32 = 100;
const DEFAULT_FRAMES: usize = 21;

/// Which model a command is about.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Checkpoint of a run or its folder, or a packed model [default: the first of the bundled models].
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// A model that travels inside the program: fashion, mnist, fashion-classifier, two-moons or two-moons-classifier.
    #[arg(long, value_name = "NAME", value_parser = bundled::find, conflicts_with = "checkpoint")]
    model: Option<BundledModel>,
}

impl ModelArgs {
    /// The file that holds the model, and what is in it.
    pub(super) fn load_file(&self) -> anyhow::Result<(Vec<u8>, Checkpoint)> {
        Ok(match &self.checkpoint {
            Some(path) => Checkpoint::read(path)?,
            None => {
                let model = self.model.unwrap_or(BUNDLED_MODELS[0]);
                (model.bytes().to_vec(), model.load()?)
            }
        })
    }

    /// The file that was named.
    pub(super) fn path(&self) -> Option<&Path> {
        self.checkpoint.as_deref()
    }

    /// What the model is called in results: a bundled model's name, that of the run's folder, or that of the file.
    pub(super) fn name(&self) -> String {
        match &self.checkpoint {
            Some(path) => opening::model_name(path),
            None => self.model.unwrap_or(BUNDLED_MODELS[0]).name.to_string(),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    out: OutArgs,
    /// Only this class; may be repeated.
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<u32>,
    /// Chains per class.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    per_class: u16,
    /// class-centers, uniform, data, buffer, or a picture file. What is transparent in a picture is laid over black, over
    /// white where the visible part is dark.
    #[arg(long, default_value = "class-centers")]
    start: String,
    /// Steps of each chain.
    #[arg(long, default_value_t = DEFAULT_STEPS, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    steps: u32,
    /// sgld, proximal-sgld, pyld or mala [default: the training run's].
    #[arg(long)]
    sampler: Option<String>,
    /// Follow p(x|y) of each row's class instead of p(x).
    #[arg(long)]
    conditional: bool,
    /// Seed of starts and noise [default: 0].
    #[arg(long)]
    seed: Option<u64>,
    /// Compute device: auto, gpu, cpu, or an adapter's index or name.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Folder with the data set's files, for --start data and --diagnose.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// One sampler key, as in sampler.step_size=0.2; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
    /// Another model of the same data, whose verdict on every chain goes into traces.csv.
    #[arg(long, value_name = "FILE")]
    judge: Option<PathBuf>,
    /// Also say whether the chains converge, in draws.csv and diagnostics.json.
    #[arg(long)]
    diagnose: bool,
    /// Steps of each chain that the diagnostics leave out [default: half of them].
    #[arg(long, requires = "diagnose")]
    warmup: Option<u32>,
    /// Steps of the short run that the chains are compared with [default: those of training].
    #[arg(long, requires = "diagnose", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    short: Option<u32>,
    /// Chains that leave each start: a superchain of nested R-hat [default: 1, and the chains of a class are one].
    #[arg(long, requires = "diagnose", value_parser = clap::value_parser!(u16).range(1..=500))]
    chains_per_start: Option<u16>,
    /// Most frames in chains.gif [default: 21].
    #[arg(long, value_parser = clap::value_parser!(u16).range(2..=1000))]
    frames: Option<u16>,
}

impl SampleArgs {
    fn start(&self) -> anyhow::Result<SampleStart> {
        Ok(match self.start.as_str() {
            "class-centers" => SampleStart::Fresh(StartKind::ClassCenters),
            "uniform" => SampleStart::Fresh(StartKind::Uniform),
            "data" => SampleStart::Data,
            "buffer" => SampleStart::Buffer,
            path if Path::new(path).is_file() => SampleStart::File(PathBuf::from(path)),
            other => bail!(
                "--start {other}: no such file, and none of class-centers, uniform, data, buffer"
            ),
        })
    }

    /// The model's configuration with the keys of the command line replaced.
    fn apply(&self, config: &RunConfig) -> anyhow::Result<RunConfig> {
        let sampler =
            self.sampler.as_ref().map(|kind| ("--sampler", format!("sampler.kind={kind}")));
        let data = self.data.as_deref().map(settings::data_dir).transpose()?;
        let options: Vec<_> = sampler.into_iter().chain(data).collect();
        Ok(settings::apply(config.clone(), &options, &self.assignments)?)
    }

    /// Whether the data set is read.
    fn reads_data(&self) -> bool {
        self.start == "data" || self.diagnose
    }

    /// Checks that everything given is used.
    fn check_used(&self, start: &SampleStart, sampler: &SamplerConfig) -> anyhow::Result<()> {
        for key in settings::keys(&self.assignments) {
            self.check_key(key, sampler)?;
        }
        ensure!(
            self.data.is_none() || self.reads_data(),
            "--data is not used: the data set is read only by --start data and --diagnose"
        );
        for (index, class) in self.classes.iter().enumerate() {
            ensure!(!self.classes[..index].contains(class), "--class {class} is given twice");
        }
        ensure!(
            self.frames.is_none() || self.steps > 0,
            "--frames is not used: chains of 0 steps have a single state"
        );
        let is_picture = matches!(start, SampleStart::File(_));
        ensure!(
            self.chains_per_start.is_none() || !is_picture,
            "--chains-per-start is not used: all chains leave one picture"
        );
        ensure!(
            self.seed.is_none() || !is_picture || (self.steps > 0 && sampler.noise_std > 0.0),
            "--seed is not used: the start is a picture, and without noise nothing is drawn at random; \
             --set sampler.noise_std above 0 adds noise to every step"
        );
        Ok(())
    }

    fn check_key(&self, key: &str, sampler: &SamplerConfig) -> anyhow::Result<()> {
        match key.split_once('.').unwrap_or(("", key)) {
            ("", "seed") => bail!("`seed` is the training run's; that of these chains is --seed"),
            ("sampler", "num_steps") => bail!(
                "`{key}` is for training; the steps of these chains are --steps, those of the short run of --diagnose \
                 are --short"
            ),
            ("sampler", "start") => bail!("`{key}` is for training; these chains take --start"),
            ("sampler", _) => Ok(settings::check_sampler_key(key, sampler)?),
            ("model", "norm" | "split") | ("training", "max_memory_mib") => Ok(()),
            ("data", "dataset" | "dir" | "num_points") if self.reads_data() => Ok(()),
            ("data", "dataset" | "dir" | "num_points") => {
                bail!(
                    "`{key}` is not used: the data set is read only by --start data and --diagnose"
                )
            }
            _ => bail!(
                "`{key}` is not used: sampling takes the keys of the section sampler, model.norm, model.split, \
                 training.max_memory_mib and, with --start data or --diagnose, data.dataset, data.dir and data.num_points"
            ),
        }
    }
}

pub(super) fn run(args: SampleArgs) -> anyhow::Result<()> {
    let out = args.out.destination(DEFAULT_SAMPLES);
    let kept = out.check(Job::Sample)?;
    let (bytes, mut checkpoint) = args.model.load_file()?;
    checkpoint.config = args.apply(&checkpoint.config)?;
    let start = args.start()?;
    args.check_used(&start, &checkpoint.config.sampler)?;
    let judge = args.judge.as_deref().map(Checkpoint::load).transpose()?;
    let device = open_device(&args.device)?;
    let seed = args.seed.unwrap_or_default();
    let mut rows = opening::model_rows(&args.model, &checkpoint);
    if args.reads_data() {
        let RunConfig { data, seed, .. } = &checkpoint.config;
        rows.push(match data::load_at_hand(data, *seed) {
            Ok(splits) => ("Data", splits.in_classes(&checkpoint.class_names).describe()),
            // Chains can be diagnosed without; the diagnosis says what it lacks.
            Err(error) => ("Data", format!("none: {error}")),
        });
    }
    rows.push(("Chains", chains(&checkpoint, &args, seed)));
    rows.extend([device_row(&device), opening::writes_row(&out, &kept)]);
    say_opening(&rows);
    if let Some((judge, accuracy)) =
        judge.as_ref().and_then(|judge| Some((judge, judge.counters.test_accuracy?)))
        && is_weak_judge(accuracy, judge.class_names.len())
    {
        complain!("{}", weak_judge(accuracy));
    }
    let request = SampleRequest {
        start,
        classes: args.classes,
        per_class: args.per_class.into(),
        num_steps: args.steps as usize,
        is_conditional: args.conditional,
        seed,
        max_frames: args.frames.map_or(DEFAULT_FRAMES, usize::from),
        judge,
        diagnose: args.diagnose.then(|| DiagnoseRequest {
            warmup: args.warmup.map(|steps| steps as usize),
            short: args.short.map(|steps| steps as usize),
            chains_per_start: args.chains_per_start.unwrap_or(1).into(),
        }),
        out,
        made_by: MadeBy::new(Job::Sample, command(), args.model.name(), sha256(&bytes), seed),
    };
    sample(checkpoint, &request, &device)
}

/// What is sampled, for a person.
fn chains(checkpoint: &Checkpoint, args: &SampleArgs, seed: u64) -> String {
    let num_classes = match args.classes.len() {
        0 => checkpoint.class_names.len(),
        chosen => chosen,
    };
    let per_class = usize::from(args.per_class);
    let section = &checkpoint.config.sampler;
    let rule = match section.kind {
        SamplerKind::Pyld => format!("PYLD, {} inner steps", section.num_inner_steps),
        SamplerKind::ProximalSgld => "Proximal SGLD".to_string(),
        SamplerKind::Sgld => "SGLD".to_string(),
        SamplerKind::Mala => "MALA".to_string(),
    };
    format!(
        "{} ({num_classes} classes × {per_class}) from {}, {} steps of {rule}, seed {seed}",
        num_classes * per_class,
        args.start,
        args.steps
    )
}

/// Samples, and says what came of it.
fn sample(
    checkpoint: Checkpoint,
    request: &SampleRequest,
    device: &ComputeDevice,
) -> anyhow::Result<()> {
    let names = checkpoint.class_names.clone();
    signals::stop_flag()?;
    let mut steps = Steps::new();
    let mut report = |part, done, total| steps.show(part, done, total);
    let sampled =
        sampling::sample(checkpoint, request, &device.device, &signals::is_requested, &mut report)?;
    steps.clear();
    if sampled.is_complete {
        signals::work_is_done();
    }
    if sampled.num_steps < request.num_steps {
        say!(
            "Stopped after {} of {} steps; what was sampled until then is kept.",
            sampled.num_steps,
            request.num_steps
        );
    }
    if request.classes.is_empty() {
        say!("Rows from the top: {}.", names.join(", "));
    }
    say!("Samples:   {}", sampled.grid.display());
    say!("Animation: {}", sampled.animation.display());
    say!("Traces:    {}", sampled.traces.display());
    if let Some(draws) = &sampled.draws {
        say!("Draws:     {}", draws.display());
        match &sampled.diagnosis {
            Some(found) => {
                say!("Diagnosis: {}", found.report.display());
                diagnosis::print(&found.diagnosis);
            }
            None => say!("Diagnosis: none, as the chains were stopped"),
        }
    }
    Ok(())
}

/// Samples the run behind `checkpoint` as `jempp sample` does by default.
pub(super) fn of_run(checkpoint: &Path, device: &ComputeDevice) -> anyhow::Result<()> {
    let model = ModelArgs { checkpoint: Some(checkpoint.to_path_buf()), model: None };
    let (bytes, loaded) = model.load_file()?;
    let out = OutArgs::default().destination(DEFAULT_SAMPLES);
    let request = SampleRequest {
        start: SampleStart::Fresh(StartKind::ClassCenters),
        classes: Vec::new(),
        per_class: 10,
        num_steps: DEFAULT_STEPS as usize,
        is_conditional: false,
        seed: 0,
        max_frames: DEFAULT_FRAMES,
        judge: None,
        diagnose: None,
        out,
        made_by: MadeBy::new(Job::Sample, command(), model.name(), sha256(&bytes), 0),
    };
    sample(loaded, &request, device)
}
