//! The command `jempp eval`: measures a model.

use std::{cell::Cell, path::PathBuf};

use anyhow::{bail, ensure};
use clap::{Args, builder::PossibleValuesParser};

use super::{
    absent, device_row, memory_row,
    opening::{self, ModelArgs, OutArgs, command, say_moved, say_part},
    parts,
    progress::during,
    say_opening, settings,
    steps::Steps,
    tune::TuneArgs,
};
use crate::{
    config::{DatasetName, EvalConfig, RunConfig},
    data::{self, item_words},
    eval::{
        EvalError, EvalFiles, EvalRequest, FidWeights, Part, cost_of_attacks, evaluate,
        evaluate_part,
        results::{
            AttackKind, Defence, Estimate, Results, Score, is_weak_judge, unknown_fid_network,
            weak_judge,
        },
        shown_radius,
    },
    files::{self, folder_of},
    kernel_choices::Tuning,
    results_folder::{Destination, Job, MadeBy, PartFolder},
    say::{complain, say},
    shard::Shard,
    signals,
};

const DEFAULT_EVALUATION: &str = "runs/eval";
/// The output that `--compare` affects, for messages.
const PAGE: &str = "the page of figures";
/// The name that stands for all parts of the evaluation.
const ALL: &str = "all";

#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// Parts of the evaluation to run.
    #[arg(value_name = "PART", default_value = ALL, value_parser = PossibleValuesParser::new(
        Part::ALL.iter().map(|part| part.name()).chain([ALL])
    ))]
    parts: Vec<String>,
    #[command(flatten)]
    model: ModelArgs,
    /// Folder with the data set's files, or your own folder or file for a model of your own data [default: that of the
    /// training, the download of `jempp fetch`, or the embedded images].
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    #[command(flatten)]
    out: OutArgs,
    /// Name of the model in the report [default: the name of its run folder or of its file].
    #[arg(long)]
    name: Option<String>,
    /// Out-of-distribution images: a folder of pictures or of class folders, or an IDX file; may be repeated.
    #[arg(long = "ood", value_name = "PATH")]
    ood: Vec<PathBuf>,
    /// results.json of another evaluation, shown next to this one on the page; may be repeated.
    #[arg(long, value_name = "FILE")]
    compare: Vec<PathBuf>,
    /// Classifier of the same data whose features measure the sample quality [default: the bundled one].
    #[arg(long, value_name = "FILE")]
    judge: Option<PathBuf>,
    /// Weights of FID's Inception network, made with tools/convert_inception.py: measures the FID of the samples.
    #[arg(long, value_name = "FILE")]
    fid: Option<PathBuf>,
    /// Do only part I of N, counted from 1, as in 2/3; `jempp merge` makes the whole of all parts.
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Seed of all random numbers.
    #[arg(long, default_value_t = 0, value_parser = settings::seed)]
    seed: u64,
    /// Compute device: auto, gpu, cpu, or an adapter's index, name or graphics API, as in vulkan.
    #[arg(long, default_value = "auto")]
    device: String,
    #[command(flatten)]
    tune: TuneArgs,
    /// Set one configuration key, as in eval.num_attacked=1000 or sampler.step_size=0.2; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    assignments: Vec<String>,
}

impl EvalArgs {
    /// The parts that were named; an empty list means all.
    fn parts(&self) -> Vec<Part> {
        let is_named = |part: &&Part| self.parts.iter().any(|name| name == part.name());
        match self.parts.iter().any(|name| name == ALL) {
            true => Vec::new(),
            false => Part::ALL.iter().filter(is_named).copied().collect(),
        }
    }

    /// Whether a part is asked for.
    fn measures(&self, part: Part) -> bool {
        let parts = self.parts();
        parts.is_empty() || parts.contains(&part)
    }

