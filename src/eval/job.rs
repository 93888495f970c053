//! The evaluation of one model: it checks everything first, then measures part by part and saves each result at once.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use burn::tensor::Device;

use super::{
    EvalError, EvalFiles, EvalRequest, Part, Progress,
    attack::{self, Refinement},
    fid::FidJudge,
    frozen_model::FrozenModel,
    image_quality::{self, Judge, Judges},
    metrics::{calibrated, calibration, mean, proportion},
    ood::{OodImages, ood},
    pictures::{self, NUM_SHOWN, Picture},
    request::{check, read_comparable},
    results::{AttackKind, Classification, DataInfo, EvaluatedModel, FORMAT, Results},
};
use crate::{
    accuracy::predicted,
    checkpoint::Checkpoint,
    data::{self, Dataset, Splits},
    energy::{Energy, energy_of_row},
    files::{sha256, write_atomically},
    results_folder::{Job as Maker, MadeBy, ResultsError, ResultsFolder},
};

/// The name of what is left out of the samples if only FID measures them.
const UNJUDGED: &str = "measures of a judge";
/// The reason given for parts that a stop left undone.
const STOPPED: &str = "the evaluation was stopped before it was done";

/// Evaluates the model in `checkpoint` on its data; the `eval` section of the checkpoint's configuration sets how.
///
/// `report` is called at every step with the name of the part, the number of steps done and the number of all steps
/// of the part. When `stop` returns true, the evaluation ends after the current step and keeps the parts that are
/// done.
///
/// # Errors
/// Before any long work: a folder that may not be used, data or a judge that does not fit the model, an empty folder,
/// logits that are not finite, a request that does not fit the model. Later: files that cannot be written;
/// [`EvalError::Stopped`] if no part was done before the stop.
pub fn evaluate(
    checkpoint: &Checkpoint,
    splits: Splits,
    request: &EvalRequest,
    device: &Device,
    stop: &dyn Fn() -> bool,
    report: &mut dyn FnMut(&'static str, usize, usize),
) -> Result<(Results, EvalFiles), EvalError> {
    request.out.check(Maker::Eval)?;
    let mut progress = Progress::new(report, stop);
    let mut evaluation = Evaluation::prepare(checkpoint, splits, request, device, &mut progress)?;
    let others = evaluation.others.split_off(0);
    let mut results = evaluation.nothing_yet();
    let mut pictures = Vec::new();
    // The folder is claimed only when the first part is done: until then, earlier results stay in it.
    let mut folder = None;
    let mut waiting = evaluation.parts.clone().into_iter().peekable();
    while let Some(&part) = waiting.peek() {
        let start = Instant::now();
        match evaluation.measure(part, &mut results, &mut progress) {
            Err(EvalError::Stopped) => break,
            found => pictures.extend(found?),
        }
        waiting.next();
        results.seconds.push((part.name().to_string(), start.elapsed().as_secs_f64()));
        // Save the part now, so that it is kept if a later part fails.
        let folder = match &folder {
            Some(folder) => folder,
            None => folder.insert(request.out.claim(made_by(request))?),
        };
        write_results(folder, &results)?;
    }
    let folder: ResultsFolder = folder.ok_or(EvalError::Stopped)?;
    let is_complete = waiting.peek().is_none();
    if !is_complete {
        let missing = waiting.map(|part| (part.name().to_string(), STOPPED.to_string()));
        results.left_out.extend(missing);
        write_results(&folder, &results)?;
    }
    let page = write_page(&folder, &results, others, &pictures)?;
    let files = EvalFiles { results: folder.file("results.json"), page, is_complete };
    if is_complete {
        folder.finish()?;
    }
    Ok((results, files))
}

fn made_by(request: &EvalRequest) -> MadeBy {
    let (command, name) = (request.command.clone(), request.name.clone());
    MadeBy::new(Maker::Eval, command, name, sha256(&request.bytes), request.seed)
}

fn write_results(folder: &ResultsFolder, results: &Results) -> Result<(), EvalError> {
    let path = folder.file("results.json");
    let json = serde_json::to_vec_pretty(results).map_err(std::io::Error::other);
    write(&path, &json.map_err(ResultsError::io(&path))?)
}

/// Writes the HTML report of this evaluation and of those it is compared with.
#[cfg(feature = "report")]
fn write_page(
    folder: &ResultsFolder,
    results: &Results,
    others: Vec<Results>,
    pictures: &[Picture],
) -> Result<Option<PathBuf>, EvalError> {
    let path = folder.file("report.html");
    let all: Vec<Results> = std::iter::once(results.clone()).chain(others).collect();
    write(&path, super::page::page(&all, pictures).as_bytes())?;
    Ok(Some(path))
}

/// Writes nothing: the program was built without the feature `report`.
#[cfg(not(feature = "report"))]
fn write_page(
    _: &ResultsFolder,
    _: &Results,
    _: Vec<Results>,
    _: &[Picture],
) -> Result<Option<PathBuf>, EvalError> {
    Ok(None)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    Ok(write_atomically(path, bytes).map_err(ResultsError::io(path))?)
}

/// An evaluation after all checks, with its inputs loaded.
struct Evaluation<'a> {
    checkpoint: &'a Checkpoint,
    request: &'a EvalRequest,
    subject: FrozenModel,
    splits: Splits,
    /// Logits (N, classes) of the test images.
    logits: Vec<f32>,
    refinement: Option<Refinement>,
    judge: Option<Judge>,
    fid: Option<FidJudge>,
    ood: Option<OodImages>,
    others: Vec<Results>,
    parts: Vec<Part>,
    left_out: Vec<(String, String)>,
}

