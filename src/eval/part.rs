//! Parts of an evaluation that several processes divide among themselves, and the whole that is made of them.

use std::{collections::BTreeSet, path::PathBuf, time::Instant};

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
/// the long work. Returns the file.
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
    let folder = out.claim(made_by)?;
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
    let folder = out.claim(made_by)?;
    let mut pictures = Vec::new();
    for (part, secs) in whole.parts.iter().zip(whole.seconds) {
        let start = Instant::now();
        pictures.extend(whole.seen.finish(*part, &mut results)?);
        results.seconds.push((part.name().to_string(), secs + start.elapsed().as_secs_f64()));
    }
    write_results(&folder, &results)?;
    let page = write_page(&folder, &results, Vec::new(), &pictures)?;
    let files = EvalFiles { results: folder.file("results.json"), page, is_complete: true };
    folder.finish()?;
    Ok((results, files))
}