    /// Checks that every given option is used by one of the parts.
    fn check_used(&self, config: &RunConfig) -> anyhow::Result<()> {
        let measures = |part: &Part| self.measures(*part);
        for (option, is_given, part) in [
            ("--ood", !self.ood.is_empty(), Part::Ood),
            ("--judge", self.judge.is_some(), Part::Samples),
            ("--fid", self.fid.is_some(), Part::Samples),
        ] {
            ensure!(
                !is_given || measures(&part),
                "{option} is not used: it is for the part {}, which is not asked for",
                part.name()
            );
        }
        ensure!(
            self.compare.is_empty() || cfg!(feature = "report"),
            "--compare is not used: {}",
            absent::refusal(PAGE, "report")
        );
        ensure!(
            self.compare.is_empty() || self.shard.is_none(),
            "--compare is not used: {PAGE} is made of all parts of an evaluation together"
        );
        ensure!(
            self.fid.is_none() || self.shard.is_none(),
            "--fid is not for a part of an evaluation: FID takes whole sets of samples; measure it with `jempp eval \
             samples --fid FILE`"
        );
        for (index, path) in self.compare.iter().enumerate() {
            ensure!(
                !self.compare[..index].contains(path),
                "--compare {} is given twice",
                path.display()
            );
        }
        for key in settings::keys(&self.assignments) {
            config.sampler.check_used(key)?;
            let users = users_of(key, config)?;
            ensure!(
                users.iter().any(measures),
                "`{key}` is not used: it is for {}, not asked for here",
                users.iter().map(|part| part.name()).collect::<Vec<_>>().join(" and ")
            );
            ensure!(
                self.fid.is_some() || key != "eval.fid_reference",
                "`{key}` is not used: it is for FID, which --fid FILE measures"
            );
            check_refinement_key(key, &config.eval)?;
            check_attack_key(key, &config.eval)?;
        }
        Ok(())
    }
}

/// The parts of the evaluation that use a configuration key.
///
/// # Errors
/// No part uses the key.
fn users_of(key: &str, config: &RunConfig) -> anyhow::Result<&'static [Part]> {
    use Part::{Accuracy, Attack, Calibration, Ood, Samples};
    Ok(match key.split_once('.').unwrap_or(("", key)) {
        ("", "seed") => bail!("`seed` is the training run's; that of the evaluation is --seed"),
        ("sampler", "num_steps") => bail!(
            "`{key}` is for training; an evaluation takes eval.sample_steps and eval.refine_steps"
        ),
        ("sampler", "start" | "noise_std") => &[Samples],
        // Images that the classifier saw with noise in training keep theirs when they are refined.
        ("sampler", "denoise_step") if config.data.classify_noisy => &[Samples],
        ("sampler", _) if config.eval.refine_steps == 0 => &[Samples],
        ("sampler", _) => &[Attack, Samples],
        ("training", "max_memory_mib") => &Part::ALL,
        ("eval", "num_resamples") => &[Accuracy, Calibration, Ood],
        ("eval", "num_ood") => &[Ood],
        ("eval", "num_samples" | "sample_steps" | "num_neighbors" | "fid_reference") => &[Samples],
        ("eval", _) => &[Attack],
        ("model", "norm" | "split") => &Part::ALL,
        (
            "data",
            "dataset" | "dir" | "size" | "fit" | "color" | "frame" | "num_points" | "batch_size",
        ) => &Part::ALL,
        ("data", "micro_batch") => &[Samples],
        _ => bail!(
            "`{key}` is not used: an evaluation takes the keys of the sections eval and sampler, model.norm, model.split, \
             training.max_memory_mib, data.dataset, data.dir, data.size, data.fit, data.color, data.frame, data.num_points, \
             data.batch_size and data.micro_batch"
        ),
    })
}

/// Checks that a key of refinement is only set when refinement is on.
fn check_refinement_key(key: &str, eval: &EvalConfig) -> anyhow::Result<()> {
    match key.strip_prefix("eval.") {
        Some(
            "refine_noise_std"
            | "refine_draws"
            | "attack_draws"
            | "num_attacked_refined"
            | "attack_through_sampler",
        ) if eval.refine_steps == 0 => {
            bail!("`{key}` is not used: nothing is refined where eval.refine_steps is 0")
        }
        Some("refine_draws" | "attack_draws") if eval.refine_noise_std == 0.0 => bail!(
            "`{key}` is not used: without noise every refinement is the same; set eval.refine_noise_std above 0"
        ),
        _ => Ok(()),
    }
}

/// Checks that the number of an attack's starts is only set when that attack runs.
fn check_attack_key(key: &str, eval: &EvalConfig) -> anyhow::Result<()> {
    let kinds = eval.attack.members();
    match key {
        "eval.attack_restarts" if !kinds.contains(&AttackKind::Pgd) => bail!(
            "`{key}` is not used: it is for PGD, and eval.attack leaves that out; set eval.apgd_restarts"
        ),
        "eval.apgd_restarts" if kinds == [AttackKind::Pgd] => {
            bail!("`{key}` is not used: it is for APGD, and eval.attack = pgd leaves that out")
        }
        _ => Ok(()),
    }
}

