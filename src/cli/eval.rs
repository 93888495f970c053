//! `jempp eval`.

use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser};
use indicatif::ProgressBar;

use super::{device_row, open_device, sample::ModelArgs, say_opening};
use crate::{
    eval::{
        EvalRequest, Part, evaluate,
        results::{Estimate, Results, Score},
    },
    progress::style,
    say::say,
};

const DEFAULT_EVALUATION: &str = "runs/eval";
/// Every part that the model can be measured by.
const ALL: &str = "all";

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// What to measure.
    #[arg(value_name = "PART", default_value = ALL, value_parser = PossibleValuesParser::new(
        Part::ALL.iter().map(|part| part.name()).chain([ALL])
    ))]
    parts: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Folder with the data set's files [default: what `jempp fetch` got, else the images inside the program].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Folder for results.json and report.html.
    #[arg(long, default_value = DEFAULT_EVALUATION)]
    out: PathBuf,
    /// Images that are not the data: a folder of pictures or an IDX file; may be repeated.
    #[arg(long = "ood", value_name = "PATH")]
    ood: Vec<PathBuf>,
    /// results.json of another evaluation, to stand beside this one on the page; may be repeated.
    #[arg(long, value_name = "FILE")]
    compare: Vec<PathBuf>,
    /// A classifier of the same data, in whose features samples are measured [default: the bundled one].
    #[arg(long, value_name = "FILE")]
    judge: Option<PathBuf>,
    /// Seed of everything drawn.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Compute device: auto, gpu, cpu, or an adapter's index or name.
    #[arg(long, default_value = "auto")]
    device: String,
    /// One key, as in eval.num_attacked=1000 or sampler.step_size=0.2; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

pub(super) fn run(args: EvalArgs) -> anyhow::Result<()> {
    let (name, bytes, mut checkpoint) = args.model.load_file()?;
    for assignment in &args.assignments {
        checkpoint.config = checkpoint.config.with_assignment(assignment)?;
    }
    if let Some(dir) = args.data {
        checkpoint.config.data.dir = dir.display().to_string();
    }
    let is_named = |part: &&Part| args.parts.iter().any(|name| name == part.name());
    let parts = match args.parts.iter().any(|name| name == ALL) {
        true => Vec::new(),
        false => Part::ALL.iter().filter(is_named).copied().collect(),
    };
    let device = open_device(&args.device)?;
    say_opening(&[device_row(&device)]);
    let request = EvalRequest {
        name,
        bytes,
        command: command(std::env::args().skip(1)),
        device: device.description.clone(),
        parts,
        ood: args.ood,
        judge: args.judge,
        compare: args.compare,
        seed: args.seed,
        out: args.out,
    };
    let bar = ProgressBar::new(0).with_style(style("{msg:12} [{bar:30}] {pos}/{len} {eta} left"));
    let mut current = "";
    let mut report = |part: &'static str, done: usize, total: usize| {
        if part != current {
            current = part;
            bar.reset();
            bar.set_message(part);
            if bar.is_hidden() {
                say!("Measuring {part}.");
            }
        }
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let (results, files) = evaluate(&checkpoint, &request, &device.device, &mut report)?;
    bar.finish_and_clear();
    print_summary(&results);
    say!("Results: {}", files.results.display());
    say!("Report:  {}", files.page.display());
    Ok(())
}

/// The command as it can be typed again by anybody: whose folder the data was in is left out.
fn command(args: impl Iterator<Item = String>) -> String {
    let mut words = vec!["jempp".to_string()];
    for arg in args {
        let is_folder = words.last().is_some_and(|last| last == "--data");
        words.push(match arg.split_once('=') {
            _ if is_folder => "DIR".into(),
            Some(("--data", _)) => "--data=DIR".into(),
            _ if arg.contains([' ', '[', '\'']) => format!("'{}'", arg.replace('\'', r"'\''")),
            _ => arg,
        });
    }
    words.join(" ")
}

/// The main numbers, each with the interval of 95 %.
fn print_summary(results: &Results) {
    let percent = |estimate: &Estimate| {
        let Estimate { value, low, high } = estimate;
        format!("{:5.1} %  [{:.1}, {:.1}]", 100.0 * value, 100.0 * low, 100.0 * high)
    };
    let number = |estimate: &Estimate| {
        let Estimate { value, low, high } = estimate;
        format!("{value:7.3}  [{low:.3}, {high:.3}]")
    };
    let line = |what: &str, value: String| say!("{what:<53} {value}");
    let images = if results.data.is_embedded { " inside the program" } else { "" };
    say!(
        "{}, {} test images of {}{images}, with intervals of 95 %:",
        results.model.name,
        results.data.num_test,
        results.data.dataset
    );
    if let Some(found) = &results.accuracy {
        line("accuracy", percent(&found.accuracy));
    }
    if let Some(found) = &results.calibration {
        line("expected calibration error", percent(&found.plain.expected));
        line("  after temperature scaling", percent(&found.scaled.expected));
        line("negative log likelihood", number(&found.plain.nll));
    }
    if let Some(found) = &results.ood {
        for set in &found.sets {
            let log_p_x = set.scores.iter().find(|separation| separation.score == Score::LogPX);
            if let Some(separation) = log_p_x {
                line(&format!("AUROC of log p(x), {}", set.name), number(&separation.auroc));
            }
        }
        for (name, reason) in &found.left_out {
            say!("{name} left out: {reason}");
        }
    }
    if let Some(found) = &results.attack {
        for curve in &found.curves {
            let points = curve.points.iter();
            let points: Vec<String> =
                points.map(|(e, a)| format!("{e}: {:.0} %", 100.0 * a.value)).collect();
            let what = format!("accuracy at {} ε, {}", curve.norm.name(), curve.defence.name());
            line(&what, points.join("  "));
        }
    }
    if let Some(found) = &results.samples {
        for set in &found.sets {
            line(&format!("Fréchet distance, {}", set.name), number(&set.frechet));
        }
    }
    for (part, reason) in &results.left_out {
        say!("{part} left out: {reason}");
    }
}
