//! The command `jempp sample`: draws samples from a model.

mod args;
mod diagnosis;
mod film;
mod frames;
mod job;
mod part;
mod table;
mod whole;

use std::path::Path;

use super::{
    device_row, memory_row,
    opening::{self, ModelArgs, OutArgs, command, say_moved, say_part},
    parts, say_opening,
    steps::Steps,
};
use crate::{
    chains::ChainSettings,
    checkpoint::{self, Checkpoint},
    config::{RunConfig, SamplerKind},
    convergence::ConvergenceSettings,
    counts::counted,
    data,
    device::ComputeDevice,
    eval::{
        OWN_JUDGE, is_same_model,
        results::{is_weak_judge, weak_judge},
    },
    files::{folder_of, read_at_most, sha256},
    kernel_choices::Tuning,
    results_folder::{Destination, Job, MadeBy, PartFolder, PartOf},
    say::{complain, say},
    shard::Shard,
    signals,
    starts::SampleStart,
};
use job::{SampleJob, Sampled};

pub(super) use args::SampleArgs;

const DEFAULT_SAMPLES: &str = "runs/samples";
const DEFAULT_STEPS: u32 = 100;
const DEFAULT_FRAMES: usize = 21;

pub(super) fn run(args: SampleArgs) -> anyhow::Result<()> {
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let out = args.out.destination(DEFAULT_SAMPLES, args.shard);
    let kept = parts::check(&out, Job::Sample, args.shard)?;
    let (bytes, mut checkpoint) = args.model.load_file()?;
    checkpoint.config = args.apply(&checkpoint.config)?;
    let start = args.start()?;
    args.check_used(&start, &checkpoint.config.sampler)?;
    let classes = args.classes(&checkpoint.class_names)?;
    if args.reads_data() {
        out.check_outside(checkpoint.config.data.own_path())?;
    }
    let judge = args.judge.as_deref().map(Checkpoint::load).transpose()?;
    let device = args.tune.open(&args.device, Tuning::On)?;
    let seed = args.seed.unwrap_or_default();
    let mut rows = opening::model_rows(&args.model, &checkpoint);
    let (mut test_images, mut warnings) = (None, Vec::new());
    if args.reads_data() {
        let RunConfig { data, seed, .. } = &checkpoint.config;
        rows.push(match data::load_at_hand(data, *seed) {
            Ok(splits) => {
                let splits = splits.in_classes(&checkpoint.class_names);
                test_images = args.shard.map(|_| splits.test.sha256());
                warnings = splits.warnings().to_vec();
                ("Data", splits.describe())
            }
            // A diagnosis works without the data set, and says what is missing.
            Err(error) => ("Data", format!("none: {error}")),
        });
    }
    rows.push(("Chains", chains(&checkpoint, &args, seed)));
    let num_chains = num_classes(&checkpoint, &args) * usize::from(args.per_class);
    let num_chains = shard.range(num_chains).len();
    let memory = memory_row(checkpoint.check_memory(num_chains, &device.device)?);
    rows.extend([device_row(&device), memory, opening::writes_row(&out, &kept)]);
    say_opening(&rows);
    opening::complain_of_data(&warnings);
    if judge.as_ref().is_some_and(|judge| is_same_model(&checkpoint, judge)) {
        complain!("warning: {OWN_JUDGE}, and name it: --judge FILE");
    }
    if let Some((judge, accuracy)) =
        judge.as_ref().and_then(|judge| Some((judge, judge.counters.test_accuracy?)))
        && is_weak_judge(accuracy, judge.class_names.len())
    {
        complain!("{}: --judge FILE", weak_judge(accuracy));
    }
    let part = args.shard.map(|shard| {
        PartOf::new(shard, settings_of(&args, &classes, &checkpoint.config, &start, test_images))
    });
    let made_by = MadeBy::new(Job::Sample, command(), args.model.name(), sha256(&bytes), seed);
    let job = SampleJob {
        settings: ChainSettings {
            start,
            classes,
            per_class: args.per_class.into(),
            chains_per_start: args.chains_per_start.unwrap_or(1).into(),
            num_steps: args.steps as usize,
            is_conditional: args.conditional,
            seed,
            shard,
        },
        max_frames: args.frames.map_or(DEFAULT_FRAMES, usize::from),
        judge,
        diagnose: args.diagnose.then(|| ConvergenceSettings {
            warmup: args.warmup.map(|steps| steps as usize),
            short: args.short.map(|steps| steps as usize),
        }),
        out,
        made_by: MadeBy { part, ..made_by },
    };
    sample(&checkpoint, &job, &device)
}

