//! Parts of a job that are made again: a queue repeats a command, whether its part was ended or is done.

use std::{fs::File, path::Path};

use crate::{
    results_folder::{Destination, Job, MADE_BY, MadeBy, ResultsError},
    shard::Shard,
};

/// What is said of a part that is not made, because it is there.
pub(super) const MADE_BEFORE: &str = "This part was made before, with the same settings.";

/// Does [`Destination::check`], but lets the folder hold this part of such a job already: [`place`] compares the two once the
/// settings are known.
///
/// # Errors
/// As [`Destination::check`].
pub(super) fn check(
    out: &Destination,
    job: Job,
    shard: Option<Shard>,
) -> Result<Vec<String>, ResultsError> {
    let is_it = |before: &MadeBy| {
        let before_shard = before.part.as_ref().map(|part| part.shard);
        shard.is_some() && (before.job, before_shard) == (job, shard)
    };
    match out.check(job) {
        Err(ResultsError::Taken { made_by, .. }) if is_it(&made_by) => Ok(Vec::new()),
        checked => checked,
    }
}

/// The folder for a part, in which the same part may be made again that was ended before it was done. None if the part is
/// done there.
///
/// # Errors
/// As [`Destination::check`]: the folder holds something else.
pub(super) fn place(
    out: &Destination,
    made_by: &MadeBy,
) -> Result<Option<Destination>, ResultsError> {
    match out.check(made_by.job) {
        Err(ResultsError::Taken { path, made_by: before }) if is_same_part(made_by, &before) => {
            Ok((!before.finished).then(|| Destination::at(&path, is_unlocked(&path))))
        }
        checked => checked.map(|_| Some(out.clone())),
    }
}

/// Whether two records are of the same part of the same job.
fn is_same_part(own: &MadeBy, before: &MadeBy) -> bool {
    let (Some(part), Some(part_before)) = (&own.part, &before.part) else { return false };
    // Numbers are compared as they are read back.
    let written = serde_json::to_string(&part.settings).unwrap_or_default();
    let settings = serde_json::from_str::<serde_json::Value>(&written);
    part.shard == part_before.shard
        && settings.is_ok_and(|settings| settings == part_before.settings)
        && (own.job, own.seed) == (before.job, before.seed)
        && (&own.jempp, &own.sha256) == (&before.jempp, &before.sha256)
}

/// Whether no other process makes results in a folder. Where files have no locks, that is not known.
fn is_unlocked(folder: &Path) -> bool {
    File::open(folder.join(MADE_BY)).is_ok_and(|file| file.try_lock_shared().is_ok())
}