impl<'a> Evaluation<'a> {
    fn prepare(
        checkpoint: &'a Checkpoint,
        splits: Splits,
        request: &'a EvalRequest,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, EvalError> {
        let config = &checkpoint.config;
        config.validate()?;
        check(config)?;
        checkpoint.check_data(&splits.test)?;
        if splits.test.is_empty() {
            return Err(EvalError::Request("there are no test images to evaluate on".into()));
        }
        let read =
            |path: &PathBuf| read_comparable(path, data::name(config.data.dataset), &splits.test);
        let others = request.compare.iter().map(read).collect::<Result<_, _>>()?;

        let mut parts = request.parts.clone();
        let is_asked = |part| request.parts.is_empty() || request.parts.contains(&part);
        let (mut left_out, mut unjudged) = (Vec::new(), None);
        if parts.is_empty() {
            parts = Part::ALL.to_vec();
        }
        let mut leave_out = |part: Part, reason: EvalError| {
            if !request.parts.is_empty() {
                return Err(reason);
            }
            parts.retain(|&other| other != part);
            left_out.push((part.name().to_string(), reason.to_string()));
            Ok(())
        };
        if is_asked(Part::Calibration) && splits.test.len() < 2 {
            leave_out(
                Part::Calibration,
                EvalError::Request(
                    "temperatures are fitted on halves of the test images, but there is only one"
                        .into(),
                ),
            )?;
        }
        if is_asked(Part::Attack) && splits.test.num_classes() < 2 {
            leave_out(
                Part::Attack,
                EvalError::Request(
                    "an attack changes the class that the model predicts, but there is only one"
                        .into(),
                ),
            )?;
        }
        if is_asked(Part::Attack)
            && config.eval.attack == AttackKind::ApgdDlr
            && let Some((name, reason)) =
                attack::left_out(&config.eval, splits.test.num_classes()).pop()
        {
            return Err(EvalError::Request(format!(
                "`eval.attack` = \"apgd-dlr\": {name} cannot run: {reason}; take apgd-ce"
            )));
        }
        let judge = match is_asked(Part::Samples) {
            true => Judge::open(request.judge.as_ref(), checkpoint, device)?,
            false => None,
        };
        let weights = request.fid.as_ref().filter(|_| is_asked(Part::Samples));
        let fid =
            weights.map(|weights| FidJudge::new(weights, splits.test.shape, device)).transpose()?;
        if is_asked(Part::Samples) && judge.is_none() {
            let dataset = data::name(config.data.dataset);
            let reason = EvalError::NoJudge { dataset };
            match fid {
                // FID needs no classifier of the same data.
                Some(_) => unjudged = Some((UNJUDGED.to_string(), reason.to_string())),
                None => leave_out(Part::Samples, reason)?,
            }
        }
        if judge.is_some() || fid.is_some() {
            image_quality::check(&config.eval, &splits)?;
        }
        left_out.extend(unjudged);
        let ood = match is_asked(Part::Ood) {
            true => Some(OodImages::new(config, &splits.test, &request.ood, request.seed)?),
            false => None,
        };
        let subject = FrozenModel::new(checkpoint, device)?;
        let eval = &config.eval;
        let refinement = (eval.refine_steps > 0).then(|| {
            Refinement::new(&config.sampler, eval, subject.energy().first_layer_is_affine())
        });
        if eval.attack_through_sampler
            && is_asked(Part::Attack)
            && refinement.as_ref().is_some_and(|refinement| !refinement.can_differentiate())
        {
            return Err(EvalError::Request(
                "`eval.attack_through_sampler` = true: the steps of this sampler have no derivative; use sgld, \
                 proximal-sgld, or pyld with model.split = 1 and a network whose first layer is affine"
                    .into(),
            ));
        }

        progress.begin("test images", subject.num_batches(splits.test.len()));
        let all = splits.test.gather(0..splits.test.len());
        let logits = subject.logits(&all, &mut || progress.step())?;
        let num_wrong = logits
            .chunks(splits.test.num_classes())
            .filter(|row| row.iter().any(|logit| !logit.is_finite()))
            .count();
        if num_wrong > 0 {
            return Err(EvalError::NotFinite { num_wrong, num_images: splits.test.len() });
        }
        Ok(Self {
            checkpoint,
            request,
            subject,
            splits,
            logits,
            refinement,
            judge,
            fid,
            ood,
            others,
            parts,
            left_out,
        })
    }