/// The settings that the parts of a job must share, beside model, seed and version.
fn settings_of(
    args: &SampleArgs,
    classes: &[u32],
    config: &RunConfig,
    start: &SampleStart,
    test_images: Option<String>,
) -> serde_json::Value {
    // A file that cannot be read is an error when it is used.
    let sum_of = |path: &Path| read_at_most(path, u64::MAX).ok().map(|bytes| sha256(&bytes));
    let picture = match start {
        SampleStart::File(path) => sum_of(path),
        _ => None,
    };
    serde_json::json!({
        "start": match picture {
            Some(sum) => format!("the picture with the SHA-256 {sum}"),
            None => args.start.clone(),
        },
        "classes": classes,
        "chains per class": args.per_class,
        "chains per start": args.chains_per_start,
        "steps": args.steps,
        "conditional": args.conditional,
        "frames": args.frames,
        "judge": args.judge.as_deref().and_then(|path| sum_of(&checkpoint::file_at(path))),
        "diagnose": args.diagnose,
        "warmup": args.warmup,
        "short": args.short,
        "test images": test_images,
        "sampler": config.sampler,
        "model": config.model,
    })
}

/// Makes the whole of the parts of a job and prints it.
pub(super) fn merge(
    parts: &[PartFolder],
    out: &Destination,
    made_by: MadeBy,
) -> anyhow::Result<()> {
    let found = whole::merge(parts, out, made_by)?;
    print(&found.sampled, found.rows.as_deref());
    Ok(())
}

/// The number of classes that are sampled.
fn num_classes(checkpoint: &Checkpoint, args: &SampleArgs) -> usize {
    match args.classes.len() {
        0 => checkpoint.class_names.len(),
        chosen => chosen,
    }
}

/// A description of the chains, for the lines printed before the work.
fn chains(checkpoint: &Checkpoint, args: &SampleArgs, seed: u64) -> String {
    let num_classes = num_classes(checkpoint, args);
    let per_class = usize::from(args.per_class);
    let section = &checkpoint.config.sampler;
    let rule = match section.kind {
        SamplerKind::Pyld => {
            format!("PYLD, {}", counted(section.num_inner_steps, "inner step", "inner steps"))
        }
        SamplerKind::ProximalSgld => "Proximal SGLD".to_string(),
        SamplerKind::Sgld => "SGLD".to_string(),
        SamplerKind::NormalizedGradient => "normalised gradients".to_string(),
        SamplerKind::Mala => "MALA".to_string(),
    };
    let drawn = if section.denoise_step > 0.0 { "; drawn without noise" } else { "" };
    let part = args.shard.map_or_else(String::new, |shard| {
        let range = shard.range(num_classes * per_class);
        format!("; part {shard} has {} of them", range.len())
    });
    format!(
        "{} ({} × {per_class}) from {}, {} of {rule}, seed {seed}{part}{drawn}",
        num_classes * per_class,
        counted(num_classes, "class", "classes"),
        args.start,
        counted(args.steps as usize, "step", "steps")
    )
}

/// Samples the chains and prints the results.
fn sample(checkpoint: &Checkpoint, job: &SampleJob, device: &ComputeDevice) -> anyhow::Result<()> {
    signals::stop_flag()?;
    let mut steps = Steps::new();
    let mut report = |part, done, total| steps.show(part, done, total);
    let sampled = job.run(checkpoint, &device.device, &signals::is_requested, &mut report)?;
    steps.clear();
    if sampled.is_complete {
        signals::work_is_done();
    }
    if sampled.num_steps < job.settings.num_steps {
        say!(
            "Stopped after {} of {} steps; the samples so far are kept.",
            sampled.num_steps,
            job.settings.num_steps
        );
    }
    say_moved(&job.out, &sampled.traces);
    if job.made_by.part.is_some() {
        let shard = job.settings.shard;
        match sampled.is_complete {
            true => say_part(shard, folder_of(&sampled.traces)),
            false => say!("Part {shard} is unfinished: make it again."),
        }
        return Ok(());
    }
    let rows = job.settings.classes.is_empty().then_some(&checkpoint.class_names[..]);
    print(&sampled, rows);
    Ok(())
}

/// Prints the results; `rows` are the names of the rows of the picture.
fn print(sampled: &Sampled, rows: Option<&[String]>) {
    if let Some(rows) = rows {
        say!("Rows from the top: {}.", rows.join(", "));
    }
    if let Some((grid, animation)) = &sampled.pictures {
        say!("Samples:   {}", grid.display());
        say!("Animation: {}", animation.display());
    }
    say!("Traces:    {}", sampled.traces.display());
    if let Some(draws) = &sampled.draws {
        say!("Draws:     {}", draws.display());
        match &sampled.diagnosis {
            Some((path, found)) => {
                say!("Diagnosis: {}", path.display());
                diagnosis::print(found);
            }
            None => say!("Diagnosis: none, as the chains were stopped"),
        }
    }
}

/// Samples from a checkpoint with the defaults of `jempp sample`.
pub(super) fn of_run(checkpoint: &Path, device: &ComputeDevice) -> anyhow::Result<()> {
    let model = ModelArgs { checkpoint: Some(checkpoint.to_path_buf()), model: None };
    let (bytes, loaded) = model.load_file()?;
    let out = OutArgs::default().destination(DEFAULT_SAMPLES, None);
    let job = SampleJob {
        settings: ChainSettings { num_steps: DEFAULT_STEPS as usize, ..ChainSettings::default() },
        max_frames: DEFAULT_FRAMES,
        judge: None,
        diagnose: None,
        out,
        made_by: MadeBy::new(Job::Sample, command(), model.name(), sha256(&bytes), 0),
    };
    sample(&loaded, &job, device)
}