/// The warning about the run's own data, if it has changed.
const OTHER_TEST_PART: &str = "the test part is not the one of the training run, because its data has changed since. The model may have learned from \
     some of these images; a folder `test` of its own stays apart from training";

pub(super) fn run(args: EvalArgs) -> anyhow::Result<()> {
    let out = args.out.destination(DEFAULT_EVALUATION, args.shard);
    let kept = parts::check(&out, Job::Eval, args.shard)?;
    let (bytes, mut checkpoint) = args.model.load_file()?;
    let data = args.data.as_deref().map(settings::data_dir).transpose()?;
    let data: Vec<_> = data.into_iter().collect();
    let trained_on = checkpoint.config.data.own_path().to_path_buf();
    // Of the training, before a key of the sampler is changed.
    let shared_noise = checkpoint.config.shared_noise();
    checkpoint.config = settings::apply(checkpoint.config, &data, &args.assignments)?;
    args.check_used(&checkpoint.config)?;
    for read in args.ood.iter().map(PathBuf::as_path).chain([checkpoint.config.data.own_path()]) {
        out.check_outside(read)?;
    }
    let fid = args.fid.as_deref().map(FidWeights::read).transpose()?;
    let device = args.tune.open(&args.device, Tuning::On)?;
    let RunConfig { data: section, seed, .. } = &checkpoint.config;
    let splits = during("reading the data", || data::load_to_measure(section, *seed))?
        .in_classes(&checkpoint.class_names);
    let tested = checkpoint.counters.data.map(|data| data.test);
    // Other data has another test part, of course.
    let is_of_run = section.dataset == DatasetName::Custom
        && files::is_same_place(&trained_on, section.own_path());
    if is_of_run && tested.is_some_and(|tested| tested != splits.test.checksum()) {
        complain!("warning: {OTHER_TEST_PART}");
    }
    let mut rows = opening::model_rows(&args.model, &checkpoint);
    rows.push(opening::calibration_row(&checkpoint));
    rows.push(("Data", splits.describe()));
    if args.measures(Part::Attack) && splits.test.num_classes() > 1 {
        rows.extend(
            cost_of_attacks(&checkpoint.config, &splits.test).map(|cost| ("Attacks", cost)),
        );
    }
    if let Some(weights) = &fid {
        rows.push(("FID", weights.describe(&checkpoint.config, &splits)));
    }
    if let Some(shard) = args.shard {
        rows.push(("Part", format!("{shard} of the work")));
    }
    let memory = memory_row(checkpoint.check_memory_of_evaluation(&device.device)?);
    rows.extend([device_row(&device), memory, opening::writes_row(&out, &kept)]);
    say_opening(&rows);
    opening::complain_of_data(splits.warnings());
    if let Some(weights) = fid.as_ref().filter(|weights| !weights.is_original()) {
        complain!("{}", unknown_fid_network(&weights.name()));
    }
    let request = EvalRequest {
        name: args.name.clone().unwrap_or_else(|| args.model.name()),
        path: args.model.path().map(|path| path.display().to_string()),
        bytes,
        command: command(),
        device: device.description.clone(),
        parts: args.parts(),
        shared_noise,
        ood: args.ood,
        judge: args.judge,
        fid,
        compare: args.compare,
        seed: args.seed,
        out,
    };
    signals::stop_flag()?;
    let mut steps = Steps::new();
    let mut report = |part, done, total| steps.show(part, done, total);
    if let Some(shard) = args.shard {
        let is_made = Cell::new(false);
        let place = |out: &Destination, made_by: &MadeBy| {
            let place = parts::place(out, made_by);
            is_made.set(matches!(place, Ok(None)));
            place
        };
        let found = evaluate_part(
            &checkpoint,
            splits,
            &request,
            shard,
            &place,
            &device.device,
            &signals::is_requested,
            &mut report,
        );
        steps.clear();
        match found {
            Err(EvalError::Stopped) => {
                say!("Stopped before part {shard} was done; nothing was written.");
            }
            found => {
                let file = found?;
                signals::work_is_done();
                if is_made.get() {
                    say!("{}", parts::MADE_BEFORE);
                }
                say_moved(&request.out, &file);
                say_part(shard, folder_of(&file));
            }
        }
        return Ok(());
    }
    let found = evaluate(
        &checkpoint,
        splits,
        &request,
        &device.device,
        &signals::is_requested,
        &mut report,
    );
    steps.clear();
    let (results, files) = match found {
        Err(EvalError::Stopped) => {
            say!("Stopped before anything was measured; nothing was written.");
            return Ok(());
        }
        found => found?,
    };
    if files.is_complete {
        signals::work_is_done();
    }
    say_moved(&request.out, &files.results);
    print(&results, &files);
    Ok(())
}