    /// Results that describe the model and the data, but with no part measured.
    fn nothing_yet(&self) -> Results {
        let Checkpoint { config, .. } = self.checkpoint;
        let Splits { train, test, .. } = &self.splits;
        let weights = self.checkpoint.sampling_weights().values();
        // The path of the data folder is private: it does not belong in the report.
        let mut shown = config.clone();
        shown.data.dir.clear();
        Results {
            format: FORMAT,
            jempp: env!("CARGO_PKG_VERSION").to_string(),
            command: self.request.command.clone(),
            seed: self.request.seed,
            device: self.request.device.clone(),
            model: EvaluatedModel {
                name: self.request.name.clone(),
                path: self.request.path.clone(),
                sha256: sha256(&self.request.bytes),
                num_steps: self.checkpoint.counters.step,
                num_weights: weights.map(|tensor| tensor.values.len()).sum(),
            },
            data: DataInfo {
                dataset: data::name(config.data.dataset),
                is_embedded: data::is_embedded(&config.data),
                num_train: train.len(),
                num_test: test.len(),
                shape: test.shape,
                class_names: test.class_names.clone(),
            },
            config: shown,
            accuracy: None,
            calibration: None,
            ood: None,
            attack: None,
            samples: None,
            fid: None,
            left_out: self.left_out.clone(),
            seconds: Vec::new(),
        }
    }

    /// Measures one part and returns its pictures.
    fn measure(
        &mut self,
        part: Part,
        results: &mut Results,
        progress: &mut Progress,
    ) -> Result<Vec<Picture>, EvalError> {
        let (test, seed) = (&self.splits.test, self.request.seed);
        let config = &self.checkpoint.config.eval;
        let (num_classes, num_resamples) = (test.num_classes(), config.num_resamples);
        // Data sets of points (1x1) have no pictures.
        let is_image = test.shape[1] * test.shape[2] > 1;
        let mut pictures = Vec::new();
        match part {
            Part::Accuracy => {
                progress.begin(part.name(), 1);
                results.accuracy = Some(classification(test, &self.logits, num_resamples, seed));
                progress.step()?;
            }
            Part::Calibration => {
                progress.begin(part.name(), 1);
                let (logits, labels) = (&self.logits, &test.labels);
                let mut found = calibration(logits, labels, num_classes, num_resamples, seed);
                found.calibrated = self.checkpoint.counters.temperature.map(|temperature| {
                    calibrated(logits, labels, num_classes, temperature, num_resamples, seed)
                });
                results.calibration = Some(found);
                progress.step()?;
            }
            Part::Ood => {
                let Some(images) = self.ood.take() else { return Ok(pictures) };
                progress.begin(part.name(), images.num_steps());
                if is_image {
                    pictures.push(pictures::of_ood(&images, test.shape)?);
                }
                let subject = &self.subject;
                results.ood =
                    Some(ood(subject, images, num_classes, num_resamples, seed, progress)?);
            }
            Part::Attack => {
                let refinement = self.refinement.as_ref();
                progress.begin(part.name(), attack::num_steps(config, refinement, num_classes));
                let (values, labels) = attack::choose(test, config, seed);
                let images = attack::Images { values: &values, labels: &labels };
                let subject = &self.subject;
                let plan = attack::Plan { subject, refinement, config, num_classes, seed };
                let (found, shown) = plan.attack(images, NUM_SHOWN, progress)?;
                results.attack = Some(found);
                for attacked in shown.iter().filter(|_| is_image) {
                    pictures.push(pictures::of_attack(attacked, test.shape, config)?);
                }
            }
            Part::Samples => {
                let judges = Judges { judge: self.judge.as_ref(), fid: self.fid.as_ref() };
                let (checkpoint, splits) = (self.checkpoint, &self.splits);
                let num_steps = image_quality::num_steps(judges, checkpoint, splits);
                progress.begin(part.name(), num_steps);
                let found = image_quality::measure(
                    judges,
                    checkpoint,
                    splits,
                    self.subject.device(),
                    seed,
                    &mut results.left_out,
                    progress,
                )?;
                (results.samples, results.fid) = (found.samples, found.fid);
                pictures.extend(found.picture.map(pictures::of_samples).transpose()?);
            }
        }
        Ok(pictures)
    }
}

fn classification(
    test: &Dataset,
    logits: &[f32],
    num_resamples: usize,
    seed: u64,
) -> Classification {
    let num_classes = test.num_classes();
    let mut confusion = vec![vec![0; num_classes]; num_classes];
    let mut energies = Vec::with_capacity(test.len());
    for (row, &label) in logits.chunks(num_classes).zip(&test.labels) {
        confusion[label as usize][predicted(row)] += 1;
        energies.push(energy_of_row(row));
    }
    let hits = |class: usize| confusion[class][class];
    let by_class = (0..num_classes).map(|class| {
        let count = confusion[class].iter().sum();
        (count > 0).then(|| proportion(hits(class), count))
    });
    Classification {
        accuracy: proportion((0..num_classes).map(hits).sum(), test.len()),
        by_class: by_class.collect(),
        mean_energy: mean(&energies, num_resamples, seed),
        confusion,
    }
}
