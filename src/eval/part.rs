//! Parts of an evaluation that several processes divide among themselves, and the whole that is made of them.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{
    EvalError, EvalFiles, EvalRequest, Part, Progress,
    job::{Evaluation, made_by, write_page, write_results},
    results::Results,
    seen::Seen,
};
use crate::{
    checkpoint::Checkpoint,
    data::Splits,
    results_folder::{
        Destination, MadeBy, PART_FILE, PartFolder, PartOf, PartsError, ResultsError, write_numbers,
    },
    shard::Shard,
};

/// How long another process may take to write the same part, and the time between two looks at it.
const LONGEST_WRITE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// What a part of an evaluation found out.
#[derive(Serialize, Deserialize)]
struct EvalPart {
    /// The results without any measurement, as JSON: they describe model, data, device and settings.
    described: String,
    parts: Vec<Part>,
    seen: Seen,
    /// The seconds that each part of the evaluation took.
    seconds: Vec<f64>,
}

/// The folder for a part with this record; none if the part is done in the folder that is asked for.
type Place<'a> = &'a dyn Fn(&Destination, &MadeBy) -> Result<Option<Destination>, ResultsError>;

/// Does one part of an evaluation and writes what it found out to the folder of the request, unless it is done there; see
/// [`super::evaluate`] for the arguments. `place` decides about the folder, once the settings of the part are known and before
/// the long work, and again if another process has taken the folder during the work. Returns the file.
///
/// # Errors
/// As [`super::evaluate`]; a request for FID, which is measured of whole sets only; [`EvalError::Stopped`] if the part was
/// stopped before it was done: then nothing is written.
#[allow(clippy::too_many_arguments, reason = "those of a whole evaluation, and two of the part")]
pub fn evaluate_part(
    checkpoint: &Checkpoint,
    splits: Splits,
    request: &EvalRequest,
    shard: Shard,
    place: Place,
    device: &Device,
    stop: &dyn Fn() -> bool,
    report: &mut dyn FnMut(&'static str, usize, usize),
) -> Result<PathBuf, EvalError> {
    if request.fid.is_some() {
        let why = "FID is measured of whole sets of samples, not of a part of an evaluation";
        return Err(EvalError::Request(why.into()));
    }
    let mut progress = Progress::new(report, stop);
    let mut evaluation =
        Evaluation::prepare(checkpoint, splits, request, shard, device, &mut progress)?;
    let described = serde_json::to_string(&evaluation.nothing_yet());
    let described = described.map_err(|error| EvalError::Request(error.to_string()))?;
    // Before the work, which takes the images that the settings have checksums of.
    let part_of = PartOf::new(shard, evaluation.settings());
    let made_by = MadeBy { part: Some(part_of), ..made_by(request) };
    let Some(out) = place(&request.out, &made_by)? else {
        return Ok(request.out.path.join(PART_FILE));
    };
    let parts = evaluation.parts.clone();
    let (mut seen, mut seconds) = (evaluation.seen(), Vec::new());
    for &part in &parts {
        let start = Instant::now();
        evaluation.see(part, &mut seen, &mut progress)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let begin = Instant::now();
    let folder = loop {
        match out.claim(made_by.clone()) {
            Err(ResultsError::Busy(_)) if begin.elapsed() < LONGEST_WRITE && !stop() => {
                std::thread::sleep(PAUSE);
            }
            Err(ResultsError::Taken { .. }) => match place(&request.out, &made_by)? {
                Some(out) => break out.claim(made_by)?,
                None => return Ok(request.out.path.join(PART_FILE)),
            },
            claimed => break claimed?,
        }
    };
    let path = folder.file(PART_FILE);
    let part = EvalPart { described, parts, seen, seconds };
    write_numbers(&path, &part).map_err(ResultsError::io(&path))?;
    folder.finish()?;
    Ok(path)
}

/// Makes the results of the whole evaluation from its parts, which are all there and belong together.
///
/// # Errors
/// A file of a part cannot be read or does not fit the others; the folder may not be used, or a file cannot be written.
pub fn merge(
    parts: &[PartFolder],
    out: &Destination,
    made_by: MadeBy,
) -> Result<(Results, EvalFiles), EvalError> {
    let (mut whole, mut devices): (Option<(Results, EvalPart)>, _) = (None, BTreeSet::new());
    for folder in parts {
        let part: EvalPart = folder.numbers()?;
        let path = folder.file(PART_FILE);
        let described: Results = serde_json::from_str(&part.described)
            .map_err(|error| PartsError::read(&path, error))?;
        devices.insert(described.device.clone());
        match &mut whole {
            None => whole = Some((described, part)),
            Some((first, whole)) => {
                if whole.parts != part.parts || first.data != described.data {
                    let why = "it does not fit the other parts";
                    return Err(PartsError::read(&path, why).into());
                }
                whole.seen.join(part.seen);
                whole.seconds.iter_mut().zip(part.seconds).for_each(|(sum, secs)| *sum += secs);
            }
        }
    }
    let Some((mut results, whole)) = whole else { unreachable!("an evaluation has a part") };
    results.command.clone_from(&made_by.command);
    results.device = devices.into_iter().collect::<Vec<_>>().join(", ");
    let mut pictures = Vec::new();
    for (part, secs) in whole.parts.iter().zip(whole.seconds) {
        let start = Instant::now();
        pictures.extend(whole.seen.finish(*part, &mut results)?);
        results.seconds.push((part.name().to_string(), secs + start.elapsed().as_secs_f64()));
    }
    // Only now, because it removes earlier results there.
    let folder = out.claim(made_by)?;
    write_results(&folder, &results)?;
    let page = write_page(&folder, &results, Vec::new(), &pictures)?;
    let files = EvalFiles { results: folder.file("results.json"), page, is_complete: true };
    folder.finish()?;
    Ok((results, files))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bundled, data, device};

    #[test]
    fn a_part_that_another_process_made_during_the_work_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let model = bundled::find("two-moons").unwrap();
        let checkpoint = model.load().unwrap();
        let request = EvalRequest {
            name: "two-moons".into(),
            path: None,
            bytes: model.bytes().to_vec(),
            command: "jempp eval".into(),
            device: "CPU".into(),
            parts: vec![Part::Accuracy],
            shared_noise: 0.0,
            ood: Vec::new(),
            judge: None,
            fid: None,
            compare: Vec::new(),
            seed: 0,
            out: Destination::at(&dir.path().join("part"), false),
        };
        // The folder is free when it is asked for, and the other process fills it, or is ended before it is done.
        let run = |finishes: bool| {
            let place = |out: &Destination, made_by: &MadeBy| -> Result<_, ResultsError> {
                if let Err(ResultsError::Taken { path, made_by: before }) = out.check(made_by.job) {
                    assert_eq!(before.finished, finishes);
                    return Ok((!before.finished).then(|| Destination::at(&path, true)));
                }
                let folder = out.claim(made_by.clone())?;
                if finishes {
                    folder.finish()?;
                }
                Ok(Some(out.clone()))
            };
            let data = data::load_at_hand(&checkpoint.config.data, checkpoint.config.seed);
            let (shard, device) = (Shard::new(1, 2).unwrap(), device::cpu());
            let splits = data.unwrap().in_classes(&checkpoint.class_names);
            let report = &mut |_: &'static str, _: usize, _: usize| ();
            evaluate_part(&checkpoint, splits, &request, shard, &place, &device, &|| false, report)
        };
        let path = dir.path().join("part").join(PART_FILE);
        assert_eq!(run(true).unwrap(), path);
        assert!(!path.exists(), "nothing is added to what the other process made");
        std::fs::remove_dir_all(dir.path().join("part")).unwrap();
        assert_eq!(run(false).unwrap(), path);
        assert!(path.exists());
    }
}
