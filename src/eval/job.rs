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
    ood::{self, OodImages},
    pictures::{self, NUM_SHOWN, Picture},
    request::{check, read_comparable},
    results::{AttackKind, DataInfo, EvaluatedModel, FORMAT, Results},
    seen::Seen,
};
use crate::{
    checkpoint::Checkpoint,
    data::{self, Splits},
    energy::Energy,
    files::{sha256, write_atomically},
    results_folder::{Job as Maker, MadeBy, ResultsError, ResultsFolder},
    shard::Shard,
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
    let whole = Shard::WHOLE;
    let mut evaluation =
        Evaluation::prepare(checkpoint, splits, request, whole, device, &mut progress)?;
    let others = evaluation.others.split_off(0);
    let mut results = evaluation.nothing_yet();
    let mut seen = evaluation.seen();
    let mut pictures = Vec::new();
    // The folder is claimed only when the first part is done: until then, earlier results stay in it.
    let mut folder = None;
    let mut waiting = evaluation.parts.clone().into_iter().peekable();
    while let Some(&part) = waiting.peek() {
        let start = Instant::now();
        match evaluation.see(part, &mut seen, &mut progress) {
            Err(EvalError::Stopped) => break,
            found => found?,
        }
        pictures.extend(seen.finish(part, &mut results)?);
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

pub(super) fn made_by(request: &EvalRequest) -> MadeBy {
    let (command, name) = (request.command.clone(), request.name.clone());
    MadeBy::new(Maker::Eval, command, name, sha256(&request.bytes), request.seed)
}

pub(super) fn write_results(folder: &ResultsFolder, results: &Results) -> Result<(), EvalError> {
    let path = folder.file("results.json");
    let json = serde_json::to_vec_pretty(results).map_err(std::io::Error::other);
    write(&path, &json.map_err(ResultsError::io(&path))?)
}

/// Writes the HTML report of this evaluation and of those it is compared with.
#[cfg(feature = "report")]
pub(super) fn write_page(
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
pub(super) fn write_page(
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
pub(super) struct Evaluation<'a> {
    checkpoint: &'a Checkpoint,
    request: &'a EvalRequest,
    /// The part of the evaluation that this process does.
    shard: Shard,
    subject: FrozenModel,
    splits: Splits,
    /// Logits (N, classes) of the test images, or of a part of them.
    logits: Vec<f32>,
    refinement: Option<Refinement>,
    judge: Option<Judge>,
    fid: Option<FidJudge>,
    ood: Option<OodImages>,
    others: Vec<Results>,
    pub(super) parts: Vec<Part>,
    left_out: Vec<(String, String)>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn prepare(
        checkpoint: &'a Checkpoint,
        splits: Splits,
        request: &'a EvalRequest,
        shard: Shard,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, EvalError> {
        let config = &checkpoint.config;
        config.validate()?;
        check(config)?;
        checkpoint.check_data(&splits.test)?;
        if splits.test.is_empty() {
            let [_, items] = data::item_words(splits.test.shape);
            return Err(EvalError::Request(format!(
                "there are no test {items} to evaluate on; add a test part to the data, or evaluate on data that has one"
            )));
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
            true => {
                let (paths, noise) = (&request.ood, request.shared_noise);
                Some(OodImages::new(config, &splits.test, paths, noise, request.seed)?)
            }
            false => None,
        };
        let subject = FrozenModel::new(checkpoint, device)?;
        let eval = &config.eval;
        let refinement = (eval.refine_steps > 0)
            .then(|| Refinement::new(config, subject.energy().first_layer_is_affine()));
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

        let own = shard.range(splits.test.len());
        progress.begin("test images", subject.num_batches(own.len()));
        let own = splits.test.gather(own);
        let logits = subject.logits(&own, &mut || progress.step())?;
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
            shard,
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
    pub(super) fn nothing_yet(&self) -> Results {
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
                num_train: self.checkpoint.num_train(),
                num_weights: weights.map(|tensor| tensor.values.len()).sum(),
            },
            data: DataInfo {
                dataset: data::name(config.data.dataset),
                is_embedded: data::is_embedded(&config.data),
                num_train: train.len(),
                num_test: test.len(),
                test_sha256: Some(test.sha256()),
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

    /// What was seen before any part: the logits of the test images.
    pub(super) fn seen(&self) -> Seen {
        let test = &self.splits.test;
        Seen {
            temperature: self.checkpoint.counters.temperature,
            logits: self.logits.clone(),
            labels: test.labels[self.shard.range(test.len())].to_vec(),
            ..Seen::default()
        }
    }

    /// What the parts of an evaluation must share, beside model, seed and version.
    pub(super) fn settings(&self) -> serde_json::Value {
        let Splits { train, test, .. } = &self.splits;
        let mut config = serde_json::json!(self.nothing_yet().config);
        // How much memory there is does not matter.
        if let Some(training) = config["training"].as_object_mut() {
            training.remove("max_memory_mib");
        }
        serde_json::json!({
            "parts of the evaluation": self.parts.iter().map(|part| part.name()).collect::<Vec<_>>(),
            "left out": self.left_out,
            "training images": train.sha256(),
            "test images": test.sha256(),
            "other images": self.ood.as_ref().map(OodImages::checksums),
            "judge": self.judge.as_ref().map(Judge::sha256),
            "config": config,
        })
    }

    /// Does the work of one part of the evaluation, for this process's share of it.
    ///
    /// # Errors
    /// The evaluation is to stop; the device failed.
    pub(super) fn see(
        &mut self,
        part: Part,
        seen: &mut Seen,
        progress: &mut Progress,
    ) -> Result<(), EvalError> {
        let (test, seed, shard) = (&self.splits.test, self.request.seed, self.shard);
        let config = &self.checkpoint.config.eval;
        let num_classes = test.num_classes();
        // Data sets of points (1x1) have no pictures.
        let is_image = test.shape[1] * test.shape[2] > 1;
        match part {
            // They need only the logits of the test images.
            Part::Accuracy | Part::Calibration => {
                progress.begin(part.name(), 1);
                progress.step()?;
            }
            Part::Ood => {
                let Some(images) = self.ood.take() else { return Ok(()) };
                progress.begin(part.name(), images.num_steps());
                let picture = match is_image && shard.number() == 1 {
                    true => Some(pictures::of_ood(&images, test.shape)?),
                    false => None,
                };
                let mut found = ood::see(&self.subject, images, shard, progress)?;
                found.picture = picture;
                seen.ood = Some(found);
            }
            Part::Attack => {
                let refinement = self.refinement.as_ref();
                let num_steps = attack::num_steps(config, refinement, num_classes, shard);
                progress.begin(part.name(), num_steps);
                let (values, labels) = attack::choose(test, config, seed);
                let images = attack::Images { values: &values, labels: &labels };
                let subject = &self.subject;
                let plan = attack::Plan { subject, refinement, config, num_classes, seed };
                let draw = |attacked: &attack::Attacked| match is_image {
                    true => pictures::of_attack(attacked, test.shape, config).map(Some),
                    false => Ok(None),
                };
                seen.attack = Some(plan.see(images, NUM_SHOWN, shard, &draw, progress)?);
            }
            Part::Samples => {
                let judges = Judges { judge: self.judge.as_ref(), fid: self.fid.as_ref() };
                let (checkpoint, splits) = (self.checkpoint, &self.splits);
                let num_steps = image_quality::num_steps(judges, checkpoint, splits, shard);
                progress.begin(part.name(), num_steps);
                let device = self.subject.device();
                seen.samples = Some(image_quality::see(
                    judges, checkpoint, splits, device, seed, shard, progress,
                )?);
            }
        }
        Ok(())
    }
}
