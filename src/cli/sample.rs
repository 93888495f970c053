//! `jempp sample`.

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;

use super::{device_row, diagnosis, open_device, say_opening};
use crate::{
    bundled::{self, BUNDLED_MODELS, BundledModel},
    checkpoint::{self, Checkpoint},
    config::{SamplerKind, StartKind},
    device::ComputeDevice,
    files::file_name,
    progress::style,
    sampling::{self, SampleRequest, SampleStart, diagnose::DiagnoseRequest},
    say::say,
};

const DEFAULT_SAMPLES: &str = "runs/samples";
const DEFAULT_STEPS: u32 = 100;

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
    pub(super) fn load(&self) -> anyhow::Result<Checkpoint> {
        Ok(self.load_file()?.2)
    }

    /// The model's name, the file that holds it, and what is in it.
    pub(super) fn load_file(&self) -> anyhow::Result<(String, Vec<u8>, Checkpoint)> {
        Ok(match &self.checkpoint {
            Some(path) => {
                let (bytes, checkpoint) = Checkpoint::read(path)?;
                (file_name(&checkpoint::file_at(path)), bytes, checkpoint)
            }
            None => {
                let model = self.model.unwrap_or(BUNDLED_MODELS[0]);
                (model.name.to_string(), model.bytes().to_vec(), model.load()?)
            }
        })
    }
}

#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Folder for the pictures and numbers.
    #[arg(long, default_value = DEFAULT_SAMPLES)]
    out: PathBuf,
    /// Only this class; may be repeated.
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<u32>,
    /// Chains per class.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=500))]
    per_class: u16,
    /// class-centers, uniform, data, buffer, or a picture file.
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
    /// Seed of starts and noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
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
    /// Most frames in chains.gif.
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u16).range(2..=1000))]
    frames: u16,
}

pub(super) fn run(args: SampleArgs) -> anyhow::Result<()> {
    let mut checkpoint = args.model.load()?;
    let sampler = args.sampler.map(|kind| format!("sampler.kind={kind}"));
    for assignment in sampler.iter().chain(&args.assignments) {
        checkpoint.config = checkpoint.config.with_assignment(assignment)?;
    }
    if let Some(dir) = args.data {
        checkpoint.config.data.dir = dir.display().to_string();
    }
    let start = match args.start.as_str() {
        "class-centers" => SampleStart::Fresh(StartKind::ClassCenters),
        "uniform" => SampleStart::Fresh(StartKind::Uniform),
        "data" => SampleStart::Data,
        "buffer" => SampleStart::Buffer,
        path if Path::new(path).is_file() => SampleStart::File(PathBuf::from(path)),
        other => anyhow::bail!(
            "--start {other}: no such file, and none of class-centers, uniform, data, buffer"
        ),
    };
    let request = SampleRequest {
        start,
        classes: args.classes,
        per_class: args.per_class.into(),
        num_steps: args.steps as usize,
        is_conditional: args.conditional,
        seed: args.seed,
        max_frames: args.frames.into(),
        judge: args.judge.as_deref().map(Checkpoint::load).transpose()?,
        diagnose: args.diagnose.then(|| DiagnoseRequest {
            warmup: args.warmup.map(|steps| steps as usize),
            short: args.short.map(|steps| steps as usize),
            chains_per_start: args.chains_per_start.unwrap_or(1).into(),
        }),
    };
    let device = open_device(&args.device)?;
    say_opening(&[device_row(&device)]);
    sample(checkpoint, &request, &device, &args.out)
}

fn sample(
    checkpoint: Checkpoint,
    request: &SampleRequest,
    device: &ComputeDevice,
    out: &Path,
) -> anyhow::Result<()> {
    let names = checkpoint.class_names.clone();
    let section = &checkpoint.config.sampler;
    let what = match section.kind {
        SamplerKind::Pyld => format!("PYLD, {} inner steps", section.num_inner_steps),
        SamplerKind::ProximalSgld => "Proximal SGLD".to_string(),
        SamplerKind::Sgld => "SGLD".to_string(),
        SamplerKind::Mala => "MALA".to_string(),
    };
    let bar = ProgressBar::new(request.num_steps as u64)
        .with_style(style("{msg} [{bar:30}] {pos}/{len} {eta} left"))
        .with_message(format!("Sampling ({what})"));
    let mut on_step = |step| bar.set_position(step as u64);
    let files = sampling::sample(checkpoint, request, &device.device, out, &mut on_step)?;
    bar.finish_and_clear();
    if request.classes.is_empty() {
        say!("Rows from the top: {}.", names.join(", "));
    }
    say!("Samples:   {}", files.grid.display());
    say!("Animation: {}", files.animation.display());
    say!("Traces:    {}", files.traces.display());
    if let Some(found) = &files.diagnosis {
        say!("Draws:     {}", found.draws.display());
        say!("Diagnosis: {}", found.report.display());
        diagnosis::print(&found.diagnosis);
    }
    Ok(())
}

/// Samples the run behind `checkpoint` as `jempp sample` does by default.
pub(super) fn of_run(checkpoint: &Path, device: &ComputeDevice) -> anyhow::Result<()> {
    let request = SampleRequest {
        start: SampleStart::Fresh(StartKind::ClassCenters),
        classes: Vec::new(),
        per_class: 10,
        num_steps: DEFAULT_STEPS as usize,
        is_conditional: false,
        seed: 0,
        max_frames: 21,
        judge: None,
        diagnose: None,
    };
    sample(Checkpoint::load(checkpoint)?, &request, device, Path::new(DEFAULT_SAMPLES))
}