/// Makes the whole of the parts of an evaluation and prints it.
pub(super) fn merge(
    parts: &[PartFolder],
    out: &Destination,
    made_by: MadeBy,
) -> anyhow::Result<()> {
    let (results, files) = crate::eval::merge(parts, out, made_by)?;
    print(&results, &files);
    Ok(())
}

/// Prints the main numbers and the files.
fn print(results: &Results, files: &EvalFiles) {
    print_summary(results);
    say!("Results: {}", files.results.display());
    match &files.page {
        Some(page) => say!("Report:  {}", page.display()),
        None => say!("Report:  none, {}", absent::refusal(PAGE, "report")),
    }
}

/// Prints the main numbers, each with its 95 % confidence interval.
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
    let place = if results.data.is_embedded { " inside the program" } else { "" };
    let [_, items] = item_words(results.data.shape);
    say!(
        "{}, {} test {items} of {}{place}, with intervals of 95 %:",
        results.model.name,
        results.data.num_test,
        results.data.dataset
    );
    if let Some(found) = &results.accuracy {
        line("accuracy", percent(&found.accuracy));
    }
    if let Some(found) = &results.calibration {
        line("expected calibration error, as trained", percent(&found.plain.expected));
        if let Some(calibrated) = &found.calibrated {
            let what = format!("  calibrated after training, T = {:.2}", calibrated.temperature);
            line(&what, percent(&calibrated.errors.expected));
        }
        let what = format!("  with temperatures fitted on test {items}");
        line(&what, percent(&found.scaled.expected));
        line("negative log likelihood", number(&found.plain.nll));
    }
    if let Some(found) = &results.ood {
        for set in &found.sets {
            let log_p_x = set.scores.iter().find(|separation| separation.score == Score::LogPX);
            if let Some(separation) = log_p_x {
                line(&format!("AUROC of log p(x), {}", set.name), number(&separation.auroc));
            }
            if set.is_own {
                say!("  {}: {}", set.name, set.what);
            }
        }
        for (name, reason) in &found.left_out {
            say!("{name} left out: {reason}");
        }
    }
    if let Some(found) = &results.attack {
        for curve in &found.curves {
            let accuracies = |points: &[(f64, Estimate)]| {
                let shown = |radius| shown_radius(curve.norm, radius, results.data.shape);
                let points =
                    points.iter().map(|(e, a)| format!("{}: {:.0} %", shown(*e), 100.0 * a.value));
                points.collect::<Vec<_>>().join("  ")
            };
            let what = format!("accuracy at {} ε, {}", curve.norm.name(), curve.defence.name());
            line(&what, accuracies(&curve.points));
            // The last stage is the line above; the page has the stages of every curve.
            let is_main = matches!(curve.defence, Defence::None | Defence::RefinedWorst);
            let stages = curve.by_attack.iter().enumerate().rev().skip(1).rev();
            for (index, stage) in stages.filter(|_| is_main) {
                line(&format!("  {}", curve.name_of_stage(index)), accuracies(&stage.points));
            }
        }
        for (name, reason) in &found.left_out {
            say!("{name} left out: {reason}");
        }
    }
    if let Some(found) = &results.samples {
        for set in &found.sets {
            line(&format!("Fréchet distance, {}", set.name), number(&set.frechet));
        }
        if is_weak_judge(found.judge.accuracy, results.data.class_names.len()) {
            complain!("{}: --judge FILE", weak_judge(found.judge.accuracy));
        }
    }
    if let Some(found) = &results.fid {
        for set in &found.sets {
            let value = format!("{:7.3}  with {} images", set.fid, set.count);
            line(&format!("FID to {} training images, {}", found.num_reference, set.name), value);
        }
        if !found.network.is_original {
            complain!("{}", unknown_fid_network(&found.network.name));
        }
    }
    let no_judge = EvalError::NoJudge { dataset: results.data.dataset.clone() }.to_string();
    for (part, reason) in &results.left_out {
        let option = if *reason == no_judge { ": --judge FILE" } else { "" };
        say!("{part} left out: {reason}{option}");
    }
}
